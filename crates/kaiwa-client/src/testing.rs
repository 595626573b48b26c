//! A scripted server at the other end of a pipe.

use std::future::Future;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt, DuplexStream, copy_bidirectional};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::conversation::Reconnect;
use crate::endpoint::Endpoint;
use crate::link::{Link, LinkError};

/// Bytes the pipe holds: less than a second of speech, so that a side that does not read
/// stops the other.
const PIPE: usize = 16 * 1024;

pub(crate) struct FakeServer {
    socket: WebSocketStream<DuplexStream>,
    /// The sound appended so far, as bytes.
    pub(crate) heard: Vec<u8>,
    events: u64,
}

/// A link and the server at its other end.
pub(crate) async fn connected() -> (Link, FakeServer) {
    let (near, far) = tokio::io::duplex(PIPE);
    let endpoint = Endpoint::new("ws://kaiwa.test/v1");
    let (link, socket) = tokio::join!(
        Link::over(near, &endpoint),
        tokio_tungstenite::accept_async(far)
    );
    (
        link.expect("a link"),
        FakeServer::new(socket.expect("a handshake")),
    )
}

impl FakeServer {
    fn new(socket: WebSocketStream<DuplexStream>) -> Self {
        Self {
            socket,
            heard: Vec::new(),
            events: 0,
        }
    }

    /// The server of the next client at a real port, which it leaves when it is dropped.
    pub(crate) async fn at(listener: &TcpListener) -> Self {
        let (mut client, _) = listener.accept().await.expect("a client");
        let (mut near, far) = tokio::io::duplex(PIPE);
        script(async move { copy_bidirectional(&mut client, &mut near).await });
        let socket = tokio_tungstenite::accept_async(far).await;
        Self::new(socket.expect("a handshake"))
    }

    /// The session's opening: `session.created`, the client's update, `session.updated`
    /// with what the client asked for. Gives the update.
    pub(crate) async fn open(&mut self) -> Value {
        self.open_until(Value::Null).await
    }

    /// The same for a session that ends then, in seconds since 1970.
    pub(crate) async fn open_until(&mut self, expires_at: impl Into<Value>) -> Value {
        let session = json!({"type": "realtime", "id": "sess_1", "model": "fake",
            "expires_at": expires_at.into()});
        self.send(json!({"type": "session.created", "session": session}))
            .await;
        let update = self.expect("session.update").await;
        let mut session = update["session"].clone();
        let turn = &mut session["audio"]["input"]["turn_detection"];
        if turn.is_object() && turn["silence_duration_ms"].is_null() {
            turn["silence_duration_ms"] = json!(200);
        }
        self.send(json!({"type": "session.updated", "session": session}))
            .await;
        update
    }

