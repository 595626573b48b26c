//! Numbers in words become digits: "twenty one point five percent" is "21.5%".

/// A number being read.
#[derive(Clone, Debug)]
enum Value {
    /// One that can still be added to: "twenty", then "one".
    Whole(u128),
    /// Digits (and points) that are only appended to: "one oh one", "2.", "3.50".
    Digits(String),
}

impl Value {
    fn text(&self) -> String {
        match self {
            Self::Whole(number) => number.to_string(),
            Self::Digits(digits) => digits.clone(),
        }
    }

    fn is_open_decimal(&self) -> bool {
        matches!(self, Self::Digits(digits) if digits.ends_with('.'))
    }

    /// Digits to append to; a zero that is a whole number counts as none.
    fn digits(value: Option<&Self>) -> String {
        match value {
            None | Some(Self::Whole(0)) => String::new(),
            Some(value) => value.text(),
        }
    }
}

/// What a word means in a number.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Word {
    Zero,
    /// One to nineteen.
    One(u128),
    /// "third", "sevens".
    OneSuffixed(u128, &'static str),
    /// Twenty to ninety.
    Ten(u128),
    /// "thirtieth", "nineties".
    TenSuffixed(u128, &'static str),
    /// Hundred and the powers of a thousand.
    Multiplier(u128),
    /// "thousands", "millionth".
    MultiplierSuffixed(u128, &'static str),
    /// "minus".
    Sign(char),
    /// "dollars".
    Currency(char),
    Per,
    Percent,
    And,
    /// "double" (2) or "triple" (3).
    Repeat(usize),
    Point,
}

impl Word {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "o" | "oh" | "zero" => Self::Zero,
            "minus" | "negative" => Self::Sign('-'),
            "plus" | "positive" => Self::Sign('+'),
            "pound" | "pounds" => Self::Currency('£'),
            "euro" | "euros" => Self::Currency('€'),
            "dollar" | "dollars" => Self::Currency('$'),
            "cent" | "cents" => Self::Currency('¢'),
            "per" => Self::Per,
            "percent" => Self::Percent,
            "and" => Self::And,
            "double" => Self::Repeat(2),
            "triple" => Self::Repeat(3),
            "point" => Self::Point,
            "zeroth" => Self::OneSuffixed(0, "th"),
            "first" => Self::OneSuffixed(1, "st"),
            "second" => Self::OneSuffixed(2, "nd"),
            "third" => Self::OneSuffixed(3, "rd"),
            "fifth" => Self::OneSuffixed(5, "th"),
            "eighth" => Self::OneSuffixed(8, "th"),
            "twelfth" => Self::OneSuffixed(12, "th"),
            "sixes" => Self::OneSuffixed(6, "s"),
            _ => {
                if let Some(word) = Self::cardinal(word) {
                    return Some(word);
                }
                if let Some(stem) = word.strip_suffix("ieth") {
                    return match Self::cardinal(&format!("{stem}y"))? {
                        Self::Ten(value) => Some(Self::TenSuffixed(value, "th")),
                        _ => None,
                    };
                }
                if let Some(stem) = word.strip_suffix("ies") {
                    return match Self::cardinal(&format!("{stem}y"))? {
                        Self::Ten(value) => Some(Self::TenSuffixed(value, "s")),
                        _ => None,
                    };
                }
                let (stem, suffix) = word
                    .strip_suffix("th")
                    .map(|stem| (stem, "th"))
                    .or_else(|| Some((word.strip_suffix('s')?, "s")))?;
                match (Self::cardinal(stem)?, suffix) {
                    // Their forms are irregular and stand above. ("ninth" is not in the published
                    // table, which has "nineth".)
                    (Self::One(1 | 2 | 3 | 5 | 8 | 12), "th") | (Self::One(6), "s") => return None,
                    (Self::One(value), suffix) => Self::OneSuffixed(value, suffix),
                    (Self::Multiplier(value), suffix) => Self::MultiplierSuffixed(value, suffix),
                    _ => return None,
                }
            }
        })
    }

    fn cardinal(word: &str) -> Option<Self> {
        const ONES: [&str; 19] = [
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ];
        const TENS: [&str; 8] = [
            "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
        ];
        /// Powers of a thousand.
        const POWERS: [&str; 11] = [
            "thousand",
            "million",
            "billion",
            "trillion",
            "quadrillion",
            "quintillion",
            "sextillion",
            "septillion",
            "octillion",
            "nonillion",
            "decillion",
        ];
        let position = |list: &[&str]| list.iter().position(|item| *item == word);
        if let Some(index) = position(&ONES) {
            return Some(Self::One(index as u128 + 1));
        }
        if let Some(index) = position(&TENS) {
            return Some(Self::Ten(10 * (index as u128 + 2)));
        }
        if word == "hundred" {
            return Some(Self::Multiplier(100));
        }
        // At most 1000¹¹, which fits.
        position(&POWERS).map(|index| Self::Multiplier(1000_u128.pow(index as u32 + 1)))
    }

    /// Whether it can follow "point".
    fn is_decimal(self) -> bool {
        matches!(self, Self::Zero | Self::One(_) | Self::Ten(_))
    }
}

