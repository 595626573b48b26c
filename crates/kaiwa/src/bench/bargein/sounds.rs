//! What is heard while the assistant speaks.

use std::path::Path;

use kaiwa_audio::{AUDIBLE_DBFS, WIRE_RATE_HZ, first_above, rms_dbfs};
use kaiwa_engine::Synthesizer;
use serde::Serialize;

use crate::{
    bench::{
        speech::{self, PauseMap},
        statistics::Draw,
    },
    engines::{USER_VOICE, user_says},
    exit::{Code, Exit},
};

/// Interruptions are at most so long, in s.
const LONGEST_S: f64 = 4.0;

/// Sets of clean, short things to say.
const SETS: [&str; 2] = ["en_dialog_turns", "en_single_clips"];

/// Words that want nothing.
const AGREEMENT: [&str; 6] = ["Mm-hm.", "Yeah.", "Right.", "Uh-huh.", "Okay.", "Yes, yes."];

/// Recordings of noise, and pieces that are as long as a cough.
const NOISES: &str = "noise_rir";
const NOISE_FILES: [&str; 4] = ["noise2.flac", "noise3.flac", "noise4.flac", "noise5.flac"];
const NOISE_S: [f64; 2] = [0.2, 0.3];

/// As loud as speech.
const NOISE_DBFS: f32 = -20.0;

/// A piece of noise fades in and out for so long, in s, as no switch does.
const FADE_S: f64 = 0.02;

const SEED: u64 = 20_261_125;

/// What a sound is meant to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Meaning {
    /// The assistant is to stop.
    Interruption,
    /// Somebody agrees; the assistant is to go on.
    Agreement,
    /// Nobody speaks.
    Noise,
}

/// A sound at 24 kHz.
#[derive(Clone, Debug)]
pub(super) struct Sound {
    pub(super) name: String,
    pub(super) meaning: Meaning,
    pub(super) samples: Vec<f32>,
    /// The sample at which it begins to be heard.
    pub(super) onset: usize,
}

/// So many interruptions, and every sound that is none.
pub(super) fn all(
    folder: &Path,
    interruptions: usize,
    voice: &dyn Synthesizer,
) -> Result<Vec<Sound>, Exit> {
    let found = recorded(folder)?;
    if found.is_empty() {
        return Err(Exit::new(
            Code::Input,
            format!(
                "no recording fits: {} hold none of up to 4 s",
                SETS.join(" and ")
            ),
        ));
    }
    let mut sounds: Vec<Sound> = found.into_iter().cycle().take(interruptions).collect();
    for text in AGREEMENT {
        sounds.push(spoken(voice, text)?);
    }
    let mut draw = Draw::new(SEED);
    for file in NOISE_FILES {
        sounds.push(noise(&folder.join(NOISES).join(file), &mut draw)?);
    }
    Ok(sounds)
}

fn recorded(folder: &Path) -> Result<Vec<Sound>, Exit> {
    let pauses = PauseMap::read(folder)?;
    let mut sounds = Vec::new();
    for clip in speech::clips(folder)? {
        let Some(speech) = pauses.speech(&clip) else {
            continue;
        };
        if SETS.contains(&clip.set.as_str()) && clip.seconds <= LONGEST_S {
            sounds.push(Sound {
                name: clip.file(),
                meaning: Meaning::Interruption,
                samples: speech::sound(&clip.path, WIRE_RATE_HZ)?,
                onset: at(speech.start_s),
            });
        }
    }
    Ok(sounds)
}

fn spoken(voice: &dyn Synthesizer, text: &str) -> Result<Sound, Exit> {
    let samples = user_says(voice, text)?;
    Ok(Sound {
        name: format!("{text:?} by {USER_VOICE}"),
        meaning: Meaning::Agreement,
        onset: first_above(&samples, AUDIBLE_DBFS).unwrap_or_default(),
        samples,
    })
}

fn noise(path: &Path, draw: &mut Draw) -> Result<Sound, Exit> {
    let samples = speech::sound(path, WIRE_RATE_HZ)?;
    let length = at(draw.between(NOISE_S[0], NOISE_S[1])).min(samples.len());
    let start = draw.below(samples.len() - length + 1);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(Sound {
        name: format!("{} ms of {name}", length * 1000 / WIRE_RATE_HZ as usize),
        meaning: Meaning::Noise,
        samples: burst(&samples[start..start + length]),
        onset: 0,
    })
}

/// A piece of noise as loud as speech, faded in and out.
fn burst(noise: &[f32]) -> Vec<f32> {
    let gain = 10_f32.powf((NOISE_DBFS - rms_dbfs(noise)) / 20.0);
    let fade = at(FADE_S) as f32;
    let length = noise.len();
    noise
        .iter()
        .enumerate()
        .map(|(index, sample)| {
            let edge = (index.min(length - 1 - index) as f32 / fade).min(1.0);
            (sample * gain * edge).clamp(-1.0, 1.0)
        })
        .collect()
}

fn at(seconds: f64) -> usize {
    (seconds * f64::from(WIRE_RATE_HZ)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_as_loud_as_speech_and_has_no_edges() {
        let quiet: Vec<f32> = (0..6000).map(|at| 0.001 * (at as f32).sin()).collect();
        let burst = burst(&quiet);
        let level = rms_dbfs(&burst);
        // The fades take a little off.
        assert!((NOISE_DBFS - 1.5..NOISE_DBFS).contains(&level), "{level}");
        assert_eq!((burst[0], burst[5999]), (0.0, 0.0));
    }
}
