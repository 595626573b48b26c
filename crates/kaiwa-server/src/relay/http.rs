//! The routes of a relay.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    extract::{
        Query, Request, State, WebSocketUpgrade, rejection::QueryRejection,
        ws::rejection::WebSocketUpgradeRejection,
    },
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use kaiwa_client::{Endpoint, Profile};
use kaiwa_protocol::{BETA_HEADER, BETA_HEADER_VALUE, Dialect};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{
    Shared,
    keys::{Key, Refused},
    meter::Meter,
    session::Session,
    upstream::{BACKLOG, Upstream},
};
use crate::{
    auth,
    events::SessionLabel,
    http::{
        ApiError, body,
        client_secrets::{MAX_BODY, SecretRequest, lifetime},
        wrong_method,
    },
    metrics::MEDIA_TYPE,
    secrets,
    server::unix_seconds,
    wire::Wire,
};

/// The only subprotocol that is ever selected: the other elements of browsers' lists carry keys
/// and wishes.
const SUBPROTOCOL: &str = "realtime";

/// Headers of a client that are for the upstream, besides the beta's.
const PASSED: [&str; 1] = ["openai-safety-identifier"];

/// Parameters of the URL that are not for the upstream: those that hold keys.
const WITHHELD: [&str; 5] = ["api-key", "api_key", "apikey", "key", "access_token"];

/// What an ephemeral key opens.
pub(super) struct Bound {
    key: Arc<Key>,
    /// Without its model, which is in the URL.
    session: Map<String, Value>,
    model: Option<String>,
    transcribes: bool,
}

pub(super) fn router(relay: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/realtime", get(open))
        .route("/v1/realtime/client_secrets", post(create_secret))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(relay)
}

async fn health(State(relay): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({
        "status": "ok",
        "sessions": relay.sessions(),
        "max_sessions": relay.config.max_sessions,
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

async fn metrics(State(relay): State<Arc<Shared>>) -> impl IntoResponse {
    let text = relay.metrics.text(relay.sessions(), &relay.keys);
    ([(CONTENT_TYPE, MEDIA_TYPE)], text)
}

async fn unknown_route(method: Method, uri: Uri) -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "unknown_url",
        format!(
            "Unknown request URL: {method} {}. This is a relay: it passes sessions on and has no \
             other routes.",
            uri.path()
        ),
    )
}

async fn open(
    State(relay): State<Arc<Shared>>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
    headers: HeaderMap,
    Extension(wire): Extension<Wire>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let (key, bound) = relay.authorize_session(&headers)?;
    let Query(query) = query.map_err(|rejection| ApiError::bad_query(&rejection))?;
    let mut upgrade = upgrade.map_err(|rejection| ApiError::not_an_upgrade(&rejection))?;
    let asked = Asked::of(query, bound.as_deref())?;
    let endpoint = asked.endpoint(&relay.config.upstream, &key, &headers)?;
    let model = endpoint.asked_model();
    judge(&relay, &key, model.as_deref())?;
    // The place comes first: who is over a limit does not get to the upstream.
    let place = relay.admit(key)?;
    let upstream = Upstream::dial(Arc::clone(&relay), endpoint).await?;
    relay.metrics.opened();
    let label = SessionLabel {
        number: relay.next_session(),
        dialect: asked_dialect(&headers),
    };
    let observer = relay
        .config
        .on_event
        .as_ref()
        .map(|observe| observe(&label));
    if auth::subprotocols(&headers).any(|element| element == SUBPROTOCOL.as_bytes()) {
        upgrade.set_selected_protocol(HeaderValue::from_static(SUBPROTOCOL));
    }
    let limit = relay.config.max_message_bytes;
    let first = bound.map(|bound| first_event(&bound));
    let meter = Meter::new(place, model);
    Ok(upgrade
        .max_message_size(limit)
        .max_frame_size(limit)
        .write_buffer_size(BACKLOG)
        .on_failed_upgrade(|error| tracing::debug!(%error, "an upgrade failed"))
        .on_upgrade(move |socket| async move {
            let stopping = relay.stopping();
            Session::new(socket, wire, upstream, meter, observer, relay)
                .run(first, stopping)
                .await;
        }))
}

/// Whether a key is for sessions of this model.
fn judge(relay: &Shared, key: &Key, model: Option<&str>) -> Result<(), ApiError> {
    match model {
        Some(model) => key.allow(model)?,
        None if key.models.is_empty() => {}
        None => {
            return Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "model_not_allowed",
                "This key is for sessions of certain models, and this session has none.",
            ));
        }
    }
    let is_priced = |model| relay.config.prices.of(model).is_some();
    match key.has_budget() && !model.is_none_or(is_priced) {
        true => Err(Refused::Unpriced.into()),
        false => Ok(()),
    }
}

/// What a client asks of the upstream.
struct Asked {
    model: Option<String>,
    /// Parameters of the URL as they came.
    others: Vec<(String, String)>,
}

impl Asked {
    fn of(query: Vec<(String, String)>, bound: Option<&Bound>) -> Result<Self, ApiError> {
        let mut asked = Self {
            model: None,
            others: Vec::new(),
        };
        for (name, value) in query {
            match name.as_str() {
                // The first counts, of whichever name.
                "model" | "deployment" => asked.model = asked.model.or(Some(value)),
                // Another client's call, with the same upstream key.
                "call_id" => return Err(ApiError::unknown_call(&value)),
                name if WITHHELD.contains(&name.to_ascii_lowercase().as_str()) => {}
                _ => asked.others.push((name, value)),
            }
        }
        if let Some(bound) = bound {
            asked.others.retain(|(name, _)| name != "intent");
            if bound.transcribes {
                asked.model = None;
                asked
                    .others
                    .push(("intent".to_owned(), "transcription".to_owned()));
            } else if bound.model.is_some() {
                asked.model.clone_from(&bound.model);
            }
        }
        if asked.others.iter().any(|(name, _)| name == "intent") {
            asked.model = None;
        }
        Ok(asked)
    }