    pub(crate) async fn send(&mut self, mut event: Value) {
        self.events += 1;
        event["event_id"] = json!(format!("event_{}", self.events));
        self.send_text(event.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: impl Into<String>) {
        let message = Message::Text(text.into().into());
        self.socket
            .send(message)
            .await
            .expect("a client that reads");
    }

    pub(crate) async fn send_binary(&mut self, bytes: Vec<u8>) {
        let message = Message::Binary(bytes.into());
        self.socket
            .send(message)
            .await
            .expect("a client that reads");
    }

    /// The client's next event, appends aside; `None` when it has closed.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            match self.socket.next().await? {
                Ok(Message::Text(text)) => {
                    let event: Value = serde_json::from_str(&text).expect("JSON");
                    if event["type"] != "input_audio_buffer.append" {
                        return Some(event);
                    }
                    let audio = event["audio"].as_str().expect("a string");
                    self.heard.extend(STANDARD.decode(audio).expect("base64"));
                }
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The client's next event, appends aside, which must be of this type.
    pub(crate) async fn expect(&mut self, kind: &str) -> Value {
        let event = self.next().await.expect("an event");
        assert_eq!(event["type"], kind, "{event}");
        event
    }

    /// Hears a typed turn; gives its `response.create`.
    pub(crate) async fn asked(&mut self) -> Value {
        self.expect("conversation.item.create").await;
        self.expect("response.create").await
    }

    /// Refuses an event of the client's.
    pub(crate) async fn refuse(&mut self, event: &Value, code: &str, message: &str) {
        self.send(
            json!({"type": "error", "error": {"type": "invalid_request_error", "code": code,
            "message": message, "param": null, "event_id": event["event_id"]}}),
        )
        .await;
    }

    /// Reads appends until `ms` of sound have arrived in all. No other event may come.
    pub(crate) async fn hear(&mut self, ms: usize) {
        while self.heard.len() < ms * 48 {
            let message = self
                .socket
                .next()
                .await
                .expect("more sound")
                .expect("a frame");
            if message.is_ping() {
                // It is answered with what is read or sent next.
                continue;
            }
            let text = message.to_text().expect("text");
            let event: Value = serde_json::from_str(text).expect("JSON");
            assert_eq!(event["type"], "input_audio_buffer.append", "{event}");
            let audio = event["audio"].as_str().expect("a string");
            self.heard.extend(STANDARD.decode(audio).expect("base64"));
        }
    }

    /// Reads appends for `ms` of time; any other event fails the test.
    pub(crate) async fn hear_for(&mut self, ms: u64) {
        let quiet = self.next();
        let elapsed = tokio::time::timeout(std::time::Duration::from_millis(ms), quiet).await;
        assert!(elapsed.is_err(), "unexpected {elapsed:?}");
    }

    /// Calls a tool in a response, with the call's id as the item's.
    pub(crate) async fn call(&mut self, response: &str, id: &str, name: &str, arguments: &Value) {
        self.send(called(response, id, name, arguments, "completed"))
            .await;
    }

    /// Calls a tool in a response of which nothing else follows.
    pub(crate) async fn call_alone(
        &mut self,
        response: &str,
        id: &str,
        name: &str,
        arguments: &Value,
    ) {
        self.begin_response(response).await;
        self.call(response, id, name, arguments).await;
        self.end_response(response, "completed").await;
    }

    /// The client's next event, which must be a result: the id of the call, and the output. The
    /// server says that it has it.
    pub(crate) async fn result(&mut self) -> (String, String) {
        let create = self.unconfirmed_result().await;
        self.confirm(&create).await;
        let item = &create["item"];
        let text = |name: &str| item[name].as_str().expect("text").to_owned();
        (text("call_id"), text("output"))
    }

    /// The client's next event, which must be a result.
    pub(crate) async fn unconfirmed_result(&mut self) -> Value {
        let create = self.expect("conversation.item.create").await;
        assert_eq!(create["item"]["type"], "function_call_output", "{create}");
        create
    }

    /// Says that the conversation has what the client has created.
    pub(crate) async fn confirm(&mut self, create: &Value) {
        self.send(json!({"type": "conversation.item.added", "item": create["item"]}))
            .await;
    }

    /// Announces a response and its item.
    pub(crate) async fn begin_response(&mut self, response: &str) {
        self.send(json!({"type": "response.created", "response": {
            "id": response, "status": "in_progress", "output": [], "conversation_id": "conv_1"}}))
            .await;
    }

    /// Ends a response that took so many tokens of text seen, sound seen, and sound made.
    pub(crate) async fn bill_response(&mut self, response: &str, tokens: [u64; 3]) {
        let [text, audio, made] = tokens;
        self.send(json!({"type": "response.done", "response": {
            "id": response, "status": "completed", "output": [], "conversation_id": "conv_1",
            "usage": {"total_tokens": text + audio + made, "input_tokens": text + audio,
                "output_tokens": made,
                "input_token_details": {"text_tokens": text, "audio_tokens": audio,
                    "cached_tokens": 0},
                "output_token_details": {"text_tokens": 0, "audio_tokens": made}}}}))
            .await;
    }

    /// Ends a response.
    pub(crate) async fn end_response(&mut self, response: &str, status: &str) {
        self.send(json!({"type": "response.done", "response": {
            "id": response, "status": status, "output": [], "conversation_id": "conv_1",
            "usage": {"total_tokens": 7, "input_tokens": 4, "output_tokens": 3}}}))
            .await;
    }

    /// Says `text` in `ms` of sound at a quarter of full scale, in deltas of 100 ms.
    pub(crate) async fn speak(&mut self, response: &str, item: &str, text: &str, ms: usize) {
        self.say_silently(response, item, text).await;
        self.sound(response, item, ms).await;
    }

    /// Sends words of an item without their sound.
    pub(crate) async fn say_silently(&mut self, response: &str, item: &str, text: &str) {
        self.send(place(
            "response.output_audio_transcript.delta",
            response,
            item,
            json!({"delta": text}),
        ))
        .await;
    }

    pub(crate) async fn sound(&mut self, response: &str, item: &str, ms: usize) {
        let mut left = ms;
        while left > 0 {
            let chunk = left.min(100);
            let bytes = [0x00, 0x20].repeat(chunk * 24);
            self.sound_bytes(response, item, &bytes).await;
            left -= chunk;
        }
    }

    pub(crate) async fn sound_bytes(&mut self, response: &str, item: &str, bytes: &[u8]) {
        let delta = json!({"delta": STANDARD.encode(bytes)});
        self.send(place("response.output_audio.delta", response, item, delta))
            .await;
    }

    /// Ends an item's speech.
    pub(crate) async fn spoken(&mut self, response: &str, item: &str, text: &str) {
        self.send(place(
            "response.output_audio.done",
            response,
            item,
            json!({}),
        ))
        .await;
        let done = json!({"transcript": text});
        self.send(place(
            "response.output_audio_transcript.done",
            response,
            item,
            done,
        ))
        .await;
    }

    /// Reads what the session is told of the conversation: so many items as role and text.
    pub(crate) async fn told(&mut self, items: usize) -> Vec<(String, String)> {
        let mut told = Vec::new();
        for _ in 0..items {
            let create = self.expect("conversation.item.create").await;
            let item = &create["item"];
            assert_eq!(create["previous_item_id"], Value::Null, "{create}");
            let part = &item["content"][0];
            let text = match part["audio"].as_str() {
                Some(audio) => format!("{} ms", STANDARD.decode(audio).expect("base64").len() / 48),
                None => part["text"].as_str().expect("text").to_owned(),
            };
            told.push((item["role"].as_str().expect("a role").to_owned(), text));
        }
        told
    }

    /// Says a whole answer in so many ms.
    pub(crate) async fn answer(&mut self, response: &str, item: &str, text: &str, ms: usize) {
        self.begin_response(response).await;
        self.speak(response, item, text, ms).await;
        self.spoken(response, item, text).await;
        self.end_response(response, "completed").await;
    }

    /// Says where the user's speech began in the session.
    pub(crate) async fn hears_speech(&mut self, item: &str, start_ms: usize) {
        self.send(json!({"type": "input_audio_buffer.speech_started",
            "audio_start_ms": start_ms, "item_id": item}))
            .await;
    }

    /// Says where the user's turn ended in the session.
    pub(crate) async fn ends_turn(&mut self, item: &str, end_ms: usize) {
        self.send(json!({"type": "input_audio_buffer.speech_stopped",
            "audio_end_ms": end_ms, "item_id": item}))
            .await;
        self.send(json!({"type": "input_audio_buffer.committed", "item_id": item}))
            .await;
    }

    /// Closes the connection without saying why.
    pub(crate) async fn close_without_code(mut self) {
        self.socket.close(None).await.expect("a client that reads");
        while self.socket.next().await.is_some() {}
    }

    /// Sends bytes that are no frame, and gives the stream.
    pub(crate) async fn send_garbage(self) -> DuplexStream {
        let mut stream = self.into_stream();
        stream
            .write_all(&[0xff; 64])
            .await
            .expect("a client that reads");
        stream
    }

    /// Ends the sending side alone, and gives the stream.
    pub(crate) async fn half_close(self) -> DuplexStream {
        let mut stream = self.into_stream();
        stream.shutdown().await.expect("a client that reads");
        stream
    }

    /// The stream below, of which nothing is read any more.
    pub(crate) fn into_stream(self) -> DuplexStream {
        self.socket.into_inner()
    }

    pub(crate) async fn close(mut self, code: u16, reason: &str) {
        use tokio_tungstenite::tungstenite::protocol::CloseFrame;
        let frame = CloseFrame {
            code: code.into(),
            reason: reason.to_owned().into(),
        };
        self.socket
            .close(Some(frame))
            .await
            .expect("a client that reads");
        while self.socket.next().await.is_some() {}
    }
}

/// Where links are made on demand, or not.
pub(crate) struct Switchboard {
    outcomes: mpsc::UnboundedSender<Result<Link, LinkError>>,
    /// When a link was asked for.
    pub(crate) attempts: Arc<Mutex<Vec<Instant>>>,
}

impl Switchboard {
    /// A switchboard, and what makes links there. Nobody answers until somebody does.
    pub(crate) fn new() -> (Self, Reconnect) {
        let (outcomes, mut made) = mpsc::unbounded_channel();
        let attempts = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&attempts);
        let reconnect = Reconnect::new(move || {
            noted.lock().expect("a lock").push(Instant::now());
            let outcome = made.try_recv().unwrap_or_else(|_| Err(unreachable()));
            Box::pin(std::future::ready(outcome))
        });
        (Self { outcomes, attempts }, reconnect.seed(1))
    }

