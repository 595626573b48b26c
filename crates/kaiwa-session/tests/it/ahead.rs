//! Work on a turn before it is known to be over.

use kaiwa_session::{AheadCounts, EngineCommand, EngineEvent, SessionOptions};
use serde_json::json;

use crate::harness::{Harness, answer, failed, generated, kind_of, test_options};

/// Turns end after 320 ms of silence, and 96 ms of it begin the work.
fn options() -> SessionOptions {
    SessionOptions {
        ahead_ms: Some(96),
        ..test_options()
    }
}

fn harness() -> Harness {
    Harness::with(options())
}

fn counts(harness: &Harness) -> [u64; 4] {
    let AheadCounts {
        transcripts,
        transcripts_dropped,
        responses,
        responses_dropped,
        ..
    } = harness.session.ahead_counts();
    [
        transcripts,
        transcripts_dropped,
        responses,
        responses_dropped,
    ]
}

/// Kinds of the jobs that nobody has answered.
fn waiting(harness: &Harness) -> Vec<&str> {
    let jobs = harness.jobs.iter();
    jobs.map(|(_, command)| kind_of(command)).collect()
}

/// Somebody speaks and pauses, and the words are known: an answer is begun ahead.
fn pause_after(harness: &mut Harness, words: &'static str) {
    harness.by_hand = true;
    harness.audio(480, true);
    harness.audio(160, false);
    harness.transcripts.push_back(Ok(words));
    harness.work("transcribe");
}

#[test]
fn an_answer_made_in_the_silence_is_sent_when_it_is_over() {
    let mut harness = harness();
    harness.transcripts.push_back(Ok("Hello."));
    harness
        .answers
        .push_back(answer(&["Hi there.", " How are you?"]));
    harness.audio(480, true);
    harness.forget();
    harness.audio(384, false);
    insta::assert_snapshot!(harness.record());
    assert_eq!(counts(&harness), [1, 0, 1, 0]);
}

#[test]
fn the_client_is_told_the_same_as_without() {
    let told = |options| {
        let mut harness = Harness::with(options);
        harness.client(
            json!({"type": "session.update", "session": {"type": "realtime",
            "audio": {"input": {"transcription": {"model": "whisper-1"}}}}}),
        );
        for transcript in ["Hello.", "And then?"] {
            harness.transcripts.push_back(Ok(transcript));
            harness
                .answers
                .push_back(answer(&["Hi there.", " How are you?"]));
            harness.audio(480, true);
            harness.audio(384, false);
            harness.wait(1000);
        }
        let kinds = harness.kinds(0).into_iter().map(str::to_owned);
        kinds.collect::<Vec<_>>()
    };
    let (with, without) = (told(options()), told(test_options()));
    // But for the number of pieces.
    let sorted = |kinds: Vec<String>| {
        let mut kinds: Vec<_> = kinds
            .into_iter()
            .filter(|k| !k.ends_with(".delta"))
            .collect();
        kinds.sort();
        kinds
    };
    assert_eq!(sorted(with.clone()), sorted(without));
    // What belongs together is in order, whenever it was made.
    let position = |kind: &str| with.iter().position(|k| k == kind).expect(kind);
    let order = [
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "response.output_item.added",
        "response.output_audio.delta",
        "response.done",
    ];
    assert!(order.is_sorted_by_key(|kind| position(kind)), "{with:?}");
}

#[test]
fn nothing_is_told_while_the_turn_may_go_on() {
    let mut harness = harness();
    harness.transcripts.push_back(Ok("Hello."));
    harness.audio(480, true);
    let before = harness.events.len();
    harness.audio(288, false);
    assert_eq!(harness.kinds(before), Vec::<&str>::new());
    assert_eq!(counts(&harness), [1, 0, 1, 0]);
}

#[test]
fn a_turn_that_goes_on_drops_the_answer_each_time() {
    let mut harness = harness();
    for (pause, words) in [(1, "I would"), (2, "I would like")] {
        pause_after(&mut harness, words);
        harness.engine(
            harness.job("generate"),
            EngineEvent::Text {
                text: "Would you like that? So".to_owned(),
            },
        );
        let (writing, speaking) = (harness.job("generate"), harness.job("speak"));
        harness.audio(64, true);
        assert!(harness.cancelled.contains(&writing));
        assert!(harness.cancelled.contains(&speaking));
        assert_eq!(counts(&harness), [pause, pause, pause, pause]);
    }
    // The third pause is the end, and all of the turn is transcribed.
    harness.audio(160, true);
    harness.audio(384, false);
    let (_, command) = harness.jobs.back().expect("it is transcribed");
    let EngineCommand::Transcribe { audio, .. } = command else {
        panic!("{command:?}");
    };
    assert!(audio.len() > (480 + 160 + 480 + 160 + 160) * 16);
    harness.transcripts.push_back(Ok("I would like tea."));
    harness.work("transcribe");
    let (_, command) = harness.jobs.back().expect("it is answered");
    assert_eq!(
        harness.prompt(command),
        ["System: Be brief.", "User: I would like tea."]
    );
    assert_eq!(harness.sent("response.created").len(), 1);
    assert_eq!(counts(&harness), [3, 2, 2, 2]);
}

