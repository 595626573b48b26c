//! The line that is typed.

use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};
use unicode_width::UnicodeWidthStr;

/// The longest line, in bytes: ten pages, so that a pasted book is no turn.
const LONGEST: usize = 20_000;

/// A line and where one writes in it.
#[derive(Debug, Default)]
pub(super) struct Line {
    text: String,
    /// A byte of the text, between two characters.
    cursor: usize,
}

impl Line {
    /// Writes at the cursor; line ends become spaces, what has no shape is left out. Whether
    /// all of it had room.
    pub(super) fn insert(&mut self, text: &str) -> bool {
        let mut all = true;
        for character in text.chars() {
            let character = match character {
                '\n' | '\r' | '\t' => ' ',
                shapeless if shapeless.is_control() => continue,
                character => character,
            };
            if self.text.len() + character.len_utf8() > LONGEST {
                all = false;
                break;
            }
            self.text.insert(self.cursor, character);
            self.cursor += character.len_utf8();
        }
        all
    }

    pub(super) fn backspace(&mut self) {
        let end = self.cursor;
        self.left();
        self.text.drain(self.cursor..end);
    }

    pub(super) fn delete(&mut self) {
        let end = self.next();
        self.text.drain(self.cursor..end);
    }

    /// Takes away the word before the cursor.
    pub(super) fn delete_word(&mut self) {
        let before = &self.text[..self.cursor];
        let word = before.trim_end();
        let start = word
            .char_indices()
            .rfind(|(_, character)| character.is_whitespace())
            .map_or(0, |(at, space)| at + space.len_utf8());
        self.text.drain(start..self.cursor);
        self.cursor = start;
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.cursor = 0;
    }

    pub(super) fn left(&mut self) {
        let mut at = GraphemeCursor::new(self.cursor, self.text.len(), true);
        // The whole text is there, so there is no error to be had.
        let before = at.prev_boundary(&self.text, 0);
        self.cursor = before.ok().flatten().unwrap_or(0);
    }

    pub(super) fn right(&mut self) {
        self.cursor = self.next();
    }

    pub(super) fn home(&mut self) {
        self.cursor = 0;
    }

    pub(super) fn end(&mut self) {
        self.cursor = self.text.len();
    }

    /// Gives the line away, to be sent.
    pub(super) fn take(&mut self) -> String {
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What is seen of the line in `columns`, and the cursor's column: always in sight.
    pub(super) fn window(&self, columns: usize) -> (&str, usize) {
        let room = columns.saturating_sub(1);
        let mut start = self.cursor;
        let mut before = 0;
        for (at, grapheme) in self.text[..self.cursor].grapheme_indices(true).rev() {
            if before + grapheme.width() > room {
                break;
            }
            before += grapheme.width();
            start = at;
        }
        (super::wrap::fitting(&self.text[start..], columns), before)
    }

    /// The end of the character at the cursor.
    fn next(&self) -> usize {
        let mut at = GraphemeCursor::new(self.cursor, self.text.len(), true);
        let after = at.next_boundary(&self.text, 0);
        after.ok().flatten().unwrap_or(self.text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        let mut line = Line::default();
        assert!(line.insert(text));
        line
    }

    #[test]
    fn characters_are_taken_away_as_people_see_them() {
        let mut family = line("a👩‍👩‍👧e\u{301}");
        family.backspace();
        assert_eq!(family.text(), "a👩‍👩‍👧");
        family.left();
        family.delete();
        assert_eq!(family.text(), "a");
        // At both ends there is nothing more.
        family.delete();
        family.home();
        family.backspace();
        family.left();
        family.end();
        family.right();
        assert_eq!((family.text(), family.window(9).1), ("a", 1));
    }

    #[test]
    fn a_mark_typed_after_its_letter_joins_it() {
        let mut line = line("e");
        line.home();
        line.insert("x");
        line.end();
        line.insert("\u{301}");
        line.left();
        assert_eq!(line.window(9), ("xe\u{301}", 1));
        line.delete();
        assert_eq!(line.text(), "x");
    }

    #[test]
    fn words_are_taken_away_whole() {
        let mut line = line("one two  ");
        line.delete_word();
        assert_eq!(line.text(), "one ");
        line.delete_word();
        line.delete_word();
        assert_eq!(line.text(), "");
    }

    #[test]
    fn what_is_pasted_is_one_line_and_not_a_book() {
        let mut pasted = line("one\ntwo\u{1b}[2J\r");
        assert_eq!(pasted.text(), "one two[2J ");
        assert!(!pasted.insert(&"東".repeat(LONGEST)));
        assert!(pasted.text().len() <= LONGEST);
        assert_eq!(pasted.take().chars().last(), Some('東'));
        assert_eq!(pasted.text(), "");
    }

    #[test]
    fn the_cursor_is_always_in_sight() {
        let mut line = line("one two 東京 three");
        assert_eq!(line.window(40), ("one two 東京 three", 18));
        for columns in 1..20 {
            for _ in 0..20 {
                line.left();
                let (seen, column) = line.window(columns);
                assert!(column < columns && seen.width() <= columns);
            }
            line.end();
            assert!(line.window(columns).1 < columns);
        }
        assert_eq!(line.window(6), ("three", 5));
        assert_eq!(line.window(0), ("", 0));
    }
}
