//! How loud the echo must be at the microphone, by what was played.

use std::collections::VecDeque;

use super::spectrum::{BANDS, Powers};

/// The coupling from loudspeaker to microphone that is believed before anything was heard,
/// in dB: louder than most are, so that the first echo is not taken for a voice.
const FIRST_COUPLING_DB: f32 = 6.0;
/// The coupling is between these, in dB.
const COUPLING_DB: [f32; 2] = [-60.0, 15.0];
/// By how much a block of 10 ms moves the coupling up or down, in dB, while the canceller is
/// sure that it hears echo alone. The two hold each other at the 75th percentile, and
/// are slow enough that a few syllables do not turn it.
const UP_DB: f32 = 0.3;
const DOWN_DB: f32 = 0.1;
/// By how much it may rise, in dB, while somebody may be speaking: 2 dB a second.
const UP_UNSURE_DB: f32 = 0.02;

/// Powers of the reference below this tell nothing of the coupling (-70 dBFS).
const AUDIBLE: f32 = 1e-7;

/// By how much an echo fades in a block of 10 ms, as a factor: 1 dB, a reverberation of 0.6 s,
/// which is that of a large living room.
const FADE: f32 = 0.794_328_2;

/// Blocks of 10 ms around the delay in which the echo is looked for, before and after:
/// the canceller knows the delay to 4 ms, windows overlap, and it hands out what it
/// cleaned 9.3 ms later. After it, the room's early reflections.
const EARLIER: usize = 1;
const LATER: usize = 4;
/// The same before the delay is known: from 0 to this many blocks.
const UNKNOWN: usize = 20;

/// Blocks that are remembered: more than the longest delay the canceller finds (0.5 s).
const REMEMBERED: usize = 64;

/// Predicts the echo.
#[derive(Clone, Debug)]
pub(super) struct Prediction {
    /// Of the reference, the newest last.
    played: VecDeque<Powers>,
    /// What of the reference still sounds in the room.
    sounding: Powers,
    /// The bands in which it is not fading: there the microphone tells the coupling.
    driven: [bool; BANDS],
    coupling_db: [f32; BANDS],
}

impl Prediction {
    pub(super) fn new() -> Self {
        Self {
            played: VecDeque::from(vec![[0.0; BANDS]; REMEMBERED]),
            sounding: [0.0; BANDS],
            driven: [false; BANDS],
            coupling_db: [FIRST_COUPLING_DB; BANDS],
        }
    }

    /// The powers that an echo has at the microphone in this block, by the reference up to
    /// it and the delay between both in ms, if it is known.
    pub(super) fn push(&mut self, played: Powers, delay_ms: Option<u32>) -> Powers {
        self.played.pop_front();
        self.played.push_back(played);
        let (nearest, farthest) = match delay_ms {
            Some(ms) => {
                let blocks = ms as usize / 10;
                (blocks.saturating_sub(EARLIER), blocks + LATER)
            }
            None => (0, UNKNOWN),
        };
        let newest = REMEMBERED - 1;
        let window = newest.saturating_sub(farthest)..=newest.saturating_sub(nearest);
        for (band, sounding) in self.sounding.iter_mut().enumerate() {
            let loudest = self
                .played
                .range(window.clone())
                .map(|powers| powers[band])
                .fold(0.0, f32::max);
            let fading = *sounding * FADE;
            self.driven[band] = loudest >= fading.max(AUDIBLE);
            *sounding = loudest.max(fading);
        }
        std::array::from_fn(|band| self.sounding[band] * power(self.coupling_db[band]))
    }

    /// Learns from what was heard in this block; `sure` says that all of it was echo.
    pub(super) fn learn(&mut self, heard: &Powers, sure: bool) {
        let up = if sure { UP_DB } else { UP_UNSURE_DB };
        for (band, (coupling_db, heard)) in self.coupling_db.iter_mut().zip(heard).enumerate() {
            if !self.driven[band] {
                continue;
            }
            // An echo is never louder than all that was heard: what is quieter than predicted
            // says that the prediction is too loud, whoever speaks.
            let louder = *heard > self.sounding[band] * power(*coupling_db);
            *coupling_db += if louder { up } else { -DOWN_DB };
            *coupling_db = coupling_db.clamp(COUPLING_DB[0], COUPLING_DB[1]);
        }
    }

    /// The mean coupling of the bands, in dB.
    pub(super) fn coupling_db(&self) -> f32 {
        self.coupling_db.iter().sum::<f32>() / BANDS as f32
    }
}

/// A power from dB.
pub(super) fn power(db: f32) -> f32 {
    10f32.powf(db / 10.0)
}
