use std::{fs, path::Path};

use serde::Deserialize;

use super::tokenizer::Tokenizer;
use crate::EngineError;

/// The tokens with a meaning, and those that are never text.
pub(super) struct Vocabulary {
    /// Ends the text. All tokens of text come before it.
    pub(super) end: u32,
    /// Starts a transcript.
    pub(super) start: u32,
    /// Comes before what was said earlier.
    pub(super) previous: u32,
    /// Says that the audio holds no speech.
    pub(super) no_speech: u32,
    /// Asks for text without times.
    pub(super) no_timestamps: u32,
    /// Asks for a transcript, not a translation.
    pub(super) transcribe: u32,
    /// Tokens and ISO-639-1 codes of the languages; none for an English-only model.
    pub(super) languages: Vec<(u32, String)>,
    /// Tokens that are never part of a transcript, such as notes and music signs.
    pub(super) suppressed: Vec<u32>,
    /// Tokens that a text does not begin with.
    pub(super) suppressed_first: Vec<u32>,
}

/// What is used of a `config.json`.
#[derive(Deserialize)]
struct Config {
    lang_ids: Vec<u32>,
    suppress_ids: Vec<u32>,
    suppress_ids_begin: Vec<u32>,
}

/// A multilingual model has at least this many tokens, an English-only one fewer.
const MULTILINGUAL: usize = 51_865;

impl Vocabulary {
    /// Reads a `config.json`; `tokens` is how many tokens the model knows.
    ///
    /// # Errors
    ///
    /// A file cannot be read, a token is missing, or the files belong to different models.
    pub(super) fn read(
        path: &Path,
        tokenizer: &Tokenizer,
        tokens: usize,
    ) -> Result<Self, EngineError> {
        let file = path.display();
        let text = fs::read_to_string(path)
            .map_err(|error| EngineError::model(format!("cannot read {file}: {error}")))?;
        let config: Config = serde_json::from_str(&text)
            .map_err(|error| EngineError::model(format!("{file}: {error}")))?;
        Self::new(config, tokenizer, tokens)
            .map_err(|what| EngineError::model(format!("{file}: {what}")))
    }

    fn new(config: Config, tokenizer: &Tokenizer, tokens: usize) -> Result<Self, String> {
        let known = |id: u32| {
            if (id as usize) < tokens {
                Ok(id)
            } else {
                Err(format!("token {id} is beyond the model's {tokens} tokens"))
            }
        };
        let named = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| tokenizer.special(name))
                .ok_or_else(|| format!("the tokenizer has no token {}", names[0]))
                .and_then(known)
        };
        let end = named(&["<|endoftext|>"])?;
        let text = |ids: Vec<u32>| ids.into_iter().filter(|&id| id <= end).collect();
        let mut languages = Vec::new();
        if tokens >= MULTILINGUAL {
            for id in config.lang_ids {
                let name = String::from_utf8_lossy(tokenizer.bytes(known(id)?)).into_owned();
                let code = name
                    .strip_prefix("<|")
                    .and_then(|name| name.strip_suffix("|>"));
                let code = code.ok_or_else(|| format!("token {id} ({name}) is no language"))?;
                languages.push((id, code.into()));
            }
        }
        Ok(Self {
            end,
            start: named(&["<|startoftranscript|>"])?,
            previous: named(&["<|startofprev|>"])?,
            no_speech: named(&["<|nospeech|>", "<|nocaptions|>"])?,
            no_timestamps: named(&["<|notimestamps|>"])?,
            transcribe: named(&["<|transcribe|>"])?,
            languages,
            suppressed: text(config.suppress_ids),
            suppressed_first: text(config.suppress_ids_begin),
        })
    }
}
