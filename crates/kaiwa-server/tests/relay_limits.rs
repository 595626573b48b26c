//! A relay's keys: what they may spend, and what else they may.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use kaiwa_server::Period;
use serde_json::{Value, json};
use tokio::io::DuplexStream;

use common::{
    Client,
    http::Ask,
    relay::{Far, KEY, World, usd},
};

fn with_budget(budget: &str) -> World {
    World::new(|config| {
        config.keys[0].budget = Some(usd(budget));
        config.reserve = usd("0.04");
    })
}

async fn create(client: &mut Client<DuplexStream>, event_id: &str) {
    client
        .send(json!({ "type": "response.create", "event_id": event_id }))
        .await;
}

/// The session ends for this reason, on both sides.
async fn ends_with(client: &mut Client<DuplexStream>, far: &mut Far, code: &str) {
    let error = client.wait_for("error").await;
    assert_eq!(error["error"]["code"], code, "{error}");
    assert_eq!(error["error"]["event_id"], Value::Null);
    let closed = client.closed().await.unwrap();
    assert_eq!(closed.code, 1008_u16.into());
    assert_eq!(error["error"]["message"], closed.reason.as_str());
    assert_eq!(far.closed().await.unwrap().code, 1000_u16.into());
}

#[tokio::test(start_paused = true)]
async fn responses_asked_for_at_once_do_not_overspend() {
    let mut world = with_budget("0.10");
    let (mut client, mut far) = world.open().await;
    for event_id in ["a", "b", "c"] {
        create(&mut client, event_id).await;
    }
    // Two fit at $0.04 each; the third is answered instead of passed on.
    let error = client.next().await;
    assert_eq!(error["error"]["code"], "budget_exhausted");
    assert_eq!(error["error"]["event_id"], "c");
    assert_eq!(far.next().await["event_id"], "a");
    assert_eq!(far.next().await["event_id"], "b");
    for id in ["r1", "r2"] {
        far.begin(id).await;
        far.end(id, 1).await;
        client.wait_for("response.done").await;
    }
    // They were cheaper than feared, which leaves room.
    create(&mut client, "d").await;
    assert_eq!(far.next().await["event_id"], "d");
    assert_eq!(world.spent(), usd("0.02"));
    far.begin("r3").await;
    far.end("r3", 5).await;
    client.wait_for("response.done").await;
    // Another such would cost more than is left.
    ends_with(&mut client, &mut far, "budget_exhausted").await;
    drop((client, far));
    world.idle().await;
    assert_eq!(world.spent(), usd("0.07"));
    let (status, code, _) = world.refused(KEY, "?model=test-model").await;
    assert_eq!((status, code.as_str()), (429, "budget_exhausted"));
}

#[tokio::test(start_paused = true)]
async fn responses_nobody_asked_for_end_the_session_where_there_is_no_room() {
    let mut world = with_budget("0.07");
    let (mut client, mut far) = world.open().await;
    far.begin("r1").await;
    client.wait_for("response.created").await;
    far.begin("r2").await;
    client.wait_for("response.created").await;
    ends_with(&mut client, &mut far, "budget_exhausted").await;
    drop((client, far));
    world.idle().await;
    // Nobody knows what they cost, so each has cost as much as was set aside.
    assert_eq!(world.spent(), usd("0.08"));
}

#[tokio::test(start_paused = true)]
async fn what_the_upstream_refuses_is_not_kept_back() {
    let mut world = with_budget("0.05");
    let (mut client, mut far) = world.open().await;
    for (event_id, of) in [("a", json!("a")), ("b", json!("b"))] {
        create(&mut client, event_id).await;
        assert_eq!(far.next().await["event_id"], event_id);
        far.send(json!({ "type": "error", "error": { "event_id": of } }))
            .await;
        client.wait_for("error").await;
    }
    create(&mut client, "c").await;
    assert_eq!(far.next().await["event_id"], "c");
    far.begin("r").await;
    far.end("r", 1).await;
    client.wait_for("response.done").await;
    drop((client, far));
    world.idle().await;
    assert_eq!(world.spent(), usd("0.01"));
}

#[tokio::test(start_paused = true)]
async fn an_error_about_nothing_certain_sets_nothing_free() {
    let mut world = with_budget("0.05");
    let (mut client, mut far) = world.open().await;
    client.send(json!({ "type": "response.create" })).await;
    far.next().await;
    for error in [
        json!({}),
        json!({ "event_id": null }),
        json!({ "event_id": "x" }),
    ] {
        far.send(json!({ "type": "error", "error": error })).await;
        client.wait_for("error").await;
    }
    create(&mut client, "a").await;
    let error = client.wait_for("error").await;
    assert_eq!(error["error"]["code"], "budget_exhausted");
}

