//! The ticks' clock: the speaker's where there is one that asks for sound, else the system's.

use std::time::Duration;

use kaiwa_audio::WIRE_RATE_HZ;
use tokio::time::Instant;

use crate::card::TICK;

/// A speaker that asks for nothing for so long has stopped, and the system's clock goes on in
/// its place. Sound systems ask every 5 to 50 ms.
const STALLED: Duration = Duration::from_millis(100);
/// Beyond this much delay of the caller, the clock goes on from now. As for files.
const FORGIVEN: u64 = 5 * WIRE_RATE_HZ as u64;

#[derive(Debug)]
pub(super) struct Clock {
    /// Samples that have passed.
    passed: u64,
    /// Where the current tick ends.
    end: u64,
    /// What the speaker had asked for when we looked last, in samples.
    seen: u64,
    /// When the clock went on last.
    last: Instant,
    /// Whether the speaker drives it.
    driven: bool,
}

impl Clock {
    /// A clock at zero.
    pub(super) fn new() -> Self {
        Self {
            passed: 0,
            end: 0,
            seen: 0,
            last: Instant::now(),
            driven: false,
        }
    }

    /// Begins a tick. `asked` is all that the speaker has ever asked for, in samples.
    pub(super) fn begin(&mut self, asked: u64, speaker: bool) {
        if self.end == 0 {
            self.seen = asked;
            self.last = Instant::now();
            self.driven = speaker;
        }
        if self.passed.saturating_sub(self.end) >= FORGIVEN {
            self.passed = self.end;
        }
        self.end += TICK as u64;
    }

    /// Looks at the speaker, or at the system's clock where `speaker` says that there is none,
    /// and says whether the tick is over.
    pub(super) fn is_over(&mut self, asked: u64, speaker: bool) -> bool {
        let now = Instant::now();
        let more = asked.saturating_sub(self.seen);
        self.seen = asked;
        if more > 0 && speaker {
            // What it asks for at once after it had stopped is the time that it stood still,
            // and that has passed already.
            self.passed += if self.driven {
                more
            } else {
                more.min(TICK as u64)
            };
            self.driven = true;
            self.last = now;
        } else {
            let idle = now.saturating_duration_since(self.last);
            if !speaker || !self.driven || idle >= STALLED {
                self.driven = false;
                let samples = samples(idle);
                self.passed += samples;
                self.last += duration(samples);
            }
        }
        self.passed >= self.end
    }

    /// When to look again at the latest.
    pub(super) fn wake(&self) -> Instant {
        if self.driven {
            self.last + STALLED
        } else {
            self.last + duration(self.end.saturating_sub(self.passed))
        }
    }

    /// Samples that have passed of ticks to come: how late the caller is.
    pub(super) fn late(&self) -> u64 {
        (self.passed + TICK as u64).saturating_sub(self.end)
    }

    /// Samples that have passed up to this moment; with a speaker, up to its last request.
    pub(super) fn position(&self, asked: u64) -> u64 {
        if self.end == 0 {
            return 0;
        }
        let more = match self.driven {
            true => asked.saturating_sub(self.seen),
            false => samples(Instant::now().saturating_duration_since(self.last)),
        };
        let position = self.passed + more;
        match position.saturating_sub(self.end) >= FORGIVEN {
            true => self.end,
            false => position,
        }
    }
}

fn samples(duration: Duration) -> u64 {
    duration.as_micros() as u64 * u64::from(WIRE_RATE_HZ) / 1_000_000
}

fn duration(samples: u64) -> Duration {
    // Rounded up, so that after it the samples have passed.
    Duration::from_micros((samples * 1_000_000).div_ceil(u64::from(WIRE_RATE_HZ)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 24;

    async fn pass(ms: u64) {
        tokio::time::advance(Duration::from_millis(ms)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn ticks_end_when_the_speaker_has_asked_for_them() {
        let mut clock = Clock::new();
        assert_eq!(clock.position(7), 0);
        clock.begin(1000, true);
        assert!(!clock.is_over(1000, true));
        pass(10).await;
        assert!(!clock.is_over(1240, true));
        assert_eq!(clock.position(1240), 240);
        assert!(clock.is_over(1480, true));
        clock.begin(1480, true);
        assert!(!clock.is_over(1480, true));
        // Two ticks at once are two ticks.
        assert!(clock.is_over(2440, true));
        clock.begin(2440, true);
        assert_eq!(clock.late(), 480);
        assert!(clock.is_over(2440, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_speaker_that_stops_is_replaced_and_comes_back() {
        let mut clock = Clock::new();
        clock.begin(0, true);
        assert!(clock.is_over(480, true));
        clock.begin(480, true);
        pass(99).await;
        assert!(!clock.is_over(480, true));
        pass(1).await;
        assert!(clock.is_over(480, true), "100 ms have passed");
        assert_eq!(clock.position(480), 480 + 100 * MS);
        for _ in 0..4 {
            clock.begin(480, true);
            assert!(clock.is_over(480, true));
        }
        clock.begin(480, true);
        assert!(!clock.is_over(480, true));
        pass(20).await;
        // It asks for the time that it stood still.
        assert!(clock.is_over(480 + 120 * MS, true));
        assert_eq!(clock.position(480 + 120 * MS), clock.end);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_speaker_the_system_clock_does() {
        let mut clock = Clock::new();
        let start = Instant::now();
        for _ in 0..50 {
            clock.begin(0, false);
            while !clock.is_over(0, false) {
                tokio::time::sleep_until(clock.wake()).await;
            }
        }
        assert_eq!(start.elapsed().as_millis(), 1000);
        assert_eq!(clock.position(0), 50 * TICK as u64);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_delay_is_forgiven() {
        let mut clock = Clock::new();
        clock.begin(0, true);
        assert!(clock.is_over(480 + FORGIVEN - 1, true));
        assert_eq!(clock.position(480 + FORGIVEN - 1), 480 + FORGIVEN - 1);
        assert!(clock.is_over(480 + FORGIVEN, true));
        assert_eq!(clock.position(480 + FORGIVEN), 480);
        clock.begin(480 + FORGIVEN, true);
        assert_eq!(clock.late(), 0);
    }
}
