//! One response: from the language model's words to the events of its items.

mod call;
mod message;
mod settings;
mod tool_call;
mod usage;

use std::collections::{BTreeSet, VecDeque};

use kaiwa_protocol::{
    Item, ItemStatus, Maybe, RESPONSE_OBJECT, Response as WireResponse, ResponseCreated,
    ResponseDone, ResponseOutputItemAdded, ResponseOutputItemDone, ResponseStatus, StatusDetails,
    StatusError, StatusReason,
};

use self::{
    call::CallPart,
    message::MessagePart,
    tool_call::{ApprovalPart, ToolCallPart},
    usage::Written,
};
pub(crate) use self::{settings::Settings, tool_call::ApprovedCall, usage::PromptSize};
use crate::{
    Millis,
    conversation::{Conversation, Entry, Place},
    engine::{EngineEvent, JobId},
    event_size::{self, MAX_SHOWN_BYTES},
    mcp::{Offer, Servers},
    outbox::Outbox,
};

/// A response that is being made.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) id: String,
    pub(crate) settings: Settings,
    /// The user's turn that made it by itself.
    pub(crate) turn: Option<String>,
    /// What the model sees instead of the conversation.
    pub(crate) input: Option<Vec<Entry>>,
    /// What of the conversation it sees otherwise: the ids of the items that were there when
    /// the response was created.
    pub(crate) context: BTreeSet<String>,
    /// Something the model is told for this response alone, after the context.
    pub(crate) nudge: Option<String>,
    /// MCP servers without whose tools it is not to be written.
    pub(crate) awaited_servers: Vec<String>,
    /// The job that writes it; `None` while transcripts are missing, and when it is written.
    pub(crate) writing: Option<JobId>,
    /// What the language model counted, once it is done.
    written: Option<Written>,
    /// How long the prompt is that was given to the language model.
    pub(crate) prompt: PromptSize,
    /// What the language model was offered.
    offer: Offer,
    /// Pieces that the language model has written: about as many as tokens.
    pieces: u64,
    /// Calls that the language model has begun.
    calls: u32,
    /// Whether nothing of it is sent yet: the turn that it answers may not be over.
    pub(crate) held: bool,
    /// Calls that the client is to be asked about, not taken yet.
    requests: Vec<ApprovedCall>,
    /// Items that are not finished; the first one is sent, the others wait for it.
    parts: VecDeque<Part>,
    /// Items that are finished.
    output: Vec<Item>,
    /// Items so far, finished or not.
    items: u32,
    /// Audio that was sent.
    audio_ms: Millis,
    /// When the listener will have heard what was there before.
    pub(crate) plays_from: Millis,
    /// When the listener will have heard all that was sent, playing it as it comes.
    playback_end: Option<Millis>,
    /// Whether the listener plays it no more.
    pub(crate) is_silenced: bool,
}

/// How a response ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Completed,
    Cancelled(StatusReason),
    Incomplete(StatusReason),
    Failed {
        kind: &'static str,
        code: String,
        message: String,
    },
}

#[derive(Debug)]
enum Part {
    Message(Box<MessagePart>),
    Call(CallPart),
    ToolCall(Box<ToolCallPart>),
    Approval(Box<ApprovalPart>),
}

impl Part {
    fn item_id(&self) -> &str {
        match self {
            Self::Message(part) => &part.item_id,
            Self::Call(part) => &part.item_id,
            Self::ToolCall(part) => &part.item_id,
            Self::Approval(part) => &part.item_id,
        }
    }

    fn is_finished(&self) -> bool {
        match self {
            Self::Message(part) => part.is_finished(),
            Self::Call(part) => part.complete,
            Self::ToolCall(part) => part.is_finished(),
            Self::Approval(part) => part.complete,
        }
    }

    /// The arguments that are being written, if it is a call.
    fn arguments_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Message(_) => None,
            Self::Call(part) => Some(&mut part.arguments),
            Self::ToolCall(part) => Some(&mut part.arguments),
            Self::Approval(part) => Some(&mut part.arguments),
        }
    }
}

impl Ending {
    /// An engine failed.
    pub(crate) fn broken(code: String, message: String) -> Self {
        Self::Failed {
            kind: "server_error",
            code,
            message,
        }
    }
}

