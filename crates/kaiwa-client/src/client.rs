//! A session event by event, for programs that decide everything themselves.

use std::time::Duration;

use kaiwa_protocol::{
    ClientEvent, ErrorDetail, ResponseCreate, ResponseParams, ServerEvent, Session, SessionUpdate,
};
use tokio::time::Instant;

use crate::endpoint::Endpoint;
use crate::link::{Closed, Incoming, Link, LinkError};
use crate::opening::{Opening, Progress};
use crate::responses::{Concern, Responses};

/// How long the server may take to answer the configuration.
const OPENING: Duration = Duration::from_secs(20);

/// A session event by event.
///
/// Every event can be sent and every event arrives, typed. The client adds three things:
/// each event gets an id, by which errors refer to it; a session begins with a
/// configuration that the server has taken, in the dialect that it speaks; and
/// `response.create` waits its turn while a response of the default conversation runs, so
/// that the server never has to refuse it. Out-of-band responses go out at once.
///
/// ```no_run
/// use kaiwa_client::{Client, Endpoint};
/// use kaiwa_protocol::{ConversationItemCreate, Item, RealtimeSession, ServerEvent};
///
/// # async fn example() -> Result<(), kaiwa_client::ClientError> {
/// let endpoint = Endpoint::new("ws://127.0.0.1:8080/v1");
/// let mut client = Client::open(&endpoint, RealtimeSession::default()).await?;
/// let question = ConversationItemCreate {
///     item: Item::user_text("What is the capital of France?"),
///     ..ConversationItemCreate::default()
/// };
/// client.send(question).await?;
/// client.respond(Default::default()).await?;
/// while let Some(event) = client.next().await? {
///     if let ServerEvent::ResponseDone(_) = event {
///         break;
///     }
/// }
/// client.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Client {
    link: Link,
    responses: Responses,
    /// The configuration, until the server has answered it.
    opening: Option<(Opening, Session)>,
    /// Number of the last event sent.
    sent: u64,
}

/// Why a [`Client`] could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server ended the connection before the session was open.
    #[error("{0} before it opened a session")]
    Closed(Closed),
    /// The connection could not be made, or broke.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The server refused the configuration.
    #[error("the server refused the session's configuration: {}", .0.message)]
    Refused(Box<ErrorDetail>),
    /// The server ended the connection after it had said why.
    #[error("the server refused the session: {}", .0.message)]
    Rejected(Box<ErrorDetail>),
    /// The server did not open the session in time.
    #[error("the server did not open a session within {} s", OPENING.as_secs())]
    TimedOut,
}

impl Client {
    /// Connects, configures the session and waits until the server has taken that.
    ///
    /// # Errors
    ///
    /// When there is no connection, or the server refuses the configuration or does not
    /// answer it.
    pub async fn open(
        endpoint: &Endpoint,
        session: impl Into<Session>,
    ) -> Result<Self, ClientError> {
        Self::over(Link::connect(endpoint).await?, session).await
    }

    /// Like [`open`](Self::open), over a link that exists already.
    ///
    /// # Errors
    ///
    /// When the connection breaks, or the server refuses the configuration or does not
    /// answer it.
    pub async fn over(link: Link, session: impl Into<Session>) -> Result<Self, ClientError> {
        let mut client = Self {
            link,
            responses: Responses::default(),
            opening: Some((Opening::default(), session.into())),
            sent: 0,
        };
        let opening = async {
            let mut fault = None;
            client.configure()?;
            while client.opening.is_some() {
                match client.receive().await? {
                    Incoming::Event(event) => {
                        client.understand(&event)?;
                        if let ServerEvent::Error(event) = *event {
                            fault = Some(Box::new(event.error));
                        }
                    }
                    Incoming::Unreadable(what) => tracing::debug!(what, "not an event"),
                    Incoming::Closed(closed) => {
                        return Err(match fault {
                            Some(fault) => ClientError::Rejected(fault),
                            None => ClientError::Closed(closed),
                        });
                    }
                }
            }
            Ok(())
        };
        match tokio::time::timeout(OPENING, opening).await {
            Ok(outcome) => outcome.map(|()| client),
            Err(_) => Err(ClientError::TimedOut),
        }
    }

