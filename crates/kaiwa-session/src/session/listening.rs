//! From appended audio to user turns: detection, commits, transcription.

use std::sync::Arc;

use kaiwa_protocol::{
    ContentPart, ConversationItemInputAudioTranscriptionCompleted as Completed,
    ConversationItemInputAudioTranscriptionDelta as Delta,
    ConversationItemInputAudioTranscriptionFailed as Failed,
    ConversationItemInputAudioTranscriptionSegment as Segment, InputAudioBufferCommitted,
    InputAudioBufferSpeechStopped, InputAudioBufferTimeoutTriggered, Item, LogProb, Maybe, Number,
    TranscriptionDuration, TranscriptionError, TranscriptionLanguage, TranscriptionUsage,
};

use super::{Applied, Session};
use crate::{
    Millis,
    config::Purpose,
    conversation::{Entry, Hearing, Place, Spoken, audio_message},
    engine::{EngineCommand, EngineEvent, JobId, Said},
    input_buffer::{SAMPLES_PER_MS, UserAudio},
    outbox::JobOwner,
    refusal,
    response::Ending,
};

/// Most audio in one append: 15 MiB.
const MAX_APPEND_BYTES: usize = 15 << 20;

/// Least audio in a commit.
const MIN_COMMIT_MS: f64 = 100.0;

/// Who speaks, where speakers are asked for: nobody tells them apart yet.
const SPEAKER: &str = "A";

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
            self.detect();
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

    /// What the transcriber says.
    pub(super) fn handle_transcript(&mut self, job: JobId, event: EngineEvent, now: Millis) {
        let Some(event) = self.keep_ahead(job, event) else {
            return self.reconsider_pause(now);
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

    /// The user has been silent for too long: commits the silence and lets the model speak.
    /// Audio that nobody judged yet stays.
    pub(super) fn speak_up(&mut self, now: Millis) {
        let Some(idle_ms) = self.idle_timeout_ms() else {
            return;
        };
        let end = match &self.detection {
            Some(detection) => detection.judged_to(),
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

    /// Has audio transcribed, unless nobody would learn what was said: there is no language
    /// model in a transcription session.
    pub(super) fn listen(&mut self, samples: Arc<[f32]>) -> Hearing {
        match (self.config.purpose(), self.config.transcription()) {
            (Purpose::Transcription, None) => Hearing::Failed,
            _ => Hearing::Pending(self.transcribe(samples, JobOwner::Hearing)),
        }
    }

    /// Has audio transcribed as the session says.
    pub(super) fn transcribe(&mut self, samples: Arc<[f32]>, owner: JobOwner) -> JobId {
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
        let what = match owner {
            JobOwner::Doubt => Said::Sound,
            JobOwner::Partial => Said::Part,
            _ => Said::Turn,
        };
        let command = EngineCommand::Transcribe {
            what,
            audio: samples,
            language,
            prompt,
        };
        self.outbox.run(owner, command)
    }

    /// The turn of the user is over.
    pub(super) fn end_turn(&mut self, end: u64, create_response: bool, now: Millis) {
        self.end_partial();
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
}

fn log_prob((token, logprob): &(String, f32)) -> LogProb {
    LogProb {
        token: token.clone(),
        logprob: Number::from(f64::from(*logprob)),
        bytes: Maybe::Value(token.bytes().map(u32::from).collect()),
        ..LogProb::default()
    }
}
