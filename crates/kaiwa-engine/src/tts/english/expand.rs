//! One chunk of text as the words somebody would read aloud.

use super::{
    amounts::{currency, ends_with_digit, numeric_start, unit},
    chunk::{Part, Reading, Word},
    numbers, tables,
};

/// What stands around a chunk.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Context<'a> {
    /// The chunk before, without its punctuation; empty at the start.
    pub(super) before: &'a str,
    /// The chunk after, without its punctuation; empty at the end.
    pub(super) after: &'a str,
    /// Whether a period follows directly.
    pub(super) period: bool,
    /// Whether the chunk stands in parentheses.
    pub(super) in_parentheses: bool,
}

/// The words of a chunk.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Expansion {
    pub(super) parts: Vec<Part>,
    /// Set when the period that follows belongs to an abbreviation.
    pub(super) period: Option<Period>,
}

/// What the period of an abbreviation can be besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Period {
    /// The end of a sentence when a capital follows.
    MayEnd,
    /// Nothing.
    Never,
}

/// Longest address that is spelled out; what is longer is cut at its path.
const LONGEST_ADDRESS: usize = 60;

/// Reads `core`, a chunk without the punctuation around it.
pub(super) fn expand(core: &str, context: &Context<'_>) -> Expansion {
    let mut reader = Reader::default();
    let period = reader.abbreviation(core, context);
    if period.is_none() && !reader.phrase(core) && !reader.address(core) {
        reader.amount_word(core, context);
        if reader.parts.is_empty() {
            reader.token(core, context);
        }
    }
    Expansion {
        parts: reader.parts,
        period,
    }
}

/// Collects the words of a chunk.
#[derive(Default)]
pub(super) struct Reader {
    parts: Vec<Part>,
}

impl Reader {
    pub(super) fn word(&mut self, text: &str) {
        self.push(text, Reading::Word);
    }

    pub(super) fn number<S: AsRef<str>>(&mut self, words: impl IntoIterator<Item = S>) {
        for word in words {
            self.push(word.as_ref(), Reading::Number);
        }
    }

    /// Words of a table's entry.
    pub(super) fn words(&mut self, phrase: &str) {
        for word in phrase.split(' ') {
            let reading = match word {
                "C" | "F" => Reading::Letters,
                _ => Reading::Word,
            };
            self.push(word, reading);
        }
    }

    pub(super) fn push(&mut self, text: &str, reading: Reading) {
        self.parts.push(Part::Word(Word {
            text: text.to_owned(),
            reading,
        }));
    }

    pub(super) fn pause(&mut self, mark: char) {
        self.parts.push(Part::Punctuation(mark));
    }

