//! The examples, run to their end with a scripted server.

#![allow(clippy::unwrap_used, reason = "scripts of tests fail like tests")]
#![allow(
    clippy::duplicate_mod,
    reason = "each example has what they share as a module of its own"
)]

#[path = "../examples/function_call.rs"]
#[expect(dead_code, reason = "`main` reads arguments")]
mod function_call;
#[path = "../examples/out_of_band.rs"]
#[expect(dead_code, reason = "`main` reads arguments")]
mod out_of_band;
#[path = "../examples/stream_file.rs"]
#[expect(dead_code, reason = "`main` reads arguments")]
mod stream_file;
#[path = "../examples/text_turn.rs"]
#[expect(dead_code, reason = "`main` reads arguments")]
mod text_turn;
#[path = "../examples/tools.rs"]
#[expect(dead_code, reason = "`main` reads arguments")]
mod tools;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use kaiwa_audio::{Clip, WavWriter};
use kaiwa_client::{Endpoint, Link};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// A server's end of a session.
struct Session<S> {
    socket: WebSocketStream<S>,
    events: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    async fn accept(io: S) -> Self {
        Self {
            socket: tokio_tungstenite::accept_async(io).await.unwrap(),
            events: 0,
        }
    }

    /// Opens the session as the client wants it, and gives what it wants.
    async fn open(&mut self) -> Value {
        self.send(json!({"type": "session.created",
            "session": {"type": "realtime", "id": "sess_1", "model": "fake"}}))
            .await;
        let update = self.expect("session.update").await;
        self.send(json!({"type": "session.updated", "session": update["session"]}))
            .await;
        update["session"].clone()
    }

    async fn send(&mut self, mut event: Value) {
        self.events += 1;
        event["event_id"] = json!(format!("event_{}", self.events));
        let message = Message::Text(event.to_string().into());
        self.socket.send(message).await.unwrap();
    }

    /// Sends an event that belongs to the item `item` of the response `response`.
    async fn say(&mut self, kind: &str, response: &str, extra: Value) {
        let mut event = json!({"type": kind, "response_id": response, "item_id": "item_1",
            "output_index": 0, "content_index": 0});
        for (name, value) in extra.as_object().unwrap() {
            event[name] = value.clone();
        }
        self.send(event).await;
    }

    /// Announces a response, or ends it, with what it answers to.
    async fn response(&mut self, kind: &str, id: &str, extra: Value) {
        let status = if kind == "response.done" {
            "completed"
        } else {
            "in_progress"
        };
        let mut response = json!({"id": id, "status": status, "output": [],
            "conversation_id": "conv_1"});
        for (name, value) in extra.as_object().unwrap() {
            response[name] = value.clone();
        }
        self.send(json!({"type": kind, "response": response})).await;
    }

    /// The client's next event, which must be of this kind.
    async fn expect(&mut self, kind: &str) -> Value {
        let message = self.socket.next().await.unwrap().unwrap();
        let event: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        assert_eq!(event["type"], kind, "{event}");
        event
    }

    /// Waits for the client's goodbye; it may still be sending sound.
    async fn closed(&mut self) {
        while let Some(Ok(message)) = self.socket.next().await {
            if let Message::Text(text) = message {
                let event: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(event["type"], "input_audio_buffer.append", "{event}");
            }
        }
    }
}

/// A port of its own for a server, and the way there.
async fn listening() -> (TcpListener, Endpoint) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, Endpoint::new(format!("ws://{address}/v1")))
}

async fn accepted(listener: TcpListener) -> Session<TcpStream> {
    Session::accept(listener.accept().await.unwrap().0).await
}

#[tokio::test]
async fn text_turn_prints_the_answer_as_it_comes() {
    let (listener, endpoint) = listening().await;
    let mut printed = Vec::new();
    let (outcome, ()) = tokio::join!(
        text_turn::run(&endpoint, "Where is Kyoto?", &mut printed),
        async {
            let mut session = accepted(listener).await;
            let wanted = session.open().await;
            assert_eq!(wanted["output_modalities"], json!(["text"]));
            let item = session.expect("conversation.item.create").await;
            assert_eq!(item["item"]["content"][0]["text"], "Where is Kyoto?");
            session.expect("response.create").await;
            session.response("response.created", "r", json!({})).await;
            for delta in ["In ", "Japan."] {
                let delta = json!({"delta": delta});
                session.say("response.output_text.delta", "r", delta).await;
            }
            session.response("response.done", "r", json!({})).await;
            session.closed().await;
        }
    );
    outcome.unwrap();
    assert_eq!(String::from_utf8(printed).unwrap(), "In Japan.\n");
}

