//! The configuration of a session, as asked for and as in effect.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::prompt::Prompt;
use crate::tool::{Tool, ToolChoice};
use crate::turn::{NoiseReduction, TranscriptionConfig, TurnDetection};
use crate::voice::{AudioFormat, Modality, Voice};
use crate::wire::{
    Maybe, Number, RawJson, Shape, Wire, either, nested, object, shape, string_enum, union,
};

union! {
    /// A session's configuration.
    ///
    /// The same type serves both directions: in `session.update` only the keys that are there change, while
    /// `session.created` and `session.updated` show the whole configuration in effect with the server's `id`, `object`
    /// and `expires_at`.
    pub enum Session {
        /// A conversation with a model.
        Realtime(Box<RealtimeSession>),
        /// Transcription only: no responses are made.
        Transcription(Box<TranscriptionSession>),
    }
}

impl Session {
    /// The session's id, which only servers give.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Realtime(session) => session.id.as_deref(),
            Self::Transcription(session) => session.id.as_deref(),
            Self::Unknown(_) => None,
        }
    }
}

impl Default for Session {
    /// A realtime session that says nothing.
    fn default() -> Self {
        Self::Realtime(Box::default())
    }
}

impl From<RealtimeSession> for Session {
    fn from(session: RealtimeSession) -> Self {
        Self::Realtime(Box::new(session))
    }
}

impl From<TranscriptionSession> for Session {
    fn from(session: TranscriptionSession) -> Self {
        Self::Transcription(Box::new(session))
    }
}

/// The value of a realtime session's `object` member.
pub const SESSION_OBJECT: &str = "realtime.session";
/// The value of a transcription session's `object` member.
pub const TRANSCRIPTION_SESSION_OBJECT: &str = "realtime.transcription_session";

object! {
    /// Configuration of a conversation with a model.
    pub struct RealtimeSession = "realtime" {
        /// [`SESSION_OBJECT`]; only servers give it.
        pub object: Maybe<String>,
        /// The session's id, `sess_` and more; only servers give it.
        pub id: Maybe<String>,
        /// Name of the model, fixed when the connection is made.
        pub model: Maybe<String>,
        /// What a response consists of: `[Audio]`, which brings a transcript along, or `[Text]`; both together are an
        /// error.
        pub output_modalities: Maybe<Vec<Modality>>,
        /// What the model is told before the conversation. The empty string clears it.
        pub instructions: Maybe<String>,
        /// Functions and MCP servers at the model's disposal.
        pub tools: Maybe<Vec<Tool>>,
        /// Whether the model may, must or must not use them.
        pub tool_choice: Maybe<ToolChoice>,
        /// The most tokens of one response, 1 to 4096 or `inf`.
        pub max_output_tokens: Maybe<MaxOutputTokens>,
        /// Whether and under what name the session is recorded in the traces of the platform.
        pub tracing: Maybe<Tracing>,
        /// What to do when the conversation outgrows the model's context.
        pub truncation: Maybe<Truncation>,
        /// A stored prompt to use.
        pub prompt: Maybe<Prompt>,
        /// When the session will end, in seconds since the Unix epoch; only servers give it.
        pub expires_at: Maybe<u64>,
        /// Sound in and out.
        pub audio: Maybe<SessionAudio>,
        /// Additional members of events to send.
        pub include: Maybe<Vec<Include>>,
        /// Whether the model may call several tools in one response; for reasoning models.
        pub parallel_tool_calls: Maybe<bool>,
        /// How much the model is to think; for reasoning models.
        pub reasoning: Maybe<Reasoning>,
    }
}

object! {
    /// Configuration of a transcription session.
    pub struct TranscriptionSession = "transcription" {
        /// [`TRANSCRIPTION_SESSION_OBJECT`]; only servers give it.
        pub object: Maybe<String>,
        /// The session's id; only servers give it.
        pub id: Maybe<String>,
        /// When the session will end, in seconds since the Unix epoch; only servers give it.
        pub expires_at: Maybe<u64>,
        /// Sound in.
        pub audio: Maybe<TranscriptionAudio>,
        /// Additional members of events to send.
        pub include: Maybe<Vec<Include>>,
    }
}

