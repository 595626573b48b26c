//! The task that owns a session.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use bytes::Bytes;
use futures_util::{StreamExt, stream::SplitStream};
use kaiwa_protocol::{
    AppendRef, Dialect, Error, ErrorDetail, ServerEvent, Session as WireSession, codes,
};
use kaiwa_session::{EngineEvent, Input, Millis, Output, Session, SessionOptions, journal::Writer};
use kaiwa_tools::Servers;
use tokio::{sync::watch, time::Instant};
use tokio_tungstenite::tungstenite;
use tracing::Instrument;

use crate::{
    engines::Engines,
    events::{Direction, FrameObserver, SessionLabel},
    jobs::{JobResult, Jobs, Results},
    metrics::SessionMetrics,
    outgoing::Outgoing,
    scribe::Scribe,
    server::{Seat, Shared, unix_seconds},
    timings::Turns,
    wire::{self, Wire},
};

/// Most audio one `input_audio_buffer.append` may hold, in bytes, as the protocol has it.
const MAX_APPEND: usize = 15 << 20;

/// Bytes of a buffer that are kept for the next event; larger ones, which a few events need,
/// are given back.
const KEPT: usize = 256 << 10;

/// How long the client may take for its half of the closing handshake.
const CLOSING: Duration = Duration::from_secs(3);

/// Bytes of audio given to the session at a time: 100 ms of `audio/pcm`, 600 ms of G.711.
/// Even, so that no 16-bit sample is cut.
const PIECE: usize = 4800;

/// Frames (32 ms each) the detector may have before it when the session gets another piece,
/// which holds up to 19. A session gives out 64 and keeps what is beyond, until it is full
/// and refuses more; this stays below, so that it is the client that waits.
///
/// The detector needs 0.4 ms for a frame. Only clients that send faster than real time get
/// here, and any client if the detector hangs.
const FRAMES_AHEAD: usize = 40;

/// How a session begins.
pub(crate) struct Opening {
    pub(crate) dialect: Dialect,
    /// Name of the model in the URL.
    pub(crate) model: Option<String>,
    /// What is bound to it.
    pub(crate) session: Option<WireSession>,
}

/// A session that is about to begin.
pub(crate) struct Opened {
    session: Session,
    dialect: Dialect,
    /// What follows `session.created` where the dialect has it.
    conversation_event: Option<ServerEvent>,
    conversation: u64,
    seed: u64,
    engines: Engines,
    scribe: Option<Scribe>,
}

/// Makes a session.
///
/// # Errors
///
/// The fault in what is bound to it.
pub(crate) fn open(server: &Shared, opening: Opening) -> Result<Opened, Box<ErrorDetail>> {
    let conversation = server.conversation();
    let seed = server
        .config
        .seed
        // Randomly keyed by the operating system, once a process; the number makes
        // the difference between sessions.
        .unwrap_or_else(|| RandomState::new().hash_one(conversation));
    let bound = opening.session.as_ref().and_then(model_of);
    let options = SessionOptions {
        seed,
        ..options(server, bound.or(opening.model))
    };
    let engines = server.engines_for(&options.model).clone();
    let dialect = opening.dialect;
    let label = SessionLabel {
        number: conversation,
        dialect,
    };
    let transcribes = matches!(opening.session, Some(WireSession::Transcription(_)));
    let journal = server.config.journal.as_ref();
    let journal = journal.map(|observe| (observe, Writer::new(&options, opening.session.as_ref())));
    let session = match opening.session {
        Some(session) => Session::configured(options, session)?,
        None => Session::new(options),
    };
    // A session that is refused has no journal.
    let scribe = journal.map(|(observe, begun)| Scribe::new(observe(&label), begun));
    let conversation_event = (!transcribes)
        .then(|| dialect.conversation_created(session.conversation_id()))
        .flatten();
    Ok(Opened {
        session,
        dialect,
        conversation_event,
        conversation,
        seed,
        engines,
        scribe,
    })
}

