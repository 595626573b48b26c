use std::io;

use kaiwa_protocol::Dialect;
use tokio_tungstenite::tungstenite;
use tungstenite::error::ProtocolError;
use tungstenite::http::{Response, StatusCode};

use crate::endpoint::{Endpoint, Target};

/// Why there is no connection, or none any more; each message says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// More was sent than the server takes.
    #[error("the server has stopped reading: {0} bytes wait to be sent")]
    Backlog(usize),
    /// The handshake took too long.
    #[error("{host} did not answer within {seconds} s; check the address and the network")]
    HandshakeTimeout {
        /// Host and port.
        host: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The server refused for a reason of its own.
    #[error("the server refused the connection with HTTP {status}{}", reason(.message))]
    Http {
        /// The status.
        status: u16,
        /// What the server said about it, perhaps nothing.
        message: String,
    },
    /// A header of the endpoint that HTTP does not allow.
    #[error("the header {name} cannot be sent: {reason}")]
    InvalidHeader {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The address makes no sense.
    #[error("{url:?} is not a server's address: {reason}")]
    InvalidUrl {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The connection broke.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// The address has no Realtime endpoint.
    #[error(
        "there is no Realtime endpoint at {uri} (HTTP 404){}; check the path and the model's name",
        reason(.message)
    )]
    NotFound {
        /// What was asked for.
        uri: String,
        /// What the server said about it, perhaps nothing.
        message: String,
    },
    /// The server's dialect has no word for an event.
    #[error("{kind} cannot be said in the {dialect} dialect")]
    NotInDialect {
        /// The event.
        kind: String,
        /// The dialect.
        dialect: Dialect,
    },
    /// Something answered that does not speak WebSocket.
    #[error(
        "{uri} answered, but not as a WebSocket ({detail}); check the address, the port and ws:// or wss://"
    )]
    NotWebSocket {
        /// What was asked for.
        uri: String,
        /// What was wrong with the answer.
        detail: String,
    },
    /// Too many requests, or no credit left.
    #[error(
        "the server takes no more sessions for this key (HTTP 429){}; wait, or check the plan and its limits",
        reason(.message)
    )]
    RateLimited {
        /// What the server said about it, perhaps nothing.
        message: String,
    },
    /// No encrypted connection.
    #[error(
        "no secure connection to {host}: {source}; check the address, or use ws:// for a local server without TLS"
    )]
    Tls {
        /// Host and port.
        host: String,
        /// What went wrong.
        source: io::Error,
    },
    /// The key is missing or wrong.
    #[error("the server refused {} (HTTP {status}){}; {}", key_name(.key_env, .had_key), reason(.message), key_hint(.key_env))]
    Unauthorized {
        /// 401 or 403.
        status: u16,
        /// The environment variable the key came from.
        key_env: Option<String>,
        /// Whether a key was sent.
        had_key: bool,
        /// What the server said about it, perhaps nothing.
        message: String,
    },
    /// Nobody is there.
    #[error("cannot reach {host}: {source}; check the address and the network{}", local_hint(.host))]
    Unreachable {
        /// Host and port.
        host: String,
        /// What went wrong.
        source: io::Error,
    },
}

impl LinkError {
    /// What a caller may want to tell apart.
    #[must_use]
    pub fn kind(&self) -> LinkErrorKind {
        match self {
            Self::InvalidHeader { .. } | Self::InvalidUrl { .. } | Self::NotInDialect { .. } => {
                LinkErrorKind::Address
            }
            Self::Unauthorized { .. } => LinkErrorKind::Key,
            Self::Http { .. } | Self::NotFound { .. } | Self::RateLimited { .. } => {
                LinkErrorKind::Refused
            }
            Self::HandshakeTimeout { .. }
            | Self::NotWebSocket { .. }
            | Self::Tls { .. }
            | Self::Unreachable { .. } => LinkErrorKind::Unreachable,
            Self::Backlog(_) | Self::Lost(_) => LinkErrorKind::Lost,
        }
    }

