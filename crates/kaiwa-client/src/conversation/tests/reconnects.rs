use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;

use super::*;
use crate::card::Pace;
use crate::endpoint::Endpoint;
use crate::link::LinkError;
use crate::testing::script;

#[tokio::test(start_paused = true)]
async fn a_connection_lost_in_a_pause_is_made_again_and_the_history_is_told() {
    let (conversation, handle, queue, mut server, switchboard) = connected_again().await;
    handle.say("Hello").expect("is taken");
    let server = script(async move {
        let first = server.open().await;
        server.asked().await;
        server.answer("r1", "a", "Hi there.", 200).await;
        server.hear_for(20_000).await;
        let mut next = switchboard.answer().await;
        drop(server);
        let second = next.open().await;
        assert_eq!(first["session"], second["session"], "as it was");
        let told = next.told(2).await;
        handle.say("And now?").expect("is taken");
        next.asked().await;
        let again_ms = next.heard.len() / 48;
        assert!(
            (1000..3500).contains(&again_ms),
            "heard again: {again_ms} ms"
        );
        next.answer("r2", "b", "Still here.", 200).await;
        handle.finish().expect("is taken");
        queue.end();
        assert!(next.next().await.is_none());
        told
    });
    let moments = all(conversation).await;
    let told = server.await.expect("the script");
    assert_eq!(
        told,
        [turn("user", "Hello"), turn("assistant", "Hi there.")]
    );
    let expected = ["connected", "attempt 1", "connected", "0 ms lost"];
    assert_eq!(connections(&moments), expected);
    let message = moments.iter().find_map(|moment| match &moment.event {
        Event::Reconnecting { message, .. } => Some(message.as_str()),
        _ => None,
    });
    assert_eq!(
        message,
        Some("the connection was lost: the server went away without a word; connecting again")
    );
    // Nothing was heard but silence.
    assert_eq!(reason(&moments), &EndReason::NothingHeard);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_had_arrived_is_played_on_and_told_as_incomplete() {
    let (conversation, handle, queue, mut server, switchboard) = connected_again().await;
    handle.say("Tell me a story.").expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("r1").await;
        server.speak("r1", "a", "Once upon a time", 4000).await;
        server.hear_for(500).await;
        drop(server);
        pass(Duration::from_secs(1)).await;
        let mut next = switchboard.answer().await;
        next.open().await;
        let told = next.told(2).await;
        // It is not asked for again: some of it was there.
        next.hear_for(5000).await;
        queue.end();
        handle.finish().expect("is taken");
        assert!(next.next().await.is_none());
        told
    });
    let moments = all(conversation).await;
    let told = server.await.expect("the script");
    assert_eq!(told[1], turn("assistant", "Once upon a time"));
    let events = events(&moments);
    assert!(events.contains(&&Event::ResponseDone {
        response: "r1".to_owned(),
        status: "incomplete".to_owned(),
        reason: Some("the connection was lost".to_owned()),
        usage: None,
    }));
    assert!(events.contains(&&Event::AssistantDone {
        item: "a".to_owned(),
        text: "Once upon a time".to_owned(),
    }));
    assert!(events.contains(&&Event::AssistantSpeechStopped {
        item: "a".to_owned(),
        played_ms: 4000,
    }));
    let underruns = events
        .iter()
        .filter(|event| matches!(event, Event::PlaybackUnderrun { .. }));
    assert_eq!(underruns.count(), 0, "it is played in one piece");
}