/// What a part needs to know of its response.
struct Frame<'a> {
    response_id: &'a str,
    settings: &'a Settings,
    outbox: &'a mut Outbox,
    conversation: &'a mut Conversation,
}

impl Response {
    pub(crate) fn new(id: String, settings: Settings) -> Self {
        Self {
            id,
            settings,
            turn: None,
            input: None,
            context: BTreeSet::new(),
            nudge: None,
            awaited_servers: Vec::new(),
            writing: None,
            written: None,
            prompt: PromptSize::default(),
            offer: Offer::default(),
            pieces: 0,
            calls: 0,
            held: false,
            requests: Vec::new(),
            parts: VecDeque::new(),
            output: Vec::new(),
            items: 0,
            audio_ms: 0,
            plays_from: 0,
            playback_end: None,
            is_silenced: false,
        }
    }

    /// A response of calls which the client has approved; with none the language model goes on
    /// from the client's denial.
    pub(crate) fn approved(
        id: String,
        settings: Settings,
        calls: impl IntoIterator<Item = ApprovedCall>,
        outbox: &mut Outbox,
    ) -> Self {
        let mut response = Self::new(id, settings);
        for call in calls {
            let part = ToolCallPart::approved(outbox.ids.tool_call(), response.items, call);
            response.items += 1;
            response.parts.push_back(Part::ToolCall(Box::new(part)));
        }
        if response.items > 0 {
            response.written = Some(Written::default());
        }
        response
    }

    /// `response.created`.
    pub(crate) fn created(&self, conversation_id: &str) -> ResponseCreated {
        ResponseCreated {
            response: Box::new(self.wire(ResponseStatus::InProgress, conversation_id)),
            ..ResponseCreated::default()
        }
    }

    /// Whether it is to be written, and is not.
    pub(crate) fn is_waiting(&self) -> bool {
        self.writing.is_none() && self.written.is_none()
    }

    /// Whether some of it was written.
    pub(crate) fn has_begun(&self) -> bool {
        self.items > 0
    }

    /// What the language model may use. It is remembered, for the calls it makes.
    pub(crate) fn offer(&mut self, servers: &Servers) -> Offer {
        let settings = &self.settings;
        // Nobody could answer for a response that is no part of the conversation.
        let can_ask = settings.in_conversation;
        let choice = settings.tool_choice.value();
        self.offer = Offer::new(&settings.tools, choice, servers, can_ask);
        self.offer.clone()
    }

    /// The calls that the client is asked about, each given once.
    pub(crate) fn take_requests(&mut self) -> Vec<ApprovedCall> {
        std::mem::take(&mut self.requests)
    }

    /// When the listener will have heard all that was sent, if it is played at once.
    pub(crate) fn playback_end(&self) -> Option<Millis> {
        self.playback_end
    }

    /// Whether more is written than can be spoken soon.
    pub(crate) fn is_ahead_of_voice(&self) -> bool {
        self.parts.iter().any(|part| match part {
            Part::Message(message) => message.is_ahead_of_voice(),
            _ => false,
        })
    }

    /// Whether an item with this id is being made.
    pub(crate) fn makes(&self, item_id: &str) -> bool {
        self.parts.iter().any(|part| part.item_id() == item_id)
    }

    /// Whether this is an item of its, finished or not.
    pub(crate) fn has_made(&self, item_id: &str) -> bool {
        let mut finished = self.output.iter().filter_map(Item::id);
        self.makes(item_id) || finished.any(|id| id == item_id)
    }

    /// The message that was spoken last.
    pub(crate) fn voiced_item(&self) -> Option<&str> {
        let made = |part: &Part| matches!(part, Part::Message(_));
        let making = self.parts.iter().find(|part| made(part)).map(Part::item_id);
        making.or_else(|| {
            let mut messages = self.output.iter().rev();
            messages
                .find(|item| matches!(item, Item::Message(_)))
                .and_then(Item::id)
        })
    }

    /// The message with this id, if it is being made.
    pub(crate) fn message_mut(&mut self, item_id: &str) -> Option<&mut MessagePart> {
        self.parts.iter_mut().find_map(|part| match part {
            Part::Message(message) if message.item_id == item_id => Some(&mut **message),
            _ => None,
        })
    }