/// How sessions begin that name a model, or none.
pub(crate) fn options(server: &Shared, model: Option<String>) -> SessionOptions {
    let mut options = SessionOptions {
        model: model.unwrap_or_else(|| server.config.model.clone()),
        created_unix_seconds: unix_seconds(),
        ..server.config.session.clone()
    };
    if let Some(profile) = server.profile(&options.model) {
        options.voices.clone_from(&profile.voices);
        options.ahead_ms = profile.ahead_ms;
    }
    options
}

/// The model that is bound to a session.
pub(crate) fn model_of(session: &WireSession) -> Option<String> {
    match session {
        WireSession::Realtime(session) => session.model.as_deref().map(str::to_owned),
        _ => None,
    }
}

/// Runs a session until one side closes it.
///
/// `wire` is the connection under the socket, where that is known.
pub(crate) async fn run(socket: WebSocket, wire: Option<Wire>, seat: Seat, opened: Opened) {
    let server = Arc::clone(seat.server());
    let span = tracing::info_span!(
        "session",
        number = opened.conversation,
        dialect = %opened.dialect,
        id = tracing::field::Empty
    );
    Driver::start(socket, wire, &server, opened, span.clone())
        .run(server.stopping())
        .instrument(span)
        .await;
    drop(seat);
}

struct Driver {
    session: Session,
    effects: Effects,
    frames: SplitStream<WebSocket>,
    audio: WaitingAudio,
    begun: Instant,
    /// When the detector last showed that it works, or had nothing to do.
    heard: Instant,
    patience: Duration,
    wire: Option<Wire>,
    dialect: Dialect,
    /// Waits for the session to have said that it exists.
    conversation_event: Option<ServerEvent>,
    ping_interval: Duration,
    /// When the client is sent a ping if nothing comes from it until then.
    ping_at: Instant,
}

/// Where a session's outputs go.
struct Effects {
    jobs: Jobs,
    results: Results,
    outgoing: Outgoing,
    turns: Turns,
    dialect: Dialect,
    observer: Option<FrameObserver>,
    scribe: Option<Scribe>,
    /// The event being written.
    frame: Vec<u8>,
    own_events: u64,
    end: Option<End>,
}

/// Why a session is over.
enum End {
    /// We close what is no WebSocket any more; the client may still be sending.
    Broken(CloseFrame),
    /// We close.
    Close(CloseFrame),
    /// The client closed or vanished.
    Gone,
}

/// Audio of one event that the session has not got yet.
#[derive(Default)]
struct WaitingAudio {
    event_id: Option<String>,
    bytes: Vec<u8>,
    given: usize,
}

impl Driver {
    fn start(
        socket: WebSocket,
        wire: Option<Wire>,
        server: &Shared,
        opened: Opened,
        span: tracing::Span,
    ) -> Self {
        let config = &server.config;
        let Opened {
            session,
            dialect,
            conversation_event,
            conversation,
            seed,
            engines,
            scribe,
        } = opened;
        // Half of the seed is enough to draw tokens with.
        let (jobs, results) = Jobs::new(
            engines,
            Servers::new(config.mcp.clone()),
            &server.pool,
            conversation,
            seed as u32,
            span,
        );
        let (socket, frames) = socket.split();
        let begun = Instant::now();
        Self {
            session,
            dialect,
            conversation_event,
            ping_interval: config.ping_interval,
            ping_at: begun + config.ping_interval,
            effects: Effects {
                jobs,
                results,
                outgoing: Outgoing::start(socket, wire.clone(), config.patience),
                turns: Turns::new(
                    conversation,
                    config.on_turn.clone(),
                    SessionMetrics::new(Arc::clone(&server.metrics)),
                ),
                dialect,
                observer: config.on_event.as_ref().map(|observe| {
                    observe(&SessionLabel {
                        number: conversation,
                        dialect,
                    })
                }),
                scribe,
                frame: Vec::new(),
                own_events: 0,
                end: None,
            },
            frames,
            audio: WaitingAudio::default(),
            begun,
            heard: begun,
            patience: config.patience,
            wire,
        }
    }

