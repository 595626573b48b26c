//! What may happen to a session, and how likely it is.

use kaiwa_protocol::{McpError, McpToolExecutionError, McpToolInfo};
use kaiwa_session::EngineEvent;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::world::{Job, JobKind, World};
use crate::harness::{failed, transcript};

/// One thing that happens. Numbers choose among what has been seen so far.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// A client's event.
    Client(ClientAct),
    /// A frame that is no event.
    Malformed(usize),
    /// Audio that came decoded, in the format of G.711: 8 bytes a millisecond.
    Audio { ms: u8, loud: bool },
    /// Some job, perhaps one that is over, says something.
    Engine { job: usize, act: EngineAct },
    /// Time passes.
    Time(u16),
}

#[derive(Clone, Debug)]
pub(super) enum ClientAct {
    Update(usize),
    Append(u8),
    Commit,
    Clear,
    Create {
        item: usize,
        id: Option<usize>,
        after: Option<usize>,
    },
    Retrieve(usize),
    Delete(usize),
    Truncate {
        item: usize,
        index: u8,
        ms: u16,
    },
    Respond {
        aside: bool,
        with: usize,
        item: usize,
    },
    Cancel(Option<usize>),
    ClearOutput,
    Unknown,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum EngineAct {
    /// The job's natural end.
    Finish,
    /// The end of an answer at its limit.
    Limit,
    /// Something the job is for.
    Piece,
    Call(u8),
    Arguments,
    Fail,
    TooLong,
    /// Something that makes no sense for the job.
    Nonsense(u8),
}

/// Frames that the codec refuses.
const MALFORMED: &[&str] = &[
    "",
    "nonsense",
    "[]",
    "7",
    "{\"type\":",
    "{\"type\":7}",
    "{\"event_id\":\"x\"}",
    "{\"type\":\"session.update\"}",
    "{\"type\":\"session.update\",\"session\":{}}",
    "{\"type\":\"conversation.item.retrieve\"}",
    "{\"type\":\"conversation.item.create\",\"item\":{\"type\":\"message\"}}",
    "{\"type\":\"input_audio_buffer.append\",\"audio\":\"***\"}",
    "{\"type\":\"response.create\",\"response\":{\"tools\":7}}",
];

/// How a long interleaving is made.
pub(super) fn happenings(steps: usize) -> impl Strategy<Value = Vec<Happening>> + use<> {
    prop::collection::vec(happening(), 1..=steps)
}

fn happening() -> impl Strategy<Value = Happening> {
    let number = any::<usize>;
    let client = prop_oneof![
        3 => number().prop_map(ClientAct::Update),
        1 => any::<u8>().prop_map(ClientAct::Append),
        2 => Just(ClientAct::Commit),
        1 => Just(ClientAct::Clear),
        5 => (number(), prop::option::weighted(0.3, number()), prop::option::weighted(0.3, number()))
            .prop_map(|(item, id, after)| ClientAct::Create { item, id, after }),
        1 => number().prop_map(ClientAct::Retrieve),
        2 => number().prop_map(ClientAct::Delete),
        2 => (number(), 0..3_u8, 0..400_u16)
            .prop_map(|(item, index, ms)| ClientAct::Truncate { item, index, ms }),
        5 => (prop::bool::weighted(0.3), number(), number())
            .prop_map(|(aside, with, item)| ClientAct::Respond { aside, with, item }),
        2 => prop::option::of(number()).prop_map(ClientAct::Cancel),
        1 => Just(ClientAct::ClearOutput),
        1 => Just(ClientAct::Unknown),
    ];
    let engine = prop_oneof![
        9 => Just(EngineAct::Finish),
        1 => Just(EngineAct::Limit),
        9 => Just(EngineAct::Piece),
        3 => any::<u8>().prop_map(EngineAct::Call),
        2 => Just(EngineAct::Arguments),
        1 => Just(EngineAct::Fail),
        1 => Just(EngineAct::TooLong),
        1 => any::<u8>().prop_map(EngineAct::Nonsense),
    ];
    prop_oneof![
        8 => client.prop_map(Happening::Client),
        1 => number().prop_map(Happening::Malformed),
        8 => (any::<u8>(), any::<bool>()).prop_map(|(ms, loud)| Happening::Audio { ms, loud }),
        14 => (number(), engine).prop_map(|(job, act)| Happening::Engine { job, act }),
        1 => (0..9_000_u16).prop_map(Happening::Time),
    ]
}

/// A frame that is no event.
pub(super) fn malformed(number: usize) -> &'static str {
    MALFORMED[number % MALFORMED.len()]
}

