//! Calls of our tools, one response after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::card::FileCard;
use crate::testing::{called, connected, script};
use crate::tools::{Confirm, Confirmation, Tool, Tools};

/// How often a tool was run.
#[derive(Clone, Default)]
pub(super) struct Runs(Arc<AtomicU32>);

impl Runs {
    pub(super) fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// A tool that says how often it was run, and returns when it is let go of.
    pub(super) fn tool(&self, name: &str) -> (Tool, Gate) {
        let (gates, asked) = mpsc::unbounded_channel();
        let runs = self.clone();
        let run = move |_: Value| {
            let number = runs.0.fetch_add(1, Ordering::Relaxed) + 1;
            let (gate, open) = oneshot::channel();
            gates.send(gate).expect("a test that looks");
            async move { open.await.unwrap_or_else(|_| Ok(format!("run {number}"))) }
        };
        let schema = json!({"type": "object", "additionalProperties": false,
            "properties": {"n": {"type": "integer"}}});
        let tool = Tool::new(name, "A test.", schema, run).expect("a tool");
        (tool, Gate(asked))
    }

    /// A tool that returns at once.
    pub(super) fn quick(&self, name: &str) -> Tool {
        let runs = self.clone();
        let run = move |arguments: Value| {
            runs.0.fetch_add(1, Ordering::Relaxed);
            async move { Ok(arguments.to_string()) }
        };
        Tool::new(name, "A test.", json!({"type": "object"}), run).expect("a tool")
    }
}

/// Where calls wait until they are let go of, in their order.
pub(super) struct Gate(mpsc::UnboundedReceiver<oneshot::Sender<Result<String, String>>>);

impl Gate {
    /// The next call, which is at work.
    pub(super) async fn next(&mut self) -> oneshot::Sender<Result<String, String>> {
        self.0.recv().await.expect("a call")
    }

    /// Lets the next call return.
    pub(super) async fn open(&mut self, result: &str) {
        let gate = self.next().await;
        gate.send(Ok(result.to_owned())).expect("a call that waits");
    }
}

pub(super) fn all_of(tools: impl IntoIterator<Item = Tool>) -> Tools {
    let mut all = Tools::default();
    all.filler_after = None;
    for tool in tools {
        all.add(tool).expect("another tool");
    }
    all
}

/// A conversation with these tools and without sound.
pub(super) async fn with_tools(tools: Tools) -> (Conversation, Handle, FakeServer) {
    let (link, server) = connected().await;
    let card = FileCard::builder().build().expect("a card");
    let config = ConversationConfig {
        tools,
        ..ConversationConfig::default()
    };
    let (conversation, handle) = Conversation::start(link, card, config);
    (conversation, handle, server)
}

/// What was told of calls: what happened, and of which.
pub(super) fn tool_events(moments: &[Moment]) -> Vec<String> {
    let told = moments.iter().filter_map(|moment| match &moment.event {
        Event::ToolConfirmation { item, .. } => Some(format!("{item} asked")),
        Event::ToolCallStarted { item, .. } => Some(format!("{item} started")),
        Event::ToolCallDone { item, failed, .. } => Some(match failed {
            true => format!("{item} failed"),
            false => format!("{item} done"),
        }),
        _ => None,
    });
    told.collect()
}

