//! The roles of a conversation, and the data that passes through them.
//!
//! Audio is mono `f32` in -1.0..=1.0. [`VoiceActivity`], [`EndOfTurn`] and
//! [`Transcriber`] take 16 000 Hz; a [`Synthesizer`] says which rate it gives.

use std::ops::{ControlFlow, Range};

use crate::{Cancel, EngineError};

/// What a sink answers: go on, or stop (the engine then returns without an error).
pub type Flow = ControlFlow<()>;

/// Detects whether a frame of audio holds speech. Stateful: one per stream.
pub trait VoiceActivity: Send {
    /// How many samples at 16 000 Hz one call of [`push`](Self::push) takes.
    fn frame_samples(&self) -> usize;

    /// The probability (0.0..=1.0) that the frame, which follows the one before, holds speech.
    ///
    /// # Errors
    ///
    /// The frame has another length than [`frame_samples`](Self::frame_samples), or the
    /// network failed.
    fn push(&mut self, frame: &[f32]) -> Result<f32, EngineError>;

    /// Forgets the stream so far.
    fn reset(&mut self);
}

/// Judges from the voice whether somebody who paused is done speaking.
pub trait EndOfTurn: Send + Sync {
    /// The probability (0.0..=1.0) that the turn is complete.
    ///
    /// `turn` (16 000 Hz) is the user's turn up to now, the pause included. It ends at the
    /// present moment; an engine listens to as much of its end as it can use (see there).
    ///
    /// # Errors
    ///
    /// A sample is no number, or the engine failed. Cancelling is no error: a judgement
    /// that was cancelled before it began is 0.0.
    fn judge(&self, turn: &[f32], cancel: &Cancel) -> Result<f32, EngineError>;
}

/// Turns a user's turn into text.
pub trait Transcriber: Send + Sync {
    /// Transcribes `turn` (16 000 Hz). Text is pushed to `sink` as it becomes final; the
    /// deltas concatenate to the transcript's text. Silence and noise give an empty text.
    ///
    /// # Errors
    ///
    /// The audio is longer than the engine takes, or the engine failed. Cancelling is no
    /// error: what was decoded so far is returned.
    fn transcribe(
        &self,
        turn: &[f32],
        options: &SttOptions,
        cancel: &Cancel,
        sink: &mut dyn FnMut(SttDelta<'_>) -> Flow,
    ) -> Result<Transcript, EngineError>;
}

/// How to transcribe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SttOptions {
    /// ISO-639-1 language of the speech; `None` detects it where the model can.
    pub language: Option<String>,
    /// Words to expect (names, jargon), as a free text. Empty means none.
    pub prompt: String,
}

/// A piece of a transcript that will not change any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SttDelta<'a> {
    /// The text to append.
    pub text: &'a str,
}

/// The text of a turn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transcript {
    /// What was said; empty when nothing was.
    pub text: String,
    /// ISO-639-1 language that was given or detected.
    pub language: Option<String>,
    /// Probability (0.0..=1.0) that the audio holds no speech, where the engine knows it.
    pub no_speech: Option<f32>,
    /// The decoded tokens with their log-probabilities (natural logarithm).
    pub tokens: Vec<TranscriptToken>,
}

/// One token of a transcript.
#[derive(Clone, Debug, PartialEq)]
pub struct TranscriptToken {
    /// The token's text (may be a fragment of a character, replaced then).
    pub text: String,
    /// Natural logarithm of its probability.
    pub logprob: f32,
}

/// Writes the assistant's answer.
pub trait LanguageModel: Send + Sync {
    /// Generates an answer to `prompt`, pushing text and tool calls to `sink`.
    ///
    /// Implementations keep a cache per [`Prompt::conversation`], so that only what is new
    /// since the last call is computed, and roll it back where the prompt changed.
    ///
    /// # Errors
    ///
    /// The prompt does not fit the context window, or the engine failed. Cancelling is no
    /// error: the usage so far is returned with [`Finish::Cancelled`].
    fn generate(
        &self,
        prompt: &Prompt,
        cancel: &Cancel,
        sink: &mut dyn FnMut(LmDelta<'_>) -> Flow,
    ) -> Result<LmUsage, EngineError>;

    /// Drops the cache of a conversation that has ended.
    fn forget(&self, conversation: u64);

    /// Size of the context window in tokens.
    fn context_tokens(&self) -> usize;
}

/// Everything a language model is told for one answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompt {
    /// Key of the conversation's cache; unique in the process.
    pub conversation: u64,
    /// The conversation, instructions first (as a [`Role::System`] message).
    pub messages: Vec<Message>,
    /// Functions the model may call.
    pub tools: Vec<ToolSpec>,
    /// Whether it may, must or must not call one.
    pub tool_choice: ToolChoice,
    /// Most tokens to generate; `None` leaves it to the engine.
    pub max_tokens: Option<u32>,
    /// How tokens are drawn.
    pub sampling: Sampling,
}

