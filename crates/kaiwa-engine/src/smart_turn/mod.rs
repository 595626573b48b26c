//! End of turn by the voice: Smart Turn 3.2.
//!
//! The network is the encoder of Whisper tiny with a classifier on top. It hears the last
//! 8 s of a turn as a log-mel spectrogram of 80 bands and 800 frames. The audio stands at
//! the end of the window, after zeros; the window is brought to zero mean and unit
//! variance first, zeros included, as it was in training.
//!
//! It knows intonation, not words: after "my number is four five six" it hears a finished
//! sentence. Whoever decides a turn should look at the transcript too.

use std::{fmt, path::Path};

use rten::{NodeId, RunOptions, ValueView};

use crate::{
    Cancel, ComputeBudget, EndOfTurn, EngineError,
    mel::{BANDS, HOP, LogMel, MelFilters},
    onnx::Loaded,
};

/// The file [`SmartTurn::load`] looks for in a folder.
pub const MODEL_FILE: &str = "smart-turn-v3.2-cpu.onnx";

/// Samples at 16 000 Hz the network hears, from the end of a turn: 8 s.
pub const WINDOW_SAMPLES: usize = 128_000;

const FRAMES: usize = WINDOW_SAMPLES / HOP;

/// Samples after the window that are mirrored for its last frame: half a frame.
const REACH: usize = 200;

/// Added to the variance, so that silence can be divided by its deviation.
const LEAST_VARIANCE: f64 = 1e-7;

/// The loaded network. One serves any number of conversations.
pub struct SmartTurn {
    budget: ComputeBudget,
    filters: MelFilters,
    network: Loaded,
    features: NodeId,
    probability: NodeId,
    run: RunOptions,
}

impl SmartTurn {
    /// Loads the network from `path`: the file, or the folder that holds [`MODEL_FILE`].
    ///
    /// # Errors
    ///
    /// [`EngineErrorKind::Model`](crate::EngineErrorKind::Model) when the file is missing,
    /// cut short, or another network.
    pub fn load(path: impl AsRef<Path>, budget: ComputeBudget) -> Result<Self, EngineError> {
        let network = Loaded::new(path.as_ref(), MODEL_FILE, "end-of-turn model")?;
        // The file calls its output logits; it is behind the sigmoid.
        let [features, probability] = [network.node("input_features")?, network.node("logits")?];
        let loaded = Self {
            run: RunOptions::default().with_thread_pool(Some(budget.pool())),
            budget,
            filters: MelFilters::new(),
            network,
            features,
            probability,
        };
        // One window tells a network of the same names but other shapes apart.
        loaded
            .judge(&[], &Cancel::new())
            .map_err(|error| loaded.network.refused(&error))?;
        Ok(loaded)
    }
}

/// The spectrogram of the window that ends with `turn`, band by band.
fn spectrogram(filters: &MelFilters, turn: &[f32]) -> Vec<f32> {
    let window = normalised(turn);
    let mut mel = LogMel::new(filters);
    mel.push(&window);
    // The last frame reaches over the end of the window, where it is mirrored.
    let mirrored = &window[WINDOW_SAMPLES - 1 - REACH..WINDOW_SAMPLES - 1];
    mel.push(&mirrored.iter().rev().copied().collect::<Vec<_>>());
    let frames = mel.finish(FRAMES);
    let mut bands = vec![0.0; FRAMES * BANDS];
    for (at, frame) in frames.chunks_exact(BANDS).enumerate() {
        for (band, &value) in frame.iter().enumerate() {
            bands[band * FRAMES + at] = value;
        }
    }
    bands
}

/// The end of the audio at the end of a window, with zero mean and unit variance.
fn normalised(turn: &[f32]) -> Vec<f32> {
    let heard = &turn[turn.len().saturating_sub(WINDOW_SAMPLES)..];
    let samples = || heard.iter().map(|&sample| f64::from(sample));
    let mean = samples().sum::<f64>() / WINDOW_SAMPLES as f64;
    let power = samples().map(|sample| sample * sample).sum::<f64>() / WINDOW_SAMPLES as f64;
    let deviation = ((power - mean * mean).max(0.0) + LEAST_VARIANCE).sqrt();
    let mut window = vec![(-mean / deviation) as f32; WINDOW_SAMPLES - heard.len()];
    window.extend(samples().map(|sample| ((sample - mean) / deviation) as f32));
    window
}

