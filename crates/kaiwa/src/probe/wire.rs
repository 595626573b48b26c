//! A connection that is asked things, with limits on everything that comes back.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kaiwa_client::{Direction, Incoming, Link};
use kaiwa_protocol::{ClientEvent, Dialect, ErrorDetail, ServerEvent};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout_at};

use super::census::Census;

/// The most events, and bytes of them, that are taken as the answer to one request.
const MOST_EVENTS: usize = 2000;
const MOST_BYTES: usize = 32 << 20;
/// How much more patience an answer of a model is worth than another.
const OF_A_MODEL: u32 = 6;
/// How many times the patience for one answer all may take together.
const OF_ALL: u32 = 20;
/// A server that has said nothing after this does not speak first.
const SPEAKS_FIRST: Duration = Duration::from_secs(5);
/// An answer that is later than the answer to the next request is waited for so long.
const LATER: Duration = Duration::from_secs(1);

/// The event that is answered by every server and changes nothing: what comes before its answer
/// is the answer to what was asked before it.
const MARK: &str = "input_audio_buffer.clear";
const MARKED: &str = "input_audio_buffer.cleared";

/// What the ids of requests begin with.
const OWN_ID: &str = "kaiwa_probe_";

/// How long is waited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// For the connection; the link's own limit is shorter, and says more.
    pub(super) connection: Duration,
    /// For the server to speak by itself.
    pub(super) first: Duration,
    /// For an answer.
    pub(super) answer: Duration,
    /// For what a model answers.
    pub(super) response: Duration,
    /// For everything together, once connected.
    pub(super) all: Duration,
}

impl Limits {
    pub(super) fn new(answer: Duration) -> Self {
        Self {
            connection: Duration::from_secs(25),
            first: answer.min(SPEAKS_FIRST),
            answer,
            response: answer * OF_A_MODEL,
            all: answer * OF_ALL,
        }
    }
}

/// An event that came.
#[derive(Debug)]
pub(super) struct Seen {
    /// As it was sent.
    pub(super) raw: Map<String, Value>,
    /// As general availability would have it.
    pub(super) event: Box<ServerEvent>,
}

impl Seen {
    /// Its type as it was sent.
    pub(super) fn kind(&self) -> &str {
        kind(&self.raw)
    }

    pub(super) fn error(&self) -> Option<&ErrorDetail> {
        match &*self.event {
            ServerEvent::Error(event) => Some(&event.error),
            _ => None,
        }
    }
}

/// What came after a request.
#[derive(Debug)]
pub(super) struct Answer {
    /// The id that the request had.
    pub(super) id: String,
    pub(super) events: Vec<Seen>,
}

impl Answer {
    /// Keeps an event, unless it is an error about another request, which has come late.
    fn take(&mut self, seen: Seen) {
        let about = seen.error().and_then(|error| error.event_id.as_deref());
        if !about.is_some_and(|id| id.starts_with(OWN_ID) && id != self.id) {
            self.events.push(seen);
        }
    }

    /// The first event of a type, as general availability calls it.
    pub(super) fn find(&self, kind: &str) -> Option<&Seen> {
        self.events.iter().find(|seen| seen.event.kind() == kind)
    }

    /// The first error.
    pub(super) fn error(&self) -> Option<&ErrorDetail> {
        self.events.iter().find_map(Seen::error)
    }

    /// The types that came, each once.
    pub(super) fn kinds(&self) -> String {
        let mut kinds: Vec<&str> = Vec::new();
        for seen in &self.events {
            if !kinds.contains(&seen.kind()) {
                kinds.push(seen.kind());
            }
        }
        kinds.join(", ")
    }
}

pub(super) struct Wire {
    link: Link,
    /// The frame that was received last.
    frame: Arc<Mutex<Option<String>>>,
    limits: Limits,
    /// When everything has to be over.
    until: Instant,
    census: Census,
    sent: u64,
    /// Whether the mark is answered.
    marks: bool,
    /// Why nothing more can be asked.
    ended: Option<String>,
}

impl Wire {
    pub(super) fn new(mut link: Link, limits: Limits) -> Self {
        let frame = Arc::new(Mutex::new(None));
        let kept = Arc::clone(&frame);
        link.set_tap(Box::new(move |direction, text| {
            if direction == Direction::Received {
                *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
            }
        }));
        Self {
            link,
            frame,
            limits,
            until: Instant::now() + limits.all,
            census: Census::default(),
            sent: 0,
            marks: false,
            ended: None,
        }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.link.dialect()
    }

    /// Why nothing more can be asked.
    pub(super) fn ended(&self) -> Option<&str> {
        self.ended.as_deref()
    }

