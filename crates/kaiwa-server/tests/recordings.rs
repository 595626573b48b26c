//! Transcription and speech over HTTP.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use std::sync::Arc;

use kaiwa_engine::{
    Cancel, EngineError, EngineErrorKind, Flow, SttDelta, SttOptions, Transcriber, Transcript,
    TranscriptToken,
};
use kaiwa_server::{Engines, ServerConfig};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use common::{
    Running,
    engines::{Fakes, SAMPLES_PER_BYTE},
    http::{Ask, Reply},
    within,
};

const TRANSCRIPTIONS: &str = "/v1/audio/transcriptions";
const SPEECH: &str = "/v1/audio/speech";

/// Repeats what it was given.
struct Parrot;

impl Transcriber for Parrot {
    fn transcribe(
        &self,
        turn: &[f32],
        options: &SttOptions,
        _cancel: &Cancel,
        sink: &mut dyn FnMut(SttDelta<'_>) -> Flow,
    ) -> Result<Transcript, EngineError> {
        match options.prompt.as_str() {
            "fail" => return Err(EngineError::failed("the fake ears fail")),
            "unsupported" => {
                return Err(EngineError::new(
                    EngineErrorKind::Unsupported,
                    "the fake ears know no such language",
                ));
            }
            _ => {}
        }
        let language = options.language.as_deref().unwrap_or("?");
        let pieces = [format!("{} ms", turn.len() / 16), format!(" in {language}")];
        for text in &pieces {
            let _ = sink(SttDelta { text });
        }
        if options.prompt == "fail late" {
            return Err(EngineError::failed("the fake ears fail"));
        }
        Ok(Transcript {
            text: pieces.concat(),
            language: Some("en".into()),
            no_speech: None,
            tokens: vec![TranscriptToken {
                text: "ms".into(),
                logprob: -0.5,
            }],
        })
    }
}

async fn running(change: impl FnOnce(&mut ServerConfig)) -> Running {
    let engines = Engines {
        transcriber: Arc::new(Parrot),
        ..Fakes::new().engines()
    };
    let mut config = ServerConfig::default();
    change(&mut config);
    Running::start(engines, config).await
}

/// A WAV of so many ms of silence, 16 bits, mono.
fn wav(rate: u32, ms: u32) -> Vec<u8> {
    let data = rate * ms / 1000 * 2;
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + data).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend(rate.to_le_bytes());
    wav.extend((rate * 2).to_le_bytes());
    wav.extend(b"\x02\0\x10\0data");
    wav.extend(data.to_le_bytes());
    wav.resize(wav.len() + data as usize, 0);
    wav
}

async fn transcribe(running: &Running, fields: &[(&str, &str)]) -> Reply {
    let fields = [&[("model", "whisper-1")], fields].concat();
    let file = wav(8_000, 1_500);
    Ask::post(TRANSCRIPTIONS)
        .form(&fields, Some(("a.wav", "audio/wav", &file)))
        .send(running.address)
        .await
}

#[tokio::test]
async fn a_recording_becomes_text() {
    let running = running(|_| {}).await;
    let reply = transcribe(&running, &[("language", "en")]).await;
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.json(),
        json!({
            "text": "1500 ms in en",
            "usage": { "type": "duration", "seconds": 2 },
        })
    );
    let reply = transcribe(&running, &[("response_format", "text")]).await;
    assert!(reply.head.contains("text/plain"), "{}", reply.head);
    assert_eq!(reply.body, b"1500 ms in ?\n");
    let reply = transcribe(&running, &[("response_format", "verbose_json")]).await;
    let verbose = reply.json();
    assert_eq!(verbose["task"], "transcribe");
    assert_eq!(verbose["language"], "en");
    assert_eq!(verbose["duration"], 1.5);
    assert_eq!(verbose["text"], "1500 ms in ?");
    let reply = transcribe(&running, &[("include[]", "logprobs")]).await;
    assert_eq!(
        reply.json()["logprobs"],
        json!([{ "token": "ms", "bytes": [109, 115], "logprob": -0.5 }])
    );
}

#[tokio::test]
async fn a_transcript_comes_while_it_is_made() {
    let running = running(|_| {}).await;
    let reply = transcribe(&running, &[("stream", "true")]).await;
    let usage = json!({ "type": "duration", "seconds": 2 });
    assert_eq!(
        reply.json_events(),
        [
            json!({ "type": "transcript.text.delta", "delta": "1500 ms" }),
            json!({ "type": "transcript.text.delta", "delta": " in ?" }),
            json!({ "type": "transcript.text.done", "text": "1500 ms in ?", "usage": usage }),
        ]
    );
    // After the first words there is no status any more.
    let fields = [("stream", "true"), ("prompt", "fail late")];
    let events = transcribe(&running, &fields).await.json_events();
    assert_eq!(events.last().unwrap()["error"]["code"], "server_error");
}

