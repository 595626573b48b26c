//! Responses: what is asked for in `response.create`, and what comes back.

use std::collections::BTreeMap;

use crate::item::Item;
use crate::prompt::Prompt;
use crate::session::{MaxOutputTokens, Reasoning};
use crate::tool::{Tool, ToolChoice};
use crate::voice::{AudioFormat, Modality, Voice};
use crate::wire::{Maybe, object, string_enum};

object! {
    /// What `response.create` asks for. Everything left out is as in the session.
    pub struct ResponseParams {
        /// Whether the response goes into the default conversation (default `auto`).
        pub conversation: Maybe<ConversationChoice>,
        /// Up to 16 pairs given back in the response: keys of at most 64, values of at most 512 characters.
        pub metadata: Maybe<BTreeMap<String, String>>,
        /// What the model is to see instead of the conversation; the empty list is an empty context. Items given here
        /// do not enter the conversation.
        pub input: Maybe<Vec<Item>>,
        /// `[Audio]`, which brings a transcript along, or `[Text]`.
        pub output_modalities: Maybe<Vec<Modality>>,
        /// What the model is told.
        pub instructions: Maybe<String>,
        /// Tools at its disposal.
        pub tools: Maybe<Vec<Tool>>,
        /// Whether it may, must or must not use them.
        pub tool_choice: Maybe<ToolChoice>,
        /// Whether it may call several in one response.
        pub parallel_tool_calls: Maybe<bool>,
        /// How much it is to think.
        pub reasoning: Maybe<Reasoning>,
        /// The most tokens, 1 to 4096 or `inf`.
        pub max_output_tokens: Maybe<MaxOutputTokens>,
        /// A stored prompt to use.
        pub prompt: Maybe<Prompt>,
        /// Sound out.
        pub audio: Maybe<ResponseAudio>,
    }
}

string_enum! {
    /// Where a response goes.
    pub enum ConversationChoice {
        /// Into the default conversation.
        Auto = "auto",
        /// Nowhere: out of band.
        None = "none",
    }
}

object! {
    /// Sound of a response.
    pub struct ResponseAudio {
        /// From the model.
        pub output: Maybe<ResponseAudioOutput>,
    }
}

object! {
    /// Sound from the model in one response.
    pub struct ResponseAudioOutput {
        /// How samples are written.
        pub format: Maybe<AudioFormat>,
        /// The voice.
        pub voice: Maybe<Voice>,
    }
}

/// The value of a response's `object` member.
pub const RESPONSE_OBJECT: &str = "realtime.response";

object! {
    /// A response, as far as it has come.
    pub struct Response {
        /// [`RESPONSE_OBJECT`].
        pub object: Maybe<String>,
        /// `resp_` and more; left out when empty.
        pub id: String = String::new(),
        /// How far it has come.
        pub status: Maybe<ResponseStatus>,
        /// Why it ended so; null while it runs and when it was completed.
        pub status_details: Maybe<StatusDetails>,
        /// Its items, without sound; empty at the beginning.
        pub output: Maybe<Vec<Item>>,
        /// The conversation it goes into; null for an out-of-band response.
        pub conversation_id: Maybe<String>,
        /// What it consists of.
        pub output_modalities: Maybe<Vec<Modality>>,
        /// The most tokens.
        pub max_output_tokens: Maybe<MaxOutputTokens>,
        /// Sound out.
        pub audio: Maybe<ResponseAudio>,
        /// What it cost; null until it is done.
        pub usage: Maybe<Usage>,
        /// What the client gave along; else null.
        pub metadata: Maybe<BTreeMap<String, String>>,
    }
}

string_enum! {
    /// How far a response has come.
    pub enum ResponseStatus {
        /// It is being made.
        InProgress = "in_progress",
        /// It is whole.
        Completed = "completed",
        /// It was cancelled by the client or by the user's speech.
        Cancelled = "cancelled",
        /// It was cut short by a limit or a filter.
        Incomplete = "incomplete",
        /// It failed.
        Failed = "failed",
    }
}

object! {
    /// Why a response ended as it did.
    pub struct StatusDetails {
        /// The response's status once more.
        pub kind as "type": Maybe<ResponseStatus>,
        /// Why it was cancelled or is incomplete.
        pub reason: Maybe<StatusReason>,
        /// Why it failed.
        pub error: Maybe<StatusError>,
    }
}

string_enum! {
    /// Why a response was cancelled or is incomplete.
    pub enum StatusReason {
        /// Cancelled: the user began to speak.
        TurnDetected = "turn_detected",
        /// Cancelled: the client asked for it.
        ClientCancelled = "client_cancelled",
        /// Incomplete: as long as allowed.
        MaxOutputTokens = "max_output_tokens",
        /// Incomplete: stopped by a filter.
        ContentFilter = "content_filter",
    }
}

object! {
    /// Why a response failed.
    pub struct StatusError {
        /// The class of error.
        pub kind as "type": Maybe<String>,
        /// The error.
        pub code: Maybe<String>,
        /// The error in words.
        pub message: Maybe<String>,
    }
}

object! {
    /// What a response cost, in tokens.
    pub struct Usage {
        /// Input and output together.
        pub total_tokens: Maybe<u64>,
        /// What the model saw.
        pub input_tokens: Maybe<u64>,
        /// What the model made.
        pub output_tokens: Maybe<u64>,
        /// What the model saw, by kind.
        pub input_token_details: Maybe<InputTokenDetails>,
        /// What the model made, by kind.
        pub output_token_details: Maybe<OutputTokenDetails>,
    }
}

object! {
    /// What the model saw, in tokens.
    pub struct InputTokenDetails {
        /// As text.
        pub text_tokens: Maybe<u64>,
        /// As sound.
        pub audio_tokens: Maybe<u64>,
        /// As pictures.
        pub image_tokens: Maybe<u64>,
        /// Of these, from the prompt cache.
        pub cached_tokens: Maybe<u64>,
        /// From the prompt cache, by kind.
        pub cached_tokens_details: Maybe<CachedTokensDetails>,
    }
}

object! {
    /// What came from the prompt cache, in tokens.
    pub struct CachedTokensDetails {
        /// As text.
        pub text_tokens: Maybe<u64>,
        /// As sound.
        pub audio_tokens: Maybe<u64>,
        /// As pictures.
        pub image_tokens: Maybe<u64>,
    }
}

object! {
    /// What the model made, in tokens.
    pub struct OutputTokenDetails {
        /// As text.
        pub text_tokens: Maybe<u64>,
        /// As sound.
        pub audio_tokens: Maybe<u64>,
    }
}
