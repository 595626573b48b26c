//! What was played, kept until it is heard.

use std::collections::VecDeque;

use super::FRAME;

/// The reference is given this long before its echo is due, in samples (20 ms), because
/// an adaptive filter can follow an echo that comes later than thought and none that
/// comes earlier.
pub(super) const HEADROOM: usize = 480;

/// The delay that is compensated at most, in samples: a second. Devices do not hold back more.
pub(super) const LONGEST: usize = 24_000;

/// Changes of the stated delay up to this many samples (10 ms) are left to the
/// filter: each step of the reference makes it learn the room anew.
const SLACK: usize = 240;

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
    pub(super) fn tick(&mut self, played: &[f32; FRAME], delay: usize, due: &mut [f32; FRAME]) {
        let wanted = delay.saturating_sub(HEADROOM).min(LONGEST);
        if wanted.abs_diff(self.held) > SLACK {
            self.held = wanted;
        }
        self.played.drain(..FRAME);
        self.played.extend(played);
        let start = self.played.len() - FRAME - self.held;
        for (due, &sample) in due.iter_mut().zip(self.played.range(start..)) {
            *due = sample;
        }
    }

    pub(super) fn held(&self) -> usize {
        self.held
    }
}
