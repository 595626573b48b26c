//! What was said on both sides, as it was heard: what a new session is told of an old one.

use std::collections::VecDeque;

use kaiwa_audio::{WIRE_RATE_HZ, ms_to_samples, samples_to_ms};
use kaiwa_protocol::{
    Audio, ContentPart, ConversationItemCreate, FunctionCall, FunctionCallOutput, InputAudio, Item,
    Maybe, Message, Role,
};

use super::tape::Tape;

/// Turns that are kept. A conversation of an hour has some hundred.
const MOST_TURNS: usize = 200;
/// Bytes of text that are kept: about 8000 tokens, a quarter of the smallest context of a
/// Realtime model (32k tokens), so that the rest is there for what follows.
const MOST_TEXT: usize = 32 * 1024;
/// Bytes of sound that are kept of turns whose words are not known: 30 s.
const MOST_SOUND: usize = 30 * 2 * WIRE_RATE_HZ as usize;

/// Characters that are spoken in a second at most: 200 words a minute, which is fast, of six.
const FASTEST_CHARACTERS: u64 = 20;

/// The turns of the conversation, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    turns: VecDeque<Turn>,
    /// Ids given to items that were put into a new session.
    placed: u64,
}

#[derive(Debug)]
struct Turn {
    /// The server's id, when it is known, in the session in which it was said.
    item: Option<String>,
    role: Role,
    said: Said,
    /// The id under which it was put into a session after its own.
    placed: Option<String>,
    voice: Voice,
}

/// The sound of what the assistant says.
#[derive(Debug, Default)]
struct Voice {
    /// Samples that have come.
    samples: u64,
    /// Bytes of words that were there when the latest of them came.
    words: usize,
    /// Whether all of it has come.
    whole: bool,
    /// Whether no more of it is heard: words that come later are not said.
    ended: bool,
}

/// What is known of a turn.
#[derive(Debug)]
enum Said {
    /// Its words; of the assistant's, those that were heard or still may be.
    Words(String),
    /// Where on the card's clock it is, in samples: the words are to come.
    Span { begin: u64, end: u64 },
    /// The sound, 16-bit at 24 kHz: the words never came.
    Sound(Vec<u8>),
    /// A tool that the assistant called.
    Call(Box<Call>),
}

#[derive(Debug)]
struct Call {
    /// Its number in the conversation.
    number: u64,
    /// Its id in the latest session that was told of it.
    id: String,
    name: String,
    arguments: String,
    /// What the tool returned, once it has.
    output: Option<String>,
}

/// What the server has to be told of an item that was cut short.
#[derive(Debug)]
pub(super) enum Correction {
    /// Nothing: the session does not have it.
    None,
    /// It was put into the session by us and has to be replaced.
    Replace {
        /// The item to delete.
        old: String,
        /// What to put in its place, if any of it was heard.
        new: Option<Box<ConversationItemCreate>>,
    },
    /// It was said in this session.
    Truncate,
}

impl History {
    /// More of what the assistant says in an item.
    pub(super) fn push(&mut self, item: &str, delta: &str) {
        if let Some(text) = self.saying(item) {
            text.push_str(delta);
        }
        self.prune();
    }

    /// All of what the assistant says in an item.
    pub(super) fn set(&mut self, item: &str, words: &str) {
        if let Some(text) = self.saying(item) {
            words.clone_into(text);
        }
        self.prune();
    }

    /// About what was heard of an item: its words in proportion to its sound. A word
    /// counts when it ends within what was played.
    pub(super) fn heard(&self, item: &str, played_ms: u64, received_ms: u64) -> String {
        let text = self.words(item);
        if played_ms >= received_ms {
            return if received_ms == 0 {
                String::new()
            } else {
                text.to_owned()
            };
        }
        let limit = (text.chars().count() as u64 * played_ms / received_ms) as usize;
        let mut end = 0;
        for (count, (at, character)) in text.char_indices().enumerate() {
            if count > limit {
                break;
            }
            if character.is_whitespace() {
                end = at;
            }
        }
        text[..end].to_owned()
    }

    /// Some sound of an item has come, perhaps before its words.
    pub(super) fn sounds(&mut self, item: &str, samples: u64) {
        let turn = self.assistant(item);
        turn.voice.samples += samples;
        if let Said::Words(text) = &turn.said {
            turn.voice.words = text.len();
        }
    }

