use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hasher},
};

use kaiwa_protocol::{ClientEvent, Maybe, RawJson, Session as WireSession, Tool};

use super::{FORMAT, Head, Line, Work};
use crate::{Input, Millis, Output, SessionOptions, engine::EngineEvent};

/// Puts what goes into a session and what comes out of it into lines.
#[derive(Debug)]
pub struct Writer {
    /// What the session was told last; it begins with leave to work ahead.
    may_work_ahead: bool,
    masks: Masks,
}

impl Writer {
    /// A journal that begins, and its first line.
    #[must_use]
    pub fn new(options: &SessionOptions, requested: Option<&WireSession>) -> (Self, Line) {
        let mut masks = Masks::default();
        let mut requested = requested.cloned();
        if let Some(requested) = &mut requested {
            masks.cover_session(requested);
        }
        let head = Head {
            format: FORMAT,
            kaiwa: env!("CARGO_PKG_VERSION").to_owned(),
            options: options.clone(),
            requested,
        };
        let writer = Self {
            may_work_ahead: true,
            masks,
        };
        (writer, Line::Head(Box::new(head)))
    }

    /// What the session is told by [`Session::allow_ahead`](crate::Session::allow_ahead), if
    /// it is news.
    pub fn ahead(&mut self, allowed: bool, at: Millis) -> Option<Line> {
        let is_news = std::mem::replace(&mut self.may_work_ahead, allowed) != allowed;
        is_news.then_some(Line::Ahead { at, allowed })
    }

    /// What the session is told.
    pub fn input(&mut self, input: &Input<'_>, at: Millis) -> Line {
        match input {
            Input::Client(event) => Line::Client {
                at,
                event: on_one_line(self.masks.covered(event).to_json()),
            },
            Input::Audio { event_id, bytes } => Line::Audio {
                at,
                event_id: event_id.map(str::to_owned),
                bytes: (*bytes).into(),
            },
            Input::Malformed(error) => Line::Malformed {
                at,
                error: error.clone(),
            },
            Input::Engine(job, EngineEvent::Voice { probability }) => Line::Voice {
                at,
                job: *job,
                p: *probability,
            },
            Input::Engine(job, event) => Line::Engine {
                at,
                job: *job,
                event: event.clone(),
            },
            Input::Timeout => Line::Timeout { at },
        }
    }

    /// What the session wants done.
    #[must_use]
    pub fn output(&self, output: &Output, at: Millis) -> Line {
        match output {
            Output::Send(event) => Line::Send {
                at,
                event: on_one_line(event.to_json()),
            },
            Output::Run(job, command) => Line::Run {
                at,
                job: *job,
                work: Work::of(command),
            },
            Output::Cancel(job) => Line::Cancel { at, job: *job },
            Output::Close(reason) => Line::Close {
                at,
                code: reason.code,
                reason: reason.reason.clone(),
            },
        }
    }
}

/// Line breaks in JSON stand between its parts and never in them, where they may come from a
/// client's schemas. A space is as long.
fn on_one_line(json: String) -> RawJson {
    let json = match json.contains(['\n', '\r']) {
        true => json.replace(['\n', '\r'], " "),
        false => json,
    };
    RawJson::from_text(json).unwrap_or_default()
}

/// What stands for the secrets of a session: as long as they are, and different for
/// different ones, because a session looks at their length and at whether they change.
///
/// They are told apart by 64 bits of a hash with a fixed key: a session may name any number of
/// long ones, and none is kept.
#[derive(Default)]
struct Masks(BTreeMap<u64, usize>);

impl Masks {
    fn covered(&mut self, event: &ClientEvent) -> ClientEvent {
        let mut event = event.clone();
        match &mut event {
            ClientEvent::SessionUpdate(update) => self.cover_session(&mut update.session),
            ClientEvent::ResponseCreate(create) => {
                if let Some(response) = create.response.value_mut() {
                    self.cover_tools(&mut response.tools);
                }
            }
            _ => {}
        }
        event
    }

    fn cover_session(&mut self, session: &mut WireSession) {
        if let WireSession::Realtime(session) = session {
            self.cover_tools(&mut session.tools);
        }
    }

    fn cover_tools(&mut self, tools: &mut Maybe<Vec<Tool>>) {
        for tool in tools.value_mut().into_iter().flatten() {
            if let Tool::Mcp(tool) = tool {
                let headers = tool.headers.value_mut().into_iter().flatten();
                let headers = headers.map(|(_, value)| value);
                for secret in headers.chain(tool.authorization.value_mut()) {
                    *secret = self.of(secret);
                }
            }
        }
    }

    fn of(&mut self, secret: &str) -> String {
        let mut hasher = DefaultHasher::new();
        hasher.write(secret.as_bytes());
        let next = self.0.len();
        let number = *self.0.entry(hasher.finish()).or_insert(next);
        format!("{number:*>width$}", width = secret.len())
    }
}

impl std::fmt::Debug for Masks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Masks({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_by_something_as_long_and_as_different() {
        let (mut writer, _) = Writer::new(&SessionOptions::default(), None);
        let mut written = |authorization: &str| {
            let event = format!(
                r#"{{"type":"session.update","session":{{"type":"realtime","tools":[{{"type":"mcp",
                "server_label":"a","server_url":"https://a.test","authorization":"{authorization}",
                "headers":{{"X-Key":"hush"}}}}]}}}}"#
            );
            let event = ClientEvent::parse(&event).expect("an event");
            let line = writer.input(&Input::Client(event), 5);
            serde_json::to_string(&line).expect("a line")
        };
        let [one, other, again] = ["secret-1", "secret-2", "secret-1"].map(&mut written);
        assert!(!one.contains("secret") && !one.contains("hush"), "{one}");
        assert!(one.contains(r#""authorization":"*******1""#), "{one}");
        assert!(one.contains(r#""X-Key":"***0""#), "{one}");
        assert!(one != other && one == again, "{other}");
    }

    #[test]
    fn an_event_of_several_lines_stands_on_one() {
        let (mut writer, _) = Writer::new(&SessionOptions::default(), None);
        let event = ClientEvent::parse("{\"type\":\"new.kind\",\n\"a\":\r\n\"b\\nc\"}");
        let line = writer.input(&Input::Client(event.expect("an event")), 5);
        assert_eq!(
            serde_json::to_string(&line).expect("a line"),
            r#"{"client":{"at":5,"event":{"type":"new.kind", "a":  "b\nc"}}}"#
        );
    }
}
