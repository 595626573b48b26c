//! Which members the API's events and objects have.

use kaiwa_protocol::Dialect;

/// Members of an event or an object.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    /// The dialect that it belongs to; `None` for both.
    pub(super) dialect: Option<Dialect>,
    /// Members that are always there, null perhaps.
    pub(super) needs: &'static [&'static str],
    /// Members that may be there.
    pub(super) may: &'static [&'static str],
}

/// The shape of an event, in either dialect.
pub(super) fn event(kind: &str) -> Option<&'static Shape> {
    EVENTS.iter().find(|shape| shape.name == kind)
}

/// The shape of an object that an event carries in the member `member`.
pub(super) fn object(member: &str, dialect: Dialect) -> Option<&'static Shape> {
    let of = |shape: &&Shape| shape.name == member && shape.dialect.is_none_or(|it| it == dialect);
    OBJECTS.iter().find(of)
}

const fn both(name: &'static str, needs: &'static [&'static str]) -> Shape {
    with(name, needs, &[])
}

const fn with(
    name: &'static str,
    needs: &'static [&'static str],
    may: &'static [&'static str],
) -> Shape {
    Shape {
        name,
        dialect: None,
        needs,
        may,
    }
}

const fn of(dialect: Dialect, shape: Shape) -> Shape {
    Shape {
        dialect: Some(dialect),
        ..shape
    }
}

const GA: Dialect = Dialect::Ga;
const BETA: Dialect = Dialect::Beta;

const ITEM: &[&str] = &["item"];
const ITEM_ID: &[&str] = &["item_id"];
const PREVIOUS: &[&str] = &["previous_item_id"];
const PADDING: &[&str] = &["obfuscation"];
const RESPONSE_ID: &[&str] = &["response_id"];
const OUTPUT_ITEM: &[&str] = &["response_id", "output_index", "item"];
const PLACE: &[&str] = &["response_id", "item_id", "output_index", "content_index"];
const PART: &[&str] = &[
    "response_id",
    "item_id",
    "output_index",
    "content_index",
    "part",
];
const DELTA: &[&str] = &[
    "response_id",
    "item_id",
    "output_index",
    "content_index",
    "delta",
];
const TEXT: &[&str] = &[
    "response_id",
    "item_id",
    "output_index",
    "content_index",
    "text",
];
const TRANSCRIPT: &[&str] = &[
    "response_id",
    "item_id",
    "output_index",
    "content_index",
    "transcript",
];
const CALL: &[&str] = &["output_index", "item_id"];

/// Events, without `type` and `event_id`, which all have.
const EVENTS: &[Shape] = &[
    both("session.created", &["session"]),
    both("session.updated", &["session"]),
    of(BETA, both("transcription_session.created", &["session"])),
    of(BETA, both("transcription_session.updated", &["session"])),
    both("error", &["error"]),
    both("rate_limits.updated", &["rate_limits"]),
    of(BETA, both("conversation.created", &["conversation"])),
    with("input_audio_buffer.committed", ITEM_ID, PREVIOUS),
    both("input_audio_buffer.cleared", &[]),
    both(
        "input_audio_buffer.speech_started",
        &["audio_start_ms", "item_id"],
    ),
    both(
        "input_audio_buffer.speech_stopped",
        &["audio_end_ms", "item_id"],
    ),
    both(
        "input_audio_buffer.timeout_triggered",
        &["audio_start_ms", "audio_end_ms", "item_id"],
    ),
    both(
        "input_audio_buffer.dtmf_event_received",
        &["event", "received_at"],
    ),
    of(GA, with("conversation.item.added", ITEM, PREVIOUS)),
    of(GA, with("conversation.item.done", ITEM, PREVIOUS)),
    of(BETA, with("conversation.item.created", ITEM, PREVIOUS)),
    both("conversation.item.retrieved", ITEM),
    both(
        "conversation.item.truncated",
        &["item_id", "content_index", "audio_end_ms"],
    ),
    both("conversation.item.deleted", ITEM_ID),
    with(
        "conversation.item.input_audio_transcription.delta",
        ITEM_ID,
        &["content_index", "delta", "logprobs", "obfuscation"],
    ),
    with(
        "conversation.item.input_audio_transcription.completed",
        &["item_id", "content_index", "transcript"],
        &["usage", "logprobs", "languages"],
    ),
    both(
        "conversation.item.input_audio_transcription.failed",
        &["item_id", "content_index", "error"],
    ),
    both(
        "conversation.item.input_audio_transcription.segment",
        &[
            "item_id",
            "content_index",
            "id",
            "text",
            "speaker",
            "start",
            "end",
        ],
    ),
    both("response.created", &["response"]),
    both("response.done", &["response"]),
    both("response.output_item.added", OUTPUT_ITEM),
    both("response.output_item.done", OUTPUT_ITEM),
    both("response.content_part.added", PART),
    both("response.content_part.done", PART),
    of(GA, with("response.output_text.delta", DELTA, PADDING)),
    of(GA, both("response.output_text.done", TEXT)),
    of(
        GA,
        with("response.output_audio_transcript.delta", DELTA, PADDING),
    ),
    of(
        GA,
        both("response.output_audio_transcript.done", TRANSCRIPT),
    ),
    of(GA, with("response.output_audio.delta", DELTA, PADDING)),
    of(GA, both("response.output_audio.done", PLACE)),
    of(BETA, with("response.text.delta", DELTA, PADDING)),
    of(BETA, both("response.text.done", TEXT)),
    of(
        BETA,
        with("response.audio_transcript.delta", DELTA, PADDING),
    ),
    of(BETA, both("response.audio_transcript.done", TRANSCRIPT)),
    of(BETA, with("response.audio.delta", DELTA, PADDING)),
    of(BETA, both("response.audio.done", PLACE)),
    with(
        "response.function_call_arguments.delta",
        &["response_id", "item_id", "output_index", "call_id", "delta"],
        PADDING,
    ),
    with(
        "response.function_call_arguments.done",
        &[
            "response_id",
            "item_id",
            "output_index",
            "call_id",
            "arguments",
        ],
        &["name"],
    ),
    with(
        "response.mcp_call_arguments.delta",
        &["response_id", "item_id", "output_index", "delta"],
        PADDING,
    ),
    both(
        "response.mcp_call_arguments.done",
        &["response_id", "item_id", "output_index", "arguments"],
    ),
    both("response.mcp_call.in_progress", CALL),
    both("response.mcp_call.completed", CALL),
    both("response.mcp_call.failed", CALL),
    both("mcp_list_tools.in_progress", ITEM_ID),
    both("mcp_list_tools.completed", ITEM_ID),
    both("mcp_list_tools.failed", ITEM_ID),
    both("output_audio_buffer.started", RESPONSE_ID),
    both("output_audio_buffer.stopped", RESPONSE_ID),
    both("output_audio_buffer.cleared", RESPONSE_ID),
];

