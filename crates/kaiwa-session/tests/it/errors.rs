//! Every mistake a client can make is answered in the protocol's terms, with its event's id.

use kaiwa_session::Input;
use serde_json::{Value, json};

use crate::harness::Harness;

/// Sends a faulty event to a session and checks the one error it is answered with.
#[track_caller]
fn check(harness: &mut Harness, mut event: Value, code: &str, param: Value) -> String {
    event["event_id"] = json!("mine");
    let from = harness.events.len();
    harness.client(event.clone());
    assert_eq!(harness.kinds(from), ["error"], "{event}");
    let error = &harness.events[from]["error"];
    assert_eq!(error["type"], "invalid_request_error", "{event}");
    assert_eq!(error["code"], code, "{error}");
    assert_eq!(error["param"], param, "{error}");
    assert_eq!(error["event_id"], "mine", "{error}");
    error["message"].as_str().expect("a message").to_owned()
}

fn create(item: Value) -> Value {
    json!({"type": "conversation.item.create", "item": item})
}

fn message(role: &str, kind: &str) -> Value {
    create(
        json!({"type": "message", "role": role, "content": [{"type": kind, "text": "x",
        "transcript": "x"}]}),
    )
}

#[test]
fn events_that_are_none() {
    let mut harness = Harness::new();
    let message = check(
        &mut harness,
        json!({"type": "make.tea"}),
        "invalid_value",
        json!("type"),
    );
    assert!(
        message.starts_with("Invalid value: 'make.tea'. Supported values are: 'session.update', ")
    );
    check(
        &mut harness,
        json!({"type": "output_audio_buffer.clear"}),
        "invalid_value",
        json!("type"),
    );
    check(&mut harness, json!({}), "invalid_event", Value::Null);

    harness.frame("{\"event_id\": \"broken\", ");
    let error = &harness.last("error")["error"];
    assert_eq!(error["code"], "invalid_json");
    assert_eq!(error["event_id"], "broken");
}

#[test]
fn an_event_id_that_is_too_long() {
    let mut harness = Harness::new();
    let id = "x".repeat(513);
    harness.client(json!({"type": "input_audio_buffer.clear", "event_id": id}));
    let error = &harness.last("error")["error"];
    assert_eq!(error["code"], "string_above_max_length");
    assert_eq!(error["event_id"], *id);
    harness.client(json!({"type": "input_audio_buffer.clear", "event_id": &id[1..]}));
    assert_eq!(harness.sent("input_audio_buffer.cleared").len(), 1);
}

#[test]
fn a_session_of_the_wrong_type() {
    let mut harness = Harness::new();
    let update = |session: Value| json!({"type": "session.update", "session": session});
    check(
        &mut harness,
        update(json!({"instructions": "x"})),
        "missing_required_parameter",
        json!("session.type"),
    );
    let message = check(
        &mut harness,
        update(json!({"type": "transcription"})),
        "invalid_value",
        json!("session.type"),
    );
    assert!(message.starts_with("Passing a transcription session update event"));
    check(
        &mut harness,
        update(json!({"type": "telepathy"})),
        "invalid_value",
        json!("session.type"),
    );
}

#[test]
fn a_commit_of_too_little_audio() {
    let mut harness = Harness::new();
    let message = check(
        &mut harness,
        json!({"type": "input_audio_buffer.commit"}),
        "input_audio_buffer_commit_empty",
        Value::Null,
    );
    assert_eq!(
        message,
        "Error committing input audio buffer: buffer too small. Expected at least 100ms of \
         audio, but buffer only has 0.00ms of audio."
    );
    harness.append(99, true);
    let message = check(
        &mut harness,
        json!({"type": "input_audio_buffer.commit"}),
        "input_audio_buffer_commit_empty",
        Value::Null,
    );
    assert!(message.contains("only has 99.00ms"), "{message}");
    harness.append(1, true);
    harness.client(json!({"type": "input_audio_buffer.commit"}));
    assert_eq!(harness.sent("input_audio_buffer.committed").len(), 1);
}

