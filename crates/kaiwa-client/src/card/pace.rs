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
                Some(due) if now.saturating_duration_since(due) < MAX_BEHIND => due + LENGTH,
                _ => now + LENGTH,
            });
        }
    }

    /// When the current tick ends.
    pub(super) fn due(&self) -> Instant {
        self.due.unwrap_or_else(Instant::now)
    }

    /// Samples that have passed: in real time up to this moment, else up to the current
    /// tick.
    pub(super) fn position(&self) -> u64 {
        let begin = self.begun.saturating_sub(1) * TICK as u64;
        let passed = self.due.map_or(Duration::ZERO, |due| {
            Instant::now().saturating_duration_since(due - LENGTH)
        });
        begin + passed.as_micros() as u64 * u64::from(WIRE_RATE_HZ) / 1_000_000
    }
}
