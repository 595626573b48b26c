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
        match self {
            Self::InputAudioBufferAppend(event) => {
                append(frame, event.event_id.as_deref(), &event.audio, &event.extra);
            }
            _ => replace(frame, self),
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
        match self {
            Self::ResponseOutputAudioDelta(event) => {
                write_delta(frame, ResponseOutputAudioDelta::KIND, event);
            }
            _ => replace(frame, self),
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
    append(frame, event_id, audio, &Extra::default());
}

/// Writes a `response.output_audio.delta` of `audio` into `frame`, replacing what it holds, without building the event.
pub fn write_audio_delta(frame: &mut Vec<u8>, place: &AudioPlace<'_>, audio: &[u8]) {
    audio_delta(
        frame,
        ResponseOutputAudioDelta::KIND,
        place,
        audio,
        &Extra::default(),
    );
}

/// Writes an event of sound as a frame into `frame`, replacing what it holds, under the name that the dialect has for it.
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
    let mut over = Over::new(frame, InputAudioBufferAppend::KIND);
    if let Some(event_id) = event_id {
        over.member("event_id", event_id);
    }
    over.sound("audio", audio);
    over.close(extra);
}

fn audio_delta(
    frame: &mut Vec<u8>,
    kind: &str,
    place: &AudioPlace<'_>,
    audio: &[u8],
    extra: &Extra,
) {
    let mut over = Over::new(frame, kind);
    if !place.event_id.is_empty() {
        over.member("event_id", place.event_id);
    }
    over.member("response_id", place.response_id);
    over.member("item_id", place.item_id);
    over.member("output_index", &place.output_index);
    over.member("content_index", &place.content_index);
    over.sound("delta", audio);
    over.close(extra);
}

/// Writes an event over an earlier frame. A frame that was cleared first would have its whole length filled before the
/// sound is encoded into it.
struct Over<'a> {
    frame: &'a mut Vec<u8>,
    /// How much of the frame is written; what follows is of the earlier one.
    at: usize,
}

impl<'a> Over<'a> {
    fn new(frame: &'a mut Vec<u8>, kind: &str) -> Self {
        let mut over = Self { frame, at: 0 };
        over.bytes(b"{\"type\":");
        over.json(kind);
        over
    }

    fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.bytes(b",");
        self.json(name);
        self.bytes(b":");
        self.json(value);
    }

    fn sound(&mut self, name: &str, audio: &[u8]) {
        self.bytes(b",");
        self.json(name);
        self.bytes(b":\"");
        self.at = encode(audio, self.frame, self.at);
        self.bytes(b"\"");
    }

    fn close(mut self, extra: &Extra) {
        for (name, value) in extra.iter() {
            self.member(name, value);
        }
        self.bytes(b"}");
        self.frame.truncate(self.at);
    }

    fn json<T: Serialize + ?Sized>(&mut self, value: &T) {
        let written = serde_json::to_writer(self, value);
        debug_assert!(written.is_ok(), "{written:?}");
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        if self.frame.len() < end {
            self.frame.resize(end, 0);
        }
        self.frame[self.at..end].copy_from_slice(bytes);
        self.at = end;
    }
}

impl std::io::Write for &mut Over<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes `value` as JSON, replacing what `frame` holds.
fn replace<T: Serialize + ?Sized>(frame: &mut Vec<u8>, value: &T) {
    frame.clear();
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
