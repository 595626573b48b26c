//! What of an answer was voiced, and when: the map from audio to words.
//!
//! A listener who interrupts has heard the beginning of an answer. The ledger knows for
//! every moment of the audio which word it voices, so that truncation at a moment says
//! what the listener heard.

use std::ops::Range;

use kaiwa_audio::Format;

use crate::{Millis, clause::Clause, engine::Word};

/// The audio of one assistant item and the words in it.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    format: Format,
    /// The audio as it went to the client; `None` once it was given up to save memory.
    audio: Option<Vec<u8>>,
    /// Bytes of the audio.
    length: usize,
    /// Words of the clauses that are complete, in order.
    words: Vec<VoicedWord>,
    /// The clause that is being voiced.
    clause: Option<OpenClause>,
    /// Set by a truncation while the answer is still being voiced: nothing is added.
    closed: bool,
}

/// A word in the audio.
#[derive(Clone, Debug, PartialEq, Eq)]
struct VoicedWord {
    /// The byte after it in the answer's text.
    text_end: usize,
    /// Microseconds from the start of the audio.
    micros: Range<u64>,
}

#[derive(Clone, Debug)]
struct OpenClause {
    clause: Clause,
    /// Where it begins, in microseconds of the item's audio.
    start: u64,
    /// How much of it was voiced, in microseconds.
    voiced: u64,
    words: Vec<VoicedWord>,
}

impl Ledger {
    pub(crate) fn new(format: Format) -> Self {
        Self {
            format,
            audio: Some(Vec::new()),
            length: 0,
            words: Vec::new(),
            clause: None,
            closed: false,
        }
    }

    /// A clause begins after the audio so far. After a truncation none does: the listener
    /// hears no more of the answer.
    pub(crate) fn begin_clause(&mut self, clause: Clause) {
        if self.closed {
            return;
        }
        self.clause = Some(OpenClause {
            clause,
            start: self.micros(),
            voiced: 0,
            words: Vec::new(),
        });
    }

    /// The engine voiced `samples` more samples of the clause, in which `words` begin.
    pub(crate) fn voice(&mut self, samples: usize, rate: u32, words: &[Word]) {
        let Some(open) = &mut self.clause else {
            return;
        };
        let micros = |samples: u64| samples * 1_000_000 / u64::from(rate.max(1));
        let piece = open.start + open.voiced;
        open.words.extend(words.iter().map(|word| VoicedWord {
            text_end: open.clause.origin_end(word.text.end),
            micros: piece + micros(u64::from(word.samples.start))
                ..piece + micros(u64::from(word.samples.end)),
        }));
        open.voiced += micros(samples as u64);
    }

    /// The clause is voiced. An engine that named no words has them spread over its time,
    /// by their length.
    pub(crate) fn end_clause(&mut self) {
        let Some(mut open) = self.clause.take() else {
            return;
        };
        if open.words.is_empty() {
            open.words = spread(&open);
        }
        self.words.append(&mut open.words);
    }

    /// Audio went to the client.
    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        if self.closed {
            return;
        }
        self.length += bytes.len();
        if let Some(audio) = &mut self.audio {
            audio.extend_from_slice(bytes);
        }
    }

    /// How much of the text was heard when the last `unheard_ms` of the audio were not. Takes
    /// from them what this audio has of them.
    pub(crate) fn heard_but(&self, unheard_ms: &mut Millis) -> usize {
        let unheard = self.ms().min(*unheard_ms);
        *unheard_ms -= unheard;
        self.heard(self.ms() - unheard)
    }

    /// Cuts audio and words behind `ms`, for good.
    pub(crate) fn truncate(&mut self, ms: Millis) {
        if let Some(open) = self.clause.take() {
            let words = if open.words.is_empty() {
                spread(&open)
            } else {
                open.words
            };
            self.words.extend(words);
        }
        let bytes = usize::try_from(ms).map_or(usize::MAX, |ms| {
            ms.saturating_mul(self.format.bytes_per_ms())
        });
        self.length = self.length.min(bytes);
        if let Some(audio) = &mut self.audio {
            audio.truncate(bytes);
        }
        self.words
            .retain(|word| word.midpoint() < ms.saturating_mul(1000));
        self.closed = true;
    }

    /// Whether a truncation has cut it for good.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The byte of the answer's text up to which a listener heard it in the first `ms`:
    /// the end of the last word of which more than half was played.
    pub(crate) fn heard(&self, ms: Millis) -> usize {
        let open = self.clause.as_ref().map(|open| {
            if open.words.is_empty() {
                spread(open)
            } else {
                open.words.clone()
            }
        });
        self.words
            .iter()
            .chain(open.iter().flatten())
            .filter(|word| word.midpoint() < ms.saturating_mul(1000))
            .map(|word| word.text_end)
            .max()
            .unwrap_or(0)
    }

    /// Whole milliseconds of audio, rounded down as clients do.
    pub(crate) fn ms(&self) -> Millis {
        (self.length / self.format.bytes_per_ms()) as Millis
    }

    /// The audio, in the format it went out in, unless it was given up.
    pub(crate) fn audio(&self) -> Option<&[u8]> {
        self.audio.as_deref()
    }

    /// Gives up the audio but not the words; returns how many bytes were freed.
    pub(crate) fn give_up_audio(&mut self) -> usize {
        self.audio.take().map_or(0, |audio| audio.len())
    }

    fn micros(&self) -> u64 {
        self.length as u64 * 1000 / self.format.bytes_per_ms() as u64
    }
}

