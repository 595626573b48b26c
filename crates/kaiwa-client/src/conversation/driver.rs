//! The loop that owns the link, the card and the rules.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use kaiwa_audio::{AUDIBLE_DBFS, PcmDecoder, WIRE_RATE_HZ, last_above, pcm, samples_to_ms};
use kaiwa_protocol::{
    ClientEvent, ContentPart, ConversationItemCreate, ConversationItemTruncate,
    InputAudioBufferCommit, Item, Maybe, Message, ResponseCancel, ResponseCreate, Role,
    SessionUpdate,
};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::config::{ConversationConfig, TraceEntry, Turn};
use super::event::{EndReason, Event, Moment};
use super::latency::Latency;
use super::transcript::Transcripts;
use crate::card::{CardError, CardErrorKind, Frame, MicState, Pace, SoundCard, TICK};
use crate::link::{Driven, Incoming, Link, LinkError};
use crate::playback::{PartKey, Playback};

/// How long the server may take to open the session.
const OPENING: Duration = Duration::from_secs(20);
/// How long the server may take to answer the close.
const CLOSING: Duration = Duration::from_secs(1);
/// How long a transcript may be outstanding when all else is done.
const TRANSCRIPT_PATIENCE: Duration = Duration::from_secs(10);
/// How long an answer may follow a turn in which nothing was understood.
const EMPTY_TURN: Duration = Duration::from_secs(3);
/// The least sound that servers accept in a commit.
const LEAST_COMMIT: u64 = WIRE_RATE_HZ as u64 / 10;

/// What a handle asks for.
#[derive(Debug)]
pub(super) enum Command {
    /// End the spoken turn.
    Commit,
    /// No more typed turns.
    Finish,
    /// Stop the assistant.
    Interrupt,
    /// A typed turn.
    Say {
        text: String,
        /// Whether it interrupts the assistant or waits.
        interrupt: bool,
    },
}

/// The conversation's state, and the one task that changes it.
pub(super) struct Driver<C> {
    pub(super) link: Link,
    card: C,
    pub(super) config: ConversationConfig,
    events: mpsc::Sender<Moment>,
    commands: mpsc::Receiver<Command>,
    /// Whether commands may still come.
    commanded: bool,
    stop: watch::Receiver<bool>,
    /// Events to be published.
    out: VecDeque<Moment>,
    pub(super) playback: Playback,
    pub(super) transcripts: Transcripts,
    pub(super) latency: Latency,
    pub(super) clock: Clock,
    pub(super) session: Session,
    pub(super) turns: Turns,
    input: Input,
    /// Half a sample of the part that arrives.
    pub(super) decoder: (Option<PartKey>, PcmDecoder),
    /// Number of the last event sent.
    sent: u64,
}

/// The card's clock.
#[derive(Debug)]
pub(super) struct Clock {
    /// When the conversation was started.
    opened: Instant,
    /// Samples since then, at the beginning of the current tick.
    position: u64,
    /// Whether a tick has begun and not ended.
    ticking: bool,
    /// Whether the current tick carries sound of the assistant.
    playing: bool,
}

/// What is known of the server's session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) created: bool,
    /// Whether our configuration was taken or refused: the clock may start.
    pub(super) ready: bool,
    /// The silence the server waits for, when it says so.
    pub(super) silence_ms: Option<u64>,
    pub(super) creates_response: bool,
    pub(super) interrupts_response: bool,
    /// The id of our `session.update`.
    pub(super) update_id: String,
    /// The last error that ends a session.
    pub(super) fatal: Option<String>,
    /// When something arrived last.
    pub(super) last_news: Instant,
}

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// The server hears the user speak.
    pub(super) user_speaking: bool,
    /// The server has heard the user at some time.
    pub(super) user_heard: bool,
    /// A spoken turn has ended and the server is to answer by itself.
    pub(super) answer_due: bool,
    /// Since when that turn is known to be empty.
    pub(super) empty_since: Option<Instant>,
    /// The running response.
    pub(super) active: Option<Active>,
    /// The id of a `response.create` that has not been answered.
    pub(super) requested: Option<String>,
    /// A response has to be asked for as soon as none is running.
    pub(super) owed: bool,
    /// User items whose transcript is to come.
    pub(super) untranscribed: HashSet<String>,
    typed: VecDeque<Typed>,
    /// No more typed turns will come.
    typed_out: bool,
    typed_count: u64,
    /// Since when all is quiet after the input's end.
    quiet_since: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Active {
    pub(super) id: String,
    /// Whether its cancellation was asked for.
    pub(super) cancelled: bool,
}

