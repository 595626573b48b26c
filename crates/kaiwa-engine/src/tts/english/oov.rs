//! Pronunciations of unknown words, by a small network.

use std::{collections::HashMap, path::Path};

use rten::NodeId;
use rten_tensor::NdTensor;
use serde::Deserialize;

use crate::{ComputeBudget, EngineError, tts::network::Network};

/// The network `oov.onnx` and its alphabets `oov.json`: characters in, several candidate
/// phonemes per character out, of which repetitions and blanks are dropped.
pub(super) struct OutOfVocabulary {
    network: Network,
    input: NodeId,
    output: NodeId,
    /// Numbers of the characters it reads; 0 pads.
    characters: HashMap<char, i32>,
    /// What the numbers from 1 on stand for; 0 is the blank.
    phonemes: Vec<String>,
    longest: usize,
}

#[derive(Deserialize)]
struct Alphabets {
    r#in: Vec<char>,
    out: Vec<String>,
    maxlen: usize,
}

impl OutOfVocabulary {
    pub(super) fn load(dir: &Path, budget: &ComputeBudget) -> Result<Self, EngineError> {
        let path = dir.join("oov.json");
        let bad = |e: &dyn std::fmt::Display| {
            EngineError::model(format!("cannot read {}: {e}", path.display()))
        };
        let json = std::fs::read(&path).map_err(|e| bad(&e))?;
        let alphabets: Alphabets = serde_json::from_slice(&json).map_err(|e| bad(&e))?;
        if alphabets.maxlen == 0 {
            return Err(bad(&"expected a positive maxlen, got 0"));
        }
        let network = Network::load(dir, "oov.onnx", budget)?;
        Ok(Self {
            input: network.node("chars")?,
            output: network.node("ids")?,
            network,
            characters: alphabets.r#in.into_iter().zip(1..).collect(),
            phonemes: alphabets.out,
            longest: alphabets.maxlen,
        })
    }

    /// The pronunciation of any word; empty when the network knows none of its letters.
    pub(super) fn pronounce(
        &self,
        word: &str,
        budget: &ComputeBudget,
        urgent: bool,
    ) -> Result<String, EngineError> {
        let numbers: Vec<i32> = word
            .chars()
            .filter_map(|c| self.characters.get(&c).copied())
            .collect();
        let mut phonemes = String::new();
        for numbers in numbers.chunks(self.longest) {
            let input = NdTensor::from_data([1, numbers.len()], numbers.to_vec());
            let [output] = {
                let _slot = budget.slot(urgent);
                self.network
                    .run(vec![(self.input, input.into())], [self.output])?
            };
            let mut previous = 0;
            for number in self.network.integers(output)? {
                if number != previous
                    && let Ok(index) = usize::try_from(number - 1)
                {
                    phonemes.extend(self.phonemes.get(index).map(String::as_str));
                }
                previous = number;
            }
        }
        Ok(phonemes)
    }
}
