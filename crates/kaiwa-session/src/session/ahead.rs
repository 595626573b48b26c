//! Work on a turn before it is known to be over.
//!
//! The silence that ends a turn has to be waited for. In it the turn is transcribed and
//! answered, up to the first clauses of speech; nothing of that is sent. If the turn is over,
//! everything goes out in the order in which it would have come; if the user goes on, it is
//! dropped.

use std::sync::Arc;

use kaiwa_protocol::ClientEvent;

use super::{Session, answers::compose};
use crate::{
    Millis,
    config::Purpose,
    conversation::{Entry, heard_message},
    endpointing::{Evidence, JUDGED_AUDIO_MS, Sound, Words},
    engine::{EngineCommand, EngineEvent, Generate, JobId, PROMPT_TOO_LONG},
    input_buffer::SAMPLES_PER_MS,
    outbox::JobOwner,
    response::Response,
};

/// What is done for a turn that may be over.
#[derive(Debug)]
pub(super) struct Ahead {
    /// Until it is told.
    transcript: Option<AheadTranscript>,
    /// Whether a response is to follow.
    responds: bool,
    /// The answer, of which nothing was sent.
    held: Option<Response>,
    /// When it is given up: it keeps the language model from others.
    held_until: Millis,
}

/// How long an answer is held for a turn that neither ends nor goes on. Longer than any silence
/// that is waited for by default.
const MAX_HELD_MS: Millis = 5_000;

/// The transcription of a turn up to its pause.
#[derive(Debug)]
struct AheadTranscript {
    job: JobId,
    /// What the transcriber has said.
    heard: Vec<EngineEvent>,
}

/// How often a session worked ahead, and what became of it. Each piece of work that was begun
/// is kept or dropped, unless the session ended before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AheadCounts {
    /// How often the words of a turn were asked for while it was being spoken.
    pub partials: u64,
    /// Turns that were transcribed ahead of their end.
    pub transcripts: u64,
    /// Of these, transcripts that were dropped: the turn went on, or its audio was taken away.
    pub transcripts_dropped: u64,
    /// Responses that were begun ahead of the end of their turn.
    pub responses: u64,
    /// Of these, responses that were dropped: for the same reasons, for an event of the client
    /// that changed what they were made from, or because the turn neither ended nor went on.
    pub responses_dropped: u64,
}

impl Session {
    /// How often the session has worked ahead so far.
    #[must_use]
    pub fn ahead_counts(&self) -> AheadCounts {
        self.ahead_counts
    }

    /// Says whether there is time to work ahead from now on. What was begun goes on.
    pub fn allow_ahead(&mut self, allowed: bool) {
        self.may_work_ahead = allowed;
    }

    /// The turn has paused: does what there will be to do if it is over. Where its words are
    /// to be judged, it is transcribed whether or not there is time.
    pub(super) fn work_ahead(&mut self, end: u64, responds: bool, judges_words: bool, now: Millis) {
        let is_wanted = self.may_work_ahead || judges_words;
        let Some(start) = self.turn_start().filter(|_| is_wanted) else {
            return;
        };
        let is_heard =
            self.config.purpose() == Purpose::Conversation || self.config.transcription().is_some();
        let samples = self.buffer.samples(start, end).map(Arc::from);
        if let Some(samples) = samples.filter(|_| is_heard) {
            self.ahead_counts.transcripts += 1;
            let transcript = AheadTranscript {
                job: self.transcribe(samples, JobOwner::Hearing),
                heard: Vec::new(),
            };
            self.ahead = Some(Ahead {
                transcript: Some(transcript),
                responds,
                held: None,
                held_until: now + MAX_HELD_MS,
            });
        }
    }

    /// The turn has paused: has it judged whether it is over.
    pub(super) fn judge_turn(&mut self, end: u64) {
        let most = JUDGED_AUDIO_MS * SAMPLES_PER_MS;
        let start = self
            .turn_start()
            .map(|start| start.max(end.saturating_sub(most)));
        let audio = start.and_then(|start| self.buffer.samples(start, end).map(Arc::from));
        let (Some(audio), Some(detection)) = (audio, &mut self.detection) else {
            return;
        };
        let command = EngineCommand::JudgeTurn { audio };
        detection.verdict = Some(self.outbox.run(JobOwner::Verdict, command));
    }

