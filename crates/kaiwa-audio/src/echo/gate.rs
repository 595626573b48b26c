//! The question whether what the microphone hears is what was just played.

use super::{
    BLOCK,
    prediction::{Prediction, power},
    spectrum::{BANDS, Powers, Spectrum},
};

/// A band speaks for a voice when what is left is this far above the echo it may be, in dB.
const ABOVE_ECHO_DB: f32 = 6.0;
/// And this far above the noise, in dB.
const ABOVE_NOISE_DB: f32 = 9.0;
/// So many bands make a block a voice's, while the gate is shut and while it is open. With five
/// to open it, one frame in 22 of an echo in the most reverberant room tried passed; with six,
/// one in 44. With six to stay, it was open for 60 % of a voice as loud as the echo; with
/// three, for 70 %.
const BANDS_TO_OPEN: usize = 6;
const BANDS_TO_STAY: usize = 3;
/// So many of the last blocks of 10 ms must be a voice's.
const BLOCKS_OF_A_VOICE: u32 = 2;
const BLOCKS_LOOKED_AT: u32 = 4;
/// Each block of a voice keeps the gate open for so many blocks more, up to the most. A burst
/// of an echo that was not understood yet opens it for 0.1 s; speech for 0.32 s, which is
/// longer than the closure of a plosive or a weak syllable.
const HANGOVER_OF_A_BLOCK: u32 = 8;
const HANGOVER: u32 = 32;
/// In so many bands an echo must be above the noise, or there is nothing to ask.
const BANDS_OF_AN_ECHO: usize = 3;

/// How far the canceller's estimate of what its filter takes off the echo lowers what may
/// be echo, as a factor and in dB at the most. It tells above all whether the filter knows
/// the path: before it does, the echo may pass as loud as it came. Factor 3 and 12 dB let
/// a reverberant room's echo pass, whose tail is longer than the filter's 52 ms.
const BELIEVED: f32 = 2.0;
const BELIEVED_MOST_DB: f32 = 8.0;

/// How fast the noise may be thought to rise in a block, as a factor: 3 dB a second.
const NOISE_RISE: f32 = 1.006_93;
/// The least noise, a power in one band (-95 dBFS).
const LEAST_NOISE: f32 = 3.2e-10;
/// The weight of a block in the mean in which the noise's floor is looked for (60 ms).
const NOISE_WEIGHT: f32 = 0.3;

/// Samples over which the gate opens and closes: 5 ms, so that it does not click.
const RAMP: f32 = 120.0;

/// What the canceller says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Canceller {
    /// Its estimate of how much the filter takes off the echo, in dB.
    pub(super) loss_db: f32,
    /// The delay of the echo after the reference, in ms.
    pub(super) delay_ms: Option<u32>,
}

/// Silences what the canceller left of an echo.
pub(super) struct Gate {
    played: Spectrum,
    heard: Spectrum,
    left: Spectrum,
    prediction: Prediction,
    /// Running mean of what is left, and its floor.
    mean: Powers,
    noise: Powers,
    /// The last blocks, the newest in bit 0: whether they were a voice's.
    voices: u32,
    /// Blocks for which the gate stays open.
    open: u32,
    /// The gain at the end of the last block.
    gain: f32,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            played: Spectrum::new(),
            heard: Spectrum::new(),
            left: Spectrum::new(),
            prediction: Prediction::new(),
            mean: [0.0; BANDS],
            noise: [LEAST_NOISE; BANDS],
            voices: 0,
            open: 0,
            gain: 1.0,
        }
    }

    /// Judges 10 ms: what was played, what the microphone heard and what the canceller left of
    /// it, which is silenced where it is echo. Says whether it was.
    pub(super) fn process(
        &mut self,
        played: &[f32; BLOCK],
        heard: &[f32; BLOCK],
        left: &mut [f32; BLOCK],
        canceller: Canceller,
    ) -> bool {
        let echo = self
            .prediction
            .push(self.played.push(played), canceller.delay_ms);
        let heard = self.heard.push(heard);
        let remains = self.left.push(left);
        self.prediction.learn(&heard, &remains);
        self.follow_noise(&remains);

        let believed = (BELIEVED * canceller.loss_db).clamp(0.0, BELIEVED_MOST_DB);
        let (above_echo, above_noise) = (power(ABOVE_ECHO_DB - believed), power(ABOVE_NOISE_DB));
        let bands = |of: &dyn Fn(usize) -> bool| (0..BANDS).filter(|&band| of(band)).count();
        let audible = bands(&|band| echo[band] > self.noise[band]) >= BANDS_OF_AN_ECHO;
        let speaking = bands(&|band| {
            remains[band] > above_echo * echo[band]
                && remains[band] > above_noise * self.noise[band]
        });
        let enough = if self.open > 0 {
            BANDS_TO_STAY
        } else {
            BANDS_TO_OPEN
        };

        self.voices = (self.voices << 1) | u32::from(speaking >= enough);
        let recent = self.voices & ((1 << BLOCKS_LOOKED_AT) - 1);
        if recent.count_ones() >= BLOCKS_OF_A_VOICE {
            self.open = (self.open + HANGOVER_OF_A_BLOCK).min(HANGOVER);
        } else {
            self.open = self.open.saturating_sub(1);
        }
        let silenced = audible && self.open == 0;
        self.ramp(left, if silenced { 0.0 } else { 1.0 });
        silenced
    }

    pub(super) fn coupling_db(&self) -> f32 {
        self.prediction.coupling_db()
    }

    fn follow_noise(&mut self, left: &Powers) {
        for ((left, mean), noise) in left.iter().zip(&mut self.mean).zip(&mut self.noise) {
            *mean += (left - *mean) * NOISE_WEIGHT;
            *noise = (*noise * NOISE_RISE).min(*mean).max(LEAST_NOISE);
        }
    }

    fn ramp(&mut self, block: &mut [f32; BLOCK], towards: f32) {
        for sample in block {
            self.gain += (towards - self.gain).clamp(-1.0 / RAMP, 1.0 / RAMP);
            *sample *= self.gain;
        }
    }
}
