//! `kaiwa bench echo`: what of the assistant's own voice is left in the microphone, and what is
//! left of the user's.
//!
//! Levels come from recordings of real devices: what they played and what their microphone
//! heard. Nobody wrote down what is said in those, so words come from a sum that a room makes,
//! too: a recording whose words are known over the echo of a device, or of a simulated room.

mod pairs;
mod summary;
mod words;

use std::time::{Duration, Instant};

use kaiwa_audio::{
    Resampler, WIRE_RATE_HZ,
    echo::{EchoStatistics, FRAME, Heard, VoiceOptions, VoiceProcessor},
};
use kaiwa_engine::{ComputeBudget, models::Store, silero::SileroModel};

use self::{pairs::Measured, summary::Summary, words::Spoken};
use super::{
    machine::{self, Machine},
    report,
};
use crate::{
    cli::EchoArgs,
    engines::{self, VOICE_ACTIVITY},
    exit::Exit,
    fetch,
    output::note,
};

/// Engines hear at this rate, in Hz.
const ENGINE_RATE_HZ: u32 = 16_000;

pub(crate) fn run(arguments: &EchoArgs) -> Result<(), Exit> {
    let models = [VOICE_ACTIVITY, &arguments.judge];
    let machine = Machine::new(
        arguments.threads.map(usize::from),
        machine::model_names(&models)?,
    );
    let store = Store::open_default()?;
    fetch::ensure(&store, &models, arguments.yes)?;
    let budget = ComputeBudget::new(arguments.threads);
    let ears = SileroModel::load(store.dir(VOICE_ACTIVITY)?, &budget)?;
    let judge = engines::transcriber(&store, &arguments.judge, &budget)?;

    let mut pace = Pace::default();
    let pairs = pairs::all(&arguments.speech)?;
    let mut measured = Vec::new();
    for pair in &pairs {
        measured.push(Measured::new(pair, &ears, &mut pace)?);
    }
    note(format_args!("{} pairs of recordings", pairs.len()));
    let spoken: Vec<Spoken> = words::all(
        &arguments.speech,
        arguments.sentences,
        &pairs,
        &*judge,
        &mut pace,
    )?;
    let summary = Summary::new(machine, pace.ratio(), measured, spoken);
    report::publish(&summary, &arguments.report)
}

/// How long the processor takes.
#[derive(Default)]
struct Pace {
    took: Duration,
    samples: usize,
}

impl Pace {
    /// Time over time of sound: 1 is as slow as can be borne.
    fn ratio(&self) -> f64 {
        let sound_s = self.samples as f64 / f64::from(WIRE_RATE_HZ);
        self.took.as_secs_f64() / sound_s.max(f64::MIN_POSITIVE)
    }
}

/// What came out of a processor.
struct Cleaned {
    samples: Vec<f32>,
    /// For each frame of 20 ms.
    heard: Vec<Heard>,
    statistics: EchoStatistics,
}

/// Sends what was played and what the microphone heard (24 kHz) through a new processor, that
/// knows nothing of the delay between them.
fn clean(played: &[f32], heard: &[f32], gate: bool, pace: &mut Pace) -> Cleaned {
    let mut processor = VoiceProcessor::new(VoiceOptions {
        gate,
        ..VoiceOptions::default()
    });
    let (played, _) = played.as_chunks::<FRAME>();
    let mut samples = heard.to_vec();
    let (frames, _) = samples.as_chunks_mut::<FRAME>();
    let begun = Instant::now();
    let verdicts: Vec<Heard> = frames
        .iter_mut()
        .zip(played)
        .map(|(frame, played)| processor.process(Some(played), frame, 0))
        .collect();
    samples.truncate(verdicts.len() * FRAME);
    pace.took += begun.elapsed();
    pace.samples += samples.len();
    Cleaned {
        samples,
        heard: verdicts,
        statistics: processor.statistics(),
    }
}

/// The same at the rate of the engines.
pub(super) fn for_engines(samples: &[f32]) -> Vec<f32> {
    let mut resampler = Resampler::new(WIRE_RATE_HZ, ENGINE_RATE_HZ);
    let mut resampled = Vec::new();
    resampler.process(samples, &mut resampled);
    resampler.flush(&mut resampled);
    resampled
}
