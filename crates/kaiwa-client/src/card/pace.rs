use std::time::Duration;

use kaiwa_audio::WIRE_RATE_HZ;
use tokio::time::Instant;

use super::{TICK, TICK_MS};

const LENGTH: Duration = Duration::from_millis(TICK_MS);

/// Beyond this much delay the clock goes on from now instead of catching up.
const MAX_BEHIND: Duration = Duration::from_secs(5);

/// How a card's clock runs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Pace {
    /// As fast as the peer takes the input.
    ///
    /// Input is fed without waiting, then the clock stands still until there is sound to
    /// play, which is played without waiting too. Positions and the recording keep each
    /// direction whole, but the distance between a question and its answer, and so
    /// latencies and interruptions, mean nothing.
    Fast,
    /// In real time. A delay of up to five seconds is caught up, so that the clock does
    /// not drift.
    #[default]
    RealTime,
}

/// The ticks of a clock.
#[derive(Debug)]
pub(super) struct Ticks {
    pub(super) pace: Pace,
    /// Ticks that have begun.
    begun: u64,
    /// When the current tick ends, in real time.
    due: Option<Instant>,
}

impl Ticks {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            pace,
            begun: 0,
            due: None,
        }
    }

    /// Begins a tick.
    pub(super) fn begin(&mut self) {
        self.begun += 1;
        if self.pace == Pace::RealTime {
            let now = Instant::now();
            self.due = Some(match self.due {
                Some(due) if !is_forgiven(due, now) => due + LENGTH,
                _ => now + LENGTH,
            });
        }
    }

    /// When the current tick ends.
    pub(super) fn due(&self) -> Instant {
        self.due.unwrap_or_else(Instant::now)
    }

    /// Samples that have passed: in real time up to this moment, else up to the current
    /// tick. A delay that will not be caught up has not passed on this clock.
    pub(super) fn position(&self) -> u64 {
        let begin = self.begun.saturating_sub(1) * TICK as u64;
        let now = Instant::now();
        let passed = match self.due {
            None => Duration::ZERO,
            Some(due) if is_forgiven(due, now) => LENGTH,
            Some(due) => now.saturating_duration_since(due - LENGTH),
        };
        begin + passed.as_micros() as u64 * u64::from(WIRE_RATE_HZ) / 1_000_000
    }
}

/// Whether a tick that was to end at `due` is so late that the clock goes on from now.
fn is_forgiven(due: Instant, now: Instant) -> bool {
    now.saturating_duration_since(due) >= MAX_BEHIND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_delay_that_is_not_caught_up_does_not_pass() {
        let mut ticks = Ticks::new(Pace::RealTime);
        ticks.begin();
        tokio::time::advance(LENGTH + MAX_BEHIND - Duration::from_millis(1)).await;
        assert_eq!(ticks.position(), (20 + 4999) * 24, "yet to be caught up");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(ticks.position(), TICK as u64, "forgiven");
        ticks.begin();
        assert_eq!(ticks.position(), TICK as u64);
        tokio::time::advance(LENGTH / 2).await;
        assert_eq!(ticks.position(), TICK as u64 * 3 / 2);
    }
}
