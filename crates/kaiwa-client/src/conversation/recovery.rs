//! What becomes of a conversation whose connection is lost, or whose session nears its end.
//!
//! The sound card's clock goes on: what has arrived is played, what is said is kept. A new
//! session is told what was said in the old one and then hears what the old one has not.

use std::time::Duration;

use kaiwa_audio::{WIRE_RATE_HZ, ms_to_samples};
use tokio::time::Instant;

use super::config::{OutputMode, Turn};
use super::driver::{CLOSING, Driver, OPENING};
use super::event::{EndReason, Event};
use super::reconnect::{Dialing, Reconnect, is_passing};
use super::session::Session;
use super::tape::Tape;
use crate::card::{MicState, SoundCard, TICK};
use crate::link::{Link, LinkError};

/// Sound before what is known to be unheard that is sent again, in ms: what the server has read it
/// may not have told of.
const LEAD_MS: u64 = 1000;
/// The same before speech that was told of, in ms: detectors want a beginning.
const SPEECH_LEAD_MS: u64 = 200;
/// A session that is lost earlier than this was no good. It does not make the next wait short.
const STABLE: Duration = Duration::from_secs(10);
/// So many of them in a row, and there is something wrong that does not pass.
const MOST_UNSTABLE: u32 = 5;

/// What is kept for the case that the connection is lost, and where things are when it is.
#[derive(Default)]
pub(super) struct Recovery {
    pub(super) policy: Option<Reconnect>,
    /// When the latest session was ready. A conversation that never had one ends at once.
    begun: Option<Instant>,
    /// Sessions in a row that were lost soon.
    unstable: u32,
    /// Why the connection is lost, as long as nothing has been done about it.
    broken: Option<String>,
    outage: Option<Outage>,
    /// Another connection in the making.
    pub(super) dialing: Option<Dialing>,
    tape: Tape,
    /// The card's position at the end of the latest turn that the server told of.
    settled: u64,
    /// The answer to the latest turn was lost and has been asked for a second time.
    pub(super) asked_again: bool,
}

/// The time without a session.
#[derive(Debug)]
struct Outage {
    since: Instant,
    /// When to give up.
    deadline: Instant,
    attempt: u32,
    /// Why it began.
    why: String,
    /// Why the latest attempt failed.
    last: Option<String>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// The next attempt is made then.
    Waiting(Instant),
    /// A connection is being made.
    Dialing,
    /// There is one, and its session is being opened.
    Opening,
}

impl Recovery {
    pub(super) fn new(policy: Option<Reconnect>) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }

    /// Whether there is no session to say something in.
    pub(super) fn is_down(&self) -> bool {
        self.broken.is_some() || self.outage.is_some()
    }

    /// Whether there is a link to listen to.
    pub(super) fn is_linked(&self) -> bool {
        let outage = self.outage.as_ref();
        self.broken.is_none() && outage.is_none_or(|outage| outage.stage == Stage::Opening)
    }

    /// Whether a session is being opened after another.
    pub(super) fn is_reopening(&self) -> bool {
        self.outage.is_some()
    }

    /// Whether another connection would be made for one that is lost.
    fn can_recover(&self) -> bool {
        self.begun.is_some() && self.policy.is_some()
    }

    /// Takes a tick of the microphone.
    pub(super) fn record(&mut self, begin: u64, bytes: &[u8], audible: bool) {
        if self.policy.is_some() {
            self.tape.push(begin, bytes, audible);
        }
    }

    /// The server knows of the user's turn that ended there, at a position of the card, and
    /// gives the position from which on it was not known.
    pub(super) fn settle(&mut self, position: u64) -> u64 {
        self.tape.settle(position);
        std::mem::replace(&mut self.settled, position)
    }

    /// The connection is to be made again, if that is possible.
    pub(super) fn give_up_session(&mut self, why: impl Into<String>) -> bool {
        let can = self.can_recover();
        if can && self.broken.is_none() {
            self.broken = Some(why.into());
        }
        can
    }

    /// How long to wait before the first attempt after a session was lost. Those that were lost
    /// soon count as attempts.
    fn first_wait(&mut self, now: Instant, why: &str) -> Result<Duration, EndReason> {
        let lasted = self.begun.map(|at| now.saturating_duration_since(at));
        self.unstable = match lasted {
            Some(lasted) if lasted < STABLE => self.unstable + 1,
            _ => 0,
        };
        if self.unstable > MOST_UNSTABLE {
            let seconds = STABLE.as_secs();
            return Err(EndReason::ConnectionLost {
                message: format!(
                    "{why}, as {MOST_UNSTABLE} times before within {seconds} s; wait a while and \
                     start again"
                ),
            });
        }
        let policy = self.policy.as_mut();
        Ok(policy.map_or(Duration::ZERO, |policy| policy.wait(self.unstable.max(1))))
    }

    /// A stopped process cannot have made a connection.
    pub(super) fn forgive_lateness(&mut self, now: Instant) {
        if let (Some(outage), Some(policy)) = (&mut self.outage, &self.policy) {
            outage.deadline = now + policy.most_patience();
        }
    }
}

