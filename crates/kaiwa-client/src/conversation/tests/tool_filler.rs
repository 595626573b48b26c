//! A few words over a call that takes its time.

use serde_json::json;

use super::tools::{Runs, all_of};
use super::*;
use crate::card::FileCard;
use crate::testing::{connected, script};
use crate::tools::Tools;

async fn speaking(output: OutputMode) -> (Conversation, Handle, FakeServer, tools::Gate) {
    let (link, server) = connected().await;
    let card = FileCard::builder().build().expect("a card");
    let (tool, gate) = Runs::default().tool("look");
    let mut tools = all_of([tool]);
    tools.filler_after = Tools::default().filler_after;
    let config = ConversationConfig {
        instructions: Some("Be kind.".to_owned()),
        output,
        tools,
        ..ConversationConfig::default()
    };
    let (conversation, handle) = Conversation::start(link, card, config);
    (conversation, handle, server, gate)
}

#[tokio::test(start_paused = true)]
async fn over_a_slow_call_a_few_words_are_said_once() {
    let (conversation, handle, mut server, mut gate) = speaking(OutputMode::Audio).await;
    handle.say("Look!").expect("is taken");
    handle.finish().expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.call_alone("r1", "c", "look", &json!({})).await;
        let call = gate.next().await;
        server.hear_for(1400).await;
        let filler = server.expect("response.create").await;
        assert_eq!(filler["response"]["tool_choice"], "none");
        let told = filler["response"]["instructions"].as_str().expect("text");
        assert!(
            told.starts_with("Be kind.\n\nYou have just called"),
            "{told}"
        );
        server.begin_response("r2").await;
        server.speak("r2", "a", "One moment.", 500).await;
        // The result does not wait for the words, the answer does.
        call.send(Ok("seen".to_owned())).expect("it waits");
        assert_eq!(server.result().await.1, "seen");
        server.hear_for(100).await;
        server.spoken("r2", "a", "One moment.").await;
        server.end_response("r2", "completed").await;
        let answer = server.expect("response.create").await;
        assert_eq!(answer["response"], serde_json::Value::Null);
        server.answer("r3", "b", "I see.", 100).await;
        assert!(server.next().await.is_none());
    });
    all(conversation).await;
    server.await.expect("the script");
}

#[tokio::test(start_paused = true)]
async fn words_that_are_refused_are_missed_by_nobody() {
    let (conversation, handle, mut server, mut gate) = speaking(OutputMode::Audio).await;
    handle.say("Look!").expect("is taken");
    handle.finish().expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.call_alone("r1", "c", "look", &json!({})).await;
        let call = gate.next().await;
        let filler = server.expect("response.create").await;
        server.refuse(&filler, "invalid_value", "No.").await;
        server.hear_for(5000).await;
        call.send(Ok("seen".to_owned())).expect("it waits");
        server.result().await;
        server.expect("response.create").await;
        server.answer("r2", "b", "I see.", 100).await;
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(reason(&moments), &EndReason::InputEnded);
    let is_error = |event: &&Event| matches!(event, Event::Error { .. });
    assert!(!events(&moments).iter().any(is_error));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_where_something_was_or_is_said() {
    let (conversation, handle, mut server, mut gate) = speaking(OutputMode::Audio).await;
    handle.say("Look!").expect("is taken");
    handle.finish().expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        // It says itself what it does.
        server.begin_response("r1").await;
        server.speak("r1", "a", "Let me see.", 100).await;
        server.spoken("r1", "a", "Let me see.").await;
        server.call("r1", "c", "look", &json!({})).await;
        server.end_response("r1", "completed").await;
        let call = gate.next().await;
        server.hear_for(5000).await;
        call.send(Ok("seen".to_owned())).expect("it waits");
        server.result().await;
        server.expect("response.create").await;
        // And while the user speaks.
        server.call_alone("r2", "d", "look", &json!({})).await;
        let call = gate.next().await;
        server.hears_speech("u", 0).await;
        server.hear_for(5000).await;
        call.send(Ok("seen".to_owned())).expect("it waits");
        server.result().await;
        server.ends_turn("u", 1000).await;
        server.answer("r3", "b", "I see.", 100).await;
        assert!(server.next().await.is_none());
    });
    all(conversation).await;
    server.await.expect("the script");
}

#[tokio::test(start_paused = true)]
async fn who_writes_says_nothing_over_a_call() {
    let (conversation, handle, mut server, mut gate) = speaking(OutputMode::Text).await;
    handle.say("Look!").expect("is taken");
    handle.finish().expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.call_alone("r1", "c", "look", &json!({})).await;
        let call = gate.next().await;
        server.hear_for(5000).await;
        call.send(Ok("seen".to_owned())).expect("it waits");
        server.result().await;
        server.expect("response.create").await;
        server.begin_response("r2").await;
        server.end_response("r2", "completed").await;
        assert!(server.next().await.is_none());
    });
    all(conversation).await;
    server.await.expect("the script");
}
