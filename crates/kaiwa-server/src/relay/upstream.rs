//! The way to the server behind the relay.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::Query,
    http::{HeaderValue, StatusCode, Uri},
};
use kaiwa_client::Endpoint;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    net::TcpStream,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{self, http::Response, http::header::RETRY_AFTER, protocol::WebSocketConfig},
};

use super::{Shared, config::RelayConfig};
use crate::{http::ApiError, stall::Patient, wire::Wire};

/// How long a connection may take to be made.
const HANDSHAKE: Duration = Duration::from_secs(20);

/// Bytes that may wait for a side that does not read, before the other side is left unread.
pub(super) const BACKLOG: usize = 1 << 20;

/// Characters of what an upstream says about a refusal that are passed on.
const MOST_SAID: usize = 300;

/// Parameters and headers whose values are no secrets.
const OPEN: [&str; 6] = [
    "model",
    "deployment",
    "intent",
    "api-version",
    "openai-beta",
    "openai-safety-identifier",
];

/// Characters of a value that may be a secret; shorter ones are words.
const SHORTEST_SECRET: usize = 6;

/// A connection to the upstream.
pub(super) struct Upstream {
    pub(super) socket: WebSocketStream<MaybeTlsStream<Patient<Way>>>,
    pub(super) wire: Wire,
}

impl Upstream {
    /// Opens a connection. `endpoint` is the relay's upstream, with what the client asks for.
    ///
    /// # Errors
    ///
    /// What a client is told when there is none, in which the relay's key does not occur.
    pub(super) async fn dial(relay: Arc<Shared>, endpoint: Endpoint) -> Result<Self, ApiError> {
        match tokio::time::timeout(HANDSHAKE, Self::handshake(&relay.config, &endpoint)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                tracing::warn!("the upstream does not answer");
                Err(unreachable())
            }
        }
    }

    async fn handshake(config: &RelayConfig, endpoint: &Endpoint) -> Result<Self, ApiError> {
        let (request, connector) = endpoint.handshake().map_err(|error| {
            tracing::warn!(%error, "the handshake with the upstream cannot be written");
            ApiError::invalid(
                "invalid_query",
                "What is asked for cannot be asked of the server behind this relay.",
            )
        })?;
        let in_process = config.in_process.as_ref().map(|connect| connect());
        let stream = match in_process {
            Some(pipe) => Way::InProcess(pipe),
            None => connect(endpoint).await.map(Way::Network).map_err(|error| {
                tracing::warn!(%error, "the upstream cannot be reached");
                unreachable()
            })?,
        };
        let wire = Wire::new();
        let stream = Patient::new(stream, config.patience, wire.clone());
        let limits = WebSocketConfig::default()
            .max_message_size(Some(config.max_message_bytes))
            .max_frame_size(Some(config.max_message_bytes))
            .write_buffer_size(BACKLOG);
        let connecting =
            client_async_tls_with_config(request, stream, Some(limits), Some(connector));
        match connecting.await {
            Ok((socket, _)) => Ok(Self { socket, wire }),
            Err(tungstenite::Error::Http(response)) => Err(refused(&response, endpoint)),
            Err(error) => {
                tracing::warn!(%error, "no connection to the upstream");
                Err(unreachable())
            }
        }
    }
}

/// What leads to the upstream.
pub(super) enum Way {
    InProcess(DuplexStream),
    Network(TcpStream),
}

