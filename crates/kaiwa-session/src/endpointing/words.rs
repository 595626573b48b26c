//! What the words of a turn so far say about whether it is over.
//!
//! The lists are the closed word classes of English (articles, possessives, conjunctions,
//! prepositions, forms of "be"), without the members that also end sentences: particles
//! ("turn it on", "come in"), pronouns that stand alone ("his", "that"), auxiliaries that
//! answer ("yes, I will").
//!
//! They were read against what Whisper tiny.en writes at the pauses and ends of recorded
//! speech. It leaves the full stop out, or writes "...", "," or "-", where it hears that
//! somebody breaks off, but puts one after phrases that only sound whole; it writes most
//! hesitations as nothing, "um..." or a comma; digits as "4 1 5", "0, 2, 7," or "10001",
//! spelled letters as "J.", "K-A-I" or "k a i".

/// What a transcript says about the end of the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    /// Nothing but a sound of agreement ("mm-hm", "yeah", "okay, right"). As a turn of its
    /// own it is complete; while the assistant speaks, it does not ask for the floor.
    Backchannel,
    /// The sentence can end here.
    Finished,
    /// The text is empty, in a language without rules, or could be either: no word of it
    /// dangles, but no full stop ends it.
    Neutral,
    /// Digits are being dictated.
    Number {
        /// Digits said so far in this number.
        digits: usize,
    },
    /// Something has to follow: a dangling "and", "the", "to", "my number is", a
    /// hesitation, a comma, a dash.
    Open,
    /// Letters are being spelled.
    Spelling {
        /// Letters said so far.
        letters: usize,
    },
}

impl Words {
    /// Judges the `transcript` of a turn up to a pause.
    ///
    /// `language` is an ISO-639-1 code; without one, English is assumed.
    pub(crate) fn of(transcript: &str, language: Option<&str>) -> Self {
        let text = transcript.trim();
        let is_english = language.is_none_or(|code| {
            let primary = code.split(['-', '_']).next().unwrap_or(code);
            primary.eq_ignore_ascii_case("en")
        });
        let tokens = tokens(text);
        let Some(last) = tokens.last().filter(|_| is_english) else {
            return Self::Neutral;
        };
        if is_backchannel(&tokens) {
            return Self::Backchannel;
        }
        // Digits and letters come first: whoever dictates pauses after commas and dashes, too.
        if let Some(digits) = dictated_digits(&tokens) {
            return Self::Number { digits };
        }
        if let Some(letters) = spelled_letters(&tokens) {
            return Self::Spelling { letters };
        }
        if is_cut_off(text) || is_dangling(&tokens, text.ends_with('?')) {
            return Self::Open;
        }
        if text.ends_with(['.', '!', '?']) && !last.is_particle() {
            Self::Finished
        } else {
            Self::Neutral
        }
    }

    /// Whether the text is empty, or holds the sounds of somebody who may be about to speak.
    pub(crate) fn are_none(text: &str) -> bool {
        let tokens = tokens(text);
        tokens.iter().all(|token| token.is_one_of(&HESITATIONS))
    }

    /// Whether a number of so many digits is often whole: telephone numbers of 7, 10 and 11
    /// digits, payment cards of 15 and 16.
    pub(crate) fn is_whole_number(digits: usize) -> bool {
        matches!(digits, 7 | 10 | 11 | 15 | 16)
    }
}

/// A word without the punctuation around it.
#[derive(Clone, Copy, Debug)]
struct Token<'a> {
    text: &'a str,
    /// A sentence ends with it.
    ends_sentence: bool,
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    text.split_whitespace()
        .filter_map(|word| {
            let ends_sentence = word.ends_with(['.', '!', '?']);
            let text = word.trim_matches(|c: char| !c.is_alphanumeric());
            (!text.is_empty()).then_some(Token {
                text,
                ends_sentence,
            })
        })
        .collect()
}