    /// Whether the server refused because the beta dialect was not asked for.
    pub(super) fn demands_beta(&self) -> bool {
        let message = match self {
            Self::Http { status, message } if (400..500).contains(status) => message,
            Self::NotFound { message, .. } => message,
            // A key that is wrong (401) stays wrong in any dialect.
            Self::Unauthorized {
                status: 403,
                message,
                ..
            } => message,
            _ => return false,
        };
        message.to_ascii_lowercase().contains("openai-beta")
    }

    /// What a failed handshake with `endpoint` means.
    pub(super) fn from_handshake(
        error: tungstenite::Error,
        endpoint: &Endpoint,
        target: &Target,
    ) -> Self {
        let host = format!("{}:{}", target.host, target.port);
        match error {
            tungstenite::Error::Http(response) => Self::from_response(&response, endpoint, target),
            tungstenite::Error::Io(source) if is_tls(&source) => Self::Tls { host, source },
            tungstenite::Error::Tls(error) => Self::Tls {
                host,
                source: io::Error::other(error.to_string()),
            },
            tungstenite::Error::Protocol(ProtocolError::HandshakeIncomplete) => {
                Self::NotWebSocket {
                    uri: target.uri.clone(),
                    detail: "it closed the connection".to_owned(),
                }
            }
            tungstenite::Error::Io(source) => Self::Unreachable { host, source },
            other => Self::NotWebSocket {
                uri: target.uri.clone(),
                detail: other.to_string(),
            },
        }
    }

    fn from_response(
        response: &Response<Option<Vec<u8>>>,
        endpoint: &Endpoint,
        target: &Target,
    ) -> Self {
        let status = response.status();
        let message = response.body().as_deref().map(said).unwrap_or_default();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Unauthorized {
                status: status.as_u16(),
                key_env: endpoint.key_env.clone(),
                had_key: endpoint.key.is_some(),
                message,
            },
            StatusCode::NOT_FOUND => Self::NotFound {
                uri: target.uri.clone(),
                message,
            },
            StatusCode::TOO_MANY_REQUESTS => Self::RateLimited { message },
            status if status.is_success() || status.is_redirection() => Self::NotWebSocket {
                uri: target.uri.clone(),
                detail: format!("HTTP {}", status.as_u16()),
            },
            status => Self::Http {
                status: status.as_u16(),
                message,
            },
        }
    }
}

/// The classes of [`LinkError`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LinkErrorKind {
    /// The address, a header or an event is not one that can be sent; nothing was tried.
    Address,
    /// The key is missing or wrong.
    Key,
    /// A connection existed and ended.
    Lost,
    /// The server is there and says no.
    Refused,
    /// No server, or none that speaks this protocol.
    Unreachable,
}

/// What the body of a refusal says, in one line of bearable length.
fn said(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Body {
        error: Inner,
    }
    #[derive(serde::Deserialize)]
    struct Inner {
        message: String,
    }
    let text = match serde_json::from_slice::<Body>(body) {
        Ok(body) => body.error.message,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let line = text
        .trim()
        .lines()
        .next()
        .unwrap_or_default()
        .trim_end_matches('.');
    if line.starts_with('<') {
        // A page for browsers says nothing here.
        return String::new();
    }
    line.chars().take(200).collect()
}

fn is_tls(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.downcast_ref::<rustls::Error>().is_some())
}

fn reason(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    }
}

fn key_name(key_env: &Option<String>, had_key: &bool) -> String {
    match (had_key, key_env) {
        (true, Some(env)) => format!("the key in {env}"),
        (true, None) => "the key".to_owned(),
        (false, _) => "a connection without a key".to_owned(),
    }
}

fn key_hint(key_env: &Option<String>) -> String {
    match key_env {
        Some(env) => format!("set {env} to a valid key of this server"),
        None => "give a valid key of this server".to_owned(),
    }
}

fn local_hint(host: &str) -> &'static str {
    if host.starts_with("127.") || host.starts_with("localhost:") || host.starts_with("::1:") {
        ", and whether the server is running"
    } else {
        ""
    }
}