    /// Takes in what an engine says. The ending is given when the response is over;
    /// [`end`](Self::end) then has to follow.
    pub(crate) fn hear(
        &mut self,
        job: JobId,
        event: EngineEvent,
        outbox: &mut Outbox,
        conversation: &mut Conversation,
        now: Millis,
    ) -> Option<Ending> {
        match event {
            // Only who writes it may say what is written.
            EngineEvent::Text { .. }
            | EngineEvent::CallStart { .. }
            | EngineEvent::CallArguments { .. }
            | EngineEvent::Generated { .. }
                if self.writing != Some(job) => {}
            EngineEvent::Text { text } => {
                self.pieces += 1;
                self.write(&text, outbox);
            }
            EngineEvent::CallStart { .. } if self.calls > 0 && !self.settings.parallel_calls => {
                // One call is all that is asked for: the rest need not be written.
                outbox.cancel(job);
                self.writing = None;
                self.written = Some(self.estimate());
                self.complete_last();
            }
            EngineEvent::CallStart { call_id, name } => {
                self.pieces += 1;
                self.calls += 1;
                self.complete_last();
                let call = self.call(&call_id, name, outbox);
                self.items += 1;
                self.parts.push_back(call);
            }
            EngineEvent::CallArguments { text } => {
                self.pieces += 1;
                if let Some(arguments) = self.parts.back_mut().and_then(Part::arguments_mut) {
                    arguments.push_str(&text);
                }
            }
            EngineEvent::Generated {
                input_tokens,
                cached_tokens,
                output_tokens,
                truncated,
            } => {
                outbox.retire(job);
                self.writing = None;
                self.written = Some(Written {
                    input_tokens: u64::from(input_tokens),
                    cached_tokens: u64::from(cached_tokens.min(input_tokens)),
                    output_tokens: u64::from(output_tokens),
                    truncated,
                });
                self.complete_last();
            }
            EngineEvent::Speech { .. } | EngineEvent::Spoken => {
                let speaker = self.parts.iter_mut().find_map(|part| match part {
                    Part::Message(message) => message.speaking_mut(job),
                    _ => None,
                });
                if let Some(speaking) = speaker {
                    speaking.hear(event, outbox);
                }
            }
            EngineEvent::ToolReturned { .. } | EngineEvent::ToolFailed { .. } => {
                if let Some(call) = self.call_made_by(job) {
                    outbox.retire(job);
                    call.hear(event);
                }
            }
            EngineEvent::Failed { code, message } => {
                outbox.retire(job);
                match self.call_made_by(job) {
                    Some(call) => call.hear(EngineEvent::Failed { code, message }),
                    None => return Some(Ending::broken(code, message)),
                }
            }
            // Dealt with by the session, and answers to other kinds of jobs.
            EngineEvent::PromptTooLong { .. }
            | EngineEvent::ToolsListed { .. }
            | EngineEvent::Voice { .. }
            | EngineEvent::TurnJudged { .. }
            | EngineEvent::TranscriptDelta { .. }
            | EngineEvent::Transcript { .. } => {}
        }
        self.advance(outbox, conversation, now)
    }

    /// Drops a response of which nothing was sent: stops its jobs.
    pub(crate) fn abandon(mut self, outbox: &mut Outbox) {
        if let Some(job) = self.writing.take() {
            outbox.cancel(job);
        }
        for part in self.parts {
            if let Part::Message(message) = part {
                message.abandon(outbox);
            }
        }
    }