/// Rewrites all numbers of a lower-case text without punctuation.
pub(super) fn normalize(text: &str) -> String {
    let text = split_from_letters(&halves(text));
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut reader = Reader::default();
    let mut at = 0;
    while at < words.len() {
        at += reader.read(&words, at);
    }
    reader.flush();
    spell_one(&merge_cents(&reader.output.join(" ")))
}

/// "two and a half" becomes "two point five".
fn halves(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut result: Vec<&str> = Vec::new();
    let mut segment = 0;
    let mut at = 0;
    while at < words.len() {
        if words[at..].starts_with(&["and", "a", "half"]) {
            // Without a word before it, the half itself is lost, as in the published rule.
            if result.len() > segment {
                let is_number = result
                    .last()
                    .copied()
                    .and_then(Word::parse)
                    .is_some_and(|word| word.is_decimal() || matches!(word, Word::Multiplier(_)));
                let half: &[&str] = if is_number {
                    &["point", "five"]
                } else {
                    &["and", "a", "half"]
                };
                result.extend(half);
            }
            segment = result.len();
            at += 3;
        } else {
            result.push(words[at]);
            at += 1;
        }
    }
    result.join(" ")
}

/// Puts a space between digits and letters, except before an ordinal's or plural's ending.
fn split_from_letters(text: &str) -> String {
    let mut spaced = String::new();
    let mut previous: Option<char> = None;
    for character in text.chars() {
        let is_boundary = previous.is_some_and(|before| {
            before.is_ascii_lowercase() && character.is_ascii_digit()
                || before.is_ascii_digit() && character.is_ascii_lowercase()
        });
        if is_boundary {
            spaced.push(' ');
        }
        spaced.push(character);
        previous = Some(character);
    }
    let mut joined = String::new();
    for word in spaced.split_whitespace() {
        // A suffix may itself be followed by a symbol that ends the word.
        let head = word
            .find(|character: char| !(character.is_alphanumeric() || character == '_'))
            .map_or(word, |end| &word[..end]);
        let is_suffix = matches!(head, "st" | "nd" | "rd" | "th" | "s");
        if !(is_suffix && joined.ends_with(|last: char| last.is_ascii_digit())) {
            joined.push(' ');
        }
        joined.push_str(word);
    }
    joined
}

#[derive(Default)]
struct Reader {
    output: Vec<String>,
    /// Sign or currency of the number being read.
    prefix: Option<char>,
    value: Option<Value>,
}