impl Token<'_> {
    fn is(&self, word: &str) -> bool {
        // A typographic apostrophe is as good as a plain one.
        self.text
            .chars()
            .map(|c| if c == '\u{2019}' { '\'' } else { c })
            .flat_map(char::to_lowercase)
            .eq(word.chars())
    }

    fn is_one_of(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }

    /// Whether it ends a sentence as a part of its verb and begins a phrase as a
    /// preposition: "come in" and "I live in".
    fn is_particle(&self) -> bool {
        self.is_one_of(&["by", "in", "off", "on", "out", "over", "through", "up"])
    }
}

/// Sounds of agreement and attention.
const BACKCHANNELS: [&str; 28] = [
    "ah", "aha", "alright", "cool", "exactly", "good", "great", "hm", "hmm", "huh", "mhm", "mm",
    "mm-hm", "mm-hmm", "mmhmm", "mmm", "nice", "oh", "ok", "okay", "right", "sure", "uh-huh",
    "wow", "yeah", "yep", "yes", "yup",
];

/// The same in two words.
const BACKCHANNEL_PHRASES: [[&str; 2]; 6] = [
    ["all", "right"],
    ["got", "it"],
    ["i", "see"],
    ["mm", "hmm"],
    ["of", "course"],
    ["uh", "huh"],
];

/// Sounds before the words.
const HESITATIONS: [&str; 5] = ["er", "erm", "uh", "uhm", "um"];

/// Words of a turn that is only a backchannel, at most: "yeah, yeah, right".
const BACKCHANNEL_WORDS: usize = 4;

fn is_backchannel(tokens: &[Token<'_>]) -> bool {
    let mut rest = tokens;
    while let [first, after @ ..] = rest {
        rest = match after {
            [second, after @ ..]
                if BACKCHANNEL_PHRASES
                    .iter()
                    .any(|[one, two]| first.is(one) && second.is(two)) =>
            {
                after
            }
            _ if first.is_one_of(&BACKCHANNELS) => after,
            _ => return false,
        };
    }
    tokens.len() <= BACKCHANNEL_WORDS
}

/// Whether the text breaks off: with a comma, a dash, a colon or an ellipsis.
fn is_cut_off(text: &str) -> bool {
    let text = text.trim_end_matches(['"', '\'', '\u{201d}']);
    text.ends_with([',', '-', '\u{2013}', '\u{2014}', ':', ';', '\u{2026}'])
        || text.ends_with("...")
}

/// Words after which something has to follow, in questions as well.
const DANGLING: [&str; 48] = [
    "a", "although", "an", "and", "because", "but", "can't", "cuz", "er", "erm", "every", "he'll",
    "he's", "i'd", "i'll", "i'm", "i've", "if", "it'll", "it's", "its", "my", "nor", "or", "our",
    "she'll", "she's", "than", "that's", "the", "their", "there's", "they'll", "they're",
    "they've", "uh", "uhm", "um", "unless", "very", "we'll", "we're", "we've", "whether", "whose",
    "you'll", "your", "you've",
];

/// Words after which something has to follow unless the sentence asks ("what for?") or has
/// a question word in it ("that's what I was looking for").
const DANGLING_OUTSIDE_QUESTIONS: [&str; 26] = [
    "about",
    "against",
    "among",
    "as",
    "at",
    "between",
    "during",
    "for",
    "from",
    "including",
    "into",
    "like",
    "of",
    "onto",
    "per",
    "to",
    "toward",
    "towards",
    "until",
    "upon",
    "using",
    "versus",
    "via",
    "which",
    "with",
    "without",
];

/// "Is" and its kind end a sentence after a pronoun ("yes, it is") or in an indirect question
/// ("I know where the house is").
const BE: [&str; 4] = ["are", "is", "was", "were"];

const PRONOUNS: [&str; 12] = [
    "he", "here", "i", "it", "she", "that", "there", "they", "this", "those", "we", "you",
];

const QUESTION_WORDS: [&str; 10] = [
    "how", "what", "what's", "when", "where", "where's", "which", "who", "who's", "why",
];

/// After these two words something has to follow, in questions as well.
const DANGLING_PAIRS: [[&str; 2]; 17] = [
    ["and", "so"],
    ["and", "then"],
    ["can", "you"],
    ["could", "you"],
    ["going", "to"],
    ["how", "about"],
    ["i", "mean"],
    ["i", "need"],
    ["i", "want"],
    ["let", "me"],
    ["so", "then"],
    ["trying", "to"],
    ["what", "about"],
    ["would", "like"],
    ["would", "you"],
    ["you", "know"],
    ["i", "think"],
];

/// "So" ends a sentence after these ("I think so").
const BEFORE_SO: [&str; 8] = [
    "believe", "do", "guess", "hope", "said", "say", "suppose", "think",
];

/// "I" ends a sentence after these ("so do I").
const BEFORE_I: [&str; 10] = [
    "am", "can", "could", "did", "do", "have", "may", "should", "will", "would",
];

fn is_dangling(tokens: &[Token<'_>], asks: bool) -> bool {
    let sentence = last_sentence(tokens);
    let Some((last, before)) = sentence.split_last() else {
        return false;
    };
    let previous = before.last();
    let after = |words: &[&str]| previous.is_some_and(|word| word.is_one_of(words));
    let is_question = asks || before.iter().any(|word| word.is_one_of(&QUESTION_WORDS));
    if previous.is_some_and(|previous| {
        DANGLING_PAIRS
            .iter()
            .any(|[one, two]| previous.is(one) && last.is(two))
    }) {
        // "What I need" and "do you know?" are whole, "could you" on its own is not.
        return !is_question || before.len() == 1;
    }
    if last.is_one_of(&BE) {
        return !is_question && !after(&PRONOUNS);
    }
    match last.text {
        // Capital letters are names of things ("plan A"), small ones articles.
        "A" => before.is_empty(),
        "I" => !after(&BEFORE_I),
        _ if last.is("so") => !after(&BEFORE_SO),
        // "As well" is whole, "well" is about to go on.
        _ if last.is("well") => before.is_empty(),
        _ if last.is_one_of(&DANGLING) => true,
        _ => !is_question && last.is_one_of(&DANGLING_OUTSIDE_QUESTIONS),
    }
}

/// The words after the last full stop that is not the last.
fn last_sentence<'a, 'b>(tokens: &'b [Token<'a>]) -> &'b [Token<'a>] {
    let inner = &tokens[..tokens.len().saturating_sub(1)];
    let start = inner.iter().rposition(|token| token.ends_sentence);
    &tokens[start.map_or(0, |at| at + 1)..]
}

