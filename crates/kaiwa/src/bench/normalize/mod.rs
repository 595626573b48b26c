//! Brings texts into one form, so that a word error rate counts words and not spelling.
//!
//! English follows the rules that were published with Whisper (Radford et al. 2022,
//! "Robust Speech Recognition via Large-Scale Weak Supervision", appendix C), because
//! other systems' figures are made with them; where their order of steps has odd effects
//! ("1" becomes "one", also inside "$1"), so has this. They are applied to both sides of a
//! comparison. American spelling is reached by rules instead of their list of words.

mod numbers;
mod spelling;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Words that are not speech.
const FILLERS: [&str; 6] = ["hmm", "mm", "mhm", "mmm", "uh", "um"];

/// Symbols that numbers are written with.
const NUMERIC_SYMBOLS: &str = ".%$¢€£";

/// What short forms stand for, in the order of replacing. A word must end after each; one
/// that does not begin with an apostrophe or with "n't" must also begin a word.
const EXPANSIONS: [(&str, &str); 53] = [
    ("won't", "will not"),
    ("can't", "can not"),
    ("let's", "let us"),
    ("ain't", "aint"),
    ("y'all", "you all"),
    ("wanna", "want to"),
    ("kinda", "kind of"),
    ("sorta", "sort of"),
    ("dunno", "do not know"),
    ("gotta", "got to"),
    ("gonna", "going to"),
    ("i'ma", "i am going to"),
    ("imma", "i am going to"),
    ("woulda", "would have"),
    ("coulda", "could have"),
    ("shoulda", "should have"),
    ("cause", "because"),
    ("ma'am", "madam"),
    ("mr", "mister "),
    ("mrs", "missus "),
    ("st", "saint "),
    ("dr", "doctor "),
    ("prof", "professor "),
    ("capt", "captain "),
    ("gov", "governor "),
    ("ald", "alderman "),
    ("gen", "general "),
    ("sen", "senator "),
    ("rep", "representative "),
    ("pres", "president "),
    ("rev", "reverend "),
    ("hon", "honorable "),
    ("asst", "assistant "),
    ("assoc", "associate "),
    ("lt", "lieutenant "),
    ("col", "colonel "),
    ("jr", "junior "),
    ("sr", "senior "),
    ("esq", "esquire "),
    ("'d been", " had been"),
    ("'s been", " has been"),
    ("'d gone", " had gone"),
    ("'s gone", " has gone"),
    ("'d done", " had done"),
    ("'s got", " has got"),
    ("n't", " not"),
    ("'re", " are"),
    ("'s", " is"),
    ("'d", " would"),
    ("'ll", " will"),
    ("'t", " not"),
    ("'ve", " have"),
    ("'m", " am"),
];

/// The normal form of a text in that language (ISO 639-1), its units separated by spaces:
/// words, or characters for languages that write no spaces.
pub(crate) fn text(text: &str, language: &str) -> String {
    match language {
        "en" => english(text),
        "ja" | "th" | "yue" | "zh" => basic(text)
            .chars()
            .filter(|character| !character.is_whitespace())
            .flat_map(|character| [character, ' '])
            .collect::<String>()
            .trim_end()
            .to_owned(),
        _ => basic(text),
    }
}

