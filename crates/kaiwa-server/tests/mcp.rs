//! Tools of MCP servers in a session, against a server on a real socket.

mod common;

use std::sync::Arc;

use kaiwa_engine::{
    Cancel, EngineError, Finish, Flow, LanguageModel, LmDelta, LmUsage, Prompt, Role,
};
use kaiwa_server::{Engines, ServerConfig};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};

use common::{Client, Running, engines::Fakes, kinds, mcp::McpServer, text_of};

/// Calls the tool it is asked to use, and says what a tool says.
struct Caller;

impl LanguageModel for Caller {
    fn generate(
        &self,
        prompt: &Prompt,
        _cancel: &Cancel,
        sink: &mut dyn FnMut(LmDelta<'_>) -> Flow,
    ) -> Result<LmUsage, EngineError> {
        let last = prompt.messages.last().expect("a prompt has a message");
        let tool = prompt
            .tools
            .iter()
            .map(|tool| tool.name.as_str())
            .find(|name| last.role == Role::User && last.text == format!("use {name}"));
        if let Some(name) = tool {
            let _ = sink(LmDelta::ToolCallStart { id: "call_1", name });
            let _ = sink(LmDelta::ToolCallArguments("{\"city\":"));
            let _ = sink(LmDelta::ToolCallArguments("\"Paris\"}"));
        } else {
            let _ = sink(LmDelta::Text("I was told: "));
            let _ = sink(LmDelta::Text(&last.text));
        }
        Ok(LmUsage {
            input_tokens: 10,
            cached_tokens: 0,
            output_tokens: 5,
            finish: Finish::Stop,
        })
    }

    fn forget(&self, _conversation: u64) {}

    fn context_tokens(&self) -> usize {
        4096
    }
}

/// A server on whose sessions the MCP servers at these URLs may be used.
async fn running(allowed: &[&str]) -> Running {
    let mut config = ServerConfig::default();
    config.mcp = allowed
        .iter()
        .map(|url| url.parse().expect("the URL of a server"))
        .collect();
    let engines = Engines {
        language_model: Arc::new(Caller),
        ..Fakes::new().engines()
    };
    Running::start(engines, config).await
}

/// Declares an MCP server and hears everything up to the end of its listing.
async fn declare<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Client<S>,
    tool: Value,
    end: &str,
) -> Vec<Value> {
    client
        .send(json!({ "type": "session.update", "session": {
            "type": "realtime",
            "output_modalities": ["text"],
            "tools": [tool],
        }}))
        .await;
    client.until(end).await
}

/// Has the model answer what a tool returned; what it says.
async fn continued<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>) -> String {
    client.send(json!({ "type": "response.create" })).await;
    let events = client.until("response.done").await;
    text_of(&events, "response.output_text.delta")
}

fn one<'a>(events: &'a [Value], kind: &str) -> &'a Value {
    let mut found = events.iter().filter(|event| event["type"] == kind);
    let first = found
        .next()
        .unwrap_or_else(|| panic!("no {kind} in {:?}", kinds(events)));
    assert_eq!(found.count(), 0, "{kind} comes once in {:?}", kinds(events));
    first
}

/// The item of a type that an event of this kind carries.
fn item<'a>(events: &'a [Value], kind: &str, item: &str) -> &'a Value {
    &events
        .iter()
        .find(|event| event["type"] == kind && event["item"]["type"] == item)
        .unwrap_or_else(|| panic!("no {kind} of a {item} in {:?}", kinds(events)))["item"]
}

/// That these kinds come in this order, whatever is between them.
fn assert_order(events: &[Value], order: &[&str]) {
    let kinds = kinds(events);
    let mut rest = kinds.iter();
    for kind in order {
        assert!(
            rest.any(|k| k == kind),
            "{kind} is not in its place: {kinds:?}"
        );
    }
}

