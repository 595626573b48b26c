//! The words of a turn while it is being spoken.
//!
//! From time to time the turn so far is transcribed, and the language model reads what was heard
//! of it: when the turn is over, little of it is left to be read. Nothing of this is sent.

use std::sync::Arc;

use super::Session;
use crate::{
    Millis,
    conversation::heard_message,
    engine::{EngineEvent, JobId},
    input_buffer::SAMPLES_PER_MS,
    outbox::JobOwner,
};

/// How much has to be said before the words are asked for, and again before they are asked for
/// again. Whisper tiny.en takes a tenth of that for it.
const EVERY_MS: Millis = 1_000;

/// Beyond it, the part by which a turn has to have grown: what is spent on a turn stays in
/// proportion to its length.
const GROWTH: u64 = 4;

/// The longest turn whose words are asked for while it goes on: Whisper hears 30 s at once.
const LONGEST_MS: Millis = 28_000;

/// What is asked about a turn that is going on.
#[derive(Debug)]
pub(super) struct Partial {
    /// Whoever is asked.
    job: Option<JobId>,
    /// Where the audio has to be for the next question.
    next: u64,
}

impl Partial {
    /// Of a turn that begins at this position.
    pub(super) fn from(start: u64) -> Self {
        Self {
            job: None,
            next: start + EVERY_MS * SAMPLES_PER_MS,
        }
    }
}

impl Session {
    /// The turn goes on, and was listened to up to here.
    pub(super) fn listen_along(&mut self, judged: u64) {
        let Some(detection) = &self.detection else {
            return;
        };
        let is_speaking = detection.detector.silence() == 0;
        let Some(turn) = detection.turn.as_ref().filter(|_| is_speaking) else {
            return;
        };
        let length = judged.saturating_sub(turn.start);
        let is_due = judged >= turn.partial.next && length <= LONGEST_MS * SAMPLES_PER_MS;
        if !is_due || turn.partial.job.is_some() || !self.may_prime() {
            return;
        }
        let Some(samples) = self.buffer.samples(turn.start, judged).map(Arc::from) else {
            return;
        };
        self.ahead_counts.partials += 1;
        let job = self.transcribe(samples, JobOwner::Partial);
        if let Some(partial) = self.partial() {
            partial.job = Some(job);
            partial.next = judged + (EVERY_MS * SAMPLES_PER_MS).max(length / GROWTH);
        }
    }

    /// What was heard of the turn so far.
    pub(super) fn handle_partial(&mut self, job: JobId, event: EngineEvent) {
        if let EngineEvent::TranscriptDelta { .. } = event {
            return;
        }
        self.outbox.retire(job);
        let is_asked = self
            .partial()
            .and_then(|partial| partial.job.take_if(|asked| *asked == job));
        if is_asked.is_some()
            && let EngineEvent::Transcript { text, .. } = event
            && let Some(words) = settled(&text)
            && let Some(item_id) = self.turn_item_id().map(str::to_owned)
        {
            self.prime(Some(heard_message(item_id, words.to_owned())));
        }
    }

    /// The turn pauses or is over: who listens to it now hears all of it.
    pub(super) fn end_partial(&mut self) {
        if let Some(job) = self.partial().and_then(|partial| partial.job.take()) {
            self.outbox.cancel(job);
        }
    }

    fn partial(&mut self) -> Option<&mut Partial> {
        let turn = self.detection.as_mut()?.turn.as_mut()?;
        Some(&mut turn.partial)
    }
}

/// The words that more sound is not likely to change: all but the last, which may have been cut.
fn settled(text: &str) -> Option<&str> {
    let (words, _) = text.trim_end().rsplit_once(char::is_whitespace)?;
    Some(words.trim_end()).filter(|words| !words.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_is_not_settled() {
        for (text, expected) in [
            ("", None),
            ("Hello.", None),
            (" Hello.", None),
            ("Good morning, can you.", Some("Good morning, can")),
            ("Good  morning ", Some("Good")),
            ("お元気ですか", None),
        ] {
            assert_eq!(settled(text), expected, "{text:?}");
        }
    }
}
