//! Tools of MCP servers: listed, called, approved.

use kaiwa_protocol::{McpError, McpToolExecutionError, McpToolInfo};
use kaiwa_session::{
    EngineCommand, EngineEvent, PromptToolChoice, RateLimitConfig, RateLimitName, SessionOptions,
};
use serde_json::{Value, json};

use crate::harness::{Harness, answer, failed, generated, test_options};

/// A session that is text only and has a server with the tools `today` and `order`, of which
/// the first needs no approval.
fn harness() -> Harness {
    let mut harness = Harness::new();
    harness.listings.push_back(listed(&["today", "order"]));
    harness.client(json!({"type": "session.update", "session": session()}));
    harness.forget();
    harness
}

fn session() -> Value {
    json!({"type": "realtime", "output_modalities": ["text"], "tools": [server()]})
}

fn server() -> Value {
    json!({"type": "mcp", "server_label": "menu", "server_url": "https://menu.test/mcp",
        "authorization": "secret", "require_approval": {"never": {"tool_names": ["today"]}}})
}

fn listed(names: &[&str]) -> EngineEvent {
    let tool = |name: &&str| {
        let tool = json!({"name": name, "input_schema": {"type": "object"}});
        serde_json::from_value::<McpToolInfo>(tool).expect("a tool")
    };
    EngineEvent::ToolsListed {
        tools: names.iter().map(tool).collect(),
    }
}

fn call(name: &str, arguments: &str) -> Vec<EngineEvent> {
    vec![
        EngineEvent::CallStart {
            call_id: String::new(),
            name: name.to_owned(),
        },
        EngineEvent::CallArguments {
            text: arguments.to_owned(),
        },
        generated(9),
    ]
}

fn returned(output: &str) -> EngineEvent {
    EngineEvent::ToolReturned {
        output: output.to_owned(),
    }
}

fn approve(request: &str, approve: bool) -> Value {
    json!({"type": "conversation.item.create", "previous_item_id": request, "item": {
        "type": "mcp_approval_response", "approval_request_id": request, "approve": approve,
        "reason": "too dear"}})
}

#[test]
fn a_server_is_asked_for_its_tools_when_it_is_declared() {
    let mut harness = Harness::new();
    harness.listings.push_back(listed(&["today"]));
    harness.client(json!({"type": "session.update", "session": session()}));
    insta::assert_snapshot!(harness.record());
}

#[test]
fn a_server_is_asked_again_only_when_it_moved_or_failed() {
    let mut harness = harness();
    let asked = |harness: &Harness| harness.sent("mcp_list_tools.in_progress").len();
    let update = |harness: &mut Harness, tool: Value| {
        let session = json!({"type": "realtime", "tools": [tool]});
        harness.client(json!({"type": "session.update", "session": session}));
    };
    update(&mut harness, json!({"type": "mcp", "server_label": "menu"}));
    assert_eq!(asked(&harness), 1, "its label is enough");
    let mut moved = server();
    moved["server_url"] = json!("https://menu.test/other");
    harness.listings.push_back(failed("nobody is there"));
    update(&mut harness, moved.clone());
    assert_eq!(asked(&harness), 2, "it moved");
    assert_eq!(harness.sent("mcp_list_tools.failed").len(), 1);
    let error = &harness.last("error")["error"];
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains("'menu': nobody is there"), "{message}");
    update(&mut harness, moved);
    assert_eq!(asked(&harness), 3, "the last time nobody was there");
}

#[test]
fn the_error_of_a_listing_names_the_event_that_declared_the_server() {
    let mut harness = Harness::new();
    harness.listings.push_back(failed("nobody is there"));
    harness.client(json!({"type": "session.update", "event_id": "mine", "session": session()}));
    assert_eq!(harness.last("error")["error"]["event_id"], "mine");
}