impl Reader {
    /// Reads the word at `at`; gives how many words were taken.
    fn read(&mut self, words: &[&str], at: usize) -> usize {
        let current = words[at];
        let previous = at.checked_sub(1).and_then(|at| Word::parse(words[at]));
        let next = words.get(at + 1).copied();
        let next_word = next.and_then(Word::parse);
        let number_follows = next_word.is_some() || next.is_some_and(is_number);
        if self.read_digits(current) {
            return 1;
        }
        let Some(word) = Word::parse(current) else {
            self.flush();
            self.put(current);
            return 1;
        };
        match word {
            Word::Zero => {
                let digits = Value::digits(self.value.as_ref());
                self.value = Some(Value::Digits(digits + "0"));
            }
            Word::One(one) => self.value = Some(add_one(self.value.take(), one, previous)),
            Word::OneSuffixed(one, suffix) => {
                let value = add_one(self.value.take(), one, previous);
                self.put(&(value.text() + suffix));
            }
            Word::Ten(ten) => self.value = Some(add_ten(self.value.take(), ten)),
            Word::TenSuffixed(ten, suffix) => {
                let value = add_ten(self.value.take(), ten);
                self.put(&(value.text() + suffix));
            }
            Word::Multiplier(multiplier) => match multiply(self.value.as_ref(), multiplier) {
                Some(value) => self.value = Some(Value::Whole(value)),
                None => {
                    self.flush();
                    self.value = Some(Value::Whole(multiplier));
                }
            },
            Word::MultiplierSuffixed(multiplier, suffix) => {
                match multiply(self.value.as_ref(), multiplier) {
                    Some(value) => self.put(&format!("{value}{suffix}")),
                    None => {
                        self.flush();
                        self.put(&format!("{multiplier}{suffix}"));
                    }
                }
                self.value = None;
            }
            Word::Sign(sign) => {
                self.flush();
                if number_follows {
                    self.prefix = Some(sign);
                } else {
                    self.put(current);
                }
            }
            Word::Currency(symbol) => {
                if self.value.is_some() {
                    self.prefix = Some(symbol);
                    self.flush();
                } else {
                    self.put(current);
                }
            }
            Word::Percent | Word::Per => match self.value.take() {
                Some(value) if word == Word::Percent => self.put(&(value.text() + "%")),
                Some(value) if next == Some("cent") => {
                    self.put(&(value.text() + "%"));
                    return 2;
                }
                Some(value) => {
                    self.put(&value.text());
                    self.put(current);
                }
                None => self.put(current),
            },
            Word::And | Word::Point | Word::Repeat(_) if !number_follows => {
                self.flush();
                self.put(current);
            }
            // "two hundred and one".
            Word::And if matches!(previous, Some(Word::Multiplier(_))) => {}
            Word::And => {
                self.flush();
                self.put(current);
            }
            Word::Point => {
                if next_word.is_none_or(Word::is_decimal) {
                    let digits = Value::digits(self.value.as_ref());
                    self.value = Some(Value::Digits(digits + "."));
                }
            }
            Word::Repeat(count) => {
                let digit = match next_word {
                    Some(Word::Zero) => 0,
                    Some(Word::One(one)) => one,
                    _ => {
                        self.flush();
                        self.put(current);
                        return 1;
                    }
                };
                let digits = Value::digits(self.value.as_ref());
                self.value = Some(Value::Digits(digits + &digit.to_string().repeat(count)));
                return 2;
            }
        }
        1
    }

    /// Reads a number in digits, with or without a currency. False if it is none.
    fn read_digits(&mut self, current: &str) -> bool {
        let symbol = current
            .chars()
            .next()
            .filter(|first| "-+£€$¢".contains(*first));
        let digits = &current[symbol.map_or(0, char::len_utf8)..];
        if !is_number(digits) {
            return false;
        }
        match &self.value {
            // The rest of a decimal or of an address.
            Some(value) if value.is_open_decimal() => {
                self.value = Some(Value::Digits(value.text() + current));
                return true;
            }
            Some(_) => self.flush(),
            None => {}
        }
        self.prefix = symbol.or(self.prefix);
        self.value = Some(match whole(digits) {
            Some(number) => Value::Whole(number),
            None => Value::Digits(digits.to_owned()),
        });
        true
    }

    /// Puts out the number that was being read.
    fn flush(&mut self) {
        if let Some(value) = self.value.take() {
            self.put(&value.text());
        }
    }

    /// Puts out a word, with the prefix if there is one.
    fn put(&mut self, word: &str) {
        self.value = None;
        let prefix = self.prefix.take();
        self.output
            .push(prefix.into_iter().chain(word.chars()).collect());
    }
}

fn add_one(value: Option<Value>, one: u128, previous: Option<Word>) -> Value {
    let room = if one < 10 { 10 } else { 100 };
    match value {
        None => Value::Whole(one),
        Some(Value::Whole(number))
            if !matches!(previous, Some(Word::One(_))) && number.is_multiple_of(room) =>
        {
            Value::Whole(number + one)
        }
        Some(Value::Digits(mut digits)) if one < 10 && matches!(previous, Some(Word::Ten(_))) => {
            // The last digit is the zero of "twenty".
            digits.pop();
            Value::Digits(digits + &one.to_string())
        }
        Some(value) => Value::Digits(value.text() + &one.to_string()),
    }
}

