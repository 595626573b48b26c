//! Transcription sessions, and configurations bound to a session before it begins.

use kaiwa_session::{Session, SessionOptions, Timer, effective};
use serde_json::{Value, json};

use crate::harness::{Harness, test_options, wire_session};

/// A transcription session with a transcriber.
fn transcribing() -> Harness {
    Harness::configured(json!({"type": "transcription", "audio": {"input": {
        "transcription": {"model": "gpt-4o-transcribe", "language": "en"}}}}))
}

/// The code and the path of the fault in a configuration.
fn fault(session: Value) -> (String, String) {
    let error = Session::configured(SessionOptions::default(), wire_session(&session))
        .expect_err("it is refused");
    assert_eq!(
        effective(&SessionOptions::default(), &wire_session(&session)),
        Err(error.clone())
    );
    (
        error.code.unwrap_or_default(),
        error.param.unwrap_or_default(),
    )
}

#[test]
fn speech_becomes_text_and_nothing_answers() {
    let mut harness = transcribing();
    harness.transcripts.push_back(Ok("What time is it?"));
    harness.audio(640, false);
    harness.audio(960, true);
    harness.audio(640, false);
    insta::assert_snapshot!(harness.record());
    assert_eq!(
        harness.session.next_timeout().map(|(_, timer)| timer),
        Some(Timer::Expiry)
    );
}

#[test]
fn a_transcription_session_shows_what_it_has() {
    let harness = transcribing();
    let session = &harness.last("session.created")["session"];
    assert_eq!(session["type"], "transcription");
    assert_eq!(session["object"], "realtime.transcription_session");
    assert_eq!(session["expires_at"], 1_003_600);
    assert_eq!(
        session["audio"],
        json!({"input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "transcription": {"model": "gpt-4o-transcribe", "language": "en"},
            "noise_reduction": null,
            "turn_detection": {"type": "server_vad", "threshold": 0.5,
                "prefix_padding_ms": 300, "silence_duration_ms": 320}}})
    );
    let mut keys: Vec<_> = session.as_object().expect("an object").keys().collect();
    keys.sort();
    assert_eq!(
        keys,
        ["audio", "expires_at", "id", "include", "object", "type"]
    );
}

#[test]
fn an_update_changes_what_it_names_and_keeps_the_type() {
    let mut harness = transcribing();
    harness.client(
        json!({"type": "session.update", "session": {"type": "transcription",
        "include": ["item.input_audio_transcription.logprobs"],
        "audio": {"input": {"format": {"type": "audio/pcmu"}, "turn_detection": {
            "type": "semantic_vad", "eagerness": "high", "create_response": true}}}}}),
    );
    let session = &harness.last("session.updated")["session"];
    let input = &session["audio"]["input"];
    assert_eq!(input["format"], json!({"type": "audio/pcmu"}));
    assert_eq!(input["transcription"]["model"], "gpt-4o-transcribe");
    assert_eq!(
        input["turn_detection"],
        json!({"type": "semantic_vad", "eagerness": "high"})
    );
    assert_eq!(
        session["include"],
        json!(["item.input_audio_transcription.logprobs"])
    );
    for (session, code, param) in [
        (
            json!({"type": "realtime", "instructions": "Sing."}),
            "invalid_value",
            "session.type",
        ),
        (
            json!({"type": "telepathy"}),
            "invalid_value",
            "session.type",
        ),
        (
            json!({"type": "transcription", "instructions": "Sing."}),
            "unknown_parameter",
            "session.instructions",
        ),
        (
            json!({"type": "transcription", "audio": {"output": {"voice": "echo"}}}),
            "unknown_parameter",
            "session.audio.output",
        ),
    ] {
        harness.client(json!({"type": "session.update", "event_id": "u", "session": session}));
        let error = &harness.last("error")["error"];
        assert_eq!(
            (&error["code"], &error["param"]),
            (&json!(code), &json!(param))
        );
        assert_eq!(error["event_id"], "u");
    }
    assert_eq!(harness.sent("session.updated").len(), 1);
}

#[test]
fn responses_are_refused() {
    let mut harness = transcribing();
    for kind in ["response.create", "response.cancel"] {
        harness.client(json!({"type": kind, "event_id": "r"}));
        let error = &harness.last("error")["error"];
        assert_eq!(error["code"], "invalid_value");
        assert_eq!(error["param"], "type");
        assert_eq!(error["event_id"], "r");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(kind), "{message}");
        assert!(message.contains("makes no responses"), "{message}");
    }
    assert!(harness.sent("response.created").is_empty());
}

#[test]
fn a_commit_by_hand_is_transcribed() {
    let mut harness = transcribing();
    harness.client(
        json!({"type": "session.update", "session": {"type": "transcription",
        "audio": {"input": {"turn_detection": null}}}}),
    );
    harness.transcripts.push_back(Ok("hello"));
    harness.audio(640, true);
    let from = harness.events.len();
    harness.client(json!({"type": "input_audio_buffer.commit"}));
    assert_eq!(
        harness.kinds(from),
        [
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "conversation.item.input_audio_transcription.delta",
            "conversation.item.input_audio_transcription.completed",
        ]
    );
    let item = harness.last("input_audio_buffer.committed")["item_id"].clone();
    harness.client(json!({"type": "conversation.item.retrieve", "item_id": item}));
    let content = &harness.last("conversation.item.retrieved")["item"]["content"][0];
    assert_eq!(content["transcript"], "hello");
}

#[test]
fn without_a_transcriber_turns_are_found_and_not_transcribed() {
    let mut harness = Harness::configured(json!({"type": "transcription"}));
    harness.by_hand = true;
    harness.audio(640, true);
    harness.audio(640, false);
    assert_eq!(harness.sent("conversation.item.done").len(), 1);
    assert!(harness.jobs.is_empty(), "{:?}", harness.jobs);
}

#[test]
fn a_session_begins_with_the_configuration_bound_to_it() {
    let mut harness = Harness::configured(json!({"type": "realtime", "model": "bound",
        "instructions": "Sing.", "audio": {"output": {"voice": "echo"}}}));
    let session = harness.last("session.created")["session"].clone();
    assert_eq!(session["model"], "bound");
    assert_eq!(session["instructions"], "Sing.");
    assert_eq!(session["audio"]["output"]["voice"], "echo");
    assert_eq!(session["audio"]["output"]["speed"], 1.0);
    harness.say("hi");
    assert_eq!(
        harness.last("response.done")["response"]["status"],
        "completed"
    );
}

#[test]
fn the_effective_configuration_is_that_of_the_session_to_come() {
    for session in [
        json!({"type": "realtime", "instructions": "Sing."}),
        json!({"type": "transcription", "audio": {"input": {"turn_detection": null}}}),
    ] {
        let shown = effective(&test_options(), &wire_session(&session)).expect("accepted");
        let shown = serde_json::to_value(&shown).expect("serialises");
        let mut created = Harness::configured(session).last("session.created")["session"].clone();
        created["expires_at"] = json!(0);
        created.as_object_mut().expect("an object").remove("id");
        assert_eq!(shown, created);
    }
}

#[test]
fn faults_in_a_bound_configuration_are_named() {
    for (session, code, param) in [
        (
            json!({"type": "realtime", "nonsense": 1}),
            "unknown_parameter",
            "session.nonsense",
        ),
        (
            json!({"type": "transcription", "tools": []}),
            "unknown_parameter",
            "session.tools",
        ),
        (
            json!({"type": "telepathy"}),
            "invalid_value",
            "session.type",
        ),
    ] {
        assert_eq!(fault(session), (code.to_owned(), param.to_owned()));
    }
}
