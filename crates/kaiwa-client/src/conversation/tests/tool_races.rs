//! What becomes of calls when something else happens meanwhile.

use std::time::Duration;

use serde_json::json;

use super::budget;
use super::tools::{Runs, all_of, with_tools};
use super::*;
use crate::card::{FileCard, Mic};
use crate::testing::{connected, script};
use crate::tools::Tools;

/// A conversation with these tools, and a microphone that hears what is put into the queue.
async fn listening(tools: Tools) -> (Conversation, Handle, MicQueue, FakeServer) {
    let (link, server) = connected().await;
    let (queue, mic) = Mic::queue();
    let card = FileCard::builder().mic(mic).build().expect("a card");
    let config = ConversationConfig {
        tools,
        ..ConversationConfig::default()
    };
    let (conversation, handle) = Conversation::start(link, card, config);
    (conversation, handle, queue, server)
}

#[tokio::test(start_paused = true)]
async fn a_result_that_comes_while_the_user_speaks_is_known_to_the_servers_answer() {
    let (tool, mut gate) = Runs::default().tool("look");
    let (conversation, handle, queue, mut server) = listening(all_of([tool])).await;
    handle.say("Look!").expect("is taken");
    handle.finish().expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.call_alone("r1", "c", "look", &json!({})).await;
        server.hear_for(200).await;
        server.hears_speech("u", 100).await;
        server.hear_for(100).await;
        gate.open("seen").await;
        assert_eq!(server.result().await.1, "seen");
        server.hear_for(2000).await;
        server.ends_turn("u", 1000).await;
        server.hear_for(100).await;
        server.answer("r2", "a", "I see, and yes.", 100).await;
        server.hear_for(2000).await;
        queue.end();
        assert!(server.next().await.is_none(), "it is answered");
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(reason(&moments), &EndReason::InputEnded);
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_result_that_is_refused_is_not_asked_for_again() {
    let (tool, mut gate) = Runs::default().tool("look");
    let (conversation, handle, queue, mut server) = listening(all_of([tool])).await;
    handle.say("Look!").expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.call_alone("r1", "c", "look", &json!({})).await;
        gate.open("seen").await;
        assert_eq!(server.result().await.1, "seen");
        let asked = server.expect("response.create").await;
        server
            .refuse(&asked, "rate_limit_exceeded", "Too much.")
            .await;
        server.hear_for(5000).await;
        // The next turn is answered, and with it the result.
        handle.say("And?").expect("is taken");
        handle.finish().expect("is taken");
        server.asked().await;
        server.answer("r2", "a", "I have seen it.", 100).await;
        queue.end();
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    let errors = events(&moments).into_iter();
    let errors = errors.filter(|event| matches!(event, Event::Error { .. }));
    assert_eq!(errors.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn under_a_budget_a_result_in_the_users_speech_is_answered_with_the_turn() {
    let (tool, mut gate) = Runs::default().tool("look");
    let (link, mut server) = connected().await;
    let (queue, mic) = Mic::queue();
    let card = FileCard::builder().mic(mic).build().expect("a card");
    let config = ConversationConfig {
        tools: all_of([tool]),
        ..budget::config("model", Some("10"))
    };
    let (conversation, handle) = Conversation::start(link, card, config);
    handle.say("Look!").expect("is taken");
    handle.finish().expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.call_alone("r1", "c", "look", &json!({})).await;
        server.hears_speech("u", 100).await;
        server.hear_for(100).await;
        gate.open("seen").await;
        assert_eq!(server.result().await.1, "seen");
        server.hear_for(1000).await;
        server
            .send(json!({"type": "input_audio_buffer.speech_stopped",
                "audio_end_ms": 1000, "item_id": "u"}))
            .await;
        server.hear_for(200).await;
        server
            .send(json!({"type": "input_audio_buffer.committed", "item_id": "u"}))
            .await;
        server.expect("response.create").await;
        server.answer("r2", "a", "I see, and yes.", 100).await;
        server.hear_for(2000).await;
        queue.end();
        assert!(server.next().await.is_none(), "it is answered once");
    });
    all(conversation).await;
    server.await.expect("the script");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_begun_without_the_result_is_followed_by_one_with_it() {
    let (tool, mut gate) = Runs::default().tool("look");
    let (conversation, handle, queue, mut server) = listening(all_of([tool])).await;
    handle.say("Look!").expect("is taken");
    handle.finish().expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.call_alone("r1", "c", "look", &json!({})).await;
        server.hears_speech("u", 100).await;
        server.hear_for(100).await;
        gate.open("seen").await;
        let create = server.unconfirmed_result().await;
        // They crossed: the answer to the user was begun before the result was there.
        server.ends_turn("u", 1000).await;
        server.begin_response("r2").await;
        server.confirm(&create).await;
        server.speak("r2", "a", "Yes.", 100).await;
        server.spoken("r2", "a", "Yes.").await;
        server.hear_for(1000).await;
        server.end_response("r2", "completed").await;
        server.expect("response.create").await;
        server.answer("r3", "b", "And I see.", 100).await;
        server.hear_for(1000).await;
        queue.end();
        assert!(server.next().await.is_none(), "it is answered");
    });
    all(conversation).await;
    server.await.expect("the script");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_crossed_with_the_servers_own_is_made_once_more() {
    let (tool, mut gate) = Runs::default().tool("look");
    let (conversation, handle, queue, mut server) = listening(all_of([tool])).await;
    handle.say("Look!").expect("is taken");
    handle.finish().expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.call_alone("r1", "c", "look", &json!({})).await;
        gate.open("seen").await;
        server.unconfirmed_result().await;
        let request = server.expect("response.create").await;
        // Of the user's turn, the client knows nothing yet.
        server.hears_speech("u", 100).await;
        server.ends_turn("u", 200).await;
        server.begin_response("r2").await;
        server
            .refuse(&request, "conversation_already_has_active_response", "busy")
            .await;
        server.hear_for(1000).await;
        server.end_response("r2", "completed").await;
        server.expect("response.create").await;
        server.answer("r3", "b", "I see.", 100).await;
        server.hear_for(1000).await;
        queue.end();
        assert!(server.next().await.is_none(), "it is answered");
    });
    all(conversation).await;
    server.await.expect("the script");
}

