//! What a refusal looks like.

use std::borrow::Cow;

use axum::{
    Json,
    extract::{rejection::QueryRejection, ws::rejection::WebSocketUpgradeRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use kaiwa_protocol::ErrorDetail;
use kaiwa_session::{EngineEvent, PROMPT_TOO_LONG};
use serde::Serialize;

use crate::{auth::Refusal, secrets, server::Full};

const INVALID_REQUEST: &str = "invalid_request_error";
const SERVER_ERROR: &str = "server_error";

/// A refusal in the shape of OpenAI's HTTP errors. Boxed inside, because it is rare.
#[derive(Debug)]
pub(crate) struct ApiError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    body: ErrorBody,
    /// When to try again, in somebody else's words.
    retry_after: Option<HeaderValue>,
}

/// The `error` member of a refusal, also of one in the middle of a stream.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorBody {
    message: String,
    r#type: &'static str,
    param: Option<String>,
    code: Cow<'static, str>,
}

impl ApiError {
    /// A mistake of the client, with status 400.
    pub(crate) fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// A value that is not taken here; `param` says which.
    pub(crate) fn invalid_value(param: &str, message: impl Into<String>) -> Self {
        Self::invalid("invalid_value", message).with_param(param)
    }

    /// A member that has to be there.
    pub(crate) fn missing(param: &str) -> Self {
        Self::invalid(
            "missing_required_parameter",
            format!("Missing required parameter: '{param}'."),
        )
        .with_param(param)
    }

    /// A member that would change the answer in a way this server cannot.
    pub(crate) fn unsupported(param: &str, reason: &str) -> Self {
        Self::invalid(
            "unsupported_parameter",
            format!("Unsupported parameter: '{param}'. {reason}"),
        )
        .with_param(param)
    }

    /// A number outside its range.
    pub(crate) fn out_of_range(param: &str, given: impl std::fmt::Display, range: &str) -> Self {
        Self::invalid_value(
            param,
            format!("Invalid value for '{param}': expected {range}, got {given}."),
        )
    }

    pub(crate) fn bad_query(rejection: &QueryRejection) -> Self {
        Self::invalid(
            "invalid_query",
            format!("The query of the URL cannot be read: {rejection}."),
        )
    }

    pub(crate) fn not_an_upgrade(rejection: &WebSocketUpgradeRejection) -> Self {
        Self::invalid(
            "websocket_upgrade_required",
            format!("This URL speaks WebSocket only: {rejection}."),
        )
    }

    pub(crate) fn unknown_call(call: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "call_id_not_found",
            format!("No call with id '{call}' is running."),
        )
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request_too_large",
            format!("The body of the request is larger than {limit} bytes."),
        )
    }

    /// The request took longer than it may.
    pub(crate) fn too_slow(status: StatusCode, what: &str) -> Self {
        Self::new(status, "timeout", format!("{what} took too long."))
    }

    /// Something broke that the client can do nothing about.
    pub(crate) fn internal(message: &str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
    }

    pub(crate) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        let kind = if status.is_server_error() {
            SERVER_ERROR
        } else {
            INVALID_REQUEST
        };
        Self(Box::new(Inner {
            status,
            body: ErrorBody {
                message: message.into(),
                r#type: kind,
                param: None,
                code: code.into(),
            },
            retry_after: None,
        }))
    }

    #[must_use]
    pub(crate) fn with_param(mut self, param: impl Into<String>) -> Self {
        self.0.body.param = Some(param.into());
        self
    }

    #[must_use]
    pub(crate) fn with_retry_after(mut self, value: HeaderValue) -> Self {
        self.0.retry_after = Some(value);
        self
    }

    /// The same about a member that the request does not have within `parent`.
    #[must_use]
    pub(crate) fn without_parent(mut self, parent: &str) -> Self {
        let body = &mut self.0.body;
        if let Some(rest) = body.param.as_deref().and_then(|p| p.strip_prefix(parent)) {
            let rest = rest.to_owned();
            body.message = body.message.replace(&format!("{parent}{rest}"), &rest);
            body.param = Some(rest);
        }
        self
    }

    /// The `error` member alone, for where no status can be sent any more.
    pub(crate) fn into_body(self) -> ErrorBody {
        self.0.body
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let (status, code, message) = match refusal {
            Refusal::Ephemeral => (
                StatusCode::FORBIDDEN,
                "insufficient_permissions",
                "An ephemeral key opens sessions and nothing else.",
            ),
            Refusal::ForeignOrigin => (
                StatusCode::FORBIDDEN,
                "origin_not_allowed",
                "A server without API keys takes no requests of websites on other hosts.",
            ),
            Refusal::NoKey => (
                StatusCode::UNAUTHORIZED,
                "missing_api_key",
                "No API key was given: send it in an Authorization header (Bearer KEY).",
            ),
            Refusal::WrongKey => (
                StatusCode::UNAUTHORIZED,
                "invalid_api_key",
                "Incorrect API key provided.",
            ),
        };
        Self::new(status, code, message)
    }
}

impl From<Full> for ApiError {
    fn from(full: Full) -> Self {
        let (code, message) = match full {
            Full::Requests => (
                "request_limit_reached",
                "This server works on as many requests as it may; try again later.",
            ),
            Full::Sessions => (
                "session_limit_reached",
                "All sessions of this server are taken; try again later.",
            ),
            Full::Stopping => ("server_stopping", "The server is shutting down."),
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
    }
}

impl From<secrets::Full> for ApiError {
    fn from(_: secrets::Full) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "client_secret_limit_reached",
            "As many client secrets as allowed are valid; try again when one has expired.",
        )
    }
}

/// What the session core says about a configuration.
impl From<Box<ErrorDetail>> for ApiError {
    fn from(detail: Box<ErrorDetail>) -> Self {
        let code = detail.code.into_value();
        let code = code.map_or(Cow::Borrowed("invalid_value"), Cow::Owned);
        let error = Self::new(StatusCode::BAD_REQUEST, code, detail.message);
        match detail.param.into_value() {
            Some(param) => error.with_param(param),
            None => error,
        }
    }
}

/// What an engine says when it fails; no other event gets here.
impl From<EngineEvent> for ApiError {
    fn from(event: EngineEvent) -> Self {
        let (code, message) = match event {
            EngineEvent::Failed { code, message } => (code, message),
            EngineEvent::PromptTooLong { tokens, limit } => {
                let message = format!(
                    "The conversation has {tokens} tokens; the language model takes {limit}."
                );
                return Self::invalid(PROMPT_TOO_LONG, message).with_param("messages");
            }
            _ => return Self::internal("An engine answered something else than it was asked."),
        };
        let status = match code.as_str() {
            "engine_invalid_input" | "engine_unsupported" | PROMPT_TOO_LONG => {
                StatusCode::BAD_REQUEST
            }
            "engine_model_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            "engine_timeout" => StatusCode::GATEWAY_TIMEOUT,
            "engine_unauthorized" | "engine_unreachable" => StatusCode::BAD_GATEWAY,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, code, sentence(message))
    }
}

/// Begins with a capital, as every message here does.
fn sentence(mut message: String) -> String {
    if let Some(first) = message.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    message
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            error: ErrorBody,
        }

        let Inner {
            status,
            body,
            retry_after,
        } = *self.0;
        let mut response = (status, Json(Body { error: body })).into_response();
        let headers = response.headers_mut();
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        if let Some(value) = retry_after {
            headers.insert(header::RETRY_AFTER, value);
        }
        response
    }
}
