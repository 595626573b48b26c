//! The default conversation: items in order, with what belongs to them but is not on the
//! wire: audio, transcripts for the language model, ledgers.

use std::collections::BTreeMap;

use kaiwa_audio::Format;
use kaiwa_protocol::{
    Audio, ContentPart, ConversationItemAdded, ConversationItemDone, Item, ItemStatus, Maybe, Role,
};

use crate::{Millis, engine::JobId, event_size::fitted, input_buffer::UserAudio, ledger::Ledger};

/// The items of a conversation and their order.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) id: String,
    entries: Vec<Entry>,
    /// Most bytes of audio to keep.
    max_audio_bytes: usize,
    /// Most bytes of the items in `created`.
    max_created_bytes: usize,
    /// Bytes of the items that the client created or caused, by their ids.
    created: BTreeMap<String, usize>,
}

/// An item and what belongs to it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The item as the client sees it, without audio.
    pub(crate) item: Item,
    /// The audio of its `input_audio` parts.
    pub(crate) spoken: Vec<Spoken>,
    /// The audio of its `output_audio` part.
    pub(crate) voiced: Option<Voiced>,
    /// Whether the language model is not told of it any more: its context was full.
    pub(crate) forgotten: bool,
    /// Of a tool's output: how many of its characters the language model is told at most,
    /// because all of them were too many for its context.
    pub(crate) abridged: Option<u64>,
    /// Of a tool of an MCP server: its name, as the language model was offered it.
    pub(crate) offered: Option<String>,
}

/// Audio of a user.
#[derive(Clone, Debug)]
pub(crate) struct Spoken {
    pub(crate) content_index: usize,
    /// As it came; `None` once it was given up to save memory.
    bytes: Option<Vec<u8>>,
    pub(crate) ms: Millis,
    pub(crate) hearing: Hearing,
    /// Whether the client is told the transcript.
    pub(crate) announced: bool,
    /// Whether it was told a piece of it.
    pub(crate) told: bool,
}

/// What the language model knows of a user's audio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hearing {
    /// It is being transcribed by this job.
    Pending(JobId),
    /// This was said.
    Heard(String),
    /// Nobody knows.
    Failed,
}

/// Audio of the assistant.
#[derive(Clone, Debug)]
pub(crate) struct Voiced {
    pub(crate) ledger: Ledger,
    /// The whole text of the answer.
    pub(crate) answer: String,
    /// How much of the text was heard, in bytes.
    pub(crate) heard: usize,
}

/// Where an item is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    End,
    Start,
    After(&'a str),
}

impl Conversation {
    pub(crate) fn new(id: String, max_audio_bytes: usize, max_created_bytes: usize) -> Self {
        Self {
            id,
            entries: Vec::new(),
            max_audio_bytes,
            max_created_bytes,
            created: BTreeMap::new(),
        }
    }

    /// Notes that an item of the conversation, which the client created or caused, has so many
    /// bytes.
    pub(crate) fn count_created(&mut self, item_id: &str, bytes: usize) {
        if self.position(item_id).is_some() {
            self.created.insert(item_id.to_owned(), bytes);
        }
    }

    /// Bytes of the items that the client created or caused, without their audio.
    pub(crate) fn created_bytes(&self) -> usize {
        self.created.values().sum()
    }

    /// Bytes that there is room for of such items.
    pub(crate) fn room(&self) -> usize {
        self.max_created_bytes.saturating_sub(self.created_bytes())
    }

    /// Puts an item in; `false` when the item it is to follow does not exist.
    pub(crate) fn insert(&mut self, entry: Entry, place: Place<'_>) -> bool {
        let at = match place {
            Place::End => self.entries.len(),
            Place::Start => 0,
            Place::After(id) => match self.position(id) {
                Some(at) => at + 1,
                None => return false,
            },
        };
        self.entries.insert(at, entry);
        self.limit_audio();
        true
    }

    /// Takes an item out.
    pub(crate) fn remove(&mut self, item_id: &str) -> Option<Entry> {
        self.created.remove(item_id);
        self.position(item_id).map(|at| self.entries.remove(at))
    }

    /// Gives up the audio of the oldest items where there is too much.
    pub(crate) fn limit_audio(&mut self) {
        let mut kept: usize = self.entries.iter().map(Entry::audio_bytes).sum();
        for entry in &mut self.entries {
            if kept <= self.max_audio_bytes {
                break;
            }
            kept -= entry.give_up_audio();
        }
    }