#[tokio::test(start_paused = true)]
async fn what_is_heard_of_an_older_answer_is_corrected_in_the_new_session() {
    let (mut conversation, handle, _queue, mut server, switchboard) = connected_again().await;
    handle.say("Tell me a story.").expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server
            .answer("r1", "a", "Once upon a time there was a king", 4000)
            .await;
        server.hear_for(100).await;
        let mut next = switchboard.answer().await;
        drop(server);
        next.open().await;
        assert_eq!(next.told(2).await[1].1, "Once upon a time there was a king");
        next.hear_for(1500).await;
        next.hears_speech("u", 1000).await;
        let delete = next.expect("conversation.item.delete").await;
        let create = next.expect("conversation.item.create").await;
        (delete, create)
    });
    let heard = until(&mut conversation, |event| match event {
        Event::Heard { text, .. } => Some(text.clone()),
        _ => None,
    })
    .await;
    let (delete, create) = server.await.expect("the script");
    assert_eq!(delete["item_id"], "kept_0002");
    assert_eq!(create["previous_item_id"], "kept_0001");
    assert_eq!(create["item"]["role"], "assistant");
    assert_eq!(create["item"]["content"][0]["text"], heard.as_str());
    assert!(
        "Once upon a time there".starts_with(&heard) && heard.len() > 3,
        "{heard}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_answer_is_told_as_far_as_it_was_heard() {
    let (mut conversation, handle, _queue, mut server, switchboard) = connected_again().await;
    handle.say("Tell me a story.").expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server
            .answer("r1", "a", "Once upon a time there was a king", 4000)
            .await;
        server.hear_for(2000).await;
        handle.interrupt().expect("is taken");
        server.expect("conversation.item.truncate").await;
        let mut next = switchboard.answer().await;
        drop(server);
        next.open().await;
        next.told(2).await
    });
    let heard = until(&mut conversation, |event| match event {
        Event::Heard { text, .. } => Some(text.clone()),
        _ => None,
    })
    .await;
    let reading = script(async move { while conversation.next().await.is_some() {} });
    let told = server.await.expect("the script");
    assert_eq!(told[1], turn("assistant", &heard));
    assert!(heard.len() < 25, "{heard}");
    reading.abort();
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_began_is_asked_for_once_more_and_no_more() {
    let (conversation, handle, queue, mut server, switchboard) = connected_again().await;
    handle.say("Hello?").expect("is taken");
    handle.finish().expect("is taken");
    queue.end();
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("r1").await;
        let mut next = switchboard.answer().await;
        drop(server);
        next.open().await;
        next.asked().await;
        let mut last = switchboard.answer().await;
        drop(next);
        // The silence after the input is still to be heard: there is a reason to come back.
        last.open().await;
        assert_eq!(last.told(1).await, [turn("user", "Hello?")]);
        assert!(last.next().await.is_none(), "nothing more is asked");
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    let warned = events(&moments)
        .into_iter()
        .any(|event| matches!(event, Event::Warning { message } if message.contains("lost twice")));
    assert!(warned);
    let EndReason::ConnectionLost { message } = reason(&moments) else {
        panic!("{:?}", reason(&moments));
    };
    assert!(message.ends_with("repeat the question"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn speech_that_was_under_way_is_heard_from_its_beginning_without_a_gap() {
    let (mut conversation, _handle, queue, mut server, switchboard) = connected_again().await;
    // Each tick has a level of its own.
    for tick in 0..400_i16 {
        queue.push(&[f32::from(tick + 1) / 1000.0; 480]);
    }
    let server = script(async move {
        server.open().await;
        server.hear(1500).await;
        server.hears_speech("u", 1000).await;
        server.hear(2000).await;
        drop(server);
        pass(Duration::from_millis(1500)).await;
        let mut next = switchboard.answer().await;
        next.open().await;
        next.hear(5000).await;
        next.hears_speech("v", 200).await;
        next
    });
    let mut starts = Vec::new();
    let reconnected = until(&mut conversation, |event| match event {
        Event::UserSpeechStarted { ms, .. } => {
            starts.push(*ms);
            (starts.len() == 2).then_some(())
        }
        Event::Reconnected { lost_ms, .. } => {
            assert_eq!(*lost_ms, 0);
            None
        }
        _ => None,
    });
    reconnected.await;
    let next = server.await.expect("the script");
    assert_eq!(starts, [1000, 1000], "the same place on the clock");
    for (index, tick) in next.heard.chunks_exact(960).enumerate() {
        let sample = i16::from_le_bytes([tick[0], tick[1]]);
        let level = (f32::from(sample) / 32.768).round();
        assert_eq!(level as usize, 41 + index, "tick {index}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_without_words_is_told_as_sound_and_answered() {
    let (conversation, handle, queue, mut server, switchboard) = connected_again().await;
    queue.push(&[0.5; 24_000]);
    let server = script(async move {
        server.open().await;
        server.hear(1000).await;
        server.hears_speech("u", 0).await;
        server.hear(1400).await;
        server.ends_turn("u", 1200).await;
        server.hear(1440).await;
        let mut next = switchboard.answer().await;
        drop(server);
        next.open().await;
        let told = next.told(1).await;
        next.expect("response.create").await;
        next.answer("r", "a", "Yes.", 100).await;
        handle.finish().expect("is taken");
        queue.end();
        assert!(next.next().await.is_none());
        (told, next.heard)
    });
    let moments = all(conversation).await;
    let (told, heard) = server.await.expect("the script");
    assert_eq!(told, [turn("user", "1200 ms")]);
    // What was after the turn is heard again, and nothing of the turn.
    assert!(!heard.is_empty() && heard.iter().all(|&byte| byte == 0));
    assert_eq!(reason(&moments), &EndReason::InputEnded);
}

#[tokio::test(start_paused = true)]
async fn thirty_seconds_are_kept_and_what_is_older_is_told_as_lost() {
    let (mut conversation, _handle, queue, mut server, switchboard) = connected_again().await;
    queue.push(&vec![0.5; 90 * 24_000]);
    let server = script(async move {
        server.open().await;
        server.hear(5000).await;
        drop(server);
        pass(Duration::from_secs(40)).await;
        let mut next = switchboard.answer().await;
        next.open().await;
        let begun = Instant::now();
        next.hear(30_000).await;
        assert!(begun.elapsed() < Duration::from_millis(500), "it was there");
        next.hear(35_000).await;
    });
    let (lost_ms, away_ms) = until(&mut conversation, |event| match event {
        Event::Reconnected { lost_ms, away_ms } => Some((*lost_ms, *away_ms)),
        _ => None,
    })
    .await;
    let reading = script(async move { while conversation.next().await.is_some() {} });
    server.await.expect("the script");
    reading.abort();
    assert!((40_000..50_000).contains(&away_ms), "{away_ms}");
    // Up to three seconds before the loss may not have been read.
    let lost_before = (away_ms - 30_000)..=(away_ms - 30_000 + 3100);
    assert!(lost_before.contains(&lost_ms), "{lost_ms} of {away_ms} ms");
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_after_a_minute_of_attempts_further_and_further_apart() {
    let (conversation, _handle, _queue, mut server, switchboard) = connected_again().await;
    let attempts = Arc::clone(&switchboard.attempts);
    let server = script(async move {
        server.open().await;
        server.hear(500).await;
        drop(server);
        (Instant::now(), switchboard)
    });
    let moments = all(conversation).await;
    let (lost, _switchboard) = server.await.expect("the script");
    let away = lost.elapsed().as_millis();
    assert!((60_000..=61_100).contains(&away), "{away} ms");
    assert_eq!(
        reason(&moments).to_string(),
        "the connection was lost: the server went away without a word, and it could not be made \
         again within 60 s (cannot reach kaiwa.test:80: no route; check the address and the \
         network); check the network and start again"
    );
    assert!(matches!(reason(&moments), EndReason::ConnectionLost { .. }));
    let attempts = attempts.lock().expect("a lock");
    let mut before = lost;
    for (index, &at) in attempts.iter().enumerate() {
        let wait = (at - before).as_millis() as u64;
        let most = (250 << index).min(8000);
        assert!((most / 2..=most + 20).contains(&wait), "{index}: {wait} ms");
        before = at;
    }
    let told = connections(&moments);
    assert_eq!(told.len(), attempts.len() + 2, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_key_refused_meanwhile_ends_it_at_once() {
    let (conversation, _handle, _queue, mut server, switchboard) = connected_again().await;
    let server = script(async move {
        server.open().await;
        switchboard.refuse(LinkError::Unauthorized {
            status: 401,
            key_env: Some("OPENAI_API_KEY".to_owned()),
            had_key: true,
            message: "Revoked".to_owned(),
        });
        drop(server);
        switchboard
    });
    let moments = all(conversation).await;
    let switchboard = server.await.expect("the script");
    let EndReason::Rejected { message, code } = reason(&moments) else {
        panic!("{:?}", reason(&moments));
    };
    assert!(message.contains("set OPENAI_API_KEY"), "{message}");
    assert_eq!(code.as_deref(), Some("invalid_api_key"));
    assert_eq!(switchboard.attempts.lock().expect("a lock").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_configuration_refused_meanwhile_ends_it() {
    let (conversation, _handle, _queue, mut server, switchboard) = connected_again().await;
    let server = script(async move {
        server.open().await;
        let mut next = switchboard.answer().await;
        drop(server);
        let update = next.expect("session.update").await;
        next.refuse(&update, "invalid_value", "No such voice.")
            .await;
        assert!(next.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert!(matches!(reason(&moments), EndReason::Refused { .. }));
}

#[tokio::test(start_paused = true)]
async fn sessions_that_do_not_open_are_tried_again() {
    let (conversation, handle, queue, mut server, switchboard) = connected_again().await;
    let server = script(async move {
        server.open().await;
        drop(server);
        // Overloaded, then silent, then gone during the opening.
        let mut busy = switchboard.answer().await;
        let update = busy.expect("session.update").await;
        let refusal = json!({"type": "error", "error": {"type": "server_error", "code": null,
            "message": "Overloaded.", "param": null, "event_id": update["event_id"]}});
        busy.send(refusal).await;
        let mut silent = switchboard.answer().await;
        silent.expect("session.update").await;
        pass(Duration::from_secs(21)).await;
        let gone = switchboard.answer().await;
        pass(Duration::from_secs(5)).await;
        script(gone.close(1013, "try later"));
        let mut next = switchboard.answer().await;
        next.open().await;
        handle.say("Hello").expect("is taken");
        next.asked().await;
        next.answer("r", "a", "Hi.", 100).await;
        handle.finish().expect("is taken");
        queue.end();
        assert!(next.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    let told = connections(&moments);
    assert_eq!(&told[told.len() - 2..], ["connected", "0 ms lost"]);
    assert!(told.contains(&"attempt 4".to_owned()), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn lost_twice_in_a_row_nothing_is_told_twice() {
    let (conversation, handle, queue, mut server, switchboard) = connected_again().await;
    handle.say("One").expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.answer("r", "a", "First.", 100).await;
        server.hear_for(1000).await;
        let mut next = switchboard.answer().await;
        drop(server);
        next.open().await;
        next.told(2).await;
        handle.say("Two").expect("is taken");
        next.asked().await;
        // The same names as before.
        next.answer("r", "a", "Second.", 100).await;
        next.hear_for(1000).await;
        let mut last = switchboard.answer().await;
        drop(next);
        last.open().await;
        let told = last.told(4).await;
        handle.finish().expect("is taken");
        queue.end();
        assert!(last.next().await.is_none());
        told
    });
    let moments = all(conversation).await;
    let told = server.await.expect("the script");
    assert_eq!(
        told,
        [
            turn("user", "One"),
            turn("assistant", "First."),
            turn("user", "Two"),
            turn("assistant", "Second."),
        ]
    );
    let played = events(&moments)
        .into_iter()
        .filter(|event| matches!(event, Event::AssistantSpeechStopped { played_ms: 100, .. }));
    assert_eq!(played.count(), 2, "both were heard");
}

#[tokio::test(start_paused = true)]
async fn typed_turns_wait_for_the_connection_and_silence_what_plays() {
    let (mut conversation, handle, _queue, mut server, switchboard) = connected_again().await;
    handle.say("Tell me a story.").expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.answer("r1", "a", "Once upon a time", 4000).await;
        server.hear_for(500).await;
        drop(server);
        pass(Duration::from_secs(1)).await;
        handle.say("Stop!").expect("is taken");
        pass(Duration::from_secs(1)).await;
        let mut next = switchboard.answer().await;
        next.open().await;
        let told = next.told(3).await;
        next.expect("response.create").await;
        told
    });
    let heard = until(&mut conversation, |event| match event {
        Event::Heard { ms, text, .. } => Some((*ms, text.clone())),
        _ => None,
    })
    .await;
    let reading = script(async move { while conversation.next().await.is_some() {} });
    let told = server.await.expect("the script");
    reading.abort();
    assert!((1400..1700).contains(&heard.0), "{} ms", heard.0);
    let expected = [
        turn("user", "Tell me a story."),
        turn("assistant", &heard.1),
        turn("user", "Stop!"),
    ];
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn without_turn_detection_what_was_not_committed_is_sent_again() {
    let (link, mut server) = connected().await;
    let (queue, mic) = Mic::queue();
    let card = FileCard::builder().mic(mic).build().expect("a card");
    let (switchboard, reconnect) = Switchboard::new();
    let config = ConversationConfig {
        turn: Turn::None,
        reconnect: Some(reconnect),
        ..ConversationConfig::default()
    };
    let (conversation, handle) = Conversation::start(link, card, config);
    queue.push(&[0.5; 12 * 24_000]);
    let server = script(async move {
        server.open().await;
        server.hear(4000).await;
        drop(server);
        pass(Duration::from_secs(2)).await;
        // A turn is ended while nobody hears it.
        handle.commit().expect("is taken");
        pass(Duration::from_secs(1)).await;
        let mut next = switchboard.answer().await;
        next.open().await;
        let told = next.told(1).await;
        next.expect("response.create").await;
        next.answer("r", "a", "Yes.", 100).await;
        handle.finish().expect("is taken");
        handle.commit().expect("is taken");
        queue.end();
        next.expect("input_audio_buffer.commit").await;
        (told, next.heard.len() / 48)
    });
    let reading = script(all(conversation));
    let (told, heard) = server.await.expect("the script");
    reading.abort();
    let ms: usize = told[0].1.trim_end_matches(" ms").parse().expect("ms");
    assert!((5900..=6300).contains(&ms), "{ms} ms to the commit");
    assert!(
        (900..3000).contains(&heard),
        "{heard} ms after it, and not the turn again"
    );
}

#[tokio::test]
async fn a_server_that_comes_back_at_its_port_is_found_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let endpoint = Endpoint::new(format!("ws://{address}/v1"));
    let server = script(async move {
        let mut server = FakeServer::at(&listener).await;
        server.open().await;
        server.asked().await;
        server.answer("r", "a", "Hi.", 20).await;
        // Nobody listens for a while.
        drop((server, listener));
        let listener = TcpListener::bind(address).await.expect("the same port");
        let mut next = FakeServer::at(&listener).await;
        next.open().await;
        next.told(2).await
    });
    let link = Link::connect(&endpoint).await.expect("a link");
    let card = FileCard::builder().build().expect("a card");
    let config = ConversationConfig {
        reconnect: Some(Reconnect::to(endpoint)),
        ..ConversationConfig::default()
    };
    let (conversation, handle) = Conversation::start(link, card, config);
    handle.say("Hello").expect("is taken");
    let reading = script(all(conversation));
    let told = server.await.expect("the script");
    reading.abort();
    assert_eq!(told, [turn("user", "Hello"), turn("assistant", "Hi.")]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_drops_every_session_is_left_alone() {
    let (conversation, _handle, _queue, mut server, switchboard) = connected_again().await;
    let server = script(async move {
        let begun = Instant::now();
        for _ in 0..6 {
            server.open().await;
            server.hear(500).await;
            let next = switchboard.answer().await;
            script(std::mem::replace(&mut server, next).close(1011, "out of memory"));
        }
        (server.next().await, begun.elapsed())
    });
    let moments = all(conversation).await;
    let (more, elapsed) = server.await.expect("the script");
    assert_eq!(more, None);
    // The halves of 0.25, 0.5, 1, 2 and 4 s at least.
    assert!(elapsed > Duration::from_millis(3875), "{elapsed:?}");
    assert_eq!(
        reason(&moments),
        &EndReason::ConnectionLost {
            message: "the server closed the connection (code 1011: out of memory), as 5 times \
                      before within 10 s; wait a while and start again"
                .to_owned()
        }
    );
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_never_ends_is_given_up_and_can_be_stopped() {
    for stops in [false, true] {
        let (link, mut server) = connected().await;
        let (_queue, mic) = Mic::queue();
        let card = FileCard::builder().mic(mic).build().expect("a card");
        let config = ConversationConfig {
            reconnect: Some(
                Reconnect::new(|| Box::pin(std::future::pending()))
                    .patience(Duration::from_secs(10)),
            ),
            ..ConversationConfig::default()
        };
        let (conversation, handle) = Conversation::start(link, card, config);
        let server = script(async move {
            server.open().await;
            server.hear(500).await;
            drop(server);
            let lost = Instant::now();
            pass(Duration::from_secs(2)).await;
            if stops {
                handle.stop();
            }
            (lost, handle)
        });
        let moments = all(conversation).await;
        let (lost, _handle) = server.await.expect("the script");
        let away = lost.elapsed().as_millis();
        if stops {
            assert_eq!(reason(&moments), &EndReason::Stopped);
            assert!(away <= 3100, "{away} ms");
        } else {
            assert!(matches!(reason(&moments), EndReason::ConnectionLost { .. }));
            assert!((10_000..=11_100).contains(&away), "{away} ms");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_left_to_ask_the_answer_is_played_and_it_ends() {
    let (link, mut server) = connected().await;
    let card = FileCard::builder().build().expect("a card");
    let (switchboard, reconnect) = Switchboard::new();
    let config = ConversationConfig {
        reconnect: Some(reconnect),
        ..ConversationConfig::default()
    };
    let (conversation, handle) = Conversation::start(link, card, config);
    handle.say("Hello").expect("is taken");
    handle.finish().expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.answer("r", "a", "A long answer.", 5000).await;
        pass(Duration::from_millis(500)).await;
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(reason(&moments), &EndReason::InputEnded);
    assert!(events(&moments).contains(&&Event::AssistantSpeechStopped {
        item: "a".to_owned(),
        played_ms: 5000,
    }));
    drop(switchboard);
}

#[tokio::test(start_paused = true)]
async fn silence_that_was_not_kept_is_no_loss() {
    let (mut conversation, _handle, _queue, mut server, switchboard) = connected_again().await;
    let server = script(async move {
        server.open().await;
        server.hear(3000).await;
        drop(server);
        pass(Duration::from_secs(45)).await;
        let mut next = switchboard.answer().await;
        next.open().await;
        next
    });
    let lost_ms = until(&mut conversation, |event| match event {
        Event::Reconnected { lost_ms, .. } => Some(*lost_ms),
        _ => None,
    })
    .await;
    assert_eq!(lost_ms, 0);
    server.await.expect("the script");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_busy_with_a_fast_recording_is_not_given_up() {
    let (link, mut server) = connected().await;
    let card = FileCard::builder()
        .mic(Mic::clip(tone(10_000)))
        .pace(Pace::Fast)
        .build()
        .expect("a card");
    let (switchboard, reconnect) = Switchboard::new();
    let config = ConversationConfig {
        reconnect: Some(reconnect),
        ..ConversationConfig::default()
    };
    let (conversation, handle) = Conversation::start(link, card, config);
    handle.finish().expect("is taken");
    let server = script(async move {
        server.open().await;
        server.hear(2000).await;
        pass(Duration::from_secs(40)).await;
        server.hear(12_000).await;
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(connections(&moments), ["connected"]);
    drop(switchboard);
}
