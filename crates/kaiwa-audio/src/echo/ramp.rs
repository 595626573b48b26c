//! From one signal to another without a click.

/// Samples that a change takes: 5 ms.
const LENGTH: f32 = 120.0;

/// A share between 0 and 1 that does not jump.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ramp {
    share: f32,
}

impl Ramp {
    pub(super) fn at(share: f32) -> Self {
        Self { share }
    }

    /// The share for the next sample, on the way `towards` another.
    pub(super) fn step(&mut self, towards: f32) -> f32 {
        self.share += (towards - self.share).clamp(-1.0 / LENGTH, 1.0 / LENGTH);
        self.share
    }
}
