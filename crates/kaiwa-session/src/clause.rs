//! Cuts a streamed answer into clauses that can be spoken while the rest is written.
//!
//! The first clause ends early, at the first punctuation after a few words, because the
//! listener waits for it. Later ones end with sentences, so that the voice has a whole
//! sentence to shape. Nothing is cut inside a number, a time or an abbreviation: a mark
//! counts only when what follows it is known.

/// Fewest words of a clause; shorter sentences are spoken with the next one.
const MIN_WORDS: usize = 3;

/// Characters after which the first clause is cut even without punctuation.
const MAX_FIRST_CHARS: usize = 90;

/// Characters after which any clause is cut even without the end of a sentence.
const MAX_CHARS: usize = 240;

/// Words whose full stop ends no sentence, in lower case. Those with inner stops
/// ("e.g.", "p.m.", "U.S.") and initials are recognised by their shape.
const ABBREVIATIONS: &[&str] = &[
    "approx", "apt", "ave", "blvd", "capt", "cf", "co", "col", "corp", "dept", "dr", "est", "etc",
    "fig", "gen", "gov", "hon", "inc", "jr", "lt", "ltd", "mr", "mrs", "ms", "mt", "no", "nos",
    "pp", "prof", "rev", "sen", "sgt", "sr", "st", "vol", "vs",
];

/// A piece of the answer, ready to be read aloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clause {
    /// The text without markdown.
    pub(crate) text: String,
    /// For each byte of `text`, where it stands in the answer (bytes).
    origins: Vec<usize>,
}

impl Clause {
    /// The byte of the answer after the one that `end` bytes of `text` end with.
    pub(crate) fn origin_end(&self, end: usize) -> usize {
        match self.origins.get(..end.min(self.origins.len())) {
            Some([.., last]) => last + 1,
            _ => self.origins.first().copied().unwrap_or(0),
        }
    }
}

/// Collects an answer and gives it back in clauses.
#[derive(Clone, Debug)]
pub(crate) struct ClauseSplitter {
    /// What was written and not given back yet.
    pending: String,
    /// Where `pending` begins in the answer (bytes).
    offset: usize,
    /// Whether `pending` begins a line.
    at_line_start: bool,
    /// Whether no clause was given yet.
    first: bool,
}

impl ClauseSplitter {
    pub(crate) fn new() -> Self {
        Self {
            pending: String::new(),
            offset: 0,
            at_line_start: true,
            first: true,
        }
    }

    /// Appends to the answer and gives the clauses that are complete now.
    pub(crate) fn push(&mut self, text: &str) -> Vec<Clause> {
        self.pending.push_str(text);
        self.take(false)
    }

    /// The answer is complete: gives the rest.
    pub(crate) fn finish(&mut self) -> Vec<Clause> {
        let mut clauses = self.take(true);
        let rest = self.pending.len();
        clauses.extend(self.cut(rest));
        clauses
    }

    fn take(&mut self, complete: bool) -> Vec<Clause> {
        let mut clauses = Vec::new();
        while let Some(end) = self.boundary(complete) {
            clauses.extend(self.cut(end));
        }
        clauses
    }

    /// Where the next clause ends in `pending`.
    fn boundary(&self, complete: bool) -> Option<usize> {
        let limit = if self.first {
            MAX_FIRST_CHARS
        } else {
            MAX_CHARS
        };
        let mut words = WordCount::default();
        let mut last_soft = None;
        let mut last_space = None;

        for (count, (at, character)) in self.pending.char_indices().enumerate() {
            if count >= limit {
                return last_soft.or(last_space).or(Some(at));
            }
            words.push(character);
            let mark = Mark::at(&self.pending, at, complete, self.at_line_start);
            match mark {
                Mark::Sentence { end } if words.reached(MIN_WORDS) => return Some(end),
                Mark::Soft { end } if words.reached(MIN_WORDS) => {
                    if self.first {
                        return Some(end);
                    }
                    last_soft = Some(end);
                }
                // What follows decides, and is not written yet.
                Mark::Unknown => return None,
                Mark::Sentence { .. } | Mark::Soft { .. } | Mark::None => {}
            }
            if character.is_whitespace() && words.any() {
                last_space = Some(at + character.len_utf8());
            }
        }
        None
    }

