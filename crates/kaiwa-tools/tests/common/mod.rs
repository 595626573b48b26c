//! MCP servers on sockets of their own.

#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use kaiwa_tools::{Limits, Server, Servers};
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime};

/// A server that runs until it is dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// Of its own, because only the end of a runtime ends the connections too.
    runtime: Option<Runtime>,
}

impl Running {
    pub(crate) async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = listener.into_std().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            address,
            runtime: Some(runtime),
        }
    }

    /// One that answers each message as the function says.
    pub(crate) async fn answering(
        answer: impl Fn(&HeaderMap, &Value) -> Response + Send + Sync + 'static,
    ) -> Self {
        let answer = Arc::new(answer);
        let handler = move |headers: HeaderMap, Json(message): Json<Value>| {
            let answer = Arc::clone(&answer);
            async move { answer(&headers, &message) }
        };
        Self::start(Router::new().route("/mcp", post(handler))).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    pub(crate) fn server(&self) -> Server {
        Server::new(self.url())
    }

    /// Connections that may go to it.
    pub(crate) fn servers(&self) -> Servers {
        self.servers_within(Limits::default())
    }

    pub(crate) fn servers_within(&self, limits: Limits) -> Servers {
        let allowed = [self.url().parse().unwrap()].into_iter().collect();
        Servers::with_limits(allowed, limits)
    }

    /// Takes it down, connections and all.
    pub(crate) async fn stop(mut self) {
        let runtime = self.runtime.take().unwrap();
        let end = move || runtime.shutdown_timeout(Duration::from_secs(30));
        tokio::task::spawn_blocking(end).await.unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The answer to `initialize` and to what needs none; `None` for everything else.
pub(crate) fn begun(message: &Value) -> Option<Response> {
    if message.get("id").is_none() {
        return Some(StatusCode::ACCEPTED.into_response());
    }
    (message["method"] == "initialize").then(|| {
        result(
            message,
            json!({
                "protocolVersion": "2025-06-18",
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "plain", "version": "1" },
            }),
        )
    })
}

pub(crate) fn result(message: &Value, result: Value) -> Response {
    Json(json!({ "jsonrpc": "2.0", "id": message["id"], "result": result })).into_response()
}

/// An answer as an event stream.
pub(crate) fn events(text: String) -> Response {
    ([("content-type", "text/event-stream")], text).into_response()
}

/// A listing of tools that only have names.
pub(crate) fn listing(names: impl IntoIterator<Item = String>, next: Option<&str>) -> Value {
    let tools: Vec<_> = names
        .into_iter()
        .map(|name| json!({ "name": name, "inputSchema": { "type": "object" } }))
        .collect();
    let mut listing = json!({ "tools": tools });
    if let Some(next) = next {
        listing["nextCursor"] = next.into();
    }
    listing
}