    /// Ends the response: stops its jobs, closes its open items, says that it is done.
    /// Returns how many tokens it cost.
    pub(crate) fn end(
        mut self,
        ending: Ending,
        outbox: &mut Outbox,
        conversation: &mut Conversation,
        now: Millis,
    ) -> u64 {
        if let Some(job) = self.writing.take() {
            outbox.cancel(job);
        }
        let mut unheard_ms = match &ending {
            Ending::Cancelled(_) => self.playback_end.map_or(0, |end| end.saturating_sub(now)),
            // Nobody interrupted it: all that was sent is heard.
            Ending::Failed { .. } | Ending::Completed | Ending::Incomplete(_) => 0,
        };
        let mut frame = Frame {
            response_id: &self.id,
            settings: &self.settings,
            outbox,
            conversation,
        };
        let whole = self.output.len();
        for part in self.parts.drain(..) {
            let item = match part {
                Part::Message(message) => message.cut_off(&mut frame, &mut unheard_ms),
                Part::Call(call) => call.cut_off(&mut frame),
                Part::ToolCall(call) => call.cut_off(&mut frame, room(&self.output)),
                // Nobody was asked yet.
                Part::Approval(_) => None,
            };
            self.output.extend(item);
        }
        // The tail of messages that were sent whole may have been unheard, too.
        for item in self.output[..whole].iter().rev() {
            let entry = item.id().and_then(|id| conversation.entry_mut(id));
            if let Some(voiced) = entry.and_then(|entry| entry.voiced.as_mut()) {
                voiced.unhear(&mut unheard_ms);
            }
        }
        let done = self.done(ending, &conversation.id);
        let usage = done.response.usage.value();
        let tokens = usage.map_or(0, |usage| usage.total_tokens.unwrap_or(0));
        outbox.send(done);
        conversation.limit_audio();
        tokens
    }

    /// Appends to the message that is being written.
    fn write(&mut self, text: &str, outbox: &mut Outbox) {
        if !matches!(self.parts.back(), Some(Part::Message(_))) {
            // White space makes no message, and begins none.
            let text = text.trim_start();
            if text.is_empty() {
                return;
            }
            self.complete_last();
            let item_id = outbox.ids.item();
            let message = MessagePart::new(item_id, self.items, &self.settings);
            self.items += 1;
            self.parts.push_back(Part::Message(Box::new(message)));
            return self.write(text, outbox);
        }
        if let Some(Part::Message(message)) = self.parts.back_mut() {
            message.write(text);
        }
    }

    /// No more is written to the last part.
    fn complete_last(&mut self) {
        match self.parts.back_mut() {
            Some(Part::Message(message)) => message.complete(),
            Some(Part::Call(call)) => call.complete = true,
            Some(Part::ToolCall(call)) => call.complete = true,
            Some(Part::Approval(request)) => request.complete = true,
            None => {}
        }
    }

    /// The call that the language model begins: the client's to make, or ours.
    fn call(&self, call_id: &str, name: String, outbox: &mut Outbox) -> Part {
        match self.offer.remote.get(&name).cloned() {
            None => {
                let call_id = outbox.call_id(call_id);
                let item_id = outbox.ids.item();
                Part::Call(CallPart::new(item_id, self.items, call_id, name))
            }
            Some(remote) if remote.needs_approval => {
                let item_id = outbox.ids.approval_request();
                Part::Approval(Box::new(ApprovalPart::new(item_id, self.items, remote)))
            }
            Some(remote) => {
                let item_id = outbox.ids.tool_call();
                Part::ToolCall(Box::new(ToolCallPart::new(item_id, self.items, remote)))
            }
        }
    }

    /// The tool call that this job makes.
    fn call_made_by(&mut self, job: JobId) -> Option<&mut ToolCallPart> {
        self.parts.iter_mut().find_map(|part| match part {
            Part::ToolCall(call) if call.is_made_by(job) => Some(&mut **call),
            _ => None,
        })
    }

    /// Sends what can be sent. The ending is given when the response is over.
    pub(crate) fn advance(
        &mut self,
        outbox: &mut Outbox,
        conversation: &mut Conversation,
        now: Millis,
    ) -> Option<Ending> {
        if self.held {
            if let Some(Part::Message(message)) = self.parts.front_mut() {
                message.prepare(&self.id, &self.settings, outbox);
            }
            return None;
        }
        let truncated = self.written.is_some_and(|written| written.truncated);
        let mut frame = Frame {
            response_id: &self.id,
            settings: &self.settings,
            outbox,
            conversation,
        };
        while let Some(part) = self.parts.front_mut() {
            match part {
                Part::Message(message) => {
                    let sent_ms = message.advance(&mut frame);
                    if sent_ms > 0 {
                        // Behind what is still playing.
                        let from = self.playback_end.unwrap_or(self.plays_from);
                        self.playback_end = Some(from.max(now) + sent_ms);
                        self.audio_ms += sent_ms;
                    }
                }
                Part::Call(call) => call.advance(&mut frame),
                Part::ToolCall(call) => call.advance(&mut frame),
                Part::Approval(_) => {}
            }
            if !part.is_finished() {
                break;
            }
            // Only the last part can have been cut by the limit.
            let status = match truncated && self.parts.len() == 1 {
                true => ItemStatus::Incomplete,
                false => ItemStatus::Completed,
            };
            let item = match self.parts.pop_front() {
                Some(Part::Message(message)) => message.finish(&mut frame, status),
                Some(Part::Call(call)) => call.finish(&mut frame, status),
                Some(Part::ToolCall(call)) => call.finish(&mut frame, room(&self.output)),
                Some(Part::Approval(request)) => {
                    let (item, call) = request.finish(&mut frame);
                    self.requests.push(call);
                    item
                }
                None => break,
            };
            self.output.push(item);
        }
        (self.parts.is_empty() && self.written.is_some()).then_some(match truncated {
            true => Ending::Incomplete(StatusReason::MaxOutputTokens),
            false => Ending::Completed,
        })
    }

