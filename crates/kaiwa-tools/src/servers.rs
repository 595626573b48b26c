//! The connections of one session.

use std::{
    error::Error as StdError,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use reqwest::Url;
use rmcp::{
    ServiceError,
    model::CallToolRequestParams,
    service::{ClientInitializeError, serve_client},
    transport::{
        DynamicTransportError, StreamableHttpClientTransport,
        common::client_side_sse::NeverRetry,
        streamable_http_client::{StreamableHttpClientTransportConfig, StreamableHttpError},
    },
};
use tokio::time::timeout;

use crate::{
    Allowed, Error, Server, Tool, allowed, headers,
    http::{self, Http},
    requests::{self, INVALID_REQUEST, PARSE_ERROR, Running, about, nonsense, of_server, params},
};

/// Servers that stay connected, each with one set of headers.
const MAX_CONNECTIONS: usize = 32;

/// How long servers may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// For a program to begin to speak MCP: some fetch themselves first. Default: 60 s.
    pub start: Duration,
    /// To connect and to list all tools. Default: 10 s.
    pub list: Duration,
    /// For a call of a tool, in which up to [`Limits::list`] may go to connecting. Default: 60 s.
    pub call: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(60),
            list: Duration::from_secs(10),
            call: Duration::from_secs(60),
        }
    }
}

/// A session's MCP servers.
///
/// Making one costs nothing: servers are connected to when they are needed, each once for one set
/// of headers, and again when a connection has broken. Clones share the connections, which are
/// closed when the last clone is gone. To give up on a request, drop its future; the server is
/// told.
#[derive(Clone, Debug)]
pub struct Servers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    allowed: Allowed,
    limits: Limits,
    client: OnceLock<reqwest::Client>,
    /// The one used last comes last.
    connections: Mutex<Vec<Arc<Connection>>>,
}

struct Connection {
    server: Server,
    /// Locked while it is being made, so that it is made once.
    running: tokio::sync::Mutex<Option<Link>>,
}

/// A connection that has been made.
#[derive(Clone)]
struct Link {
    running: Arc<Running>,
    http: Http,
    /// The server in sentences.
    url: Arc<str>,
}

impl Servers {
    /// No connection yet, and only to these servers.
    pub fn new(allowed: Allowed) -> Self {
        Self::with_limits(allowed, Limits::default())
    }

    /// The same with other limits.
    pub fn with_limits(allowed: Allowed, limits: Limits) -> Self {
        Self {
            shared: Arc::new(Shared {
                allowed,
                limits,
                client: OnceLock::new(),
                connections: Mutex::default(),
            }),
        }
    }

    /// The tools of a server, all its pages, in its order.
    ///
    /// # Errors
    ///
    /// As [`Error`] says, but for [`Error::Arguments`] and [`Error::Tool`].
    pub async fn list_tools(&self, server: &Server) -> Result<Vec<Tool>, Error> {
        let url = self.shared.allowed.check(&server.url)?;
        let limit = self.shared.limits.list;
        let listing = async { self.link(server, &url).await?.list().await };
        timeout(limit, listing)
            .await
            .unwrap_or_else(|_| Err(timed_out(&url, "list its tools", limit)))
    }

    /// Calls a tool. `arguments` is a JSON object, nothing counting as an empty one; the result
    /// is text for a language model, at most [`MAX_OUTPUT`](crate::MAX_OUTPUT) bytes: its texts, one a line, with
    /// other content named in brackets, or its structured content as JSON if it has no text.
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub async fn call(
        &self,
        server: &Server,
        tool: &str,
        arguments: &str,
    ) -> Result<String, Error> {
        let url = self.shared.allowed.check(&server.url)?;
        let params = params(tool, arguments)?;
        let Limits { list, call, .. } = self.shared.limits;
        let calling = async {
            let link = timeout(list, self.link(server, &url))
                .await
                .unwrap_or_else(|_| Err(timed_out(&url, "let itself be connected to", list)))?;
            link.call(params).await
        };
        timeout(call, calling)
            .await
            .unwrap_or_else(|_| Err(timed_out(&url, "return from the tool", call)))
    }

    /// The connection to a server that may be contacted, made if there is none.
    async fn link(&self, server: &Server, url: &Url) -> Result<Link, Error> {
        let connection = self.shared.connection(server);
        let mut running = connection.running.lock().await;
        if let Some(link) = running.as_ref().filter(|link| link.is_alive()) {
            return Ok(link.clone());
        }
        let link = Link::make(self.shared.client()?, server, url).await?;
        Ok(running.insert(link).clone())
    }
}

impl Shared {
    fn connection(&self, server: &Server) -> Arc<Connection> {
        // A list that somebody panicked over is a list all the same.
        let mut connections = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let known = connections
            .iter()
            .position(|connection| connection.server == *server);
        let connection = match known {
            Some(at) => connections.remove(at),
            None => Arc::new(Connection {
                server: server.clone(),
                running: tokio::sync::Mutex::default(),
            }),
        };
        if connections.len() == MAX_CONNECTIONS {
            connections.remove(0);
        }
        connections.push(Arc::clone(&connection));
        connection
    }