/// Words that announce a number to be dictated.
const NUMBER_NAMES: [&str; 16] = [
    "account",
    "card",
    "cell",
    "code",
    "dial",
    "digits",
    "extension",
    "id",
    "mobile",
    "number",
    "passcode",
    "phone",
    "pin",
    "serial",
    "telephone",
    "zip",
];

/// The digits at the end of the text, if they look dictated rather than counted: in three
/// groups or more, four digits in two groups, more than four, with a leading zero or with
/// dashes, after "number" or its like, or with nothing else in the turn.
fn dictated_digits(tokens: &[Token<'_>]) -> Option<usize> {
    let is_figures = |token: &Token<'_>| {
        let mut bytes = token.text.bytes();
        bytes.all(|byte| byte.is_ascii_digit() || b",-".contains(&byte))
    };
    if tokens.len() > 1 && tokens.iter().all(is_figures) {
        // Nothing but figures, also if some look like quantities: "1,000, 101.".
        let digits = tokens.iter().flat_map(|token| token.text.bytes());
        return Some(digits.filter(u8::is_ascii_digit).count());
    }
    let mut run = Run::default();
    let start = tokens
        .iter()
        .rposition(|token| !run.take(token.text))
        .map_or(0, |at| at + 1);
    if run.digits == 0 {
        return None;
    }
    let before = &tokens[..start];
    let announced = before.iter().any(|word| word.is_one_of(&NUMBER_NAMES));
    let alone = before.is_empty();
    // One group of four is a year more often than a number.
    let grouped = run.groups > 2 || run.groups == 2 && run.digits >= 4 || run.digits > 4;
    (announced || alone || grouped || run.leading_zero || run.dashed && run.digits > 1)
        .then_some(run.digits)
}

