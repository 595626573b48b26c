//! English text as phonemes: normalisation, parts of speech, dictionaries, and a network
//! for the words no dictionary has.
//!
//! ```text
//! text -> chunks (between spaces) -> spoken words -> tags -> phonemes per chunk -> pieces
//! ```
//!
//! A chunk keeps its place in the original text through all of this, which is how words
//! and audio are matched. The phonemes are the American set of misaki: one letter per
//! sound, diphthongs as capitals, stress marks before vowels.

mod amounts;
mod chunk;
mod compound;
mod expand;
mod lexicon;
mod numbers;
mod oov;
mod stress;
mod tables;
mod tagger;

use std::{collections::HashMap, fmt, io::Read, ops::Range, path::Path};

use flate2::read::GzDecoder;
use serde::de::DeserializeOwned;

use self::{
    chunk::{Part, Reading, Word},
    lexicon::{Following, Lexicon, Query},
    oov::OutOfVocabulary,
    tagger::Tagger,
};
use crate::{ComputeBudget, EngineError};

pub(super) use self::chunk::Chunk;

/// A gzipped file of a voice is at most this large unpacked; a longer one is refused.
const MAX_UNPACKED: u64 = 64 << 20;

/// A sentence of more chunks than this is read in parts, so that its start need not wait.
const LONGEST_SENTENCE: usize = 64;

/// Reads English text for the voices of this module.
pub struct English {
    lexicon: Lexicon,
    tagger: Tagger,
    /// Words the tagger knows in pieces: "don't" as "do" and "n't".
    contractions: HashMap<String, Vec<String>>,
    unknown: OutOfVocabulary,
    budget: ComputeBudget,
}

/// A chunk of text with its pronunciation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spoken {
    /// Bytes of the original text.
    pub(super) range: Range<usize>,
    /// Phonemes and punctuation. Never empty.
    pub(super) phonemes: String,
}

impl English {
    /// Loads `lexicon_us_gold.json.gz`, `lexicon_us_silver.json.gz`, `tagger.json.gz`,
    /// `tokenizer_exceptions.json`, `oov.json` and `oov.onnx`, which come with the hibari
    /// voice, from `dir`.
    ///
    /// # Errors
    ///
    /// A file is missing or not what its name promises.
    pub fn load(dir: &Path, budget: &ComputeBudget) -> Result<Self, EngineError> {
        let gold = unpacked(dir, "lexicon_us_gold.json.gz")?;
        let silver = unpacked(dir, "lexicon_us_silver.json.gz")?;
        let lexicon = Lexicon::parse(&gold, &silver)
            .map_err(|e| EngineError::model(format!("cannot read the lexicons: {e}")))?;
        let tagger = Tagger::parse(&unpacked(dir, "tagger.json.gz")?)
            .map_err(|e| EngineError::model(format!("cannot read tagger.json.gz: {e}")))?;
        Ok(Self {
            lexicon,
            tagger,
            contractions: json(dir, "tokenizer_exceptions.json")?,
            unknown: OutOfVocabulary::load(dir, budget)?,
            budget: budget.clone(),
        })
    }

    /// The phonemes of a text, sentence by sentence, as far as they can be read.
    ///
    /// # Errors
    ///
    /// The network for unknown words failed.
    pub fn phonemes(&self, text: &str) -> Result<Vec<String>, EngineError> {
        let chunks = chunk::chunks(text);
        let mut out = Vec::new();
        for sentence in sentences(&chunks) {
            let spoken = self.speak(sentence, false)?;
            if !spoken.is_empty() {
                let chunks: Vec<String> = spoken.into_iter().map(|s| s.phonemes).collect();
                out.push(chunks.join(" "));
            }
        }
        Ok(out)
    }

