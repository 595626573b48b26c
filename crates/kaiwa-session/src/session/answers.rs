//! Responses: asked for, written, ended.

use std::collections::BTreeSet;

use kaiwa_protocol::{Item, ItemStatus, ResponseCancel, ResponseCreate, StatusReason};

use super::{Applied, Session};
use crate::{
    Millis,
    conversation::{Conversation, Entry, Hearing, Spoken, take_audio},
    engine::{
        EngineCommand, EngineEvent, Generate, JobId, PROMPT_TOO_LONG, PromptMessage, PromptRole,
    },
    mcp::Offer,
    outbox::JobOwner,
    prompt, refusal,
    response::{Ending, PromptSize, Response, Settings},
    session::items::check_item,
    truncation::{self, Retention, Scale},
};

/// Most responses that are made at once: the one that writes to the conversation and others
/// out of band, each with a context of its own.
const MAX_RESPONSES: usize = 16;

/// The code of a response that a rate limit forbids.
const RATE_LIMIT_EXCEEDED: &str = "rate_limit_exceeded";

impl Session {
    /// `response.create`.
    pub(super) fn create_response(&mut self, event: ResponseCreate, now: Millis) -> Applied {
        let mut params = event
            .response
            .into_value()
            .map_or_else(Default::default, |p| *p);
        let input = params.input.take();
        let heard_voice = self.heard_voice.as_ref();
        let settings = Settings::requested(&self.config, &params, heard_voice, &self.servers)?;
        if settings.in_conversation
            && let Some(active) = self.active()
        {
            return Err(refusal::already_active(&active.id));
        }
        if self.responses.len() >= MAX_RESPONSES {
            return Err(refusal::too_many_responses(MAX_RESPONSES));
        }
        if let Some(items) = &input {
            self.check_input(items)?;
        }
        for tool in settings.servers() {
            self.list_tools(tool, event.event_id.as_deref());
        }
        let awaited_servers = self.awaited_servers(&settings, params.tools.is_value());
        let mut response = Response::new(self.outbox.ids.response(), settings);
        response.awaited_servers = awaited_servers;
        response.input = input.map(|items| {
            items
                .into_iter()
                .filter_map(|item| self.input_entry(item))
                .collect()
        });
        self.begin(response, now);
        Ok(())
    }

    /// `response.cancel`.
    pub(super) fn cancel_response(&mut self, event: &ResponseCancel, now: Millis) -> Applied {
        let wanted = match event.response_id.as_deref() {
            Some(id) => self.responses.iter().position(|r| r.id == id),
            None => self.active_index(),
        };
        let index = wanted.ok_or_else(refusal::cancel_not_active)?;
        if self.responses[index].settings.in_conversation {
            self.voiced_until = 0;
        }
        self.end(index, Ending::Cancelled(StatusReason::ClientCancelled), now);
        Ok(())
    }

    /// The listener has stopped playing this item.
    pub(super) fn fall_silent(&mut self, item_id: &str) {
        match self.active_index().map(|index| &mut self.responses[index]) {
            Some(active) if active.has_made(item_id) => {
                active.is_silenced = true;
                self.voiced_until = 0;
            }
            None if self.voiced_item.as_deref() == Some(item_id) => self.voiced_until = 0,
            // It was silent before: another is played now.
            _ => {}
        }
    }

    /// A turn of the user is over: answers it, unless an answer is still being given.
    pub(super) fn respond_to_turn(&mut self, item_id: String, now: Millis) {
        if let Some(active) = self.active() {
            let refusal = refusal::already_active(&active.id);
            return self.outbox.refuse(*refusal, None);
        }
        let mut response = match self.take_held() {
            Some(held) => held,
            None => self.session_response(),
        };
        response.turn = Some(item_id);
        self.begin(response, now);
    }

    /// The user has been silent for so long: lets the model speak up.
    pub(super) fn respond_to_silence(&mut self, silence_ms: Millis, now: Millis) {
        if self.active().is_some() {
            return;
        }
        let mut response = self.session_response();
        let seconds = silence_ms / 1000;
        response.nudge = Some(format!(
            "(The user has said nothing for {seconds} seconds. Gently check whether they are \
             still there.)"
        ));
        self.begin(response, now);
    }

