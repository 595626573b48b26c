//! What a session may use, and how large its events may become.

use kaiwa_session::{Input, Output, RateLimitConfig, RateLimitName, SessionOptions};
use serde_json::{Value, json};

use crate::harness::{Harness, test_options};

/// What every client takes.
const MIB: usize = 1 << 20;

fn limited(limits: &[RateLimitConfig]) -> Harness {
    Harness::with(SessionOptions {
        rate_limits: limits.to_vec(),
        ..test_options()
    })
}

fn requests(limit: u64) -> RateLimitConfig {
    RateLimitConfig {
        name: RateLimitName::Requests,
        limit,
        window_ms: 60_000,
    }
}

fn tokens(limit: u64) -> RateLimitConfig {
    RateLimitConfig {
        name: RateLimitName::Tokens,
        limit,
        window_ms: 3_600_000,
    }
}

fn typed(text: &str) -> Value {
    json!({"type": "conversation.item.create", "item": {"type": "message", "role": "user",
        "content": [{"type": "input_text", "text": text}]}})
}

/// Whether every event so far is small enough for every client.
#[track_caller]
fn assert_all_fit(harness: &Harness) {
    for event in &harness.events {
        let bytes = event.to_string().len();
        assert!(bytes < MIB, "{} takes {bytes}", event["type"]);
    }
}

#[test]
fn rate_limits_follow_each_response() {
    let mut harness = limited(&[requests(2), tokens(100)]);
    harness.wait(1_000);
    harness.say("hi");
    let kinds = harness.kinds(0);
    assert_eq!(
        kinds[kinds.len() - 2..],
        ["response.done", "rate_limits.updated"]
    );
    // 20 tokens in, 1 out, and 6 of audio.
    assert_eq!(
        harness.last("rate_limits.updated")["rate_limits"],
        json!([
            {"name": "requests", "limit": 2, "remaining": 1, "reset_seconds": 60.0},
            {"name": "tokens", "limit": 100, "remaining": 73, "reset_seconds": 3600.0},
        ])
    );
    harness.wait(500);
    harness.say("hi");
    assert_eq!(
        harness.last("rate_limits.updated")["rate_limits"],
        json!([
            {"name": "requests", "limit": 2, "remaining": 0, "reset_seconds": 59.5},
            {"name": "tokens", "limit": 100, "remaining": 46, "reset_seconds": 3599.5},
        ])
    );
}

#[test]
fn a_response_beyond_the_limit_is_created_and_fails() {
    let mut harness = limited(&[requests(1)]);
    harness.say("hi");
    harness.forget();
    harness.client(json!({"type": "response.create"}));
    insta::assert_snapshot!(harness.record());
    // Once the window has passed, there is an answer again.
    harness.wait(60_000);
    harness.client(json!({"type": "response.create"}));
    assert_eq!(
        harness.last("response.done")["response"]["status"],
        "completed"
    );
}

#[test]
fn a_turn_beyond_the_limit_is_told_too() {
    let mut harness = limited(&[tokens(1)]);
    harness.say("hi");
    harness.transcripts.push_back(Ok("hello"));
    harness.audio(480, true);
    harness.audio(352, false);
    let done = &harness.last("response.done")["response"];
    assert_eq!(done["status"], "failed");
    assert_eq!(done["status_details"]["error"]["type"], "tokens");
    assert_eq!(harness.sent("rate_limits.updated").len(), 2);
}

#[test]
fn without_limits_nothing_is_told_of_them() {
    let mut harness = Harness::new();
    harness.say("hi");
    assert!(harness.sent("rate_limits.updated").is_empty());
}

#[test]
fn long_audio_is_left_out_when_its_item_is_retrieved() {
    let mut harness = Harness::updated(json!({"type": "realtime", "audio": {"input": {
        "turn_detection": null, "transcription": {"model": "whisper-1"}}}}));
    for (ms, shown) in [(10_000, true), (20_000, false)] {
        harness.transcripts.push_back(Ok("hello"));
        harness.append(ms, true);
        harness.client(json!({"type": "input_audio_buffer.commit"}));
        let item = harness.last("input_audio_buffer.committed")["item_id"].clone();
        harness.client(json!({"type": "conversation.item.retrieve", "item_id": item}));
        let part = &harness.last("conversation.item.retrieved")["item"]["content"][0];
        assert_eq!(part.get("audio").is_some(), shown, "{ms} ms");
        assert_eq!(part["transcript"], "hello");
    }
    assert_all_fit(&harness);
}

