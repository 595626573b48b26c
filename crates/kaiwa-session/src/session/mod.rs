//! The session: what happens goes in, what is to be done comes out.

mod ahead;
mod answers;
mod detection;
mod interruption;
mod items;
mod listening;
mod partial;
mod tools;

use kaiwa_protocol::{
    ClientEvent, ErrorDetail, InputAudioBufferCleared, OutputAudioBufferClear,
    Session as WireSession, SessionCreated, SessionUpdate, SessionUpdated, Tagged, Voice, codes,
};

pub use self::ahead::AheadCounts;
use self::{ahead::Ahead, detection::Detection, tools::Approvals};
use crate::{
    Millis, SessionOptions, Timer,
    config::{Config, Purpose},
    conversation::Conversation,
    engine::{EngineEvent, JobId},
    input_buffer::InputBuffer,
    io::{Drain, Input},
    mcp::Servers,
    outbox::{JobOwner, Outbox},
    rate_limits::RateLimits,
    refusal::{self, MAX_EVENT_ID_CHARS, Refusal},
    response::Response,
    truncation::Scale,
};

/// Result of a client's event: applied, or refused.
type Applied = Result<(), Refusal>;

/// The server's side of a Realtime session.
///
/// Methods are of three kinds: [`start`](Self::start) and [`handle`](Self::handle) take in
/// what happens and give a [`Drain`] of what is to be done, [`next_timeout`](Self::next_timeout)
/// says when to come back. See the crate's documentation for the rules.
#[derive(Debug)]
pub struct Session {
    options: SessionOptions,
    config: Config,
    outbox: Outbox,
    conversation: Conversation,
    buffer: InputBuffer,
    /// The turn detector's stream, while turns are detected.
    detection: Option<Detection>,
    /// What is done for the turn going on before it is known to be over.
    ahead: Option<Ahead>,
    ahead_counts: AheadCounts,
    /// Whether there is time to do so.
    may_work_ahead: bool,
    /// What the language model was given to read last.
    priming: Option<JobId>,
    /// Responses that are being made; at most one of them writes to the conversation.
    responses: Vec<Response>,
    /// The assistant's voice, once it was heard in the conversation: it cannot change then.
    heard_voice: Option<Voice>,
    /// MCP servers, and what is known of their tools.
    servers: Servers,
    /// Calls of their tools that are the client's to allow.
    approvals: Approvals,
    /// What the session may use in a time.
    limits: RateLimits,
    /// Characters of a token, as the language model counts.
    scale: Scale,
    /// When the session is over.
    expires_at: Millis,
    /// When the listener will have heard the answers so far, if nothing stops them.
    voiced_until: Millis,
    /// The item that is played up to then.
    voiced_item: Option<String>,
    /// When the model is to speak up by itself.
    idle_at: Option<Millis>,
    closed: bool,
}

impl Session {
    /// A session whose first output is `session.created`.
    #[must_use]
    pub fn new(options: SessionOptions) -> Self {
        let mut outbox = Outbox::new(options.seed);
        let config = Config::new(&options, outbox.ids.session());
        Self::with_config(options, config, outbox)
    }

    /// A session that begins with a configuration already bound to it: a client secret's, or
    /// a transcription session's. `requested` is what a `session.update` may say; its type is
    /// the session's for good, and a model it names takes the place of the options'.
    ///
    /// # Errors
    ///
    /// The fault in `requested`, as an `error` event would tell it.
    pub fn configured(
        options: SessionOptions,
        requested: WireSession,
    ) -> Result<Self, Box<ErrorDetail>> {
        let mut outbox = Outbox::new(options.seed);
        let config = Config::requested(&options, outbox.ids.session(), requested)?;
        Ok(Self::with_config(options, config, outbox))
    }

