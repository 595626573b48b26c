//! Realtime servers as they should not be, on threads of their own.
#![allow(unreachable_pub, reason = "shared by test files")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{
    Message,
    handshake::derive_accept_key,
    protocol::{Role, WebSocket},
};

/// What the handshake's head, in lower case, is refused with: a status, where it begins with one,
/// and a body.
type Refuse = dyn Fn(&str) -> Result<(), String> + Send + Sync;
/// The frames that answer an event; "close" ends the connection.
type Answers = dyn Fn(&Value) -> Vec<String> + Send + Sync;

/// A server that lives as long as the test's process.
pub struct Fake {
    address: SocketAddr,
}

impl Fake {
    pub fn start(
        refuse: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static,
        opening: Vec<String>,
        answers: impl Fn(&Value) -> Vec<String> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let refuse: Arc<Refuse> = Arc::new(refuse);
        let answers: Arc<Answers> = Arc::new(answers);
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let (refuse, answers) = (Arc::clone(&refuse), Arc::clone(&answers));
                let opening = opening.clone();
                // A client that goes away ends its thread with an error, which nobody needs.
                thread::spawn(move || serve(socket, &*refuse, &opening, &*answers).ok());
            }
        });
        Self { address }
    }

    pub fn url(&self) -> String {
        format!("ws://{}/v1", self.address)
    }
}

fn serve(
    mut socket: TcpStream,
    refuse: &Refuse,
    opening: &[String],
    answers: &Answers,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head)?;
    if let Err(body) = refuse(&head.to_lowercase()) {
        let (status, body) = match body.split_once(' ') {
            Some((status, body)) if status.parse::<u16>().is_ok() => (status, body),
            _ => ("400", body.as_str()),
        };
        // In one piece: a client takes what has come with the head.
        let answer = format!(
            "HTTP/1.1 {status} No\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(answer.as_bytes())?;
        return Ok(());
    }
    let key = head
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .unwrap();
    let accept = derive_accept_key(key.trim().as_bytes());
    write!(
        socket,
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-accept: {accept}\r\nserver: fake/1.0\r\n\r\n"
    )?;
    let mut socket = WebSocket::from_raw_socket(socket, Role::Server, None);
    let mut frames = opening.to_vec();
    loop {
        for frame in frames.drain(..) {
            if frame == "close" {
                socket.close(None)?;
                // Until the client has said goodbye, too.
                while socket.read().is_ok() {}
                return Ok(());
            }
            socket.send(Message::text(frame))?;
        }
        if let Message::Text(text) = socket.read()? {
            frames = answers(&serde_json::from_str(&text)?);
        }
    }
}

fn error(request: &Value, code: &str, message: &str) -> Value {
    json!({"type": "error", "event_id": "event_e", "error": {"type": "invalid_request_error",
        "code": code, "message": message, "param": null, "event_id": request["event_id"]}})
}

fn event(kind: &str, members: Value) -> Value {
    let mut event = json!({"type": kind, "event_id": "event_x"});
    let members = members.as_object().unwrap().clone();
    event.as_object_mut().unwrap().extend(members);
    event
}

/// A server of general availability that takes liberties.
pub mod ga {
    use super::*;

    fn session(settings: &Value) -> Value {
        // It shows only what it knows, and something of its own.
        let modalities = settings["output_modalities"].clone();
        let instructions = settings["instructions"].clone();
        json!({"type": "realtime", "object": "realtime.session", "id": "sess_1", "model": "m",
            "output_modalities": modalities, "instructions": instructions, "tool_choice": "auto",
            "max_output_tokens": 200, "mood": "good", "audio": {
                "input": {"format": {"type": "audio/pcm", "rate": 24000}, "transcription": null,
                    "noise_reduction": null, "turn_detection": null},
                "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy",
                    "speed": 1.0}}})
    }

    pub fn created() -> String {
        event("session.created", json!({"session": session(&json!({}))})).to_string()
    }

    pub fn sloppy(request: &Value) -> Vec<String> {
        let events = match request["type"].as_str().unwrap() {
            "session.update"
                if !request["session"]["audio"]["input"]["transcription"].is_null() =>
            {
                vec![error(request, "unsupported", "No ears.\u{1b}[31m")]
            }
            "session.update" => {
                let session = session(&request["session"]);
                vec![event("session.updated", json!({"session": session}))]
            }
            "input_audio_buffer.clear" => vec![event("input_audio_buffer.cleared", json!({}))],
            "conversation.item.create" => {
                let added = json!({"previous_item_id": null, "item": request["item"]});
                vec![
                    event("conversation.item.added", added),
                    event("mood.changed", json!({})),
                ]
            }
            "conversation.item.retrieve" => {
                vec![error(request, "invalid_value", "Never heard of it.")]
            }
            "conversation.item.delete" => vec![error(request, "oops", "Oops.")],
            "input_audio_buffer.commit" => {
                let mut error = error(request, "input_audio_buffer_commit_empty", "Empty.");
                error["error"]["event_id"] = Value::Null;
                vec![error]
            }
            // What else there is, it passes over.
            _ => Vec::new(),
        };
        events.iter().map(Value::to_string).collect()
    }
}

/// A server that knows nothing but the beta.
pub mod beta {
    use super::*;

    fn session() -> Value {
        json!({"id": "sess_1", "object": "realtime.session", "model": "m",
            "modalities": ["text"], "instructions": "", "voice": "alloy",
            "input_audio_format": "pcm16", "output_audio_format": "pcm16",
            "input_audio_transcription": null, "turn_detection": null, "tools": [],
            "tool_choice": "auto", "temperature": 0.8, "max_response_output_tokens": "inf"})
    }

    pub fn created() -> Vec<String> {
        let conversation = json!({"id": "conv_1", "object": "realtime.conversation"});
        vec![
            event("session.created", json!({"session": session()})).to_string(),
            event(
                "conversation.created",
                json!({"conversation": conversation}),
            )
            .to_string(),
        ]
    }

    pub fn answers(request: &Value) -> Vec<String> {
        let events = match request["type"].as_str().unwrap() {
            "session.update" => match request["session"]["type"].is_null() {
                true => vec![event("session.updated", json!({"session": session()}))],
                false => vec![error(request, "unknown_parameter", "Unknown: session.type")],
            },
            "input_audio_buffer.clear" => vec![event("input_audio_buffer.cleared", json!({}))],
            "conversation.item.create" => vec![event(
                "conversation.item.created",
                json!({"previous_item_id": null, "item": request["item"]}),
            )],
            "conversation.item.delete" => vec![event(
                "conversation.item.deleted",
                json!({"item_id": request["item_id"]}),
            )],
            "input_audio_buffer.append" => Vec::new(),
            _ => vec![error(request, "invalid_value", "Invalid value.")],
        };
        events.iter().map(Value::to_string).collect()
    }
}