    /// All sound of an item has come.
    pub(super) fn sounded(&mut self, item: &str) {
        self.assistant(item).voice.whole = true;
    }

    /// The answer that an item is of is cancelled: without sound nothing of it is heard.
    pub(super) fn silence(&mut self, item: &str) {
        let turn = self.assistant(item);
        if turn.voice.samples == 0 {
            turn.said = Said::Words(String::new());
            turn.voice.ended = true;
        }
    }

    /// No more sound of an item comes. Words come before their sound: those that it cannot hold
    /// are not said.
    pub(super) fn break_off(&mut self, item: &str) {
        let turn = self.assistant(item);
        let Said::Words(text) = &mut turn.said else {
            return;
        };
        if turn.voice.whole || turn.voice.ended {
            return;
        }
        turn.voice.ended = true;
        let ms = samples_to_ms(turn.voice.samples, WIRE_RATE_HZ);
        let fit = (ms * FASTEST_CHARACTERS / 1000) as usize;
        let fit = text
            .char_indices()
            .nth(fit)
            .map_or(text.len(), |(at, _)| at);
        let end = fit.min(turn.voice.words);
        if end < text.len() {
            let word = text[..end].rfind(char::is_whitespace).unwrap_or(0);
            // The last word that is there may be whole.
            let end = match text[end..].starts_with(char::is_whitespace) {
                true => end,
                false => word,
            };
            text.truncate(end);
        }
    }

    /// What the assistant has said in an item so far.
    pub(super) fn words(&self, item: &str) -> &str {
        match self.position(item).map(|at| &self.turns[at].said) {
            Some(Said::Words(text)) => text,
            _ => "",
        }
    }

    /// No more than this was heard of an item.
    pub(super) fn cut(&mut self, item: &str, heard: &str) -> Correction {
        let Some(at) = self.position(item) else {
            return Correction::None;
        };
        self.turns[at].said = Said::Words(heard.to_owned());
        self.turns[at].voice.ended = true;
        match self.turns[at].placed.take() {
            None => Correction::Truncate,
            Some(old) => {
                let mut before = self.turns.range(..at).rev();
                let previous = before.find_map(|turn| turn.placed.clone().filter(|id| is_id(id)));
                let new = self.place(at).map(|create| {
                    Box::new(ConversationItemCreate {
                        previous_item_id: Maybe::Value(
                            previous.unwrap_or_else(|| "root".to_owned()),
                        ),
                        ..create
                    })
                });
                // What is in no session any more was still said in an earlier one.
                self.turns[at].placed.get_or_insert_default();
                if is_id(&old) {
                    Correction::Replace { old, new }
                } else {
                    Correction::None
                }
            }
        }
    }

    /// The assistant has called a tool, under an id of the server's.
    pub(super) fn called(&mut self, number: u64, id: &str, name: &str, arguments: &str) {
        let call = Call {
            number,
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            output: None,
        };
        let said = Said::Call(Box::new(call));
        self.turns.push_back(Turn::new(None, Role::Assistant, said));
        self.prune();
    }

    /// The tool that was called under this number has returned.
    pub(super) fn returned(&mut self, number: u64, output: &str) {
        let calls = self.turns.iter_mut().rev();
        let mut calls = calls.filter_map(|turn| match &mut turn.said {
            Said::Call(call) => Some(call),
            _ => None,
        });
        if let Some(call) = calls.find(|call| call.number == number) {
            call.output = Some(output.to_owned());
        }
        self.prune();
    }

    /// The id of a call in the latest session that was told of it; `None` if it is forgotten.
    pub(super) fn call(&self, number: u64) -> Option<String> {
        let mut turns = self.turns.iter().rev();
        turns.find_map(|turn| match &turn.said {
            Said::Call(call) if call.number == number => Some(call.id.clone()),
            _ => None,
        })
    }

    /// The user has typed.
    pub(super) fn typed(&mut self, item: &str, text: &str) {
        self.user(Some(item.to_owned()), Said::Words(text.to_owned()));
    }