#[test]
fn late_results_of_what_was_dropped_change_nothing() {
    let mut harness = harness();
    harness.by_hand = true;
    harness.audio(480, true);
    harness.audio(160, false);
    let hearing = harness.job("transcribe");
    harness.audio(64, true);
    let before = harness.events.len();
    harness.engine(hearing, crate::harness::transcript("too late"));
    assert_eq!(harness.kinds(before), Vec::<&str>::new());
    assert!(harness.jobs.iter().all(|(_, c)| kind_of(c) != "generate"));
}

#[test]
fn a_transcript_that_comes_after_the_end_of_the_turn_is_not_asked_for_again() {
    let mut harness = harness();
    harness.by_hand = true;
    harness.audio(480, true);
    harness.audio(384, false);
    assert_eq!(harness.sent("response.created").len(), 1);
    let kinds = waiting(&harness);
    let transcribed = kinds.iter().filter(|kind| **kind == "transcribe");
    assert_eq!(transcribed.count(), 1, "{kinds:?}");
    harness.transcripts.push_back(Ok("Hello."));
    harness.work("transcribe");
    harness.work("generate");
    harness.work("speak");
    assert_eq!(
        harness.last("response.done")["response"]["status"],
        "completed"
    );
}

#[test]
fn a_held_answer_goes_on_when_it_is_sent() {
    let mut harness = harness();
    pause_after(&mut harness, "Hello.");
    let writing = harness.job("generate");
    for text in ["Hi there.", " How are you?", " I am fine.", " Really"] {
        let text = text.to_owned();
        harness.engine(writing, EngineEvent::Text { text });
    }
    // Two clauses are spoken ahead, no more.
    harness.work("speak");
    harness.work("speak");
    assert!(!waiting(&harness).contains(&"speak"));
    harness.audio(224, false);
    assert_eq!(
        harness.sent("response.output_audio_transcript.delta").len(),
        1
    );
    assert!(!harness.sent("response.output_audio.delta").is_empty());
    harness.engine(writing, generated(4));
    while waiting(&harness).contains(&"speak") {
        harness.work("speak");
    }
    let done = &harness.last("response.done")["response"];
    assert_eq!(done["status"], "completed");
    assert_eq!(
        done["output"][0]["content"][0]["transcript"],
        "Hi there. How are you? I am fine. Really"
    );
}

#[test]
fn an_answer_is_not_held_for_what_the_client_has_changed() {
    for event in [
        json!({"type": "conversation.item.create", "item": {"type": "message",
            "role": "system", "content": [{"type": "input_text", "text": "Say no."}]}}),
        json!({"type": "session.update", "session": {"type": "realtime",
            "instructions": "Say no."}}),
    ] {
        let mut harness = harness();
        pause_after(&mut harness, "Hello.");
        let writing = harness.job("generate");
        harness.client(event.clone());
        assert!(harness.cancelled.contains(&writing), "{event}");
        harness.audio(224, false);
        if waiting(&harness).contains(&"transcribe") {
            harness.transcripts.push_back(Ok("Hello."));
            harness.work("transcribe");
        }
        let (_, command) = harness.jobs.back().expect("it is answered anew");
        let prompt = harness.prompt(command);
        assert!(prompt.contains(&"System: Say no.".to_owned()), "{prompt:?}");
        assert_eq!(counts(&harness)[2..], [1, 1]);
    }
}

#[test]
fn what_fails_ahead_is_tried_again_when_the_turn_is_over() {
    let mut harness = harness();
    harness.transcripts.push_back(Ok("Hello."));
    harness.answers.push_back(vec![failed("no memory")]);
    harness.answers.push_back(answer(&["Hi."]));
    harness.audio(480, true);
    harness.audio(384, false);
    let done = &harness.last("response.done")["response"];
    assert_eq!(done["status"], "completed");
    assert_eq!(counts(&harness), [1, 0, 1, 1]);
}

#[test]
fn a_transcription_that_fails_ahead_fails_the_answer() {
    let mut harness = harness();
    harness.transcripts.push_back(Err("no memory"));
    harness.audio(480, true);
    harness.audio(384, false);
    let done = &harness.last("response.done")["response"];
    assert_eq!(done["status"], "failed");
}

