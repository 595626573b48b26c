//! The session's requests to MCP servers.

use std::{collections::HashMap, sync::Arc};

use kaiwa_protocol::{
    McpError, McpHttpError, McpProtocolError, McpToolExecutionError, McpToolInfo, RawJson,
};
use kaiwa_session::{EngineEvent, JobId, McpServer};
use kaiwa_tools::{Error, Server, Servers, Tool};
use tokio::{
    sync::{Semaphore, mpsc},
    task::AbortHandle,
};
use tracing::Instrument;

use super::JobResult;

/// Requests a session may have under way at once; more wait until one is done.
const MAX_UNDER_WAY: usize = 16;

/// A session's hold on MCP servers. Dropping it gives up what is under way.
pub(crate) struct Tools {
    servers: Servers,
    seats: Arc<Semaphore>,
    requests: HashMap<JobId, AbortHandle>,
    results: mpsc::Sender<JobResult>,
    span: tracing::Span,
}

impl Tools {
    pub(crate) fn new(
        servers: Servers,
        results: mpsc::Sender<JobResult>,
        span: tracing::Span,
    ) -> Self {
        Self {
            servers,
            seats: Arc::new(Semaphore::new(MAX_UNDER_WAY)),
            requests: HashMap::new(),
            results,
            span,
        }
    }

    /// Asks a server for its tools.
    pub(crate) fn list(&mut self, id: JobId, server: McpServer) {
        let servers = self.servers.clone();
        self.start(id, async move {
            match servers.list_tools(&at(server)).await {
                Ok(tools) => EngineEvent::ToolsListed {
                    tools: tools.into_iter().map(info).collect(),
                },
                Err(error) => listing_failed(&error),
            }
        });
    }

    /// Calls a tool.
    pub(crate) fn call(&mut self, id: JobId, server: McpServer, name: String, arguments: String) {
        let servers = self.servers.clone();
        self.start(id, async move {
            match servers.call(&at(server), &name, &arguments).await {
                Ok(output) => EngineEvent::ToolReturned { output },
                Err(error) => EngineEvent::ToolFailed {
                    error: call_failed(&error),
                },
            }
        });
    }

    /// Gives a request up, if it is one of these.
    pub(crate) fn cancel(&mut self, id: JobId) {
        if let Some(request) = self.requests.remove(&id) {
            request.abort();
        }
    }

    /// Notes that a job has ended.
    pub(crate) fn ended(&mut self, id: JobId) {
        self.requests.remove(&id);
    }

    fn start(&mut self, id: JobId, request: impl Future<Output = EngineEvent> + Send + 'static) {
        let seats = Arc::clone(&self.seats);
        let results = self.results.clone();
        let task = async move {
            let _seat = seats.acquire().await;
            let event = request.await;
            // An error means that the session is gone.
            let _ = results.send((id, event)).await;
        };
        let task = tokio::spawn(task.instrument(self.span.clone()));
        self.requests.insert(id, task.abort_handle());
    }
}

impl Drop for Tools {
    fn drop(&mut self) {
        for request in self.requests.values() {
            request.abort();
        }
    }
}

fn at(server: McpServer) -> Server {
    Server::new(server.url).with_headers(server.headers)
}

fn info(tool: Tool) -> McpToolInfo {
    let raw = |value: serde_json::Value| {
        RawJson::from_text(value.to_string()).expect("a JSON value is written as JSON")
    };
    McpToolInfo {
        name: tool.name,
        description: tool.description.into(),
        input_schema: raw(tool.input_schema),
        annotations: tool.annotations.map(raw).into(),
        ..McpToolInfo::default()
    }
}

fn listing_failed(error: &Error) -> EngineEvent {
    let code = match error {
        Error::Header { .. } | Error::Url { .. } => "mcp_server_invalid",
        Error::Http { .. } => "mcp_http_error",
        Error::NotAllowed { .. } => "mcp_server_not_allowed",
        Error::TimedOut { .. } => "mcp_timeout",
        Error::Unreachable { .. } => "mcp_server_unreachable",
        _ => "mcp_protocol_error",
    };
    EngineEvent::Failed {
        code: code.to_owned(),
        message: error.to_string(),
    }
}

fn call_failed(error: &Error) -> McpError {
    let message = error.to_string();
    match error {
        Error::Http { status, .. } => McpError::Http(McpHttpError {
            code: (*status).into(),
            message,
            ..McpHttpError::default()
        }),
        Error::Protocol { code, .. } => McpError::Protocol(McpProtocolError {
            code: *code,
            message,
            ..McpProtocolError::default()
        }),
        _ => McpError::ToolExecution(McpToolExecutionError {
            message,
            ..McpToolExecutionError::default()
        }),
    }
}
