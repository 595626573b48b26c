//! Responses: cancelled, cut short, failed, out of band.

use kaiwa_session::{EngineCommand, EngineEvent};
use serde_json::{Value, json};

use crate::harness::{Harness, answer, failed, generated, speech};

fn text(text: &str) -> EngineEvent {
    EngineEvent::Text {
        text: text.to_owned(),
    }
}

#[test]
fn a_cancelled_answer_closes_everything_it_opened() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.say("tell me a story");
    let writing = harness.job("generate");
    harness.engine(writing, text("Once upon a time, there was a cat."));
    harness.work("speak");
    harness.forget();
    harness.client(json!({"type": "response.cancel"}));
    insta::assert_snapshot!(harness.record());
}

#[test]
fn an_answer_can_be_cancelled_by_its_id() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.say("hi");
    let id = harness.last("response.created")["response"]["id"].clone();
    harness.client(json!({"type": "response.cancel", "response_id": id}));
    let done = &harness.last("response.done")["response"];
    assert_eq!(done["status"], "cancelled");
    assert_eq!(done["status_details"]["reason"], "client_cancelled");
    assert_eq!(done["output"], json!([]));
}

#[test]
fn a_cancelled_text_answer_is_incomplete() {
    let mut harness = Harness::updated(json!({"type": "realtime", "output_modalities": ["text"]}));
    harness.by_hand = true;
    harness.say("hi");
    let writing = harness.job("generate");
    harness.engine(writing, text("Hello"));
    let from = harness.events.len();
    harness.client(json!({"type": "response.cancel"}));
    assert_eq!(
        harness.kinds(from),
        [
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "conversation.item.done",
            "response.done"
        ]
    );
    let item = &harness.last("response.done")["response"]["output"][0];
    assert_eq!(item["status"], "incomplete");
    assert_eq!(
        item["content"],
        json!([{"type": "output_text", "text": "Hello"}])
    );
}

#[test]
fn an_answer_at_its_limit_is_spoken_and_incomplete() {
    let mut harness = Harness::new();
    harness.answers.push_back(vec![
        text("One two three four"),
        EngineEvent::Generated {
            input_tokens: 5,
            cached_tokens: 0,
            output_tokens: 4,
            truncated: true,
        },
    ]);
    harness.client(json!({"type": "response.create", "response": {"max_output_tokens": 4}}));
    let done = &harness.last("response.done")["response"];
    assert_eq!(done["status"], "incomplete");
    assert_eq!(done["status_details"]["reason"], "max_output_tokens");
    assert_eq!(done["max_output_tokens"], 4);
    assert_eq!(done["output"][0]["status"], "incomplete");
    assert_eq!(
        done["usage"]["output_token_details"]["audio_tokens"],
        1200 / 50
    );
}

#[test]
fn the_limit_reaches_the_language_model() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.client(json!({"type": "response.create", "response": {"max_output_tokens": 9}}));
    match &harness.jobs[0].1 {
        EngineCommand::Generate(generate) => assert_eq!(generate.max_tokens, Some(9)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_failure_while_speaking_closes_what_was_opened() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.say("hi");
    let writing = harness.job("generate");
    harness.engine(writing, text("Well then now, hello to you too."));
    let speaking = harness.jobs[1].0;
    let from = harness.events.len();
    harness.engine(speaking, failed("the voice broke"));
    assert_eq!(
        harness.kinds(from),
        [
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "response.output_item.done",
            "conversation.item.done",
            "response.done"
        ]
    );
    let done = &harness.last("response.done")["response"];
    assert_eq!(done["status"], "failed");
    assert_eq!(
        done["status_details"]["error"],
        json!({"type": "server_error", "code": "engine_broken", "message": "the voice broke"})
    );
    assert!(harness.cancelled.contains(&writing));
    // The session goes on.
    harness.by_hand = false;
    harness.say("and now?");
    assert_eq!(
        harness.last("response.done")["response"]["status"],
        "completed"
    );
}

#[test]
fn what_a_failed_answer_had_sent_is_heard() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.answers.push_back(answer(&[
        "One two three four five. Six seven eight nine ten.",
    ]));
    harness.say("count");
    harness.work("generate");
    harness.work("speak");
    // No time has passed: an interruption would leave nothing.
    harness.engine(harness.job("speak"), failed("the voice broke"));
    harness.jobs.clear();
    harness.say("go on");
    assert_eq!(
        harness.prompt(&harness.jobs[0].1)[2],
        "Assistant: One two three four five."
    );
}

