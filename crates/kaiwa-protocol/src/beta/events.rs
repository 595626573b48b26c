//! The events whose content has a shape of its own in the beta.

use super::response::{FlatResponse, FlatResponseParams};
use super::session::{FlatSession, FlatTranscriptionSession};
use crate::event::{client_event, server_event};
use crate::wire::Maybe;

client_event! {
    /// `session.update`: changes the configuration of the session.
    pub struct SessionUpdate = "session.update" {
        /// What changes; keys that are absent stay as they are.
        pub session: FlatSession,
    }
}

client_event! {
    /// `transcription_session.update`: changes the configuration of a transcription session.
    pub struct TranscriptionSessionUpdate = "transcription_session.update" {
        /// What changes; keys that are absent stay as they are.
        pub session: FlatTranscriptionSession,
    }
}

client_event! {
    /// `response.create`: asks for a response.
    pub struct ResponseCreate = "response.create" {
        /// What is to differ from the session.
        pub response: Maybe<Box<FlatResponseParams>>,
    }
}

server_event! {
    /// `session.created`: the first event of a connection.
    pub struct SessionCreated = "session.created" {
        /// The configuration in effect.
        pub session: FlatSession,
    }
}

server_event! {
    /// `session.updated`: the answer to `session.update`.
    pub struct SessionUpdated = "session.updated" {
        /// The whole configuration in effect.
        pub session: FlatSession,
    }
}

server_event! {
    /// `transcription_session.created`: the first event of a connection for transcription.
    pub struct TranscriptionSessionCreated = "transcription_session.created" {
        /// The configuration in effect.
        pub session: FlatTranscriptionSession,
    }
}

server_event! {
    /// `transcription_session.updated`: the answer to `transcription_session.update`.
    pub struct TranscriptionSessionUpdated = "transcription_session.updated" {
        /// The whole configuration in effect.
        pub session: FlatTranscriptionSession,
    }
}

server_event! {
    /// `response.created`: a response begins.
    pub struct ResponseCreated = "response.created" {
        /// The response, without items.
        pub response: Box<FlatResponse>,
    }
}

server_event! {
    /// `response.done`: a response has ended.
    pub struct ResponseDone = "response.done" {
        /// The response with its items, without their sound.
        pub response: Box<FlatResponse>,
    }
}
