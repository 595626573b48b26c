//! The work that is measured: reading an `append` of 100 ms of PCM and writing an audio delta of the same length, the way
//! of this crate and the naive way.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kaiwa_protocol::{AppendRef, AudioPlace, write_audio_delta};
use serde_json::{Value, json};

/// 100 ms of PCM at 24 000 Hz, in bytes.
pub(crate) const AUDIO_BYTES: usize = 4_800;

/// 100 ms of something that is not silence.
pub(crate) fn audio() -> Vec<u8> {
    (0..AUDIO_BYTES as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

/// The frame that carries [`audio`] to a server.
pub(crate) fn append_frame() -> String {
    let audio = STANDARD.encode(audio());
    format!(r#"{{"type":"input_audio_buffer.append","audio":"{audio}"}}"#)
}

/// Reads an append into reused memory; gives the number of bytes.
pub(crate) fn parse_append(frame: &str, audio: &mut Vec<u8>) -> usize {
    let decoded = AppendRef::parse(frame).and_then(|append| append.decode_over(audio).ok());
    decoded.map_or(0, |()| audio.len())
}

/// Reads an append by way of a `Value`; gives the number of bytes.
pub(crate) fn parse_append_naively(frame: &str) -> usize {
    let Ok(event) = serde_json::from_str::<Value>(frame) else {
        return 0;
    };
    if event["type"] != "input_audio_buffer.append" {
        return 0;
    }
    let audio = event["audio"].as_str().unwrap_or_default();
    STANDARD.decode(audio).unwrap_or_default().len()
}

/// Writes a delta into reused memory; gives the frame's length.
pub(crate) fn write_delta(audio: &[u8], frame: &mut Vec<u8>) -> usize {
    let place = AudioPlace {
        event_id: "event_4zHTRzPpMzHjH4V2cEWTz",
        response_id: "resp_C9G8p7IH2WxLbkgPNouYL",
        item_id: "item_CCXHwGjjDUfOXbiySlK7i",
        output_index: 0,
        content_index: 0,
    };
    write_audio_delta(frame, &place, audio);
    frame.len()
}

/// Writes a delta by way of a `Value`; gives the frame's length.
pub(crate) fn write_delta_naively(audio: &[u8]) -> usize {
    let event = json!({
        "type": "response.output_audio.delta",
        "event_id": "event_4zHTRzPpMzHjH4V2cEWTz",
        "response_id": "resp_C9G8p7IH2WxLbkgPNouYL",
        "item_id": "item_CCXHwGjjDUfOXbiySlK7i",
        "output_index": 0,
        "content_index": 0,
        "delta": STANDARD.encode(audio),
    });
    event.to_string().len()
}
