//! A connection that is asked things, with limits on everything that comes back.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kaiwa_client::{Direction, Incoming, Link};
use kaiwa_protocol::{ClientEvent, Dialect, ErrorDetail, ServerEvent};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout_at};

use super::{census::Census, key::Secrets};

/// The most events, and bytes of them, that are taken as the answer to one request.
const MOST_EVENTS: usize = 2000;
const MOST_BYTES: u64 = 32 << 20;
/// How much more patience an answer of a model is worth than another.
const OF_A_MODEL: u32 = 6;
/// How many times the patience for one answer all may take together.
const OF_ALL: u32 = 20;
/// A server that has said nothing after this does not speak first, nor after half of the patience
/// where that is more.
const SPEAKS_FIRST: Duration = Duration::from_secs(5);
/// An answer that is later than the answer to the next request is waited for so long, or for a
/// part of the patience where that is more.
const LATER: Duration = Duration::from_secs(1);
const PART_FOR_LATER: u32 = 5;
/// The most types that are listed of what came.
const MOST_LISTED: usize = 12;

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
    /// For an answer that comes after that of the mark behind its request.
    pub(super) later: Duration,
    /// For what a model answers.
    pub(super) response: Duration,
    /// For everything together, once connected.
    pub(super) all: Duration,
}