/// A run of digits, read from its end.
#[derive(Default)]
struct Run {
    digits: usize,
    groups: usize,
    dashed: bool,
    /// A group of several digits begins with a zero.
    leading_zero: bool,
    /// Digits of the group read last: "double" and "triple" stand before one.
    last_group: usize,
}

impl Run {
    /// Whether the word belongs to the run.
    fn take(&mut self, word: &str) -> bool {
        let parts = || {
            word.split(['-', '\u{2013}', '.', ','])
                .filter(|part| !part.is_empty())
        };
        let digits: Option<usize> = parts()
            .map(|part| {
                if part.bytes().all(|byte| byte.is_ascii_digit()) {
                    Some(part.len())
                } else {
                    digits_of_word(part)
                }
            })
            .sum();
        match digits {
            // "2.5" is a quantity, "4,500" as well; "4.1.5" and "4,9,2,9" are not.
            Some(digits) if digits > 0 && !is_quantity(word) => {
                self.digits += digits;
                self.groups += 1;
                self.last_group = digits;
                self.dashed |= word.contains('-');
                self.leading_zero = digits > 1 && word.starts_with('0') || self.leading_zero;
                true
            }
            _ if self.last_group == 1 && word.eq_ignore_ascii_case("double") => {
                self.digits += 1;
                true
            }
            _ if self.last_group == 1 && word.eq_ignore_ascii_case("triple") => {
                self.digits += 2;
                true
            }
            _ => false,
        }
    }
}

/// Whether the separators are those of one quantity: "4,500", "2.5".
fn is_quantity(word: &str) -> bool {
    if let Some((_, fraction)) = word.split_once('.') {
        return !fraction.contains('.') && !fraction.is_empty();
    }
    let mut groups = word.split(',');
    let first = groups.next().unwrap_or_default();
    let mut rest = groups.peekable();
    (1..=3).contains(&first.len()) && rest.peek().is_some() && rest.all(|group| group.len() == 3)
}

/// How many digits a number word stands for.
fn digits_of_word(word: &str) -> Option<usize> {
    const ONE: [&str; 12] = [
        "zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "o",
    ];
    const TWO: [&str; 18] = [
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
        "twenty",
        "thirty",
        "forty",
        "fifty",
        "sixty",
        "seventy",
        "eighty",
        "ninety",
    ];
    let is = |known: &&str| word.eq_ignore_ascii_case(known);
    if ONE.iter().any(is) {
        Some(1)
    } else {
        TWO.iter().any(is).then_some(2)
    }
}

