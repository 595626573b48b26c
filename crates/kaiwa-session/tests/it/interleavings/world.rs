//! What is known of a session from what it said, and what may not be said then.

use std::collections::{BTreeMap, BTreeSet};

use kaiwa_session::{EngineCommand, JobId, Output, Said, Word};
use serde_json::Value;

use super::schema::Schemas;

/// What every client takes in one frame.
const MAX_EVENT_BYTES: usize = 1 << 20;

/// Items that only the server makes and that have no status: they are done later.
const OURS_WITHOUT_STATUS: &[&str] = &["mcp_list_tools", "mcp_call", "mcp_approval_request"];

/// Everything a session said, as far as it matters for what it says next.
#[derive(Default)]
pub(super) struct World {
    pub(super) schemas: Schemas,
    /// Whether it is a transcription session.
    pub(super) transcribes: bool,
    /// Whether there are rate limits.
    limited: bool,
    pub(super) now: u64,
    pub(super) loud: bool,
    /// Every job ever given, so that late results are tried too.
    pub(super) jobs: Vec<Job>,
    /// The streams of the frames that wait to be judged.
    pub(super) frames: Vec<JobId>,
    pub(super) closed: bool,
    /// Types of the events that answer the client's event, and errors that name it.
    pub(super) answers: Vec<String>,
    pub(super) refusals: usize,
    /// Id of the client's event that is being answered.
    pub(super) asked: Option<String>,
    cancelled: BTreeSet<JobId>,
    event_ids: BTreeSet<String>,
    /// Items of the conversation, and whether they are done.
    items: BTreeMap<String, bool>,
    /// Ids of all items ever seen, in order.
    all_items: Vec<String>,
    /// Responses that are not done.
    active: BTreeMap<String, Response>,
    responses: Vec<String>,
    calls: Vec<String>,
    /// Items that ask whether a tool may be called.
    requests: Vec<String>,
    /// Listings of tools that have begun, and whether they are over.
    listings: BTreeMap<String, bool>,
    /// The turn that began and did not end.
    turn: Option<String>,
    /// A turn that ended, or an idle time, that the next event has to commit.
    committing: Option<String>,
    /// An item that has to enter the conversation with the next event, and whether it is done.
    entering: Option<(String, bool)>,
    /// Transcripts that are complete: item and index.
    heard: BTreeSet<(String, u64)>,
    dones: usize,
    /// Sounds whose words were asked for, since they may be nothing.
    pub(super) doubts: u64,
    limits_told: usize,
}

/// A job that was given to an engine.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: JobId,
    pub(super) kind: JobKind,
}

#[derive(Debug)]
pub(super) enum JobKind {
    Transcribe,
    Generate,
    Speak { words: Vec<Word> },
    List,
    CallTool,
    Judge,
}

/// A response that is not done.
#[derive(Default)]
struct Response {
    /// Whether it writes to the conversation.
    writes: bool,
    outputs: Vec<Made>,
}

/// An item of a response.
struct Made {
    item_id: String,
    /// Type of the item.
    kind: String,
    /// Of a call.
    call_id: Option<String>,
    /// Kind of its part, `audio` or `text`, once it was added.
    part: Option<String>,
    /// What was said in deltas so far.
    said: String,
    /// Types of the done family so far.
    dones: Vec<String>,
    done: bool,
}

impl World {
    pub(super) fn new(transcribes: bool, limited: bool) -> Self {
        Self {
            transcribes,
            limited,
            ..Self::default()
        }
    }

    /// Something the session wants done.
    pub(super) fn see(&mut self, output: Output) {
        assert!(!self.closed, "nothing comes after the close: {output:?}");
        match output {
            Output::Send(event) => {
                let json = event.to_json();
                assert!(
                    json.len() < MAX_EVENT_BYTES,
                    "{} is too large",
                    event.kind()
                );
                let event: Value = serde_json::from_str(&json).expect("JSON");
                self.schemas.check(&event);
                self.see_event(&event);
            }
            Output::Run(job, EngineCommand::Detect { frame }) => {
                assert_eq!(frame.len(), 512);
                assert!(!self.cancelled.contains(&job));
                self.frames.push(job);
            }
            Output::Run(id, command) => {
                assert!(self.jobs.iter().all(|other| other.id != id));
                assert!(!self.cancelled.contains(&id));
                let kind = self.kind_of(command);
                self.jobs.push(Job { id, kind });
            }
            Output::Cancel(job) => {
                assert!(self.cancelled.insert(job), "{job:?} is cancelled once");
                self.frames.retain(|other| *other != job);
            }
            Output::Close(_) => self.closed = true,
        }
    }

