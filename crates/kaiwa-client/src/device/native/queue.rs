//! What the speaker will play next.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kaiwa_audio::{Resampler, WIRE_RATE_HZ};

/// What waits at first, in ms: whoever asks for sound gets it a tick later at most, and a system
/// asks for half of one.
const BEGIN_MS: u32 = 30;
/// What may wait, in ms; beyond this, conversation suffers more than sound.
const MOST_MS: u32 = 200;
/// What is left waiting when there is too much, in ms.
const SPARE_MS: u32 = 10;
/// For so long something must have waited in vain before less does, in ms.
const CALM_MS: u32 = 30_000;

/// Sound at the speaker's rate, between the card and the system's callbacks.
///
/// When a callback comes too early it gets silence in place of what is missing, which plays
/// afterwards: so as much waits from then on as this machine needs. What has waited for nothing
/// is left out of later silence.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The card's side: what is long is done here, where no callback waits for it.
    converting: Mutex<Converting>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Converting {
    /// `None` without a speaker.
    resampler: Option<Resampler>,
    /// What was resampled last.
    fresh: Vec<f32>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The speaker's rate in Hz; 0 without one.
    rate_hz: u32,
    ready: VecDeque<f32>,
    /// Of a sample at 24 kHz that was asked for, in parts of the speaker's rate.
    part: u64,
    /// The most that was taken at once.
    largest: usize,
    /// The least that was left by a callback since then.
    lowest: usize,
    /// Samples since the lowest was looked at.
    since: u64,
    /// Samples that have waited in vain.
    spare: usize,
}

impl Queue {
    /// Begins with a speaker of this rate in Hz, or with none: 0.
    pub(super) fn begin(&self, rate_hz: u32) {
        let mut converting = lock(&self.converting);
        let mut waiting = lock(&self.waiting);
        *converting = Converting::default();
        *waiting = Waiting {
            rate_hz,
            lowest: usize::MAX,
            ..Waiting::default()
        };
        if rate_hz > 0 {
            converting.resampler = Some(Resampler::new(WIRE_RATE_HZ, rate_hz));
            let silence = waiting.samples(BEGIN_MS);
            waiting.ready = VecDeque::from(vec![0.0; silence]);
            waiting.ready.reserve(rate_hz as usize);
        }
    }

    /// Adds sound at 24 kHz.
    pub(super) fn push(&self, sound: &[f32]) {
        self.add(sound, false);
    }

    /// Adds so many samples of silence at 24 kHz.
    pub(super) fn push_silence(&self, samples: u64) {
        const BLOCK: usize = 480;
        // More than may wait is dropped anyway.
        let mut left = samples.min(u64::from(WIRE_RATE_HZ));
        while left > 0 {
            let block = left.min(BLOCK as u64);
            self.add(&[0.0; BLOCK][..block as usize], true);
            left -= block;
        }
    }

    fn add(&self, sound: &[f32], may_be_left_out: bool) {
        let mut converting = lock(&self.converting);
        let Converting { resampler, fresh } = &mut *converting;
        let Some(resampler) = resampler else {
            return;
        };
        fresh.clear();
        resampler.process(sound, fresh);
        lock(&self.waiting).add(fresh, may_be_left_out);
    }

    /// How many samples at 24 kHz so many of the speaker's are.
    pub(super) fn asked(&self, samples: usize) -> u64 {
        let mut waiting = lock(&self.waiting);
        let rate = u64::from(waiting.rate_hz).max(1);
        waiting.part += samples as u64 * u64::from(WIRE_RATE_HZ);
        let whole = waiting.part / rate;
        waiting.part %= rate;
        whole
    }

    /// Takes so many of the speaker's samples; silence in place of what is not there.
    pub(super) fn take(&self, samples: usize, out: &mut Vec<f32>) {
        lock(&self.waiting).take(samples, out);
    }