/// The letters at the end of the text, if a word is being spelled.
fn spelled_letters(tokens: &[Token<'_>]) -> Option<usize> {
    // "M as in Mike".
    let explained = |tokens: &[Token<'_>]| {
        matches!(tokens, [.., letter, one, two]
            if one.is("as") && two.is("in") && letter.text.chars().count() == 1)
    };
    if explained(tokens) || tokens.split_last().is_some_and(|(_, rest)| explained(rest)) {
        return Some(1);
    }
    let mut run: Vec<char> = Vec::new();
    let start = tokens
        .iter()
        .rposition(|token| match letters(token.text) {
            Some(letters) => {
                run.extend(letters);
                false
            }
            None => true,
        })
        .map_or(0, |at| at + 1);
    let alone = start == 0;
    // "I" and "A" are words, too.
    let is_letter = run
        .iter()
        .any(|letter| !matches!(letter, 'A' | 'I' | 'a' | 'i'));
    (is_letter && (run.len() >= 2 || alone)).then_some(run.len())
}

/// The letters of a word that is a letter or letters with separators: "K", "K-A-I", "K.A".
fn letters(word: &str) -> Option<impl Iterator<Item = char>> {
    let parts = || word.split(['-', '.']).filter(|part| !part.is_empty());
    let single = |part: &str| {
        let mut characters = part.chars();
        let letter = characters.next().filter(char::is_ascii_alphabetic);
        letter.filter(|_| characters.next().is_none())
    };
    parts()
        .all(|part| single(part).is_some())
        .then(|| parts().filter_map(single).collect::<Vec<_>>().into_iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks texts, most of them as Whisper tiny.en writes them.
    fn check(expected: Words, texts: &[&str]) {
        for text in texts {
            assert_eq!(Words::of(text, Some("en")), expected, "{text:?}");
        }
    }

    #[test]
    fn a_sentence_that_can_end_is_finished() {
        check(
            Words::Finished,
            &[
                "He has a round face and two small eyes.",
                "How old is the Brooklyn Bridge?",
                "What are you looking for?",
                "That's what I was looking for.",
                "Go to her, I tell you.",
                "Yes, it is.",
                "I know where the house is.",
                "I think so.",
                "So do I.",
                "That's what I need.",
                "We have the plan A.",
                "Do you know?",
                "It went very well.",
                "Book a room.",
                "It was in 2021.",
                "2.30 pm.",
                "I would like 3 of them.",
                "No.",
            ],
        );
    }

    #[test]
    fn a_dangling_word_leaves_the_turn_open() {
        check(
            Words::Open,
            &[
                "Mr. Quilter is",
                "Mr. Quilter is the apostle of the middle classes, and we are glad to",
                "drop the two when you add the",
                "This isn't part of your",
                "But um...",
                "I want to go and.",
                "Um.",
                "My number is.",
                "The child almost hurt the s-",
                "For although the Chinese took impressions from wood blocks,",
                "I'd like",
                "Could you?",
                "I think, you know,",
                "I went there because",
                "Sunday is the best part of...",
                "Well,",
                "It\u{2019}s",
                "We did it. And then I",
            ],
        );
    }

    #[test]
    fn what_could_be_either_is_neutral() {
        check(
            Words::Neutral,
            &[
                "",
                " ... ",
                "turn the light on",
                "Come in.",
                "Montreal forced",
                "He might even have been",
            ],
        );
    }

    #[test]
    fn dictated_digits_are_counted() {
        for (text, digits) in [
            ("4 1 5", 3),
            ("0, 2, 7, 9, 4, 6,", 6),
            ("10001 90210.", 10),
            ("1,000, 101.", 7),
            ("My number is 415-555", 6),
            ("It's four, one, five.", 3),
            ("Nine oh two one oh.", 5),
            ("The code is 0 double 5", 3),
            ("triple seven", 3),
            ("Seven.", 1),
            ("My zip code is 94", 2),
            ("Twenty, forty", 4),
        ] {
            let dictated = match Words::of(text, None) {
                Words::Number { digits } => digits,
                other => panic!("{text:?}: {other:?}"),
            };
            assert_eq!(dictated, digits, "{text:?}");
        }
        assert!(Words::is_whole_number(10));
        assert!(!Words::is_whole_number(6));
    }

    #[test]
    fn spelled_letters_are_counted() {
        for (text, letters) in [
            ("J.", 1),
            ("K-A-I.", 3),
            ("k a i w w", 5),
            ("It's spelled M R O Z", 4),
            ("K. A. I. W.", 4),
            ("M as in", 1),
            ("M, as in Mike.", 1),
        ] {
            let expected = Words::Spelling { letters };
            assert_eq!(Words::of(text, None), expected, "{text:?}");
        }
        assert_eq!(Words::of("I have a", None), Words::Open);
    }

    #[test]
    fn agreement_alone_is_a_backchannel() {
        check(
            Words::Backchannel,
            &[
                "Mm-hmm.",
                "Yeah.",
                "Okay, right.",
                "Uh-huh.",
                "Uh huh",
                "Oh, I see.",
                "yeah yeah yeah",
                "All right.",
            ],
        );
        check(
            Words::Finished,
            &[
                "Yeah, but not now.",
                "Right behind you.",
                "No.",
                "Stop.",
                "Yes, yes, yes, yes, yes.",
            ],
        );
    }

    #[test]
    fn other_languages_are_neutral() {
        assert_eq!(Words::of("Ich gehe zu der", Some("de")), Words::Neutral);
        assert_eq!(Words::of("I went to the", Some("en-GB")), Words::Open);
    }
}
