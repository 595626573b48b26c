//! How many threads a step is worth.
//!
//! llama.cpp's threads meet at a barrier after every operation, some 500 times a token,
//! and spin there. Where another program keeps one of the cores busy, each meeting may
//! wait for the scheduler, and two threads become many times slower than one: on two
//! cores full of compilers SmolLM2-135M read 6 tokens/s on two threads and 43 on one.
//! So a step's time is watched, and a crowd is answered by computing on one thread for
//! a while.

use std::time::{Duration, Instant};

/// All threads together are in a crowd when they take this many times as long as one
/// thread did at its best. Far above what a long context costs (twice), and what is
/// faster than this is fast enough for speech.
const CROWDED: f64 = 3.0;

/// So many tokens are judged together; a single one may just have been unlucky. One that
/// takes longer than all of them may is judged at once.
pub(super) const JUDGED_TOKENS: u32 = 4;

/// How long one thread works alone after the first crowd. Each crowd that follows
/// without a good time between doubles it, up to [`LONGEST_RETREAT`].
const FIRST_RETREAT: Duration = Duration::from_secs(10);
const LONGEST_RETREAT: Duration = Duration::from_secs(160);

/// The choice of threads for steps of one model.
#[derive(Debug)]
pub(super) struct Pace {
    most: i32,
    /// Shortest time of a step of one token on one thread, in seconds.
    alone: f64,
    /// Tokens not judged yet, and the seconds they took on all threads.
    tokens: u32,
    seconds: f64,
    retreat: Duration,
    alone_until: Option<Instant>,
}

impl Pace {
    /// At most `most` threads.
    pub(super) fn new(most: i32) -> Self {
        Self {
            most,
            alone: f64::INFINITY,
            tokens: 0,
            seconds: 0.0,
            retreat: FIRST_RETREAT,
            alone_until: None,
        }
    }

    /// Threads for a step that begins now.
    pub(super) fn threads(&self, now: Instant) -> i32 {
        match self.alone_until {
            Some(until) if now < until => 1,
            _ => self.most,
        }
    }

    /// Learns how long a step took that ended now.
    pub(super) fn took(&mut self, threads: i32, tokens: u32, time: Duration, now: Instant) {
        let seconds = time.as_secs_f64();
        if threads == 1 {
            if tokens == 1 {
                self.alone = self.alone.min(seconds);
            }
            return;
        }
        self.tokens += tokens;
        self.seconds += seconds;
        let judged = self.tokens.max(JUDGED_TOKENS);
        if self.seconds > CROWDED * self.alone * f64::from(judged) {
            self.alone_until = Some(now + self.retreat);
            self.retreat = LONGEST_RETREAT.min(self.retreat * 2);
        } else if self.tokens < JUDGED_TOKENS {
            return;
        } else {
            self.alone_until = None;
            self.retreat = FIRST_RETREAT;
        }
        self.tokens = 0;
        self.seconds = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Two threads, of which one alone needs 12 ms a token.
    fn pace(now: Instant) -> Pace {
        let mut pace = Pace::new(2);
        pace.took(1, 1, 30 * MS, now);
        pace.took(1, 1, 12 * MS, now);
        pace
    }

    #[test]
    fn all_threads_work_where_there_is_room() {
        let now = Instant::now();
        let mut pace = pace(now);
        for _ in 0..100 {
            pace.took(2, 1, 20 * MS, now);
        }
        pace.took(2, 32, 32 * 6 * MS, now);
        assert_eq!(pace.threads(now), 2);
    }

    #[test]
    fn one_slow_token_is_no_crowd() {
        let now = Instant::now();
        let mut pace = pace(now);
        pace.took(2, 1, 100 * MS, now);
        for _ in 1..JUDGED_TOKENS {
            pace.took(2, 1, 9 * MS, now);
        }
        assert_eq!(pace.threads(now), 2);
    }

    #[test]
    fn a_token_that_takes_for_ever_is_a_crowd() {
        let now = Instant::now();
        let mut pace = pace(now);
        pace.took(2, 1, 6000 * MS, now);
        assert_eq!(pace.threads(now), 1);
    }

    #[test]
    fn a_crowd_leaves_one_thread_for_a_while() {
        let now = Instant::now();
        let mut pace = pace(now);
        let crowd = |pace: &mut Pace, now| pace.took(2, 32, 32 * 150 * MS, now);
        crowd(&mut pace, now);
        assert_eq!(pace.threads(now + FIRST_RETREAT - MS), 1);
        let later = now + FIRST_RETREAT;
        assert_eq!(pace.threads(later), 2);
        // Still crowded: it waits longer.
        crowd(&mut pace, later);
        assert_eq!(pace.threads(later + FIRST_RETREAT), 1);
        // Then there is room again.
        let room = later + 2 * FIRST_RETREAT;
        pace.took(2, 32, 32 * 6 * MS, room);
        crowd(&mut pace, room);
        assert_eq!(pace.threads(room + FIRST_RETREAT), 2);
    }

    #[test]
    fn without_a_measure_nothing_is_a_crowd() {
        let now = Instant::now();
        let mut pace = Pace::new(2);
        pace.took(2, 32, Duration::from_secs(60), now);
        assert_eq!(pace.threads(now), 2);
    }
}
