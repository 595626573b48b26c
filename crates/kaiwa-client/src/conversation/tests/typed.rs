use serde_json::json;

use super::*;
use crate::card::FileCard;
use crate::testing::{connected, script};

#[tokio::test(start_paused = true)]
async fn a_typed_turn_is_answered_in_text() {
    let (link, mut server) = connected().await;
    let card = FileCard::builder().build().expect("a card");
    let config = ConversationConfig {
        instructions: Some("Be brief.".to_owned()),
        voice: Some("marin".to_owned()),
        output: OutputMode::Text,
        turn: Turn::None,
        ..ConversationConfig::default()
    };
    let (conversation, handle) = Conversation::start(link, card, config);
    handle.say("Hello?").expect("is taken");
    handle.finish().expect("is taken");
    let server = script(async move {
        let update = server.open().await;
        assert_eq!(update["session"]["type"], "realtime");
        assert_eq!(update["session"]["instructions"], "Be brief.");
        assert_eq!(update["session"]["output_modalities"], json!(["text"]));
        assert_eq!(update["session"]["audio"]["output"]["voice"], "marin");
        assert!(update["session"]["audio"]["input"]["turn_detection"].is_null());
        let item = server.expect("conversation.item.create").await;
        assert_eq!(item["item"]["role"], "user");
        assert_eq!(
            item["item"]["content"],
            json!([{"type": "input_text", "text": "Hello?"}])
        );
        server.expect("response.create").await;
        server.begin_response("resp_1").await;
        for delta in ["Hello", " you."] {
            server
                .send(
                    json!({"type": "response.output_text.delta", "response_id": "resp_1",
                    "item_id": "a", "output_index": 0, "content_index": 0, "delta": delta}),
                )
                .await;
        }
        server
            .send(
                json!({"type": "response.output_text.done", "response_id": "resp_1",
                "item_id": "a", "output_index": 0, "content_index": 0, "text": "Hello you."}),
            )
            .await;
        server.end_response("resp_1", "completed").await;
        assert!(server.next().await.is_none());
        assert!(server.heard.is_empty(), "there is no microphone");
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(
        events(&moments),
        [
            &Event::Connected {
                session: "sess_1".to_owned(),
                model: Some("fake".to_owned())
            },
            &Event::UserTranscriptDone {
                item: "typed_0001".to_owned(),
                text: "Hello?".to_owned(),
                typed: true
            },
            &Event::AssistantDelta {
                item: "a".to_owned(),
                text: "Hello".to_owned()
            },
            &Event::AssistantDelta {
                item: "a".to_owned(),
                text: " you.".to_owned()
            },
            &Event::AssistantDone {
                item: "a".to_owned(),
                text: "Hello you.".to_owned()
            },
            &Event::ResponseDone {
                response: "resp_1".to_owned(),
                status: "completed".to_owned(),
                reason: None,
                usage: Some(Usage {
                    input_tokens: 4,
                    cached_tokens: 0,
                    output_tokens: 3,
                    total_tokens: 7
                })
            },
            &Event::Ended {
                reason: EndReason::InputEnded
            },
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_next_typed_turn_waits_until_the_answer_was_played() {
    let (conversation, handle, mut server) = started().await;
    handle.say_next("One").expect("is taken");
    handle.say_next("Two").expect("is taken");
    drop(handle);
    let server = script(async move {
        server.open().await;
        server.asked().await;
        let begun = Instant::now();
        server.begin_response("resp_1").await;
        server.speak("resp_1", "a", "A long answer", 3000).await;
        server.spoken("resp_1", "a", "A long answer").await;
        server.end_response("resp_1", "completed").await;
        let second = server.expect("conversation.item.create").await;
        assert_eq!(second["item"]["content"][0]["text"], "Two");
        let waited = begun.elapsed().as_millis();
        assert!((3000..3100).contains(&waited), "{waited} ms");
        server.expect("response.create").await;
        server.begin_response("resp_2").await;
        server.end_response("resp_2", "completed").await;
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(reason(&moments), &EndReason::InputEnded);
    assert!(
        events(&moments).contains(&&Event::AssistantSpeechStopped {
            item: "a".to_owned(),
            played_ms: 3000
        }),
        "{moments:#?}"
    );
    // The typed turn's latency runs from its sending.
    let latency = latency(&moments);
    assert!(latency.typed);
    assert!(latency.total_ms <= 40, "{latency:?}");
}

#[tokio::test(start_paused = true)]
async fn a_typed_turn_interrupts_and_waits_for_the_running_response_to_end() {
    let (mut conversation, handle, mut server) = started().await;
    handle.say("One").expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("resp_1").await;
        server.speak("resp_1", "a", "A long answer", 3000).await;
        let cancel = server.expect("response.cancel").await;
        assert_eq!(cancel["response_id"], "resp_1");
        let truncate = server.expect("conversation.item.truncate").await;
        assert_eq!(truncate["item_id"], "a");
        // Nothing is asked for while the response is running.
        server.hear_for(5000).await;
        server.end_response("resp_1", "cancelled").await;
        let item = server.expect("conversation.item.create").await;
        assert_eq!(item["item"]["content"][0]["text"], "Two");
        server.expect("response.create").await;
        server.begin_response("resp_2").await;
        server.end_response("resp_2", "completed").await;
        assert!(server.next().await.is_none());
        truncate["audio_end_ms"].as_u64()
    });
    until(&mut conversation, |event| {
        matches!(event, Event::AssistantSpeechStarted { .. }).then_some(())
    })
    .await;
    handle.say("Two").expect("is taken");
    handle.finish().expect("is taken");
    let moments = all(conversation).await;
    let truncated_at = server.await.expect("the script");
    let heard = moments.iter().find_map(|moment| match &moment.event {
        Event::Heard { item, ms, .. } if item == "a" => Some(*ms),
        _ => None,
    });
    assert_eq!(heard, truncated_at);
    assert_eq!(reason(&moments), &EndReason::InputEnded);
}

#[tokio::test(start_paused = true)]
async fn a_response_the_server_began_first_is_waited_for() {
    let (conversation, mut server) = having_typed("One").await;
    let server = script(async move {
        server.open().await;
        let create = server.asked().await;
        server
            .refuse(
                &create,
                "conversation_already_has_active_response",
                "Conversation already has an active response in progress",
            )
            .await;
        server.begin_response("resp_0").await;
        server.hear_for(1000).await;
        server.end_response("resp_0", "completed").await;
        server.expect("response.create").await;
        server.begin_response("resp_1").await;
        server.end_response("resp_1", "completed").await;
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(reason(&moments), &EndReason::InputEnded);
    let errors = moments
        .iter()
        .any(|moment| matches!(moment.event, Event::Error { .. }));
    assert!(!errors, "{moments:#?}");
}

#[tokio::test(start_paused = true)]
async fn empty_text_is_refused_and_long_text_is_sent_whole() {
    let (conversation, handle, mut server) = started().await;
    assert_eq!(handle.say(" \n"), Err(HandleError::EmptyText));
    let long = "word ".repeat(20_000);
    handle.say(long.as_str()).expect("is taken");
    handle.finish().expect("is taken");
    let server = script(async move {
        server.open().await;
        let item = server.expect("conversation.item.create").await;
        server.expect("response.create").await;
        server.begin_response("resp_1").await;
        server.end_response("resp_1", "completed").await;
        assert!(server.next().await.is_none());
        item["item"]["content"][0]["text"].as_str().map(str::len)
    });
    let moments = all(conversation).await;
    assert_eq!(server.await.expect("the script"), Some(long.len()));
    assert_eq!(reason(&moments), &EndReason::InputEnded);
    assert_eq!(handle.say("late"), Err(HandleError::Ended));
}

#[tokio::test(start_paused = true)]
async fn a_request_refused_after_the_servers_own_response_began_is_made_again() {
    let (conversation, mut server) = having_typed("Hello?").await;
    let server = script(async move {
        server.open().await;
        let create = server.asked().await;
        // The server's own response is announced before our request is refused.
        server.begin_response("own").await;
        server
            .refuse(&create, "conversation_already_has_active_response", "busy")
            .await;
        server.end_response("own", "completed").await;
        server.expect("response.create").await;
        server.begin_response("resp_1").await;
        server.end_response("resp_1", "completed").await;
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(reason(&moments), &EndReason::InputEnded);
    let told = |event: &&Event| matches!(event, Event::Error { .. });
    assert!(!events(&moments).iter().any(told));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_speaks_the_beta_is_spoken_to_in_it() {
    let (link, mut server) = connected().await;
    let card = FileCard::builder().build().expect("a card");
    let config = ConversationConfig {
        turn: Turn::None,
        ..ConversationConfig::default()
    };
    let (conversation, handle) = Conversation::start(link, card, config);
    handle.say("Hello?").expect("is taken");
    handle.finish().expect("is taken");
    let server = script(async move {
        let first = server.expect("session.update").await;
        server
            .send(json!({"type": "session.created", "session": {"id": "s", "modalities": ["text", "audio"]}}))
            .await;
        let again = server.expect("session.update").await;
        assert_eq!(again["session"]["input_audio_format"], "pcm16");
        assert!(again["session"]["turn_detection"].is_null());
        server
            .send(json!({"type": "error", "error": {"type": "invalid_request_error", "message": "no",
                "code": "unknown_parameter", "param": "session.type", "event_id": first["event_id"]}}))
            .await;
        server
            .send(json!({"type": "session.updated", "session": again["session"]}))
            .await;
        server.asked().await;
        server.begin_response("r").await;
        for kind in ["response.text.delta", "response.text.done"] {
            server
                .send(
                    json!({"type": kind, "response_id": "r", "item_id": "a", "output_index": 0,
                    "content_index": 0, "delta": "Hi.", "text": "Hi."}),
                )
                .await;
        }
        server.end_response("r", "completed").await;
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    let answer = Event::AssistantDone {
        item: "a".to_owned(),
        text: "Hi.".to_owned(),
    };
    assert!(events(&moments).contains(&&answer));
    let told = |event: &&Event| matches!(event, Event::Error { .. });
    assert!(!events(&moments).iter().any(told));
    assert_eq!(reason(&moments), &EndReason::InputEnded);
}