    /// Queues an event and gives the id it goes under: its own, or one made for it. A
    /// `response.create` waits until no response of the default conversation runs.
    ///
    /// # Errors
    ///
    /// When the connection has ended or the server takes nothing any more.
    pub fn queue(&mut self, event: impl Into<ClientEvent>) -> Result<String, ClientError> {
        let mut event = event.into();
        let id = match event.event_id() {
            Some(id) => id.to_owned(),
            None => {
                self.sent += 1;
                let id = format!("kaiwa_{}", self.sent);
                event.set_event_id(id.as_str());
                id
            }
        };
        match event {
            ClientEvent::ResponseCreate(create) => {
                if let Some(create) = self.responses.ask(create) {
                    self.link.queue(&create.into())?;
                }
                self.queue_due()?;
            }
            event => self.link.queue(&event)?,
        }
        Ok(id)
    }

    /// Queues sound for the input buffer: bytes in the session's input format.
    ///
    /// # Errors
    ///
    /// When the connection has ended or the server takes nothing any more.
    pub fn queue_audio(&mut self, audio: &[u8]) -> Result<(), ClientError> {
        Ok(self.link.queue_audio(audio)?)
    }

    /// Sends an event and all that was queued before it; see [`queue`](Self::queue).
    ///
    /// # Errors
    ///
    /// When the connection has ended or the server takes nothing any more.
    pub async fn send(&mut self, event: impl Into<ClientEvent>) -> Result<String, ClientError> {
        let id = self.queue(event)?;
        self.link.flush().await?;
        Ok(id)
    }

    /// Asks for a response: at once when it is out of band, else when those before it are
    /// done.
    ///
    /// # Errors
    ///
    /// When the connection has ended or the server takes nothing any more.
    pub async fn respond(&mut self, params: ResponseParams) -> Result<String, ClientError> {
        let response = if params == ResponseParams::default() {
            None
        } else {
            Some(Box::new(params))
        };
        self.send(ResponseCreate {
            response: response.into(),
            ..ResponseCreate::default()
        })
        .await
    }