/// Objects, by the member that carries them. Those of a session's sound are called by their path.
const OBJECTS: &[Shape] = &[
    of(
        GA,
        with(
            "session",
            &[
                "type",
                "object",
                "id",
                "model",
                "output_modalities",
                "instructions",
                "tools",
                "tool_choice",
                "max_output_tokens",
                "audio",
            ],
            &[
                "tracing",
                "truncation",
                "prompt",
                "expires_at",
                "include",
                "parallel_tool_calls",
                "reasoning",
            ],
        ),
    ),
    of(GA, both("session.audio", &["input", "output"])),
    of(
        GA,
        both(
            "session.audio.input",
            &[
                "format",
                "transcription",
                "noise_reduction",
                "turn_detection",
            ],
        ),
    ),
    of(
        GA,
        both("session.audio.output", &["format", "voice", "speed"]),
    ),
    of(
        BETA,
        with(
            "session",
            &[
                "id",
                "object",
                "model",
                "modalities",
                "instructions",
                "voice",
                "input_audio_format",
                "output_audio_format",
                "input_audio_transcription",
                "turn_detection",
                "tools",
                "tool_choice",
                "temperature",
                "max_response_output_tokens",
            ],
            &[
                "input_audio_noise_reduction",
                "expires_at",
                "client_secret",
                "tracing",
                "include",
                "speed",
                "prompt",
            ],
        ),
    ),
    with(
        "error",
        &["type", "message"],
        &["code", "param", "event_id"],
    ),
    with("part", &["type"], &["text", "transcript", "audio"]),
    with(
        "item",
        &["id", "type"],
        &[
            "object",
            "status",
            "role",
            "content",
            "name",
            "arguments",
            "call_id",
            "output",
            "server_label",
            "tools",
            "approval_request_id",
            "error",
            "approve",
            "reason",
        ],
    ),
    with(
        "response",
        &[
            "id",
            "object",
            "status",
            "status_details",
            "output",
            "usage",
        ],
        &[
            "metadata",
            "conversation_id",
            "output_modalities",
            "modalities",
            "max_output_tokens",
            "audio",
            "voice",
            "output_audio_format",
            "temperature",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use kaiwa_protocol::ServerEvent;

    use super::*;

    #[test]
    fn every_event_of_the_protocol_has_a_shape() {
        for kind in ServerEvent::KNOWN {
            assert!(event(kind).is_some(), "{kind}");
        }
        for shape in EVENTS.iter().filter(|shape| shape.dialect != Some(BETA)) {
            assert!(ServerEvent::KNOWN.contains(&shape.name), "{}", shape.name);
        }
    }

    #[test]
    fn a_session_has_the_shape_of_its_dialect() {
        let needs = |dialect| object("session", dialect).map(|shape| shape.needs);
        assert!(needs(GA).is_some_and(|needs| needs.contains(&"audio")));
        assert!(needs(BETA).is_some_and(|needs| needs.contains(&"modalities")));
        assert!(object("session.audio", BETA).is_none());
    }
}
