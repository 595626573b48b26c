//! One chunk of text as the words somebody would read aloud.

use super::{
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

#[derive(Default)]
struct Reader {
    parts: Vec<Part>,
}

impl Reader {
    fn word(&mut self, text: &str) {
        self.push(text, Reading::Word);
    }

    fn number<S: AsRef<str>>(&mut self, words: impl IntoIterator<Item = S>) {
        for word in words {
            self.push(word.as_ref(), Reading::Number);
        }
    }

    /// Words of a table's entry.
    fn words(&mut self, phrase: &str) {
        for word in phrase.split(' ') {
            let reading = match word {
                "C" | "F" => Reading::Letters,
                _ => Reading::Word,
            };
            self.push(word, reading);
        }
    }

    fn push(&mut self, text: &str, reading: Reading) {
        self.parts.push(Part::Word(Word {
            text: text.to_owned(),
            reading,
        }));
    }

    fn pause(&mut self, mark: char) {
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

    /// A number in one of the forms that mean something as a whole.
    fn numeric(&mut self, core: &str, context: &Context<'_>) -> bool {
        numeric_start(core)
            && (self.time(core)
                || self.date(core)
                || self.phone(core, context)
                || self.money(core, context)
                || self.fraction(core)
                || self.quantity(core, context))
    }

    /// 2:30, 14:05:30, 2:30pm
    fn time(&mut self, core: &str) -> bool {
        let (clock, half) = match core.find(|c: char| c.is_ascii_alphabetic()) {
            Some(at) => core.split_at(at),
            None => (core, ""),
        };
        let half_day = half.replace('.', "").to_ascii_uppercase();
        if !matches!(half_day.as_str(), "" | "AM" | "PM") {
            return false;
        }
        let fields: Vec<&str> = clock.split(':').collect();
        let valid = |field: &str, most: u32| {
            field.len() <= 2
                && field.bytes().all(|b| b.is_ascii_digit())
                && field.parse().is_ok_and(|value: u32| value <= most)
        };
        let (hours, minutes, seconds) = match fields[..] {
            [hours] if !half_day.is_empty() => (hours, "00", None),
            [hours, minutes] => (hours, minutes, None),
            [hours, minutes, seconds] => (hours, minutes, Some(seconds)),
            _ => return false,
        };
        if !valid(hours, 24)
            || !valid(minutes, 59)
            || minutes.len() != 2
            || !seconds.is_none_or(|s| s.len() == 2 && valid(s, 59))
        {
            return false;
        }
        self.integer(
            hours
                .strip_prefix('0')
                .filter(|h| !h.is_empty())
                .unwrap_or(hours),
        );
        match minutes.as_bytes() {
            b"00" if half_day.is_empty() && seconds.is_none() => self.word("o'clock"),
            b"00" => {}
            [b'0', _] => {
                self.number(["oh"]);
                self.integer(&minutes[1..]);
            }
            _ => self.integer(minutes),
        }
        if let Some(seconds) = seconds {
            let seconds = seconds.strip_prefix('0').unwrap_or(seconds);
            self.word("and");
            self.integer(seconds);
            self.word(if seconds == "1" { "second" } else { "seconds" });
        }
        if !half_day.is_empty() {
            self.push(&half_day, Reading::Letters);
        }
        true
    }

    /// 2024-03-05, 3/5/2024, 25/12/24
    fn date(&mut self, core: &str) -> bool {
        let digits = |fields: &[&str]| {
            fields
                .iter()
                .all(|field| !field.is_empty() && field.bytes().all(|b| b.is_ascii_digit()))
        };
        let iso: Vec<&str> = core.split('-').collect();
        let local: Vec<&str> = core.split('/').collect();
        let (year, month, day) = match (&iso[..], &local[..]) {
            ([year, month, day], _)
                if digits(&iso) && (year.len(), month.len(), day.len()) == (4, 2, 2) =>
            {
                (*year, *month, *day)
            }
            (_, [first, second, year])
                if digits(&local)
                    && first.len() <= 2
                    && second.len() <= 2
                    && matches!(year.len(), 2 | 4) =>
            {
                // American order unless it cannot be.
                if first.parse().is_ok_and(|month: u32| month > 12) {
                    (*year, *second, *first)
                } else {
                    (*year, *first, *second)
                }
            }
            _ => return false,
        };
        let name = month
            .parse::<usize>()
            .ok()
            .and_then(|month| tables::MONTHS.get(month.wrapping_sub(1)));
        let (Some(name), Ok(1..=31)) = (name, day.parse::<u32>()) else {
            return false;
        };
        self.word(name);
        self.number(numbers::ordinal(day.trim_start_matches('0')));
        self.pause(',');
        if year.len() == 4 {
            self.number(numbers::year(year));
        } else {
            let century = if year > "50" { "19" } else { "20" };
            self.number(numbers::year(&format!("{century}{year}")));
        }
        true
    }

    /// 555-1234, 212-555-1234, +1-212-555-1234, (212) 555-1234, 5551234567
    fn phone(&mut self, core: &str, context: &Context<'_>) -> bool {
        let number = core.strip_prefix('+').unwrap_or(core);
        let groups: Vec<&str> = number.split(['-', '.']).collect();
        if !number
            .bytes()
            .all(|b| b.is_ascii_digit() || b"-.".contains(&b))
        {
            return false;
        }
        let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
        let area = context.in_parentheses && lengths == [3];
        let written = match lengths[..] {
            [3, 4] => number.contains('-'),
            [3, 3, 4] | [1 | 2, 3, 3, 4] => true,
            // Too long to be counted, unless it is round.
            [length] => length >= 7 && !number.ends_with("000"),
            _ => false,
        };
        if !written && !area {
            return false;
        }
        if core.starts_with('+') {
            self.word("plus");
        }
        for (index, group) in groups.iter().enumerate() {
            if index > 0 {
                self.pause(',');
            }
            self.number(numbers::spell(group));
        }
        true
    }

    /// $3.50, £20, €1.5M, -$5, 20€
    fn money(&mut self, core: &str, context: &Context<'_>) -> bool {
        let positive = core.strip_prefix('-').unwrap_or(core);
        let signed = positive
            .chars()
            .next()
            .and_then(currency)
            .map(|found| (found, &positive[found.0.len_utf8()..]));
        let trailing = positive
            .chars()
            .next_back()
            .and_then(currency)
            .map(|found| (found, &positive[..positive.len() - found.0.len_utf8()]));
        let Some(((_, one, many, cent, cents), amount)) = signed.or(trailing) else {
            return false;
        };
        let Some((whole, fraction, rest)) = amount_of(amount) else {
            return false;
        };
        let scale = tables::SCALES.iter().find(|(letter, _)| *letter == rest);
        if !rest.is_empty() && scale.is_none() {
            return false;
        }
        if positive.len() < core.len() {
            self.word("minus");
        }
        let small = fraction.len() == 2 && scale.is_none();
        let scaled = tables::SCALE_WORDS.contains(&context.after);
        if small && !scaled {
            let (units, parts) = (
                whole.trim_start_matches('0'),
                fraction.trim_start_matches('0'),
            );
            if !units.is_empty() || parts.is_empty() {
                let units = if units.is_empty() { "0" } else { units };
                self.number(numbers::cardinal(units));
                self.word(if units == "1" { one } else { many });
            }
            if !parts.is_empty() {
                if !units.is_empty() {
                    self.word("and");
                }
                self.number(numbers::cardinal(parts));
                self.word(if parts == "1" { cent } else { cents });
            }
            return true;
        }
        if fraction.is_empty() {
            self.number(numbers::cardinal(&whole));
        } else {
            self.number(numbers::decimal(&whole, fraction));
        }
        if let Some((_, scale)) = scale {
            self.word(scale);
        }
        if !scaled {
            let single = whole == "1" && fraction.is_empty() && scale.is_none();
            self.word(if single { one } else { many });
        }
        true
    }

    /// 1/2, 3/4, 24/7
    fn fraction(&mut self, core: &str) -> bool {
        const PARTS: [&str; 9] = [
            "half", "third", "quarter", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
        ];
        let Some((over, under)) = core.split_once('/') else {
            return false;
        };
        if ![over, under]
            .iter()
            .all(|n| (1..=4).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit()))
        {
            return false;
        }
        let values = (over.parse::<usize>(), under.parse::<usize>());
        if let (Ok(over_value @ 1..), Ok(under_value @ 2..=10)) = values
            && over_value < under_value
        {
            let part = PARTS[under_value - 2];
            self.number(numbers::cardinal(over));
            if over_value == 1 {
                self.word(part);
            } else if part == "half" {
                self.word("halves");
            } else {
                self.word(&format!("{part}s"));
            }
        } else {
            self.integer(over);
            if core != "24/7" && core != "9/11" {
                self.word("over");
            }
            self.integer(under);
        }
        true
    }

    /// A number and what may be attached to it: -5, 1,204, 3.14, 21st, 1990s, 50%, 5km, 3x.
    fn quantity(&mut self, core: &str, context: &Context<'_>) -> bool {
        let (sign, unsigned) = match core.as_bytes()[0] {
            b'-' => (Some("minus"), &core[1..]),
            b'+' => (Some("plus"), &core[1..]),
            _ => (None, core),
        };
        let Some((whole, fraction, rest)) = amount_of(unsigned) else {
            // 1.2.3
            return self.version(core);
        };
        let exact = fraction.is_empty() && sign.is_none();
        let month = |name: &str| {
            tables::MONTHS.iter().any(|month| {
                *month == name || name.len() >= 3 && month.starts_with(name) && name.len() <= 4
            })
        };
        let day = exact && whole.len() <= 2 && whole.parse().is_ok_and(|day: u32| day <= 31);
        let unit = unit(rest, unsigned.strip_suffix(rest).unwrap_or_default());
        match rest {
            "st" | "nd" | "rd" | "th" if exact => {
                self.number(numbers::ordinal(&whole));
            }
            "" if day && whole != "0" && month(context.before) => {
                self.number(numbers::ordinal(&whole));
            }
            "" if day && whole != "0" && month(context.after) => {
                if !context.before.eq_ignore_ascii_case("the") {
                    self.word("the");
                }
                self.number(numbers::ordinal(&whole));
                self.word("of");
            }
            "s" | "'s" if exact && matches!(whole.len(), 2 | 4) && whole.ends_with('0') => {
                let words = if whole.len() == 4 {
                    numbers::year(&whole)
                } else {
                    numbers::cardinal(&whole)
                };
                let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
                if let Some(last) = words.last_mut() {
                    *last = last
                        .strip_suffix('y')
                        .map_or_else(|| format!("{last}s"), |stem| format!("{stem}ies"));
                }
                self.number(words);
            }
            "" if unsigned.len() == 4 && exact && self::unit(context.after, core).is_none() => {
                self.integer(&whole);
            }
            _ if rest.is_empty()
                || rest == "+"
                || rest == "x"
                || rest == "×"
                || unit.is_some()
                || tables::SCALES.iter().any(|(letter, _)| *letter == rest) =>
            {
                self.number(sign);
                if fraction.is_empty() {
                    self.number(numbers::cardinal(&whole));
                } else {
                    self.number(numbers::decimal(&whole, fraction));
                }
                match rest {
                    "" => {}
                    "+" => self.word("plus"),
                    "x" | "×" => self.word("times"),
                    _ => {
                        let scale = tables::SCALES.iter().find(|(letter, _)| *letter == rest);
                        if let Some((_, scale)) = scale {
                            self.word(scale);
                        } else if let Some(unit) = unit {
                            self.words(unit);
                        }
                    }
                }
            }
            _ => return false,
        }
        true
    }

    /// 1.2.3, 192.168.0.1
    fn version(&mut self, core: &str) -> bool {
        let groups: Vec<&str> = core.split('.').collect();
        let digits = |group: &&str| {
            (1..=4).contains(&group.len()) && group.bytes().all(|b| b.is_ascii_digit())
        };
        if groups.len() < 3 || !groups.iter().all(digits) {
            return false;
        }
        for (index, group) in groups.iter().enumerate() {
            if index > 0 {
                self.word("point");
            }
            self.number(numbers::cardinal(group));
        }
        true
    }

    /// A whole number on its own; four digits are a year where they can be.
    fn integer(&mut self, digits: &str) {
        let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
        let year = digits.len() == 4 && ("1100".."2100").contains(&digits.as_str());
        self.number(if year {
            numbers::year(&digits)
        } else {
            numbers::cardinal(&digits)
        });
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

fn currency(sign: char) -> Option<(char, &'static str, &'static str, &'static str, &'static str)> {
    tables::CURRENCIES
        .iter()
        .find(|currency| currency.0 == sign)
        .copied()
}

/// The spoken unit that `written` stands for after the number `amount`.
fn unit(written: &str, amount: &str) -> Option<&'static str> {
    tables::UNITS
        .iter()
        .find(|(form, ..)| *form == written)
        .map(|(_, one, many)| {
            if matches!(amount, "1" | "-1") {
                *one
            } else {
                *many
            }
        })
}

fn ends_with_digit(text: &str) -> bool {
    text.ends_with(|c: char| c.is_ascii_digit())
}

/// Whether `text` begins like an amount.
fn numeric_start(text: &str) -> bool {
    let unsigned = text.trim_start_matches(['-', '+']);
    let sign = text.len() - unsigned.len();
    let amount = unsigned.trim_start_matches(|c| currency(c).is_some());
    sign <= 1
        && amount
            .strip_prefix('.')
            .unwrap_or(amount)
            .starts_with(|c: char| c.is_ascii_digit())
}

/// The digits before the point (without commas), those after it, and what follows.
fn amount_of(text: &str) -> Option<(String, &str, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != ',')
        .unwrap_or(text.len());
    let written = &text[..end];
    let mut groups = written.split(',');
    let first = groups.next().unwrap_or_default();
    let mut thousands = groups.peekable();
    if thousands.peek().is_some()
        && (!(1..=3).contains(&first.len()) || !thousands.all(|group| group.len() == 3))
    {
        return None;
    }
    let whole: String = written.chars().filter(|c| *c != ',').collect();
    let mut rest = &text[end..];
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        let digits = after
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(after.len());
        if digits > 0 {
            (fraction, rest) = after.split_at(digits);
        }
    }
    let more = rest.starts_with('.');
    ((!whole.is_empty() || !fraction.is_empty()) && !more).then_some((whole, fraction, rest))
}
