//! Text into rows of a given width, as terminals count it.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Columns that every row of a paragraph but its first is set in.
const INDENT: usize = 2;

/// What must not begin a row, where text without spaces may be broken anywhere.
const NEVER_FIRST: &str = "、。，．・：；？！」』）】〕》〉ー…";

/// What a piece of text is, for the view to say how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The name of the assistant before what it says.
    Assistant,
    /// What was said and heard.
    Heard,
    /// What kaiwa says itself.
    Note,
    /// What the assistant was going to say when it was interrupted.
    Unheard,
    /// The name of the user before what they say.
    You,
}

/// A row of a terminal: pieces from left to right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row(pub(super) Vec<(Kind, String)>);

/// A character as people see it.
#[derive(Clone, Copy)]
struct Glyph<'a> {
    kind: Kind,
    text: &'a str,
    width: usize,
}

impl Glyph<'_> {
    fn is_space(self) -> bool {
        self.text.chars().all(char::is_whitespace)
    }

    /// Whether a row may end between this and the next one.
    fn parts_from(self, next: Self) -> bool {
        let wide = self.width > 1 || next.width > 1;
        self.is_space() || (wide && !NEVER_FIRST.contains(next.text))
    }
}

/// Columns that `text` takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// As much of the beginning of `text` as fits into `columns`.
pub(super) fn fitting(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, grapheme) in text.grapheme_indices(true) {
        used += grapheme.width();
        if used > columns {
            return &text[..at];
        }
    }
    text
}

/// Appends a paragraph in rows of `columns`. Words stay whole where they fit into a row.
pub(super) fn wrap(paragraph: &[(Kind, &str)], columns: usize, rows: &mut Vec<Row>) {
    let mut row: Vec<Glyph<'_>> = Vec::new();
    // Where the row may be broken, and the columns it has used, its indent included.
    let mut seam = 0;
    let mut used = 0;
    let first = rows.len();
    for &(kind, text) in paragraph {
        for text in text.graphemes(true) {
            if text.contains('\n') {
                rows.push(put(&row, rows.len() > first));
                (row, seam, used) = (Vec::new(), 0, INDENT);
                continue;
            }
            let glyph = Glyph {
                kind,
                text,
                width: text.width(),
            };
            if let Some(&last) = row.last()
                && last.parts_from(glyph)
            {
                seam = row.len();
            }
            if used + glyph.width > columns && !row.is_empty() {
                if glyph.is_space() {
                    // It would stand at the end of this row: the row ends in its place.
                    seam = row.len();
                }
                let rest = row.split_off(if seam == 0 { row.len() } else { seam });
                rows.push(put(&row, rows.len() > first));
                row = rest;
                seam = 0;
                used = INDENT + row.iter().map(|glyph| glyph.width).sum::<usize>();
            }
            // A row does not begin with the space that it was broken at.
            if glyph.is_space() && row.is_empty() && rows.len() > first {
                continue;
            }
            used += glyph.width;
            row.push(glyph);
        }
    }
    if !row.is_empty() {
        rows.push(put(&row, rows.len() > first));
    }
}

/// A row without the space at its end.
fn put(glyphs: &[Glyph<'_>], indented: bool) -> Row {
    let end = glyphs.iter().rposition(|glyph| !glyph.is_space());
    let glyphs = &glyphs[..end.map_or(0, |end| end + 1)];
    let mut row = Row::default();
    if indented && let Some(first) = glyphs.first() {
        row.0.push((first.kind, " ".repeat(INDENT)));
    }
    for glyph in glyphs {
        match row.0.last_mut() {
            Some((kind, text)) if *kind == glyph.kind => text.push_str(glyph.text),
            _ => row.0.push((glyph.kind, glyph.text.to_owned())),
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(text: &str, columns: usize) -> Vec<String> {
        let mut rows = Vec::new();
        wrap(&[(Kind::Heard, text)], columns, &mut rows);
        rows.iter()
            .map(|row| row.0.iter().map(|(_, text)| text.as_str()).collect())
            .collect()
    }

    #[test]
    fn words_stay_whole_and_rows_after_the_first_are_set_in() {
        assert_eq!(
            wrapped("one two three four", 9),
            ["one two", "  three", "  four"]
        );
        assert_eq!(wrapped("one two", 7), ["one two"]);
        assert_eq!(wrapped("one   two", 5), ["one", "  two"]);
        assert_eq!(wrapped("one\ntwo", 20), ["one", "  two"]);
        assert!(wrapped("", 20).is_empty());
    }

    #[test]
    fn a_word_longer_than_a_row_is_broken() {
        assert_eq!(wrapped("abcdefghij", 6), ["abcdef", "  ghij"]);
        assert_eq!(
            wrapped("go abcdefghij", 6),
            ["go", "  abcd", "  efgh", "  ij"]
        );
    }

    #[test]
    fn wide_characters_take_two_columns_and_need_no_spaces() {
        assert_eq!(wrapped("こんにちは世界", 8), ["こんにち", "  は世界"]);
        // A full stop does not begin a row.
        assert_eq!(wrapped("こんにち。", 8), ["こんに", "  ち。"]);
        assert_eq!(wrapped("e\u{301}e\u{301}e\u{301}e\u{301}", 3).len(), 2);
    }

    #[test]
    fn no_row_is_wider_than_it_may_be() {
        let text = "One 東京 twenty-three 👩‍👩‍👧 e\u{301}clair\n\nand more: 会話は楽しい。";
        for columns in 4..40 {
            for row in wrapped(text, columns) {
                assert!(width(&row) <= columns, "{row:?} in {columns}");
            }
        }
        // In less than the indent and a character, nothing breaks down.
        for columns in 0..4 {
            assert!(!wrapped(text, columns).is_empty());
        }
    }

    #[test]
    fn what_fits_is_cut_between_characters() {
        assert_eq!(fitting("東京 tower", 3), "東");
        assert_eq!(fitting("tower", 9), "tower");
    }
}
