//! What happens at the bounds, and with input that is no event.

mod common;

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use kaiwa_engine::{
    Cancel, EngineError, Flow, SttDelta, SttOptions, Transcriber, Transcript, VoiceActivity,
};
use kaiwa_server::{Engines, Server, ServerConfig};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::{
    MaybeTlsStream,
    tungstenite::{Message, client::IntoClientRequest},
};

use common::{
    Client, PATIENCE, Running, base64, decoded, engines::Fakes, pass, silence, tone, within,
};

#[tokio::test]
async fn what_is_no_event_is_answered_and_the_session_goes_on() {
    let running = Running::start(Fakes::new().engines(), ServerConfig::default()).await;
    let mut client = running.open().await;
    for (frame, code) in [
        (Message::binary(vec![0u8, 1, 2]), "invalid_event"),
        (Message::text("{ not json"), "invalid_json"),
        (Message::text(""), "invalid_json"),
        (Message::text("[]"), "invalid_event"),
        (Message::text(r#"{"event_id":"e1"}"#), "invalid_event"),
        (
            Message::text(r#"{"type":"no.such.event"}"#),
            "invalid_value",
        ),
        (
            Message::text(r#"{"type":"input_audio_buffer.append","audio":"!!!"}"#),
            "invalid_value",
        ),
        (
            Message::text(r#"{"type":"input_audio_buffer.append","audio":"QUJD="}"#),
            "invalid_value",
        ),
        (
            Message::text(r#"{"type":"input_audio_buffer.append"}"#),
            "missing_required_parameter",
        ),
        (
            Message::text(r#"{"type":"input_audio_buffer.append","audio":7}"#),
            "invalid_value",
        ),
        (Message::text(r#"{"type":17}"#), "invalid_value"),
        (
            Message::text(r#"{"type":"session.update","session":"fast"}"#),
            "invalid_value",
        ),
        (
            Message::text(
                r#"{"type":"conversation.item.truncate","item_id":"a","content_index":0,"audio_end_ms":"x"}"#,
            ),
            "invalid_value",
        ),
        (
            Message::text(r#"{"type":"response.create","response":[]}"#),
            "invalid_value",
        ),
    ] {
        let shown = format!("{frame:?}");
        client.socket.send(frame).await.unwrap();
        let error = client.next().await;
        assert_eq!(error["type"], "error", "{shown}");
        assert_eq!(error["error"]["code"], code, "{shown}");
        assert_eq!(error["error"]["type"], "invalid_request_error", "{shown}");
        assert!(error["event_id"].as_str().is_some_and(|id| !id.is_empty()));
    }
    client
        .socket
        .send(Message::Ping("hi".into()))
        .await
        .unwrap();
    let done = client.answer("still there?").await;
    assert_eq!(done["response"]["status"], "completed");
}

#[tokio::test]
async fn errors_name_the_event_they_answer() {
    let running = Running::start(Fakes::new().engines(), ServerConfig::default()).await;
    let mut client = running.open().await;
    client
        .send(json!({ "type": "input_audio_buffer.append", "event_id": "mine", "audio": "?" }))
        .await;
    assert_eq!(client.wait_for("error").await["error"]["event_id"], "mine");
    let too_much = base64(&vec![0; (15 << 20) + 1]);
    client
        .send(json!({
            "type": "input_audio_buffer.append",
            "event_id": "too much",
            "audio": too_much,
        }))
        .await;
    let error = client.wait_for("error").await;
    assert_eq!(error["error"]["event_id"], "too much");
    assert_eq!(error["error"]["param"], "audio");
}

#[tokio::test]
async fn fifteen_mebibytes_of_audio_fit_into_one_event() {
    let running = Running::start(Fakes::new().engines(), ServerConfig::default()).await;
    let mut client = running.open().await;
    client
        .update(json!({ "audio": { "input": { "turn_detection": null } } }))
        .await;
    let audio = base64(&vec![0; 15 << 20]);
    client
        .send(json!({ "type": "input_audio_buffer.append", "audio": audio }))
        .await;
    client
        .send(json!({ "type": "input_audio_buffer.commit" }))
        .await;
    // Five minutes of audio take an unoptimised session their time.
    let next = tokio::time::timeout(10 * PATIENCE, client.socket.next());
    let Ok(Some(Ok(Message::Text(event)))) = next.await else {
        panic!("no event");
    };
    let event: serde_json::Value = serde_json::from_str(&event).unwrap();
    assert_eq!(event["type"], "input_audio_buffer.committed");
}

#[tokio::test]
async fn ids_that_are_too_long_are_refused() {
    let running = Running::start(Fakes::new().engines(), ServerConfig::default()).await;
    let mut client = running.open().await;
    let item = |id: &str| {
        json!({
            "type": "message",
            "id": id,
            "role": "user",
            "content": [{ "type": "input_text", "text": "x" }],
        })
    };
    for (event, param) in [
        (
            json!({ "type": "input_audio_buffer.clear", "event_id": "e".repeat(513) }),
            "event_id",
        ),
        (
            json!({ "type": "conversation.item.create", "item": item(&"i".repeat(33)) }),
            "item.id",
        ),
    ] {
        client.send(event).await;
        let error = client.next().await;
        assert_eq!(error["error"]["code"], "string_above_max_length", "{error}");
        assert_eq!(error["error"]["param"], param, "{error}");
    }
    // As long as they may be.
    client
        .send(json!({ "type": "input_audio_buffer.clear", "event_id": "e".repeat(512) }))
        .await;
    assert_eq!(client.next().await["type"], "input_audio_buffer.cleared");
    client
        .send(json!({ "type": "conversation.item.create", "item": item(&"i".repeat(32)) }))
        .await;
    assert_eq!(client.next().await["type"], "conversation.item.added");
}

#[tokio::test]
async fn a_hundred_thousand_tiny_appends_are_one_piece_of_audio() {
    const COUNT: usize = 100_000;
    let running = Running::start(Fakes::new().engines(), ServerConfig::default()).await;
    let mut client = running.open().await;
    client
        .update(json!({ "audio": { "input": { "turn_detection": null } } }))
        .await;
    // One byte each: two make a sample.
    let append = json!({ "type": "input_audio_buffer.append", "audio": base64(&[7]) });
    let append = Message::text(append.to_string());
    within(async {
        for _ in 0..COUNT {
            client.socket.feed(append.clone()).await.unwrap();
        }
    })
    .await;
    client
        .send(json!({ "type": "input_audio_buffer.commit" }))
        .await;
    let committed = client.next().await;
    assert_eq!(committed["type"], "input_audio_buffer.committed");
    client
        .send(json!({
            "type": "conversation.item.retrieve",
            "item_id": committed["item_id"],
        }))
        .await;
    let item = client.wait_for("conversation.item.retrieved").await;
    let audio = item["item"]["content"][0]["audio"].as_str().unwrap();
    assert_eq!(decoded(audio), vec![7; COUNT]);
}

#[tokio::test]
async fn a_client_that_dies_in_the_middle_of_a_frame_ends_only_its_session() {
    let running = Running::start(Fakes::new().engines(), ServerConfig::default()).await;
    // A text frame that announces 64 KiB, masked with zeros, and brings a part of it.
    let begun = [&[0x81, 0xfe, 0xff, 0xff, 0, 0, 0, 0][..], &[b'{'; 1000]].concat();
    // The head of a frame that never goes on, and a fragment of a message likewise.
    for bytes in [&begun[..], &[0x81], &[0x01, 0x81, 0, 0, 0, 0, b'{']] {
        let mut client = running.open().await;
        let MaybeTlsStream::Plain(stream) = client.socket.get_mut() else {
            panic!("a plain socket");
        };
        within(stream.write_all(bytes)).await.unwrap();
        drop(client);
        running.idle().await;
    }
    let done = running.open().await.answer("still there?").await;
    assert_eq!(done["response"]["status"], "completed");
}

#[tokio::test]
async fn a_violated_websocket_ends_only_its_session() {
    let running = Running::start(Fakes::new().engines(), ServerConfig::default()).await;
    for (bytes, code) in [
        // A client's frame that is not masked, a reserved kind of frame, text that is no UTF-8.
        (&[0x81, 1, b'{'][..], 1002),
        (&[0x83, 0x81, 0, 0, 0, 0, b'{'], 1002),
        (&[0x81, 0x81, 0, 0, 0, 0, 0xff], 1007),
    ] {
        let mut client = running.open().await;
        let MaybeTlsStream::Plain(stream) = client.socket.get_mut() else {
            panic!("a plain socket");
        };
        within(stream.write_all(bytes)).await.unwrap();
        let closed = client.closed().await.expect("a close frame");
        assert_eq!(u16::from(closed.code), code, "{bytes:?}");
        drop(client);
        running.idle().await;
    }
    let done = running.open().await.answer("still there?").await;
    assert_eq!(done["response"]["status"], "completed");
}

#[tokio::test]
async fn audio_the_session_has_no_room_for_is_refused_once() {
    let mut config = ServerConfig::default();
    config.session.max_buffer_ms = 1_000;
    let running = Running::start(Fakes::new().engines(), config).await;
    let mut client = running.open().await;
    client
        .update(json!({ "audio": { "input": { "turn_detection": null } } }))
        .await;
    let audio = base64(&vec![0; 48 * 10_000]);
    client
        .send(json!({ "type": "input_audio_buffer.append", "event_id": "long", "audio": audio }))
        .await;
    client
        .send(json!({ "type": "input_audio_buffer.clear" }))
        .await;
    let error = client.next().await;
    assert_eq!(error["error"]["event_id"], "long", "{error}");
    assert_eq!(client.next().await["type"], "input_audio_buffer.cleared");
}

#[tokio::test]
async fn a_message_that_is_too_big_ends_only_its_session() {
    let mut config = ServerConfig::default();
    config.max_message_bytes = 64 * 1024;
    let running = Running::start(Fakes::new().engines(), config).await;
    let mut client = running.open().await;
    client
        .socket
        .send(Message::text("x".repeat(64 * 1024 + 1)))
        .await
        .unwrap();
    let closed = client.closed().await.expect("a close frame");
    assert_eq!(u16::from(closed.code), 1009);
    running.idle().await;
    let done = running.open().await.answer("still there?").await;
    assert_eq!(done["response"]["status"], "completed");
}

#[tokio::test]
async fn a_client_in_the_middle_of_far_too_big_a_message_hears_why_it_is_closed() {
    let mut config = ServerConfig::default();
    config.max_message_bytes = 64 * 1024;
    let running = Running::start(Fakes::new().engines(), config).await;
    let mut client = running.open().await;
    // More than the sockets hold: the server has closed long before all is sent.
    let message = Message::text("x".repeat(16 << 20));
    within(client.socket.send(message)).await.unwrap();
    let closed = client.closed().await.expect("a close frame");
    assert_eq!(u16::from(closed.code), 1009);
    drop(client);
    running.idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_minutes_for_one_message_has_not_stalled() {
    let config = ServerConfig::default();
    let patience = config.patience;
    let server = Server::new(Fakes::new().engines(), config);
    let request = "ws://kaiwa.invalid/v1/realtime".into_client_request();
    let pipe = server.connect_in_process();
    let (socket, _) = tokio_tungstenite::client_async(request.unwrap(), pipe)
        .await
        .unwrap();
    let mut client = Client { socket }.created().await;
    client
        .update(json!({ "audio": { "input": { "turn_detection": null } } }))
        .await;
    let audio = base64(&vec![0; 600_000]);
    client
        .send(json!({ "type": "input_audio_buffer.append", "audio": audio }))
        .await;
    client
        .send(json!({ "type": "input_audio_buffer.commit" }))
        .await;
    let committed = client.wait_for("input_audio_buffer.committed").await;
    // 800 KB each, of which the client takes a tenth in the time in which others stall.
    for _ in 0..12 {
        client
            .send(json!({
                "type": "conversation.item.retrieve",
                "item_id": committed["item_id"],
            }))
            .await;
    }
    let pipe = client.socket.get_mut();
    let mut piece = vec![0; 64 << 10];
    for _ in 0..20 {
        pass(patience / 3).await;
        pipe.read_exact(&mut piece).await.unwrap();
        assert_eq!(server.sessions(), 1, "slow is not stalled");
    }
    pass(patience * 2).await;
    assert_eq!(server.sessions(), 0, "and this is");
}

#[tokio::test]
async fn a_client_that_reads_nothing_holds_its_engines_back_and_is_closed() {
    let fakes = Fakes::new();
    let mut config = ServerConfig::default();
    config.patience = Duration::from_millis(300);
    let running = Running::start(fakes.engines(), config).await;
    let mut client = running.open().await;
    client.ask("talk forever").await;
    // From here on nothing is read. The session ends by itself, and the model, which
    // would talk for ever, has been stopped after what fits into the buffers.
    running.idle().await;
    within(async {
        while fakes.stopped.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // A clause of speech is about 30 KB, what the kernel buffers a few MB.
    let deltas = fakes.deltas.load(Ordering::SeqCst);
    assert!(deltas < 10_000, "{deltas} deltas of text were made");
    let done = running.open().await.answer("still there?").await;
    assert_eq!(done["response"]["status"], "completed");
}

#[tokio::test]
async fn cancelling_counts_while_everything_sent_is_unread() {
    let fakes = Fakes::new();
    let mut config = ServerConfig::default();
    config.patience = 10 * PATIENCE;
    let running = Running::start(fakes.engines(), config).await;
    let mut client = running.open().await;
    client.ask("talk forever").await;
    client.wait_for("response.output_audio.delta").await;
    // Not reading: the buffers fill up and the model stands still.
    until_still(&fakes.deltas, 0).await;
    client.send(json!({ "type": "response.cancel" })).await;
    // The engine hears of it although nothing was read in between.
    within(async {
        while fakes.stopped.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let done = client.wait_for("response.done").await;
    assert_eq!(done["response"]["status"], "cancelled");
}

/// Judges nothing until it is let go.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn open(&self) {
        *self.open.lock().expect("nothing panics with the gate") = true;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let open = self.open.lock().expect("nothing panics with the gate");
        drop(
            self.changed
                .wait_while(open, |open| !*open)
                .expect("nothing panics with the gate"),
        );
    }
}

struct Gated(Arc<Gate>);

impl VoiceActivity for Gated {
    fn frame_samples(&self) -> usize {
        512
    }

    fn push(&mut self, _frame: &[f32]) -> Result<f32, EngineError> {
        self.0.wait();
        Ok(0.0)
    }

    fn reset(&mut self) {}
}

fn gated(gate: &Arc<Gate>) -> Engines {
    let gate = Arc::clone(gate);
    Engines {
        voice_activity: Arc::new(move || Ok(Box::new(Gated(Arc::clone(&gate))))),
        ..Fakes::new().engines()
    }
}

#[tokio::test]
async fn a_client_faster_than_the_detector_waits_and_loses_nothing() {
    // More than the sockets' buffers take.
    const SECONDS: usize = 300;
    let gate = Arc::new(Gate::default());
    let mut config = ServerConfig::default();
    // Ten seconds of audio fit into the session, which refuses more.
    config.session.max_buffer_ms = 5_000;
    let running = Running::start(gated(&gate), config).await;
    let mut client = running.open().await;
    let sent = AtomicUsize::new(0);
    tokio::join!(
        async {
            for _ in 0..SECONDS {
                client.append(&silence(1_000)).await;
                sent.fetch_add(1, Ordering::SeqCst);
            }
            client.send(json!({ "type": "marker" })).await;
        },
        async {
            until_still(&sent, 0).await;
            let held = sent.load(Ordering::SeqCst);
            gate.open();
            assert!(held < SECONDS, "{held}");
        }
    );
    // The first thing that is refused is the marker behind the audio.
    let error = client.next().await;
    assert_eq!(error["error"]["param"], "type", "{error}");
    let done = client.answer("still there?").await;
    assert_eq!(done["response"]["status"], "completed");
}

#[tokio::test]
async fn detection_may_be_switched_while_frames_are_waiting() {
    let gate = Arc::new(Gate::default());
    let running = Running::start(gated(&gate), ServerConfig::default()).await;
    let mut client = running.open().await;
    client.append(&silence(1_000)).await;
    client
        .update(json!({ "audio": { "input": { "turn_detection": null } } }))
        .await;
    client.append(&silence(10_000)).await;
    client
        .update(json!({ "audio": { "input": { "turn_detection": { "type": "server_vad" } } } }))
        .await;
    // Another stream begins, with everything that is in the buffer.
    client.append(&silence(100)).await;
    client.send(json!({ "type": "marker" })).await;
    let error = client.next().await;
    assert_eq!(error["error"]["param"], "type", "{error}");
    gate.open();
    let done = client.answer("still there?").await;
    assert_eq!(done["response"]["status"], "completed");
}

#[tokio::test]
async fn a_detector_that_hangs_closes_the_session_with_a_reason() {
    let gate = Arc::new(Gate::default());
    let mut config = ServerConfig::default();
    config.patience = Duration::from_millis(200);
    let running = Running::start(gated(&gate), config).await;
    let mut client = running.open().await;
    client.append(&silence(5_000)).await;
    let closed = client.closed().await.expect("a close frame");
    assert_eq!(u16::from(closed.code), 1011);
    assert!(closed.reason.contains("detector"), "{}", closed.reason);
    // The client's half of the closing handshake.
    client.closed().await;
    gate.open();
    running.idle().await;
}

/// Hears nothing until it is let go.
struct GatedEars(Arc<Gate>);

impl Transcriber for GatedEars {
    fn transcribe(
        &self,
        _turn: &[f32],
        _options: &SttOptions,
        _cancel: &Cancel,
        _sink: &mut dyn FnMut(SttDelta<'_>) -> Flow,
    ) -> Result<Transcript, EngineError> {
        self.0.wait();
        Ok(Transcript::default())
    }
}

/// A server that transcribes nothing until the gate is opened.
async fn hearing_nothing_yet() -> (Running, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let engines = Engines {
        transcriber: Arc::new(GatedEars(Arc::clone(&gate))),
        ..Fakes::new().engines()
    };
    let running = Running::start(engines, ServerConfig::default()).await;
    (running, gate)
}

/// Sends so many items of so many milliseconds of audio to a server that transcribes none of
/// them yet. It has to read so many at once, and all of them in the end.
async fn assert_read_at_once(items: usize, ms: usize, at_once: usize) {
    let (running, gate) = hearing_nothing_yet().await;
    let mut client = running.open().await;
    client
        .update(json!({ "type": "realtime", "audio": { "input": { "format": { "type": "audio/pcmu" } } } }))
        .await;
    let audio = base64(&vec![0xff; ms * 8]);
    let item = json!({
        "type": "conversation.item.create",
        "item": {
            "type": "message",
            "role": "user",
            "content": [{ "type": "input_audio", "audio": audio }],
        },
    });
    let frame = Message::text(item.to_string());
    let (mut sink, mut events) = client.socket.split();
    let read = AtomicUsize::new(0);
    tokio::join!(
        async {
            for _ in 0..items {
                within(sink.send(frame.clone())).await.expect("it is sent");
            }
        },
        async {
            while read.load(Ordering::SeqCst) < items {
                let event = within(events.next()).await.expect("an event");
                if let Ok(Message::Text(text)) = event
                    && text.contains("conversation.item.done")
                {
                    read.fetch_add(1, Ordering::SeqCst);
                }
            }
        },
        async {
            until_still(&read, at_once).await;
            let seen = read.load(Ordering::SeqCst);
            gate.open();
            assert_eq!(seen, at_once);
        }
    );
}

#[tokio::test]
async fn a_client_that_orders_too_many_transcriptions_is_read_when_some_are_done() {
    assert_read_at_once(200, 100, 64).await;
}

#[tokio::test]
async fn a_client_that_orders_too_much_audio_is_read_when_some_is_done() {
    // 16 Mi samples at 16 kHz are 17.5 minutes.
    assert_read_at_once(24, 60_000, 18).await;
}

#[tokio::test]
async fn one_append_with_many_turns_is_listened_to_when_some_are_transcribed() {
    const TURNS: usize = 100;
    let (running, gate) = hearing_nothing_yet().await;
    let mut client = running.open().await;
    client
        .update(json!({ "audio": { "input": { "turn_detection": {
            "type": "server_vad", "silence_duration_ms": 200, "create_response": false,
        } } } }))
        .await;
    let turn = [tone(320), silence(320)].concat();
    client.append(&turn.repeat(TURNS)).await;
    let committed = AtomicUsize::new(0);
    tokio::join!(
        async {
            while committed.load(Ordering::SeqCst) < TURNS {
                let event = client.next().await;
                if event["type"] == "input_audio_buffer.committed" {
                    committed.fetch_add(1, Ordering::SeqCst);
                }
            }
        },
        async {
            until_still(&committed, 50).await;
            let held = committed.load(Ordering::SeqCst);
            gate.open();
            // A piece of audio that was given before may end a few more.
            assert!(held <= 70, "{held}");
        }
    );
}

/// Waits until a count is so high and has not changed for a while.
async fn until_still(count: &AtomicUsize, least: usize) {
    let count = || count.load(Ordering::SeqCst);
    within(async {
        let mut before = usize::MAX;
        while count() < least || count() != before {
            before = count();
            for _ in 0..20_000 {
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
}
