//! MCP messages over HTTP: what rmcp's own client does, with the status of every refusal kept and
//! with every answer bounded.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::{StreamExt, stream::BoxStream};
use reqwest::{
    Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue},
    redirect,
};
use rmcp::{
    model::{ClientJsonRpcMessage, JsonRpcMessage, ServerJsonRpcMessage},
    transport::streamable_http_client::{
        HttpStatusError, SseError, StreamableHttpClient, StreamableHttpError,
        StreamableHttpPostResponse, StreamableHttpResponseLimits,
    },
};
use sse_stream::{Sse, SseStream};

use crate::tls;

/// Most bytes of one HTTP answer; more end the request.
pub const MAX_ANSWER: usize = 4 << 20;

const SESSION: &str = "mcp-session-id";

type Result<T> = std::result::Result<T, StreamableHttpError<reqwest::Error>>;

/// The HTTP client of one connection.
#[derive(Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    /// Whether an event stream was cut because it is too large, which the stream's own error
    /// does not tell the one who waits.
    cut: Arc<AtomicBool>,
}

impl Http {
    pub(crate) fn new(client: reqwest::Client) -> Self {
        Self {
            client,
            cut: Arc::default(),
        }
    }

    /// Whether a stream was cut since this was last asked.
    pub(crate) fn take_cut(&self) -> bool {
        self.cut.swap(false, Ordering::Relaxed)
    }

    fn events(&self, response: Response) -> BoxStream<'static, std::result::Result<Sse, SseError>> {
        let cut = Arc::clone(&self.cut);
        let mut left = MAX_ANSWER;
        let bytes = response.bytes_stream().map(move |piece| {
            let piece = piece.map_err(|error| io::Error::other(error.without_url()))?;
            let Some(rest) = left.checked_sub(piece.len()) else {
                cut.store(true, Ordering::Relaxed);
                return Err(io::Error::other("the answer is too large"));
            };
            left = rest;
            Ok(piece)
        });
        SseStream::from_bytes_stream(bytes).boxed()
    }
}

/// Makes the client of a session's connections.
pub(crate) fn client() -> std::result::Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls::config())
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .user_agent(concat!("kaiwa/", env!("CARGO_PKG_VERSION")))
        .build()
}

impl StreamableHttpClient for Http {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse> {
        let mut request = self
            .client
            .post(uri.as_ref())
            .headers(custom_headers.into_iter().collect())
            .header(ACCEPT, "application/json, text/event-stream");
        let in_session = session_id.is_some();
        if let Some(id) = session_id {
            request = request.header(SESSION, id.as_ref());
        }
        let response = request.json(&message).send().await.map_err(failed)?;
        let status = response.status();
        if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        if status == StatusCode::NOT_FOUND && in_session {
            return Err(StreamableHttpError::SessionExpired);
        }
        let refusal = || StreamableHttpError::from(HttpStatusError::new(status.as_u16(), None));
        let session = header(&response, SESSION);
        let kind = media_type(&response);
        if !status.is_success() {
            // Whoever is not let in did not get as far as JSON-RPC.
            let is_locked = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            return match kind.as_deref() {
                Some("application/json") if !is_locked => read(response)
                    .await
                    .ok()
                    .and_then(|body| error_of(&message, &body))
                    .map(|error| StreamableHttpPostResponse::Json(error, session))
                    .ok_or_else(refusal),
                _ => Err(refusal()),
            };
        }
        match kind.as_deref() {
            Some("text/event-stream") => Ok(StreamableHttpPostResponse::Sse(
                self.events(response),
                session,
            )),
            // Some servers answer what needs no answer.
            _ if !matches!(message, JsonRpcMessage::Request(_)) => {
                Ok(StreamableHttpPostResponse::Accepted)
            }
            Some("application/json") => {
                let answer = serde_json::from_slice(&read(response).await?)?;
                Ok(StreamableHttpPostResponse::Json(answer, session))
            }
            _ => Err(StreamableHttpError::UnexpectedContentType(kind)),
        }
    }

    async fn post_message_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
        _max_sse_event_size: usize,
    ) -> Result<StreamableHttpPostResponse> {
        // The whole answer has a limit below that of an event.
        self.post_message(uri, message, session_id, auth_header, custom_headers)
            .await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
        _limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse> {
        self.post_message(uri, message, session_id, auth_header, custom_headers)
            .await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<()> {
        // A server that cannot be told, or has no such method, forgets the session by itself.
        self.client
            .delete(uri.as_ref())
            .headers(custom_headers.into_iter().collect())
            .header(SESSION, session_id.as_ref())
            .send()
            .await
            .map(drop)
            .map_err(failed)
    }

    /// Refused: what a server says unasked concerns nobody here, and broken answers are not
    /// resumed.
    async fn get_stream(
        &self,
        _uri: Arc<str>,
        _session_id: Option<Arc<str>>,
        _last_event_id: Option<String>,
        _auth_header: Option<String>,
        _custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, std::result::Result<Sse, SseError>>> {
        Err(StreamableHttpError::ServerDoesNotSupportSse)
    }
}

/// The body, if it is within the limit.
async fn read(response: Response) -> Result<Vec<u8>> {
    let mut pieces = response.bytes_stream();
    let mut body = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(failed)?;
        if piece.len() > MAX_ANSWER - body.len() {
            return Err(StreamableHttpError::ResponseBodyTooLarge {
                max_size: MAX_ANSWER,
            });
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// The JSON-RPC error in the body of a refusal, if it answers the message: some servers send one
/// under an id of their own, which nobody would ever match with the request.
fn error_of(message: &ClientJsonRpcMessage, body: &[u8]) -> Option<ServerJsonRpcMessage> {
    match (message, serde_json::from_slice(body).ok()?) {
        (JsonRpcMessage::Request(request), ServerJsonRpcMessage::Error(error))
            if error.id.as_ref() == Some(&request.id) =>
        {
            Some(ServerJsonRpcMessage::Error(error))
        }
        _ => None,
    }
}

fn header(response: &Response, name: impl reqwest::header::AsHeaderName) -> Option<String> {
    let value = response.headers().get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

/// The content type without its parameters.
fn media_type(response: &Response) -> Option<String> {
    let value = header(response, CONTENT_TYPE)?;
    let essence = value.split(';').next().unwrap_or_default();
    Some(essence.trim().to_ascii_lowercase())
}

/// Without the URL, whose query may be secret.
fn failed(error: reqwest::Error) -> StreamableHttpError<reqwest::Error> {
    StreamableHttpError::Client(error.without_url())
}
