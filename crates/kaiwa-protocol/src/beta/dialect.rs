//! Which dialect a connection speaks.

use std::fmt;

use crate::server::{CONVERSATION_OBJECT, Conversation, ConversationCreated, ServerEvent};
use crate::wire::Maybe;

/// The handshake's header that asks for the beta dialect, when it contains [`BETA_HEADER_VALUE`].
pub const BETA_HEADER: &str = "OpenAI-Beta";
/// What [`BETA_HEADER`] contains to ask for the beta dialect.
pub const BETA_HEADER_VALUE: &str = "realtime=v1";
/// The subprotocol that asks for the beta dialect where headers cannot be set.
pub const BETA_SUBPROTOCOL: &str = "openai-beta.realtime-v1";

/// Which dialect a connection speaks.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Dialect {
    /// As of 2025, without `OpenAI-Beta`.
    #[default]
    Ga,
    /// As of 2024.
    Beta,
}

impl Dialect {
    /// The dialect that a handshake asks for, by the values of its [`BETA_HEADER`] headers and the subprotocols offered.
    pub fn requested<'a>(
        beta_headers: impl IntoIterator<Item = &'a str>,
        subprotocols: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let by_header = beta_headers
            .into_iter()
            .any(|value| value.contains(BETA_HEADER_VALUE));
        let by_subprotocol = || {
            subprotocols
                .into_iter()
                .any(|offered| offered.trim() == BETA_SUBPROTOCOL)
        };
        if by_header || by_subprotocol() {
            Self::Beta
        } else {
            Self::Ga
        }
    }

    /// The event that announces the default conversation right after `session.created`; `None` where the dialect has
    /// none.
    pub fn conversation_created(self, conversation_id: &str) -> Option<ServerEvent> {
        match self {
            Self::Ga => None,
            Self::Beta => Some(
                ConversationCreated {
                    conversation: Conversation {
                        id: conversation_id.into(),
                        object: Maybe::from(CONVERSATION_OBJECT),
                        ..Conversation::default()
                    },
                    ..ConversationCreated::default()
                }
                .into(),
            ),
        }
    }

    /// The dialect's name: `ga` or `beta`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ga => "ga",
            Self::Beta => "beta",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
