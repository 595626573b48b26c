//! When a conversation is over.

use std::time::Duration;

use tokio::time::Instant;

use super::budget::Allowance;
use super::config::Turn;
use super::driver::Driver;
use super::event::{EndReason, Event};
use crate::card::{MicState, SoundCard};

/// How long a transcript may be outstanding when all else is done.
pub(super) const TRANSCRIPT_PATIENCE: Duration = Duration::from_secs(10);
/// How long an answer may follow a turn in which nothing was understood.
const EMPTY_TURN: Duration = Duration::from_secs(3);

impl<C: SoundCard> Driver<C> {
    /// Whether all is asked, answered and played, and no tool is at work; transcripts may be
    /// outstanding.
    pub(super) fn is_quiet(&self) -> bool {
        self.is_answered() && self.calls.is_idle() && self.is_silent()
    }

    /// Whether nothing is asked or about to be.
    fn is_answered(&self) -> bool {
        let turns = &self.turns;
        !turns.user_speaking
            && !turns.answer_due
            && !turns.owed
            && turns.active.is_none()
            && turns.requested.is_none()
    }

    /// Whether the assistant's sound is played to the end.
    pub(super) fn is_silent(&self) -> bool {
        self.playback.is_drained() && !self.clock.playing
    }

    pub(super) fn look_for_the_end(&mut self, now: Instant) -> Result<Option<Instant>, EndReason> {
        if let Some(since) = self.turns.empty_since {
            let deadline = since + EMPTY_TURN;
            if now < deadline {
                return Ok(Some(deadline));
            }
            self.turns.empty_since = None;
            self.turns.answer_due = false;
            self.turns.unwanted = false;
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
            // A tool has limits of its own.
            if self.is_answered() {
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
            // Nobody is to speak to somebody who cannot answer.
            let books = self.books.as_ref();
            if books.is_some_and(|books| books.allowance() == Allowance::Nothing) {
                return Err(self.spent_up());
            }
            self.turns.quiet_since = None;
            return Ok(None);
        }
        if let Some(until) = self.session.catching_up(now) {
            self.turns.quiet_since = None;
            return Ok(Some(until));
        }
        let since = *self.turns.quiet_since.get_or_insert(now);
        let listens = mic != MicState::Off && self.config.turn != Turn::None;
        let patience = match (listens, self.turns.user_heard) {
            (true, true) if self.session.replayed.is_none() => self.config.settle,
            (true, _) => self.config.nothing_heard,
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
        Err(match self.turns.refused.take() {
            Some(reason) => reason,
            None if listens && !self.turns.user_heard => EndReason::NothingHeard,
            None => EndReason::InputEnded,
        })
    }

    /// The server owes something and is silent.
    pub(super) fn give_up(&mut self, input_ended: bool) -> Result<Option<Instant>, EndReason> {
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
        self.turns.committing = false;
        self.turns.unwanted = false;
        self.turns.requested = None;
        self.turns.active = None;
        self.calls.forgo_all();
        self.calls.end_responses();
        Ok(None)
    }
}
