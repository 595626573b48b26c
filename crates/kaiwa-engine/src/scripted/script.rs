use std::{fs, io, path::PathBuf, sync::Arc};

use serde::Deserialize;
use thiserror::Error;

use super::pace::Fault;

/// What the scripted engines play. The format is described in [the module](super).
#[derive(Clone, Debug, Default)]
pub struct Script(pub(super) Arc<Parts>);

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    ///
    /// [`ScriptError::Syntax`] names line and key, [`ScriptError::Entry`] entry and key.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let parts: Parts =
            toml::from_str(text).map_err(|error| ScriptError::Syntax(error.to_string()))?;
        parts.check()?;
        Ok(Self(Arc::new(parts)))
    }

    /// Reads a script file.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and [`ScriptError::Read`].
    pub fn read(path: impl Into<PathBuf>) -> Result<Self, ScriptError> {
        let path = path.into();
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text),
            Err(source) => Err(ScriptError::Read { path, source }),
        }
    }
}

/// Why a script was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// An entry does not make sense.
    #[error("the script does not make sense: {entry}, key `{key}`: {reason}")]
    Entry {
        /// The table, and which one of several.
        entry: String,
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The file cannot be read.
    #[error("cannot read the script {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not TOML, or has unknown keys or values of a wrong kind.
    #[error("the script cannot be read: {0}")]
    Syntax(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Parts {
    pub(super) vad: Vad,
    #[serde(rename = "turn")]
    pub(super) turns: Vec<TurnEntry>,
    #[serde(rename = "transcript")]
    pub(super) transcripts: Vec<TranscriptEntry>,
    pub(super) model: Model,
    #[serde(rename = "reply")]
    pub(super) replies: Vec<Reply>,
    pub(super) voice: Voice,
    #[serde(rename = "speech")]
    pub(super) speeches: Vec<SpeechEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Vad {
    pub(super) threshold: f32,
}

impl Default for Vad {
    fn default() -> Self {
        Self { threshold: 0.01 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct TurnEntry {
    pub(super) complete: f32,
    pub(super) min_ms: Option<u64>,
    pub(super) max_ms: Option<u64>,
    #[serde(default)]
    pub(super) delay_ms: u64,
    pub(super) fail_message: Option<String>,
}

impl TurnEntry {
    /// Whether it answers by length instead of in order.
    pub(super) fn is_matched(&self) -> bool {
        self.min_ms.is_some() || self.max_ms.is_some()
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct TranscriptEntry {
    pub(super) text: String,
    pub(super) language: Option<String>,
    pub(super) min_ms: Option<u64>,
    pub(super) max_ms: Option<u64>,
    #[serde(default)]
    pub(super) delay_ms: u64,
    #[serde(default)]
    pub(super) word_delay_ms: u64,
    pub(super) fail_after: Option<usize>,
    pub(super) fail_message: Option<String>,
    pub(super) hang_after: Option<usize>,
}

impl TranscriptEntry {
    /// Whether it answers by length instead of in order.
    pub(super) fn is_matched(&self) -> bool {
        self.min_ms.is_some() || self.max_ms.is_some()
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        Fault::new(
            self.fail_after,
            self.fail_message.as_deref(),
            self.hang_after,
        )
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Model {
    pub(super) context_tokens: usize,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            context_tokens: 4096,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Reply {
    pub(super) user: Option<String>,
    pub(super) tool: Option<String>,
    pub(super) text: String,
    pub(super) deltas: Vec<Delta>,
    pub(super) tool_calls: Vec<Call>,
    pub(super) delay_ms: u64,
    pub(super) token_delay_ms: u64,
    pub(super) finish: End,
    pub(super) fail_after: Option<usize>,
    pub(super) fail_message: Option<String>,
    pub(super) hang_after: Option<usize>,
}

impl Reply {
    /// Whether it answers certain prompts instead of in order.
    pub(super) fn is_matched(&self) -> bool {
        self.user.is_some() || self.tool.is_some()
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        Fault::new(
            self.fail_after,
            self.fail_message.as_deref(),
            self.hang_after,
        )
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Delta {
    #[serde(default)]
    pub(super) after_ms: u64,
    pub(super) text: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    pub(super) id: Option<String>,
    pub(super) name: String,
    #[serde(default)]
    pub(super) arguments: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum End {
    #[default]
    Stop,
    Length,
}

#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Voice {
    pub(super) names: Vec<String>,
    pub(super) rate: u32,
    pub(super) ms_per_char: u32,
    pub(super) wave: Wave,
    pub(super) delay_ms: u64,
    pub(super) word_delay_ms: u64,
}

impl Default for Voice {
    fn default() -> Self {
        Self {
            names: vec!["tone".to_owned()],
            rate: 24_000,
            ms_per_char: 60,
            wave: Wave::Tone,
            delay_ms: 0,
            word_delay_ms: 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Wave {
    Noise,
    Tone,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct SpeechEntry {
    pub(super) text: String,
    pub(super) delay_ms: Option<u64>,
    pub(super) word_delay_ms: Option<u64>,
    pub(super) fail_after: Option<usize>,
    pub(super) fail_message: Option<String>,
    pub(super) hang_after: Option<usize>,
}

impl SpeechEntry {
    pub(super) fn fault(&self) -> Option<Fault> {
        Fault::new(
            self.fail_after,
            self.fail_message.as_deref(),
            self.hang_after,
        )
    }
}

impl Parts {
    fn check(&self) -> Result<(), ScriptError> {
        let refuse = |entry: &str, key, reason: &str| {
            Err(ScriptError::Entry {
                entry: entry.to_owned(),
                key,
                reason: reason.to_owned(),
            })
        };
        if !(self.vad.threshold > 0.0 && self.vad.threshold <= 1.0) {
            return refuse("[vad]", "threshold", "expected more than 0 and at most 1");
        }
        let Voice {
            names,
            rate,
            ms_per_char,
            ..
        } = &self.voice;
        if names.is_empty() {
            return refuse("[voice]", "names", "expected at least one name");
        }
        if !(8_000..=48_000).contains(rate) {
            return refuse("[voice]", "rate", "expected 8000 to 48000 Hz");
        }
        if !(1..=1_000).contains(ms_per_char) {
            return refuse("[voice]", "ms-per-char", "expected 1 to 1000 ms");
        }
        for (index, turn) in self.turns.iter().enumerate() {
            let entry = format!("[[turn]] number {}", index + 1);
            if !(0.0..=1.0).contains(&turn.complete) {
                return refuse(&entry, "complete", "expected 0 to 1");
            }
            if let (Some(min), Some(max)) = (turn.min_ms, turn.max_ms)
                && min > max
            {
                return refuse(&entry, "min-ms", "is greater than `max-ms`");
            }
        }
        for (index, transcript) in self.transcripts.iter().enumerate() {
            let entry = format!("[[transcript]] number {}", index + 1);
            if let (Some(min), Some(max)) = (transcript.min_ms, transcript.max_ms)
                && min > max
            {
                return refuse(&entry, "min-ms", "is greater than `max-ms`");
            }
            let TranscriptEntry {
                fail_after,
                fail_message,
                hang_after,
                ..
            } = transcript;
            check_fault(&entry, *fail_after, fail_message.as_ref(), *hang_after)?;
        }
        for (index, reply) in self.replies.iter().enumerate() {
            let entry = format!("[[reply]] number {}", index + 1);
            if !reply.text.is_empty() && !reply.deltas.is_empty() {
                return refuse(
                    &entry,
                    "deltas",
                    "stands beside `text`; expected one of them",
                );
            }
            if reply.token_delay_ms > 0 && !reply.deltas.is_empty() {
                return refuse(&entry, "token-delay-ms", "deltas have their own `after-ms`");
            }
            let Reply {
                fail_after,
                fail_message,
                hang_after,
                ..
            } = reply;
            check_fault(&entry, *fail_after, fail_message.as_ref(), *hang_after)?;
        }
        for (index, speech) in self.speeches.iter().enumerate() {
            let entry = format!("[[speech]] number {}", index + 1);
            let SpeechEntry {
                fail_after,
                fail_message,
                hang_after,
                ..
            } = speech;
            check_fault(&entry, *fail_after, fail_message.as_ref(), *hang_after)?;
        }
        Ok(())
    }
}

fn check_fault(
    entry: &str,
    fail_after: Option<usize>,
    fail_message: Option<&String>,
    hang_after: Option<usize>,
) -> Result<(), ScriptError> {
    let (key, reason) = match (fail_after, fail_message, hang_after) {
        (Some(_), _, Some(_)) => (
            "hang-after",
            "stands beside `fail-after`; expected one of them",
        ),
        (None, Some(_), _) => ("fail-message", "needs `fail-after` beside it"),
        _ => return Ok(()),
    };
    Err(ScriptError::Entry {
        entry: entry.to_owned(),
        key,
        reason: reason.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_script_is_valid() {
        let text: String = include_str!("mod.rs")
            .lines()
            .skip_while(|line| !line.contains("```toml"))
            .skip(1)
            .take_while(|line| !line.contains("```"))
            .map(|line| format!("{}\n", line.trim_start_matches("//!")))
            .collect();
        let script = Script::parse(&text).unwrap();
        let parts = &script.0;
        assert_eq!(parts.turns.len(), 2);
        assert_eq!(parts.turns[1].min_ms, Some(3000));
        assert_eq!(parts.transcripts.len(), 3);
        assert_eq!(parts.replies.len(), 4);
        assert_eq!(parts.replies[0].tool_calls[0].arguments["city"], "Paris");
        assert_eq!(parts.replies[1].deltas[1].after_ms, 900);
        // What is documented beside the defaults are the defaults.
        let default = Parts::default();
        assert_eq!(parts.vad.threshold, default.vad.threshold);
        assert_eq!(parts.model.context_tokens, default.model.context_tokens);
        assert_eq!(parts.voice.names, default.voice.names);
        assert_eq!(parts.voice.rate, default.voice.rate);
        assert_eq!(parts.voice.ms_per_char, default.voice.ms_per_char);
        assert_eq!(parts.voice.wave, default.voice.wave);
    }

    #[test]
    fn a_bad_script_is_refused_with_its_place() {
        for (text, places) in [
            ("[vad]\nthreshhold = 1\n", &["line 2", "threshhold"][..]),
            ("[[reply]]\ntext = 3\n", &["line 2", "text"]),
            ("[[reply]\n", &["line 1"]),
            ("[[reply]]\nfinish = \"soon\"\n", &["line 2", "soon"]),
            ("[vad]\nthreshold = 0.0\n", &["[vad]", "`threshold`"]),
            ("[voice]\nnames = []\n", &["[voice]", "`names`"]),
            ("[voice]\nrate = 7\n", &["[voice]", "`rate`", "8000"]),
            ("[voice]\nms-per-char = 0\n", &["[voice]", "`ms-per-char`"]),
            (
                "[[turn]]\ncomplete = 1.1\n",
                &["[[turn]] number 1", "`complete`", "0 to 1"],
            ),
            (
                "[[turn]]\ncomplete = 1.0\n[[turn]]\ncomplete = 1.0\nmin-ms = 3\nmax-ms = 2\n",
                &["[[turn]] number 2", "`min-ms`"],
            ),
            (
                "[[reply]]\n[[reply]]\ntext = \"a\"\ndeltas = [{ text = \"a\" }]\n",
                &["[[reply]] number 2", "`deltas`"],
            ),
            (
                "[[reply]]\ntoken-delay-ms = 1\ndeltas = [{ text = \"a\" }]\n",
                &["[[reply]] number 1", "`token-delay-ms`"],
            ),
            (
                "[[transcript]]\ntext = \"\"\nmin-ms = 3\nmax-ms = 2\n",
                &["[[transcript]] number 1", "`min-ms`"],
            ),
            (
                "[[speech]]\ntext = \"\"\nfail-message = \"x\"\n",
                &["[[speech]] number 1", "`fail-message`", "`fail-after`"],
            ),
            (
                "[[reply]]\nfail-after = 1\nhang-after = 1\n",
                &["[[reply]] number 1", "`hang-after`"],
            ),
        ] {
            let error = Script::parse(text).unwrap_err().to_string();
            for place in places {
                assert!(error.contains(place), "{place}: {error}");
            }
        }
        let error = Script::read("no/such/script").unwrap_err().to_string();
        assert!(error.contains("no/such/script"), "{error}");
    }
}
