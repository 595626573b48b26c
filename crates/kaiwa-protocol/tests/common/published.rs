//! The published examples, as the wire would carry them.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use serde_json::Value;

/// Places where an example is not what the wire carries, with what stands in for it.
///
/// The examples write prose or an ellipsis where base64 belongs, and one type begins with a space.
const REPAIRS: &[(&str, &str)] = &[
    ("Base64EncodedAudioData", "QmFzZTY0"),
    ("Base64EncodedAudioDelta", "QmFzZTY0"),
    ("base64encodedaudio==", "QmFzZTY0"),
    ("8//2//v/9//q/+//+P/s...", "8//2//v/9//q/+//+P/s"),
    (
        " input_audio_buffer.dtmf_event_received",
        "input_audio_buffer.dtmf_event_received",
    ),
];

/// The events of a group of examples; an entry may hold several.
pub(crate) fn events(examples: &Value, group: &str) -> Vec<Value> {
    let mut text = examples[group].to_string();
    for (defect, repair) in REPAIRS {
        text = text.replace(&format!("\"{defect}\""), &format!("\"{repair}\""));
    }
    let group: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
    let several = |entry| match entry {
        Value::Array(events) => events,
        event => vec![event],
    };
    group
        .into_iter()
        .flat_map(|(_, entry)| several(entry))
        .collect()
}
