use std::{fmt, sync::Arc};

use kaiwa_audio::Resampler;

use crate::{Cancel, EngineError, Flow, Speech, SpokenWord, Synthesizer, VoiceSpec};

/// Several voices behind one [`Synthesizer`], chosen by [`VoiceSpec::name`].
///
/// A name that no voice has ("alloy", "marin") is spoken by the default. All audio has
/// the default's rate; voices with another one are resampled.
#[derive(Clone)]
pub struct LocalVoices {
    default: Arc<dyn Synthesizer>,
    others: Vec<Arc<dyn Synthesizer>>,
}

impl LocalVoices {
    /// The voices of `default`, of which the first is spoken for unknown names.
    pub fn new(default: impl Synthesizer + 'static) -> Self {
        Self {
            default: Arc::new(default),
            others: Vec::new(),
        }
    }

    /// These voices and those of `other`. Where names are equal the earlier voice is heard.
    #[must_use]
    pub fn with(mut self, other: impl Synthesizer + 'static) -> Self {
        self.others.push(Arc::new(other));
        self
    }

    fn find(&self, name: &str) -> &dyn Synthesizer {
        let has = |engine: &&Arc<dyn Synthesizer>| {
            let voices = engine.voices();
            voices.iter().any(|voice| voice.eq_ignore_ascii_case(name))
        };
        let default = Some(&self.default).filter(has);
        default
            .or_else(|| self.others.iter().find(has))
            .unwrap_or(&self.default)
            .as_ref()
    }
}

impl fmt::Debug for LocalVoices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LocalVoices").field(&self.voices()).finish()
    }
}

impl Synthesizer for LocalVoices {
    fn sample_rate(&self) -> u32 {
        self.default.sample_rate()
    }

    fn voices(&self) -> Vec<String> {
        let mut names = self.default.voices();
        for name in self.others.iter().flat_map(|engine| engine.voices()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn speak(
        &self,
        text: &str,
        voice: &VoiceSpec,
        cancel: &Cancel,
        sink: &mut dyn FnMut(Speech<'_>) -> Flow,
    ) -> Result<(), EngineError> {
        let engine = self.find(&voice.name);
        let (from, to) = (engine.sample_rate(), self.sample_rate());
        if from == to {
            return engine.speak(text, voice, cancel, sink);
        }
        let mut resampler = Resampler::new(from, to);
        let mut pcm = Vec::new();
        engine.speak(text, voice, cancel, &mut |speech| {
            // Each piece by itself: our voices fade at both ends, so nothing clicks.
            pcm.clear();
            resampler.process(speech.pcm, &mut pcm);
            resampler.flush(&mut pcm);
            let place = |sample: usize| {
                let sample = sample as u64 * u64::from(to) / u64::from(from);
                (sample as usize).min(pcm.len())
            };
            let words: Vec<SpokenWord> = speech
                .words
                .iter()
                .map(|word| SpokenWord {
                    text: word.text.clone(),
                    samples: place(word.samples.start)..place(word.samples.end),
                })
                .collect();
            sink(Speech {
                pcm: &pcm,
                words: &words,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says 100 ms of its own loudness for any text, as one word.
    struct Fake {
        names: [&'static str; 2],
        rate: u32,
        loudness: f32,
    }

    impl Synthesizer for Fake {
        fn sample_rate(&self) -> u32 {
            self.rate
        }

        fn voices(&self) -> Vec<String> {
            self.names.map(str::to_owned).to_vec()
        }

        fn speak(
            &self,
            text: &str,
            _: &VoiceSpec,
            _: &Cancel,
            sink: &mut dyn FnMut(Speech<'_>) -> Flow,
        ) -> Result<(), EngineError> {
            let pcm = vec![self.loudness; self.rate as usize / 10];
            let word = SpokenWord {
                text: 0..text.len(),
                samples: pcm.len() / 2..pcm.len(),
            };
            let _ = sink(Speech {
                pcm: &pcm,
                words: &[word],
            });
            Ok(())
        }
    }

    fn voices() -> LocalVoices {
        let fake = |names, rate, loudness| Fake {
            names,
            rate,
            loudness,
        };
        LocalVoices::new(fake(["one", "two"], 24_000, 0.1)).with(fake(["two", "six"], 12_000, 0.6))
    }

    #[test]
    fn names_select_and_unknown_ones_take_the_default() {
        let voices = voices();
        assert_eq!(voices.voices(), ["one", "two", "six"]);
        assert_eq!(voices.sample_rate(), 24_000);
        for (name, loudness) in [("one", 0.1), ("two", 0.1), ("Six", 0.6), ("alloy", 0.1)] {
            let voice = VoiceSpec {
                name: name.to_owned(),
                speed: 1.0,
            };
            let mut heard = Vec::new();
            voices
                .speak("hi", &voice, &Cancel::new(), &mut |speech| {
                    assert_eq!(speech.words[0].samples, 1200..2400, "{name}");
                    heard.extend_from_slice(speech.pcm);
                    Flow::Continue(())
                })
                .unwrap();
            assert_eq!(heard.len(), 2400, "{name}");
            assert!((heard[1200] - loudness).abs() < 0.01, "{name}");
        }
    }
}