    /// Waits for the next event, sending what is queued meanwhile; `None` when the server
    /// has ended the connection. Frames that are no events are skipped. Dropping the
    /// future loses nothing.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    pub async fn next(&mut self) -> Result<Option<ServerEvent>, ClientError> {
        loop {
            let wake = self.responses.wake();
            let incoming = tokio::select! {
                incoming = self.receive() => incoming?,
                () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    self.queue_due()?;
                    continue;
                }
            };
            match incoming {
                Incoming::Event(event) => {
                    if self.understand(&event)? == Concern::Caller {
                        return Ok(Some(*event));
                    }
                }
                Incoming::Unreadable(what) => tracing::debug!(what, "not an event"),
                Incoming::Closed(_) => return Ok(None),
            }
        }
    }

    /// How many requests for responses the server has not answered yet, those that wait
    /// their turn included.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.responses.outstanding()
    }

    /// The link below, to tap it or to see its dialect.
    pub fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    /// Ends the session in order.
    pub async fn close(self) {
        self.link.close(Duration::from_secs(1)).await;
    }

    async fn receive(&mut self) -> Result<Incoming, ClientError> {
        Ok(self.link.recv().await?)
    }

    /// Sends the configuration in the link's dialect.
    fn configure(&mut self) -> Result<(), ClientError> {
        let Some((mut opening, session)) = self.opening.take() else {
            return Ok(());
        };
        let update = SessionUpdate {
            session: session.clone(),
            ..SessionUpdate::default()
        };
        let id = self.queue(update)?;
        opening.sent(id, &self.link);
        self.opening = Some((opening, session));
        Ok(())
    }

    fn understand(&mut self, event: &ServerEvent) -> Result<Concern, ClientError> {
        let progress = match &self.opening {
            Some((opening, _)) => opening.observe(event, &mut self.link),
            None => Progress::None,
        };
        match (progress, event) {
            (Progress::Accepted, _) => self.opening = None,
            (Progress::Again, _) => self.configure()?,
            (Progress::Refused, ServerEvent::Error(event)) => {
                return Err(ClientError::Refused(Box::new(event.error.clone())));
            }
            _ => {}
        }
        let concern = self.responses.observe(event, Instant::now());
        self.queue_due()?;
        Ok(concern)
    }

    /// Queues the request whose turn has come.
    fn queue_due(&mut self) -> Result<(), ClientError> {
        if let Some(create) = self.responses.due(Instant::now()) {
            self.link.queue(&create.into())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use kaiwa_protocol::{Dialect, RealtimeSession};
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{FakeServer, connected, script};

    /// A client whose session is open, and its server.
    async fn opened() -> (Client, FakeServer) {
        let (link, mut server) = connected().await;
        let server = script(async move {
            server.open().await;
            server
        });
        let client = Client::over(link, RealtimeSession::default()).await;
        (
            client.expect("a session"),
            server.await.expect("the script"),
        )
    }

    /// Reads to the end.
    async fn all(mut client: Client) -> Vec<String> {
        let mut kinds = Vec::new();
        while let Some(event) = client.next().await.expect("a connection") {
            kinds.push(event.kind().to_owned());
        }
        kinds
    }

    fn busy(event_id: &Value) -> Value {
        json!({"type": "error", "error": {"type": "invalid_request_error", "message": "busy",
            "code": "conversation_already_has_active_response", "event_id": event_id}})
    }

    #[tokio::test(start_paused = true)]
    async fn several_requests_never_overlap() {
        let (mut client, mut server) = opened().await;
        for _ in 0..3 {
            client.queue(ResponseCreate::default()).expect("is taken");
        }
        let server = script(async move {
            for number in 0..3 {
                server.expect("response.create").await;
                let id = format!("resp_{number}");
                server.begin_response(&id).await;
                // Nothing more is asked for while it runs.
                server.hear_for(50).await;
                server.end_response(&id, "completed").await;
            }
            server.close(1000, "").await;
        });
        let kinds = all(client).await;
        server.await.expect("the script");
        assert!(!kinds.contains(&"error".to_owned()), "{kinds:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_crosses_an_automatic_response_is_made_again_unseen() {
        let (mut client, mut server) = opened().await;
        client.queue(ResponseCreate::default()).expect("is taken");
        let server = script(async move {
            let create = server.expect("response.create").await;
            server.begin_response("own").await;
            server.send(busy(&create["event_id"])).await;
            server.hear_for(50).await;
            server.end_response("own", "completed").await;
            let again = server.expect("response.create").await;
            assert_eq!(again["event_id"], create["event_id"]);
            server.begin_response("resp_1").await;
            server.end_response("resp_1", "completed").await;
            server.close(1000, "").await;
        });
        let kinds = all(client).await;
        server.await.expect("the script");
        assert_eq!(
            kinds,
            [
                "response.created",
                "response.done",
                "response.created",
                "response.done"
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_automatic_response_is_told_and_breaks_nothing() {
        let (mut client, mut server) = opened().await;
        client.queue(ResponseCreate::default()).expect("is taken");
        let server = script(async move {
            server.expect("response.create").await;
            server.begin_response("resp_1").await;
            server.send(busy(&Value::Null)).await;
            server.end_response("resp_1", "completed").await;
            server.hear_for(50).await;
            server.close(1000, "").await;
        });
        let kinds = all(client).await;
        server.await.expect("the script");
        assert_eq!(kinds, ["response.created", "error", "response.done"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flat_session_changes_the_dialect() {
        let (link, mut server) = connected().await;
        let server = script(async move {
            let first = server.expect("session.update").await;
            assert_eq!(first["session"]["type"], "realtime");
            server
                .send(json!({"type": "session.created", "session": {"id": "s", "object": "realtime.session",
                    "modalities": ["text", "audio"], "voice": "alloy"}}))
                .await;
            let again = server.expect("session.update").await;
            assert_eq!(again["session"], json!({"modalities": ["text", "audio"]}));
            // The answer to the first one means nothing any more.
            server
                .send(json!({"type": "error", "error": {"type": "invalid_request_error", "code": "unknown_parameter",
                    "message": "Unknown parameter: 'session.type'.", "param": "session.type",
                    "event_id": first["event_id"]}}))
                .await;
            server
                .send(json!({"type": "session.updated", "session": {"id": "s"}}))
                .await;
            server.expect("response.create").await;
            server
                .send(json!({"type": "response.created", "response": {"id": "r", "status": "in_progress", "output": []}}))
                .await;
            server
                .send(json!({"type": "response.audio_transcript.delta", "response_id": "r", "item_id": "i",
                    "output_index": 0, "content_index": 0, "delta": "Hi."}))
                .await;
            server.close(1000, "").await;
        });
        let session = RealtimeSession {
            output_modalities: vec![kaiwa_protocol::Modality::Audio].into(),
            ..RealtimeSession::default()
        };
        let mut client = Client::over(link, session).await.expect("a session");
        assert_eq!(client.link().dialect(), Dialect::Beta);
        client
            .respond(ResponseParams::default())
            .await
            .expect("is taken");
        let kinds = all(client).await;
        server.await.expect("the script");
        assert_eq!(
            kinds,
            ["response.created", "response.output_audio_transcript.delta"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_in_beta_words_changes_the_dialect() {
        let (link, mut server) = connected().await;
        let server = script(async move {
            let first = server.expect("session.update").await;
            server
                .send(json!({"type": "error", "error": {"type": "invalid_request_error", "code": "unknown_parameter",
                    "message": "Unknown parameter: 'session.type'.", "param": "session.type",
                    "event_id": first["event_id"]}}))
                .await;
            let again = server.expect("session.update").await;
            assert!(again["session"].get("type").is_none(), "{again}");
            server
                .send(json!({"type": "session.updated", "session": {"id": "s"}}))
                .await;
            server
        });
        let client = Client::over(link, RealtimeSession::default()).await;
        assert_eq!(client.expect("a session").link().dialect(), Dialect::Beta);
        drop(server.await.expect("the script"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_configuration_is_an_error_with_the_servers_words() {
        let (link, mut server) = connected().await;
        let server = script(async move {
            let update = server.expect("session.update").await;
            server
                .send(json!({"type": "error", "error": {"type": "invalid_request_error", "code": "invalid_value",
                    "message": "No such voice.", "param": "session.audio.output.voice",
                    "event_id": update["event_id"]}}))
                .await;
            server
        });
        let error = Client::over(link, RealtimeSession::default())
            .await
            .expect_err("a refusal");
        assert_eq!(
            error.to_string(),
            "the server refused the session's configuration: No such voice."
        );
        drop(server.await.expect("the script"));
    }

    #[tokio::test(start_paused = true)]
    async fn odd_servers_are_understood() {
        let (client, mut server) = opened().await;
        let server = script(async move {
            for event in [
                // Unknown, without fields, with nulls, with another dialect's name.
                json!({"type": "server.moon_phase", "phase": {"full": true}}),
                json!({"type": "response.created", "response": {"id": "r"}}),
                json!({"type": "response.output_audio.delta", "item_id": null, "delta": "AAAA"}),
                json!({"type": "response.audio.delta", "response_id": "r", "delta": "AAAA"}),
                json!({"type": "response.output_item.done", "item": {"type": "message", "content": [{"text": 1}]}}),
                json!({"type": "conversation.item.input_audio_transcription.completed", "item_id": "i", "transcript": "Hi."}),
                json!({"type": "response.done", "response": {"id": "r", "usage": {"total_tokens": null}, "output": null}}),
                json!({"type": "error", "error": null}),
            ] {
                server.send(event).await;
            }
            server.send_text("not JSON").await;
            server.send_binary(vec![1, 2, 3]).await;
            server.close(1000, "").await;
        });
        let kinds = all(client).await;
        server.await.expect("the script");
        assert_eq!(
            kinds,
            [
                "server.moon_phase",
                "response.created",
                "response.output_audio.delta",
                "response.output_audio.delta",
                "response.output_item.done",
                "conversation.item.input_audio_transcription.completed",
                "response.done",
                "error",
            ]
        );
    }
}