impl<C: SoundCard> Driver<C> {
    /// The connection has ended with `reason`: the end of the conversation, unless it is
    /// `passing` and another connection may be made.
    pub(super) fn lose(&mut self, reason: EndReason, passing: bool) -> Result<(), EndReason> {
        if passing && self.recovery.give_up_session(reason.to_string()) {
            Ok(())
        } else {
            Err(reason)
        }
    }

    /// Does what can be done without a session, and says when to look again; `None` when
    /// there is a session.
    pub(super) fn recover(&mut self, now: Instant) -> Result<Option<Instant>, EndReason> {
        if let Some(why) = self.recovery.broken.take() {
            if self.recovery.outage.is_some() {
                self.attempt_failed(why);
            } else {
                let stage = Stage::Waiting(now + self.recovery.first_wait(now, &why)?);
                self.begin_outage(&why, format!("{why}; connecting again"), stage);
            }
        }
        let (Some(outage), Some(policy)) = (&mut self.recovery.outage, &mut self.recovery.policy)
        else {
            return Ok(None);
        };
        if now >= outage.deadline {
            let last = outage.last.as_ref().unwrap_or(&outage.why);
            let message = format!(
                "{}, and it could not be made again within {} s ({last}); check the network and \
                 start again",
                outage.why,
                policy.most_patience().as_secs(),
            );
            return Err(EndReason::ConnectionLost { message });
        }
        let next = match outage.stage {
            Stage::Waiting(at) if now >= at => {
                outage.stage = Stage::Dialing;
                self.recovery.dialing = Some(policy.dial());
                None
            }
            Stage::Waiting(at) => Some(at),
            Stage::Dialing => None,
            Stage::Opening => Some(self.session.asked + OPENING),
        };
        let mut wake = next.map_or(outage.deadline, |next| next.min(outage.deadline));
        if outage.stage == Stage::Opening && next.is_some_and(|next| now >= next) {
            // Not every server closes after it has refused.
            if let Some(fatal) = self.session.fatal.take() {
                return Err(fatal);
            }
            self.attempt_failed(format!(
                "the server did not open a session within {} s",
                OPENING.as_secs()
            ));
            return self.recover(now);
        }
        // Whoever types over the assistant's voice is not to wait for a connection.
        if self.turns.typed.front().is_some_and(|next| next.interrupt) && !self.is_silent() {
            self.cut_playback()?;
        }
        if self.needs_nothing()
            && let Some(end) = self.look_for_the_end(now)?
        {
            wake = wake.min(end);
        }
        Ok(Some(wake))
    }

    /// Whether all that will be asked is answered.
    fn needs_nothing(&self) -> bool {
        let fed = match self.card.mic() {
            MicState::Off => true,
            MicState::Ended => !self.wants_silence(),
            MicState::Open | MicState::Sounding => false,
        };
        fed && self.turns.typed_out && self.turns.typed.is_empty() && self.is_quiet()
    }