#[derive(Debug)]
struct Typed {
    text: String,
    interrupt: bool,
}

/// What was sent of the microphone.
#[derive(Debug)]
struct Input {
    frame: Box<Frame>,
    bytes: Vec<u8>,
    /// Samples sent in this session.
    sent: u64,
    /// Samples sent since the last commit of ours.
    uncommitted: u64,
    /// Card position less session position, in samples.
    offset: u64,
    /// Samples of silence captured since the last sound of the source.
    silence: u64,
    /// Card position after the last audible sample.
    last_audible: Option<u64>,
    /// The source had more to give when the tick began.
    sounding: bool,
}

impl<C: SoundCard> Driver<C> {
    pub(super) fn new(
        link: Link,
        card: C,
        config: ConversationConfig,
        events: mpsc::Sender<Moment>,
        commands: mpsc::Receiver<Command>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let now = Instant::now();
        Self {
            link,
            card,
            config,
            events,
            commands,
            commanded: true,
            stop,
            out: VecDeque::new(),
            playback: Playback::new(),
            transcripts: Transcripts::default(),
            latency: Latency::default(),
            clock: Clock {
                opened: now,
                position: 0,
                ticking: false,
                playing: false,
            },
            session: Session {
                created: false,
                ready: false,
                silence_ms: None,
                creates_response: true,
                interrupts_response: true,
                update_id: String::new(),
                fatal: None,
                last_news: now,
            },
            turns: Turns::default(),
            input: Input {
                frame: Box::new([0.0; TICK]),
                bytes: Vec::with_capacity(TICK * 2),
                sent: 0,
                uncommitted: 0,
                offset: 0,
                silence: 0,
                last_audible: None,
                sounding: false,
            },
            decoder: (None, PcmDecoder::new()),
            sent: 0,
        }
    }

    /// Runs the conversation to its end.
    pub(super) async fn run(mut self) {
        if let Some(mut trace) = self.config.trace.take() {
            let opened = self.clock.opened;
            self.link.set_tap(Box::new(move |direction, json| {
                let at_ms = opened.elapsed().as_millis() as u64;
                trace(TraceEntry {
                    at_ms,
                    direction,
                    json,
                });
            }));
        }
        let mut reason = match self.talk().await {
            Err(reason) => reason,
            Ok(never) => match never {},
        };
        // What the user hears and keeps comes first, the server's goodbye last.
        if let Err(error) = self.card.finish().await
            && !reason.is_error()
        {
            reason = card_failed(&error);
        }
        self.emit(Event::Ended { reason });
        self.link.close(CLOSING).await;
        for moment in self.out {
            if self.events.send(moment).await.is_err() {
                return;
            }
        }
    }

    /// The loop; it ends only with a reason.
    async fn talk(&mut self) -> Result<std::convert::Infallible, EndReason> {
        let update = SessionUpdate {
            session: self.config.session().into(),
            ..SessionUpdate::default()
        };
        self.session.update_id = self.send(update.into())?;
        loop {
            let wake = self.advance()?;
            self.publish().await?;
            if !self.clock.ticking && self.wants_tick() {
                self.begin_tick()?;
            }
            tokio::select! {
                () = stopped(&mut self.stop) => return Err(EndReason::Stopped),
                command = self.commands.recv(), if self.commanded => self.obey(command)?,
                driven = self.link.drive() => match driven {
                    Ok(Driven::Flushed) => {}
                    Ok(Driven::Received(incoming)) => self.receive(incoming)?,
                    Err(error) => return Err(self.lost(&error)),
                },
                captured = self.card.capture(&mut self.input.frame), if self.clock.ticking => {
                    captured.map_err(|error| card_failed(&error))?;
                    self.end_tick()?;
                }
                () = tokio::time::sleep_until(wake.unwrap_or(self.clock.opened)), if wake.is_some() => {}
            }
        }
    }

