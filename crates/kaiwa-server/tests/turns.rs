//! Conversations over a real socket.

mod common;

use std::sync::{Arc, Mutex, atomic::Ordering};

use kaiwa_server::{Engines, ServerConfig, TurnTimings};
use serde_json::json;

use common::{
    Running,
    engines::{Fakes, SAMPLES_PER_BYTE},
    kinds, silence, text_of, tone, within,
};

async fn running(fakes: &Arc<Fakes>) -> Running {
    Running::start(fakes.engines(), ServerConfig::default()).await
}

#[tokio::test]
async fn a_written_question_gets_a_written_answer() {
    let running = running(&Fakes::new()).await;
    let mut client = running.open().await;
    client
        .update(json!({ "output_modalities": ["text"] }))
        .await;
    client.ask("Good day").await;
    let events = client.until("response.done").await;
    assert_eq!(
        text_of(&events, "response.output_text.delta"),
        "You said: Good day."
    );
    let done = &events.last().unwrap()["response"];
    assert_eq!(done["status"], "completed");
    assert_eq!(done["usage"]["output_tokens"], 5);
}

#[tokio::test]
async fn a_spoken_question_gets_a_spoken_answer() {
    let turns: Arc<Mutex<Vec<TurnTimings>>> = Arc::default();
    let mut config = ServerConfig::default();
    let log = Arc::clone(&turns);
    config.on_turn = Some(Arc::new(move |timings| {
        log.lock().unwrap().push(timings.clone());
    }));
    let running = Running::start(Fakes::new().engines(), config).await;
    let mut client = running.open().await;
    client
        .update(json!({ "audio": { "input": { "transcription": { "model": "whisper-1" } } } }))
        .await;
    client.append(&silence(300)).await;
    client.append(&tone(1200)).await;
    client.append(&silence(1000)).await;
    let events = client.until("response.done").await;
    let kinds = kinds(&events);
    let position = |kind: &str| {
        kinds
            .iter()
            .position(|k| *k == kind)
            .unwrap_or_else(|| panic!("no {kind} in {kinds:?}"))
    };
    assert!(
        position("input_audio_buffer.speech_started") < position("input_audio_buffer.committed")
    );
    assert!(position("input_audio_buffer.committed") < position("response.created"));
    let transcript = &events[position("conversation.item.input_audio_transcription.completed")];
    assert_eq!(transcript["transcript"], "a tone");
    let said = text_of(&events, "response.output_audio_transcript.delta");
    assert_eq!(said, "You said: a tone.");
    let audio: usize = events
        .iter()
        .filter(|event| event["type"] == "response.output_audio.delta")
        .map(|event| common::decoded(event["delta"].as_str().unwrap()).len())
        .sum();
    assert!(
        audio >= said.len() * SAMPLES_PER_BYTE * 2,
        "{audio} bytes of speech"
    );

    let turns = turns.lock().unwrap();
    let [turn] = turns.as_slice() else {
        panic!("expected one turn, got {turns:?}");
    };
    assert_eq!(turn.response_id, events.last().unwrap()["response"]["id"]);
    let committed = &events[position("input_audio_buffer.committed")];
    assert_eq!(turn.item_id.as_deref(), committed["item_id"].as_str());
    assert!(turn.speech_end.unwrap() <= 0, "{turn:?}");
    let steps = [
        turn.transcribed,
        turn.first_text,
        turn.first_clause,
        turn.first_speech,
        turn.first_audio,
        Some(turn.done),
    ]
    .map(Option::unwrap);
    assert!(steps.is_sorted(), "{turn:?}");
}

#[tokio::test]
async fn a_turn_is_reported_when_its_client_leaves_in_the_middle_of_the_answer() {
    let (sender, mut turns) = tokio::sync::mpsc::unbounded_channel();
    let mut config = ServerConfig::default();
    config.on_turn = Some(Arc::new(move |timings| {
        let _ = sender.send(timings.clone());
    }));
    let running = Running::start(Fakes::new().engines(), config).await;
    let mut client = running.open().await;
    client.ask("talk forever").await;
    let delta = client.wait_for("response.output_audio.delta").await;
    drop(client);
    let turn = within(turns.recv()).await.unwrap();
    assert_eq!(turn.response_id, delta["response_id"]);
    assert!(turn.first_audio.is_some(), "{turn:?}");
}

