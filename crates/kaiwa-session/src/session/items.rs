//! Items created, shown, cut and removed by the client.

use kaiwa_protocol::{
    ContentPart, ConversationItemCreate, ConversationItemDelete, ConversationItemDeleted,
    ConversationItemRetrieve, ConversationItemRetrieved, ConversationItemTruncate,
    ConversationItemTruncated, Item, ItemStatus, Maybe, Message, Role, codes,
};

use super::{Applied, Session};
use crate::{
    conversation::{Entry, Hearing, Place, Spoken, take_audio},
    event_size::{self, MAX_SHOWN_BYTES},
    refusal,
};

/// The `previous_item_id` that puts an item first.
const ROOT: &str = "root";

impl Session {
    /// `conversation.item.create`.
    pub(super) fn create_item(&mut self, event: ConversationItemCreate) -> Applied {
        let mut item = event.item;
        check_item("item", &item)?;
        if let Some(id) = item.id()
            && self.is_taken(id)
        {
            return Err(refusal::duplicate_item(id));
        }
        if let Item::FunctionCallOutput(output) = &item
            && !self.conversation.has_call(&output.call_id)
        {
            return Err(refusal::unknown_call(&output.call_id));
        }
        if let Item::McpApprovalResponse(answer) = &item {
            self.approvals.check(answer)?;
        }
        let place = match event.previous_item_id.as_deref() {
            None => Place::End,
            Some(ROOT) => Place::Start,
            Some(id) if self.conversation.entry(id).is_some() => Place::After(id),
            Some(id) => {
                return Err(refusal::invalid(
                    "previous_item_id",
                    format!("Error adding item: the previous item with id '{id}' does not exist."),
                ));
            }
        };

        let audio = take_audio(&mut item, self.config.input_format());
        let bytes = event_size::item_bytes(&event_size::without_images(&item));
        if bytes > MAX_SHOWN_BYTES {
            return Err(refusal::too_large("item", MAX_SHOWN_BYTES, bytes));
        }
        let bytes = event_size::item_bytes(&item);
        if bytes > self.conversation.room() {
            let kept = self.conversation.created_bytes();
            let most = self.options.max_created_bytes;
            return Err(refusal::conversation_full(kept, bytes, most));
        }

        let item_id = match item.id() {
            Some(id) => id.to_owned(),
            None => self.outbox.ids.item(),
        };
        item.set_id(item_id.as_str());
        item.set_object();
        item.set_status(ItemStatus::Completed);
        if let Item::FunctionCall(call) = &mut item
            && !call.call_id.is_value()
        {
            call.call_id = self.outbox.call_id("").into();
        }
        if let Item::FunctionCall(call) = &item
            && let Some(call_id) = call.call_id.as_deref()
        {
            self.outbox.know_call(call_id);
        }
        if let Item::McpApprovalResponse(answer) = &item {
            self.approvals.answer(answer);
        }
        let announced = self.config.transcription().is_some();
        let spoken = audio
            .into_iter()
            .map(|(index, audio)| {
                let hearing = self.listen(audio.samples.clone());
                Spoken::new(index, audio, hearing, announced)
            })
            .collect();
        let entry = Entry {
            spoken,
            ..Entry::plain(item)
        };
        self.conversation.insert(entry, place);
        self.conversation.count_created(&item_id, bytes);
        self.announce_item(&item_id);
        Ok(())
    }

    /// `conversation.item.retrieve`.
    pub(super) fn retrieve_item(&mut self, event: &ConversationItemRetrieve) -> Applied {
        let Some(entry) = self.conversation.entry(&event.item_id) else {
            return Err(refusal::no_such_item(
                codes::ITEM_RETRIEVE_INVALID_ITEM_ID,
                "retrieving",
                &event.item_id,
            ));
        };
        let item = entry.with_audio();
        self.outbox.send(ConversationItemRetrieved {
            item,
            ..ConversationItemRetrieved::default()
        });
        Ok(())
    }

    /// `conversation.item.delete`.
    pub(super) fn delete_item(&mut self, event: ConversationItemDelete) -> Applied {
        let Some(entry) = self.conversation.remove(&event.item_id) else {
            return Err(refusal::no_such_item(
                codes::ITEM_DELETE_INVALID_ITEM_ID,
                "deleting",
                &event.item_id,
            ));
        };
        self.approvals.forget(&event.item_id);
        for spoken in entry.spoken {
            // A response that refers to the item still wants to know what was said.
            if let Hearing::Pending(job) = spoken.hearing
                && !self.is_awaited(job)
            {
                self.outbox.cancel(job);
            }
        }
        self.outbox.send(ConversationItemDeleted {
            item_id: event.item_id,
            ..ConversationItemDeleted::default()
        });
        self.write_waiting();
        Ok(())
    }

