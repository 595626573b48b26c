//! `GET /v1/realtime`: the door to sessions.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{
        Query, State, WebSocketUpgrade, rejection::QueryRejection,
        ws::rejection::WebSocketUpgradeRejection,
    },
    http::{HeaderMap, HeaderValue},
    response::Response,
};
use kaiwa_protocol::{BETA_HEADER, Dialect, TranscriptionSession};
use serde::Deserialize;

use super::ApiError;
use crate::{
    auth,
    driver::{self, Opening},
    server::Shared,
    wire::Wire,
};

/// The subprotocol of browsers, the only one that is ever selected: another element of
/// their list carries the key.
const SUBPROTOCOL: &str = "realtime";

#[derive(Deserialize)]
pub(super) struct RealtimeQuery {
    model: Option<String>,
    call_id: Option<String>,
    intent: Option<String>,
}

pub(super) async fn open(
    State(server): State<Arc<Shared>>,
    query: Result<Query<RealtimeQuery>, QueryRejection>,
    headers: HeaderMap,
    wire: Option<Extension<Wire>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let bound = server.authorize_session(&headers)?;
    let Query(query) = query.map_err(|rejection| ApiError::bad_query(&rejection))?;
    let mut upgrade = upgrade.map_err(|rejection| ApiError::not_an_upgrade(&rejection))?;
    if let Some(call) = query.call_id {
        return Err(ApiError::unknown_call(&call));
    }
    let of_intent = match query.intent.as_deref() {
        None => None,
        Some("transcription") => Some(TranscriptionSession::default().into()),
        Some(other) => {
            return Err(ApiError::invalid_value(
                "intent",
                format!("Invalid value: '{other}'. Supported values are: 'transcription'."),
            ));
        }
    };
    // A secret of the beta opens sessions of the beta; any other client says what it speaks.
    let dialect = match bound.as_deref().map(|bound| bound.dialect) {
        Some(Dialect::Beta) => Dialect::Beta,
        Some(Dialect::Ga) | None => asked(&headers),
    };
    let seat = server.admit()?;
    let opened = driver::open(
        &server,
        Opening {
            dialect,
            model: query.model,
            session: bound.map(|bound| bound.session.clone()).or(of_intent),
        },
    )?;
    if auth::subprotocols(&headers).any(|element| element == SUBPROTOCOL.as_bytes()) {
        upgrade.set_selected_protocol(HeaderValue::from_static(SUBPROTOCOL));
    }
    let limit = server.config.max_message_bytes;
    let wire = wire.map(|Extension(wire)| wire);
    Ok(upgrade
        .max_message_size(limit)
        .max_frame_size(limit)
        .on_failed_upgrade(|error| tracing::debug!(%error, "an upgrade failed"))
        .on_upgrade(move |socket| driver::run(socket, wire, seat, opened)))
}

/// The dialect a handshake asks for.
fn asked(headers: &HeaderMap) -> Dialect {
    let values = headers.get_all(BETA_HEADER).iter();
    Dialect::requested(
        values.filter_map(|value| value.to_str().ok()),
        auth::subprotocols(headers).filter_map(|element| std::str::from_utf8(element).ok()),
    )
}
