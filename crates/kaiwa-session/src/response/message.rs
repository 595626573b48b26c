//! A message of a response: its text, and its speech clause by clause.

use std::collections::VecDeque;

use kaiwa_protocol::{
    ContentPart, Item, ItemStatus, Message, ResponseContentPartAdded, ResponseContentPartDone,
    ResponseOutputAudioDelta, ResponseOutputAudioDone, ResponseOutputAudioTranscriptDelta,
    ResponseOutputAudioTranscriptDone, ResponseOutputTextDelta, ResponseOutputTextDone, Role,
};

use super::{Frame, Settings};
use crate::{
    Millis,
    clause::{Clause, ClauseSplitter},
    conversation::{Entry, Voiced},
    engine::{EngineCommand, EngineEvent, JobId, Word},
    ledger::Ledger,
    outbox::{JobOwner, Outbox},
    speech::SpeechEncoder,
};

/// Clauses given to the voice at once: the next one is ready when one ends, and little is
/// spoken in vain when the listener interrupts.
const MAX_SPEAKING: usize = 2;

/// Clauses that may wait to be given to the voice before the language model is to wait: text
/// written far ahead is lost when the user interrupts, and takes the time the voice needs.
const MAX_WAITING: usize = 4;

/// A message that is being written and spoken.
#[derive(Debug)]
pub(crate) struct MessagePart {
    pub(crate) item_id: String,
    output_index: u32,
    text: String,
    /// Bytes of the text that were sent.
    sent: usize,
    announced: bool,
    /// Whether no more is written.
    complete: bool,
    /// `None` for a message that is only text.
    voice: Option<VoicePart>,
}

#[derive(Debug)]
struct VoicePart {
    splitter: ClauseSplitter,
    /// Clauses that no engine has yet.
    clauses: VecDeque<Clause>,
    /// Clauses that are being spoken, in order.
    speaking: VecDeque<Speaking>,
    encoder: SpeechEncoder,
    ledger: Ledger,
}

/// A clause that is being spoken.
#[derive(Debug)]
pub(super) struct Speaking {
    job: JobId,
    /// Taken when its first piece is sent.
    clause: Option<Clause>,
    /// Speech that was not sent yet.
    pieces: VecDeque<Piece>,
    /// Whether no more comes.
    spoken: bool,
}

#[derive(Debug)]
struct Piece {
    pcm: Vec<f32>,
    rate: u32,
    words: Vec<Word>,
}

impl VoicePart {
    /// Gives clauses to the voice, as many as it may have at once.
    fn order(&mut self, response_id: &str, settings: &Settings, outbox: &mut Outbox) {
        while self.speaking.len() < MAX_SPEAKING
            && let Some(clause) = self.clauses.pop_front()
        {
            let command = EngineCommand::Speak {
                text: clause.text.clone(),
                voice: settings.voice().to_owned(),
                speed: settings.speed,
            };
            let owner = JobOwner::Response(response_id.to_owned());
            self.speaking.push_back(Speaking {
                job: outbox.run(owner, command),
                clause: Some(clause),
                pieces: VecDeque::new(),
                spoken: false,
            });
        }
    }
}

impl Speaking {
    /// Takes in what the voice says.
    pub(super) fn hear(&mut self, event: EngineEvent, outbox: &mut Outbox) {
        match event {
            // A rate of zero is an engine's mistake: there is no time in such audio.
            EngineEvent::Speech { pcm, rate, words } if rate > 0 => {
                self.pieces.push_back(Piece { pcm, rate, words });
            }
            EngineEvent::Spoken => {
                outbox.retire(self.job);
                self.spoken = true;
            }
            _ => {}
        }
    }
}

impl MessagePart {
    pub(super) fn new(item_id: String, output_index: u32, settings: &Settings) -> Self {
        Self {
            item_id,
            output_index,
            text: String::new(),
            sent: 0,
            announced: false,
            complete: false,
            voice: settings.is_spoken().then(|| VoicePart {
                splitter: ClauseSplitter::new(),
                clauses: VecDeque::new(),
                speaking: VecDeque::new(),
                encoder: SpeechEncoder::new(settings.format()),
                ledger: Ledger::new(settings.format()),
            }),
        }
    }

