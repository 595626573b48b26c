use std::{collections::HashMap, fs, path::Path};

use serde::Deserialize;

use crate::EngineError;

/// Byte-level byte-pair encoding, read from a `tokenizer.json`.
pub(super) struct Tokenizer {
    /// The bytes of every token; those of a special token are its name.
    bytes: Vec<Vec<u8>>,
    /// Tokens of single bytes.
    of_byte: Box<[u32; 256]>,
    /// What two neighbouring tokens merge to, with the merge's rank (lower goes first).
    merges: HashMap<(u32, u32), (usize, u32)>,
    special: HashMap<String, u32>,
}

#[derive(Deserialize)]
struct File {
    added_tokens: Vec<AddedToken>,
    model: Model,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
}

#[derive(Deserialize)]
struct Model {
    vocab: HashMap<String, u32>,
    merges: Vec<Merge>,
}

/// Older files write a merge as "a b", newer ones as ["a", "b"].
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Line(String),
    Pair(String, String),
}

/// Tokens above this are refused: no Whisper model has as many.
const MOST_TOKENS: u32 = 1 << 20;

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is no byte-level BPE tokenizer.
    pub(super) fn read(path: &Path) -> Result<Self, EngineError> {
        let file = path.display();
        let text = fs::read_to_string(path)
            .map_err(|error| EngineError::model(format!("cannot read {file}: {error}")))?;
        Self::parse(&text).map_err(|what| EngineError::model(format!("{file}: {what}")))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let largest = file
            .model
            .vocab
            .values()
            .copied()
            .chain(file.added_tokens.iter().map(|token| token.id))
            .max()
            .filter(|&largest| largest < MOST_TOKENS)
            .ok_or("the vocabulary is empty or too large")?;

        let byte_of: HashMap<char, u8> = (0..=255).map(|byte| (visible(byte), byte)).collect();
        let mut bytes = vec![Vec::new(); largest as usize + 1];
        for (name, &id) in &file.model.vocab {
            // Special tokens may be listed here too; their names are plain text.
            bytes[id as usize] = name
                .chars()
                .map(|character| byte_of.get(&character).copied())
                .collect::<Option<_>>()
                .unwrap_or_else(|| name.clone().into_bytes());
        }
        let mut of_byte = Box::new([0; 256]);
        for byte in 0..=255 {
            of_byte[usize::from(byte)] = *file
                .model
                .vocab
                .get(&String::from(visible(byte)))
                .ok_or_else(|| format!("there is no token for the byte {byte}"))?;
        }
        let mut merges = HashMap::with_capacity(file.model.merges.len());
        for (rank, merge) in file.model.merges.iter().enumerate() {
            let (left, right) = match merge {
                Merge::Line(line) => line.split_once(' ').ok_or("a merge is no pair")?,
                Merge::Pair(left, right) => (left.as_str(), right.as_str()),
            };
            let id = |name: &str| {
                file.model
                    .vocab
                    .get(name)
                    .copied()
                    .ok_or_else(|| format!("the merge of {left:?} and {right:?} is no token"))
            };
            let merged = id(&format!("{left}{right}"))?;
            merges.insert((id(left)?, id(right)?), (rank, merged));
        }
        let mut special = HashMap::new();
        for token in file.added_tokens {
            bytes[token.id as usize] = token.content.clone().into_bytes();
            special.insert(token.content, token.id);
        }
        Ok(Self {
            bytes,
            of_byte,
            merges,
            special,
        })
    }

    /// The bytes of a token; none of an unknown one.
    pub(super) fn bytes(&self, token: u32) -> &[u8] {
        self.bytes.get(token as usize).map_or(&[], Vec::as_slice)
    }

    /// The token with this name, such as `<|endoftext|>`.
    pub(super) fn special(&self, name: &str) -> Option<u32> {
        self.special.get(name).copied()
    }

    /// The tokens of a text, none of them special.
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        words(text).flat_map(|word| self.merge(word)).collect()
    }

    fn merge(&self, word: &str) -> Vec<u32> {
        let mut tokens: Vec<u32> = word
            .bytes()
            .map(|byte| self.of_byte[usize::from(byte)])
            .collect();
        loop {
            let best = tokens
                .windows(2)
                .enumerate()
                .filter_map(|(at, pair)| Some((self.merges.get(&(pair[0], pair[1]))?, at)))
                .min();
            let Some((&(_, merged), at)) = best else {
                return tokens;
            };
            tokens.splice(at..at + 2, [merged]);
        }
    }
}

/// Bytes that become text as soon as they form whole characters.
#[derive(Default)]
pub(super) struct Utf8Stream {
    pending: Vec<u8>,
}

impl Utf8Stream {
    /// Appends bytes; gives the characters they complete. Bytes that can never be part of
    /// a character become U+FFFD.
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut text = String::new();
        let mut rest = self.pending.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    match error.error_len() {
                        Some(length) => {
                            text.push(char::REPLACEMENT_CHARACTER);
                            rest = &after[length..];
                        }
                        None => {
                            rest = after;
                            break;
                        }
                    }
                }
            }
        }
        self.pending = rest.to_vec();
        text
    }

    /// The end: a character that was begun becomes U+FFFD.
    pub(super) fn finish(self) -> String {
        String::from_utf8_lossy(&self.pending).into_owned()
    }
}

