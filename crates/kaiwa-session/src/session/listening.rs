//! From appended audio to user turns: detection, commits, transcription.

use std::sync::Arc;

use kaiwa_protocol::{
    ContentPart, ConversationItemInputAudioTranscriptionCompleted as Completed,
    ConversationItemInputAudioTranscriptionDelta as Delta,
    ConversationItemInputAudioTranscriptionFailed as Failed,
    ConversationItemInputAudioTranscriptionSegment as Segment, ErrorDetail,
    InputAudioBufferCommitted, InputAudioBufferSpeechStarted, InputAudioBufferSpeechStopped,
    InputAudioBufferTimeoutTriggered, Item, LogProb, Maybe, Number, StatusReason,
    TranscriptionDuration, TranscriptionError, TranscriptionLanguage, TranscriptionUsage,
};

use super::{Applied, Session};
use crate::{
    Millis,
    config::Purpose,
    conversation::{Entry, Hearing, Place, Spoken, audio_message},
    endpointing::{Evidence, JUDGED_MS},
    engine::{EngineCommand, EngineEvent, JobId},
    input_buffer::{SAMPLES_PER_MS, UserAudio},
    outbox::JobOwner,
    refusal,
    response::Ending,
    vad::{FRAME_SAMPLES, TurnDetector, TurnEvent, TurnParameters},
};

/// Most audio in one append: 15 MiB.
const MAX_APPEND_BYTES: usize = 15 << 20;

/// Least audio in a commit.
const MIN_COMMIT_MS: f64 = 100.0;

/// Audio kept between turns besides the prefix: more than a beginning of speech takes to be
/// recognised, and enough for a client that commits by itself.
const IDLE_MARGIN_MS: Millis = 500;

/// Frames given to the detector at once (two seconds): the rest waits in the buffer.
const MAX_FRAMES_OUT: u64 = 64;

/// Who speaks, where speakers are asked for: nobody tells them apart yet.
const SPEAKER: &str = "A";

/// The turn detector's stream.
#[derive(Debug)]
pub(super) struct Detection {
    job: JobId,
    /// Position of its first frame.
    origin: u64,
    /// Frames given to the engine.
    sent: u64,
    /// Frames the engine has judged.
    judged: u64,
    detector: TurnDetector,
    /// The turn that is going on.
    turn: Option<Turn>,
    /// What is known of it at a pause.
    pub(super) evidence: Evidence,
    /// The job that judges it by its sound.
    pub(super) verdict: Option<JobId>,
}

/// A turn of the user that has begun.
#[derive(Debug)]
struct Turn {
    item_id: String,
    /// Position of its first sample, the prefix included.
    start: u64,
}

/// Whose transcript the client is told of.
struct Announcement {
    item_id: String,
    content_index: usize,
    /// Length of the audio.
    ms: Millis,
    /// Whether no piece of it was told yet.
    untold: bool,
}

