//! A small MCP server over streamable HTTP.

use axum::{
    Json, Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

/// A server with the tools `weather`, `sink` (which fails), `gone` (which it denies having) and
/// `hang` (which never returns).
pub(crate) struct McpServer {
    pub(crate) url: String,
    serving: JoinHandle<()>,
}

impl McpServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let router = Router::new().route("/mcp", post(answer));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, serving }
    }

    /// Its declaration in a session's tools.
    pub(crate) fn tool(&self, require_approval: &str) -> Value {
        json!({
            "type": "mcp",
            "server_label": "sky",
            "server_url": self.url,
            "require_approval": require_approval,
        })
    }
}

impl Drop for McpServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(Json(message): Json<Value>) -> Response {
    let result = match message["method"].as_str().unwrap() {
        "initialize" => json!({
            "protocolVersion": "2025-06-18",
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "sky", "version": "1" },
        }),
        "tools/list" => {
            let tools = ["weather", "sink", "gone", "hang"].map(tool);
            json!({ "tools": tools })
        }
        "tools/call" => match message["params"]["name"].as_str().unwrap() {
            "weather" => {
                let city = message["params"]["arguments"]["city"].as_str().unwrap();
                text(&format!("Sunny in {city}."), false)
            }
            "sink" => text("Atlantis has sunk.", true),
            "hang" => std::future::pending().await,
            name => {
                let error = json!({ "code": -32602, "message": format!("no tool {name}") });
                let id = &message["id"];
                return Json(json!({ "jsonrpc": "2.0", "id": id, "error": error })).into_response();
            }
        },
        _ => return StatusCode::ACCEPTED.into_response(),
    };
    Json(json!({ "jsonrpc": "2.0", "id": message["id"], "result": result })).into_response()
}

fn tool(name: &str) -> Value {
    json!({
        "name": name,
        "description": format!("The tool {name}."),
        "inputSchema": { "type": "object", "properties": { "city": { "type": "string" } } },
    })
}

fn text(text: &str, is_error: bool) -> Value {
    json!({ "content": [{ "type": "text", "text": text }], "isError": is_error })
}