#[test]
fn a_server_that_moves_while_it_is_asked_is_asked_where_it_is() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.client(json!({"type": "session.update", "session": session()}));
    let first = harness.job("list");
    let mut moved = session();
    moved["tools"][0]["server_url"] = json!("https://menu.test/other");
    harness.client(json!({"type": "session.update", "session": moved}));
    assert_eq!(harness.cancelled, [first]);
    assert_eq!(harness.sent("mcp_list_tools.failed").len(), 1);
    harness.listings.push_back(listed(&["today"]));
    harness.work("list");
    harness.engine(first, listed(&["yesterday"]));
    let completed = harness.sent("mcp_list_tools.completed");
    assert_eq!(completed.len(), 1);
    let done = harness.sent("conversation.item.done");
    assert_eq!(done.len(), 2, "both listings have ended");
    assert_eq!(done[1]["item"]["tools"][0]["name"], "today");
}

#[test]
fn an_item_that_took_the_id_of_a_deleted_listing_is_left_alone() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.client(json!({"type": "session.update", "session": session()}));
    let id = harness.last("mcp_list_tools.in_progress")["item_id"].clone();
    harness.client(json!({"type": "conversation.item.delete", "item_id": id}));
    harness.client(
        json!({"type": "conversation.item.create", "item": {"id": id,
        "type": "message", "role": "user",
        "content": [{"type": "input_text", "text": "hi"}]}}),
    );
    harness.listings.push_back(listed(&["today"]));
    harness.work("list");
    assert_eq!(harness.sent("conversation.item.done").len(), 1);
    assert_eq!(harness.sent("mcp_list_tools.completed").len(), 1);
}

#[test]
fn a_bound_session_asks_its_servers_at_once() {
    let harness = Harness::configured(session());
    assert_eq!(
        harness.kinds(0)[..3],
        [
            "session.created",
            "conversation.item.added",
            "mcp_list_tools.in_progress"
        ]
    );
    assert!(!harness.events[0].to_string().contains("secret"));
}

#[test]
fn a_call_is_made_in_the_response_and_the_next_one_answers_it() {
    let mut harness = harness();
    harness
        .answers
        .push_back(call("today", "{\"meal\":\"lunch\"}"));
    harness.answers.push_back(answer(&["There is", " soup."]));
    harness.returns.push_back(returned("soup"));
    harness.say("what is there?");
    harness.client(json!({"type": "response.create"}));
    insta::assert_snapshot!(harness.record());
}

#[test]
fn a_failed_call_is_told_to_the_client_and_to_the_model() {
    let mut harness = harness();
    harness.by_hand = true;
    let errors = [
        EngineEvent::ToolFailed {
            error: McpError::ToolExecution(McpToolExecutionError {
                message: "the kitchen is closed".to_owned(),
                ..McpToolExecutionError::default()
            }),
        },
        failed("the kitchen is closed"),
    ];
    for error in errors {
        harness.answers.push_back(call("today", "{}"));
        harness.returns.push_back(error);
        harness.say("what is there?");
        harness.work("generate");
        harness.work("call");
        let item = &harness.last("response.output_item.done")["item"];
        assert_eq!(item["error"]["type"], "tool_execution_error");
        assert_eq!(item["error"]["message"], "the kitchen is closed");
        assert!(item["output"].is_null());
        let response = &harness.last("response.done")["response"];
        assert_eq!(response["status"], "completed");
        harness.client(json!({"type": "response.create"}));
        let (_, command) = harness.jobs.back().expect("the model goes on");
        let prompt = harness.prompt(command);
        let last = prompt.last().expect("a message");
        assert_eq!(last, "Tool: The tool failed: the kitchen is closed");
        harness.work("generate");
    }
    assert_eq!(harness.sent("response.mcp_call.failed").len(), 2);
    assert!(harness.sent("response.mcp_call.completed").is_empty());
}

