//! Items created, shown, cut and removed by the client.

use serde_json::{Value, json};

use crate::harness::{Harness, answer};

fn user(id: &str) -> Value {
    json!({"type": "message", "id": id, "role": "user",
        "content": [{"type": "input_text", "text": id}]})
}

/// A session that has answered with ten words of 300 ms in two clauses.
fn answered() -> (Harness, Value) {
    let mut harness = Harness::new();
    harness.answers.push_back(answer(&[
        "One two three four five. Six seven eight nine ten.",
    ]));
    harness.say("count");
    let item = harness.last("response.output_item.done")["item"]["id"].clone();
    harness.forget();
    (harness, item)
}

fn truncate(item: &Value, ms: u64) -> Value {
    json!({"type": "conversation.item.truncate", "event_id": "t", "item_id": item,
        "content_index": 0, "audio_end_ms": ms})
}

#[test]
fn truncation_deletes_the_transcript_and_leaves_the_model_what_was_heard() {
    let (mut harness, item) = answered();
    harness.client(truncate(&item, 1100));
    harness.client(json!({"type": "conversation.item.retrieve", "item_id": item}));
    harness.by_hand = true;
    harness.say("go on");
    let mut record = harness.record();
    // The audio itself is compared by its length, below.
    let start = record.find("\"audio\":\"").expect("audio is shown") + 9;
    let end = start + record[start..].find('"').expect("the text ends");
    assert_eq!((end - start) / 4 * 3, 1100 * 48);
    record.replace_range(start..end, "1100 ms");
    insta::assert_snapshot!(record);
}

#[test]
fn truncation_at_the_start_empties_the_answer() {
    let (mut harness, item) = answered();
    harness.client(truncate(&item, 0));
    harness.client(json!({"type": "conversation.item.retrieve", "item_id": item}));
    let content = &harness.last("conversation.item.retrieved")["item"]["content"][0];
    assert_eq!(content["transcript"], Value::Null);
    assert_eq!(content["audio"], "");
    harness.by_hand = true;
    harness.say("go on");
    let (_, command) = &harness.jobs[0];
    assert_eq!(
        harness.prompt(command),
        ["System: Be brief.", "User: count", "User: go on"]
    );
}

#[test]
fn truncation_behind_the_end_is_refused_the_second_time_too() {
    let (mut harness, item) = answered();
    harness.client(truncate(&item, 3001));
    let error = harness.last("error")["error"].clone();
    assert_eq!(error["code"], "invalid_value");
    assert_eq!(
        error["message"],
        "Audio content of 3000ms is already shorter than 3001ms"
    );
    assert_eq!(error["event_id"], "t");
    harness.client(truncate(&item, 3000));
    harness.client(truncate(&item, 500));
    harness.client(truncate(&item, 501));
    assert_eq!(harness.sent("conversation.item.truncated").len(), 2);
    assert_eq!(
        harness.last("error")["error"]["message"],
        "Audio content of 500ms is already shorter than 501ms"
    );
}

#[test]
fn an_answer_may_be_truncated_while_it_is_given() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.answers.push_back(answer(&[
        "One two three four five. Six seven eight nine ten.",
    ]));
    harness.say("count");
    harness.work("generate");
    harness.work("speak");
    let item = harness.last("response.output_item.added")["item"]["id"].clone();
    harness.client(truncate(&item, 700));
    harness.work("speak");
    assert_eq!(
        harness.last("response.done")["response"]["status"],
        "completed"
    );
    harness.client(json!({"type": "conversation.item.retrieve", "item_id": item}));
    let content = &harness.last("conversation.item.retrieved")["item"]["content"][0];
    assert_eq!(content["transcript"], Value::Null);
    harness.by_hand = true;
    harness.say("go on");
    let (_, command) = &harness.jobs[0];
    assert_eq!(harness.prompt(command)[2], "Assistant: One two");
}

#[test]
fn items_go_where_they_are_told_to() {
    let mut harness = Harness::new();
    for (id, previous) in [
        ("b", json!(null)),
        ("a", json!("root")),
        ("d", json!("b")),
        ("c", json!("b")),
    ] {
        harness.client(
            json!({"type": "conversation.item.create", "previous_item_id": previous,
            "item": user(id)}),
        );
        assert_eq!(harness.last("conversation.item.done")["item"]["id"], id);
    }
    let previous: Vec<_> = harness
        .sent("conversation.item.added")
        .iter()
        .map(|e| e["previous_item_id"].clone())
        .collect();
    assert_eq!(previous, [json!(null), json!(null), json!("b"), json!("b")]);
    harness.by_hand = true;
    harness.client(json!({"type": "response.create"}));
    let (_, command) = &harness.jobs[0];
    assert_eq!(
        harness.prompt(command)[1..],
        ["User: a", "User: b", "User: c", "User: d"]
    );
}

#[test]
fn a_deleted_item_is_gone_for_the_model_too() {
    let mut harness = Harness::new();
    for id in ["a", "b"] {
        harness.client(json!({"type": "conversation.item.create", "item": user(id)}));
    }
    harness.client(json!({"type": "conversation.item.delete", "item_id": "a"}));
    assert_eq!(harness.last("conversation.item.deleted")["item_id"], "a");
    harness.by_hand = true;
    harness.client(json!({"type": "response.create"}));
    assert_eq!(
        harness.prompt(&harness.jobs[0].1),
        ["System: Be brief.", "User: b"]
    );
}

