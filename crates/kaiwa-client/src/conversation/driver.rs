//! The loop that owns the link, the card and the rules.

use std::collections::VecDeque;
use std::time::Duration;

use kaiwa_protocol::{
    ClientEvent, MaxOutputTokens, Maybe, ResponseCreate, ResponseParams, ServerEvent,
    SessionUpdate, ToolChoice,
};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::budget::{Allowance, Books};
use super::calls::Calls;
use super::config::{ConversationConfig, TraceEntry, Turn};
use super::duck::Duck;
use super::event::{EndReason, Event, Moment};
use super::history::History;
use super::latency::Latency;
use super::reconnect::{is_passing, is_passing_close, is_passing_fault};
use super::recovery::{Recovery, dialed};
use super::server::ends_session;
use super::session::Session;
use super::ticks::{Clock, Input, card_failed};
use super::turns::{LEAST_COMMIT, Turns, Typed};
use crate::card::{MicState, SoundCard};
use crate::link::{Driven, Incoming, Link, LinkError};
use crate::opening::Progress;
use crate::playback::Playback;

/// How long the server may take to open the session.
pub(super) const OPENING: Duration = Duration::from_secs(20);
/// How long the server may take to answer the close, and a reader to take the output.
pub(super) const CLOSING: Duration = Duration::from_secs(1);
/// A loop that wakes so much after the time it asked for was stopped with its process, or
/// by a reader of events that fell behind.
const LATE: Duration = Duration::from_millis(100);

/// What a handle asks for.
#[derive(Debug)]
pub(super) enum Command {
    /// End the spoken turn.
    Commit,
    /// Let a call run, or not.
    Confirm { item: String, agreed: bool },
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
    pub(super) card: C,
    pub(super) config: ConversationConfig,
    events: mpsc::Sender<Moment>,
    commands: mpsc::Receiver<Command>,
    /// Whether commands may still come.
    commanded: bool,
    stop: watch::Receiver<bool>,
    /// Events to be published.
    pub(super) out: VecDeque<Moment>,
    pub(super) playback: Playback,
    pub(super) duck: Duck,
    pub(super) history: History,
    pub(super) recovery: Recovery,
    pub(super) latency: Latency,
    /// Where there are prices.
    pub(super) books: Option<Books>,
    /// When the conversation was started.
    opened: Instant,
    pub(super) clock: Clock,
    pub(super) session: Session,
    pub(super) turns: Turns,
    pub(super) calls: Calls,
    pub(super) input: Input,
    /// Number of the last event sent.
    sent: u64,
}

impl<C: SoundCard> Driver<C> {
    pub(super) fn new(
        link: Link,
        card: C,
        mut config: ConversationConfig,
        events: mpsc::Sender<Moment>,
        commands: mpsc::Receiver<Command>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let now = Instant::now();
        Self {
            card,
            books: Books::new(&config),
            events,
            commands,
            commanded: true,
            stop,
            out: VecDeque::new(),
            playback: Playback::new(),
            duck: Duck::default(),
            history: History::default(),
            recovery: Recovery::new(config.reconnect.take()),
            latency: Latency::default(),
            opened: now,
            clock: Clock::default(),
            session: Session::new(link),
            config,
            turns: Turns::default(),
            calls: Calls::default(),
            input: Input::default(),
            sent: 0,
        }
    }

