//! Requests of one engine: limits, retries, bounded bodies.

use std::time::Duration;

use reqwest::{
    Client, Method, Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
    redirect,
};

use tokio::time::Instant;

use super::{Endpoint, Limits, Network, refusal::Subject, tls};
use crate::{Cancel, EngineError, EngineErrorKind};

/// Bytes that are read of a refusal.
const MAX_REFUSAL: usize = 16 << 10;

/// One engine's way to its server.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    endpoint: Endpoint,
    limits: Limits,
    network: Network,
    subject: Subject,
}

/// What is sent.
#[derive(Clone)]
pub(super) struct Payload {
    pub(super) content_type: String,
    pub(super) bytes: Vec<u8>,
}

/// Why an attempt failed.
struct Failure {
    error: EngineError,
    /// Whether another attempt makes sense, and the pause the server asks for before it.
    again: Option<Option<Duration>>,
}

impl Http {
    /// `role` is how sentences speak of the engine: "the language model".
    pub(super) fn new(
        role: &str,
        endpoint: Endpoint,
        limits: Limits,
        network: &Network,
    ) -> Result<Self, EngineError> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls::config())
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(limits.connect)
            .tcp_nodelay(true)
            .user_agent(concat!("kaiwa/", env!("CARGO_PKG_VERSION")));
        // Proxies of the environment lead out of one's own network.
        let client = match endpoint.is_private() {
            true => client.no_proxy(),
            false => client,
        };
        let client = client.build().map_err(|error| {
            EngineError::failed(format_args!("cannot make an HTTP client: {error}"))
        })?;
        Ok(Self {
            client,
            subject: Subject::new(role, &endpoint),
            endpoint,
            limits,
            network: network.clone(),
        })
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Runs `work` until it ends or is cancelled (`None`), which closes its connection.
    pub(super) fn run<T>(
        &self,
        cancel: &Cancel,
        work: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<Option<T>, EngineError> {
        if cancel.is_cancelled() {
            return Ok(None);
        }
        self.network.run(cancel, work)
    }

    /// Sends a request, again where that may help, until a server begins to answer with
    /// success. The answer holds `most` bytes at most.
    pub(super) async fn post(
        &self,
        route: &str,
        payload: &Payload,
        accept: &str,
        most: usize,
    ) -> Result<Answer<'_>, EngineError> {
        self.send(Method::POST, route, Some(payload), accept, most)
            .await
    }

    pub(super) async fn get(&self, route: &str, most: usize) -> Result<Answer<'_>, EngineError> {
        self.send(Method::GET, route, None, "application/json", most)
            .await
    }

    async fn send(
        &self,
        method: Method,
        route: &str,
        payload: Option<&Payload>,
        accept: &str,
        most: usize,
    ) -> Result<Answer<'_>, EngineError> {
        let mut pause = self.limits.pause;
        let mut attempt = 1;
        loop {
            let failure = match self.attempt(&method, route, payload, accept).await {
                Ok(response) => return Ok(Answer::new(self, response, most)),
                Err(failure) => failure,
            };
            let Some(asked) = failure.again.filter(|_| attempt < self.limits.attempts) else {
                return Err(failure.error);
            };
            let wait = asked.unwrap_or(pause);
            if wait > self.limits.longest_pause {
                return Err(failure.error);
            }
            tracing::debug!(attempt, error = %failure.error, "trying again");
            tokio::time::sleep(wait).await;
            pause = pause.saturating_mul(2).min(self.limits.longest_pause);
            attempt += 1;
        }
    }

    async fn attempt(
        &self,
        method: &Method,
        route: &str,
        payload: Option<&Payload>,
        accept: &str,
    ) -> Result<Response, Failure> {
        let mut request = self
            .client
            .request(method.clone(), self.endpoint.route(route))
            .header(ACCEPT, accept);
        if let Some(key) = self.endpoint.authorization() {
            request = request.header(AUTHORIZATION, key);
        }
        if let Some(payload) = payload {
            request = request
                .header(CONTENT_TYPE, &payload.content_type)
                .body(payload.bytes.clone());
        }
        let sent = tokio::time::timeout(self.limits.silence, request.send()).await;
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                return Err(Failure {
                    again: error.is_connect().then_some(None),
                    error: self.subject.transport(error),
                });
            }
            Err(_) => {
                return Err(Failure {
                    error: self.too_silent(self.limits.silence),
                    again: None,
                });
            }
        };
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let again = asks_again(status).then(|| pause_asked(&response));
        let mut answer = Answer::new(self, response, MAX_REFUSAL);
        // Without a body that can be read, the status says enough.
        let body = answer.rest().await.unwrap_or_default();
        Err(Failure {
            error: self.subject.status(status, &body),
            again,
        })
    }

    pub(super) fn too_silent(&self, limit: Duration) -> EngineError {
        let seconds = limit.as_secs_f64();
        self.subject.error(
            EngineErrorKind::Timeout,
            &format!("has said nothing for {seconds} s"),
        )
    }
}