/// The normal form of an English text: lower-case words and numbers.
pub(crate) fn english(text: &str) -> String {
    let mut text = without_asides(&text.to_lowercase());
    text = without_fillers(&text);
    text = attach_apostrophes(&text);
    for (short, long) in EXPANSIONS {
        text = expand(&text, short, long);
    }
    text = join_thousands(&text);
    text = drop_periods(&text);
    text = ascii_letters(&text);
    text = numbers::normalize(&text);
    text = text
        .split_whitespace()
        .map(spelling::american)
        .collect::<Vec<_>>()
        .join(" ");
    drop_loose_symbols(&text)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// The normal form of a text in a language about which nothing is known here: lower case,
/// without punctuation.
fn basic(text: &str) -> String {
    without_asides(&text.to_lowercase())
        .nfkc()
        .map(|character| if is_symbol(character) { ' ' } else { character })
        .collect::<String>()
        .to_lowercase()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// Removes what stands in brackets, which is not spoken.
fn without_asides(text: &str) -> String {
    let text = remove_enclosed(text, &['<', '['], &['>', ']'], 0);
    remove_enclosed(&text, &['('], &[')'], 1)
}

/// Removes everything from an `open` to the next `close` with `least` characters between.
fn remove_enclosed(text: &str, open: &[char], close: &[char], least: usize) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(open) {
        let inner = start + rest[start..].chars().next().map_or(0, char::len_utf8);
        match rest[inner..].find(close) {
            Some(length) if length >= least => {
                kept.push_str(&rest[..start]);
                let end = inner + length;
                rest = &rest[end + rest[end..].chars().next().map_or(0, char::len_utf8)..];
            }
            Some(_) => {
                kept.push_str(&rest[..inner]);
                rest = &rest[inner..];
            }
            None => break,
        }
    }
    kept + rest
}

fn without_fillers(text: &str) -> String {
    let mut kept = String::new();
    let mut word = String::new();
    // The space at the end ends the last word.
    for character in text.chars().chain([' ']) {
        if is_word(character) {
            word.push(character);
            continue;
        }
        if !FILLERS.contains(&word.as_str()) {
            kept.push_str(&word);
        }
        word.clear();
        kept.push(character);
    }
    kept
}

/// Removes white space before apostrophes.
fn attach_apostrophes(text: &str) -> String {
    let mut pieces = text.split('\'').peekable();
    let mut joined = String::new();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_some() {
            joined.push_str(piece.trim_end());
            joined.push('\'');
        } else {
            joined.push_str(piece);
        }
    }
    joined
}

/// Replaces `short` by `long` where a word ends after it (and begins with it).
fn expand(text: &str, short: &str, long: &str) -> String {
    let begins_word = !short.starts_with('\'') && short != "n't";
    let mut expanded = String::new();
    let mut before = None;
    let mut rest = text;
    while let Some(at) = rest.find(short) {
        let (head, tail) = rest.split_at(at);
        let tail = &tail[short.len()..];
        let previous = head.chars().next_back().or(before);
        let is_inside = tail.chars().next().is_some_and(is_word)
            || begins_word && previous.is_some_and(is_word);
        expanded.push_str(head);
        expanded.push_str(if is_inside { short } else { long });
        before = short.chars().next_back();
        rest = tail;
    }
    expanded + rest
}

/// `1,000` becomes `1000`. After a comma that was removed the next one is only seen after
/// another digit, as the published rule has it.
fn join_thousands(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut joined = String::new();
    let mut at = 0;
    while at < characters.len() {
        joined.push(characters[at]);
        if let [first, ',', second, ..] = &characters[at..]
            && first.is_ascii_digit()
            && second.is_ascii_digit()
        {
            joined.push(*second);
            at += 2;
        }
        at += 1;
    }
    joined
}

/// Removes periods that no digit follows. The character after such a period is passed over,
/// as the published rule has it.
fn drop_periods(text: &str) -> String {
    let mut kept = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '.' && !characters.peek().is_some_and(char::is_ascii_digit) {
            kept.push(' ');
            kept.extend(characters.next());
        } else {
            kept.push(character);
        }
    }
    kept
}

/// Letters without diacritics; symbols that are not part of numbers become spaces.
fn ascii_letters(text: &str) -> String {
    let mut plain = String::new();
    for character in text.nfkd() {
        match character {
            'œ' => plain.push_str("oe"),
            'ø' => plain.push('o'),
            'æ' => plain.push_str("ae"),
            'ß' => plain.push_str("ss"),
            'đ' | 'ð' => plain.push('d'),
            'þ' => plain.push_str("th"),
            'ł' => plain.push('l'),
            _ if NUMERIC_SYMBOLS.contains(character) => plain.push(character),
            _ if is_combining_mark(character) => {}
            _ if is_symbol(character) => plain.push(' '),
            _ => plain.push(character),
        }
    }
    plain
}

