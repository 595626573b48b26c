//! Whether the server is still there, and whether its session will be: what is done before a
//! connection is lost.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::config::Turn;
use super::driver::{CLOSING, Driver};
use super::end::TRANSCRIPT_PATIENCE;
use super::event::EndReason;
use super::reconnect::Reconnect;
use super::recovery::Stage;
use crate::card::{Pace, SoundCard};
use crate::link::{Link, LinkError};

/// How often the server is asked whether it is there. Its answer says, too, up to where it has
/// read what was sent.
const PING: Duration = Duration::from_secs(2);
/// How long a server that has answered pings may send nothing at all: some compute on the thread
/// that answers, and half of the 30 s that are kept should be left for getting back.
pub(super) const SILENCE: Duration = Duration::from_secs(15);
/// How long before the session's end pauses are looked for.
const AHEAD: Duration = Duration::from_secs(300);
/// A session that ends in less has a server or a client with a wrong clock.
const LEAST_SESSION: Duration = Duration::from_secs(60);
/// So does one that ends later.
const LONGEST_SESSION: Duration = Duration::from_secs(24 * 3600);
/// How long to wait after a second session could not be had while the first one goes on.
const RESEAT_AGAIN: Duration = Duration::from_secs(30);

impl<C: SoundCard> Driver<C> {
    /// Asks the server whether it is there, looks for another session before this one ends,
    /// and says when to look again.
    pub(super) fn look_after(&mut self, now: Instant) -> Result<Option<Instant>, EndReason> {
        if self.recovery.policy.is_none() {
            return Ok(None);
        }
        // A recording that is fed as fast as it is taken keeps a slow server busy for longer.
        let in_time = self.card.pace() == Pace::RealTime;
        let session = &mut self.session;
        let wake = match session.pinged {
            Some((at, _)) => {
                let deadline = session.heard.max(at) + SILENCE;
                let judged = in_time && session.answers_pings;
                if judged && now >= deadline {
                    let seconds = SILENCE.as_secs();
                    let message = format!(
                        "the connection was lost: nothing came from the server for {seconds} s"
                    );
                    self.lose(EndReason::ConnectionLost { message }, true)?;
                    return Ok(Some(now));
                }
                judged.then_some(deadline)
            }
            None if now >= session.ping_at => {
                session.pinged = Some((now, self.clock.position));
                session.ping_at = now + PING;
                if let Err(error) = session.link.queue_ping() {
                    self.lost(&error)?;
                }
                return Ok(Some(now));
            }
            None => Some(session.ping_at),
        };
        let Some(reseat) = session.reseat else {
            return Ok(wake);
        };
        if now < reseat {
            return Ok(Some(wake.map_or(reseat, |wake| wake.min(reseat))));
        }
        if self.recovery.dialing.is_none() && self.is_pause() {
            self.recovery.dialing = self.recovery.policy.as_mut().map(Reconnect::dial);
        }
        Ok(wake)
    }

    /// Whether nobody says anything, and nobody is waited for.
    fn is_pause(&self) -> bool {
        let turns = &self.turns;
        !self.recovery.is_down()
            && self.is_quiet()
            && turns.typed.is_empty()
            // Nobody but the user knows when a turn ends that ends by hand.
            && (self.config.turn != Turn::None || self.session.uncommitted == 0)
            // One that does not come is not waited for.
            && turns.untranscribed.values().all(|at| at.elapsed() >= TRANSCRIPT_PATIENCE)
    }

    /// The server says when the session ends, in seconds since 1970.
    pub(super) fn note_expiry(&mut self, expires_at: u64) {
        let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) else {
            return;
        };
        let left = Duration::from_secs(expires_at).saturating_sub(now);
        self.session.reseat = (LEAST_SESSION..=LONGEST_SESSION)
            .contains(&left)
            .then(|| Instant::now() + left - AHEAD.min(left / 2));
    }

    /// A connection was made, or was not, while the session goes on that it is to replace.
    pub(super) fn dialed_ahead(
        &mut self,
        outcome: Result<Link, LinkError>,
    ) -> Result<(), EndReason> {
        match outcome {
            Ok(link) if self.is_pause() => {
                let why = "the session nears its limit of time";
                let message = format!("{why}; going on in a new one");
                self.begin_outage(why, message, Stage::Opening);
                self.open(link)
            }
            // Somebody has begun to speak meanwhile: the next pause will do.
            Ok(link) => {
                tokio::spawn(link.close(CLOSING));
                Ok(())
            }
            Err(error) => {
                tracing::debug!(%error, "the next session cannot be had yet");
                self.session.reseat = Some(Instant::now() + RESEAT_AGAIN);
                Ok(())
            }
        }
    }
}
