//! The user speaks while an answer is being given.

use serde_json::json;

use crate::harness::{Harness, answer, speech, transcript};

/// A session in the middle of an answer: the first clause was sent, the second is being
/// spoken, the model is still writing.
fn answering() -> Harness {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.say("tell me a story");
    let writing = harness.job("generate");
    for piece in ["Once upon a time,", " there was a cat.", " It liked"] {
        harness.engine(
            writing,
            kaiwa_session::EngineEvent::Text {
                text: piece.to_owned(),
            },
        );
    }
    harness.work("speak");
    harness
}

#[test]
fn speech_cuts_the_answer_off_and_takes_the_turn() {
    let mut harness = answering();
    harness.forget();
    harness.audio(480, true);
    harness.client(
        json!({"type": "conversation.item.truncate", "item_id": harness.last(
        "response.output_item.done")["item"]["id"], "content_index": 0, "audio_end_ms": 700}),
    );
    harness.audio(352, false);
    harness.transcripts.push_back(Ok("A dog, please."));
    harness.work("transcribe");
    insta::assert_snapshot!(harness.record());
}

#[test]
fn without_interruption_the_answer_goes_on_and_the_turn_is_kept() {
    let mut harness = Harness::updated(json!({"type": "realtime", "audio": {"input": {
        "turn_detection": {"type": "server_vad", "interrupt_response": false,
            "silence_duration_ms": 320}}}}));
    harness.by_hand = true;
    harness.say("tell me a story");
    harness.audio(480, true);
    harness.audio(352, false);
    assert!(harness.sent("response.done").is_empty());
    let error = &harness.last("error")["error"];
    assert_eq!(error["code"], "conversation_already_has_active_response");
    assert!(error["event_id"].is_null());
    assert_eq!(harness.sent("input_audio_buffer.committed").len(), 1);
}

#[test]
fn an_answer_that_waits_for_its_transcript_is_cut_off_too() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.audio(480, true);
    harness.audio(352, false);
    assert_eq!(harness.sent("response.created").len(), 1);
    harness.audio(160, true);
    let done = &harness.last("response.done")["response"];
    assert_eq!(done["status"], "cancelled");
    assert_eq!(done["status_details"]["reason"], "turn_detected");
    assert_eq!(done["output"], json!([]));
    // The transcript of the first turn is context of the next answer.
    harness.work("transcribe");
    harness.audio(352, false);
    harness.work("transcribe");
    assert_eq!(harness.sent("response.created").len(), 2);
}

#[test]
fn late_results_of_a_cut_off_answer_change_nothing() {
    let mut harness = answering();
    let (writing, speaking) = (harness.job("generate"), harness.job("speak"));
    harness.audio(160, true);
    assert!(harness.cancelled.contains(&writing));
    assert!(harness.cancelled.contains(&speaking));
    let sent = harness.events.len();
    for event in answer(&["late"]) {
        harness.engine(writing, event);
    }
    for event in speech("late words") {
        harness.engine(speaking, event);
    }
    harness.engine(speaking, transcript("late"));
    assert_eq!(harness.kinds(sent), Vec::<&str>::new());
}

#[test]
fn the_model_is_told_no_more_than_could_have_been_played() {
    let mut harness = answering();
    // The first clause (4 words of 300 ms) left at once, but only 700 ms have passed.
    harness.wait(572);
    harness.audio(128, true);
    harness.audio(352, false);
    harness.transcripts.push_back(Ok("Stop."));
    harness.work("transcribe");
    let (_, command) = harness.jobs.back().expect("the next answer is written");
    assert_eq!(
        harness.prompt(command),
        [
            "System: Be brief.",
            "User: tell me a story",
            "Assistant: Once upon",
            "User: Stop."
        ]
    );
}

#[test]
fn the_tail_of_a_message_before_a_call_is_not_heard_either() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.say("look it up");
    let writing = harness.job("generate");
    for event in [
        kaiwa_session::EngineEvent::Text {
            text: "Let me have a look.".to_owned(),
        },
        kaiwa_session::EngineEvent::CallStart {
            call_id: "call_a".to_owned(),
            name: "look".to_owned(),
        },
    ] {
        harness.engine(writing, event);
    }
    // The message is sent whole, 5 words of 300 ms, and 700 ms later the user speaks.
    harness.work("speak");
    assert_eq!(harness.sent("response.output_audio.done").len(), 1);
    harness.wait(572);
    harness.audio(128, true);
    harness.audio(352, false);
    harness.transcripts.push_back(Ok("Stop."));
    harness.work("transcribe");
    let (_, command) = harness.jobs.back().expect("the next answer is written");
    assert_eq!(harness.prompt(command)[2], "Assistant: Let me");
}

/// Two messages with a call between, and so much time until the user speaks; what the model
/// is told it said.
fn heard_of_two_messages(ms: u64) -> Vec<String> {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.say("two things");
    let writing = harness.job("generate");
    let text = |text: &str| kaiwa_session::EngineEvent::Text {
        text: text.to_owned(),
    };
    let call = kaiwa_session::EngineEvent::CallStart {
        call_id: "call_a".to_owned(),
        name: "look".to_owned(),
    };
    for event in [text("One and two."), call, text("Three and four. Then")] {
        harness.engine(writing, event);
    }
    harness.work("speak");
    harness.work("speak");
    harness.wait(ms - 128);
    harness.audio(128, true);
    harness.audio(352, false);
    harness.transcripts.push_back(Ok("Stop."));
    harness.work("transcribe");
    let (_, command) = harness.jobs.back().expect("the next answer is written");
    let prompt = harness.prompt(command).into_iter();
    prompt
        .filter(|line| line.starts_with("Assistant"))
        .collect()
}

#[test]
fn a_second_message_is_heard_after_the_first() {
    // 900 ms of the first and then two words of the second.
    assert_eq!(
        heard_of_two_messages(1600),
        ["Assistant: One and two.", "Assistant: Three and"]
    );
    assert_eq!(heard_of_two_messages(700), ["Assistant: One and"]);
}