    async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        tracing::info!("opened");
        let now = millis_since(self.begun);
        if let Some(scribe) = &mut self.effects.scribe {
            scribe.start(now);
        }
        for output in self.session.start(now) {
            self.effects.carry_out(output, now);
        }
        if let Some(event) = self.conversation_event.take() {
            self.effects.announce(event);
        }
        let end = loop {
            if let Some(end) = self.effects.end.take() {
                break end;
            }
            self.step(&mut stopping).await;
        };
        match &end {
            End::Broken(frame) | End::Close(frame) => {
                tracing::info!(code = frame.code, reason = %frame.reason, "closing")
            }
            End::Gone => tracing::info!("the client is gone"),
        }
        self.finish(end).await;
    }

    /// Waits for one thing to happen and acts upon it.
    async fn step(&mut self, stopping: &mut watch::Receiver<bool>) {
        let Effects {
            jobs,
            results,
            outgoing,
            ..
        } = &mut self.effects;
        let takes_results = outgoing.is_clear();
        let takes_text = takes_results && !self.session.voice_is_behind();
        let has_audio = !self.audio.is_empty();
        let has_room = jobs.frames_waiting() <= FRAMES_AHEAD;
        let is_overloaded = jobs.is_overloaded();
        // Each pause in it may be transcribed: one event can hold an hour of them.
        let gives_audio = has_audio && has_room && !is_overloaded;
        let takes_frames = !has_audio && !outgoing.is_flooded() && !is_overloaded;
        let stall = outgoing.stall_deadline();
        let timer = self
            .session
            .next_timeout()
            .map(|(at, _)| self.begun + Duration::from_millis(at));

        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => {
                self.effects.close(shutdown_code(self.dialect), "The server is shutting down.");
            }
            () = until(timer) => self.handle(Input::Timeout),
            Some(result) = results.voice.recv() => {
                self.effects.jobs.judged();
                self.heard = Instant::now();
                self.hear(result);
            }
            moved = outgoing.advance() => if moved.is_err() {
                self.effects.end = Some(End::Gone);
            },
            () = until(stall) => if outgoing.is_stalled() {
                self.effects.close(close_code::POLICY, "The client does not read what is sent to it.");
            },
            Some(result) = results.transcripts.recv(), if takes_results => self.hear(result),
            Some(result) = results.speech.recv(), if takes_results => self.hear(result),
            Some(result) = results.texts.recv(), if takes_text => self.hear(result),
            Some(result) = results.tools.recv(), if takes_results => self.hear(result),
            // Nothing to do but to read again.
            () = jobs.relieved(), if is_overloaded => {}
            () = tokio::task::yield_now(), if gives_audio => self.give_audio(),
            () = tokio::time::sleep_until(self.heard + self.patience), if has_audio && !has_room => {
                self.effects.close(
                    close_code::ERROR,
                    "The voice activity detector does not keep up with the audio.",
                );
            }
            () = tokio::time::sleep_until(self.ping_at) => {
                self.ping_at = Instant::now() + self.ping_interval;
                self.effects.outgoing.ping();
            }
            frame = self.frames.next(), if takes_frames => {
                self.ping_at = Instant::now() + self.ping_interval;
                self.receive(frame);
            }
        }
    }
}

impl Driver {
    /// Tells the session something and does what it wants done.
    fn handle(&mut self, input: Input<'_>) {
        let now = millis_since(self.begun);
        let has_time = self.effects.jobs.has_time();
        if let Some(scribe) = &mut self.effects.scribe {
            scribe.ahead(has_time, now);
            scribe.input(&input, now);
        }
        self.session.allow_ahead(has_time);
        for output in self.session.handle(input, now) {
            self.effects.carry_out(output, now);
        }
        self.effects.turns.count_ahead(self.session.ahead_counts());
    }

    /// Tells the session what an engine said.
    fn hear(&mut self, (id, event): JobResult) {
        let now = millis_since(self.begun);
        self.effects.turns.heard(id, &event, now);
        if matches!(
            event,
            EngineEvent::Transcript { .. }
                | EngineEvent::TurnJudged { .. }
                | EngineEvent::Generated { .. }
                | EngineEvent::Spoken
                | EngineEvent::PromptTooLong { .. }
                | EngineEvent::ToolsListed { .. }
                | EngineEvent::ToolReturned { .. }
                | EngineEvent::ToolFailed { .. }
                | EngineEvent::Failed { .. }
        ) {
            self.effects.jobs.ended(id);
        }
        self.handle(Input::Engine(id, event));
    }