fn asks_again(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 500 | 502 | 503 | 504)
}

/// The pause of `Retry-After` where it counts seconds; dates are for those with a calendar.
fn pause_asked(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    Some(Duration::from_secs(value.trim().parse().ok()?))
}

/// A body that is read in pieces, within bounds of time and size.
pub(super) struct Answer<'a> {
    http: &'a Http,
    response: Response,
    left: usize,
}

impl<'a> Answer<'a> {
    fn new(http: &'a Http, response: Response, most: usize) -> Self {
        Self {
            http,
            response,
            left: most,
        }
    }

    pub(super) fn subject(&self) -> &'a Subject {
        &self.http.subject
    }

    fn content_type(&self) -> &str {
        let value = self.response.headers().get(CONTENT_TYPE);
        value.and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// The content type without its parameters; empty where the server names none.
    pub(super) fn media_type(&self) -> String {
        let essence = self.content_type().split(';').next();
        essence.unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// A parameter of the content type.
    pub(super) fn parameter(&self, wanted: &str) -> Option<&str> {
        self.content_type().split(';').skip(1).find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let is_it = name.trim().eq_ignore_ascii_case(wanted);
            is_it.then(|| value.trim().trim_matches('"'))
        })
    }

    /// Until when something has to be said, from now.
    pub(super) fn patience(&self) -> Instant {
        Instant::now() + self.http.limits.silence
    }

    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, EngineError> {
        self.next_until(self.patience()).await
    }

    /// The next piece, if it comes in time; `None` at the end.
    pub(super) async fn next_until(
        &mut self,
        until: Instant,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let piece = tokio::time::timeout_at(until, self.response.chunk()).await;
        match piece {
            Ok(Ok(Some(piece))) => {
                self.left = self
                    .left
                    .checked_sub(piece.len())
                    .ok_or_else(|| self.subject().failed("sends more than an answer may hold"))?;
                Ok(Some(piece.into()))
            }
            Ok(Ok(None)) => Ok(None),
            Ok(Err(error)) => Err(self.subject().transport(error)),
            Err(_) => Err(self.http.too_silent(self.http.limits.silence)),
        }
    }

    /// All that is left.
    pub(super) async fn rest(&mut self) -> Result<Vec<u8>, EngineError> {
        let mut body = Vec::new();
        while let Some(piece) = self.next().await? {
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// The failure of an answer of the wrong type, in which servers hide what went wrong.
    pub(super) async fn misplaced(&mut self, expected: &str) -> EngineError {
        let media_type = self.media_type();
        if media_type == "application/json"
            && let Ok(body) = self.rest().await
            && let Ok(value) = serde_json::from_slice::<serde_json::Value>(&body)
            && let Some(error) = value.get("error").filter(|error| !error.is_null())
        {
            return self.subject().error_object(error);
        }
        let found = match media_type.as_str() {
            "" => "something without a type".to_owned(),
            other => self.subject().shortened(other),
        };
        self.subject().failed(&format!(
            "answers with {found} instead of {expected}: check its url"
        ))
    }
}
