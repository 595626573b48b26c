//! A sound over the assistant's voice: an interruption, or nothing.
//!
//! With semantic turn detection, a "yeah" and a cough do not end an answer. The sound becomes a
//! turn when it is known to be one: when other words are heard in it, or when it goes on and no
//! words of agreement are known. Until then nothing is sent, and the answer goes on.

use std::sync::Arc;

use super::Session;
use crate::{
    Millis,
    endpointing::Words,
    engine::{EngineEvent, JobId},
    input_buffer::SAMPLES_PER_MS,
    outbox::JobOwner,
};

/// Sound of which the words are asked for the first time. Whisper tiny.en hears the right word
/// in the first 256 ms of most "yeah", "right", "stop" and "wait".
const HEARD_MS: Millis = 256;

/// More sound after which they are asked for again.
const AGAIN_MS: Millis = 320;

/// Sound after which it is an interruption if nothing is known of it: 288 ms after it was
/// found to be speech.
const UNKNOWN_MS: Millis = 384;

/// Sound after which it is an interruption whatever is said in it.
const LONGEST_MS: Millis = 1_200;

/// Silence after which the sound is over.
const OVER_MS: Millis = 64;

/// Sound behind the words that are known in which no other word has room.
const SLACK_MS: Millis = 96;

/// What has to be left of the answer: towards its end, a "yes" is a reply to it.
const LEAST_LEFT_MS: Millis = 1_000;

/// A sound that may be the beginning of a turn.
#[derive(Debug)]
pub(super) struct Doubt {
    /// Where the turn begins if it is one, the prefix included.
    start: u64,
    /// Where the sound begins.
    onset: u64,
    /// Whoever is asked for its words, and up to where.
    asked: Option<(JobId, u64)>,
    /// What was heard of it last: nothing but agreement.
    heard: Option<Harmless>,
}

/// Words that are no interruption.
#[derive(Clone, Copy, Debug)]
struct Harmless {
    /// Up to where.
    end: u64,
    /// Whether there are words at all.
    is_agreement: bool,
}

/// What to do about a doubt.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Wait,
    Ask,
    Forget,
    Interrupt,
}

impl Doubt {
    /// The job that is asked for its words.
    pub(super) fn asked(&self) -> Option<JobId> {
        self.asked.map(|(job, _)| job)
    }

    /// What to do when everything up to `judged` was listened to, and the last `silence` samples
    /// of it are silent.
    fn next(&self, judged: u64, silence: u64) -> Next {
        let samples = |ms: Millis| ms * SAMPLES_PER_MS;
        let end = judged - silence;
        let known = self.heard.map_or(self.onset, |heard| heard.end);
        let unknown = end.saturating_sub(known);
        if end - self.onset > samples(LONGEST_MS) {
            return Next::Interrupt;
        }
        let is_known = self.heard.is_some() && unknown <= samples(SLACK_MS);
        if is_known && silence >= samples(OVER_MS) {
            return Next::Forget;
        }
        let agrees = self.heard.is_some_and(|heard| heard.is_agreement);
        if !agrees && judged - self.onset >= samples(UNKNOWN_MS) {
            return Next::Interrupt;
        }
        let after = self.heard.map_or(HEARD_MS, |_| AGAIN_MS);
        let is_due = unknown >= samples(after) || (silence > 0 && !is_known);
        if self.asked.is_none() && is_due {
            return Next::Ask;
        }
        Next::Wait
    }
}

impl Session {
    /// Whether a sound that begins now may be nothing: the assistant is heard and will be for a
    /// while, and the words of the sound can be had.
    pub(super) fn may_be_nothing(&self, now: Millis) -> bool {
        let is_heard = self.voiced_until > now;
        let left = self.voiced_until.saturating_sub(now);
        let goes_on = self.active().is_some();
        self.options.ahead_ms.is_some() && is_heard && (goes_on || left >= LEAST_LEFT_MS)
    }

    /// A sound begins that may be nothing.
    pub(super) fn doubt(&mut self, start: u64, onset: u64) {
        if let Some(detection) = &mut self.detection {
            detection.doubt = Some(Doubt {
                start,
                onset,
                asked: None,
                heard: None,
            });
        }
    }

    /// More of the sound was listened to, or its words are known.
    pub(super) fn weigh_doubt(&mut self, interrupt: bool, now: Millis) {
        let Some(detection) = &mut self.detection else {
            return;
        };
        let Some(doubt) = &detection.doubt else {
            return;
        };
        let (start, judged) = (doubt.start, detection.judged_to());
        match doubt.next(judged, detection.detector.silence()) {
            Next::Wait => {}
            Next::Ask => self.ask_for_words(start, judged),
            Next::Forget => {
                detection.detector.end_turn();
                self.end_doubt();
            }
            Next::Interrupt => self.start_turn(start, interrupt, now),
        }
    }

    /// What is said in the sound.
    pub(super) fn handle_doubt(&mut self, job: JobId, event: EngineEvent, now: Millis) {
        let words = match &event {
            EngineEvent::TranscriptDelta { .. } => return,
            EngineEvent::Transcript { text, .. } if Words::are_none(text) => None,
            EngineEvent::Transcript { text, language, .. } => {
                Some(Words::of(text, language.as_deref()))
            }
            _ => Some(Words::Neutral),
        };
        self.outbox.retire(job);
        let interrupt = self
            .config
            .turn_taking()
            .is_some_and(|taking| taking.interrupt_response);
        let Some(doubt) = self.detection.as_mut().and_then(|d| d.doubt.as_mut()) else {
            return;
        };
        let Some((_, end)) = doubt.asked.take_if(|(asked, _)| *asked == job) else {
            return;
        };
        if words.is_some_and(|words| words != Words::Backchannel) {
            let start = doubt.start;
            return self.start_turn(start, interrupt, now);
        }
        doubt.heard = Some(Harmless {
            end,
            is_agreement: words.is_some(),
        });
        self.weigh_doubt(interrupt, now);
    }

    /// The sound is nothing, or a turn.
    pub(super) fn end_doubt(&mut self) {
        let doubt = self.detection.as_mut().and_then(|d| d.doubt.take());
        if let Some(job) = doubt.as_ref().and_then(Doubt::asked) {
            self.outbox.cancel(job);
        }
    }

    fn ask_for_words(&mut self, start: u64, end: u64) {
        let Some(samples) = self.buffer.samples(start, end).map(Arc::from) else {
            return;
        };
        let job = self.transcribe(samples, JobOwner::Doubt);
        if let Some(doubt) = self.detection.as_mut().and_then(|d| d.doubt.as_mut()) {
            doubt.asked = Some((job, end));
        }
    }
}