    fn client(&self) -> Result<reqwest::Client, Error> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let client = http::client().map_err(|error| Error::Unreachable {
            url: "asked for".into(),
            reason: format!("there is no HTTP client: {}", innermost(&error)),
        })?;
        Ok(self.client.get_or_init(|| client).clone())
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.server.fmt(f)
    }
}

impl Link {
    async fn make(client: reqwest::Client, server: &Server, url: &Url) -> Result<Self, Error> {
        let headers = headers::checked(&server.headers)?;
        let http = Http::new(client);
        let mut config =
            StreamableHttpClientTransportConfig::with_uri(url.as_str()).custom_headers(headers);
        config.retry_config = Arc::new(NeverRetry::default());
        let transport = StreamableHttpClientTransport::with_client(http.clone(), config);
        let url = allowed::shown(url);
        match serve_client(about(), transport).await {
            Ok(running) => Ok(Self {
                running: Arc::new(running),
                http,
                url: url.as_str().into(),
            }),
            Err(error) => Err(not_begun(url.as_str(), &http, &error)),
        }
    }

    fn is_alive(&self) -> bool {
        !self.running.is_closed() && !self.running.is_transport_closed()
    }

    async fn list(&self) -> Result<Vec<Tool>, Error> {
        requests::list(&self.running, &self.url, |error| self.failed(error)).await
    }

    async fn call(&self, params: CallToolRequestParams) -> Result<String, Error> {
        requests::call(&self.running, &self.url, params, |error| self.failed(error)).await
    }

    fn failed(&self, error: &ServiceError) -> Error {
        match error {
            ServiceError::McpError(error) => of_server(&self.url, error),
            ServiceError::TransportSend(error) => not_sent(&self.url, error),
            ServiceError::TransportClosed => broken(&self.url, &self.http),
            other => nonsense(&self.url, INVALID_REQUEST, other),
        }
    }
}

/// Why the first exchange with a server came to nothing.
fn not_begun(url: &str, http: &Http, error: &ClientInitializeError) -> Error {
    match error {
        ClientInitializeError::TransportError { error, .. } => not_sent(url, error),
        ClientInitializeError::JsonRpcError(error) => of_server(url, error),
        ClientInitializeError::ConnectionClosed(_) => broken(url, http),
        other => nonsense(url, INVALID_REQUEST, other),
    }
}

/// What a message that was not answered died of.
fn not_sent(url: &str, error: &DynamicTransportError) -> Error {
    let Some(error) = error
        .error
        .downcast_ref::<StreamableHttpError<reqwest::Error>>()
    else {
        return unreachable(url, &innermost(error));
    };
    match error {
        StreamableHttpError::HttpStatus(status) => Error::Http {
            url: url.to_owned(),
            status: status.status,
        },
        StreamableHttpError::SessionExpired => Error::Http {
            url: url.to_owned(),
            status: 404,
        },
        StreamableHttpError::ReinitializationFailed(error) => of_server(url, error),
        StreamableHttpError::ResponseBodyTooLarge { .. } => too_much(url),
        StreamableHttpError::Deserialize(error) => nonsense(url, PARSE_ERROR, error),
        StreamableHttpError::UnexpectedContentType(kind) => nonsense(
            url,
            PARSE_ERROR,
            &format_args!(
                "its content type is {}",
                kind.as_deref().unwrap_or("not given")
            ),
        ),
        StreamableHttpError::Client(error) => unreachable(url, &innermost(error)),
        other => unreachable(url, &innermost(other)),
    }
}

fn broken(url: &str, http: &Http) -> Error {
    if http.take_cut() {
        return too_much(url);
    }
    unreachable(url, "it closed the connection before it had answered")
}

fn too_much(url: &str) -> Error {
    Error::TooLarge {
        url: url.to_owned(),
        limit: "4 MiB in one answer",
    }
}

fn unreachable(url: &str, reason: &str) -> Error {
    Error::Unreachable {
        url: url.to_owned(),
        reason: reason.to_owned(),
    }
}

fn timed_out(url: &Url, what: &'static str, limit: Duration) -> Error {
    Error::TimedOut {
        url: allowed::shown(url).to_string(),
        what,
        limit,
    }
}

/// What an error comes from in the end; what stands around it says where, not why.
pub(crate) fn innermost(error: &dyn StdError) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connection_unused_for_longest_is_given_up() {
        let servers = Servers::new(Allowed::default());
        let connect = |n: usize| servers.shared.connection(&Server::new(n.to_string()));
        let first = connect(0);
        let second = connect(1);
        for n in 2..MAX_CONNECTIONS {
            connect(n);
        }
        assert!(Arc::ptr_eq(&first, &connect(0)));
        connect(MAX_CONNECTIONS);
        assert!(Arc::ptr_eq(&first, &connect(0)));
        assert!(!Arc::ptr_eq(&second, &connect(1)));
    }
}