#[test]
fn a_call_that_needs_approval_is_made_when_it_has_it() {
    let mut harness = harness();
    harness.answers.push_back(call("order", "{\"dish\":2}"));
    harness.returns.push_back(returned("done"));
    harness.say("order the second");
    let request = harness.last("response.output_item.done")["item"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert!(harness.sent("response.mcp_call.in_progress").is_empty());
    harness.client(approve(&request, true));
    insta::assert_snapshot!(harness.record());
    // A question is answered once.
    harness.client(approve(&request, true));
    let error = &harness.last("error")["error"];
    assert_eq!(error["param"], "item.approval_request_id");
}

#[test]
fn the_model_hears_that_a_call_was_not_allowed() {
    let mut harness = harness();
    harness.answers.push_back(call("order", "{}"));
    harness.say("order something");
    let request = harness.last("response.output_item.done")["item"]["id"].clone();
    let request = request.as_str().expect("an id");
    harness.by_hand = true;
    harness.client(approve(request, false));
    let (_, command) = harness.jobs.back().expect("the model goes on");
    let prompt = harness.prompt(command);
    assert_eq!(
        prompt[prompt.len() - 2..],
        [
            "Assistant: ",
            "Tool: The user did not allow this call: too dear"
        ]
    );
    assert!(harness.sent("response.mcp_call.in_progress").is_empty());
}

#[test]
fn an_approval_waits_for_the_answer_that_is_being_given() {
    let mut harness = harness();
    harness.answers.push_back(call("order", "{}"));
    harness.say("order something");
    let request = harness.last("response.output_item.done")["item"]["id"].clone();
    let request = request.as_str().expect("an id").to_owned();
    harness.by_hand = true;
    harness.say("and how are you?");
    harness.client(approve(&request, true));
    assert_eq!(harness.sent("response.created").len(), 2);
    harness.work("generate");
    assert_eq!(harness.sent("response.created").len(), 3);
    harness.work("call");
    assert_eq!(harness.sent("response.done").len(), 3);
    let item = &harness.last("response.done")["response"]["output"][0];
    assert_eq!(item["type"], "mcp_call");
    assert_eq!(item["approval_request_id"], request.as_str());
}

#[test]
fn an_approval_in_a_turn_of_the_user_waits_for_its_answer() {
    let mut harness = harness();
    harness.answers.push_back(call("order", "{}"));
    harness.say("order something");
    let request = harness.last("response.output_item.done")["item"]["id"].clone();
    let request = request.as_str().expect("an id").to_owned();
    harness.transcripts.push_back(Ok("And make it quick."));
    harness.audio(480, true);
    harness.client(approve(&request, true));
    assert_eq!(harness.sent("response.created").len(), 1);
    harness.audio(352, false);
    let done = harness.sent("response.done");
    let output = |n: usize| &done[n]["response"]["output"][0]["type"];
    assert_eq!(done.len(), 3);
    assert_eq!(
        (output(1), output(2)),
        (&json!("message"), &json!("mcp_call"))
    );
    assert!(harness.sent("error").is_empty());
}

#[test]
fn an_approved_call_that_a_limit_forbids_is_told_as_failed() {
    let mut harness = Harness::with(SessionOptions {
        rate_limits: vec![RateLimitConfig {
            name: RateLimitName::Requests,
            limit: 1,
            window_ms: 60_000,
        }],
        ..test_options()
    });
    harness.listings.push_back(listed(&["order"]));
    harness.client(json!({"type": "session.update", "session": session()}));
    harness.answers.push_back(call("order", "{}"));
    harness.say("order something");
    let request = harness.last("response.output_item.done")["item"]["id"].clone();
    harness.client(approve(request.as_str().expect("an id"), true));
    let response = &harness.last("response.done")["response"];
    assert_eq!(response["status"], "failed");
    assert_eq!(response["output"][0]["approval_request_id"], request);
    assert_eq!(
        response["output"][0]["error"]["message"],
        "The call was not made."
    );
    assert!(harness.sent("response.mcp_call.in_progress").is_empty());
    // Its arguments are told in pieces first, as of each call.
    let pieces = harness.sent("response.mcp_call_arguments.delta");
    let pieces: String = pieces.iter().filter_map(|e| e["delta"].as_str()).collect();
    assert_eq!(pieces, "{}");
    assert_eq!(
        harness.last("response.mcp_call_arguments.done")["arguments"],
        pieces
    );
}

#[test]
fn the_model_is_told_of_a_tool_by_the_name_it_was_offered() {
    let mut harness = Harness::new();
    harness.listings.push_back(listed(&["look.up"]));
    harness.client(
        json!({"type": "session.update", "session": {"type": "realtime",
        "output_modalities": ["text"], "tools": [{"type": "mcp", "server_label": "menu",
            "server_url": "https://menu.test/mcp", "require_approval": "never"}]}}),
    );
    harness.answers.push_back(call("look_up", "{}"));
    harness.say("what is there?");
    assert_eq!(
        harness.last("conversation.item.done")["item"]["name"],
        "look.up"
    );
    harness.by_hand = true;
    harness.client(json!({"type": "response.create"}));
    let EngineCommand::Generate(generate) = &harness.jobs.back().expect("a job").1 else {
        panic!("{:?}", harness.jobs);
    };
    let calls = generate.messages.iter().flat_map(|message| &message.calls);
    let names: Vec<_> = calls.map(|call| call.name.as_str()).collect();
    assert_eq!(names, ["look_up"]);
}

#[test]
fn listings_fill_the_conversation_like_items_of_the_client() {
    let mut harness = Harness::with(SessionOptions {
        max_created_bytes: 300,
        ..test_options()
    });
    let mut declared = session();
    for url in ["https://a.test", "https://b.test", "https://c.test"] {
        harness.listings.push_back(listed(&["today", "order"]));
        declared["tools"][0]["server_url"] = json!(url);
        harness.client(json!({"type": "session.update", "session": declared}));
    }
    assert_eq!(harness.sent("mcp_list_tools.completed").len(), 1);
    assert_eq!(harness.sent("mcp_list_tools.failed").len(), 2);
    let message = &harness.last("error")["error"]["message"];
    let message = message.as_str().expect("a message");
    assert!(message.contains("there is room for"), "{message}");
}

#[test]
fn a_request_that_was_deleted_cannot_be_approved() {
    let mut harness = harness();
    harness.answers.push_back(call("order", "{}"));
    harness.say("order something");
    let request = harness.last("response.output_item.done")["item"]["id"].clone();
    harness.client(json!({"type": "conversation.item.delete", "item_id": request}));
    harness.client(json!({"type": "conversation.item.create", "item": {
        "type": "mcp_approval_response", "approval_request_id": request, "approve": true}}));
    assert_eq!(harness.sent("response.created").len(), 1);
    assert_eq!(
        harness.last("error")["error"]["param"],
        "item.approval_request_id"
    );
}

#[test]
fn a_cancelled_call_ends_with_what_is_known_of_it() {
    let mut harness = harness();
    harness.by_hand = true;
    harness.answers.push_back(call("today", "{}"));
    harness.say("what is there?");
    harness.work("generate");
    let job = harness.job("call");
    harness.client(json!({"type": "response.cancel"}));
    assert!(harness.cancelled.contains(&job));
    assert_eq!(harness.sent("response.mcp_call.failed").len(), 1);
    let item = &harness.last("conversation.item.done")["item"];
    let message = item["error"]["message"].as_str().expect("a message");
    assert!(message.contains("cancelled"), "{message}");
    let before = harness.events.len();
    harness.engine(job, returned("too late"));
    assert_eq!(harness.events.len(), before);
}

#[test]
fn a_response_waits_for_the_servers_it_names_and_not_for_others() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.client(json!({"type": "session.update", "session": session()}));
    harness.say("hello");
    harness.work("generate");
    harness.listings.push_back(listed(&["today"]));
    harness.work("list");

    let mut other = server();
    other["server_label"] = json!("other");
    other["server_url"] = json!("https://other.test/mcp");
    harness.client(json!({"type": "response.create", "response": {"tools": [other]}}));
    assert!(harness.jobs.iter().all(|(_, c)| !is_generate(c)));
    harness.listings.push_back(listed(&["order"]));
    harness.work("list");
    let (_, command) = harness.jobs.back().expect("it is written now");
    let EngineCommand::Generate(generate) = command else {
        panic!("{command:?}");
    };
    let names: Vec<_> = generate.tools.iter().map(|tool| &tool.name).collect();
    assert_eq!(
        names,
        ["order"],
        "those of the response, not of the session"
    );
}