#[tokio::test]
async fn text_turn_fails_in_the_servers_words() {
    let (listener, endpoint) = listening().await;
    let mut printed = Vec::new();
    let (outcome, ()) = tokio::join!(text_turn::run(&endpoint, "Well?", &mut printed), async {
        let mut session = accepted(listener).await;
        session.open().await;
        session.expect("conversation.item.create").await;
        let error = json!({"type": "error", "error":
            {"type": "server_error", "message": "Out of order."}});
        session.send(error).await;
    });
    assert_eq!(outcome.unwrap_err().to_string(), "Out of order.");
    assert!(printed.is_empty());
}

#[tokio::test]
async fn function_call_answers_the_model_and_prints_what_it_makes_of_it() {
    let (listener, endpoint) = listening().await;
    let mut printed = Vec::new();
    let (outcome, ()) = tokio::join!(
        function_call::run(&endpoint, "Is it warm in Kyoto?", &mut printed),
        async {
            let mut session = accepted(listener).await;
            let wanted = session.open().await;
            assert_eq!(wanted["tools"][0]["name"], "weather");
            session.expect("conversation.item.create").await;
            session.expect("response.create").await;
            session.response("response.created", "r1", json!({})).await;
            let call = json!({"item": {"type": "function_call", "id": "call_item",
                "call_id": "call_1", "name": "weather", "arguments": r#"{"place":"Kyoto"}"#}});
            session.say("response.output_item.done", "r1", call).await;
            let output = session.expect("conversation.item.create").await;
            assert_eq!(output["item"]["call_id"], "call_1");
            let weather = output["item"]["output"].as_str().unwrap();
            let weather: Value = serde_json::from_str(weather).unwrap();
            assert_eq!(weather["place"], "Kyoto");
            // The next response is asked for when this one is over, not before.
            session.response("response.done", "r1", json!({})).await;
            session.expect("response.create").await;
            session.response("response.created", "r2", json!({})).await;
            let text = json!({"text": "Warm, yes."});
            session.say("response.output_text.done", "r2", text).await;
            session.response("response.done", "r2", json!({})).await;
            session.closed().await;
        }
    );
    outcome.unwrap();
    assert_eq!(
        String::from_utf8(printed).unwrap(),
        "weather({\"place\":\"Kyoto\"})\nWarm, yes.\n"
    );
}

#[tokio::test]
async fn out_of_band_tells_the_answer_from_the_judgement() {
    let (listener, endpoint) = listening().await;
    let mut printed = Vec::new();
    let (outcome, ()) = tokio::join!(
        out_of_band::run(&endpoint, "Cancel it.", &mut printed),
        async {
            let mut session = accepted(listener).await;
            session.open().await;
            session.expect("conversation.item.create").await;
            let answer = session.expect("response.create").await;
            assert!(answer["response"].is_null(), "{answer}");
            let aside = session.expect("response.create").await;
            assert_eq!(aside["response"]["conversation"], "none");
            let metadata = &aside["response"]["metadata"];
            let said = |text: &str| {
                json!([{"type": "message", "id": "m", "role": "assistant",
                    "content": [{"type": "output_text", "text": text}]}])
            };
            // Both run at the same time, and the judgement is there first.
            session.response("response.created", "r1", json!({})).await;
            let beside = json!({"conversation_id": null, "metadata": metadata});
            session.response("response.created", "r2", beside).await;
            let judged = json!({"conversation_id": null, "metadata": metadata,
                "output": said("Request.")});
            session.response("response.done", "r2", judged).await;
            let answered = json!({"output": said("It is cancelled.")});
            session.response("response.done", "r1", answered).await;
            session.closed().await;
        }
    );
    outcome.unwrap();
    assert_eq!(
        String::from_utf8(printed).unwrap(),
        "judgement: Request.\nanswer: It is cancelled.\n"
    );
}

#[tokio::test(start_paused = true)]
async fn tools_runs_a_typed_function_and_prints_the_answer() {
    let (near, far) = tokio::io::duplex(1 << 16);
    let mut printed = Vec::new();
    let client = async {
        let link = Link::over(near, &Endpoint::new("ws://kaiwa.test/v1")).await?;
        tools::run(link, "Where is it warmer?", &mut printed).await
    };
    let (outcome, outputs) = tokio::join!(client, async {
        let mut session = Session::accept(far).await;
        let wanted = session.open().await;
        let parameters = &wanted["tools"][0]["parameters"];
        assert_eq!(parameters["required"], json!(["place"]));
        assert_eq!(parameters["properties"]["place"]["description"], "A city.");
        session.expect("conversation.item.create").await;
        session.expect("response.create").await;
        session.response("response.created", "r1", json!({})).await;
        for (id, place) in [("c1", "Kyoto"), ("c2", "Oslo")] {
            let arguments = json!({"place": place}).to_string();
            let call = json!({"type": "function_call", "id": id, "call_id": id, "name": "weather",
                "arguments": arguments, "status": "completed"});
            session
                .say("response.output_item.done", "r1", json!({"item": call}))
                .await;
        }
        let mut outputs = Vec::new();
        for _ in 0..2 {
            let create = session.expect("conversation.item.create").await;
            outputs.push(create["item"]["output"].as_str().unwrap().to_owned());
        }
        session.response("response.done", "r1", json!({})).await;
        session.expect("response.create").await;
        session.response("response.created", "r2", json!({})).await;
        let text = json!({"text": "In Kyoto."});
        session.say("response.output_text.done", "r2", text).await;
        session.response("response.done", "r2", json!({})).await;
        session.closed().await;
        outputs
    });
    outcome.unwrap();
    assert_eq!(
        outputs,
        [
            r#"{"celsius":21,"sky":"clear"}"#,
            r#"{"error":"there is no weather station in Oslo"}"#
        ]
    );
    assert_eq!(
        String::from_utf8(printed).unwrap(),
        "weather({\"place\":\"Kyoto\"})\nweather({\"place\":\"Oslo\"})\n\
         weather: there is no weather station in Oslo\nIn Kyoto.\n"
    );
}

#[tokio::test(start_paused = true)]
async fn stream_file_speaks_a_recording_and_keeps_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let (question, answer) = (folder.path().join("q.wav"), folder.path().join("a.wav"));
    let mut wav = WavWriter::create(&question, 24_000, 1).unwrap();
    wav.write(&[0.5; 24 * 600]).unwrap();
    wav.finalize().unwrap();
    let mut printed = Vec::new();
    // A pipe instead of a socket, so that time is virtual and the recording takes none.
    let (near, far) = tokio::io::duplex(1 << 16);
    let client = async {
        let link = Link::over(near, &Endpoint::new("ws://kaiwa.test/v1")).await?;
        stream_file::run(link, &question, Some(&answer), &mut printed).await
    };
    let (outcome, heard) = tokio::join!(client, async {
        let mut session = Session::accept(far).await;
        session.open().await;
        let mut heard = Vec::new();
        while heard.len() < 800 * 48 {
            let append = session.expect("input_audio_buffer.append").await;
            let audio = append["audio"].as_str().unwrap();
            heard.extend(STANDARD.decode(audio).unwrap());
        }
        for event in [
            json!({"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": "u"}),
            json!({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 800, "item_id": "u"}),
            json!({"type": "input_audio_buffer.committed", "item_id": "u"}),
            json!({"type": "conversation.item.input_audio_transcription.completed",
                "item_id": "u", "content_index": 0, "transcript": "How far is it?",
                "usage": {"type": "duration", "seconds": 1}}),
        ] {
            session.send(event).await;
        }
        session.response("response.created", "r", json!({})).await;
        let sound = json!({"delta": STANDARD.encode([0x00, 0x20].repeat(24 * 300))});
        session.say("response.output_audio.delta", "r", sound).await;
        let words = json!({"transcript": "Two steps."});
        for (kind, extra) in [
            ("response.output_audio.done", json!({})),
            ("response.output_audio_transcript.done", words),
        ] {
            session.say(kind, "r", extra).await;
        }
        session.response("response.done", "r", json!({})).await;
        session.closed().await;
        heard
    });
    outcome.unwrap();
    assert_eq!(
        String::from_utf8(printed).unwrap(),
        "you: How far is it?\nassistant: Two steps.\n"
    );
    // The recording to its last sample, then silence.
    assert_eq!(&heard[600 * 48 - 2..][..4], [0x00, 0x40, 0, 0]);
    let kept = Clip::open(&answer).unwrap();
    let loud = kept.samples.iter().filter(|&&sample| sample == 0.25);
    assert_eq!(loud.count(), 24 * 300);
}
