//! The way of sound through the codec: borrowed from the frame, decoded into the caller's memory.

use std::borrow::Cow;

use serde::Deserialize;

use super::error::ParseError;
use super::scan::{NotPlain, PlainMembers};
use crate::audio::{decode, decode_over};
use crate::client::InputAudioBufferAppend;
use crate::server::ResponseOutputAudioDelta;
use crate::wire::{Tagged, Text, peek};

/// An `input_audio_buffer.append` whose sound is still in the frame.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AppendRef<'a> {
    /// The client's id of the event.
    pub event_id: Option<Cow<'a, str>>,
    /// The sound, base64.
    pub base64: Cow<'a, str>,
}

impl<'a> AppendRef<'a> {
    /// Recognises an append. `None` means that the frame is another event or is malformed;
    /// [`ClientEvent::parse`](crate::ClientEvent::parse) says which.
    pub fn parse(frame: &'a str) -> Option<Self> {
        if let Ok(append) = Self::parse_plain(frame) {
            return append;
        }
        let append: AppendMembers<'a> = members(frame, InputAudioBufferAppend::KIND)?;
        Some(Self {
            event_id: append.event_id.map(|id| id.0),
            base64: append.audio.0,
        })
    }

    /// The short way for a frame as nearly all clients write it.
    fn parse_plain(frame: &'a str) -> Result<Option<Self>, NotPlain> {
        let mut members = PlainMembers::of(frame)?;
        let (mut kind, mut event_id, mut audio) = (None, None, None);
        while let Some((name, value)) = members.next()? {
            let slot = match name {
                "type" if value != InputAudioBufferAppend::KIND => return Ok(None),
                "type" => &mut kind,
                "event_id" => &mut event_id,
                "audio" => &mut audio,
                // What else there may be is for serde to check.
                _ => return Err(NotPlain),
            };
            // So are members that come twice.
            if slot.replace(value).is_some() {
                return Err(NotPlain);
            }
        }
        // Faults are for serde to find. So are control characters in an id; sound with one is not base64.
        let is_plain = |id: &str| !id.bytes().any(|byte| byte < b' ');
        match (kind, audio) {
            (Some(_), Some(audio)) if event_id.is_none_or(is_plain) => Ok(Some(Self {
                event_id: event_id.map(Cow::Borrowed),
                base64: Cow::Borrowed(audio),
            })),
            _ => Err(NotPlain),
        }
    }

    /// Appends the sound's bytes to `out` and returns how many there are. On error `out` is as before.
    ///
    /// # Errors
    ///
    /// When the text is not base64.
    pub fn decode_into(&self, out: &mut Vec<u8>) -> Result<usize, ParseError> {
        decode_into(&self.base64, "audio", self.event_id.as_deref(), out)
    }

    /// Puts the sound's bytes in the place of what `out` holds; on error `out` is empty. Into a buffer that is used
    /// again and again, each byte of sound is written once and nothing else is.
    ///
    /// # Errors
    ///
    /// When the text is not base64.
    pub fn decode_over(&self, out: &mut Vec<u8>) -> Result<(), ParseError> {
        decode_over(&self.base64, out).map_err(|error| {
            ParseError::invalid_value("audio", &error.to_string(), self.event_id.as_deref())
        })
    }
}

/// A `response.output_audio.delta` whose sound is still in the frame.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AudioDeltaRef<'a> {
    /// The event's id, empty when the server gave none.
    pub event_id: Cow<'a, str>,
    /// The response.
    pub response_id: Cow<'a, str>,
    /// The item.
    pub item_id: Cow<'a, str>,
    /// Position of the item in the response.
    pub output_index: u32,
    /// Position of the part in the item.
    pub content_index: u32,
    /// The sound, base64.
    pub base64: Cow<'a, str>,
}

impl<'a> AudioDeltaRef<'a> {
    /// Recognises a piece of sound. `None` means that the frame is another event or is malformed;
    /// [`ServerEvent::parse`](crate::ServerEvent::parse) says which.
    pub fn parse(frame: &'a str) -> Option<Self> {
        let delta: DeltaMembers<'a> = members(frame, ResponseOutputAudioDelta::KIND)?;
        Some(Self {
            event_id: delta.event_id.map(|id| id.0).unwrap_or_default(),
            response_id: delta.response_id.0,
            item_id: delta.item_id.0,
            output_index: delta.output_index,
            content_index: delta.content_index,
            base64: delta.delta.0,
        })
    }

    /// Appends the sound's bytes to `out` and returns how many there are. On error `out` is as before.
    ///
    /// # Errors
    ///
    /// When the text is not base64.
    pub fn decode_into(&self, out: &mut Vec<u8>) -> Result<usize, ParseError> {
        decode_into(&self.base64, "delta", Some(&self.event_id), out)
    }
}

#[derive(Deserialize)]
struct AppendMembers<'a> {
    #[serde(borrow, default)]
    event_id: Option<Text<'a>>,
    #[serde(borrow)]
    audio: Text<'a>,
}

#[derive(Deserialize)]
struct DeltaMembers<'a> {
    #[serde(borrow, default)]
    event_id: Option<Text<'a>>,
    #[serde(borrow)]
    response_id: Text<'a>,
    #[serde(borrow)]
    item_id: Text<'a>,
    output_index: u32,
    content_index: u32,
    #[serde(borrow)]
    delta: Text<'a>,
}

fn members<'a, T: Deserialize<'a>>(frame: &'a str, kind: &str) -> Option<T> {
    let found = peek(frame, "type").ok().flatten()?;
    (found == kind)
        .then(|| serde_json::from_str(frame).ok())
        .flatten()
}

fn decode_into(
    base64: &str,
    param: &str,
    event_id: Option<&str>,
    out: &mut Vec<u8>,
) -> Result<usize, ParseError> {
    let start = out.len();
    decode(base64, out)
        .map_err(|error| ParseError::invalid_value(param, &error.to_string(), event_id))?;
    Ok(out.len() - start)
}
