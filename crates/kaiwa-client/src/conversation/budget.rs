//! What the conversation has cost, and what it may cost still.
//!
//! Under a budget every response is asked for by us, with as many tokens as the rest of the
//! budget pays for when nothing that the model sees comes from a cache.

use std::collections::VecDeque;

use kaiwa_protocol::{TranscriptionUsage, Usage as Reported};

use super::config::{ConversationConfig, CostConfig, OutputMode};
use super::event::{Bill, Usage};
use crate::costs::{Price, Seen, Spent, Tokens, Usd};

/// Tokens around an item beside its content. Servers report a handful.
const AROUND: u64 = 32;
/// Tokens of the instructions of a server that does not tell them.
const UNTOLD_INSTRUCTIONS: u64 = 1000;
/// The most that the protocol lets a client ask for, in tokens.
const MOST_TOKENS: u64 = 4096;
/// The shortest answer worth asking for, in tokens: four seconds of speech and its words.
const LEAST_TOKENS: u64 = 100;
/// Milliseconds of the user's speech in a token.
const MS_PER_TOKEN: u64 = 100;

/// The books of a conversation.
#[derive(Debug)]
pub(super) struct Books {
    config: CostConfig,
    /// The model as the server calls it.
    model: Option<String>,
    /// The model that transcribes, if one does.
    transcriber: Option<String>,
    writes: bool,
    /// Tokens of the instructions and of the tools.
    told: u64,
    /// Tokens of the tools.
    declared: u64,
    total: Spent,
    /// What the model will have seen at the next response, at most; without what follows.
    context: Context,
    /// What has been said since the last response was asked for.
    added: Context,
    /// What has been asked to be transcribed and is not billed, in the order of the turns.
    transcribing: VecDeque<Usd>,
    /// The most that the response asked for last may cost, until it is billed.
    asked: Usd,
    /// The most that responses cost that ended without a bill.
    unbilled: Usd,
}

/// Tokens of a conversation, at most.
#[derive(Clone, Copy, Debug, Default)]
struct Context {
    text: u64,
    audio: u64,
    image: u64,
}

/// What may be asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Allowance {
    /// An answer of any length.
    Any,
    /// An answer of so many tokens.
    Tokens(u64),
    /// No answer.
    Nothing,
}

impl Books {
    /// Books are kept where there are prices to keep them with.
    pub(super) fn new(config: &ConversationConfig) -> Option<Self> {
        let costs = config.costs.clone()?;
        let instructions = config.instructions.as_ref();
        let told = instructions.map_or(UNTOLD_INSTRUCTIONS, |told| told.len() as u64);
        let declared = config
            .tools
            .iter()
            .map(|tool| tool.size() as u64 + AROUND)
            .sum();
        let told = sum([told, declared]);
        let transcriber = config.transcription.as_ref();
        Some(Self {
            config: costs,
            model: None,
            transcriber: transcriber.and_then(|wanted| wanted.model.clone()),
            writes: config.output == OutputMode::Text,
            told,
            declared,
            total: Spent::default(),
            context: Context {
                text: told + AROUND,
                ..Context::default()
            },
            added: Context::default(),
            transcribing: VecDeque::new(),
            asked: Usd::ZERO,
            unbilled: Usd::ZERO,
        })
    }

    /// The server says what it runs and what the model is told.
    pub(super) fn note_session(&mut self, model: Option<&str>, instructions: Option<&str>) {
        if let Some(model) = model {
            self.model = Some(model.to_owned());
        }
        // A token is at least a byte. After the first bill the context is known.
        if let Some(told) = instructions {
            self.told = sum([told.len() as u64, self.declared]);
            if self.total.responses == 0 {
                self.context.text = self.told + AROUND;
            }
        }
    }

    /// The session is lost, `answering` or not: what it was asked for may be billed all the same.
    pub(super) fn lost(&mut self, answering: bool) {
        self.total.exact &= !answering;
        self.unbilled += std::mem::take(&mut self.asked);
        for most in self.transcribing.drain(..) {
            self.unbilled += most;
        }
    }

    /// Another session is told of the conversation: `turns` items with so many bytes of text
    /// and ms of the user's speech.
    pub(super) fn reseat(&mut self, text: u64, sound_ms: u64, turns: u64) {
        self.added = Context::default();
        self.context = Context {
            text: sum([self.told, text, AROUND, turns.saturating_mul(AROUND)]),
            audio: sound_ms.div_ceil(MS_PER_TOKEN),
            image: 0,
        };
    }

    /// The user has typed this, or a tool has returned it.
    pub(super) fn typed(&mut self, text: &str) {
        self.added.text += text.len() as u64 + AROUND;
    }

    /// The user has spoken for so long, in ms.
    pub(super) fn spoken(&mut self, ms: u64) {
        self.added.audio = sum([self.added.audio, ms.div_ceil(MS_PER_TOKEN)]);
        self.added.text += AROUND;
        if self.transcriber.is_some() {
            let price = self.transcription_price();
            let most = price.map_or(Usd::ZERO, |price| most_of_transcription(price, ms));
            self.transcribing.push_back(most);
        }
    }

    /// What may be asked for now, when nothing is running.
    pub(super) fn allowance(&self) -> Allowance {
        let Some(budget) = self.config.budget else {
            return Allowance::Any;
        };
        let Some(price) = self.price().filter(|_| self.total.unpriced.is_empty()) else {
            // What cannot be counted cannot be kept to.
            return Allowance::Nothing;
        };
        let Some(input) = self.most_of_input(price) else {
            return Allowance::Nothing;
        };
        let left = budget.less(self.committed() + input);
        let Some(million) = self.output_price(price) else {
            return Allowance::Nothing;
        };
        let Some(tokens) = left.tokens_at(million) else {
            return Allowance::Any;
        };
        match tokens
            .min(price.max_output.unwrap_or(MOST_TOKENS))
            .min(MOST_TOKENS)
        {
            tokens @ LEAST_TOKENS.. => Allowance::Tokens(tokens),
            _ => Allowance::Nothing,
        }
    }