impl EndOfTurn for SmartTurn {
    /// As in the trait; the last [`WINDOW_SAMPLES`] are heard.
    fn judge(&self, turn: &[f32], cancel: &Cancel) -> Result<f32, EngineError> {
        if turn.iter().any(|sample| !sample.is_finite()) {
            return Err(EngineError::invalid_input(
                "the audio holds a sample that is no number",
            ));
        }
        // Somebody waits for the answer to this turn.
        let _slot = self.budget.slot(true);
        // The network runs in one step, so this is the only place to stop.
        if cancel.is_cancelled() {
            return Ok(0.0);
        }
        let features = spectrogram(&self.filters, turn);
        let features = ValueView::from_shape([1, BANDS, FRAMES], &features[..])
            .map_err(EngineError::failed)?;
        let [probability] = self
            .network
            .model
            .run_n(
                vec![(self.features, features.into())],
                [self.probability],
                Some(self.run.clone()),
            )
            .map_err(EngineError::failed)?;
        let (shape, numbers) = probability
            .into_shape_vec::<f32, 2>()
            .map_err(EngineError::failed)?;
        match numbers[..] {
            [probability] if (0.0..=1.0).contains(&probability) => Ok(probability),
            _ => Err(EngineError::failed(format_args!(
                "the end-of-turn network gave {numbers:?} in the shape {shape:?}, not one \
                 probability"
            ))),
        }
    }
}