impl Session {
    /// `input_audio_buffer.append`.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Applied {
        if bytes.len() > MAX_APPEND_BYTES {
            return Err(refusal::out_of_range(
                "audio",
                &format!("{} bytes", bytes.len()),
                &format!("at most {MAX_APPEND_BYTES} bytes"),
            ));
        }
        let detected = self.config.turn_taking().is_some();
        // With detection, turns end at the limit, and what nobody judged yet waits behind.
        let most = self.options.max_buffer_ms * if detected { 2 } else { 1 };
        let appended = (bytes.len() / self.buffer.bytes_per_ms()) as f64;
        if self.buffer.ms() + appended > most as f64 {
            return Err(refusal::buffer_full(self.buffer.ms(), appended, most));
        }
        self.buffer.push(bytes);
        if detected {
            if self.detection.is_none() {
                self.detection = Some(Detection {
                    job: self.outbox.open(JobOwner::Detection),
                    origin: self.buffer.start(),
                    sent: 0,
                    judged: 0,
                    detector: TurnDetector::default(),
                    turn: None,
                    evidence: Evidence::default(),
                    verdict: None,
                });
            }
            self.feed_detector();
        }
        Ok(())
    }

    /// `input_audio_buffer.commit`.
    pub(super) fn commit_by_client(&mut self) -> Applied {
        let ms = self.buffer.ms();
        if ms < MIN_COMMIT_MS {
            return Err(refusal::commit_empty(ms));
        }
        let announced = self.turn_item_id().map(str::to_owned);
        self.restart_detection();
        let item_id = announced.unwrap_or_else(|| self.outbox.ids.item());
        let audio = self.buffer.take_all();
        self.commit(item_id, audio, None);
        Ok(())
    }

    /// Forgets what the detector knows: the audio was taken away, or detection switched.
    pub(super) fn restart_detection(&mut self) {
        self.drop_ahead();
        if let Some(detection) = self.detection.take() {
            self.outbox.cancel(detection.job);
            if let Some(job) = detection.verdict {
                self.outbox.cancel(job);
            }
        }
    }

    /// The detector's answer to a frame.
    pub(super) fn handle_voice(&mut self, event: EngineEvent, now: Millis) {
        let probability = match event {
            EngineEvent::Voice { probability } => probability,
            EngineEvent::Failed { code, message } => {
                // Without it the session is deaf, which would be worse unsaid.
                let reason = format!("Turn detection failed: {message}");
                let detail = ErrorDetail::server_error(&code, reason);
                self.outbox.refuse(detail, None);
                return self.close(1011, "turn detection failed");
            }
            _ => return,
        };
        let (Some(taking), Some(detection)) = (self.config.turn_taking(), &mut self.detection)
        else {
            return;
        };
        detection.judged += 1;
        let judged = detection.origin + detection.judged * FRAME_SAMPLES;
        let mut parameters = TurnParameters {
            pause_ms: self.options.ahead_ms,
            ..taking.parameters
        };
        if let Some(eagerness) = &taking.eagerness {
            parameters.silence_ms = detection.evidence.silence_ms(eagerness);
            parameters.pause_ms = Some(parameters.pause_ms.unwrap_or(JUDGED_MS));
        }
        match detection.detector.push(probability, parameters) {
            Some(TurnEvent::Start { frame }) => {
                let onset = detection.origin + frame * FRAME_SAMPLES;
                let start = onset
                    .saturating_sub(taking.prefix_ms * SAMPLES_PER_MS)
                    .max(self.buffer.start());
                self.start_turn(start, taking.interrupt_response, now);
            }
            Some(TurnEvent::Pause { frame }) => {
                let end = detection.origin + frame * FRAME_SAMPLES;
                if taking.eagerness.is_some() {
                    self.judge_turn(end);
                }
                if self.options.ahead_ms.is_some() {
                    let judges_words = taking.eagerness.is_some();
                    self.work_ahead(end, taking.create_response, judges_words, now);
                }
            }
            Some(TurnEvent::Resume) => self.drop_ahead(),
            Some(TurnEvent::End { frame }) => {
                let end = detection.origin + frame * FRAME_SAMPLES;
                self.end_turn(end, taking.create_response, now);
            }
            None => {
                let limit = self.options.max_buffer_ms * SAMPLES_PER_MS;
                match &detection.turn {
                    Some(turn) if judged - turn.start.min(judged) >= limit => {
                        detection.detector.end_turn();
                        self.end_turn(judged, taking.create_response, now);
                    }
                    Some(_) => {}
                    None => {
                        let idle_ms = taking.idle_timeout_ms.unwrap_or(0);
                        let kept_ms = idle_ms.max(taking.prefix_ms + IDLE_MARGIN_MS);
                        self.buffer
                            .discard_before(judged.saturating_sub(kept_ms * SAMPLES_PER_MS));
                    }
                }
            }
        }
        self.feed_detector();
    }

    /// What the transcriber says.
    pub(super) fn handle_transcript(&mut self, job: JobId, event: EngineEvent, now: Millis) {
        let Some(event) = self.keep_ahead(job, event) else {
            return;
        };
        let hearing = match &event {
            EngineEvent::TranscriptDelta { .. } => None,
            EngineEvent::Transcript { text, .. } => Some(Hearing::Heard(text.clone())),
            EngineEvent::Failed { .. } => Some(Hearing::Failed),
            _ => return,
        };
        let mut item_id = None;
        let aside = self.responses.iter_mut().filter_map(|r| r.input.as_mut());
        let entries = self.conversation.entries_mut().iter_mut();
        let mut announcement = None;
        let whole = matches!(event, EngineEvent::Transcript { .. });
        // Tokens are known when all has been heard, and go with the text then.
        let in_pieces = !self.config.wants_logprobs();
        for entry in entries.chain(aside.flatten()) {
            let id = entry.item.id().unwrap_or_default().to_owned();
            let Some(spoken) = entry.heard_by(job) else {
                continue;
            };
            if spoken.announced {
                announcement = Some(Announcement {
                    item_id: id.clone(),
                    content_index: spoken.content_index,
                    ms: spoken.ms,
                    untold: !spoken.told,
                });
                spoken.told |= whole || in_pieces;
            }
            if let Some(hearing) = &hearing {
                spoken.hearing = hearing.clone();
                let (index, announced) = (spoken.content_index, spoken.announced);
                if announced
                    && let Hearing::Heard(text) = hearing
                    && let Item::Message(message) = &mut entry.item
                    && let Some(ContentPart::InputAudio(part)) = message.content.get_mut(index)
                {
                    part.transcript = text.as_str().into();
                }
            }
            item_id.get_or_insert(id);
        }
        if let Some(announcement) = announcement {
            self.announce_transcript(announcement, &event);
        }
        let Some(hearing) = hearing else {
            return;
        };
        self.outbox.retire(job);
        let Some(item_id) = item_id else {
            return;
        };
        match (&hearing, event) {
            (Hearing::Failed, EngineEvent::Failed { code, message }) => {
                let message = format!("Transcription of the user's audio failed: {message}");
                self.end_waiting(&item_id, &Ending::broken(code, message), now);
            }
            (Hearing::Heard(text), _) if text.trim().is_empty() => {
                self.end_unprovoked(&item_id, now);
            }
            _ => {}
        }
        self.write_waiting();
    }

    /// When the model is to speak up by itself. What may be the beginning of a turn is waited
    /// for.
    pub(super) fn idle_deadline(&self) -> Option<Millis> {
        let may_begin = |detection: &Detection| detection.detector.may_begin();
        let is_quiet = !self.detection.as_ref().is_some_and(may_begin);
        self.idle_at.filter(|_| is_quiet)
    }

    /// The user has been silent for too long: commits the silence and lets the model speak.
    /// Audio that nobody judged yet stays.
    pub(super) fn speak_up(&mut self, now: Millis) {
        let Some(idle_ms) = self.idle_timeout_ms() else {
            return;
        };
        let end = match &self.detection {
            Some(detection) => detection.origin + detection.judged * FRAME_SAMPLES,
            None => self.buffer.received(),
        };
        let start = end
            .saturating_sub(idle_ms * SAMPLES_PER_MS)
            .max(self.buffer.start());
        let item_id = self.outbox.ids.item();
        self.outbox.send(InputAudioBufferTimeoutTriggered {
            audio_start_ms: start / SAMPLES_PER_MS,
            audio_end_ms: end / SAMPLES_PER_MS,
            item_id: item_id.clone(),
            ..InputAudioBufferTimeoutTriggered::default()
        });
        let audio = self.buffer.take(start, end);
        self.commit(item_id, audio, Some(Hearing::Heard(String::new())));
        self.respond_to_silence(idle_ms, now);
    }

    /// The idle timeout in force.
    pub(super) fn idle_timeout_ms(&self) -> Option<Millis> {
        self.config.turn_taking()?.idle_timeout_ms
    }

    /// Whether the user is speaking.
    pub(super) fn user_is_speaking(&self) -> bool {
        self.detection
            .as_ref()
            .is_some_and(|detection| detection.turn.is_some())
    }

    /// Where the turn going on begins.
    pub(super) fn turn_start(&self) -> Option<u64> {
        Some(self.detection.as_ref()?.turn.as_ref()?.start)
    }

    /// The item that the turn going on will become.
    pub(super) fn turn_item_id(&self) -> Option<&str> {
        let turn = self.detection.as_ref()?.turn.as_ref()?;
        Some(&turn.item_id)
    }

    /// Has audio transcribed, unless nobody would learn what was said: there is no language
    /// model in a transcription session.
    pub(super) fn listen(&mut self, samples: Arc<[f32]>) -> Hearing {
        match (self.config.purpose(), self.config.transcription()) {
            (Purpose::Transcription, None) => Hearing::Failed,
            _ => Hearing::Pending(self.transcribe(samples)),
        }
    }

    /// Has audio transcribed as the session says.
    pub(super) fn transcribe(&mut self, samples: Arc<[f32]>) -> JobId {
        let config = self.config.transcription();
        let language = config.and_then(|c| match c.languages.as_deref() {
            Some([only]) => Some(only.clone()),
            _ => c.language.cloned(),
        });
        let prompt = config.map_or_else(String::new, |c| {
            let keywords = c.keywords.as_deref().unwrap_or_default().join(", ");
            let prompt = c.prompt.as_deref().unwrap_or_default();
            match (prompt, keywords.as_str()) {
                (prompt, "") => prompt.to_owned(),
                ("", _) => keywords,
                _ => format!("{prompt} {keywords}"),
            }
        });
        let command = EngineCommand::Transcribe {
            audio: samples,
            language,
            prompt,
        };
        self.outbox.run(JobOwner::Hearing, command)
    }

    fn start_turn(&mut self, start: u64, interrupt: bool, now: Millis) {
        self.drop_ahead();
        let item_id = self.outbox.ids.item();
        self.idle_at = None;
        self.outbox.send(InputAudioBufferSpeechStarted {
            audio_start_ms: start / SAMPLES_PER_MS,
            item_id: item_id.clone(),
            ..InputAudioBufferSpeechStarted::default()
        });
        if let Some(detection) = &mut self.detection {
            detection.turn = Some(Turn { item_id, start });
        }
        if interrupt {
            let ending = Ending::Cancelled(StatusReason::TurnDetected);
            self.end_active(ending, now);
        }
        self.prime();
    }

    fn end_turn(&mut self, end: u64, create_response: bool, now: Millis) {
        let Some(turn) = self.detection.as_mut().and_then(|d| d.turn.take()) else {
            return;
        };
        self.outbox.send(InputAudioBufferSpeechStopped {
            audio_end_ms: end / SAMPLES_PER_MS,
            item_id: turn.item_id.clone(),
            ..InputAudioBufferSpeechStopped::default()
        });
        let audio = self.buffer.take(turn.start, end);
        let heard = self.heard_ahead().map(Hearing::Pending);
        self.commit(turn.item_id.clone(), audio, heard);
        // The words come before an answer that is ready, as they would have come.
        if self.held().is_some() {
            self.tell_ahead(now);
        }
        if create_response {
            self.respond_to_turn(turn.item_id, now);
        }
        self.tell_ahead(now);
        self.drop_ahead();
        self.go_about_approvals(now);
    }

    /// Makes an item of audio; has it transcribed unless that is done.
    fn commit(&mut self, item_id: String, audio: UserAudio, hearing: Option<Hearing>) {
        let previous = self.conversation.last_id().map(str::to_owned);
        self.outbox.send(InputAudioBufferCommitted {
            previous_item_id: Maybe::nullable(previous),
            item_id: item_id.clone(),
            ..InputAudioBufferCommitted::default()
        });
        let hearing = hearing.unwrap_or_else(|| self.listen(audio.samples.clone()));
        let announced = self.config.transcription().is_some();
        let entry = Entry {
            spoken: vec![Spoken::new(0, audio, hearing, announced)],
            ..Entry::plain(audio_message(item_id.clone()))
        };
        self.conversation.insert(entry, Place::End);
        self.announce_item(&item_id);
    }

    /// Tells the client about a transcript or a piece of it.
    fn announce_transcript(&mut self, announcement: Announcement, event: &EngineEvent) {
        let Announcement {
            item_id,
            content_index,
            ms,
            untold,
        } = announcement;
        // A message has as many parts as fit into a frame: far less than 2^32.
        let content_index = content_index as u32;
        let wants_logprobs = self.config.wants_logprobs();
        match event {
            EngineEvent::TranscriptDelta { text } if !wants_logprobs => self.outbox.send(Delta {
                item_id,
                content_index: content_index.into(),
                delta: text.as_str().into(),
                ..Delta::default()
            }),
            EngineEvent::Transcript {
                text,
                language,
                logprobs,
            } => {
                let seconds = Number::from(ms as f64 / 1000.0);
                let logprobs: Maybe<Vec<_>> = wants_logprobs
                    .then(|| logprobs.iter().map(log_prob).collect())
                    .into();
                if untold && !text.is_empty() {
                    self.outbox.send(Delta {
                        item_id: item_id.clone(),
                        content_index: content_index.into(),
                        delta: text.as_str().into(),
                        logprobs: logprobs.clone(),
                        ..Delta::default()
                    });
                }
                if self.config.wants_segments() && !text.trim().is_empty() {
                    let id = self.outbox.ids.segment();
                    self.outbox.send(Segment {
                        item_id: item_id.clone(),
                        content_index,
                        id,
                        text: text.clone(),
                        speaker: SPEAKER.to_owned(),
                        start: 0_u64.into(),
                        end: seconds.clone(),
                        ..Segment::default()
                    });
                }
                // A language that the client named was not detected.
                let detected = language.clone().filter(|_| self.config.detects_language());
                self.outbox.send(Completed {
                    item_id,
                    content_index,
                    transcript: text.clone(),
                    usage: TranscriptionUsage::Duration(TranscriptionDuration {
                        seconds,
                        ..TranscriptionDuration::default()
                    }),
                    logprobs,
                    languages: detected
                        .map(|code| {
                            vec![TranscriptionLanguage {
                                code,
                                ..TranscriptionLanguage::default()
                            }]
                        })
                        .into(),
                    ..Completed::default()
                });
            }
            EngineEvent::Failed { code, message } => self.outbox.send(Failed {
                item_id,
                content_index,
                error: TranscriptionError {
                    kind: "transcription_error".into(),
                    code: code.as_str().into(),
                    message: message.as_str().into(),
                    ..TranscriptionError::default()
                },
                ..Failed::default()
            }),
            _ => {}
        }
    }

    fn feed_detector(&mut self) {
        let Some(detection) = &mut self.detection else {
            return;
        };
        while detection.sent - detection.judged < MAX_FRAMES_OUT {
            let from = detection.origin + detection.sent * FRAME_SAMPLES;
            let Some(frame) = self.buffer.samples(from, from + FRAME_SAMPLES) else {
                break;
            };
            let frame = frame.to_vec();
            self.outbox
                .run_in(detection.job, EngineCommand::Detect { frame });
            detection.sent += 1;
        }
    }
}

fn log_prob((token, logprob): &(String, f32)) -> LogProb {
    LogProb {
        token: token.clone(),
        logprob: Number::from(f64::from(*logprob)),
        bytes: Maybe::Value(token.bytes().map(u32::from).collect()),
        ..LogProb::default()
    }
}