    /// The user has spoken from `begin` to `end` on the card's clock, in ms.
    pub(super) fn spoken(&mut self, item: Option<String>, begin_ms: u64, end_ms: u64) {
        let [begin, end] = [begin_ms, end_ms].map(|ms| ms_to_samples(ms, WIRE_RATE_HZ));
        self.user(item, Said::Span { begin, end });
    }

    /// The server has taken the user's turn, and names it.
    pub(super) fn committed(&mut self, item: &str) {
        if self.current(item).is_some() {
            return;
        }
        let unnamed = |turn: &&mut Turn| turn.role == Role::User && turn.item.is_none();
        match self.turns.iter_mut().find(unnamed) {
            Some(turn) => turn.item = Some(item.to_owned()),
            None => self.spoken(Some(item.to_owned()), 0, 0),
        }
    }

    /// What the user said in a turn is known.
    pub(super) fn transcribed(&mut self, item: &str, text: &str) {
        let said = Said::Words(text.trim().to_owned());
        // Sound that was put into a session may be transcribed there.
        let placed = |turn: &Turn| turn.placed.as_deref() == Some(item);
        let known = self.current(item);
        match known.or_else(|| self.turns.iter().rposition(placed)) {
            Some(at) => self.turns[at].said = said,
            None => self.user(Some(item.to_owned()), said),
        }
        self.prune();
    }

    /// The session has ended: the sound of turns whose words will never come is taken from
    /// the tape, and what is empty is forgotten. Gives the number of spoken turns of which
    /// nothing is there any more.
    pub(super) fn close(&mut self, tape: &Tape) -> usize {
        let mut unknown = 0;
        for turn in &mut self.turns {
            if let Said::Span { begin, end } = turn.said {
                turn.said = Said::Sound(tape.between(begin, end));
                unknown += usize::from(turn.said.is_empty());
            }
            // What the next session has no name for is not to be taken for one of its own.
            turn.item.get_or_insert_default();
            turn.placed.get_or_insert_default();
        }
        let mut room = MOST_SOUND;
        for turn in self.turns.iter_mut().rev() {
            if let Said::Sound(sound) = &mut turn.said {
                match room.checked_sub(sound.len()) {
                    Some(left) => room = left,
                    None => {
                        sound.clear();
                        unknown += 1;
                    }
                }
            }
        }
        self.turns.retain(|turn| !turn.said.is_empty());
        unknown
    }

    /// Everything as items for a new session, in order.
    pub(super) fn items(&mut self) -> Vec<ConversationItemCreate> {
        let mut items = Vec::new();
        for at in 0..self.turns.len() {
            items.extend(self.place(at));
            items.extend(self.place_output(at));
        }
        items
    }

    /// Bytes of text, ms of sound, and turns: what a new session is told.
    pub(super) fn size(&self) -> (u64, u64, u64) {
        let mut text = 0;
        let mut sound = 0;
        let mut calls = 0;
        for turn in &self.turns {
            text += turn.said.text() as u64;
            match &turn.said {
                Said::Sound(bytes) => sound += bytes.len() as u64 / 2,
                Said::Call(_) => calls += 1,
                Said::Words(_) | Said::Span { .. } => {}
            }
        }
        let ms = samples_to_ms(sound, WIRE_RATE_HZ);
        // A call and its result are two items.
        (text, ms, self.turns.len() as u64 + calls)
    }

    /// A turn as an item under an id of ours.
    fn place(&mut self, at: usize) -> Option<ConversationItemCreate> {
        let id = format!("kept_{:04}", self.placed + 1);
        let turn = &mut self.turns[at];
        let part = match (&mut turn.said, &turn.role) {
            (said, _) if said.is_empty() => return None,
            (Said::Span { .. }, _) => return None,
            (Said::Call(call), _) => {
                self.placed += 1;
                turn.placed = Some(id.clone());
                // The ids of the server's next calls are not known.
                call.id = format!("call_{id}");
                return Some(call.called(id));
            }
            (Said::Words(words), Role::Assistant) => ContentPart::output_text(words.as_str()),
            (Said::Words(words), _) => ContentPart::input_text(words.as_str()),
            (Said::Sound(sound), _) => ContentPart::InputAudio(InputAudio {
                audio: Maybe::Value(Audio(sound.clone())),
                ..InputAudio::default()
            }),
        };
        self.placed += 1;
        let message = Message {
            id: Maybe::Value(id.clone()),
            ..Message::new(turn.role.clone(), vec![part])
        };
        turn.placed = Some(id);
        Some(ConversationItemCreate {
            item: Item::Message(message),
            ..ConversationItemCreate::default()
        })
    }