    /// The upstream as it is asked. What its own URL says goes before what the client says.
    fn endpoint(
        &self,
        upstream: &Endpoint,
        key: &Key,
        headers: &HeaderMap,
    ) -> Result<Endpoint, ApiError> {
        let mut endpoint = upstream.clone();
        let transcribes = self.others.iter().any(|(name, _)| name == "intent");
        let only = key.models.first().cloned();
        endpoint.model = match transcribes {
            true => None,
            false => self.model.clone().or(endpoint.model).or(only),
        };
        let url = endpoint.url.split('#').next().unwrap_or_default();
        let (place, own) = url.split_once('?').unwrap_or((url, ""));
        let is_own = |name: &str| {
            let mut own = own.split('&').map(|pair| pair.split('=').next());
            own.any(|own| own == Some(name))
        };
        let mut query = own.to_owned();
        for (name, value) in self.others.iter().filter(|(name, _)| !is_own(name)) {
            if !query.is_empty() {
                query.push('&');
            }
            percent_encode(name, &mut query);
            query.push('=');
            percent_encode(value, &mut query);
        }
        endpoint.url = match query.is_empty() {
            true => place.to_owned(),
            false => format!("{place}?{query}"),
        };
        for name in PASSED {
            for value in headers.get_all(name) {
                let value = value.to_str().map_err(|_| bad_header(name))?;
                endpoint.headers.push((name.to_owned(), value.to_owned()));
            }
        }
        if endpoint.profile != Profile::Beta && asked_dialect(headers) == Dialect::Beta {
            let beta = (BETA_HEADER.to_owned(), BETA_HEADER_VALUE.to_owned());
            endpoint.headers.push(beta);
        } else {
            for value in headers.get_all(BETA_HEADER) {
                let value = value.to_str().map_err(|_| bad_header(BETA_HEADER))?;
                endpoint
                    .headers
                    .push((BETA_HEADER.to_owned(), value.to_owned()));
            }
        }
        Ok(endpoint)
    }
}

fn bad_header(name: &str) -> ApiError {
    ApiError::invalid("invalid_header", format!("The header {name} is not text."))
}

/// Whether the handshake asks for the beta, by a header or by a subprotocol.
fn asked_dialect(headers: &HeaderMap) -> Dialect {
    let values = headers.get_all(BETA_HEADER).iter();
    Dialect::requested(
        values.filter_map(|value| value.to_str().ok()),
        auth::subprotocols(headers).filter_map(|element| std::str::from_utf8(element).ok()),
    )
}

/// What is said to the upstream before the client says anything.
fn first_event(bound: &Bound) -> String {
    json!({
        "type": "session.update",
        "event_id": "event_of_relay_session",
        "session": bound.session,
    })
    .to_string()
}

async fn create_secret(
    State(relay): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, ApiError> {
    let key = match relay.authorize(request.headers()) {
        Ok(key) => key,
        Err(refusal) => {
            let body = request.into_body().into_data_stream();
            body::discard(body, relay.config.patience).await;
            return Err(refusal.into());
        }
    };
    let body = body::read(request.into_body(), MAX_BODY, relay.config.patience).await?;
    let request: SecretRequest = body::json(&body)?;
    let seconds = lifetime("expires_after", request.expires_after)?;
    let mut session: Map<String, Value> = match &request.session {
        Some(session) => serde_json::from_str(session.get()).map_err(|_| {
            ApiError::invalid_value(
                "session",
                "Invalid value for 'session': expected an object.",
            )
        })?,
        None => Map::new(),
    };
    let kind = session.entry("type").or_insert_with(|| "realtime".into());
    let transcribes = match kind.as_str() {
        Some("realtime") => false,
        Some("transcription") => true,
        _ => {
            return Err(ApiError::invalid_value(
                "session.type",
                "Invalid value for 'session.type': 'realtime' and 'transcription' are supported.",
            ));
        }
    };
    let model = match session.get("model") {
        None | Some(Value::Null) => None,
        Some(Value::String(model)) => Some(model.clone()),
        Some(_) => {
            return Err(ApiError::invalid_value(
                "session.model",
                "Invalid value for 'session.model': expected the name of a model.",
            ));
        }
    };
    if let Some(model) = &model {
        key.allow(model)?;
    }
    let mut shown = session.clone();
    let object = if transcribes {
        "realtime.transcription_session"
    } else {
        "realtime.session"
    };
    shown.insert("object".to_owned(), object.into());
    shown.insert("id".to_owned(), secrets::random_id("sess_").into());
    for name in ["model", "id", "object", "expires_at", "client_secret"] {
        session.remove(name);
    }
    let bound = Bound {
        key,
        session,
        model,
        transcribes,
    };
    let lifetime = Duration::from_secs(seconds);
    Ok(Json(json!({
        "value": relay.secrets.issue(bound, lifetime, Instant::now())?,
        "expires_at": unix_seconds() + seconds,
        "session": shown,
    }))
    .into_response())
}

impl Bound {
    pub(super) fn key(&self) -> &Arc<Key> {
        &self.key
    }
}

/// Appends `text` to a query: all but RFC 3986's unreserved characters escaped.
fn percent_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}