/// The character that stands for a byte in the vocabulary's names: printable bytes for
/// themselves, the others for characters from U+0100 on, in order (as GPT-2 does).
fn visible(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if printable(byte) {
        char::from(byte)
    } else {
        let order = (0..byte).filter(|&other| !printable(other)).count();
        // 68 bytes are not printable: the code points end at U+0143.
        u32::try_from(order)
            .ok()
            .and_then(|order| char::from_u32(0x100 + order))
            .unwrap_or(char::REPLACEMENT_CHARACTER)
    }
}

/// Splits a text as GPT-2 does before merging: contractions, letters, digits, other
/// characters (each with the space before it), and white space.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let length = word_length(rest);
        let (word, after) = rest.split_at(length);
        rest = after;
        (!word.is_empty()).then_some(word)
    })
}

fn word_length(text: &str) -> usize {
    const CONTRACTIONS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];
    if let Some(contraction) = CONTRACTIONS.iter().find(|c| text.starts_with(**c)) {
        return contraction.len();
    }
    let run = |from: usize, matches: fn(char) -> bool| {
        let tail = &text[from..];
        from + tail.find(|c: char| !matches(c)).unwrap_or(tail.len())
    };
    let start = usize::from(text.starts_with(' '));
    let kinds: [fn(char) -> bool; 3] = [char::is_alphabetic, char::is_numeric, |c| {
        !c.is_whitespace() && !c.is_alphanumeric()
    }];
    for kind in kinds {
        let end = run(start, kind);
        if end > start {
            return end;
        }
    }
    let end = run(0, char::is_whitespace);
    // White space before a word leaves its last character to the word.
    let last = text[..end].chars().next_back().map_or(0, char::len_utf8);
    if end < text.len() && end > last {
        end - last
    } else {
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(vocabulary: &[&str], merges: &str) -> Result<Tokenizer, String> {
        let mut vocab: serde_json::Map<String, serde_json::Value> = (0..=255_u8)
            .map(|byte| (String::from(visible(byte)), byte.into()))
            .collect();
        for (at, word) in vocabulary.iter().enumerate() {
            vocab.insert((*word).into(), (256 + at).into());
        }
        let end = vocab.len();
        let text = serde_json::json!({
            "added_tokens": [{"id": end, "content": "<|endoftext|>"}],
            "model": {"vocab": vocab, "merges": serde_json::from_str::<serde_json::Value>(merges).unwrap()},
        });
        Tokenizer::parse(&text.to_string())
    }

    #[test]
    fn every_byte_has_a_name_of_its_own() {
        let names: std::collections::HashSet<char> = (0..=255).map(visible).collect();
        assert_eq!(names.len(), 256);
        assert_eq!(
            (visible(b' '), visible(b'A'), visible(b'\n')),
            ('Ġ', 'A', 'Ċ')
        );
    }

    #[test]
    fn text_survives_encoding_and_merges_go_by_rank() {
        for merges in [r#"["a b", "Ġ ab"]"#, r#"[["a", "b"], ["Ġ", "ab"]]"#] {
            let tokenizer = parse(&["ab", "Ġab"], merges).unwrap();
            let text = " ab aab é会";
            let tokens = tokenizer.encode(text);
            assert_eq!(&tokens[..2], [257, u32::from(b' ')]);
            assert_eq!(&tokens[2..4], [u32::from(b'a'), 256]);
            let bytes: Vec<u8> = tokens
                .iter()
                .flat_map(|&token| tokenizer.bytes(token).to_vec())
                .collect();
            assert_eq!(bytes, text.as_bytes());
            assert_eq!(tokenizer.special("<|endoftext|>"), Some(258));
        }
    }

    #[test]
    fn a_broken_tokenizer_is_refused() {
        assert!(parse(&[], r#"["a b"]"#).is_err_and(|error| error.contains("no token")));
        assert!(parse(&["ab"], r#"["ab"]"#).is_err_and(|error| error.contains("no pair")));
        assert!(Tokenizer::parse("{}").is_err());
    }

    #[test]
    fn words_keep_the_space_before_them() {
        let split = |text| words(text).collect::<Vec<_>>();
        assert_eq!(split(" it's 20 kg!"), [" it", "'s", " 20", " kg", "!"]);
        assert_eq!(split("a  b \n"), ["a", " ", " b", " \n"]);
        assert_eq!(split(""), [""; 0]);
    }

    #[test]
    fn a_character_split_over_tokens_comes_out_whole() {
        let mut stream = Utf8Stream::default();
        let bytes = "会é".as_bytes();
        assert_eq!(stream.push(&bytes[..2]), "");
        assert_eq!(stream.push(&bytes[2..4]), "会");
        assert_eq!(stream.push(&bytes[4..]), "é");
        assert_eq!(stream.push(&[0xFF, b'a', 0xE4]), "\u{FFFD}a");
        assert_eq!(stream.finish(), "\u{FFFD}");
    }
}
