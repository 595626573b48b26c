//! Which conversation has which context.

use std::{
    collections::HashMap,
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use llama_cpp_2::token::LlamaToken;

use super::{
    sampler::Sampler,
    tokens::{Tokens, Vocabulary},
    worker::{Drawn, Step, Worker},
};
use crate::{Cancel, EngineError};

/// How often somebody who waits for a conversation's cache looks at the cancel flag.
const CANCEL_CHECK: Duration = Duration::from_millis(10);

/// The contexts of all conversations.
///
/// Each conversation has a context of its own while it generates. Idle contexts are
/// kept, the least recently used one is freed when there are more than allowed.
pub(super) struct Caches {
    worker: Worker,
    /// Most contexts that exist at once; only running answers go beyond it.
    most: usize,
    table: Mutex<Table>,
    returned: Condvar,
}

#[derive(Default)]
struct Table {
    next_context: u64,
    /// Counts uses; the larger, the later.
    clock: u64,
    conversations: HashMap<u64, Entry>,
}

enum Entry {
    /// An answer is being generated. `forget` frees the context afterwards.
    Busy {
        forget: bool,
    },
    Idle {
        cache: Cache,
        used: u64,
    },
}

/// A context and what is in it.
#[derive(Default)]
struct Cache {
    context: u64,
    tokens: Tokens,
}

impl Caches {
    pub(super) fn new(worker: Worker, most: usize) -> Self {
        Self {
            worker,
            most,
            table: Mutex::default(),
            returned: Condvar::new(),
        }
    }

    /// The cache of a conversation, empty when it is new. Waits while another answer of
    /// the same conversation is being generated (a cancelled one needs a token's time to
    /// stop); `None` when `cancel` was set meanwhile.
    pub(super) fn take(
        &self,
        conversation: u64,
        cancel: &Cancel,
    ) -> Result<Option<Taken<'_>>, EngineError> {
        let mut table = self.table();
        while matches!(
            table.conversations.get(&conversation),
            Some(Entry::Busy { .. })
        ) {
            if cancel.is_cancelled() {
                return Ok(None);
            }
            (table, _) = self
                .returned
                .wait_timeout(table, CANCEL_CHECK)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let busy = Entry::Busy { forget: false };
        let idle = table.conversations.insert(conversation, busy);
        let (cache, new) = if let Some(Entry::Idle { cache, .. }) = idle {
            (cache, false)
        } else {
            self.evict(&mut table);
            table.next_context += 1;
            let cache = Cache {
                context: table.next_context,
                tokens: Tokens::default(),
            };
            (cache, true)
        };
        drop(table);
        let mut taken = Taken {
            caches: self,
            conversation,
            sound: !new,
            cache,
        };
        if new {
            self.worker.open(taken.cache.context)?;
            taken.sound = true;
        }
        Ok(Some(taken))
    }

    /// Frees the context of a conversation, at the end of its answer if one is running.
    pub(super) fn forget(&self, conversation: u64) {
        let mut table = self.table();
        match table.conversations.remove(&conversation) {
            Some(Entry::Busy { .. }) => {
                let busy = Entry::Busy { forget: true };
                table.conversations.insert(conversation, busy);
            }
            Some(Entry::Idle { cache, .. }) => self.worker.close(cache.context),
            None => {}
        }
    }

    /// Makes room among the idle contexts, the least recently used first.
    fn evict(&self, table: &mut Table) {
        while table.conversations.len() > self.most {
            let oldest = table
                .conversations
                .iter()
                .filter_map(|(conversation, entry)| match entry {
                    Entry::Busy { .. } => None,
                    Entry::Idle { used, .. } => Some((*used, *conversation)),
                })
                .min();
            let Some((_, conversation)) = oldest else {
                return;
            };
            if let Some(Entry::Idle { cache, .. }) = table.conversations.remove(&conversation) {
                self.worker.close(cache.context);
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // The table is valid at every step, also when a holder panicked.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A conversation's cache, given back when dropped.
pub(super) struct Taken<'a> {
    caches: &'a Caches,
    conversation: u64,
    /// Whether the context holds what `cache.tokens` says.
    sound: bool,
    cache: Cache,
}

impl Taken<'_> {
    /// What the context holds.
    pub(super) fn tokens(&self) -> &Tokens {
        &self.cache.tokens
    }

    /// Forgets all but the first `len` tokens.
    pub(super) fn keep(&mut self, len: usize) {
        // The context follows at the next step.
        self.cache.tokens.truncate(len);
    }

    /// Computes the next 1..=[`STEP_TOKENS`](super::worker::STEP_TOKENS) tokens.
    pub(super) fn step(
        &mut self,
        vocabulary: &impl Vocabulary,
        tokens: &[LlamaToken],
        sampler: Option<Box<Sampler>>,
    ) -> Result<Drawn, EngineError> {
        let keep = u32::try_from(self.cache.tokens.len()).map_err(EngineError::failed)?;
        self.sound = false;
        let drawn = self.caches.worker.step(Step {
            context: self.cache.context,
            keep,
            tokens: tokens.to_vec(),
            sampler,
        })?;
        self.sound = true;
        for token in tokens {
            self.cache.tokens.push(vocabulary, *token);
        }
        Ok(drawn)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut table = self.caches.table();
        let busy = table.conversations.remove(&self.conversation);
        if !self.sound || matches!(busy, Some(Entry::Busy { forget: true })) {
            self.caches.worker.close(self.cache.context);
        } else {
            table.clock += 1;
            let idle = Entry::Idle {
                used: table.clock,
                cache: mem::take(&mut self.cache),
            };
            table.conversations.insert(self.conversation, idle);
            self.caches.evict(&mut table);
        }
        drop(table);
        self.caches.returned.notify_all();
    }
}
