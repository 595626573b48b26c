use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{
    pace::Pace,
    script::{Parts, TranscriptEntry},
    vad::probability,
};
use crate::{
    Cancel, EngineError, Flow, SttDelta, SttOptions, Transcriber, Transcript, TranscriptToken,
};

/// Gives the transcripts of a script.
#[derive(Debug)]
pub struct ScriptedTranscriber {
    parts: Arc<Parts>,
    /// How many turns were answered in order.
    turns: AtomicUsize,
}

impl ScriptedTranscriber {
    pub(super) fn new(parts: Arc<Parts>) -> Self {
        Self {
            parts,
            turns: AtomicUsize::new(0),
        }
    }

    fn entry(&self, ms: u64) -> Option<&TranscriptEntry> {
        let (matched, ordered): (Vec<_>, Vec<_>) = self
            .parts
            .transcripts
            .iter()
            .partition(|entry| entry.is_matched());
        let fits = |entry: &&TranscriptEntry| {
            entry.min_ms.is_none_or(|min| min <= ms) && entry.max_ms.is_none_or(|max| ms <= max)
        };
        matched.into_iter().find(fits).or_else(|| {
            let count = ordered.len().max(1);
            let turn = self.turns.fetch_add(1, Ordering::Relaxed);
            ordered.get(turn % count).copied()
        })
    }
}

