//! A Realtime connection: a WebSocket with events in it.

mod error;
pub(crate) mod tls;

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream};
use kaiwa_protocol::{
    BETA_HEADER, BETA_HEADER_VALUE, ClientEvent, Dialect, ParseError, ServerEvent, Session,
    write_append,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Request, header};
use tokio_tungstenite::tungstenite::protocol::{
    CloseFrame, WebSocketConfig, frame::coding::CloseCode,
};
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

pub use self::error::{LinkError, LinkErrorKind};
use crate::endpoint::{Endpoint, Target};
use crate::profile::Profile;

/// How long a connection may take to be made.
const HANDSHAKE: Duration = Duration::from_secs(20);
/// The largest frame taken from a server.
const MAX_FRAME: usize = 32 << 20;
/// Bytes that may wait to be sent: about four minutes of speech, and more than the
/// largest event.
const MAX_BACKLOG: usize = 24 << 20;

/// What sees every frame of a link, as JSON.
pub type Tap = Box<dyn FnMut(Direction, &str) + Send>;

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the client to the server.
    Sent,
    /// From the server to the client.
    Received,
}

/// What arrives on a link.
#[derive(Debug)]
pub enum Incoming {
    /// The connection has ended in order; nothing follows.
    Closed(Closed),
    /// An event; the bytes of sound are decoded.
    Event(Box<ServerEvent>),
    /// A frame that is not an event. The link goes on.
    Unreadable(String),
}

/// How a server ended a connection.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Closed {
    /// The close code, when the server gave one.
    pub code: Option<u16>,
    /// The reason in the server's words, often empty.
    pub reason: String,
}

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the server closed the connection")?;
        match (self.code, self.reason.as_str()) {
            (Some(code), "") => write!(f, " (code {code})"),
            (Some(code), reason) => write!(f, " (code {code}: {reason})"),
            (None, _) => Ok(()),
        }
    }
}

/// Both ends of [`Link::drive`].
pub(crate) enum Driven {
    /// All that was queued is with the operating system.
    Flushed,
    /// The server has read everything up to a ping of ours.
    Ponged,
    /// Something came.
    Received(Incoming),
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A Realtime connection.
///
/// Sending puts frames into a bounded queue at once; [`recv`](Self::recv) sends what is
/// queued while it waits, so one task can serve both directions without ever blocking
/// on a peer that blocks on it. Pings are answered meanwhile.
pub struct Link {
    socket: WebSocketStream<MaybeTlsStream<Box<dyn Io>>>,
    /// The memory of the last frame of sound, for the next one.
    frame: Vec<u8>,
    /// Whether frames wait to be sent.
    queued: bool,
    /// Whether the end was reported.
    ended: bool,
    tap: Option<Tap>,
    /// Bytes of text and binary frames that came.
    received: u64,
    /// Of the server's answer to the handshake.
    headers: Vec<(String, String)>,
    dialect: Dialect,
    /// Whether to take to the dialect that the server turns out to speak.
    adapts: bool,
}

impl Link {
    /// Connects over TCP, with TLS for `wss` and `https`.
    ///
    /// # Errors
    ///
    /// When the address is not valid, nobody is there, or the server refuses.
    pub async fn connect(endpoint: &Endpoint) -> Result<Self, LinkError> {
        match Self::connect_once(endpoint).await {
            Err(error) if endpoint.profile == Profile::Auto && error.demands_beta() => {
                let endpoint = Endpoint {
                    profile: Profile::Beta,
                    ..endpoint.clone()
                };
                Self::connect_once(&endpoint).await
            }
            outcome => outcome,
        }
    }

    async fn connect_once(endpoint: &Endpoint) -> Result<Self, LinkError> {
        let target = endpoint.target()?;
        let host = format!("{}:{}", target.host, target.port);
        let connecting = async {
            let socket = TcpStream::connect((target.host.as_str(), target.port))
                .await
                .map_err(|source| LinkError::Unreachable {
                    host: host.clone(),
                    source,
                })?;
            // Frames of 20 ms should leave when they are written.
            if let Err(error) = socket.set_nodelay(true) {
                tracing::debug!(%error, "frames may be delayed");
            }
            let connector = if target.tls {
                Connector::Rustls(tls::config())
            } else {
                Connector::Plain
            };
            Self::handshake(Box::new(socket), endpoint, &target, connector).await
        };
        match tokio::time::timeout(HANDSHAKE, connecting).await {
            Ok(outcome) => outcome,
            Err(_) => Err(LinkError::HandshakeTimeout {
                host: host.clone(),
                seconds: HANDSHAKE.as_secs(),
            }),
        }
    }

