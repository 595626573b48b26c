//! The published examples of every event parse into its type and come back as they were.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;
#[path = "common/published.rs"]
mod published;

use kaiwa_protocol::{ClientEvent, RealtimeSession, ServerEvent, TranscriptionSession, Wire};
use serde_json::Value;

use common::protocol_file;
use published::events;

#[test]
fn client_events_come_back() {
    let Some(examples) = protocol_file("realtime-examples.json") else {
        return;
    };
    let mut seen = Vec::new();
    for example in events(&examples, "ga_client") {
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
    for example in events(&examples, "ga_server") {
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

fn assert_covers(seen: &[String], known: &[&str]) {
    for kind in known {
        assert!(seen.iter().any(|seen| seen == kind), "no example of {kind}");
    }
}
