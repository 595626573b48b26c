//! Why a frame is not an event.

use crate::error::{ErrorDetail, codes};
use crate::wire::{Maybe, peek, plain_message, trail};

/// Why a frame is not an event, in the terms of the protocol's `error` event.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    kind: ParseErrorKind,
    message: String,
    param: Option<String>,
    event_id: Option<String>,
}

/// The class of a [`ParseError`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// The frame is not JSON.
    InvalidJson,
    /// The frame is JSON but no event: not an object, or a member's name is broken.
    InvalidEvent,
    /// The event has no `type`.
    MissingType,
    /// A required member is missing.
    MissingParameter,
    /// A member has the wrong shape.
    InvalidValue,
}

impl ParseError {
    /// From what serde and the trail say about `frame`.
    pub(super) fn from_serde(frame: &str, error: &serde_json::Error) -> Self {
        let fault = trail::take();
        let event_id = event_id_of(frame);
        // A wrong value in front of a syntax error is reported first by serde; the syntax error is the one to report.
        if let Err(syntax) = serde_json::from_str::<serde::de::IgnoredAny>(frame) {
            return Self {
                kind: ParseErrorKind::InvalidJson,
                message: format!("The event is not valid JSON: {syntax}."),
                param: None,
                event_id,
            };
        }
        let reason = plain_message(error);
        let (kind, message) = match (fault.missing, fault.path.as_str()) {
            (true, path) => (
                ParseErrorKind::MissingParameter,
                format!("Missing required parameter: '{path}'."),
            ),
            (false, "") => (
                ParseErrorKind::InvalidEvent,
                format!("Invalid event: {reason}."),
            ),
            (false, path) => (
                ParseErrorKind::InvalidValue,
                match is_secret(path) {
                    true => format!("Invalid value for '{path}': {}.", without_value(&reason)),
                    false => format!("Invalid value for '{path}': {reason}."),
                },
            ),
        };
        let param = (!fault.path.is_empty()).then_some(fault.path);
        Self {
            kind,
            message,
            param,
            event_id,
        }
    }

    /// That the member `param` cannot be used, and why.
    pub(super) fn invalid_value(param: &str, reason: &str, event_id: Option<&str>) -> Self {
        Self {
            kind: ParseErrorKind::InvalidValue,
            message: format!("Invalid value for '{param}': {reason}."),
            param: Some(param.to_owned()),
            event_id: event_id.map(str::to_owned),
        }
    }

    /// That the event has no type.
    pub(super) fn missing_type(frame: &str) -> Self {
        Self {
            kind: ParseErrorKind::MissingType,
            message: "The 'type' field is missing.".to_owned(),
            param: None,
            event_id: event_id_of(frame),
        }
    }

    /// The class of the error.
    pub const fn kind(&self) -> ParseErrorKind {
        self.kind
    }

    /// The protocol's code for the error.
    pub const fn code(&self) -> &'static str {
        match self.kind {
            ParseErrorKind::InvalidJson => codes::INVALID_JSON,
            ParseErrorKind::InvalidEvent | ParseErrorKind::MissingType => codes::INVALID_EVENT,
            ParseErrorKind::InvalidValue => codes::INVALID_VALUE,
            ParseErrorKind::MissingParameter => codes::MISSING_REQUIRED_PARAMETER,
        }
    }

    /// The error in words.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Path to the member at fault, such as `session.tools[0].name`.
    pub fn param(&self) -> Option<&str> {
        self.param.as_deref()
    }

    /// The `event_id` of the frame, if it could be read.
    pub fn event_id(&self) -> Option<&str> {
        self.event_id.as_deref()
    }
}

/// Whether what is there opens somebody's server: it is not repeated in a message, which may be
/// logged.
fn is_secret(path: &str) -> bool {
    let mut names = path.split(['.', '[']);
    names.any(|name| matches!(name, "authorization" | "headers"))
}

/// What was expected; serde says what was found before that.
fn without_value(reason: &str) -> String {
    match reason.rsplit_once("expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => "it cannot be used".to_owned(),
    }
}

impl From<&ParseError> for ErrorDetail {
    /// What a server answers.
    fn from(error: &ParseError) -> Self {
        let mut detail = Self::invalid_request(error.code(), error.message())
            .with_event_id(error.event_id.clone());
        detail.param = Maybe::nullable(error.param.clone());
        detail
    }
}

/// The `event_id` of a frame, even if what follows it is broken.
pub(super) fn event_id_of(frame: &str) -> Option<String> {
    peek(frame, "event_id").ok().flatten().map(String::from)
}
