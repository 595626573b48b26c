//! From events to text.

use serde::Serialize;

use crate::audio::encode;
use crate::client::InputAudioBufferAppend;
use crate::server::ResponseOutputAudioDelta;
use crate::wire::{Extra, Tagged};
use crate::{ClientEvent, ServerEvent};

impl ClientEvent {
    /// Writes the event as a frame into `frame`, replacing what it holds and reusing its memory.
    ///
    /// Sound is encoded straight into the frame.
    pub fn write(&self, frame: &mut Vec<u8>) {
        frame.clear();
        match self {
            Self::InputAudioBufferAppend(event) => {
                append(frame, event.event_id.as_deref(), &event.audio, &event.extra);
            }
            _ => json(frame, self),
        }
    }

    /// The event as a frame of its own.
    pub fn to_json(&self) -> String {
        let mut frame = Vec::new();
        self.write(&mut frame);
        into_text(frame)
    }
}

impl ServerEvent {
    /// Writes the event as a frame into `frame`, replacing what it holds and reusing its memory.
    ///
    /// Sound is encoded straight into the frame.
    pub fn write(&self, frame: &mut Vec<u8>) {
        frame.clear();
        match self {
            Self::ResponseOutputAudioDelta(event) => {
                write_delta(frame, ResponseOutputAudioDelta::KIND, event);
            }
            _ => json(frame, self),
        }
    }

    /// The event as a frame of its own.
    pub fn to_json(&self) -> String {
        let mut frame = Vec::new();
        self.write(&mut frame);
        into_text(frame)
    }
}

/// Where a piece of sound belongs: the members of `response.output_audio.delta` but for the sound.
#[derive(Clone, Copy, Debug)]
pub struct AudioPlace<'a> {
    /// The event's id.
    pub event_id: &'a str,
    /// The response.
    pub response_id: &'a str,
    /// The item.
    pub item_id: &'a str,
    /// Position of the item in the response.
    pub output_index: u32,
    /// Position of the part in the item.
    pub content_index: u32,
}

/// Writes an `input_audio_buffer.append` of `audio` into `frame`, replacing what it holds, without building the event.
pub fn write_append(frame: &mut Vec<u8>, event_id: Option<&str>, audio: &[u8]) {
    frame.clear();
    append(frame, event_id, audio, &Extra::default());
}

/// Writes a `response.output_audio.delta` of `audio` into `frame`, replacing what it holds, without building the event.
pub fn write_audio_delta(frame: &mut Vec<u8>, place: &AudioPlace<'_>, audio: &[u8]) {
    frame.clear();
    audio_delta(
        frame,
        ResponseOutputAudioDelta::KIND,
        place,
        audio,
        &Extra::default(),
    );
}

/// Writes an event of sound as a frame into the empty `frame`, under the name that the dialect has for it.
pub(crate) fn write_delta(frame: &mut Vec<u8>, kind: &str, event: &ResponseOutputAudioDelta) {
    let place = AudioPlace {
        event_id: &event.event_id,
        response_id: &event.response_id,
        item_id: &event.item_id,
        output_index: event.output_index,
        content_index: event.content_index,
    };
    audio_delta(frame, kind, &place, &event.delta, &event.extra);
}

fn append(frame: &mut Vec<u8>, event_id: Option<&str>, audio: &[u8], extra: &Extra) {
    frame.extend_from_slice(b"{\"type\":");
    json(frame, InputAudioBufferAppend::KIND);
    if let Some(event_id) = event_id {
        member(frame, "event_id", event_id);
    }
    sound(frame, "audio", audio);
    close(frame, extra);
}

fn audio_delta(
    frame: &mut Vec<u8>,
    kind: &str,
    place: &AudioPlace<'_>,
    audio: &[u8],
    extra: &Extra,
) {
    frame.extend_from_slice(b"{\"type\":");
    json(frame, kind);
    if !place.event_id.is_empty() {
        member(frame, "event_id", place.event_id);
    }
    member(frame, "response_id", place.response_id);
    member(frame, "item_id", place.item_id);
    member(frame, "output_index", &place.output_index);
    member(frame, "content_index", &place.content_index);
    sound(frame, "delta", audio);
    close(frame, extra);
}

fn sound(frame: &mut Vec<u8>, name: &str, audio: &[u8]) {
    frame.push(b',');
    json(frame, name);
    frame.extend_from_slice(b":\"");
    encode(audio, frame);
    frame.push(b'"');
}

fn close(frame: &mut Vec<u8>, extra: &Extra) {
    for (name, value) in extra.iter() {
        member(frame, name, value);
    }
    frame.push(b'}');
}

fn member<T: Serialize + ?Sized>(frame: &mut Vec<u8>, name: &str, value: &T) {
    frame.push(b',');
    json(frame, name);
    frame.push(b':');
    json(frame, value);
}

/// Appends `value` as JSON.
pub(crate) fn json<T: Serialize + ?Sized>(frame: &mut Vec<u8>, value: &T) {
    let written = serde_json::to_writer(frame, value);
    // Writing to memory cannot fail, and the types of this crate have string keys only.
    debug_assert!(written.is_ok(), "{written:?}");
}

fn into_text(frame: Vec<u8>) -> String {
    // A frame is JSON, which is UTF-8.
    String::from_utf8(frame).unwrap_or_default()
}
