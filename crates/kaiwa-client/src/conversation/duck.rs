//! The assistant lowers its voice while somebody speaks over it.
//!
//! With semantic turn detection the server takes up to 0.4 s to know whether a sound over the
//! assistant's voice is an interruption. Until then the voice goes on, lower: whoever cuts in is
//! noticed at once, and after a "mm-hm" it is as loud as before.

use kaiwa_audio::rms_dbfs;

use crate::card::{Frame, TICK};

/// Sound from which the microphone is thought to hear somebody. Speech into a microphone in front
/// of the speaker is at -30 to -20 dBFS.
const SPEECH_DBFS: f32 = -40.0;

/// Ticks (20 ms each) of it until the voice is lowered: a click is shorter.
const ONSET_TICKS: u32 = 3;

/// Ticks without it until the voice is raised: gaps in words are shorter.
const QUIET_TICKS: u32 = 10;

/// Ticks after which the voice is raised in any case, 1.5 s: the server has decided by then, and
/// what goes on is no speech.
const LONGEST_TICKS: u32 = 75;

/// How loud the lowered voice is: -12 dB.
const LOW: f32 = 0.25;

/// How much louder it becomes in a tick. It is lowered within one.
const RAISE: f32 = 0.15;

/// What is heard over the assistant's voice, and how loud the voice is.
#[derive(Debug)]
pub(super) struct Duck {
    /// Ticks since the sound began, short gaps included.
    sound: u32,
    /// Ticks of the gap going on.
    gap: u32,
    gain: f32,
}

impl Default for Duck {
    fn default() -> Self {
        Self {
            sound: 0,
            gap: 0,
            gain: 1.0,
        }
    }
}

impl Duck {
    /// Takes note of what the microphone heard in a tick.
    pub(super) fn hear(&mut self, mic: &Frame) {
        let is_loud = rms_dbfs(mic) >= SPEECH_DBFS;
        self.gap = if is_loud { 0 } else { self.gap + 1 };
        let is_over = self.gap >= QUIET_TICKS || (self.gap > 0 && self.sound < ONSET_TICKS);
        self.sound = match self.sound {
            _ if is_over => 0,
            0 if !is_loud => 0,
            ticks => ticks + 1,
        };
    }

    /// Brings the next tick of the assistant's voice to its loudness, without a step.
    pub(super) fn apply(&mut self, voice: &mut Frame) {
        let is_low = (ONSET_TICKS..LONGEST_TICKS).contains(&self.sound);
        let from = self.gain;
        let to = if is_low { LOW } else { (from + RAISE).min(1.0) };
        self.gain = to;
        if from < 1.0 || to < 1.0 {
            for (n, sample) in voice.iter_mut().enumerate() {
                *sample *= from + (to - from) * (n + 1) as f32 / TICK as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The loudness of a voice after each tick, while the microphone hears this.
    fn gains(mic: &[(f32, usize)]) -> Vec<f32> {
        let mut duck = Duck::default();
        let ticks = mic.iter().flat_map(|&(level, n)| vec![level; n]);
        ticks
            .map(|level| {
                let mut voice = [1.0; TICK];
                duck.apply(&mut voice);
                duck.hear(&[level; TICK]);
                voice[TICK - 1]
            })
            .collect()
    }

    #[test]
    fn the_voice_is_low_while_somebody_speaks_and_rises_after() {
        let gains = gains(&[(0.0, 5), (0.1, 20), (0.0, 30)]);
        assert_eq!(gains[..8], [1.0; 8]);
        assert_eq!(gains[8..34], [LOW; 26]);
        assert!((gains[35] - gains[34] - RAISE).abs() < 1e-6);
        assert_eq!(gains[54], 1.0);
    }

    #[test]
    fn a_click_a_hum_and_gaps_between_words_change_little() {
        assert_eq!(gains(&[(0.1, 2), (0.0, 10)]), [1.0; 12]);
        assert_eq!(gains(&[(0.005, 50)]), [1.0; 50]);
        let words = gains(&[(0.1, 10), (0.0, 9), (0.1, 10)]);
        assert_eq!(words[3..], [LOW; 26]);
        // Whatever goes on for so long is no speech.
        assert_eq!(gains(&[(0.1, 100)])[95..], [1.0; 5]);
    }

    #[test]
    fn loudness_changes_without_a_step() {
        let mut duck = Duck::default();
        (0..ONSET_TICKS).for_each(|_| duck.hear(&[0.1; TICK]));
        let mut voice = [1.0; TICK];
        duck.apply(&mut voice);
        let steps = voice.windows(2).map(|pair| (pair[0] - pair[1]).abs());
        assert!(steps.fold(0.0, f32::max) < 0.01);
        assert!(voice[0] > 0.99 && voice[TICK - 1] == LOW);
    }
}
