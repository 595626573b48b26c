//! Voice activity detection by the Silero network (16 kHz).
//!
//! [`SileroModel`] is loaded once per process; [`SileroModel::detector`] makes the
//! [`Silero`] of a stream, which holds nothing but the stream's state (1.4 kB).
//!
//! The network takes 576 samples: the last 64 of the frame before, then the 512 new
//! ones (32 ms), and carries a recurrent state of 2 x 1 x 128 from frame to frame. Its
//! input `sr` is the sample rate in Hz.

use std::{fmt, path::Path, sync::Arc};

use rten::{NodeId, RunOptions, Value, ValueView};

use crate::{ComputeBudget, EngineError, VoiceActivity, onnx::Loaded};

/// The file [`SileroModel::load`] looks for in a folder.
pub const MODEL_FILE: &str = "silero_vad_16k_op15.onnx";

/// Samples of one frame at 16 000 Hz: 32 ms.
pub const FRAME_SAMPLES: usize = 512;

const SAMPLE_RATE_HZ: i32 = 16_000;

/// Samples of the frame before that the network sees again.
const CONTEXT_SAMPLES: usize = 64;
const INPUT_SAMPLES: usize = CONTEXT_SAMPLES + FRAME_SAMPLES;

/// Two layers, one stream, 128 cells.
const STATE_SHAPE: [usize; 3] = [2, 1, 128];
const STATE_LEN: usize = STATE_SHAPE[0] * STATE_SHAPE[1] * STATE_SHAPE[2];

/// The loaded network. Clones share it.
#[derive(Clone)]
pub struct SileroModel(Arc<Network>);

struct Network {
    loaded: Loaded,
    input: NodeId,
    state: NodeId,
    sample_rate: NodeId,
    probability: NodeId,
    next_state: NodeId,
    run: RunOptions,
}

impl SileroModel {
    /// Loads the network from `path`: the file, or the folder that holds [`MODEL_FILE`].
    ///
    /// # Errors
    ///
    /// [`EngineErrorKind::Model`](crate::EngineErrorKind::Model) when the file is missing,
    /// cut short, or another network.
    pub fn load(path: impl AsRef<Path>, budget: &ComputeBudget) -> Result<Self, EngineError> {
        let loaded = Loaded::new(path.as_ref(), MODEL_FILE, "voice activity model")?;
        let node = |name| loaded.node(name);
        let [input, state, sample_rate] = [node("input")?, node("state")?, node("sr")?];
        let [probability, next_state] = [node("output")?, node("stateN")?];
        let model = Self(Arc::new(Network {
            loaded,
            input,
            state,
            sample_rate,
            probability,
            next_state,
            run: RunOptions::default().with_thread_pool(Some(budget.vad_pool())),
        }));
        // One frame tells a network of the same names but other shapes apart.
        model
            .detector()
            .push(&[0.0; FRAME_SAMPLES])
            .map_err(|error| model.0.loaded.refused(&error))?;
        Ok(model)
    }

    /// A detector for one stream, at its beginning.
    pub fn detector(&self) -> Silero {
        Silero {
            network: Arc::clone(&self.0),
            input: [0.0; INPUT_SAMPLES],
            state: vec![0.0; STATE_LEN],
        }
    }
}

impl fmt::Debug for SileroModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SileroModel").finish_non_exhaustive()
    }
}

/// Voice activity of one stream.
pub struct Silero {
    network: Arc<Network>,
    /// The context, then the frame.
    input: [f32; INPUT_SAMPLES],
    state: Vec<f32>,
}

impl VoiceActivity for Silero {
    fn frame_samples(&self) -> usize {
        FRAME_SAMPLES
    }

    fn push(&mut self, frame: &[f32]) -> Result<f32, EngineError> {
        if frame.len() != FRAME_SAMPLES {
            return Err(EngineError::invalid_input(format_args!(
                "a frame for voice activity detection has {FRAME_SAMPLES} samples, not {}",
                frame.len()
            )));
        }
        self.input[CONTEXT_SAMPLES..].copy_from_slice(frame);
        let network = &*self.network;
        let input = ValueView::from_shape([1, INPUT_SAMPLES], &self.input);
        let state = ValueView::from_shape(STATE_SHAPE, &self.state);
        let [probability, state] = network
            .loaded
            .model
            .run_n(
                vec![
                    (network.input, input.map_err(EngineError::failed)?.into()),
                    (network.state, state.map_err(EngineError::failed)?.into()),
                    (network.sample_rate, Value::from(SAMPLE_RATE_HZ).into()),
                ],
                [network.probability, network.next_state],
                Some(network.run.clone()),
            )
            .map_err(EngineError::failed)?;
        let [probability, state] = [floats::<2>(probability, 1)?, floats::<3>(state, STATE_LEN)?];
        self.state = state;
        self.input.copy_within(FRAME_SAMPLES.., 0);
        Ok(probability[0])
    }

    fn reset(&mut self) {
        self.input.fill(0.0);
        self.state.fill(0.0);
    }
}

impl fmt::Debug for Silero {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Silero").finish_non_exhaustive()
    }
}

