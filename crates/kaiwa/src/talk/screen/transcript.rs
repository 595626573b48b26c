//! What both sides have said, in order, and what of it was heard.

use std::fmt::Write;

use super::wrap::{Kind, Row, wrap};
use crate::talk::render::cut_in;

/// What stands for speech whose words are not known yet.
const UNKNOWN: &str = "…";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Assistant,
    Kaiwa,
    You,
}

/// Something that was said.
#[derive(Debug)]
struct Said {
    who: Who,
    /// `None` for a turn that the server has not named yet, and for what kaiwa says.
    item: Option<String>,
    text: String,
    /// All words are known.
    done: bool,
    state: State,
}

/// How far the sound of an item has come.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// It was interrupted after so many milliseconds; these words were heard.
    Cut { ms: u64, heard: String },
    /// It comes, or is played.
    Open,
    /// It was played to its end.
    Played,
}

/// The transcript. Speech stands where it began, although its words may come later.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    entries: Vec<Said>,
}

impl Transcript {
    /// The user begins to speak; `item` is what the server calls it, if it does.
    pub(super) fn user_begins(&mut self, item: Option<&str>) {
        if item.is_none_or(|item| self.find(item).is_none()) {
            let item = item.map(str::to_owned);
            self.entries.push(Said::new(Who::You, item));
        }
    }

    /// A turn that the server has not named will have no name.
    pub(super) fn forget_unnamed(&mut self) {
        self.entries.retain(|said| !said.is_unnamed());
    }

    /// More of what the user said.
    pub(super) fn user_delta(&mut self, item: &str, text: &str) {
        self.spoken(item).text.push_str(&clean(text));
    }

    /// All of what the user said. Of what was nothing, nothing stays.
    pub(super) fn user_done(&mut self, item: &str, text: &str) {
        let said = self.spoken(item);
        said.text = clean(text);
        said.done = true;
        if text.trim().is_empty() {
            self.entries.retain(|said| !said.is(item));
        }
    }

    /// What the user typed.
    pub(super) fn user_typed(&mut self, item: &str, text: &str) {
        let said = self.said(Who::You, item);
        said.text = clean(text);
        said.done = true;
    }

    /// More of what the assistant says.
    pub(super) fn assistant_delta(&mut self, item: &str, text: &str) {
        self.said(Who::Assistant, item).text.push_str(&clean(text));
    }

    /// All of what the assistant says in an item.
    pub(super) fn assistant_done(&mut self, item: &str, text: &str) {
        if text.trim().is_empty() && self.find(item).is_none() {
            return;
        }
        let said = self.said(Who::Assistant, item);
        said.text = clean(text);
        said.done = true;
    }

    /// An item was interrupted, and so much of it heard.
    pub(super) fn cut(&mut self, item: &str, ms: u64, heard: &str) {
        self.said(Who::Assistant, item).state = State::Cut {
            ms,
            heard: clean(heard),
        };
    }

    /// An item was played to its end.
    pub(super) fn played(&mut self, item: &str) {
        if let Some(said) = self.find(item)
            && said.state == State::Open
        {
            said.state = State::Played;
        }
    }

    /// Nothing of what waits to be played will be: the response was cancelled before it was
    /// audible.
    pub(super) fn never_heard(&mut self, item: &str) {
        if let Some(said) = self.find(item)
            && said.state == State::Open
        {
            said.state = State::Cut {
                ms: 0,
                heard: String::new(),
            };
        }
    }

    /// Whether the assistant has more to say after this item.
    pub(super) fn is_unplayed_after(&self, item: &str) -> bool {
        self.entries
            .iter()
            .rev()
            .take_while(|said| !said.is(item))
            .any(|said| said.who == Who::Assistant && said.state == State::Open)
    }

    /// Something that kaiwa says itself. What it has just said it does not repeat.
    pub(super) fn note(&mut self, text: &str) {
        let text = clean(text);
        match self.entries.last() {
            Some(last) if last.who == Who::Kaiwa && last.text == text => {}
            _ => self.entries.push(Said {
                text,
                done: true,
                ..Said::new(Who::Kaiwa, None)
            }),
        }
    }

