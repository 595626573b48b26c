use std::time::Duration;

use serde_json::json;

use super::*;
use crate::card::{FileCard, Mic, Speaker};
use crate::testing::{connected, script};

#[tokio::test(start_paused = true)]
async fn a_lost_connection_ends_the_conversation_with_a_sentence() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let (link, mut server) = connected().await;
    let card = FileCard::builder()
        .mic(Mic::clip(tone(60_000)))
        .record(file.path())
        .build()
        .expect("a card");
    let (conversation, _handle) = Conversation::start(link, card, ConversationConfig::default());
    let server = script(async move {
        server.open().await;
        server.hear(500).await;
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    let EndReason::ConnectionLost { message } = reason(&moments) else {
        panic!("{:?}", reason(&moments));
    };
    assert!(
        message.starts_with("the connection was lost: "),
        "{message}"
    );
    assert!(reason(&moments).is_error());
    let wav = Clip::open(file.path()).expect("playable");
    assert!(wav.duration_ms() >= 500);
}

#[tokio::test(start_paused = true)]
async fn a_close_is_told_with_code_and_reason() {
    let (conversation, _handle, mut server) = started().await;
    let server = script(async move {
        server.open().await;
        server.close(1001, "maintenance").await;
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(
        reason(&moments),
        &EndReason::Closed {
            message: "the server closed the connection (code 1001: maintenance)".to_owned(),
            code: Some(1001)
        }
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_refused_after_the_handshake_is_a_rejection() {
    // Some servers name the configuration, which came first; it is not at fault. Some do not
    // close the connection.
    for (names_event, closes) in [(true, true), (false, true), (false, false)] {
        let (conversation, _handle, mut server) = started().await;
        let server = script(async move {
            let update = server.expect("session.update").await;
            let named = if names_event { update } else { json!({}) };
            server
                .refuse(&named, "invalid_api_key", "Incorrect API key provided")
                .await;
            if closes {
                let reason = "invalid_request_error.invalid_api_key";
                server.close(3000, reason).await;
            } else {
                assert!(server.next().await.is_none());
            }
        });
        let moments = all(conversation).await;
        server.await.expect("the script");
        assert_eq!(
            reason(&moments),
            &EndReason::Rejected {
                message: "Incorrect API key provided".to_owned(),
                code: Some("invalid_api_key".to_owned())
            }
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_configuration_ends_the_conversation_with_what_is_at_fault() {
    // Some servers name the event, others only the setting.
    for names_event in [true, false] {
        let (conversation, mut server) = having_typed("Hello").await;
        let server = script(async move {
            server
                .send(
                    json!({"type": "session.created", "session": {"type": "realtime", "id": "s"}}),
                )
                .await;
            let update = server.expect("session.update").await;
            let event_id = names_event.then(|| update["event_id"].clone());
            server
                .send(
                    json!({"type": "error", "error": {"type": "invalid_request_error",
                    "code": "invalid_value", "message": "Invalid value: 'nobody'.",
                    "param": "session.audio.output.voice", "event_id": event_id}}),
                )
                .await;
            // It is not talked to under a configuration that nobody wanted.
            assert!(server.next().await.is_none());
        });
        let moments = all(conversation).await;
        server.await.expect("the script");
        assert_eq!(
            reason(&moments),
            &EndReason::Refused {
                message: "the server refused the session's configuration: Invalid value: 'nobody'."
                    .to_owned(),
                code: Some("invalid_value".to_owned()),
                param: Some("session.audio.output.voice".to_owned()),
            }
        );
        assert!(reason(&moments).is_error());
    }
}

#[tokio::test(start_paused = true)]
async fn an_update_refused_after_one_was_taken_is_told_and_the_conversation_goes_on() {
    let (conversation, mut server) = having_typed("Hello").await;
    let server = script(async move {
        let update = server.open().await;
        server
            .send(
                json!({"type": "error", "error": {"type": "invalid_request_error",
                "code": "cannot_update_voice", "message": "Too late.",
                "param": "session.audio.output.voice", "event_id": update["event_id"]}}),
            )
            .await;
        server.asked().await;
        server.begin_response("resp_1").await;
        server.end_response("resp_1", "completed").await;
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    let told = events(&moments).into_iter().find_map(|event| match event {
        Event::Error { message, .. } => Some(message.as_str()),
        _ => None,
    });
    assert_eq!(told, Some("Too late."));
    assert_eq!(reason(&moments), &EndReason::InputEnded);
}

#[tokio::test(start_paused = true)]
async fn frames_that_are_not_events_are_warnings() {
    let (conversation, mut server) = having_typed("Hello").await;
    let server = script(async move {
        server.open().await;
        server.send_text("not json").await;
        server.send_text("[1, 2]").await;
        server.send_text(r#"{"no": "type"}"#).await;
        server
            .send_text(r#"{"type": "response.done", "response": "none"}"#)
            .await;
        server.send_binary(vec![0xff; 10]).await;
        server
            .send(json!({"type": "something.new", "with": {"any": "thing"}}))
            .await;
        server.asked().await;
        server.begin_response("resp_1").await;
        server.end_response("resp_1", "completed").await;
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    let warnings = moments
        .iter()
        .filter(|moment| matches!(moment.event, Event::Warning { .. }));
    assert_eq!(warnings.count(), 5);
    assert_eq!(reason(&moments), &EndReason::InputEnded);
}

#[tokio::test(start_paused = true)]
async fn stop_leaves_a_playable_recording_of_both_sides() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let (link, mut server) = connected().await;
    let card = FileCard::builder()
        .mic(Mic::clip(tone(60_000)))
        .record(file.path())
        .build()
        .expect("a card");
    let (mut conversation, handle) = Conversation::start(link, card, ConversationConfig::default());
    handle.say("Hello").expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("resp_1").await;
        server.speak("resp_1", "a", "A long answer", 10_000).await;
        assert!(server.next().await.is_none());
    });
    let started = until(&mut conversation, |event| match event {
        Event::AssistantSpeechStarted { ms, .. } => Some(*ms),
        _ => None,
    })
    .await;
    pass(Duration::from_millis(2500)).await;
    handle.stop();
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(reason(&moments), &EndReason::Stopped);
    let wav = Clip::open(file.path()).expect("playable");
    assert_eq!(wav.channels, 2);
    let length = wav.duration_ms();
    assert!(
        (started + 2480..started + 2560).contains(&length),
        "{length} ms"
    );
    // Both sides to the last sample: half of 0.5 and 0.25.
    assert_eq!(wav.samples.last(), Some(&0.375));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stalls_does_not_keep_the_conversation_from_ending() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let (link, mut server) = connected().await;
    let (_reader, writer) = tokio::io::duplex(1000);
    let card = FileCard::builder()
        .speaker(Speaker::stream(writer))
        .record(file.path())
        .build()
        .expect("a card");
    let (conversation, handle) = Conversation::start(link, card, ConversationConfig::default());
    let server = script(async move {
        server.open().await;
        server.hear_for(500).await;
        handle.stop();
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(reason(&moments), &EndReason::Stopped);
    // The card has stood still since the pipe was full, but what there is can be played.
    Clip::open(file.path()).expect("playable");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_conversation_ends_it() {
    let (conversation, handle, mut server) = started().await;
    server.open().await;
    drop(conversation);
    assert!(server.next().await.is_none());
    while handle.say("still there?").is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_recording_in_which_nothing_is_heard_ends() {
    let (link, mut server) = connected().await;
    let card = FileCard::builder()
        .mic(Mic::clip(tone(500)))
        .build()
        .expect("a card");
    let (conversation, handle) = Conversation::start(link, card, ConversationConfig::default());
    drop(handle);
    let server = script(async move {
        server.open().await;
        let begun = Instant::now();
        assert!(server.next().await.is_none());
        begun.elapsed().as_millis()
    });
    let moments = all(conversation).await;
    assert_eq!(reason(&moments), &EndReason::NothingHeard);
    let waited = server.await.expect("the script");
    // The recording, two seconds of silence, three of patience.
    assert!((5480..5560).contains(&waited), "{waited} ms");
}

#[tokio::test(start_paused = true)]
async fn a_turn_in_which_nothing_was_understood_is_not_waited_for_long() {
    let (link, mut server) = connected().await;
    let card = FileCard::builder()
        .mic(Mic::clip(tone(500)))
        .build()
        .expect("a card");
    let (conversation, handle) = Conversation::start(link, card, ConversationConfig::default());
    drop(handle);
    let server = script(async move {
        server.open().await;
        server.hear(700).await;
        for event in [
            json!({"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": "u"}),
            json!({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 700, "item_id": "u"}),
            json!({"type": "input_audio_buffer.committed", "item_id": "u"}),
            json!({"type": "conversation.item.input_audio_transcription.completed", "item_id": "u",
                "content_index": 0, "transcript": "", "usage": {"type": "duration", "seconds": 1}}),
        ] {
            server.send(event).await;
        }
        let begun = Instant::now();
        assert!(server.next().await.is_none());
        begun.elapsed().as_millis()
    });
    let moments = all(conversation).await;
    assert_eq!(reason(&moments), &EndReason::InputEnded);
    let waited = server.await.expect("the script");
    assert!(waited < 5000, "{waited} ms");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_owes_an_answer_is_not_waited_for_forever() {
    let (conversation, mut server) = having_typed("Hello").await;
    let server = script(async move {
        server.open().await;
        server.asked().await;
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(
        reason(&moments),
        &EndReason::TimedOut {
            message: "the server has owed an answer for 60 s and says nothing".to_owned()
        }
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_asked_nothing_for_long_has_its_time_to_answer() {
    let (mut conversation, handle, mut server) = started().await;
    let server = script(async move {
        server.open().await;
        server.asked().await;
        assert!(server.next().await.is_none());
    });
    until(&mut conversation, |event| {
        matches!(event, Event::Connected { .. }).then_some(())
    })
    .await;
    pass(Duration::from_secs(70)).await;
    let asked = Instant::now();
    handle.say("Hello").expect("is taken");
    handle.finish().expect("is taken");
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert!(matches!(reason(&moments), EndReason::TimedOut { .. }));
    let waited = asked.elapsed().as_secs();
    assert!((59..62).contains(&waited), "{waited} s");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_refused_is_no_success() {
    let (conversation, mut server) = having_typed("Hello").await;
    let server = script(async move {
        server.open().await;
        let asked = server.asked().await;
        server.refuse(&asked, "invalid_value", "Not today.").await;
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(
        reason(&moments),
        &EndReason::Rejected {
            message: "Not today.".to_owned(),
            code: Some("invalid_value".to_owned())
        }
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_open_the_session_is_given_up() {
    // One says nothing at all, one speaks the beta and then says no more.
    for speaks_beta in [false, true] {
        let (conversation, _handle, mut server) = started().await;
        let server = script(async move {
            let update = server.expect("session.update").await;
            if speaks_beta {
                server
                    .send(
                        json!({"type": "error", "error": {"type": "invalid_request_error",
                        "code": "unknown_parameter", "message": "Unknown parameter.",
                        "param": "session.type", "event_id": update["event_id"]}}),
                    )
                    .await;
                server.expect("session.update").await;
            }
            assert!(server.next().await.is_none());
        });
        let moments = all(conversation).await;
        server.await.expect("the script");
        assert!(
            matches!(reason(&moments), EndReason::TimedOut { .. }),
            "{moments:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_trace_sees_every_event_of_both_sides() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let (link, mut server) = connected().await;
    let card = FileCard::builder()
        .mic(Mic::clip(tone(20)))
        .build()
        .expect("a card");
    let config = ConversationConfig {
        trace: Some(Box::new(move |entry| {
            let line = serde_json::to_value(entry).expect("JSON");
            sink.lock().expect("a lock").push(line);
        })),
        ..ConversationConfig::default()
    };
    let (conversation, handle) = Conversation::start(link, card, config);
    let server = script(async move {
        server.open().await;
        server.hear(40).await;
        handle.stop();
        assert!(server.next().await.is_none());
    });
    all(conversation).await;
    server.await.expect("the script");
    let seen = seen.lock().expect("a lock");
    let kinds: Vec<(&str, &str)> = seen
        .iter()
        .map(|line| {
            (
                line["direction"].as_str().expect("a direction"),
                line["json"]["type"].as_str().expect("a type"),
            )
        })
        .collect();
    assert_eq!(
        kinds[..4],
        [
            ("sent", "session.update"),
            ("received", "session.created"),
            ("received", "session.updated"),
            ("sent", "input_audio_buffer.append"),
        ]
    );
    assert_eq!(seen[3]["at_ms"], 20);
}

#[test]
fn events_are_flat_objects_with_a_type() {
    let moment = Moment {
        at_ms: 7,
        event: Event::Ended {
            reason: EndReason::Closed {
                message: "gone".to_owned(),
                code: Some(1001),
            },
        },
    };
    assert_eq!(
        serde_json::to_value(&moment).expect("JSON"),
        json!({"at_ms": 7, "type": "ended", "reason": "closed", "message": "gone", "code": 1001})
    );
}