impl Transcriber for ScriptedTranscriber {
    fn transcribe(
        &self,
        turn: &[f32],
        options: &SttOptions,
        cancel: &Cancel,
        sink: &mut dyn FnMut(SttDelta<'_>) -> Flow,
    ) -> Result<Transcript, EngineError> {
        // 16 samples a millisecond.
        let entry = self.entry(turn.len() as u64 / 16);
        let (text, delays) = match entry {
            Some(entry) => (entry.text.clone(), (entry.delay_ms, entry.word_delay_ms)),
            None => (self.describe(turn), (0, 0)),
        };
        let mut pace = Pace::new(entry.and_then(TranscriptEntry::fault), cancel);
        let mut transcript = Transcript {
            language: options.language.clone().or_else(|| entry?.language.clone()),
            ..Transcript::default()
        };
        for word in words(&text) {
            let delay = if pace.done() == 0 { delays.0 } else { delays.1 };
            if pace.next(delay)?.is_break() {
                return Ok(transcript);
            }
            transcript.text.push_str(word);
            transcript.tokens.push(TranscriptToken {
                text: word.to_owned(),
                // A script is sure of itself.
                logprob: 0.0,
            });
            if sink(SttDelta { text: word }).is_break() {
                return Ok(transcript);
            }
        }
        pace.finish()?;
        Ok(transcript)
    }
}

impl ScriptedTranscriber {
    /// What is transcribed without a script.
    fn describe(&self, turn: &[f32]) -> String {
        let is_speech = turn
            .chunks(512)
            .any(|frame| probability(frame, self.parts.vad.threshold) >= 0.5);
        if !is_speech {
            return String::new();
        }
        format!("I spoke for {:.1} seconds.", turn.len() as f32 / 16_000.0)
    }
}

/// Pieces of a text that concatenate to it: every word with the white space before it.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let word = rest.find(|character: char| !character.is_whitespace());
        let end = word
            .and_then(|word| Some(word + rest[word..].find(char::is_whitespace)?))
            .unwrap_or(rest.len());
        let (head, tail) = rest.split_at(end);
        rest = tail;
        (!head.is_empty()).then_some(head)
    })
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use crate::{
        EngineErrorKind,
        scripted::{Script, ScriptedEngines},
    };

    use super::*;

    fn engines(script: &str) -> ScriptedEngines {
        ScriptedEngines::new(Script::parse(script).unwrap())
    }

    fn transcribe(transcriber: &ScriptedTranscriber, ms: usize) -> Result<Transcript, EngineError> {
        let mut deltas = String::new();
        let transcript = transcriber.transcribe(
            &vec![0.1; ms * 16],
            &SttOptions::default(),
            &Cancel::new(),
            &mut |delta| {
                deltas.push_str(delta.text);
                ControlFlow::Continue(())
            },
        )?;
        assert_eq!(deltas, transcript.text);
        Ok(transcript)
    }

    #[test]
    fn words_concatenate_to_the_text() {
        for text in ["", " ", "a", " a  b ", "one two", "会話 です\n"] {
            assert_eq!(words(text).collect::<String>(), text);
        }
        assert_eq!(words(" a  b").collect::<Vec<_>>(), [" a", "  b"]);
    }

    #[test]
    fn transcripts_come_by_length_then_in_order_and_again() {
        let transcriber = engines(
            "[[transcript]]\ntext = \"one two\"\nlanguage = \"fr\"\n\
             [[transcript]]\ntext = \"cough\"\nmax-ms = 200\n\
             [[transcript]]\ntext = \"three\"\n\
             [[transcript]]\ntext = \"speech\"\nmin-ms = 5000\n",
        )
        .transcriber();
        let texts: Vec<_> = [1_000, 200, 201, 5_000, 1_000]
            .into_iter()
            .map(|ms| transcribe(&transcriber, ms).unwrap().text)
            .collect();
        assert_eq!(texts, ["one two", "cough", "three", "speech", "one two"]);
        let transcript = transcribe(&transcriber, 200).unwrap();
        assert_eq!(transcript.language, None);
        transcribe(&transcriber, 1_000).unwrap();
        let transcript = transcribe(&transcriber, 1_000).unwrap();
        assert_eq!(transcript.language.as_deref(), Some("fr"));
        assert_eq!(transcript.tokens.len(), 2);
        let german = SttOptions {
            language: Some("de".to_owned()),
            ..SttOptions::default()
        };
        transcribe(&transcriber, 1_000).unwrap();
        let sink = &mut |_: SttDelta<'_>| ControlFlow::Continue(());
        let transcript = transcriber
            .transcribe(&[0.1; 16_000], &german, &Cancel::new(), sink)
            .unwrap();
        assert_eq!(transcript.language.as_deref(), Some("de"));
    }

    #[test]
    fn without_a_script_it_says_how_long_the_turn_was() {
        let transcriber = ScriptedEngines::default().transcriber();
        let transcript = transcribe(&transcriber, 1_234).unwrap();
        assert_eq!(transcript.text, "I spoke for 1.2 seconds.");
        let silence = transcriber.transcribe(
            &[0.0; 16_000],
            &SttOptions::default(),
            &Cancel::new(),
            &mut |_| panic!("nothing was said"),
        );
        assert_eq!(silence.unwrap().text, "");
    }

    #[test]
    fn faults_come_after_words() {
        let transcriber = engines(
            "[[transcript]]\ntext = \"a b c\"\nfail-after = 2\nfail-message = \"ouch\"\n\
             [[transcript]]\ntext = \"a b c\"\nfail-after = 9\n",
        )
        .transcriber();
        for (count, message) in [(2, "ouch"), (3, "the script says so")] {
            let mut words = 0;
            let error = transcriber
                .transcribe(
                    &[0.1; 16_000],
                    &SttOptions::default(),
                    &Cancel::new(),
                    &mut |_| {
                        words += 1;
                        ControlFlow::Continue(())
                    },
                )
                .unwrap_err();
            assert_eq!((words, error.message()), (count, message));
            assert_eq!(error.kind(), EngineErrorKind::Failed);
        }
    }

    #[test]
    fn hanging_and_waiting_end_with_the_cancel_flag() {
        let transcriber = engines(
            "[[transcript]]\ntext = \"a b c\"\nhang-after = 1\n\
             [[transcript]]\ntext = \"a b c\"\nword-delay-ms = 100000000\n",
        )
        .transcriber();
        for _ in 0..2 {
            let cancel = Cancel::new();
            let transcript = transcriber
                .transcribe(&[0.1; 16_000], &SttOptions::default(), &cancel, &mut |_| {
                    cancel.cancel();
                    ControlFlow::Continue(())
                })
                .unwrap();
            assert_eq!(transcript.text, "a");
        }
    }

    #[test]
    fn the_sink_can_stop_it() {
        let transcriber =
            engines("[[transcript]]\ntext = \"a b c\"\nfail-after = 2\n").transcriber();
        let sink = &mut |_: SttDelta<'_>| ControlFlow::Break(());
        let transcript = transcriber
            .transcribe(&[0.1; 16], &SttOptions::default(), &Cancel::new(), sink)
            .unwrap();
        assert_eq!(transcript.text, "a");
    }
}
