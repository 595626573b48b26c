//! The way to the server behind the relay.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::http::{HeaderValue, StatusCode};
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
            let said = response.body().as_deref().map(said).unwrap_or_default();
            // Some servers repeat the key that they were sent.
            let is_secret = |key: &String| !key.is_empty() && said.contains(key.as_str());
            let said = match endpoint.key.as_ref().is_some_and(is_secret) || said.is_empty() {
                true => String::new(),
                false => format!(": {said}"),
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

/// What the body of a refusal says, in one line of bearable length; nothing of a page.
fn said(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Body {
        error: Inner,
    }
    #[derive(serde::Deserialize)]
    struct Inner {
        message: String,
    }
    let Ok(Body { error }) = serde_json::from_slice(body) else {
        return String::new();
    };
    let line = error.message.trim().lines().next().unwrap_or_default();
    line.trim_end_matches('.').chars().take(MOST_SAID).collect()
}
