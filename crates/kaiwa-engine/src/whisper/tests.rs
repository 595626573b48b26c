//! Tests with the real model, skipped where it (or the recorded speech) is missing.

use std::{fs, path::PathBuf};

use kaiwa_audio::Clip;

use super::{Whisper, weights::tests::tiny_file};
use crate::{Cancel, ComputeBudget, EngineErrorKind, Flow, SttOptions, Transcriber, Transcript};

fn model(name: &str) -> Option<Whisper> {
    let dir = std::env::var_os("KAIWA_MODELS_DIR").map(|dir| PathBuf::from(dir).join(name));
    let Some(dir) = dir.filter(|dir| dir.is_dir()) else {
        println!("skipped: no models");
        return None;
    };
    Some(Whisper::load(&dir, ComputeBudget::new(None)).unwrap())
}

/// A recording in 16 000 Hz.
fn speech(path: &str) -> Option<Vec<f32>> {
    let dir = std::env::var_os("KAIWA_SPEECH_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/speech"),
        PathBuf::from,
    );
    if !dir.is_dir() {
        println!("skipped: no speech data");
        return None;
    }
    Some(
        Clip::open(dir.join(path))
            .unwrap()
            .resampled(16_000)
            .samples,
    )
}

/// Transcribes and checks that the deltas are the text.
fn transcribe(whisper: &Whisper, audio: &[f32], options: &SttOptions) -> Transcript {
    let mut text = String::new();
    let transcript = whisper
        .transcribe(audio, options, &Cancel::new(), &mut |delta| {
            text.push_str(delta.text);
            Flow::Continue(())
        })
        .unwrap();
    assert_eq!(transcript.text, text);
    transcript
}

fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !c.is_alphanumeric() && c != '\'')
        .filter(|word| !word.is_empty())
        .map(Into::into)
        .collect()
}

#[test]
fn a_folder_without_a_whole_model_is_refused_by_file_name() {
    let dir = tempfile::tempdir().unwrap();
    let load = || {
        Whisper::load(dir.path(), ComputeBudget::new(None))
            .err()
            .unwrap()
    };
    let missing = load();
    assert_eq!(missing.kind(), EngineErrorKind::Model);
    assert!(missing.message().contains("model.bin"), "{missing}");
    fs::write(dir.path().join("model.bin"), tiny_file()).unwrap();
    let other = load();
    assert_eq!(other.kind(), EngineErrorKind::Model);
    assert!(other.message().contains("encoder/conv1/weight"), "{other}");
}

#[test]
fn speech_becomes_its_words() {
    let Some(whisper) = model("whisper-tiny.en") else {
        return;
    };
    let Some(audio) = speech("en_librispeech/testing_routine.wav") else {
        return;
    };
    let transcript = transcribe(&whisper, &audio, &SttOptions::default());
    assert_eq!(
        words(&transcript.text),
        words("This isn't part of your testing routine, is it?")
    );
    assert_eq!(transcript.language.as_deref(), Some("en"));
    assert!(transcript.no_speech.unwrap() < 0.5);
    assert!(transcript.tokens.iter().all(|token| token.logprob <= 0.0));
}

#[test]
fn a_prompt_names_what_may_be_said() {
    let Some(whisper) = model("whisper-tiny.en") else {
        return;
    };
    let Some(audio) = speech("en_disfluent_mfa/mfa_erpause.flac") else {
        return;
    };
    let options = SttOptions {
        language: Some("en".into()),
        prompt: "Montreal Forced Aligner, MFA.".into(),
    };
    let plain = transcribe(&whisper, &audio, &SttOptions::default()).text;
    let prompted = transcribe(&whisper, &audio, &options).text;
    assert!(!plain.contains("Forced Aligner"), "{plain}");
    assert!(prompted.contains("Forced Aligner"), "{prompted}");
}

