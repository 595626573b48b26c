//! Stress marks of pronunciations in the misaki alphabet.

/// Marks the syllable with the main stress; stands before its vowel.
pub(super) const PRIMARY: char = 'ˈ';
/// Marks a syllable with less stress.
pub(super) const SECONDARY: char = 'ˌ';
const VOWELS: &str = "AIOQWYaiuæɑɒɔəɛɜɪʊʌᵻ";
const CONSONANTS: &str = "bdfhjklmnpstvwzðŋɡɹɾʃʒʤʧθ";
/// Vowels and affricates that weigh as much as two sounds.
const LONG: &str = "AIOQWYʤʧ";

/// How to change the stress of a word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stress {
    /// The main stress becomes a lesser one; a word without any gets a lesser one.
    Even,
    /// A word without stress gets a lesser one.
    Slight,
    /// The lesser stress becomes the main one; a word without any gets the main one.
    Strong,
    /// No stress at all.
    Strip,
    /// The main stress becomes a lesser one.
    Weaken,
}

impl Stress {
    /// `phonemes` with the change made.
    pub(super) fn apply(self, phonemes: &str) -> String {
        let has_primary = phonemes.contains(PRIMARY);
        let has_secondary = phonemes.contains(SECONDARY);
        let weaken = || {
            phonemes
                .replace(SECONDARY, "")
                .replace(PRIMARY, &SECONDARY.to_string())
        };
        match self {
            Self::Strip => phonemes.replace([PRIMARY, SECONDARY], ""),
            Self::Even | Self::Weaken if has_primary => weaken(),
            Self::Even | Self::Slight if !has_primary && !has_secondary => {
                marked(phonemes, SECONDARY)
            }
            Self::Strong if has_secondary && !has_primary => {
                phonemes.replace(SECONDARY, &PRIMARY.to_string())
            }
            Self::Strong if !has_primary && !has_secondary => marked(phonemes, PRIMARY),
            _ => phonemes.to_owned(),
        }
    }
}

/// What a sound does to the word before it: `Some(true)` for a vowel, `Some(false)` for a
/// consonant, `None` for stress marks and the like.
pub(super) fn is_vowel(sound: char) -> Option<bool> {
    if VOWELS.contains(sound) {
        Some(true)
    } else if CONSONANTS.contains(sound) {
        Some(false)
    } else {
        None
    }
}

/// How much sound a pronunciation has: one for each letter, two for a long one.
pub(super) fn weight(phonemes: &str) -> usize {
    phonemes
        .chars()
        .map(|c| if LONG.contains(c) { 2 } else { 1 })
        .sum()
}

/// `phonemes` with `mark` before the first vowel, if there is one.
fn marked(phonemes: &str, mark: char) -> String {
    let mut out = phonemes.to_owned();
    if let Some(at) = phonemes.find(|c| VOWELS.contains(c)) {
        out.insert(at, mark);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes() {
        for (stress, before, after) in [
            (Stress::Even, "wˈɜɹd", "wˌɜɹd"),
            (Stress::Even, "ðə", "ðˌə"),
            (Stress::Even, "ˌɛl", "ˌɛl"),
            (Stress::Slight, "wˈɜɹd", "wˈɜɹd"),
            (Stress::Slight, "ðə", "ðˌə"),
            (Stress::Strong, "ˌɛl", "ˈɛl"),
            (Stress::Strong, "ðə", "ðˈə"),
            (Stress::Strong, "z", "z"),
            (Stress::Strip, "ˌɪntəɹˈɛstɪŋ", "ɪntəɹɛstɪŋ"),
            (Stress::Weaken, "ˌɪntəɹˈɛstɪŋ", "ɪntəɹˌɛstɪŋ"),
            (Stress::Weaken, "ðə", "ðə"),
        ] {
            assert_eq!(stress.apply(before), after, "{stress:?} of {before}");
        }
    }

    #[test]
    fn sounds() {
        assert_eq!(is_vowel('A'), Some(true));
        assert_eq!(is_vowel('t'), Some(false));
        assert_eq!(is_vowel(PRIMARY), None);
        assert_eq!(weight("ʧAn"), 5);
    }
}