#[tokio::test(start_paused = true)]
async fn after_an_interruption_the_result_is_told_and_the_user_answered() {
    let (tool, mut gate) = Runs::default().tool("look");
    let (conversation, handle, queue, mut server) = listening(all_of([tool])).await;
    handle.say("Look!").expect("is taken");
    handle.finish().expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("r1").await;
        server.call("r1", "c", "look", &json!({})).await;
        server.hears_speech("u", 100).await;
        server.end_response("r1", "cancelled").await;
        server.ends_turn("u", 1000).await;
        server.answer("r2", "a", "As you like.", 100).await;
        server.hear_for(1000).await;
        gate.open("seen").await;
        assert_eq!(server.result().await, ("c".to_owned(), "seen".to_owned()));
        server.hear_for(2000).await;
        queue.end();
        assert!(
            server.next().await.is_none(),
            "nobody waits for it any more"
        );
    });
    all(conversation).await;
    server.await.expect("the script");
}

#[tokio::test(start_paused = true)]
async fn after_an_interruption_by_a_noise_the_result_is_answered() {
    let (tool, mut gate) = Runs::default().tool("look");
    let (conversation, handle, queue, mut server) = listening(all_of([tool])).await;
    handle.say("Look!").expect("is taken");
    handle.finish().expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("r1").await;
        server.call("r1", "c", "look", &json!({})).await;
        server.hears_speech("u", 100).await;
        server.end_response("r1", "cancelled").await;
        gate.open("seen").await;
        server.result().await;
        server.ends_turn("u", 300).await;
        server
            .send(
                json!({"type": "conversation.item.input_audio_transcription.completed",
                "item_id": "u", "content_index": 0, "transcript": "",
                "usage": {"type": "duration", "seconds": 1}}),
            )
            .await;
        // So long the server may still answer.
        server.hear_for(2900).await;
        server.expect("response.create").await;
        server.answer("r2", "a", "I see.", 100).await;
        server.hear_for(1000).await;
        queue.end();
        assert!(server.next().await.is_none(), "it is answered");
    });
    all(conversation).await;
    server.await.expect("the script");
}