    /// Gives the session the next piece of the waiting audio.
    fn give_audio(&mut self) {
        let now = millis_since(self.begun);
        self.heard = Instant::now();
        let (event_id, bytes) = self.audio.next_piece();
        let input = Input::Audio { event_id, bytes };
        if let Some(scribe) = &mut self.effects.scribe {
            scribe.input(&input, now);
        }
        let mut refused = false;
        for output in self.session.handle(input, now) {
            refused |= matches!(output, Output::Send(ServerEvent::Error(_)));
            self.effects.carry_out(output, now);
        }
        if refused {
            // One refusal answers the event.
            self.audio.clear();
        }
    }

    /// Acts upon what came out of the socket.
    fn receive(&mut self, frame: Option<Result<Message, axum::Error>>) {
        match frame {
            Some(Ok(Message::Text(text))) => {
                self.effects.observe(Direction::FromClient, &text);
                self.read(&text);
            }
            Some(Ok(Message::Binary(_))) => self.effects.refuse(ErrorDetail::invalid_request(
                codes::INVALID_EVENT,
                "A binary frame is no event: events are JSON in text frames.",
            )),
            // Answered by the WebSocket itself.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(_))) | None => self.effects.end = Some(End::Gone),
            Some(Err(error)) => {
                tracing::debug!(%error, "the socket failed");
                self.effects.end = Some(fault(error).map_or(End::Gone, End::Broken));
            }
        }
    }

    /// Reads an event. The audio of an append stays in the frame until it is decoded.
    fn read(&mut self, text: &str) {
        let Some(append) = AppendRef::parse(text) else {
            return match self.dialect.parse_client(text) {
                Ok(event) => self.handle(Input::Client(event)),
                Err(error) => self.handle(Input::Malformed(error)),
            };
        };
        // Four characters hold three bytes, but for the padding.
        if append.base64.len() / 4 * 3 > MAX_APPEND + 2 {
            let detail = ErrorDetail::invalid_request(
                codes::INVALID_VALUE,
                format!("An append holds at most {MAX_APPEND} bytes of audio."),
            );
            let event_id = append.event_id.map(String::from);
            self.effects
                .refuse(detail.with_param("audio").with_event_id(event_id));
            return;
        }
        match append.decode_over(self.audio.renewed()) {
            Ok(()) => self.audio.event_id = append.event_id.map(String::from),
            Err(error) => self.handle(Input::Malformed(error)),
        }
    }

    /// Ends the session: the engines at once, the connection after what was sent.
    async fn finish(self, end: End) {
        let Self {
            effects:
                Effects {
                    jobs,
                    results,
                    outgoing,
                    mut turns,
                    scribe,
                    ..
                },
            mut frames,
            begun,
            wire,
            ..
        } = self;
        turns.ended(millis_since(begun));
        if let Some(scribe) = scribe {
            scribe.end(millis_since(begun));
        }
        // Workers that wait for a receiver go on and see that their job is cancelled.
        drop((jobs, results));
        // The peer's half of the closing handshake; also what keeps its last frames from
        // resetting the connection before it has read ours.
        let rest = async move { while let Some(Ok(_)) = frames.next().await {} };
        let closed = tokio::time::timeout(CLOSING, async {
            match end {
                End::Broken(frame) => {
                    let connection = wire.as_ref().map(Wire::inherit);
                    outgoing.close(frame).await;
                    // The last of the WebSocket.
                    drop(rest);
                    if let Some(connection) = connection
                        && let Ok(connection) = connection.await
                        && let Err(error) = wire::read_past(connection).await
                    {
                        tracing::debug!(%error, "the rest of what was sent is lost");
                    }
                }
                End::Close(frame) => {
                    tokio::join!(outgoing.close(frame), rest);
                }
                End::Gone => {
                    drop(outgoing);
                    rest.await;
                }
            }
        });
        if closed.await.is_err() {
            tracing::debug!("the client did not close its side in time");
        }
    }
}

