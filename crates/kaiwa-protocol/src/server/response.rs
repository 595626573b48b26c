//! Events about responses.

use crate::audio::Audio;
use crate::content::ContentPart;
use crate::event::server_event;
use crate::item::Item;
use crate::response::Response;
use crate::wire::Maybe;

server_event! {
    /// `response.created`: a response begins.
    pub struct ResponseCreated = "response.created" {
        /// The response, without items.
        pub response: Box<Response>,
    }
}

server_event! {
    /// `response.done`: a response has ended, one way or another; exactly one for each `response.created`.
    pub struct ResponseDone = "response.done" {
        /// The response with its items, without their sound.
        pub response: Box<Response>,
    }
}

server_event! {
    /// `response.output_item.added`: an item of a response begins.
    pub struct ResponseOutputItemAdded = "response.output_item.added" {
        /// The response.
        pub response_id: String,
        /// Position of the item in the response.
        pub output_index: u32,
        /// The item, still empty.
        pub item: Item,
    }
}

server_event! {
    /// `response.output_item.done`: an item of a response has ended.
    pub struct ResponseOutputItemDone = "response.output_item.done" {
        /// The response.
        pub response_id: String,
        /// Position of the item in the response.
        pub output_index: u32,
        /// The item.
        pub item: Item,
    }
}

server_event! {
    /// `response.content_part.added`: a part of an item begins.
    pub struct ResponseContentPartAdded = "response.content_part.added" {
        /// The response.
        pub response_id: String,
        /// The item.
        pub item_id: String,
        /// Position of the item in the response.
        pub output_index: u32,
        /// Position of the part in the item.
        pub content_index: u32,
        /// `text` or `audio`, still empty.
        pub part: ContentPart,
    }
}

server_event! {
    /// `response.content_part.done`: a part of an item has ended.
    pub struct ResponseContentPartDone = "response.content_part.done" {
        /// The response.
        pub response_id: String,
        /// The item.
        pub item_id: String,
        /// Position of the item in the response.
        pub output_index: u32,
        /// Position of the part in the item.
        pub content_index: u32,
        /// `text` or `audio`.
        pub part: ContentPart,
    }
}

server_event! {
    /// `response.output_text.delta`: more text.
    pub struct ResponseOutputTextDelta = "response.output_text.delta" {
        /// The response.
        pub response_id: String,
        /// The item.
        pub item_id: String,
        /// Position of the item in the response.
        pub output_index: u32,
        /// Position of the part in the item.
        pub content_index: u32,
        /// The text.
        pub delta: String,
        /// Random padding against traffic analysis.
        pub obfuscation: Maybe<String>,
    }
}

server_event! {
    /// `response.output_text.done`: all the text of a part.
    pub struct ResponseOutputTextDone = "response.output_text.done" {
        /// The response.
        pub response_id: String,
        /// The item.
        pub item_id: String,
        /// Position of the item in the response.
        pub output_index: u32,
        /// Position of the part in the item.
        pub content_index: u32,
        /// The text.
        pub text: String,
    }
}

server_event! {
    /// `response.output_audio_transcript.delta`: more of what is said.
    pub struct ResponseOutputAudioTranscriptDelta = "response.output_audio_transcript.delta" {
        /// The response.
        pub response_id: String,
        /// The item.
        pub item_id: String,
        /// Position of the item in the response.
        pub output_index: u32,
        /// Position of the part in the item.
        pub content_index: u32,
        /// The text.
        pub delta: String,
        /// Random padding against traffic analysis.
        pub obfuscation: Maybe<String>,
    }
}

server_event! {
    /// `response.output_audio_transcript.done`: all of what is said in a part.
    pub struct ResponseOutputAudioTranscriptDone = "response.output_audio_transcript.done" {
        /// The response.
        pub response_id: String,
        /// The item.
        pub item_id: String,
        /// Position of the item in the response.
        pub output_index: u32,
        /// Position of the part in the item.
        pub content_index: u32,
        /// The text.
        pub transcript: String,
    }
}

server_event! {
    /// `response.output_audio.delta`: more sound.
    pub struct ResponseOutputAudioDelta = "response.output_audio.delta" {
        /// The response.
        pub response_id: String,
        /// The item.
        pub item_id: String,
        /// Position of the item in the response.
        pub output_index: u32,
        /// Position of the part in the item.
        pub content_index: u32,
        /// In the response's output format.
        pub delta: Audio,
    }
}

server_event! {
    /// `response.output_audio.done`: all the sound of a part was sent.
    pub struct ResponseOutputAudioDone = "response.output_audio.done" {
        /// The response.
        pub response_id: String,
        /// The item.
        pub item_id: String,
        /// Position of the item in the response.
        pub output_index: u32,
        /// Position of the part in the item.
        pub content_index: u32,
    }
}

server_event! {
    /// `response.function_call_arguments.delta`: more of a function's arguments.
    pub struct ResponseFunctionCallArgumentsDelta = "response.function_call_arguments.delta" {
        /// The response.
        pub response_id: String,
        /// The item.
        pub item_id: String,
        /// Position of the item in the response.
        pub output_index: u32,
        /// The call.
        pub call_id: String,
        /// A piece of JSON text.
        pub delta: String,
        /// Random padding against traffic analysis.
        pub obfuscation: Maybe<String>,
    }
}

server_event! {
    /// `response.function_call_arguments.done`: all of a function's arguments.
    pub struct ResponseFunctionCallArgumentsDone = "response.function_call_arguments.done" {
        /// The response.
        pub response_id: String,
        /// The item.
        pub item_id: String,
        /// Position of the item in the response.
        pub output_index: u32,
        /// The call.
        pub call_id: String,
        /// The function; left out when empty, as the beta had it.
        pub name: String = String::new(),
        /// A JSON text.
        pub arguments: String,
    }
}
