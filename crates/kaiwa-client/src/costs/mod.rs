//! What a conversation costs: prices, and what they make of the tokens that a server reports.
//!
//! Sums are made of whole numbers. What cannot be known exactly is counted at most, and said to
//! be so; what has no price has none.

mod prices;
#[cfg(test)]
mod tests;
mod usd;

use std::fmt;

use kaiwa_protocol::{TranscriptionUsage, Usage};
use serde::Serialize;

pub use self::prices::{Price, Prices, PricesError};
pub use self::usd::{Usd, UsdError};

/// What something costs.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Cost {
    /// US dollars.
    pub usd: Usd,
    /// Whether the server said of which kind every token is. Otherwise it is at most so much.
    pub exact: bool,
}

/// Tokens by kind. The cached ones are among those seen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tokens {
    pub(crate) text: Seen,
    pub(crate) audio: Seen,
    pub(crate) image: Seen,
    /// Seen, of no known kind.
    pub(crate) other_input: u64,
    pub(crate) text_output: u64,
    pub(crate) audio_output: u64,
    /// Made, of no known kind.
    pub(crate) other_output: u64,
    /// From a cache, of no known kind: counted as if they were not.
    pub(crate) other_cached: u64,
}

/// Tokens of one kind that the model saw.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Seen {
    pub(crate) all: u64,
    pub(crate) cached: u64,
}

impl From<&Usage> for Tokens {
    fn from(usage: &Usage) -> Self {
        let mut tokens = Self::default();
        if let Some(details) = usage.input_token_details.value() {
            let count = |kind: &kaiwa_protocol::Maybe<u64>| kind.copied().unwrap_or_default();
            tokens.text.all = count(&details.text_tokens);
            tokens.audio.all = count(&details.audio_tokens);
            tokens.image.all = count(&details.image_tokens);
            if let Some(cached) = details.cached_tokens_details.value() {
                tokens.text.cached = count(&cached.text_tokens);
                tokens.audio.cached = count(&cached.audio_tokens);
                tokens.image.cached = count(&cached.image_tokens);
            }
            let known = tokens
                .seen()
                .fold(0, |sum: u64, seen| sum.saturating_add(seen.cached));
            tokens.other_cached = count(&details.cached_tokens).saturating_sub(known);
        }
        if let Some(details) = usage.output_token_details.value() {
            tokens.text_output = details.text_tokens.copied().unwrap_or_default();
            tokens.audio_output = details.audio_tokens.copied().unwrap_or_default();
        }
        let input = usage.input_tokens.copied().unwrap_or_default();
        let output = usage.output_tokens.copied().unwrap_or_default();
        tokens.other_input = tokens
            .seen()
            .fold(input, |left, seen| left.saturating_sub(seen.all));
        tokens.other_output = output
            .saturating_sub(tokens.text_output)
            .saturating_sub(tokens.audio_output);
        tokens
    }
}

impl Tokens {
    fn seen(&self) -> impl Iterator<Item = Seen> {
        [self.text, self.audio, self.image].into_iter()
    }
}

impl Price {
    /// What a response of this model costs; `None` where tokens were used that have no price.
    #[must_use]
    pub fn of_response(&self, usage: &Usage) -> Option<Cost> {
        self.of_tokens(&Tokens::from(usage))
    }

    /// What a transcription by this model costs; `None` where it is counted in something that
    /// has no price.
    #[must_use]
    pub fn of_transcription(&self, usage: &TranscriptionUsage) -> Option<Cost> {
        match usage {
            TranscriptionUsage::Tokens(usage) => {
                let details = usage.input_token_details.value();
                let mut tokens = Tokens {
                    text_output: usage.output_tokens,
                    ..Tokens::default()
                };
                if let Some(details) = details {
                    tokens.text.all = details.text_tokens.copied().unwrap_or_default();
                    tokens.audio.all = details.audio_tokens.copied().unwrap_or_default();
                }
                tokens.other_input = usage
                    .input_tokens
                    .saturating_sub(tokens.text.all)
                    .saturating_sub(tokens.audio.all);
                self.of_tokens(&tokens)
            }
            TranscriptionUsage::Duration(usage) => {
                // A length is measured, not money: to the next millisecond.
                let ms = (usage.seconds.get() * 1000.0).ceil() as u64;
                let usd = self.per_minute?.share(ms, 60_000);
                Some(Cost { usd, exact: true })
            }
            _ => None,
        }
    }