#[tokio::test]
async fn cancelling_ends_the_answer_and_stops_the_engine() {
    let fakes = Fakes::new();
    let running = running(&fakes).await;
    let mut client = running.open().await;
    client
        .update(json!({ "output_modalities": ["text"] }))
        .await;
    client.ask("talk forever").await;
    client.wait_for("response.output_text.delta").await;
    client.send(json!({ "type": "response.cancel" })).await;
    let done = client.wait_for("response.done").await;
    assert_eq!(done["response"]["status"], "cancelled");
    within(async {
        while fakes.stopped.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let done = client.answer("again").await;
    assert_eq!(done["response"]["status"], "completed");
}

#[tokio::test]
async fn speaking_interrupts_an_endless_answer() {
    let fakes = Fakes::new();
    let running = running(&fakes).await;
    let mut client = running.open().await;
    client.ask("talk forever").await;
    client.wait_for("response.output_audio.delta").await;
    client.append(&tone(800)).await;
    client.wait_for("input_audio_buffer.speech_started").await;
    let done = client.wait_for("response.done").await;
    assert_eq!(
        done["response"]["status_details"]["reason"],
        "turn_detected"
    );
    client.append(&silence(1000)).await;
    client.wait_for("input_audio_buffer.committed").await;
    let done = client.wait_for("response.done").await;
    assert_eq!(done["response"]["status"], "completed");
}

#[tokio::test]
async fn sessions_do_not_know_of_each_other() {
    let fakes = Fakes::new();
    let running = running(&fakes).await;
    let (mut one, mut two) = (running.open().await, running.open().await);
    for client in [&mut one, &mut two] {
        client
            .update(json!({ "output_modalities": ["text"] }))
            .await;
    }
    one.ask("talk forever").await;
    one.wait_for("response.output_text.delta").await;
    two.ask("hello").await;
    let events = two.until("response.done").await;
    assert_eq!(
        text_of(&events, "response.output_text.delta"),
        "You said: hello."
    );
    one.send(json!({ "type": "response.cancel" })).await;
    let done = one.wait_for("response.done").await;
    assert_eq!(done["response"]["status"], "cancelled");
    drop((one, two));
    running.idle().await;
    let conversations = fakes.conversations.lock().unwrap().clone();
    assert_eq!(conversations.len(), 2);
    assert_ne!(conversations[0], conversations[1]);
    within(async {
        while fakes.forgotten.lock().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_engine_that_fails_or_panics_costs_one_answer() {
    let running = running(&Fakes::new()).await;
    let mut client = running.open().await;
    let mut other = running.open().await;
    for (question, message) in [
        ("fail", "the fake language model fails."),
        ("panic", "An internal error stopped the language model."),
        ("mute", "the fake voice is mute."),
    ] {
        let done = client.answer(question).await;
        assert_eq!(done["response"]["status"], "failed", "{question}");
        let error = &done["response"]["status_details"]["error"];
        assert_eq!(error["code"], "server_error", "{question}");
        if let Some(told) = error["message"].as_str() {
            assert_eq!(told, message);
        }
        let done = client.answer("still there?").await;
        assert_eq!(done["response"]["status"], "completed", "after {question}");
    }
    let done = other.answer("and you?").await;
    assert_eq!(done["response"]["status"], "completed");
}

#[tokio::test]
async fn a_detector_that_panics_ends_its_session_only() {
    let fakes = Fakes::new();
    let engines = Engines {
        voice_activity: Arc::new(|| panic!("the fake detector panics on purpose")),
        ..fakes.engines()
    };
    let running = Running::start(engines, ServerConfig::default()).await;
    let mut client = running.open().await;
    client.append(&silence(100)).await;
    let error = client.wait_for("error").await;
    assert_eq!(error["error"]["code"], "server_error");
    let closed = client.closed().await.unwrap();
    assert_eq!(u16::from(closed.code), 1011);
    let mut other = running.open().await;
    let done = other.answer("still there?").await;
    assert_eq!(done["response"]["status"], "completed");
}

#[tokio::test]
async fn a_client_that_vanishes_frees_its_jobs() {
    let fakes = Fakes::new();
    let running = running(&fakes).await;
    let mut client = running.open().await;
    client
        .update(json!({ "output_modalities": ["text"] }))
        .await;
    client.ask("talk forever").await;
    client.wait_for("response.output_text.delta").await;
    // No closing handshake.
    drop(client);
    running.idle().await;
    within(async {
        while fakes.stopped.load(Ordering::SeqCst) == 0
            || fakes.forgotten.lock().unwrap().is_empty()
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let conversations = fakes.conversations.lock().unwrap().clone();
    assert_eq!(*fakes.forgotten.lock().unwrap(), conversations);
}
