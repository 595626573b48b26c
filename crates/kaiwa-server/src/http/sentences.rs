//! Long texts in pieces that are spoken one after the other.

/// Bytes of a piece that is cut where no sentence ends: what a voice says in ten to twenty
/// seconds.
const LONGEST: usize = 240;

/// Cuts a text into sentences, and sentences that are too long between words. The pieces
/// together are the text without the white space around them.
pub(super) fn sentences(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(cut(rest));
        pieces.push(piece.trim_end());
        rest = after.trim_start();
    }
    pieces
}

/// Where the first piece of a text ends, past its first character.
fn cut(text: &str) -> usize {
    let mut space = None;
    let mut ended = false;
    for (at, character) in text.char_indices() {
        if ended && character.is_whitespace() {
            return at;
        }
        if at >= LONGEST {
            // A word without end is cut where it is.
            return space.unwrap_or(at);
        }
        match character {
            // These need no space after them.
            '\u{3002}' | '\u{ff01}' | '\u{ff1f}' | '\n' => return at + character.len_utf8(),
            '.' | '!' | '?' | ';' | ':' => ended = true,
            '"' | '\'' | ')' | '\u{201d}' => {}
            _ => ended = false,
        }
        if character.is_whitespace() {
            space = Some(at);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_after_sentences() {
        for (text, expected) in [
            ("", &[][..]),
            ("  \n ", &[]),
            ("Hello there", &["Hello there"]),
            (
                " One. Two!  (Three?) Four 5.5 ",
                &["One.", "Two!", "(Three?)", "Four 5.5"],
            ),
            ("A line\nanother", &["A line", "another"]),
            ("He said \"no.\" Then", &["He said \"no.\"", "Then"]),
            (
                "\u{4e00}\u{3002}\u{4e8c}\u{ff1f}",
                &["\u{4e00}\u{3002}", "\u{4e8c}\u{ff1f}"],
            ),
        ] {
            assert_eq!(sentences(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_does_not_end_is_cut_between_words_and_nothing_is_lost() {
        let words = "word ".repeat(200);
        let pieces = sentences(&words);
        assert!(pieces.len() > 3);
        assert!(pieces.iter().all(|piece| piece.len() <= LONGEST));
        assert_eq!(pieces.join(" "), words.trim_end());

        let endless = "\u{e9}".repeat(1000);
        let pieces = sentences(&endless);
        assert!(pieces.len() > 3);
        assert_eq!(pieces.concat(), endless);
    }
}
