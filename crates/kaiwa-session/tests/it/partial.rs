//! The words of a turn while it is being spoken.

use kaiwa_session::{EngineCommand, Generate, JobId, SessionOptions};
use serde_json::json;

use crate::harness::{Harness, kind_of, test_options};

/// Turns end after 320 ms of silence, and 96 ms of it begin the work; jobs wait to be done.
fn harness() -> Harness {
    let mut harness = Harness::with(SessionOptions {
        ahead_ms: Some(96),
        ..test_options()
    });
    harness.by_hand = true;
    harness
}

/// Kinds of the jobs that nobody has answered.
fn waiting(harness: &Harness) -> Vec<&str> {
    let jobs = harness.jobs.iter();
    jobs.map(|(_, command)| kind_of(command)).collect()
}

/// Milliseconds of the turn that is to be transcribed, and whose job it is.
fn asked(harness: &Harness) -> Option<(JobId, usize)> {
    harness
        .jobs
        .iter()
        .find_map(|(job, command)| match command {
            EngineCommand::Transcribe { audio, .. } => Some((*job, audio.len() / 16)),
            _ => None,
        })
}

/// What the language model is given to read ahead, the last message.
fn read(harness: &Harness) -> Option<&str> {
    harness
        .jobs
        .iter()
        .rev()
        .find_map(|(_, command)| match command {
            EngineCommand::Prime(Generate { messages, .. }) => messages.last(),
            _ => None,
        })
        .map(|message| message.text.as_str())
}

#[test]
fn the_language_model_reads_the_words_of_a_turn_that_goes_on() {
    let mut harness = harness();
    harness.audio(480, true);
    harness.work("prime");
    let before = harness.events.len();
    harness.audio(576, true);
    let (_, ms) = asked(&harness).expect("the words are asked for");
    assert!((1_000..1_064).contains(&ms), "{ms}");
    harness.transcripts.push_back(Ok("Good morning, can you."));
    harness.work("transcribe");
    // The last word may have been cut.
    assert_eq!(read(&harness), Some("Good morning, can"));
    assert_eq!(harness.kinds(before), Vec::<&str>::new());
    assert_eq!(harness.session.ahead_counts().partials, 1);
}

#[test]
fn the_words_are_asked_for_again_when_as_much_was_said_again() {
    let mut harness = harness();
    let mut lengths = Vec::new();
    for _ in 0..300 {
        harness.audio(32, true);
        while !harness.jobs.is_empty() {
            if let Some((_, ms)) = asked(&harness) {
                lengths.push(ms);
            }
            let kind = waiting(&harness)[0].to_owned();
            harness.transcripts.push_back(Ok("Good morning, can you."));
            harness.work(&kind);
        }
    }
    let steps: Vec<_> = lengths.windows(2).map(|two| two[1] - two[0]).collect();
    assert!((900..1_064).contains(&steps[0]), "{lengths:?}");
    // A long turn is not transcribed more often than in proportion to its length.
    let (last, step) = (lengths[lengths.len() - 2], steps[steps.len() - 1]);
    assert!(step >= last / 4, "{lengths:?}");
    assert!(lengths.len() > 5, "{lengths:?}");
}

#[test]
fn a_pause_needs_the_ears_for_all_of_the_turn() {
    let mut harness = harness();
    harness.audio(480, true);
    harness.work("prime");
    harness.audio(640, true);
    let (partial, _) = asked(&harness).expect("the words are asked for");
    harness.audio(160, false);
    assert!(harness.cancelled.contains(&partial));
    let kinds = waiting(&harness);
    assert_eq!(
        kinds.iter().filter(|kind| **kind == "transcribe").count(),
        1
    );
    // What is heard of a pause is not partial, and is answered.
    harness.transcripts.push_back(Ok("Good morning."));
    harness.work("transcribe");
    assert!(waiting(&harness).contains(&"generate"));
}

#[test]
fn words_that_come_after_the_turn_are_not_read() {
    let mut harness = harness();
    harness.audio(480, true);
    harness.work("prime");
    harness.audio(640, true);
    let (partial, _) = asked(&harness).expect("the words are asked for");
    harness.client(json!({"type": "input_audio_buffer.clear"}));
    assert!(harness.cancelled.contains(&partial));
    harness.engine(
        partial,
        kaiwa_session::EngineEvent::Failed {
            code: "late".to_owned(),
            message: "Too late.".to_owned(),
        },
    );
    assert_eq!(waiting(&harness), Vec::<&str>::new());
}

#[test]
fn nothing_is_asked_of_engines_that_others_need_or_for_nobody() {
    let mut busy = harness();
    busy.allow_ahead(false);
    let mut without = Harness::new();
    without.by_hand = true;
    let mut silent = harness();
    silent.client(
        json!({"type": "session.update", "session": {"type": "realtime",
        "audio": {"input": {"turn_detection": {"type": "server_vad",
            "silence_duration_ms": 320, "create_response": false}}}}}),
    );
    for (what, mut harness) in [("busy", busy), ("without", without), ("silent", silent)] {
        harness.audio(2_080, true);
        assert_eq!(asked(&harness), None, "{what}");
        assert_eq!(harness.session.ahead_counts().partials, 0, "{what}");
    }
}

#[test]
fn a_transcript_that_fails_is_asked_for_again_later() {
    let mut harness = harness();
    harness.audio(480, true);
    harness.work("prime");
    harness.audio(576, true);
    let before = harness.events.len();
    harness.transcripts.push_back(Err("the ears are tired"));
    harness.work("transcribe");
    assert_eq!(read(&harness), None);
    harness.audio(1_056, true);
    assert!(asked(&harness).is_some_and(|(_, ms)| ms > 2_000));
    assert_eq!(harness.kinds(before), Vec::<&str>::new());
}
