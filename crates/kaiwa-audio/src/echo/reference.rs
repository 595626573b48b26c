//! What was played, kept until its echo is due.

use std::collections::VecDeque;

use super::FRAME;

/// The reference is given this long before its echo is due, in samples (20 ms): a
/// filter can follow an echo that comes later than thought and none that comes earlier.
const HEADROOM: usize = 480;

/// The reference is held back at most this long, in samples: a second. The devices of a
/// conversation do not hold back more.
const LONGEST: usize = 24_000;

/// Changes of the stated delay up to this many samples (10 ms) are left to the filter: each
/// step of the reference makes it learn the room anew.
const SLACK: usize = 240;

/// The most that is left to the canceller to find, in samples: 0.5 s.
const LEFT: usize = 12_000;

#[derive(Clone, Debug)]
pub(super) struct Reference {
    /// The newest sample last.
    played: VecDeque<f32>,
    /// By how many samples the reference is held back.
    held: usize,
}

impl Reference {
    pub(super) fn new() -> Self {
        Self {
            played: VecDeque::from(vec![0.0; LONGEST + FRAME]),
            held: 0,
        }
    }

    /// Takes what was played in a tick and gives what is about to be heard, `delay` samples
    /// after it was played.
    pub(super) fn tick(&mut self, played: &[f32; FRAME], delay: u64) -> [f32; FRAME] {
        let delay = usize::try_from(delay).unwrap_or(LONGEST);
        let wanted = delay.saturating_sub(HEADROOM).min(LONGEST);
        if wanted.abs_diff(self.held) > SLACK {
            self.held = wanted;
        }
        self.played.drain(..FRAME);
        self.played.extend(played);
        let start = self.played.len() - FRAME - self.held;
        let mut due = self.played.range(start..).copied();
        std::array::from_fn(|_| due.next().unwrap_or_default())
    }

    /// Samples by which the reference is held back.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Samples of `delay` that are left for the canceller to find.
    pub(super) fn left(&self, delay: u64) -> usize {
        let delay = usize::try_from(delay).unwrap_or(LONGEST);
        delay.saturating_sub(self.held).min(LEFT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame in which sample n is n.
    fn ramp(first: usize) -> [f32; FRAME] {
        std::array::from_fn(|n| (first + n) as f32)
    }

    #[test]
    fn the_reference_comes_the_headroom_before_its_echo() {
        let mut reference = Reference::new();
        let mut due = [0.0; FRAME];
        for frame in 0..10 {
            due = reference.tick(&ramp(frame * FRAME), 2_000);
        }
        assert_eq!(due[0] as usize, 9 * FRAME - (2_000 - HEADROOM));
        assert_eq!(reference.left(2_000), HEADROOM);
    }

    #[test]
    fn a_delay_that_trembles_moves_nothing() {
        let mut reference = Reference::new();
        let _ = reference.tick(&ramp(0), 2_000);
        let held = reference.held();
        for delay in [2_100, 1_900, 2_240] {
            let _ = reference.tick(&ramp(0), delay);
            assert_eq!(reference.held(), held);
        }
        let _ = reference.tick(&ramp(0), 3_000);
        assert_eq!(reference.held(), 3_000 - HEADROOM);
    }

    #[test]
    fn no_delay_is_too_long() {
        let mut reference = Reference::new();
        for delay in [0, 1, LONGEST as u64, 1 << 40, u64::MAX] {
            let _ = reference.tick(&ramp(0), delay);
            assert!(reference.held() <= LONGEST && reference.left(delay) <= LEFT);
        }
    }
}
