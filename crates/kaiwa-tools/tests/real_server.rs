//! Against a server made with the official SDK.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use kaiwa_tools::{Error, Limits, MAX_OUTPUT};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult,
        PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
    },
    service::RequestContext,
    transport::{
        StreamableHttpServerConfig, StreamableHttpService,
        streamable_http_server::session::local::LocalSessionManager,
    },
};
use serde_json::json;

use common::Running;

#[derive(Clone, Default)]
struct Weather {
    /// Sessions that were begun.
    begun: Arc<AtomicUsize>,
}

impl ServerHandler for Weather {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema = json!({
            "type": "object",
            "properties": { "city": { "type": "string" } },
            "required": ["city"],
        });
        let schema = schema.as_object().unwrap().clone();
        if request.and_then(|request| request.cursor).is_some() {
            let tool = Tool::new("hang", "Never returns", schema);
            return Ok(ListToolsResult::with_all_items(vec![tool]));
        }
        let annotations = ToolAnnotations::new().read_only(true);
        let tool = Tool::new("get_weather", "Tells the weather", schema).annotate(annotations);
        let mut page = ListToolsResult::with_all_items(vec![tool]);
        page.next_cursor = Some("2".into());
        Ok(page)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let city = request
            .arguments
            .as_ref()
            .and_then(|arguments| arguments.get("city")?.as_str())
            .unwrap_or("nowhere");
        let result = match &*request.name {
            "get_weather" if city == "Atlantis" => {
                CallToolResult::error(vec![ContentBlock::text("Atlantis has sunk.")])
            }
            "get_weather" => {
                CallToolResult::success(vec![ContentBlock::text(format!("Sunny in {city}."))])
            }
            "shout" => CallToolResult::success(vec![ContentBlock::text("A".repeat(1 << 20))]),
            "hang" => std::future::pending().await,
            name => {
                return Err(ErrorData::invalid_params(
                    format!("there is no tool {name}"),
                    None,
                ));
            }
        };
        Ok(result.into())
    }
}

async fn weather() -> (Running, Weather) {
    let weather = Weather::default();
    let made = weather.clone();
    let service = StreamableHttpService::new(
        move || {
            made.begun.fetch_add(1, Ordering::SeqCst);
            Ok(made.clone())
        },
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    );
    let running = Running::start(Router::new().route_service("/mcp", service)).await;
    (running, weather)
}

#[tokio::test]
async fn all_pages_of_tools_are_listed() {
    let (running, _) = weather().await;
    let tools = running
        .servers()
        .list_tools(&running.server())
        .await
        .unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["get_weather", "hang"]);
    assert_eq!(tools[0].description.as_deref(), Some("Tells the weather"));
    assert_eq!(tools[0].input_schema["required"], json!(["city"]));
    assert_eq!(tools[0].annotations, Some(json!({ "readOnlyHint": true })));
    assert_eq!(tools[1].annotations, None);
}

#[tokio::test]
async fn a_tool_is_called_over_the_one_connection_of_its_server() {
    let (running, weather) = weather().await;
    let servers = running.servers();
    let server = running.server();
    let call = |city: &str| {
        let arguments = json!({ "city": city }).to_string();
        let (servers, server) = (servers.clone(), server.clone());
        async move { servers.call(&server, "get_weather", &arguments).await }
    };
    let (paris, rome) = tokio::join!(call("Paris"), call("Rome"));
    assert_eq!(paris.as_deref(), Ok("Sunny in Paris."));
    assert_eq!(rome.as_deref(), Ok("Sunny in Rome."));
    let begun = weather.begun.load(Ordering::SeqCst);
    servers.list_tools(&server).await.unwrap();
    assert_eq!(weather.begun.load(Ordering::SeqCst), begun);

    let other = server.with_headers(vec![("X-Key".into(), "1".into())]);
    servers.list_tools(&other).await.unwrap();
    assert!(weather.begun.load(Ordering::SeqCst) > begun);
}

#[tokio::test]
async fn a_tool_that_fails_says_why() {
    let (running, _) = weather().await;
    let error = running
        .servers()
        .call(&running.server(), "get_weather", r#"{"city":"Atlantis"}"#)
        .await
        .unwrap_err();
    let message = "Atlantis has sunk.".to_owned();
    assert_eq!(error, Error::Tool { message });
}

#[tokio::test]
async fn an_error_of_the_protocol_keeps_its_code() {
    let (running, _) = weather().await;
    let error = running
        .servers()
        .call(&running.server(), "fly", "{}")
        .await
        .unwrap_err();
    let message = format!(
        "The MCP server {} reports: there is no tool fly",
        running.url()
    );
    assert_eq!(
        error,
        Error::Protocol {
            code: -32602,
            message
        }
    );
}

#[tokio::test]
async fn a_huge_result_is_cut() {
    let (running, _) = weather().await;
    let text = running
        .servers()
        .call(&running.server(), "shout", "{}")
        .await
        .unwrap();
    assert_eq!(text.len(), MAX_OUTPUT);
    assert!(text.ends_with("A\n[cut: 1048576 bytes in all]"));
}

#[tokio::test]
async fn a_call_that_hangs_is_given_up_and_the_connection_goes_on() {
    let (running, _) = weather().await;
    let mut limits = Limits::default();
    limits.call = Duration::from_millis(200);
    let servers = running.servers_within(limits);
    // Connects, which is not to count here.
    servers.list_tools(&running.server()).await.unwrap();
    let error = servers
        .call(&running.server(), "hang", "{}")
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "The MCP server {} did not return from the tool within 0.2 s: try again later.",
            running.url()
        )
    );
    assert_eq!(
        servers
            .list_tools(&running.server())
            .await
            .map(|tools| tools.len()),
        Ok(2)
    );
}

#[tokio::test]
async fn a_server_that_vanishes_is_told_of() {
    let (running, _) = weather().await;
    let servers = running.servers();
    let server = running.server();
    servers.list_tools(&server).await.unwrap();
    let hanging = tokio::spawn({
        let (servers, server) = (servers.clone(), server.clone());
        async move { servers.call(&server, "hang", "{}").await }
    });
    running.stop().await;
    // The call under way was lost with its connection, or came too late for it.
    let error = hanging.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    let error = servers.list_tools(&server).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
}