    /// Leaves the session behind: what was under way in it is over.
    pub(super) fn begin_outage(&mut self, why: &str, message: String, stage: Stage) {
        let Some(policy) = &self.recovery.policy else {
            return;
        };
        let now = Instant::now();
        self.recovery.outage = Some(Outage {
            since: now,
            deadline: now + policy.most_patience(),
            attempt: 1,
            why: why.to_owned(),
            last: None,
            stage,
        });
        self.recovery.dialing = None;
        self.recovery.tape.hold(self.unheard_from());
        let attempt = 1;
        self.emit(Event::Reconnecting { attempt, message });
        self.abandon_turns();
        let unknown = self.history.close(&self.recovery.tape);
        if unknown > 0 {
            self.emit(Event::Warning {
                message: format!(
                    "{unknown} of the spoken turns were never transcribed: the assistant will not \
                     know of them"
                ),
            });
        }
    }

    /// The card's position from which on the server may not know what was said.
    fn unheard_from(&self) -> u64 {
        let settled = self.recovery.settled;
        let lead = |ms| ms_to_samples(ms, WIRE_RATE_HZ);
        let from = if self.config.turn == Turn::None {
            0
        } else if self.turns.user_speaking {
            let begun = ms_to_samples(self.turns.begun_ms, WIRE_RATE_HZ);
            begun.saturating_sub(lead(SPEECH_LEAD_MS))
        } else {
            // Nothing was said in what is not there any more.
            let read = self.session.read.saturating_sub(lead(LEAD_MS));
            read.max(self.recovery.tape.begin())
        };
        from.max(settled)
    }

    /// Ends the response that was under way, and notes whether an answer is owed.
    fn abandon_turns(&mut self) {
        let active = self.turns.active.take();
        let unanswered = active.as_ref().is_some_and(|active| {
            // The answer to a call is owed for its result.
            let called = self.calls.are_of(&active.id);
            !(active.cancelled || active.begun || active.filler || called)
        });
        let filler = self.calls.is_filler(self.turns.requested.as_deref());
        let answering = active.is_some();
        if let Some(active) = active {
            self.calls
                .end_response(&active.id, active.cancelled, active.begun);
            if self.config.output == OutputMode::Audio {
                for item in &active.items {
                    self.history.break_off(item);
                }
            }
            if let Some(item) = active.saying {
                let text = self.history.words(&item).to_owned();
                self.emit(Event::AssistantDone { item, text });
            }
            if let Some(part) = self.session.decoder.0.take()
                && self.playback.complete(&part)
            {
                self.spoken_to_the_end(&part);
            }
            self.playback.complete_response(&active.id);
            self.emit(Event::ResponseDone {
                response: active.id,
                status: "incomplete".to_owned(),
                reason: Some(match unanswered {
                    true => "the connection was lost before it began".to_owned(),
                    false => "the connection was lost".to_owned(),
                }),
                usage: None,
            });
        }
        self.calls.leave_session();
        let turns = &mut self.turns;
        let asked = turns.requested.take().is_some() && !filler;
        let due = std::mem::take(&mut turns.answer_due) && turns.empty_since.is_none();
        let unwanted = std::mem::take(&mut turns.unwanted);
        if let Some(books) = &mut self.books {
            books.lost(answering || asked || due || filler);
        }
        turns.presumed = None;
        turns.committing = false;
        turns.empty_since = None;
        turns.quiet_since = None;
        turns.untranscribed.clear();
        if turns.user_speaking && self.session.creates_response {
            // What is being said is answered, and with it all before it.
            turns.owed = false;
        } else if unanswered || ((asked || due) && !unwanted) {
            turns.owed = !self.recovery.asked_again;
            if self.recovery.asked_again {
                self.calls.forgo_all();
                let message = "the answer was lost twice and is not asked for again; repeat the \
                               question";
                self.turns.refused = Some(EndReason::ConnectionLost {
                    message: message.to_owned(),
                });
                self.emit(Event::Warning {
                    message: message.to_owned(),
                });
            }
            self.recovery.asked_again = true;
        }
    }

