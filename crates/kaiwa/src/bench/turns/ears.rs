//! The engines that listen, asked once: what they said of the same audio is remembered.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher, RandomState},
    ops::ControlFlow,
    time::Instant,
};

use kaiwa_engine::{Cancel, EndOfTurn, SttOptions, VoiceActivity};
use kaiwa_session::Millis;
use serde::Serialize;

use super::drive::Ears;
use crate::{engines::Listening, exit::Exit};

/// How long jobs take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Costs {
    pub(super) judge_ms: Millis,
    pub(super) transcribe_ms: Millis,
}

/// The engines, for one recording that is listened to again and again.
pub(super) struct Remembered<'a> {
    engines: &'a Listening,
    detector: Box<dyn VoiceActivity>,
    /// The probability of each frame that was heard so far.
    voices: Vec<f32>,
    /// Frames since the audio began anew.
    at: usize,
    hasher: RandomState,
    /// By the audio's hash: what was said and how many ms it took.
    judged: HashMap<u64, (f32, Millis)>,
    transcribed: HashMap<u64, (String, Option<String>, Millis)>,
    costs: Option<Costs>,
}

impl<'a> Remembered<'a> {
    pub(super) fn new(engines: &'a Listening) -> Self {
        Self {
            engines,
            detector: Box::new(engines.voice_activity.detector()),
            voices: Vec::new(),
            at: 0,
            hasher: RandomState::new(),
            judged: HashMap::new(),
            transcribed: HashMap::new(),
            costs: None,
        }
    }

    /// From now on every job takes as long as is said here.
    pub(super) fn take(&mut self, costs: Costs) {
        self.costs = Some(costs);
    }

    fn hash(&self, audio: &[f32]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for sample in audio {
            hasher.write_u32(sample.to_bits());
        }
        hasher.finish()
    }
}

impl Ears for Remembered<'_> {
    fn rewind(&mut self) {
        self.at = 0;
    }

    fn voice(&mut self, frame: &[f32]) -> Result<f32, Exit> {
        // A session that takes turns has one stream, so that the same frames come each time.
        if self.at == self.voices.len() {
            self.voices.push(self.detector.push(frame)?);
        }
        self.at += 1;
        Ok(self.voices[self.at - 1])
    }

    fn judge(&mut self, turn: &[f32]) -> Result<(f32, Millis), Exit> {
        let hash = self.hash(turn);
        let (probability, took) = match self.judged.get(&hash) {
            Some(judged) => *judged,
            None => {
                let begun = Instant::now();
                let probability = self.engines.end_of_turn.judge(turn, &Cancel::new())?;
                let judged = (probability, begun.elapsed().as_millis() as Millis);
                *self.judged.entry(hash).or_insert(judged)
            }
        };
        Ok((probability, self.costs.map_or(took, |costs| costs.judge_ms)))
    }

    fn transcribe(&mut self, turn: &[f32]) -> Result<(String, Option<String>, Millis), Exit> {
        let hash = self.hash(turn);
        if !self.transcribed.contains_key(&hash) {
            let begun = Instant::now();
            let go_on = &mut |_: kaiwa_engine::SttDelta<'_>| ControlFlow::Continue(());
            let options = SttOptions::default();
            let engine = &self.engines.transcriber;
            let heard = engine.transcribe(turn, &options, &Cancel::new(), go_on)?;
            let took = begun.elapsed().as_millis() as Millis;
            self.transcribed
                .insert(hash, (heard.text, heard.language, took));
        }
        let (text, language, took) = self.transcribed[&hash].clone();
        Ok((
            text,
            language,
            self.costs.map_or(took, |costs| costs.transcribe_ms),
        ))
    }
}

impl Costs {
    /// The medians of what was measured.
    pub(super) fn of(ears: &[Remembered<'_>]) -> Self {
        let judged = ears.iter().flat_map(|ears| ears.judged.values());
        let transcribed = ears.iter().flat_map(|ears| ears.transcribed.values());
        Self {
            judge_ms: median(judged.map(|(_, took)| *took).collect()),
            transcribe_ms: median(transcribed.map(|(.., took)| *took).collect()),
        }
    }
}

/// Zero of nothing.
fn median(mut values: Vec<Millis>) -> Millis {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}
