//! From a model's tokens to text that may be shown.

/// Why the text of an answer is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A function call begins.
    Call,
    /// An end marker was spelled out.
    End,
}

/// Joins tokens' bytes into whole characters, up to an end marker or a function call.
///
/// A marker is normally one token, which the caller sees; small models now and then
/// spell it out in ordinary ones. Text that may be the beginning of a marker is held
/// back until it is certain.
#[derive(Debug)]
pub(super) struct Output<'a> {
    /// What is looked for.
    markers: Vec<(&'a str, Found)>,
    pending: Vec<u8>,
    /// Bytes that were returned as text.
    certain: usize,
    found: Option<Found>,
}

impl<'a> Output<'a> {
    /// The output of an answer that ends at any of `ends`, or before any of `calls`.
    pub(super) fn new(ends: &'a [String], calls: &'a [&'a str]) -> Self {
        let ends = ends.iter().map(|marker| (marker.as_str(), Found::End));
        let calls = calls.iter().map(|call| (*call, Found::Call));
        Self {
            markers: ends.chain(calls).collect(),
            pending: Vec::new(),
            certain: 0,
            found: None,
        }
    }

    /// Adds a token's bytes and returns the text that is certain now.
    pub(super) fn push(&mut self, piece: &[u8]) -> String {
        if self.found.is_some() {
            return String::new();
        }
        self.pending.extend_from_slice(piece);
        let first = self
            .markers
            .iter()
            .filter_map(|(marker, found)| Some((find(&self.pending, marker.as_bytes())?, *found)))
            .min_by_key(|(at, _)| *at);
        self.found = first.map(|(_, found)| found);
        let certain = first.map_or_else(|| self.settled(), |(at, _)| at);
        self.certain += certain;
        let text = self.pending.drain(..certain).collect();
        if self.found.is_some() {
            self.pending.clear();
        }
        lossy(text)
    }

    /// What ended the text, if something in it did.
    pub(super) fn found(&self) -> Option<Found> {
        self.found
    }

    /// Bytes of the answer that were returned as text.
    pub(super) fn certain_bytes(&self) -> usize {
        self.certain
    }

    /// What is still held back at the end of the answer, without half a character.
    pub(super) fn finish(mut self) -> String {
        let whole = self.pending.len() - incomplete(&self.pending);
        self.pending.truncate(whole);
        lossy(self.pending)
    }

    /// Length of the text that is neither half a character nor the beginning of a marker.
    fn settled(&self) -> usize {
        let whole = self.pending.len() - incomplete(&self.pending);
        (0..whole)
            .find(|start| {
                let rest = &self.pending[*start..];
                self.markers
                    .iter()
                    .any(|(marker, _)| marker.as_bytes().starts_with(rest))
            })
            .unwrap_or(whole)
    }
}

/// Bytes that can never become a character (a model may draw them) are replaced.
fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn find(text: &[u8], marker: &[u8]) -> Option<usize> {
    text.windows(marker.len())
        .position(|window| window == marker)
}

/// Bytes at the end that begin a character whose rest is missing.
fn incomplete(bytes: &[u8]) -> usize {
    let Some(start) = bytes
        .iter()
        .rposition(|byte| byte & 0b1100_0000 != 0b1000_0000)
    else {
        return 0;
    };
    let length = match bytes[start] {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 1,
    };
    let there = bytes.len() - start;
    if there < length { there } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn markers() -> Vec<String> {
        vec!["<|im_end|>".to_owned(), "<|endoftext|>".to_owned()]
    }

    #[test]
    fn characters_stay_whole_however_they_are_cut() {
        let text = "日本語 – ça, 🎌!";
        for size in 1..6 {
            let markers = markers();
            let mut output = Output::new(&markers, &[]);
            let mut joined = String::new();
            for piece in text.as_bytes().chunks(size) {
                joined += &output.push(piece);
            }
            joined += &output.finish();
            assert_eq!(joined, text, "in pieces of {size}");
        }
    }

    #[test]
    fn half_a_character_at_the_end_is_dropped() {
        let markers = markers();
        let mut output = Output::new(&markers, &[]);
        assert_eq!(output.push(&"aé".as_bytes()[..2]), "a");
        assert_eq!(output.finish(), "");
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let markers = markers();
        let mut output = Output::new(&markers, &[]);
        assert_eq!(
            output.push(b"a\xFFb\x80\x80\x80\x80c"),
            "a\u{FFFD}b\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}c"
        );
    }

    #[test]
    fn a_spelled_out_marker_ends_the_answer() {
        let markers = markers();
        let mut output = Output::new(&markers, &[]);
        let mut joined = String::new();
        for piece in ["Yes. ", "<", "|im", "_end|", ">", "\nmore"] {
            joined += &output.push(piece.as_bytes());
        }
        assert_eq!(output.found(), Some(Found::End));
        joined += &output.finish();
        assert_eq!(joined, "Yes. ");
    }

    #[test]
    fn what_only_looks_like_a_marker_is_text() {
        let markers = markers();
        let mut output = Output::new(&markers, &[]);
        assert_eq!(output.push(b"1 <"), "1 ");
        assert_eq!(output.push(b"|i"), "");
        assert_eq!(output.push(b"s"), "<|is");
        assert_eq!(output.push(b" <|"), " ");
        assert_eq!(output.found(), None);
        assert_eq!(output.finish(), "<|");
    }

    #[test]
    fn a_call_ends_the_text_before_it() {
        let markers = markers();
        let mut output = Output::new(&markers, &["<tool_call>", "{\"name\""]);
        let mut joined = String::new();
        for piece in ["Let me ", "see. <", "tool_call", ">\n{"] {
            joined += &output.push(piece.as_bytes());
        }
        assert_eq!(output.found(), Some(Found::Call));
        assert_eq!(joined, "Let me see. ");
        assert_eq!(output.certain_bytes(), joined.len());
        let mut bare = Output::new(&markers, &["<tool_call>", "{\"name\""]);
        assert_eq!(bare.push(b"{\"na"), "");
        assert_eq!(bare.push(b"me\": \"clock\""), "");
        assert_eq!(bare.found(), Some(Found::Call));
        let mut brace = Output::new(&markers, &["{\"name\""]);
        assert_eq!(brace.push(b"{\"number\""), "{\"number\"");
    }
}
