//! `--log-events`: what every session says and hears, a file for each.

use std::{
    borrow::Cow,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use kaiwa_server::{Direction, EventObserver, FrameObserver};
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use crate::{
    exit::{Code, Exit},
    lines::create_private,
    output,
};

/// What stands for a secret.
const MASK: &str = "***";

/// A frame on its line.
#[derive(Serialize)]
struct Line<'a> {
    /// Milliseconds since the session began.
    at_ms: u64,
    /// Who sent it: `client` or `server`.
    kind: &'static str,
    /// The frame as it travelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Box<RawValue>>,
    /// A frame that is no JSON, or what stands for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Cow<'a, str>>,
}

/// Writes `1763859600-session-000001.jsonl` and so on into `folder`, which is made where it
/// is missing. The name begins with the server's start in Unix seconds, so that no log takes
/// the place of an earlier one.
pub(super) fn observer(folder: &Path) -> Result<EventObserver, Exit> {
    fs::create_dir_all(folder).map_err(|error| {
        Exit::new(
            Code::Output,
            format!("cannot make the folder {}: {error}", folder.display()),
        )
        .with_hint("name another one with --log-events")
    })?;
    let folder = folder.to_owned();
    let started = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    Ok(Arc::new(move |label| {
        let path = folder.join(format!("{started}-session-{:06}.jsonl", label.number));
        match Log::create(path) {
            Ok(log) => log.observer(),
            Err((path, error)) => {
                lost(&path, &error);
                Box::new(|_, _| {})
            }
        }
    }))
}

struct Log {
    path: PathBuf,
    file: BufWriter<File>,
    begun: Instant,
}

impl Log {
    fn create(path: PathBuf) -> Result<Self, (PathBuf, io::Error)> {
        match create_private(&path) {
            Ok(file) => Ok(Self {
                path,
                file: BufWriter::new(file),
                begun: Instant::now(),
            }),
            Err(error) => Err((path, error)),
        }
    }

    /// A log that cannot be written ends; the session does not.
    fn observer(self) -> FrameObserver {
        let mut log = Some(self);
        Box::new(move |direction, frame| {
            if let Some(open) = &mut log
                && let Err(error) = open.write(direction, frame)
            {
                lost(&open.path, &error);
                log = None;
            }
        })
    }

    fn write(&mut self, direction: Direction, frame: &str) -> io::Result<()> {
        let (event, text) = match kept(frame) {
            Ok(event) => (Some(event), None),
            Err(text) => (None, Some(text)),
        };
        let line = Line {
            at_ms: u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            kind: match direction {
                Direction::FromClient => "client",
                Direction::ToClient => "server",
            },
            event,
            text,
        };
        serde_json::to_writer(&mut self.file, &line)?;
        self.file.write_all(b"\n")?;
        // Whoever looks while the session goes on sees whole lines.
        self.file.flush()
    }
}

/// A frame of JSON as it is, unless it was written over several lines.
fn on_one_line(frame: &str) -> Option<Box<RawValue>> {
    let raw: Box<RawValue> = serde_json::from_str(frame).ok()?;
    if !frame.contains(['\n', '\r']) {
        return Some(raw);
    }
    let value: Value = serde_json::from_str(raw.get()).ok()?;
    serde_json::value::to_raw_value(&value).ok()
}

/// Members that are secret wherever they stand.
const SECRET: [&str; 4] = [
    "api_key",
    "api-key",
    "client_secret",
    "openai-insecure-api-key",
];

/// What is kept of a frame: JSON without what opens something (MCP servers, or a session), or
/// text. Of one that may hold a secret and cannot be read, only the length.
fn kept(frame: &str) -> Result<Box<RawValue>, Cow<'_, str>> {
    if may_have_secrets(frame) {
        let unread =
            || Cow::<str>::Owned(format!("{MASK} ({} bytes that are no JSON)", frame.len()));
        let mut event: Value = serde_json::from_str(frame).map_err(|_| unread())?;
        if mask(&mut event) {
            return serde_json::value::to_raw_value(&event).map_err(|_| unread());
        }
    }
    on_one_line(frame).ok_or(Cow::Borrowed(frame))
}

fn may_have_secrets(frame: &str) -> bool {
    // A name may be written with escapes.
    let mut words = ["mcp", "\\u00"].iter().chain(&SECRET);
    words.any(|word| frame.contains(*word))
}

/// Masks what is secret, and says whether there was anything.
fn mask(value: &mut Value) -> bool {
    match value {
        // Every value is looked at, whatever was found before.
        Value::Array(values) => values
            .iter_mut()
            .fold(false, |found, value| mask(value) | found),
        Value::Object(members) => {
            let mut found = false;
            if members.get("type").is_some_and(|kind| kind == "mcp") {
                match members.get_mut("headers") {
                    Some(Value::Object(headers)) => {
                        let secrets = headers.values_mut();
                        found |= secrets.fold(false, |found, secret| hide(secret) | found);
                    }
                    Some(misshapen) => found |= hide(misshapen),
                    None => {}
                }
                found |= members.get_mut("authorization").is_some_and(hide);
            }
            for name in SECRET {
                found |= members.get_mut(name).is_some_and(|secret| {
                    // The beta says beside it how long it is good.
                    match secret.get_mut("value") {
                        Some(value) => hide(value),
                        None => hide(secret),
                    }
                });
            }
            members
                .values_mut()
                .fold(found, |found, value| mask(value) | found)
        }
        _ => false,
    }
}