    /// A response of so many tokens is asked for.
    pub(super) fn ask(&mut self, tokens: u64) {
        let price = self.price();
        let input = price.and_then(|price| self.most_of_input(price));
        let output = price.and_then(|price| self.output_price(price));
        let output = output.map_or(Usd::ZERO, |million| million.per_million(tokens));
        self.asked = input.unwrap_or_default() + output;
        let added = std::mem::take(&mut self.added);
        self.context.text = sum([self.context.text, added.text]);
        self.context.audio = sum([self.context.audio, added.audio]);
    }

    /// A response has ended, with or without a bill.
    pub(super) fn response(&mut self, response: &str, usage: Option<&Reported>) -> Option<Bill> {
        let asked = std::mem::take(&mut self.asked);
        let Some(usage) = usage else {
            self.unbilled += asked;
            return None;
        };
        let tokens = Tokens::from(usage);
        let cost = self.price().and_then(|price| price.of_tokens(&tokens));
        let counts = Usage::of(usage);
        // The model's words and its voice are seen again.
        self.context = Context {
            text: sum([tokens.text.all, tokens.text_output, AROUND]),
            audio: sum([
                tokens.audio.all,
                tokens.audio_output,
                tokens.other_input,
                tokens.other_output,
            ]),
            image: tokens.image.all,
        };
        let total = &mut self.total;
        total.responses += 1;
        total.input_tokens = sum([total.input_tokens, counts.input_tokens]);
        total.cached_tokens = sum([total.cached_tokens, counts.cached_tokens]);
        total.output_tokens = sum([total.output_tokens, counts.output_tokens]);
        let model = self.model.as_ref().or(self.config.model.as_ref());
        let model = model.map_or("this model", String::as_str);
        self.total.add(cost, model);
        Some(Bill {
            response: Some(response.to_owned()),
            item: None,
            cost,
            total: self.total.clone(),
        })
    }

    /// A turn of the user's is transcribed, or is not going to be.
    pub(super) fn transcription(
        &mut self,
        item: &str,
        usage: Option<&TranscriptionUsage>,
    ) -> Option<Bill> {
        let most = self.transcribing.pop_front();
        let Some(usage) = usage else {
            self.unbilled += most.unwrap_or_default();
            return None;
        };
        let price = self.transcription_price();
        let cost = price.and_then(|price| price.of_transcription(usage));
        let model = self.transcriber.as_deref().unwrap_or("the transcription");
        self.total.add(cost, model);
        Some(Bill {
            response: None,
            item: Some(item.to_owned()),
            cost,
            total: self.total.clone(),
        })
    }

    /// Why it ends, in one sentence.
    pub(super) fn spent_up(&self) -> String {
        let budget = self.config.budget.unwrap_or_default();
        let spent = self.total.usd;
        match self.total.unpriced.first() {
            Some(model) => {
                format!("the budget of {budget} cannot be kept to: no price is known for {model}")
            }
            None if self.price().is_none() => {
                format!("the budget of {budget} cannot be kept to: no price is known for the model")
            }
            None => {
                format!("the budget of {budget} has no room for another answer: {spent} is spent")
            }
        }
    }

    /// What is spent or may yet be billed.
    fn committed(&self) -> Usd {
        let outstanding = self.transcribing.iter().copied();
        outstanding.fold(self.total.usd + self.unbilled, |sum, most| sum + most)
    }

    fn price(&self) -> Option<&Price> {
        let names = [&self.model, &self.config.model];
        let mut names = names.into_iter().flatten();
        names.find_map(|name| self.config.prices.of(name))
    }

    fn transcription_price(&self) -> Option<&Price> {
        self.config.prices.of(self.transcriber.as_deref()?)
    }

    /// What a million tokens of an answer cost at most.
    fn output_price(&self, price: &Price) -> Option<Usd> {
        match self.writes {
            true => price.text_output,
            false => price.dearest_output(),
        }
    }

    /// What the model sees next, if nothing of it is cached.
    fn most_of_input(&self, price: &Price) -> Option<Usd> {
        let fresh = |all| Seen { all, cached: 0 };
        let whole = price.of_tokens(&Tokens {
            text: fresh(sum([self.context.text, self.added.text])),
            audio: fresh(sum([self.context.audio, self.added.audio])),
            image: fresh(self.context.image),
            ..Tokens::default()
        })?;
        // A longer conversation is cut by the server to what the model can see.
        let cut = price.context.zip(price.dearest_input());
        let most = cut.map(|(context, million)| million.per_million(context));
        Some(most.map_or(whole.usd, |most| most.min(whole.usd)))
    }
}

/// Numbers of a server's, which may be absurd.
fn sum<const N: usize>(counts: [u64; N]) -> u64 {
    counts.into_iter().fold(0, u64::saturating_add)
}

/// What transcribing `ms` of speech costs at most.
fn most_of_transcription(price: &Price, ms: u64) -> Usd {
    if let Some(minute) = price.per_minute {
        // Rounded up to the second, as some bill it.
        return minute.share(ms.div_ceil(1000), 60);
    }
    let heard = ms.div_ceil(MS_PER_TOKEN) + AROUND;
    let tokens = Tokens {
        other_input: heard,
        // Nobody speaks more tokens than that.
        other_output: heard,
        ..Tokens::default()
    };
    price.of_tokens(&tokens).map_or(Usd::ZERO, |cost| cost.usd)
}
