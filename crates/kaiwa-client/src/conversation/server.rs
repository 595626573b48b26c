//! What the server's events mean.

use kaiwa_audio::{WIRE_RATE_HZ, ms_to_samples};
use kaiwa_protocol::{
    ErrorDetail, Item, Maybe, McpError, Response, ResponseOutputAudioDelta, ResponseStatus,
    ServerEvent, TurnDetection, codes,
};
use tokio::time::Instant;

use super::config::{OutputMode, Turn};
use super::driver::Driver;
use super::event::{EndReason, Event, Usage};
use super::reconnect::is_passing_fault;
use super::turns::Active;
use crate::card::SoundCard;
use crate::playback::PartKey;

impl<C: SoundCard> Driver<C> {
    pub(super) fn understand(&mut self, event: ServerEvent) -> Result<(), EndReason> {
        match event {
            ServerEvent::SessionCreated(event) => {
                self.session.created = true;
                let model = match &event.session {
                    kaiwa_protocol::Session::Realtime(session) => session.model.cloned(),
                    _ => None,
                };
                self.note_costs(&event.session);
                self.note_limit(&event.session);
                let session = event.session.id().unwrap_or_default().to_owned();
                self.emit(Event::Connected { session, model });
            }
            ServerEvent::SessionUpdated(event) => {
                self.note_costs(&event.session);
                self.note_limit(&event.session);
                if let kaiwa_protocol::Session::Realtime(session) = &event.session {
                    let input = session.audio.value().and_then(|audio| audio.input.value());
                    if let Some(input) = input {
                        self.note_turn_detection(&input.turn_detection);
                    }
                }
            }
            ServerEvent::Error(event) => self.fault(event.error),
            ServerEvent::InputAudioBufferSpeechStarted(event) => {
                self.turns.user_speaking = true;
                self.turns.user_heard = true;
                self.session.replayed = None;
                self.calls.begin_turn();
                let ms = self.card_ms(event.audio_start_ms);
                self.turns.begun_ms = ms;
                self.emit(Event::UserSpeechStarted {
                    item: event.item_id,
                    ms,
                });
                if self.session.interrupts_response {
                    // The server has cancelled the response by itself, and one that was to come.
                    self.turns.unwanted &= self.turns.requested.is_some();
                    self.bar_answer();
                    self.cut_playback()?;
                }
            }
            ServerEvent::InputAudioBufferSpeechStopped(event) => {
                self.turns.user_speaking = false;
                self.turns.answer_due = self.session.creates_response;
                self.turns.committing = !self.session.creates_response
                    && self.config.has_budget()
                    && self.config.turn != Turn::None;
                self.turns.empty_since = None;
                let end = self.speech_end_ms(event.audio_end_ms, self.session.silence_ms);
                let now = self.now_ms();
                self.latency.spoken(Some(event.item_id.clone()), end, now);
                let ms = self.card_ms(event.audio_end_ms);
                self.recovery.settle(ms_to_samples(ms, WIRE_RATE_HZ));
                self.recovery.asked_again = false;
                let item = Some(event.item_id.clone());
                self.history.spoken(item, self.turns.begun_ms, ms);
                if let Some(books) = &mut self.books {
                    books.spoken(ms.saturating_sub(self.turns.begun_ms));
                }
                self.emit(Event::UserSpeechStopped {
                    item: event.item_id,
                    ms,
                });
            }
            ServerEvent::InputAudioBufferCommitted(event) => {
                self.history.committed(&event.item_id);
                self.turns.committing = false;
                if self.config.has_budget()
                    && self.config.turn != Turn::None
                    && !self.session.creates_response
                {
                    self.turns.owed = true;
                }
                if self.config.transcription.is_some() {
                    let now = Instant::now();
                    self.turns.untranscribed.insert(event.item_id, now);
                }
            }
            ServerEvent::ConversationItemInputAudioTranscriptionDelta(event) => {
                if let Maybe::Value(text) = event.delta {
                    self.emit(Event::UserTranscriptDelta {
                        item: event.item_id,
                        text,
                    });
                }
            }
            ServerEvent::ConversationItemInputAudioTranscriptionCompleted(event) => {
                self.turns.untranscribed.remove(&event.item_id);
                self.history.transcribed(&event.item_id, &event.transcript);
                if event.transcript.trim().is_empty() && self.turns.answer_due {
                    self.turns.empty_since = Some(Instant::now());
                }
                let now = self.now_ms();
                self.latency.transcript(&event.item_id, now);
                let usage = Some(&event.usage);
                let books = self.books.as_mut();
                let bill = books.and_then(|books| books.transcription(&event.item_id, usage));
                self.emit(Event::UserTranscriptDone {
                    item: event.item_id,
                    text: event.transcript,
                    typed: false,
                });
                if let Some(bill) = bill {
                    self.emit(Event::Billed(bill));
                }
            }
            ServerEvent::ConversationItemInputAudioTranscriptionFailed(event) => {
                self.turns.untranscribed.remove(&event.item_id);
                if let Some(books) = &mut self.books {
                    books.transcription(&event.item_id, None);
                }
                let why = event.error.message.unwrap_or_default();
                self.emit(Event::Warning {
                    message: format!("what the user said could not be transcribed: {why}"),
                });
            }
            ServerEvent::ResponseCreated(event) => self.response_created(&event.response)?,
            ServerEvent::ResponseDone(event) => self.response_done(&event.response),
            ServerEvent::ResponseOutputItemAdded(event) => {
                if let Item::McpCall(call) = event.item {
                    // What a tool has done is not to be done twice.
                    self.answering(&event.response_id);
                    self.emit(Event::ToolCallStarted {
                        item: call.id.unwrap_or_default(),
                        name: call.name,
                        // They are to come.
                        arguments: None,
                    });
                }
            }
            ServerEvent::ResponseOutputItemDone(event) => match event.item {
                Item::FunctionCall(call) => self.called(&event.response_id, call),
                Item::McpCall(call) => self.emit(Event::ToolCallDone {
                    item: call.id.unwrap_or_default(),
                    name: call.name,
                    failed: call.error.value().is_some(),
                    why: call.error.value().and_then(why_failed),
                }),
                _ => {}
            },
            ServerEvent::ConversationItemAdded(event) => self.item_added(event.item.id()),
            ServerEvent::ConversationItemDone(event) => self.item_added(event.item.id()),
            ServerEvent::ConversationItemCreated(event) => self.item_added(event.item.id()),
            ServerEvent::ResponseOutputTextDelta(event) => {
                self.text(&event.response_id, event.item_id, event.delta);
            }
            ServerEvent::ResponseOutputAudioTranscriptDelta(event) => {
                self.text(&event.response_id, event.item_id, event.delta);
            }
            ServerEvent::ResponseOutputTextDone(event) => {
                self.said(&event.item_id, &event.text);
                self.emit(Event::AssistantDone {
                    item: event.item_id,
                    text: event.text,
                });
            }
            ServerEvent::ResponseOutputAudioTranscriptDone(event) => {
                self.said(&event.item_id, &event.transcript);
                self.emit(Event::AssistantDone {
                    item: event.item_id,
                    text: event.transcript,
                });
            }
            ServerEvent::ResponseOutputAudioDelta(event) => self.sound(&event)?,
            ServerEvent::ResponseOutputAudioDone(event) => {
                let part = PartKey {
                    item: event.item_id,
                    content_index: event.content_index,
                };
                self.history.sounded(&part.item);
                if self.playback.complete(&part) {
                    self.spoken_to_the_end(&part);
                }
            }
            ServerEvent::Unknown(event) => {
                tracing::debug!(kind = event.kind, "an event unknown to this client");
            }
            other => tracing::trace!(kind = other.kind(), "nothing to do"),
        }
        Ok(())
    }

