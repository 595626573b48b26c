//! A session with a virtual clock and scripted engines, and a readable record of what it says.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt::Write as _,
};

use kaiwa_protocol::{ClientEvent, ServerEvent};
use kaiwa_session::{
    EngineCommand, EngineEvent, Input, JobId, Output, Session, SessionOptions, Word,
    journal::{Line, Writer},
};
use serde_json::{Value, json};

/// Milliseconds a scripted voice takes for a word.
pub(crate) const WORD_MS: usize = 300;

/// A session, its clock, its engines, and the record.
pub(crate) struct Harness {
    pub(crate) session: Session,
    writer: Writer,
    /// Everything that went in and came out.
    journal: Vec<Line>,
    pub(crate) now: u64,
    /// Everything sent to the client since the beginning.
    pub(crate) events: Vec<Value>,
    record: String,
    names: HashMap<String, String>,
    counts: HashMap<&'static str, usize>,
    /// Jobs that are not answered yet.
    pub(crate) jobs: VecDeque<(JobId, EngineCommand)>,
    pub(crate) cancelled: Vec<JobId>,
    /// What the user is understood to say, turn by turn; then nothing.
    pub(crate) transcripts: VecDeque<Result<&'static str, &'static str>>,
    /// What the language model does, answer by answer; then it says "Okay."
    pub(crate) answers: VecDeque<Vec<EngineEvent>>,
    /// What MCP servers say when they are asked for their tools; then that there are none.
    pub(crate) listings: VecDeque<EngineEvent>,
    /// What tools of MCP servers return; then nothing.
    pub(crate) returns: VecDeque<EngineEvent>,
    /// How probable it is that a turn is over, pause by pause; then it is certain.
    pub(crate) verdicts: VecDeque<f32>,
    /// Whether jobs other than voice detection wait for [`Harness::work`].
    pub(crate) by_hand: bool,
    pub(crate) closed: Option<(u16, String)>,
}

impl Harness {
    /// A started session of which the record is still empty.
    pub(crate) fn new() -> Self {
        Self::with(test_options())
    }

    pub(crate) fn with(options: SessionOptions) -> Self {
        let (writer, head) = Writer::new(&options, None);
        Self::of(Session::new(options), writer, head)
    }

    /// A session with a configuration already bound to it.
    pub(crate) fn configured(session: Value) -> Self {
        let session = wire_session(&session);
        let (writer, head) = Writer::new(&test_options(), Some(&session));
        let session = Session::configured(test_options(), session).expect("accepted");
        Self::of(session, writer, head)
    }

    fn of(session: Session, writer: Writer, head: Line) -> Self {
        let mut harness = Self {
            session,
            writer,
            journal: vec![head, Line::Start { at: 0 }],
            now: 0,
            events: Vec::new(),
            record: String::new(),
            names: HashMap::new(),
            counts: HashMap::new(),
            jobs: VecDeque::new(),
            cancelled: Vec::new(),
            transcripts: VecDeque::new(),
            answers: VecDeque::new(),
            listings: VecDeque::new(),
            returns: VecDeque::new(),
            verdicts: VecDeque::new(),
            by_hand: false,
            closed: None,
        };
        let outputs: Vec<_> = harness.session.start(0).collect();
        harness.take(outputs);
        harness.record.clear();
        harness
    }

    /// A session that is told at once how it is to be.
    pub(crate) fn updated(session: Value) -> Self {
        let mut harness = Self::new();
        harness.client(json!({"type": "session.update", "session": session}));
        harness.record.clear();
        harness
    }

    /// The client sends an event.
    pub(crate) fn client(&mut self, event: Value) {
        let frame = event.to_string();
        self.frame(&frame);
    }

    /// The client sends a frame.
    pub(crate) fn frame(&mut self, frame: &str) {
        let shown = match serde_json::from_str(frame) {
            Ok(event) => self.named(&canonical(&event)),
            Err(_) => frame.to_owned(),
        };
        self.note(&format!("C> {shown}"));
        self.tell(match ClientEvent::parse(frame) {
            Ok(event) => Input::Client(event),
            Err(error) => Input::Malformed(error),
        });
        self.settle();
    }

