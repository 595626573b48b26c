//! Which chat requests go on with which conversation.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The conversations of recent chat requests.
///
/// A chat request carries its whole conversation, while a language model keeps what it has
/// computed by the conversation's key. Requests that begin in the same way get the same key,
/// so that each turn of a conversation only costs what is new in it. No two requests have the
/// same key at once: they would wait for each other.
pub(crate) struct Chats {
    most: usize,
    /// Oldest first.
    recent: Mutex<Vec<Recent>>,
}

struct Recent {
    beginning: u64,
    key: u64,
    busy: bool,
}

/// A request's conversation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chat {
    /// The key for the language model.
    pub(crate) key: u64,
    /// Whether the key is to be kept for the next request.
    kept: bool,
    /// A key that made room, for the language model to forget.
    pub(crate) forgotten: Option<u64>,
}

impl Chats {
    /// Remembers up to `most` conversations.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            recent: Mutex::default(),
        }
    }

    /// The conversation that begins like this (a hash); `fresh` is a key nobody else has.
    pub(crate) fn begin(&self, beginning: u64, fresh: u64) -> Chat {
        let mut recent = self.recent();
        let known = recent.iter().position(|chat| chat.beginning == beginning);
        if let Some(at) = known {
            let mut chat = recent.remove(at);
            let free = !chat.busy;
            chat.busy = true;
            let key = if free { chat.key } else { fresh };
            recent.push(chat);
            return Chat {
                key,
                kept: free,
                forgotten: None,
            };
        }
        let mut forgotten = None;
        if recent.len() >= self.most {
            let Some(oldest) = recent.iter().position(|chat| !chat.busy) else {
                return Chat {
                    key: fresh,
                    kept: false,
                    forgotten,
                };
            };
            forgotten = Some(recent.remove(oldest).key);
        }
        recent.push(Recent {
            beginning,
            key: fresh,
            busy: true,
        });
        Chat {
            key: fresh,
            kept: true,
            forgotten,
        }
    }

    /// Ends a request. Returns the key if the language model is to forget it.
    pub(crate) fn end(&self, chat: &Chat) -> Option<u64> {
        if !chat.kept {
            return Some(chat.key);
        }
        let mut recent = self.recent();
        if let Some(known) = recent.iter_mut().find(|known| known.key == chat.key) {
            known.busy = false;
        }
        None
    }

    fn recent(&self) -> MutexGuard<'_, Vec<Recent>> {
        // Valid at every step.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_beginning_goes_on_with_the_same_key() {
        let chats = Chats::new(2);
        let first = chats.begin(7, 1);
        assert_eq!((first.key, first.forgotten), (1, None));
        assert_eq!(chats.end(&first), None);
        let second = chats.begin(7, 2);
        assert_eq!(second.key, 1);
    }

    #[test]
    fn a_conversation_under_way_is_not_waited_for() {
        let chats = Chats::new(2);
        let first = chats.begin(7, 1);
        let beside = chats.begin(7, 2);
        assert_eq!(beside.key, 2);
        assert_eq!(chats.end(&beside), Some(2), "forgotten at its end");
        assert_eq!(chats.end(&first), None);
        assert_eq!(chats.begin(7, 3).key, 1);
    }

    #[test]
    fn the_conversation_unused_for_longest_makes_room() {
        let chats = Chats::new(2);
        for (beginning, key) in [(7, 1), (8, 2), (7, 3)] {
            let chat = chats.begin(beginning, key);
            assert_eq!(chats.end(&chat), None);
        }
        let third = chats.begin(9, 4);
        assert_eq!((third.key, third.forgotten), (4, Some(2)));
        let again = chats.begin(7, 5);
        assert_eq!(again.key, 1);
        // Both are under way: a third is not kept.
        let beyond = chats.begin(8, 6);
        assert_eq!((beyond.key, beyond.forgotten), (6, None));
        assert_eq!(chats.end(&beyond), Some(6));
    }
}