#[test]
fn noise_is_not_answered_ahead_either() {
    let mut harness = harness();
    harness.transcripts.push_back(Ok(" "));
    harness.audio(480, true);
    harness.audio(384, false);
    assert_eq!(counts(&harness), [1, 0, 0, 0]);
    let done = &harness.last("response.done")["response"];
    assert_eq!(done["status"], "cancelled");
}

#[test]
fn without_a_response_to_follow_only_the_transcript_is_made_ahead() {
    let mut harness = harness();
    harness.client(
        json!({"type": "session.update", "session": {"type": "realtime",
        "audio": {"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 320,
            "create_response": false}}}}}),
    );
    harness.transcripts.push_back(Ok("Hello."));
    harness.audio(480, true);
    harness.audio(384, false);
    assert_eq!(counts(&harness), [1, 0, 0, 0]);
    harness.client(json!({"type": "response.create"}));
    assert_eq!(
        harness.last("response.done")["response"]["status"],
        "completed"
    );
}

#[test]
fn a_commit_in_the_pause_is_answered_once() {
    let mut harness = harness();
    pause_after(&mut harness, "Hello.");
    harness.client(json!({"type": "input_audio_buffer.commit"}));
    assert_eq!(counts(&harness), [1, 1, 1, 1]);
    harness.transcripts.push_back(Ok("Hello."));
    harness.work("transcribe");
    harness.client(json!({"type": "response.create"}));
    assert_eq!(harness.sent("response.created").len(), 1);
}

#[test]
fn an_answer_is_not_held_for_a_client_that_has_fallen_silent() {
    let mut harness = harness();
    pause_after(&mut harness, "Hello.");
    let held = harness.job("generate");
    harness.wait(4_000);
    assert!(!harness.cancelled.contains(&held));
    harness.wait(2_000);
    assert!(harness.cancelled.contains(&held));
    // The turn ends all the same when there is audio again.
    harness.audio(224, false);
    assert_eq!(harness.sent("response.created").len(), 1);
}

#[test]
fn nothing_is_done_ahead_when_there_is_no_time() {
    let mut harness = harness();
    harness.allow_ahead(false);
    harness.by_hand = true;
    harness.audio(480, true);
    harness.audio(256, false);
    assert_eq!(waiting(&harness), Vec::<&str>::new());
    harness.audio(128, false);
    assert_eq!(waiting(&harness), ["transcribe"]);
    assert_eq!(counts(&harness), [0; 4]);
}

#[test]
fn the_language_model_reads_the_conversation_while_the_user_speaks() {
    let mut harness = harness();
    harness.say("hi");
    harness.wait(2000);
    harness.by_hand = true;
    harness.audio(160, true);
    let (_, command) = harness.jobs.back().expect("the prompt is read");
    assert_eq!(kind_of(command), "prime");
    assert_eq!(
        harness.prompt(command),
        ["System: Be brief.", "User: hi", "Assistant: Okay."]
    );
}

#[test]
fn an_interruption_drops_what_was_held_for_the_turn_before() {
    let mut harness = harness();
    harness.transcripts.push_back(Ok("Tell me a story."));
    harness
        .answers
        .push_back(answer(&["Once upon a time, there was a cat."]));
    harness.audio(480, true);
    harness.audio(384, false);
    assert_eq!(harness.sent("response.done").len(), 1);
    pause_after(&mut harness, "No, a dog.");
    let (_, command) = harness.jobs.back().expect("it is answered ahead");
    let prompt = harness.prompt(command);
    assert_eq!(prompt.last().map(String::as_str), Some("User: No, a dog."));
    let item = harness.last("response.output_item.done")["item"]["id"].clone();
    // Only now the client says how much it had played: the answer is made anew.
    harness.client(
        json!({"type": "conversation.item.truncate", "item_id": item,
        "content_index": 0, "audio_end_ms": 600}),
    );
    harness.audio(224, false);
    let (_, command) = harness.jobs.back().expect("it is answered");
    assert_eq!(
        harness.prompt(command)[1..],
        [
            "User: Tell me a story.",
            "Assistant: Once upon",
            "User: No, a dog."
        ]
    );
}

#[test]
fn a_response_out_of_band_does_not_wait_for_an_answer_that_is_held() {
    let mut harness = harness();
    pause_after(&mut harness, "Hello.");
    let held = harness.job("generate");
    harness.client(json!({"type": "response.create", "response": {"conversation": "none"}}));
    assert!(harness.cancelled.contains(&held));
    assert_ne!(harness.job("generate"), held);
}