#[tokio::test]
async fn files_are_read_by_their_content_and_raw_ones_by_their_name_or_type() {
    let running = running(|_| {}).await;
    let pcm = vec![0; 48_000];
    let tone = vec![0xff; 8_000];
    for (name, media, bytes) in [
        ("a.mp3", "audio/mpeg", &wav(44_100, 1_000)),
        ("a.pcm", "application/octet-stream", &pcm),
        ("a", "audio/pcm; rate=24000", &pcm),
        ("a.ulaw", "application/octet-stream", &tone),
        ("a.bin", "audio/pcma", &tone),
    ] {
        let reply = Ask::post(TRANSCRIPTIONS)
            .form(&[("model", "m")], Some((name, media, bytes)))
            .send(running.address)
            .await;
        assert_eq!(reply.status, 200, "{name}: {:?}", reply.json());
        assert_eq!(reply.json()["text"], "1000 ms in ?", "{name}");
    }
}

#[tokio::test]
async fn what_cannot_be_transcribed_is_refused_with_its_place() {
    let running = running(|config| config.session.max_buffer_ms = 2_000).await;
    for (fields, status, code, param) in [
        (&[("prompt", "fail")][..], 500, "server_error", None),
        (
            &[("prompt", "unsupported")],
            400,
            "engine_unsupported",
            None,
        ),
        (
            &[("response_format", "srt")],
            400,
            "invalid_value",
            Some("response_format"),
        ),
        (
            &[("stream", "true"), ("response_format", "text")],
            400,
            "invalid_value",
            Some("response_format"),
        ),
        (
            &[("stream", "perhaps")],
            400,
            "invalid_value",
            Some("stream"),
        ),
        (
            &[("temperature", "0.7")],
            400,
            "unsupported_parameter",
            Some("temperature"),
        ),
        (
            &[("timestamp_granularities[]", "word")],
            400,
            "unsupported_parameter",
            Some("timestamp_granularities"),
        ),
        (
            &[("language", "English")],
            400,
            "invalid_value",
            Some("language"),
        ),
        (
            &[("colour", "red")],
            400,
            "unknown_parameter",
            Some("colour"),
        ),
    ] {
        let reply = transcribe(&running, fields).await;
        assert_eq!(reply.refusal(), (status, code.to_owned()), "{fields:?}");
        let place = param.map_or(Value::Null, Value::from);
        assert_eq!(reply.json()["error"]["param"], place, "{fields:?}");
    }
    // Zero says what holds anyway.
    let reply = transcribe(&running, &[("temperature", "0")]).await;
    assert_eq!(reply.status, 200);

    let (long, text) = (wav(8_000, 2_100), b"what is this".to_vec());
    for (file, code) in [
        (Some(&long), "audio_too_long"),
        (Some(&text), "invalid_audio"),
        (Some(&Vec::new()), "invalid_audio"),
        (None, "missing_required_parameter"),
    ] {
        let file = file.map(|bytes| ("a.wav", "audio/wav", bytes.as_slice()));
        let reply = Ask::post(TRANSCRIPTIONS)
            .form(&[("model", "m")], file)
            .send(running.address)
            .await;
        assert_eq!(reply.refusal(), (400, code.to_owned()));
        assert_eq!(reply.json()["error"]["param"], "file", "{code}");
    }
    let reply = Ask::post(TRANSCRIPTIONS)
        .json(&json!({ "model": "m" }))
        .send(running.address)
        .await;
    assert_eq!(reply.refusal(), (400, "invalid_form".to_owned()));
    let huge = vec![0; (25 << 20) + 1];
    let reply = Ask::post(TRANSCRIPTIONS)
        .form(&[("model", "m")], Some(("a.pcm", "audio/pcm", &huge)))
        .send(running.address)
        .await;
    assert_eq!(reply.refusal(), (413, "request_too_large".to_owned()));
}

async fn speak(running: &Running, more: Value) -> Reply {
    let mut request = json!({ "model": "tts-1", "voice": "alloy", "input": "Hello there." });
    for (name, value) in more.as_object().unwrap() {
        request[name] = value.clone();
    }
    Ask::post(SPEECH).json(&request).send(running.address).await
}

