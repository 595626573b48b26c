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
/// What the linear filter leaves is a voice's in a band when it is this far above what it leaves of
/// an echo, in dB. So many bands make it certain, and so many keep it so: then the voice is
/// given whole, with what is left of the echo under it. With these numbers no frame of ten echoes
/// alone became loud that was not so before; with 8 and 3 bands, 31 did.
const ABOVE_RESIDUE_DB: f32 = 12.0;
const BANDS_OF_CERTAINTY: usize = 9;
const BANDS_TO_STAY_CERTAIN: usize = 4;
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

/// What is left is this far below the microphone when the canceller is sure that all of it was
/// echo, in dB.
const SURE_DB: f32 = 10.0;

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

/// What the canceller says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Canceller {
    /// Its estimate of how much the filter takes off the echo, in dB.
    pub(super) loss_db: f32,
    /// The delay of the echo after the reference, in ms.
    pub(super) delay_ms: Option<u32>,
}

/// What the microphone is heard to be in a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judgement {
    /// Nothing but echo.
    pub(super) is_echo: bool,
    /// Certainly a voice over an echo.
    pub(super) is_voice: bool,
}

/// Tells what is left of an echo from a voice.
pub(super) struct Gate {
    played: Spectrum,
    heard: Spectrum,
    left: Floored,
    linear: Floored,
    echo: Prediction,
    /// What of it the linear filter leaves.
    residue: Prediction,
    /// Somebody speaks.
    voice: Hold,
    /// It is certain.
    whole: Hold,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            played: Spectrum::new(),
            heard: Spectrum::new(),
            left: Floored::new(),
            linear: Floored::new(),
            echo: Prediction::new(),
            residue: Prediction::new(),
            voice: Hold::default(),
            whole: Hold::default(),
        }
    }

    /// Judges 10 ms: what was played, what the microphone heard, what the canceller left of
    /// it, and what its linear filter alone would leave.
    pub(super) fn judge(
        &mut self,
        played: &[f32; BLOCK],
        heard: &[f32; BLOCK],
        left: &[f32; BLOCK],
        linear: &[f32; BLOCK],
        canceller: Canceller,
    ) -> Judgement {
        let played = self.played.push(played);
        let echo = self.echo.push(played, canceller.delay_ms);
        let residue = self.residue.push(played, canceller.delay_ms);
        let heard = self.heard.push(heard);
        let left = self.left.push(left);
        let linear = self.linear.push(linear);
        let sure = left.iter().sum::<f32>() < heard.iter().sum::<f32>() * power(-SURE_DB);
        self.echo.learn(&heard, sure);
        self.residue.learn(&linear, sure);

        let believed = (BELIEVED * canceller.loss_db).clamp(0.0, BELIEVED_MOST_DB);
        let noise = &self.left.noise;
        let audible = (0..BANDS).filter(|band| echo[*band] > noise[*band]).count();
        let speaking = self.left.above(&left, &echo, ABOVE_ECHO_DB - believed);
        let speaking_whole = self.linear.above(&linear, &residue, ABOVE_RESIDUE_DB);
        let is_voice = speaking >= self.voice.threshold(BANDS_TO_OPEN, BANDS_TO_STAY);
        self.voice.push(is_voice);
        let is_whole = speaking >= self.whole.threshold(BANDS_TO_OPEN, BANDS_TO_STAY)
            && speaking_whole
                >= self
                    .whole
                    .threshold(BANDS_OF_CERTAINTY, BANDS_TO_STAY_CERTAIN);
        self.whole.push(is_whole);

        let is_audible = audible >= BANDS_OF_AN_ECHO;
        Judgement {
            is_echo: is_audible && !self.voice.is_held(),
            is_voice: is_audible && self.voice.is_held() && self.whole.is_held(),
        }
    }

    pub(super) fn coupling_db(&self) -> f32 {
        self.echo.coupling_db()
    }
}

/// A signal's powers and the floor of each.
struct Floored {
    spectrum: Spectrum,
    mean: Powers,
    noise: Powers,
}

impl Floored {
    fn new() -> Self {
        Self {
            spectrum: Spectrum::new(),
            mean: [0.0; BANDS],
            noise: [LEAST_NOISE; BANDS],
        }
    }

    fn push(&mut self, block: &[f32; BLOCK]) -> Powers {
        let powers = self.spectrum.push(block);
        for ((power, mean), noise) in powers.iter().zip(&mut self.mean).zip(&mut self.noise) {
            *mean += (power - *mean) * NOISE_WEIGHT;
            *noise = (*noise * NOISE_RISE).min(*mean).max(LEAST_NOISE);
        }
        powers
    }

    /// In how many bands these powers are so far above an echo, and above the noise.
    fn above(&self, powers: &Powers, echo: &Powers, above_db: f32) -> usize {
        let (above_echo, above_noise) = (power(above_db), power(ABOVE_NOISE_DB));
        (0..BANDS)
            .filter(|&band| {
                powers[band] > above_echo * echo[band]
                    && powers[band] > above_noise * self.noise[band]
            })
            .count()
    }
}

/// Something that is so for a while, once it was so in some of the last blocks.
#[derive(Clone, Copy, Debug, Default)]
struct Hold {
    /// The last blocks, the newest in bit 0.
    recent: u32,
    /// Blocks for which it stays.
    left: u32,
}

impl Hold {
    fn push(&mut self, is: bool) {
        self.recent = (self.recent << 1) | u32::from(is);
        let looked_at = self.recent & ((1 << BLOCKS_LOOKED_AT) - 1);
        if looked_at.count_ones() >= BLOCKS_OF_A_VOICE {
            self.left = (self.left + HANGOVER_OF_A_BLOCK).min(HANGOVER);
        } else {
            self.left = self.left.saturating_sub(1);
        }
    }

    fn is_held(&self) -> bool {
        self.left > 0
    }

    /// How many bands it takes to begin, or to go on.
    fn threshold(&self, to_begin: usize, to_stay: usize) -> usize {
        if self.is_held() { to_stay } else { to_begin }
    }
}
