//! `kaiwa bench wer`: word error rate and speed of speech to text on real recordings.
//!
//! Both sides of a comparison are judged by the same normaliser: `--hypotheses` scores the
//! transcripts another program made of the same files.

use std::{collections::BTreeMap, ops::ControlFlow, time::Instant};

use kaiwa_engine::{Cancel, ComputeBudget, SttOptions, Transcriber, models::Store};
use serde::{Deserialize, Serialize};

use super::{
    normalize,
    speech::{self, Clip},
    wer::word_errors,
};
use crate::{
    cli::WerArgs,
    engines,
    exit::Exit,
    fetch,
    output::{json_line, line, note},
};

const RATE: u32 = 16_000;

/// One transcript and how long it took.
#[derive(Debug, Deserialize, Serialize)]
struct Hypothesis {
    model: String,
    /// `<set>/<file>`.
    file: String,
    text: String,
    ms: f64,
}

#[derive(Default, Serialize)]
struct Score {
    utterances: usize,
    words: usize,
    errors: usize,
    /// Percent.
    wer: f64,
    ms_per_utterance: f64,
    /// Seconds of audio transcribed in a second.
    times_real_time: f64,
    #[serde(skip)]
    audio_s: f64,
    #[serde(skip)]
    ms: f64,
}

#[derive(Serialize)]
struct ModelReport {
    model: String,
    threads: Option<usize>,
    /// Mean of the sets' rates, in percent.
    mean_wer: f64,
    ms_per_utterance: f64,
    sets: BTreeMap<String, Score>,
}

pub(crate) fn run(arguments: &WerArgs) -> Result<(), Exit> {
    let clips: Vec<Clip> = speech::clips(&arguments.speech)?
        .into_iter()
        .filter(|clip| clip.language == "en")
        .collect();
    let reports = match &arguments.hypotheses {
        Some(path) => {
            let hypotheses = speech::lines::<Hypothesis>(path)?;
            let mut models: Vec<&str> = hypotheses.iter().map(|line| line.model.as_str()).collect();
            models.sort_unstable();
            models.dedup();
            models
                .into_iter()
                .map(|model| score(model, None, &clips, &hypotheses))
                .collect()
        }
        None => measure(arguments, &clips)?,
    };
    if arguments.json {
        return json_line(&reports);
    }
    for report in &reports {
        line(format_args!(
            "{}: {:.1} % mean of sets, {:.0} ms per utterance",
            report.model, report.mean_wer, report.ms_per_utterance
        ))?;
        for (set, score) in &report.sets {
            line(format_args!(
                "  {set:<32} {:>6.1} %  {:>4} of {:>5} words  {:>7.0} ms  {:>5.1} x real time",
                score.wer, score.errors, score.words, score.ms_per_utterance, score.times_real_time
            ))?;
        }
    }
    Ok(())
}

fn measure(arguments: &WerArgs, clips: &[Clip]) -> Result<Vec<ModelReport>, Exit> {
    let store = Store::open_default()?;
    let names: Vec<&str> = arguments.models.iter().map(String::as_str).collect();
    fetch::ensure(&store, &names, true)?;
    let budget = ComputeBudget::new(arguments.threads);
    let mut reports = Vec::new();
    for model in names {
        let engine = engines::transcriber(&store, model, &budget)?;
        note(format_args!("{model}: {} recordings", clips.len()));
        let mut hypotheses = Vec::new();
        for clip in clips {
            let audio = speech::sound(&clip.path, RATE)?;
            let begun = Instant::now();
            let text = transcribe(&*engine, &audio)?;
            hypotheses.push(Hypothesis {
                model: model.to_owned(),
                file: clip.file(),
                text,
                ms: begun.elapsed().as_secs_f64() * 1000.0,
            });
        }
        reports.push(score(model, Some(budget.threads()), clips, &hypotheses));
    }
    Ok(reports)
}

/// What the engine hears in English at 16 kHz.
pub(super) fn transcribe(engine: &dyn Transcriber, audio: &[f32]) -> Result<String, Exit> {
    let options = SttOptions {
        language: Some("en".to_owned()),
        ..SttOptions::default()
    };
    let proceed = &mut |_: kaiwa_engine::SttDelta<'_>| ControlFlow::Continue(());
    Ok(engine
        .transcribe(audio, &options, &Cancel::new(), proceed)?
        .text)
}

fn score(
    model: &str,
    threads: Option<usize>,
    clips: &[Clip],
    hypotheses: &[Hypothesis],
) -> ModelReport {
    let mut sets = BTreeMap::<String, Score>::new();
    for clip in clips {
        let file = clip.file();
        let Some(hypothesis) = hypotheses
            .iter()
            .find(|line| line.model == model && line.file == file)
        else {
            continue;
        };
        let (errors, words) = word_errors(
            &normalize::text(&clip.text, &clip.language),
            &normalize::text(&hypothesis.text, &clip.language),
        );
        let set = sets.entry(clip.set.clone()).or_default();
        set.utterances += 1;
        set.words += words;
        set.errors += errors;
        set.ms += hypothesis.ms;
        set.audio_s += clip.seconds;
    }
    for set in sets.values_mut() {
        set.wer = 100.0 * set.errors as f64 / set.words.max(1) as f64;
        set.ms_per_utterance = set.ms / set.utterances as f64;
        set.times_real_time = set.audio_s * 1000.0 / set.ms.max(f64::MIN_POSITIVE);
    }
    let utterances: usize = sets.values().map(|set| set.utterances).sum();
    ModelReport {
        model: model.to_owned(),
        threads,
        mean_wer: sets.values().map(|set| set.wer).sum::<f64>() / sets.len().max(1) as f64,
        ms_per_utterance: sets.values().map(|set| set.ms).sum::<f64>() / utterances.max(1) as f64,
        sets,
    }
}