    fn note_costs(&mut self, session: &kaiwa_protocol::Session) {
        if let (Some(books), kaiwa_protocol::Session::Realtime(session)) =
            (&mut self.books, session)
        {
            books.note_session(
                session.model.value().map(String::as_str),
                session.instructions.as_deref(),
            );
        }
    }

    fn note_limit(&mut self, session: &kaiwa_protocol::Session) {
        if let kaiwa_protocol::Session::Realtime(session) = session
            && let Some(expires_at) = session.expires_at.copied()
        {
            self.note_expiry(expires_at);
        }
    }

    fn note_turn_detection(&mut self, turn: &Maybe<TurnDetection>) {
        match turn {
            // A server that does not say has the protocol's defaults.
            Maybe::Absent => {}
            Maybe::Null => self.session.creates_response = false,
            Maybe::Value(turn) => {
                self.session.creates_response = turn.creates_response();
                self.session.interrupts_response = turn.interrupts_response();
                self.session.silence_ms = match turn {
                    TurnDetection::ServerVad(vad) => vad.silence_duration_ms.copied(),
                    _ => None,
                };
            }
        }
    }

    fn fault(&mut self, error: ErrorDetail) {
        let rejection = || EndReason::Rejected {
            message: error.message.clone(),
            code: error.code.cloned(),
        };
        let expired = error.code.as_deref() == Some(codes::SESSION_EXPIRED);
        let passing = self.recovery.is_reopening() && is_passing_fault(&error);
        if (expired || passing) && self.recovery.give_up_session(error.message.as_str()) {
            return;
        }
        if !self.session.ready || ends_session(&error) {
            self.session.fatal = Some(rejection());
        }
        let code = error.code.cloned();
        let event_id = error.event_id.cloned();
        let refused = event_id.is_some() && event_id == self.turns.requested;
        if refused {
            self.turns.requested = None;
            self.turns.unwanted = false;
            match code.as_deref() {
                Some(codes::CONVERSATION_ALREADY_HAS_ACTIVE_RESPONSE) => self.calls.ask_again(),
                _ => self.calls.forgo(),
            }
        }
        if self.calls.is_filler(event_id.as_deref()) {
            // What was taken for it is the server's own.
            if let Some(active) = &mut self.turns.active
                && event_id == self.turns.presumed
            {
                active.filler = false;
                self.calls.begin_response(false);
            }
            // It would have been nice.
            tracing::debug!(error.message, "nothing is said over a slow call");
            return;
        }
        if let Some(id) = &event_id {
            self.calls.confirmed(|told| told.event == *id);
        }
        match code.as_deref() {
            // A response that ended on its own before the cancellation arrived.
            Some(codes::RESPONSE_CANCEL_NOT_ACTIVE) => return,
            Some(codes::CONVERSATION_ALREADY_HAS_ACTIVE_RESPONSE) => {
                // Two requests have crossed, ours and the server's own for a spoken turn.
                // Whichever was refused, its turn is answered after the other.
                let ours = refused
                    || (event_id.is_some() && event_id == self.turns.presumed)
                    || self.turns.requested.take().is_some();
                self.turns.presumed = None;
                self.turns.owed = true;
                self.turns.answer_due = ours && self.turns.active.is_none();
                return;
            }
            _ if refused => self.turns.refused = Some(rejection()),
            _ => {}
        }
        self.emit(Event::Error {
            code,
            message: error.message,
            event_id,
        });
    }

