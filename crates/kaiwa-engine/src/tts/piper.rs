use std::{collections::HashMap, fmt, fs, path::Path, sync::Arc};

use rten::NodeId;
use rten_tensor::NdTensor;
use serde::Deserialize;

use super::{
    english::English,
    ipa,
    network::Network,
    noise::Noise,
    speaker::{self, Rendered},
};
use crate::{Cancel, ComputeBudget, EngineError, Flow, Speech, Synthesizer, VoiceSpec};

/// Seed of the variation in rhythm and tone: the same text gives the same samples.
const SEED: u64 = 0x0070_6970_6572;
/// Features of a frame between the parts of the network.
const FEATURES: usize = 192;
/// Frames that are made into sound at once (0.56 s): other engines get their turn between.
const WINDOW: usize = 48;
/// Frames on either side that the decoder's convolutions look at: 3 by the first layer,
/// 6.6 by the blocks after the first upsampling (by 8), 0.9 by the next, 0.3 by the last.
const REACH: usize = 12;

/// A Piper voice: VITS, exported to ONNX, for American English.
///
/// The network is run in parts. The first gives how many frames each phoneme lasts and the
/// distribution of each frame's features; the noise that picks one is drawn here, so that
/// a text always sounds the same; the others make the waveform of it, window by window.
/// Word times are therefore the network's own, exact to one frame (11.6 ms).
///
/// Piper's voices were trained on the phonemes of espeak; those of [`English`] are
/// translated to them.
pub struct Piper {
    name: String,
    rate: u32,
    english: Arc<English>,
    network: Network,
    nodes: Nodes,
    /// Numbers of the phonemes.
    vocabulary: HashMap<char, i32>,
    scales: Scales,
    budget: ComputeBudget,
}

/// Values of the network by their place in it.
struct Nodes {
    phonemes: NodeId,
    lengths: NodeId,
    scales: NodeId,
    rhythm_noise: NodeId,
    durations: NodeId,
    means: NodeId,
    log_deviations: NodeId,
    mask: NodeId,
    features: NodeId,
    decoder: NodeId,
    wave: NodeId,
}

#[derive(Deserialize)]
struct Config {
    audio: Audio,
    inference: Scales,
    phoneme_id_map: HashMap<String, Vec<i32>>,
    num_speakers: u32,
    #[serde(default)]
    dataset: String,
}

#[derive(Deserialize)]
struct Audio {
    sample_rate: u32,
}

#[derive(Clone, Copy, Deserialize)]
struct Scales {
    noise_scale: f32,
    length_scale: f32,
    noise_w: f32,
}

