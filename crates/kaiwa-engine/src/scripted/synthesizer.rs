use std::{f32::consts::TAU, ops::Range, sync::Arc};

use super::{
    pace::Pace,
    script::{Parts, SpeechEntry, Wave},
};
use crate::{Cancel, EngineError, Flow, Speech, SpokenWord, Synthesizer, VoiceSpec};

/// Peak of the waves; about -17 dBFS RMS for the tone, loud enough for any detector.
const PEAK: f32 = 0.2;
/// Fade at both ends of a word, against clicks.
const FADE_MS: u32 = 5;

/// Speaks a tone, or noise, per word.
///
/// A word of `n` characters (its punctuation included) lasts `n · ms-per-char / speed`; a
/// silence of one character follows when another word does. Each word is one [`Speech`].
/// Words without a letter or digit are not spoken.
#[derive(Debug)]
pub struct ScriptedSynthesizer {
    parts: Arc<Parts>,
}

impl ScriptedSynthesizer {
    pub(super) fn new(parts: Arc<Parts>) -> Self {
        Self { parts }
    }
}

impl Synthesizer for ScriptedSynthesizer {
    fn sample_rate(&self) -> u32 {
        self.parts.voice.rate
    }

    fn voices(&self) -> Vec<String> {
        self.parts.voice.names.clone()
    }

    fn speak(
        &self,
        text: &str,
        voice: &VoiceSpec,
        cancel: &Cancel,
        sink: &mut dyn FnMut(Speech<'_>) -> Flow,
    ) -> Result<(), EngineError> {
        if !(0.25..=1.5).contains(&voice.speed) {
            return Err(EngineError::invalid_input(format_args!(
                "expected a speed of 0.25 to 1.5, found {}",
                voice.speed
            )));
        }
        let script = &self.parts.voice;
        let entry = self
            .parts
            .speeches
            .iter()
            .find(|entry| text.contains(&entry.text));
        let delay = entry.and_then(|entry| entry.delay_ms);
        let word_delay = entry.and_then(|entry| entry.word_delay_ms);
        let mut pace = Pace::new(entry.and_then(SpeechEntry::fault), cancel);
        // Hz · ms, at most 48 · 10⁶ and exact in an f64; the result is small and positive.
        let samples_per_char =
            (f64::from(script.rate * script.ms_per_char) / 1000.0 / f64::from(voice.speed)).round()
                as usize;
        let words = spoken_words(text);
        for (index, range) in words.iter().enumerate() {
            let wait = if index == 0 {
                delay.unwrap_or(script.delay_ms)
            } else {
                word_delay.unwrap_or(script.word_delay_ms)
            };
            if pace.next(wait)?.is_break() {
                return Ok(());
            }
            let word = &text[range.clone()];
            let length = word.chars().count() * samples_per_char;
            let mut pcm = wave(word, length, script.rate, script.wave);
            if index + 1 < words.len() {
                pcm.resize(length + samples_per_char, 0.0);
            }
            let spoken = SpokenWord {
                text: range.clone(),
                samples: 0..length,
            };
            let speech = Speech {
                pcm: &pcm,
                words: &[spoken],
            };
            if sink(speech).is_break() {
                return Ok(());
            }
        }
        pace.finish()
    }
}

/// Byte ranges of the words that have something to pronounce.
fn spoken_words(text: &str) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, character) in text.char_indices().chain([(text.len(), ' ')]) {
        if !character.is_whitespace() {
            start.get_or_insert(at);
        } else if let Some(start) = start.take()
            && text[start..at].contains(char::is_alphanumeric)
        {
            words.push(start..at);
        }
    }
    words
}