    /// What a tool returned, as an item under an id of ours; its call was placed before.
    fn place_output(&mut self, at: usize) -> Option<ConversationItemCreate> {
        let turn = &mut self.turns[at];
        let Said::Call(call) = &turn.said else {
            return None;
        };
        let output = call.output.clone()?;
        self.placed += 1;
        let id = format!("kept_{:04}", self.placed);
        let output = FunctionCallOutput {
            id: Maybe::Value(id.clone()),
            call_id: call.id.clone(),
            output,
            ..FunctionCallOutput::default()
        };
        turn.placed = Some(id);
        Some(ConversationItemCreate {
            item: Item::FunctionCallOutput(output),
            ..ConversationItemCreate::default()
        })
    }

    /// The turn of an item that the assistant says in this session.
    fn assistant(&mut self, item: &str) -> &mut Turn {
        let at = self.current(item).unwrap_or_else(|| {
            let said = Said::Words(String::new());
            let turn = Turn::new(Some(item.to_owned()), Role::Assistant, said);
            self.turns.push_back(turn);
            self.turns.len() - 1
        });
        &mut self.turns[at]
    }

    /// The words of an item, as long as more of them are said.
    fn saying(&mut self, item: &str) -> Option<&mut String> {
        let turn = self.assistant(item);
        match &mut turn.said {
            Said::Words(text) if !turn.voice.ended => Some(text),
            _ => None,
        }
    }

    fn user(&mut self, item: Option<String>, said: Said) {
        self.turns.push_back(Turn::new(item, Role::User, said));
        self.prune();
    }

    /// The turn with this name in this session: another may use the same.
    fn current(&self, item: &str) -> Option<usize> {
        let at = self.position(item)?;
        self.turns[at].placed.is_none().then_some(at)
    }

    /// The latest turn with this name.
    fn position(&self, item: &str) -> Option<usize> {
        let named = |turn: &Turn| turn.item.as_deref() == Some(item);
        self.turns.iter().rposition(named)
    }

    /// Forgets the oldest turns beyond the bounds; the latest is always kept.
    fn prune(&mut self) {
        let mut text = 0;
        let fits = |turn: &&Turn| {
            text += turn.said.text();
            text <= MOST_TEXT
        };
        let kept = self.turns.iter().rev().take_while(fits).count();
        let kept = kept.clamp(1, MOST_TURNS);
        let excess = self.turns.len().saturating_sub(kept);
        self.turns.drain(..excess);
    }
}

impl Turn {
    fn new(item: Option<String>, role: Role, said: Said) -> Self {
        Self {
            item,
            role,
            said,
            placed: None,
            voice: Voice::default(),
        }
    }
}

impl Said {
    fn is_empty(&self) -> bool {
        match self {
            Self::Words(words) => words.trim().is_empty(),
            Self::Span { .. } | Self::Call(_) => false,
            Self::Sound(sound) => sound.is_empty(),
        }
    }

    /// Bytes of text.
    fn text(&self) -> usize {
        match self {
            Self::Words(words) => words.len(),
            Self::Call(call) => {
                let output = call.output.as_ref().map_or(0, String::len);
                call.name.len() + call.arguments.len() + output
            }
            Self::Span { .. } | Self::Sound(_) => 0,
        }
    }
}

impl Call {
    fn called(&self, id: String) -> ConversationItemCreate {
        let call = FunctionCall {
            id: Maybe::Value(id),
            call_id: Maybe::Value(self.id.clone()),
            name: self.name.clone(),
            arguments: self.arguments.clone(),
            ..FunctionCall::default()
        };
        ConversationItemCreate {
            item: Item::FunctionCall(call),
            ..ConversationItemCreate::default()
        }
    }
}

