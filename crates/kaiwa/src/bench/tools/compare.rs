//! Whether arguments are right, however they are written.

use kaiwa_tools::builtin::calculate;
use serde_json::{Map, Value};

use super::requests::Request;
use crate::bench::normalize;

/// Whether a call's arguments are those of a request.
pub(super) fn are_right(request: &Request, arguments: &str) -> bool {
    let Ok(given) = serde_json::from_str::<Map<String, Value>>(arguments) else {
        return false;
    };
    let is_right = |(name, expected): (&String, &Value)| {
        given
            .get(name)
            .is_some_and(|value| is_same(value, expected))
    };
    let is_allowed = |(name, value): (&String, &Value)| {
        // A model that fills in what it does not know with nothing has said nothing.
        request.arguments.contains_key(name)
            || request.free.contains(name)
            || value.is_null()
            || value.as_str().is_some_and(str::is_empty)
    };
    request.arguments.iter().all(is_right) && given.iter().all(is_allowed)
}

fn is_same(value: &Value, expected: &Value) -> bool {
    match expected {
        Value::Array(any) => any.iter().any(|expected| is_same(value, expected)),
        Value::Bool(expected) => boolean(value) == Some(*expected),
        Value::Number(expected) => {
            let expected = expected.as_f64();
            number(value).is_some_and(|value| expected.is_some_and(|it| (it - value).abs() < 1e-9))
        }
        Value::String(expected) => {
            let Some(text) = said(value) else {
                return false;
            };
            if let Some(sum) = expected.strip_prefix('=') {
                return result(&text).is_some_and(|it| result(sum) == Some(it));
            }
            if let Some(words) = expected.strip_prefix('~') {
                let (text, words) = (normal(&text), normal(words));
                let text: Vec<&str> = text.split(' ').collect();
                return words.split(' ').all(|word| text.contains(&word));
            }
            normal(&text) == normal(expected)
        }
        Value::Null | Value::Object(_) => value == expected,
    }
}

/// A text, or a number as one.
fn said(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Lower-case words without articles and marks, numbers in digits.
fn normal(text: &str) -> String {
    let text = normalize::english(text);
    let words = text.split_whitespace();
    let words = words.filter(|word| !matches!(*word, "a" | "an" | "the"));
    words.collect::<Vec<_>>().join(" ")
}

fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::String(text) => match normal(text).as_str() {
            "true" | "on" | "yes" => Some(true),
            "false" | "off" | "no" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// A number, in digits or in words: of percent, or of minutes, into which other times are turned.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().or_else(|| {
            let text = normal(text);
            let (first, unit) = text.split_once(' ').unwrap_or((&text, ""));
            let (first, unit) = match first.strip_suffix('%') {
                Some(first) => (first, "percent"),
                None => (first, unit),
            };
            // The one number that the normaliser leaves in words.
            let first = if first == "one" { "1" } else { first };
            let minutes = match unit {
                "" | "percent" | "%" | "min" | "mins" | "minute" | "minutes" => 1.0,
                "s" | "sec" | "second" | "seconds" => 1.0 / 60.0,
                "h" | "hour" | "hours" => 60.0,
                _ => return None,
            };
            Some(first.parse::<f64>().ok()? * minutes)
        }),
        _ => None,
    }
}

/// What a sum comes to, in whatever signs it is written.
fn result(sum: &str) -> Option<String> {
    let sum: String = sum
        .to_lowercase()
        .replace("divided by", "/")
        .replace("multiplied by", "*")
        .replace("times", "*")
        .replace("plus", "+")
        .replace("minus", "-")
        .replace("percent of", "/100*")
        .replace("% of", "/100*")
        .replace(['×', 'x'], "*")
        .replace('÷', "/")
        .replace("**", "^");
    let sum = sum
        .split('=')
        .map(str::trim)
        .find(|part| !part.is_empty())?;
    calculate(sum).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_same_is_right_in_any_writing() {
        for (value, expected) in [
            (json!("PARIS"), json!("Paris")),
            (json!("the kitchen."), json!("kitchen")),
            (json!("NYC"), json!(["New York", "NYC"])),
            (json!(5), json!(5)),
            (json!(5.0), json!(5)),
            (json!("5"), json!(5)),
            (json!("five"), json!(5)),
            (json!("one"), json!(1)),
            (json!("1"), json!(1)),
            (json!("twenty minutes"), json!(20)),
            (json!("30%"), json!(30)),
            (json!("30 percent"), json!(30)),
            (json!("90 seconds"), json!(1.5)),
            (json!("one hour"), json!(60)),
            (json!("= 17*23"), json!("=17 * 23")),
            (json!(true), json!(true)),
            (json!("off"), json!(false)),
            (json!("some smooth Jazz"), json!("~jazz")),
            (json!("I'm running late!"), json!("~late")),
            (json!("Happy birthday, mom"), json!("~happy birthday")),
            (json!("17*23"), json!("=17 * 23")),
            (json!("23 × 17"), json!("=17 * 23")),
            (json!("391"), json!("=17 * 23")),
            (json!(391), json!("=17 * 23")),
            (json!("0.15 * 80"), json!("=80 * 15 / 100")),
            (json!("15% of 80"), json!("=80 * 15 / 100")),
            (json!("450 divided by 6 = 75"), json!("=450 / 6")),
        ] {
            assert!(is_same(&value, &expected), "{value} is {expected}");
        }
    }

    #[test]
    fn what_is_another_thing_is_wrong() {
        for (value, expected) in [
            (json!("Paris, Texas"), json!("Paris")),
            (json!("London"), json!(["New York", "NYC"])),
            (json!(50), json!(5)),
            (json!("soon"), json!(5)),
            (json!("5 hours"), json!(5)),
            (json!("5 seconds"), json!(5)),
            (json!("5 or 6"), json!(5)),
            (json!(null), json!(5)),
            (json!(true), json!(false)),
            (json!("true story"), json!(true)),
            (json!("blues"), json!("~jazz")),
            (json!("birthday"), json!("~happy birthday")),
            (json!("17 + 23"), json!("=17 * 23")),
            (json!("whatever"), json!("=17 * 23")),
            (json!(["Paris"]), json!("Paris")),
        ] {
            assert!(!is_same(&value, &expected), "{value} is not {expected}");
        }
    }

    #[test]
    fn nothing_may_be_left_out_or_made_up() {
        let request = |free: &[&str]| Request {
            say: String::new(),
            tool: Some("set_timer".to_owned()),
            arguments: Map::from_iter([("minutes".to_owned(), json!(5))]),
            free: free.iter().map(|&name| name.to_owned()).collect(),
        };
        assert!(are_right(&request(&[]), r#"{"minutes": 5}"#));
        assert!(are_right(&request(&[]), r#"{"minutes": 5, "label": ""}"#));
        assert!(are_right(&request(&[]), r#"{"minutes": 5, "label": null}"#));
        assert!(!are_right(
            &request(&[]),
            r#"{"minutes": 5, "label": "tea"}"#
        ));
        assert!(are_right(
            &request(&["label"]),
            r#"{"minutes": 5, "label": "tea"}"#
        ));
        assert!(!are_right(&request(&["label"]), r#"{"label": "tea"}"#));
        assert!(!are_right(&request(&[]), "five"));
    }
}