    pub(crate) fn entry_mut(&mut self, item_id: &str) -> Option<&mut Entry> {
        self.entries
            .iter_mut()
            .find(|entry| entry.item.id() == Some(item_id))
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn entries_mut(&mut self) -> &mut [Entry] {
        &mut self.entries
    }

    pub(crate) fn entry(&self, item_id: &str) -> Option<&Entry> {
        self.position(item_id).map(|at| &self.entries[at])
    }

    /// Id of the last item.
    pub(crate) fn last_id(&self) -> Option<&str> {
        self.entries.last()?.item.id()
    }

    /// Whether some item is a call with this id.
    pub(crate) fn has_call(&self, call_id: &str) -> bool {
        self.entries.iter().any(|entry| match &entry.item {
            Item::FunctionCall(call) => call.call_id.as_deref() == Some(call_id),
            _ => false,
        })
    }

    /// `conversation.item.added` for an item of the conversation.
    pub(crate) fn added(&self, item_id: &str) -> Option<ConversationItemAdded> {
        let at = self.position(item_id)?;
        Some(ConversationItemAdded {
            previous_item_id: self.id_before(at),
            item: fitted(self.entries[at].item.clone()),
            ..ConversationItemAdded::default()
        })
    }

    /// `conversation.item.done` for an item of the conversation.
    pub(crate) fn done(&self, item_id: &str) -> Option<ConversationItemDone> {
        let at = self.position(item_id)?;
        Some(ConversationItemDone {
            previous_item_id: self.id_before(at),
            item: fitted(self.entries[at].item.clone()),
            ..ConversationItemDone::default()
        })
    }

    fn id_before(&self, at: usize) -> Maybe<String> {
        let before = at.checked_sub(1).and_then(|at| self.entries[at].item.id());
        Maybe::nullable(before.map(str::to_owned))
    }

    fn position(&self, item_id: &str) -> Option<usize> {
        self.entries
            .iter()
            .position(|entry| entry.item.id() == Some(item_id))
    }
}

impl Entry {
    /// An item that is only what the wire shows.
    pub(crate) fn plain(item: Item) -> Self {
        Self {
            item,
            spoken: Vec::new(),
            voiced: None,
            forgotten: false,
            abridged: None,
            offered: None,
        }
    }

    /// What the language model gets: the entry without its audio. Who refers to it wants it
    /// told, even where the conversation has forgotten it.
    pub(crate) fn reference(&self) -> Self {
        let mut entry = self.clone();
        entry.give_up_audio();
        entry.forgotten = false;
        // The item itself tells the client what was said, as long as it is there.
        for spoken in &mut entry.spoken {
            spoken.announced = false;
        }
        entry
    }

    /// The item with its audio, as `conversation.item.retrieved` shows it; without, when the
    /// event would be too large.
    pub(crate) fn with_audio(&self) -> Item {
        let mut item = self.item.clone();
        if let Item::Message(message) = &mut item {
            for (index, part) in message.content.iter_mut().enumerate() {
                match part {
                    ContentPart::InputAudio(part) => {
                        let spoken = self.spoken.iter().find(|s| s.content_index == index);
                        part.audio = spoken.and_then(|s| s.bytes.clone()).map(Audio).into();
                    }
                    ContentPart::OutputAudio(part) => {
                        let audio = self.voiced.as_ref().and_then(|v| v.ledger.audio());
                        part.audio = audio.map(Audio::from).into();
                    }
                    _ => {}
                }
            }
        }
        fitted(item)
    }

    /// Of a truncated answer the wire shows no transcript any more; what was heard of it is
    /// kept for the language model.
    pub(crate) fn hide_truncated(&mut self) {
        let Some(voiced) = &mut self.voiced else {
            return;
        };
        if !voiced.ledger.is_closed() {
            return;
        }
        voiced.heard = voiced.ledger.heard(Millis::MAX);
        if let Item::Message(message) = &mut self.item
            && let Some(ContentPart::OutputAudio(part)) = message.content.first_mut()
        {
            part.transcript = Maybe::Null;
        }
    }

    /// Whether it is still being produced.
    pub(crate) fn in_progress(&self) -> bool {
        self.item.status() == Some(&ItemStatus::InProgress)
    }

    /// Whether a transcript is still missing.
    pub(crate) fn is_pending(&self) -> bool {
        self.spoken
            .iter()
            .any(|spoken| matches!(spoken.hearing, Hearing::Pending(_)))
    }

    /// Whether this job transcribes a part of it.
    pub(crate) fn awaits(&self, job: JobId) -> bool {
        self.spoken
            .iter()
            .any(|spoken| spoken.hearing == Hearing::Pending(job))
    }

    /// The part that this job transcribes.
    pub(crate) fn heard_by(&mut self, job: JobId) -> Option<&mut Spoken> {
        self.spoken
            .iter_mut()
            .find(|spoken| spoken.hearing == Hearing::Pending(job))
    }

    fn audio_bytes(&self) -> usize {
        let spoken = self.spoken.iter().filter_map(|s| s.bytes.as_ref());
        let voiced = self.voiced.as_ref().and_then(|v| v.ledger.audio());
        spoken.map(Vec::len).sum::<usize>() + voiced.map_or(0, <[u8]>::len)
    }

