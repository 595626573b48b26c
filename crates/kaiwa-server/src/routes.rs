//! HTTP: the routes, who is let in, and what a refusal looks like.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{
        Query, State, WebSocketUpgrade, rejection::QueryRejection,
        ws::rejection::WebSocketUpgradeRejection,
    },
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};

use crate::{
    auth::{self, Refusal},
    driver,
    server::{Full, Shared},
};

/// The subprotocol of browsers, the only one that is ever selected: another element of
/// their list carries the key.
const SUBPROTOCOL: &str = "realtime";

pub(crate) fn router(server: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/realtime", get(realtime))
        .route("/health", get(health))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(server)
}

#[derive(Deserialize)]
struct RealtimeQuery {
    model: Option<String>,
    call_id: Option<String>,
}

async fn realtime(
    State(server): State<Arc<Shared>>,
    query: Result<Query<RealtimeQuery>, QueryRejection>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    server.config.keys.check(&headers)?;
    let Query(query) = query.map_err(|rejection| ApiError::bad_query(&rejection))?;
    let mut upgrade = upgrade.map_err(|rejection| ApiError::not_an_upgrade(&rejection))?;
    if let Some(call) = query.call_id {
        return Err(ApiError::unknown_call(&call));
    }
    let seat = server.admit()?;
    if auth::subprotocols(&headers).any(|element| element == SUBPROTOCOL.as_bytes()) {
        upgrade.set_selected_protocol(HeaderValue::from_static(SUBPROTOCOL));
    }
    let limit = server.config.max_message_bytes;
    Ok(upgrade
        .max_message_size(limit)
        .max_frame_size(limit)
        .on_failed_upgrade(|error| tracing::debug!(%error, "an upgrade failed"))
        .on_upgrade(move |socket| driver::run(socket, seat, query.model)))
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    sessions: usize,
    max_sessions: usize,
    version: &'static str,
}

async fn health(State(server): State<Arc<Shared>>) -> Json<Health> {
    Json(Health {
        status: "ok",
        sessions: server.sessions(),
        max_sessions: server.config.max_sessions,
        version: env!("CARGO_PKG_VERSION"),
    })
}

async fn unknown_route(method: Method, uri: Uri) -> ApiError {
    ApiError {
        status: StatusCode::NOT_FOUND,
        kind: INVALID_REQUEST,
        code: "unknown_url",
        message: format!("Unknown request URL: {method} {}.", uri.path()),
    }
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    ApiError {
        status: StatusCode::METHOD_NOT_ALLOWED,
        kind: INVALID_REQUEST,
        code: "method_not_supported",
        message: format!("Not allowed to {method} on {}.", uri.path()),
    }
}

const INVALID_REQUEST: &str = "invalid_request_error";
const SERVER_ERROR: &str = "server_error";

/// A refusal in the shape of OpenAI's HTTP errors.
#[derive(Debug)]
struct ApiError {
    status: StatusCode,
    kind: &'static str,
    code: &'static str,
    message: String,
}

impl ApiError {
    fn bad_query(rejection: &QueryRejection) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            kind: INVALID_REQUEST,
            code: "invalid_query",
            message: format!("The query of the URL cannot be read: {rejection}."),
        }
    }

    fn not_an_upgrade(rejection: &WebSocketUpgradeRejection) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            kind: INVALID_REQUEST,
            code: "websocket_upgrade_required",
            message: format!("This URL speaks WebSocket only: {rejection}."),
        }
    }

    fn unknown_call(call: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            kind: INVALID_REQUEST,
            code: "call_id_not_found",
            message: format!("No call with id '{call}' is running."),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let (code, message) = match refusal {
            Refusal::NoKey => (
                "missing_api_key",
                "No API key was given: send it in an Authorization header (Bearer KEY).",
            ),
            Refusal::WrongKey => ("invalid_api_key", "Incorrect API key provided."),
        };
        Self {
            status: StatusCode::UNAUTHORIZED,
            kind: INVALID_REQUEST,
            code,
            message: message.to_owned(),
        }
    }
}

impl From<Full> for ApiError {
    fn from(full: Full) -> Self {
        let (code, message) = match full {
            Full::Sessions => (
                "session_limit_reached",
                "All sessions of this server are taken; try again later.",
            ),
            Full::Stopping => ("server_stopping", "The server is shutting down."),
        };
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            kind: SERVER_ERROR,
            code,
            message: message.to_owned(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            error: Error,
        }

        #[derive(Serialize)]
        struct Error {
            message: String,
            r#type: &'static str,
            param: Option<&'static str>,
            code: &'static str,
        }

        let body = Json(Body {
            error: Error {
                message: self.message,
                r#type: self.kind,
                param: None,
                code: self.code,
            },
        });
        let mut response = (self.status, body).into_response();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        response
    }
}