    fn response_created(&mut self, response: &Response) -> Result<(), EndReason> {
        if response.conversation_id.is_null() {
            // Out of band: not part of this conversation.
            return Ok(());
        }
        let now = self.now_ms();
        self.latency.response(&response.id, now);
        self.turns.presumed = self.turns.requested.take();
        let filler = self.calls.is_filler(self.turns.presumed.as_deref());
        if !filler {
            self.calls.begin_response(self.turns.presumed.is_some());
        }
        self.turns.refused = None;
        self.turns.answer_due = false;
        self.turns.empty_since = None;
        self.turns.active = Some(Active {
            id: response.id.clone(),
            cancelled: false,
            begun: false,
            filler,
            saying: None,
            items: Vec::new(),
        });
        // Nothing is said over somebody who speaks.
        let late = filler && self.turns.user_speaking;
        if std::mem::take(&mut self.turns.unwanted) || late {
            self.cancel_answer()?;
        }
        Ok(())
    }

    fn response_done(&mut self, response: &Response) {
        for item in response.output.value().into_iter().flatten() {
            if let Item::FunctionCall(call) = item {
                // Most are known by now.
                self.called(&response.id, call.clone());
            }
        }
        let is_it = |active: &mut Active| active.id == response.id;
        let active = self.turns.active.take_if(is_it);
        let spoke = active.as_ref().is_some_and(|active| active.begun);
        let cut = active.is_some_and(|active| active.cancelled)
            || response.status.value() == Some(&ResponseStatus::Cancelled);
        self.calls.end_response(&response.id, cut, spoke);
        if self.calls.are_of(&response.id) && !spoke {
            self.latency.pass_on(&response.id);
        }
        self.playback.complete_response(&response.id);
        let status = match &response.status {
            Maybe::Value(ResponseStatus::InProgress) | Maybe::Absent | Maybe::Null => "completed",
            Maybe::Value(status) => status.as_str(),
        };
        let reason = response.status_details.value().and_then(|details| {
            let why = details
                .reason
                .value()
                .map(|reason| reason.as_str().to_owned());
            let error = details
                .error
                .value()
                .and_then(|error| error.message.cloned().or_else(|| error.code.cloned()));
            error.or(why)
        });
        let reported = response.usage.value();
        let books = self.books.as_mut();
        let bill = books.and_then(|books| books.response(&response.id, reported));
        self.emit(Event::ResponseDone {
            response: response.id.clone(),
            status: status.to_owned(),
            reason,
            usage: reported.map(Usage::of),
        });
        if let Some(bill) = bill {
            self.emit(Event::Billed(bill));
        }
    }