    /// Gives the events to the reader.
    async fn publish(&mut self) -> Result<(), EndReason> {
        while let Some(moment) = self.out.pop_front() {
            tokio::select! {
                sent = self.events.send(moment) => sent.map_err(|_| EndReason::Stopped)?,
                () = stopped(&mut self.stop) => return Err(EndReason::Stopped),
            }
        }
        Ok(())
    }

    fn obey(&mut self, command: Option<Command>) -> Result<(), EndReason> {
        match command {
            Some(Command::Say { text, interrupt }) => {
                self.turns.typed.push_back(Typed { text, interrupt });
            }
            Some(Command::Commit) => self.commit()?,
            Some(Command::Interrupt) => self.silence_assistant()?,
            Some(Command::Finish) => self.turns.typed_out = true,
            // Every handle is gone.
            None => {
                self.commanded = false;
                self.turns.typed_out = true;
            }
        }
        Ok(())
    }

    fn receive(&mut self, incoming: Incoming) -> Result<(), EndReason> {
        self.session.last_news = Instant::now();
        match incoming {
            Incoming::Event(event) => self.understand(*event),
            Incoming::Unreadable(what) => {
                self.emit(Event::Warning {
                    message: format!("the server sent something that is not an event: {what}"),
                });
                Ok(())
            }
            Incoming::Closed(closed) => Err(match self.session.fatal.take() {
                Some(message) => EndReason::Rejected { message },
                None => EndReason::Closed {
                    message: closed.to_string(),
                    code: closed.code,
                },
            }),
        }
    }

    fn lost(&mut self, error: &LinkError) -> EndReason {
        match self.session.fatal.take() {
            Some(message) => EndReason::Rejected { message },
            None => EndReason::ConnectionLost {
                message: error.to_string(),
            },
        }
    }

    /// Whether the clock is to run now.
    fn wants_tick(&self) -> bool {
        if !self.session.ready {
            return false;
        }
        match self.card.pace() {
            Pace::RealTime => true,
            Pace::Fast if !self.link.is_flushed() => false,
            Pace::Fast => {
                let input = match self.card.mic() {
                    MicState::Sounding => true,
                    MicState::Ended | MicState::Open => self.wants_silence(),
                    MicState::Off => false,
                };
                input || !self.playback.is_drained()
            }
        }
    }

    /// Whether the server still needs silence to end the turn.
    fn wants_silence(&self) -> bool {
        self.config.turn != Turn::None && self.input.silence < samples(self.config.trailing_silence)
    }

    fn begin_tick(&mut self) -> Result<(), EndReason> {
        let pace = self.card.pace();
        self.clock.ticking = true;
        self.input.sounding = self.card.mic() == MicState::Sounding;
        let mut frame = [0.0; TICK];
        let played = self.playback.next(&mut frame, self.clock.position);
        self.clock.playing = played.sound;
        self.card
            .play(played.sound.then_some(&frame))
            .map_err(|error| card_failed(&error))?;
        if played.sound {
            self.session.last_news = Instant::now();
        }
        for (response, index) in played.audible {
            let at = self.clock.position + index as u64 + self.card.output_latency();
            let ms = samples_to_ms(at, WIRE_RATE_HZ);
            let latency = self.latency.audible(&response, ms);
            self.emit(Event::AssistantSpeechStarted { response, ms });
            if pace == Pace::RealTime {
                self.out.extend(latency.map(|latency| Moment {
                    at_ms: ms,
                    event: Event::TurnLatency(latency),
                }));
            }
        }
        for part in played.completed {
            self.spoken_to_the_end(&part);
        }
        if let Some(part) = played.underrun
            && pace == Pace::RealTime
        {
            self.emit(Event::PlaybackUnderrun { item: part.item });
        }
        Ok(())
    }