object! {
    /// Sound in and out.
    pub struct SessionAudio {
        /// From the user.
        pub input: Maybe<AudioInput>,
        /// From the model.
        pub output: Maybe<AudioOutput>,
    }
}

object! {
    /// Sound in, of a transcription session.
    pub struct TranscriptionAudio {
        /// From the user.
        pub input: Maybe<AudioInput>,
    }
}

object! {
    /// Sound from the user.
    pub struct AudioInput {
        /// How samples are written.
        pub format: Maybe<AudioFormat>,
        /// How the user's speech is transcribed; null for not at all.
        pub transcription: Maybe<TranscriptionConfig>,
        /// How noise is reduced before turn detection and the model; null for not at all.
        pub noise_reduction: Maybe<NoiseReduction>,
        /// How the end of the user's turn is found; null leaves it to the client.
        pub turn_detection: Maybe<TurnDetection>,
    }
}

object! {
    /// Sound from the model.
    pub struct AudioOutput {
        /// How samples are written.
        pub format: Maybe<AudioFormat>,
        /// The voice; locked after the first sound.
        pub voice: Maybe<Voice>,
        /// Speed of speech as a factor, 0.25 to 1.5.
        pub speed: Maybe<Number>,
    }
}

/// The most tokens of a response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MaxOutputTokens {
    /// So many, 1 to 4096.
    Count(u64),
    /// As many as the model can.
    Inf,
    /// A word unknown to this crate.
    Other(String),
}

string_enum! {
    /// Additional members of events.
    pub enum Include {
        /// Log probabilities of the tokens of a transcription.
        InputAudioTranscriptionLogprobs = "item.input_audio_transcription.logprobs",
    }
}

either! {
    /// Whether and under what name a session is traced.
    pub enum Tracing {
        /// By the platform's defaults.
        Text => Mode(TracingMode),
        /// As told.
        Object => Config(TracingConfig),
    }
    expected "\"auto\" or an object"
}

string_enum! {
    /// Tracing by name.
    pub enum TracingMode {
        /// By the platform's defaults.
        Auto = "auto",
    }
}

object! {
    /// How a session is traced.
    pub struct TracingConfig {
        /// Name of the workflow.
        pub workflow_name: Maybe<String>,
        /// Id of the group.
        pub group_id: Maybe<String>,
        /// An object of anything.
        pub metadata: Maybe<RawJson>,
    }
}

union! {
    /// What to do when the conversation outgrows the model's context.
    pub enum Truncation {
        /// Drop more than needed, so that the prompt cache survives longer.
        RetentionRatio(RetentionRatio),
    } or {
        /// Drop the oldest items.
        Auto = "auto",
        /// Let the response fail.
        Disabled = "disabled",
    }
}

object! {
    /// Truncation down to a part of the limit.
    pub struct RetentionRatio = "retention_ratio" {
        /// How much of the limit to keep, 0 to 1.
        pub retention_ratio: Number,
        /// Limits of its own.
        pub token_limits: Maybe<TokenLimits>,
    }
}

object! {
    /// Limits for [`RetentionRatio`].
    pub struct TokenLimits {
        /// The most tokens after instructions and tools.
        pub post_instructions: Maybe<u64>,
    }
}

object! {
    /// How much a reasoning model is to think.
    pub struct Reasoning {
        /// The effort.
        pub effort: Maybe<Effort>,
    }
}

string_enum! {
    /// A degree of effort or delay.
    pub enum Effort {
        /// The least.
        Minimal = "minimal",
        /// Little.
        Low = "low",
        /// Some.
        Medium = "medium",
        /// Much.
        High = "high",
        /// The most.
        Xhigh = "xhigh",
    }
}

impl Wire for MaxOutputTokens {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawJson::read(deserializer)?;
        match shape(raw.get()) {
            Shape::Text => nested(&raw).map(|text: String| match text.as_str() {
                INF => Self::Inf,
                _ => Self::Other(text),
            }),
            _ => nested(&raw).map(Self::Count),
        }
    }
}

impl Serialize for MaxOutputTokens {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u64(*count),
            Self::Inf => serializer.serialize_str(INF),
            Self::Other(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for MaxOutputTokens {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(deserializer)
    }
}

const INF: &str = "inf";