#[tokio::test(start_paused = true)]
async fn nothing_else_may_have_the_id_of_a_response_asked_for() {
    let mut world = with_budget("1");
    let (mut client, mut far) = world.open().await;
    create(&mut client, "a").await;
    far.next().await;
    for kind in ["response.create", "x"] {
        client.send(json!({ "type": kind, "event_id": "a" })).await;
        let error = client.next().await;
        assert_eq!(error["error"]["code"], "event_id_in_use");
        assert_eq!(error["error"]["event_id"], "a");
    }
    far.begin("r").await;
    client.wait_for("response.created").await;
    client.send(json!({ "type": "x", "event_id": "a" })).await;
    assert_eq!(far.next().await["type"], "x");
}

#[tokio::test(start_paused = true)]
async fn with_limits_what_can_be_read_in_two_ways_does_not_pass() {
    use futures_util::SinkExt;
    use tokio_tungstenite::tungstenite::Message;

    let mut world = with_budget("1");
    let (mut client, mut far) = world.open().await;
    for message in [
        Message::text(r#"{"type":"x","type":"response.create"}"#),
        Message::text(r#"{"type":"response.create","response":{"n":1e999}}"#),
        Message::text(r#"{"type":"session.update","session":{},"session":{"model":"other"}}"#),
        Message::text(r#"{"type":"response.create""#),
        Message::text("[]"),
        Message::binary(r#"{"type":"response.create"}"#.as_bytes().to_vec()),
    ] {
        client.socket.send(message.clone()).await.unwrap();
        let error = client.next().await;
        assert_eq!(error["error"]["code"], "invalid_frame", "{message}");
    }
    client.send(json!({ "type": "x" })).await;
    assert_eq!(far.next().await["type"], "x", "the first that passed");
}

#[tokio::test(start_paused = true)]
async fn money_that_is_spent_ends_the_session_whatever_was_asked_for() {
    let mut world = with_budget("0.10");
    let (mut client, mut far) = world.open().await;
    create(&mut client, "a").await;
    far.begin("r").await;
    far.end("r", 3).await;
    client.wait_for("response.done").await;
    create(&mut client, "never begun").await;
    // Another response, of which nobody was told that it began.
    far.next().await;
    far.next().await;
    far.end("other", 7).await;
    client.wait_for("response.done").await;
    ends_with(&mut client, &mut far, "budget_exhausted").await;
}

#[tokio::test(start_paused = true)]
async fn what_the_upstream_says_after_the_client_has_gone_is_counted() {
    let mut world = with_budget("1");
    let (mut client, mut far) = world.open().await;
    create(&mut client, "a").await;
    far.next().await;
    far.begin("r1").await;
    client.wait_for("response.created").await;
    create(&mut client, "b").await;
    far.next().await;
    client.socket.close(None).await.unwrap();
    assert_eq!(far.next().await["type"], "response.cancel");
    far.end("r1", 7).await;
    far.begin("r2").await;
    assert_eq!(far.next().await["type"], "response.cancel");
    far.end("r2", 2).await;
    assert_eq!(far.closed().await, None, "a close without a code");
    drop((client, far));
    world.idle().await;
    assert_eq!(world.spent(), usd("0.09"));
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_does_not_end_a_response_is_not_waited_for_longer_than_a_while() {
    let mut world = with_budget("1");
    let (mut client, mut far) = world.open().await;
    far.begin("r").await;
    client.wait_for("response.created").await;
    drop(client);
    let begun = tokio::time::Instant::now();
    assert_eq!(far.closed().await.unwrap().code, 1000_u16.into());
    assert_eq!(begun.elapsed().as_secs(), 3);
    world.idle().await;
    assert_eq!(world.spent(), usd("0.04"), "as much as was set aside");
}

#[tokio::test(start_paused = true)]
async fn with_a_budget_nothing_is_used_before_it_is_known_what_it_costs() {
    let mut world = with_budget("10");
    let mut transcribing = common::relay::request(KEY);
    *transcribing.uri_mut() = "ws://relay/v1/realtime?intent=transcription"
        .parse()
        .unwrap();
    let (mut client, mut far, _) = world.open_with(transcribing).await;
    let append = json!({ "type": "input_audio_buffer.append", "audio": "AAAA" });
    client.send(append.clone()).await;
    let error = client.next().await;
    assert_eq!(error["error"]["code"], "budget_unpriced");
    let update = json!({ "type": "transcription_session.update", "session": {} });
    client.send(update.clone()).await;
    assert_eq!(far.next().await, update, "the first that passed");
    far.send(
        json!({ "type": "transcription_session.updated", "session": {
        "input_audio_transcription": { "model": "test-whisper" } } }),
    )
    .await;
    client.wait_for("transcription_session.updated").await;
    far.send(json!({ "type": "x" })).await;
    client.wait_for("x").await;
    client.send(append.clone()).await;
    assert_eq!(far.next().await, append);
    client.send(json!({ "type": "response.create" })).await;
    let error = client.next().await;
    assert_eq!(error["error"]["code"], "budget_unpriced");
    far.send(json!({
        "type": "conversation.item.input_audio_transcription.completed",
        "usage": { "type": "duration", "seconds": 0.5 },
    }))
    .await;
    client
        .wait_for("conversation.item.input_audio_transcription.completed")
        .await;
    drop((client, far));
    world.idle().await;
    assert_eq!(world.spent(), usd("0.50"));
}

#[tokio::test(start_paused = true)]
async fn what_was_under_way_at_the_end_costs_what_was_set_aside() {
    let mut world = with_budget("1");
    let (mut client, mut far) = world.open().await;
    create(&mut client, "asked").await;
    far.next().await;
    far.begin("begun").await;
    create(&mut client, "asked again").await;
    far.next().await;
    client.wait_for("response.created").await;
    drop((client, far));
    world.idle().await;
    assert_eq!(world.spent(), usd("0.08"));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_ended_early_without_usage_costs_what_was_set_aside() {
    let mut world = with_budget("1");
    let (mut client, mut far) = world.open().await;
    far.begin("r").await;
    far.send(json!({
        "type": "response.done",
        "response": { "id": "r", "status": "cancelled", "usage": null },
    }))
    .await;
    client.wait_for("response.done").await;
    drop((client, far));
    world.idle().await;
    assert_eq!(world.spent(), usd("0.04"));
}

#[tokio::test(start_paused = true)]
async fn with_a_budget_what_cannot_be_priced_is_the_end() {
    for usage in [
        json!(null),
        json!({}),
        json!({ "input_tokens": -1, "output_tokens": 5 }),
        json!({ "input_tokens": 1, "output_tokens": 1,
            "input_token_details": { "image_tokens": 1 } }),
    ] {
        let mut world = with_budget("1");
        let (mut client, mut far) = world.open().await;
        far.begin("r").await;
        far.end_with("r", usage).await;
        ends_with(&mut client, &mut far, "budget_unpriced").await;
        let (status, code, _) = world.refused(KEY, "?model=test-model").await;
        assert_eq!((status, code.as_str()), (403, "budget_unpriced"));
    }
}

#[tokio::test(start_paused = true)]
async fn with_a_budget_a_model_without_a_price_is_not_used_at_all() {
    let mut world = with_budget("1");
    let (status, code, _) = world.refused(KEY, "?model=free-model").await;
    assert_eq!((status, code.as_str()), (403, "budget_unpriced"));
    let (mut client, mut far) = world.open().await;
    far.send(json!({ "type": "session.updated", "session": {
        "model": "test-model", "audio": { "input": { "transcription": { "model": "free" } } } } }))
        .await;
    ends_with(&mut client, &mut far, "budget_unpriced").await;
    drop((client, far));
    world.idle().await;
    // Nothing of it was used: the key is good for what has a price.
    world.open().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_budget_what_cannot_be_priced_is_counted() {
    let mut world = World::new(|_| {});
    let (mut client, mut far) = world.open().await;
    far.begin("r").await;
    far.end_with("r", json!({})).await;
    client.wait_for("response.done").await;
    client.send(json!({ "type": "x" })).await;
    far.next().await;
    let pipe = world.relay.connect_in_process();
    let text = Ask::get("/metrics").send_over(pipe).await.body;
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("kaiwa_relay_unpriced{key=\"app\"} 1\n"),
        "{text}"
    );
    assert_eq!(world.relay.sessions(), 1);
}

#[tokio::test(start_paused = true)]
async fn transcriptions_cost_what_their_own_model_costs() {
    for path in ["audio", "input_audio_transcription"] {
        let mut world = with_budget("10");
        let (mut client, mut far) = world.open().await;
        let transcription = json!({ "model": "test-whisper" });
        let session = match path {
            "audio" => json!({ "audio": { "input": { "transcription": transcription } } }),
            _ => json!({ "input_audio_transcription": transcription }),
        };
        far.send(json!({ "type": "session.updated", "session": session }))
            .await;
        far.send(json!({
            "type": "conversation.item.input_audio_transcription.completed",
            "item_id": "i", "transcript": "Hi.",
            "usage": { "type": "duration", "seconds": 0.5 },
        }))
        .await;
        client
            .wait_for("conversation.item.input_audio_transcription.completed")
            .await;
        drop((client, far));
        world.idle().await;
        assert_eq!(world.spent(), usd("0.50"), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_has_its_sessions_and_its_responses() {
    let mut world = World::with_key(|key| {
        key.max_sessions = Some(1);
        key.requests_per_minute = Some(2);
    });
    let (mut client, mut far) = world.open().await;
    let (status, code, _) = world.refused(KEY, "?model=test-model").await;
    assert_eq!((status, code.as_str()), (429, "session_limit_reached"));
    create(&mut client, "a").await;
    far.next().await;
    far.begin("r1").await;
    far.end("r1", 1).await;
    client.wait_for("response.done").await;
    create(&mut client, "b").await;
    far.next().await;
    create(&mut client, "c").await;
    let error = client.next().await;
    assert_eq!(error["error"]["code"], "rate_limit_exceeded");
    assert_eq!(error["error"]["event_id"], "c");
    // One that nobody asked for cannot be refused.
    far.begin("r2").await;
    far.begin("r3").await;
    ends_with(&mut client, &mut far, "rate_limit_exceeded").await;
    drop((client, far));
    world.idle().await;
    world.open().await;
}

#[tokio::test(start_paused = true)]
async fn a_key_is_for_its_models_and_for_no_other_way_to_name_one() {
    let mut world = World::with_key(|key| key.models = vec!["test-model".to_owned()]);
    for query in [
        "?model=other",
        "?model=other&model=test-model",
        "?deployment=other",
        "?%6dodel=other",
        "?intent=transcription",
    ] {
        let (status, code, _) = world.refused(KEY, query).await;
        assert_eq!(
            (status, code.as_str()),
            (403, "model_not_allowed"),
            "{query}"
        );
    }
    let (mut client, mut far) = world.open().await;
    for (frame, passes) in [
        (
            r#"{"type":"session.update","event_id":"u","session":{"model":"other"}}"#,
            false,
        ),
        (
            r#"{"t\u0079pe":"session.update","event_id":"u","session":{"model":"other"}}"#,
            false,
        ),
        (
            r#"{"type":"session.update","session":{"model":"test-model"}}"#,
            true,
        ),
        (
            r#"{"type":"session.update","session":{"instructions":"other"}}"#,
            true,
        ),
    ] {
        let event: Value = serde_json::from_str(frame).unwrap();
        let message = tokio_tungstenite::tungstenite::Message::text(frame);
        futures_util::SinkExt::send(&mut client.socket, message)
            .await
            .unwrap();
        if passes {
            assert_eq!(far.next().await, event);
        } else {
            let error = client.next().await;
            assert_eq!(error["error"]["code"], "model_not_allowed");
            assert_eq!(error["error"]["event_id"], "u");
        }
    }
    // A snapshot of it is the same model; another is not, however it came about.
    let session = |model: &str| json!({ "type": "session.updated", "session": { "model": model } });
    far.send(session("test-model-2026-11-23")).await;
    client.wait_for("session.updated").await;
    far.send(session("other")).await;
    ends_with(&mut client, &mut far, "model_not_allowed").await;
}

#[tokio::test(start_paused = true)]
async fn sums_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let world = || {
        World::new(|config| {
            config.keys[0].budget = Some(usd("0.10"));
            config.keys[0].period = Period::Month;
            config.reserve = usd("0.04");
            config.state = Some(folder.path().join("spent.json"));
        })
    };
    let mut before = world();
    let (mut client, mut far) = before.open().await;
    far.begin("r").await;
    far.end("r", 7).await;
    ends_with(&mut client, &mut far, "budget_exhausted").await;
    drop((client, far));
    before.relay.stop().await;
    assert_eq!(before.spent(), usd("0.07"));

    let after = world();
    assert_eq!(after.spent(), usd("0.07"));
    let (status, code, _) = after.refused(KEY, "?model=test-model").await;
    assert_eq!((status, code.as_str()), (429, "budget_exhausted"));
}
