//! Ephemeral keys: `POST /v1/realtime/client_secrets`, and the beta's `/sessions` and
//! `/transcription_sessions`.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use kaiwa_protocol::{
    ClientEvent, Dialect, Error, ErrorDetail, RealtimeSession, ServerEvent, Session, SessionCreated,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use tokio::time::Instant;

use super::{ApiError, body};
use crate::{
    driver,
    secrets::{self, Bound},
    server::{Shared, unix_seconds},
};

/// Bytes of a request's body, all of which a secret keeps at worst.
pub(crate) const MAX_BODY: usize = 256 << 10;

/// How long a secret is good unless the client says otherwise, in seconds.
const LIFETIME_S: u64 = 600;

/// How long it may be good, in seconds.
const LIFETIMES_S: std::ops::RangeInclusive<u64> = 10..=7200;

/// What a client asks of `/v1/realtime/client_secrets`.
#[derive(Deserialize)]
pub(crate) struct SecretRequest {
    pub(crate) expires_after: Option<ExpiresAfter>,
    pub(crate) session: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
pub(crate) struct ExpiresAfter {
    anchor: Option<String>,
    seconds: Option<u64>,
}

pub(super) async fn create(
    State(server): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, ApiError> {
    #[derive(Serialize)]
    struct Answer {
        value: String,
        expires_at: u64,
        session: Session,
    }

    let body = read(&server, request).await?;
    let request: SecretRequest = body::json(&body)?;
    let seconds = lifetime("expires_after", request.expires_after)?;
    let session = match &request.session {
        Some(session) => parse(Dialect::Ga, "session.update", session.get())?,
        None => Session::default(),
    };
    let issued = issue(&server, Dialect::Ga, session, seconds)?;
    Ok(Json(Answer {
        value: issued.value,
        expires_at: issued.expires_at,
        session: issued.session,
    })
    .into_response())
}

/// The beta's realtime session.
pub(super) async fn create_beta(
    State(server): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, ApiError> {
    flat(&server, request, "session.update").await
}

/// The beta's transcription session.
pub(super) async fn create_beta_transcription(
    State(server): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, ApiError> {
    flat(&server, request, "transcription_session.update").await
}

/// A flat session in, the whole flat session with its secret out. `kind` is the event whose
/// session has the shape of the request.
async fn flat(
    server: &Arc<Shared>,
    request: Request,
    kind: &'static str,
) -> Result<Response, ApiError> {
    const SECRET: &str = "client_secret";

    #[derive(Default, Deserialize)]
    struct Secret {
        #[serde(alias = "expires_at")]
        expires_after: Option<ExpiresAfter>,
    }

    let body = read(server, request).await?;
    let mut session: Map<String, Value> = body::json(&body)?;
    let secret: Secret = match session.remove(SECRET) {
        None | Some(Value::Null) => Secret::default(),
        Some(secret) => body::json(secret.to_string().as_bytes())?,
    };
    let seconds = lifetime("client_secret.expires_after", secret.expires_after)?;
    let issued = parse(Dialect::Beta, kind, &Value::from(session).to_string())
        .and_then(|session| issue(server, Dialect::Beta, session, seconds))
        // The request is the session.
        .map_err(|error| error.without_parent("session."))?;

    let mut answer = in_beta(issued.session);
    answer.insert(
        SECRET.to_owned(),
        serde_json::json!({ "value": issued.value, "expires_at": issued.expires_at }),
    );
    Ok(Json(answer).into_response())
}

async fn read(server: &Shared, request: Request) -> Result<Vec<u8>, ApiError> {
    body::read(request.into_body(), MAX_BODY, server.config.patience).await
}

/// A secret and what it opens.
struct Issued {
    value: String,
    expires_at: u64,
    /// The whole configuration, with an id.
    session: Session,
}

/// Makes a secret of a configuration that a session could begin with.
fn issue(
    server: &Shared,
    dialect: Dialect,
    session: Session,
    seconds: u64,
) -> Result<Issued, ApiError> {
    let options = driver::options(server, driver::model_of(&session));
    let mut effective = kaiwa_session::effective(&options, &session)
        .map_err(|detail| in_words_of(dialect, *detail))?;
    let id = secrets::random_id("sess_");
    match &mut effective {
        Session::Realtime(session) => session.id = id.into(),
        Session::Transcription(session) => session.id = id.into(),
        Session::Unknown(_) => {}
    }
    let bound = Bound { dialect, session };
    let lifetime = Duration::from_secs(seconds);
    Ok(Issued {
        value: server.secrets.issue(bound, lifetime, Instant::now())?,
        expires_at: unix_seconds() + seconds,
        session: effective,
    })
}

/// Reads a session as an event would bring it, which names faults by their path.
fn parse(dialect: Dialect, kind: &str, session: &str) -> Result<Session, ApiError> {
    let frame = format!(r#"{{"type":"{kind}","session":{session}}}"#);
    match dialect.parse_client(&frame) {
        Ok(ClientEvent::SessionUpdate(update)) => Ok(update.session),
        Ok(_) => Ok(RealtimeSession::default().into()),
        Err(error) => Err(Box::new(ErrorDetail::from(&error)).into()),
    }
}

/// What the session core says, with the paths of the dialect.
fn in_words_of(dialect: Dialect, detail: ErrorDetail) -> Box<ErrorDetail> {
    let event = ServerEvent::Error(Error {
        error: detail.clone(),
        ..Error::default()
    });
    let mut frame = Vec::new();
    dialect.write_server(&event, &mut frame);
    let said = std::str::from_utf8(&frame).ok().map(ServerEvent::parse);
    match said {
        Some(Ok(ServerEvent::Error(event))) => Box::new(event.error),
        _ => Box::new(detail),
    }
}

/// A session as the beta shows it.
fn in_beta(session: Session) -> Map<String, Value> {
    let event = ServerEvent::SessionCreated(SessionCreated {
        session,
        ..SessionCreated::default()
    });
    let mut frame = Vec::new();
    Dialect::Beta.write_server(&event, &mut frame);
    match serde_json::from_slice(&frame) {
        Ok(Value::Object(mut event)) => match event.remove("session") {
            Some(Value::Object(session)) => session,
            _ => Map::new(),
        },
        _ => Map::new(),
    }
}

/// How long a secret is to be good, in seconds.
pub(crate) fn lifetime(param: &str, asked: Option<ExpiresAfter>) -> Result<u64, ApiError> {
    let Some(ExpiresAfter { anchor, seconds }) = asked else {
        return Ok(LIFETIME_S);
    };
    if let Some(anchor) = anchor.filter(|anchor| anchor != "created_at") {
        return Err(ApiError::invalid_value(
            &format!("{param}.anchor"),
            format!("Invalid value: '{anchor}'. Supported values are: 'created_at'."),
        ));
    }
    let seconds = seconds.unwrap_or(LIFETIME_S);
    if !LIFETIMES_S.contains(&seconds) {
        return Err(ApiError::out_of_range(
            &format!("{param}.seconds"),
            seconds,
            "10 to 7200",
        ));
    }
    Ok(seconds)
}
