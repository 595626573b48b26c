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
/// in the first 224 ms of most "yeah", "right", "stop" and "wait", and takes some 100 ms beside an
/// answer that is being made.
const HEARD_MS: Millis = 224;

/// More sound after which they are asked for again.
const AGAIN_MS: Millis = 320;

/// Sound after which it is an interruption if nothing is known of it: 288 ms after it was
/// found to be speech.
const UNKNOWN_MS: Millis = 384;

/// Sound after which it is an interruption whatever is said in it.
const LONGEST_MS: Millis = 1_200;

/// Silence after which the sound is over.
const OVER_MS: Millis = 64;

/// Silence after which a sound that is over and of which nothing is known is an interruption.
const WAITED_MS: Millis = 288;

/// Sound behind the words that are known in which no other word has room.
const SLACK_MS: Millis = 96;

/// What has to be left of the answer: towards its end, a "yes" is a reply to it.
const LEAST_LEFT_MS: Millis = 1_000;

/// How long a sound is thought about if the client sends no more audio.
const MAX_DOUBT_MS: Millis = 1_500;

/// A sound that may be the beginning of a turn.
#[derive(Debug)]
pub(super) struct Doubt {
    /// Where the turn begins if it is one, the prefix included.
    start: u64,
    /// Where the sound begins.
    onset: u64,
    /// When it is an interruption whatever was heard of it.
    until: Millis,
    /// Whoever is asked for its words, and up to where.
    asked: Option<(JobId, u64)>,
    /// What was heard of it last, and up to where.
    heard: Option<(Heard, u64)>,
}

