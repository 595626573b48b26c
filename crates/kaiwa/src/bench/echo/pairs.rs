//! Recordings of real devices: what they played, and what their microphone heard.

use std::path::Path;

use kaiwa_audio::{Clip, WIRE_RATE_HZ, rms_dbfs};
use kaiwa_engine::{VoiceActivity, silero::SileroModel};
use serde::{Deserialize, Serialize};

use super::{Pace, clean, for_engines};
use crate::{
    bench::speech,
    exit::{Code, Exit},
};

const SETS: [&str; 2] = ["aec_conditions", "aec_real_doubletalk"];

/// From this on a canceller is expected to know the room, in samples (2.5 s).
const CONVERGED: usize = WIRE_RATE_HZ as usize * 5 / 2;

/// A frame with this probability is speech to a detector.
const SPEECH: f32 = 0.5;

/// Who speaks in a recording.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Who {
    Both,
    FarEnd,
    NearEnd,
}

/// What a device played and heard, at 24 kHz and of one length.
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) who: Who,
    pub(super) played: Vec<f32>,
    pub(super) heard: Vec<f32>,
}

#[derive(Deserialize)]
struct PairLine {
    file: String,
    pair: String,
    condition: String,
}

/// Levels in dBFS, and what a detector takes for speech, of three: the microphone, the
/// canceller's output, and the gate's.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    pub(super) name: String,
    pub(super) who: Who,
    /// How much quieter the canceller's output is than the microphone, in dB: over all, and
    /// after 2.5 s. Where the far end speaks alone it is the echo return loss enhancement.
    pub(super) reduction_db: f32,
    pub(super) reduction_after_db: f32,
    /// Percent of 32 ms frames that a voice activity detector takes for speech.
    pub(super) speech_percent: [f64; 3],
    /// Percent of frames that the gate silenced.
    pub(super) silenced_percent: f64,
    /// By the canceller, in ms.
    pub(super) delay_ms: Option<usize>,
}

pub(super) fn all(folder: &Path) -> Result<Vec<Pair>, Exit> {
    let mut pairs = Vec::new();
    for set in SETS {
        let folder = folder.join(set);
        let lines = speech::lines::<PairLine>(&folder.join("manifest.jsonl"))?;
        for line in lines.iter().filter(|line| line.file.contains("_mic.")) {
            let far = line.file.replace("_mic.", "_lpb.");
            if !lines.iter().any(|other| other.file == far) {
                continue;
            }
            let mut played = wire_audio(&folder.join(far))?;
            let mut heard = wire_audio(&folder.join(&line.file))?;
            let length = played.len().min(heard.len());
            played.truncate(length);
            heard.truncate(length);
            pairs.push(Pair {
                name: format!("{set}/{}", line.pair),
                who: match line.condition.as_str() {
                    condition if condition.starts_with("far-end") => Who::FarEnd,
                    condition if condition.starts_with("near-end") => Who::NearEnd,
                    _ => Who::Both,
                },
                played,
                heard,
            });
        }
    }
    Ok(pairs)
}

/// A recording at 24 kHz.
pub(super) fn wire_audio(path: &Path) -> Result<Vec<f32>, Exit> {
    let clip = Clip::open(path)
        .map_err(|error| Exit::new(Code::Input, format!("{}: {error}", path.display())))?;
    Ok(clip.resampled(WIRE_RATE_HZ).samples)
}

impl Measured {
    pub(super) fn new(pair: &Pair, ears: &SileroModel, pace: &mut Pace) -> Result<Self, Exit> {
        let cleaned = clean(&pair.played, &pair.heard, false, pace);
        let gated = clean(&pair.played, &pair.heard, true, pace);
        let length = cleaned.samples.len();
        let heard = &pair.heard[..length];
        let from = CONVERGED.min(length);
        let silenced = gated.statistics.silenced as f64;
        Ok(Self {
            name: pair.name.clone(),
            who: pair.who,
            reduction_db: rms_dbfs(heard) - rms_dbfs(&cleaned.samples),
            reduction_after_db: rms_dbfs(&heard[from..]) - rms_dbfs(&cleaned.samples[from..]),
            speech_percent: [
                speech_percent(heard, ears)?,
                speech_percent(&cleaned.samples, ears)?,
                speech_percent(&gated.samples, ears)?,
            ],
            silenced_percent: 100.0 * silenced / gated.heard.len().max(1) as f64,
            delay_ms: cleaned
                .statistics
                .delay
                .map(|samples| samples * 1000 / WIRE_RATE_HZ as usize),
        })
    }
}

fn speech_percent(samples: &[f32], ears: &SileroModel) -> Result<f64, Exit> {
    let mut detector = ears.detector();
    let audio = for_engines(samples);
    let (mut speech, mut frames) = (0, 0);
    for frame in audio.chunks_exact(detector.frame_samples()) {
        speech += usize::from(detector.push(frame)? >= SPEECH);
        frames += 1;
    }
    Ok(100.0 * speech as f64 / f64::from(frames.max(1)))
}
