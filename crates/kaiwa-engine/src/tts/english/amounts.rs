//! Numbers with what belongs to them: times, dates, money, quantities.

use super::{
    chunk::Reading,
    expand::{Context, Reader},
    numbers, tables,
};

impl Reader {
    /// A number in one of the forms that mean something as a whole.
    pub(super) fn numeric(&mut self, core: &str, context: &Context<'_>) -> bool {
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
    pub(super) fn integer(&mut self, digits: &str) {
        let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
        let year = digits.len() == 4 && ("1100".."2100").contains(&digits.as_str());
        self.number(if year {
            numbers::year(&digits)
        } else {
            numbers::cardinal(&digits)
        });
    }
}

pub(super) fn currency(
    sign: char,
) -> Option<(char, &'static str, &'static str, &'static str, &'static str)> {
    tables::CURRENCIES
        .iter()
        .find(|currency| currency.0 == sign)
        .copied()
}

/// The spoken unit that `written` stands for after the number `amount`.
pub(super) fn unit(written: &str, amount: &str) -> Option<&'static str> {
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

pub(super) fn ends_with_digit(text: &str) -> bool {
    text.ends_with(|c: char| c.is_ascii_digit())
}

/// Whether `text` begins like an amount.
pub(super) fn numeric_start(text: &str) -> bool {
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