    /// A response as the session's configuration has it.
    pub(super) fn session_response(&mut self) -> Response {
        let settings = Settings::of_session(&self.config);
        let awaited_servers = self.awaited_servers(&settings, false);
        let mut response = Response::new(self.outbox.ids.response(), settings);
        response.awaited_servers = awaited_servers;
        response
    }

    /// What an engine says about a response.
    pub(super) fn handle_answer(
        &mut self,
        job: JobId,
        response_id: &str,
        event: EngineEvent,
        now: Millis,
    ) {
        let Some(index) = self.responses.iter().position(|r| r.id == response_id) else {
            return self.hear_held(job, response_id, event, now);
        };
        if self.responses[index].writing == Some(job) {
            match &event {
                EngineEvent::Generated { input_tokens, .. } => {
                    let chars = self.responses[index].prompt.chars;
                    self.scale.learn(chars, u64::from(*input_tokens));
                }
                EngineEvent::PromptTooLong { tokens, limit } => {
                    let (tokens, limit) = (u64::from(*tokens), u64::from(*limit));
                    self.scale.learn(self.responses[index].prompt.chars, tokens);
                    let message = format!(
                        "The prompt has {tokens} tokens, and the model's context holds {limit}."
                    );
                    return self.shorten(index, job, limit, message, now);
                }
                EngineEvent::Failed { code, message } if code == PROMPT_TOO_LONG => {
                    // How much fits is not known: less than this.
                    let limit = self.responses[index].prompt.tokens;
                    return self.shorten(index, job, limit, message.clone(), now);
                }
                _ => {}
            }
        }
        let ending =
            self.responses[index].hear(job, event, &mut self.outbox, &mut self.conversation, now);
        self.follow(index, ending, now);
    }

    /// What follows from what a response has just done.
    fn follow(&mut self, index: usize, ending: Option<Ending>, now: Millis) {
        let response = &mut self.responses[index];
        for call in response.take_requests() {
            self.approvals.ask(call, response.settings.clone());
        }
        let voiced = response.playback_end();
        if let Some(end) = voiced.filter(|_| response.settings.in_conversation) {
            if !response.is_silenced {
                self.voiced_until = end;
                let item = response.voiced_item().map(str::to_owned);
                self.voiced_item = item.or_else(|| self.voiced_item.take());
            }
            self.heard_voice
                .get_or_insert_with(|| response.settings.wire_voice().clone());
        }
        if let Some(ending) = ending {
            self.end(index, ending, now);
        }
    }

    /// The prompt of a response is too long for the model: forgets the oldest items, abridges
    /// results of tools if that is not enough, and has it written again, or ends the response where that may not or cannot be done.
    fn shorten(&mut self, index: usize, job: JobId, limit: u64, message: String, now: Millis) {
        self.outbox.retire(job);
        let response = &mut self.responses[index];
        response.writing = None;
        let reason = match response.settings.retention {
            Retention::All => "Truncation is disabled.",
            Retention::Newest { .. } if response.has_begun() => "The answer has begun.",
            Retention::Newest { ratio, .. } => {
                let mut entries = seen(
                    &mut response.input,
                    &response.context,
                    &mut self.conversation,
                );
                let told = truncation::told_chars(entries.iter().map(|entry| &**entry));
                let fixed = response.prompt.chars.saturating_sub(told);
                let most = self.scale.chars(truncation::part(ratio, limit));
                if truncation::make_room(&mut entries, most.saturating_sub(fixed)) {
                    return self.write_waiting();
                }
                "Nothing is left that could be forgotten."
            }
        };
        let ending = Ending::Failed {
            kind: "invalid_request_error",
            code: PROMPT_TOO_LONG.to_owned(),
            message: format!("{message} {reason}"),
        };
        self.end(index, ending, now);
    }

