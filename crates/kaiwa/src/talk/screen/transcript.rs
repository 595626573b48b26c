//! What both sides have said, in order, and what of it was heard.

use std::{cell::RefCell, collections::VecDeque, fmt::Write};

use super::wrap::{Kind, Row, wrap};
use crate::{output::clean, talk::render::cut_in};

/// What stands for speech whose words are not known yet.
const UNKNOWN: &str = "…";
/// What stands for speech whose words will never be known.
const NEVER_KNOWN: &str = "[not transcribed]";

/// Entries that are kept, and printed in the end: an hour's talk. Older ones are forgotten.
const MOST: usize = 1000;
/// How many of them may be what kaiwa says itself: a log that tells everything is not to push
/// out what was said.
const MOST_NOTES: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Assistant,
    Kaiwa,
    You,
}

/// Something that was said.
#[derive(Debug)]
struct Said {
    /// Ascends from entry to entry.
    number: u64,
    who: Who,
    /// `None` for a turn that the server has not named yet, and for what kaiwa says.
    item: Option<String>,
    text: String,
    /// All words are known.
    done: bool,
    state: State,
    /// Its rows, since they were last asked for. Whoever changes the entry takes them away.
    wrapped: RefCell<Option<Wrapped>>,
}

/// The rows of an entry in so many columns.
#[derive(Debug)]
struct Wrapped {
    columns: usize,
    rows: Vec<Row>,
}

/// A row of the transcript, wherever it moves to: an entry, and how many rows of it stand above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    number: u64,
    row: usize,
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
    entries: VecDeque<Said>,
    /// Entries that there have been.
    count: u64,
}

impl Transcript {
    /// The user begins to speak; `item` is what the server calls it, if it does.
    pub(super) fn user_begins(&mut self, item: Option<&str>) {
        if item.is_none_or(|item| self.find(item).is_none()) {
            self.push(Who::You, item.map(str::to_owned));
        }
    }

    /// The session is lost, and with it the words that were to come of what the user said. What
    /// is being said (`speaking`) begins anew in the next session.
    pub(super) fn abandon(&mut self, speaking: bool) {
        if speaking && let Some(last) = self.entries.iter().rposition(Said::is_wordless) {
            self.entries.remove(last);
        }
        for said in self.entries.iter_mut().filter(|said| said.is_wordless()) {
            NEVER_KNOWN.clone_into(&mut said.text);
            said.done = true;
            said.wrapped.take();
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
        match self.entries.back() {
            Some(last) if last.who == Who::Kaiwa && last.text == text => {}
            _ => {
                let said = self.push(Who::Kaiwa, None);
                said.text = text;
                said.done = true;
            }
        }
    }

    /// Something is asked, be it what was said last.
    pub(super) fn ask(&mut self, text: &str) {
        let said = self.push(Who::Kaiwa, None);
        said.text = text.to_owned();
        said.done = true;
    }

    /// The rows in so many columns from the latest note with these words on.
    pub(super) fn rows_since(&self, note: &str, columns: usize) -> Option<usize> {
        let is_it = |said: &Said| said.who == Who::Kaiwa && said.text == note;
        let at = self.entries.iter().rposition(is_it)?;
        Some(self.heights(columns).skip(at).sum())
    }

    /// How many rows the transcript has in so many columns.
    pub(super) fn height(&self, columns: usize) -> usize {
        self.heights(columns).sum()
    }

    /// `height` of its rows, from the row `first` on.
    pub(super) fn rows(&self, columns: usize, first: usize, height: usize) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut above = 0;
        for said in &self.entries {
            let room = height - rows.len();
            if room == 0 {
                break;
            }
            said.with_rows(columns, |its| {
                let skipped = first.saturating_sub(above);
                rows.extend(its.iter().skip(skipped).take(room).cloned());
                above += its.len();
            });
        }
        rows
    }