#[tokio::test]
async fn the_tools_of_a_server_are_listed() {
    let mcp = McpServer::start().await;
    let running = running(&[&mcp.url]).await;
    let mut client = running.open().await;
    let events = declare(&mut client, mcp.tool("never"), "mcp_list_tools.completed").await;
    assert_order(
        &events,
        &[
            "conversation.item.added",
            "mcp_list_tools.in_progress",
            "conversation.item.done",
        ],
    );
    one(&events, "session.updated");
    let listed = item(&events, "conversation.item.done", "mcp_list_tools");
    assert_eq!(listed["server_label"], "sky");
    let tools = listed["tools"].as_array().unwrap();
    let names: Vec<_> = tools.iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["weather", "sink", "gone", "hang"]);
    assert_eq!(tools[0]["description"], "The tool weather.");
    assert_eq!(tools[0]["input_schema"]["type"], "object");
    let completed = one(&events, "mcp_list_tools.completed");
    assert_eq!(completed["item_id"], listed["id"]);
}

#[tokio::test]
async fn a_server_that_is_not_allowed_is_not_contacted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let running = running(&[]).await;
    let mut client = running.open().await;
    let tool = json!({ "type": "mcp", "server_label": "sky", "server_url": url });
    client
        .send(json!({ "type": "session.update", "session": {
            "type": "realtime",
            "tools": [tool],
        }}))
        .await;
    // The two come in either order.
    let mut events = Vec::new();
    while ["mcp_list_tools.failed", "error"]
        .iter()
        .any(|kind| !kinds(&events).contains(kind))
    {
        events.push(client.next().await);
    }
    let error = &one(&events, "error")["error"];
    assert_eq!(error["code"], "mcp_server_not_allowed");
    assert_eq!(
        error["message"],
        format!(
            "Cannot list the tools of the MCP server 'sky': The MCP server {url} is not allowed \
             here: start the server with --mcp-allow {url}."
        )
    );
    let knocked = tokio::time::timeout(std::time::Duration::ZERO, listener.accept()).await;
    assert!(knocked.is_err(), "nobody is to connect");
    // The session goes on.
    let done = client.answer("hello").await;
    assert_eq!(done["response"]["status"], "completed");
}

#[tokio::test]
async fn a_tool_is_called_and_the_next_response_answers_its_output() {
    let mcp = McpServer::start().await;
    let running = running(&[&mcp.url]).await;
    let mut client = running.open().await;
    declare(&mut client, mcp.tool("never"), "mcp_list_tools.completed").await;
    client.ask("use weather").await;
    let events = client.until("response.done").await;
    assert_order(
        &events,
        &[
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.mcp_call_arguments.delta",
            "response.mcp_call_arguments.done",
            "response.mcp_call.in_progress",
            "response.mcp_call.completed",
            "response.output_item.done",
            "conversation.item.done",
            "response.done",
        ],
    );
    let arguments = one(&events, "response.mcp_call_arguments.done");
    assert_eq!(arguments["arguments"], "{\"city\":\"Paris\"}");
    assert_eq!(
        text_of(&events, "response.mcp_call_arguments.delta"),
        "{\"city\":\"Paris\"}"
    );
    let call = item(&events, "response.output_item.done", "mcp_call");
    assert_eq!(call["id"], arguments["item_id"]);
    assert_eq!(call["server_label"], "sky");
    assert_eq!(call["name"], "weather");
    assert_eq!(call["output"], "Sunny in Paris.");
    assert!(call["error"].is_null(), "{call}");
    let response = &one(&events, "response.done")["response"];
    assert_eq!(response["status"], "completed");
    assert_eq!(response["output"], json!([call]));
    assert_eq!(continued(&mut client).await, "I was told: Sunny in Paris.");
}