impl Effects {
    fn carry_out(&mut self, output: Output, now: Millis) {
        if let Some(scribe) = &mut self.scribe {
            scribe.output(&output, now);
        }
        match output {
            Output::Send(event) => {
                if let ServerEvent::SessionCreated(created) = &event {
                    tracing::Span::current().record("id", created.session.id());
                }
                self.turns.sent(&event, now);
                self.send(&event);
            }
            Output::Run(id, command) => {
                self.turns.started(id, &command, now);
                if let Err(error) = self.jobs.run(id, command) {
                    tracing::error!(%error, "a job cannot be started");
                    self.close(
                        close_code::ERROR,
                        "The server cannot keep up with the audio.",
                    );
                }
            }
            Output::Cancel(id) => {
                self.jobs.cancel(id);
                self.results.purge(id);
            }
            Output::Close(reason) => self.close(reason.code, &reason.reason),
        }
    }

    fn send(&mut self, event: &ServerEvent) {
        if !self.dialect.write_server(event, &mut self.frame) {
            return;
        }
        let frame = Bytes::copy_from_slice(&self.frame);
        self.frame.clear();
        self.frame.shrink_to(KEPT);
        let frame =
            Utf8Bytes::try_from(frame).expect("an event is written as JSON, which is UTF-8");
        self.observe(Direction::ToClient, &frame);
        self.outgoing.push(frame);
    }

    fn observe(&mut self, direction: Direction, frame: &str) {
        if let Some(observer) = &mut self.observer {
            observer(direction, frame);
        }
    }

    /// Sends an event that the session knows nothing of.
    fn announce(&mut self, mut event: ServerEvent) {
        self.own_events += 1;
        event.set_event_id(format!("event_of_server_{}", self.own_events));
        self.send(&event);
    }

    /// Answers a frame that never reaches the session.
    fn refuse(&mut self, error: ErrorDetail) {
        self.announce(ServerEvent::Error(Error {
            error,
            ..Error::default()
        }));
    }

    /// Ends the session after what was sent so far, unless it is ending already.
    fn close(&mut self, code: u16, reason: &str) {
        if self.end.is_none() {
            self.end = Some(End::Close(CloseFrame {
                code,
                reason: reason.into(),
            }));
        }
    }
}

impl WaitingAudio {
    fn is_empty(&self) -> bool {
        self.given == self.bytes.len()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        self.given = 0;
    }

    /// The memory for the next event's audio, still holding that of the one before.
    fn renewed(&mut self) -> &mut Vec<u8> {
        self.given = 0;
        if self.bytes.capacity() > KEPT {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT);
        }
        &mut self.bytes
    }

    fn next_piece(&mut self) -> (Option<&str>, &[u8]) {
        let rest = &self.bytes[self.given..];
        let piece = &rest[..rest.len().min(PIECE)];
        self.given += piece.len();
        (self.event_id.as_deref(), piece)
    }
}

/// What a client is told that broke its socket; `None` where nobody is there to be told.
pub(crate) fn fault(error: axum::Error) -> Option<CloseFrame> {
    fault_of(error.into_inner().downcast_ref()?)
}

/// What a peer is told that broke its socket; `None` where nobody is there to be told.
pub(crate) fn fault_of(error: &tungstenite::Error) -> Option<CloseFrame> {
    let (code, reason) = match error {
        tungstenite::Error::Capacity(_) => (close_code::SIZE, "The message is too big."),
        tungstenite::Error::Utf8(_) => (close_code::INVALID, "A text frame is not UTF-8."),
        tungstenite::Error::Protocol(_) => {
            (close_code::PROTOCOL, "The WebSocket protocol was violated.")
        }
        _ => return None,
    };
    Some(CloseFrame {
        code,
        reason: reason.into(),
    })
}

/// The close code of a server that shuts down: newer clients connect again after
/// "going away", those of the beta knew a normal end.
fn shutdown_code(dialect: Dialect) -> u16 {
    match dialect {
        Dialect::Ga => close_code::AWAY,
        Dialect::Beta => close_code::NORMAL,
    }
}

fn millis_since(begun: Instant) -> Millis {
    // 2^64 ms are longer than any session.
    begun.elapsed().as_millis() as Millis
}

/// Completes at the given time, or never.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