/// What a job's engine says.
pub(super) fn engine_event(job: &Job, act: EngineAct) -> EngineEvent {
    match (act, &job.kind) {
        (EngineAct::Fail, _) => failed("chance"),
        (EngineAct::TooLong, _) => EngineEvent::PromptTooLong {
            tokens: 90,
            limit: 60,
        },
        (EngineAct::Nonsense(number), JobKind::Transcribe) if number % 8 == 7 => {
            transcript("Yeah.")
        }
        (EngineAct::Nonsense(number), _) => nonsense(number),
        (EngineAct::Call(number), _) => EngineEvent::CallStart {
            call_id: "call_x".to_owned(),
            name: ["f", "look", "ask"][usize::from(number) % 3].to_owned(),
        },
        (EngineAct::Arguments, _) => EngineEvent::CallArguments {
            text: "{\"a\":".to_owned(),
        },
        (EngineAct::Piece, JobKind::Generate) => EngineEvent::Text {
            text: " Well then, this is 3.5 words. **Or** not".to_owned(),
        },
        (EngineAct::Piece, JobKind::Speak { words }) => EngineEvent::Speech {
            // 10 ms a word: little to carry, enough to be cut. A slow voice now and then leaves
            // time for sounds that may be nothing.
            pcm: vec![0.1; words.len() * 80],
            rate: match job.id.0 % 2 {
                0 => 250,
                _ => 8_000,
            },
            words: words.clone(),
        },
        (EngineAct::Piece, JobKind::Transcribe) => EngineEvent::TranscriptDelta {
            text: "hel".to_owned(),
        },
        (EngineAct::Finish, JobKind::Generate) => generated(false),
        (EngineAct::Limit, JobKind::Generate) => generated(true),
        (EngineAct::Finish | EngineAct::Limit, JobKind::Speak { .. }) => EngineEvent::Spoken,
        (EngineAct::Finish, JobKind::Judge) => EngineEvent::TurnJudged { probability: 0.9 },
        (EngineAct::Limit, JobKind::Judge) => EngineEvent::TurnJudged { probability: 0.1 },
        (EngineAct::Piece, JobKind::List | JobKind::CallTool | JobKind::Judge) => {
            EngineEvent::Spoken
        }
        (EngineAct::Finish, JobKind::List) => EngineEvent::ToolsListed {
            tools: ["look", "ask"].map(tool).to_vec(),
        },
        (EngineAct::Limit, JobKind::List) => EngineEvent::ToolsListed { tools: Vec::new() },
        (EngineAct::Finish, JobKind::CallTool) => EngineEvent::ToolReturned {
            output: "42".to_owned(),
        },
        (EngineAct::Limit, JobKind::CallTool) => EngineEvent::ToolFailed {
            error: McpError::ToolExecution(McpToolExecutionError {
                message: "broken".to_owned(),
                ..McpToolExecutionError::default()
            }),
        },
        (EngineAct::Finish, JobKind::Transcribe) => transcript("hello"),
        (EngineAct::Limit, JobKind::Transcribe) => transcript(" "),
    }
}

fn tool(name: &str) -> McpToolInfo {
    McpToolInfo {
        name: name.to_owned(),
        ..McpToolInfo::default()
    }
}

fn generated(truncated: bool) -> EngineEvent {
    EngineEvent::Generated {
        input_tokens: 20,
        cached_tokens: 8,
        output_tokens: 3,
        truncated,
    }
}

