//! What texts are read as, without any model.

use super::{Part, chunk::chunks, sentences};

/// The words of a text, marks where they stand.
fn read(text: &str) -> String {
    let mut out = String::new();
    for part in chunks(text).iter().flat_map(|chunk| &chunk.parts) {
        match part {
            Part::Word(word) => {
                if !out.is_empty() && !out.ends_with(['(', '“']) {
                    out.push(' ');
                }
                if word.reading == super::Reading::Letters {
                    out.push_str(&format!("<{}>", word.text));
                } else {
                    out.push_str(&word.text);
                }
            }
            Part::Punctuation(mark) => {
                if matches!(mark, '(' | '“') && !out.is_empty() {
                    out.push(' ');
                }
                out.push(*mark);
            }
        }
    }
    out
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter(|(text, expected)| read(text) != *expected)
        .map(|(text, expected)| {
            format!(
                "{text:?}\n  expected {expected:?}\n  got      {:?}",
                read(text)
            )
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn numbers() {
    check(&[
        ("5", "five"),
        ("-5", "minus five"),
        ("1,204 people", "one thousand two hundred four people"),
        ("3.14", "three point one four"),
        (".5", "point five"),
        ("the 21st", "the twenty first"),
        ("1990s", "nineteen nineties"),
        ("the '90s", "the nineties"),
        ("50%", "fifty percent"),
        ("2.5 %", "two point five percent"),
        ("10-20 items", "ten to twenty items"),
        ("2019–2021", "twenty nineteen to twenty twenty one"),
        ("1/2 cup", "one half cup"),
        ("3/4", "three quarters"),
        ("3x faster", "three times faster"),
        ("10K", "ten thousand"),
        ("version 1.2.3", "version one point two point three"),
        ("4096", "four thousand ninety six"),
        ("in 1999.", "in nineteen ninety nine."),
        ("#5", "number five"),
        ("No. 5", "number five"),
        ("Chapter IV", "Chapter four"),
        ("Henry VIII", "Henry the eighth"),
        ("2+2=4", "two plus two equals four"),
        ("3*4", "three times four"),
        ("~5", "about five"),
        ("24/7", "twenty four seven"),
        ("100", "one hundred"),
        ("1500 km", "one thousand five hundred kilometers"),
        ("007", "zero zero seven"),
    ]);
}

#[test]
fn times_and_dates() {
    check(&[
        ("2:30 pm", "two thirty pm"),
        ("2:30pm", "two thirty <PM>"),
        ("at 5 p.m. today", "at five <PM> today"),
        ("at 5 p.m.", "at five <PM>."),
        ("14:05", "fourteen oh five"),
        ("7:00", "seven o'clock"),
        ("00:15", "zero fifteen"),
        ("2:30-3:30", "two thirty to three thirty"),
        ("March 3, 2024", "March third, twenty twenty four"),
        ("3 March 2024", "the third of March twenty twenty four"),
        ("on the 4th of July", "on the fourth of July"),
        ("2024-03-05", "March fifth, twenty twenty four"),
        ("3/5/2024", "March fifth, twenty twenty four"),
        ("25/12/24", "December twenty fifth, twenty twenty four"),
        ("Jan. 5", "January fifth"),
    ]);
}

#[test]
fn money_and_units() {
    check(&[
        ("$3.50", "three dollars and fifty cents"),
        ("$1", "one dollar"),
        ("$1.01", "one dollar and one cent"),
        ("$0.99", "ninety nine cents"),
        ("£20", "twenty pounds"),
        ("€1,000", "one thousand euros"),
        ("20€", "twenty euros"),
        ("$5M", "five million dollars"),
        ("$3.5 million", "three point five million dollars"),
        ("¥100", "one hundred yen"),
        ("-$5", "minus five dollars"),
        ("$5-$10", "five dollars to ten dollars"),
        ("5km", "five kilometers"),
        ("5 km", "five kilometers"),
        ("1 km", "one kilometer"),
        ("16GB", "sixteen gigabytes"),
        ("3.5 GHz", "three point five gigahertz"),
        ("20°C", "twenty degrees Celsius"),
        ("60 mph", "sixty miles per hour"),
    ]);
}

#[test]
fn abbreviations_and_addresses() {
    check(&[
        ("Dr. Smith", "Doctor Smith"),
        ("Mr. and Mrs. Lee", "Mister and Mrs Lee"),
        ("St. Paul", "Saint Paul"),
        ("Main St.", "Main Street."),
        ("e.g. cats", "for example cats"),
        ("i.e., dogs", "that is, dogs"),
        ("cats, dogs, etc.", "cats, dogs, et cetera."),
        ("the U.S. Army", "the <US> Army"),
        ("J. K. Rowling", "<J> <K> Rowling"),
        ("555-1234", "five five five, one two three four"),
        (
            "(212) 555-1234",
            "(two one two) five five five, one two three four",
        ),
        (
            "+1-212-555-1234",
            "plus one, two one two, five five five, one two three four",
        ),
        (
            "5551234567",
            "five five five one two three four five six seven",
        ),
        ("joe@example.com", "joe at example dot com"),
        (
            "https://www.rust-lang.org/learn?x=1",
            "rust-lang dot org slash learn",
        ),
        ("main.rs", "main dot rs"),
        ("and/or", "and or"),
        ("R&D", "R and D"),
        ("C++ and C#", "<C> plus plus and <C> sharp"),
        ("w/o", "without"),
        ("GPT-4o", "GPT four <o>"),
        ("COVID-19", "COVID nineteen"),
        ("MP3", "MP three"),
        ("snake_case", "snake case"),
    ]);
}

#[test]
fn markup_and_marks() {
    check(&[
        ("**bold** and _it_ and `code`", "bold and it and code"),
        ("# Title", "Title"),
        ("## Title", "Title"),
        ("- one\n- two", "one two"),
        ("1. First\n2. Second", "one, First two, Second"),
        ("> quoted", "quoted"),
        ("see [the docs](https://x.y/z).", "see the docs."),
        ("Great! 😀👍🏽", "Great!"),
        ("word—word", "word— word"),
        ("yes - no", "yes— no"),
        ("wait... what?!", "wait… what?!"),
        ("“Hi,” she said.", "“Hi,” she said."),
        ("\"Hi\"", "“Hi”"),
        ("don’t", "don't"),
        ("the dogs' bowl", "the dogs' bowl"),
        ("'quoted'", "quoted"),
        ("(aside)", "(aside)"),
        ("...", ""),
        ("😀", ""),
        ("---", ""),
        ("", ""),
        ("cafe\u{301} ｆｕｌｌ", "cafe full"),
        ("a → b", "a to b"),
        ("x -> y", "x to y"),
    ]);
}

#[test]
fn sentences_end_where_they_should() {
    let ends = |text: &str| -> Vec<String> {
        let chunks = chunks(text);
        sentences(&chunks)
            .map(|s| text[s[0].range.start..s[s.len() - 1].range.end].to_owned())
            .collect()
    };
    for (text, expected) in [
        ("One. Two.", &["One.", "Two."][..]),
        ("Dr. Smith came. He left.", &["Dr. Smith came.", "He left."]),
        ("At 5 p.m. He left.", &["At 5 p.m.", "He left."]),
        ("At 5 p.m. he left.", &["At 5 p.m. he left."]),
        ("The U.S. Army is here.", &["The U.S. Army is here."]),
        ("“What?” she said. No.", &["“What?” she said.", "No."]),
        // A mark belongs to what stands before it.
        ("A list:\n- one\n- two", &["A list:\n-", "one\n-", "two"]),
        ("wrapped\nline", &["wrapped\nline"]),
        ("Hi! 😀 Bye.", &["Hi! 😀", "Bye."]),
        ("Acme Inc. The end.", &["Acme Inc.", "The end."]),
    ] {
        assert_eq!(ends(text), expected, "{text}");
    }
}

#[test]
fn ranges_cover_the_text_in_order() {
    let text = " Hello,  $3.50 — 😀 world!\n\nÄnd ünï. ";
    let chunks = chunks(text);
    let written: Vec<&str> = chunks.iter().map(|c| &text[c.range.clone()]).collect();
    assert_eq!(
        written,
        ["Hello,", "$3.50", "—", "😀", "world!", "Änd", "ünï."]
    );
}

/// Arbitrary text does not panic, and its words are letters only.
#[test]
fn hostile_text() {
    const ALPHABET: &[&str] = &[
        "a", "Z", "é", "ß", "İ", "日", "ع", "́", "😀", "\u{200d}", "\u{fe0f}", "\u{0}", "٣", "½",
        "Ⅷ", "0", "1", "9", "12", "007", ".", ",", ":", "-", "–", "/", "'", "’", "\"", "(", ")",
        "[", "](", "$", "€", "%", "#", "@", "+", "=", "*", "_", "`", "~", "°", "&", "&&", " ",
        "\n", "\t", "st", "th", "pm", "km", "www.", ".com", "https://", "…", "—", "\u{2028}", "IV",
        "e.g", "s", "ﬁ", "Ａ", "\u{ff05}",
    ];
    let mut state = 1_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..state % 12 + 1 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            text.push_str(ALPHABET[(state >> 33) as usize % ALPHABET.len()]);
        }
        let mut last = 0;
        for chunk in chunks(&text) {
            assert!(chunk.range.start >= last, "{text:?}");
            last = chunk.range.end;
            assert!(text.get(chunk.range.clone()).is_some(), "{text:?}");
            for part in &chunk.parts {
                if let Part::Word(word) = part {
                    assert!(!word.text.is_empty(), "{text:?}");
                    let plain = |c: char| c.is_alphabetic() || c == '\'' || c == '-';
                    assert!(word.text.chars().all(plain), "{text:?}: {}", word.text);
                }
            }
        }
    }
}

#[test]
fn long_text_is_read_in_one_pass() {
    // Quadratic work on any of these would take minutes.
    for unit in [
        "a", "1", ".", "a-", "1.", "(", "](", "a b. ", "$", "x@", "-1-", "'s",
    ] {
        let text = unit.repeat(400_000 / unit.len());
        let chunks = chunks(&text);
        // Nobody waits for the whole text before the first word is heard.
        assert!(
            sentences(&chunks).all(|sentence| sentence.len() <= 64),
            "{unit}"
        );
        assert!(
            chunks.iter().all(|chunk| chunk.range.len() <= 400),
            "{unit}"
        );
    }
}
