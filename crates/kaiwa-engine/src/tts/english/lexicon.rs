//! Pronunciations of written words: two dictionaries and the rules of inflection.
//!
//! The dictionaries and the rules' facts (which sounds an ending gives, which small words
//! change with what follows) are those of misaki 0.9's American English, which the voices
//! were trained to hear.

use std::collections::HashMap;

use serde::Deserialize;

use super::stress::{PRIMARY, SECONDARY, Stress};

/// Vowels after which a `t` before another vowel is flapped.
const FLAPPED_AFTER: &str = "AIOWYiuæɑəɛɪɹʊʌ";

/// The dictionaries of a voice.
pub(super) struct Lexicon {
    /// Checked by people; some words by part of speech.
    gold: HashMap<String, Entry>,
    /// Made by machine.
    silver: HashMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    One(String),
    /// By part of speech; "None" is the form before a pause.
    ByTag(HashMap<String, Option<String>>),
}

/// A word in its sentence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a> {
    /// Letters, apostrophes and hyphens.
    pub(super) text: &'a str,
    /// Its part of speech (Penn Treebank); `None` for the word as such.
    pub(super) tag: Option<&'a str>,
    pub(super) following: Following,
}

/// What comes after a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Following {
    /// Whether the next sound is a vowel; `None` before a pause.
    pub(super) vowel: Option<bool>,
    /// Whether the next word is "to".
    pub(super) to: bool,
}

impl Lexicon {
    /// Reads the two dictionaries' JSON.
    pub(super) fn parse(gold: &[u8], silver: &[u8]) -> Result<Self, String> {
        let lexicon = Self {
            gold: serde_json::from_slice(gold).map_err(|e| e.to_string())?,
            silver: serde_json::from_slice(silver).map_err(|e| e.to_string())?,
        };
        // Numbers and spelled words must never fail.
        for letter in 'A'..='Z' {
            if lexicon.plain(letter.encode_utf8(&mut [0; 4])).is_none() {
                return Err(format!(
                    "the dictionary has no name for the letter {letter}"
                ));
            }
        }
        Ok(lexicon)
    }

    /// The pronunciation of a word or one of its inflections, if it is known.
    pub(super) fn pronounce(&self, query: &Query<'_>) -> Option<String> {
        let capitals = query.text.chars().any(char::is_uppercase);
        let stress = capitals.then(|| {
            if query.text.chars().any(char::is_lowercase) {
                Stress::Slight
            } else {
                Stress::Strong
            }
        });
        if let Some(phonemes) = self.small_word(query, stress) {
            return Some(phonemes);
        }
        let lower = query.text.to_lowercase();
        let mut query = *query;
        if capitals && self.is_shout(&query, &lower) {
            query.text = &lower;
        }
        let word = query.text;
        if self.knows(word) {
            return self.find(&query, stress);
        }
        // The boys', goin'
        if let Some(stem) = word.strip_suffix('\'') {
            let possessive = stem
                .ends_with('s')
                .then(|| format!("{}'s", &stem[..stem.len() - 1]));
            for form in possessive.as_deref().into_iter().chain([stem]) {
                if self.knows(form) {
                    return self.find(
                        &Query {
                            text: form,
                            ..query
                        },
                        stress,
                    );
                }
            }
        }
        self.inflected(&query, stress)
    }

    /// A word in the form it has on its own (as in numbers), lightly stressed.
    pub(super) fn plain(&self, word: &str) -> Option<String> {
        let query = Query {
            text: word,
            tag: None,
            following: Following::default(),
        };
        self.entry(&self.gold, &query)
            .or_else(|| self.entry(&self.silver, &query))
    }

    /// The names of the letters, the last one stressed most; `None` when a letter has none.
    pub(super) fn spell(&self, letters: &str) -> Option<String> {
        let mut names = String::new();
        for letter in letters.chars().filter(|c| c.is_alphabetic()) {
            names.push_str(&self.plain(&letter.to_uppercase().to_string())?);
        }
        if names.is_empty() {
            return None;
        }
        let mut names = Stress::Even.apply(&names);
        if let Some(last) = names.rfind(SECONDARY) {
            names.replace_range(last..last + SECONDARY.len_utf8(), &PRIMARY.to_string());
        }
        Some(names)
    }

