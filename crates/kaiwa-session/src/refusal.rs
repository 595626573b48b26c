//! The errors a client is answered with, in the service's observed words.

use kaiwa_protocol::{ErrorDetail, Maybe, codes};

use crate::Millis;

/// Longest id a client may choose for an item or a call, in characters.
pub(crate) const MAX_ID_CHARS: usize = 32;

/// Longest `event_id` a client may give, in characters.
pub(crate) const MAX_EVENT_ID_CHARS: usize = 512;

/// Why a client's event is refused. Boxed, because it is large and rare.
pub(crate) type Refusal = Box<ErrorDetail>;

/// A refusal with the code of `kaiwa_protocol::codes` or another of the service's.
pub(crate) fn refuse(code: &str, message: impl Into<String>, param: Option<&str>) -> Refusal {
    let mut detail = ErrorDetail::invalid_request(code, message);
    detail.param = Maybe::nullable(param.map(str::to_owned));
    Box::new(detail)
}

/// A value is not one of those allowed; `reason` is a whole sentence.
pub(crate) fn invalid(param: &str, reason: impl Into<String>) -> Refusal {
    refuse(codes::INVALID_VALUE, reason, Some(param))
}

/// A value is none of a closed set.
pub(crate) fn not_one_of(param: &str, value: &str, supported: &[&str]) -> Refusal {
    let supported: Vec<_> = supported.iter().map(|text| format!("'{text}'")).collect();
    let supported = supported.join(", ");
    let reason = format!("Invalid value: '{value}'. Supported values are: {supported}.");
    invalid(param, reason)
}

/// A number is out of its range.
pub(crate) fn out_of_range(param: &str, value: &str, range: &str) -> Refusal {
    let reason = format!("Invalid '{param}': {value} is out of range. Expected {range}.");
    invalid(param, reason)
}

/// A key nobody knows.
pub(crate) fn unknown_parameter(param: &str) -> Refusal {
    let message = format!("Unknown parameter: '{param}'.");
    refuse(codes::UNKNOWN_PARAMETER, message, Some(param))
}

/// A key that has to be there.
pub(crate) fn missing_parameter(param: &str) -> Refusal {
    let message = format!("Missing required parameter: '{param}'.");
    refuse(codes::MISSING_REQUIRED_PARAMETER, message, Some(param))
}

/// A text that is too long.
pub(crate) fn too_long(param: &str, most: usize, length: usize) -> Refusal {
    let message = format!(
        "Invalid '{param}': string too long. Expected a string with maximum length {most}, but \
         got a string with length {length} instead."
    );
    refuse("string_above_max_length", message, Some(param))
}

/// The update of a session of another type.
pub(crate) fn wrong_session_type(given: &str, own: &str) -> Refusal {
    let reason =
        format!("Passing a {given} session update event to a {own} session is not allowed.");
    invalid("session.type", reason)
}

/// A response in a session that makes none.
pub(crate) fn no_responses(kind: &str) -> Refusal {
    let reason = format!(
        "Invalid value: '{kind}'. A transcription session makes no responses; it transcribes \
         what is committed."
    );
    invalid("type", reason)
}

/// More JSON than fits into the event that shows it.
pub(crate) fn too_large(param: &str, most: usize, bytes: usize) -> Refusal {
    let message = format!(
        "Invalid '{param}': too large. It takes {bytes} bytes of JSON, and events hold {most}."
    );
    refuse("string_above_max_length", message, Some(param))
}

/// A second response while one writes to the conversation.
pub(crate) fn already_active(response_id: &str) -> Refusal {
    let message = format!(
        "Conversation already has an active response in progress: {response_id}. Wait until the \
         response is finished before creating a new one."
    );
    let code = codes::CONVERSATION_ALREADY_HAS_ACTIVE_RESPONSE;
    refuse(code, message, None)
}

/// Nothing to cancel.
pub(crate) fn cancel_not_active() -> Refusal {
    let message = "Cancellation failed: no active response found";
    refuse(codes::RESPONSE_CANCEL_NOT_ACTIVE, message, None)
}

/// Too little audio to commit.
pub(crate) fn commit_empty(ms: f64) -> Refusal {
    let message = format!(
        "Error committing input audio buffer: buffer too small. Expected at least 100ms of \
         audio, but buffer only has {ms:.2}ms of audio."
    );
    refuse(codes::INPUT_AUDIO_BUFFER_COMMIT_EMPTY, message, None)
}

/// More audio than the buffer holds.
pub(crate) fn buffer_full(ms: f64, appended_ms: f64, most_ms: Millis) -> Refusal {
    let message = format!(
        "Error appending to input audio buffer: it holds {ms:.0}ms of audio and {appended_ms:.0}ms \
         more would exceed its limit of {most_ms}ms. Commit or clear it."
    );
    refuse("input_audio_buffer_full", message, Some("audio"))
}

/// More items than the conversation holds.
pub(crate) fn conversation_full(kept: usize, bytes: usize, most: usize) -> Refusal {
    let message = format!(
        "Error adding item: the conversation holds {kept} bytes of created items and {bytes} more \
         would exceed its limit of {most}. Delete items it no longer needs."
    );
    refuse("conversation_full", message, Some("item"))
}

/// More responses than are made at once.
pub(crate) fn too_many_responses(most: usize) -> Refusal {
    let message =
        format!("{most} responses are being made already. Wait until one of them is finished.");
    refuse("too_many_responses", message, None)
}

/// An item that is not there. `doing` and `code` belong to the event.
pub(crate) fn no_such_item(code: &str, doing: &str, item_id: &str) -> Refusal {
    let message = format!("Error {doing} item: the item with id '{item_id}' does not exist.");
    refuse(code, message, Some("item_id"))
}

/// A truncation behind the end of the audio.
pub(crate) fn already_shorter(ms: Millis, audio_end_ms: Millis) -> Refusal {
    let reason = format!("Audio content of {ms}ms is already shorter than {audio_end_ms}ms");
    invalid("audio_end_ms", reason)
}

/// An id that is taken.
pub(crate) fn duplicate_item(item_id: &str) -> Refusal {
    let message = format!("Error adding item: an item with id '{item_id}' already exists.");
    let code = codes::ITEM_CREATE_DUPLICATE_ITEM_ID;
    refuse(code, message, Some("item.id"))
}

/// The output of a call nobody made.
pub(crate) fn unknown_call(call_id: &str) -> Refusal {
    let message = format!("Tool call ID '{call_id}' not found in conversation.");
    refuse(codes::INVALID_TOOL_CALL_ID, message, Some("item.call_id"))
}

/// Another voice after the first was heard.
pub(crate) fn voice_locked(param: &str) -> Refusal {
    let message = "Cannot update a conversation's voice if assistant audio is present.";
    refuse(codes::CANNOT_UPDATE_VOICE, message, Some(param))
}

/// Checks the length of an id that a client chose.
pub(crate) fn check_id(param: &str, id: &str) -> Result<(), Refusal> {
    let length = id.chars().count();
    if length > MAX_ID_CHARS {
        return Err(too_long(param, MAX_ID_CHARS, length));
    }
    if id.is_empty() {
        let reason = format!("Invalid '{param}': empty string. Expected at least one character.");
        return Err(invalid(param, reason));
    }
    Ok(())
}
