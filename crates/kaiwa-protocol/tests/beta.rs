//! The beta dialect: its published examples are understood and given back, and what a GA session says is written so that
//! the beta's own schemas accept it.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;
#[path = "common/published.rs"]
mod published;

use std::collections::BTreeSet;

use jsonschema::Validator;
use kaiwa_protocol::{ClientEvent, Dialect, ServerEvent};
use serde_json::{Value, json};

use common::protocol_file;

const VERSIONS: [&str; 2] = ["2024-11", "2025-04"];

/// Events of GA that the beta of 2025-04 had no schema for yet, or has none at all.
const WITHOUT_SCHEMA: &[&str] = &[
    // Of the beta's last months.
    "conversation.item.input_audio_transcription.segment",
    "input_audio_buffer.timeout_triggered",
    "mcp_list_tools.completed",
    "mcp_list_tools.failed",
    "mcp_list_tools.in_progress",
    "response.mcp_call.completed",
    "response.mcp_call.failed",
    "response.mcp_call.in_progress",
    "response.mcp_call_arguments.delta",
    "response.mcp_call_arguments.done",
];

/// Events of GA that are not sent to a beta client.
const NOT_IN_BETA: &[&str] = &[
    "conversation.item.done",
    "input_audio_buffer.dtmf_event_received",
];

#[test]
fn client_examples_mean_something_in_ga_and_come_back() {
    for version in VERSIONS {
        for example in examples(version, "beta_client") {
            let event = Dialect::Beta
                .parse_client(&example.to_string())
                .unwrap_or_else(|error| panic!("{error}\n{example}"));
            assert!(!matches!(event, ClientEvent::Unknown(_)), "{example}");
            // What it means in GA is a frame that GA understands in the same way, with nothing left over.
            let ga = event.to_json();
            assert_eq!(ClientEvent::parse(&ga).as_ref(), Ok(&event), "{ga}");
            assert!(!format!("{event:?}").contains("Extra([("), "{event:?}");

            let mut frame = Vec::new();
            assert!(Dialect::Beta.write_client(&event, &mut frame), "{example}");
            assert_eq!(value(&frame), as_written_by_us(example));
        }
    }
}

#[test]
fn server_examples_are_understood_and_come_back() {
    for version in VERSIONS {
        for example in examples(version, "beta_server") {
            let event = Dialect::Beta.parse_server(&example.to_string()).unwrap();
            assert!(!matches!(event, ServerEvent::Unknown(_)), "{example}");
            assert_eq!(
                ServerEvent::parse(&event.to_json()).as_ref(),
                Ok(&event),
                "{example}"
            );
            let mut frame = Vec::new();
            assert!(Dialect::Beta.write_server(&event, &mut frame), "{example}");
            let mut expected = as_written_by_us(example);
            // What the newer beta added is written always.
            match expected["type"].as_str() {
                Some("response.created" | "response.done") => {
                    expected["response"]["temperature"] = json!(0.8);
                }
                Some("transcription_session.updated") => {
                    expected["session"]["client_secret"] = Value::Null;
                }
                Some("conversation.item.input_audio_transcription.completed") => {
                    expected["usage"] = json!({"type": "duration", "seconds": 0});
                }
                _ => {}
            }
            assert_eq!(value(&frame), expected);
        }
    }
}

#[test]
fn everything_a_ga_server_says_is_good_beta() {
    let Some(ga) = protocol_file("realtime-examples.json") else {
        return;
    };
    let Some(beta) = Schemas::load() else { return };
    let mut checked = BTreeSet::new();
    for example in published::events(&ga, "ga_server") {
        let kind = example["type"].as_str().unwrap().to_owned();
        let event = ServerEvent::parse(&example.to_string()).unwrap();
        let mut frame = b"left over".to_vec();
        let written = Dialect::Beta.write_server(&event, &mut frame);
        if NOT_IN_BETA.contains(&kind.as_str()) {
            assert!(!written && frame.is_empty(), "{kind}");
            continue;
        }
        assert!(written, "{kind}");
        let frame = value(&frame);
        if !WITHOUT_SCHEMA.contains(&kind.as_str()) {
            beta.assert_valid(&frame);
        }
        assert_no_ga_words(&frame);
        // A beta client reads what was meant, unless the beta cannot say it.
        let back = Dialect::Beta.parse_server(&frame.to_string()).unwrap();
        let renamed = match event.kind() {
            "conversation.item.created" => "conversation.item.added",
            kind => kind,
        };
        assert_eq!(back.kind(), renamed);
        checked.insert(kind);
    }
    assert_eq!(
        checked.len(),
        ServerEvent::KNOWN.len() - NOT_IN_BETA.len(),
        "{checked:?}"
    );
}