    /// The chunks of a sentence that can be spoken. What cannot joins the chunk before it,
    /// or the one after at the start, so that the ranges cover the sentence.
    pub(super) fn speak(
        &self,
        sentence: &[Chunk],
        urgent: bool,
    ) -> Result<Vec<Spoken>, EngineError> {
        let parts: Vec<&Part> = sentence.iter().flat_map(|chunk| &chunk.parts).collect();
        let mut pronounced = self.pronounce(&parts, urgent)?.into_iter();
        let mut out: Vec<Spoken> = Vec::new();
        let mut start = None;
        for chunk in sentence {
            let mut phonemes = String::new();
            let mut voiced = false;
            for (part, sound) in chunk.parts.iter().zip(pronounced.by_ref()) {
                let word = matches!(part, Part::Word(_));
                let opens = matches!(part, Part::Punctuation('(' | '“'));
                if (word || opens) && !sound.is_empty() && !phonemes.is_empty() {
                    let open = phonemes.ends_with(['(', '“']);
                    phonemes.push_str(if open { "" } else { " " });
                }
                voiced |= word && !sound.is_empty();
                phonemes.push_str(&sound);
            }
            let pause = phonemes == "—" && !out.is_empty();
            let begin = start.take().unwrap_or(chunk.range.start);
            if voiced {
                out.push(Spoken {
                    range: begin..chunk.range.end,
                    phonemes,
                });
            } else if let Some(last) = out.last_mut() {
                last.range.end = chunk.range.end;
                if pause {
                    last.phonemes.push('—');
                }
            } else {
                start = Some(begin);
            }
        }
        Ok(out)
    }

    /// The sounds of each part of a sentence.
    fn pronounce(&self, parts: &[&Part], urgent: bool) -> Result<Vec<String>, EngineError> {
        let tags = self.tags(parts);
        let mut sounds = vec![String::new(); parts.len()];
        let mut following = Following::default();
        // Backwards: how "the" and "to" sound depends on what comes next.
        for (index, part) in parts.iter().enumerate().rev() {
            let sound = match part {
                Part::Punctuation(mark) => {
                    if !matches!(mark, '“' | '”' | '(' | ')') {
                        following = Following::default();
                    }
                    mark.to_string()
                }
                Part::Word(word) => {
                    let sound = self.word(word, tags[index], following, urgent)?;
                    if let Some(vowel) = sound.chars().find_map(stress::is_vowel) {
                        following.vowel = Some(vowel);
                    }
                    following.to = matches!(word.text.as_str(), "to" | "To");
                    sound.replace('ɾ', "T").replace('ʔ', "t")
                }
            };
            sounds[index] = sound;
        }
        Ok(sounds)
    }

    fn word(
        &self,
        word: &Word,
        tag: &str,
        following: Following,
        urgent: bool,
    ) -> Result<String, EngineError> {
        let text = word.text.as_str();
        let found = match word.reading {
            Reading::Letters => self.lexicon.spell(text),
            Reading::Number if matches!(text, "point" | "oh") => {
                let plain = self.lexicon.plain(text);
                plain.map(|phonemes| stress::Stress::Strip.apply(&phonemes))
            }
            Reading::Number => self.lexicon.plain(text),
            Reading::Word => None,
        };
        let query = Query {
            text,
            tag: Some(tag),
            following,
        };
        if let Some(phonemes) = found.or_else(|| self.lexicon.pronounce(&query)) {
            return Ok(phonemes);
        }
        let pieces = compound::pieces(text);
        let mut sounds = vec![String::new(); pieces.len()];
        let mut query = query;
        for (text, sound) in pieces.iter().zip(&mut sounds).rev() {
            let known = (pieces.len() > 1)
                .then(|| self.lexicon.pronounce(&Query { text, ..query }))
                .flatten();
            *sound = match known {
                Some(sound) => sound,
                None => self.unknown.pronounce(text, &self.budget, urgent)?,
            };
            if sound.is_empty() {
                // The last resort: the names of its letters, as far as they have any.
                let letters: String = text.chars().filter(char::is_ascii_alphabetic).collect();
                *sound = self.lexicon.spell(&letters).unwrap_or_default();
            }
            if let Some(vowel) = sound.chars().find_map(stress::is_vowel) {
                query.following.vowel = Some(vowel);
            }
        }
        Ok(compound::join(&pieces, sounds))
    }