    /// The conversation when nothing is going on any more: all is done.
    pub(super) fn assert_settled(&self) {
        assert_eq!(self.entering, None);
        if self.closed {
            return;
        }
        assert!(self.active.is_empty(), "some response is not done");
        for (item, done) in &self.items {
            // Nobody cancels a listing: it is done when its server has answered.
            let is_asked = self.listings.get(item) == Some(&false);
            assert!(
                *done || is_asked,
                "{item} was added and is neither done nor deleted"
            );
        }
        let limits = if self.limited { self.dones } else { 0 };
        assert_eq!(self.limits_told, limits, "limits are told once a response");
    }

    /// Ids of the responses that are not done.
    pub(super) fn active(&self) -> Vec<String> {
        self.active.keys().cloned().collect()
    }

    /// Some item's id, perhaps of one that was deleted.
    pub(super) fn item(&self, number: usize) -> String {
        pick(&self.all_items, number)
    }

    /// Some response's id, perhaps of one that is done.
    pub(super) fn response(&self, number: usize) -> String {
        pick(&self.responses, number)
    }

    /// Some request for approval, perhaps one that was answered.
    pub(super) fn request(&self, number: usize) -> String {
        pick(&self.requests, number)
    }

    /// Some call's id.
    pub(super) fn call(&self, number: usize) -> String {
        pick(&self.calls, number)
    }

    fn kind_of(&mut self, command: EngineCommand) -> JobKind {
        match command {
            EngineCommand::Transcribe { what, .. } => {
                self.doubts += u64::from(what == Said::Sound);
                JobKind::Transcribe
            }
            EngineCommand::Generate(_) | EngineCommand::Prime(_) => {
                assert!(!self.transcribes, "there is nothing to answer");
                JobKind::Generate
            }
            EngineCommand::Speak { text, .. } => {
                assert!(text.chars().any(char::is_alphanumeric), "{text:?}");
                let mut at = 0;
                let words = text.split(' ').zip(0_u32..).map(|(word, index)| {
                    let range = at..at + word.len();
                    at = range.end + 1;
                    Word {
                        text: range,
                        samples: index * 80..(index + 1) * 80,
                    }
                });
                JobKind::Speak {
                    words: words.collect(),
                }
            }
            EngineCommand::JudgeTurn { audio } => {
                assert!(audio.len() <= 8 * 16_000);
                JobKind::Judge
            }
            EngineCommand::ListTools(server) => {
                assert!(server.url.starts_with("http"), "{server:?}");
                JobKind::List
            }
            EngineCommand::CallTool { name, .. } => {
                assert!(name == "look" || name == "ask", "{name} was offered");
                JobKind::CallTool
            }
            EngineCommand::Detect { .. } => unreachable!("frames are no jobs of their own"),
        }
    }

    fn see_event(&mut self, event: &Value) {
        assert!(self.event_ids.insert(text(&event["event_id"])));
        let kind = text(&event["type"]);
        if let Some((item, _)) = &self.entering {
            assert!(
                kind.starts_with("conversation.item."),
                "{item} has to enter: {event}"
            );
        }
        let commits = kind == "input_audio_buffer.committed";
        assert!(commits || self.committing.is_none(), "{event}");
        match kind.as_str() {
            "error" => self.see_error(&event["error"]),
            _ => self.answers.push(kind.clone()),
        }
        assert!(
            !(self.transcribes && kind.starts_with("response.")),
            "{event}"
        );
        match kind.as_str() {
            "session.created" | "session.updated" => {
                let expected = if self.transcribes {
                    "transcription"
                } else {
                    "realtime"
                };
                assert_eq!(event["session"]["type"], expected);
                if event["session"]["audio"]["input"]["turn_detection"].is_null() {
                    self.turn = None;
                }
            }
            "rate_limits.updated" => self.limits_told += 1,
            "response.created" => self.see_created(&event["response"]),
            "response.done" => self.see_done(&event["response"]),
            _ if kind.starts_with("response.") => self.see_progress(&kind, event),
            _ if kind.starts_with("mcp_list_tools.") => self.see_listing(&kind, event),
            _ if kind.starts_with("conversation.item.") => self.see_item(&kind, event),
            _ if kind.starts_with("input_audio_buffer.") => self.see_buffer(&kind, event),
            _ => {}
        }
    }