fn nonsense(number: u8) -> EngineEvent {
    match number % 8 {
        0 => EngineEvent::Voice { probability: 0.9 },
        1 => EngineEvent::Text {
            text: "what? ".to_owned(),
        },
        2 => transcript("what?"),
        3 => EngineEvent::Speech {
            pcm: vec![0.1; 10],
            rate: 0,
            words: Vec::new(),
        },
        4 => EngineEvent::Spoken,
        5 => EngineEvent::ToolsListed { tools: Vec::new() },
        6 => EngineEvent::ToolReturned {
            output: "what?".to_owned(),
        },
        _ => generated(false),
    }
}

impl ClientAct {
    /// The event as JSON, without its id.
    pub(super) fn json(&self, world: &World) -> Value {
        match self {
            Self::Update(number) => json!({"type": "session.update",
                "session": session(*number, world.transcribes)}),
            Self::Append(bytes) => json!({"type": "input_audio_buffer.append",
                "audio": "////".repeat(usize::from(*bytes))}),
            Self::Commit => json!({"type": "input_audio_buffer.commit"}),
            Self::Clear => json!({"type": "input_audio_buffer.clear"}),
            Self::Create { item, id, after } => {
                let mut event = json!({"type": "conversation.item.create",
                    "item": created(*item, world)});
                if let Some(id) = id {
                    event["item"]["id"] = match id % 4 {
                        0 => world.item(*id).into(),
                        1 => "x".repeat(33).into(),
                        _ => format!("mine_{}", id % 7).into(),
                    };
                }
                if let Some(after) = after {
                    event["previous_item_id"] = match after % 3 {
                        0 => json!("root"),
                        1 => Value::Null,
                        _ => world.item(*after).into(),
                    };
                }
                event
            }
            Self::Retrieve(item) => json!({"type": "conversation.item.retrieve",
                "item_id": world.item(*item)}),
            Self::Delete(item) => json!({"type": "conversation.item.delete",
                "item_id": world.item(*item)}),
            Self::Truncate { item, index, ms } => json!({"type": "conversation.item.truncate",
                "item_id": world.item(*item), "content_index": index / 2, "audio_end_ms": ms}),
            Self::Respond { aside, with, item } => {
                let mut response = parameters(*with, &world.item(*item));
                if *aside {
                    response["conversation"] = json!("none");
                }
                json!({"type": "response.create", "response": response})
            }
            Self::Cancel(None) => json!({"type": "response.cancel"}),
            Self::Cancel(Some(number)) => json!({"type": "response.cancel",
                "response_id": world.response(*number)}),
            Self::ClearOutput => json!({"type": "output_audio_buffer.clear"}),
            Self::Unknown => json!({"type": "make.tea", "sugar": 2}),
        }
    }
}

