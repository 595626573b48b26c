//! `kaiwa bench noise`: what noise reduction takes out, and what it makes of the words.
//!
//! Sentences whose words are known are said over recorded noise, as a session that asks for
//! `noise_reduction` hears them.

use std::path::Path;

use kaiwa_audio::{NoiseReducer, WIRE_RATE_HZ, echo::NoiseReduction, rms_dbfs};
use kaiwa_engine::{ComputeBudget, Transcriber, models::Store};
use serde::Serialize;

use super::{
    echo::for_engines,
    machine::{self, Machine},
    normalize,
    recognition::transcribe,
    report::{self, Headline, Page, Report, Section},
    speech::{self, Clip},
    wer::word_errors,
};
use crate::{
    cli::NoiseArgs,
    engines,
    exit::Exit,
    fetch,
    output::{line, note},
};

/// Whose sentences are said.
const VOICES: [&str; 3] = ["en_librispeech", "en_harvard_speechbrain", "en_ljspeech"];

/// What they are said over, of the set `noise_rir`.
const NOISES: [&str; 4] = ["noise2", "noise3", "noise4", "noise5"];

/// Levels of the voice against the noise, in dB.
const SNR_DB: [f32; 2] = [0.0, 10.0];

/// How much noise is reduced.
const LEVELS: [NoiseReduction; 3] = [
    NoiseReduction::Off,
    NoiseReduction::Near,
    NoiseReduction::Far,
];

/// The noise is alone for so long before the voice, in samples (3 s).
const ALONE: usize = 3 * WIRE_RATE_HZ as usize;
/// By then it is known, in samples (2 s).
const KNOWN: usize = 2 * WIRE_RATE_HZ as usize;

/// All sentences over one noise at one level. Arrays are without reduction, near field and far field.
#[derive(Debug, Default, Serialize)]
struct Spoken {
    noise: String,
    snr_db: f32,
    words: usize,
    errors: [usize; 3],
    /// How much quieter the noise alone became, in dB: the mean over the sentences.
    noise_db: [f32; 3],
    /// By how much more than without reduction the voice and its noise stand above the noise alone.
    gained_db: [f32; 3],
}

#[derive(Serialize)]
struct Summary {
    machine: Machine,
    rows: Vec<Spoken>,
    /// Over all of it, in percent.
    word_error_rate: [f64; 3],
}

pub(crate) fn run(arguments: &NoiseArgs) -> Result<(), Exit> {
    let machine = Machine::new(
        arguments.threads.map(usize::from),
        machine::model_names(&[&arguments.judge])?,
    );
    let store = Store::open_default()?;
    fetch::ensure(&store, &[&arguments.judge], arguments.yes)?;
    let budget = ComputeBudget::new(arguments.threads);
    let judge = engines::transcriber(&store, &arguments.judge, &budget)?;
    let clips = speech::clips(&arguments.speech)?;
    let said = clips
        .iter()
        .filter(|clip| VOICES.contains(&clip.set.as_str()));
    let step = (said.clone().count() / arguments.sentences.max(1)).max(1);
    let said: Vec<&Clip> = said.step_by(step).take(arguments.sentences).collect();

    let mut rows = Vec::new();
    for name in NOISES {
        let path = arguments.speech.join(format!("noise_rir/{name}.flac"));
        let noise = speech::sound(&path, WIRE_RATE_HZ)?;
        for snr_db in SNR_DB {
            note(format_args!("words over {name}, {snr_db:+} dB"));
            rows.push(over(&noise, name, snr_db, &said, &*judge)?);
        }
    }
    let words: usize = rows.iter().map(|row| row.words).sum();
    let word_error_rate = std::array::from_fn(|of| {
        let errors: usize = rows.iter().map(|row| row.errors[of]).sum();
        percent(errors, words)
    });
    let summary = Summary {
        machine,
        rows,
        word_error_rate,
    };
    report::publish(&summary, &arguments.report)
}