    /// The client speaks (or is silent) for so long, in appends of 32 ms, in real time.
    pub(crate) fn audio(&mut self, ms: u64, loud: bool) {
        self.note(&format!(
            "C> input_audio_buffer.append: {ms} ms of {}",
            if loud { "speech" } else { "silence" }
        ));
        for _ in 0..ms / 32 {
            self.now += 32;
            self.append(32, loud);
        }
    }

    /// One append.
    pub(crate) fn append(&mut self, ms: u64, loud: bool) {
        let sample: i16 = if loud { 8_000 } else { 0 };
        // A square wave of 1 kHz, which survives resampling.
        let bytes: Vec<u8> = (0..ms * 24)
            .flat_map(|n| (if n / 12 % 2 == 0 { sample } else { -sample }).to_le_bytes())
            .collect();
        let input = Input::Audio {
            event_id: Some("append"),
            bytes: &bytes,
        };
        self.tell(input);
        self.settle();
    }

    /// Says whether there is time to work ahead.
    pub(crate) fn allow_ahead(&mut self, allowed: bool) {
        self.session.allow_ahead(allowed);
        self.journal.extend(self.writer.ahead(allowed, self.now));
    }

    /// An engine says something about a job.
    pub(crate) fn engine(&mut self, job: JobId, event: EngineEvent) {
        self.tell(Input::Engine(job, event));
    }

