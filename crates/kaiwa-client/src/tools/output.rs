//! What a model is told of a call.

use serde_json::{Value, json};

/// What stands for a result without a word, which some servers do not take.
const NOTHING: &str = "(no output)";

/// A result as the model gets it, at most `limit` bytes. What is longer is cut, and says so.
pub(crate) fn result(text: String, limit: usize) -> String {
    if text.trim().is_empty() {
        NOTHING.to_owned()
    } else {
        cut(text, limit)
    }
}

/// A failure as the model gets it: an object with an `error`, whose text has at most `limit` bytes.
pub(crate) fn failure(why: &str, limit: usize) -> String {
    json!({ "error": cut(why.to_owned(), limit) }).to_string()
}

/// What a function returned as text: a string as it is, everything else as JSON.
pub(super) fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn cut(mut text: String, limit: usize) -> String {
    if text.len() <= limit {
        return text;
    }
    let note = format!("\n[cut: {} bytes in all]", text.len());
    text.truncate(text.floor_char_boundary(limit.saturating_sub(note.len())));
    text + &note
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_result_is_cut_between_characters_and_says_so() {
        let cut = result("é".repeat(100), 64);
        assert_eq!(cut, "é".repeat(20) + "\n[cut: 200 bytes in all]");
        assert_eq!(result("x".repeat(64), 64), "x".repeat(64));
        assert_eq!(result(" \n".to_owned(), 64), "(no output)");
    }

    #[test]
    fn a_failure_is_json_however_long_it_is() {
        let failure = failure(&"\"".repeat(100), 64);
        let read: Value = serde_json::from_str(&failure).expect("JSON");
        let text = read["error"].as_str().expect("text");
        assert!(text.ends_with("\n[cut: 100 bytes in all]"), "{text}");
    }

    #[test]
    fn a_string_is_not_quoted_and_nothing_says_nothing() {
        assert_eq!(text(json!("12:30")), "12:30");
        assert_eq!(text(json!(null)), "");
        assert_eq!(text(json!({"a": [1]})), r#"{"a":[1]}"#);
    }
}
