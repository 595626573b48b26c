//! Golden transcripts of whole turns.

use serde_json::json;

use crate::harness::{Harness, answer};

#[test]
fn a_text_turn_with_a_text_answer() {
    let mut harness = Harness::updated(json!({"type": "realtime", "output_modalities": ["text"]}));
    harness.answers.push_back(answer(&["Hello", " there", "."]));
    harness.say("hi");
    insta::assert_snapshot!(harness.record());
}

#[test]
fn a_text_turn_with_a_spoken_answer() {
    let mut harness = Harness::new();
    harness.answers.push_back(answer(&[
        "Well of",
        " course, I",
        " do. Ask",
        " me more",
        " now!",
    ]));
    harness.say("can you hear me?");
    insta::assert_snapshot!(harness.record());
}

#[test]
fn an_audio_turn_with_server_turn_detection() {
    let mut harness = Harness::updated(json!({"type": "realtime", "audio": {"input": {
        "transcription": {"model": "whisper-1", "language": "en"}}}}));
    harness.transcripts.push_back(Ok("What time is it?"));
    harness.answers.push_back(answer(&["It is", " noon."]));
    harness.audio(640, false);
    harness.audio(960, true);
    harness.audio(640, false);
    insta::assert_snapshot!(harness.record());
}

#[test]
fn a_turn_committed_by_hand() {
    let mut harness = Harness::updated(json!({"type": "realtime", "audio": {"input": {
        "turn_detection": null}}}));
    harness.transcripts.push_back(Ok("What time is it?"));
    harness.client(json!({"type": "input_audio_buffer.clear"}));
    harness.audio(960, true);
    harness.client(json!({"type": "input_audio_buffer.commit"}));
    harness.client(json!({"type": "response.create"}));
    insta::assert_snapshot!(harness.record());
}
