//! A conversation that outgrows the model's context.

use kaiwa_session::{EngineEvent, PROMPT_TOO_LONG};
use serde_json::{Value, json};

use crate::harness::{Harness, answer, generated};

fn too_long(tokens: u32, limit: u32) -> EngineEvent {
    EngineEvent::PromptTooLong { tokens, limit }
}

/// The engine cannot say by how much the prompt is too long.
fn too_long_somehow() -> EngineEvent {
    EngineEvent::Failed {
        code: PROMPT_TOO_LONG.to_owned(),
        message: "The prompt is too long.".to_owned(),
    }
}

/// A session with this truncation and five messages of ten characters, which take 26 in a
/// prompt; the instructions take 25.
fn talked(truncation: Value) -> Harness {
    let mut harness = Harness::updated(json!({"type": "realtime", "truncation": truncation}));
    harness.by_hand = true;
    for name in ["a", "b", "c", "d", "e"] {
        harness.client(json!({"type": "conversation.item.create", "item": {
            "type": "message", "id": name, "role": "user",
            "content": [{"type": "input_text", "text": name.repeat(10)}]}}));
    }
    harness
}

/// Which of the messages the model is told of in the prompt given last.
fn told(harness: &Harness) -> String {
    let (_, command) = harness.jobs.back().expect("an answer is written");
    let lines = harness.prompt(command);
    let user = lines.iter().filter_map(|line| line.strip_prefix("User: "));
    user.filter_map(|text| text.chars().next()).collect()
}

#[test]
fn a_context_that_is_too_long_is_forgotten_down_to_half_and_stays_so() {
    let mut harness = talked(json!("auto"));
    harness.client(json!({"type": "response.create"}));
    assert_eq!(told(&harness), "abcde");
    // 155 characters are 155 tokens: 65 of 130 leave room for 40 after the instructions.
    harness.engine(harness.job("generate"), too_long(155, 130));
    assert_eq!(told(&harness), "e");
    for event in answer(&[]) {
        harness.engine(harness.job("generate"), event);
    }
    let done = &harness.last("response.done")["response"];
    assert_eq!(done["status"], "completed");
    harness.say("f");
    assert_eq!(told(&harness), "ef");
    // What is forgotten is still there for the client.
    harness.client(json!({"type": "conversation.item.retrieve", "item_id": "a"}));
    assert_eq!(harness.sent("conversation.item.retrieved").len(), 1);
}

#[test]
fn the_retention_ratio_says_how_much_is_kept() {
    for (ratio, left) in [(1.0, "bcde"), (0.8, "cde"), (0.6, "de"), (0.0, "e")] {
        let mut harness = talked(json!({"type": "retention_ratio", "retention_ratio": ratio}));
        harness.client(json!({"type": "response.create"}));
        harness.engine(harness.job("generate"), too_long(155, 130));
        assert_eq!(told(&harness), left, "{ratio}");
    }
}

#[test]
fn characters_per_token_are_learnt_from_the_engine() {
    // The limit of tokens after the instructions is kept without any refusal.
    let truncation = json!({"type": "retention_ratio", "retention_ratio": 0.5,
        "token_limits": {"post_instructions": 33}});
    let mut harness = talked(truncation.clone());
    // 130 characters are 33 tokens at 4 characters a token.
    harness.client(json!({"type": "response.create"}));
    assert_eq!(told(&harness), "abcde");

    let mut harness = talked(truncation);
    harness.client(json!({"type": "response.create", "response": {"input": []}}));
    // 25 characters were 20 tokens: now 130 are 104, and 26 are 21.
    harness.engine(harness.job("generate"), generated(0));
    harness.client(json!({"type": "response.create"}));
    assert_eq!(told(&harness), "e");
}

#[test]
fn an_engine_without_numbers_is_asked_again_with_less() {
    let mut harness = talked(json!({"type": "retention_ratio", "retention_ratio": 0.8}));
    harness.client(json!({"type": "response.create"}));
    for left in ["cde", "de", "e"] {
        harness.engine(harness.job("generate"), too_long_somehow());
        assert_eq!(told(&harness), left);
    }
    harness.engine(harness.job("generate"), too_long_somehow());
    let done = &harness.last("response.done")["response"];
    assert_eq!(done["status"], "failed");
    assert_eq!(
        done["status_details"]["error"],
        json!({"type": "invalid_request_error", "code": "context_length_exceeded",
            "message": "The prompt is too long. Nothing is left that could be forgotten."})
    );
}

#[test]
fn without_truncation_the_response_fails_and_says_so() {
    let mut harness = talked(json!("disabled"));
    harness.client(json!({"type": "response.create"}));
    harness.engine(harness.job("generate"), too_long(155, 130));
    let done = &harness.last("response.done")["response"];
    assert_eq!(
        done["status_details"]["error"],
        json!({"type": "invalid_request_error", "code": "context_length_exceeded",
            "message": "The prompt has 155 tokens, and the model's context holds 130. \
                Truncation is disabled."})
    );
    // Nothing was forgotten: the client may delete something and try again.
    harness.client(json!({"type": "conversation.item.delete", "item_id": "a"}));
    harness.client(json!({"type": "response.create"}));
    assert_eq!(told(&harness), "bcde");
}

#[test]
fn the_input_of_a_response_is_shortened_for_itself() {
    let mut harness = talked(json!("auto"));
    let said = |text: &str| {
        json!({"type": "message", "role": "user",
            "content": [{"type": "input_text", "text": text}]})
    };
    harness.client(
        json!({"type": "response.create", "response": {"conversation": "none",
        "input": [said("xxx"), {"type": "item_reference", "id": "a"}, said("yyy")]}}),
    );
    harness.engine(harness.job("generate"), too_long_somehow());
    assert_eq!(told(&harness), "y");
    harness.client(json!({"type": "response.create"}));
    assert_eq!(told(&harness), "abcde");
}

#[test]
fn what_the_conversation_forgot_is_told_to_who_refers_to_it() {
    let mut harness = talked(json!("auto"));
    harness.client(json!({"type": "response.create"}));
    harness.engine(harness.job("generate"), too_long(155, 130));
    assert_eq!(told(&harness), "e");
    harness.client(
        json!({"type": "response.create", "response": {"conversation": "none",
        "input": [{"type": "item_reference", "id": "a"}]}}),
    );
    assert_eq!(told(&harness), "a");
}

#[test]
fn what_an_aside_forgets_the_conversation_still_knows() {
    let mut harness = talked(json!("auto"));
    harness.client(json!({"type": "response.create", "response": {"conversation": "none"}}));
    assert_eq!(told(&harness), "abcde");
    harness.engine(harness.job("generate"), too_long(155, 130));
    assert_eq!(told(&harness), "e");
    harness.client(json!({"type": "response.create"}));
    assert_eq!(told(&harness), "abcde");
}

#[test]
fn another_failure_forgets_nothing() {
    let mut harness = talked(json!("auto"));
    harness.client(json!({"type": "response.create"}));
    harness.engine(
        harness.job("generate"),
        EngineEvent::Failed {
            code: "engine_invalid_input".to_owned(),
            message: "No such function.".to_owned(),
        },
    );
    assert_eq!(
        harness.last("response.done")["response"]["status"],
        "failed"
    );
    harness.client(json!({"type": "response.create"}));
    assert_eq!(told(&harness), "abcde");
}