    /// Appends text.
    pub(super) fn write(&mut self, text: &str) {
        self.text.push_str(text);
        if let Some(voice) = &mut self.voice {
            voice.clauses.extend(voice.splitter.push(text));
        }
    }

    /// No more text comes.
    pub(super) fn complete(&mut self) {
        if self.complete {
            return;
        }
        self.complete = true;
        if let Some(voice) = &mut self.voice {
            voice.clauses.extend(voice.splitter.finish());
        }
    }

    /// The clause that this job speaks, if it is one of this message.
    pub(super) fn speaking_mut(&mut self, job: JobId) -> Option<&mut Speaking> {
        let voice = self.voice.as_mut()?;
        voice.speaking.iter_mut().find(|s| s.job == job)
    }

    /// Sends text and speech that can be sent, and has more spoken. Returns how many
    /// milliseconds of audio were sent.
    pub(super) fn advance(&mut self, frame: &mut Frame<'_>) -> Millis {
        if !self.announced {
            self.announce(frame);
        }
        if self.sent < self.text.len() {
            let delta = self.text[self.sent..].to_owned();
            self.sent = self.text.len();
            self.send_text(frame, delta);
        }
        let Some(mut voice) = self.voice.take() else {
            return 0;
        };
        let before = voice.encoder.sent_ms();
        loop {
            voice.order(frame.response_id, frame.settings, frame.outbox);
            let Some(speaking) = voice.speaking.front_mut() else {
                break;
            };
            if let Some(clause) = speaking.clause.take() {
                voice.ledger.begin_clause(clause);
            }
            while let Some(piece) = speaking.pieces.pop_front() {
                voice
                    .ledger
                    .voice(piece.pcm.len(), piece.rate, &piece.words);
                for chunk in voice.encoder.push(&piece.pcm, piece.rate) {
                    self.send_audio(frame, &mut voice.ledger, chunk);
                }
            }
            if !speaking.spoken {
                break;
            }
            for chunk in voice.encoder.flush() {
                self.send_audio(frame, &mut voice.ledger, chunk);
            }
            voice.ledger.end_clause();
            voice.speaking.pop_front();
        }
        let sent_ms = voice.encoder.sent_ms() - before;
        self.voice = Some(voice);
        sent_ms
    }

    /// Whether more is written than can be spoken soon.
    pub(super) fn is_ahead_of_voice(&self) -> bool {
        let waiting = self.voice.as_ref().map_or(0, |voice| voice.clauses.len());
        waiting >= MAX_WAITING
    }

    /// Has the beginning spoken, and sends nothing.
    pub(super) fn prepare(&mut self, response_id: &str, settings: &Settings, outbox: &mut Outbox) {
        if let Some(voice) = &mut self.voice {
            voice.order(response_id, settings, outbox);
        }
    }

    /// Drops a message of which nothing was sent.
    pub(super) fn abandon(self, outbox: &mut Outbox) {
        for speaking in self.voice.into_iter().flat_map(|voice| voice.speaking) {
            outbox.cancel(speaking.job);
        }
    }

    /// Whether all of it was sent.
    pub(super) fn is_finished(&self) -> bool {
        self.complete
            && self
                .voice
                .as_ref()
                .is_none_or(|voice| voice.clauses.is_empty() && voice.speaking.is_empty())
    }

    /// Says that the message is done, all of it; gives its item.
    pub(super) fn finish(self, frame: &mut Frame<'_>, status: ItemStatus) -> Item {
        let heard = self.text.len();
        self.close(frame, status, heard)
    }

    /// The response ends before the message is done: the last `unheard_ms` of what was sent
    /// were not heard. Takes from it what this message has of them. A message that the client
    /// was never told of disappears.
    pub(super) fn cut_off(
        mut self,
        frame: &mut Frame<'_>,
        unheard_ms: &mut Millis,
    ) -> Option<Item> {
        let mut heard = self.text.len();
        if let Some(voice) = &mut self.voice {
            for speaking in voice.speaking.drain(..) {
                frame.outbox.cancel(speaking.job);
            }
            heard = voice.ledger.heard_but(unheard_ms);
        }
        self.announced
            .then(|| self.close(frame, ItemStatus::Incomplete, heard))
    }

