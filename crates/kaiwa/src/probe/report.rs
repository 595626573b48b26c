//! What was found: a line each for people, one object for programs.

use std::{collections::BTreeMap, fmt};

use kaiwa_protocol::Dialect;
use serde::Serialize;
use serde_json::{Value, json};

use super::{census::Census, key::Secrets};
use crate::{
    exit::{Code, Exit},
    output,
    talk::Target,
};

/// The most characters of what a server says that are shown at once.
const LONGEST: usize = 300;
/// The most characters of a header's name, and of what a server says of usage.
const LONGEST_NAME: usize = 80;
const LONGEST_USAGE: usize = 4000;

/// How an answer is against the API.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As the API has it.
    Ok,
    /// Answered, but in another way.
    Differs,
    /// Not answered.
    Missing,
    /// Answered with an error, where the API has none.
    Refused,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Differs => "differs",
            Self::Missing => "missing",
            Self::Refused => "refused",
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    /// What it is about: an event, where it is about one.
    pub(super) about: String,
    /// A sentence without its final period.
    pub(super) message: String,
}

impl Finding {
    pub(super) fn new(verdict: Verdict, about: &str, message: impl fmt::Display) -> Self {
        Self {
            verdict,
            about: about.to_owned(),
            message: message.to_string(),
        }
    }

    pub(super) fn ok(about: &str, message: impl fmt::Display) -> Self {
        Self::new(Verdict::Ok, about, message)
    }

    pub(super) fn differs(about: &str, message: impl fmt::Display) -> Self {
        Self::new(Verdict::Differs, about, message)
    }

    pub(super) fn missing(about: &str, message: impl fmt::Display) -> Self {
        Self::new(Verdict::Missing, about, message)
    }

    pub(super) fn refused(about: &str, message: impl fmt::Display) -> Self {
        Self::new(Verdict::Refused, about, message)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { about, message, .. } = self;
        write!(f, "{:<8} {about:<28} {message}", self.verdict.as_str())
    }
}

/// Tells findings as they come, and keeps them for programs.
#[derive(Serialize)]
pub(super) struct Report {
    url: Option<String>,
    /// Whether a session was had.
    speaks: bool,
    dialect: Option<&'static str>,
    findings: Vec<Finding>,
    /// Headers of the handshake's answer that say who answers.
    headers: BTreeMap<String, String>,
    /// What was used, for each response that was asked for.
    usage: Vec<Value>,
    #[serde(flatten)]
    census: Census,
    #[serde(skip)]
    json: bool,
    #[serde(skip)]
    secrets: Secrets,
}

impl Report {
    pub(super) fn new(json: bool, target: &Target) -> Self {
        let (url, secrets) = match target {
            Target::Embedded => (None, Secrets::default()),
            Target::Remote(endpoint) => (Some(endpoint.url.clone()), Secrets::of(endpoint)),
        };
        Self {
            url,
            speaks: false,
            dialect: None,
            findings: Vec::new(),
            headers: BTreeMap::new(),
            usage: Vec::new(),
            census: Census::default(),
            json,
            secrets,
        }
    }

    pub(super) fn tell(&mut self, mut finding: Finding) -> Result<(), Exit> {
        finding.message = self.presentable(&finding.message);
        if !self.json {
            output::line(&finding)?;
        }
        self.findings.push(finding);
        Ok(())
    }

    pub(super) fn header(&mut self, name: &str, value: &str) {
        let value = self.presentable(value);
        let name = clipped(&self.secrets.hide(name), LONGEST_NAME);
        self.headers.insert(name, value);
    }

    /// Keeps what a server says of usage; where that is a book, its sums.
    pub(super) fn usage(&mut self, usage: Value) {
        self.usage.push(match usage.to_string().len() > LONGEST_USAGE {
            true => {
                let sum = |name: &str| usage.get(name).and_then(Value::as_u64);
                json!({"input_tokens": sum("input_tokens"), "output_tokens": sum("output_tokens"),
                    "total_tokens": sum("total_tokens")})
            }
            false => usage,
        });
    }

    /// What is not to be shown, though a server may say it.
    pub(super) fn secrets(&self) -> Secrets {
        self.secrets.clone()
    }

    pub(super) fn dialect(&mut self, dialect: Dialect) {
        self.dialect = Some(dialect.as_str());
    }

    pub(super) fn count(&mut self, census: Census) {
        self.census = census;
    }

    /// Sums up.
    pub(super) fn finish(&mut self, speaks: bool) -> Result<(), Exit> {
        self.speaks = speaks;
        if self.json {
            let all =
                serde_json::to_value(&*self).map_err(|error| Exit::new(Code::Failure, error))?;
            // Whatever the way by which a secret came into it.
            return output::json_line(&self.secrets.hide_in(all));
        }
        let Some(dialect) = self.dialect.filter(|_| speaks) else {
            return Ok(());
        };
        let count = |verdict| {
            self.findings
                .iter()
                .filter(|it| it.verdict == verdict)
                .count()
        };
        output::line(format_args!(
            "It speaks Realtime, {dialect}: {} ok, {} differ, {} missing, {} refused.",
            count(Verdict::Ok),
            count(Verdict::Differs),
            count(Verdict::Missing),
            count(Verdict::Refused),
        ))
    }

    /// Text as it can be shown: one line of bearable length, without the key that servers like to repeat.
    pub(super) fn presentable(&self, text: &str) -> String {
        let text = output::clean(&self.secrets.hide(text)).replace('\n', " ");
        clipped(&self.secrets.hide(&text), LONGEST)
    }
}

/// The beginning of a text, of at most so many characters.
pub(super) fn clipped(text: &str, most: usize) -> String {
    let mut characters = text.chars();
    let mut clipped: String = characters.by_ref().take(most).collect();
    if characters.next().is_some() {
        clipped.push('…');
    }
    clipped
}

#[cfg(test)]
mod tests {
    use kaiwa_client::Endpoint;

    use super::*;

    #[test]
    fn what_a_server_says_is_one_line_without_the_key() {
        let endpoint = Endpoint {
            key: Some("sk-secret".to_owned()),
            ..Endpoint::new("ws://h")
        };
        let mut report = Report::new(true, &Target::Remote(endpoint));
        let nasty = "no \u{1b}[2Jsuch\nkey: sk-secret";
        report
            .tell(Finding::refused("session.update", nasty))
            .expect("told");
        assert_eq!(
            report.findings[0].to_string(),
            "refused  session.update               no  [2Jsuch key: (the key)"
        );
        let long = Finding::ok("x", "é".repeat(LONGEST + 1));
        report.tell(long).expect("told");
        assert_eq!(report.findings[1].message.chars().count(), LONGEST + 1);
    }
}