    fn with_config(options: SessionOptions, config: Config, mut outbox: Outbox) -> Self {
        let conversation = Conversation::new(
            outbox.ids.conversation(),
            options.max_kept_audio_bytes,
            options.max_created_bytes,
        );
        outbox.send(SessionCreated {
            session: config.shown(),
            ..SessionCreated::default()
        });
        let mut session = Self {
            servers: Servers::default(),
            approvals: Approvals::default(),
            ahead: None,
            ahead_counts: AheadCounts::default(),
            may_work_ahead: true,
            priming: None,
            buffer: InputBuffer::new(config.input_format()),
            detection: None,
            responses: Vec::new(),
            heard_voice: None,
            limits: RateLimits::new(&options.rate_limits),
            scale: Scale::default(),
            expires_at: options.max_session_ms,
            voiced_until: 0,
            voiced_item: None,
            idle_at: None,
            closed: false,
            config,
            outbox,
            conversation,
            options,
        };
        let reduction = session.config.noise_reduction();
        session.buffer.set_noise_reduction(reduction);
        session.list_session_tools(None);
        session
    }

    /// Begins the session: gives `session.created`. Its time runs from `now`.
    ///
    /// Without this call time runs from 0, and the first drain begins with `session.created`.
    pub fn start(&mut self, now: Millis) -> Drain<'_> {
        self.expires_at = now.saturating_add(self.options.max_session_ms);
        Drain::new(&mut self.outbox.outputs)
    }

    /// Takes in what happened at `now` and gives what is to be done.
    ///
    /// `now` never goes back. Deadlines that have passed are acted upon first, whatever the
    /// input. After an [`Output::Close`](crate::Output::Close) nothing has an effect.
    pub fn handle(&mut self, input: Input<'_>, now: Millis) -> Drain<'_> {
        self.act_on_deadlines(now);
        if !self.closed {
            match input {
                Input::Client(event) => self.handle_client(event, now),
                Input::Audio { event_id, bytes } => {
                    let applied = self.append(bytes);
                    self.answer(applied, event_id);
                }
                Input::Malformed(error) => self.outbox.send_error(ErrorDetail::from(&error)),
                Input::Engine(job, event) => self.handle_engine(job, event, now),
                Input::Timeout => {}
            }
        }
        Drain::new(&mut self.outbox.outputs)
    }

    /// Id of the default conversation, which a driver announces where the beta is spoken.
    #[must_use]
    pub fn conversation_id(&self) -> &str {
        &self.conversation.id
    }

    /// Whether the language model has written more than can be spoken soon: then what it says
    /// is better left with it. It is safe to hear it all the same.
    #[must_use]
    pub fn voice_is_behind(&self) -> bool {
        let mut responses = self.responses.iter().chain(self.held());
        responses.any(Response::is_ahead_of_voice)
    }

    /// When to call [`handle`](Self::handle) with [`Input::Timeout`], and why; `None` when
    /// nothing is to be waited for. To be asked again after each drain.
    #[must_use]
    pub fn next_timeout(&self) -> Option<(Millis, Timer)> {
        if !self.outbox.outputs.is_empty() {
            return Some((0, Timer::Outputs));
        }
        if self.closed {
            return None;
        }
        let expiry = (self.expires_at, Timer::Expiry);
        let idle = self.idle_deadline().map(|at| (at, Timer::Idle));
        let held = self.held_deadline().map(|at| (at, Timer::Held));
        let doubt = self.doubt_deadline().map(|at| (at, Timer::Doubt));
        let all = [Some(expiry), idle, held, doubt];
        all.into_iter().flatten().min()
    }

    fn act_on_deadlines(&mut self, now: Millis) {
        if self.closed {
            return;
        }
        if now >= self.expires_at {
            let minutes = self.options.max_session_ms / 60_000;
            let message = format!("Your session hit the maximum duration of {minutes} minutes.");
            let refusal = refusal::refuse(codes::SESSION_EXPIRED, &*message, None);
            self.outbox.refuse(*refusal, None);
            self.close(1001, &message);
            return;
        }
        if self.held_deadline().is_some_and(|at| now >= at) {
            self.drop_held();
        }
        if self.doubt_deadline().is_some_and(|at| now >= at) {
            self.believe_doubt(now);
        }
        if self.idle_deadline().is_some_and(|at| now >= at) {
            self.idle_at = None;
            self.speak_up(now);
        }
    }

    fn handle_client(&mut self, event: ClientEvent, now: Millis) {
        let event_id = event.event_id().map(str::to_owned);
        let length = event_id.as_ref().map_or(0, |id| id.chars().count());
        if length > MAX_EVENT_ID_CHARS {
            let refusal = refusal::too_long("event_id", MAX_EVENT_ID_CHARS, length);
            self.outbox.refuse(*refusal, event_id.as_deref());
            return;
        }
        self.let_go_of_held(&event);
        let applied = match event {
            ClientEvent::SessionUpdate(event) => self.update_session(event),
            ClientEvent::InputAudioBufferAppend(event) => self.append(&event.audio),
            ClientEvent::InputAudioBufferCommit(_) => self.commit_by_client(),
            ClientEvent::InputAudioBufferClear(_) => {
                self.buffer.clear();
                self.restart_detection();
                self.outbox.send(InputAudioBufferCleared::default());
                Ok(())
            }
            ClientEvent::ConversationItemCreate(event) => self.create_item(event),
            ClientEvent::ConversationItemRetrieve(event) => self.retrieve_item(&event),
            ClientEvent::ConversationItemTruncate(event) => self.truncate_item(&event),
            ClientEvent::ConversationItemDelete(event) => self.delete_item(event),
            ClientEvent::ResponseCreate(_) | ClientEvent::ResponseCancel(_)
                if self.config.purpose() == Purpose::Transcription =>
            {
                Err(refusal::no_responses(event.kind()))
            }
            ClientEvent::ResponseCreate(event) => self.create_response(event, now),
            ClientEvent::ResponseCancel(event) => self.cancel_response(&event, now),
            // Over a WebSocket nothing is played by the server.
            ClientEvent::OutputAudioBufferClear(_) => Err(refusal::not_one_of(
                "type",
                OutputAudioBufferClear::KIND,
                &supported_events(),
            )),
            ClientEvent::Unknown(event) => Err(refusal::not_one_of(
                "type",
                &event.kind,
                &supported_events(),
            )),
        };
        self.answer(applied, event_id.as_deref());
        self.review_doubt(now);
        self.go_about_approvals(now);
    }

    fn handle_engine(&mut self, job: JobId, event: EngineEvent, now: Millis) {
        // A job nobody owns was cancelled: its results come too late.
        match self.outbox.owner(job).cloned() {
            Some(JobOwner::Detection) => self.handle_voice(event, now),
            Some(JobOwner::Hearing) => self.handle_transcript(job, event, now),
            Some(JobOwner::Partial) => self.handle_partial(job, event),
            Some(JobOwner::Doubt) => self.handle_doubt(job, event, now),
            Some(JobOwner::Verdict) => self.handle_verdict(job, &event, now),
            Some(JobOwner::Priming) => self.outbox.retire(job),
            Some(JobOwner::Response(id)) => self.handle_answer(job, &id, event, now),
            Some(JobOwner::Listing { .. }) => self.handle_listing(job, event),
            None => {}
        }
    }

    fn update_session(&mut self, event: SessionUpdate) -> Applied {
        let config =
            self.config
                .updated(event.session, self.heard_voice.as_ref(), &self.servers)?;
        let turned = self.config.turn_taking().is_some() != config.turn_taking().is_some();
        self.config = config;
        self.buffer.set_format(self.config.input_format());
        self.buffer
            .set_noise_reduction(self.config.noise_reduction());
        if turned {
            self.restart_detection();
        }
        if self.idle_timeout_ms().is_none() {
            self.idle_at = None;
        }
        self.outbox.send(SessionUpdated {
            session: self.config.shown(),
            ..SessionUpdated::default()
        });
        self.list_session_tools(event.event_id.as_deref());
        Ok(())
    }

    fn answer(&mut self, applied: Applied, event_id: Option<&str>) {
        if let Err(refusal) = applied {
            self.outbox.refuse(*refusal, event_id);
        }
    }

    fn close(&mut self, code: u16, reason: &str) {
        self.outbox.close(code, reason);
        self.closed = true;
    }
}

/// The types of events a client may send over a WebSocket.
fn supported_events() -> Vec<&'static str> {
    ClientEvent::KNOWN
        .iter()
        .copied()
        .filter(|kind| *kind != OutputAudioBufferClear::KIND)
        .collect()
}