    fn see_error(&mut self, error: &Value) {
        assert!(
            error["message"].is_string() && error["code"].is_string(),
            "{error}"
        );
        match error["event_id"].as_str() {
            // Of what the session did by itself.
            None => {}
            // Of an event before: a server that it declared cannot be asked.
            id if text(&error["message"]).starts_with("Cannot list the tools") => {
                assert!(id.is_some_and(|id| id.starts_with("mine_")), "{error}");
            }
            id => {
                assert_eq!(id, self.asked.as_deref(), "{error}");
                self.refusals += 1;
            }
        }
    }

    fn see_buffer(&mut self, kind: &str, event: &Value) {
        if kind == "input_audio_buffer.cleared" {
            self.turn = None;
            return;
        }
        let id = text(&event["item_id"]);
        assert!(!self.all_items.contains(&id), "{event}");
        match kind {
            // A turn before it was dropped with its audio.
            "input_audio_buffer.speech_started" => self.turn = Some(id),
            "input_audio_buffer.speech_stopped" => {
                assert_eq!(self.turn.take().as_ref(), Some(&id), "{event}");
                self.committing = Some(id);
            }
            "input_audio_buffer.timeout_triggered" => self.committing = Some(id),
            "input_audio_buffer.committed" => {
                let announced = self.committing.take().or_else(|| self.turn.take());
                assert!(announced.is_none_or(|announced| announced == id), "{event}");
                self.assert_there(&event["previous_item_id"]);
                self.entering = Some((id, false));
            }
            _ => panic!("{event}"),
        }
    }

    fn see_listing(&mut self, kind: &str, event: &Value) {
        let id = text(&event["item_id"]);
        if kind == "mcp_list_tools.in_progress" {
            assert_eq!(self.items.get(&id), Some(&false), "{event}");
            assert!(self.listings.insert(id, false).is_none(), "{event}");
        } else {
            assert_ne!(self.items.get(&id), Some(&false), "{event}");
            assert_eq!(self.listings.insert(id, true), Some(false), "{event}");
        }
    }

    fn see_item(&mut self, kind: &str, event: &Value) {
        let id = match event["item_id"].as_str() {
            Some(id) => id.to_owned(),
            None => text(&event["item"]["id"]),
        };
        match kind {
            "conversation.item.added" => {
                let waits = self.entering.take();
                assert!(
                    waits.is_none_or(|waits| waits == (id.clone(), false)),
                    "{event}"
                );
                self.assert_there(&event["previous_item_id"]);
                let item_kind = text(&event["item"]["type"]);
                let in_progress = event["item"]["status"] == "in_progress"
                    || OURS_WITHOUT_STATUS.contains(&item_kind.as_str());
                if item_kind == "mcp_approval_request" {
                    self.requests.push(id.clone());
                }
                assert!(self.items.insert(id.clone(), false).is_none(), "{event}");
                if !in_progress {
                    self.entering = Some((id.clone(), true));
                }
                if let Some(call) = event["item"]["call_id"].as_str()
                    && event["item"]["type"] == "function_call"
                    && !in_progress
                {
                    self.calls.push(call.to_owned());
                }
                self.all_items.push(id);
            }
            "conversation.item.done" => {
                let waits = self.entering.take();
                assert!(
                    waits.is_none_or(|waits| waits == (id.clone(), true)),
                    "{event}"
                );
                self.assert_there(&event["previous_item_id"]);
                assert_ne!(event["item"]["status"], "in_progress");
                assert_eq!(self.items.insert(id, true), Some(false), "{event}");
            }
            _ => {
                assert!(self.items.contains_key(&id), "{event}");
                assert_eq!(self.entering, None, "{event}");
                if kind == "conversation.item.deleted" {
                    self.items.remove(&id);
                    self.heard.retain(|(item, _)| *item != id);
                } else if kind.contains("transcription") {
                    let index = event["content_index"].as_u64().expect("an index");
                    let part = (id, index);
                    assert!(!self.heard.contains(&part), "{event}");
                    if kind.ends_with("completed") || kind.ends_with("failed") {
                        self.heard.insert(part);
                    }
                }
            }
        }
    }