#[tokio::test]
async fn a_tool_that_fails_is_told_to_the_model() {
    let mcp = McpServer::start().await;
    let running = running(&[&mcp.url]).await;
    let mut client = running.open().await;
    declare(&mut client, mcp.tool("never"), "mcp_list_tools.completed").await;
    let reported = format!("The MCP server {} reports: no tool gone", mcp.url);
    for (name, error, told) in [
        (
            "sink",
            json!({ "type": "tool_execution_error", "message": "Atlantis has sunk." }),
            "Atlantis has sunk.",
        ),
        (
            "gone",
            json!({ "type": "protocol_error", "code": -32602, "message": reported }),
            "no tool gone",
        ),
    ] {
        client.ask(&format!("use {name}")).await;
        let events = client.until("response.done").await;
        assert_order(
            &events,
            &["response.mcp_call.in_progress", "response.mcp_call.failed"],
        );
        let call = item(&events, "response.output_item.done", "mcp_call");
        assert_eq!(call["error"], error);
        assert!(call["output"].is_null(), "{call}");
        let response = &one(&events, "response.done")["response"];
        assert_eq!(response["status"], "completed");
        let said = continued(&mut client).await;
        assert!(
            said.starts_with("I was told:") && said.contains(told),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_response_can_be_cancelled_while_a_tool_works() {
    let mcp = McpServer::start().await;
    let running = running(&[&mcp.url]).await;
    let mut client = running.open().await;
    declare(&mut client, mcp.tool("never"), "mcp_list_tools.completed").await;
    client.ask("use hang").await;
    client.wait_for("response.mcp_call.in_progress").await;
    client.send(json!({ "type": "response.cancel" })).await;
    let done = client.wait_for("response.done").await;
    assert_eq!(done["response"]["status"], "cancelled");
    client.ask("use weather").await;
    client.until("response.done").await;
    assert_eq!(continued(&mut client).await, "I was told: Sunny in Paris.");
}

/// Asks for a tool that needs approval; the request.
async fn asked_for_approval<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Client<S>,
    mcp: &McpServer,
) -> Value {
    declare(client, mcp.tool("always"), "mcp_list_tools.completed").await;
    client.ask("use weather").await;
    let events = client.until("response.done").await;
    let request = item(&events, "conversation.item.done", "mcp_approval_request").clone();
    assert_eq!(request["server_label"], "sky");
    assert_eq!(request["name"], "weather");
    assert_eq!(request["arguments"], "{\"city\":\"Paris\"}");
    let response = &one(&events, "response.done")["response"];
    let output = response["output"].as_array().expect("an output");
    assert_eq!(output.len(), 1, "{response}");
    assert_eq!(output[0]["type"], "mcp_approval_request");
    request
}

async fn answer_request<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Client<S>,
    request: &Value,
    approve: bool,
) -> Vec<Value> {
    client
        .send(json!({
            "type": "conversation.item.create",
            "previous_item_id": request["id"],
            "item": {
                "type": "mcp_approval_response",
                "approval_request_id": request["id"],
                "approve": approve,
            },
        }))
        .await;
    client.until("response.done").await
}

#[tokio::test]
async fn an_approved_call_runs_in_a_response_of_its_own() {
    let mcp = McpServer::start().await;
    let running = running(&[&mcp.url]).await;
    let mut client = running.open().await;
    let request = asked_for_approval(&mut client, &mcp).await;
    let events = answer_request(&mut client, &request, true).await;
    assert_order(
        &events,
        &[
            "response.created",
            "response.mcp_call.in_progress",
            "response.mcp_call.completed",
            "response.done",
        ],
    );
    let call = item(&events, "response.output_item.done", "mcp_call");
    assert_eq!(call["approval_request_id"], request["id"]);
    assert_eq!(call["output"], "Sunny in Paris.");
    assert_eq!(continued(&mut client).await, "I was told: Sunny in Paris.");
}

#[tokio::test]
async fn a_denied_call_does_not_run_and_the_model_is_told() {
    let mcp = McpServer::start().await;
    let running = running(&[&mcp.url]).await;
    let mut client = running.open().await;
    let request = asked_for_approval(&mut client, &mcp).await;
    let events = answer_request(&mut client, &request, false).await;
    assert!(
        !kinds(&events).contains(&"response.mcp_call.in_progress"),
        "{:?}",
        kinds(&events)
    );
    assert_eq!(
        text_of(&events, "response.output_text.delta"),
        "I was told: The user did not allow this call."
    );
}