#[test]
fn an_append_that_is_too_large() {
    let mut harness = Harness::new();
    let bytes = vec![0; (15 << 20) + 1];
    let input = Input::Audio {
        event_id: Some("big"),
        bytes: &bytes,
    };
    let outputs: Vec<_> = harness.session.handle(input, 0).collect();
    match &outputs[..] {
        [kaiwa_session::Output::Send(event)] => {
            let json = event.to_json();
            assert!(
                json.contains("\"invalid_value\"") && json.contains("\"big\""),
                "{json}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn items_that_cannot_be_created() {
    let mut harness = Harness::new();
    for (event, code, param) in [
        (
            message("system", "input_audio"),
            "invalid_value",
            "item.content[0].type",
        ),
        (
            message("user", "output_text"),
            "invalid_value",
            "item.content[0].type",
        ),
        (
            message("assistant", "input_text"),
            "invalid_value",
            "item.content[0].type",
        ),
        (
            message("assistant", "output_audio"),
            "invalid_value",
            "item.content[0].type",
        ),
        (
            message("narrator", "input_text"),
            "invalid_value",
            "item.role",
        ),
        (
            create(json!({"type": "poem"})),
            "invalid_value",
            "item.type",
        ),
        (
            create(json!({"type": "item_reference", "id": "x"})),
            "invalid_value",
            "item.type",
        ),
        (
            create(json!({"type": "message", "role": "user", "id": "x".repeat(33), "content": []})),
            "string_above_max_length",
            "item.id",
        ),
        (
            create(json!({"type": "message", "role": "user", "id": "", "content": []})),
            "invalid_value",
            "item.id",
        ),
        (
            create(json!({"type": "message", "role": "user", "content": [
                {"type": "input_image", "image_url": "https://example.org/x.png"}]})),
            "invalid_value",
            "item.content[0].image_url",
        ),
        (
            create(
                json!({"type": "message", "role": "user", "content": [{"type": "input_image"}]}),
            ),
            "missing_required_parameter",
            "item.content[0].image_url",
        ),
        (
            create(
                json!({"type": "function_call", "name": "f", "arguments": "{}",
                "call_id": "a b"}),
            ),
            "invalid_value",
            "item.call_id",
        ),
        (
            create(json!({"type": "function_call_output", "call_id": "nobody", "output": ""})),
            "invalid_tool_call_id",
            "item.call_id",
        ),
        (
            json!({"type": "conversation.item.create", "previous_item_id": "nobody", "item":
                {"type": "message", "role": "user", "content": []}}),
            "invalid_value",
            "previous_item_id",
        ),
    ] {
        check(&mut harness, event, code, json!(param));
    }
    assert!(harness.sent("conversation.item.added").is_empty());
}

#[test]
fn an_id_that_is_taken() {
    let mut harness = Harness::new();
    let item = create(json!({"type": "message", "role": "user", "id": "twice", "content": []}));
    harness.client(item.clone());
    let message = check(
        &mut harness,
        item,
        "item_create_duplicate_item_id",
        json!("item.id"),
    );
    assert_eq!(
        message,
        "Error adding item: an item with id 'twice' already exists."
    );
}

#[test]
fn items_that_do_not_exist() {
    let mut harness = Harness::new();
    for (event, code) in [
        (
            json!({"type": "conversation.item.retrieve", "item_id": "x"}),
            "item_retrieve_invalid_item_id",
        ),
        (
            json!({"type": "conversation.item.delete", "item_id": "x"}),
            "item_delete_invalid_item_id",
        ),
        (
            json!({"type": "conversation.item.truncate", "item_id": "x", "content_index": 0,
                "audio_end_ms": 0}),
            "item_truncate_invalid_item_id",
        ),
    ] {
        check(&mut harness, event, code, json!("item_id"));
    }
    check(
        &mut harness,
        json!({"type": "response.create", "response": {"conversation": "none",
            "input": [{"type": "item_reference", "id": "x"}]}}),
        "invalid_value",
        json!("response.input[0].id"),
    );
}

#[test]
fn truncations_of_what_has_no_audio() {
    let mut harness = Harness::new();
    harness.client(create(
        json!({"type": "message", "role": "user", "id": "u", "content": []}),
    ));
    check(
        &mut harness,
        json!({"type": "conversation.item.truncate", "item_id": "u", "content_index": 0,
            "audio_end_ms": 0}),
        "invalid_value",
        json!("item_id"),
    );
    harness.say("hi");
    let item = harness.last("response.output_item.done")["item"]["id"].clone();
    check(
        &mut harness,
        json!({"type": "conversation.item.truncate", "item_id": item, "content_index": 1,
            "audio_end_ms": 0}),
        "invalid_value",
        json!("content_index"),
    );
}

#[test]
fn a_second_response_and_a_cancellation_of_nothing() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    let message = check(
        &mut harness,
        json!({"type": "response.cancel"}),
        "response_cancel_not_active",
        Value::Null,
    );
    assert!(message.starts_with("Cancellation failed"));
    harness.client(json!({"type": "response.create"}));
    let id = harness.last("response.created")["response"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let message = check(
        &mut harness,
        json!({"type": "response.create"}),
        "conversation_already_has_active_response",
        Value::Null,
    );
    assert!(message.contains(&id), "{message}");
    check(
        &mut harness,
        json!({"type": "response.cancel", "response_id": "resp_other"}),
        "response_cancel_not_active",
        Value::Null,
    );
}

#[test]
fn a_response_that_cannot_be_made() {
    let mut harness = Harness::new();
    check(
        &mut harness,
        json!({"type": "response.create", "response": {"output_modalities": ["audio", "text"]}}),
        "invalid_value",
        json!("response.output_modalities"),
    );
    check(
        &mut harness,
        json!({"type": "response.create", "response": {"input": [{"type": "message",
            "role": "user", "content": [{"type": "output_text", "text": "x"}]}]}}),
        "invalid_value",
        json!("response.input[0].content[0].type"),
    );
    assert!(harness.sent("response.created").is_empty());
}
