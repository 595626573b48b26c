//! From text to events.

use std::borrow::Cow;

use super::error::{ParseError, event_id_of};
use crate::event::UnknownEvent;
use crate::wire::{RawJson, peek, trail};
use crate::{ClientEvent, ServerEvent};

impl ClientEvent {
    /// Reads a frame.
    ///
    /// An unknown type is not an error here but [`ClientEvent::Unknown`]; a server answers it with the code
    /// `invalid_value`, param `type`, and the types it supports.
    ///
    /// # Errors
    ///
    /// When the frame is not JSON, has no `type`, or a member of the event is missing or of the wrong shape.
    pub fn parse(frame: &str) -> Result<Self, ParseError> {
        parse(frame, Self::from_kind)
    }
}

impl ServerEvent {
    /// Reads a frame. An unknown type gives [`ServerEvent::Unknown`].
    ///
    /// # Errors
    ///
    /// When the frame is not JSON, has no `type`, or a member of the event is missing or of the wrong shape.
    pub fn parse(frame: &str) -> Result<Self, ParseError> {
        parse(frame, Self::from_kind)
    }
}

/// Peeks at the type, then reads the event of that type from the same text.
pub(crate) fn parse<E: From<UnknownEvent>>(
    frame: &str,
    from_kind: impl FnOnce(&str, &str) -> Option<serde_json::Result<E>>,
) -> Result<E, ParseError> {
    trail::clear();
    let kind = kind_of(frame)?;
    from_kind(&kind, frame)
        .unwrap_or_else(|| {
            let raw = serde_json::from_str::<RawJson>(frame)?;
            Ok(UnknownEvent {
                kind: kind.into_owned(),
                event_id: event_id_of(frame),
                raw,
            }
            .into())
        })
        .map_err(|error| ParseError::from_serde(frame, &error))
}

/// The `type` of a frame.
fn kind_of(frame: &str) -> Result<Cow<'_, str>, ParseError> {
    match peek(frame, "type") {
        Ok(Some(kind)) => Ok(kind),
        Ok(None) => Err(ParseError::missing_type(frame)),
        Err(error) => {
            if frame.trim_start().starts_with('{') {
                trail::member("type");
            }
            Err(ParseError::from_serde(frame, &error))
        }
    }
}
