//! What the session asks of engines, and what it hears back.
//!
//! These types know no engine: the driver translates them. Audio is mono `f32`.

use std::{ops::Range, sync::Arc};

use kaiwa_protocol::{McpError, McpToolInfo};
use serde::{Deserialize, Serialize};

/// Names one piece of work given to an engine. Unique in the session, never reused.
///
/// Results carry the id of the job they belong to; results of a job that was cancelled
/// or superseded are dropped by the session, whenever they arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId(pub u64);

/// Work for an engine.
#[derive(Clone, Debug, PartialEq)]
pub enum EngineCommand {
    /// Judge one frame of input audio for speech. All frames of a session belong to one
    /// stream: they are given in order and answered in order, one [`EngineEvent::Voice`]
    /// each. The job id is the stream's; a new id means that the detector's memory of the
    /// stream is to be reset first.
    Detect {
        /// 512 samples at 16 000 Hz.
        frame: Vec<f32>,
    },
    /// Transcribe what the user says. Answered by [`EngineEvent::TranscriptDelta`]s and one
    /// [`EngineEvent::Transcript`].
    Transcribe {
        /// What this is.
        what: Said,
        /// The sound at 16 000 Hz.
        audio: Arc<[f32]>,
        /// ISO-639-1 language to expect; `None` lets the engine detect it.
        language: Option<String>,
        /// Words to expect; empty means none.
        prompt: String,
    },
    /// Judge from its sound whether the user's turn is over. Answered by one
    /// [`EngineEvent::TurnJudged`] or [`EngineEvent::Failed`].
    JudgeTurn {
        /// The turn at 16 000 Hz, its silence up to now included: the last 8 s at most.
        audio: Arc<[f32]>,
    },
    /// Read what is sure to come before the next answer, so that less of it has to be read then.
    /// Nothing is written. Answered by one [`EngineEvent::Generated`] or
    /// [`EngineEvent::Failed`], which change nothing.
    Prime(Generate),
    /// Write an answer. Answered by [`EngineEvent::Text`] and tool-call events and one
    /// [`EngineEvent::Generated`].
    Generate(Generate),
    /// Speak a piece of text. Answered by [`EngineEvent::Speech`]es and one
    /// [`EngineEvent::Spoken`]. Jobs of one response are worked on in the order given.
    Speak {
        /// A clause or a few sentences, ready to be read aloud.
        text: String,
        /// Name of the voice.
        voice: String,
        /// 1.0 is the voice's own speed.
        speed: f32,
    },
    /// Ask an MCP server which tools it has. Answered by one [`EngineEvent::ToolsListed`] or
    /// [`EngineEvent::Failed`].
    ListTools(McpServer),
    /// Call a tool of an MCP server. Answered by one [`EngineEvent::ToolReturned`] or
    /// [`EngineEvent::ToolFailed`].
    CallTool {
        /// Where the tool is.
        server: McpServer,
        /// The tool's name, as the server knows it.
        name: String,
        /// Its arguments, a JSON text written by a model: not checked.
        arguments: String,
    },
}

/// What the user says, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// A turn that is over or may be, or audio that a client has put into an item.
    #[default]
    Turn,
    /// A turn that goes on, up to now: its transcript is told to nobody.
    Part,
    /// A sound over the assistant's voice that may become a turn.
    Sound,
}

/// An MCP server, as a client names it: whether it may be contacted is the driver's to say.
#[derive(Clone, PartialEq, Eq)]
pub struct McpServer {
    /// Its URL (streamable HTTP). Not checked.
    pub url: String,
    /// What its requests carry, among it secrets.
    pub headers: Vec<(String, String)>,
}

impl std::fmt::Debug for McpServer {
    /// Without the values of the headers.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("McpServer")
            .field("url", &self.url)
            .field("headers", &names)
            .finish()
    }
}

/// Everything a language model is told for one answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Generate {
    /// The context, instructions first.
    pub messages: Vec<PromptMessage>,
    /// Functions the model may call.
    pub tools: Vec<PromptTool>,
    /// Whether it may, must or must not call one.
    pub tool_choice: PromptToolChoice,
    /// Most tokens to generate; `None` is no limit.
    pub max_tokens: Option<u32>,
}

