//! Events about the session as a whole.

use crate::error::ErrorDetail;
use crate::event::server_event;
use crate::session::Session;
use crate::wire::{Maybe, Number, object};

server_event! {
    /// `session.created`: the first event of a connection.
    pub struct SessionCreated = "session.created" {
        /// The configuration in effect.
        pub session: Session,
    }
}

server_event! {
    /// `session.updated`: the answer to `session.update`.
    pub struct SessionUpdated = "session.updated" {
        /// The whole configuration in effect.
        pub session: Session,
    }
}

server_event! {
    /// `error`: a mistake of the client or a fault of the server. The session usually goes on.
    pub struct Error = "error" {
        /// What happened.
        pub error: ErrorDetail,
    }
}

server_event! {
    /// `rate_limits.updated`: how much may still be used; once per response.
    pub struct RateLimitsUpdated = "rate_limits.updated" {
        /// The limits; may be empty.
        pub rate_limits: Vec<RateLimit>,
    }
}

server_event! {
    /// `conversation.created`: the default conversation exists. Only in the beta of 2024.
    pub struct ConversationCreated = "conversation.created" {
        /// The conversation.
        pub conversation: Conversation,
    }
}

object! {
    /// How much of something may still be used.
    pub struct RateLimit {
        /// `requests` or `tokens`.
        pub name: Maybe<String>,
        /// How much may be used in a period.
        pub limit: Maybe<u64>,
        /// How much is left.
        pub remaining: Maybe<u64>,
        /// When it is whole again, in s from now.
        pub reset_seconds: Maybe<Number>,
    }
}

/// The value of a conversation's `object` member.
pub const CONVERSATION_OBJECT: &str = "realtime.conversation";

object! {
    /// A conversation.
    pub struct Conversation {
        /// `conv_` and more.
        pub id: Maybe<String>,
        /// [`CONVERSATION_OBJECT`].
        pub object: Maybe<String>,
    }
}