    /// What the judge of the turn says.
    pub(super) fn handle_verdict(&mut self, job: JobId, event: &EngineEvent, now: Millis) {
        let sound = match event {
            EngineEvent::TurnJudged { probability } => Sound::Judged(*probability),
            EngineEvent::Failed { .. } => Sound::Unknown,
            _ => return,
        };
        self.outbox.retire(job);
        if let Some(detection) = &mut self.detection
            && detection.verdict == Some(job)
        {
            detection.verdict = None;
            detection.evidence.sound = sound;
            self.reconsider_pause(now);
        }
    }

    /// The turn goes on, or is over: what was known of its pause says nothing any more.
    pub(super) fn forget_evidence(&mut self) {
        if let Some(detection) = &mut self.detection {
            detection.evidence = Evidence::default();
            if let Some(job) = detection.verdict.take() {
                self.outbox.cancel(job);
            }
        }
    }

    /// The turn goes on: what was done for its end is dropped.
    pub(super) fn drop_ahead(&mut self) {
        self.forget_evidence();
        self.drop_held();
        if let Some(transcript) = self.ahead.take().and_then(|ahead| ahead.transcript) {
            self.ahead_counts.transcripts_dropped += 1;
            self.outbox.cancel(transcript.job);
        }
    }

    /// The answer was made for what is not so any more: drops it, and keeps the transcript.
    pub(super) fn drop_held(&mut self) {
        if let Some(held) = self.ahead.as_mut().and_then(|ahead| ahead.held.take()) {
            self.ahead_counts.responses_dropped += 1;
            held.abandon(&mut self.outbox);
        }
    }

    /// Drops the answer if a client's event may change what it is made from, or waits for it.
    pub(super) fn let_go_of_held(&mut self, event: &ClientEvent) {
        match event {
            // One out of band needs the language model, which the answer may keep for long.
            ClientEvent::ResponseCreate(_)
            | ClientEvent::SessionUpdate(_)
            | ClientEvent::ConversationItemCreate(_)
            | ClientEvent::ConversationItemDelete(_)
            | ClientEvent::ConversationItemTruncate(_) => self.drop_held(),
            _ => {}
        }
    }

    /// The answer that is held.
    pub(super) fn held(&self) -> Option<&Response> {
        self.ahead.as_ref()?.held.as_ref()
    }

    /// When the answer that is held is given up.
    pub(super) fn held_deadline(&self) -> Option<Millis> {
        self.held()?;
        self.ahead.as_ref().map(|ahead| ahead.held_until)
    }

    /// The turn is over and is to be answered: gives the answer, if there is one.
    pub(super) fn take_held(&mut self) -> Option<Response> {
        let mut held = self.ahead.as_mut()?.held.take()?;
        held.held = false;
        Some(held)
    }

    /// The transcription of the turn going on, if it was begun.
    pub(super) fn heard_ahead(&self) -> Option<JobId> {
        Some(self.ahead.as_ref()?.transcript.as_ref()?.job)
    }

    /// The turn is over and in the conversation: tells what was heard of it.
    pub(super) fn tell_ahead(&mut self, now: Millis) {
        let told = self
            .ahead
            .as_mut()
            .and_then(|ahead| ahead.transcript.take());
        if let Some(AheadTranscript { job, heard }) = told {
            for event in heard {
                self.handle_transcript(job, event, now);
            }
        }
    }

    /// Keeps what the transcriber says of a turn that may not be over; gives back what belongs
    /// to other audio.
    pub(super) fn keep_ahead(&mut self, job: JobId, event: EngineEvent) -> Option<EngineEvent> {
        let transcript = self
            .ahead
            .as_mut()
            .and_then(|ahead| ahead.transcript.as_mut());
        let Some(transcript) = transcript.filter(|transcript| transcript.job == job) else {
            return Some(event);
        };
        let text = match &event {
            EngineEvent::Transcript { text, language, .. } => {
                if let Some(detection) = &mut self.detection {
                    let words = Words::of(text, language.as_deref());
                    detection.evidence.words = Some(words);
                }
                Some(text.clone())
            }
            _ => None,
        };
        transcript.heard.push(event);
        let responds = self.ahead.as_ref().is_some_and(|ahead| ahead.responds);
        if let Some(text) = text.filter(|text| !text.trim().is_empty())
            && responds
        {
            self.answer_ahead(text);
        }
        None
    }