    /// The next link leads to this server.
    pub(crate) async fn answer(&self) -> FakeServer {
        let (link, server) = connected().await;
        self.outcomes.send(Ok(link)).expect("a conversation");
        server
    }

    /// The next attempt fails.
    pub(crate) fn refuse(&self, error: LinkError) {
        self.outcomes.send(Err(error)).expect("a conversation");
    }
}

/// Nobody is there.
pub(crate) fn unreachable() -> LinkError {
    LinkError::Unreachable {
        host: "kaiwa.test:80".to_owned(),
        source: std::io::Error::other("no route"),
    }
}

/// Runs the server's script beside the test, and fails the test when the script fails.
pub(crate) fn script<T: Send + 'static>(
    script: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::spawn(script)
}

/// A call of a tool that has come to its end, or not.
pub(crate) fn called(
    response: &str,
    id: &str,
    name: &str,
    arguments: &Value,
    status: &str,
) -> Value {
    json!({"type": "response.output_item.done", "response_id": response, "output_index": 0,
        "item": {"type": "function_call", "id": format!("item_{id}"), "call_id": id,
            "name": name, "arguments": arguments.to_string(), "status": status}})
}

fn place(kind: &str, response: &str, item: &str, extra: Value) -> Value {
    let mut event = json!({
        "type": kind, "response_id": response, "item_id": item,
        "output_index": 0, "content_index": 0,
    });
    for (name, value) in extra.as_object().expect("an object") {
        event[name] = value.clone();
    }
    event
}