/// Who a message is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// The result of a tool call.
    Tool,
}

/// One message of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who it is from.
    pub role: Role,
    /// Its text; for [`Role::Tool`] the tool's output.
    pub text: String,
    /// Data URIs of images shown with it.
    pub images: Vec<String>,
    /// Calls the assistant made in this message.
    pub tool_calls: Vec<ToolCall>,
    /// For [`Role::Tool`]: the call this answers.
    pub tool_call_id: Option<String>,
}

impl Message {
    /// A message that is only text.
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self {
            role,
            text: text.into(),
            images: Vec::new(),
            tool_calls: Vec::new(),
            tool_call_id: None,
        }
    }
}

/// A call of a function, as the model wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// Links the call to its output.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// Its arguments as JSON text.
    pub arguments: String,
}

/// A function the model may call.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolSpec {
    /// Its name.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON schema of its arguments.
    pub parameters: serde_json::Value,
}

/// Whether the model may call functions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// It decides.
    #[default]
    Auto,
    /// It must not.
    None,
    /// It must call one.
    Required,
    /// It must call this one.
    Function(String),
}

/// How tokens are drawn from the model's distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sampling {
    /// 0.0 always takes the likeliest token; `None` leaves it to the engine, and engines here
    /// take the likeliest.
    pub temperature: Option<f32>,
    /// Seed of the draw: the same prompt and seed give the same answer.
    pub seed: u32,
}

/// A piece of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LmDelta<'a> {
    /// Text to append. Always whole characters.
    Text(&'a str),
    /// A function call begins.
    ToolCallStart {
        /// Links the call to its output.
        id: &'a str,
        /// The function's name.
        name: &'a str,
    },
    /// Argument text to append to the call begun last.
    ToolCallArguments(&'a str),
}

/// What an answer cost, and why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LmUsage {
    /// Tokens of the prompt, cached ones included.
    pub input_tokens: u32,
    /// Tokens of the prompt that were in the cache.
    pub cached_tokens: u32,
    /// Tokens generated.
    pub output_tokens: u32,
    /// Why it ended.
    pub finish: Finish,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model was done.
    Stop,
    /// [`Prompt::max_tokens`] or the context window was reached.
    Length,
    /// The cancel flag was set or the sink said so.
    Cancelled,
}

/// Speaks text.
pub trait Synthesizer: Send + Sync {
    /// Rate of the audio in Hz that [`speak`](Self::speak) pushes.
    fn sample_rate(&self) -> u32;

    /// Names of the voices, the default first.
    fn voices(&self) -> Vec<String>;

    /// Speaks `text` (one clause or a few sentences), pushing audio to `sink` in order.
    ///
    /// Text without anything to pronounce gives no audio and no error. Leading silence of
    /// the voice is trimmed.
    ///
    /// # Errors
    ///
    /// The voice is unknown or the engine failed. Cancelling is no error.
    fn speak(
        &self,
        text: &str,
        voice: &VoiceSpec,
        cancel: &Cancel,
        sink: &mut dyn FnMut(Speech<'_>) -> Flow,
    ) -> Result<(), EngineError>;
}

/// Who speaks, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct VoiceSpec {
    /// Name of the voice. A name the engine does not have selects its default voice, so
    /// that clients which hard-code a hosted service's voices are heard.
    pub name: String,
    /// 1.0 is the voice's own speed; 0.25..=1.5.
    pub speed: f32,
}

/// A piece of speech and the words it voices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speech<'a> {
    /// Mono samples at [`Synthesizer::sample_rate`].
    pub pcm: &'a [f32],
    /// The words that begin in this piece, in order.
    pub words: &'a [SpokenWord],
}

/// Where a word of the text stands in the audio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpokenWord {
    /// Byte range in the text given to [`Synthesizer::speak`], with its punctuation.
    pub text: Range<usize>,
    /// Samples from the start of this [`Speech`] piece: start..end of the word.
    pub samples: Range<usize>,
}
