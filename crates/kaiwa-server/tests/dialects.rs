//! The beta dialect, transcription sessions, and pings.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::StreamExt;
use kaiwa_server::ServerConfig;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{
    self, Message,
    client::IntoClientRequest,
    handshake::client::Request,
    http::{HeaderName, HeaderValue},
};

use common::{Client, Running, engines::Fakes, http::Ask, kinds, silence, text_of, tone, within};

async fn running() -> Running {
    Running::start(Fakes::new().engines(), ServerConfig::default()).await
}

fn request(running: &Running, query: &str, header: (&'static str, &'static str)) -> Request {
    let mut request = format!("ws://{}/v1/realtime{query}", running.address)
        .into_client_request()
        .unwrap();
    let (name, value) = header;
    request.headers_mut().insert(
        HeaderName::from_static(name),
        HeaderValue::from_static(value),
    );
    request
}

const BETA: (&str, &str) = ("openai-beta", "realtime=v1");

#[tokio::test]
async fn the_beta_is_spoken_to_who_asks_for_it() {
    let running = running().await;
    for header in [
        BETA,
        ("openai-beta", "assistants=v2, realtime=v1"),
        (
            "sec-websocket-protocol",
            "realtime, openai-beta.realtime-v1",
        ),
    ] {
        let request = request(
            &running,
            "?model=gpt-4o-realtime-preview-2024-10-01",
            header,
        );
        let (mut client, _) = running.try_open(request).await.unwrap();
        let created = client.next().await;
        assert_eq!(created["type"], "session.created");
        let session = &created["session"];
        assert_eq!(session["object"], "realtime.session");
        assert_eq!(session["model"], "gpt-4o-realtime-preview-2024-10-01");
        assert_eq!(session["modalities"], json!(["text", "audio"]));
        assert_eq!(session["input_audio_format"], "pcm16");
        assert!(session.get("type").is_none(), "{session}");
        let conversation = client.next().await;
        assert_eq!(conversation["type"], "conversation.created");
        assert!(conversation["event_id"].is_string());
        let id = conversation["conversation"]["id"].as_str().unwrap();
        assert!(id.starts_with("conv_"), "{id}");
    }
}