    /// Samples at 24 kHz that wait.
    pub(super) fn len(&self) -> u64 {
        let waiting = lock(&self.waiting);
        let rate = u64::from(waiting.rate_hz).max(1);
        waiting.ready.len() as u64 * u64::from(WIRE_RATE_HZ) / rate
    }
}

impl Waiting {
    fn add(&mut self, fresh: &[f32], may_be_left_out: bool) {
        let most = self.samples(MOST_MS).max(2 * self.largest);
        let room = most.saturating_sub(self.ready.len());
        let mut kept = fresh.len().min(room);
        if may_be_left_out {
            let left_out = self.spare.min(kept);
            self.spare -= left_out;
            kept -= left_out;
        }
        self.ready.extend(&fresh[..kept]);
    }

    fn take(&mut self, samples: usize, out: &mut Vec<f32>) {
        let there = samples.min(self.ready.len());
        out.extend(self.ready.drain(..there));
        out.extend(std::iter::repeat_n(0.0, samples - there));
        self.largest = self.largest.max(samples);
        self.lowest = self.lowest.min(self.ready.len());
        self.since += samples as u64;
        if self.since >= self.samples(CALM_MS) as u64 {
            self.spare = self.lowest.saturating_sub(self.samples(SPARE_MS));
            self.lowest = usize::MAX;
            self.since = 0;
        }
    }

    fn samples(&self, ms: u32) -> usize {
        (u64::from(self.rate_hz) * u64::from(ms) / 1000) as usize
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while holding it, and samples have no invariant to break.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(rate_hz: u32) -> Queue {
        let queue = Queue::default();
        queue.begin(rate_hz);
        queue
    }

    fn take(queue: &Queue, samples: usize) -> Vec<f32> {
        let mut out = Vec::new();
        queue.take(samples, &mut out);
        assert_eq!(out.len(), samples);
        out
    }

    #[test]
    fn what_is_pushed_is_played_behind_the_beginning() {
        let queue = queue(24_000);
        assert_eq!(queue.len(), 720);
        queue.push(&[0.5; 480]);
        assert_eq!(take(&queue, 720), [0.0; 720]);
        assert_eq!(take(&queue, 480), [0.5; 480]);
        assert_eq!(take(&queue, 10), [0.0; 10]);
    }

    #[test]
    fn what_was_missing_waits_from_then_on() {
        let queue = queue(24_000);
        take(&queue, 960);
        queue.push(&[0.5; 480]);
        queue.push(&[0.5; 480]);
        take(&queue, 480);
        assert_eq!(queue.len(), 480);
    }

    #[test]
    fn asking_loses_no_part_of_a_sample() {
        let queue = queue(44_100);
        let asked: u64 = (0..100).map(|_| queue.asked(441)).sum();
        assert_eq!(asked, 24_000);
        // Without a speaker nobody asks, and what is played is gone.
        let none = Queue::default();
        none.push(&[0.5; 480]);
        none.push_silence(480);
        assert_eq!(none.len(), 0);
    }

    #[test]
    fn no_more_waits_than_may() {
        let queue = queue(48_000);
        for _ in 0..100 {
            queue.push(&[0.5; 480]);
            queue.push_silence(1 << 40);
        }
        assert!(
            queue.len() <= 24 * u64::from(MOST_MS) + 100,
            "{}",
            queue.len()
        );
    }

    #[test]
    fn what_has_waited_in_vain_is_left_out_of_silence() {
        let queue = queue(24_000);
        queue.push(&[0.5; 2400]);
        for _ in 0..=CALM_MS / 20 {
            take(&queue, 480);
            queue.push(&[0.5; 480]);
        }
        assert_eq!(queue.len(), 720 + 2400, "sound is never left out");
        for _ in 0..10 {
            take(&queue, 480);
            queue.push_silence(480);
        }
        // What was left after each callback, but for 10 ms of it.
        assert_eq!(queue.len(), 720);
    }
}