/// Removes symbols of numbers where no digit is beside them.
fn drop_loose_symbols(text: &str) -> String {
    let mut kept = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        // One without anything after it stays, as the published rule has it.
        if ".$¢€£".contains(character)
            && characters.peek().is_some_and(|next| !next.is_ascii_digit())
        {
            kept.push(' ');
            kept.extend(characters.next());
        } else {
            kept.push(character);
        }
    }
    let mut previous: Option<char> = None;
    let mut result = String::new();
    for character in kept.chars() {
        let is_loose = character == '%' && previous.is_some_and(|before| !before.is_ascii_digit());
        result.push(if is_loose { ' ' } else { character });
        // A percent sign that was removed does not count as standing before another one.
        previous = (!is_loose).then_some(character);
    }
    result
}

/// What Unicode calls marks, punctuation and symbols (general categories M, P, S), by what
/// the standard library can tell: not a letter, number, white space or control character.
fn is_symbol(character: char) -> bool {
    is_combining_mark(character)
        || !(character.is_alphanumeric()
            || character.is_whitespace()
            || character.is_control()
            // Format characters: soft hyphen, zero-width spaces and joiners, order marks.
            || matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}'))
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values were made with the Python package whisper-normalizer 0.1.15:
    /// `" ".join(EnglishTextNormalizer()(text).split())`.
    #[test]
    fn english_is_normalised_as_published() {
        for (given, expected) in [
            (
                "Mr. Smith won't pay $2.07, i.e. two dollars and seven cents!",
                "mister smith will not pay $2.07 i e $2.07",
            ),
            (
                "I've got twenty one thousand three hundred and forty-five dollars and 6 cents.",
                "i have got $21345.06",
            ),
            (
                "It's one oh one Dalmatians, double o seven, triple four",
                "it is 101 dalmatians 007444",
            ),
            (
                "the year nineteen ninety nine, in the nineteen sixties, 1960s and 32nd",
                "the year 1999 in the 1960s 1960s and 32nd",
            ),
            (
                "ten point five percent, 5 per cent, 3.5%, minus five degrees, plus 7",
                "10.5% 5% 3.5% -5 degrees +7",
            ),
            (
                "two and a half million euros, a hundred and one, five hundred thousand",
                "€2500000 a 601000",
            ),
            (
                "Um, uh, hmm [laughs] (aside) <noise> hello there",
                "hello there",
            ),
            (
                "I'd been there; he's gone; they'd done it; she's got it; we'd go; it's been",
                "i had been there he has gone they had done it she has got it we would go it has been",
            ),
            (
                "you're y'all gonna wanna kinda i'ma gotta 'cause ma'am",
                "you are you all going to want to kind of i am going to got to because madam",
            ),
            (
                "Dr. Brown Jr. and Prof. Gen. St. John's Rd.",
                "doctor brown junior and professor general saint john is rd",
            ),
            ("1,000,000 and 1,2,3 and 10,5", "1000000 and 12 3 and 105"),
            (
                "The colour of the neighbour's tyre was grey; he organised the theatre programme",
                "the color of the neighbor is tire was gray he organized the theater program",
            ),
            (
                "café naïve Ærøskøbing straße œuvre Łódź Þór",
                "cafe naive aeroskobing strasse oeuvre lodz thor",
            ),
            (
                "nine one one, twenty twenty, two thousand and twenty four, twenty twenty-four",
                "91120220242024",
            ),
            (
                "one hundred first, twenty-third, thirtieth, fifth, ninth, eighth, twelfth, hundreds, thousands, millionth",
                "101st 23rd 30th 5th ninth 8th 12th 100s 1000s 1000000th",
            ),
            (
                "$20 million, £3.50, €0.05, $0.50, ¢7, 5 cents, five pounds",
                "$20000000 £3.50 ¢5 ¢50 ¢7 ¢5 £5",
            ),
            (
                "3 pm at 10:30, 5G, B2B, mp3, 4x4, a1b2, 7th heaven, 2 nd",
                "3 pm at 10 30 5 g b 2 b mp 3 4 x 4 a one b 2 7th heaven 2nd",
            ),
            (
                "192.168.0.1, point five, zero point zero five, one point two million, version 2.0",
                "192.168.0 one .50.051.2 1000000 version 2",
            ),
            (
                "half past, and a half, three and a half, cat and a half, two and a half and a half",
                "half past and a half 3.5 cat and a half 2.5",
            ),
            (
                "o'clock, rock 'n' roll, the dogs' bowls, don 't",
                "0 clock rock n roll the dogs bowls do not",
            ),
            (
                "one, ones, two ones, 1, 1s, 11, 1st, sixes and sevens, twenties",
                "11s 21s one ones 11 1st 6s and 7s 20s",
            ),
            (
                "double trouble, triple, double five, double ten, point taken, per person, per cent",
                "double trouble triple 551010 point taken per person per cent",
            ),
            (
                "minus, negative feedback, plus one, positive, negative one hundred",
                "-negative feedback +one -100",
            ),
            (
                "ten to the minus five, fifty fifty, fifty-five, eighty six thousand, six hundred sixty six",
                "10 to the -550505586666",
            ),
            (
                "thousand thousand, hundred hundred, two hundred hundred, ten thousand million",
                "31000",
            ),
            (
                "$1, $1.5 million, 1.5 billion dollars, one dollar and fifty cents, $3 and ¢7",
                "one $1500000 $1500000000 one.50 $3.07",
            ),
            (
                "100% sure, 5 % off, % sign, a $ sign, .5, 5., ... wait.. what.",
                "100% sure 5 off sign a sign .5 5 wait what",
            ),
            (
                "ALL CAPS TEXT WITH IT'S CONTRACTIONS CAN'T WON'T",
                "all caps text with it is contractions can not will not",
            ),
            (
                "twenty one st, 3 rd avenue, 21 st street, forty 2",
                "21 saint 3rd avenue 21 saint street 40 2",
            ),
            (
                "zero, oh, o, oh zero, nought, zero zero seven, ten oh five",
                "00000 nought 0071005",
            ),
            (
                "a hundred thousandth, two thousandths, three quarters, second third",
                "a 100000th 2 thousandths 3 quarters 2nd 3rd",
            ),
            (
                "“Curly” ‘quotes’ don’t — and…dashes–too; a_b underscore",
                "curly quotes don t and . dashes too a b underscore",
            ),
            (
                "½ cup, ² squared, x² + y³ = z, 50°C, №5, ™",
                "one 2 cup 2 squared x 2 y 3 z 50 c No 5 TM",
            ),
            (
                "co-operate re-elect well-known e-mail, and/or, 24/7, 9-5",
                "co operate re elect well known e mail and or 24 7 9 5",
            ),
            (
                "forty two hundred, twelve hundred, nineteen hundred and eighty four",
                "46984",
            ),
            (
                "five hundred and, two and three, hundred and twenty, thousand and one nights",
                "502 and 320001 nights",
            ),
            (
                "1st 2nd 3rd 4th 22s 0.5 00.7 007 1.0 1.50 10.00",
                "1st 2nd 3rd 4th 22s 0.5 00.7 7 one one.50 10",
            ),
            (
                "sixty percent, sixty per annum, per, percent, a percent",
                "60% 60 per annum per percent a percent",
            ),
            (
                "five million two hundred thousand and six point seven five",
                "5200006.75",
            ),
        ] {
            assert_eq!(english(given), expected, "{given}");
        }
    }

    #[test]
    fn nothing_is_left_of_what_is_not_speech() {
        for nothing in [
            "",
            " \n",
            "[music]",
            "(laughs) <noise>",
            "Um, uh. Hmm!",
            "-",
            "—",
        ] {
            assert_eq!(english(nothing), "", "{nothing}");
        }
    }

    #[test]
    fn other_languages_keep_their_letters() {
        for (language, given, expected) in [
            (
                "de",
                "Schöne Grüße, [lacht] Herr Müller!",
                "schöne grüße herr müller",
            ),
            ("es", "¿Qué tal? (risas)", "qué tal"),
            ("ja", "「会話」です。ＡＢＣ 1！", "会 話 で す a b c 1"),
            ("zh", "广州市，房地产。", "广 州 市 房 地 产"),
            ("en", "Five dollars", "$5"),
            ("ja", "", ""),
        ] {
            assert_eq!(text(given, language), expected);
        }
    }
}
