//! What a voice processor is to do.

use sonora::config::NoiseSuppressionLevel;

/// How much steady noise is taken out of the microphone, with the names that the Realtime
/// API's `noise_reduction` has for where the microphone is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum NoiseReduction {
    /// `far_field`, a laptop or a microphone in the room: noise 18 dB down.
    Far,
    /// `near_field`, a headset: noise 12 dB down, which leaves the voice as it is.
    Near,
    /// Nothing is taken out.
    #[default]
    Off,
}

impl NoiseReduction {
    /// sonora's level; `None` where there is none.
    pub(crate) fn level(self) -> Option<NoiseSuppressionLevel> {
        match self {
            Self::Far => Some(NoiseSuppressionLevel::High),
            Self::Near => Some(NoiseSuppressionLevel::Moderate),
            Self::Off => None,
        }
    }
}

/// What a [`VoiceProcessor`](super::VoiceProcessor) does to the microphone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct VoiceOptions {
    /// Take out what was played.
    pub echo_cancellation: bool,
    /// Silence what is left of the echo, where nobody speaks. Only with `echo_cancellation`.
    pub gate: bool,
    /// Take out steady noise.
    pub noise_reduction: NoiseReduction,
    /// Bring the voice to one level.
    pub gain_control: bool,
}

impl Default for VoiceOptions {
    /// Echo cancellation with its gate, and nothing else.
    fn default() -> Self {
        Self {
            echo_cancellation: true,
            gate: true,
            noise_reduction: NoiseReduction::Off,
            gain_control: false,
        }
    }
}