impl Piper {
    /// Loads the one `*.onnx` file in `dir` and its configuration, `*.onnx.json`. `english`
    /// reads the text; a [`Hibari`](super::Hibari) has one to share.
    ///
    /// # Errors
    ///
    /// A file is missing or not what its name promises, or the voice has several speakers.
    pub fn load(
        dir: &Path,
        english: Arc<English>,
        budget: &ComputeBudget,
    ) -> Result<Self, EngineError> {
        let bad = |e: &dyn fmt::Display| {
            EngineError::model(format!(
                "cannot load a Piper voice from {}: {e}",
                dir.display()
            ))
        };
        let mut files: Vec<String> = fs::read_dir(dir)
            .map_err(|e| bad(&e))?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(".onnx"))
            .collect();
        files.sort_unstable();
        let [file] = &files[..] else {
            return Err(bad(&format!(
                "expected one .onnx file, got {}",
                files.len()
            )));
        };
        let config = fs::read(dir.join(format!("{file}.json"))).map_err(|e| bad(&e))?;
        let config: Config = serde_json::from_slice(&config).map_err(|e| bad(&e))?;
        if config.num_speakers > 1 {
            let speakers = config.num_speakers;
            return Err(bad(&format!("expected one speaker, got {speakers}")));
        }
        if config.audio.sample_rate == 0 {
            return Err(bad(&"expected a positive sample rate, got 0"));
        }
        let vocabulary: HashMap<char, i32> = config
            .phoneme_id_map
            .iter()
            .filter_map(|(phoneme, numbers)| {
                let mut chars = phoneme.chars();
                let only = chars.next().filter(|_| chars.next().is_none())?;
                Some((only, *numbers.first()?))
            })
            .collect();
        if let Some(missing) = ipa::MARKS.iter().find(|m| !vocabulary.contains_key(m)) {
            return Err(bad(&format!("its phonemes lack the mark {missing}")));
        }
        let network = Network::load(dir, file, budget)?;
        let node = |name| network.node(name);
        let name = if config.dataset.is_empty() {
            file.trim_end_matches(".onnx").to_owned()
        } else {
            config.dataset
        };
        Ok(Self {
            name,
            rate: config.audio.sample_rate,
            english,
            nodes: Nodes {
                phonemes: node("input")?,
                lengths: node("input_lengths")?,
                scales: node("scales")?,
                rhythm_noise: node("/dp/RandomNormalLike_output_0")?,
                durations: node("/Ceil_output_0")?,
                means: node("/Transpose_3_output_0")?,
                log_deviations: node("/Transpose_5_output_0")?,
                mask: node("/Cast_2_output_0")?,
                features: node("/Add_output_0")?,
                decoder: node("/Mul_7_output_0")?,
                wave: node("output")?,
            },
            network,
            vocabulary,
            scales: config.inference,
            budget: budget.clone(),
        })
    }

    /// Name of the voice: its data set's.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn render(
        &self,
        phonemes: &str,
        speed: f32,
        urgent: bool,
        cancel: &Cancel,
    ) -> Result<Rendered, EngineError> {
        let number = |c: char| self.vocabulary.get(&c).copied();
        let [pad, start, end] = ipa::MARKS.map(|mark| number(mark).unwrap_or_default());
        let sounds = ipa::from_misaki(phonemes);
        let mut ids = vec![start, pad];
        // Per character of the phonemes, how many numbers it has become.
        let mut shares = Vec::with_capacity(sounds.len());
        for sound in &sounds {
            let before = ids.len();
            for number in sound.chars().filter_map(number) {
                ids.extend([number, pad]);
            }
            shares.push(ids.len() - before);
        }
        ids.push(end);

        let length = ids.len();
        let mut noise = Noise::new(SEED);
        let mut draw = |count: usize| -> Vec<f32> { (0..count).map(|_| noise.next()).collect() };
        let nodes = &self.nodes;
        let scales = vec![
            self.scales.noise_scale,
            self.scales.length_scale / speed,
            self.scales.noise_w,
        ];
        let inputs = vec![
            (nodes.phonemes, NdTensor::from_data([1, length], ids).into()),
            (
                nodes.lengths,
                NdTensor::from_data([1], vec![length as i32]).into(),
            ),
            (nodes.scales, NdTensor::from_data([3], scales).into()),
            (
                nodes.rhythm_noise,
                NdTensor::from_data([1, 2, length], draw(2 * length)).into(),
            ),
        ];
        let [durations, means, deviations, mask] = {
            let _slot = self.budget.slot(urgent);
            self.network.run(
                inputs,
                [
                    nodes.durations,
                    nodes.means,
                    nodes.log_deviations,
                    nodes.mask,
                ],
            )?
        };
        let durations = self.network.floats(durations)?;
        let mut features = self.network.floats(means)?;
        let deviations = self.network.floats(deviations)?;
        let frames = features.len() / FEATURES;
        if frames * FEATURES != features.len() || deviations.len() != features.len() {
            return Err(EngineError::model(format!(
                "expected frames of {FEATURES} features, got {} values",
                features.len()
            )));
        }
        let noise = draw(features.len());
        for ((feature, deviation), noise) in features.iter_mut().zip(deviations).zip(noise) {
            *feature += noise * deviation.exp() * self.scales.noise_scale;
        }
        let features = NdTensor::from_data([1, FEATURES, frames], features);
        let [features] = {
            let _slot = self.budget.slot(urgent);
            self.network.run(
                vec![(nodes.features, features.into()), (nodes.mask, mask.into())],
                [nodes.decoder],
            )?
        };
        let features = self.network.floats(features)?;
        let mut pcm = Vec::new();
        for start in (0..frames).step_by(WINDOW) {
            if cancel.is_cancelled() {
                pcm.clear();
                break;
            }
            let end = (start + WINDOW).min(frames);
            let seen = start.saturating_sub(REACH)..(end + REACH).min(frames);
            let window: Vec<f32> = features
                .chunks_exact(frames)
                .flat_map(|row| &row[seen.clone()])
                .copied()
                .collect();
            let window = NdTensor::from_data([1, FEATURES, seen.len()], window);
            let [wave] = {
                let _slot = self.budget.slot(urgent);
                self.network
                    .run(vec![(nodes.decoder, window.into())], [nodes.wave])?
            };
            let wave = self.network.floats(wave)?;
            let hop = wave.len() / seen.len();
            pcm.extend_from_slice(&wave[(start - seen.start) * hop..(end - seen.start) * hop]);
        }

        let hop = pcm.len() / frames.max(1);
        let mut durations = durations.into_iter().map(|frames| frames as usize * hop);
        let mut take = |count: usize| durations.by_ref().take(count).sum::<usize>();
        let mut at = take(2);
        let mut starts = Vec::with_capacity(shares.len() + 1);
        for share in shares {
            starts.push(at);
            at += take(share);
        }
        starts.push(at);
        Ok(Rendered { pcm, starts })
    }
}

impl fmt::Debug for Piper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Piper")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Synthesizer for Piper {
    fn sample_rate(&self) -> u32 {
        self.rate
    }

    fn voices(&self) -> Vec<String> {
        vec![self.name.clone()]
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
            self.rate,
            text,
            voice,
            cancel,
            sink,
            |phonemes, speed, urgent| self.render(phonemes, speed, urgent, cancel),
        )
    }
}