    /// Connects over a stream that leads to the server already, such as one end of a
    /// pipe to a server in the same process. Nothing is encrypted.
    ///
    /// # Errors
    ///
    /// When the address is not valid or the server refuses.
    pub async fn over(
        io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        endpoint: &Endpoint,
    ) -> Result<Self, LinkError> {
        let mut target = endpoint.target()?;
        if target.tls {
            target.uri.replace_range(..3, "ws");
            target.tls = false;
        }
        let handshake = Self::handshake(Box::new(io), endpoint, &target, Connector::Plain);
        match tokio::time::timeout(HANDSHAKE, handshake).await {
            Ok(outcome) => outcome,
            Err(_) => Err(LinkError::HandshakeTimeout {
                host: target.host,
                seconds: HANDSHAKE.as_secs(),
            }),
        }
    }

    async fn handshake(
        io: Box<dyn Io>,
        endpoint: &Endpoint,
        target: &Target,
        connector: Connector,
    ) -> Result<Self, LinkError> {
        let request = request(endpoint, target)?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_FRAME))
            .max_frame_size(Some(MAX_FRAME))
            .max_write_buffer_size(MAX_BACKLOG);
        let (socket, answer) =
            client_async_tls_with_config(request, io, Some(config), Some(connector))
                .await
                .map_err(|error| LinkError::from_handshake(error, endpoint, target))?;
        let headers = answer.headers().iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.as_str().to_owned(), value.into_owned())
        });
        Ok(Self {
            socket,
            frame: Vec::new(),
            queued: false,
            ended: false,
            tap: None,
            received: 0,
            headers: headers.collect(),
            dialect: target.dialect,
            adapts: target.adapts,
        })
    }

    /// Shows every frame from now on to `tap`.
    pub fn set_tap(&mut self, tap: Tap) {
        self.tap = Some(tap);
    }

    /// Gives up what sees the frames, for the next link.
    pub(crate) fn take_tap(&mut self) -> Option<Tap> {
        self.tap.take()
    }

    /// The headers of the server's answer to the handshake, their names in lower case.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Bytes of everything that came so far, frames that are no events included.
    #[must_use]
    pub fn received_bytes(&self) -> u64 {
        self.received
    }

    /// The dialect that is spoken. With [`Profile::Auto`] it changes to the beta, once and
    /// before [`recv`](Self::recv) gives `session.created`, when that is a flat one: what
    /// was sent before has to be sent again.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Speaks `dialect` from now on.
    pub(crate) fn set_dialect(&mut self, dialect: Dialect) {
        self.dialect = dialect;
        self.adapts = false;
    }

    /// Whether another dialect may be tried.
    pub(crate) fn adapts(&self) -> bool {
        self.adapts && self.dialect == Dialect::Ga
    }

    /// Queues an event.
    ///
    /// # Errors
    ///
    /// When the dialect has no word for the event, the connection has ended or the server
    /// takes nothing any more.
    pub fn queue(&mut self, event: &ClientEvent) -> Result<(), LinkError> {
        let mut frame = std::mem::take(&mut self.frame);
        if !self.dialect.write_client(event, &mut frame) {
            return Err(LinkError::NotInDialect {
                kind: event.kind().to_owned(),
                dialect: self.dialect,
            });
        }
        self.queue_frame(frame)
    }

    /// Queues an `input_audio_buffer.append` of `audio`, bytes in the session's input
    /// format, encoded straight into the frame.
    ///
    /// # Errors
    ///
    /// When the connection has ended or the server takes nothing any more.
    pub fn queue_audio(&mut self, audio: &[u8]) -> Result<(), LinkError> {
        let mut frame = std::mem::take(&mut self.frame);
        write_append(&mut frame, None, audio);
        self.queue_frame(frame)
    }

    /// Queues a ping. Its answer says that the server has read everything before it.
    ///
    /// # Errors
    ///
    /// When the connection has ended or the server takes nothing any more.
    pub(crate) fn queue_ping(&mut self) -> Result<(), LinkError> {
        let ping = Message::Ping(Bytes::new());
        self.start(ping, 0)
    }

    /// Sends an event and all that was queued before it.
    ///
    /// # Errors
    ///
    /// When the connection has ended or the server takes nothing any more.
    pub async fn send(&mut self, event: &ClientEvent) -> Result<(), LinkError> {
        self.queue(event)?;
        self.flush().await
    }

    /// Sends sound and all that was queued before it; see [`queue_audio`](Self::queue_audio).
    ///
    /// # Errors
    ///
    /// When the connection has ended or the server takes nothing any more.
    pub async fn send_audio(&mut self, audio: &[u8]) -> Result<(), LinkError> {
        self.queue_audio(audio)?;
        self.flush().await
    }

    /// Sends all that is queued.
    ///
    /// # Errors
    ///
    /// When the connection has ended.
    pub async fn flush(&mut self) -> Result<(), LinkError> {
        self.socket.flush().await.map_err(lost)?;
        self.queued = false;
        Ok(())
    }

    /// Waits for what comes next, sending what is queued meanwhile. Dropping the future
    /// loses nothing.
    ///
    /// # Errors
    ///
    /// When the connection breaks. After an error or [`Incoming::Closed`], the next call
    /// gives `Incoming::Closed` again.
    pub async fn recv(&mut self) -> Result<Incoming, LinkError> {
        loop {
            if let Driven::Received(incoming) = self.drive().await? {
                return Ok(incoming);
            }
        }
    }

    /// Like [`recv`](Self::recv), and returns also when the queue has been sent.
    pub(crate) async fn drive(&mut self) -> Result<Driven, LinkError> {
        if self.ended {
            return Ok(Driven::Received(Incoming::Closed(Closed::default())));
        }
        std::future::poll_fn(|cx| self.poll_drive(cx)).await
    }

    fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Driven, LinkError>> {
        let mut flushed = false;
        let mut failed = None;
        if self.queued {
            match Pin::new(&mut self.socket).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => {
                    self.queued = false;
                    flushed = true;
                }
                // The reading side may know better why the connection ended.
                Poll::Ready(Err(error)) => failed = Some(error),
            }
        }
        loop {
            match Pin::new(&mut self.socket).poll_next(cx) {
                Poll::Ready(Some(Ok(Message::Pong(_)))) => {
                    return Poll::Ready(Ok(Driven::Ponged));
                }
                Poll::Ready(Some(Ok(message))) => {
                    if let Some(incoming) = self.understand(message) {
                        return Poll::Ready(Ok(Driven::Received(incoming)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.ended = true;
                    return Poll::Ready(Err(lost(error)));
                }
                Poll::Ready(None) => {
                    self.ended = true;
                    let closed = Incoming::Closed(Closed::default());
                    return Poll::Ready(Ok(Driven::Received(closed)));
                }
                Poll::Pending => {
                    return match failed {
                        Some(error) => {
                            self.ended = true;
                            Poll::Ready(Err(lost(error)))
                        }
                        None if flushed => Poll::Ready(Ok(Driven::Flushed)),
                        None => Poll::Pending,
                    };
                }
            }
        }
    }

    fn understand(&mut self, message: Message) -> Option<Incoming> {
        match message {
            Message::Text(text) => {
                self.received += text.len() as u64;
                if let Some(tap) = &mut self.tap {
                    tap(Direction::Received, &text);
                }
                Some(match self.parse(&text) {
                    Ok(event) => Incoming::Event(Box::new(event)),
                    Err(error) => Incoming::Unreadable(unreadable(&error)),
                })
            }
            Message::Binary(bytes) => {
                self.received += bytes.len() as u64;
                Some(Incoming::Unreadable(format!(
                    "a binary frame of {} bytes; events are text",
                    bytes.len()
                )))
            }
            Message::Close(frame) => {
                self.ended = true;
                Some(Incoming::Closed(frame.map_or_else(
                    Closed::default,
                    |frame| Closed {
                        code: Some(frame.code.into()),
                        reason: frame.reason.to_string(),
                    },
                )))
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => None,
        }
    }

    /// Reads a frame, and learns from it what the server speaks.
    fn parse(&mut self, text: &str) -> Result<ServerEvent, ParseError> {
        let event = self.dialect.parse_server(text)?;
        if !self.adapts() {
            return Ok(event);
        }
        match event {
            ServerEvent::SessionCreated(event) if is_flat(&event.session) => {
                self.set_dialect(Dialect::Beta);
                self.dialect.parse_server(text)
            }
            // Some servers mix the dialects.
            ServerEvent::Unknown(_) => Dialect::Beta.parse_server(text),
            event => Ok(event),
        }
    }

    /// Whether all that was queued has been sent.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        !self.queued
    }

    /// Ends the connection in order, waiting at most `patience` for the server.
    pub async fn close(mut self, patience: Duration) {
        if self.ended {
            // The answer to the server's close is waiting to be sent.
            let answered = tokio::time::timeout(patience, self.socket.flush()).await;
            if !matches!(answered, Ok(Ok(()))) {
                tracing::debug!("the server did not take the answer to its close");
            }
            return;
        }
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: Utf8Bytes::from_static(""),
        };
        let closing = async {
            if self.socket.close(Some(frame)).await.is_ok() {
                while !self.ended && self.recv().await.is_ok() {}
            }
        };
        if tokio::time::timeout(patience, closing).await.is_err() {
            tracing::debug!("the server did not answer the close");
        }
    }

    fn queue_frame(&mut self, frame: Vec<u8>) -> Result<(), LinkError> {
        let bytes = Bytes::from(frame);
        let reusable = bytes.clone();
        // The codec writes JSON, which is UTF-8.
        let text =
            Utf8Bytes::try_from(bytes).map_err(|error| LinkError::Lost(error.to_string()))?;
        if let Some(tap) = &mut self.tap {
            tap(Direction::Sent, &text);
        }
        let size = text.len();
        let outcome = self.start(Message::Text(text), size);
        // The socket has copied the frame, so this takes the memory back.
        self.frame = Vec::from(reusable);
        outcome
    }

    /// Puts a message of `size` bytes into the socket's buffer.
    fn start(&mut self, message: Message, size: usize) -> Result<(), LinkError> {
        let outcome = Pin::new(&mut self.socket).start_send(message);
        self.queued = true;
        outcome.map_err(|error| match error {
            WsError::WriteBufferFull(_) => LinkError::Backlog(MAX_BACKLOG.max(size)),
            other => lost(other),
        })
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("queued", &self.queued)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// The handshake's request.
pub(crate) fn request(endpoint: &Endpoint, target: &Target) -> Result<Request<()>, LinkError> {
    let mut request =
        target
            .uri
            .as_str()
            .into_client_request()
            .map_err(|_| LinkError::InvalidUrl {
                url: endpoint.url.clone(),
                reason: "it holds characters that an address cannot have",
            })?;
    if let Some(key) = &endpoint.key {
        let (name, value) = if target.azure {
            (HeaderName::from_static("api-key"), key.clone())
        } else {
            (header::AUTHORIZATION, format!("Bearer {key}"))
        };
        let mut value = HeaderValue::try_from(value).map_err(|_| LinkError::InvalidHeader {
            name: name.to_string(),
            reason: "the key holds characters that a key cannot have",
        })?;
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
    }
    if target.asks_for_beta {
        let value = HeaderValue::from_static(BETA_HEADER_VALUE);
        if let Ok(name) = HeaderName::try_from(BETA_HEADER) {
            request.headers_mut().insert(name, value);
        }
    }
    for (name, value) in &endpoint.headers {
        let invalid = |reason| LinkError::InvalidHeader {
            name: name.clone(),
            reason,
        };
        let key = HeaderName::try_from(name).map_err(|_| invalid("the name is not valid"))?;
        let value = HeaderValue::try_from(value).map_err(|_| invalid("the value is not valid"))?;
        request.headers_mut().append(key, value);
    }
    Ok(request)
}

/// Whether a session is without the `type` that every session of GA has.
fn is_flat(session: &Session) -> bool {
    matches!(session, Session::Unknown(unknown) if unknown.kind.is_empty())
}

fn unreadable(error: &ParseError) -> String {
    error.message().to_owned()
}

fn lost(error: WsError) -> LinkError {
    LinkError::Lost(match error {
        WsError::Io(error) => error.to_string(),
        WsError::Protocol(
            tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        ) => "the server went away without a word".to_owned(),
        WsError::ConnectionClosed | WsError::AlreadyClosed => "it is closed".to_owned(),
        other => other.to_string(),
    })
}
