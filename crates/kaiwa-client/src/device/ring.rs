//! What the microphone heard and the conversation has not taken yet.
//!
//! Microphone and speaker have clocks of their own, some ten parts in a million apart. The
//! conversation's ticks follow the speaker, so the ring fills or empties slowly. What is left
//! in it after each tick says which: the least of a second is held between bounds by giving a
//! tick one sample more or less of the microphone, stretched over the tick. At one sample in
//! 480 that makes up for 2000 parts in a million and moves the pitch by no more than 0.2 %. A
//! tick that needs no correction is the microphone's samples as they are.

use std::collections::VecDeque;

use crate::card::{Frame, TICK};

/// Samples at 24 kHz in a ms.
const MS: usize = 24;
/// Beyond this the oldest samples are lost: half a second, as when the conversation stands still.
const CAPACITY: usize = 500 * MS;
/// What is to be left after a tick, at the least, in samples: 5 ms for fragments that come late.
const SLACK: usize = 5 * MS;
/// Less than this is corrected before it becomes a gap.
const LITTLE: usize = 2 * MS;
/// More than this is corrected, because it is delay for nothing.
const MUCH: usize = 10 * MS;
/// More than this is dropped at once: stretched away, it would take a second for every 2 ms.
const TOO_MUCH: usize = 60 * MS;
/// Ticks over which the least is taken: one second.
const WINDOW: u32 = 50;

#[derive(Debug)]
pub(super) struct MicRing {
    samples: VecDeque<f32>,
    /// Whether there was enough to begin with.
    primed: bool,
    /// Ticks of the window so far.
    ticks: u32,
    /// The least that was left after a tick of the window.
    least: usize,
    /// Samples to be taken in excess, one a tick; negative for too few.
    correction: i32,
}

impl MicRing {
    pub(super) fn new() -> Self {
        Self {
            samples: VecDeque::with_capacity(CAPACITY),
            primed: false,
            ticks: 0,
            least: usize::MAX,
            correction: 0,
        }
    }

    /// Takes in what the microphone heard. Nothing is allocated.
    pub(super) fn push(&mut self, samples: impl ExactSizeIterator<Item = f32>) {
        let count = samples.len();
        let skipped = count.saturating_sub(CAPACITY);
        let excess = (self.samples.len() + count - skipped).saturating_sub(CAPACITY);
        self.samples.drain(..excess);
        self.samples.extend(samples.skip(skipped));
    }

    /// Forgets what was heard, as when the microphone changes.
    pub(super) fn clear(&mut self) {
        self.samples.clear();
        self.unprime();
    }

    /// Samples that wait.
    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// Fills `frame` with the next 20 ms, silence where the microphone is late.
    pub(super) fn take(&mut self, frame: &mut Frame) {
        frame.fill(0.0);
        if !self.primed {
            if self.samples.len() < TICK + SLACK {
                return;
            }
            self.primed = true;
            self.keep(TICK + SLACK);
        }
        let have = self.samples.len();
        if have == 0 {
            // It has stopped; once it is back, it begins anew.
            self.unprime();
            return;
        }
        if have <= TICK {
            // The silence is never made up for, so the next ticks have so much more to take.
            let (late, heard) = frame.split_at_mut(TICK - have);
            late.fill(0.0);
            copy(self.samples.drain(..), heard);
            self.correction = 0;
        } else {
            self.take_corrected(frame);
        }
        self.judge();
    }

    fn take_corrected(&mut self, frame: &mut Frame) {
        let step = self.correction.signum();
        self.correction -= step;
        match step {
            1 => self.stretched::<{ TICK + 1 }>(frame),
            -1 => self.stretched::<{ TICK - 1 }>(frame),
            _ => copy(self.samples.drain(..TICK), frame),
        }
    }

    /// Fills `frame` with `N` samples, the first and the last in their places.
    fn stretched<const N: usize>(&mut self, frame: &mut Frame) {
        let mut source = [0.0; N];
        copy(self.samples.drain(..N), &mut source);
        for (index, sample) in frame.iter_mut().enumerate() {
            let at = index * (N - 1);
            let (whole, part) = (at / (TICK - 1), at % (TICK - 1));
            let next = source[(whole + 1).min(N - 1)];
            let part = part as f32 / (TICK - 1) as f32;
            *sample = source[whole] + (next - source[whole]) * part;
        }
    }

