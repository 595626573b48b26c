//! Words made of words: "well-known", "OpenAI".

use super::stress::{self, PRIMARY, Stress};

/// The parts of a word at its hyphens and inner capitals; the word itself if it has none.
pub(super) fn pieces(word: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut chars = word.char_indices().peekable();
    let mut before = None;
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let lower = |c: Option<char>| c.is_some_and(char::is_lowercase);
        // openAI; HTTPServer, but not LLMs.
        let capital = c.is_uppercase()
            && (lower(before)
                || before.is_some_and(char::is_uppercase)
                    && lower(next)
                    && chars.clone().nth(1).is_some());
        if c == '-' || capital {
            pieces.push(&word[start..at]);
            start = if c == '-' { at + 1 } else { at };
        }
        before = Some(c);
    }
    pieces.push(&word[start..]);
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// The sounds of a compound: without gaps, and with the lighter half of many main stresses
/// made lesser ones.
pub(super) fn join(pieces: &[&str], mut sounds: Vec<String>) -> String {
    let mut voiced: Vec<(bool, usize, usize)> = sounds
        .iter()
        .enumerate()
        .filter(|(_, sound)| !sound.is_empty())
        .map(|(index, sound)| (sound.contains(PRIMARY), stress::weight(sound), index))
        .collect();
    let stressed = voiced.iter().filter(|(stressed, ..)| *stressed).count();
    if let [(.., first), (.., second)] = voiced[..]
        && pieces[first].chars().count() == 1
    {
        // T-shirt, x-ray: the letter is stressed.
        sounds[second] = Stress::Weaken.apply(&sounds[second]);
    } else if voiced.len() > 1 && stressed > voiced.len().div_ceil(2) {
        voiced.sort_unstable();
        for (.., index) in &voiced[..voiced.len() / 2] {
            sounds[*index] = Stress::Weaken.apply(&sounds[*index]);
        }
    }
    sounds.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_at_hyphens_and_capitals() {
        for (word, expected) in [
            ("word", &["word"][..]),
            ("well-known", &["well", "known"]),
            ("OpenAI", &["Open", "AI"]),
            ("HTTPServer", &["HTTP", "Server"]),
            ("LLMs", &["LLMs"]),
            ("NASA", &["NASA"]),
            ("-a--b-", &["a", "b"]),
            ("", &[]),
        ] {
            assert_eq!(pieces(word), expected, "{word}");
        }
    }

    #[test]
    fn the_lighter_half_is_weakened() {
        let sounds = |sounds: &[&str]| sounds.iter().map(|s| (*s).to_owned()).collect();
        assert_eq!(
            join(&["well", "known"], sounds(&["wˈɛl", "nˈOn"])),
            "wˌɛlnˈOn"
        );
        assert_eq!(join(&["T", "shirt"], sounds(&["tˈi", "ʃˈɜɹt"])), "tˈiʃˌɜɹt");
        assert_eq!(join(&["x"], sounds(&["ˈɛks"])), "ˈɛks");
    }
}