    /// Lets the model write the responses whose context is complete.
    pub(super) fn write_waiting(&mut self) {
        for response in &mut self.responses {
            let is_asked = |label: &String| self.servers.asking(label).is_some();
            if !response.is_waiting() || response.awaited_servers.iter().any(is_asked) {
                continue;
            }
            let offer = response.offer(&self.servers);
            let max_tokens = response.settings.max_tokens();
            let entries = seen(
                &mut response.input,
                &response.context,
                &mut self.conversation,
            );
            let told = entries.iter().filter(|entry| !entry.forgotten);
            if told.clone().any(|entry| entry.is_pending()) {
                continue;
            }
            let nudge = response.nudge.as_deref();
            let told = compose(&response.settings, entries, nudge, &self.scale);
            let (generate, size) = told.with(offer, max_tokens, &self.scale);
            response.prompt = size;
            let owner = JobOwner::Response(response.id.clone());
            response.writing = Some(self.outbox.run(owner, EngineCommand::Generate(generate)));
        }
    }

    /// Ends the response that writes to the conversation, if there is one.
    pub(super) fn end_active(&mut self, ending: Ending, now: Millis) {
        if let Some(index) = self.active_index() {
            self.end(index, ending, now);
        }
    }

    /// Ends the responses that wait for the transcript of this item.
    pub(super) fn end_waiting(&mut self, item_id: &str, ending: &Ending, now: Millis) {
        while let Some(index) = self.responses.iter().position(|response| {
            response.is_waiting()
                && match &response.input {
                    Some(input) => input.iter().any(|e| e.item.id() == Some(item_id)),
                    None => {
                        response.context.contains(item_id)
                            && self.conversation.entry(item_id).is_some()
                    }
                }
        }) {
            self.end(index, ending.clone(), now);
        }
    }

    /// Ends the response that a turn made by itself: nothing was said in it.
    pub(super) fn end_unprovoked(&mut self, item_id: &str, now: Millis) {
        let unprovoked = self
            .responses
            .iter()
            .position(|r| r.is_waiting() && r.turn.as_deref() == Some(item_id));
        if let Some(index) = unprovoked {
            self.end(index, Ending::Cancelled(StatusReason::TurnDetected), now);
        }
    }

    pub(super) fn begin(&mut self, mut response: Response, now: Millis) {
        if response.settings.in_conversation {
            self.drop_held();
        }
        let entries = self.conversation.entries().iter();
        if response.settings.in_conversation {
            self.idle_at = None;
            response.plays_from = self.voiced_until;
            let ids = entries.filter_map(|entry| entry.item.id());
            response.context = ids.map(str::to_owned).collect();
        } else if response.input.is_none() {
            // What an aside forgets, the conversation still knows.
            let told = entries.filter(|entry| !entry.forgotten && !entry.in_progress());
            response.input = Some(told.map(Entry::reference).collect());
        }
        self.outbox.send(response.created(&self.conversation.id));
        self.responses.push(response);
        match self.limits.begin(now) {
            Ok(()) => {
                let index = self.responses.len() - 1;
                let response = &mut self.responses[index];
                let ending = response.advance(&mut self.outbox, &mut self.conversation, now);
                self.follow(index, ending, now);
                self.write_waiting();
            }
            Err(exceeded) => {
                let ending = Ending::Failed {
                    kind: exceeded.name.as_str(),
                    code: RATE_LIMIT_EXCEEDED.to_owned(),
                    message: exceeded.message,
                };
                self.end(self.responses.len() - 1, ending, now);
            }
        }
    }

    fn end(&mut self, index: usize, ending: Ending, now: Millis) {
        let mut response = self.responses.remove(index);
        let input = response.input.take().into_iter().flatten();
        for spoken in input.flat_map(|entry| entry.spoken) {
            if let Hearing::Pending(job) = spoken.hearing
                && !self.is_awaited(job)
            {
                self.outbox.cancel(job);
            }
        }
        let in_conversation = response.settings.in_conversation;
        let played_at = self.voiced_until.max(now);
        let tokens = response.end(ending, &mut self.outbox, &mut self.conversation, now);
        if let Some(updated) = self.limits.end(tokens, now) {
            self.outbox.send(updated);
        }
        if in_conversation && !self.user_is_speaking() {
            self.idle_at = self.idle_timeout_ms().map(|ms| played_at + ms);
        }
        self.go_about_approvals(now);
    }

    /// Whether somebody still wants to know what this job hears.
    pub(super) fn is_awaited(&self, job: JobId) -> bool {
        let aside = self.responses.iter().filter_map(|r| r.input.as_ref());
        let mut entries = self.conversation.entries().iter().chain(aside.flatten());
        entries.any(|entry| entry.awaits(job))
    }

