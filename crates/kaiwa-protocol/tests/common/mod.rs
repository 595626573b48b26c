//! Where the tests find the protocol's examples and schemas.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests speak and panic"
)]

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Reads a file of the protocol folder: `KAIWA_PROTOCOL_DIR`, by default `shared/protocol` beside the workspace.
/// `None`, with a word about it, when there is no such folder.
pub(crate) fn protocol_file(name: &str) -> Option<Value> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/protocol");
    let folder = std::env::var_os("KAIWA_PROTOCOL_DIR").map_or_else(beside, PathBuf::from);
    if !folder.is_dir() {
        println!("skipped: no protocol data");
        return None;
    }
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    Some(serde_json::from_str(&text).unwrap())
}

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