    pub(crate) fn of_tokens(&self, tokens: &Tokens) -> Option<Cost> {
        let mut usd = Usd::ZERO;
        let mut add = |count: u64, million: Option<Usd>| {
            if count > 0 {
                usd += million?.per_million(count);
            }
            Some(())
        };
        for (seen, fresh, cached) in [
            (tokens.text, self.text_input, self.text_cached),
            (tokens.audio, self.audio_input, self.audio_cached),
            (tokens.image, self.image_input, self.image_cached),
        ] {
            let reused = seen.cached.min(seen.all);
            add(seen.all - reused, fresh)?;
            add(reused, cached.or(fresh))?;
        }
        add(tokens.text_output, self.text_output)?;
        add(tokens.audio_output, self.audio_output)?;
        add(tokens.other_input, self.dearest_input())?;
        add(tokens.other_output, self.dearest_output())?;
        let exact = tokens.other_input == 0 && tokens.other_output == 0 && tokens.other_cached == 0;
        Some(Cost { usd, exact })
    }

    /// The most that a million tokens seen may cost.
    pub(crate) fn dearest_input(&self) -> Option<Usd> {
        let kinds = [self.text_input, self.audio_input, self.image_input];
        kinds.into_iter().flatten().max()
    }

    /// The most that a million tokens made may cost.
    pub(crate) fn dearest_output(&self) -> Option<Usd> {
        self.text_output.max(self.audio_output)
    }
}

/// What a conversation has cost so far.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Spent {
    /// Responses that ended.
    pub responses: u64,
    /// Tokens that the model saw in them.
    pub input_tokens: u64,
    /// Of these, from a cache.
    pub cached_tokens: u64,
    /// Tokens that the model made.
    pub output_tokens: u64,
    /// US dollars, transcriptions included; without what has no price.
    pub usd: Usd,
    /// Whether it is exactly so much; otherwise at most.
    pub exact: bool,
    /// The models used that have no price.
    pub unpriced: Vec<String>,
}

impl Default for Spent {
    fn default() -> Self {
        Self {
            responses: 0,
            input_tokens: 0,
            cached_tokens: 0,
            output_tokens: 0,
            usd: Usd::ZERO,
            exact: true,
            unpriced: Vec::new(),
        }
    }
}

impl Spent {
    /// Counts a cost, or a model that has none.
    pub(crate) fn add(&mut self, cost: Option<Cost>, model: &str) {
        match cost {
            Some(cost) => {
                self.usd += cost.usd;
                self.exact &= cost.exact;
            }
            None if self.unpriced.iter().any(|name| name == model) => {}
            None => self.unpriced.push(model.to_owned()),
        }
    }
}

impl fmt::Display for Spent {
    /// As in `3 responses, 1,234 tokens in (400 cached), 567 out: $0.0123`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.responses == 1 { "" } else { "s" };
        write!(f, "{} response{plural}, ", Grouped(self.responses))?;
        write!(f, "{} tokens in", Grouped(self.input_tokens))?;
        if self.cached_tokens > 0 {
            write!(f, " ({} cached)", Grouped(self.cached_tokens))?;
        }
        write!(f, ", {} out", Grouped(self.output_tokens))?;
        if self.unpriced.is_empty() || self.usd > Usd::ZERO {
            let most = if self.exact { "" } else { "at most " };
            write!(f, ": {most}{}", self.usd)?;
        }
        if !self.unpriced.is_empty() {
            write!(f, "; no price is known for {}", self.unpriced.join(", "))?;
        }
        Ok(())
    }
}

/// A number with its thousands apart.
struct Grouped(u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.char_indices() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}