/// The sound of a word: always the same for the same word.
fn wave(word: &str, length: usize, rate: u32, wave: Wave) -> Vec<f32> {
    // FNV-1a.
    let mut state = word.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let frequency = 200.0 + 50.0 * (state % 8) as f32;
    let fade = (rate * FADE_MS / 1000) as f32;
    (0..length)
        .map(|index| {
            let sample = match wave {
                Wave::Tone => {
                    // Reduced to one turn while it is an f64, so that long words stay exact.
                    let turns = f64::from(frequency) * index as f64 / f64::from(rate);
                    (turns.fract() as f32 * TAU).sin()
                }
                Wave::Noise => {
                    // Xorshift (Marsaglia 2003); a state of 0 would stay there.
                    state = state.max(1);
                    state ^= state << 13;
                    state ^= state >> 17;
                    state ^= state << 5;
                    state as f32 / u32::MAX as f32 * 2.0 - 1.0
                }
            };
            let from_end = (index + 1).min(length - index) as f32;
            PEAK * sample * (from_end / fade).min(1.0)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use crate::scripted::{Script, ScriptedEngines};

    use super::*;

    fn engines(script: &str) -> ScriptedEngines {
        ScriptedEngines::new(Script::parse(script).unwrap())
    }

    fn voice(speed: f32) -> VoiceSpec {
        VoiceSpec {
            name: "marin".to_owned(),
            speed,
        }
    }

    /// Words, their samples, and the length of their piece.
    fn speak(script: &str, text: &str, speed: f32) -> Vec<(String, usize, usize)> {
        let mut pieces = Vec::new();
        let synthesizer = engines(script).synthesizer();
        synthesizer
            .speak(text, &voice(speed), &Cancel::new(), &mut |speech| {
                let [word] = speech.words else {
                    panic!("a piece is a word");
                };
                assert_eq!(word.samples.start, 0);
                let word_text = text[word.text.clone()].to_owned();
                pieces.push((word_text, word.samples.end, speech.pcm.len()));
                ControlFlow::Continue(())
            })
            .unwrap();
        pieces
    }

    #[test]
    fn words_take_60_ms_per_character() {
        let pieces = |list: &[(&str, usize, usize)]| -> Vec<(String, usize, usize)> {
            list.iter()
                .map(|(word, samples, piece)| ((*word).to_owned(), *samples, *piece))
                .collect()
        };
        assert_eq!(
            speak("", " Hi, — wörld! ", 1.0),
            pieces(&[("Hi,", 3 * 1440, 4 * 1440), ("wörld!", 6 * 1440, 6 * 1440)])
        );
        assert_eq!(speak("", "Hi", 0.5), pieces(&[("Hi", 2 * 2880, 2 * 2880)]));
        assert_eq!(
            speak("[voice]\nrate = 8000\nms-per-char = 10\n", "Hi", 1.0),
            pieces(&[("Hi", 160, 160)])
        );
        assert_eq!(speak("", " … — ", 1.0), []);
        assert_eq!(speak("", "", 1.0), []);
    }

    #[test]
    fn the_sound_is_the_same_each_time_and_differs_between_words() {
        for script in ["", "[voice]\nwave = \"noise\"\n"] {
            let synthesizer = engines(script).synthesizer();
            let mut sounds = Vec::new();
            for text in ["one", "one", "two"] {
                synthesizer
                    .speak(text, &voice(1.0), &Cancel::new(), &mut |speech| {
                        sounds.push(speech.pcm.to_vec());
                        ControlFlow::Continue(())
                    })
                    .unwrap();
            }
            assert_eq!(sounds[0], sounds[1]);
            assert_ne!(sounds[0], sounds[2]);
            let power = sounds[0].iter().map(|x| x * x).sum::<f32>() / sounds[0].len() as f32;
            assert!((0.1..0.2).contains(&power.sqrt()), "{}", power.sqrt());
            assert!(sounds[0].iter().all(|x| x.abs() <= PEAK));
        }
    }

    #[test]
    fn a_speed_out_of_range_is_refused() {
        let synthesizer = ScriptedEngines::default().synthesizer();
        for speed in [0.0, 1.6, f32::NAN] {
            let error = synthesizer
                .speak("a", &voice(speed), &Cancel::new(), &mut |_| {
                    ControlFlow::Continue(())
                })
                .unwrap_err();
            assert!(error.message().contains("0.25 to 1.5"), "{error}");
        }
        assert_eq!(synthesizer.voices(), ["tone"]);
        assert_eq!(synthesizer.sample_rate(), 24_000);
    }

    #[test]
    fn faults_are_for_certain_texts() {
        let synthesizer =
            engines("[[speech]]\ntext = \"boom\"\nfail-after = 1\nfail-message = \"ouch\"\n")
                .synthesizer();
        let mut count = 0;
        let mut sink = |_: Speech<'_>| {
            count += 1;
            ControlFlow::Continue(())
        };
        let error = synthesizer
            .speak("a boom here", &voice(1.0), &Cancel::new(), &mut sink)
            .unwrap_err();
        assert_eq!(error.message(), "ouch");
        synthesizer
            .speak("all well", &voice(1.0), &Cancel::new(), &mut sink)
            .unwrap();
        assert_eq!(count, 1 + 2);
    }

    #[test]
    fn hanging_and_waiting_end_with_the_cancel_flag() {
        for script in [
            "[[speech]]\ntext = \"\"\nhang-after = 1\n",
            "[voice]\nword-delay-ms = 100000000\n",
        ] {
            let cancel = Cancel::new();
            let mut count = 0;
            engines(script)
                .synthesizer()
                .speak("a b c", &voice(1.0), &cancel, &mut |_| {
                    count += 1;
                    cancel.cancel();
                    ControlFlow::Continue(())
                })
                .unwrap();
            assert_eq!(count, 1);
        }
    }
}
