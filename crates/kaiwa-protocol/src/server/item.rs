//! Events about items of the conversation.

use crate::event::server_event;
use crate::item::Item;
use crate::wire::{Maybe, Number, object, union};

server_event! {
    /// `conversation.item.added`: an item enters the default conversation.
    pub struct ConversationItemAdded = "conversation.item.added" {
        /// The item before it; null when it is the first.
        pub previous_item_id: Maybe<String>,
        /// The item, perhaps still empty.
        pub item: Item,
    }
}

server_event! {
    /// `conversation.item.done`: an item is final.
    pub struct ConversationItemDone = "conversation.item.done" {
        /// The item before it; null when it is the first.
        pub previous_item_id: Maybe<String>,
        /// The item.
        pub item: Item,
    }
}

server_event! {
    /// `conversation.item.created`: an item enters the conversation. Only in the beta.
    pub struct ConversationItemCreated = "conversation.item.created" {
        /// The item before it; null when it is the first.
        pub previous_item_id: Maybe<String>,
        /// The item.
        pub item: Item,
    }
}

server_event! {
    /// `conversation.item.retrieved`: the answer to `conversation.item.retrieve`.
    pub struct ConversationItemRetrieved = "conversation.item.retrieved" {
        /// The item with its sound.
        pub item: Item,
    }
}

server_event! {
    /// `conversation.item.truncated`: an item was cut down to what was heard.
    pub struct ConversationItemTruncated = "conversation.item.truncated" {
        /// The item.
        pub item_id: String,
        /// Position of the part in the item.
        pub content_index: u32,
        /// How much of its sound is left, in ms.
        pub audio_end_ms: u64,
    }
}

server_event! {
    /// `conversation.item.deleted`: an item was removed.
    pub struct ConversationItemDeleted = "conversation.item.deleted" {
        /// The item.
        pub item_id: String,
    }
}

server_event! {
    /// `conversation.item.input_audio_transcription.delta`: more text of what the user said.
    pub struct ConversationItemInputAudioTranscriptionDelta = "conversation.item.input_audio_transcription.delta" {
        /// The item.
        pub item_id: String,
        /// Position of the part in the item.
        pub content_index: Maybe<u32>,
        /// The text.
        pub delta: Maybe<String>,
        /// Its tokens, when asked for.
        pub logprobs: Maybe<Vec<LogProb>>,
        /// Random padding against traffic analysis.
        pub obfuscation: Maybe<String>,
    }
}

server_event! {
    /// `conversation.item.input_audio_transcription.completed`: all of what the user said.
    pub struct ConversationItemInputAudioTranscriptionCompleted = "conversation.item.input_audio_transcription.completed" {
        /// The item.
        pub item_id: String,
        /// Position of the part in the item.
        pub content_index: u32,
        /// The text.
        pub transcript: String,
        /// What it cost.
        pub usage: TranscriptionUsage,
        /// Its tokens, when asked for.
        pub logprobs: Maybe<Vec<LogProb>>,
        /// The languages heard.
        pub languages: Maybe<Vec<TranscriptionLanguage>>,
    }
}

server_event! {
    /// `conversation.item.input_audio_transcription.failed`: what the user said could not be transcribed. The conversation goes on.
    pub struct ConversationItemInputAudioTranscriptionFailed = "conversation.item.input_audio_transcription.failed" {
        /// The item.
        pub item_id: String,
        /// Position of the part in the item.
        pub content_index: u32,
        /// Why.
        pub error: TranscriptionError,
    }
}

server_event! {
    /// `conversation.item.input_audio_transcription.segment`: what one of several speakers said.
    pub struct ConversationItemInputAudioTranscriptionSegment = "conversation.item.input_audio_transcription.segment" {
        /// The item.
        pub item_id: String,
        /// Position of the part in the item.
        pub content_index: u32,
        /// The segment.
        pub id: String,
        /// The text.
        pub text: String,
        /// Who said it.
        pub speaker: String,
        /// Where it begins in the item, in s.
        pub start: Number,
        /// Where it ends in the item, in s.
        pub end: Number,
    }
}

object! {
    /// A token of a transcription.
    pub struct LogProb {
        /// Its text.
        pub token: String,
        /// The natural logarithm of its probability.
        pub logprob: Number,
        /// Its text as UTF-8, one number per byte.
        pub bytes: Maybe<Vec<u32>>,
    }
}

object! {
    /// A language heard.
    pub struct TranscriptionLanguage {
        /// ISO 639-1.
        pub code: String,
    }
}

union! {
    /// What a transcription cost.
    pub enum TranscriptionUsage {
        /// Counted in tokens.
        Tokens(TranscriptionTokens),
        /// Counted in time.
        Duration(TranscriptionDuration),
    }
}

impl Default for TranscriptionUsage {
    /// No time at all.
    fn default() -> Self {
        Self::Duration(TranscriptionDuration::default())
    }
}

object! {
    /// Cost of a transcription in tokens.
    pub struct TranscriptionTokens = "tokens" {
        /// Input and output together.
        pub total_tokens: u64,
        /// What the model saw.
        pub input_tokens: u64,
        /// What the model saw, by kind.
        pub input_token_details: Maybe<TranscriptionTokenDetails>,
        /// What the model made.
        pub output_tokens: u64,
    }
}

object! {
    /// What a transcription model saw, in tokens.
    pub struct TranscriptionTokenDetails {
        /// As text.
        pub text_tokens: Maybe<u64>,
        /// As sound.
        pub audio_tokens: Maybe<u64>,
    }
}

object! {
    /// Cost of a transcription in time.
    pub struct TranscriptionDuration = "duration" {
        /// Length of the sound, in s.
        pub seconds: Number,
    }
}

object! {
    /// Why a transcription failed. Its members are left out rather than null, which some clients refuse.
    pub struct TranscriptionError {
        /// The class of error.
        pub kind as "type": Maybe<String>,
        /// The error.
        pub code: Maybe<String>,
        /// The error in words.
        pub message: Maybe<String>,
        /// The member at fault.
        pub param: Maybe<String>,
    }
}
