//! The errors a client is answered with, in the service's observed words.

use kaiwa_protocol::{ErrorDetail, codes};

use crate::Millis;

/// Longest id a client may choose for an item or a call, in characters.
pub(crate) const MAX_ID_CHARS: usize = 32;

/// Longest `event_id` a client may give, in characters.
pub(crate) const MAX_EVENT_ID_CHARS: usize = 512;

/// A value is not one of those allowed; `reason` is a whole sentence.
pub(crate) fn invalid(param: impl Into<String>, reason: impl Into<String>) -> ErrorDetail {
    ErrorDetail::invalid_request(codes::INVALID_VALUE, reason).with_param(param)
}

/// A value is none of a closed set.
pub(crate) fn not_one_of(param: &str, value: &str, supported: &[&str]) -> ErrorDetail {
    let supported: Vec<_> = supported.iter().map(|text| format!("'{text}'")).collect();
    invalid(
        param,
        format!(
            "Invalid value: '{value}'. Supported values are: {}.",
            supported.join(", ")
        ),
    )
}

/// A number is out of its range.
pub(crate) fn out_of_range(param: &str, value: &str, range: &str) -> ErrorDetail {
    invalid(
        param,
        format!("Invalid '{param}': {value} is out of range. Expected {range}."),
    )
}

/// A key nobody knows.
pub(crate) fn unknown_parameter(param: &str) -> ErrorDetail {
    ErrorDetail::invalid_request(
        codes::UNKNOWN_PARAMETER,
        format!("Unknown parameter: '{param}'."),
    )
    .with_param(param)
}

/// A key that has to be there.
pub(crate) fn missing_parameter(param: &str) -> ErrorDetail {
    ErrorDetail::invalid_request(
        codes::MISSING_REQUIRED_PARAMETER,
        format!("Missing required parameter: '{param}'."),
    )
    .with_param(param)
}

/// A text that is too long.
pub(crate) fn too_long(param: &str, most: usize, length: usize) -> ErrorDetail {
    ErrorDetail::invalid_request(
        "string_above_max_length",
        format!(
            "Invalid '{param}': string too long. Expected a string with maximum length {most}, \
             but got a string with length {length} instead."
        ),
    )
    .with_param(param)
}

/// A second response while one writes to the conversation.
pub(crate) fn already_active(response_id: &str) -> ErrorDetail {
    ErrorDetail::invalid_request(
        codes::CONVERSATION_ALREADY_HAS_ACTIVE_RESPONSE,
        format!(
            "Conversation already has an active response in progress: {response_id}. Wait until \
             the response is finished before creating a new one."
        ),
    )
}

/// Nothing to cancel.
pub(crate) fn cancel_not_active() -> ErrorDetail {
    ErrorDetail::invalid_request(
        codes::RESPONSE_CANCEL_NOT_ACTIVE,
        "Cancellation failed: no active response found",
    )
}

/// Too little audio to commit.
pub(crate) fn commit_empty(ms: f64) -> ErrorDetail {
    ErrorDetail::invalid_request(
        codes::INPUT_AUDIO_BUFFER_COMMIT_EMPTY,
        format!(
            "Error committing input audio buffer: buffer too small. Expected at least 100ms of \
             audio, but buffer only has {ms:.2}ms of audio."
        ),
    )
}

/// An item that is not there. `doing` and `code` belong to the event.
pub(crate) fn no_such_item(code: &str, doing: &str, item_id: &str) -> ErrorDetail {
    ErrorDetail::invalid_request(
        code,
        format!("Error {doing} item: the item with id '{item_id}' does not exist."),
    )
    .with_param("item_id")
}

/// A truncation behind the end of the audio.
pub(crate) fn already_shorter(ms: Millis, audio_end_ms: Millis) -> ErrorDetail {
    invalid(
        "audio_end_ms",
        format!("Audio content of {ms}ms is already shorter than {audio_end_ms}ms"),
    )
}

/// An id that is taken.
pub(crate) fn duplicate_item(item_id: &str) -> ErrorDetail {
    ErrorDetail::invalid_request(
        codes::ITEM_CREATE_DUPLICATE_ITEM_ID,
        format!("Error adding item: an item with id '{item_id}' already exists."),
    )
    .with_param("item.id")
}

/// The output of a call nobody made.
pub(crate) fn unknown_call(call_id: &str) -> ErrorDetail {
    ErrorDetail::invalid_request(
        codes::INVALID_TOOL_CALL_ID,
        format!("Tool call ID '{call_id}' not found in conversation."),
    )
    .with_param("item.call_id")
}

/// Another voice after the first was heard.
pub(crate) fn voice_locked(param: &str) -> ErrorDetail {
    ErrorDetail::invalid_request(
        codes::CANNOT_UPDATE_VOICE,
        "Cannot update a conversation's voice if assistant audio is present.",
    )
    .with_param(param)
}

/// Checks the length of an id that a client chose.
pub(crate) fn check_id(param: &str, id: &str) -> Result<(), ErrorDetail> {
    let length = id.chars().count();
    if length > MAX_ID_CHARS {
        return Err(too_long(param, MAX_ID_CHARS, length));
    }
    if id.is_empty() {
        return Err(invalid(
            param,
            format!("Invalid '{param}': empty string. Expected at least one character."),
        ));
    }
    Ok(())
}