    /// Lets time pass, acting on deadlines.
    pub(crate) fn wait(&mut self, ms: u64) {
        self.note(&format!("-- {ms} ms pass"));
        let end = self.now + ms;
        while let Some((at, _)) = self.session.next_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.tell(Input::Timeout);
            self.settle();
        }
        self.now = end;
    }

    /// Answers the oldest job of the kind, which must exist.
    #[track_caller]
    pub(crate) fn work(&mut self, kind: &str) {
        let at = self
            .jobs
            .iter()
            .position(|(_, command)| kind_of(command) == kind)
            .unwrap_or_else(|| panic!("no {kind} among {:?}", self.jobs));
        let (job, command) = self.jobs.remove(at).expect("the position was just found");
        for event in self.answer(&command) {
            self.engine(job, event);
        }
        self.settle();
    }

    /// The job of the kind that was given last and not answered.
    #[track_caller]
    pub(crate) fn job(&self, kind: &str) -> JobId {
        self.jobs
            .iter()
            .rfind(|(_, command)| kind_of(command) == kind)
            .unwrap_or_else(|| panic!("no {kind} among {:?}", self.jobs))
            .0
    }

    /// What was recorded since the last time.
    pub(crate) fn record(&mut self) -> String {
        std::mem::take(&mut self.record)
    }

    /// Forgets what was recorded.
    pub(crate) fn forget(&mut self) {
        self.record.clear();
    }

    /// The journal of the session, line by line.
    pub(crate) fn journal(&self) -> Vec<String> {
        let line = |line| serde_json::to_string(line).expect("a line is JSON");
        self.journal.iter().map(line).collect()
    }

    /// Events of a type, in order.
    pub(crate) fn sent(&self, kind: &str) -> Vec<&Value> {
        self.events.iter().filter(|e| e["type"] == kind).collect()
    }

    /// The last event of a type, which must exist.
    #[track_caller]
    pub(crate) fn last(&self, kind: &str) -> &Value {
        self.sent(kind)
            .pop()
            .unwrap_or_else(|| panic!("no {kind} was sent"))
    }

    /// Types of the events since the `from`th.
    pub(crate) fn kinds(&self, from: usize) -> Vec<&str> {
        self.events[from..]
            .iter()
            .filter_map(|event| event["type"].as_str())
            .collect()
    }

    /// The messages of the last prompt, as `role: text`.
    pub(crate) fn prompt(&self, command: &EngineCommand) -> Vec<String> {
        match command {
            EngineCommand::Generate(generate) | EngineCommand::Prime(generate) => generate
                .messages
                .iter()
                .map(|message| format!("{:?}: {}", message.role, message.text))
                .collect(),
            other => panic!("{other:?} has no prompt"),
        }
    }

    /// The client asks for a typed message to be answered.
    pub(crate) fn say(&mut self, text: &str) {
        self.client(json!({"type": "conversation.item.create", "item": {
            "type": "message", "role": "user",
            "content": [{"type": "input_text", "text": text}]}}));
        self.client(json!({"type": "response.create"}));
    }

    fn settle(&mut self) {
        while let Some(at) = self.jobs.iter().position(|(_, command)| {
            !self.by_hand || matches!(command, EngineCommand::Detect { .. })
        }) {
            let (job, command) = self.jobs.remove(at).expect("the position was just found");
            for event in self.answer(&command) {
                self.engine(job, event);
            }
        }
    }

    /// What the scripted engines say to a job.
    fn answer(&mut self, command: &EngineCommand) -> Vec<EngineEvent> {
        match command {
            EngineCommand::Detect { frame } => {
                let level = frame.iter().map(|s| s.abs()).sum::<f32>() / frame.len() as f32;
                let probability = if level > 0.05 { 0.95 } else { 0.02 };
                vec![EngineEvent::Voice { probability }]
            }
            EngineCommand::Transcribe { .. } => match self.transcripts.pop_front() {
                Some(Ok(text)) => vec![
                    EngineEvent::TranscriptDelta { text: text.into() },
                    transcript(text),
                ],
                Some(Err(message)) => vec![failed(message)],
                None => vec![transcript("")],
            },
            EngineCommand::JudgeTurn { .. } => vec![EngineEvent::TurnJudged {
                probability: self.verdicts.pop_front().unwrap_or(1.0),
            }],
            EngineCommand::Prime(_) => vec![generated(0)],
            EngineCommand::Generate(_) => self
                .answers
                .pop_front()
                .unwrap_or_else(|| answer(&["Okay."])),
            EngineCommand::Speak { text, .. } => speech(text),
            EngineCommand::ListTools(_) => {
                let none = EngineEvent::ToolsListed { tools: Vec::new() };
                vec![self.listings.pop_front().unwrap_or(none)]
            }
            EngineCommand::CallTool { .. } => {
                let nothing = EngineEvent::ToolReturned {
                    output: String::new(),
                };
                vec![self.returns.pop_front().unwrap_or(nothing)]
            }
        }
    }

    fn tell(&mut self, input: Input<'_>) {
        self.journal.push(self.writer.input(&input, self.now));
        let outputs: Vec<_> = self.session.handle(input, self.now).collect();
        self.take(outputs);
    }

    fn take(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            self.journal.push(self.writer.output(&output, self.now));
            match output {
                Output::Send(event) => self.heard(&event),
                Output::Run(job, command) => {
                    self.note_job(job, &command);
                    self.jobs.push_back((job, command));
                }
                Output::Cancel(job) => {
                    self.note(&format!("E< cancel {}", job.0));
                    self.jobs.retain(|(other, _)| *other != job);
                    self.cancelled.push(job);
                }
                Output::Close(reason) => {
                    self.note(&format!("S> close {} {}", reason.code, reason.reason));
                    self.closed = Some((reason.code, reason.reason));
                }
            }
        }
    }

    fn heard(&mut self, event: &ServerEvent) {
        let value: Value = serde_json::from_str(&event.to_json()).expect("an event is JSON");
        let mut shown = value.clone();
        let members = shown.as_object_mut().expect("an event is an object");
        let kind = members.remove("type").expect("an event has a type");
        members.remove("event_id").expect("an event has an id");
        if let ServerEvent::ResponseOutputAudioDelta(event) = event {
            let ms = event.delta.len() / 48;
            members.insert("delta".to_owned(), format!("{ms} ms").into());
        }
        let shown = self.named(&canonical(&shown));
        self.note(&format!("S> {} {shown}", kind.as_str().unwrap_or_default()));
        self.events.push(value);
    }

    fn note_job(&mut self, job: JobId, command: &EngineCommand) {
        let text = match command {
            EngineCommand::Detect { .. } => return,
            EngineCommand::Transcribe { audio, .. } => {
                format!("transcribe {} ms", audio.len() / 16)
            }
            EngineCommand::JudgeTurn { audio } => format!("judge {} ms", audio.len() / 16),
            EngineCommand::Prime(_) => format!("prime {:?}", self.prompt(command)),
            EngineCommand::Generate(_) => format!("generate {:?}", self.prompt(command)),
            EngineCommand::Speak { text, voice, .. } => format!("speak {text:?} as {voice}"),
            EngineCommand::ListTools(server) => format!("list tools of {}", server.url),
            EngineCommand::CallTool {
                server,
                name,
                arguments,
            } => format!("call {name} of {} with {arguments}", server.url),
        };
        self.note(&format!("E< {} {text}", job.0));
    }

    fn note(&mut self, line: &str) {
        writeln!(self.record, "{:>6} {line}", self.now).expect("a string takes any text");
    }

    /// The text with readable ids: `item_1` for the first item and so on.
    fn named(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('"') {
            let (before, quoted) = rest.split_at(at + 1);
            out.push_str(before);
            let end = quoted.find('"').unwrap_or(quoted.len());
            let (word, after) = quoted.split_at(end);
            let prefix = [
                "item_", "resp_", "conv_", "sess_", "call_", "mcpl_", "mcp_", "mcpr_",
            ]
            .into_iter()
            .find(|p| word.starts_with(p) && word.len() == p.len() + 21);
            match prefix {
                Some(prefix) => {
                    if !self.names.contains_key(word) {
                        let count = self.counts.entry(prefix).or_insert(0);
                        *count += 1;
                        self.names
                            .insert(word.to_owned(), format!("{prefix}{count}"));
                    }
                    out.push_str(&self.names[word]);
                }
                None => out.push_str(word),
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }
}

/// The options of [`Harness::new`].
pub(crate) fn test_options() -> SessionOptions {
    SessionOptions {
        model: "test".to_owned(),
        seed: 7,
        created_unix_seconds: 1_000_000,
        instructions: "Be brief.".to_owned(),
        silence_duration_ms: 320,
        ahead_ms: None,
        ..SessionOptions::default()
    }
}

/// A session as a client asks for it.
pub(crate) fn wire_session(session: &Value) -> kaiwa_protocol::Session {
    serde_json::from_value(session.clone()).expect("a session")
}

/// JSON with its keys in alphabetical order, whatever order serde_json was built to keep.
pub(crate) fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<_, _> = members.iter().collect();
            let members: Vec<_> = sorted
                .into_iter()
                .map(|(name, value)| format!("\"{name}\":{}", canonical(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(values) => {
            let values: Vec<_> = values.iter().map(canonical).collect();
            format!("[{}]", values.join(","))
        }
        plain => plain.to_string(),
    }
}

/// A kind of job by name.
pub(crate) fn kind_of(command: &EngineCommand) -> &'static str {
    match command {
        EngineCommand::Detect { .. } => "detect",
        EngineCommand::Transcribe { .. } => "transcribe",
        EngineCommand::JudgeTurn { .. } => "judge",
        EngineCommand::Prime(_) => "prime",
        EngineCommand::Generate(_) => "generate",
        EngineCommand::Speak { .. } => "speak",
        EngineCommand::ListTools(_) => "list",
        EngineCommand::CallTool { .. } => "call",
    }
}

/// An answer of the language model in pieces.
pub(crate) fn answer(pieces: &[&str]) -> Vec<EngineEvent> {
    let text = |piece: &&str| EngineEvent::Text {
        text: (*piece).to_owned(),
    };
    pieces
        .iter()
        .map(text)
        .chain([generated(pieces.len() as u32)])
        .collect()
}

/// The end of an answer of so many tokens.
pub(crate) fn generated(output_tokens: u32) -> EngineEvent {
    EngineEvent::Generated {
        input_tokens: 20,
        cached_tokens: 8,
        output_tokens,
        truncated: false,
    }
}

/// A finished transcript.
pub(crate) fn transcript(text: &str) -> EngineEvent {
    EngineEvent::Transcript {
        text: text.to_owned(),
        language: Some("en".to_owned()),
        logprobs: vec![(text.to_owned(), -0.5)],
    }
}

/// A failure.
pub(crate) fn failed(message: &str) -> EngineEvent {
    EngineEvent::Failed {
        code: "engine_broken".to_owned(),
        message: message.to_owned(),
    }
}

/// The words of a text, each [`WORD_MS`] long, in one piece.
pub(crate) fn speech(text: &str) -> Vec<EngineEvent> {
    let samples = WORD_MS as u32 * 24;
    let mut at = 0;
    let words: Vec<_> = text
        .split(' ')
        .zip(0_u32..)
        .map(|(word, index)| {
            let range = at..at + word.len();
            at = range.end + 1;
            Word {
                text: range,
                samples: index * samples..(index + 1) * samples,
            }
        })
        .collect();
    vec![
        EngineEvent::Speech {
            pcm: vec![0.1; words.len() * samples as usize],
            rate: 24_000,
            words,
        },
        EngineEvent::Spoken,
    ]
}