/// Whether this is a name, and not the mark of a turn of an earlier session that has none.
fn is_id(id: &str) -> bool {
    !id.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_heard_in_proportion_to_the_sound() {
        let mut history = History::default();
        history.push("a", "one two ");
        history.push("a", "three four");
        for (played, heard) in [
            (0, ""),
            (160, ""),
            (170, "one"),
            (500, "one two"),
            (999, "one two three"),
            (1000, "one two three four"),
        ] {
            assert_eq!(history.heard("a", played, 1000), heard, "{played} ms");
        }
        assert_eq!(history.heard("a", 0, 0), "");
        assert_eq!(history.heard("unknown", 10, 20), "");
    }

    /// Role and text of each item.
    fn told(history: &mut History) -> Vec<(Role, String)> {
        let told = |create: ConversationItemCreate| match create.item {
            Item::Message(message) => match &message.content[0] {
                ContentPart::InputText(part) => (message.role, part.text.clone()),
                ContentPart::OutputText(part) => (message.role, part.text.clone()),
                ContentPart::InputAudio(part) => {
                    let audio = part.audio.value().expect("sound");
                    (message.role, format!("{} bytes", audio.0.len()))
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        history.items().into_iter().map(told).collect()
    }

    #[test]
    fn a_new_session_is_told_words_where_they_are_known_and_sound_where_not() {
        let mut tape = Tape::default();
        for tick in 0..100 {
            tape.push(tick * 480, &[1; 960], true);
        }
        let mut history = History::default();
        history.typed("t", "Hello");
        history.push("a", "Hi there.");
        history.spoken(Some("known".to_owned()), 0, 500);
        history.spoken(Some("unknown".to_owned()), 1000, 1500);
        history.spoken(None, 60_000, 61_000);
        history.push("silent", "");
        history.transcribed("known", " What is this? ");
        assert_eq!(history.close(&tape), 1, "one is not on the tape");
        let expected = [
            (Role::User, "Hello".to_owned()),
            (Role::Assistant, "Hi there.".to_owned()),
            (Role::User, "What is this?".to_owned()),
            (Role::User, "24000 bytes".to_owned()),
        ];
        assert_eq!(told(&mut history), expected);
        assert_eq!(history.size(), (27, 500, 4));
        // A further session is told the same.
        assert_eq!(history.close(&Tape::default()), 0);
        assert_eq!(told(&mut history), expected);
    }

    #[test]
    fn an_item_of_an_earlier_session_is_replaced_where_it_stood() {
        let mut history = History::default();
        history.typed("t", "Hello");
        history.push("a", "one two three");
        assert!(matches!(history.cut("none", ""), Correction::None));
        history.close(&Tape::default());
        assert_eq!(history.items().len(), 2);
        let Correction::Replace { old, new } = history.cut("a", "one") else {
            panic!("it is in the session");
        };
        assert_eq!(old, "kept_0002");
        let new = new.expect("some of it was heard");
        assert_eq!(new.previous_item_id, Maybe::Value("kept_0001".to_owned()));
        assert_eq!(told(&mut history)[1].1, "one");
        // Items of the new session may have the same names.
        history.push("a", "other words");
        assert!(matches!(history.cut("a", "other"), Correction::Truncate));
        let words: Vec<_> = told(&mut history).into_iter().map(|turn| turn.1).collect();
        assert_eq!(words, ["Hello", "one", "other"]);
    }

    #[test]
    fn names_of_an_earlier_session_are_not_those_of_this_one() {
        let mut history = History::default();
        history.spoken(None, 0, 500);
        history.committed("item_1");
        history.transcribed("item_1", "Hello.");
        history.close(&Tape::default());
        history.items();
        history.spoken(None, 1000, 1500);
        history.committed("item_1");
        history.transcribed("item_1", "Goodbye.");
        let words: Vec<_> = told(&mut history).into_iter().map(|turn| turn.1).collect();
        assert_eq!(words, ["Hello.", "Goodbye."]);
    }

    #[test]
    fn the_oldest_is_forgotten_beyond_the_bounds() {
        let mut history = History::default();
        for turn in 0..300 {
            history.typed(&turn.to_string(), &format!("turn {turn}"));
        }
        let first = told(&mut history).swap_remove(0).1;
        assert_eq!(first, "turn 100");
        history.push("long", &"x".repeat(MOST_TEXT - 8));
        assert_eq!(told(&mut history)[0].1, "turn 299");
        history.push("longer", &"x".repeat(2 * MOST_TEXT));
        assert_eq!(
            told(&mut history).len(),
            1,
            "the latest is kept in any case"
        );
    }
}
