use std::{fmt, path::Path};

use rten_gemm::GemmExecutor;

use super::{
    decoder::{Decoder, Heard},
    encoder::Encoder,
    greedy::Search,
    tokenizer::{Tokenizer, Utf8Stream},
    vocabulary::Vocabulary,
    weights::Weights,
    windows::windows,
};
use crate::{
    Cancel, ComputeBudget, EngineError, EngineErrorKind, Flow, SttDelta, SttOptions, Transcriber,
    Transcript, TranscriptToken,
    mel::{BANDS, HOP, LogMel, MelFilters},
};

/// A Whisper model in memory. One serves any number of conversations.
pub struct Whisper {
    budget: ComputeBudget,
    filters: MelFilters,
    encoder: Encoder,
    decoder: Decoder,
    tokenizer: Tokenizer,
    vocabulary: Vocabulary,
    /// As much silence as the encoder takes.
    silence: Heard,
}

/// Samples per second of the audio.
const RATE: usize = 16_000;

/// Frames (10 ms) of silence that are encoded after the audio, at least.
const PADDING: usize = 100;
/// Frames that are encoded at least: shorter audio gets more silence.
const LEAST_FRAMES: usize = 400;
/// The same for models of [`WIDE`] or more: `base` mishears single words otherwise.
/// Measured over twelve sets of English speech, mean word error rate: 20 % with 4 s,
/// 21 % with 6 s, 17 % with 10 s.
const LEAST_FRAMES_WIDE: usize = 1000;
/// Width of `base`; `tiny` has 384.
const WIDE: usize = 512;

/// Vectors (20 ms) of silence that follow the encoded audio.
///
/// Whisper was trained on 30 s of audio. When its audio just ends, it does not know that
/// everything was said, and repeats itself. So what follows in time is taken from 30 s of
/// silence that were encoded when the model was loaded: the decoder looks at it, at no
/// cost for the encoder. Measured on tiny.en, mean word error rate of twelve sets of
/// English speech: 21 % with 1 s of encoded silence alone, 19 % with 5 s, 16 % with 1 s
/// and these vectors.
const TAIL: usize = 200;

/// Value of the spectrogram where silence follows speech of an ordinary level: the floor
/// is 8 below the loudest frame's `log10` of power (about 1), then scaled.
const SILENCE: f32 = (1.0 - 8.0 + 4.0) / 4.0;

/// Tokens a second of speech can have, with room to spare; bounds what noise can cost.
const TOKENS_PER_SECOND: usize = 20;
/// Tokens any audio may have, and the most.
const TOKENS: (usize, usize) = (16, 224);

/// Repeated tokens that nobody says in any audio, and the most that are let through.
const LOOP_TOKENS: (usize, usize) = (4, 16);
/// Repeated tokens that somebody may say in a second.
const LOOP_TOKENS_PER_SECOND: usize = 4;

/// Below this mean log-probability a text is doubtful.
const LEAST_AVERAGE: f32 = -1.0;

/// Audio of which no 0.1 s is louder than this (root mean square, -60 dBFS) is silence.
const AUDIBLE: f32 = 0.001;

/// Where the model is surer than the first number that nothing was said, a text with a
/// mean log-probability below the second is made up. The middle pair is Whisper's own;
/// the others were read off noise, which gives texts such as "I'm sorry." (0.4, -1.8) and
/// "you" (0.8, -0.9), and very short words (0.7, -0.8).
const MADE_UP: [(f32, f32); 3] = [(0.35, -1.75), (0.6, -1.0), (0.75, -0.75)];

impl Whisper {
    /// Loads a model from a folder with `model.bin` (CTranslate2, `f16` or `f32`),
    /// `config.json` and `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// A file is missing, cut short, or not what its name promises; the message names it.
    pub fn load(dir: &Path, budget: ComputeBudget) -> Result<Self, EngineError> {
        let weights = Weights::read(&dir.join("model.bin"))?;
        let gemm = GemmExecutor::new();
        let encoder = Encoder::load(&weights, &gemm)?;
        let decoder = Decoder::load(&weights, &gemm, encoder.width())?;
        let tokenizer = Tokenizer::read(&dir.join("tokenizer.json"))?;
        let vocabulary =
            Vocabulary::read(&dir.join("config.json"), &tokenizer, decoder.vocabulary())?;
        let silence = vec![SILENCE; 2 * encoder.context() * BANDS];
        let silence = encoder.encode(&gemm, &silence, &budget, &Cancel::new());
        let silence = decoder.hear(&gemm, &silence.unwrap_or_default(), &budget);
        Ok(Self {
            silence,
            budget,
            filters: MelFilters::new(),
            encoder,
            decoder,
            tokenizer,
            vocabulary,
        })
    }

    /// The index of a language in the vocabulary, for models that know languages.
    fn language(&self, code: &str) -> Result<Option<usize>, EngineError> {
        let primary = code.split(['-', '_']).next().unwrap_or(code).to_lowercase();
        let languages = &self.vocabulary.languages;
        if languages.is_empty() {
            return if primary == "en" {
                Ok(None)
            } else {
                Err(EngineError::new(
                    EngineErrorKind::Unsupported,
                    format!("the speech model knows only English (en), not {code:?}"),
                ))
            };
        }
        match languages.iter().position(|(_, known)| *known == primary) {
            Some(index) => Ok(Some(index)),
            None => Err(EngineError::new(
                EngineErrorKind::Unsupported,
                format!("the speech model does not know the language {code:?}"),
            )),
        }
    }

