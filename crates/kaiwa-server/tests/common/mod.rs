//! A client on a real socket, for tests.

#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

pub(crate) mod engines;
pub(crate) mod http;
pub(crate) mod mcp;
pub(crate) mod relay;

use std::{net::SocketAddr, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::{SinkExt, StreamExt};
use kaiwa_server::{Engines, Server, ServerConfig};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::Instant,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        handshake::client::{Request, Response},
        protocol::CloseFrame,
    },
};

/// Longer than anything takes that works; only a safety net.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A server on a port of its own.
pub(crate) struct Running {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Running {
    pub(crate) async fn start(engines: Engines, config: ServerConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::new(engines, config);
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn({
            let server = server.clone();
            async move {
                server
                    .serve(listener, async {
                        let _ = stopped.await;
                    })
                    .await
            }
        });
        Self {
            server,
            address,
            stop: Some(stop),
            serving,
        }
    }

    /// Asks the server to shut down.
    pub(crate) fn shut_down(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Waits until `serve` has returned.
    pub(crate) async fn ended(self) {
        within(self.serving).await.unwrap().unwrap();
    }

    pub(crate) fn request(&self) -> Request {
        format!("ws://{}/v1/realtime?model=test-model", self.address)
            .into_client_request()
            .unwrap()
    }

    /// Opens a session and takes its `session.created`.
    pub(crate) async fn open(&self) -> Client<MaybeTlsStream<TcpStream>> {
        let (client, _) = self.try_open(self.request()).await.unwrap();
        client.created().await
    }

    pub(crate) async fn try_open(
        &self,
        request: Request,
    ) -> Result<(Client<MaybeTlsStream<TcpStream>>, Response), tungstenite::Error> {
        let (socket, response) = within(tokio_tungstenite::connect_async(request)).await?;
        Ok((Client { socket }, response))
    }

    /// Waits until no session is open.
    pub(crate) async fn idle(&self) {
        within(async {
            while self.server.sessions() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// A client's end of a session.
pub(crate) struct Client<S> {
    pub(crate) socket: WebSocketStream<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) async fn created(mut self) -> Self {
        let event = self.next().await;
        assert_eq!(event["type"], "session.created", "{event}");
        self
    }

    pub(crate) async fn send(&mut self, event: Value) {
        within(self.socket.send(Message::text(event.to_string())))
            .await
            .unwrap();
    }

    /// The next event.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            match within(self.socket.next()).await {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("expected an event, got {other:?}"),
            }
        }
    }

    /// All events up to and including the next of a kind.
    pub(crate) async fn until(&mut self, kind: &str) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let event = self.next().await;
            let found = event["type"] == kind;
            events.push(event);
            if found {
                return events;
            }
        }
    }

    /// The next event of a kind.
    pub(crate) async fn wait_for(&mut self, kind: &str) -> Value {
        self.until(kind).await.pop().unwrap()
    }

    /// How the server closed the connection, whatever it sends before.
    pub(crate) async fn closed(&mut self) -> Option<CloseFrame> {
        loop {
            match within(self.socket.next()).await {
                Some(Ok(Message::Close(frame))) => return frame,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    pub(crate) async fn update(&mut self, session: Value) {
        let mut session = session;
        session["type"] = "realtime".into();
        self.send(json!({ "type": "session.update", "session": session }))
            .await;
        self.wait_for("session.updated").await;
    }

    /// Says something in writing and asks for an answer.
    pub(crate) async fn ask(&mut self, text: &str) {
        self.send(json!({
            "type": "conversation.item.create",
            "item": {
                "type": "message",
                "role": "user",
                "content": [{ "type": "input_text", "text": text }],
            },
        }))
        .await;
        self.send(json!({ "type": "response.create" })).await;
    }

    /// Asks and waits for the answer's `response.done`.
    pub(crate) async fn answer(&mut self, text: &str) -> Value {
        self.ask(text).await;
        self.wait_for("response.done").await
    }

    /// Appends 16-bit samples at 24 kHz, in events of 100 ms.
    pub(crate) async fn append(&mut self, samples: &[i16]) {
        for piece in samples.chunks(2400) {
            let bytes: Vec<u8> = piece.iter().flat_map(|s| s.to_le_bytes()).collect();
            self.send(json!({ "type": "input_audio_buffer.append", "audio": base64(&bytes) }))
                .await;
        }
    }
}

/// Status and JSON body of a plain GET.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    within(stream.read_to_string(&mut response)).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

/// Waits, but not for ever.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("nothing happened for a long time")
}

/// Lets so much virtual time pass, in which everything else goes on. There is no real time to
/// pass here: without the virtual clock this panics.
pub(crate) async fn pass(time: Duration) {
    tokio::time::advance(Duration::ZERO).await;
    tokio::time::sleep_until(Instant::now() + time).await;
}

/// Something as loud as speech: a tone whose loudness goes up and down four times a
/// second, 24 kHz.
pub(crate) fn tone(ms: usize) -> Vec<i16> {
    (0..ms * 24)
        .map(|n| {
            let t = n as f32 / 24_000.0;
            let syllables = 0.65 + 0.35 * (t * 4.0 * std::f32::consts::TAU).sin();
            let tone = (t * 180.0 * std::f32::consts::TAU).sin();
            (tone * syllables * 12_000.0) as i16
        })
        .collect()
}

pub(crate) fn silence(ms: usize) -> Vec<i16> {
    vec![0; ms * 24]
}

/// The text of all deltas of a kind.
pub(crate) fn text_of(events: &[Value], kind: &str) -> String {
    events
        .iter()
        .filter(|event| event["type"] == kind)
        .map(|event| event["delta"].as_str().unwrap())
        .collect()
}

pub(crate) fn kinds(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect()
}

pub(crate) fn decoded(text: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(text).unwrap()
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}