    /// Words whose sound depends on their place in the sentence.
    fn small_word(&self, query: &Query<'_>, stress: Option<Stress>) -> Option<String> {
        let tag = query.tag.unwrap_or_default();
        let following = query.following;
        let fixed = |phonemes: &str| Some(phonemes.to_owned());
        match query.text {
            "a" | "A" if tag == "DT" => fixed("ɐ"),
            "a" | "A" => fixed("ˈA"),
            "am" | "Am" | "AM" => {
                if tag.starts_with("NN") {
                    self.spell(query.text)
                } else if following.vowel.is_none() || query.text != "am" || stress.is_some() {
                    self.plain("am")
                } else {
                    fixed("ɐm")
                }
            }
            "AN" if tag.starts_with("NN") => self.spell("AN"),
            "an" | "An" | "AN" => fixed("ɐn"),
            "I" if tag == "PRP" => fixed("ˌI"),
            "by" | "By" | "BY" if tag.starts_with("RB") => fixed("bˈI"),
            "TO" if !matches!(tag, "TO" | "IN") => None,
            "to" | "To" | "TO" => match following.vowel {
                None => self.plain("to"),
                Some(false) => fixed("tə"),
                Some(true) => fixed("tʊ"),
            },
            "IN" if tag == "NNP" => None,
            "in" | "In" | "IN" if following.vowel.is_none() || tag != "IN" => fixed("ˈɪn"),
            "in" | "In" | "IN" => fixed("ɪn"),
            "THE" if tag != "DT" => None,
            "the" | "The" | "THE" if following.vowel == Some(true) => fixed("ði"),
            "the" | "The" | "THE" => fixed("ðə"),
            // "Used to" as a habit, unlike "used" as a verb.
            "used" | "Used" | "USED" if following.to && matches!(tag, "VBD" | "JJ") => {
                let past = Query {
                    text: "used",
                    tag: Some("VBD"),
                    following,
                };
                self.entry(&self.gold, &past)
            }
            "used" | "Used" | "USED" => self.plain("used"),
            _ => None,
        }
    }

    /// Whether capitals are only emphasis or the start of a sentence: the word is not in
    /// the dictionaries as written, but its small form or a stem of it is.
    fn is_shout(&self, query: &Query<'_>, lower: &str) -> bool {
        let word = query.text;
        let name = query.tag == Some("NNP");
        let mut tail = word.chars();
        tail.next();
        word.chars().count() > 1
            && word.chars().all(|c| c.is_alphabetic() || c == '\'')
            && (!name || word.chars().count() > 7)
            && grown(&self.gold, word).is_none()
            && grown(&self.silver, word).is_none()
            && (!word.chars().any(char::is_lowercase) || !tail.any(char::is_uppercase))
            && (grown(&self.gold, lower).is_some()
                || grown(&self.silver, lower).is_some()
                || self
                    .inflected(
                        &Query {
                            text: lower,
                            ..*query
                        },
                        None,
                    )
                    .is_some())
    }

    /// Whether a look-up of the word will find something, be it its letters.
    fn knows(&self, word: &str) -> bool {
        if grown(&self.gold, word).is_some() || grown(&self.silver, word).is_some() {
            return true;
        }
        if word.is_empty() || !word.bytes().all(|b| b.is_ascii_alphabetic()) {
            return false;
        }
        // One letter, or an acronym.
        !word[1..].bytes().any(|b| b.is_ascii_lowercase())
    }

    /// The word's entry, or its letters for an acronym.
    fn find(&self, query: &Query<'_>, stress: Option<Stress>) -> Option<String> {
        let acronym =
            !query.text.chars().any(char::is_lowercase) && grown(&self.gold, query.text).is_none();
        let lower = query.text.to_lowercase();
        let name = acronym && query.tag == Some("NNP");
        let query = Query {
            text: if acronym { &lower } else { query.text },
            ..*query
        };
        let found = self
            .entry(&self.gold, &query)
            .or_else(|| (!name).then(|| self.entry(&self.silver, &query))?);
        match found {
            // IT, US: a name in capitals that is an unstressed word in small letters.
            Some(phonemes) if name && !phonemes.contains(PRIMARY) => {
                self.spell(query.text).or(Some(phonemes))
            }
            Some(phonemes) => Some(match stress {
                Some(stress) => stress.apply(&phonemes),
                None => phonemes,
            }),
            None => self.spell(query.text),
        }
    }

    fn entry(&self, dictionary: &HashMap<String, Entry>, query: &Query<'_>) -> Option<String> {
        match grown(dictionary, query.text)? {
            Entry::One(phonemes) => Some(phonemes.clone()),
            Entry::ByTag(forms) => {
                let paused = query.tag.is_some() && query.following.vowel.is_none();
                let tag = match query.tag {
                    _ if paused && forms.contains_key("None") => "None",
                    Some(tag) if forms.contains_key(tag) => tag,
                    Some(tag) if tag.starts_with("VB") => "VERB",
                    Some(tag) if tag.starts_with("NN") => "NOUN",
                    Some(tag) if tag.starts_with("RB") => "ADV",
                    Some(tag) if tag.starts_with("JJ") => "ADJ",
                    _ => "DEFAULT",
                };
                forms
                    .get(tag)
                    .or_else(|| forms.get("DEFAULT"))
                    .cloned()
                    .flatten()
            }
        }
    }

