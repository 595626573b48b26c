//! Text cut into what stands between spaces, each with its place in the original.

use std::ops::Range;

use super::{
    expand::{self, Context, Period},
    tables,
};

/// What stands between spaces is cut after this many bytes: no word is as long, and what is
/// read at once stays bounded.
const LONGEST: usize = 400;

/// What stands between two spaces of the original text, as it is to be spoken.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::tts) struct Chunk {
    /// Bytes of the original text.
    pub(super) range: Range<usize>,
    /// Words and punctuation in order; empty for what cannot be spoken.
    pub(super) parts: Vec<Part>,
    /// Whether a sentence ends here.
    pub(super) ends_sentence: bool,
}

/// A piece of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Word(Word),
    /// One of `. , ! ? : ; — … ( ) “ ”`.
    Punctuation(char),
}

/// A word to pronounce. The text is letters, apostrophes and hyphens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) reading: Reading,
}

/// How to find a word's pronunciation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Letter by letter.
    Letters,
    /// A word of a number: its plain form, whatever stands around it.
    Number,
    /// By what the word is in its sentence.
    Word,
}

/// Cuts `text`. Never fails: what has no spoken form gives a chunk without parts.
pub(super) fn chunks(text: &str) -> Vec<Chunk> {
    let raws = raws(text);
    let mut out: Vec<Chunk> = Vec::with_capacity(raws.len());
    for (index, raw) in raws.iter().enumerate() {
        let next = raws.get(index + 1);
        let context = Context {
            before: index.checked_sub(1).map_or("", |i| raws[i].core.as_str()),
            after: next.map_or("", |next| next.core.as_str()),
            period: raw.trail.first() == Some(&'.'),
            in_parentheses: raw.lead.contains(&'(') && raw.trail.contains(&')'),
        };
        let expansion = expand::expand(&raw.core, &context);
        let mut trail = raw.trail.as_slice();
        let mut stops = trail.iter().any(|c| matches!(c, '.' | '!' | '?' | '…'));
        if let (Some(period), Some((_, rest))) = (expansion.period, trail.split_first()) {
            // The period belongs to the abbreviation. It may end the sentence as well.
            trail = rest;
            let capital = context.after.starts_with(char::is_uppercase);
            stops = rest.iter().any(|c| matches!(c, '!' | '?'))
                || next.is_none()
                || period == Period::MayEnd && capital && rest.is_empty();
            if stops && rest.is_empty() {
                trail = &['.'];
            }
        } else if next.is_some_and(|next| next.core.starts_with(char::is_lowercase)) {
            // "What?" she said.
            stops = false;
        } else if raw.line_starts
            && raw.trail == ['.']
            && raw.core.bytes().all(|b| b.is_ascii_digit())
            && next.is_some()
        {
            // The number of a list's entry.
            trail = &[','];
            stops = false;
        }
        let new_line =
            raw.line_ends && next.is_none_or(|next| !next.core.starts_with(char::is_lowercase));
        let marks = |marks: &[char]| {
            marks
                .iter()
                .map(|c| Part::Punctuation(*c))
                .collect::<Vec<_>>()
        };
        let mut parts = expansion.parts;
        if parts.iter().any(|part| matches!(part, Part::Word(_))) {
            parts.splice(..0, marks(&raw.lead));
            parts.extend(marks(trail));
        } else {
            // Marks on their own: a dash between words is a pause, the rest is noise.
            parts = marks(trail);
            parts.retain(|part| matches!(part, Part::Punctuation('—')));
        }
        out.push(Chunk {
            range: raw.range.clone(),
            parts,
            ends_sentence: stops || new_line,
        });
    }
    out
}

/// A chunk before its words are known.
struct Raw {
    range: Range<usize>,
    lead: Vec<char>,
    core: String,
    trail: Vec<char>,
    /// Whether it is the first of its line.
    line_starts: bool,
    /// Whether it is the last of its line.
    line_ends: bool,
}

fn raws(text: &str) -> Vec<Raw> {
    let mut raws = Vec::new();
    let mut line_starts = true;
    let mut at = 0;
    while let Some(start) = text[at..].find(|c: char| !c.is_whitespace()) {
        let start = at + start;
        if text[at..start].contains(['\n', '\r', '\u{2028}', '\u{2029}']) {
            line_starts = true;
        }
        if line_starts && let Some(last) = raws.last_mut() {
            let last: &mut Raw = last;
            last.line_ends = true;
        }
        let most = text.floor_char_boundary(start + LONGEST);
        let end = text[start..most]
            .find(char::is_whitespace)
            .map_or(most, |length| start + length);
        raws.push(raw(start..end, &text[start..end], line_starts));
        line_starts = false;
        at = end;
    }
    raws
}