    /// The transcript in rows of so many columns.
    pub(super) fn rows(&self, columns: usize) -> Vec<Row> {
        let mut rows = Vec::new();
        for said in &self.entries {
            let mut parts = said.parts();
            // Nothing hangs at the end of an answer that goes on.
            if let Some((_, last)) = parts.last_mut() {
                *last = last.trim_end();
            }
            wrap(&parts, columns, &mut rows);
        }
        rows
    }

    /// The transcript as `kaiwa talk` prints it where there is no screen.
    pub(super) fn plain(&self) -> String {
        let mut lines = String::new();
        let mut line = |text: std::fmt::Arguments<'_>| {
            // A string takes everything.
            writeln!(lines, "{text}").ok();
        };
        for said in &self.entries {
            let text = said.text.trim();
            match (said.who, text.is_empty()) {
                (_, true) => {}
                (Who::Assistant, false) => line(format_args!("assistant: {text}")),
                (Who::Kaiwa, false) => line(format_args!("  [{text}]")),
                (Who::You, false) => line(format_args!("you: {text}")),
            }
            if let State::Cut { ms, heard } = &said.state {
                line(format_args!("{}", cut_in(*ms, heard)));
            }
        }
        lines
    }

    /// The entry of something the user said. A turn that has no name yet takes the first one
    /// that comes.
    fn spoken(&mut self, item: &str) -> &mut Said {
        if self.find(item).is_none()
            && let Some(said) = self.entries.iter_mut().find(|said| said.is_unnamed())
        {
            said.item = Some(item.to_owned());
        }
        self.said(Who::You, item)
    }

    /// The entry of an item, made where there is none.
    fn said(&mut self, who: Who, item: &str) -> &mut Said {
        let found = self.entries.iter().rposition(|said| said.is(item));
        let index = found.unwrap_or(self.entries.len());
        if found.is_none() {
            self.entries.push(Said::new(who, Some(item.to_owned())));
        }
        &mut self.entries[index]
    }

    fn find(&mut self, item: &str) -> Option<&mut Said> {
        self.entries.iter_mut().rev().find(|said| said.is(item))
    }
}

impl Said {
    fn new(who: Who, item: Option<String>) -> Self {
        Self {
            who,
            item,
            text: String::new(),
            done: false,
            state: State::Open,
        }
    }

    fn is(&self, item: &str) -> bool {
        self.item.as_deref() == Some(item)
    }

    fn is_unnamed(&self) -> bool {
        self.who == Who::You && self.item.is_none()
    }

    fn parts(&self) -> Vec<(Kind, &str)> {
        let (kind, name) = match self.who {
            Who::Assistant => (Kind::Assistant, "assistant: "),
            Who::Kaiwa => return vec![(Kind::Note, "* "), (Kind::Note, &self.text)],
            Who::You => (Kind::You, "you: "),
        };
        let mut parts = vec![(kind, name)];
        let text = self.text.trim_start();
        match &self.state {
            State::Cut { heard, .. } => {
                let heard = heard.trim();
                // The server may have another text by now; what was heard stays heard.
                let rest = text.strip_prefix(heard).unwrap_or_default().trim();
                if !heard.is_empty() {
                    parts.push((Kind::Heard, heard));
                }
                if !rest.is_empty() {
                    let open = if heard.is_empty() {
                        "[not heard: "
                    } else {
                        " [not heard: "
                    };
                    parts.extend([
                        (Kind::Unheard, open),
                        (Kind::Unheard, rest),
                        (Kind::Unheard, "]"),
                    ]);
                } else if heard.is_empty() {
                    parts.push((Kind::Unheard, "[not heard]"));
                }
            }
            State::Open | State::Played if text.is_empty() && !self.done => {
                parts.push((Kind::Heard, UNKNOWN));
            }
            State::Open | State::Played => parts.push((Kind::Heard, text)),
        }
        parts
    }
}