#[test]
fn a_response_whose_server_cannot_be_asked_is_written_without_it() {
    let mut harness = Harness::new();
    harness.listings.push_back(failed("nobody is there"));
    harness.client(json!({"type": "response.create", "response": {
        "output_modalities": ["text"], "tools": [server()]}}));
    assert_eq!(
        harness.last("response.done")["response"]["status"],
        "completed"
    );
}

#[test]
fn a_tool_that_must_be_called_is_named_to_the_model() {
    let mut harness = harness();
    harness.by_hand = true;
    harness.client(json!({"type": "response.create", "response": {
        "tool_choice": {"type": "mcp", "server_label": "menu", "name": "today"}}}));
    let EngineCommand::Generate(generate) = &harness.jobs.back().expect("a job").1 else {
        panic!("{:?}", harness.jobs);
    };
    let today = PromptToolChoice::Function("today".to_owned());
    assert_eq!(generate.tool_choice, today);
}

#[test]
fn several_calls_are_made_one_after_the_other() {
    let mut harness = harness();
    harness.by_hand = true;
    let mut events = call("today", "{\"meal\":1}");
    events.pop();
    events.extend(call("today", "{\"meal\":2}"));
    harness.answers.push_back(events);
    harness.say("what is there?");
    harness.work("generate");
    assert_eq!(harness.sent("response.mcp_call.in_progress").len(), 1);
    harness.work("call");
    assert_eq!(harness.sent("response.mcp_call.in_progress").len(), 2);
    assert!(harness.sent("response.done").is_empty());
    harness.work("call");
    let output = &harness.last("response.done")["response"]["output"];
    assert_eq!(output[0]["arguments"], "{\"meal\":1}");
    assert_eq!(output[1]["arguments"], "{\"meal\":2}");
}