    /// `conversation.item.truncate`.
    pub(super) fn truncate_item(&mut self, event: &ConversationItemTruncate) -> Applied {
        let Some(entry) = self.conversation.entry_mut(&event.item_id) else {
            return Err(refusal::no_such_item(
                codes::ITEM_TRUNCATE_INVALID_ITEM_ID,
                "truncating",
                &event.item_id,
            ));
        };
        let in_progress = self
            .responses
            .iter_mut()
            .find_map(|response| response.message_mut(&event.item_id)?.ledger_mut());
        let finished = entry.voiced.as_mut().map(|voiced| &mut voiced.ledger);
        let Some(ledger) = in_progress.or(finished) else {
            return Err(refusal::invalid(
                "item_id",
                "Only model output audio messages can be truncated.",
            ));
        };
        if event.content_index != 0 {
            return Err(refusal::invalid(
                "content_index",
                format!(
                    "Invalid 'content_index': the item has no audio at index {}, only at 0.",
                    event.content_index
                ),
            ));
        }
        if event.audio_end_ms > ledger.ms() {
            return Err(refusal::already_shorter(ledger.ms(), event.audio_end_ms));
        }
        ledger.truncate(event.audio_end_ms);
        entry.hide_truncated();
        self.fall_silent(&event.item_id);
        self.outbox.send(ConversationItemTruncated {
            item_id: event.item_id.clone(),
            content_index: event.content_index,
            audio_end_ms: event.audio_end_ms,
            ..ConversationItemTruncated::default()
        });
        Ok(())
    }

    /// Whether an id belongs to an item, or to one that was announced and is to come.
    fn is_taken(&self, id: &str) -> bool {
        self.conversation.entry(id).is_some()
            || self.responses.iter().any(|response| response.makes(id))
            || self.turn_item_id() == Some(id)
    }

    /// `conversation.item.added` and `conversation.item.done` for an item that is whole.
    pub(super) fn announce_item(&mut self, item_id: &str) {
        if let Some(added) = self.conversation.added(item_id) {
            self.outbox.send(added);
        }
        if let Some(done) = self.conversation.done(item_id) {
            self.outbox.send(done);
        }
    }
}

/// Checks an item that a client gives; `param` is the path to it.
pub(super) fn check_item(param: &str, item: &Item) -> Applied {
    if let Some(id) = item.id() {
        refusal::check_id(&format!("{param}.id"), id)?;
    }
    match item {
        Item::Message(message) => check_message(param, message),
        Item::FunctionCall(call) => match call.call_id.as_deref() {
            Some(call_id) => check_call_id(param, call_id),
            None => Ok(()),
        },
        Item::FunctionCallOutput(_) | Item::McpApprovalResponse(_) => Ok(()),
        Item::McpListTools(_)
        | Item::McpCall(_)
        | Item::McpApprovalRequest(_)
        | Item::Reference(_)
        | Item::Unknown(_) => Err(refusal::not_one_of(
            &format!("{param}.type"),
            item.kind(),
            &[
                "message",
                "function_call",
                "function_call_output",
                "mcp_approval_response",
            ],
        )),
    }
}

fn check_message(param: &str, message: &Message) -> Applied {
    let allowed: &[&str] = match &message.role {
        Role::System => &["input_text"],
        Role::User => &["input_text", "input_audio", "input_image"],
        Role::Assistant => &["output_text"],
        Role::Other(role) => {
            return Err(refusal::not_one_of(
                &format!("{param}.role"),
                role,
                Role::KNOWN,
            ));
        }
    };
    for (index, part) in message.content.iter().enumerate() {
        let param = format!("{param}.content[{index}]");
        if !allowed.contains(&part.kind()) {
            return Err(refusal::not_one_of(
                &format!("{param}.type"),
                part.kind(),
                allowed,
            ));
        }
        if let ContentPart::InputImage(image) = part {
            check_image(&format!("{param}.image_url"), &image.image_url)?;
        }
    }
    Ok(())
}

fn check_image(param: &str, url: &Maybe<String>) -> Applied {
    match url.as_deref() {
        Some(url) if url.starts_with("data:image/") => Ok(()),
        Some(_) => Err(refusal::invalid(
            param,
            "Invalid image: expected a data URI of a PNG or JPEG.",
        )),
        None => Err(refusal::missing_parameter(param)),
    }
}

fn check_call_id(param: &str, call_id: &str) -> Applied {
    let param = format!("{param}.call_id");
    refusal::check_id(&param, call_id)?;
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if call_id.bytes().all(is_plain) {
        return Ok(());
    }
    let reason = format!(
        "Invalid '{param}': string does not match pattern. Expected a string that matches the \
         pattern '^[a-zA-Z0-9_-]+$'."
    );
    Err(refusal::invalid(&param, reason))
}