/// Text from outside without what would move a terminal's cursor.
fn clean(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\n' => '\n',
            control if control.is_control() => ' ',
            character => character,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(transcript: &Transcript) -> Vec<String> {
        let rows = transcript.rows(200);
        rows.iter()
            .map(|row| row.0.iter().map(|(_, text)| text.as_str()).collect())
            .collect()
    }

    #[test]
    fn speech_stands_where_it_began_although_its_words_come_later() {
        let mut transcript = Transcript::default();
        transcript.user_begins(Some("u"));
        transcript.assistant_delta("a", " Paris");
        assert_eq!(shown(&transcript), ["you: …", "assistant: Paris"]);
        transcript.user_delta("u", "The capital");
        transcript.user_done("u", "The capital of France?");
        transcript.assistant_done("a", " Paris. ");
        assert_eq!(
            shown(&transcript),
            ["you: The capital of France?", "assistant: Paris."]
        );
        assert_eq!(
            transcript.plain(),
            "you: The capital of France?\nassistant: Paris.\n"
        );
    }

    #[test]
    fn a_turn_that_has_no_name_takes_the_first_that_comes() {
        let mut transcript = Transcript::default();
        transcript.user_begins(None);
        transcript.assistant_delta("a", "Paris.");
        // What is typed has its name from the beginning.
        transcript.user_typed("t", "Why?");
        transcript.user_done("u", "France?");
        let all = ["you: France?", "assistant: Paris.", "you: Why?"];
        assert_eq!(shown(&transcript), all);
        transcript.user_begins(None);
        transcript.user_begins(Some("u"));
        transcript.forget_unnamed();
        assert_eq!(shown(&transcript), all);
    }

    #[test]
    fn of_a_turn_without_words_nothing_stays() {
        let mut transcript = Transcript::default();
        transcript.user_begins(Some("u"));
        transcript.user_done("u", " ");
        transcript.assistant_done("a", "");
        assert!(shown(&transcript).is_empty());
        assert_eq!(transcript.plain(), "");
    }

    #[test]
    fn what_was_not_heard_is_marked_in_words() {
        let mut transcript = Transcript::default();
        transcript.assistant_delta("a", " It lies on the Seine");
        transcript.cut("a", 400, " It lies");
        // The rest of the text may come after the interruption.
        transcript.assistant_done("a", " It lies on the Seine.");
        assert_eq!(
            shown(&transcript),
            ["assistant: It lies [not heard: on the Seine.]"]
        );
        transcript.assistant_delta("b", "Well");
        transcript.never_heard("b");
        transcript.never_heard("a");
        assert_eq!(shown(&transcript)[1], "assistant: [not heard: Well]");
        transcript.cut("c", 0, "");
        assert_eq!(shown(&transcript)[2], "assistant: [not heard]");
        assert!(
            transcript.plain().starts_with(
                "assistant: It lies on the Seine.\n  [you cut in after 0.4 s; heard: \"It lies\"]\n"
            ),
            "{}",
            transcript.plain()
        );
    }

    #[test]
    fn an_item_that_was_heard_whole_has_no_mark() {
        let mut transcript = Transcript::default();
        transcript.assistant_delta("a", "Yes.");
        transcript.played("a");
        assert!(!transcript.is_unplayed_after("a"));
        transcript.never_heard("a");
        transcript.played("unknown");
        assert_eq!(shown(&transcript), ["assistant: Yes."]);
    }

    #[test]
    fn nothing_from_outside_steers_the_terminal() {
        let mut transcript = Transcript::default();
        transcript.assistant_delta("a", "one\u{1b}[2Jtwo\u{9b}31m");
        transcript.user_done("u", "three\u{7}");
        transcript.note("four\r\tfive");
        for shown in [shown(&transcript).concat(), transcript.plain()] {
            assert!(
                !shown.replace('\n', "").contains(char::is_control),
                "{shown:?}"
            );
        }
    }

    #[test]
    fn the_assistant_goes_on_with_its_next_item() {
        let mut transcript = Transcript::default();
        // It was written, and is never played.
        transcript.assistant_delta("text", "1.");
        transcript.assistant_delta("a", "Two.");
        transcript.assistant_delta("b", "Three.");
        transcript.played("a");
        assert!(transcript.is_unplayed_after("a"));
        transcript.played("b");
        assert!(!transcript.is_unplayed_after("b"));
    }

    #[test]
    fn a_note_is_not_repeated() {
        let mut transcript = Transcript::default();
        transcript.note("The microphone is gone.");
        transcript.note("The microphone is gone.");
        assert_eq!(shown(&transcript), ["* The microphone is gone."]);
    }
}