#[test]
fn results_that_one_event_cannot_hold_fail_and_the_answer_goes_on() {
    let mut harness = harness();
    // As JSON they are twice as long.
    let long = "\"".repeat(200 << 10);
    let mut events = Vec::new();
    for _ in 0..4 {
        events.extend(call("today", "{}"));
        events.pop();
        harness.returns.push_back(returned(&long));
    }
    events.push(generated(9));
    harness.answers.push_back(events);
    harness.say("what is there?");
    assert_eq!(harness.sent("response.mcp_call.completed").len(), 2);
    assert_eq!(harness.sent("response.mcp_call.failed").len(), 2);
    let done = &harness.sent("response.done")[0];
    let output = done["response"]["output"].as_array().expect("items");
    assert!(output[1]["output"].is_string() && output[1]["error"].is_null());
    let error = output[2]["error"].to_string();
    assert!(error.contains("there is room for"), "{error}");
    assert!(done.to_string().len() < 1 << 20);
}

#[test]
fn results_fill_the_conversation_like_items_of_the_client() {
    let mut harness = Harness::with(SessionOptions {
        max_created_bytes: 3000,
        ..test_options()
    });
    harness.listings.push_back(listed(&["today", "order"]));
    harness.client(json!({"type": "session.update", "session": session()}));
    for _ in 0..4 {
        harness.answers.push_back(call("today", "{}"));
        harness.returns.push_back(returned(&"x".repeat(1000)));
        harness.client(json!({"type": "response.create"}));
    }
    assert_eq!(harness.sent("response.mcp_call.completed").len(), 2);
    assert_eq!(harness.sent("response.mcp_call.failed").len(), 2);
}

#[test]
fn a_response_out_of_band_makes_calls_and_asks_nobody() {
    let mut harness = harness();
    harness.by_hand = true;
    harness.answers.push_back(call("today", "{}"));
    harness.returns.push_back(returned("soup"));
    harness.client(
        json!({"type": "response.create", "response": {"conversation": "none",
        "output_modalities": ["text"]}}),
    );
    let EngineCommand::Generate(generate) = &harness.jobs.back().expect("a job").1 else {
        panic!("{:?}", harness.jobs);
    };
    assert_eq!(generate.tools.len(), 1, "nobody could approve the other");
    harness.work("generate");
    harness.work("call");
    let output = &harness.last("response.done")["response"]["output"];
    assert_eq!(output[0]["output"], "soup");
    let added = harness.sent("conversation.item.added");
    assert_eq!(added.len(), 1, "the listing alone");
}

fn is_generate(command: &EngineCommand) -> bool {
    matches!(command, EngineCommand::Generate(_))
}
