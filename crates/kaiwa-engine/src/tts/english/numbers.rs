//! Numbers as American English words.

const ONES: [&str; 20] = [
    "zero",
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
const TENS: [&str; 10] = [
    "", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];
/// Names of the groups of three digits; a number with more groups is read digit by digit.
const SCALES: [&str; 7] = [
    "",
    "thousand",
    "million",
    "billion",
    "trillion",
    "quadrillion",
    "quintillion",
];

/// "1204" as "one thousand two hundred four". More than 21 digits, and digits after a
/// leading zero ("007"), are read one by one.
pub(super) fn cardinal(digits: &str) -> Vec<&'static str> {
    if digits.len() > 3 * SCALES.len() || (digits.len() > 1 && digits.starts_with('0')) {
        return spell(digits);
    }
    let mut words = Vec::new();
    let first = (digits.len() + 2) % 3 + 1;
    let mut at = 0;
    while at < digits.len() {
        let end = if at == 0 { first } else { at + 3 };
        let scale = (digits.len() - end) / 3;
        let group = digits[at..end]
            .bytes()
            .fold(0, |n, b| n * 10 + usize::from(b - b'0'));
        if group > 0 {
            below_thousand(group, &mut words);
            words.extend((scale > 0).then_some(SCALES[scale]));
        }
        at = end;
    }
    if words.is_empty() {
        words.push(ONES[0]);
    }
    words
}

/// "21" as "twenty first".
pub(super) fn ordinal(digits: &str) -> Vec<String> {
    let mut words: Vec<String> = cardinal(digits).into_iter().map(str::to_owned).collect();
    if let Some(last) = words.last_mut() {
        *last = match last.as_str() {
            "one" => "first".to_owned(),
            "two" => "second".to_owned(),
            "three" => "third".to_owned(),
            "five" => "fifth".to_owned(),
            "eight" => "eighth".to_owned(),
            "nine" => "ninth".to_owned(),
            "twelve" => "twelfth".to_owned(),
            word => word
                .strip_suffix('y')
                .map_or_else(|| format!("{word}th"), |stem| format!("{stem}ieth")),
        };
    }
    words
}

/// Four digits as a year: "1905" as "nineteen oh five", "2005" as "two thousand five",
/// "1900" as "nineteen hundred".
pub(super) fn year(digits: &str) -> Vec<&'static str> {
    let (century, rest) = digits.split_at(2);
    // 2000-2009, 1000-1009 and the like, and numbers that are no year.
    if digits.starts_with('0') || digits[1..].starts_with("00") {
        return cardinal(digits);
    }
    let mut words = cardinal(century);
    match rest.as_bytes() {
        b"00" => words.push("hundred"),
        [b'0', last] => words.extend(["oh", ONES[usize::from(last - b'0')]]),
        _ => words.extend(cardinal(rest)),
    }
    words
}

/// "3.14" as "three point one four"; zeros at the end are spoken ("2.0").
pub(super) fn decimal(whole: &str, fraction: &str) -> Vec<&'static str> {
    let mut words = if whole.is_empty() {
        Vec::new()
    } else {
        cardinal(whole)
    };
    words.push("point");
    words.extend(spell(fraction));
    words
}

/// Digit by digit; anything else is left out.
pub(super) fn spell(digits: &str) -> Vec<&'static str> {
    digits
        .bytes()
        .filter(u8::is_ascii_digit)
        .map(|b| ONES[usize::from(b - b'0')])
        .collect()
}

/// The value of an upper-case Roman numeral up to 3999 in its usual spelling.
pub(super) fn roman(text: &str) -> Option<u32> {
    const STEPS: [(&str, u32); 13] = [
        ("M", 1000),
        ("CM", 900),
        ("D", 500),
        ("CD", 400),
        ("C", 100),
        ("XC", 90),
        ("L", 50),
        ("XL", 40),
        ("X", 10),
        ("IX", 9),
        ("V", 5),
        ("IV", 4),
        ("I", 1),
    ];
    let mut rest = text;
    let mut value = 0;
    for (numeral, worth) in STEPS {
        let most = if numeral.len() == 1 && !matches!(worth, 500 | 50 | 5) {
            3
        } else {
            1
        };
        for _ in 0..most {
            let Some(shorter) = rest.strip_prefix(numeral) else {
                break;
            };
            rest = shorter;
            value += worth;
        }
    }
    (rest.is_empty() && value > 0).then_some(value)
}

fn below_thousand(mut n: usize, words: &mut Vec<&'static str>) {
    if n >= 100 {
        words.extend([ONES[n / 100], "hundred"]);
        n %= 100;
    }
    if n >= 20 {
        words.push(TENS[n / 10]);
        n %= 10;
    }
    words.extend((n > 0).then_some(ONES[n]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cardinals() {
        for (digits, words) in [
            ("0", "zero"),
            ("7", "seven"),
            ("13", "thirteen"),
            ("20", "twenty"),
            ("42", "forty two"),
            ("100", "one hundred"),
            ("101", "one hundred one"),
            ("999", "nine hundred ninety nine"),
            ("1000", "one thousand"),
            ("1204", "one thousand two hundred four"),
            ("20000", "twenty thousand"),
            ("1000000", "one million"),
            (
                "1234567",
                "one million two hundred thirty four thousand five hundred sixty seven",
            ),
            ("1000000000000000000", "one quintillion"),
            ("007", "zero zero seven"),
        ] {
            assert_eq!(cardinal(digits).join(" "), words, "{digits}");
        }
        assert_eq!(cardinal(&"9".repeat(22)).len(), 22);
    }

    #[test]
    fn ordinals() {
        for (digits, words) in [
            ("1", "first"),
            ("2", "second"),
            ("3", "third"),
            ("4", "fourth"),
            ("5", "fifth"),
            ("8", "eighth"),
            ("9", "ninth"),
            ("12", "twelfth"),
            ("20", "twentieth"),
            ("21", "twenty first"),
            ("100", "one hundredth"),
            ("1000", "one thousandth"),
        ] {
            assert_eq!(ordinal(digits).join(" "), words, "{digits}");
        }
    }

    #[test]
    fn years() {
        for (digits, words) in [
            ("1066", "ten sixty six"),
            ("1900", "nineteen hundred"),
            ("1905", "nineteen oh five"),
            ("1999", "nineteen ninety nine"),
            ("2000", "two thousand"),
            ("2005", "two thousand five"),
            ("2010", "twenty ten"),
            ("2024", "twenty twenty four"),
        ] {
            assert_eq!(year(digits).join(" "), words, "{digits}");
        }
    }

    #[test]
    fn decimals() {
        assert_eq!(decimal("3", "14").join(" "), "three point one four");
        assert_eq!(decimal("", "5").join(" "), "point five");
        assert_eq!(decimal("2", "0").join(" "), "two point zero");
    }

    #[test]
    fn roman_numerals() {
        for (text, value) in [
            ("I", Some(1)),
            ("IV", Some(4)),
            ("VIII", Some(8)),
            ("XIV", Some(14)),
            ("XLII", Some(42)),
            ("MCMXCIX", Some(1999)),
            ("IIII", None),
            ("VV", None),
            ("IC", None),
            ("", None),
            ("MIX", Some(1009)),
            ("abc", None),
        ] {
            assert_eq!(roman(text), value, "{text}");
        }
    }
}
