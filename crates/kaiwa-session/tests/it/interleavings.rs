//! Whatever happens in whatever order, the session keeps its promises.

use std::collections::{BTreeMap, BTreeSet};

use kaiwa_session::{EngineCommand, EngineEvent, Input, JobId, Output, Session, SessionOptions};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::harness::{failed, generated, speech, transcript};

/// One thing that happens.
#[derive(Clone, Debug)]
enum Happening {
    /// A client's event; numbers choose among the ids seen so far.
    Client(ClientAct),
    Audio {
        ms: u16,
        loud: bool,
    },
    /// The job chosen by the number says something.
    Engine {
        job: usize,
        act: EngineAct,
    },
    Time(u32),
}

#[derive(Clone, Debug)]
enum ClientAct {
    Update(u8),
    Commit,
    Clear,
    Say(bool),
    CallOutput,
    Retrieve(usize),
    Delete(usize),
    Truncate(usize, u16),
    Respond { aside: bool, text: bool },
    Cancel(Option<usize>),
}

#[derive(Clone, Debug)]
enum EngineAct {
    /// What the job is for.
    Finish,
    Piece,
    Call,
    Fail,
    /// Something that makes no sense for the job.
    Nonsense,
}

fn happening() -> impl Strategy<Value = Happening> {
    let client = prop_oneof![
        (0..6_u8).prop_map(ClientAct::Update),
        Just(ClientAct::Commit),
        Just(ClientAct::Clear),
        any::<bool>().prop_map(ClientAct::Say),
        Just(ClientAct::CallOutput),
        any::<usize>().prop_map(ClientAct::Retrieve),
        any::<usize>().prop_map(ClientAct::Delete),
        (any::<usize>(), 0..3000_u16).prop_map(|(item, ms)| ClientAct::Truncate(item, ms)),
        any::<(bool, bool)>().prop_map(|(aside, text)| ClientAct::Respond { aside, text }),
        prop::option::of(any::<usize>()).prop_map(ClientAct::Cancel),
    ];
    let engine = prop_oneof![
        4 => Just(EngineAct::Finish),
        3 => Just(EngineAct::Piece),
        1 => Just(EngineAct::Call),
        1 => Just(EngineAct::Fail),
        1 => Just(EngineAct::Nonsense),
    ];
    prop_oneof![
        3 => client.prop_map(Happening::Client),
        3 => (0..700_u16, any::<bool>()).prop_map(|(ms, loud)| Happening::Audio { ms, loud }),
        5 => (any::<usize>(), engine).prop_map(|(job, act)| Happening::Engine { job, act }),
        1 => (0..8000_u32).prop_map(Happening::Time),
    ]
}

/// What is known of the session from what it said.
#[derive(Default)]
struct World {
    now: u64,
    loud: bool,
    /// Every job ever given, so that late results are tried too.
    jobs: Vec<(JobId, EngineCommand)>,
    frames: Vec<JobId>,
    cancelled: BTreeSet<JobId>,
    event_ids: BTreeSet<String>,
    items: Vec<String>,
    responses: Vec<String>,
    /// Responses that are not done, and whether they write to the conversation.
    active: BTreeMap<String, bool>,
    calls: usize,
    closed: bool,
}

impl World {
    fn see(&mut self, output: Output) {
        assert!(!self.closed, "nothing comes after the close: {output:?}");
        match output {
            Output::Send(event) => {
                let event: Value = serde_json::from_str(&event.to_json()).expect("JSON");
                self.see_event(&event);
            }
            Output::Run(job, EngineCommand::Detect { frame }) => {
                assert_eq!(frame.len(), 512);
                assert!(!self.cancelled.contains(&job));
                self.frames.push(job);
            }
            Output::Run(job, command) => {
                assert!(self.jobs.iter().all(|(other, _)| *other != job));
                if let EngineCommand::Speak { text, .. } = &command {
                    assert!(text.chars().any(char::is_alphanumeric), "{text:?}");
                }
                self.jobs.push((job, command));
            }
            Output::Cancel(job) => {
                assert!(self.cancelled.insert(job), "{job:?} is cancelled once");
                self.frames.retain(|other| *other != job);
            }
            Output::Close(_) => self.closed = true,
        }
    }

