//! Where the time of a turn goes.

use kaiwa_protocol::ServerEvent;
use kaiwa_session::{AheadCounts, EngineCommand, EngineEvent, JobId, Millis, Said};

use crate::{config::TurnObserver, metrics::SessionMetrics};

/// Probability from which a frame counts as speech here: the protocol's default threshold.
const SPEECH: f32 = 0.5;

/// When the steps of one turn were reached, in milliseconds relative to the moment the
/// session committed the user's audio (or, without audio, began the response). Steps
/// taken ahead of the commit, in the silence that ends a turn, are negative.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TurnTimings {
    /// Number of the session, unique in the process.
    pub session: u64,
    /// The response that answers.
    pub response_id: String,
    /// The user's audio item; `None` if the response answers none.
    pub item_id: Option<String>,
    /// The commit, in milliseconds since the session began.
    pub committed_ms: u64,
    /// Where the turn ends in the session's audio, in milliseconds, as
    /// `input_audio_buffer.speech_stopped` says (the silence included).
    pub audio_end_ms: Option<u64>,
    /// The detector judged the turn's last frame of speech.
    pub speech_end: Option<i64>,
    /// Its end was judged by its sound, with `semantic_vad`.
    pub judged: Option<i64>,
    /// The transcript was complete.
    pub transcribed: Option<i64>,
    /// The language model's first text.
    pub first_text: Option<i64>,
    /// The first clause was given to the synthesizer.
    pub first_clause: Option<i64>,
    /// The synthesizer's first speech.
    pub first_speech: Option<i64>,
    /// The first audio was sent to the client.
    pub first_audio: Option<i64>,
    /// The response ended.
    pub done: i64,
    /// How often the session has worked ahead of the end of its turns so far.
    pub ahead: AheadCounts,
}

/// Watches a session go by and collects its timings.
pub(crate) struct Turns {
    observer: Option<TurnObserver>,
    metrics: SessionMetrics,
    session: u64,
    /// The detector's last frame of speech.
    voiced: Option<Millis>,
    /// The last judgement of a pause.
    judged: Option<Millis>,
    /// End of the user's turn that is not committed yet.
    stopped: Option<Stopped>,
    /// The user's turn that is not answered yet.
    committed: Option<Committed>,
    transcription: Option<JobId>,
    transcribed: Option<Millis>,
    /// The answer in the making.
    generation: Option<JobId>,
    first_text: Option<Millis>,
    first_clause: Option<Millis>,
    first_speech: Option<Millis>,
    /// The response that is being sent.
    response: Option<Response>,
}

#[derive(Clone, Copy)]
struct Stopped {
    audio_end_ms: u64,
    voiced: Option<Millis>,
}

struct Committed {
    at: Millis,
    item_id: String,
    stopped: Option<Stopped>,
}

struct Response {
    id: String,
    at: Millis,
    answers: Option<Committed>,
    first_audio: Option<Millis>,
}

impl Turns {
    pub(crate) fn new(
        session: u64,
        observer: Option<TurnObserver>,
        metrics: SessionMetrics,
    ) -> Self {
        Self {
            observer,
            metrics,
            session,
            voiced: None,
            judged: None,
            stopped: None,
            committed: None,
            transcription: None,
            transcribed: None,
            generation: None,
            first_text: None,
            first_clause: None,
            first_speech: None,
            response: None,
        }
    }

    /// How often the session has worked ahead.
    pub(crate) fn count_ahead(&mut self, counts: AheadCounts) {
        self.metrics.count_ahead(counts);
    }

    /// An engine said something.
    pub(crate) fn heard(&mut self, id: JobId, event: &EngineEvent, now: Millis) {
        match event {
            EngineEvent::Voice { probability } if *probability >= SPEECH => {
                self.voiced = Some(now);
            }
            EngineEvent::TurnJudged { .. } => self.judged = Some(now),
            EngineEvent::Transcript { .. } if self.transcription == Some(id) => {
                self.transcribed = Some(now);
            }
            EngineEvent::Text { .. } if self.generation == Some(id) => {
                self.first_text.get_or_insert(now);
            }
            // Job ids count up: an older job speaks an earlier answer.
            EngineEvent::Speech { .. } if self.generation.is_none_or(|begun| begun < id) => {
                self.first_speech.get_or_insert(now);
            }
            _ => {}
        }
    }