    fn see_created(&mut self, response: &Value) {
        let id = text(&response["id"]);
        let writes = response["conversation_id"].is_string();
        assert!(!self.responses.contains(&id));
        assert!(
            !writes || self.active.values().all(|other| !other.writes),
            "two responses write to the conversation"
        );
        assert_eq!(response["output"], Value::Array(Vec::new()));
        let created = Response {
            writes,
            ..Response::default()
        };
        self.active.insert(id.clone(), created);
        self.responses.push(id);
    }

    fn see_done(&mut self, response: &Value) {
        self.dones += 1;
        let done = self.active.remove(&text(&response["id"]));
        let done = done.expect("a response is done once, and was created");
        let output = response["output"].as_array().expect("items");
        let ids: Vec<_> = output.iter().map(|item| text(&item["id"])).collect();
        let made: Vec<_> = done
            .outputs
            .iter()
            .map(|made| made.item_id.clone())
            .collect();
        assert_eq!(ids, made);
        for (made, item) in done.outputs.iter().zip(output) {
            assert!(made.done, "{} is not done", made.item_id);
            assert_ne!(item["status"], "in_progress");
            if done.writes {
                let settled = self.items.get(&made.item_id).is_none_or(|done| *done);
                assert!(settled, "{} is neither done nor deleted", made.item_id);
            }
        }
        if response["status"] == "completed" {
            assert!(response["status_details"].is_null());
        } else {
            assert_eq!(response["status_details"]["type"], response["status"]);
        }
        assert_adds_up(&response["usage"]);
    }

    fn see_progress(&mut self, kind: &str, event: &Value) {
        let response = match event["response_id"].as_str() {
            Some(id) => self.active.get_mut(id),
            // Progress of a tool call tells only its item.
            None => self.active.values_mut().find(|response| {
                let mut made = response.outputs.iter();
                made.any(|made| event["item_id"] == made.item_id.as_str())
            }),
        };
        let response = response.unwrap_or_else(|| panic!("of no active response: {event}"));
        let index = event["output_index"].as_u64().expect("an index") as usize;
        if kind == "response.output_item.added" {
            let item = &event["item"];
            let item_id = text(&item["id"]);
            assert_eq!(index, response.outputs.len(), "{event}");
            let kind = text(&item["type"]);
            if !OURS_WITHOUT_STATUS.contains(&kind.as_str()) {
                assert_eq!(item["status"], "in_progress");
            }
            assert!(!self.all_items.contains(&item_id), "{event}");
            let call_id = item["call_id"].as_str().map(str::to_owned);
            if let Some(call_id) = &call_id {
                assert!(!self.calls.contains(call_id), "{event}");
                self.calls.push(call_id.clone());
            }
            if response.writes {
                self.entering = Some((item_id.clone(), false));
            }
            response.outputs.push(Made {
                item_id,
                kind,
                call_id,
                part: None,
                said: String::new(),
                dones: Vec::new(),
                done: false,
            });
            return;
        }
        let made = &mut response.outputs[index];
        assert!(!made.done, "{event}");
        let item_id = event["item_id"]
            .as_str()
            .or_else(|| event["item"]["id"].as_str());
        assert_eq!(item_id, Some(made.item_id.as_str()), "{event}");
        if kind == "response.output_item.done" {
            made.finish(&event["item"]);
            if response.writes && self.items.get(&made.item_id) == Some(&false) {
                self.entering = Some((made.item_id.clone(), true));
            }
        } else {
            made.go_on(kind, event);
        }
    }

    /// An item that comes before another is in the conversation.
    fn assert_there(&self, previous: &Value) {
        if let Some(previous) = previous.as_str() {
            assert!(self.items.contains_key(previous), "{previous} is not there");
        }
    }
}

