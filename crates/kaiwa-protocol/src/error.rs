//! Errors as they travel, and the codes they carry.

use crate::wire::{Maybe, object};

object! {
    /// The `error` member of the `error` event: a mistake of the client or a fault of the server.
    pub struct ErrorDetail {
        /// The class: `invalid_request_error`, `server_error`.
        pub kind as "type": String,
        /// The error, one of [`codes`] or another.
        pub code: Maybe<String>,
        /// The error in words; never null, since clients look into it.
        pub message: String,
        /// Path to the faulty member, such as `session.audio.output.speed`.
        pub param: Maybe<String>,
        /// The `event_id` of the client's event that is at fault.
        pub event_id: Maybe<String>,
    }
}

impl ErrorDetail {
    /// A mistake of the client.
    pub fn invalid_request(code: &str, message: impl Into<String>) -> Self {
        Self::new("invalid_request_error", code, message)
    }

    /// A fault of the server.
    pub fn server_error(code: &str, message: impl Into<String>) -> Self {
        Self::new("server_error", code, message)
    }

    /// The same with the path to the faulty member.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Maybe::Value(param.into());
        self
    }

    /// The same with the id of the client's event, or null.
    #[must_use]
    pub fn with_event_id(mut self, event_id: Option<String>) -> Self {
        self.event_id = Maybe::nullable(event_id);
        self
    }

    fn new(kind: &str, code: &str, message: impl Into<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            code: code.into(),
            message: message.into(),
            param: Maybe::Null,
            event_id: Maybe::Null,
            ..Self::default()
        }
    }
}

/// Codes of errors that clients look for.
pub mod codes {
    /// The frame is not JSON.
    pub const INVALID_JSON: &str = "invalid_json";
    /// The event has no `type`.
    pub const INVALID_EVENT: &str = "invalid_event";
    /// A value is outside of what is allowed; also an unknown type of event, with param `type`.
    pub const INVALID_VALUE: &str = "invalid_value";
    /// A key of the session is unknown.
    pub const UNKNOWN_PARAMETER: &str = "unknown_parameter";
    /// A required member is missing.
    pub const MISSING_REQUIRED_PARAMETER: &str = "missing_required_parameter";
    /// A response is asked for while one is running.
    pub const CONVERSATION_ALREADY_HAS_ACTIVE_RESPONSE: &str =
        "conversation_already_has_active_response";
    /// There is no response to cancel.
    pub const RESPONSE_CANCEL_NOT_ACTIVE: &str = "response_cancel_not_active";
    /// Less than 100 ms of audio is committed.
    pub const INPUT_AUDIO_BUFFER_COMMIT_EMPTY: &str = "input_audio_buffer_commit_empty";
    /// The item to truncate does not exist.
    pub const ITEM_TRUNCATE_INVALID_ITEM_ID: &str = "item_truncate_invalid_item_id";
    /// The item to delete does not exist.
    pub const ITEM_DELETE_INVALID_ITEM_ID: &str = "item_delete_invalid_item_id";
    /// The item to retrieve does not exist.
    pub const ITEM_RETRIEVE_INVALID_ITEM_ID: &str = "item_retrieve_invalid_item_id";
    /// An item with this id exists already.
    pub const ITEM_CREATE_DUPLICATE_ITEM_ID: &str = "item_create_duplicate_item_id";
    /// The output is for a call that does not exist.
    pub const INVALID_TOOL_CALL_ID: &str = "invalid_tool_call_id";
    /// The voice cannot be changed after it was heard.
    pub const CANNOT_UPDATE_VOICE: &str = "cannot_update_voice";
    /// The session has lasted as long as it may.
    pub const SESSION_EXPIRED: &str = "session_expired";
    /// The key is wrong.
    pub const INVALID_API_KEY: &str = "invalid_api_key";
    /// The beta dialect is not spoken here.
    pub const BETA_API_SHAPE_DISABLED: &str = "beta_api_shape_disabled";
    /// Something broke in the server.
    pub const SERVER_ERROR: &str = "server_error";
}