    /// Looks whether what is left drifts.
    fn judge(&mut self) {
        self.least = self.least.min(self.samples.len());
        self.ticks += 1;
        if self.ticks < WINDOW {
            return;
        }
        let least = self.least;
        self.ticks = 0;
        self.least = usize::MAX;
        if least > TOO_MUCH {
            self.keep(self.samples.len() - (least - SLACK));
            self.correction = 0;
        } else {
            self.correction = match least {
                LITTLE..=MUCH => 0,
                _ => least as i32 - SLACK as i32,
            };
        }
    }

    /// Drops the oldest beyond `count`.
    fn keep(&mut self, count: usize) {
        self.samples
            .drain(..self.samples.len().saturating_sub(count));
    }

    fn unprime(&mut self) {
        self.primed = false;
        self.ticks = 0;
        self.least = usize::MAX;
        self.correction = 0;
    }
}

fn copy(from: impl Iterator<Item = f32>, to: &mut [f32]) {
    for (slot, sample) in to.iter_mut().zip(from) {
        *slot = sample;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds a tone of 400 Hz from a clock that is `ppm` parts in a million fast, for so many
    /// seconds, and gives the ring, and the greatest step from one sample to the next from the
    /// second second on.
    fn drifted(ppm: f64, seconds: usize) -> (MicRing, f32) {
        let mut ring = MicRing::new();
        let mut fed = 0_usize;
        let mut last: Option<f32> = None;
        let mut step = 0.0_f32;
        for tick in 0..seconds * 50 {
            let due = ((tick + 1) as f64 * TICK as f64 * (1.0 + ppm / 1e6)) as usize;
            // Fragments of 10 ms.
            while fed + 240 <= due {
                let tone = |n: usize| (n as f32 % 60.0 / 60.0 * std::f32::consts::TAU).sin();
                ring.push((fed..fed + 240).map(tone));
                fed += 240;
            }
            let mut frame = [0.0; TICK];
            ring.take(&mut frame);
            for sample in frame {
                if tick > 50
                    && let Some(last) = last
                {
                    step = step.max((sample - last).abs());
                }
                last = Some(sample);
            }
        }
        (ring, step)
    }

    #[test]
    fn clocks_that_differ_are_held_together_without_a_gap() {
        // The tone's own steepest step is 0.105.
        for ppm in [-1000.0, -100.0, 0.0, 100.0, 1000.0] {
            let (ring, step) = drifted(ppm, 120);
            assert!(step < 0.11, "a step of {step} at {ppm} ppm");
            assert!(ring.len() < 25 * MS, "{} left at {ppm} ppm", ring.len());
        }
    }

    #[test]
    fn without_drift_samples_come_out_as_they_went_in() {
        let mut ring = MicRing::new();
        let mut heard = Vec::new();
        for tick in 0..200 {
            ring.push((tick * TICK..(tick + 1) * TICK).map(|n| n as f32));
            let mut frame = [0.0; TICK];
            ring.take(&mut frame);
            heard.extend(frame);
        }
        let begin = heard.iter().position(|&x| x != 0.0).expect("something");
        let heard = &heard[begin..];
        assert!(heard.windows(2).all(|pair| pair[1] == pair[0] + 1.0));
    }

    #[test]
    fn a_pause_is_silence_and_what_follows_is_whole() {
        let mut ring = MicRing::new();
        let mut frame = [1.0; TICK];
        ring.take(&mut frame);
        assert_eq!(frame, [0.0; TICK], "nothing was heard yet");
        ring.push(vec![0.5; 2 * TICK].into_iter());
        ring.take(&mut frame);
        assert_eq!(frame, [0.5; TICK]);
        // 120 samples were kept, 360 are late.
        ring.take(&mut frame);
        assert_eq!((frame[359], frame[360]), (0.0, 0.5));
        ring.take(&mut frame);
        assert_eq!(frame, [0.0; TICK]);
    }

    #[test]
    fn a_conversation_that_stood_still_hears_the_latest() {
        let mut ring = MicRing::new();
        for n in 0..200 {
            ring.push(vec![n as f32; 240].into_iter());
        }
        assert_eq!(ring.len(), CAPACITY);
        let mut frame = [0.0; TICK];
        ring.take(&mut frame);
        assert_eq!(ring.len(), SLACK);
        ring.push(vec![1.0; 3 * CAPACITY].into_iter());
        assert_eq!(ring.len(), CAPACITY);
    }
}