/// What is said in a sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Nothing,
    Agreement,
    /// Other words, or nobody can tell.
    Words,
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

    /// What to do when everything up to `judged` was listened to, the last `silence` samples of
    /// it are silent, and `left` of the answer is to be played.
    fn next(&self, judged: u64, silence: u64, left: Millis) -> Next {
        let samples = |ms: Millis| ms * SAMPLES_PER_MS;
        let end = judged - silence;
        let heard = self.heard.map(|(heard, _)| heard);
        let unknown = end.saturating_sub(self.heard.map_or(self.onset, |(_, end)| end));
        let agrees = heard == Some(Heard::Agreement);
        if heard == Some(Heard::Words) || end - self.onset > samples(LONGEST_MS) {
            return Next::Interrupt;
        }
        let is_known = heard.is_some() && unknown <= samples(SLACK_MS);
        let is_over = silence >= samples(OVER_MS);
        if is_known && is_over {
            let is_reply = agrees && left < LEAST_LEFT_MS;
            return if is_reply {
                Next::Interrupt
            } else {
                Next::Forget
            };
        }
        let is_late = match is_over {
            // Whoever has stopped speaking loses nothing by a little more time.
            true => silence >= samples(WAITED_MS),
            false => judged - self.onset >= samples(UNKNOWN_MS),
        };
        if is_late && !agrees {
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
    /// Whether a sound may be nothing: the assistant is heard and will be for a while, and the
    /// words of the sound can be had.
    pub(super) fn may_be_nothing(&self, now: Millis) -> bool {
        let left = self.voiced_until.saturating_sub(now);
        self.weighs_sounds() && left >= LEAST_LEFT_MS
    }

    /// A sound begins that may be nothing.
    pub(super) fn doubt(&mut self, start: u64, onset: u64, now: Millis) {
        if let Some(detection) = &mut self.detection {
            detection.doubt = Some(Doubt {
                start,
                onset,
                until: now + MAX_DOUBT_MS,
                asked: None,
                heard: None,
            });
        }
    }

    /// Whether a sound is thought about.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.a_doubt().is_some()
    }

    /// When a sound is taken for an interruption.
    pub(super) fn doubt_deadline(&self) -> Option<Millis> {
        self.a_doubt().map(|doubt| doubt.until)
    }

    /// More of the sound was listened to, or its words are known.
    pub(super) fn weigh_doubt(&mut self, now: Millis) {
        let left = self.voiced_until.saturating_sub(now);
        let Some(detection) = &mut self.detection else {
            return;
        };
        let Some(doubt) = &detection.doubt else {
            return;
        };
        let (start, judged) = (doubt.start, detection.judged_to());
        match doubt.next(judged, detection.detector.silence(), left) {
            Next::Wait => {}
            Next::Ask => self.ask_for_words(start, judged),
            Next::Forget => {
                detection.detector.end_turn();
                self.end_doubt();
                self.go_about_approvals(now);
            }
            Next::Interrupt => self.believe_doubt(now),
        }
    }

    /// What is said in the sound.
    pub(super) fn handle_doubt(&mut self, job: JobId, event: EngineEvent, now: Millis) {
        let heard = match &event {
            EngineEvent::TranscriptDelta { .. } => return,
            EngineEvent::Transcript { text, .. } if Words::are_none(text) => Heard::Nothing,
            // "Right." agrees, "Right?" asks.
            EngineEvent::Transcript { text, language, .. }
                if Words::of(text, language.as_deref()) == Words::Backchannel
                    && !text.contains('?') =>
            {
                Heard::Agreement
            }
            _ => Heard::Words,
        };
        self.outbox.retire(job);
        let doubt = self.detection.as_mut().and_then(|d| d.doubt.as_mut());
        if let Some(doubt) = doubt
            && let Some((_, end)) = doubt.asked.take_if(|(asked, _)| *asked == job)
        {
            doubt.heard = Some((heard, end));
            self.weigh_doubt(now);
        }
    }

    /// A client's event may have silenced the answer, or changed how turns are taken: then the
    /// sound is speech like any other.
    pub(super) fn review_doubt(&mut self, now: Millis) {
        if self.voiced_until <= now || !self.weighs_sounds() {
            self.believe_doubt(now);
        }
    }

    /// The sound is an interruption.
    pub(super) fn believe_doubt(&mut self, now: Millis) {
        let taking = self.config.turn_taking();
        if let (Some(doubt), Some(taking)) = (self.a_doubt(), taking) {
            self.start_turn(doubt.start, taking.interrupt_response, now);
        }
    }

    /// The sound is nothing, or a turn.
    pub(super) fn end_doubt(&mut self) {
        let doubt = self.detection.as_mut().and_then(|d| d.doubt.take());
        if let Some(job) = doubt.as_ref().and_then(Doubt::asked) {
            self.outbox.cancel(job);
        }
    }

    fn a_doubt(&self) -> Option<&Doubt> {
        self.detection.as_ref()?.doubt.as_ref()
    }

    /// Whether sounds over the assistant's voice are thought about.
    fn weighs_sounds(&self) -> bool {
        let taking = self.config.turn_taking();
        let is_semantic = taking.is_some_and(|t| t.eagerness.is_some() && t.interrupt_response);
        is_semantic && self.options.ahead_ms.is_some()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is done after so much sound and so much silence, of which this was heard.
    fn next(sound_ms: u64, silence_ms: u64, heard: Option<(Heard, u64)>, asked: bool) -> Next {
        let samples = |ms: u64| ms * SAMPLES_PER_MS;
        let onset = 1_000;
        let doubt = Doubt {
            start: 0,
            onset,
            until: 0,
            asked: asked.then_some((JobId(1), onset)),
            heard: heard.map(|(heard, ms)| (heard, onset + samples(ms))),
        };
        let judged = onset + samples(sound_ms + silence_ms);
        doubt.next(judged, samples(silence_ms), 5_000)
    }

    #[test]
    fn a_sound_is_asked_about_weighed_and_decided() {
        use Heard::{Agreement, Nothing, Words};
        for (sound, silence, heard, asked, expected) in [
            (192, 0, None, false, Next::Wait),
            (224, 0, None, false, Next::Ask),
            (224, 0, None, true, Next::Wait),
            (128, 32, None, false, Next::Ask),
            (384, 0, None, true, Next::Interrupt),
            (384, 0, Some((Nothing, 256)), false, Next::Interrupt),
            (384, 0, Some((Agreement, 256)), false, Next::Wait),
            (576, 0, Some((Agreement, 256)), false, Next::Ask),
            (300, 0, Some((Words, 256)), false, Next::Interrupt),
            (320, 64, Some((Agreement, 256)), false, Next::Forget),
            (320, 32, Some((Agreement, 256)), false, Next::Wait),
            (480, 64, Some((Agreement, 256)), false, Next::Ask),
            (224, 64, Some((Nothing, 224)), false, Next::Forget),
            (224, 256, None, true, Next::Wait),
            (224, 288, None, true, Next::Interrupt),
            (1_216, 0, Some((Agreement, 1_200)), false, Next::Interrupt),
        ] {
            let found = next(sound, silence, heard, asked);
            assert_eq!(found, expected, "{sound} {silence} {heard:?} {asked}");
        }
    }
}