    fn see_event(&mut self, event: &Value) {
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        assert!(self.event_ids.insert(text(&event["event_id"])));
        let kind = text(&event["type"]);
        match kind.as_str() {
            "response.created" => {
                let id = text(&event["response"]["id"]);
                let writes = event["response"]["conversation_id"].is_string();
                assert!(!self.responses.contains(&id));
                assert!(!writes || self.active.values().all(|writes| !writes));
                self.active.insert(id.clone(), writes);
                self.responses.push(id);
            }
            "response.done" => {
                let response = &event["response"];
                assert!(self.active.remove(&text(&response["id"])).is_some());
                let output = response["output"].as_array().expect("items");
                for item in output {
                    assert_ne!(item["status"], "in_progress");
                }
                if response["status"] == "completed" {
                    assert!(response["status_details"].is_null());
                } else {
                    assert_eq!(response["status_details"]["type"], response["status"]);
                }
            }
            "conversation.item.added" => {
                let id = text(&event["item"]["id"]);
                assert!(!self.items.contains(&id));
                self.items.push(id);
            }
            "response.function_call_arguments.done" => self.calls += 1,
            _ => {}
        }
        if kind.starts_with("response.") && event["response_id"].is_string() {
            assert!(
                self.active.contains_key(&text(&event["response_id"])),
                "{event}"
            );
        }
        if kind.ends_with("audio.delta") {
            let base64 = event["delta"].as_str().expect("base64").len();
            assert!((1..=12_800).contains(&base64));
        }
    }

    fn pick(ids: &[String], number: usize) -> String {
        match ids.len() {
            0 => "nobody".to_owned(),
            count => ids[number % count].clone(),
        }
    }

    fn client_event(&self, act: &ClientAct) -> Value {
        let audio = |input: Value| {
            json!({"type": "session.update", "session": {
            "type": "realtime", "audio": {"input": input}}})
        };
        match act {
            ClientAct::Update(0) => audio(json!({"turn_detection": null})),
            ClientAct::Update(1) => audio(json!({"turn_detection": {"type": "server_vad",
                "silence_duration_ms": 96, "idle_timeout_ms": 5000}})),
            ClientAct::Update(2) => audio(json!({"turn_detection": {"type": "server_vad",
                "interrupt_response": false, "silence_duration_ms": 200}})),
            ClientAct::Update(3) => audio(json!({"format": {"type": "audio/pcmu"}})),
            ClientAct::Update(4) => audio(json!({"format": {"type": "audio/pcm"},
                "transcription": {"model": "whisper-1"}})),
            ClientAct::Update(_) => audio(json!({"nonsense": 1})),
            ClientAct::Commit => json!({"type": "input_audio_buffer.commit"}),
            ClientAct::Clear => json!({"type": "input_audio_buffer.clear"}),
            ClientAct::Say(first) => json!({"type": "conversation.item.create",
                "previous_item_id": if *first { json!("root") } else { Value::Null },
                "item": {"type": "message", "role": "user",
                    "content": [{"type": "input_text", "text": "hi"},
                        {"type": "input_audio", "audio": "AAAA"}]}}),
            ClientAct::CallOutput => json!({"type": "conversation.item.create", "item": {
                "type": "function_call_output", "call_id": "call_x", "output": "1"}}),
            ClientAct::Retrieve(number) => json!({"type": "conversation.item.retrieve",
                "item_id": Self::pick(&self.items, *number)}),
            ClientAct::Delete(number) => json!({"type": "conversation.item.delete",
                "item_id": Self::pick(&self.items, *number)}),
            ClientAct::Truncate(number, ms) => json!({"type": "conversation.item.truncate",
                "item_id": Self::pick(&self.items, *number), "content_index": 0,
                "audio_end_ms": ms}),
            ClientAct::Respond { aside, text } => {
                let mut response = json!({});
                if *aside {
                    response["conversation"] = json!("none");
                    response["input"] = json!([{"type": "item_reference",
                        "id": Self::pick(&self.items, 0)}]);
                }
                if *text {
                    response["output_modalities"] = json!(["text"]);
                }
                json!({"type": "response.create", "response": response})
            }
            ClientAct::Cancel(None) => json!({"type": "response.cancel"}),
            ClientAct::Cancel(Some(number)) => json!({"type": "response.cancel",
                "response_id": Self::pick(&self.responses, *number)}),
        }
    }