#[tokio::test]
async fn text_becomes_speech() {
    let running = running(|_| {}).await;
    let reply = speak(&running, json!({ "response_format": "pcm" })).await;
    assert_eq!(reply.status, 200);
    assert!(
        reply.head.contains("content-type: audio/pcm"),
        "{}",
        reply.head
    );
    assert!(reply.complete);
    let expected = "Hello there.".len() * SAMPLES_PER_BYTE * 2;
    assert_eq!(reply.body.len(), expected);
    assert!(reply.body.iter().any(|byte| *byte != 0));
    let raw = reply.body;

    for more in [json!({}), json!({ "response_format": "wav" })] {
        let reply = speak(&running, more).await;
        assert!(
            reply.head.contains("content-type: audio/wav"),
            "{}",
            reply.head
        );
        assert_eq!(&reply.body[..4], b"RIFF");
        assert_eq!(reply.body[44..], raw);
    }
    // Sentences are spoken one after the other.
    let text = "One sentence. Another one! And a third?";
    let pieces = ["One sentence.", "Another one!", "And a third?"];
    let reply = speak(&running, json!({ "input": text, "response_format": "pcm" })).await;
    let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
    assert_eq!(reply.body.len(), bytes * SAMPLES_PER_BYTE * 2);
    // What is spoken can be heard.
    let reply = speak(&running, json!({ "voice": { "id": "voice_1" } })).await;
    let heard = Ask::post(TRANSCRIPTIONS)
        .form(&[("model", "m")], Some(("a.wav", "audio/wav", &reply.body)))
        .send(running.address)
        .await;
    assert_eq!(heard.json()["text"], "480 ms in ?");
}

#[tokio::test]
async fn what_cannot_be_spoken_is_refused_by_name() {
    let running = running(|_| {}).await;
    for (name, value, code) in [
        ("response_format", json!("mp3"), "invalid_value"),
        ("speed", json!(4.0), "invalid_value"),
        ("input", json!("  "), "invalid_value"),
        ("input", json!("x".repeat(4097)), "invalid_value"),
        ("input", Value::Null, "missing_required_parameter"),
        ("model", Value::Null, "missing_required_parameter"),
        ("voice", Value::Null, "missing_required_parameter"),
        ("instructions", json!("Whisper."), "unsupported_parameter"),
        ("stream_format", json!("sse"), "invalid_value"),
    ] {
        let mut more = json!({});
        more[name] = value;
        let reply = speak(&running, more).await;
        assert_eq!(reply.refusal(), (400, code.to_owned()), "{name}");
        assert_eq!(reply.json()["error"]["param"], name);
    }
    let reply = speak(&running, json!({ "input": "I am mute." })).await;
    assert_eq!(reply.refusal(), (500, "server_error".to_owned()));
    // Audio that has begun is cut off, so that nobody takes it for the whole.
    let reply = speak(&running, json!({ "input": "Hello there. I am mute." })).await;
    assert_eq!(reply.status, 200);
    assert!(!reply.complete);
}

#[tokio::test]
async fn a_listener_who_goes_away_stops_the_voice() {
    let running = running(|_| {}).await;
    let text = "A sentence that takes its time. ".repeat(120);
    let request = json!({ "model": "m", "voice": "v", "input": text });
    let mut connection = Ask::post(SPEECH)
        .json(&request)
        .begin(running.address)
        .await;
    let mut piece = [0; 4096];
    within(connection.read_exact(&mut piece)).await.unwrap();
    drop(connection);
    within(async {
        while running.server.requests() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_listener_who_does_not_read_is_given_up() {
    let running = running(|config| {
        config.patience = std::time::Duration::from_millis(200);
    })
    .await;
    // Minutes of speech: more than any buffer on the way holds.
    let text = "A sentence that takes its time. ".repeat(120);
    let request = json!({ "model": "m", "voice": "v", "input": text });
    let mut connection = Ask::post(SPEECH)
        .json(&request)
        .begin(running.address)
        .await;
    within(async {
        while running.server.requests() == 0 {
            tokio::task::yield_now().await;
        }
        while running.server.requests() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // What is read late shows that it was cut off.
    let mut late = Vec::new();
    let _ = within(connection.read_to_end(&mut late)).await;
    assert!(!late.ends_with(b"0\r\n\r\n"));
}

#[tokio::test]
async fn the_names_this_server_serves_are_listed() {
    let running = running(|config| {
        config.model = "smollm2".to_owned();
        config.models = vec!["whisper/tiny".to_owned(), "smollm2".to_owned()];
    })
    .await;
    let list = Ask::get("/v1/models").send(running.address).await.json();
    assert_eq!(list["object"], "list");
    let names: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["smollm2", "whisper/tiny"]);
    assert_eq!(list["data"][0]["object"], "model");
    assert!(list["data"][0]["created"].is_u64());
    for path in ["/v1/models/whisper/tiny", "/v1/models/whisper%2Ftiny"] {
        let model = Ask::get(path).send(running.address).await.json();
        assert_eq!(model["id"], "whisper/tiny");
        assert_eq!(model["owned_by"], "kaiwa");
    }
    let reply = Ask::get("/v1/models/gpt-5").send(running.address).await;
    assert_eq!(reply.refusal(), (404, "model_not_found".to_owned()));
}
