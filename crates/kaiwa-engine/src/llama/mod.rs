//! The embedded language model: llama.cpp with a GGUF file.
//!
//! # Conversations
//!
//! Each conversation has a context (key-value cache) of its own. A prompt is compared
//! with what its context holds, and only what is new is computed; where an earlier
//! message changed, the context is rolled back to there. An answer stays in the context
//! as the tokens that were drawn. Contexts are freed by
//! [`forget`](LanguageModel::forget), or when [`LlamaOptions::contexts`] others were
//! used later.
//!
//! [`Prompt::max_tokens`] of zero computes a prompt without an answer, not urgently: so
//! a conversation's instructions are in the cache before anybody has spoken.
//!
//! # Cores
//!
//! A step (a token, or some of a prompt's) runs inside a slot of the [`ComputeBudget`]
//! on all of its threads. llama.cpp is built without OpenMP: it starts its threads for
//! each step and joins them at the end, so that nothing spins between steps. Where
//! other programs leave no core for one of them, a single thread goes on.

mod backend;
mod caches;
mod chat;
mod generate;
mod output;
mod pace;
mod sampler;
mod tokens;
mod tools;
mod worker;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::Path,
    sync::{Arc, atomic::AtomicU64},
};

use llama_cpp_2::model::LlamaModel;

use self::{caches::Caches, chat::Chat, generate::Answer, worker::Worker};
use crate::{Cancel, ComputeBudget, EngineError, Flow, LanguageModel, LmDelta, LmUsage, Prompt};

/// How much memory conversations may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LlamaOptions {
    /// Window of a conversation in tokens, its answer included. No larger than the window
    /// the model was trained with. A token takes 23 kB with SmolLM2-135M and 12 kB with
    /// Qwen2.5-0.5B; the memory of the whole window is taken at once.
    pub context_tokens: u32,
    /// Most contexts that are kept. Answers that run at the same time may go beyond it.
    pub contexts: usize,
}

impl Default for LlamaOptions {
    fn default() -> Self {
        Self {
            context_tokens: 4096,
            contexts: 4,
        }
    }
}

/// A language model in this process.
pub struct Llama {
    model: Arc<LlamaModel>,
    chat: Chat,
    caches: Caches,
    budget: ComputeBudget,
    window: usize,
    /// Function calls so far, for their ids.
    calls: AtomicU64,
}

impl Llama {
    /// Loads the GGUF file at `path`.
    ///
    /// # Errors
    ///
    /// [`EngineErrorKind::Model`](crate::EngineErrorKind::Model), with the file's name, when
    /// it is missing, cut short, no GGUF file, or has no chat template.
    pub fn load(
        path: impl AsRef<Path>,
        budget: &ComputeBudget,
        options: LlamaOptions,
    ) -> Result<Self, EngineError> {
        let path = path.as_ref();
        let backend = backend::backend()?;
        let model = Arc::new(backend::load(backend, path)?);
        let chat = Chat::of(&model).map_err(|error| {
            EngineError::new(
                error.kind(),
                format!(
                    "the language model {} cannot be used: {error}",
                    path.display()
                ),
            )
        })?;
        let tokens = options.context_tokens.clamp(1, model.n_ctx_train().max(1));
        let threads = i32::try_from(budget.threads()).unwrap_or(i32::MAX);
        let worker = Worker::start(backend, Arc::clone(&model), tokens, threads)?;
        let slot = budget.slot(false);
        worker.warm_up()?;
        drop(slot);
        Ok(Self {
            model,
            chat,
            caches: Caches::new(worker, options.contexts),
            budget: budget.clone(),
            window: usize::try_from(tokens).unwrap_or(usize::MAX),
            calls: AtomicU64::new(0),
        })
    }
}

impl LanguageModel for Llama {
    fn generate(
        &self,
        prompt: &Prompt,
        cancel: &Cancel,
        sink: &mut dyn FnMut(LmDelta<'_>) -> Flow,
    ) -> Result<LmUsage, EngineError> {
        Answer::generate(self, prompt, cancel, sink)
    }

    fn forget(&self, conversation: u64) {
        self.caches.forget(conversation);
    }

    fn context_tokens(&self) -> usize {
        self.window
    }
}

impl fmt::Debug for Llama {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Llama")
            .field("context_tokens", &self.window)
            .finish_non_exhaustive()
    }
}