fn over(
    noise: &[f32],
    name: &str,
    snr_db: f32,
    said: &[&Clip],
    judge: &dyn Transcriber,
) -> Result<Spoken, Exit> {
    let mut row = Spoken {
        noise: name.to_owned(),
        snr_db,
        ..Spoken::default()
    };
    for clip in said {
        let heard = heard(noise, &clip.path, snr_db)?;
        let expected = normalize::text(&clip.text, &clip.language);
        let mut plain = [0.0; 2];
        for (of, level) in LEVELS.into_iter().enumerate() {
            let given = reduced(level, &heard);
            let text = transcribe(
                judge,
                &for_engines(&given[ALONE - WIRE_RATE_HZ as usize / 5..]),
            )?;
            let (errors, words) = word_errors(&expected, &normalize::text(&text, &clip.language));
            row.errors[of] += errors;
            if of == 0 {
                row.words += words;
            }
            let levels = [rms_dbfs(&given[KNOWN..ALONE]), rms_dbfs(&given[ALONE..])];
            if of == 0 {
                plain = levels;
            }
            let share = 1.0 / said.len() as f32;
            row.noise_db[of] += (plain[0] - levels[0]) * share;
            row.gained_db[of] += ((levels[1] - levels[0]) - (plain[1] - plain[0])) * share;
        }
    }
    Ok(row)
}

/// A sentence over noise that was there before, not louder than full scale.
fn heard(noise: &[f32], voice: &Path, snr_db: f32) -> Result<Vec<f32>, Exit> {
    let voice = speech::sound(voice, WIRE_RATE_HZ)?;
    let gain = 10f32.powf((rms_dbfs(&voice) - snr_db - rms_dbfs(noise)) / 20.0);
    let mut heard: Vec<f32> = noise
        .iter()
        .map(|sample| gain * sample)
        .cycle()
        .take(ALONE + voice.len())
        .collect();
    for (heard, voice) in heard[ALONE..].iter_mut().zip(voice) {
        *heard += voice;
    }
    Ok(heard)
}

fn reduced(level: NoiseReduction, heard: &[f32]) -> Vec<f32> {
    let mut reducer = NoiseReducer::new(level, WIRE_RATE_HZ);
    let mut given = Vec::new();
    reducer.process(heard, &mut given);
    reducer.flush(&mut given);
    given
}

fn percent(errors: usize, words: usize) -> f64 {
    100.0 * errors as f64 / words.max(1) as f64
}

impl Summary {
    fn table(&self) -> Vec<Vec<String>> {
        self.rows
            .iter()
            .map(|row| {
                let mut cells = vec![row.noise.clone(), format!("{:+}", row.snr_db)];
                let rates = row.errors.map(|errors| percent(errors, row.words));
                cells.extend(rates.map(|rate| format!("{rate:.1}")));
                cells.extend(row.noise_db[1..].iter().map(|db| format!("{db:.1}")));
                cells.extend(row.gained_db[1..].iter().map(|db| format!("{db:.1}")));
                cells
            })
            .collect()
    }
}

impl Report for Summary {
    fn print(&self) -> Result<(), Exit> {
        line(self.machine.line())?;
        line("word error rate as it is, near, far; noise off, near, far; gained, near, far")?;
        for row in self.table() {
            if let [noise, snr, plain, near, far, db @ ..] = row.as_slice() {
                line(format_args!(
                    "  {noise:<8} {snr:>4} dB  {plain:>5} {near:>5} {far:>5} %  {} dB",
                    db.join("  ")
                ))?;
            }
        }
        let [plain, near, far] = self.word_error_rate;
        line(format_args!("  all {plain:.1}  {near:.1}  {far:.1} %"))
    }

    fn page(&self) -> Page {
        let [plain, near, far] = self.word_error_rate;
        let rate = |name: &str, rate: f64| Headline::new(name, format!("{rate:.1} %"), "");
        Page {
            title: "Noise".to_owned(),
            lead: "Known sentences over recorded noise, as a session hears them that asks for \
                   noise reduction."
                .to_owned(),
            headlines: vec![
                rate("word error rate as it is", plain),
                rate("near field", near),
                rate("far field", far),
            ],
            sections: vec![Section::table(
                "Words over noise",
                "Word error rates in percent; how much quieter the noise alone becomes, and how \
                 much farther the voice stands above it, in dB.",
                &[
                    "noise",
                    "voice, dB",
                    "as it is",
                    "near",
                    "far",
                    "noise: near",
                    "far",
                    "gained: near",
                    "far",
                ],
                self.table(),
            )],
            machine: self.machine.clone(),
        }
    }
}