    /// Forgets its audio; returns how many bytes were freed.
    fn give_up_audio(&mut self) -> usize {
        let spoken = self.spoken.iter_mut().filter_map(|s| s.bytes.take());
        let freed: usize = spoken.map(|bytes| bytes.len()).sum();
        freed
            + self
                .voiced
                .as_mut()
                .map_or(0, |voiced| voiced.ledger.give_up_audio())
    }
}

impl Spoken {
    /// Audio that is being transcribed, or of which the words are known.
    pub(crate) fn new(
        content_index: usize,
        audio: UserAudio,
        hearing: Hearing,
        announced: bool,
    ) -> Self {
        Self {
            content_index,
            ms: audio.ms(),
            bytes: Some(audio.bytes),
            hearing,
            announced,
            told: false,
        }
    }
}

impl Voiced {
    /// The listener did not hear the last `unheard_ms` of what was playing. Takes from them
    /// what this audio has of them. A truncation by the client knew better.
    pub(crate) fn unhear(&mut self, unheard_ms: &mut Millis) {
        if *unheard_ms > 0 && !self.ledger.is_closed() {
            self.heard = self.heard.min(self.ledger.heard_but(unheard_ms));
        }
    }

    /// The text that was heard.
    pub(crate) fn heard_text(&self) -> &str {
        self.answer
            .get(..self.heard)
            .unwrap_or(&self.answer)
            .trim_end()
    }
}

/// A user's message of one piece of audio, as the wire shows it before it is transcribed.
pub(crate) fn audio_message(id: String) -> Item {
    let mut item = Item::from(kaiwa_protocol::Message::new(
        Role::User,
        vec![ContentPart::input_audio(None)],
    ));
    item.set_id(id);
    item.set_object();
    item.set_status(ItemStatus::Completed);
    item
}

/// A user's message of one piece of audio of which only the words matter.
pub(crate) fn heard_message(id: String, text: String) -> Entry {
    let spoken = Spoken {
        content_index: 0,
        bytes: None,
        ms: 0,
        hearing: Hearing::Heard(text),
        announced: false,
        told: false,
    };
    Entry {
        spoken: vec![spoken],
        ..Entry::plain(audio_message(id))
    }
}

/// Takes the audio out of a message and leaves what the wire shows.
pub(crate) fn take_audio(item: &mut Item, format: Format) -> Vec<(usize, UserAudio)> {
    let Item::Message(message) = item else {
        return Vec::new();
    };
    let mut taken = Vec::new();
    for (index, part) in message.content.iter_mut().enumerate() {
        if let ContentPart::InputAudio(part) = part {
            if let Some(audio) = part.audio.take() {
                taken.push((index, UserAudio::decode(audio.0, format)));
            }
            // Some clients break where the key is missing.
            if part.transcript.is_absent() {
                part.transcript = Maybe::Null;
            }
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str) -> Entry {
        let mut item = Item::user_text(id);
        item.set_id(id);
        Entry::plain(item)
    }

    fn spoken(id: &str, bytes: usize) -> Entry {
        Entry {
            spoken: vec![Spoken::new(
                0,
                UserAudio {
                    samples: [].into(),
                    bytes: vec![7; bytes],
                    format: Format::Pcmu,
                },
                Hearing::Heard("hello".to_owned()),
                false,
            )],
            ..Entry::plain(audio_message(id.to_owned()))
        }
    }

    fn ids(conversation: &Conversation) -> Vec<&str> {
        conversation
            .entries
            .iter()
            .filter_map(|entry| entry.item.id())
            .collect()
    }

    #[test]
    fn items_go_where_they_are_told_to() {
        let mut conversation = Conversation::new("conv_1".to_owned(), 0, 0);
        assert!(conversation.insert(entry("b"), Place::End));
        assert!(conversation.insert(entry("d"), Place::End));
        assert!(conversation.insert(entry("a"), Place::Start));
        assert!(conversation.insert(entry("c"), Place::After("b")));
        assert!(!conversation.insert(entry("x"), Place::After("nobody")));
        assert_eq!(ids(&conversation), ["a", "b", "c", "d"]);
        assert_eq!(conversation.last_id(), Some("d"));
        let added = conversation.added("c").expect("it is there");
        assert_eq!(added.previous_item_id, "b".into());
        let first = conversation.added("a").expect("it is there");
        assert!(first.previous_item_id.is_null());
        assert!(conversation.remove("b").is_some());
        assert!(conversation.remove("b").is_none());
        let done = conversation.done("c").expect("it is there");
        assert_eq!(done.previous_item_id, "a".into());
    }

    #[test]
    fn audio_is_only_shown_when_retrieved() {
        let entry = spoken("a", 80);
        let json = |item: &Item| serde_json::to_string(item).expect("serialises");
        assert!(!json(&entry.item).contains("audio\":\""));
        assert!(json(&entry.with_audio()).contains("audio\":\"BwcH"));
        assert!(json(&entry.item).contains(r#""transcript":null"#));
    }

    #[test]
    fn the_oldest_audio_is_given_up_first() {
        let mut conversation = Conversation::new("conv_1".to_owned(), 200, 0);
        for id in ["a", "b", "c"] {
            conversation.insert(spoken(id, 80), Place::End);
        }
        let kept: Vec<_> = conversation
            .entries
            .iter()
            .map(Entry::audio_bytes)
            .collect();
        assert_eq!(kept, [0, 80, 80]);
        assert_eq!(conversation.entries[0].spoken[0].ms, 10);
    }
}