impl AsyncRead for Way {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::InProcess(pipe) => Pin::new(pipe).poll_read(cx, buffer),
            Self::Network(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Way {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::InProcess(pipe) => Pin::new(pipe).poll_write(cx, bytes),
            Self::Network(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::InProcess(pipe) => Pin::new(pipe).poll_flush(cx),
            Self::Network(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::InProcess(pipe) => Pin::new(pipe).poll_shutdown(cx),
            Self::Network(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

async fn connect(endpoint: &Endpoint) -> io::Result<TcpStream> {
    let address = endpoint.address().map_err(io::Error::other)?;
    let stream = TcpStream::connect((address.host, address.port)).await?;
    // Events are small and wanted at once.
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn unreachable() -> ApiError {
    ApiError::new(
        StatusCode::BAD_GATEWAY,
        "upstream_unreachable",
        "The server behind this relay cannot be reached; try again later.",
    )
}

/// What an upstream's refusal means for a client.
fn refused(response: &Response<Option<Vec<u8>>>, endpoint: &Endpoint) -> ApiError {
    let status = response.status();
    tracing::warn!(%status, "the upstream refuses a session");
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ApiError::new(
            StatusCode::BAD_GATEWAY,
            "upstream_unauthorized",
            "The server behind this relay refused the relay's own key, not yours; whoever runs \
             the relay has to look after it.",
        ),
        StatusCode::TOO_MANY_REQUESTS => {
            let error = ApiError::new(
                StatusCode::TOO_MANY_REQUESTS,
                "upstream_rate_limited",
                "The server behind this relay takes no more sessions at the moment; try again \
                 later.",
            );
            // The two crates have one HeaderValue.
            match response.headers().get(RETRY_AFTER) {
                Some(after) => error.with_retry_after(HeaderValue::clone(after)),
                None => error,
            }
        }
        _ => {
            let said = response.body().as_deref().and_then(message);
            // Some servers repeat the key that they were sent.
            let said = match said.filter(|said| !has_secret(said, endpoint)) {
                Some(said) if !in_short(&said).is_empty() => format!(": {}", in_short(&said)),
                _ => String::new(),
            };
            let status = status.as_u16();
            ApiError::new(
                StatusCode::BAD_GATEWAY,
                "upstream_refused",
                format!("The server behind this relay refused the session (HTTP {status}){said}."),
            )
        }
    }
}

/// What the body of a refusal says; nothing of a page.
fn message(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Body {
        error: Inner,
    }
    #[derive(serde::Deserialize)]
    struct Inner {
        message: String,
    }
    let Body { error } = serde_json::from_slice(body).ok()?;
    Some(error.message)
}

/// One line of bearable length.
fn in_short(message: &str) -> String {
    let line = message.trim().lines().next().unwrap_or_default();
    line.trim_end_matches('.').chars().take(MOST_SAID).collect()
}

/// Whether what an upstream says has something in it that only the relay and it should know: the
/// key, and whatever else may be one in the URL and in the headers.
fn has_secret(said: &str, endpoint: &Endpoint) -> bool {
    let key = endpoint.key.as_deref().filter(|key| !key.is_empty());
    if key.is_some_and(|key| said.contains(key)) {
        return true;
    }
    let (_, query) = endpoint.url.split_once('?').unwrap_or_default();
    let raw = query.split('&').filter_map(|pair| pair.split_once('='));
    let raw = raw.map(|(name, value)| (name.to_owned(), value.to_owned()));
    // As it was written, and as its reader reads it.
    let uri: Uri = format!("/?{query}").parse().unwrap_or_default();
    let read = Query::<Vec<(String, String)>>::try_from_uri(&uri);
    let read = read.map(|Query(pairs)| pairs).unwrap_or_default();
    let headers = endpoint.headers.iter().cloned();
    let mut all = raw.chain(read).chain(headers);
    all.any(|(name, value)| {
        let is_open = OPEN.contains(&name.to_ascii_lowercase().as_str());
        // Of "Bearer KEY", the key.
        let secret = value.rsplit(' ').next().unwrap_or_default();
        !is_open && secret.len() >= SHORTEST_SECRET && said.contains(secret)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint {
            key: Some("sk-real-and-dear".to_owned()),
            headers: vec![("X-Key".to_owned(), "Bearer of-the-header".to_owned())],
            ..Endpoint::new("wss://h/v1?sig=of%2Fthe-url&model=test-model&short=no")
        }
    }

    #[test]
    fn what_an_upstream_says_is_looked_through_before_it_is_cut() {
        let before = "A".repeat(290);
        for secret in [
            "sk-real-and-dear",
            "of-the-header",
            "of/the-url",
            "of%2Fthe-url",
        ] {
            for said in [
                format!("{before}{secret}"),
                format!("One line.\n{secret}"),
                secret.to_owned(),
            ] {
                let body = serde_json::json!({ "error": { "message": said } }).to_string();
                let response = Response::builder()
                    .status(StatusCode::BAD_REQUEST)
                    .body(Some(body.into_bytes()))
                    .unwrap();
                let error = format!("{:?}", refused(&response, &endpoint()));
                assert!(!error.contains("AAA"), "{error}");
                assert!(!error.contains("One line"), "{error}");
                assert!(
                    !error.contains("sk-") && !error.contains("of-the"),
                    "{error}"
                );
                assert!(!error.contains("the-url"), "{error}");
            }
        }
        for open in ["No model test-model.", "no", before.as_str()] {
            assert!(!has_secret(open, &endpoint()), "{open}");
        }
        assert_eq!(in_short(&"A".repeat(400)).len(), MOST_SAID);
    }
}