    /// The session starts a job.
    pub(crate) fn started(&mut self, id: JobId, command: &EngineCommand, now: Millis) {
        match command {
            EngineCommand::Detect { .. }
            | EngineCommand::JudgeTurn { .. }
            | EngineCommand::Prime(_)
            | EngineCommand::ListTools(_)
            | EngineCommand::CallTool { .. } => {}
            EngineCommand::Transcribe { what, .. } if *what != Said::Turn => {}
            EngineCommand::Transcribe { .. } => {
                self.transcription = Some(id);
                self.transcribed = None;
            }
            EngineCommand::Generate(_) => {
                self.generation = Some(id);
                self.first_text = None;
                self.first_clause = None;
                self.first_speech = None;
            }
            EngineCommand::Speak { .. } => {
                self.first_clause.get_or_insert(now);
            }
        }
    }

    /// The session sends an event.
    pub(crate) fn sent(&mut self, event: &ServerEvent, now: Millis) {
        match event {
            ServerEvent::InputAudioBufferSpeechStopped(event) => {
                self.stopped = Some(Stopped {
                    audio_end_ms: event.audio_end_ms,
                    voiced: self.voiced,
                });
            }
            ServerEvent::InputAudioBufferCommitted(event) => {
                self.committed = Some(Committed {
                    at: now,
                    item_id: event.item_id.clone(),
                    stopped: self.stopped.take(),
                });
            }
            // One out of band answers no turn.
            ServerEvent::ResponseCreated(event) if !event.response.conversation_id.is_null() => {
                self.response = Some(Response {
                    id: event.response.id.clone(),
                    at: now,
                    answers: self.committed.take(),
                    first_audio: None,
                });
            }
            ServerEvent::ResponseOutputAudioDelta(event) => {
                if let Some(response) = &mut self.response
                    && response.id == event.response_id
                {
                    response.first_audio.get_or_insert(now);
                }
            }
            ServerEvent::ResponseDone(event) => {
                self.metrics.responded();
                let done = self
                    .response
                    .take_if(|response| response.id == event.response.id);
                if let Some(response) = done {
                    self.report(response, now);
                }
            }
            _ => {}
        }
    }

    /// The session is over: a response that was being sent ends here.
    pub(crate) fn ended(&mut self, now: Millis) {
        if let Some(response) = self.response.take() {
            self.report(response, now);
        }
    }

    fn report(&self, response: Response, now: Millis) {
        let (from, stopped, item_id) = match response.answers {
            Some(turn) => (turn.at, turn.stopped, Some(turn.item_id)),
            None => (response.at, None, None),
        };
        let relative = |at: Millis| at.cast_signed() - from.cast_signed();
        let timings = TurnTimings {
            session: self.session,
            response_id: response.id,
            committed_ms: from,
            audio_end_ms: stopped.map(|stopped| stopped.audio_end_ms),
            speech_end: stopped.and_then(|stopped| stopped.voiced).map(relative),
            // Of the turn before, if this one has no audio.
            judged: item_id.as_ref().and(self.judged).map(relative),
            transcribed: item_id.as_ref().and(self.transcribed).map(relative),
            item_id,
            first_text: self.first_text.map(relative),
            first_clause: self.first_clause.map(relative),
            first_speech: self.first_speech.map(relative),
            first_audio: response.first_audio.map(relative),
            done: relative(now),
            ahead: self.metrics.ahead(),
        };
        tracing::debug!(?timings, "turn");
        self.metrics.answered(&timings);
        if let Some(observer) = &self.observer {
            observer(&timings);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn a_sound_over_an_answer_is_not_its_transcript() {
        let mut turns = Turns::new(1, None, SessionMetrics::new(Arc::new(Metrics::default())));
        let mut transcribe = |id: u64, what: Said, at: Millis| {
            let command = EngineCommand::Transcribe {
                what,
                audio: Arc::from([0.0; 16]),
                language: None,
                prompt: String::new(),
            };
            turns.started(JobId(id), &command, at);
            let heard = EngineEvent::Transcript {
                text: "Yeah.".to_owned(),
                language: None,
                logprobs: Vec::new(),
            };
            turns.heard(JobId(id), &heard, at + 10);
            turns.transcribed
        };
        assert_eq!(transcribe(1, Said::Part, 100), None);
        assert_eq!(transcribe(2, Said::Turn, 200), Some(210));
        assert_eq!(transcribe(3, Said::Sound, 300), Some(210));
        assert_eq!(transcribe(4, Said::Turn, 400), Some(410));
    }
}