/// The `expected` numbers of an output with `RANK` dimensions.
fn floats<const RANK: usize>(value: Value, expected: usize) -> Result<Vec<f32>, EngineError> {
    let (shape, data) = value
        .into_shape_vec::<f32, RANK>()
        .map_err(EngineError::failed)?;
    if data.len() == expected {
        Ok(data)
    } else {
        Err(EngineError::failed(format_args!(
            "the voice activity network gave {shape:?} numbers, not {expected}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, ops::Range, time::Instant};

    use serde::Deserialize;

    use super::*;
    use crate::{EngineErrorKind, testing::speech_dir};

    fn model() -> Option<SileroModel> {
        let Some(models) = env::var_os("KAIWA_MODELS_DIR") else {
            println!("skipped: no models");
            return None;
        };
        let folder = Path::new(&models).join("silero-vad");
        Some(SileroModel::load(folder, &ComputeBudget::new(None)).expect("the model loads"))
    }

    fn wav(path: &Path) -> Vec<f32> {
        let mut reader = hound::WavReader::open(path).expect("a WAV file");
        assert_eq!(
            (reader.spec().sample_rate, reader.spec().channels),
            (16_000, 1)
        );
        reader
            .samples::<i16>()
            .map(|sample| f32::from(sample.expect("16-bit samples")) / 32_768.0)
            .collect()
    }

    fn probabilities(detector: &mut Silero, samples: &[f32]) -> Vec<f32> {
        samples
            .chunks_exact(FRAME_SAMPLES)
            .map(|frame| detector.push(frame).expect("a whole frame"))
            .collect()
    }

    #[test]
    fn silence_is_no_speech() {
        let Some(model) = model() else { return };
        let silence = vec![0.0; 16_000];
        let highest = probabilities(&mut model.detector(), &silence)
            .into_iter()
            .fold(0.0, f32::max);
        assert!(highest < 0.1, "{highest}");
    }

    /// Frames whose middle is less than 0.1 s from the edge of a label are not counted:
    /// the labels were set by hand.
    #[test]
    fn labelled_speech_is_found() {
        #[derive(Deserialize)]
        struct Labels {
            file: String,
            speech: Vec<[f64; 2]>,
        }
        const EDGE_S: f64 = 0.1;
        // Two files are labelled at their beginning only.
        let labelled = |file: &str| -> Range<f64> {
            match file {
                "speechbrain_vad_train.wav" => 0.0..4.0,
                "speechbrain_vad_valid.wav" => 0.0..8.0,
                _ => 0.0..f64::INFINITY,
            }
        };

        let (Some(model), Some(folder)) = (model(), speech_dir()) else {
            return;
        };
        let folder = folder.join("vad_small");
        let (mut frames, mut wrong, mut pushed) = (0, 0, 0);
        let started = Instant::now();
        let labels = fs::read_to_string(folder.join("labels.jsonl")).expect("labels");
        for line in labels.lines() {
            let labels: Labels = serde_json::from_str(line).expect("a label line");
            let found = probabilities(&mut model.detector(), &wav(&folder.join(&labels.file)));
            pushed += found.len();
            for (index, probability) in found.into_iter().enumerate() {
                let middle_s = (index as f64 + 0.5) * FRAME_SAMPLES as f64 / 16_000.0;
                let near_edge = labels
                    .speech
                    .iter()
                    .flatten()
                    .any(|edge| (edge - middle_s).abs() < EDGE_S);
                if near_edge || !labelled(&labels.file).contains(&middle_s) {
                    continue;
                }
                let speech = labels
                    .speech
                    .iter()
                    .any(|[start, end]| (*start..*end).contains(&middle_s));
                frames += 1;
                wrong += usize::from(speech != (probability >= 0.5));
            }
        }
        let error = wrong as f64 / frames as f64;
        println!(
            "frame error {:.1} % of {frames}, {:.2} ms a frame",
            100.0 * error,
            1e3 * started.elapsed().as_secs_f64() / pushed as f64,
        );
        assert!(error < 0.10, "{wrong} of {frames} frames are wrong");
    }

    #[test]
    fn a_reset_detector_is_a_new_one() {
        let Some(model) = model() else { return };
        let tone: Vec<f32> = (0..FRAME_SAMPLES * 8)
            .map(|n| (n as f32 * 0.1).sin() * (n as f32 * 0.003).sin())
            .collect();
        let mut detector = model.detector();
        let first = probabilities(&mut detector, &tone);
        assert_ne!(first, probabilities(&mut detector, &tone));
        detector.reset();
        assert_eq!(first, probabilities(&mut detector, &tone));
    }

    #[test]
    fn a_frame_of_another_length_is_an_error_and_changes_nothing() {
        let Some(model) = model() else { return };
        let mut detector = model.detector();
        for length in [0, 480, 513] {
            let error = detector.push(&vec![0.5; length]).unwrap_err();
            assert_eq!(error.kind(), EngineErrorKind::InvalidInput);
            assert!(error.message().contains(&length.to_string()), "{error}");
        }
        let frame = [0.1; FRAME_SAMPLES];
        assert_eq!(
            detector.push(&frame).expect("a whole frame"),
            model.detector().push(&frame).expect("a whole frame"),
        );
    }

    #[test]
    fn a_missing_or_foreign_file_is_named() {
        let budget = ComputeBudget::new(None);
        let folder = tempfile::tempdir().expect("a folder");
        let error = SileroModel::load(folder.path(), &budget).unwrap_err();
        assert_eq!(error.kind(), EngineErrorKind::Model);
        assert!(error.message().contains(MODEL_FILE), "{error}");

        let foreign = folder.path().join("foreign.onnx");
        fs::write(&foreign, b"not a network").expect("the file is written");
        let error = SileroModel::load(&foreign, &budget).unwrap_err();
        assert_eq!(error.kind(), EngineErrorKind::Model);
        assert!(error.message().contains("foreign.onnx"), "{error}");
    }
}
