//! One answer, token by token.

use std::sync::atomic::Ordering;

use llama_cpp_2::token::LlamaToken;

use super::{
    Llama,
    caches::Taken,
    output::{Found, Output},
    sampler::Sampler,
    tokens::Vocabulary,
    tools,
    worker::STEP_TOKENS,
};
use crate::{Cancel, EngineError, Finish, Flow, LmDelta, LmUsage, Prompt, ToolChoice};

/// So many tokens of an answer are urgent: about the first clause, for which somebody
/// waits in silence. The rest is ahead of playback, and gives way to speech synthesis.
const URGENT_TOKENS: u32 = 16;

/// An answer being generated.
pub(super) struct Answer<'a> {
    llama: &'a Llama,
    prompt: &'a Prompt,
    cancel: &'a Cancel,
    taken: Taken<'a>,
    /// `None` only while a step is computed.
    sampler: Option<Box<Sampler>>,
    usage: LmUsage,
}

/// What came of computing some tokens.
enum Computed {
    /// The token that follows them.
    Drawn(LlamaToken),
    /// Nothing follows: the answer was cancelled, or the window is full.
    Over(Finish),
}

impl<'a> Answer<'a> {
    /// Computes what is new in the prompt, then draws tokens until the answer is over.
    pub(super) fn generate(
        llama: &'a Llama,
        prompt: &'a Prompt,
        cancel: &'a Cancel,
        sink: &mut dyn FnMut(LmDelta<'_>) -> Flow,
    ) -> Result<LmUsage, EngineError> {
        let mut usage = LmUsage {
            input_tokens: 0,
            cached_tokens: 0,
            output_tokens: 0,
            finish: Finish::Cancelled,
        };
        let text = llama.chat.render(&llama.model, prompt)?;
        let Some(mut taken) = llama.caches.take(prompt.conversation, cancel)? else {
            return Ok(usage);
        };
        let held = taken.tokens();
        let (tokens, same) = held.continued_by(&*llama.model, llama.chat.markers(), &text);
        // The answer needs room for a token at least.
        let most = llama.window.saturating_sub(1);
        if tokens.is_empty() || tokens.len() > most {
            return Err(EngineError::invalid_input(format_args!(
                "the prompt has {} tokens, {most} fit the language model's window",
                tokens.len()
            )));
        }
        // The last token is always computed: what follows it is not in the cache.
        let cached = same.min(tokens.len() - 1);
        taken.keep(cached);
        usage.input_tokens = count(tokens.len());
        usage.cached_tokens = count(cached);
        let mut answer = Self {
            llama,
            prompt,
            cancel,
            taken,
            sampler: None,
            usage,
        };
        answer.usage.finish = if prompt.max_tokens == Some(0) {
            answer.prefill(&tokens[cached..])?
        } else {
            answer.write(&tokens[cached..], sink)?
        };
        Ok(answer.usage)
    }

    /// Computes a prompt for which no answer is wanted yet.
    fn prefill(&mut self, tokens: &[LlamaToken]) -> Result<Finish, EngineError> {
        for step in tokens.chunks(STEP_TOKENS) {
            if self.cancel.is_cancelled() {
                return Ok(Finish::Cancelled);
            }
            let _slot = self.llama.budget.slot(false);
            self.taken.step(&*self.llama.model, step, None)?;
        }
        Ok(Finish::Length)
    }

    fn write(
        &mut self,
        prompt: &[LlamaToken],
        sink: &mut dyn FnMut(LmDelta<'_>) -> Flow,
    ) -> Result<Finish, EngineError> {
        let Prompt {
            sampling,
            tool_choice,
            ..
        } = self.prompt;
        let llama = self.llama;
        let functions = tools::offered(self.prompt)?;
        if matches!(tool_choice, ToolChoice::Required | ToolChoice::Function(_)) {
            let mut tokens = prompt.to_vec();
            tokens.extend(self.begin_call(""));
            return self.call(tokens, sink);
        }
        self.sampler = Some(Box::new(Sampler::text(&llama.model, *sampling)));
        let calls: &[&str] = match functions.is_empty() {
            true => &[],
            false => &tools::CALLS,
        };
        let mut output = Output::new(llama.chat.markers(), calls);
        let mut said = String::new();
        let mut next = prompt.to_vec();
        let begin = self.taken.tokens().len() + prompt.len();
        let finish = loop {
            let token = match self.compute(&next)? {
                Computed::Drawn(token) => token,
                Computed::Over(Finish::Cancelled) => return Ok(Finish::Cancelled),
                Computed::Over(finish) => break finish,
            };
            if llama.chat.ends(&llama.model, token) {
                break Finish::Stop;
            }
            self.usage.output_tokens += 1;
            let text = output.push(&llama.model.vocab().token_to_piece(token, true, None));
            if !text.is_empty() && sink(LmDelta::Text(&text)).is_break() {
                return Ok(Finish::Cancelled);
            }
            said += &text;
            match output.found() {
                Some(Found::Call) => {
                    // A token may hold the call's first character and text before it: all
                    // from there on is computed again, split as the model learned it.
                    let held = self.taken.tokens();
                    let text_end = held.text_len(begin) + output.certain_bytes();
                    let kept = held.within(text_end);
                    let between = text_end - held.text_len(kept);
                    let tail = said.len().checked_sub(between);
                    let tail = tail.and_then(|at| said.get(at..)).unwrap_or_default();
                    let tokens = self.begin_call(tail);
                    self.taken.keep(kept);
                    return self.call(tokens, sink);
                }
                Some(Found::End) => return Ok(Finish::Stop),
                None => {}
            }
            if self.has_reached_limit() {
                break Finish::Length;
            }
            next = vec![token];
        };
        let rest = output.finish();
        if !rest.is_empty() && sink(LmDelta::Text(&rest)).is_break() {
            return Ok(Finish::Cancelled);
        }
        Ok(finish)
    }

    /// The tokens that begin a function call after the text `before`.
    fn begin_call(&self, before: &str) -> Vec<LlamaToken> {
        let begin = [before, tools::CALL, tools::CALL_GAP].concat();
        self.llama.model.tokenised(&begin, false)
    }

    /// Draws a function call, whose beginning is at the end of `next`.
    fn call(
        &mut self,
        mut next: Vec<LlamaToken>,
        sink: &mut dyn FnMut(LmDelta<'_>) -> Flow,
    ) -> Result<Finish, EngineError> {
        let llama = self.llama;
        let grammar = tools::grammar(tools::offered(self.prompt)?)?;
        let sampler = Sampler::held_by(&grammar, &llama.model, self.prompt.sampling)?;
        self.sampler = Some(Box::new(sampler));
        let mut object = Vec::new();
        loop {
            let token = match self.compute(&next)? {
                Computed::Drawn(token) => token,
                // Half a call is none.
                Computed::Over(finish) => return Ok(finish),
            };
            if llama.chat.ends(&llama.model, token) {
                break;
            }
            self.usage.output_tokens += 1;
            object.extend(llama.model.vocab().token_to_piece(token, true, None));
            if self.has_reached_limit() {
                return Ok(Finish::Length);
            }
            next = vec![token];
        }
        let (name, arguments) = tools::parse(&String::from_utf8_lossy(&object))?;
        let id = format!("call_{:08x}", llama.calls.fetch_add(1, Ordering::Relaxed));
        let mut sent = sink(LmDelta::ToolCallStart {
            id: &id,
            name: &name,
        });
        if sent.is_continue() {
            sent = sink(LmDelta::ToolCallArguments(&arguments));
        }
        Ok(if sent.is_continue() {
            Finish::Stop
        } else {
            Finish::Cancelled
        })
    }

    /// Computes tokens step by step, and draws the one that follows.
    fn compute(&mut self, tokens: &[LlamaToken]) -> Result<Computed, EngineError> {
        if self.taken.tokens().len() + tokens.len() > self.llama.window {
            return Ok(Computed::Over(Finish::Length));
        }
        let mut steps = tokens.chunks(STEP_TOKENS).peekable();
        while let Some(step) = steps.next() {
            if self.cancel.is_cancelled() {
                break;
            }
            let sampler = if steps.peek().is_none() {
                self.sampler.take()
            } else {
                None
            };
            let urgent = self.usage.output_tokens < URGENT_TOKENS;
            let slot = self.llama.budget.slot(urgent);
            let drawn = self.taken.step(&*self.llama.model, step, sampler)?;
            drop(slot);
            if let Some((token, sampler)) = drawn {
                self.sampler = Some(sampler);
                // Cancelled while it was computed: it is not shown.
                if !self.cancel.is_cancelled() {
                    return Ok(Computed::Drawn(token));
                }
            }
        }
        Ok(Computed::Over(Finish::Cancelled))
    }

    fn has_reached_limit(&self) -> bool {
        self.prompt
            .max_tokens
            .is_some_and(|most| self.usage.output_tokens >= most)
    }
}

fn count(tokens: usize) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}