#[test]
fn speech_longer_than_the_encoder_takes_is_whole() {
    let Some(whisper) = model("whisper-tiny.en") else {
        return;
    };
    let Some(audio) = speech("en_single_clips/two_cities_16k.flac") else {
        return;
    };
    assert!(audio.len() > 30 * 16_000);
    let text = words(&transcribe(&whisper, &audio, &SttOptions::default()).text).join(" ");
    assert!(text.starts_with("it was the best of times it was the worst of times"));
    assert!(text.contains("it was the spring of hope it was the winter of despair"));
    assert!(
        text.ends_with("in the superlative degree of comparison only"),
        "{text}"
    );
}

#[test]
fn the_language_is_detected() {
    let Some(whisper) = model("whisper-base") else {
        return;
    };
    for (clip, language, part) in [
        ("ja_read_misc/julius_kyou_wa_ii_tenki.wav", "ja", "いい天気"),
        (
            "de_kerstin/de_rhasspy-0014.flac",
            "de",
            "Kommission noch keine Ergebnisse",
        ),
        (
            "en_librispeech/testing_routine.wav",
            "en",
            "testing routine",
        ),
    ] {
        let Some(audio) = speech(clip) else {
            return;
        };
        let transcript = transcribe(&whisper, &audio, &SttOptions::default());
        assert_eq!(transcript.language.as_deref(), Some(language), "{clip}");
        assert!(transcript.text.contains(part), "{}", transcript.text);
    }
}

#[test]
fn nothing_comes_of_silence_and_noise() {
    let Some(whisper) = model("whisper-tiny.en") else {
        return;
    };
    let mut state = 1_u32;
    let noise: Vec<f32> = (0..32_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * 0.003
        })
        .collect();
    for audio in [Vec::new(), vec![0.0; 100], vec![0.0; 32_000], noise] {
        let transcript = transcribe(&whisper, &audio, &SttOptions::default());
        assert_eq!(transcript.text, "", "{} samples", audio.len());
    }
    for clip in [
        "noise2.flac",
        "noise3.flac",
        "noise4.flac",
        "noise5.flac",
        "rir1.wav",
    ] {
        let Some(audio) = speech(&format!("noise_rir/{clip}")) else {
            return;
        };
        let transcript = transcribe(&whisper, &audio, &SttOptions::default());
        assert_eq!(transcript.text, "", "{clip}");
    }
}

#[test]
fn a_cancelled_transcription_and_a_closed_sink_end_early() {
    let Some(whisper) = model("whisper-tiny.en") else {
        return;
    };
    let Some(audio) = speech("en_librispeech/testing_routine.wav") else {
        return;
    };
    let options = SttOptions::default();
    let cancel = Cancel::new();
    cancel.cancel();
    let mut calls = 0;
    let cancelled = whisper
        .transcribe(&audio, &options, &cancel, &mut |_| {
            calls += 1;
            Flow::Continue(())
        })
        .unwrap();
    assert_eq!((cancelled.text.as_str(), calls), ("", 0));
    let stopped = whisper
        .transcribe(&audio, &options, &Cancel::new(), &mut |_| {
            calls += 1;
            Flow::Break(())
        })
        .unwrap();
    assert_eq!(calls, 1);
    assert_eq!(words(&stopped.text).len(), 1, "{}", stopped.text);
}

#[test]
fn what_cannot_be_transcribed_is_said() {
    let Some(whisper) = model("whisper-tiny.en") else {
        return;
    };
    let run = |audio: &[f32], language: &str| {
        let options = SttOptions {
            language: Some(language.into()),
            prompt: String::new(),
        };
        let sink = &mut |_: crate::SttDelta<'_>| Flow::Continue(());
        whisper.transcribe(audio, &options, &Cancel::new(), sink)
    };
    assert_eq!(
        run(&[0.0; 1600], "de").err().unwrap().kind(),
        EngineErrorKind::Unsupported
    );
    assert_eq!(
        run(&[f32::NAN; 1600], "en").err().unwrap().kind(),
        EngineErrorKind::InvalidInput
    );
    assert!(run(&[0.0; 1600], "en-US").is_ok());
}