    /// Where a place is among the rows of so many columns. One that is gone is where what came
    /// after it is.
    pub(super) fn row_of(&self, place: Place, columns: usize) -> usize {
        let entry = self.at_or_after(place.number);
        let above = self.heights(columns).take(entry).sum::<usize>();
        match self.entries.get(entry) {
            Some(said) if said.number == place.number => {
                above + said.with_rows(columns, |rows| place.row.min(rows.len().saturating_sub(1)))
            }
            _ => above,
        }
    }

    /// What stands in a row; `None` below the last one.
    pub(super) fn place_of(&self, row: usize, columns: usize) -> Option<Place> {
        let mut row = row;
        for (said, height) in self.entries.iter().zip(self.heights(columns)) {
            if row < height {
                let number = said.number;
                return Some(Place { number, row });
            }
            row -= height;
        }
        None
    }

    fn heights(&self, columns: usize) -> impl Iterator<Item = usize> {
        let entries = self.entries.iter();
        entries.map(move |said| said.with_rows(columns, <[Row]>::len))
    }

    /// The index of an entry, or of the first after it.
    fn at_or_after(&self, number: u64) -> usize {
        self.entries.partition_point(|said| said.number < number)
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
        match self.entries.iter().rposition(|said| said.is(item)) {
            Some(index) => self.changing(index),
            None => self.push(who, Some(item.to_owned())),
        }
    }

    fn find(&mut self, item: &str) -> Option<&mut Said> {
        let index = self.entries.iter().rposition(|said| said.is(item))?;
        Some(self.changing(index))
    }

    /// An entry that is about to change.
    fn changing(&mut self, index: usize) -> &mut Said {
        let said = &mut self.entries[index];
        said.wrapped.take();
        said
    }

    /// A new entry at the end. The oldest make room for it.
    fn push(&mut self, who: Who, item: Option<String>) -> &mut Said {
        let is_note = |said: &Said| said.who == Who::Kaiwa;
        let notes = self.entries.iter().filter(|said| is_note(said)).count();
        if who == Who::Kaiwa && notes >= MOST_NOTES {
            let oldest = self.entries.iter().position(is_note);
            oldest.and_then(|oldest| self.entries.remove(oldest));
        } else if self.entries.len() >= MOST {
            self.entries.pop_front();
        }
        self.entries.push_back(Said::new(self.count, who, item));
        self.count += 1;
        self.changing(self.entries.len() - 1)
    }
}

impl Said {
    fn new(number: u64, who: Who, item: Option<String>) -> Self {
        Self {
            number,
            who,
            item,
            text: String::new(),
            done: false,
            state: State::Open,
            wrapped: RefCell::default(),
        }
    }

    /// Shows its rows of so many columns, made anew only where they have to be.
    fn with_rows<T>(&self, columns: usize, see: impl FnOnce(&[Row]) -> T) -> T {
        let mut wrapped = self.wrapped.borrow_mut();
        if wrapped.as_ref().is_none_or(|its| its.columns != columns) {
            *wrapped = None;
        }
        see(&wrapped.get_or_insert_with(|| self.wrap(columns)).rows)
    }

    fn wrap(&self, columns: usize) -> Wrapped {
        let mut parts = self.parts();
        // Nothing hangs at the end of an answer that goes on.
        if let Some((_, last)) = parts.last_mut() {
            *last = last.trim_end();
        }
        let mut rows = Vec::new();
        wrap(&parts, columns, &mut rows);
        Wrapped { columns, rows }
    }

    fn is(&self, item: &str) -> bool {
        self.item.as_deref() == Some(item)
    }

    /// Whether it waits for a name from the server.
    fn is_unnamed(&self) -> bool {
        self.who == Who::You && self.item.is_none() && !self.done
    }

    /// Whether it is speech of which no word has come yet.
    fn is_wordless(&self) -> bool {
        self.who == Who::You && self.text.is_empty() && !self.done
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

#[cfg(test)]
#[path = "transcript_tests.rs"]
mod tests;