    fn done(&self, ending: Ending, conversation_id: &str) -> ResponseDone {
        let (status, reason, error) = match ending {
            Ending::Completed => (ResponseStatus::Completed, None, None),
            Ending::Cancelled(reason) => (ResponseStatus::Cancelled, Some(reason), None),
            Ending::Incomplete(reason) => (ResponseStatus::Incomplete, Some(reason), None),
            Ending::Failed {
                kind,
                code,
                message,
            } => {
                let error = StatusError {
                    kind: kind.into(),
                    code: code.into(),
                    message: message.into(),
                    ..StatusError::default()
                };
                (ResponseStatus::Failed, None, Some(error))
            }
        };
        let mut response = self.wire(status.clone(), conversation_id);
        if status != ResponseStatus::Completed {
            response.status_details = Maybe::Value(StatusDetails {
                kind: Maybe::Value(status),
                reason: reason.into(),
                error: error.into(),
                ..StatusDetails::default()
            });
        }
        response.usage = Maybe::Value(self.usage());
        ResponseDone {
            response: Box::new(response),
            ..ResponseDone::default()
        }
    }

    fn wire(&self, status: ResponseStatus, conversation_id: &str) -> WireResponse {
        WireResponse {
            object: RESPONSE_OBJECT.into(),
            id: self.id.clone(),
            status: Maybe::Value(status),
            status_details: Maybe::Null,
            output: Maybe::Value(self.output.clone()),
            conversation_id: Maybe::nullable(
                self.settings
                    .in_conversation
                    .then(|| conversation_id.to_owned()),
            ),
            output_modalities: Maybe::Value(vec![self.settings.modality.clone()]),
            max_output_tokens: Maybe::Value(self.settings.max_output_tokens.clone()),
            audio: Maybe::Value(self.settings.audio()),
            usage: Maybe::Null,
            metadata: self.settings.metadata.clone(),
            ..WireResponse::default()
        }
    }
}

/// Bytes that are left for further items in the event that shows all of a response.
fn room(output: &[Item]) -> usize {
    let shown: usize = output.iter().map(event_size::item_bytes).sum();
    MAX_SHOWN_BYTES.saturating_sub(shown)
}

impl Frame<'_> {
    /// Announces a new item of the response, and puts it into the conversation if the response
    /// writes there.
    fn add(&mut self, output_index: u32, item: Item, item_id: &str) {
        self.outbox.send(ResponseOutputItemAdded {
            response_id: self.response_id.to_owned(),
            output_index,
            item: item.clone(),
            ..ResponseOutputItemAdded::default()
        });
        if !self.settings.in_conversation {
            return;
        }
        self.conversation.insert(Entry::plain(item), Place::End);
        if let Some(added) = self.conversation.added(item_id) {
            self.outbox.send(added);
        }
    }

    /// Says that an item is done, and puts its entry in the place of the unfinished one, unless
    /// that was deleted.
    fn end(&mut self, output_index: u32, item: &Item, entry: Entry, item_id: &str) {
        self.outbox.send(ResponseOutputItemDone {
            response_id: self.response_id.to_owned(),
            output_index,
            item: item.clone(),
            ..ResponseOutputItemDone::default()
        });
        let Some(place) = self.conversation.entry_mut(item_id) else {
            return;
        };
        *place = entry;
        if let Some(done) = self.conversation.done(item_id) {
            self.outbox.send(done);
        }
    }
}
