//! Parts of speech, by an averaged perceptron over the words around a word.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

/// The tagger of a voice: `tagger.json.gz`. Tags are those of the Penn Treebank.
pub(super) struct Tagger {
    tags: Vec<String>,
    /// Words that practically always have one tag.
    known: HashMap<String, u8>,
    /// Words the weights know; others are replaced by their shape.
    vocabulary: HashSet<String>,
    weights: HashMap<String, Vec<(u8, f32)>>,
}

#[derive(Deserialize)]
struct File {
    tags: Vec<String>,
    tagdict: HashMap<String, String>,
    vocab: HashSet<String>,
    weights: HashMap<String, HashMap<String, f32>>,
}

impl Tagger {
    /// Reads the file's JSON.
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        let file: File = serde_json::from_slice(json).map_err(|e| e.to_string())?;
        if file.tags.is_empty() || file.tags.len() > usize::from(u8::MAX) {
            return Err(format!("expected 1 to 255 tags, got {}", file.tags.len()));
        }
        let numbers: HashMap<&str, u8> = file
            .tags
            .iter()
            .zip(0..)
            .map(|(tag, number)| (tag.as_str(), number))
            .collect();
        let number = |tag: &str| {
            numbers
                .get(tag)
                .copied()
                .ok_or_else(|| format!("{tag} is not among the tags"))
        };
        let known = file
            .tagdict
            .iter()
            .map(|(word, tag)| Ok((word.clone(), number(tag)?)))
            .collect::<Result<_, String>>()?;
        let weights = file
            .weights
            .iter()
            .map(|(feature, weights)| {
                let weights = weights
                    .iter()
                    .map(|(tag, weight)| Ok((number(tag)?, *weight)))
                    .collect::<Result<_, String>>()?;
                Ok((feature.clone(), weights))
            })
            .collect::<Result<_, String>>()?;
        Ok(Self {
            known,
            vocabulary: file.vocab,
            weights,
            tags: file.tags,
        })
    }

    /// A tag for each word of a sentence. No word is empty.
    pub(super) fn tag(&self, words: &[&str]) -> Vec<&str> {
        let mut context = Vec::with_capacity(words.len() + 4);
        context.extend(["-START2-".to_owned(), "-START-".to_owned()]);
        context.extend(words.iter().map(|word| {
            let normal = normalized(word);
            if self.vocabulary.contains(&normal) {
                normal
            } else {
                format!("<{}>", shape(word))
            }
        }));
        context.extend(["-END-".to_owned(), "-END2-".to_owned()]);
        let (mut previous, mut before) = ("-START-", "-START2-");
        words
            .iter()
            .enumerate()
            .map(|(index, word)| {
                let number = self.known.get(*word).copied().unwrap_or_else(|| {
                    let around: &[String; 5] = context[index..index + 5]
                        .try_into()
                        .expect("two words stand on either side of every word");
                    self.predict(word, index == 0, around, previous, before)
                });
                before = previous;
                previous = &self.tags[usize::from(number)];
                previous
            })
            .collect()
    }

    fn predict(
        &self,
        word: &str,
        first: bool,
        around: &[String; 5],
        previous: &str,
        before: &str,
    ) -> u8 {
        let [left2, left, this, right, right2] = around;
        let initial = word.chars().next().unwrap_or(' ');
        let features = [
            "b".to_owned(),
            format!("s3={}", ending(word)),
            format!("p1={initial}"),
            format!("w={this}"),
            format!("sh={}", shape(word)),
            if first { "i0" } else { "i+" }.to_owned(),
            format!("t-1={previous}"),
            format!("t-2={before}"),
            format!("t-12={previous},{before}"),
            format!("w-1={left}"),
            format!("s3-1={}", ending(left)),
            format!("w-2={left2}"),
            format!("w+1={right}"),
            format!("s3+1={}", ending(right)),
            format!("w+2={right2}"),
        ];
        let mut scores = vec![0.0_f32; self.tags.len()];
        for weights in features.iter().filter_map(|f| self.weights.get(f)) {
            for (tag, weight) in weights {
                scores[usize::from(*tag)] += weight;
            }
        }
        // Of equals the last by name, as in training.
        let best = (0..self.tags.len()).max_by(|a, b| {
            scores[*a]
                .total_cmp(&scores[*b])
                .then_with(|| self.tags[*a].cmp(&self.tags[*b]))
        });
        best.and_then(|best| u8::try_from(best).ok())
            .unwrap_or_default()
    }
}

/// The last three characters.
fn ending(word: &str) -> &str {
    let start = word.char_indices().rev().nth(2).map_or(0, |(at, _)| at);
    &word[start..]
}

fn normalized(word: &str) -> String {
    if word.contains('-') && !word.starts_with('-') {
        "!HYPHEN".to_owned()
    } else if word.len() == 4 && word.bytes().all(|b| b.is_ascii_digit()) {
        "!YEAR".to_owned()
    } else if word.starts_with(char::is_numeric) {
        "!DIGITS".to_owned()
    } else {
        word.to_lowercase()
    }
}

fn shape(word: &str) -> String {
    let lower = |c: char| !c.is_uppercase();
    if word.chars().all(char::is_alphabetic) {
        let mut rest = word.chars();
        let first = rest.next();
        return if word.chars().all(lower) {
            "x"
        } else if word.chars().all(char::is_uppercase) {
            if word.chars().nth(1).is_some() {
                "XX"
            } else {
                "X1"
            }
        } else if first.is_some_and(char::is_uppercase) && rest.all(lower) {
            "Xx"
        } else {
            "xX"
        }
        .to_owned();
    }
    if word.chars().all(char::is_numeric) {
        return "d".to_owned();
    }
    word.chars()
        .take(4)
        .map(|c| {
            if c.is_numeric() {
                'd'
            } else if c.is_alphabetic() {
                'x'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_decides_where_the_word_alone_does_not() {
        let json = br#"{
            "tags": ["DT", "NN", "TO", "VB"],
            "tagdict": {"the": "DT", "to": "TO"},
            "vocab": ["the", "to", "record"],
            "weights": {"t-1=DT": {"NN": 1.0}, "t-1=TO": {"VB": 1.5}, "w=record": {"NN": 0.2}}
        }"#;
        let tagger = Tagger::parse(json).unwrap();
        assert_eq!(tagger.tag(&["the", "record"]), ["DT", "NN"]);
        assert_eq!(tagger.tag(&["to", "record"]), ["TO", "VB"]);
        assert!(tagger.tag(&[]).is_empty());
        assert_eq!(tagger.tag(&["日本"]), ["VB"]);
        assert!(Tagger::parse(b"{}").is_err());
    }

    #[test]
    fn shapes() {
        for (word, expected) in [
            ("word", "x"),
            ("Word", "Xx"),
            ("WORD", "XX"),
            ("W", "X1"),
            ("iPhone", "xX"),
            ("2024", "d"),
            ("don't", "xxx'"),
            ("日本", "x"),
        ] {
            assert_eq!(shape(word), expected, "{word}");
        }
        assert_eq!(ending("naïve"), "ïve");
        assert_eq!(ending("no"), "no");
    }
}
