//! The user's turns: spoken ones committed, typed ones sent, the assistant stopped.

use std::collections::{HashMap, VecDeque};

use kaiwa_audio::{WIRE_RATE_HZ, samples_to_ms};
use kaiwa_protocol::{
    ContentPart, ConversationItemCreate, ConversationItemDelete, ConversationItemTruncate,
    InputAudioBufferCommit, Item, Maybe, Message, ResponseCancel, Role,
};
use tokio::time::Instant;

use super::config::OutputMode;
use super::driver::Driver;
use super::event::{EndReason, Event};
use super::history::Correction;
use crate::card::{MicState, SoundCard};

/// The least sound that servers accept in a commit, in samples.
pub(super) const LEAST_COMMIT: u64 = WIRE_RATE_HZ as u64 / 10;

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// The server hears the user speak.
    pub(super) user_speaking: bool,
    /// Where on the card's clock the server heard the user begin the latest spoken turn.
    pub(super) begun_ms: u64,
    /// The server has heard the user at some time.
    pub(super) user_heard: bool,
    /// A spoken turn has ended and the server is to answer by itself.
    pub(super) answer_due: bool,
    /// A spoken turn has ended, and we are to ask for the answer once the server has it.
    pub(super) committing: bool,
    /// Since when that turn is known to be empty.
    pub(super) empty_since: Option<Instant>,
    /// The running response.
    pub(super) active: Option<Active>,
    /// The id of a `response.create` that has not been answered.
    pub(super) requested: Option<String>,
    /// Why it ends, since the answer asked for last was refused.
    pub(super) refused: Option<EndReason>,
    /// The id of the `response.create` that the running response is taken for. It may be
    /// the server's own instead, and the refusal on its way.
    pub(super) presumed: Option<String>,
    /// A response has to be asked for as soon as none is running.
    pub(super) owed: bool,
    /// The answer that is waited for was interrupted before it was there.
    pub(super) unwanted: bool,
    /// User items whose transcript is to come, and since when.
    pub(super) untranscribed: HashMap<String, Instant>,
    pub(super) typed: VecDeque<Typed>,
    /// No more typed turns will come.
    pub(super) typed_out: bool,
    pub(super) typed_count: u64,
    /// Since when all is quiet after the input's end.
    pub(super) quiet_since: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Active {
    pub(super) id: String,
    /// Whether its cancellation was asked for.
    pub(super) cancelled: bool,
    /// Whether a word or a sound of it has come.
    pub(super) begun: bool,
    /// Whether it is a few words over a slow call, and answers nothing.
    pub(super) filler: bool,
    /// The item whose text is not complete.
    pub(super) saying: Option<String>,
    /// Its items that say something.
    pub(super) items: Vec<String>,
}

impl Active {
    /// Some of an item has come.
    pub(super) fn say(&mut self, item: &str) {
        if !self.items.iter().any(|known| known == item) {
            self.items.push(item.to_owned());
        }
    }
}

#[derive(Debug)]
pub(super) struct Typed {
    pub(super) text: String,
    pub(super) interrupt: bool,
}

impl<C: SoundCard> Driver<C> {
    /// Ends the spoken turn and asks for an answer.
    pub(super) fn commit(&mut self) -> Result<(), EndReason> {
        if self.session.uncommitted < LEAST_COMMIT {
            self.emit(Event::Warning {
                message: "there is nothing to commit: less than 100 ms were heard".to_owned(),
            });
            return Ok(());
        }
        let heard = std::mem::take(&mut self.session.uncommitted);
        self.send(InputAudioBufferCommit::default().into())?;
        let now = self.now_ms();
        // Without a session the sound that it was sent says nothing of where the turn ends, and
        // the next one is told of the turn as it is told of all that was said.
        if self.recovery.is_down() {
            self.latency.spoken(None, now, now);
        } else {
            let sent = samples_to_ms(self.session.sent, WIRE_RATE_HZ);
            let end = self.speech_end_ms(sent, Some(0));
            self.latency.spoken(None, end, now);
            if let Some(books) = &mut self.books {
                books.spoken(samples_to_ms(heard, WIRE_RATE_HZ));
            }
        }
        let begin = self.recovery.settle(self.clock.position);
        let [begin, end] = [begin, self.clock.position].map(|at| samples_to_ms(at, WIRE_RATE_HZ));
        self.history.spoken(None, begin, end);
        self.recovery.asked_again = false;
        self.calls.begin_turn();
        self.turns.user_heard = true;
        self.turns.owed = true;
        Ok(())
    }