    fn attempt_failed(&mut self, why: String) {
        let (Some(outage), Some(policy)) = (&mut self.recovery.outage, &mut self.recovery.policy)
        else {
            return;
        };
        outage.attempt += 1;
        let wait = policy.wait(outage.attempt);
        outage.stage = Stage::Waiting(Instant::now() + wait);
        let attempt = outage.attempt;
        let message = format!(
            "not connected yet ({why}); trying again in {:.1} s",
            wait.as_secs_f64()
        );
        outage.last = Some(why);
        self.emit(Event::Reconnecting { attempt, message });
    }

    /// A connection was made, or was not.
    pub(super) fn dialed(&mut self, outcome: Result<Link, LinkError>) -> Result<(), EndReason> {
        let Some(outage) = &mut self.recovery.outage else {
            return self.dialed_ahead(outcome);
        };
        match outcome {
            Ok(link) => {
                outage.stage = Stage::Opening;
                self.open(link)
            }
            Err(error) if is_passing(&error) => {
                self.attempt_failed(error.to_string());
                Ok(())
            }
            Err(error @ LinkError::Unauthorized { .. }) => Err(EndReason::Rejected {
                message: error.to_string(),
                code: Some(kaiwa_protocol::codes::INVALID_API_KEY.to_owned()),
            }),
            Err(error) => Err(EndReason::ConnectionLost {
                message: format!("{}, and another one is not to be had: {error}", outage.why),
            }),
        }
    }

    /// Begins another session over `link`.
    pub(super) fn open(&mut self, mut link: Link) -> Result<(), EndReason> {
        if let Some(tap) = self.session.link.take_tap() {
            link.set_tap(tap);
        }
        let next = Session {
            uncommitted: self.session.uncommitted,
            ..Session::new(link)
        };
        let last = std::mem::replace(&mut self.session, next);
        tokio::spawn(last.link.close(CLOSING));
        self.playback.forget();
        self.configure()
    }

    /// The session is ready: the first one, or another that is told what was said so far.
    pub(super) fn begin_session(&mut self) -> Result<(), EndReason> {
        self.recovery.begun = Some(Instant::now());
        let Some(outage) = self.recovery.outage.take() else {
            return Ok(());
        };
        self.turns.user_speaking = false;
        // A turn may have been ended by hand meanwhile.
        self.history.close(&self.recovery.tape);
        for create in self.history.items() {
            self.send(create.into())?;
        }
        self.calls.retold(|number| self.history.call(number));
        let (text, sound_ms, turns) = self.history.size();
        if let Some(books) = &mut self.books {
            books.reseat(text, sound_ms, turns);
        }
        let (held, lost_ms) = self.recovery.tape.release();
        let from = held.max(self.recovery.settled);
        self.recovery.settled = from;
        self.session.read = from;
        self.session.uncommitted = 0;
        let mut queued = Ok(());
        for (begin, bytes) in self.recovery.tape.since(from) {
            self.session.advance(begin);
            self.session.uncommitted += TICK as u64;
            queued = self.session.link.queue_audio(bytes);
            if queued.is_err() {
                break;
            }
        }
        if let Err(error) = queued {
            self.lost(&error)?;
        }
        // An answer to a ping from before says nothing of what was sent again.
        if let Some((_, position)) = &mut self.session.pinged {
            *position = from;
        }
        self.session.replayed = (self.session.uncommitted > 0).then_some(self.clock.position);
        let away_ms = outage.since.elapsed().as_millis() as u64;
        self.emit(Event::Reconnected { away_ms, lost_ms });
        Ok(())
    }
}

/// Waits for the connection in the making.
pub(super) async fn dialed(dialing: &mut Option<Dialing>) -> Result<Link, LinkError> {
    let Some(making) = dialing else {
        return std::future::pending().await;
    };
    let outcome = making.await;
    *dialing = None;
    outcome
}