#[tokio::test(start_paused = true)]
async fn an_assistant_that_was_silenced_knows_the_result_and_waits_to_be_asked() {
    let (tool, mut gate) = Runs::default().tool("look");
    let (mut conversation, handle, mut server) = with_tools(all_of([tool])).await;
    handle.say("Look!").expect("is taken");
    let silencing = handle.clone();
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.call_alone("r1", "c", "look", &json!({})).await;
        let call = gate.next().await;
        silencing.interrupt().expect("is taken");
        server.hear_for(100).await;
        call.send(Ok("seen".to_owned())).expect("it waits");
        server.result().await;
        server.hear_for(5000).await;
        silencing.say("And?").expect("is taken");
        server.asked().await;
        server.answer("r2", "a", "I see.", 100).await;
        silencing.finish().expect("is taken");
        assert!(server.next().await.is_none(), "it is answered");
    });
    drop(handle);
    while conversation.next().await.is_some() {}
    server.await.expect("the script");
}

#[tokio::test(start_paused = true)]
async fn what_is_typed_meanwhile_is_answered_first_and_the_result_after_it() {
    let (tool, mut gate) = Runs::default().tool("look");
    let (mut conversation, handle, mut server) = with_tools(all_of([tool])).await;
    handle.say("Look!").expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.call_alone("r1", "c", "look", &json!({})).await;
        let call = gate.next().await;
        handle.say("Sing!").expect("is taken");
        let create = server.expect("conversation.item.create").await;
        assert_eq!(create["item"]["content"][0]["text"], "Sing!");
        server.expect("response.create").await;
        server.begin_response("r2").await;
        call.send(Ok("seen".to_owned())).expect("it waits");
        assert_eq!(server.result().await.1, "seen");
        server.hear_for(500).await;
        server.end_response("r2", "completed").await;
        server.expect("response.create").await;
        // What waits its turn waits for the results, too.
        handle.say_next("Bye.").expect("is taken");
        handle.finish().expect("is taken");
        server.answer("r3", "a", "I see.", 100).await;
        server.asked().await;
        server.answer("r4", "b", "Bye.", 100).await;
        assert!(server.next().await.is_none());
    });
    while conversation.next().await.is_some() {}
    server.await.expect("the script");
}

#[tokio::test(start_paused = true)]
async fn a_typed_interruption_of_the_calling_response_is_one_request() {
    let (tool, mut gate) = Runs::default().tool("look");
    let (mut conversation, handle, mut server) = with_tools(all_of([tool])).await;
    handle.say("Look!").expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("r1").await;
        server.call("r1", "c", "look", &json!({})).await;
        let call = gate.next().await;
        handle.say("No, sing!").expect("is taken");
        server.expect("response.cancel").await;
        call.send(Ok("seen".to_owned())).expect("it waits");
        assert_eq!(server.result().await.1, "seen");
        server.end_response("r1", "cancelled").await;
        server.asked().await;
        server.answer("r2", "a", "La.", 100).await;
        handle.finish().expect("is taken");
        assert!(server.next().await.is_none(), "it is answered");
    });
    while conversation.next().await.is_some() {}
    server.await.expect("the script");
}

#[tokio::test(start_paused = true)]
async fn a_response_that_never_ends_leaves_no_call_behind() {
    let runs = Runs::default();
    let (conversation, handle, mut server) = with_tools(all_of([runs.quick("look")])).await;
    handle.say("Look!").expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("r1").await;
        server.call("r1", "c", "look", &json!({})).await;
        server.result().await;
        pass(Duration::from_secs(61)).await;
        server.expect("response.create").await;
        server.answer("r2", "a", "I see.", 100).await;
        handle.finish().expect("is taken");
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(runs.count(), 1);
    let warned = events(&moments)
        .into_iter()
        .any(|event| matches!(event, Event::Warning { message } if message.contains("the rest")));
    assert!(warned);
}