    /// Sends the next typed turn when its time has come.
    pub(super) fn say_typed(&mut self) -> Result<(), EndReason> {
        let Some(next) = self.turns.typed.front() else {
            return Ok(());
        };
        if self.turns.requested.is_some() || self.turns.owed || self.turns.answer_due {
            return Ok(());
        }
        if next.interrupt {
            self.silence_assistant()?;
            if self.turns.active.is_some() {
                return Ok(());
            }
        } else {
            let listening = match self.card.mic() {
                MicState::Sounding => true,
                MicState::Ended => self.wants_silence(),
                MicState::Off | MicState::Open => false,
            };
            if listening || !self.is_quiet() {
                return Ok(());
            }
        }
        let Some(typed) = self.turns.typed.pop_front() else {
            return Ok(());
        };
        self.turns.typed_count += 1;
        let id = format!("typed_{:04}", self.turns.typed_count);
        let content = vec![ContentPart::input_text(typed.text.as_str())];
        let message = Message {
            id: Maybe::Value(id.clone()),
            ..Message::new(Role::User, content)
        };
        let create = ConversationItemCreate {
            item: Item::Message(message),
            ..ConversationItemCreate::default()
        };
        self.send(create.into())?;
        if let Some(books) = &mut self.books {
            books.typed(&typed.text);
        }
        self.history.typed(&id, &typed.text);
        self.calls.begin_turn();
        self.recovery.asked_again = false;
        self.turns.owed = true;
        let now = self.now_ms();
        self.latency.typed(id.clone(), now);
        self.emit(Event::UserTranscriptDone {
            item: id,
            text: typed.text,
            typed: true,
        });
        Ok(())
    }

    /// Stops what the assistant says, here and at the server.
    pub(super) fn silence_assistant(&mut self) -> Result<(), EndReason> {
        // What is not asked for yet need not be cancelled.
        self.turns.owed = false;
        self.turns.unwanted = self.turns.requested.is_some() || self.turns.answer_due;
        self.cancel_answer()?;
        self.cut_playback()
    }

    /// Asks the server to say no more of the running response.
    pub(super) fn cancel_answer(&mut self) -> Result<(), EndReason> {
        let Some(id) = self.bar_answer() else {
            return Ok(());
        };
        let cancel = ResponseCancel {
            response_id: Maybe::Value(id),
            ..ResponseCancel::default()
        };
        self.send(cancel.into()).map(drop)
    }

    /// Nothing more of the running response is heard. Gives its id, unless that was so before.
    pub(super) fn bar_answer(&mut self) -> Option<String> {
        let active = self.turns.active.as_mut()?;
        if std::mem::replace(&mut active.cancelled, true) {
            return None;
        }
        self.playback.bar(&active.id);
        if self.config.output == OutputMode::Audio {
            for item in &active.items {
                self.history.silence(item);
            }
        }
        Some(active.id.clone())
    }

    /// Stops playback and tells the server what was heard.
    pub(super) fn cut_playback(&mut self) -> Result<(), EndReason> {
        for cut in self.playback.interrupt(self.card.output_latency()) {
            let item = &cut.part.item;
            let text = self.history.heard(item, cut.played_ms, cut.received_ms);
            match self.history.cut(item, &text) {
                Correction::Truncate => {
                    let truncate = ConversationItemTruncate {
                        item_id: item.clone(),
                        content_index: cut.part.content_index,
                        audio_end_ms: cut.played_ms,
                        ..ConversationItemTruncate::default()
                    };
                    self.send(truncate.into())?;
                }
                Correction::Replace { old, new } => {
                    let delete = ConversationItemDelete {
                        item_id: old,
                        ..ConversationItemDelete::default()
                    };
                    self.send(delete.into())?;
                    if let Some(new) = new {
                        self.send((*new).into())?;
                    }
                }
                Correction::None => {}
            }
            self.emit(Event::Heard {
                item: cut.part.item,
                ms: cut.played_ms,
                received_ms: cut.received_ms,
                text,
            });
        }
        Ok(())
    }
}
