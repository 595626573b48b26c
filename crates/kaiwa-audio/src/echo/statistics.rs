//! What a voice processor says of itself.

/// How well the echo is understood, as far as it is known yet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct EchoStatistics {
    /// Echo return loss enhancement by the canceller's own estimate, in dB: what its linear
    /// filter takes off the echo. It is cautious: from 3 dB on the filter has converged, and
    /// the echo is 20 dB and more down by all that follows the filter. About 0 means that it knows
    /// nothing of the echo's path, because nothing was played, or because the path changed.
    pub erle_db: Option<f32>,
    /// Echo return loss by the canceller's estimate, in dB: how much quieter the echo is at the
    /// microphone than what was played. -30 before it is known.
    pub erl_db: Option<f32>,
    /// The delay at which the canceller finds the echo, in samples after it was given to play.
    pub delay: Option<usize>,
    /// The gate's idea of how loud an echo is against what was played, in dB, the mean over its
    /// bands.
    pub coupling_db: Option<f32>,
    /// Frames so far.
    pub frames: u64,
    /// Of those, the frames that were silenced because they were echo.
    pub silenced: u64,
}
