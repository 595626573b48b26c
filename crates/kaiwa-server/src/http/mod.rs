//! HTTP: the routes and who is let in.

pub(crate) mod body;
mod chat;
pub(crate) mod client_secrets;
mod error;
mod exchange;
mod models;
mod realtime;
mod sentences;
mod speech;
mod stream;
mod transcriptions;
mod upload;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{Method, StatusCode, Uri, header::CONTENT_TYPE},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Serialize;

pub(crate) use self::error::ApiError;
use crate::{metrics::MEDIA_TYPE, server::Shared};

pub(crate) fn router(server: Arc<Shared>) -> Router {
    let keyed = Router::new()
        .route("/v1/realtime/client_secrets", post(client_secrets::create))
        .route("/v1/realtime/sessions", post(client_secrets::create_beta))
        .route(
            "/v1/realtime/transcription_sessions",
            post(client_secrets::create_beta_transcription),
        )
        .route("/v1/models", get(models::list))
        // A model's name may be a path.
        .route("/v1/models/{*id}", get(models::one))
        .route("/v1/audio/transcriptions", post(transcriptions::create))
        .route("/v1/audio/speech", post(speech::create))
        .route("/v1/chat/completions", post(chat::create))
        .route_layer(middleware::from_fn_with_state(
            Arc::clone(&server),
            with_key,
        ));
    Router::new()
        // Judges keys by itself: ephemeral ones count here.
        .route("/v1/realtime", get(realtime::open))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .merge(keyed)
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(server)
}

async fn with_key(
    State(server): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if let Err(refusal) = server.authorize(request.headers()) {
        let body = request.into_body().into_data_stream();
        body::discard(body, server.config.patience).await;
        return Err(refusal.into());
    }
    Ok(next.run(request).await)
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    sessions: usize,
    max_sessions: usize,
    requests: usize,
    max_requests: usize,
    version: &'static str,
}

async fn health(State(server): State<Arc<Shared>>) -> Json<Health> {
    Json(Health {
        status: "ok",
        sessions: server.sessions(),
        max_sessions: server.config.max_sessions,
        requests: server.requests(),
        max_requests: server.config.max_requests,
        version: env!("CARGO_PKG_VERSION"),
    })
}

async fn metrics(State(server): State<Arc<Shared>>) -> impl IntoResponse {
    let text = server.metrics.text(server.sessions(), server.requests());
    ([(CONTENT_TYPE, MEDIA_TYPE)], text)
}

pub(crate) async fn unknown_route(method: Method, uri: Uri) -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "unknown_url",
        format!("Unknown request URL: {method} {}.", uri.path()),
    )
}

pub(crate) async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_supported",
        format!("Not allowed to {method} on {}.", uri.path()),
    )
}