/// The error that a model is told of.
fn error(output: &str) -> String {
    let output: Value = serde_json::from_str(output).expect("JSON");
    output["error"].as_str().expect("text").to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_call_is_run_once_and_answered_once() {
    let runs = Runs::default();
    let (conversation, handle, mut server) = with_tools(all_of([runs.quick("look")])).await;
    handle.say("Look!").expect("is taken");
    handle.finish().expect("is taken");
    let server = script(async move {
        let update = server.open().await;
        assert_eq!(update["session"]["tools"][0]["name"], "look");
        assert_eq!(update["session"]["tools"][0]["type"], "function");
        server.asked().await;
        server.begin_response("r1").await;
        let call = called("r1", "c", "look", &json!({"n": 1}), "completed");
        server.send(call.clone()).await;
        // A server may repeat itself, and does so in the end.
        server.send(call.clone()).await;
        assert_eq!(
            server.result().await,
            ("c".to_owned(), r#"{"n":1}"#.to_owned())
        );
        // While the response runs, no other is asked for.
        server.hear_for(1000).await;
        server
            .send(
                json!({"type": "response.done", "response": {"id": "r1", "status": "completed",
                "conversation_id": "conv_1", "output": [call["item"]]}}),
            )
            .await;
        let create = server.expect("response.create").await;
        assert_eq!(create["response"], Value::Null);
        server.answer("r2", "a", "I see.", 100).await;
        assert!(server.next().await.is_none(), "nothing is asked twice");
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(runs.count(), 1);
    assert_eq!(tool_events(&moments), ["item_c started", "item_c done"]);
    assert_eq!(reason(&moments), &EndReason::InputEnded);
    // The turn was answered by the second response.
    assert_eq!(latency(&moments).response, "r2");
}

#[tokio::test(start_paused = true)]
async fn without_tools_the_server_keeps_its_own() {
    let (conversation, mut server) = having_typed("Hello").await;
    let server = script(async move {
        let update = server.open().await;
        assert_eq!(update["session"]["tools"], Value::Null);
        server.asked().await;
        server.call_alone("r1", "c", "look", &json!({})).await;
        let (_, output) = server.result().await;
        assert_eq!(error(&output), "there is no tool called look");
        server.expect("response.create").await;
        server.answer("r2", "a", "Sorry.", 100).await;
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(tool_events(&moments), ["item_c failed"]);
}

#[tokio::test(start_paused = true)]
async fn results_are_told_in_the_order_of_the_calls_and_answered_together() {
    let runs = Runs::default();
    let (slow, mut gate) = runs.tool("slow");
    let (conversation, handle, mut server) = with_tools(all_of([slow, runs.quick("quick")])).await;
    handle.say("Both!").expect("is taken");
    handle.finish().expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("r1").await;
        for (id, name) in [("c1", "slow"), ("c2", "quick"), ("c3", "slow")] {
            server.call("r1", id, name, &json!({})).await;
        }
        server.end_response("r1", "completed").await;
        let first = gate.next().await;
        let third = gate.next().await;
        third.send(Ok("three".to_owned())).expect("it waits");
        server.hear_for(1000).await;
        first.send(Ok("one".to_owned())).expect("it waits");
        let mut told = Vec::new();
        for _ in 0..3 {
            told.push(server.result().await);
        }
        server.expect("response.create").await;
        server.answer("r2", "a", "Done.", 100).await;
        assert!(server.next().await.is_none());
        told
    });
    all(conversation).await;
    let told = server.await.expect("the script");
    let expected = [("c1", "one"), ("c2", "{}"), ("c3", "three")];
    assert_eq!(
        told,
        expected.map(|(id, output)| (id.to_owned(), output.to_owned()))
    );
    assert_eq!(runs.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_with_a_call_is_told_to_the_model() {
    let schema = || json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    let tool = |name: &str, run: fn() -> Result<String, String>| {
        Tool::new(name, "A test.", schema(), move |_| async move { run() }).expect("a tool")
    };
    let failing = tool("failing", || Err("out of paper".to_owned()));
    let panicking = tool("panicking", || panic!("a test that panics"));
    let silent = tool("silent", || Ok(String::new()));
    let huge = tool("huge", || Ok("x".repeat(1 << 20)));
    let hanging = |_: Value| std::future::pending();
    let hanging = Tool::new("hanging", "A test.", schema(), hanging).expect("a tool");
    let hanging = hanging.within(Duration::from_secs(90));
    let tools = all_of([failing, panicking, silent, huge, hanging]);
    let limit = tools.max_output;
    let (conversation, handle, mut server) = with_tools(tools).await;
    handle.say("Try it all.").expect("is taken");
    handle.finish().expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("r1").await;
        let none = json!({});
        for (id, name, arguments) in [
            ("c1", "failing", &none),
            ("c2", "panicking", &none),
            ("c3", "silent", &none),
            ("c4", "huge", &none),
            ("c5", "failing", &json!({"n": "one"})),
            ("c6", "missing", &none),
            ("c7", "failing", &json!("{")),
            ("c8", "hanging", &none),
        ] {
            server.call("r1", id, name, arguments).await;
        }
        server.end_response("r1", "completed").await;
        let mut outputs = Vec::new();
        for n in 1..=7 {
            let (id, output) = server.result().await;
            assert_eq!(id, format!("c{n}"));
            outputs.push(output);
        }
        assert_eq!(error(&outputs[0]), "out of paper");
        assert_eq!(error(&outputs[1]), "the tool broke down");
        assert_eq!(outputs[2], "(no output)");
        assert!(outputs[3].len() == limit && outputs[3].ends_with("bytes in all]"));
        let mistake = error(&outputs[4]);
        assert!(
            mistake.starts_with("the arguments do not fit: at /n: "),
            "{mistake}"
        );
        assert_eq!(error(&outputs[5]), "there is no tool called missing");
        assert!(error(&outputs[6]).contains("not of type \"object\""));
        // Longer than a server may owe an answer.
        let begun = Instant::now();
        let (id, output) = server.result().await;
        assert_eq!(
            (id.as_str(), error(&output).as_str()),
            ("c8", "it did not return within 90 s")
        );
        assert_eq!(
            begun.elapsed().as_secs().clamp(88, 91),
            begun.elapsed().as_secs()
        );
        server.expect("response.create").await;
        server.answer("r2", "a", "All went wrong.", 100).await;
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(reason(&moments), &EndReason::InputEnded);
    let failed = tool_events(&moments);
    let failed = failed.iter().filter(|event| event.ends_with("failed"));
    assert_eq!(failed.count(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_cut_short_is_not_run() {
    let runs = Runs::default();
    let (conversation, handle, mut server) = with_tools(all_of([runs.quick("look")])).await;
    handle.say("Look!").expect("is taken");
    handle.finish().expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("r1").await;
        server
            .send(called("r1", "c", "look", &json!({}), "incomplete"))
            .await;
        server.end_response("r1", "incomplete").await;
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(runs.count(), 0);
    assert!(tool_events(&moments).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_model_that_calls_for_ever_has_to_answer() {
    let runs = Runs::default();
    let (conversation, handle, mut server) = with_tools(all_of([runs.quick("look")])).await;
    handle.say("Look!").expect("is taken");
    handle.finish().expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        for n in 0..10 {
            let id = n.to_string();
            server
                .call_alone(&format!("r{n}"), &id, "look", &json!({}))
                .await;
            assert_eq!(server.result().await.0, id);
            let create = server.expect("response.create").await;
            let choice = &create["response"]["tool_choice"];
            assert_eq!(choice == "none", n == 9, "{n}: {create}");
        }
        server.answer("r", "a", "Enough.", 100).await;
        assert!(server.next().await.is_none());
    });
    all(conversation).await;
    server.await.expect("the script");
    assert_eq!(runs.count(), 10);
}

/// A conversation in which `tool` needs to be agreed to.
async fn confirming(
    tools: impl IntoIterator<Item = Tool>,
    confirmation: Confirmation,
) -> (Conversation, Handle, FakeServer) {
    let mut tools = all_of(tools);
    tools.confirmation = confirmation;
    with_tools(tools).await
}

#[tokio::test(start_paused = true)]
async fn somebody_is_asked_and_a_no_is_told() {
    let runs = Runs::default();
    let tool = runs.quick("rm").confirmed(Confirm::Always);
    let (mut conversation, handle, mut server) = confirming([tool], Confirmation::Ask).await;
    handle.say("Tidy up!").expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("r1").await;
        for id in ["c1", "c2", "c3"] {
            server.call("r1", id, "rm", &json!({"n": id})).await;
        }
        server.end_response("r1", "completed").await;
        assert_eq!(server.result().await.1, r#"{"n":"c1"}"#);
        assert_eq!(
            error(&server.result().await.1),
            "the user does not allow it"
        );
        let begun = Instant::now();
        let late = error(&server.result().await.1);
        assert_eq!(late, "nobody said within 60 s that it may run");
        assert!(begun.elapsed() > Duration::from_secs(58));
        server.expect("response.create").await;
        server.answer("r2", "a", "Well.", 100).await;
        assert!(server.next().await.is_none());
    });
    let asked = until(&mut conversation, |event| match event {
        Event::ToolConfirmation {
            item,
            name,
            arguments,
        } => Some((item.clone(), name.clone(), arguments.clone())),
        _ => None,
    })
    .await;
    assert_eq!(
        asked,
        (
            "item_c1".to_owned(),
            "rm".to_owned(),
            r#"{"n":"c1"}"#.to_owned()
        )
    );
    // In any order, and only once.
    handle.confirm("item_c2", false).expect("is taken");
    handle.confirm("item_c1", true).expect("is taken");
    handle.confirm("item_c1", false).expect("is taken");
    handle.confirm("item_c2", true).expect("is taken");
    handle.finish().expect("is taken");
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(runs.count(), 1);
    assert_eq!(reason(&moments), &EndReason::InputEnded);
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_is_agreed_to_once_is_agreed_to_for_good() {
    let runs = Runs::default();
    let tool = runs.quick("rm").confirmed(Confirm::First);
    let (mut conversation, handle, mut server) = confirming([tool], Confirmation::Ask).await;
    handle.say("Tidy up!").expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("r1").await;
        server.call("r1", "c1", "rm", &json!({})).await;
        server.call("r1", "c2", "rm", &json!({})).await;
        server.end_response("r1", "completed").await;
        for id in ["c1", "c2"] {
            assert_eq!(server.result().await, (id.to_owned(), "{}".to_owned()));
        }
        server.expect("response.create").await;
        server.call_alone("r2", "c3", "rm", &json!({})).await;
        assert_eq!(server.result().await.1, "{}");
        server.expect("response.create").await;
        server.answer("r3", "a", "Tidy.", 100).await;
        assert!(server.next().await.is_none());
    });
    // The second is asked for, too.
    for _ in 0..2 {
        until(&mut conversation, |event| {
            matches!(event, Event::ToolConfirmation { .. }).then_some(())
        })
        .await;
    }
    handle.confirm("item_c1", true).expect("is taken");
    handle.finish().expect("is taken");
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(runs.count(), 3);
    let asked = tool_events(&moments);
    assert!(
        asked.iter().all(|event| !event.ends_with("asked")),
        "{asked:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn where_nobody_can_be_asked_it_does_not_run_unless_it_may() {
    for (confirmation, expected) in [(Confirmation::Refuse, 0), (Confirmation::Approve, 1)] {
        let runs = Runs::default();
        let tool = runs.quick("rm").confirmed(Confirm::Always);
        let (conversation, handle, mut server) = confirming([tool], confirmation).await;
        handle.say("Tidy up!").expect("is taken");
        handle.finish().expect("is taken");
        let server = script(async move {
            server.open().await;
            server.asked().await;
            server.call_alone("r1", "c", "rm", &json!({})).await;
            let (_, output) = server.result().await;
            server.expect("response.create").await;
            server.answer("r2", "a", "Well.", 100).await;
            assert!(server.next().await.is_none());
            output
        });
        all(conversation).await;
        let output = server.await.expect("the script");
        assert_eq!(runs.count(), expected);
        if expected == 0 {
            assert_eq!(error(&output), "nobody is there who could allow it");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_runs_ends_with_the_conversation() {
    let (dropped, gone) = oneshot::channel::<()>();
    let dropped = std::sync::Mutex::new(Some(dropped));
    let run = move |_: Value| {
        let held = dropped.lock().expect("a lock").take();
        async move {
            let _held = held;
            std::future::pending().await
        }
    };
    let schema = json!({"type": "object"});
    let tool = Tool::new("hang", "A test.", schema, run).expect("a tool");
    let (mut conversation, handle, mut server) = with_tools(all_of([tool])).await;
    handle.say("Hang!").expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.call_alone("r1", "c", "hang", &json!({})).await;
        assert!(server.next().await.is_none());
    });
    until(&mut conversation, |event| {
        matches!(event, Event::ToolCallStarted { .. }).then_some(())
    })
    .await;
    handle.stop();
    assert_eq!(conversation.finished().await, EndReason::Stopped);
    assert!(gone.await.is_err(), "the call is dropped");
    server.await.expect("the script");
}