    /// The conversation has an item.
    fn item_added(&mut self, item: Option<&str>) {
        if let Some(item) = item {
            self.calls.confirmed(|told| told.item == item);
        }
    }

    fn text(&mut self, response: &str, item: String, text: String) {
        let now = self.now_ms();
        self.latency.text(response, now);
        self.history.push(&item, &text);
        if let Some(active) = self.answering(response) {
            active.saying = Some(item.clone());
            active.say(&item);
            if active.cancelled && self.config.output == OutputMode::Audio {
                self.history.silence(&item);
            }
        }
        self.emit(Event::AssistantDelta { item, text });
    }

    /// All of what is said in an item is known.
    fn said(&mut self, item: &str, text: &str) {
        self.history.set(item, text);
        if let Some(active) = &mut self.turns.active
            && active.saying.as_deref() == Some(item)
        {
            active.saying = None;
        }
    }

    /// The running response, if it is this one, which says something.
    fn answering(&mut self, response: &str) -> Option<&mut Active> {
        let active = self.turns.active.as_mut()?;
        if active.id != response {
            return None;
        }
        active.begun = true;
        self.recovery.asked_again = false;
        Some(active)
    }

    fn sound(&mut self, event: &ResponseOutputAudioDelta) -> Result<(), EndReason> {
        if let Some(active) = self.answering(&event.response_id) {
            active.say(&event.item_id);
        }
        let part = PartKey {
            item: event.item_id.clone(),
            content_index: event.content_index,
        };
        if self.session.decoder.0.as_ref() != Some(&part) {
            self.session.decoder.0 = Some(part.clone());
            self.session.decoder.1.reset();
        }
        let mut samples = Vec::with_capacity(event.delta.len() / 2 + 1);
        self.session.decoder.1.push(&event.delta, &mut samples);
        self.history.sounds(&event.item_id, samples.len() as u64);
        let arrived = self.arrival();
        match self
            .playback
            .push(&event.response_id, &part, samples, arrived)
        {
            Ok(true) => {
                let now = self.now_ms();
                self.latency.audio(&event.response_id, now);
                Ok(())
            }
            Ok(false) => Ok(()),
            Err(_) => Err(EndReason::Rejected {
                message: "the server sends sound without end: more than an hour waits to be played"
                    .to_owned(),
                code: None,
            }),
        }
    }
}

/// Why a server's own call failed, in its words.
fn why_failed(error: &McpError) -> Option<String> {
    match error {
        McpError::Protocol(error) => Some(error.message.clone()),
        McpError::ToolExecution(error) => Some(error.message.clone()),
        McpError::Http(error) => Some(error.message.clone()),
        McpError::Unknown(_) => None,
    }
}

/// Whether the server closes the connection after this error.
pub(super) fn ends_session(error: &ErrorDetail) -> bool {
    matches!(
        error.code.as_deref(),
        Some(codes::INVALID_API_KEY | codes::SESSION_EXPIRED | codes::BETA_API_SHAPE_DISABLED)
    )
}