/// Puts the mask in the place of a secret; of nothing there is nothing to hide.
fn hide(secret: &mut Value) -> bool {
    let is_there = !secret.is_null();
    if is_there {
        *secret = MASK.into();
    }
    is_there
}

fn lost(path: &Path, error: &io::Error) {
    output::note(format_args!(
        "kaiwa: the event log {} ends here: {error}",
        path.display()
    ));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn frames_are_kept_as_they_travelled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session-000001.jsonl");
        let mut observe = Log::create(path.clone()).unwrap().observer();
        observe(Direction::ToClient, r#"{"type":"session.created"}"#);
        observe(Direction::FromClient, "no \"JSON\"");
        observe(Direction::FromClient, "{\n\"type\":\r\n1.0}");
        let log = fs::read_to_string(path).unwrap();
        let lines: Vec<Value> = log
            .lines()
            .map(|line| {
                let mut line: Value = serde_json::from_str(line).unwrap();
                assert!(line.as_object_mut().unwrap().remove("at_ms").is_some());
                line
            })
            .collect();
        assert_eq!(
            lines,
            [
                json!({"kind": "server", "event": {"type": "session.created"}}),
                json!({"kind": "client", "text": "no \"JSON\""}),
                json!({"kind": "client", "event": {"type": 1.0}}),
            ]
        );
    }

    #[test]
    fn what_opens_a_clients_servers_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session-000001.jsonl");
        let mut observe = Log::create(path.clone()).unwrap().observer();
        let tool = json!({"type": "mcp", "server_label": "a", "authorization": "secret-1",
            "headers": {"X-Key": "secret-2"}});
        let mut misshapen = tool.clone();
        misshapen["headers"] = "Bearer secret-3".into();
        for event in [
            json!({"type": "session.update", "session": {"tools": [misshapen]}}),
            json!({"type": "session.update", "session": {"tools": [tool]}}),
            json!({"type": "response.create", "response": {"tools": [tool]}}),
        ] {
            observe(Direction::FromClient, &event.to_string());
        }
        let log = fs::read_to_string(path).unwrap();
        assert_eq!(log.matches("\"server_label\":\"a\"").count(), 3, "{log}");
        assert_eq!(log.matches("\"***\"").count(), 6, "{log}");
        assert!(!log.contains("secret"), "{log}");
    }

    #[test]
    fn client_secrets_and_keys_are_not_kept_in_either_direction() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session-000001.jsonl");
        let mut observe = Log::create(path.clone()).unwrap().observer();
        for frame in [
            r#"{"session":{"client_secret":{"value":"secret-1","expires_at":5}}}"#,
            r#"{"client_secret":"secret-2"}"#,
            r#"{"client_\u0073ecret":"secret-3"}"#,
            r#"{"a":[{"api_key":"secret-4"}]}"#,
            r#"{"tools":[{"type":"mcp","authorization":"secret-5"}]}"#,
        ] {
            observe(Direction::ToClient, frame);
            observe(Direction::FromClient, frame);
        }
        // Where nothing is hidden, a frame is kept to the last digit.
        observe(Direction::ToClient, r#"{"client_secret":null,"n":1.50}"#);
        let log = fs::read_to_string(path).unwrap();
        assert!(!log.contains("secret-"), "{log}");
        assert_eq!(log.matches("\"***\"").count(), 10, "{log}");
        assert!(log.contains("\"expires_at\":5"), "{log}");
        assert!(log.contains("1.50"), "{log}");
    }

    #[test]
    fn of_what_may_hold_a_secret_and_cannot_be_read_the_length_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session-000001.jsonl");
        let mut observe = Log::create(path.clone()).unwrap().observer();
        let frames = [
            r#"{"client_secret":"secret-1","n":1e999}"#,
            r#"{"client_\u0073ecret":"secret-2","n":1e999}"#,
            r#"{"tools":[{"type":"mcp","authorization":"secret-3""#,
            r#"{"api_key":"secret-4"#,
        ];
        for frame in frames {
            observe(Direction::FromClient, frame);
        }
        // Where no such word is, the text is kept.
        observe(Direction::FromClient, r#"{"n":"#);
        let log = fs::read_to_string(path).unwrap();
        assert!(!log.contains("secret-"), "{log}");
        for frame in frames {
            let length = format!("*** ({} bytes that are no JSON)", frame.len());
            assert!(log.contains(&length), "{length} in {log}");
        }
        assert!(log.contains(r#""text":"{\"n\":""#), "{log}");
    }

    #[test]
    fn no_log_takes_the_place_of_another() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (path, error) = Log::create(file.path().to_owned()).err().unwrap();
        assert_eq!(
            (path.as_path(), error.kind()),
            (file.path(), io::ErrorKind::AlreadyExists)
        );
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let Err(exit) = observer(&file.path().join("logs")) else {
            panic!("a folder below a file");
        };
        assert!(exit.to_string().contains("logs"), "{exit}");
    }
}