impl fmt::Debug for SmartTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmartTurn").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, time::Instant};

    use kaiwa_audio::Clip;

    use super::*;
    use crate::{EngineErrorKind, testing::speech_dir};

    fn model() -> Option<SmartTurn> {
        let Some(models) = env::var_os("KAIWA_MODELS_DIR") else {
            println!("skipped: no models");
            return None;
        };
        let folder = Path::new(&models).join("smart-turn-v3.2");
        Some(SmartTurn::load(folder, ComputeBudget::new(None)).expect("the model loads"))
    }

    /// (band, frame, value) of the spectrogram of the audio below, as the feature extraction
    /// of pipecat-ai 1.14.0 gives it.
    const KNOWN_FEATURES: [(usize, usize, f32); 14] = [
        (0, 0, 1.0295),
        (10, 0, -0.1503),
        (0, 400, 1.0295),
        (0, 560, 1.2465),
        (3, 560, 1.6355),
        (10, 600, 0.1289),
        (40, 650, -0.1503),
        (3, 700, 1.7530),
        (4, 700, 1.5996),
        (79, 700, -0.1503),
        (3, 798, 1.6977),
        (0, 799, 1.2324),
        (3, 799, 1.6832),
        (20, 799, 0.0164),
    ];

    #[test]
    fn the_spectrogram_has_the_known_values() {
        // A tone of 127 Hz that swells and fades, on an offset.
        let tone = |n: f64| (0.3 * (0.05 * n).sin() * (0.0003 * n).sin() + 0.02) as f32;
        let turn: Vec<f32> = (0..40_000).map(f64::from).map(tone).collect();
        let features = spectrogram(&MelFilters::new(), &turn);
        assert_eq!(features.len(), BANDS * FRAMES);
        for (band, frame, expected) in KNOWN_FEATURES {
            let actual = features[band * FRAMES + frame];
            assert!(
                (actual - expected).abs() < 2e-3,
                "band {band}, frame {frame}: {actual}, expected {expected}"
            );
        }
    }

    /// Probabilities of the reference on the first so many seconds of a recording: the
    /// feature extraction of pipecat-ai 1.14.0 and this model on ONNX Runtime 1.32.0 with
    /// graph optimisations off, which computes exactly what the file says.
    ///
    /// Optimised, it saturates 8-bit products on processors without VNNI and is as much as
    /// 0.5 away from that. The network itself is coarse: changing every feature by 0.0001
    /// at random moves the reference by as much as 0.25.
    const KNOWN: [(&str, f64, f32); 15] = [
        ("en_librispeech/testing_routine.wav", 60.0, 0.9256),
        ("en_librispeech/testing_routine.wav", 1.5, 0.4607),
        ("en_librispeech/another_engineer.wav", 2.0, 0.0199),
        ("en_librispeech/another_engineer.wav", 60.0, 0.9308),
        ("en_librispeech/librispeech-1995-1837-0001.wav", 2.6, 0.0892),
        (
            "en_librispeech/librispeech-1995-1837-0001.wav",
            60.0,
            0.0744,
        ),
        ("en_single_clips/jfk_16k.wav", 2.4, 0.9381),
        ("en_single_clips/jfk_16k.wav", 60.0, 0.7722),
        ("en_single_clips/brooklyn_bridge.wav", 60.0, 0.9875),
        ("en_dialog_turns/today.wav", 60.0, 0.9557),
        ("en_disfluent_mfa/mfa_crossword.flac", 3.2, 0.0115),
        ("en_disfluent_mfa/mfa_erpause.flac", 2.9, 0.9816),
        ("en_harvard_speechbrain/spk1_snt1.wav", 1.3, 0.0088),
        ("en_single_clips/digits_10001-90210-01803.wav", 3.4, 0.9697),
        ("en_accented_speechocean762/096260005.flac", 2.2, 0.0534),
    ];

    /// Farthest from the reference any judgement, and the mean of all, may be. Its sums of 8-bit
    /// products saturate on processors without VNNI: a judgement near the middle, of which
    /// little can be said, was 0.17 off on one of these and 0.22 on one with it.
    const TOLERANCE: (f32, f32) = (0.3, 0.06);

    #[test]
    fn probabilities_are_those_of_the_reference() {
        let (Some(model), Some(folder)) = (model(), speech_dir()) else {
            return;
        };
        let started = Instant::now();
        let mut sum = 0.0;
        for (file, seconds, expected) in KNOWN {
            let clip = Clip::open(folder.join(file)).expect("a recording");
            let samples = clip.resampled(16_000).samples;
            let heard = samples.len().min((seconds * 16_000.0) as usize);
            let actual = model
                .judge(&samples[..heard], &Cancel::new())
                .expect("a judgement");
            let error = (actual - expected).abs();
            assert!(
                error < TOLERANCE.0,
                "{file}, {seconds} s: {actual}, expected {expected}"
            );
            sum += error;
        }
        let mean = sum / KNOWN.len() as f32;
        println!(
            "mean error {mean:.3}, {:.0} ms a judgement",
            1e3 * started.elapsed().as_secs_f64() / KNOWN.len() as f64
        );
        assert!(mean < TOLERANCE.1, "{mean}");
    }

    #[test]
    fn what_is_further_back_than_the_window_does_not_count() {
        let Some(model) = model() else { return };
        let wave = |n: usize| (n as f32 * 0.1).sin() * (n as f32 * 0.0007).sin();
        let turn: Vec<f32> = (0..2 * WINDOW_SAMPLES).map(wave).collect();
        let judge = |turn| model.judge(turn, &Cancel::new()).expect("a judgement");
        assert_eq!(judge(&turn), judge(&turn[WINDOW_SAMPLES..]));
        assert_ne!(judge(&turn), judge(&turn[..WINDOW_SAMPLES / 2]));
    }

    #[test]
    fn a_cancelled_judgement_is_not_complete() {
        let Some(model) = model() else { return };
        let cancel = Cancel::new();
        cancel.cancel();
        assert_eq!(model.judge(&[0.1; 1600], &cancel), Ok(0.0));
    }

    #[test]
    fn a_sample_that_is_no_number_is_refused() {
        let Some(model) = model() else { return };
        let error = model.judge(&[f32::NAN], &Cancel::new()).unwrap_err();
        assert_eq!(error.kind(), EngineErrorKind::InvalidInput);
    }

    #[test]
    fn a_window_has_zero_mean_and_unit_variance() {
        let window = normalised(&[0.5, 0.25, 0.75, -0.1]);
        assert_eq!(window.len(), WINDOW_SAMPLES);
        let mean = window.iter().sum::<f32>() / WINDOW_SAMPLES as f32;
        assert!(mean.abs() < 1e-5, "{mean}");
        // The quiet window of four samples has a variance of 7.0e-6 before the addition.
        let variance = window.iter().map(|x| x * x).sum::<f32>() / WINDOW_SAMPLES as f32;
        assert!((variance - 0.986).abs() < 2e-3, "{variance}");
        assert!(normalised(&[]).iter().all(|&sample| sample == 0.0));
    }

    #[test]
    fn a_missing_or_foreign_file_is_named() {
        let budget = ComputeBudget::new(None);
        let folder = tempfile::tempdir().expect("a folder");
        let error = SmartTurn::load(folder.path(), budget.clone()).unwrap_err();
        assert_eq!(error.kind(), EngineErrorKind::Model);
        assert!(error.message().contains(MODEL_FILE), "{error}");

        let foreign = folder.path().join("foreign.onnx");
        fs::write(&foreign, b"not a network").expect("the file is written");
        let error = SmartTurn::load(&foreign, budget).unwrap_err();
        assert_eq!(error.kind(), EngineErrorKind::Model);
        assert!(error.message().contains("foreign.onnx"), "{error}");
    }
}