impl VoicedWord {
    fn midpoint(&self) -> u64 {
        self.micros.start.midpoint(self.micros.end)
    }
}

/// The words of a clause over its time, by their length in bytes.
fn spread(open: &OpenClause) -> Vec<VoicedWord> {
    let text = &open.clause.text;
    let length = text.len().max(1) as u64;
    let moment = |byte: usize| open.start + open.voiced * byte as u64 / length;
    let mut at = 0;
    text.split(' ')
        .map(|word| {
            let range = at..at + word.len();
            at = range.end + 1;
            VoicedWord {
                text_end: open.clause.origin_end(range.end),
                micros: moment(range.start)..moment(range.end),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clause::ClauseSplitter;

    const TEXT: &str = "One two three, four five six.";

    fn clauses() -> Vec<Clause> {
        let mut splitter = ClauseSplitter::new();
        let mut clauses = splitter.push(TEXT);
        clauses.extend(splitter.finish());
        assert_eq!(clauses.len(), 2);
        clauses
    }

    /// Two clauses of 600 ms, each word 200 ms long.
    fn ledger(with_words: bool) -> Ledger {
        let mut ledger = Ledger::new(Format::Pcm24k);
        for clause in clauses() {
            let mut words = Vec::new();
            let mut at = 0;
            for (index, word) in clause.text.split(' ').enumerate() {
                let start = index as u32 * 3200;
                words.push(Word {
                    text: at..at + word.len(),
                    samples: start..start + 3200,
                });
                at += word.len() + 1;
            }
            ledger.begin_clause(clause);
            // Speech at 16 000 Hz goes out at 24 000 Hz: 600 ms are 28 800 bytes.
            ledger.voice(9600, 16_000, if with_words { &words } else { &[] });
            ledger.sent(&[0; 28_800]);
            ledger.end_clause();
        }
        ledger
    }

    #[test]
    fn what_was_heard_ends_with_the_last_word_half_played() {
        let ledger = ledger(true);
        assert_eq!(ledger.ms(), 1200);
        for (ms, heard) in [
            (0, ""),
            (100, ""),
            (101, "One"),
            (300, "One"),
            (301, "One two"),
            (600, "One two three,"),
            (701, "One two three, four"),
            (5000, TEXT),
        ] {
            assert_eq!(&TEXT[..ledger.heard(ms)], heard, "after {ms} ms");
        }
    }

    #[test]
    fn words_an_engine_does_not_name_are_spread_over_the_clause() {
        let ledger = ledger(false);
        assert_eq!(&TEXT[..ledger.heard(250)], "One two");
        assert_eq!(&TEXT[..ledger.heard(1200)], TEXT);
    }

    #[test]
    fn truncation_cuts_audio_and_words_for_good() {
        let mut ledger = ledger(true);
        ledger.truncate(450);
        assert_eq!(ledger.ms(), 450);
        assert_eq!(ledger.audio().map(<[u8]>::len), Some(450 * 48));
        assert_eq!(&TEXT[..ledger.heard(5000)], "One two");
        ledger.sent(&[0; 4800]);
        assert_eq!(ledger.ms(), 450);
    }

    #[test]
    fn words_and_length_outlive_the_audio() {
        let mut ledger = ledger(true);
        assert_eq!(ledger.give_up_audio(), 57_600);
        assert_eq!(ledger.give_up_audio(), 0);
        assert_eq!((ledger.ms(), ledger.audio()), (1200, None));
        ledger.truncate(301);
        assert_eq!(ledger.ms(), 301);
        assert_eq!(&TEXT[..ledger.heard(1200)], "One two");
    }

    #[test]
    fn truncation_in_the_middle_of_a_clause_keeps_its_first_words() {
        let mut ledger = Ledger::new(Format::Pcmu);
        let clause = clauses().remove(0);
        ledger.begin_clause(clause);
        ledger.voice(9600, 16_000, &[]);
        ledger.sent(&[0; 4800]);
        assert_eq!(&TEXT[..ledger.heard(300)], "One two");
        ledger.truncate(300);
        ledger.voice(9600, 16_000, &[]);
        ledger.end_clause();
        assert_eq!(&TEXT[..ledger.heard(5000)], "One two");
        assert_eq!(ledger.ms(), 300);
    }

    #[test]
    fn a_clause_after_a_truncation_is_not_heard() {
        let mut ledger = Ledger::new(Format::Pcmu);
        let mut clauses = clauses().into_iter();
        ledger.begin_clause(clauses.next().expect("there are two"));
        ledger.voice(9600, 16_000, &[]);
        ledger.sent(&[0; 4800]);
        ledger.end_clause();
        ledger.truncate(300);
        ledger.begin_clause(clauses.next().expect("there are two"));
        ledger.voice(9600, 16_000, &[]);
        ledger.sent(&[0; 4800]);
        assert_eq!(&TEXT[..ledger.heard(5000)], "One two");
        ledger.end_clause();
        assert_eq!(&TEXT[..ledger.heard(5000)], "One two");
        assert_eq!(ledger.ms(), 300);
    }
}