impl Limits {
    pub(super) fn new(answer: Duration) -> Self {
        Self {
            connection: Duration::from_secs(25),
            first: answer.min(SPEAKS_FIRST).max(answer / 2),
            answer,
            later: LATER.max(answer / PART_FOR_LATER),
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
    /// Confirmations that may as well be of an earlier request.
    pub(super) doubtful: u64,
}

impl Answer {
    fn new(id: String) -> Self {
        Self {
            id,
            events: Vec::new(),
            doubtful: 0,
        }
    }

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

    /// The types that came, each once, and not more than can be read.
    pub(super) fn kinds(&self) -> String {
        let mut kinds: Vec<&str> = Vec::new();
        for seen in &self.events {
            if !kinds.contains(&seen.kind()) {
                kinds.push(seen.kind());
            }
        }
        let more = kinds.len().saturating_sub(MOST_LISTED);
        kinds.truncate(MOST_LISTED);
        match more {
            0 => kinds.join(", "),
            _ => format!("{}, {more} more", kinds.join(", ")),
        }
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
    /// Confirmations that were asked for and have not come, by their type: the next of the type
    /// is one of these.
    owed: BTreeMap<&'static str, u64>,
    /// Responses that were asked for and have not begun.
    responses: u64,
    /// Responses that began and that nobody asked for.
    unasked: u64,
    /// Why nothing more can be asked.
    ended: Option<String>,
}

impl Wire {
    pub(super) fn new(mut link: Link, limits: Limits, secrets: Secrets) -> Self {
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
            census: Census::new(secrets),
            sent: 0,
            marks: false,
            owed: BTreeMap::new(),
            responses: 0,
            unasked: 0,
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

    /// Whether every request so far was known to be answered by the mark behind it, so that the
    /// input buffer is empty.
    pub(super) fn has_marks(&self) -> bool {
        self.marks
    }

    /// How many responses began that nobody asked for.
    pub(super) fn unasked(&self) -> u64 {
        self.unasked
    }

    /// What comes by itself until one event is `enough`.
    pub(super) async fn listen(&mut self, enough: impl Fn(&Seen) -> bool) -> Answer {
        let mut answer = Answer::new(String::new());
        let wait = Wait {
            limit: self.limits.first,
            marks: 0,
            confirmation: None,
        };
        self.collect(&mut answer, wait, &|events: &[Seen]| {
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
        self.responses += 1;
        self.ask_within(limit, false, request, enough).await
    }

    async fn ask_within(
        &mut self,
        limit: Duration,
        marked: bool,
        request: Value,
        enough: impl Fn(&[Seen]) -> bool,
    ) -> Answer {
        let mut answer = Answer::new(self.next_id());
        let confirmation = confirmation(kind_of(&request));
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
        let wait = Wait {
            limit,
            marks: u64::from(marked),
            confirmation,
        };
        let id = answer.id.clone();
        self.collect(&mut answer, wait, &|events| {
            let is_refusal = |seen: &Seen| {
                seen.error()
                    .is_some_and(|error| error.event_id.as_deref() == Some(id.as_str()))
            };
            events.iter().any(is_refusal) || enough(events)
        })
        .await;
        // A doubtful one came in its place: to owe one more would put all that follow in doubt.
        if let Some(kind) = confirmation
            && answer.doubtful == 0
            && answer.error().is_none()
            && answer.find(kind).is_none()
        {
            *self.owed.entry(kind).or_default() += 1;
        }
        answer
    }

    /// Receives until the events are enough and no mark is open, or something is too much.
    async fn collect(&mut self, answer: &mut Answer, wait: Wait, enough: &dyn Fn(&[Seen]) -> bool) {
        let mut deadline = Instant::now() + wait.limit;
        let mut marks = wait.marks;
        let before = self.link.received_bytes();
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
                    // A mark that is not answered tells nothing, and its answer even less.
                    if marks > 0 {
                        self.marks = false;
                        *self.owed.entry(MARKED).or_default() += marks;
                    }
                    return;
                }
            };
            let kept = self
                .frame
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            frames += 1;
            let bytes = self.link.received_bytes().saturating_sub(before);
            match incoming {
                Incoming::Event(event) => {
                    let raw = kept.and_then(|frame| serde_json::from_str(&frame).ok());
                    match raw {
                        Some(Value::Object(raw)) => {
                            self.census.note(kind(&raw), &raw, self.link.dialect());
                            self.count_response(kind(&raw));
                            if self.is_late(event.kind()) {
                                // The own one may still come.
                                if wait.confirmation == Some(event.kind()) {
                                    answer.doubtful += 1;
                                    deadline = Instant::now() + wait.limit;
                                }
                            } else if marks > 0 && kind(&raw) == MARKED {
                                marks -= 1;
                                let later = Instant::now() + self.limits.later;
                                if answer.doubtful == 0 {
                                    deadline = deadline.min(later);
                                }
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

    /// Whether an event of a type is the confirmation of an earlier request, which is then owed no
    /// more.
    fn is_late(&mut self, kind: &str) -> bool {
        match self.owed.get_mut(kind) {
            Some(owed) if *owed > 0 => {
                *owed -= 1;
                true
            }
            _ => false,
        }
    }

    fn count_response(&mut self, kind: &str) {
        if kind != "response.created" {
            return;
        }
        match self.responses.checked_sub(1) {
            Some(left) => self.responses = left,
            None => self.unasked += 1,
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

/// What [`Wire::collect`] waits for.
#[derive(Clone, Copy)]
struct Wait {
    limit: Duration,
    /// Marks that are sent with the request.
    marks: u64,
    /// What confirms the request, by its type.
    confirmation: Option<&'static str>,
}

/// The type of what confirms a request of a type, as general availability calls it.
fn confirmation(request: &str) -> Option<&'static str> {
    Some(match request {
        "conversation.item.create" => "conversation.item.added",
        "conversation.item.delete" => "conversation.item.deleted",
        "conversation.item.retrieve" => "conversation.item.retrieved",
        "session.update" => "session.updated",
        MARK => MARKED,
        _ => return None,
    })
}

fn kind_of(request: &Value) -> &str {
    request
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn kind(raw: &Map<String, Value>) -> &str {
    raw.get("type").and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_long_waits_long_for_everything() {
        let seconds = Duration::from_secs;
        let limits = Limits::new(seconds(5));
        assert_eq!((limits.first, limits.later), (seconds(5), seconds(1)));
        let limits = Limits::new(seconds(120));
        assert_eq!((limits.first, limits.later), (seconds(60), seconds(24)));
        let brief = Duration::from_millis(200);
        assert_eq!(Limits::new(brief).first, brief);
    }
}
