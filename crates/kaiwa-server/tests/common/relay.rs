//! A relay between a client and an upstream that does what a test says, all over pipes.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use kaiwa_client::{
    Endpoint,
    costs::{Prices, Usd},
};
use kaiwa_server::{Relay, RelayConfig, RelayKey};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async, client_async,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        handshake::{
            client::{Request, Response},
            server,
        },
        http::HeaderMap,
        protocol::CloseFrame,
    },
};

use super::{Client, within};

/// The key that no client may see.
pub(crate) const REAL: &str = "sk-real-and-dear";
/// The key of the relay's only client.
pub(crate) const KEY: &str = "sk-app";

/// Ten thousand tokens cost a cent, a second of transcription costs a dollar.
const PRICES: &str = r#"
[[model]]
name = "test-model"
text_input = "1"
text_output = "1"
audio_input = "1"
audio_output = "1"
as_of = "2026-11-23"
source = "made up"

[[model]]
name = "test-whisper"
per_minute = "60"
as_of = "2026-11-23"
source = "made up"
"#;

/// A relay, and the connections it opens to its upstream.
pub(crate) struct World {
    pub(crate) relay: Relay,
    pub(crate) calls: mpsc::UnboundedReceiver<DuplexStream>,
}

impl World {
    pub(crate) fn new(change: impl FnOnce(&mut RelayConfig)) -> Self {
        let (calling, calls) = mpsc::unbounded_channel();
        let mut config = RelayConfig::new(Endpoint {
            key: Some(REAL.to_owned()),
            ..Endpoint::new("ws://upstream.test/v1")
        });
        config.keys = vec![app()];
        config.prices = Prices::parse(PRICES).unwrap();
        config.in_process = Some(Arc::new(move || {
            let (near, far) = tokio::io::duplex(64 << 10);
            // A test that does not look for calls lets them fail.
            let _ = calling.send(far);
            near
        }));
        change(&mut config);
        Self {
            relay: Relay::new(config).unwrap(),
            calls,
        }
    }

    /// The same with one key, changed.
    pub(crate) fn with_key(change: impl FnOnce(&mut RelayKey)) -> Self {
        Self::new(|config| change(&mut config.keys[0]))
    }

    pub(crate) async fn open(&mut self) -> (Client<DuplexStream>, Far) {
        let (client, far, _) = self.open_with(request(KEY)).await;
        (client, far)
    }

    pub(crate) async fn open_with(
        &mut self,
        request: Request,
    ) -> (Client<DuplexStream>, Far, Response) {
        let pipe = self.relay.connect_in_process();
        let (opened, far) = tokio::join!(within(client_async(request, pipe)), async {
            Far::accept(within(self.calls.recv()).await.unwrap()).await
        });
        let (socket, response) = opened.unwrap();
        (Client { socket }, far, response)
    }

    /// Asks for a session that is not to be had: status, code, and all that came.
    pub(crate) async fn refused(&self, key: &str, query: &str) -> (u16, String, String) {
        let mut pipe = self.relay.connect_in_process();
        let head = format!(
            "GET /v1/realtime{query} HTTP/1.1\r\nHost: relay\r\nConnection: upgrade, close\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {key}\r\n\r\n"
        );
        pipe.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within(pipe.read_to_string(&mut answer)).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        assert!(body["error"]["message"].is_string(), "{body}");
        let code = body["error"]["code"].as_str().unwrap().to_owned();
        (status, code, answer)
    }

    pub(crate) fn spent(&self) -> Usd {
        self.relay.spent("app").unwrap()
    }

    /// Waits until no session is open.
    pub(crate) async fn idle(&self) {
        within(async {
            while self.relay.sessions() > 0 {
                // Lets the virtual clock go on to what sessions wait for.
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

/// The upstream's end of a session.
pub(crate) struct Far {
    pub(crate) socket: WebSocketStream<DuplexStream>,
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
}

impl Far {
    pub(crate) async fn accept(pipe: DuplexStream) -> Self {
        let (mut uri, mut headers) = (String::new(), HeaderMap::new());
        #[allow(
            clippy::result_large_err,
            reason = "the library's callback has this signature"
        )]
        let look = |request: &server::Request,
                    response: server::Response|
         -> Result<server::Response, server::ErrorResponse> {
            uri = request.uri().to_string();
            headers = request.headers().clone();
            Ok(response)
        };
        let socket = within(accept_hdr_async(pipe, look)).await.unwrap();
        Self {
            socket,
            uri,
            headers,
        }
    }

    pub(crate) async fn send(&mut self, event: Value) {
        let message = Message::text(event.to_string());
        within(self.socket.send(message)).await.unwrap();
    }

    pub(crate) async fn next(&mut self) -> Value {
        loop {
            match within(self.socket.next()).await {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("expected an event, got {other:?}"),
            }
        }
    }

    /// How the relay closed the connection, whatever it sends before.
    pub(crate) async fn closed(&mut self) -> Option<CloseFrame> {
        loop {
            match within(self.socket.next()).await {
                Some(Ok(Message::Close(frame))) => return frame,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    pub(crate) async fn begin(&mut self, id: &str) {
        self.send(json!({ "type": "response.created", "response": { "id": id } }))
            .await;
    }

    /// A response ends that has cost so many cents.
    pub(crate) async fn end(&mut self, id: &str, cents: u64) {
        let usage = json!({ "input_tokens": 0, "output_tokens": cents * 10_000 });
        self.end_with(id, usage).await;
    }

    pub(crate) async fn end_with(&mut self, id: &str, usage: Value) {
        self.send(json!({
            "type": "response.done",
            "response": { "id": id, "status": "completed", "usage": usage },
        }))
        .await;
    }
}

/// The relay's only key.
pub(crate) fn app() -> RelayKey {
    RelayKey {
        name: "app".to_owned(),
        key: KEY.to_owned(),
        ..RelayKey::default()
    }
}

pub(crate) fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

pub(crate) fn request(key: &str) -> Request {
    let mut request = "ws://relay/v1/realtime?model=test-model"
        .into_client_request()
        .unwrap();
    let bearer = format!("Bearer {key}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    request
}
