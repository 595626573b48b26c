//! Events from the client to the server.

use crate::audio::Audio;
use crate::event::{client_event, events};
use crate::item::Item;
use crate::response::ResponseParams;
use crate::session::Session;
use crate::wire::Maybe;

events! {
    /// An event from the client to the server.
    pub enum ClientEvent {
        SessionUpdate,
        InputAudioBufferAppend,
        InputAudioBufferCommit,
        InputAudioBufferClear,
        ConversationItemCreate,
        ConversationItemRetrieve,
        ConversationItemTruncate,
        ConversationItemDelete,
        ResponseCreate,
        ResponseCancel,
        OutputAudioBufferClear,
    }
}

client_event! {
    /// `session.update`: changes the configuration of the session.
    pub struct SessionUpdate = "session.update" {
        /// What changes; keys that are absent stay as they are.
        pub session: Session,
    }
}

client_event! {
    /// `input_audio_buffer.append`: appends sound to the input buffer. The server does not answer.
    pub struct InputAudioBufferAppend = "input_audio_buffer.append" {
        /// In the session's input format, at most 15 MiB.
        pub audio: Audio,
    }
}

client_event! {
    /// `input_audio_buffer.commit`: makes an item of the input buffer, at least 100 ms of it. Does not ask for a response.
    pub struct InputAudioBufferCommit = "input_audio_buffer.commit" {
    }
}

client_event! {
    /// `input_audio_buffer.clear`: drops what the input buffer holds.
    pub struct InputAudioBufferClear = "input_audio_buffer.clear" {
    }
}

client_event! {
    /// `conversation.item.create`: adds an item to the conversation. Does not ask for a response.
    pub struct ConversationItemCreate = "conversation.item.create" {
        /// The item to put it after, or `root` to put it first; absent to put it last.
        pub previous_item_id: Maybe<String>,
        /// The item.
        pub item: Item,
    }
}

client_event! {
    /// `conversation.item.retrieve`: asks for an item with its sound.
    pub struct ConversationItemRetrieve = "conversation.item.retrieve" {
        /// The item.
        pub item_id: String,
    }
}

client_event! {
    /// `conversation.item.truncate`: cuts an item of the assistant down to what was heard.
    pub struct ConversationItemTruncate = "conversation.item.truncate" {
        /// The item.
        pub item_id: String,
        /// The part of its content; 0.
        pub content_index: u32,
        /// How much of its sound was played, in ms.
        pub audio_end_ms: u64,
    }
}

client_event! {
    /// `conversation.item.delete`: removes an item.
    pub struct ConversationItemDelete = "conversation.item.delete" {
        /// The item.
        pub item_id: String,
    }
}

client_event! {
    /// `response.create`: asks for a response.
    pub struct ResponseCreate = "response.create" {
        /// What is to differ from the session.
        pub response: Maybe<Box<ResponseParams>>,
    }
}

client_event! {
    /// `response.cancel`: stops a response.
    pub struct ResponseCancel = "response.cancel" {
        /// The response; absent for the running one of the default conversation.
        pub response_id: Maybe<String>,
    }
}

client_event! {
    /// `output_audio_buffer.clear`: stops playback. Only over WebRTC and SIP.
    pub struct OutputAudioBufferClear = "output_audio_buffer.clear" {
    }
}
