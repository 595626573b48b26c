use std::time::Duration;

use tokio::time::Instant;

use super::TICK_MS;

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

/// The ticks of a clock in real time.
#[derive(Debug, Default)]
pub(super) struct Ticks {
    /// When the current tick ends.
    due: Option<Instant>,
}

impl Ticks {
    /// Begins a tick.
    pub(super) fn begin(&mut self) {
        let now = Instant::now();
        let tick = Duration::from_millis(TICK_MS);
        self.due = Some(match self.due {
            Some(due) if now.saturating_duration_since(due) < MAX_BEHIND => due + tick,
            _ => now + tick,
        });
    }

    /// When the current tick ends.
    pub(super) fn due(&self) -> Instant {
        self.due.unwrap_or_else(Instant::now)
    }
}
