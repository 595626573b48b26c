//! What a new session is told, and what becomes of answers.

use std::time::Duration;

use serde_json::json;

use super::*;
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
async fn what_comes_of_an_answer_after_its_interruption_was_not_heard() {
    let (mut conversation, handle, _queue, mut server, switchboard) = connected_again().await;
    handle.say("Tell me a story.").expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("r1").await;
        let story = "Once upon a time there was a king";
        server.speak("r1", "a", story, 4000).await;
        server.say_silently("r1", "b", "Who had a daughter").await;
        server.hear_for(2000).await;
        handle.interrupt().expect("is taken");
        server.expect("response.cancel").await;
        server.expect("conversation.item.truncate").await;
        // All of its words come, as they were written.
        server.spoken("r1", "a", story).await;
        server.say_silently("r1", "b", " and a son.").await;
        server.say_silently("r1", "c", "The end.").await;
        server.end_response("r1", "cancelled").await;
        let mut next = switchboard.answer().await;
        drop(server);
        next.open().await;
        let told = next.told(2).await;
        next.hear_for(1000).await;
        told
    });
    let heard = until(&mut conversation, |event| match event {
        Event::Heard { text, .. } => Some(text.clone()),
        _ => None,
    })
    .await;
    let reading = script(async move { while conversation.next().await.is_some() {} });
    let told = server.await.expect("the script");
    assert_eq!(told[1], turn("assistant", &heard));
    assert!((5..25).contains(&heard.len()), "{heard}");
    reading.abort();
}

#[tokio::test(start_paused = true)]
async fn words_whose_sound_never_came_are_not_told() {
    let (mut conversation, handle, _queue, mut server, switchboard) = connected_again().await;
    handle.say("Tell me a story.").expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("r1").await;
        let story = "Once upon a time there was a king who had a daughter and a son";
        server.speak("r1", "a", story, 1000).await;
        server.hear_for(200).await;
        let mut next = switchboard.answer().await;
        drop(server);
        next.open().await;
        next.told(2).await
    });
    let reading = script(async move { while conversation.next().await.is_some() {} });
    let told = server.await.expect("the script");
    // A second holds 20 characters.
    assert_eq!(told[1], turn("assistant", "Once upon a time"));
    reading.abort();
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_has_called_a_tool_is_not_asked_for_again() {
    let (mut conversation, handle, _queue, mut server, switchboard) = connected_again().await;
    handle.say("Order a pizza.").expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("r1").await;
        server
            .send(
                json!({"type": "response.output_item.added", "response_id": "r1",
                "output_index": 0, "item": {"type": "mcp_call", "id": "m", "server_label": "shop",
                "name": "order", "arguments": ""}}),
            )
            .await;
        let mut next = switchboard.answer().await;
        drop(server);
        next.open().await;
        next.told(1).await;
        next.hear_for(20_000).await;
    });
    let reading = script(async move { while conversation.next().await.is_some() {} });
    server.await.expect("the script");
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