/// The session of an update: mostly of the right type, sometimes faulty.
fn session(number: usize, transcribes: bool) -> Value {
    let input = |input: Value| json!({"audio": {"input": input}});
    let server = |url: &str, approval: Value| {
        json!({"type": "mcp", "server_label": "a", "server_url": url,
            "require_approval": approval})
    };
    let mut session = match number % 20 {
        0 => input(json!({"turn_detection": null})),
        1 => input(json!({"turn_detection": {"type": "server_vad",
            "silence_duration_ms": 96, "idle_timeout_ms": 5000}})),
        2 => input(json!({"turn_detection": {"type": "server_vad",
            "interrupt_response": false, "silence_duration_ms": 200}})),
        3 => input(
            json!({"turn_detection": {"type": "semantic_vad", "eagerness": "high",
            "create_response": false}}),
        ),
        4 => input(json!({"format": {"type": "audio/pcm"}})),
        5 => input(json!({"format": {"type": "audio/pcma"}, "transcription": null})),
        6 => input(json!({"transcription": {"model": "whisper-1", "language": "en"}})),
        7 => input(json!({"transcription": {"model": "gpt-4o-transcribe-diarize"}})),
        8 => json!({"include": ["item.input_audio_transcription.logprobs"]}),
        9 if !transcribes => json!({"output_modalities": ["text"], "truncation": "disabled"}),
        10 if !transcribes => json!({"output_modalities": ["audio"], "truncation": {
            "type": "retention_ratio", "retention_ratio": 0.5,
            "token_limits": {"post_instructions": 20}}}),
        11 if !transcribes => json!({"audio": {"output": {"voice": "echo", "speed": 1.5,
            "format": {"type": "audio/pcmu"}}}}),
        12 if !transcribes => json!({"tools": [{"type": "function", "name": "f"}],
            "parallel_tool_calls": false, "tool_choice": "auto", "instructions": ""}),
        16 | 17 if !transcribes => json!({"tools": [
            server("http://a.test", json!({"never": {"tool_names": ["look"]}})),
            {"type": "function", "name": "f"}]}),
        18 if !transcribes => json!({"tools": [server("http://b.test", json!("never"))],
            "tool_choice": {"type": "mcp", "server_label": "a"}}),
        19 if !transcribes => json!({"tools": [{"type": "mcp", "server_label": "a"}]}),
        13 => json!({"nonsense": 1}),
        14 => json!({"type": "telepathy"}),
        15 if !transcribes => input(json!({"turn_detection": {"type": "semantic_vad"}})),
        _ => json!({}),
    };
    if session.get("type").is_none() {
        // Once in a while of the other type.
        let transcribes = transcribes != number.is_multiple_of(31);
        let kind = if transcribes {
            "transcription"
        } else {
            "realtime"
        };
        session["type"] = json!(kind);
    }
    session
}

/// An item that a client creates.
fn created(number: usize, world: &World) -> Value {
    let user = |content: Value| json!({"type": "message", "role": "user", "content": content});
    match number % 12 {
        0 => user(json!([{"type": "input_text", "text": "hi"},
            {"type": "input_audio", "audio": "AAAA"}])),
        1 => user(json!([{"type": "input_audio", "audio": "AAAA".repeat(8)}])),
        2 => user(json!([{"type": "input_image", "image_url": "data:image/png;base64,AA=="}])),
        3 => user(json!([{"type": "output_text", "text": "wrong"}])),
        4 => json!({"type": "message", "role": "assistant",
            "content": [{"type": "output_text", "text": "I said so."}]}),
        5 => json!({"type": "message", "role": "system",
            "content": [{"type": "input_text", "text": "Be kind."}]}),
        6 => json!({"type": "function_call", "name": "f", "arguments": "{}"}),
        7 => json!({"type": "function_call_output", "call_id": "nobody", "output": "1"}),
        9 | 10 => json!({"type": "mcp_approval_response",
            "approval_request_id": world.request(number / 12),
            "approve": number.is_multiple_of(3)}),
        8 => json!({"type": "function_call_output", "call_id": world.call(number),
            "output": "1"}),
        _ => user(json!([{"type": "input_text", "text": "What then?"}])),
    }
}

/// The parameters of a response.
fn parameters(number: usize, item: &str) -> Value {
    match number % 8 {
        0 => json!({"output_modalities": ["text"], "metadata": {"a": "b"}}),
        1 => json!({"input": []}),
        2 => json!({"input": [{"type": "item_reference", "id": item}, {"type": "message",
            "role": "user", "content": [{"type": "input_audio", "audio": "AAAA"}]}]}),
        3 => json!({"max_output_tokens": 7, "instructions": null, "parallel_tool_calls": false}),
        4 => json!({"audio": {"output": {"voice": "ash", "format": {"type": "audio/pcmu"}}}}),
        5 => json!({"output_modalities": ["audio", "text"]}),
        6 => json!({"tools": [{"type": "mcp", "server_label": "a",
            "server_url": "http://a.test", "require_approval": "never"}]}),
        _ => json!({}),
    }
}