#[test]
fn a_transcription_session_has_its_own_events() {
    let ga = json!({
        "type": "session.updated", "event_id": "event_1",
        "session": {
            "type": "transcription", "object": "realtime.transcription_session", "id": "sess_1",
            "expires_at": 1_742_188_264,
            "audio": {"input": {
                "format": {"type": "audio/pcmu"},
                "transcription": {"model": "gpt-4o-transcribe", "prompt": ""},
                "noise_reduction": {"type": "near_field"},
                "turn_detection": {"type": "server_vad", "threshold": 0.5},
            }},
            "include": null,
        },
    });
    let beta = json!({
        "type": "transcription_session.updated", "event_id": "event_1",
        "session": {
            "id": "sess_1", "object": "realtime.transcription_session", "expires_at": 1_742_188_264,
            "input_audio_format": "g711_ulaw",
            "input_audio_transcription": {"model": "gpt-4o-transcribe", "prompt": ""},
            "turn_detection": {"type": "server_vad", "threshold": 0.5},
            "input_audio_noise_reduction": {"type": "near_field"},
            "include": null,
            "client_secret": null,
        },
    });
    for (name, beta_name) in [
        ("session.updated", "transcription_session.updated"),
        ("session.created", "transcription_session.created"),
    ] {
        let (mut ga, mut beta) = (ga.clone(), beta.clone());
        ga["type"] = name.into();
        beta["type"] = beta_name.into();
        let event = ServerEvent::parse(&ga.to_string()).unwrap();
        assert_eq!(write(&event), beta);
        assert_eq!(Dialect::Beta.parse_server(&beta.to_string()), Ok(event));
    }
}

/// The beta's schemas of 2025-04, with the holes that real sessions show.
struct Schemas {
    document: Value,
}

impl Schemas {
    fn load() -> Option<Self> {
        let mut document = protocol_file("historic/beta-2025-04-schemas.json")?;
        widen(&mut document["components"]);
        Some(Self { document })
    }

    fn assert_valid(&self, frame: &Value) {
        let kind = frame["type"].as_str().unwrap();
        let name = self.document["x-index"]["beta_server_events"][kind]
            .as_str()
            .unwrap_or_else(|| panic!("{kind} is not an event of the beta"));
        let whole = json!({
            "$ref": format!("#/components/schemas/{name}"),
            "components": self.document["components"],
        });
        let validator: Validator = jsonschema::validator_for(&whole).unwrap();
        // Optional members may be null on the wire, which the schemas do not say.
        let instance = without_nulls(frame);
        let errors: Vec<_> = validator
            .iter_errors(&instance)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:#?}\n{frame}");
    }
}

/// What the schemas forbid although the beta's sessions and examples had it: the status `in_progress`, an assistant's
/// content `audio`, a first item without a previous one, and models younger than the schemas.
fn widen(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Array(values)) = members.get_mut("enum") {
                let has = |word: &str| values.contains(&json!(word));
                if has("completed") && has("incomplete") {
                    values.push(json!("in_progress"));
                } else if has("text") && has("input_audio") {
                    values.extend([json!("audio"), json!("input_image")]);
                } else if has("message") && has("function_call") {
                    values.extend([json!("mcp_list_tools"), json!("mcp_approval_request")]);
                } else if has("gpt-4o-realtime-preview") {
                    members.remove("enum");
                }
            }
            if let Some(Value::Array(required)) = members.get_mut("required") {
                required.retain(|name| name != "previous_item_id");
            }
            members.values_mut().for_each(widen);
        }
        Value::Array(list) => list.iter_mut().for_each(widen),
        _ => {}
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), without_nulls(value)))
            .collect(),
        Value::Array(list) => list.iter().map(without_nulls).collect(),
        value => value.clone(),
    }
}

fn assert_no_ga_words(frame: &Value) {
    let text = frame.to_string();
    for word in [
        "\"output_text\"",
        "\"output_audio\"",
        "\"output_modalities\"",
        "\"audio/pcm",
        "\"obfuscation\":",
        "response.output_text",
        "response.output_audio",
        "conversation.item.added",
    ] {
        // `obfuscation` belongs to the late beta's MCP events.
        if word.contains("obfuscation") && text.contains("mcp_call_arguments") {
            continue;
        }
        assert!(!text.contains(word), "{word} in {text}");
    }
}

/// The example as this crate writes what it means.
fn as_written_by_us(mut example: Value) -> Value {
    match example["type"].as_str() {
        Some("response.create") => {
            let response = example["response"].as_object_mut().unwrap();
            // One of two names, and the temperature is forgotten.
            let limit = response.remove("max_output_tokens").unwrap();
            response.insert("max_response_output_tokens".to_owned(), limit);
            response.remove("temperature");
        }
        Some("session.update") => {
            let session = example["session"].as_object_mut().unwrap();
            session.remove("temperature");
        }
        Some("session.created" | "session.updated") => {
            example["session"]["temperature"] = json!(0.8);
            if example["session"]["max_response_output_tokens"].is_null() {
                example["session"]["max_response_output_tokens"] = json!("inf");
            }
        }
        _ => {}
    }
    // The empty language is no language.
    let transcription = example.pointer_mut("/session/input_audio_transcription");
    if let Some(Value::Object(transcription)) = transcription
        && transcription.get("language") == Some(&json!(""))
    {
        transcription.remove("language");
    }
    example
}

/// The examples of one version; none, with a word about it, when there is no protocol folder.
fn examples(version: &str, group: &str) -> Vec<Value> {
    let file = protocol_file(&format!("historic/beta-{version}-examples.json"));
    let mut examples = file.map_or_else(Vec::new, |examples| published::events(&examples, group));
    // The example of 2025-04 says what it is the answer to by the wrong name.
    if version == "2025-04" && group == "beta_server" {
        examples.retain(|example| {
            let named_wrongly = example["type"] == "conversation.item.created"
                && example["previous_item_id"] == "msg_002"
                && example["item"]["content"][0]["audio"].is_string();
            !named_wrongly
        });
    }
    examples
}

fn write(event: &ServerEvent) -> Value {
    let mut frame = Vec::new();
    assert!(Dialect::Beta.write_server(event, &mut frame));
    value(&frame)
}

fn value(frame: &[u8]) -> Value {
    serde_json::from_slice(frame).unwrap()
}
