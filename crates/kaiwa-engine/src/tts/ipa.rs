//! The phonemes of misaki as those espeak writes for American English.

/// Piper's padding, start and end.
pub(super) const MARKS: [char; 3] = ['_', '^', '$'];

const VOWELS: &str = "AIOWYaiuæɑɔəɐɛɜɪʊʌᵻᵊ";

/// What each character of `phonemes` becomes; empty where it joins its neighbour or has no
/// counterpart. Both alphabets mark stress before the vowel.
pub(super) fn from_misaki(phonemes: &str) -> Vec<&'static str> {
    let chars: Vec<char> = phonemes.chars().collect();
    let mut sounds = Vec::with_capacity(chars.len());
    let mut word = 0;
    for (at, c) in chars.iter().copied().enumerate() {
        if c == ' ' {
            word = at + 1;
        }
        let before = at.checked_sub(1).map(|at| chars[at]);
        let next = chars.get(at + 1).copied();
        let stressed = matches!(before, Some('ˈ' | 'ˌ'));
        sounds.push(match c {
            'A' => "eɪ",
            'I' => "aɪ",
            'O' => "oʊ",
            'W' => "aʊ",
            'Y' => "ɔɪ",
            'Q' => "əʊ",
            'ʤ' => "dʒ",
            'ʧ' => "tʃ",
            'T' | 'ɾ' => "ɾ",
            'ᵊ' => "ə",
            'ɑ' => "ɑː",
            'ɔ' => "ɔː",
            'u' => "uː",
            // Long where stressed and in words without another vowel, short in "happy".
            'i' => {
                let vowels = chars[word..]
                    .iter()
                    .take_while(|c| **c != ' ')
                    .filter(|c| VOWELS.contains(**c))
                    .count();
                if stressed || vowels == 1 { "iː" } else { "i" }
            }
            // One sound for a vowel and its r: "bird", "better".
            'ɜ' if next == Some('ɹ') => "ɜː",
            'ə' if next == Some('ɹ') && !stressed => "ɚ",
            'ɹ' if before == Some('ɜ') => "",
            // Heard again before another vowel: "history".
            'ɹ' if before == Some('ə')
                && !matches!(at.checked_sub(2).map(|at| chars[at]), Some('ˈ' | 'ˌ'))
                && !next.is_some_and(|c| VOWELS.contains(c)) =>
            {
                ""
            }
            '—' => ",",
            '…' => ".",
            ' ' => " ",
            ',' => ",",
            '.' => ".",
            '!' => "!",
            '?' => "?",
            ':' => ":",
            ';' => ";",
            'ˈ' => "ˈ",
            'ˌ' => "ˌ",
            'a' => "a",
            'b' => "b",
            'd' => "d",
            'f' => "f",
            'h' => "h",
            'j' => "j",
            'k' => "k",
            'l' => "l",
            'm' => "m",
            'n' => "n",
            'p' => "p",
            's' => "s",
            't' => "t",
            'v' => "v",
            'w' => "w",
            'z' => "z",
            'æ' => "æ",
            'ð' => "ð",
            'ŋ' => "ŋ",
            'ɐ' => "ɐ",
            'ə' => "ə",
            'ɛ' => "ɛ",
            'ɜ' => "ɜː",
            'ɡ' => "ɡ",
            'ɪ' => "ɪ",
            'ɹ' => "ɹ",
            'ʃ' => "ʃ",
            'ʊ' => "ʊ",
            'ʌ' => "ʌ",
            'ʒ' => "ʒ",
            'θ' => "θ",
            'ᵻ' => "ᵻ",
            _ => "",
        });
    }
    sounds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_as_espeak_writes_them() {
        for (misaki, espeak) in [
            ("həlˈO wˈɜɹld", "həlˈoʊ wˈɜːld"),
            ("bˈɛTəɹ", "bˈɛɾɚ"),
            ("ʤˈʌʤ", "dʒˈʌdʒ"),
            ("hˈæpi", "hˈæpi"),
            ("wi", "wiː"),
            ("sˈi", "sˈiː"),
            ("fˈɑðəɹ.", "fˈɑːðɚ."),
            ("lˈɪTᵊl", "lˈɪɾəl"),
            ("kwˈɛsʧən?", "kwˈɛstʃən?"),
            ("“jˈɛs” (nˈO)", "jˈɛs nˈoʊ"),
            ("", ""),
        ] {
            assert_eq!(from_misaki(misaki).concat(), espeak, "{misaki}");
        }
    }

    #[test]
    fn every_character_keeps_its_place() {
        let phonemes = "ðə bˈɜɹd—☃";
        assert_eq!(from_misaki(phonemes).len(), phonemes.chars().count());
    }
}
