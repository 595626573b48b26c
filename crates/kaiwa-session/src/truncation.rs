//! When a conversation outgrows the language model's context: what it is not told any more.
//!
//! The session cannot count tokens. It counts characters, and learns from what engines
//! report how many of them a token is.

use std::collections::BTreeSet;

use kaiwa_protocol::{Item, Truncation};

use crate::{conversation::Entry, prompt};

/// The part of the limit that `auto` keeps: the model's cache of the rest then stays useful
/// for many turns.
const AUTO_RATIO: f64 = 0.5;

/// What happens to a response whose context is too long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Retention {
    /// It fails.
    All,
    /// The oldest items are forgotten.
    Newest {
        /// The part of the limit that is kept, 0.0 to 1.0.
        ratio: f64,
        /// Most tokens after instructions and tools; `None` leaves it to the engine.
        most: Option<u64>,
    },
}

/// How many characters a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    chars: u64,
    tokens: u64,
}

impl Retention {
    pub(crate) fn new(truncation: Option<&Truncation>) -> Self {
        match truncation {
            Some(Truncation::Disabled) => Self::All,
            Some(Truncation::RetentionRatio(retention)) => Self::Newest {
                ratio: retention.retention_ratio.get(),
                most: retention
                    .token_limits
                    .value()
                    .and_then(|limits| limits.post_instructions.copied()),
            },
            None | Some(Truncation::Auto | Truncation::Unknown(_)) => Self::Newest {
                ratio: AUTO_RATIO,
                most: None,
            },
        }
    }
}

impl Default for Scale {
    /// Four characters, as in English.
    fn default() -> Self {
        Self {
            chars: 4,
            tokens: 1,
        }
    }
}

impl Scale {
    /// A prompt of so many characters was so many tokens.
    pub(crate) fn learn(&mut self, chars: u64, tokens: u64) {
        if chars > 0 && tokens > 0 {
            *self = Self { chars, tokens };
        }
    }

    /// The tokens of so many characters, rounded up.
    pub(crate) fn tokens(self, chars: u64) -> u64 {
        chars.saturating_mul(self.tokens).div_ceil(self.chars)
    }

    /// The characters of so many tokens.
    pub(crate) fn chars(self, tokens: u64) -> u64 {
        tokens.saturating_mul(self.chars) / self.tokens
    }
}

/// A part of a limit, rounded down.
pub(crate) fn part(ratio: f64, of: u64) -> u64 {
    // Limits are far below 2^53, and the ratio is within 0.0 to 1.0.
    (ratio * of as f64) as u64
}

/// Characters of what the language model is told of these entries.
pub(crate) fn told_chars<'a>(entries: impl Iterator<Item = &'a Entry>) -> u64 {
    let told = entries.filter(|entry| !entry.forgotten && !entry.in_progress());
    prompt::chars(&prompt::messages("", told))
}

/// Least characters that are told of a tool's output.
const LEAST_OUTPUT: u64 = 400;

/// Leaves out of the context what does not fit: abridges outputs of tools that take more than
/// half of it, forgets the oldest entries, and abridges what must stay, until at most `keep`
/// characters are told, or as few as there can be. `false` when nothing can be left out.
pub(crate) fn make_room(entries: &mut [&mut Entry], keep: u64) -> bool {
    let before = told_chars(entries.iter().map(|entry| &**entry));
    // One large result is no reason to forget what was asked.
    let told = abridge(entries, keep, keep / 2);
    if told < before && told <= keep {
        return true;
    }
    forget(entries, keep) | (abridge(entries, keep, 0) < before)
}

/// Abridges outputs of tools to `least` characters at the least, the longest first. Gives the
/// characters that are told then.
fn abridge(entries: &mut [&mut Entry], keep: u64, least: u64) -> u64 {
    let least = least.max(LEAST_OUTPUT);
    loop {
        let told = told_chars(entries.iter().map(|entry| &**entry));
        let excess = told.saturating_sub(keep);
        let outputs = entries
            .iter_mut()
            .filter(|entry| !entry.forgotten && !entry.in_progress());
        let longest = outputs
            .filter_map(|entry| Some((prompt::output_chars(entry)?, entry)))
            // The sentence about what is left out takes some, too.
            .filter(|(chars, _)| *chars > least + prompt::ABRIDGED_CHARS)
            .max_by_key(|(chars, _)| *chars);
        let Some((chars, entry)) = longest.filter(|_| excess > 0) else {
            return told;
        };
        let most = chars.saturating_sub(excess + prompt::ABRIDGED_CHARS);
        entry.abridged = Some(most.max(least));
    }
}

/// Forgets the oldest entries until at most `keep` characters are told; at least one, and
/// never the newest nor the call it answers. `false` when there is nothing to forget.
pub(crate) fn forget(entries: &mut [&mut Entry], keep: u64) -> bool {
    let is_told = |entry: &Entry| !entry.forgotten && !entry.in_progress();
    let Some(newest) = entries.iter().rposition(|entry| is_told(entry)) else {
        return false;
    };
    let answered = output_call(entries[newest]).map(str::to_owned);
    let mut told = told_chars(entries.iter().map(|entry| &**entry));
    let mut forgotten_calls = BTreeSet::new();
    let mut any = false;
    for entry in &mut entries[..newest] {
        let call = made_call(entry);
        if !is_told(entry) || call.is_some() && call == answered.as_deref() {
            continue;
        }
        if any && told <= keep {
            break;
        }
        told = told.saturating_sub(prompt::entry_chars(entry));
        forgotten_calls.extend(made_call(entry).map(str::to_owned));
        entry.forgotten = true;
        any = true;
    }
    // The output of a forgotten call would answer nothing.
    for entry in entries.iter_mut() {
        if output_call(entry).is_some_and(|call| forgotten_calls.contains(call)) {
            entry.forgotten = true;
        }
    }
    any
}