    fn end_tick(&mut self) -> Result<(), EndReason> {
        let begin = self.clock.position;
        self.clock.position += TICK as u64;
        self.clock.ticking = false;
        self.clock.playing = false;
        let mic = self.card.mic();
        let wants_silence = self.wants_silence();
        let input = &mut self.input;
        if let Some(index) = last_above(&*input.frame, AUDIBLE_DBFS) {
            input.last_audible = Some(begin + index as u64 + 1);
        }
        let sounding = input.sounding || mic == MicState::Sounding;
        input.silence = if sounding {
            0
        } else {
            input.silence + TICK as u64
        };
        let send = match mic {
            MicState::Off => false,
            MicState::Ended if !sounding => match self.card.pace() {
                // An open microphone would go on hearing silence, too.
                Pace::RealTime => self.config.turn != Turn::None,
                Pace::Fast => wants_silence,
            },
            MicState::Open if !sounding && self.card.pace() == Pace::Fast => wants_silence,
            MicState::Ended | MicState::Open | MicState::Sounding => true,
        };
        if !send {
            return Ok(());
        }
        let input = &mut self.input;
        input.offset = begin - input.sent.min(begin);
        input.sent += TICK as u64;
        input.uncommitted += TICK as u64;
        input.bytes.clear();
        pcm::encode(&*input.frame, &mut input.bytes);
        match self.link.queue_audio(&self.input.bytes) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.lost(&error)),
        }
    }

    /// Does what can be done now, and says when to look again.
    fn advance(&mut self) -> Result<Option<Instant>, EndReason> {
        let now = Instant::now();
        if !self.session.ready {
            let deadline = self.clock.opened + OPENING;
            return if now < deadline {
                Ok(Some(deadline))
            } else {
                Err(EndReason::TimedOut {
                    message: format!(
                        "the server did not open a session within {} s",
                        OPENING.as_secs()
                    ),
                })
            };
        }
        if self.config.turn == Turn::None
            && self.card.mic() == MicState::Ended
            && self.input.uncommitted >= LEAST_COMMIT
        {
            self.commit()?;
        }
        self.say_typed()?;
        let turns = &self.turns;
        if turns.owed && turns.active.is_none() && turns.requested.is_none() && !turns.answer_due {
            self.turns.owed = false;
            let id = self.send(ResponseCreate::default().into())?;
            self.turns.requested = Some(id);
        }
        self.look_for_the_end(now)
    }

    /// Ends the spoken turn and asks for an answer.
    fn commit(&mut self) -> Result<(), EndReason> {
        if self.input.uncommitted < LEAST_COMMIT {
            self.emit(Event::Warning {
                message: "there is nothing to commit: less than 100 ms were heard".to_owned(),
            });
            return Ok(());
        }
        self.input.uncommitted = 0;
        self.send(InputAudioBufferCommit::default().into())?;
        let now = self.now_ms();
        let end = self.speech_end_ms(samples_to_ms(self.input.sent, WIRE_RATE_HZ), 0);
        self.latency.spoken(None, end, now);
        self.turns.user_heard = true;
        self.turns.owed = true;
        Ok(())
    }

    /// Sends the next typed turn when its time has come.
    fn say_typed(&mut self) -> Result<(), EndReason> {
        let Some(next) = self.turns.typed.front() else {
            return Ok(());
        };
        if self.turns.requested.is_some() || self.turns.owed || self.turns.answer_due {
            return Ok(());
        }
        if next.interrupt {
            self.silence_assistant()?;
            if self.turns.active.is_some() {
                return Ok(());
            }
        } else {
            let listening = match self.card.mic() {
                MicState::Sounding => true,
                MicState::Ended => self.wants_silence(),
                MicState::Off | MicState::Open => false,
            };
            if listening || !self.is_quiet() {
                return Ok(());
            }
        }
        let Some(typed) = self.turns.typed.pop_front() else {
            return Ok(());
        };
        self.turns.typed_count += 1;
        let id = format!("typed_{:04}", self.turns.typed_count);
        let content = vec![ContentPart::input_text(typed.text.as_str())];
        let message = Message {
            id: Maybe::Value(id.clone()),
            ..Message::new(Role::User, content)
        };
        let create = ConversationItemCreate {
            item: Item::Message(message),
            ..ConversationItemCreate::default()
        };
        self.send(create.into())?;
        self.turns.owed = true;
        let now = self.now_ms();
        self.latency.typed(id.clone(), now);
        self.emit(Event::UserTranscriptDone {
            item: id,
            text: typed.text,
            typed: true,
        });
        Ok(())
    }

    /// Stops what the assistant says, here and at the server.
    pub(super) fn silence_assistant(&mut self) -> Result<(), EndReason> {
        if let Some(active) = &mut self.turns.active
            && !active.cancelled
        {
            active.cancelled = true;
            let id = active.id.clone();
            self.playback.bar(&id);
            let cancel = ResponseCancel {
                response_id: Maybe::Value(id),
                ..ResponseCancel::default()
            };
            self.send(cancel.into())?;
        }
        self.cut_playback()
    }

    /// Stops playback and tells the server what was heard.
    pub(super) fn cut_playback(&mut self) -> Result<(), EndReason> {
        for cut in self.playback.interrupt(self.card.output_latency()) {
            let truncate = ConversationItemTruncate {
                item_id: cut.part.item.clone(),
                content_index: cut.part.content_index,
                audio_end_ms: cut.played_ms,
                ..ConversationItemTruncate::default()
            };
            self.send(truncate.into())?;
            let text = self
                .transcripts
                .heard(&cut.part.item, cut.played_ms, cut.received_ms);
            self.emit(Event::Heard {
                item: cut.part.item,
                ms: cut.played_ms,
                received_ms: cut.received_ms,
                text,
            });
        }
        Ok(())
    }

    /// Whether all is asked, answered and played; transcripts may be outstanding.
    fn is_quiet(&self) -> bool {
        let turns = &self.turns;
        !turns.user_speaking
            && !turns.answer_due
            && !turns.owed
            && turns.active.is_none()
            && turns.requested.is_none()
            && self.is_silent()
    }

    /// Whether the assistant's sound is played to the end.
    fn is_silent(&self) -> bool {
        self.playback.is_drained() && !self.clock.playing
    }

    fn look_for_the_end(&mut self, now: Instant) -> Result<Option<Instant>, EndReason> {
        if let Some(since) = self.turns.empty_since {
            let deadline = since + EMPTY_TURN;
            if now < deadline {
                return Ok(Some(deadline));
            }
            self.turns.empty_since = None;
            self.turns.answer_due = false;
        }
        let mic = self.card.mic();
        let fed = match mic {
            MicState::Off => true,
            MicState::Ended => !self.wants_silence(),
            MicState::Open | MicState::Sounding => false,
        };
        let input_ended = fed && self.turns.typed_out && self.turns.typed.is_empty();
        if !self.is_quiet() {
            self.turns.quiet_since = None;
            if !self.is_silent() || mic == MicState::Sounding {
                return Ok(None);
            }
            // A user may speak as long as they like while the microphone is open.
            if self.turns.user_speaking && !input_ended {
                return Ok(None);
            }
            let deadline = self.session.last_news + self.config.answer_timeout;
            return if now < deadline {
                Ok(Some(deadline))
            } else {
                self.give_up(input_ended)
            };
        }
        if !input_ended {
            self.turns.quiet_since = None;
            return Ok(None);
        }
        let since = *self.turns.quiet_since.get_or_insert(now);
        let listens = mic != MicState::Off && self.config.turn != Turn::None;
        let patience = match (listens, self.turns.user_heard) {
            (true, true) => self.config.settle,
            (true, false) => self.config.nothing_heard,
            (false, _) => Duration::ZERO,
        };
        if now < since + patience {
            return Ok(Some(since + patience));
        }
        if !self.turns.untranscribed.is_empty() {
            if now < since + TRANSCRIPT_PATIENCE {
                return Ok(Some(since + TRANSCRIPT_PATIENCE));
            }
            self.emit(Event::Warning {
                message: "a transcript of the user's speech never came".to_owned(),
            });
        }
        Err(if listens && !self.turns.user_heard {
            EndReason::NothingHeard
        } else {
            EndReason::InputEnded
        })
    }

    /// The server owes something and is silent.
    fn give_up(&mut self, input_ended: bool) -> Result<Option<Instant>, EndReason> {
        let owed = if self.turns.user_speaking {
            "the end of the user's turn"
        } else if self.turns.active.is_some() {
            "the rest of its answer"
        } else {
            "an answer"
        };
        let message = format!(
            "the server has owed {owed} for {} s and says nothing",
            self.config.answer_timeout.as_secs()
        );
        if input_ended {
            return Err(EndReason::TimedOut { message });
        }
        self.emit(Event::Warning { message });
        self.turns.answer_due = false;
        self.turns.requested = None;
        self.turns.active = None;
        Ok(None)
    }

    /// Queues an event under an id of its own, and gives the id.
    pub(super) fn send(&mut self, mut event: ClientEvent) -> Result<String, EndReason> {
        self.sent += 1;
        let id = format!("kaiwa_{}", self.sent);
        event.set_event_id(id.as_str());
        match self.link.queue(&event) {
            Ok(()) => Ok(id),
            Err(error) => Err(self.lost(&error)),
        }
    }

    /// Tells the reader.
    pub(super) fn emit(&mut self, event: Event) {
        let at_ms = self.now_ms();
        self.out.push_back(Moment { at_ms, event });
    }

    pub(super) fn spoken_to_the_end(&mut self, part: &PartKey) {
        let played_ms = self.playback.played_ms(part).unwrap_or_default();
        self.emit(Event::AssistantSpeechStopped {
            item: part.item.clone(),
            played_ms,
        });
    }

    pub(super) fn now_ms(&self) -> u64 {
        samples_to_ms(self.card.position(), WIRE_RATE_HZ)
    }

    /// The position from which sound that arrives now may be played.
    pub(super) fn arrival(&self) -> u64 {
        match self.card.pace() {
            Pace::RealTime => self.card.position(),
            // Time does not pass by itself.
            Pace::Fast => 0,
        }
    }

    /// A time of the server's input buffer on the card's clock.
    pub(super) fn card_ms(&self, session_ms: u64) -> u64 {
        session_ms + samples_to_ms(self.input.offset, WIRE_RATE_HZ)
    }

    /// Where the user's speech ended, given where the server says the turn did, in ms of
    /// the session, and the silence it waited for.
    pub(super) fn speech_end_ms(&self, audio_end_ms: u64, silence_ms: u64) -> u64 {
        use super::config::SpeechEnd;
        let turn_end = self.card_ms(audio_end_ms);
        let by_server = turn_end.saturating_sub(silence_ms);
        match &self.config.speech_end {
            SpeechEnd::Server => by_server,
            SpeechEnd::Audible => self
                .input
                .last_audible
                .map_or(by_server, |at| samples_to_ms(at, WIRE_RATE_HZ)),
            SpeechEnd::Known(ends) => ends
                .iter()
                .copied()
                .filter(|&end| end <= turn_end)
                .max()
                .unwrap_or(by_server),
        }
    }
}

/// Waits until the conversation is to stop; losing everyone who could say so is the same.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        tracing::debug!("nobody holds the conversation any more");
    }
}

fn card_failed(error: &CardError) -> EndReason {
    match error.kind() {
        CardErrorKind::OutputClosed => EndReason::OutputClosed,
        CardErrorKind::Input | CardErrorKind::Output => EndReason::CardFailed {
            message: error.to_string(),
        },
    }
}

fn samples(duration: Duration) -> u64 {
    kaiwa_audio::ms_to_samples(duration.as_millis() as u64, WIRE_RATE_HZ)
}