#[test]
fn deleting_a_turn_that_is_being_transcribed_lets_the_answer_begin_without_it() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.audio(480, true);
    harness.audio(352, false);
    let hearing = harness.job("transcribe");
    let item = harness.last("conversation.item.done")["item"]["id"].clone();
    harness.client(json!({"type": "conversation.item.delete", "item_id": item}));
    assert_eq!(harness.cancelled, [hearing]);
    assert_eq!(harness.prompt(&harness.jobs[0].1), ["System: Be brief."]);
}

#[test]
fn an_item_deleted_while_it_is_spoken_stays_deleted() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.answers.push_back(answer(&["One two three."]));
    harness.say("count");
    harness.work("generate");
    let item = harness.last("response.output_item.added")["item"]["id"].clone();
    harness.client(json!({"type": "conversation.item.delete", "item_id": item}));
    let from = harness.events.len();
    harness.work("speak");
    assert!(!harness.kinds(from).contains(&"conversation.item.done"));
    assert_eq!(
        harness.last("response.done")["response"]["output"][0]["id"],
        item
    );
    harness.client(json!({"type": "conversation.item.retrieve", "item_id": item, "event_id": "r"}));
    assert_eq!(harness.last("error")["error"]["event_id"], "r");
}

#[test]
fn audio_of_a_created_item_is_transcribed_and_not_shown() {
    let mut harness = Harness::new();
    harness.transcripts.push_back(Ok("hello there"));
    let audio = "AAAA".repeat(1600); // 100 ms of silence.
    harness.client(
        json!({"type": "conversation.item.create", "item": {"type": "message",
        "id": "u", "role": "user", "content": [{"type": "input_audio", "audio": audio}]}}),
    );
    assert_eq!(
        harness.last("conversation.item.added")["item"]["content"][0],
        json!({"type": "input_audio", "transcript": null})
    );
    harness.client(json!({"type": "conversation.item.retrieve", "item_id": "u"}));
    let content = &harness.last("conversation.item.retrieved")["item"]["content"][0];
    assert_eq!(content["audio"], audio);
    harness.by_hand = true;
    harness.client(json!({"type": "response.create"}));
    assert_eq!(
        harness.prompt(&harness.jobs[0].1),
        ["System: Be brief.", "User: hello there"]
    );
}

#[test]
fn history_of_the_assistant_can_be_replayed_as_text() {
    let mut harness = Harness::new();
    harness.client(
        json!({"type": "conversation.item.create", "item": {"type": "message",
        "role": "assistant", "content": [{"type": "output_text", "text": "I am here."}]}}),
    );
    let item = &harness.last("conversation.item.added")["item"];
    assert_eq!(item["status"], "completed");
    assert_eq!(item["object"], "realtime.item");
    harness.by_hand = true;
    harness.client(json!({"type": "response.create"}));
    assert_eq!(
        harness.prompt(&harness.jobs[0].1),
        ["System: Be brief.", "Assistant: I am here."]
    );
}

#[test]
fn an_id_that_was_announced_is_taken_before_its_item_is_there() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    // A message that is deleted while it is spoken.
    harness.say("count");
    harness.work("generate");
    let item = harness.last("response.output_item.added")["item"]["id"].clone();
    harness.client(json!({"type": "conversation.item.delete", "item_id": item}));
    // A turn that has begun.
    harness.client(
        json!({"type": "session.update", "session": {"type": "realtime", "audio": {
        "input": {"turn_detection": {"type": "server_vad", "interrupt_response": false}}}}}),
    );
    harness.audio(480, true);
    let turn = harness.last("input_audio_buffer.speech_started")["item_id"].clone();
    for id in [item, turn] {
        let id = id.as_str().expect("an id");
        harness.client(json!({"type": "conversation.item.create", "item": user(id)}));
        assert_eq!(
            harness.last("error")["error"]["code"],
            "item_create_duplicate_item_id"
        );
    }
    assert_eq!(harness.sent("error").len(), 2);
}

#[test]
fn a_deleted_item_that_an_aside_refers_to_is_heard_for_that_alone() {
    let mut harness = Harness::updated(json!({"type": "realtime", "audio": {"input": {
        "turn_detection": null, "transcription": {"model": "whisper-1"}}}}));
    harness.by_hand = true;
    harness.audio(320, true);
    harness.client(json!({"type": "input_audio_buffer.commit"}));
    let item = harness.last("input_audio_buffer.committed")["item_id"].clone();
    harness.client(
        json!({"type": "response.create", "response": {"conversation": "none",
        "input": [{"type": "item_reference", "id": item}]}}),
    );
    harness.client(json!({"type": "conversation.item.delete", "item_id": item}));
    harness.transcripts.push_back(Ok("hello"));
    let from = harness.events.len();
    harness.work("transcribe");
    assert_eq!(harness.kinds(from), Vec::<&str>::new());
    assert_eq!(
        harness.prompt(&harness.jobs[0].1),
        ["System: Be brief.", "User: hello"]
    );
}
