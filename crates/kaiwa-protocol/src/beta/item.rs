//! Items in the words of either dialect: the beta calls an assistant's content `text` and `audio`.

use crate::content::{AudioPart, ContentPart, OutputAudio, OutputText, TextPart};
use crate::item::{ITEM_OBJECT, Item, Role};
use crate::wire::{Extra, Maybe};

/// Takes an item of the beta to GA's words. Parts that do not belong to an assistant stay as they are, for whoever
/// checks items to refuse.
pub(super) fn to_ga(item: &mut Item) {
    let Item::Message(message) = item else {
        return;
    };
    if message.role != Role::Assistant {
        return;
    }
    for part in &mut message.content {
        match part {
            ContentPart::Text(text) => {
                if let Some(words) = text.text.take() {
                    *part = ContentPart::OutputText(OutputText {
                        text: words,
                        extra: std::mem::take(&mut text.extra),
                    });
                }
            }
            ContentPart::Audio(audio) => {
                *part = ContentPart::OutputAudio(OutputAudio {
                    transcript: std::mem::take(&mut audio.transcript),
                    audio: std::mem::take(&mut audio.audio),
                    extra: std::mem::take(&mut audio.extra),
                });
            }
            _ => {}
        }
    }
}

/// The item as a beta client writes it.
pub(super) fn to_beta(item: &Item) -> Item {
    let mut item = item.clone();
    if let Item::Message(message) = &mut item {
        for part in &mut message.content {
            match part {
                ContentPart::OutputText(text) => {
                    *part = ContentPart::Text(TextPart {
                        text: Maybe::Value(std::mem::take(&mut text.text)),
                        extra: std::mem::take(&mut text.extra),
                    });
                }
                ContentPart::OutputAudio(audio) => {
                    *part = ContentPart::Audio(AudioPart {
                        transcript: std::mem::take(&mut audio.transcript),
                        audio: std::mem::take(&mut audio.audio),
                        extra: std::mem::take(&mut audio.extra),
                    });
                }
                _ => {}
            }
        }
    }
    item
}

/// The item as a beta server writes it: `object` is always there.
pub(super) fn from_server(item: &Item) -> Item {
    let mut item = to_beta(item);
    item.set_object();
    if let Some(extra) = extra_without_object(&mut item) {
        extra.insert("object", serde_json::Value::from(ITEM_OBJECT));
    }
    item
}

/// Where `object` goes on the kinds of items that have no such member.
fn extra_without_object(item: &mut Item) -> Option<&mut Extra> {
    match item {
        Item::McpListTools(item) => Some(&mut item.extra),
        Item::McpCall(item) => Some(&mut item.extra),
        Item::McpApprovalRequest(item) => Some(&mut item.extra),
        Item::McpApprovalResponse(item) => Some(&mut item.extra),
        Item::Message(_)
        | Item::FunctionCall(_)
        | Item::FunctionCallOutput(_)
        | Item::Reference(_)
        | Item::Unknown(_) => None,
    }
}