/// Who a message is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptRole {
    /// Instructions.
    System,
    /// The person.
    User,
    /// The model, as far as it was heard.
    Assistant,
    /// The output of a function call.
    Tool,
}

/// One message of the context.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptMessage {
    /// Who it is from.
    pub role: PromptRole,
    /// Its text.
    pub text: String,
    /// Data URIs of images.
    pub images: Vec<String>,
    /// Calls made in this message: call id, name, arguments as JSON text.
    pub calls: Vec<PromptCall>,
    /// For [`PromptRole::Tool`]: the call it answers.
    pub call_id: Option<String>,
}

/// A function call in the context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptCall {
    /// Links the call to its output.
    pub call_id: String,
    /// The function's name.
    pub name: String,
    /// Its arguments as JSON text.
    pub arguments: String,
}

/// A function the model may call.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptTool {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON schema of its arguments.
    pub parameters: serde_json::Value,
}

/// Whether the model may call functions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PromptToolChoice {
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

/// The cause of a failed [`EngineCommand::Generate`] whose prompt did not fit the model's
/// context, for engines that cannot say by how much ([`EngineEvent::PromptTooLong`] is for
/// those that can). The session forgets the oldest part of the conversation and tries again,
/// unless the client has disabled truncation.
pub const PROMPT_TOO_LONG: &str = "context_length_exceeded";

/// What an engine says about a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineEvent {
    /// Answer to [`EngineCommand::Detect`]: probability 0.0..=1.0 that the frame is speech.
    Voice {
        /// The probability.
        probability: f32,
    },
    /// Answer to [`EngineCommand::JudgeTurn`].
    TurnJudged {
        /// Probability 0.0..=1.0 that the turn is over.
        probability: f32,
    },
    /// Text to append to the transcript.
    TranscriptDelta {
        /// The text.
        text: String,
    },
    /// The transcription is done.
    Transcript {
        /// The whole text; empty when nothing was said.
        text: String,
        /// ISO-639-1 language given or detected.
        language: Option<String>,
        /// Tokens and the natural logarithm of their probability, where known.
        logprobs: Vec<(String, f32)>,
    },
    /// Text to append to the answer.
    Text {
        /// The text.
        text: String,
    },
    /// A function call begins.
    CallStart {
        /// Links the call to its output.
        call_id: String,
        /// The function's name.
        name: String,
    },
    /// Argument text to append to the call begun last.
    CallArguments {
        /// The JSON text.
        text: String,
    },
    /// The answer is complete.
    Generated {
        /// Tokens of the prompt, cached ones included.
        input_tokens: u32,
        /// Tokens of the prompt found in the cache.
        cached_tokens: u32,
        /// Tokens generated.
        output_tokens: u32,
        /// Whether it ended because the limit was reached.
        truncated: bool,
    },
    /// The prompt does not fit the model's context: nothing is generated, and nothing more
    /// comes for the job. The session forgets the oldest items and tries again, unless the
    /// client has disabled truncation.
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: u32,
        /// Most tokens a prompt may have.
        limit: u32,
    },
    /// Speech to append to the audio of the job.
    Speech {
        /// Samples at `rate`.
        #[serde(with = "crate::journal::samples")]
        pcm: Vec<f32>,
        /// Rate in Hz.
        rate: u32,
        /// Words that begin in this piece.
        words: Vec<Word>,
    },
    /// All of the job's text has been spoken.
    Spoken,
    /// The tools of an MCP server.
    ToolsListed {
        /// All of them, in the server's order.
        tools: Vec<McpToolInfo>,
    },
    /// A tool of an MCP server has returned.
    ToolReturned {
        /// What it says, as text for the language model.
        output: String,
    },
    /// A tool of an MCP server was called and failed, or could not be called.
    ToolFailed {
        /// Why.
        error: McpError,
    },
    /// The job failed; nothing more comes for it.
    Failed {
        /// Machine-readable cause, for `error.code`. [`PROMPT_TOO_LONG`] has a meaning.
        code: String,
        /// One plain sentence.
        message: String,
    },
}

/// Where a word stands in a piece of speech.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// Byte range in the text of the [`EngineCommand::Speak`], punctuation included.
    pub text: Range<usize>,
    /// Samples from the start of the piece, at its rate.
    pub samples: Range<u32>,
}