impl Made {
    fn go_on(&mut self, kind: &str, event: &Value) {
        let of = |kinds: &[&str]| kinds.contains(&kind);
        let audio = of(&[
            "response.output_audio.delta",
            "response.output_audio.done",
            "response.output_audio_transcript.delta",
            "response.output_audio_transcript.done",
        ]);
        let written = of(&["response.output_text.delta", "response.output_text.done"]);
        let call = kind.starts_with("response.function_call_arguments.");
        match kind {
            "response.content_part.added" => {
                assert!(self.part.is_none() && self.call_id.is_none(), "{event}");
                self.part = Some(text(&event["part"]["type"]));
            }
            "response.content_part.done" => {
                assert_eq!(event["part"]["type"].as_str(), self.part.as_deref());
                let words = ["transcript", "text"].map(|name| event["part"][name].as_str());
                assert!(words.contains(&Some(self.said.as_str())), "{event}");
            }
            _ if audio => assert_eq!(self.part.as_deref(), Some("audio"), "{event}"),
            _ if written => assert_eq!(self.part.as_deref(), Some("text"), "{event}"),
            _ if call => assert_eq!(event["call_id"].as_str(), self.call_id.as_deref()),
            _ if kind.starts_with("response.mcp_call") => assert_eq!(self.kind, "mcp_call"),
            _ => panic!("{event}"),
        }
        if kind.ends_with(".delta") {
            assert!(self.dones.is_empty(), "{event}");
            let delta = event["delta"].as_str().expect("a delta");
            match kind {
                // 200 ms of audio.
                "response.output_audio.delta" => assert!((1..=12_800).contains(&delta.len())),
                _ => self.said.push_str(delta),
            }
        } else if kind.ends_with(".done") {
            for name in ["transcript", "text", "arguments"] {
                if let Some(whole) = event[name].as_str() {
                    assert_eq!(whole, self.said, "{event}");
                }
            }
            self.dones.push(kind.to_owned());
        } else if kind == "response.mcp_call.in_progress" {
            assert_eq!(self.dones, ["response.mcp_call_arguments.done"], "{event}");
        } else if kind.starts_with("response.mcp_call.") {
            self.dones.push("response.mcp_call over".to_owned());
        }
    }

    fn finish(&mut self, item: &Value) {
        assert_ne!(item["status"], "in_progress", "{item}");
        let family: &[&str] = match (self.kind.as_str(), self.part.as_deref()) {
            ("function_call", None) => &["response.function_call_arguments.done"],
            ("mcp_call", None) => {
                assert_ne!(item["output"].is_string(), item["error"].is_object());
                &["response.mcp_call_arguments.done", "response.mcp_call over"]
            }
            ("mcp_approval_request", None) => &[],
            ("message", Some("audio")) => &[
                "response.output_audio.done",
                "response.output_audio_transcript.done",
                "response.content_part.done",
            ],
            ("message", Some("text")) => {
                &["response.output_text.done", "response.content_part.done"]
            }
            (kind, part) => panic!("a {kind} with a part of kind {part:?}"),
        };
        assert_eq!(self.dones, family, "{item}");
        self.done = true;
    }
}

/// The counts of a response add up, by kind and in all.
fn assert_adds_up(usage: &Value) {
    let number = |value: &Value| value.as_u64().expect("a number");
    let sum = |details: &Value| {
        let kinds = ["text_tokens", "audio_tokens", "image_tokens"];
        let known = kinds.iter().filter_map(|kind| details[kind].as_u64());
        known.sum::<u64>()
    };
    let input = &usage["input_token_details"];
    let cached = &input["cached_tokens_details"];
    let output = &usage["output_token_details"];
    assert_eq!(sum(input), number(&usage["input_tokens"]), "{usage}");
    assert_eq!(sum(cached), number(&input["cached_tokens"]), "{usage}");
    assert_eq!(sum(output), number(&usage["output_tokens"]), "{usage}");
    for kind in ["text_tokens", "audio_tokens"] {
        assert!(number(&cached[kind]) <= number(&input[kind]), "{usage}");
    }
    assert_eq!(
        number(&usage["input_tokens"]) + number(&usage["output_tokens"]),
        number(&usage["total_tokens"]),
        "{usage}"
    );
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

fn pick(ids: &[String], number: usize) -> String {
    match ids.len() {
        0 => "nobody".to_owned(),
        count => ids[number % count].clone(),
    }
}