    /// Plurals, possessives, past forms and -ing forms of known words.
    fn inflected(&self, query: &Query<'_>, stress: Option<Stress>) -> Option<String> {
        let word = query.text;
        let find = |stem: &str, stress| {
            self.find(
                &Query {
                    text: stem,
                    ..*query
                },
                stress,
            )
        };
        if let Some(stem) = self.stem_of_s(word) {
            return Some(with_s(&find(&stem, stress)?));
        }
        if let Some(stem) = self.stem_of_ed(word) {
            return Some(with_ed(&find(stem, stress)?));
        }
        if let Some(stem) = self.stem_of_ing(word) {
            return Some(with_ing(&find(&stem, stress.or(Some(Stress::Slight)))?));
        }
        // LLMs: letters and a plural.
        let letters = word.strip_suffix("'s").or_else(|| word.strip_suffix('s'))?;
        (letters.len() > 1 && letters.bytes().all(|b| b.is_ascii_uppercase()))
            .then(|| find(letters, stress).map(|letters| with_s(&letters)))?
    }

    fn stem_of_s(&self, word: &str) -> Option<String> {
        let known = |stem: &str| self.knows(stem).then(|| stem.to_owned());
        let length = word.chars().count();
        if length < 3 || !word.ends_with('s') {
            return None;
        }
        let plural = word.strip_suffix('s').filter(|stem| !stem.ends_with('s'));
        let possessive = word.strip_suffix("'s");
        let es = word
            .strip_suffix("es")
            .filter(|stem| length > 4 && !stem.ends_with('i'));
        let ies = word.strip_suffix("ies").filter(|_| length > 4);
        plural
            .and_then(known)
            .or_else(|| possessive.and_then(known))
            .or_else(|| es.and_then(known))
            .or_else(|| ies.and_then(|stem| known(&format!("{stem}y"))))
    }

    fn stem_of_ed<'a>(&self, word: &'a str) -> Option<&'a str> {
        let length = word.chars().count();
        let known = |stem: &&str| self.knows(stem);
        let d = word.strip_suffix('d').filter(|stem| !stem.ends_with('d'));
        let ed = word
            .strip_suffix("ed")
            .filter(|stem| length > 4 && !stem.ends_with('e'));
        (length >= 4)
            .then(|| d.filter(known).or_else(|| ed.filter(known)))
            .flatten()
    }

    fn stem_of_ing(&self, word: &str) -> Option<String> {
        let stem = word.strip_suffix("ing").filter(|_| word.len() >= 5)?;
        let known = |stem: &str| self.knows(stem).then(|| stem.to_owned());
        if word.len() > 5
            && let Some(stem) = known(stem)
        {
            return Some(stem);
        }
        if let Some(stem) = known(&format!("{stem}e")) {
            return Some(stem);
        }
        // Running, panicking.
        let mut last = stem.chars().rev();
        let (last, before) = (last.next()?, last.next()?);
        let doubled = last == before && "bcdgklmnprstvxz".contains(last);
        (word.len() > 5 && (doubled || stem.ends_with("ck")))
            .then(|| known(&stem[..stem.len() - 1]))
            .flatten()
    }
}

/// The pronunciation with the sound of a plural.
fn with_s(stem: &str) -> String {
    let ending = match stem.chars().next_back() {
        Some('p' | 't' | 'k' | 'f' | 'θ') => "s",
        Some('s' | 'z' | 'ʃ' | 'ʒ' | 'ʧ' | 'ʤ') => "ᵻz",
        _ => "z",
    };
    format!("{stem}{ending}")
}

fn with_ed(stem: &str) -> String {
    let ending = match stem.chars().next_back() {
        Some('p' | 'k' | 'f' | 'θ' | 'ʃ' | 's' | 'ʧ') => "t",
        Some('d') => "ᵻd",
        Some('t') => {
            return match flapped(stem) {
                Some(flapped) => format!("{flapped}ᵻd"),
                None if stem.chars().count() < 2 => format!("{stem}ɪd"),
                None => format!("{stem}ᵻd"),
            };
        }
        _ => "d",
    };
    format!("{stem}{ending}")
}

fn with_ing(stem: &str) -> String {
    flapped(stem).map_or_else(|| format!("{stem}ɪŋ"), |stem| format!("{stem}ɪŋ"))
}

/// `stem` with its last `t` flapped, if it is a `t` after a vowel.
fn flapped(stem: &str) -> Option<String> {
    let before = stem.strip_suffix('t')?;
    let vowel = before.chars().next_back()?;
    FLAPPED_AFTER.contains(vowel).then(|| format!("{before}ɾ"))
}

/// The entry of `word`; a small word also answers to its capitalised form and the reverse,
/// unless that has an entry of its own.
fn grown<'a>(dictionary: &'a HashMap<String, Entry>, word: &str) -> Option<&'a Entry> {
    if let Some(entry) = dictionary.get(word) {
        return Some(entry);
    }
    let mut chars = word.chars();
    let (first, rest) = (chars.next()?, chars.as_str());
    if rest.is_empty() || rest.chars().any(char::is_uppercase) {
        return None;
    }
    let other: String = if first.is_uppercase() {
        first.to_lowercase().chain(rest.chars()).collect()
    } else {
        first.to_uppercase().chain(rest.chars()).collect()
    };
    (other != word).then(|| dictionary.get(&other))?
}
