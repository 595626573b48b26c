//! The published examples of every event parse into its type and come back as they were.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use kaiwa_protocol::{ClientEvent, RealtimeSession, ServerEvent, TranscriptionSession, Wire};
use serde_json::Value;

use common::protocol_file;

/// Places where an example is not what the wire carries, with what stands in for it.
///
/// The examples write prose or an ellipsis where base64 belongs, and one type begins with a space.
const REPAIRS: &[(&str, &str)] = &[
    ("Base64EncodedAudioData", "QmFzZTY0"),
    ("Base64EncodedAudioDelta", "QmFzZTY0"),
    ("8//2//v/9//q/+//+P/s...", "8//2//v/9//q/+//+P/s"),
    (
        " input_audio_buffer.dtmf_event_received",
        "input_audio_buffer.dtmf_event_received",
    ),
];

#[test]
fn client_events_come_back() {
    let Some(examples) = protocol_file("realtime-examples.json") else {
        return;
    };
    let mut seen = Vec::new();
    for example in group(&examples, "ga_client") {
        let event = ClientEvent::parse(&example.to_string()).unwrap();
        assert!(!matches!(event, ClientEvent::Unknown(_)), "{example}");
        assert_eq!(
            serde_json::from_str::<Value>(&event.to_json()).unwrap(),
            example
        );
        seen.push(event.kind().to_owned());
    }
    assert_covers(&seen, ClientEvent::KNOWN);
}

#[test]
fn server_events_come_back() {
    let Some(examples) = protocol_file("realtime-examples.json") else {
        return;
    };
    let mut seen = Vec::new();
    for example in group(&examples, "ga_server") {
        let event = ServerEvent::parse(&example.to_string()).unwrap();
        assert!(!matches!(event, ServerEvent::Unknown(_)), "{example}");
        assert_eq!(
            serde_json::from_str::<Value>(&event.to_json()).unwrap(),
            example
        );
        seen.push(event.kind().to_owned());
    }
    assert_covers(&seen, ServerEvent::KNOWN);
}

#[test]
fn sessions_come_back() {
    let Some(examples) = protocol_file("realtime-examples.json") else {
        return;
    };
    let object = |name: &str| examples["objects"][name].clone();
    comes_back::<RealtimeSession>(&object("RealtimeCreateClientSecretResponse")["session"]);
    // The spec's session object lacks its `type`.
    let mut session = object("RealtimeSessionCreateResponse");
    session["type"] = "realtime".into();
    comes_back::<RealtimeSession>(&session);
    comes_back::<TranscriptionSession>(&object("RealtimeTranscriptionSessionCreateResponseGA"));
}

fn comes_back<T: Wire + serde::de::DeserializeOwned>(example: &Value) {
    let session: T = serde_json::from_str(&example.to_string()).unwrap();
    assert_eq!(serde_json::to_value(&session).unwrap(), *example);
}

/// The events of a group; an entry may hold several.
fn group(examples: &Value, name: &str) -> Vec<Value> {
    let mut text = examples[name].to_string();
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

fn assert_covers(seen: &[String], known: &[&str]) {
    for kind in known {
        assert!(seen.iter().any(|seen| seen == kind), "no example of {kind}");
    }
}
