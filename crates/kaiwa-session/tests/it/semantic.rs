//! Turns that are over when they sound and read so.

use kaiwa_session::{EngineEvent, SessionOptions};
use serde_json::json;

use crate::harness::{Harness, failed, kind_of, test_options};

fn harness(eagerness: &str) -> Harness {
    let mut harness = Harness::with(SessionOptions {
        ahead_ms: Some(96),
        ..test_options()
    });
    harness.client(
        json!({"type": "session.update", "session": {"type": "realtime",
        "audio": {"input": {"turn_detection": {"type": "semantic_vad",
            "eagerness": eagerness}}}}}),
    );
    harness
}

/// The silence, to 32 ms, after which a turn of these words and this judgement is over.
fn waited(eagerness: &str, words: &'static str, verdict: f32) -> u64 {
    let mut harness = harness(eagerness);
    harness.transcripts.push_back(Ok(words));
    harness.verdicts.push_back(verdict);
    harness.audio(480, true);
    let spoken = harness.now;
    while harness.sent("input_audio_buffer.speech_stopped").is_empty() {
        harness.audio(32, false);
        assert!(harness.now < spoken + 5000, "the turn never ends");
    }
    // The resampler holds a frame back.
    harness.now - spoken - 32
}

#[test]
fn a_finished_sentence_ends_its_turn_sooner_than_an_unfinished_one() {
    for (eagerness, words, verdict, ms) in [
        ("auto", "What time is it?", 0.9, 480),
        ("medium", "What time is it?", 0.9, 480),
        ("high", "What time is it?", 0.9, 320),
        ("low", "What time is it?", 0.9, 800),
        ("auto", "What time is it?", 0.1, 1024),
        ("auto", "I would like tea and", 0.9, 1600),
        ("auto", "My number is four one five", 0.9, 1600),
    ] {
        let waited = waited(eagerness, words, verdict);
        assert_eq!(waited, ms, "{eagerness}: {words} {verdict}");
    }
}

#[test]
fn nothing_is_decided_before_the_judge_has_spoken() {
    let mut harness = harness("auto");
    harness.by_hand = true;
    harness.audio(480, true);
    harness.audio(704, false);
    assert!(harness.sent("input_audio_buffer.speech_stopped").is_empty());
    harness.transcripts.push_back(Ok("What time is it?"));
    harness.work("transcribe");
    harness.audio(32, false);
    assert!(harness.sent("input_audio_buffer.speech_stopped").is_empty());
    // There was silence enough, and the turn ends where there was: after 480 ms of 736.
    harness.work("judge");
    let stopped = harness.last("input_audio_buffer.speech_stopped");
    assert_eq!(stopped["audio_end_ms"], 960);
}

#[test]
fn each_pause_is_judged_anew_and_late_judgements_of_others_do_not_count() {
    let mut harness = harness("auto");
    harness.by_hand = true;
    harness.audio(480, true);
    harness.audio(224, false);
    let first = harness.job("judge");
    harness.audio(160, true);
    assert!(harness.cancelled.contains(&first));
    harness.audio(224, false);
    let second = harness.job("judge");
    assert_ne!(first, second);
    harness.engine(first, EngineEvent::TurnJudged { probability: 1.0 });
    harness.transcripts.push_back(Ok("What time is it?"));
    harness.work("transcribe");
    harness.audio(480, false);
    assert!(harness.sent("input_audio_buffer.speech_stopped").is_empty());
}

#[test]
fn a_judge_that_fails_leaves_it_to_the_words() {
    let mut harness = harness("auto");
    harness.by_hand = true;
    harness.audio(480, true);
    harness.audio(224, false);
    harness.engine(harness.job("judge"), failed("no model"));
    harness.transcripts.push_back(Ok("What time is it?"));
    harness.work("transcribe");
    harness.audio(384, false);
    assert_eq!(harness.sent("input_audio_buffer.speech_stopped").len(), 1);
    assert!(harness.sent("error").is_empty());
}

#[test]
fn the_judge_hears_the_last_eight_seconds() {
    let mut harness = harness("auto");
    harness.by_hand = true;
    harness.audio(9600, true);
    harness.audio(224, false);
    let jobs = harness.jobs.iter();
    let judged: Vec<_> = jobs
        .filter_map(|(_, command)| match command {
            kaiwa_session::EngineCommand::JudgeTurn { audio } => Some(audio.len()),
            _ => None,
        })
        .collect();
    assert_eq!(judged, [8 * 16_000]);
}

#[test]
fn server_vad_asks_no_judge() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.audio(480, true);
    harness.audio(384, false);
    assert!(harness.jobs.iter().all(|(_, c)| kind_of(c) != "judge"));
}