    fn engine_event(command: &EngineCommand, act: &EngineAct) -> EngineEvent {
        match (act, command) {
            (EngineAct::Fail, _) => failed("chance"),
            (EngineAct::Nonsense, EngineCommand::Generate(_)) => transcript("what?"),
            (EngineAct::Nonsense, _) => EngineEvent::Text {
                text: "what? ".to_owned(),
            },
            (EngineAct::Call, _) => EngineEvent::CallStart {
                call_id: "call_x".to_owned(),
                name: "f".to_owned(),
            },
            (EngineAct::Piece, EngineCommand::Generate(_)) => EngineEvent::Text {
                text: " Well then, this is 3.5 words. **Or** not".to_owned(),
            },
            (EngineAct::Piece, EngineCommand::Speak { text, .. }) => speech(text).remove(0),
            (EngineAct::Piece, _) => EngineEvent::TranscriptDelta {
                text: "hel".to_owned(),
            },
            (EngineAct::Finish, EngineCommand::Generate(_)) => generated(3),
            (EngineAct::Finish, EngineCommand::Speak { .. }) => EngineEvent::Spoken,
            (EngineAct::Finish, _) => transcript("hello"),
        }
    }

    fn happen(&mut self, session: &mut Session, happening: &Happening) {
        let outputs: Vec<_> = match happening {
            Happening::Client(act) => {
                let frame = self.client_event(act).to_string();
                let event = kaiwa_protocol::ClientEvent::parse(&frame).expect("well formed");
                session.handle(Input::Client(event), self.now).collect()
            }
            Happening::Audio { ms, loud } => {
                self.now += u64::from(*ms);
                self.loud = *loud;
                // Not a whole number of samples, on purpose.
                let bytes: Vec<u8> = (0..usize::from(*ms) * 48 + 1).map(|n| n as u8).collect();
                let input = Input::Audio {
                    event_id: None,
                    bytes: &bytes,
                };
                session.handle(input, self.now).collect()
            }
            Happening::Engine { job, act } if !self.jobs.is_empty() => {
                let (job, command) = self.jobs[job % self.jobs.len()].clone();
                let event = Self::engine_event(&command, act);
                session
                    .handle(Input::Engine(job, event), self.now)
                    .collect()
            }
            Happening::Engine { .. } => Vec::new(),
            Happening::Time(ms) => {
                self.now += u64::from(*ms);
                session.handle(Input::Timeout, self.now).collect()
            }
        };
        outputs.into_iter().for_each(|output| self.see(output));
        // The detector keeps up, and may answer a moment too late.
        while !self.frames.is_empty() {
            let job = self.frames.remove(0);
            let probability = if self.loud { 0.9 } else { 0.1 };
            let event = EngineEvent::Voice { probability };
            let outputs: Vec<_> = session
                .handle(Input::Engine(job, event), self.now)
                .collect();
            outputs.into_iter().for_each(|output| self.see(output));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn promises_are_kept_whatever_happens(
        happenings in prop::collection::vec(happening(), 1..60),
        seed in any::<u64>(),
    ) {
        let mut session = Session::new(SessionOptions {
            seed,
            max_session_ms: 200_000,
            max_buffer_ms: 2_000,
            max_kept_audio_bytes: 100_000,
            silence_duration_ms: 200,
            ..SessionOptions::default()
        });
        let mut world = World::default();
        let outputs: Vec<_> = session.start(0).collect();
        outputs.into_iter().for_each(|output| world.see(output));
        for happening in &happenings {
            world.happen(&mut session, happening);
        }

        // Whoever cancels all that is active has everything done.
        for id in world.active.clone().into_keys() {
            let event = json!({"type": "response.cancel", "response_id": id}).to_string();
            let event = kaiwa_protocol::ClientEvent::parse(&event).expect("well formed");
            let now = world.now;
            let outputs: Vec<_> = session.handle(Input::Client(event), now).collect();
            outputs.into_iter().for_each(|output| world.see(output));
        }
        prop_assert!(world.closed || world.active.is_empty());
    }
}