    /// Runs the conversation to its end.
    pub(super) async fn run(mut self) {
        if let Some(mut trace) = self.config.trace.take() {
            let opened = self.opened;
            self.session.link.set_tap(Box::new(move |direction, json| {
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
        // What the user hears and keeps comes first, the server's goodbye last. A reader of
        // the output that has stopped reading is not waited for.
        match tokio::time::timeout(CLOSING, self.card.finish()).await {
            Ok(Err(error)) if !reason.is_error() => reason = card_failed(&error),
            Ok(_) => {}
            Err(_) => self.emit(Event::Warning {
                message: "the end of the output was not read".to_owned(),
            }),
        }
        self.emit(Event::Ended { reason });
        // A function that cannot be stopped, because it never waits, is not waited for either.
        if tokio::time::timeout(CLOSING, self.calls.stop())
            .await
            .is_err()
        {
            tracing::debug!("a tool goes on after the conversation");
        }
        self.session.link.close(CLOSING).await;
        for moment in self.out {
            if self.events.send(moment).await.is_err() {
                return;
            }
        }
    }

    /// The loop; it ends only with a reason.
    async fn talk(&mut self) -> Result<std::convert::Infallible, EndReason> {
        self.configure()?;
        let mut wake = None;
        loop {
            self.forgive_lateness(wake);
            wake = self.advance()?;
            self.publish().await?;
            if !self.clock.ticking && self.wants_tick() {
                self.begin_tick()?;
            }
            tokio::select! {
                () = stopped(&mut self.stop) => return Err(EndReason::Stopped),
                command = self.commands.recv(), if self.commanded => self.obey(command)?,
                driven = self.session.link.drive(), if self.recovery.is_linked() => match driven {
                    Ok(Driven::Flushed) => {}
                    Ok(Driven::Ponged) => self.session.ponged(),
                    Ok(Driven::Received(incoming)) => self.receive(incoming)?,
                    Err(error) => self.lost(&error)?,
                },
                outcome = dialed(&mut self.recovery.dialing), if self.recovery.dialing.is_some() => {
                    self.dialed(outcome)?;
                }
                captured = self.card.capture(&mut self.input.frame), if self.clock.ticking => {
                    captured.map_err(|error| card_failed(&error))?;
                    self.end_tick()?;
                }
                (number, outcome) = self.calls.returned(), if self.calls.is_running() => {
                    self.settle(number, outcome);
                }
                () = tokio::time::sleep_until(wake.unwrap_or(self.opened)), if wake.is_some() => {}
            }
        }
    }

    /// Sends our configuration in the link's dialect.
    pub(super) fn configure(&mut self) -> Result<(), EndReason> {
        let update = SessionUpdate {
            session: self.config.session().into(),
            ..SessionUpdate::default()
        };
        let id = self.queue(update.into())?;
        self.session.opening.sent(id, &self.session.link);
        Ok(())
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
            Some(Command::Confirm { item, agreed }) => self.confirm(&item, agreed),
            Some(Command::Interrupt) => {
                self.calls.hush();
                self.silence_assistant()?;
            }
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
        self.session.heard = self.session.last_news;
        match incoming {
            Incoming::Event(event) => {
                if !self.session.ready {
                    match self.session.opening.observe(&event, &mut self.session.link) {
                        Progress::Accepted => {
                            self.session.ready = true;
                            self.session.fatal = None;
                            self.understand(*event)?;
                            return self.begin_session();
                        }
                        Progress::Again => {
                            self.configure()?;
                            if matches!(*event, ServerEvent::Error(_)) {
                                // Said of the wrong dialect, it is no reason to end.
                                return Ok(());
                            }
                        }
                        Progress::Refused => return self.refused(*event),
                        Progress::Stale => return Ok(()),
                        Progress::None => {}
                    }
                }
                self.understand(*event)
            }
            Incoming::Unreadable(what) => {
                self.emit(Event::Warning {
                    message: format!("the server sent something that is not an event: {what}"),
                });
                Ok(())
            }
            Incoming::Closed(closed) => {
                let fatal = self.session.fatal.take();
                let passing = fatal.is_none() && is_passing_close(closed.code);
                let reason = fatal.unwrap_or_else(|| EndReason::Closed {
                    message: closed.to_string(),
                    code: closed.code,
                });
                self.lose(reason, passing)
            }
        }
    }

    /// The server has refused our configuration. Going on with its own is not what was
    /// asked for: another voice, other instructions.
    fn refused(&mut self, event: ServerEvent) -> Result<(), EndReason> {
        let ServerEvent::Error(refused) = &event else {
            return self.understand(event);
        };
        let error = &refused.error;
        let passes = self.recovery.is_reopening() && is_passing_fault(error);
        if passes || ends_session(error) {
            // It is not the configuration that is at fault, and the server will close.
            return self.understand(event);
        }
        let refusal = EndReason::Refused {
            message: format!(
                "the server refused the session's configuration: {}",
                error.message
            ),
            code: error.code.cloned(),
            param: error.param.cloned(),
        };
        self.understand(event)?;
        Err(refusal)
    }

    /// Gives the server its time anew when we looked long after the deadline that `wake`
    /// is: what it said in time may still be unread.
    fn forgive_lateness(&mut self, wake: Option<Instant>) {
        let now = Instant::now();
        let late = wake.map(|wake| now.saturating_duration_since(wake));
        let Some(late) = late.filter(|late| *late >= LATE) else {
            return;
        };
        self.calls.forgive(late);
        self.session.last_news = now;
        self.session.heard = now;
        self.recovery.forgive_lateness(now);
        for since in [&mut self.turns.quiet_since, &mut self.turns.empty_since] {
            *since = since.map(|_| now);
        }
        if !self.session.ready {
            self.session.asked = now;
        }
    }

    /// The link has failed.
    pub(super) fn lost(&mut self, error: &LinkError) -> Result<(), EndReason> {
        let fatal = self.session.fatal.take();
        let passing = fatal.is_none() && is_passing(error);
        let reason = fatal.unwrap_or_else(|| EndReason::ConnectionLost {
            message: error.to_string(),
        });
        self.lose(reason, passing)
    }

    /// Does what can be done now, and says when to look again.
    fn advance(&mut self) -> Result<Option<Instant>, EndReason> {
        let now = Instant::now();
        let calls = self.look_after_calls(now)?;
        if let Some(wake) = self.recover(now)? {
            return Ok(Some(calls.map_or(wake, |call| call.min(wake))));
        }
        if !self.session.ready {
            let deadline = self.session.asked + OPENING;
            if now < deadline {
                return Ok(Some(deadline));
            }
            // Not every server closes after it has refused.
            let fatal = self.session.fatal.take();
            return Err(fatal.unwrap_or_else(|| EndReason::TimedOut {
                message: format!(
                    "the server did not open a session within {} s",
                    OPENING.as_secs()
                ),
            }));
        }
        if self.config.turn == Turn::None
            && self.card.mic() == MicState::Ended
            && self.session.uncommitted >= LEAST_COMMIT
        {
            self.commit()?;
        }
        self.say_typed()?;
        let turns = &self.turns;
        if turns.owed && turns.active.is_none() && turns.requested.is_none() && !turns.answer_due {
            self.ask()?;
        }
        let end = self.look_for_the_end(now)?;
        let care = self.look_after(now)?;
        Ok([calls, end, care].into_iter().flatten().min())
    }

    /// Asks for the answer that is owed, as far as the budget pays for it.
    fn ask(&mut self) -> Result<(), EndReason> {
        let books = self.books.as_ref();
        let allowance = books.map_or(Allowance::Any, Books::allowance);
        let mut params = ResponseParams::default();
        match allowance {
            Allowance::Any => {}
            // An answer that we asked for now would not stop for somebody who speaks already.
            Allowance::Tokens(_) if self.turns.user_speaking => return Ok(()),
            Allowance::Tokens(tokens) => {
                params.max_output_tokens = Maybe::Value(MaxOutputTokens::Count(tokens));
                if let Some(books) = &mut self.books {
                    books.ask(tokens);
                }
            }
            // What is being said is heard to its end.
            Allowance::Nothing if !self.is_silent() => return Ok(()),
            Allowance::Nothing => return Err(self.spent_up()),
        }
        if self.calls.is_exhausted() {
            params.tool_choice = Maybe::Value(ToolChoice::None);
        }
        let response = match params == ResponseParams::default() {
            true => Maybe::Absent,
            false => Maybe::Value(Box::new(params)),
        };
        let create = ResponseCreate {
            response,
            ..ResponseCreate::default()
        };
        self.turns.owed = false;
        self.calls.ask();
        self.turns.requested = Some(self.send(create.into())?);
        Ok(())
    }

    /// Why it ends when the budget has nothing left.
    pub(super) fn spent_up(&self) -> EndReason {
        let message = self.books.as_ref().map(Books::spent_up);
        EndReason::BudgetSpent {
            message: message.unwrap_or_default(),
        }
    }

    /// Queues an event under an id of its own, and gives the id. Without a session nothing is
    /// sent: the next one is told what there is to know.
    pub(super) fn send(&mut self, event: ClientEvent) -> Result<String, EndReason> {
        if self.recovery.is_down() {
            return Ok(String::new());
        }
        self.queue(event)
    }

    fn queue(&mut self, mut event: ClientEvent) -> Result<String, EndReason> {
        self.sent += 1;
        let id = format!("kaiwa_{}", self.sent);
        event.set_event_id(id.as_str());
        match self.session.link.queue(&event) {
            Ok(()) => {
                // A server may be silent for as long as it is asked nothing.
                self.session.last_news = Instant::now();
                Ok(id)
            }
            Err(error) => self.lost(&error).map(|()| id),
        }
    }

    /// Tells the reader.
    pub(super) fn emit(&mut self, event: Event) {
        let at_ms = self.now_ms();
        self.out.push_back(Moment { at_ms, event });
    }
}

/// Waits until the conversation is to stop; losing everyone who could say so is the same.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        tracing::debug!("nobody holds the conversation any more");
    }
}