fn raw(range: Range<usize>, written: &str, line_starts: bool) -> Raw {
    let plain = plain(written, line_starts);
    let body = |c: char| c.is_alphanumeric() || tables::symbol(c).is_some();
    let first = plain.find(body).unwrap_or(0);
    let last = plain
        .char_indices()
        .rfind(|(_, c)| body(*c))
        .map_or(first, |(at, c)| at + c.len_utf8());
    let (mut first, mut last) = (first, last.max(first));
    // What belongs to the word although it is no letter: -5, .5, #1, 'tis, dogs'.
    let before = plain[..first].chars().next_back();
    let digit = plain[first..].starts_with(|c: char| c.is_ascii_digit() || c == '$');
    let letter = plain[first..].starts_with(char::is_alphabetic);
    match before {
        Some('-' | '.') if digit && first == 1 => first -= 1,
        Some('#') if digit || letter => first -= 1,
        Some('~') if digit => first -= 1,
        Some('\'') if letter && !plain[last..].starts_with('\'') => first -= 1,
        _ => {}
    }
    if plain[first..last].ends_with('s') && plain[last..].starts_with('\'') && before != Some('\'')
    {
        last += 1;
    }
    if plain[last..].starts_with('#') && plain[first..last].len() == 1 {
        // C#
        last += 1;
    }
    let lead = plain[..first].chars().filter_map(|c| match c {
        '"' | '“' | '«' | '„' | '”' => Some('“'),
        '(' => Some('('),
        '—' | '–' => Some('—'),
        _ => None,
    });
    let mut trail: Vec<char> = Vec::new();
    let mut hyphens = 0;
    for c in plain[last..].chars() {
        let mark = match c {
            '"' | '”' | '“' | '»' => '”',
            ')' => ')',
            '—' | '–' => '—',
            '.' | '。' if trail.last() == Some(&'.') => {
                trail.pop();
                '…'
            }
            '.' if trail.last() == Some(&'…') => continue,
            '。' => '.',
            '，' | '、' => ',',
            '！' => '!',
            '？' => '?',
            '-' => {
                hyphens += 1;
                continue;
            }
            '.' | ',' | '!' | '?' | ':' | ';' | '…' => c,
            _ => continue,
        };
        // "!!!" is one mark; "?!" are two.
        if trail.last() != Some(&mark) {
            trail.push(mark);
        }
    }
    // " - " and "--" are dashes; a hyphen at a word's end is nothing.
    let alone = first == last && !line_starts && (1..=2).contains(&hyphens);
    if (alone || hyphens == 2 && first < last) && trail.is_empty() {
        trail.push('—');
    }
    Raw {
        range,
        lead: lead.collect(),
        core: plain[first..last].to_owned(),
        trail,
        line_starts,
        line_ends: false,
    }
}

/// The chunk without markup, and with one way to write each mark.
fn plain(written: &str, line_starts: bool) -> String {
    let mut plain = String::with_capacity(written.len());
    let mut chars = written.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '’' | '‘' | 'ʼ' | '´' => plain.push('\''),
            '`' => {}
            '-' | '=' if chars.peek() == Some(&'>') => {
                chars.next();
                plain.push('→');
            }
            '*' => {
                // A product between two numbers, else emphasis.
                let digits = plain.ends_with(|c: char| c.is_ascii_digit())
                    && chars.peek().is_some_and(char::is_ascii_digit);
                if digits {
                    plain.push('×');
                }
            }
            '‐' | '‑' | '−' | '‒' => plain.push('-'),
            '―' => plain.push('—'),
            // A link: "text](address)" keeps the text.
            ']' if chars.peek() == Some(&'(') => {
                for skipped in chars.by_ref() {
                    if skipped == ')' {
                        break;
                    }
                }
            }
            // Combining marks and joiners that the letters around them can do without.
            '\u{300}'..='\u{36f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{ad}'
            | '\u{feff}' => {}
            // Full-width forms of ASCII.
            '\u{ff01}'..='\u{ff5e}' => {
                let ascii = char::from_u32(u32::from(c) - 0xfee0);
                plain.extend(ascii);
            }
            _ => plain.push(c),
        }
    }
    if line_starts {
        // Quotes, headings and list marks.
        let marks = plain.trim_start_matches(['#', '>', '+', '|']);
        if marks.is_empty() || plain.starts_with('#') && marks.len() + 1 < plain.len() {
            return marks.to_owned();
        }
    }
    plain
}
