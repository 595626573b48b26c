//! What is understood of somebody who speaks over the assistant.

use std::path::Path;

use kaiwa_audio::{
    WIRE_RATE_HZ,
    echo::{EchoPath, FRAME, Heard},
    rms_dbfs,
};
use kaiwa_engine::Transcriber;
use serde::Serialize;

use super::{
    Pace, clean, for_engines,
    pairs::{Pair, Who, wire_audio},
};
use crate::{
    bench::{
        normalize,
        recognition::transcribe,
        speech::{self, Clip},
        wer::word_errors,
    },
    exit::Exit,
    output::note,
};

/// Whose sentences are said.
const VOICES: [&str; 3] = ["en_librispeech", "en_harvard_speechbrain", "en_ljspeech"];

/// Simulated rooms: the response, the delay in ms and the level of the echo in dB.
const ROOMS: [(&str, usize, f32); 3] =
    [("rir1", 20, 0.0), ("rir3", 60, -5.0), ("rir4", 120, -10.0)];

/// Levels of the voice against the echo at the microphone, in dB.
const VOICE_DB: [f32; 2] = [0.0, 10.0];

/// The echo is alone for so long before the voice, in samples (5 s).
const ALONE: usize = 5 * WIRE_RATE_HZ as usize;
/// What is listened to before and after the voice, in samples (0.2 s).
const AROUND: usize = WIRE_RATE_HZ as usize / 5;

/// An echo and what was played for it.
struct Echo {
    name: String,
    played: Vec<f32>,
    heard: Vec<f32>,
}

/// All sentences over one echo at one level.
#[derive(Debug, Default, Serialize)]
pub(super) struct Spoken {
    pub(super) echo: String,
    /// Of the voice against the echo.
    pub(super) voice_db: f32,
    pub(super) words: usize,
    /// Word errors of the voice alone, of the microphone, after the canceller, and after the gate.
    pub(super) errors: [usize; 4],
    /// Percent of the frames in which the voice is loud that the gate let pass.
    pub(super) passed_percent: f64,
}

pub(super) fn all(
    folder: &Path,
    sentences: usize,
    pairs: &[Pair],
    judge: &dyn Transcriber,
    pace: &mut Pace,
) -> Result<Vec<Spoken>, Exit> {
    let clips = speech::clips(folder)?;
    // In turns, so that few sentences are not all of one voice.
    let of = |set: &'static str| clips.iter().filter(move |clip| clip.set == set);
    let mut chosen: Vec<&Clip> = Vec::new();
    let most = clips.len();
    for nth in 0..most {
        chosen.extend(VOICES.iter().filter_map(|set| of(set).nth(nth)));
        if chosen.len() >= sentences {
            break;
        }
    }
    chosen.truncate(sentences);
    let mut voices = Vec::new();
    for clip in chosen {
        let audio = wire_audio(&clip.path)?;
        let errors = errors(clip, &audio, judge)?;
        voices.push((clip, audio, errors));
    }

    let mut spoken = Vec::new();
    for echo in echoes(folder, pairs)? {
        for voice_db in VOICE_DB {
            note(format_args!("words over {}, {voice_db:+} dB", echo.name));
            let mut all = Spoken {
                echo: echo.name.clone(),
                voice_db,
                ..Spoken::default()
            };
            let (mut loud, mut passed) = (0, 0);
            for (clip, audio, alone) in &voices {
                let over = Over::new(&echo, audio, voice_db);
                let cleaned = clean(&over.played, &over.heard, false, pace);
                let gated = clean(&over.played, &over.heard, true, pace);
                let (before, after) = (ALONE - AROUND, ALONE + audio.len() + AROUND);
                all.words += alone.1;
                all.errors[0] += alone.0;
                for (sum, samples) in
                    all.errors[1..]
                        .iter_mut()
                        .zip([&over.heard, &cleaned.samples, &gated.samples])
                {
                    let end = after.min(samples.len());
                    *sum += errors(clip, &samples[before..end], judge)?.0;
                }
                let [heard, let_pass] = over.passed(&gated.heard);
                loud += heard;
                passed += let_pass;
            }
            all.passed_percent = 100.0 * passed as f64 / loud.max(1) as f64;
            spoken.push(all);
        }
    }
    Ok(spoken)
}

/// The echo of a device, and of each room.
fn echoes(folder: &Path, pairs: &[Pair]) -> Result<Vec<Echo>, Exit> {
    let Some(far) = pairs.iter().find(|pair| pair.who == Who::FarEnd) else {
        return Ok(Vec::new());
    };
    let mut echoes = vec![Echo {
        name: "a real device".to_owned(),
        played: far.played.clone(),
        heard: far.heard.clone(),
    }];
    for (room, delay_ms, gain_db) in ROOMS {
        let response = wire_audio(&folder.join(format!("noise_rir/{room}.wav")))?;
        let delay = delay_ms * WIRE_RATE_HZ as usize / 1000;
        echoes.push(Echo {
            name: format!("{room}, {delay_ms} ms, {gain_db} dB"),
            played: far.played.clone(),
            heard: EchoPath::new(delay, gain_db, &response).echo(&far.played),
        });
    }
    Ok(echoes)
}

/// Errors and words of what the judge understands.
fn errors(clip: &Clip, audio: &[f32], judge: &dyn Transcriber) -> Result<(usize, usize), Exit> {
    let text = transcribe(judge, &for_engines(audio))?;
    Ok(word_errors(
        &normalize::text(&clip.text, &clip.language),
        &normalize::text(&text, &clip.language),
    ))
}

/// A voice over an echo that goes on for as long as it speaks.
struct Over {
    played: Vec<f32>,
    heard: Vec<f32>,
    /// The voice as it arrives.
    voice: Vec<f32>,
}

impl Over {
    fn new(echo: &Echo, voice: &[f32], voice_db: f32) -> Self {
        let length = (ALONE + voice.len() + AROUND).next_multiple_of(FRAME);
        let repeated = |samples: &[f32]| -> Vec<f32> {
            samples.iter().copied().cycle().take(length).collect()
        };
        let gain_db = rms_dbfs(&echo.heard) + voice_db - rms_dbfs(voice);
        let gain = 10f32.powf(gain_db / 20.0);
        let voice: Vec<f32> = voice.iter().map(|sample| sample * gain).collect();
        let mut heard = repeated(&echo.heard);
        for (heard, voice) in heard[ALONE..].iter_mut().zip(&voice) {
            *heard += voice;
        }
        Self {
            played: repeated(&echo.played),
            heard,
            voice,
        }
    }

    /// Frames in which the voice is less than 10 dB below its mean, and how many of them passed.
    fn passed(&self, verdicts: &[Heard]) -> [usize; 2] {
        let level = rms_dbfs(&self.voice) - 10.0;
        let frames = self
            .voice
            .chunks_exact(FRAME)
            .zip(&verdicts[ALONE / FRAME..]);
        let loud: Vec<&Heard> = frames
            .filter(|(frame, _)| rms_dbfs(frame) > level)
            .map(|(_, heard)| heard)
            .collect();
        let passed = loud
            .iter()
            .filter(|heard| ***heard == Heard::Passed)
            .count();
        [loud.len(), passed]
    }
}