    /// The audio that was sent so far, if the message is spoken.
    pub(crate) fn ledger_mut(&mut self) -> Option<&mut Ledger> {
        self.voice.as_mut().map(|voice| &mut voice.ledger)
    }

    fn announce(&mut self, frame: &mut Frame<'_>) {
        self.announced = true;
        let item = self.item(ItemStatus::InProgress, Vec::new());
        frame.add(self.output_index, item, &self.item_id);
        frame.outbox.send(ResponseContentPartAdded {
            response_id: frame.response_id.to_owned(),
            item_id: self.item_id.clone(),
            output_index: self.output_index,
            part: self.part(String::new()),
            ..ResponseContentPartAdded::default()
        });
    }

    fn send_text(&self, frame: &mut Frame<'_>, delta: String) {
        let (response_id, item_id) = (frame.response_id.to_owned(), self.item_id.clone());
        if self.voice.is_some() {
            frame.outbox.send(ResponseOutputAudioTranscriptDelta {
                response_id,
                item_id,
                output_index: self.output_index,
                delta,
                ..ResponseOutputAudioTranscriptDelta::default()
            });
        } else {
            frame.outbox.send(ResponseOutputTextDelta {
                response_id,
                item_id,
                output_index: self.output_index,
                delta,
                ..ResponseOutputTextDelta::default()
            });
        }
    }

    fn send_audio(&self, frame: &mut Frame<'_>, ledger: &mut Ledger, chunk: Vec<u8>) {
        ledger.sent(&chunk);
        frame.outbox.send(ResponseOutputAudioDelta {
            response_id: frame.response_id.to_owned(),
            item_id: self.item_id.clone(),
            output_index: self.output_index,
            delta: chunk.into(),
            ..ResponseOutputAudioDelta::default()
        });
    }

    /// The done family of events.
    fn close(mut self, frame: &mut Frame<'_>, status: ItemStatus, heard: usize) -> Item {
        let response_id = frame.response_id.to_owned();
        if self.voice.is_some() {
            frame.outbox.send(ResponseOutputAudioDone {
                response_id: response_id.clone(),
                item_id: self.item_id.clone(),
                output_index: self.output_index,
                ..ResponseOutputAudioDone::default()
            });
            frame.outbox.send(ResponseOutputAudioTranscriptDone {
                response_id: response_id.clone(),
                item_id: self.item_id.clone(),
                output_index: self.output_index,
                transcript: self.text.clone(),
                ..ResponseOutputAudioTranscriptDone::default()
            });
        } else {
            frame.outbox.send(ResponseOutputTextDone {
                response_id: response_id.clone(),
                item_id: self.item_id.clone(),
                output_index: self.output_index,
                text: self.text.clone(),
                ..ResponseOutputTextDone::default()
            });
        }
        frame.outbox.send(ResponseContentPartDone {
            response_id,
            item_id: self.item_id.clone(),
            output_index: self.output_index,
            part: self.part(self.text.clone()),
            ..ResponseContentPartDone::default()
        });
        let content = match self.voice {
            Some(_) => ContentPart::output_audio(self.text.clone()),
            None => ContentPart::output_text(self.text.clone()),
        };
        let item = self.item(status, vec![content]);
        let voiced = self.voice.take().map(|voice| Voiced {
            ledger: voice.ledger,
            answer: self.text.clone(),
            heard,
        });
        let mut entry = Entry {
            voiced,
            ..Entry::plain(item.clone())
        };
        entry.hide_truncated();
        frame.end(self.output_index, &item, entry, &self.item_id);
        item
    }

    fn part(&self, text: String) -> ContentPart {
        match self.voice {
            Some(_) => ContentPart::audio_part(text),
            None => ContentPart::text_part(text),
        }
    }

    fn item(&self, status: ItemStatus, content: Vec<ContentPart>) -> Item {
        let mut item = Item::from(Message::new(Role::Assistant, content));
        item.set_id(self.item_id.as_str());
        item.set_object();
        item.set_status(status);
        item
    }
}
