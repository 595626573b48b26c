//! A function call of a response.

use kaiwa_protocol::{
    FunctionCall, ITEM_OBJECT, Item, ItemStatus, Maybe, ResponseFunctionCallArgumentsDelta,
    ResponseFunctionCallArgumentsDone,
};

use super::Frame;
use crate::conversation::Entry;

/// A call that is being written.
#[derive(Debug)]
pub(super) struct CallPart {
    pub(super) item_id: String,
    output_index: u32,
    call_id: String,
    name: String,
    pub(super) arguments: String,
    /// Bytes of the arguments that were sent.
    sent: usize,
    announced: bool,
    /// Whether no more is written.
    pub(super) complete: bool,
}

impl CallPart {
    pub(super) fn new(item_id: String, output_index: u32, call_id: String, name: String) -> Self {
        Self {
            item_id,
            output_index,
            call_id,
            name,
            arguments: String::new(),
            sent: 0,
            announced: false,
            complete: false,
        }
    }

    /// Sends what was not sent yet.
    pub(super) fn advance(&mut self, frame: &mut Frame<'_>) {
        if !self.announced {
            self.announced = true;
            let item = self.item(ItemStatus::InProgress, String::new());
            frame.add(self.output_index, item, &self.item_id);
        }
        if self.sent < self.arguments.len() {
            frame.outbox.send(ResponseFunctionCallArgumentsDelta {
                response_id: frame.response_id.to_owned(),
                item_id: self.item_id.clone(),
                output_index: self.output_index,
                call_id: self.call_id.clone(),
                delta: self.arguments[self.sent..].to_owned(),
                ..ResponseFunctionCallArgumentsDelta::default()
            });
            self.sent = self.arguments.len();
        }
    }

    /// Says that the call is done; gives its item.
    pub(super) fn finish(self, frame: &mut Frame<'_>, status: ItemStatus) -> Item {
        frame.outbox.send(ResponseFunctionCallArgumentsDone {
            response_id: frame.response_id.to_owned(),
            item_id: self.item_id.clone(),
            output_index: self.output_index,
            call_id: self.call_id.clone(),
            name: self.name.clone(),
            arguments: self.arguments.clone(),
            ..ResponseFunctionCallArgumentsDone::default()
        });
        let item = self.item(status, self.arguments.clone());
        let entry = Entry::plain(item.clone());
        frame.end(self.output_index, &item, entry, &self.item_id);
        item
    }

    /// The response ends before the call is done. A call that the client was never told of
    /// disappears.
    pub(super) fn cut_off(self, frame: &mut Frame<'_>) -> Option<Item> {
        self.announced
            .then(|| self.finish(frame, ItemStatus::Incomplete))
    }

    fn item(&self, status: ItemStatus, arguments: String) -> Item {
        Item::FunctionCall(FunctionCall {
            id: self.item_id.clone().into(),
            object: ITEM_OBJECT.into(),
            status: Maybe::Value(status),
            call_id: self.call_id.clone().into(),
            name: self.name.clone(),
            arguments,
            ..FunctionCall::default()
        })
    }
}
