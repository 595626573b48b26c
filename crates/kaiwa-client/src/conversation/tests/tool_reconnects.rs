//! What becomes of calls when the connection is lost.

use serde_json::{Value, json};

use super::tools::{Runs, all_of, tool_events};
use super::*;
use crate::card::{FileCard, Mic};
use crate::testing::{connected, script};
use crate::tools::Tools;

async fn recovering(tools: Tools) -> (Conversation, Handle, MicQueue, FakeServer, Switchboard) {
    let (link, server) = connected().await;
    let (queue, mic) = Mic::queue();
    let card = FileCard::builder().mic(mic).build().expect("a card");
    let (switchboard, reconnect) = Switchboard::new();
    let config = ConversationConfig {
        tools,
        reconnect: Some(reconnect),
        ..ConversationConfig::default()
    };
    let (conversation, handle) = Conversation::start(link, card, config);
    (conversation, handle, queue, server, switchboard)
}

/// Reads items that a new session is told: kind, id of the call, and what it is about.
async fn told(server: &mut FakeServer, items: usize) -> Vec<[String; 3]> {
    let mut told = Vec::new();
    for _ in 0..items {
        let create = server.expect("conversation.item.create").await;
        let item = &create["item"];
        let about = match item["type"].as_str() {
            Some("message") => &item["content"][0]["text"],
            Some("function_call") => &item["name"],
            _ => &item["output"],
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        told.push([text(&item["type"]), text(&item["call_id"]), text(about)]);
    }
    told
}

fn items<const N: usize>(items: [[&str; 3]; N]) -> Vec<[String; 3]> {
    items.map(|item| item.map(str::to_owned)).into()
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_is_run_once_and_told_to_the_next_session() {
    let runs = Runs::default();
    let (tool, mut gate) = runs.tool("look");
    let (conversation, handle, queue, mut server, switchboard) = recovering(all_of([tool])).await;
    handle.say("Look!").expect("is taken");
    handle.finish().expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.call_alone("r1", "c", "look", &json!({})).await;
        let call = gate.next().await;
        let mut next = switchboard.answer().await;
        drop(server);
        next.open().await;
        let expected = items([
            ["message", "", "Look!"],
            ["function_call", "call_kept_0002", "look"],
        ]);
        assert_eq!(told(&mut next, 2).await, expected);
        next.hear_for(500).await;
        call.send(Ok("seen".to_owned())).expect("it waits");
        // Under the name that the new session knows.
        let result = ("call_kept_0002".to_owned(), "seen".to_owned());
        assert_eq!(next.result().await, result);
        next.expect("response.create").await;
        next.answer("r2", "a", "I see.", 100).await;
        queue.end();
        assert!(next.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(runs.count(), 1);
    assert_eq!(tool_events(&moments), ["item_c started", "item_c done"]);
}

#[tokio::test(start_paused = true)]
async fn a_result_that_comes_meanwhile_is_told_with_its_call_and_answered() {
    let runs = Runs::default();
    let (tool, mut gate) = runs.tool("look");
    let (conversation, handle, queue, mut server, switchboard) = recovering(all_of([tool])).await;
    handle.say("Look!").expect("is taken");
    handle.finish().expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("r1").await;
        server.call("r1", "c", "look", &json!({})).await;
        let call = gate.next().await;
        // In the middle of the response that called.
        drop(server);
        pass(Duration::from_secs(1)).await;
        call.send(Ok("seen".to_owned())).expect("it waits");
        let mut next = switchboard.answer().await;
        next.open().await;
        let expected = items([
            ["message", "", "Look!"],
            ["function_call", "call_kept_0002", "look"],
            ["function_call_output", "call_kept_0002", "seen"],
        ]);
        assert_eq!(told(&mut next, 3).await, expected);
        next.expect("response.create").await;
        // Its calls may have the ids of the last one.
        next.call_alone("r1", "c", "look", &json!({})).await;
        gate.open("seen again").await;
        assert_eq!(next.result().await.1, "seen again");
        next.expect("response.create").await;
        next.answer("r2", "a", "I see.", 100).await;
        queue.end();
        assert!(next.next().await.is_none());
    });
    all(conversation).await;
    server.await.expect("the script");
    assert_eq!(runs.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_result_that_was_told_but_not_answered_is_answered_once_in_the_next_session() {
    let runs = Runs::default();
    let (conversation, handle, queue, mut server, switchboard) =
        recovering(all_of([runs.quick("look")])).await;
    handle.say("Look!").expect("is taken");
    handle.finish().expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.call_alone("r1", "c", "look", &json!({})).await;
        server.unconfirmed_result().await;
        server.expect("response.create").await;
        let mut next = switchboard.answer().await;
        drop(server);
        next.open().await;
        assert_eq!(told(&mut next, 3).await[2][2], "{}");
        next.expect("response.create").await;
        next.answer("r2", "a", "I see.", 100).await;
        next.hear_for(1000).await;
        queue.end();
        assert!(next.next().await.is_none(), "it is answered");
    });
    all(conversation).await;
    server.await.expect("the script");
    assert_eq!(runs.count(), 1);
}
