//! An MCP server made with the official SDK, as a program: this one, when it is told to `serve`.

#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it is a test, and the program that the test runs"
)]

use std::{sync::Arc, time::Duration};

use kaiwa_tools::{Error, Limits, NamedServer};
use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult,
        PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
};
use serde_json::json;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    // Runners that give each test a process of its own ask for the names first.
    if std::env::args().any(|argument| argument == "--list") {
        if !std::env::args().any(|argument| argument == "--ignored") {
            println!("child_server: test");
        }
        return;
    }
    match std::env::args().nth(1).as_deref() {
        Some("serve") => runtime.block_on(async {
            let served = Echo.serve(rmcp::transport::stdio()).await.unwrap();
            served.waiting().await.unwrap();
        }),
        Some("refuse") => {
            eprintln!("no licence");
            std::process::exit(2);
        }
        // Whatever else a runner says: there is one way to run these.
        _ => runtime.block_on(async {
            tools_are_listed_and_called().await;
            a_server_that_ends_or_hangs_is_an_error_of_its_calls().await;
            what_is_no_server_is_said_in_a_sentence().await;
            println!("child_server: 3 passed");
        }),
    }
}

struct Echo;

impl ServerHandler for Echo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema = Arc::new(json!({"type": "object"}).as_object().unwrap().clone());
        let tools = ["echo", "end", "environment", "hang"]
            .map(|name| Tool::new(name, "A test.", Arc::clone(&schema)));
        Ok(ListToolsResult::with_all_items(tools.into()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let text = match &*request.name {
            "echo" => json!(request.arguments).to_string(),
            "environment" => std::env::var("CARGO_PKG_NAME").unwrap_or_else(|_| "none".to_owned()),
            "end" => {
                eprintln!("out of paper");
                std::process::exit(1);
            }
            _ => std::future::pending().await,
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}

/// The command line that makes this program do something.
fn this(what: &str) -> String {
    format!("'{}' {what}", std::env::current_exe().unwrap().display())
}

async fn opened(limits: Limits) -> NamedServer {
    NamedServer::open(&this("serve"), None, &[], limits)
        .await
        .unwrap()
}

async fn tools_are_listed_and_called() {
    let server = opened(Limits::default()).await;
    let tools = server.list_tools().await.unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["echo", "end", "environment", "hang"]);
    let echoed = server.call("echo", &json!({"a": [1]})).await;
    assert_eq!(echoed.as_deref(), Ok(r#"{"a":[1]}"#));
    let known = server.call("environment", &json!({})).await;
    assert_eq!(known.as_deref(), Ok("kaiwa-tools"));
    let withheld = ["CARGO_PKG_NAME".to_owned()];
    let server = NamedServer::open(&this("serve"), None, &withheld, Limits::default()).await;
    let unknown = server.unwrap().call("environment", &json!({})).await;
    assert_eq!(unknown.as_deref(), Ok("none"));
}

async fn a_server_that_ends_or_hangs_is_an_error_of_its_calls() {
    let mut limits = Limits::default();
    limits.call = Duration::from_millis(50);
    let server = opened(limits).await;
    let hung = server.call("hang", &json!({})).await.unwrap_err();
    assert!(matches!(hung, Error::TimedOut { .. }), "{hung}");
    let server = opened(Limits::default()).await;
    for _ in 0..2 {
        let ended = server
            .call("end", &json!({}))
            .await
            .unwrap_err()
            .to_string();
        let expected = " has ended (out of paper): start it by hand to see why.";
        assert!(ended.ends_with(expected), "{ended}");
    }
    assert!(matches!(
        server.list_tools().await,
        Err(Error::Ended { .. })
    ));
}

async fn what_is_no_server_is_said_in_a_sentence() {
    for (command, part) in [
        (
            this("refuse"),
            "has ended (no licence): start it by hand to see why.",
        ),
        ("/nonexistent/server".to_owned(), "cannot be started: "),
        ("server 'without end".to_owned(), "a quote in it has no end"),
        (" ".to_owned(), "it is empty"),
    ] {
        let error = NamedServer::open(&command, None, &[], Limits::default()).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains(part), "{command}: {error}");
    }
}
