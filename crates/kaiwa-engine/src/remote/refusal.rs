//! What a server says instead of an answer, as one sentence.

use std::fmt;

use reqwest::StatusCode;
use serde_json::Value;

use super::Endpoint;
use crate::{EngineError, EngineErrorKind};

/// Characters of a server's own words that are repeated.
const MOST_WORDS: usize = 200;

/// Who is spoken of: "the language model at 127.0.0.1:8000".
#[derive(Clone)]
pub(super) struct Subject {
    name: String,
    model: String,
    key: Option<String>,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("name", &self.name)
            .field("model", &self.model)
            .field("key", &self.key.is_some())
            .finish()
    }
}

impl Subject {
    pub(super) fn new(role: &str, endpoint: &Endpoint) -> Self {
        Self {
            name: format!("{role} at {}", endpoint.host()),
            model: endpoint.model().to_owned(),
            key: endpoint.key().map(str::to_owned),
        }
    }

    pub(super) fn error(&self, kind: EngineErrorKind, what: &str) -> EngineError {
        EngineError::new(kind, format!("{} {what}", self.name))
    }

    pub(super) fn failed(&self, what: &str) -> EngineError {
        self.error(EngineErrorKind::Failed, what)
    }

    /// No connection came about, or it broke.
    pub(super) fn transport(&self, error: reqwest::Error) -> EngineError {
        if error.is_connect() {
            let why = self.shortened(&cause(error));
            return self.error(
                EngineErrorKind::Unreachable,
                &format!("cannot be reached: {why}"),
            );
        }
        let why = self.shortened(&cause(error));
        self.failed(&format!("broke off: {why}"))
    }

    /// An answer with a status that is no success. `body` is the beginning of what came with it.
    pub(super) fn status(&self, status: StatusCode, body: &[u8]) -> EngineError {
        let words = self.words(body);
        let said = match &words {
            Some(words) => format!(": {words}"),
            None => String::new(),
        };
        let number = status.as_u16();
        let (kind, what) = match number {
            // What is said here may hold a part of the key.
            401 if self.key.is_some() => (
                EngineErrorKind::Unauthorized,
                format!("refuses the key (HTTP {number}): check the variable that holds it"),
            ),
            401 => (
                EngineErrorKind::Unauthorized,
                format!("wants a key (HTTP {number}): name the variable that holds one"),
            ),
            // The key may be right and the model, the country or the route not for it.
            403 => (
                EngineErrorKind::Unauthorized,
                format!("does not allow this (HTTP 403){said}"),
            ),
            404 | 405 | 501 => (
                EngineErrorKind::Model,
                format!(
                    "has no model \"{}\" or no such route (HTTP {number}){said}",
                    self.model
                ),
            ),
            400 | 413 | 422 if words.as_deref().is_some_and(is_about_length) => (
                EngineErrorKind::PromptTooLong,
                format!("cannot take so long a conversation{said}"),
            ),
            400 | 413 | 422 => (
                EngineErrorKind::InvalidInput,
                format!("refuses the request (HTTP {number}){said}"),
            ),
            408 | 504 => (
                EngineErrorKind::Timeout,
                format!("took too long (HTTP {number}){said}"),
            ),
            // Nobody is behind the proxy, or it is still loading.
            502 | 503 => (
                EngineErrorKind::Unreachable,
                format!("is not there at present (HTTP {number}){said}"),
            ),
            429 => (
                EngineErrorKind::Failed,
                format!("is asked too much at present (HTTP 429){said}"),
            ),
            300..=399 => (
                EngineErrorKind::Failed,
                format!("sends us elsewhere (HTTP {number}): give the address itself as its url"),
            ),
            _ => (
                EngineErrorKind::Failed,
                format!("answers with HTTP {number}{said}"),
            ),
        };
        self.error(kind, &what)
    }

    /// An error where an answer was expected, in a response that claims success.
    pub(super) fn error_object(&self, error: &Value) -> EngineError {
        match self.words_of(error) {
            Some(words) if is_about_length(&words) => self.error(
                EngineErrorKind::PromptTooLong,
                &format!("cannot take so long a conversation: {words}"),
            ),
            Some(words) => self.failed(&format!("reports an error: {words}")),
            None => self.failed("reports an error without a word"),
        }
    }

    /// The words of a refusal, where its body holds some in a shape that is known. Pages of HTML
    /// are not for ears.
    fn words(&self, body: &[u8]) -> Option<String> {
        self.words_of(&serde_json::from_slice(body).ok()?)
    }

    fn words_of(&self, value: &Value) -> Option<String> {
        let error = value.get("error").unwrap_or(value);
        let words = [error.get("message"), error.get("detail"), Some(error)];
        let words = words.into_iter().flatten().find_map(Value::as_str)?;
        let code = error.get("code").and_then(Value::as_str);
        // The code tells what words may not.
        match code.filter(|code| *code == "context_length_exceeded") {
            Some(code) => Some(self.shortened(&format!("{code}: {words}"))),
            None => Some(self.shortened(words)),
        }
        .filter(|words| !words.is_empty())
    }

