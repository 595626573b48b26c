//! A journal is gone through again with the same outcome.

use kaiwa_session::{
    EngineEvent, SessionOptions,
    journal::{Difference, Line, Replay, Replayed},
};
use serde_json::json;

use crate::harness::{Harness, answer, test_options};

/// A conversation with everything in it that is decided by time or thrown away: work ahead
/// that is used and work ahead that is not, an interruption, an error, a tool that fails.
fn conversation() -> Vec<String> {
    let options = SessionOptions {
        ahead_ms: Some(96),
        ..test_options()
    };
    let mut harness = Harness::with(options);
    harness.client(
        json!({"type": "session.update", "session": {"type": "realtime",
        "tools": [{"type": "mcp", "server_label": "a", "server_url": "https://a.test",
            "authorization": "secret", "require_approval": "never"}],
        "audio": {"input": {"transcription": {"model": "whisper-1"}, "turn_detection":
            {"type": "server_vad", "silence_duration_ms": 320, "idle_timeout_ms": 5000}}}}}),
    );
    // Of a pause, of the turn going on, and of all of it.
    harness
        .transcripts
        .extend([Ok("Tell me"), Ok("Tell me a"), Ok("Tell me a story.")]);
    for (speech, silence) in [(480, 160), (480, 384)] {
        let story = answer(&["Once upon a time,", " there was a cat.", " It slept."]);
        harness.answers.push_back(story);
        harness.audio(speech, true);
        harness.audio(silence, false);
    }
    let item = harness.last("response.output_item.done")["item"]["id"].clone();
    harness.allow_ahead(false);
    harness.by_hand = true;
    harness.say("And then?");
    let writing = harness.job("generate");
    harness.engine(
        writing,
        EngineEvent::Text {
            text: "It woke up. And".to_owned(),
        },
    );
    harness.audio(480, true);
    harness.client(
        json!({"type": "conversation.item.truncate", "item_id": item,
        "content_index": 0, "audio_end_ms": 700}),
    );
    harness.frame("{\"type\":");
    harness.by_hand = false;
    harness.audio(384, false);
    harness.wait(10_000);
    harness.journal()
}

/// Goes through a journal with a fresh session.
pub(crate) fn replay(lines: &[String]) -> Result<Replayed, Difference> {
    let line = |line: &String| serde_json::from_str(line).expect(line);
    let mut lines = lines.iter().map(line);
    let Some(Line::Head(head)) = lines.next() else {
        panic!("a journal begins with its head");
    };
    let mut replay = Replay::new(*head)?;
    lines.try_for_each(|line| replay.take(line))?;
    Ok(replay.finish())
}

fn count(lines: &[String], kinds: &[&str]) -> usize {
    let is_of = |line: &&String| {
        kinds
            .iter()
            .any(|kind| line.starts_with(&format!("{{\"{kind}\"")))
    };
    lines.iter().filter(is_of).count()
}

#[test]
fn a_replay_gives_the_same_events() {
    let lines = conversation();
    let replayed = replay(&lines).expect("no difference");
    assert_eq!(replayed.events, count(&lines, &["send"]));
    assert_eq!(replayed.jobs, count(&lines, &["run", "cancel"]));
    let inputs = [
        "start",
        "client",
        "audio",
        "malformed",
        "voice",
        "engine",
        "timeout",
    ];
    assert_eq!(replayed.inputs, count(&lines, &inputs));
    assert!(!replayed.complete, "the session was not ended");
    let all = lines.join("\n");
    for part in [
        "\"ahead\":{",
        "\"cancel\":{",
        "\"malformed\":{",
        "\"timeout\":{",
        "turn_detected",
        "conversation.item.truncated",
        "\"pcm\":",
    ] {
        assert!(all.contains(part), "{part}");
    }
    assert!(!all.contains("secret"));
}

#[test]
fn what_is_not_as_it_was_is_found() {
    let lines = conversation();
    let changed = |find: &str, from: &str, to: &str| {
        let mut lines = lines.clone();
        let at = lines
            .iter()
            .position(|line| line.contains(find))
            .expect(find);
        lines[at] = lines[at].replace(from, to);
        (at + 1, replay(&lines).expect_err("a difference"))
    };
    // Another output.
    let (line, difference) = changed("audio_transcript.delta", "Once", "Twice");
    assert_eq!(difference.line, line);
    assert!(
        difference.what.contains("Twice") && difference.what.contains("Once"),
        "{difference}"
    );
    // Another input.
    let (line, difference) = changed(
        "{\"transcript\":{\"text\":\"Tell me a story",
        "story",
        "tale",
    );
    assert!(difference.line > line, "{difference}");
    // A line that is missing.
    let mut shorter = lines.clone();
    let at = lines
        .iter()
        .position(|line| line.contains("speech_started"));
    shorter.remove(at.expect("speech"));
    let difference = replay(&shorter).expect_err("a difference");
    assert!(difference.what.contains("speech_started"), "{difference}");
    // A journal that stops.
    assert_eq!(
        replay(&lines[..lines.len() / 2]).map(|done| done.complete),
        Ok(false)
    );
}