#[test]
fn a_failure_before_the_first_word_leaves_no_item() {
    let mut harness = Harness::new();
    harness.answers.push_back(vec![failed("no memory")]);
    harness.say("hi");
    let done = &harness.last("response.done")["response"];
    assert_eq!(done["status"], "failed");
    assert_eq!(done["output"], json!([]));
    assert!(harness.sent("response.output_item.added").is_empty());
}

#[test]
fn an_answer_without_words_is_complete_and_empty() {
    let mut harness = Harness::new();
    harness.answers.push_back(answer(&[" ", "\n"]));
    harness.say("hi");
    let done = &harness.last("response.done")["response"];
    assert_eq!(done["status"], "completed");
    assert_eq!(done["output"], json!([]));
}

#[test]
fn an_empty_conversation_may_be_answered() {
    let mut harness = Harness::new();
    harness.client(json!({"type": "response.create"}));
    assert_eq!(
        harness.last("response.done")["response"]["status"],
        "completed"
    );
}

#[test]
fn no_more_than_two_clauses_are_spoken_at_once_and_speech_keeps_their_order() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.say("hi");
    let writing = harness.job("generate");
    harness.engine(
        writing,
        text("One is the first. Two is the second. Three is the third. Four is the last."),
    );
    harness.engine(writing, generated(20));
    let speaking: Vec<_> = harness
        .jobs
        .iter()
        .filter_map(|(job, command)| match command {
            EngineCommand::Speak { text, .. } => Some((*job, text.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(speaking.len(), 2);
    // The second clause is ready before the first: it waits.
    for event in speech(&speaking[1].1) {
        harness.engine(speaking[1].0, event);
    }
    assert!(harness.sent("response.output_audio.delta").is_empty());
    for event in speech(&speaking[0].1) {
        harness.engine(speaking[0].0, event);
    }
    let bytes: usize = harness
        .sent("response.output_audio.delta")
        .iter()
        .map(|event| event["delta"].as_str().expect("base64").len() / 4 * 3)
        .sum();
    assert_eq!(bytes, 8 * 300 * 48);
}

#[test]
fn an_aside_leaves_the_conversation_alone_and_runs_beside_it() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.say("hi");
    let item = harness.last("conversation.item.done")["item"]["id"].clone();
    harness.forget();
    harness.client(json!({"type": "response.create", "response": {
        "conversation": "none", "metadata": {"topic": "x"}, "output_modalities": ["text"],
        "instructions": "Classify.",
        "input": [{"type": "item_reference", "id": item}, {"type": "message", "role": "user",
            "content": [{"type": "input_text", "text": "Which language?"}]}]}}));
    let aside = harness.job("generate");
    for event in answer(&["English", "."]) {
        harness.engine(aside, event);
    }
    insta::assert_snapshot!(harness.record());
}

#[test]
fn an_item_of_an_input_is_told_whatever_its_status() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.client(json!({"type": "response.create", "response": {"input": [
        {"type": "message", "role": "user", "status": "in_progress",
            "content": [{"type": "input_text", "text": "hi"}]}]}}));
    assert_eq!(
        harness.prompt(&harness.jobs[0].1),
        ["System: Be brief.", "User: hi"]
    );
}

#[test]
fn audio_of_an_input_is_not_transcribed_for_a_response_that_has_ended() {
    let mut harness = Harness::updated(json!({"type": "realtime", "audio": {"input": {
        "turn_detection": null}}}));
    harness.by_hand = true;
    harness.audio(320, true);
    harness.client(json!({"type": "input_audio_buffer.commit"}));
    let item = harness.last("input_audio_buffer.committed")["item_id"].clone();
    let shared = harness.job("transcribe");
    let audio = "AAAA".repeat(1600); // 100 ms of silence.
    harness.client(
        json!({"type": "response.create", "response": {"conversation": "none",
        "input": [{"type": "item_reference", "id": item}, {"type": "message", "role": "user",
            "content": [{"type": "input_audio", "audio": audio}]}]}}),
    );
    let own = harness.job("transcribe");
    assert_ne!(own, shared);
    let id = harness.last("response.created")["response"]["id"].clone();
    harness.client(json!({"type": "response.cancel", "response_id": id}));
    // The conversation still wants to know what was said in it.
    assert_eq!(harness.cancelled, [own]);
}

#[test]
fn what_comes_after_a_response_was_created_is_not_for_it() {
    for conversation in ["auto", "none"] {
        let mut harness = Harness::updated(json!({"type": "realtime", "audio": {"input": {
            "turn_detection": null}}}));
        harness.by_hand = true;
        for text in ["hello", "never mind"] {
            harness.transcripts.push_back(Ok(text));
        }
        harness.audio(320, true);
        harness.client(json!({"type": "input_audio_buffer.commit"}));
        harness.client(json!({"type": "response.create", "response": {
            "conversation": conversation}}));
        harness.audio(320, true);
        harness.client(json!({"type": "input_audio_buffer.commit"}));
        // The first transcript is all that the response waits for.
        harness.work("transcribe");
        let (_, command) = harness.jobs.back().expect("the answer is written");
        assert_eq!(
            harness.prompt(command),
            ["System: Be brief.", "User: hello"],
            "{conversation}"
        );
    }
}

#[test]
fn an_empty_input_is_an_empty_context() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.client(json!({"type": "conversation.item.create", "item": {
        "type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}}));
    harness.client(json!({"type": "response.create", "response": {"input": []}}));
    assert_eq!(harness.prompt(&harness.jobs[0].1), ["System: Be brief."]);
}

/// The counts of a response add up: by kind, and in all.
#[track_caller]
fn assert_adds_up(usage: &Value) {
    let number = |value: &Value| value.as_u64().expect("a number");
    let sum = |details: &Value| {
        ["text_tokens", "audio_tokens", "image_tokens"]
            .iter()
            .filter_map(|kind| details[kind].as_u64())
            .sum::<u64>()
    };
    let input = &usage["input_token_details"];
    assert_eq!(sum(input), number(&usage["input_tokens"]), "{usage}");
    assert_eq!(
        sum(&input["cached_tokens_details"]),
        number(&input["cached_tokens"]),
        "{usage}"
    );
    assert_eq!(
        sum(&usage["output_token_details"]),
        number(&usage["output_tokens"]),
        "{usage}"
    );
    assert_eq!(
        number(&usage["input_tokens"]) + number(&usage["output_tokens"]),
        number(&usage["total_tokens"]),
        "{usage}"
    );
}

#[test]
fn usage_counts_what_the_model_read_once() {
    let mut harness = Harness::updated(json!({"type": "realtime", "audio": {"input": {
        "turn_detection": null}}}));
    harness.transcripts.push_back(Ok("hello"));
    harness.audio(960, true);
    harness.client(json!({"type": "input_audio_buffer.commit"}));
    harness.client(json!({"type": "response.create"}));
    let usage = &harness.last("response.done")["response"]["usage"];
    // The model counted 20 tokens. "hello" is 5 of the prompt's 46 characters, which makes 2
    // of them. One word of 300 ms costs 6.
    assert_eq!(
        *usage,
        json!({"total_tokens": 20 + 1 + 6, "input_tokens": 20, "output_tokens": 7,
            "input_token_details": {"text_tokens": 18, "audio_tokens": 2, "image_tokens": 0,
                "cached_tokens": 8, "cached_tokens_details":
                    {"text_tokens": 8, "audio_tokens": 0, "image_tokens": 0}},
            "output_token_details": {"text_tokens": 1, "audio_tokens": 6}})
    );
    assert_adds_up(usage);
}

#[test]
fn a_cancelled_answer_costs_what_was_written_of_it() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.say("hi");
    harness.client(json!({"type": "response.cancel"}));
    let usage = &harness.last("response.done")["response"]["usage"];
    assert_eq!(usage["total_tokens"], 0);
    assert_adds_up(usage);

    harness.say("hi");
    let writing = harness.job("generate");
    for piece in ["One", " two", " three", " four, five"] {
        harness.engine(writing, text(piece));
    }
    harness.client(json!({"type": "response.cancel"}));
    let usage = &harness.last("response.done")["response"]["usage"];
    assert_eq!(usage["output_token_details"]["text_tokens"], 4);
    // "Be brief.", "hi" and "hi" with the marks of three messages are 61 characters.
    assert_eq!(usage["input_tokens"], 61_u64.div_ceil(4));
    assert_adds_up(usage);
}
