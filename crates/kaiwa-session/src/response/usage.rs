//! What a response cost.
//!
//! Input is what the language model counted, and only that: the words of users and of the
//! assistant are text to it. The part of it that users said aloud is shown as audio tokens.
//! Output is the language model's text and, at the service's rate, the audio made of it.

use kaiwa_protocol::{CachedTokensDetails, InputTokenDetails, Maybe, OutputTokenDetails, Usage};

use super::Response;
use crate::Millis;

/// Milliseconds of the assistant's audio that cost a token.
const ASSISTANT_MS_PER_TOKEN: Millis = 50;

/// How long a prompt is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PromptSize {
    /// All of it, in characters; 0 while nothing was given to the language model.
    pub(crate) chars: u64,
    /// What users said aloud, in characters.
    pub(crate) spoken_chars: u64,
    /// All of it, in tokens, as far as can be guessed.
    pub(crate) tokens: u64,
}

/// What the language model counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    pub(super) input_tokens: u64,
    pub(super) cached_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) truncated: bool,
}

impl Response {
    /// The count of a response whose language model was stopped: a piece is about a token.
    pub(super) fn estimate(&self) -> Written {
        Written {
            // A prompt that was answered by nothing may never have been read.
            input_tokens: match self.pieces {
                0 => 0,
                _ => self.prompt.tokens,
            },
            cached_tokens: 0,
            output_tokens: self.pieces,
            truncated: false,
        }
    }

    pub(super) fn usage(&self) -> Usage {
        let written = self.written.unwrap_or_else(|| self.estimate());
        let (input, cached) = (written.input_tokens, written.cached_tokens);
        let audio = share(input, self.prompt.spoken_chars, self.prompt.chars);
        let cached_audio = share(audio, cached, input);
        let output_audio = self.audio_ms / ASSISTANT_MS_PER_TOKEN;
        let output = written.output_tokens + output_audio;
        Usage {
            total_tokens: Maybe::Value(input + output),
            input_tokens: Maybe::Value(input),
            output_tokens: Maybe::Value(output),
            input_token_details: Maybe::Value(InputTokenDetails {
                text_tokens: Maybe::Value(input - audio),
                audio_tokens: Maybe::Value(audio),
                image_tokens: Maybe::Value(0),
                cached_tokens: Maybe::Value(cached),
                cached_tokens_details: Maybe::Value(CachedTokensDetails {
                    text_tokens: Maybe::Value(cached - cached_audio),
                    audio_tokens: Maybe::Value(cached_audio),
                    image_tokens: Maybe::Value(0),
                    ..CachedTokensDetails::default()
                }),
                ..InputTokenDetails::default()
            }),
            output_token_details: Maybe::Value(OutputTokenDetails {
                text_tokens: Maybe::Value(written.output_tokens),
                audio_tokens: Maybe::Value(output_audio),
                ..OutputTokenDetails::default()
            }),
            ..Usage::default()
        }
    }
}

/// `part / whole` of an amount, rounded down; none of it when there is no whole.
fn share(amount: u64, part: u64, whole: u64) -> u64 {
    let share = amount.saturating_mul(part.min(whole));
    share.checked_div(whole).unwrap_or(0)
}