    /// Takes `end` bytes of `pending` as a clause, unless there is nothing to say in it.
    fn cut(&mut self, end: usize) -> Option<Clause> {
        let raw: String = self.pending.drain(..end).collect();
        let clause = speakable(&raw, self.offset, self.at_line_start);
        self.offset += end;
        if let Some(last) = raw.trim_end_matches([' ', '\t']).chars().next_back() {
            self.at_line_start = last == '\n';
        }
        let spoken = clause.text.chars().any(char::is_alphanumeric);
        self.first &= !spoken;
        spoken.then_some(clause)
    }
}

/// Counts words; two characters of a script without spaces count as one.
#[derive(Default)]
struct WordCount {
    half_words: usize,
    in_word: bool,
}

impl WordCount {
    fn push(&mut self, character: char) {
        if is_ideographic(character) {
            self.half_words += 1;
            self.in_word = false;
        } else if character.is_alphanumeric() {
            if !self.in_word {
                self.half_words += 2;
            }
            self.in_word = true;
        } else if character.is_whitespace() {
            self.in_word = false;
        }
    }

    fn any(&self) -> bool {
        self.half_words > 0
    }

    fn reached(&self, words: usize) -> bool {
        self.half_words >= 2 * words
    }
}

/// What a character means for the cut.
enum Mark {
    /// Nothing.
    None,
    /// A pause inside a sentence; `end` is the byte after it.
    Soft { end: usize },
    /// The end of a sentence; `end` is the byte after it and its closing quotes.
    Sentence { end: usize },
    /// It depends on text that is still to come.
    Unknown,
}

impl Mark {
    fn at(text: &str, at: usize, complete: bool, line_start: bool) -> Self {
        let (before, rest) = text.split_at(at);
        let mut following = rest.chars();
        let Some(character) = following.next() else {
            return Self::None;
        };
        let after = at + character.len_utf8();
        match character {
            '\n' => Self::Sentence { end: after },
            '.' | '!' | '?' | '…' => {
                let tail = following.as_str();
                let closing = tail.len() - tail.trim_start_matches(is_closing).len();
                let end = after + closing;
                let mut next = tail[closing..].chars();
                match next.next() {
                    None if complete => Self::Sentence { end },
                    None => Self::Unknown,
                    Some('\n') => Self::Sentence { end },
                    Some(space) if !space.is_whitespace() => Self::None,
                    Some(_) if character != '.' => Self::Sentence { end },
                    Some(_) => match next.find(|c| !c.is_whitespace()) {
                        None if complete => Self::Sentence { end },
                        None => Self::Unknown,
                        Some(lower) if lower.is_lowercase() => Self::None,
                        Some(_) if is_abbreviation(before, line_start) => Self::None,
                        Some(_) => Self::Sentence { end },
                    },
                }
            }
            '。' | '！' | '？' => {
                let tail = following.as_str();
                let closing = tail.len() - tail.trim_start_matches(is_closing).len();
                if closing == tail.len() && !complete {
                    Self::Unknown
                } else {
                    Self::Sentence {
                        end: after + closing,
                    }
                }
            }
            '、' | '，' | '；' | '：' | '—' => Self::Soft { end: after },
            ',' | ';' | ':' | '–' | '-' => match following.next() {
                None if complete => Self::None,
                None => Self::Unknown,
                Some(next) if !next.is_whitespace() => Self::None,
                // A hyphen is a dash only between spaces, a bullet only at a line's start.
                Some(_) if character == '-' && !before.ends_with(' ') => Self::None,
                Some(_) => Self::Soft { end: after },
            },
            _ => Self::None,
        }
    }
}