    /// The response that writes to the conversation.
    pub(super) fn active(&self) -> Option<&Response> {
        self.active_index().map(|index| &self.responses[index])
    }

    fn active_index(&self) -> Option<usize> {
        self.responses
            .iter()
            .position(|response| response.settings.in_conversation)
    }

    fn check_input(&self, items: &[Item]) -> Applied {
        for (index, item) in items.iter().enumerate() {
            let param = format!("response.input[{index}]");
            match item {
                Item::Reference(reference) => {
                    if self.conversation.entry(&reference.id).is_none() {
                        return Err(refusal::invalid(
                            &format!("{param}.id"),
                            format!(
                                "Error referring to item: the item with id '{}' does not exist.",
                                reference.id
                            ),
                        ));
                    }
                }
                item => check_item(&param, item)?,
            }
        }
        Ok(())
    }

    /// An item of a response's own context; its audio is transcribed for the model alone.
    fn input_entry(&mut self, mut item: Item) -> Option<Entry> {
        if let Item::Reference(reference) = &item {
            return self.conversation.entry(&reference.id).map(Entry::reference);
        }
        if item.id().is_none() {
            item.set_id(self.outbox.ids.item());
        }
        // It is whole, whatever the client says: an item in progress is not told.
        item.set_status(ItemStatus::Completed);
        let spoken = take_audio(&mut item, self.config.input_format())
            .into_iter()
            .map(|(index, audio)| {
                let job = self.transcribe(audio.samples.clone(), JobOwner::Hearing);
                Spoken::new(index, audio, Hearing::Pending(job), false)
            })
            .collect();
        Some(Entry {
            spoken,
            ..Entry::plain(item)
        })
    }
}

/// The prompt of a response but for its tools.
pub(super) struct Told {
    messages: Vec<PromptMessage>,
    spoken_chars: u64,
}

/// What the language model is told for a response, of the context that it sees.
pub(super) fn compose(
    settings: &Settings,
    mut entries: Vec<&mut Entry>,
    nudge: Option<&str>,
    scale: &Scale,
) -> Told {
    let chars = || truncation::told_chars(entries.iter().map(|entry| &**entry));
    if let Retention::Newest {
        ratio,
        most: Some(most),
    } = settings.retention
        && scale.tokens(chars()) > most
    {
        let keep = scale.chars(truncation::part(ratio, most));
        truncation::make_room(&mut entries, keep);
    }
    let finished = || {
        let told = entries.iter().map(|entry| &**entry);
        told.filter(|entry| !entry.forgotten && !entry.in_progress())
    };
    let mut messages = prompt::messages(&settings.instructions, finished());
    let nudge = nudge.map(|nudge| prompt::text_message(PromptRole::User, nudge.to_owned()));
    messages.extend(nudge);
    Told {
        messages,
        spoken_chars: prompt::spoken_chars(finished()),
    }
}

impl Told {
    /// The whole prompt, and how long it is.
    pub(super) fn with(
        self,
        offer: Offer,
        max_tokens: Option<u32>,
        scale: &Scale,
    ) -> (Generate, PromptSize) {
        let chars = prompt::chars(&self.messages) + prompt::tool_chars(&offer.tools);
        let size = PromptSize {
            chars,
            spoken_chars: self.spoken_chars,
            tokens: scale.tokens(chars),
        };
        let generate = Generate {
            messages: self.messages,
            tools: offer.tools,
            tool_choice: offer.choice,
            max_tokens,
        };
        (generate, size)
    }
}

/// What the model sees for a response: the response's own input, or of the conversation what
/// was there when the response was created.
fn seen<'a>(
    input: &'a mut Option<Vec<Entry>>,
    context: &BTreeSet<String>,
    conversation: &'a mut Conversation,
) -> Vec<&'a mut Entry> {
    let was_there = |entry: &&mut Entry| entry.item.id().is_some_and(|id| context.contains(id));
    match input {
        Some(input) => input.iter_mut().collect(),
        None => {
            let entries = conversation.entries_mut().iter_mut();
            entries.filter(was_there).collect()
        }
    }
}
