//! What the assistant says, item by item, and about how much of it was heard.

use std::collections::HashMap;

/// The texts of the items that are being said.
#[derive(Debug, Default)]
pub(super) struct Transcripts {
    texts: HashMap<String, String>,
}

impl Transcripts {
    /// More of an item's text.
    pub(super) fn push(&mut self, item: &str, delta: &str) {
        self.texts
            .entry(item.to_owned())
            .or_default()
            .push_str(delta);
    }

    /// All of an item's text.
    pub(super) fn set(&mut self, item: &str, text: &str) {
        text.clone_into(self.texts.entry(item.to_owned()).or_default());
    }

    /// About what was heard of an item: its words in proportion to its sound. A word
    /// counts when it ends within what was played.
    pub(super) fn heard(&self, item: &str, played_ms: u64, received_ms: u64) -> String {
        let text = self.texts.get(item).map_or("", String::as_str);
        if played_ms >= received_ms {
            return if received_ms == 0 {
                String::new()
            } else {
                text.to_owned()
            };
        }
        let limit = (text.chars().count() as u64 * played_ms / received_ms) as usize;
        let mut end = 0;
        for (count, (at, character)) in text.char_indices().enumerate() {
            if count > limit {
                break;
            }
            if character.is_whitespace() {
                end = at;
            }
        }
        text[..end].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_heard_in_proportion_to_the_sound() {
        let mut transcripts = Transcripts::default();
        transcripts.push("a", "one two ");
        transcripts.push("a", "three four");
        for (played, heard) in [
            (0, ""),
            (160, ""),
            (170, "one"),
            (500, "one two"),
            (999, "one two three"),
            (1000, "one two three four"),
        ] {
            assert_eq!(transcripts.heard("a", played, 1000), heard, "{played} ms");
        }
        assert_eq!(transcripts.heard("a", 0, 0), "");
        assert_eq!(transcripts.heard("unknown", 10, 20), "");
    }
}