    /// Has an answer to the turn written that may be over.
    fn answer_ahead(&mut self, text: String) {
        let Some(item_id) = self.turn_item_id().map(str::to_owned) else {
            return;
        };
        let is_pending = |entry: &Entry| !entry.forgotten && entry.is_pending();
        let entries = self.conversation.entries();
        if self.active().is_some() || entries.iter().any(is_pending) || !self.may_work_ahead {
            return;
        }
        let mut response = self.session_response();
        let is_asked = |label: &String| self.servers.asking(label).is_some();
        if response.awaited_servers.iter().any(is_asked) {
            return;
        }
        let turn = heard_message(item_id, text);
        let max_tokens = response.settings.max_tokens();
        let generate = self.told_up_to(&mut response, Some(turn), max_tokens);
        let owner = JobOwner::Response(response.id.clone());
        response.writing = Some(self.outbox.run(owner, EngineCommand::Generate(generate)));
        response.held = true;
        self.ahead_counts.responses += 1;
        if let Some(ahead) = &mut self.ahead {
            ahead.held = Some(response);
        }
    }

    /// What an engine says about the answer that is held.
    pub(super) fn hear_held(
        &mut self,
        job: JobId,
        response_id: &str,
        event: EngineEvent,
        now: Millis,
    ) {
        let held = self.ahead.as_mut().and_then(|ahead| ahead.held.as_mut());
        let Some(held) = held.filter(|held| held.id == response_id) else {
            return;
        };
        match &event {
            EngineEvent::Generated { input_tokens, .. } => {
                self.scale
                    .learn(held.prompt.chars, u64::from(*input_tokens));
            }
            EngineEvent::PromptTooLong { tokens, .. } => {
                self.scale.learn(held.prompt.chars, u64::from(*tokens));
            }
            _ => {}
        }
        let fails = match &event {
            EngineEvent::PromptTooLong { .. } => true,
            EngineEvent::Failed { code, .. } if code == PROMPT_TOO_LONG => true,
            _ => held
                .hear(job, event, &mut self.outbox, &mut self.conversation, now)
                .is_some(),
        };
        // It is tried again when the turn is over, where failures are told.
        if fails {
            self.outbox.retire(job);
            self.drop_held();
        }
    }

    /// Has the language model read what will come before the next answer in its prompt: all
    /// but the turn that begins, or with what was heard of it.
    pub(super) fn prime(&mut self, turn: Option<Entry>) {
        if self.may_prime() {
            let mut response = self.session_response();
            let generate = self.told_up_to(&mut response, turn, None);
            let command = EngineCommand::Prime(generate);
            self.priming = Some(self.outbox.run(JobOwner::Priming, command));
        }
    }

    /// Whether an answer is to follow that the language model has time to prepare for.
    pub(super) fn may_prime(&self) -> bool {
        let responds = self
            .config
            .turn_taking()
            .is_some_and(|taking| taking.create_response);
        let is_wanted = self.options.ahead_ms.is_some() && self.may_work_ahead;
        let is_reading = |job| self.outbox.owner(job).is_some();
        responds && is_wanted && self.active().is_none() && !self.priming.is_some_and(is_reading)
    }

    /// What a response to `turn` is written from, as far as it is known: up to the first item
    /// that is still being transcribed.
    fn told_up_to(
        &mut self,
        response: &mut Response,
        mut turn: Option<Entry>,
        max_tokens: Option<u32>,
    ) -> Generate {
        let is_known = |entry: &&mut Entry| entry.forgotten || !entry.is_pending();
        let entries = self.conversation.entries_mut();
        let count = entries.len();
        let mut told: Vec<_> = entries.iter_mut().take_while(is_known).collect();
        if told.len() == count {
            told.extend(&mut turn);
        }
        let told = compose(&response.settings, told, None, &self.scale);
        let offer = response.offer(&self.servers);
        let (generate, size) = told.with(offer, max_tokens, &self.scale);
        response.prompt = size;
        generate
    }
}