#[test]
fn a_large_image_reaches_the_model_and_is_not_echoed() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    for (bytes, shown) in [(1_000, true), (2 * MIB, false)] {
        let url = format!("data:image/png;base64,{}", "A".repeat(bytes));
        harness.client(
            json!({"type": "conversation.item.create", "item": {"type": "message",
            "role": "user", "content": [{"type": "input_image", "image_url": url,
            "detail": "low"}]}}),
        );
        let content = &harness.last("conversation.item.added")["item"]["content"][0];
        assert_eq!(content["detail"], "low");
        assert_eq!(content.get("image_url").is_some(), shown, "{bytes}");
    }
    assert_all_fit(&harness);
    harness.client(json!({"type": "response.create"}));
    match &harness.jobs[0].1 {
        kaiwa_session::EngineCommand::Generate(generate) => {
            let images: Vec<_> = generate.messages.iter().flat_map(|m| &m.images).collect();
            assert_eq!(images.len(), 2);
            assert!(images[1].len() > 2 * MIB);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_could_not_be_shown_is_refused() {
    let mut harness = Harness::new();
    let long = "x".repeat(MIB);
    for (event, param) in [
        (typed(&long), "item"),
        (
            json!({"type": "session.update", "session": {"type": "realtime",
                "instructions": long}}),
            "session",
        ),
        (
            json!({"type": "session.update", "session": {"type": "realtime",
                "audio": {"output": {"voice": long}}}}),
            "session.audio.output.voice",
        ),
        (
            json!({"type": "response.create", "response": {"audio": {"output": {
                "voice": long}}}}),
            "response.audio.output.voice",
        ),
    ] {
        harness.client(event);
        let error = &harness.last("error")["error"];
        assert_eq!(error["code"], "string_above_max_length", "{param}");
        assert_eq!(error["param"], param);
    }
    assert!(harness.sent("conversation.item.added").is_empty());
    assert!(harness.sent("session.updated").is_empty());
    assert_all_fit(&harness);
}

#[test]
fn an_error_does_not_repeat_all_that_was_wrong() {
    let mut harness = Harness::new();
    let long = "x".repeat(MIB);
    for event in [
        json!({"type": long}),
        json!({"type": "session.update", "event_id": long, "session": {"type": "realtime"}}),
        json!({"type": "session.update", "session": {"type": "realtime", &long: 1}}),
        json!({"type": "conversation.item.retrieve", "item_id": long}),
        json!({"type": "response.create", "event_id": long, "response": {
            "conversation": long}}),
        json!({"event_id": long}),
    ] {
        harness.client(event);
    }
    assert_eq!(harness.sent("error").len(), 6);
    for event in harness.sent("error") {
        assert!(event.to_string().len() < 16_000);
    }
}

#[test]
fn frames_that_are_no_events_are_answered_and_the_session_goes_on() {
    let mut harness = Harness::new();
    for frame in [
        "",
        "null",
        "[]",
        "{\"type\": 7}",
        "\u{0}",
        "{\"type\": \"response.create\"",
    ] {
        harness.frame(frame);
    }
    assert_eq!(harness.sent("error").len(), 6);
    harness.say("hi");
    assert_eq!(harness.sent("response.done").len(), 1);
}

#[test]
fn a_hundred_thousand_tiny_appends_are_one_audio() {
    let mut harness = Harness::updated(json!({"type": "realtime", "audio": {"input": {
        "format": {"type": "audio/pcmu"}, "turn_detection": null}}}));
    for _ in 0..100_000 {
        let input = Input::Audio {
            event_id: None,
            bytes: &[0xFF],
        };
        let outputs = harness.session.handle(input, 0).collect::<Vec<Output>>();
        assert_eq!(outputs, []);
    }
    harness.client(json!({"type": "input_audio_buffer.commit"}));
    let item = harness.last("input_audio_buffer.committed")["item_id"].clone();
    harness.client(json!({"type": "conversation.item.retrieve", "item_id": item}));
    let part = &harness.last("conversation.item.retrieved")["item"]["content"][0];
    let base64 = part["audio"].as_str().expect("the audio");
    assert_eq!(base64.len(), 100_000_usize.div_ceil(3) * 4);
}

#[test]
fn a_conversation_that_is_full_takes_items_again_when_some_are_deleted() {
    let mut harness = Harness::with(SessionOptions {
        max_created_bytes: 3_000,
        ..test_options()
    });
    let image = format!("data:image/png;base64,{}", "A".repeat(2_000));
    let item = json!({"type": "conversation.item.create", "item": {"type": "message",
        "role": "user", "content": [{"type": "input_image", "image_url": image}]}});
    harness.client(item.clone());
    harness.client(item.clone());
    assert_eq!(harness.last("error")["error"]["code"], "conversation_full");
    let added = harness.sent("conversation.item.added");
    assert_eq!(added.len(), 1);
    let id = added[0]["item"]["id"].clone();
    harness.client(json!({"type": "conversation.item.delete", "item_id": id}));
    harness.client(item);
    assert_eq!(harness.sent("conversation.item.added").len(), 2);
}

#[test]
fn responses_out_of_band_are_counted() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    let aside = json!({"type": "response.create", "response": {"conversation": "none"}});
    for _ in 0..17 {
        harness.client(aside.clone());
    }
    assert_eq!(harness.sent("response.created").len(), 16);
    assert_eq!(harness.last("error")["error"]["code"], "too_many_responses");
    harness.client(json!({"type": "response.cancel",
        "response_id": harness.sent("response.created")[0]["response"]["id"]}));
    harness.client(aside);
    assert_eq!(harness.sent("response.created").len(), 17);
}