    /// Forms that own the period after them.
    fn abbreviation(&mut self, core: &str, context: &Context<'_>) -> Option<Period> {
        if !context.period {
            return None;
        }
        let find = |table: &[(&str, &'static str)]| {
            table
                .iter()
                .find(|(written, _)| *written == core)
                .map(|(_, spoken)| *spoken)
        };
        let capital = context.after.starts_with(char::is_uppercase);
        let digit = context.after.starts_with(|c: char| c.is_ascii_digit());
        if capital && core == "St" && !context.before.starts_with(char::is_uppercase) {
            self.word("Saint");
            return Some(Period::Never);
        }
        if capital && let Some(title) = find(&tables::TITLES) {
            self.word(title);
            return Some(Period::Never);
        }
        if matches!(core, "Mr" | "Mrs" | "Ms" | "Dr" | "Prof") && !context.after.is_empty() {
            self.words(find(&tables::TITLES)?);
            return Some(Period::Never);
        }
        if digit && matches!(core, "No" | "no" | "Nos" | "nos") {
            self.word(if core.len() == 2 { "number" } else { "numbers" });
            return Some(Period::Never);
        }
        if digit && matches!(core, "p" | "ch" | "sec" | "eq") {
            self.word(match core {
                "p" => "page",
                "ch" => "chapter",
                "sec" => "section",
                _ => "equation",
            });
            return Some(Period::Never);
        }
        if let Some(spoken) = find(&tables::PHRASES).filter(|_| core.contains('.') || core == "vs")
        {
            self.words(spoken);
            return Some(Period::Never);
        }
        if let Some(spoken) = find(&tables::ABBREVIATIONS) {
            self.words(spoken);
            return Some(Period::MayEnd);
        }
        if ends_with_digit(context.before)
            && let Some(unit) = unit(core, context.before)
            && core.len() > 1
        {
            self.words(unit);
            return Some(Period::MayEnd);
        }
        let letters = initials(core)?;
        self.push(&letters, Reading::Letters);
        Some(match letters.as_str() {
            // J. Smith; but "Plan B. Then".
            _ if letters.len() == 1 => Period::Never,
            "AM" | "PM" => Period::MayEnd,
            _ if context.after.is_empty() => Period::MayEnd,
            _ => Period::Never,
        })
    }

    /// Forms that stand for other words with or without a period.
    fn phrase(&mut self, core: &str) -> bool {
        let found = tables::PHRASES.iter().find(|(written, _)| *written == core);
        if let Some((_, spoken)) = found {
            self.words(spoken);
        }
        found.is_some()
    }

    /// Web and mail addresses.
    fn address(&mut self, core: &str) -> bool {
        let bare = ["https://", "http://", "ftp://"]
            .iter()
            .find_map(|scheme| core.strip_prefix(scheme));
        let host = bare.unwrap_or(core);
        let host = host.strip_prefix("www.").unwrap_or(host);
        let domain = host.split(['/', '?', '#', ':']).next().unwrap_or_default();
        let named = domain.rsplit_once('.').is_some_and(|(name, top)| {
            let top = top.to_ascii_lowercase();
            !name.is_empty()
                && name.bytes().any(|b| b.is_ascii_alphabetic())
                && [
                    "com", "org", "net", "edu", "gov", "io", "co", "uk", "de", "fr", "info", "biz",
                    "us", "ca", "au", "tv", "me", "ai", "dev", "app", "jp", "eu", "rs", "py", "js",
                    "ts", "html", "md", "txt", "json", "toml",
                ]
                .contains(&top.as_str())
        });
        if bare.is_none() && !core.starts_with("www.") && !named {
            return false;
        }
        let spoken = host.split(['?', '#']).next().unwrap_or_default();
        let spoken = spoken.trim_end_matches('/');
        let spoken = if spoken.len() > LONGEST_ADDRESS {
            domain
        } else {
            spoken
        };
        for run in runs(spoken) {
            match run {
                Run::Digits(digits) => self.number(numbers::spell(digits)),
                Run::Letters(letters) => self.word(letters),
                Run::Other(other) => {
                    for c in other.chars() {
                        match c {
                            '.' => self.word("dot"),
                            '/' => self.word("slash"),
                            '@' => self.word("at"),
                            '-' => self.word("dash"),
                            '_' => self.word("underscore"),
                            ':' => self.word("colon"),
                            '+' => self.word("plus"),
                            _ => {}
                        }
                    }
                }
            }
        }
        true
    }

    /// What follows an amount: "million" after "$3.5", "km" after "5", "€" after "20".
    fn amount_word(&mut self, core: &str, context: &Context<'_>) {
        if !ends_with_digit(context.before) {
            return;
        }
        if tables::SCALE_WORDS.contains(&core) {
            self.word(core);
            if let Some(currency) = context.before.chars().next().and_then(currency) {
                self.word(currency.2);
            }
        } else if let Some(unit) = unit(core, context.before) {
            self.words(unit);
        }
    }

    /// Anything else: a number in one of its forms, or words with symbols between them.
    fn token(&mut self, core: &str, context: &Context<'_>) {
        if self.numeric(core, context) {
            return;
        }
        if let Some(tag) = core.strip_prefix('#') {
            let digit = tag.starts_with(|c: char| c.is_ascii_digit());
            self.word(if digit { "number" } else { "hashtag" });
            return self.token(tag, context);
        }
        if let Some(rest) = core.strip_prefix('~') {
            self.word("about");
            return self.token(rest, context);
        }
        // A range of amounts: 10-20, 2:30–3:30, $5-$10.
        if let Some((from, to)) = core.split_once(['-', '–'])
            && numeric_start(from)
            && numeric_start(to)
        {
            if core.split(['-', '–']).count() == 2 {
                self.token(from, context);
                self.word("to");
                return self.token(to, context);
            }
            // More than two: a code.
            for group in core.split(['-', '–']) {
                self.pieces(group);
                self.pause(',');
            }
            self.parts.pop();
            return;
        }
        if self.roman(core, context) {
            return;
        }
        if let Some(letters) = core.contains('.').then(|| initials(core)).flatten() {
            return self.push(&letters, Reading::Letters);
        }
        self.pieces(core);
    }

    /// Words, numbers and the symbols between them, each for itself.
    fn pieces(&mut self, core: &str) {
        let mut last = None;
        let mut runs = runs(core).into_iter().peekable();
        while let Some(run) = runs.next() {
            match run {
                Run::Digits(digits) => {
                    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
                    if fraction.is_empty() {
                        self.integer(whole);
                    } else {
                        self.number(numbers::decimal(whole, fraction));
                    }
                }
                Run::Letters(letters) => self.letters(letters, last),
                Run::Other(other) => {
                    let at_end = runs.peek().is_none();
                    self.between(other, last.is_none() || at_end);
                }
            }
            last = Some(run);
        }
    }

    /// A run of letters, apostrophes and hyphens.
    fn letters(&mut self, letters: &str, before: Option<Run<'_>>) {
        // A dash of typewriters joins what are separate words.
        if let Some((left, right)) = letters.split_once("--") {
            self.letters(left, before);
            self.pause('—');
            return self.letters(right.trim_start_matches('-'), None);
        }
        let word = letters.trim_matches('-');
        let alone = word.chars().count() == 1;
        if alone && matches!(before, Some(Run::Digits(_))) {
            // 4o, 3D
            self.push(word, Reading::Letters);
        } else if word.chars().any(char::is_alphabetic) {
            self.word(word);
        }
    }

    /// What stands between words without a space.
    fn between(&mut self, other: &str, at_border: bool) {
        for c in other.chars() {
            match c {
                '—' | '–' | '…' if !at_border => {
                    self.pause(if c == '…' { '…' } else { '—' })
                }
                ',' | ';' | ':' | '!' | '?' | '(' | ')' if !at_border => self.pause(','),
                '^' => self.words("to the power of"),
                '_' | '/' | '\\' | '.' | '-' => {}
                _ => {
                    if let Some(spoken) = tables::symbol(c) {
                        self.words(spoken);
                    }
                }
            }
        }
    }

    fn roman(&mut self, core: &str, context: &Context<'_>) -> bool {
        let before = context.before.to_lowercase();
        let counted = tables::COUNTED.contains(&before.as_str());
        let regnal = tables::REGNAL.contains(&before.as_str());
        if !(counted || regnal && core != "I") {
            return false;
        }
        let Some(value) = numbers::roman(core).filter(|value| *value < 100) else {
            return false;
        };
        let digits = value.to_string();
        if counted {
            self.number(numbers::cardinal(&digits));
        } else {
            self.word("the");
            self.number(numbers::ordinal(&digits));
        }
        true
    }
}

/// A stretch of one kind of character.
#[derive(Clone, Copy)]
enum Run<'a> {
    /// ASCII digits with a period or commas of thousands between them.
    Digits(&'a str),
    /// Letters with apostrophes and hyphens between them.
    Letters(&'a str),
    Other(&'a str),
}

fn runs(text: &str) -> Vec<Run<'_>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Digits,
        Letters,
        Other,
    }
    let mut runs = Vec::new();
    let mut start = 0;
    let mut current = None;
    let mut chars = text.char_indices().peekable();
    let mut flush = |kind: Option<Kind>, piece| match kind {
        Some(Kind::Digits) => runs.push(Run::Digits(piece)),
        Some(Kind::Letters) => runs.push(Run::Letters(piece)),
        Some(Kind::Other) => runs.push(Run::Other(piece)),
        None => {}
    };
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let point = c == '.'
            && current == Some(Kind::Digits)
            && next.is_some_and(|c| c.is_ascii_digit())
            && !text[start..at].contains('.');
        let kind = if c.is_ascii_digit() || point {
            Kind::Digits
        } else if c.is_alphabetic()
            || current == Some(Kind::Letters)
                && (c == '\'' || c == '-')
                && next.is_some_and(|c| c.is_alphabetic() || c == '-')
            || c == '\'' && (at == 0 || next.is_none())
        {
            Kind::Letters
        } else {
            Kind::Other
        };
        if current != Some(kind) {
            flush(current, &text[start..at]);
            start = at;
            current = Some(kind);
        }
    }
    flush(current, &text[start..]);
    runs
}

/// "U.S", "e.g", "J": letters with periods between them, as capitals.
fn initials(core: &str) -> Option<String> {
    let groups: Vec<&str> = core.split('.').collect();
    let short = |group: &&str| {
        (1..=2).contains(&group.len()) && group.bytes().all(|b| b.is_ascii_alphabetic())
    };
    let single = groups.len() == 1 && core.len() == 1 && core != "I";
    let valid = groups.iter().all(short) && (groups.len() > 1 || single);
    let capital = core.starts_with(|c: char| c.is_ascii_uppercase());
    (valid && (groups.len() > 1 || capital)).then(|| groups.concat().to_uppercase())
}