    /// A line of somebody else's words: short, without control characters, without the key.
    pub(super) fn shortened(&self, words: &str) -> String {
        let words = match self.key.as_deref() {
            Some(key) => without(key, words),
            None => words.to_owned(),
        };
        let words: String = words
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        let words = words.trim_end_matches('.');
        match words.char_indices().nth(MOST_WORDS) {
            Some((at, _)) => format!("{}…", &words[..at]),
            None => words.to_owned(),
        }
    }
}

/// These words without a key, and without words that begin like it: servers repeat keys with stars
/// in them.
fn without(key: &str, words: &str) -> String {
    const KNOWN: usize = 6;
    let words = words.replace(key, "[key]");
    let Some(beginning) = key.get(..KNOWN) else {
        return words;
    };
    let words = words.split(' ').map(|word| match word.find(beginning) {
        Some(at) => format!("{}[key]", &word[..at]),
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// How servers say that a prompt does not fit: OpenAI and vLLM, llama-server, others.
fn is_about_length(words: &str) -> bool {
    let words = words.to_lowercase();
    [
        "context_length_exceeded",
        "maximum context length",
        "context length",
        "context size",
        "context window",
        "prompt is too long",
    ]
    .iter()
    .any(|part| words.contains(part))
}

/// The innermost reason of a failed request, which is the one that says something.
fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    let mut inner: &dyn std::error::Error = &error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(key: Option<&str>) -> Subject {
        let endpoint = Endpoint::new("http://gpu:8000", "big").expect("an address");
        let endpoint = match key {
            Some(key) => endpoint.with_key(key).expect("a key"),
            None => endpoint,
        };
        Subject::new("the language model", &endpoint)
    }

    fn said(status: u16, body: &str) -> (EngineErrorKind, String) {
        let status = StatusCode::from_u16(status).expect("a status");
        let error = subject(Some("sesame")).status(status, body.as_bytes());
        (error.kind(), error.message().to_owned())
    }

    #[test]
    fn a_refusal_is_one_sentence() {
        let too_long = r#"{"error":{"message":"no","code":"context_length_exceeded"}}"#;
        for (status, body, kind, sentence) in [
            (
                400,
                r#"{"error":{"message":"Bad \n tool."}}"#,
                EngineErrorKind::InvalidInput,
                "the language model at gpu:8000 refuses the request (HTTP 400): Bad tool",
            ),
            (
                400,
                too_long,
                EngineErrorKind::PromptTooLong,
                "the language model at gpu:8000 cannot take so long a conversation: \
              context_length_exceeded: no",
            ),
            (
                401,
                r#"{"error":{"message":"Incorrect key ses***"}}"#,
                EngineErrorKind::Unauthorized,
                "the language model at gpu:8000 refuses the key (HTTP 401): check the variable that \
              holds it",
            ),
            (
                404,
                r#"{"error":"model not found"}"#,
                EngineErrorKind::Model,
                "the language model at gpu:8000 has no model \"big\" or no such route (HTTP 404): \
              model not found",
            ),
            (
                302,
                "",
                EngineErrorKind::Failed,
                "the language model at gpu:8000 sends us elsewhere (HTTP 302): give the address \
              itself as its url",
            ),
            (
                500,
                "<html>Internal",
                EngineErrorKind::Failed,
                "the language model at gpu:8000 answers with HTTP 500",
            ),
            (
                403,
                r#"{"error":{"message":"not in your country"}}"#,
                EngineErrorKind::Unauthorized,
                "the language model at gpu:8000 does not allow this (HTTP 403): not in your country",
            ),
            (
                503,
                r#"{"detail":"loading"}"#,
                EngineErrorKind::Unreachable,
                "the language model at gpu:8000 is not there at present (HTTP 503): loading",
            ),
            (
                504,
                "",
                EngineErrorKind::Timeout,
                "the language model at gpu:8000 took too long (HTTP 504)",
            ),
        ] {
            assert_eq!(said(status, body), (kind, sentence.to_owned()));
        }
        let error = subject(None).status(StatusCode::UNAUTHORIZED, b"");
        assert!(error.message().contains("wants a key"), "{error}");
    }

    #[test]
    fn what_looks_like_the_key_is_not_repeated() {
        let words = without(
            "sk-proj-12345678",
            "no: sk-proj-12345678, (sk-pro**5678) is off",
        );
        assert_eq!(words, "no: [key], ([key] is off");
        assert_eq!(without("short", "short or shor*"), "[key] or shor*");
    }

    #[test]
    fn words_of_others_are_short_and_without_the_key() {
        let (_, sentence) = said(500, r#"{"error":{"message":"sesame\u0007 and sesame"}}"#);
        assert!(sentence.ends_with("[key] and [key]"), "{sentence}");
        let long = format!(r#"{{"error":"{}"}}"#, "é".repeat(5000));
        let (_, sentence) = said(500, &long);
        assert!(sentence.chars().count() < 260, "{sentence}");
    }
}