/// Whether the full stop after `before` belongs to an abbreviation, an initial or the
/// number of a list.
fn is_abbreviation(before: &str, line_start: bool) -> bool {
    let word_at = before
        .rfind(|c: char| c.is_whitespace() || matches!(c, '(' | '[' | '"' | '“' | '\''))
        .map_or(0, |space| {
            space + before[space..].chars().next().map_or(0, char::len_utf8)
        });
    let word = &before[word_at..];
    let line = before[..word_at].rsplit('\n').next().unwrap_or_default();
    let begins_line = line.trim().is_empty() && (line_start || before[..word_at].contains('\n'));

    let is_list_number = begins_line && word.chars().all(|c| c.is_ascii_digit());
    let is_initial =
        word.chars().count() == 1 && word.chars().all(char::is_uppercase) && word != "I";
    let has_inner_stops = word.contains('.')
        && word
            .split('.')
            .all(|part| part.chars().count() <= 2 && part.chars().all(char::is_alphabetic));
    is_list_number
        || is_initial
        || has_inner_stops
        || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

fn is_closing(character: char) -> bool {
    matches!(
        character,
        '.' | '!'
            | '?'
            | '"'
            | '\''
            | ')'
            | ']'
            | '}'
            | '”'
            | '’'
            | '»'
            | '*'
            | '_'
            | '`'
            | '」'
            | '』'
            | '）'
            | '！'
            | '？'
    )
}

/// Characters of scripts that are written without spaces between words.
fn is_ideographic(character: char) -> bool {
    matches!(u32::from(character),
        0x0E00..=0x0E7F | 0x3040..=0x30FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF)
}

/// Pictographs, which no voice can read.
fn is_pictograph(character: char) -> bool {
    matches!(u32::from(character),
        0x200D | 0x20E3 | 0x2600..=0x27BF | 0x2B00..=0x2BFF | 0xFE0F | 0x1F000..=0x1FAFF)
}

/// The text of `raw` without what must not be spoken: emphasis, headings, bullets, code
/// marks, addresses of links, table bars, pictographs. White space is one space.
fn speakable(raw: &str, offset: usize, line_start: bool) -> Clause {
    let mut clause = Clause {
        text: String::with_capacity(raw.len()),
        origins: Vec::with_capacity(raw.len()),
    };
    let mut line_start = line_start;
    let mut skip_until = 0;
    let mut pending_space = None;

    for (at, character) in raw.char_indices() {
        if at < skip_until {
            continue;
        }
        let previous = raw[..at].chars().next_back();
        let rest = &raw[at + character.len_utf8()..];
        let next = rest.chars().next();
        let glued = |c: Option<char>| c.is_some_and(|c| !c.is_whitespace());
        let spoken = match character {
            '\n' => {
                line_start = true;
                Some(' ')
            }
            '#' | '>' if line_start => None,
            '-' | '*' | '+' | '•' if line_start && !glued(next) => None,
            '*' if glued(previous) || glued(next) => None,
            '_' if previous.is_some_and(char::is_alphanumeric)
                && next.is_some_and(char::is_alphanumeric) =>
            {
                Some(' ')
            }
            '_' | '`' => None,
            '~' if previous == Some('~') || next == Some('~') => None,
            '|' => Some(' '),
            '[' if link_text(rest).is_some() => None,
            ']' if rest.starts_with('(') && raw[..at].contains('[') => match rest.find(')') {
                Some(close) => {
                    skip_until = at + 1 + close + 1;
                    None
                }
                None => Some(']'),
            },
            c if is_pictograph(c) => None,
            c if c.is_whitespace() => Some(' '),
            c => Some(c),
        };
        line_start = match character {
            '\n' => true,
            _ => line_start && (character.is_whitespace() || spoken.is_none()),
        };
        match spoken {
            Some(' ') => pending_space = pending_space.or(Some(at)),
            Some(c) => {
                if let Some(space) = pending_space.take()
                    && !clause.text.is_empty()
                    && !matches!(c, '.' | ',' | '!' | '?' | ';' | ':')
                {
                    clause.text.push(' ');
                    clause.origins.push(offset + space);
                }
                clause.text.push(c);
                clause
                    .origins
                    .extend((at..at + c.len_utf8()).map(|byte| offset + byte));
            }
            None => {}
        }
    }
    clause
}

/// The text of a link whose opening bracket stands before `rest`.
fn link_text(rest: &str) -> Option<&str> {
    let (text, target) = rest.split_once("](")?;
    (target.contains(')') && !text.contains('[')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All clauses of an answer that arrives in pieces of `piece` characters.
    fn clauses(answer: &str, piece: usize) -> Vec<String> {
        let mut splitter = ClauseSplitter::new();
        let characters: Vec<char> = answer.chars().collect();
        let mut all = Vec::new();
        for chunk in characters.chunks(piece) {
            all.extend(splitter.push(&chunk.iter().collect::<String>()));
        }
        all.extend(splitter.finish());
        all.into_iter().map(|clause| clause.text).collect()
    }

    #[track_caller]
    fn check(answer: &str, expected: &[&str]) {
        for piece in [1, 2, 5, 1000] {
            assert_eq!(clauses(answer, piece), expected, "pieces of {piece}");
        }
    }

    #[test]
    fn the_first_clause_ends_at_the_first_pause_and_later_ones_with_sentences() {
        check(
            "Well of course, the sky is blue. That is because of scattering, as you know. Bye!",
            &[
                "Well of course,",
                "the sky is blue.",
                "That is because of scattering, as you know.",
                "Bye!",
            ],
        );
    }

    #[test]
    fn a_word_or_two_are_spoken_with_what_follows() {
        check(
            "Yes, sure. I can do that for you now.",
            &["Yes, sure. I can do that for you now."],
        );
    }

    #[test]
    fn numbers_times_and_abbreviations_stay_whole() {
        check(
            "It costs 3.14 or 1,000 at 10:30 p.m. in the U.S. market. Dr. J. Smith of St. Ives said so, e.g. Monday.",
            &[
                "It costs 3.14 or 1,000 at 10:30 p.m. in the U.S. market.",
                "Dr. J. Smith of St. Ives said so, e.g. Monday.",
            ],
        );
    }

    #[test]
    fn a_number_is_not_cut_where_the_stream_pauses_in_it() {
        let mut splitter = ClauseSplitter::new();
        assert_eq!(splitter.push("The value is 3."), []);
        assert_eq!(splitter.push("14"), []);
        let rest: Vec<_> = splitter.finish().into_iter().map(|c| c.text).collect();
        assert_eq!(rest, ["The value is 3.14"]);
    }

    #[test]
    fn a_clause_leaves_as_soon_as_what_follows_is_known() {
        let mut splitter = ClauseSplitter::new();
        assert_eq!(splitter.push("I think so."), []);
        let now: Vec<_> = splitter.push(" It").into_iter().map(|c| c.text).collect();
        assert_eq!(now, ["I think so."]);
    }

    #[test]
    fn markdown_is_not_spoken() {
        check(
            "## A **bold** plan\n\n- Use `cargo test` _now_\n* See [the book](https://doc.example/a_b)\n1. First thing to do\n",
            &[
                "A bold plan",
                "Use cargo test now",
                "See the book",
                "1. First thing to do",
            ],
        );
        check(
            "Call my_function with 3 * 4 please",
            &["Call my function with 3 * 4 please"],
        );
        check("That is great 😀👍🏽!", &["That is great!"]);
    }

    #[test]
    fn nothing_to_say_gives_no_clause() {
        check("", &[]);
        check(" \n** -- ...\n", &[]);
    }

    #[test]
    fn an_endless_sentence_is_cut_between_words() {
        let answer = "word ".repeat(200);
        for clause in clauses(&answer, 7) {
            assert!(clause.chars().count() <= MAX_CHARS);
            assert!(clause.split(' ').all(|word| word == "word"), "{clause}");
        }
        assert_eq!(clauses(&answer, 7).join(" "), answer.trim_end());
    }

    #[test]
    fn scripts_without_spaces_are_cut_too() {
        check(
            "はい、そうですね。明日は晴れます。",
            &["はい、そうですね。", "明日は晴れます。"],
        );
        let endless = "あ".repeat(700);
        assert_eq!(clauses(&endless, 3).concat(), endless);
    }

    #[test]
    fn clauses_know_where_they_stand_in_the_answer() {
        let answer = "Well **of** course, so it is. And é too.";
        let mut splitter = ClauseSplitter::new();
        let mut all = splitter.push(answer);
        all.extend(splitter.finish());
        let texts: Vec<_> = all.iter().map(|c| c.text.as_str()).collect();
        assert_eq!(texts, ["Well of course,", "so it is.", "And é too."]);
        let end_of = |clause: &Clause, word: &str| {
            let end = clause.text.find(word).expect(word) + word.len();
            &answer[..clause.origin_end(end)]
        };
        assert_eq!(end_of(&all[0], "of"), "Well **of");
        assert_eq!(end_of(&all[1], "is."), "Well **of** course, so it is.");
        assert_eq!(end_of(&all[2], "é"), "Well **of** course, so it is. And é");
        assert_eq!(all[0].origin_end(0), 0);
    }
}
