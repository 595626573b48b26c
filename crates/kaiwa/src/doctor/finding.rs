//! What was found, and what to do about it.

use std::fmt;

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// A conversation is possible, and something about it may not be as you expect.
    Note,
    /// Something that was asked for will not work.
    Problem,
}

/// One line of the report.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    /// What it is about, in a word or two.
    pub(super) about: String,
    /// A sentence without its final period.
    pub(super) message: String,
    /// What to do, likewise; nothing where everything is well.
    pub(super) advice: Option<String>,
}

impl Finding {
    pub(super) fn ok(about: &str, message: impl fmt::Display) -> Self {
        Self {
            verdict: Verdict::Ok,
            about: about.to_owned(),
            message: message.to_string(),
            advice: None,
        }
    }

    pub(super) fn note(about: &str, message: impl fmt::Display, advice: impl fmt::Display) -> Self {
        Self {
            verdict: Verdict::Note,
            advice: Some(advice.to_string()),
            ..Self::ok(about, message)
        }
    }

    pub(super) fn problem(
        about: &str,
        message: impl fmt::Display,
        advice: impl fmt::Display,
    ) -> Self {
        Self {
            verdict: Verdict::Problem,
            ..Self::note(about, message, advice)
        }
    }

    /// A failure. The errors of this project say what to do after their last semicolon; for one
    /// that does not, there is `otherwise`.
    pub(super) fn failure(about: &str, error: impl fmt::Display, otherwise: &str) -> Self {
        let said = error.to_string();
        match said.rsplit_once("; ") {
            Some((message, advice)) => Self::problem(about, message, advice),
            None => Self::problem(about, said, otherwise),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Note => "note",
            Verdict::Problem => "problem",
        };
        // One line, whatever a server or a system said.
        let message = self.message.replace(char::is_control, " ");
        write!(f, "{verdict:<8} {:<15} {message}", self.about)?;
        match &self.advice {
            Some(advice) => write!(f, ". To do: {}.", advice.replace(char::is_control, " ")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_with_what_to_do() {
        let ok = Finding::ok("microphone", "Headset, 48000 Hz");
        assert_eq!(ok.to_string(), "ok       microphone      Headset, 48000 Hz");
        let problem = Finding::problem("key", "the server\nrefused it", "set OPENAI_API_KEY");
        assert_eq!(
            problem.to_string(),
            "problem  key             the server refused it. To do: set OPENAI_API_KEY."
        );
    }

    #[test]
    fn what_an_error_says_to_do_is_taken_apart() {
        let finding = Finding::failure("devices", "no server (a; b); start one", "look");
        assert_eq!(finding.message, "no server (a; b)");
        assert_eq!(finding.advice.as_deref(), Some("start one"));
        let finding = Finding::failure("devices", "no server", "look");
        assert_eq!(finding.advice.as_deref(), Some("look"));
    }
}