    /// Transcribes one window. `None` if cancelled before anything was decoded.
    fn window(
        &self,
        audio: &[f32],
        prompt: &[u32],
        language: Option<usize>,
        cancel: &Cancel,
    ) -> Option<Window> {
        let mut mel = LogMel::new(&self.filters);
        mel.push(audio);
        // An even number of frames: the encoder halves it.
        let least = if self.encoder.width() >= WIDE {
            LEAST_FRAMES_WIDE
        } else {
            LEAST_FRAMES
        };
        let frames = (audio.len().div_ceil(HOP) + PADDING).max(least);
        let mel = mel.finish(frames.next_multiple_of(2).min(2 * self.encoder.context()));
        // An executor only names the machine's kernel; it cannot be kept, as it is not `Send`.
        let gemm = GemmExecutor::new();
        let encoded = self.encoder.encode(&gemm, &mel, &self.budget, cancel)?;

        let mut heard = self.decoder.hear(&gemm, &encoded, &self.budget);
        heard.continue_with(&self.silence, TAIL);

        let allowed = |(least, most): (usize, usize), per_second: usize| {
            (least + audio.len() * per_second / RATE).min(most)
        };
        let search = Search {
            decoder: &self.decoder,
            vocabulary: &self.vocabulary,
            budget: &self.budget,
            cancel,
            limit: allowed(TOKENS, TOKENS_PER_SECOND),
            loop_tokens: allowed(LOOP_TOKENS, LOOP_TOKENS_PER_SECOND),
        };
        let mut opening = search.open(&heard, prompt, language);
        let mut best = search.attempt(&heard, &mut opening, false);
        let made_up = |&(no_speech, average): &(f32, f32)| {
            opening.no_speech > no_speech && best.average < average
        };
        if MADE_UP.iter().any(made_up) {
            best.tokens.clear();
        } else if best.average < LEAST_AVERAGE && !best.looped && !cancel.is_cancelled() {
            let other = search.attempt(&heard, &mut opening, true);
            if other.average > best.average {
                best = other;
            }
        }
        Some(Window {
            tokens: best.tokens,
            no_speech: opening.no_speech,
            language: opening.language,
        })
    }

    /// The tokens of a prompt, as something said before. Its end counts if it is long.
    fn prompt(&self, text: &str) -> Vec<u32> {
        let text = text.trim();
        if text.is_empty() {
            return Vec::new();
        }
        let mut tokens = self.tokenizer.encode(&format!(" {text}"));
        let most = self.decoder.context() / 2 - 1;
        tokens.drain(..tokens.len().saturating_sub(most));
        tokens
    }
}

/// Whether any 0.1 s of the audio is loud enough to be heard.
fn is_audible(audio: &[f32]) -> bool {
    audio.chunks(RATE / 10).any(|stretch| {
        let energy: f32 = stretch.iter().map(|sample| sample * sample).sum();
        energy > AUDIBLE * AUDIBLE * stretch.len() as f32
    })
}

/// What one window gave.
struct Window {
    tokens: Vec<(u32, f32)>,
    no_speech: f32,
    language: Option<usize>,
}

impl Transcriber for Whisper {
    fn transcribe(
        &self,
        turn: &[f32],
        options: &SttOptions,
        cancel: &Cancel,
        sink: &mut dyn FnMut(SttDelta<'_>) -> Flow,
    ) -> Result<Transcript, EngineError> {
        if turn.iter().any(|sample| !sample.is_finite()) {
            return Err(EngineError::invalid_input(
                "the audio holds a sample that is no number",
            ));
        }
        let mut language = match &options.language {
            Some(code) => self.language(code)?,
            None => None,
        };
        let prompt = self.prompt(&options.prompt);
        let mut transcript = Transcript {
            language: self.vocabulary.languages.is_empty().then(|| "en".into()),
            no_speech: Some(1.0),
            ..Transcript::default()
        };
        let most = (2 * self.encoder.context() - PADDING) * HOP;
        for range in windows(turn, most) {
            if !is_audible(&turn[range.clone()]) {
                continue;
            }
            let Some(window) = self.window(&turn[range], &prompt, language, cancel) else {
                break;
            };
            language = language.or(window.language);
            // Something was said if it was said in any window.
            transcript.no_speech = transcript.no_speech.map(|p| p.min(window.no_speech));
            if self
                .deliver(&window.tokens, &mut transcript, sink)
                .is_break()
            {
                break;
            }
        }
        if let Some(index) = language {
            transcript.language = Some(self.vocabulary.languages[index].1.clone());
        }
        Ok(transcript)
    }
}

impl Whisper {
    /// Appends a window's tokens to the transcript and pushes their text, whole
    /// characters only.
    fn deliver(
        &self,
        tokens: &[(u32, f32)],
        transcript: &mut Transcript,
        sink: &mut dyn FnMut(SttDelta<'_>) -> Flow,
    ) -> Flow {
        let mut characters = Utf8Stream::default();
        let mut push = |transcript: &mut Transcript, text: String| {
            // A transcript does not begin with the space that begins its first word.
            let text = if transcript.text.is_empty() {
                text.trim_start()
            } else {
                &text
            };
            if text.is_empty() {
                return Flow::Continue(());
            }
            transcript.text.push_str(text);
            sink(SttDelta { text })
        };
        for &(token, logprob) in tokens {
            let bytes = self.tokenizer.bytes(token);
            transcript.tokens.push(TranscriptToken {
                text: String::from_utf8_lossy(bytes).into_owned(),
                logprob,
            });
            push(transcript, characters.push(bytes))?;
        }
        push(transcript, characters.finish())
    }
}

impl fmt::Debug for Whisper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Whisper")
            .field("languages", &self.vocabulary.languages.len())
            .finish_non_exhaustive()
    }
}