fn made_call(entry: &Entry) -> Option<&str> {
    match &entry.item {
        Item::FunctionCall(call) => call.call_id.as_deref(),
        _ => None,
    }
}

fn output_call(entry: &Entry) -> Option<&str> {
    match &entry.item {
        Item::FunctionCallOutput(output) => Some(&output.call_id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use kaiwa_protocol::FunctionCall;

    use super::*;

    fn said(text: &str) -> Entry {
        Entry::plain(Item::user_text(text))
    }

    fn call(call_id: &str) -> Entry {
        Entry::plain(Item::FunctionCall(FunctionCall {
            call_id: call_id.into(),
            name: "f".to_owned(),
            arguments: "{}".to_owned(),
            ..FunctionCall::default()
        }))
    }

    fn output(call_id: &str) -> Entry {
        Entry::plain(Item::function_output(call_id, "done"))
    }

    fn forget(entries: &mut [Entry], keep: u64) -> bool {
        let mut entries: Vec<_> = entries.iter_mut().collect();
        super::forget(&mut entries, keep)
    }

    #[test]
    fn a_result_that_is_too_long_is_abridged_and_not_forgotten() {
        let result = |chars: usize| Entry::plain(Item::function_output("c", "é".repeat(chars)));
        let make_room = |entries: &mut [Entry], keep| {
            let mut entries: Vec<_> = entries.iter_mut().collect();
            make_room(&mut entries, keep)
        };
        let mut entries = vec![said("a"), call("c"), result(10_000)];
        assert!(make_room(&mut entries, 2000));
        assert_eq!(told(&entries), [0, 1, 2]);
        let chars = told_chars(entries.iter());
        assert!((1900..=2000).contains(&chars), "{chars}");
        let told_of_it = prompt::messages("", entries.iter()).pop().expect("it");
        assert!(
            told_of_it.text.starts_with("éé") && told_of_it.text.ends_with("were left out.]"),
            "{}",
            told_of_it.text
        );
        // Less than something is never told, and then there is nothing more to be done.
        assert!(make_room(&mut entries, 0));
        assert_eq!(told(&entries), [1, 2]);
        assert_eq!(entries[2].abridged, Some(LEAST_OUTPUT));
        assert!(!make_room(&mut entries, 0));
    }

    #[test]
    fn results_of_a_size_are_forgotten_before_they_are_abridged() {
        let result = |id: &str| Entry::plain(Item::function_output(id, "x".repeat(900)));
        let mut entries = vec![call("a"), result("a"), call("b"), result("b"), said("c")];
        let mut lent: Vec<_> = entries.iter_mut().collect();
        assert!(make_room(&mut lent, 1900));
        assert_eq!(told(&entries), [2, 3, 4]);
        assert!(entries.iter().all(|entry| entry.abridged.is_none()));
    }

    #[test]
    fn what_fits_is_told_whole() {
        let mut entries = [said("a"), call("c"), output("c")];
        let mut lent: Vec<_> = entries.iter_mut().collect();
        assert!(make_room(&mut lent, 10_000));
        assert_eq!(entries[2].abridged, None);
    }

    fn told(entries: &[Entry]) -> Vec<usize> {
        let told = |(at, entry): (usize, &Entry)| (!entry.forgotten).then_some(at);
        entries.iter().enumerate().filter_map(told).collect()
    }

    #[test]
    fn the_scale_is_four_characters_until_an_engine_counts() {
        let mut scale = Scale::default();
        assert_eq!((scale.tokens(9), scale.chars(10)), (3, 40));
        scale.learn(300, 100);
        assert_eq!((scale.tokens(10), scale.chars(10)), (4, 30));
        scale.learn(0, 100);
        scale.learn(100, 0);
        assert_eq!(scale.chars(10), 30);
    }

    #[test]
    fn whole_items_go_oldest_first_until_the_rest_fits() {
        let one = told_chars(std::iter::once(&said("ten chars.")));
        for (keep, left) in [
            (4 * one, vec![1, 2, 3, 4]),
            (3 * one, vec![2, 3, 4]),
            (3 * one - 1, vec![3, 4]),
            (one, vec![4]),
            (0, vec![4]),
            // At least one goes, or the next try would be the same.
            (100 * one, vec![1, 2, 3, 4]),
        ] {
            let mut entries: Vec<_> = (0..5).map(|_| said("ten chars.")).collect();
            assert!(forget(&mut entries, keep));
            assert_eq!(told(&entries), left, "{keep}");
        }
    }

    #[test]
    fn the_newest_item_is_never_forgotten() {
        let mut entries = vec![said("a")];
        assert!(!forget(&mut entries, 0));
        assert_eq!(told(&entries), [0]);
        assert!(!forget(&mut [], 0));
    }

    #[test]
    fn outputs_go_with_their_calls_and_an_answered_call_stays() {
        let mut entries = vec![said("a"), call("c"), said("b"), output("c"), said("d")];
        assert!(forget(&mut entries, 0));
        assert_eq!(told(&entries), [4]);
        let mut entries = vec![said("a"), call("c"), call("d"), output("c"), output("d")];
        assert!(forget(&mut entries, 0));
        assert_eq!(told(&entries), [2, 4]);
    }
}