    /// The part of speech of each part; a contraction has that of its longest piece.
    fn tags(&self, parts: &[&Part]) -> Vec<&str> {
        let mut pieces: Vec<&str> = Vec::with_capacity(parts.len());
        let mut owners = Vec::with_capacity(parts.len());
        for part in parts {
            let first = pieces.len();
            match part {
                Part::Punctuation(mark) => pieces.push(tagger_mark(*mark)),
                Part::Word(word) => self.contraction(&word.text, &mut pieces),
            }
            let longest = (first..pieces.len())
                .rev()
                .max_by_key(|piece| pieces[*piece].chars().count())
                .unwrap_or(first);
            owners.push(longest);
        }
        let tags = self.tagger.tag(&pieces);
        owners.into_iter().map(|piece| tags[piece]).collect()
    }

    fn contraction<'a>(&'a self, word: &'a str, pieces: &mut Vec<&'a str>) {
        if let Some(known) = self.contractions.get(word).filter(|k| !k.is_empty()) {
            pieces.extend(known.iter().map(String::as_str).filter(|p| !p.is_empty()));
        } else if let Some(at) = word
            .rfind("'s")
            .filter(|at| *at > 0 && at + 2 == word.len())
        {
            pieces.extend([&word[..at], &word[at..]]);
        } else {
            pieces.push(word);
        }
    }
}

impl fmt::Debug for English {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("English").finish_non_exhaustive()
    }
}

/// Cuts a text into chunks; the first step of reading it.
pub(super) fn read(text: &str) -> Vec<Chunk> {
    chunk::chunks(text)
}

/// The sentences of a text, long ones cut. Chunks without words belong to the sentence
/// before them.
pub(super) fn sentences(chunks: &[Chunk]) -> impl Iterator<Item = &[Chunk]> {
    let mut rest = chunks;
    std::iter::from_fn(move || {
        let window = &rest[..rest.len().min(LONGEST_SENTENCE)];
        let whole = window.iter().position(|chunk| chunk.ends_sentence);
        let end = whole.or_else(|| {
            // The end of the text, or the last clause that can be seen.
            let cut = window.len() < rest.len();
            let clause = |chunk: &Chunk| matches!(chunk.parts.last(), Some(Part::Punctuation(_)));
            cut.then(|| window.iter().rposition(clause)).flatten()
        });
        let after = end.map_or(window.len(), |end| end + 1);
        let silent = window[after..]
            .iter()
            .take_while(|chunk| chunk.parts.is_empty())
            .count();
        let (sentence, others) = rest.split_at(after + silent);
        rest = others;
        (!sentence.is_empty()).then_some(sentence)
    })
}

/// The tagger was trained on text with typewriter marks.
fn tagger_mark(mark: char) -> &'static str {
    match mark {
        '“' | '”' => "\"",
        '—' => "-",
        '(' => "(",
        ')' => ")",
        ',' => ",",
        ';' => ";",
        ':' => ":",
        '!' => "!",
        '?' => "?",
        '…' => "...",
        _ => ".",
    }
}

fn unpacked(dir: &Path, name: &str) -> Result<Vec<u8>, EngineError> {
    let path = dir.join(name);
    let bad =
        |e: std::io::Error| EngineError::model(format!("cannot read {}: {e}", path.display()));
    let mut bytes = Vec::new();
    let file = std::fs::File::open(&path).map_err(bad)?;
    GzDecoder::new(file)
        .take(MAX_UNPACKED)
        .read_to_end(&mut bytes)
        .map_err(bad)?;
    Ok(bytes)
}

pub(super) fn json<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<T, EngineError> {
    let path = dir.join(name);
    let bad =
        |e: &dyn fmt::Display| EngineError::model(format!("cannot read {}: {e}", path.display()));
    let bytes = std::fs::read(&path).map_err(|e| bad(&e))?;
    serde_json::from_slice(&bytes).map_err(|e| bad(&e))
}

#[cfg(test)]
mod tests;