fn add_ten(value: Option<Value>, ten: u128) -> Value {
    match value {
        None => Value::Whole(ten),
        Some(Value::Whole(number)) if number.is_multiple_of(100) => Value::Whole(number + ten),
        Some(value) => Value::Digits(value.text() + &ten.to_string()),
    }
}

/// The value times the multiplier; `None` when that is no whole number.
fn multiply(value: Option<&Value>, multiplier: u128) -> Option<u128> {
    match value {
        None => Some(multiplier),
        Some(Value::Whole(number)) => {
            // "two thousand three hundred": only what is below a thousand is multiplied.
            let below = number % 1000;
            (number - below).checked_add(below.checked_mul(multiplier)?)
        }
        Some(Value::Digits(digits)) => {
            let (before, after) = digits.split_once('.').unwrap_or((digits, ""));
            if (before.is_empty() && after.is_empty()) || after.contains('.') {
                return None;
            }
            let scale = 10_u128.checked_pow(u32::try_from(after.len()).ok()?)?;
            let number: u128 = format!("{before}{after}").parse().ok()?;
            let product = number.checked_mul(multiplier)?;
            product.is_multiple_of(scale).then_some(product / scale)
        }
    }
}

/// Digits, and maybe a point and more digits.
fn is_number(word: &str) -> bool {
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match word.split_once('.') {
        Some((before, after)) => are_digits(before) && are_digits(after),
        None => are_digits(word),
    }
}

/// The number, if it is a whole one.
fn whole(digits: &str) -> Option<u128> {
    let (before, after) = digits.split_once('.').unwrap_or((digits, ""));
    if after.bytes().any(|digit| digit != b'0') {
        return None;
    }
    before.parse().ok()
}

/// "$2 and ¢7" becomes "$2.07", and "$0.07" becomes "¢7".
fn merge_cents(text: &str) -> String {
    let mut merged = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['€', '£', '$']) {
        merged.push_str(&rest[..at]);
        rest = &rest[at..];
        let symbol = rest.chars().next().map_or(0, char::len_utf8);
        let after = &rest[symbol..];
        let whole = &after[..leading_digits(after)];
        let tail = &after[whole.len()..];
        let tail = tail.strip_prefix(" and").unwrap_or(tail);
        let cents = tail
            .strip_prefix(" ¢")
            .map(|cents| (cents, leading_digits(cents)));
        match cents {
            Some((cents, length @ 1..=2))
                if !whole.is_empty() && !starts_word(&cents[length..]) =>
            {
                let (cents, left) = cents.split_at(length);
                merged.push_str(&rest[..symbol]);
                merged.push_str(whole);
                merged.push_str(&format!(".{cents:0>2}"));
                rest = left;
            }
            _ => {
                merged.push_str(&rest[..symbol]);
                rest = after;
            }
        }
    }
    merged.push_str(rest);
    small_sums(&merged)
}

/// "$0.07" becomes "¢7". Any character may stand where the point does, as in the published
/// rule.
fn small_sums(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['€', '£', '$']) {
        result.push_str(&rest[..at]);
        rest = &rest[at..];
        let symbol = rest.chars().next().map_or(0, char::len_utf8);
        let cents = rest[symbol..].strip_prefix('0').and_then(|after| {
            let point = after.chars().next()?;
            let cents = &after[point.len_utf8()..];
            let length = leading_digits(cents);
            ((1..=2).contains(&length) && !starts_word(&cents[length..]))
                .then(|| cents.split_at(length))
        });
        if let Some((cents, left)) = cents {
            let significant = cents.strip_prefix('0').filter(|left| !left.is_empty());
            result.push('¢');
            result.push_str(significant.unwrap_or(cents));
            rest = left;
        } else {
            result.push_str(&rest[..symbol]);
            rest = &rest[symbol..];
        }
    }
    result + rest
}

fn leading_digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

fn starts_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphanumeric() || first == '_')
}

/// A 1 that is a word of its own becomes "one", "1s" becomes "ones".
fn spell_one(text: &str) -> String {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let mut result = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_word) {
        result.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest
            .find(|character| !is_word(character))
            .unwrap_or(rest.len());
        result.push_str(match &rest[..end] {
            "1" => "one",
            "1s" => "ones",
            word => word,
        });
        rest = &rest[end..];
    }
    result + rest
}