#[tokio::test]
async fn a_spoken_turn_in_the_beta_has_its_names_and_order() {
    let running = running().await;
    let request = request(&running, "", BETA);
    let (mut client, _) = running.try_open(request).await.unwrap();
    let update = json!({
        "voice": "echo",
        "input_audio_transcription": { "model": "whisper-1" },
        "turn_detection": { "type": "server_vad" },
        "temperature": 0.8,
        "max_response_output_tokens": "inf",
    });
    client
        .send(json!({ "type": "session.update", "session": update }))
        .await;
    let updated = client.wait_for("session.updated").await;
    assert_eq!(updated["session"]["voice"], "echo");
    client.append(&silence(300)).await;
    client.append(&tone(1200)).await;
    client.append(&silence(1000)).await;
    let events = client.until("response.done").await;
    let seen = kinds(&events);
    let positions: Vec<_> = [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.created",
        "response.created",
        "response.output_item.added",
        "response.content_part.added",
        "response.audio.delta",
        "response.audio.done",
        "response.audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ]
    .iter()
    .map(|kind| {
        let found = seen.iter().position(|seen| seen == kind);
        found.unwrap_or_else(|| panic!("no {kind} in {seen:?}"))
    })
    .collect();
    assert!(positions.is_sorted(), "{seen:?}");
    let newer = seen.iter().find(|kind| {
        kind.starts_with("response.output_audio")
            || kind.starts_with("response.output_text")
            || kind.starts_with("conversation.item.added")
            || kind.starts_with("conversation.item.done")
    });
    assert_eq!(newer, None);
    let text = text_of(&events, "response.audio_transcript.delta");
    assert_eq!(text, "You said: a tone.");
    assert!(!text_of(&events, "response.audio.delta").is_empty());
}

#[tokio::test]
async fn mistakes_in_the_beta_are_answered_and_the_session_goes_on() {
    let running = running().await;
    let request = request(&running, "", BETA);
    let (mut client, _) = running.try_open(request).await.unwrap();
    client.wait_for("conversation.created").await;
    for (event, code, param) in [
        (
            json!({ "type": "session.update", "session": { "speed": 9 } }),
            "invalid_value",
            "session.speed",
        ),
        (
            json!({ "type": "input_audio_buffer.append", "audio": "?" }),
            "invalid_value",
            "audio",
        ),
        (json!({ "type": "no.such.event" }), "invalid_value", "type"),
    ] {
        client.send(event.clone()).await;
        let error = client.next().await;
        assert_eq!(error["type"], "error", "{event}");
        assert_eq!(error["error"]["code"], code, "{event}");
        assert_eq!(error["error"]["param"], param, "{event}");
    }
    let done = client.answer("still there?").await;
    assert_eq!(done["response"]["status"], "completed");
}

#[tokio::test]
async fn a_transcription_session_transcribes_and_does_not_answer() {
    let running = running().await;
    let request = request(&running, "?intent=transcription", ("user-agent", "test"));
    let (mut client, _) = running.try_open(request).await.unwrap();
    let created = client.next().await;
    assert_eq!(created["session"]["type"], "transcription");
    assert_eq!(
        created["session"]["object"],
        "realtime.transcription_session"
    );
    let input = json!({ "transcription": { "model": "whisper-1" } });
    let session = json!({ "type": "transcription", "audio": { "input": input } });
    client
        .send(json!({ "type": "session.update", "session": session }))
        .await;
    client.wait_for("session.updated").await;
    client.append(&silence(300)).await;
    client.append(&tone(1200)).await;
    client.append(&silence(1000)).await;
    let events = client
        .until("conversation.item.input_audio_transcription.completed")
        .await;
    assert_eq!(events.last().unwrap()["transcript"], "a tone");
    client.send(json!({ "type": "response.create" })).await;
    let events = client.until("error").await;
    assert!(
        kinds(&events)
            .iter()
            .all(|kind| !kind.starts_with("response."))
    );
}

#[tokio::test]
async fn a_transcription_session_of_the_beta_has_its_names() {
    let running = running().await;
    let request = request(&running, "?intent=transcription", BETA);
    let (mut client, _) = running.try_open(request).await.unwrap();
    let created = client.next().await;
    assert_eq!(created["type"], "transcription_session.created");
    let session = json!({ "input_audio_transcription": { "model": "whisper-1" } });
    client
        .send(json!({ "type": "transcription_session.update", "session": session }))
        .await;
    // There is no conversation to announce.
    let updated = client.next().await;
    assert_eq!(
        updated["type"], "transcription_session.updated",
        "{updated}"
    );
    assert_eq!(
        updated["session"]["input_audio_transcription"]["model"],
        "whisper-1"
    );
}

#[tokio::test]
async fn another_intent_is_refused() {
    let running = running().await;
    let request = request(&running, "?intent=translation", BETA);
    match running.try_open(request).await {
        Err(tungstenite::Error::Http(response)) => {
            assert_eq!(response.status().as_u16(), 400);
            let body = response.body().as_deref().unwrap();
            let body: Value = serde_json::from_slice(body).unwrap();
            assert_eq!(body["error"]["param"], "intent");
        }
        other => panic!("expected a refusal, got {:?}", other.map(|_| "a session")),
    }
}

#[tokio::test]
async fn an_observer_is_told_the_dialect() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut config = ServerConfig::default();
    let all = Arc::clone(&seen);
    config.on_event = Some(Arc::new(move |session| {
        let name = session.dialect.as_str();
        let all = Arc::clone(&all);
        Box::new(move |_, frame| {
            let event: Value = serde_json::from_str(frame).expect("an event");
            let kind = event["type"].as_str().expect("a type").to_owned();
            all.lock().expect("no panics").push((name, kind));
        })
    }));
    let running = Running::start(Fakes::new().engines(), config).await;
    let request = request(&running, "", BETA);
    let (mut client, _) = running.try_open(request).await.unwrap();
    client.wait_for("conversation.created").await;
    let seen = seen.lock().unwrap();
    let expected = ["session.created", "conversation.created"];
    assert_eq!(*seen, expected.map(|kind| ("beta", kind.to_owned())));
}

#[tokio::test]
async fn a_silent_client_is_pinged() {
    let mut config = ServerConfig::default();
    config.ping_interval = Duration::from_millis(20);
    let running = Running::start(Fakes::new().engines(), config).await;
    let mut client = running.open().await;
    for _ in 0..2 {
        let message = within(client.socket.next()).await.unwrap().unwrap();
        assert!(matches!(message, Message::Ping(_)), "{message:?}");
    }
    let done = client.answer("still there?").await;
    assert_eq!(done["response"]["status"], "completed");
}

/// A session of the other dialect and requests beside it do not get into each other's way.
#[tokio::test]
async fn dialects_live_side_by_side() {
    let running = running().await;
    let request = request(&running, "", BETA);
    let (mut beta, _) = running.try_open(request).await.unwrap();
    beta.wait_for("conversation.created").await;
    let mut ga = running.open().await;
    let answer = async |client: &mut Client<_>, kind: &str| {
        client.ask("hello").await;
        let events = client.until("response.done").await;
        text_of(&events, kind)
    };
    let (old, new) = tokio::join!(
        answer(&mut beta, "response.audio_transcript.delta"),
        answer(&mut ga, "response.output_audio_transcript.delta"),
    );
    assert_eq!(
        (old.as_str(), new.as_str()),
        ("You said: hello.", "You said: hello.")
    );
    assert_eq!(
        Ask::get("/health").send(running.address).await.json()["sessions"],
        2
    );
    let metrics = Ask::get("/metrics").send(running.address).await;
    assert!(
        metrics
            .head
            .contains("content-type: application/openmetrics-text;")
    );
    let metrics = String::from_utf8(metrics.body).unwrap();
    for line in [
        "kaiwa_open{kind=\"session\"} 2",
        "kaiwa_sessions_total 2",
        "kaiwa_responses_total 2",
    ] {
        assert!(
            metrics.lines().any(|each| each == line),
            "{line} in {metrics}"
        );
    }
}
