//! What comes between a microphone and everybody who listens: echo cancellation, a gate against
//! what is left of the echo, noise reduction and gain control.
//!
//! A [`VoiceProcessor`] goes with the ticks of a sound card: it is given what was
//! played in a tick and what the microphone heard in it, and gives back what somebody in the
//! room said. It holds no device, no thread and no clock; the same frames give the same result.
//!
//! The canceller is `sonora`'s (AEC3 of WebRTC). It runs on the wire's own rate: sonora takes
//! 24 kHz and converts to the 32 kHz of its filters by itself, in 29 samples both ways, where
//! [`Resampler`](crate::Resampler) would hold back 96 each way. The gate is kaiwa's own.

mod gate;
mod linear;
mod options;
mod path;
mod prediction;
mod probe;
mod processor;
mod ramp;
mod reference;
mod spectrum;
mod statistics;
#[cfg(test)]
mod tests;

pub use options::{NoiseReduction, VoiceOptions};
pub use path::{EchoPath, RunningEcho};
pub use probe::{Probe, ProbeEcho};
pub use processor::{Heard, VoiceProcessor};
pub use statistics::EchoStatistics;

/// Samples of a frame: 20 ms at 24 kHz, a tick of a sound card.
pub const FRAME: usize = 480;

/// Samples of a block, in which everything here is computed: 10 ms.
const BLOCK: usize = FRAME / 2;