    /// From now on a request is known to be answered when the mark behind it is.
    pub(super) fn use_marks(&mut self) {
        self.marks = true;
    }

    /// What comes by itself until one event is `enough`.
    pub(super) async fn listen(&mut self, enough: impl Fn(&Seen) -> bool) -> Answer {
        let mut answer = Answer {
            id: String::new(),
            events: Vec::new(),
        };
        let deadline = Instant::now() + self.limits.first;
        self.collect(&mut answer, deadline, 0, &|events: &[Seen]| {
            events.last().is_some_and(&enough)
        })
        .await;
        answer
    }

    /// Sends a request, and gives what came until the events are `enough`; an error that names
    /// the request is always.
    pub(super) async fn ask(&mut self, request: Value, enough: impl Fn(&[Seen]) -> bool) -> Answer {
        let limit = self.limits.answer;
        self.ask_within(limit, self.marks, request, enough).await
    }

    /// The same, where a model answers.
    pub(super) async fn ask_model(
        &mut self,
        request: Value,
        enough: impl Fn(&[Seen]) -> bool,
    ) -> Answer {
        let limit = self.limits.response;
        self.until += limit;
        self.ask_within(limit, false, request, enough).await
    }

    async fn ask_within(
        &mut self,
        limit: Duration,
        marked: bool,
        request: Value,
        enough: impl Fn(&[Seen]) -> bool,
    ) -> Answer {
        let mut answer = Answer {
            id: self.next_id(),
            events: Vec::new(),
        };
        let mut frames = vec![(answer.id.clone(), request)];
        if marked {
            frames.push((self.next_id(), json!({"type": MARK})));
        }
        for (id, request) in frames {
            let event = ClientEvent::parse(&request.to_string());
            let mut event = event.expect("the requests are events");
            event.set_event_id(id);
            if self.ended.is_none()
                && let Err(error) = self.link.queue(&event)
            {
                self.ended = Some(error.to_string());
            }
        }
        let deadline = Instant::now() + limit;
        let id = answer.id.clone();
        self.collect(&mut answer, deadline, usize::from(marked), &|events| {
            let is_refusal = |seen: &Seen| {
                seen.error()
                    .is_some_and(|error| error.event_id.as_deref() == Some(id.as_str()))
            };
            events.iter().any(is_refusal) || enough(events)
        })
        .await;
        answer
    }

    /// Receives until the events are enough and no mark is open, or something is too much.
    async fn collect(
        &mut self,
        answer: &mut Answer,
        mut deadline: Instant,
        mut marks: usize,
        enough: &dyn Fn(&[Seen]) -> bool,
    ) {
        let mut bytes = 0;
        let mut frames = 0;
        while self.ended.is_none() && !(marks == 0 && enough(&answer.events)) {
            let late = deadline.min(self.until);
            let incoming = match timeout_at(late, self.link.recv()).await {
                Ok(Ok(incoming)) => incoming,
                Ok(Err(error)) => {
                    self.ended = Some(error.to_string());
                    return;
                }
                Err(_) => {
                    if late == self.until {
                        self.ended = Some("everything together took too long".to_owned());
                    }
                    // A mark that is not answered tells nothing.
                    self.marks &= marks == 0;
                    return;
                }
            };
            let kept = self
                .frame
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            frames += 1;
            bytes += kept.as_deref().map_or(0, str::len);
            match incoming {
                Incoming::Event(event) => {
                    let raw = kept.and_then(|frame| serde_json::from_str(&frame).ok());
                    match raw {
                        Some(Value::Object(raw)) => {
                            self.census.note(kind(&raw), &raw, self.link.dialect());
                            if marks > 0 && kind(&raw) == MARKED {
                                marks -= 1;
                                deadline = deadline.min(Instant::now() + LATER);
                            } else {
                                answer.take(Seen { raw, event });
                            }
                        }
                        _ => self.census.unreadable("it is nested too deeply"),
                    }
                }
                Incoming::Unreadable(why) => self.census.unreadable(&why),
                Incoming::Closed(closed) => {
                    self.ended = Some(closed.to_string());
                    return;
                }
            }
            if frames > MOST_EVENTS || bytes > MOST_BYTES {
                self.ended = Some(format!(
                    "the server does not stop sending ({frames} frames, {bytes} bytes)"
                ));
            }
        }
    }

    /// Ends the session, and gives what was counted.
    pub(super) async fn close(self, patience: Duration) -> Census {
        self.link.close(patience).await;
        self.census
    }

    fn next_id(&mut self) -> String {
        self.sent += 1;
        format!("{OWN_ID}{}", self.sent)
    }
}

fn kind(raw: &Map<String, Value>) -> &str {
    raw.get("type").and_then(Value::as_str).unwrap_or_default()
}
