use std::{collections::HashMap, fmt, path::Path, sync::Arc};

use rten::NodeId;
use rten_tensor::NdTensor;

use super::{
    english::English,
    network::Network,
    speaker::{self, Rendered},
    vocoder::{HOP, SAMPLE_RATE, Spectra, Vocoder},
};
use crate::{Cancel, ComputeBudget, EngineError, Flow, Speech, Synthesizer, VoiceSpec};

/// The steps each phoneme lasts: a value inside the network.
const DURATIONS: &str = "/Clip_output_0";
/// Frames of the spectrum in a step of 25 ms.
const FRAMES_PER_STEP: usize = 2;
/// Seed of the breath noise: the same text gives the same samples.
const SEED: u64 = 0x006B_6169_7761;
/// Stands before and after the phonemes.
const PAD: i32 = 0;
/// Loudness against the network's own, which peaks near 0.5.
const GAIN: f32 = 1.5;

/// The hibari voice: a small network distilled from Kokoro's "heart", American English,
/// 24 000 Hz.
///
/// The network predicts a spectrum for every 12.5 ms; the waveform is built from it here.
/// It also says how long each phoneme lasts, so the word times it gives are exact to
/// 25 ms.
pub struct Hibari {
    english: Arc<English>,
    network: Network,
    inputs: [NodeId; 2],
    outputs: [NodeId; 7],
    /// Numbers of the phonemes.
    vocabulary: HashMap<char, i32>,
    vocoder: Vocoder,
    budget: ComputeBudget,
}

impl Hibari {
    /// Name of the voice.
    pub const NAME: &str = "hibari";

    /// Loads `hibari.onnx`, `vocab.json` and the files of [`English`] from `dir`.
    ///
    /// # Errors
    ///
    /// A file is missing or not what its name promises.
    pub fn load(dir: &Path, budget: &ComputeBudget) -> Result<Self, EngineError> {
        let english = Arc::new(English::load(dir, budget)?);
        let network = Network::load(dir, "hibari.onnx", budget)?;
        let node = |name| network.node(name);
        Ok(Self {
            inputs: [node("ids")?, node("speed")?],
            outputs: [
                node("lh")?,
                node("theta")?,
                node("ln")?,
                node("lr")?,
                node("phi")?,
                node("f0")?,
                node(DURATIONS)?,
            ],
            vocabulary: super::english::json(dir, "vocab.json")?,
            english,
            network,
            vocoder: Vocoder::new(),
            budget: budget.clone(),
        })
    }

    /// The reader of English text, to be shared with other voices.
    pub fn english(&self) -> Arc<English> {
        Arc::clone(&self.english)
    }

    fn render(&self, phonemes: &str, speed: f32, urgent: bool) -> Result<Rendered, EngineError> {
        // A sign the voice does not know takes no time.
        let numbers: Vec<Option<i32>> = phonemes
            .chars()
            .map(|c| self.vocabulary.get(&c).copied())
            .collect();
        let mut ids = vec![PAD];
        ids.extend(numbers.iter().flatten());
        ids.push(PAD);
        let ids = NdTensor::from_data([1, ids.len()], ids);
        let speed = NdTensor::from_data([1], vec![speed]);
        let [ids_in, speed_in] = self.inputs;
        let [lh, theta, ln, lr, phi, f0, durations] = {
            let _slot = self.budget.slot(urgent);
            self.network.run(
                vec![(ids_in, ids.into()), (speed_in, speed.into())],
                self.outputs,
            )?
        };
        let durations = self.network.floats(durations)?;
        let spectra = Spectra {
            harmonic: self.network.floats(lh)?,
            rotation: self.network.floats(theta)?,
            noise: self.network.floats(ln)?,
            residual: self.network.floats(lr)?,
            phase: self.network.floats(phi)?,
            pitch: self.network.floats(f0)?,
        };
        let wave = {
            let _slot = self.budget.slot(urgent);
            let threads = self.budget.threads();
            self.vocoder.synthesize(&spectra, SEED, threads)?
        };
        let mut durations = durations
            .into_iter()
            .map(|steps| steps as usize * FRAMES_PER_STEP * HOP);
        let mut at = durations.next().unwrap_or_default();
        let mut starts = Vec::with_capacity(numbers.len() + 1);
        for number in numbers {
            starts.push(at);
            if number.is_some() {
                at += durations.next().unwrap_or_default();
            }
        }
        starts.push(at);
        Ok(Rendered {
            pcm: wave.into_iter().map(|sample| sample * GAIN).collect(),
            starts,
        })
    }
}

impl fmt::Debug for Hibari {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hibari").finish_non_exhaustive()
    }
}

impl Synthesizer for Hibari {
    fn sample_rate(&self) -> u32 {
        SAMPLE_RATE
    }

    fn voices(&self) -> Vec<String> {
        vec![Self::NAME.to_owned()]
    }

    fn speak(
        &self,
        text: &str,
        voice: &VoiceSpec,
        cancel: &Cancel,
        sink: &mut dyn FnMut(Speech<'_>) -> Flow,
    ) -> Result<(), EngineError> {
        speaker::speak(
            &self.english,
            SAMPLE_RATE,
            text,
            voice,
            cancel,
            sink,
            |phonemes, speed, urgent| self.render(phonemes, speed, urgent),
        )
    }
}
