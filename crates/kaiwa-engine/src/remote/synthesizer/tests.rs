use std::ops::ControlFlow;

use kaiwa_audio::pcm;
use serde_json::{Value, json};

use super::*;
use crate::remote::testing::{MANY, Peer, Step, answer, end, limits, network, ok, open};

fn synthesizer(peer: &Peer, options: SynthesizerOptions) -> RemoteSynthesizer {
    RemoteSynthesizer::new(peer.endpoint("kokoro"), options, limits(), &network())
        .expect("an engine")
}

fn voice(name: &str, speed: f32) -> VoiceSpec {
    VoiceSpec {
        name: name.into(),
        speed,
    }
}

/// Samples, and how it ended.
fn speak(engine: &RemoteSynthesizer, text: &str) -> (Vec<f32>, Result<(), EngineError>) {
    let mut heard = Vec::new();
    let result = engine.speak(text, &voice("alloy", 1.0), &Cancel::new(), &mut |speech| {
        assert!(speech.words.is_empty());
        heard.extend_from_slice(speech.pcm);
        ControlFlow::Continue(())
    });
    (heard, result)
}

fn bytes(samples: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    pcm::encode(samples, &mut bytes);
    bytes
}

#[test]
fn speech_is_heard_while_it_is_made() {
    let samples: Vec<f32> = (1..=64).map(|n| n as f32 / 128.0).collect();
    let sound = bytes(&samples);
    let (one, two) = sound.split_at(33);
    let peer = Peer::start(vec![
        open("audio/pcm", &[one, two], end()),
        ok("application/octet-stream", &sound),
    ]);
    let engine = synthesizer(&peer, SynthesizerOptions::default());
    for _ in 0..2 {
        let (heard, result) = speak(&engine, "Good day.");
        assert_eq!(heard, samples);
        result.expect("speech");
    }
    let request = peer.request();
    assert!(
        request.head.starts_with("POST /v1/audio/speech "),
        "{}",
        request.head
    );
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    assert_eq!(
        body,
        json!({
            "model": "kokoro", "input": "Good day.", "voice": "alloy", "response_format": "pcm",
        })
    );
}

#[test]
fn connections_are_used_again() {
    let peer = Peer::start(
        (0..MANY)
            .map(|_| ok("audio/pcm", bytes(&[0.5; 8])))
            .collect(),
    );
    let engine = synthesizer(&peer, SynthesizerOptions::default());
    peer.reuses_a_connection(|| speak(&engine, "Good day.").1.expect("speech"));
}

#[test]
fn voices_have_the_servers_names() {
    let sound = || ok("audio/pcm", bytes(&[0.5; 8]));
    let peer = Peer::start(vec![sound(), sound(), sound()]);
    let options = SynthesizerOptions {
        format: SpeechFormat::Wav,
        voice: Some("af_sky".into()),
        voices: vec![("alloy".into(), "am_adam".into())],
        ..SynthesizerOptions::default()
    };
    let engine = synthesizer(&peer, options);
    assert_eq!(engine.voices(), ["af_sky", "alloy"]);
    for (name, speed, expected) in [
        ("alloy", 1.0, json!({ "voice": "am_adam" })),
        ("marin", 1.25, json!({ "voice": "af_sky", "speed": 1.25 })),
    ] {
        let sink = &mut |_: Speech<'_>| ControlFlow::Continue(());
        engine
            .speak("Hello", &voice(name, speed), &Cancel::new(), sink)
            .expect("speech");
        let body: Value = serde_json::from_slice(&peer.request().body).expect("JSON");
        assert_eq!(body["response_format"], "wav");
        assert_eq!(body["voice"], expected["voice"]);
        assert_eq!(body["speed"], expected["speed"]);
    }
}

#[test]
fn text_without_a_word_is_not_sent() {
    let peer = Peer::start(vec![]);
    let engine = synthesizer(&peer, SynthesizerOptions::default());
    for text in ["", "...", "😀", " —\n"] {
        let (heard, result) = speak(&engine, text);
        result.expect("nothing to say");
        assert!(heard.is_empty());
    }
    assert_eq!(peer.connections(), 0);
}

#[test]
fn what_is_no_sound_is_one_sentence() {
    let floats = [&b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x03\0\x01\0"[..], &[0; 40]].concat();
    for (play, part) in [
        (ok("audio/mpeg", "ID3"), "audio/mpeg instead of PCM or WAV"),
        (ok("text/html", "<p>"), "text/html instead"),
        (
            ok("application/json", r#"{"error":{"message":"no voice"}}"#),
            "no voice",
        ),
        (ok("audio/wav", floats), "another kind than 16-bit PCM"),
        (ok("audio/pcm", ""), "sends no sound"),
        (ok("audio/pcm", [0; 4000]), "sends no sound"),
        (
            answer(400, "", r#"{"detail":"no such voice"}"#),
            "no such voice",
        ),
    ] {
        let peer = Peer::start(vec![play]);
        let engine = synthesizer(&peer, SynthesizerOptions::default());
        let (heard, result) = speak(&engine, "Hello");
        let error = result.expect_err(part);
        assert!(heard.is_empty());
        assert!(error.message().contains(part), "{error}");
        assert!(
            error.message().starts_with("text to speech at 127.0.0.1:"),
            "{error}"
        );
    }
}

#[test]
fn speech_that_breaks_off_was_heard_so_far() {
    let peer = Peer::start(vec![open("audio/pcm", &[&bytes(&[0.5; 100])], Step::Close)]);
    let engine = synthesizer(&peer, SynthesizerOptions::default());
    let (heard, result) = speak(&engine, "Hello");
    assert_eq!(heard, [0.5; 100]);
    assert!(result.expect_err("half").message().contains("broke off"));
}

#[test]
fn cancelling_and_a_sink_that_wants_no_more_hang_up() {
    let sound = bytes(&[0.5; 100]);
    let play = || open("audio/pcm", &[sound.as_slice()], Step::Hang);
    let peer = Peer::start(vec![play(), play()]);
    let engine = synthesizer(&peer, SynthesizerOptions::default());
    let cancel = Cancel::new();
    engine
        .speak("Hello", &voice("alloy", 1.0), &cancel, &mut |_| {
            cancel.cancel();
            ControlFlow::Continue(())
        })
        .expect("no error");
    peer.hung_up();
    engine
        .speak("Hello", &voice("alloy", 1.0), &Cancel::new(), &mut |_| {
            ControlFlow::Break(())
        })
        .expect("no error");
    peer.hung_up();
}

#[test]
fn a_sink_may_wait_for_its_listener() {
    let peer = Peer::start(vec![ok("audio/pcm", bytes(&[0.5; 8]))]);
    let engine = synthesizer(&peer, SynthesizerOptions::default());
    let (listener, mut heard) = tokio::sync::mpsc::channel(4);
    engine
        .speak("Hello", &voice("alloy", 1.0), &Cancel::new(), &mut |_| {
            listener.blocking_send(()).expect("a listener");
            ControlFlow::Continue(())
        })
        .expect("speech");
    assert_eq!(heard.try_recv(), Ok(()));
}

#[test]
fn rates_that_are_none_are_refused() {
    let peer = Peer::start(vec![]);
    for rate_hz in [0, 7999, 1_000_000] {
        let options = SynthesizerOptions {
            rate_hz,
            ..SynthesizerOptions::default()
        };
        let engine = RemoteSynthesizer::new(peer.endpoint("m"), options, limits(), &network());
        assert!(engine.is_err(), "{rate_hz}");
    }
}
