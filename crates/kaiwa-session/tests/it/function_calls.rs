//! Functions the model calls.

use kaiwa_session::{EngineCommand, EngineEvent, PromptToolChoice};
use serde_json::json;

use crate::harness::{Harness, answer, generated};

fn call(call_id: &str, name: &str, arguments: &[&str]) -> Vec<EngineEvent> {
    let mut events = vec![EngineEvent::CallStart {
        call_id: call_id.to_owned(),
        name: name.to_owned(),
    }];
    events.extend(arguments.iter().map(|text| EngineEvent::CallArguments {
        text: (*text).to_owned(),
    }));
    events
}

#[test]
fn a_call_and_the_answer_from_its_output() {
    let mut harness = Harness::updated(json!({"type": "realtime", "output_modalities": ["text"],
        "tools": [{"type": "function", "name": "weather", "description": "Tells the weather.",
            "parameters": {"type": "object"}}]}));
    let mut events = call("call_a", "weather", &["{\"city\":", "\"Rome\"}"]);
    events.push(generated(9));
    harness.answers.push_back(events);
    harness.answers.push_back(answer(&["Sunny."]));
    harness.say("weather in Rome?");
    harness.client(json!({"type": "conversation.item.create", "item": {
        "type": "function_call_output", "call_id": "call_a", "output": "sun"}}));
    harness.client(json!({"type": "response.create"}));
    insta::assert_snapshot!(harness.record());
}

#[test]
fn calls_wait_until_the_message_before_them_is_spoken() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.say("weather in Rome and Oslo?");
    let writing = harness.job("generate");
    harness.engine(
        writing,
        EngineEvent::Text {
            text: "Let me look.".to_owned(),
        },
    );
    let calls = call("a", "weather", &["{}"])
        .into_iter()
        .chain(call("b", "weather", &["{}"]));
    for event in calls.chain([generated(9)]) {
        harness.engine(writing, event);
    }
    assert!(
        harness
            .sent("response.function_call_arguments.done")
            .is_empty()
    );
    harness.work("speak");
    let done = harness.sent("response.output_item.done");
    let kinds: Vec<_> = done.iter().map(|e| &e["item"]["type"]).collect();
    assert_eq!(kinds, ["message", "function_call", "function_call"]);
    let indexes: Vec<_> = done.iter().map(|e| &e["output_index"]).collect();
    assert_eq!(indexes, [0, 1, 2]);
    let output = &harness.last("response.done")["response"]["output"];
    assert_eq!(output.as_array().map(Vec::len), Some(3));
}

#[test]
fn a_call_that_is_cut_off_is_incomplete_and_one_never_announced_disappears() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.say("weather?");
    let writing = harness.job("generate");
    for event in call("a", "weather", &["{\"ci"]) {
        harness.engine(writing, event);
    }
    harness.client(json!({"type": "response.cancel"}));
    let item = &harness.last("response.output_item.done")["item"];
    assert_eq!(item["status"], "incomplete");
    assert_eq!(item["arguments"], "{\"ci");

    harness.say("again?");
    let writing = harness.job("generate");
    harness.engine(
        writing,
        EngineEvent::Text {
            text: "Let me look.".to_owned(),
        },
    );
    for event in call("b", "weather", &["{}"]) {
        harness.engine(writing, event);
    }
    harness.client(json!({"type": "response.cancel"}));
    let output = harness.last("response.done")["response"]["output"].clone();
    assert_eq!(output.as_array().map(Vec::len), Some(1));
    assert_eq!(output[0]["type"], "message");
}

#[test]
fn an_id_of_an_engine_that_clients_could_not_use_is_replaced() {
    let mut harness = Harness::new();
    let mut events = call("not a good id!", "f", &["{}"]);
    events.extend(call("same", "f", &["{}"]));
    events.extend(call("same", "f", &["{}"]));
    events.extend(call("", "f", &["{}"]));
    events.push(generated(9));
    harness.answers.push_back(events);
    harness.say("go");
    let ids: Vec<String> = harness
        .sent("response.function_call_arguments.done")
        .iter()
        .map(|e| e["call_id"].as_str().expect("a string").to_owned())
        .collect();
    assert_eq!(ids[1], "same");
    for id in [&ids[0], &ids[2], &ids[3]] {
        assert!(id.starts_with("call_"), "{id}");
    }
}

#[test]
fn tools_and_choice_reach_the_language_model() {
    let mut harness = Harness::updated(json!({"type": "realtime",
        "tools": [{"type": "function", "name": "f"}, {"type": "mcp", "server_label": "x",
            "server_url": "https://mcp.example"}],
        "tool_choice": {"type": "function", "name": "f"}}));
    harness.by_hand = true;
    harness.client(json!({"type": "response.create"}));
    match &harness.jobs[0].1 {
        EngineCommand::Generate(generate) => {
            assert_eq!(generate.tools.len(), 1);
            assert_eq!(generate.tools[0].name, "f");
            assert_eq!(generate.tools[0].parameters["type"], "object");
            assert_eq!(
                generate.tool_choice,
                PromptToolChoice::Function("f".to_owned())
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_id_is_used_for_one_call_even_if_that_was_out_of_band() {
    let mut harness = Harness::new();
    for conversation in ["none", "auto"] {
        let mut events = call("same", "f", &["{}"]);
        events.push(generated(9));
        harness.answers.push_back(events);
        harness.client(json!({"type": "response.create", "response": {
            "conversation": conversation}}));
    }
    let calls = harness.sent("response.function_call_arguments.done");
    assert_eq!(calls[0]["call_id"], "same");
    assert_ne!(calls[1]["call_id"], "same");
}

#[test]
fn without_parallel_calls_the_first_one_ends_the_answer() {
    let mut harness = Harness::updated(json!({"type": "realtime", "parallel_tool_calls": false,
        "output_modalities": ["text"]}));
    harness.by_hand = true;
    harness.say("weather in Rome and Oslo?");
    let writing = harness.job("generate");
    harness.forget();
    for event in call("a", "weather", &["{}"]) {
        harness.engine(writing, event);
    }
    for event in call("b", "weather", &["{}"]) {
        harness.engine(writing, event);
    }
    insta::assert_snapshot!(harness.record());
    // A response may allow them for itself.
    harness.client(json!({"type": "response.create", "response": {
        "parallel_tool_calls": true}}));
    let writing = harness.job("generate");
    let calls = call("c", "weather", &["{}"])
        .into_iter()
        .chain(call("d", "weather", &["{}"]));
    for event in calls.chain([generated(9)]) {
        harness.engine(writing, event);
    }
    let output = &harness.last("response.done")["response"]["output"];
    assert_eq!(output.as_array().map(Vec::len), Some(2));
}
