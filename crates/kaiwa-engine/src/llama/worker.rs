//! The thread that owns llama.cpp's contexts.
//!
//! A context borrows its model, so that both cannot stand in one struct without
//! `unsafe`. The thread keeps them on its stack and is asked to compute one step at a
//! time; the 30 µs of the two messages are nothing beside a step of 10 ms.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use llama_cpp_2::{
    context::{LlamaContext, params::LlamaContextParams},
    llama_backend::LlamaBackend,
    llama_batch::LlamaBatch,
    model::LlamaModel,
    token::LlamaToken,
};

use super::sampler::Sampler;
use crate::EngineError;

/// Most tokens of one step.
///
/// 32 tokens take 0.1-0.2 s with the small models on two cores, after which somebody
/// else may have the machine. Larger steps are not faster on a CPU.
pub(super) const STEP_TOKENS: usize = 32;

/// The only sequence of each context.
const SEQUENCE: i32 = 0;

/// The size of a context and the threads that work on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ContextSize {
    pub(super) tokens: u32,
    pub(super) threads: i32,
}

/// Tokens to compute, at the end of what is kept of a context.
pub(super) struct Step {
    pub(super) context: u64,
    /// Positions before this one stay, the others are forgotten.
    pub(super) keep: u32,
    /// 1..=[`STEP_TOKENS`] tokens.
    pub(super) tokens: Vec<LlamaToken>,
    /// Draws the token that follows.
    pub(super) sampler: Option<Box<Sampler>>,
}

/// What follows a step's last token, and the sampler that drew it.
pub(super) type Drawn = Option<(LlamaToken, Box<Sampler>)>;

enum Command {
    Open(u64, mpsc::SyncSender<Result<(), EngineError>>),
    Step(Step, mpsc::SyncSender<Result<Drawn, EngineError>>),
    Close(u64),
}

/// A handle of the thread, which ends with it.
pub(super) struct Worker {
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(super) fn start(
        backend: &'static LlamaBackend,
        model: Arc<LlamaModel>,
        size: ContextSize,
    ) -> Result<Self, EngineError> {
        let (commands, received) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("llama".to_owned())
            .spawn(move || serve(backend, &model, size, received))
            .map_err(EngineError::failed)?;
        Ok(Self {
            commands: Some(commands),
            thread: Some(thread),
        })
    }

    /// Makes an empty context of the given name.
    pub(super) fn open(&self, context: u64) -> Result<(), EngineError> {
        self.ask(|reply| Command::Open(context, reply))
    }

    /// Computes a step. After an error the context's content is unknown.
    pub(super) fn step(&self, step: Step) -> Result<Drawn, EngineError> {
        self.ask(|reply| Command::Step(step, reply))
    }

    /// Frees a context.
    pub(super) fn close(&self, context: u64) {
        if let Some(commands) = &self.commands {
            // A thread that is gone has freed everything.
            let _ = commands.send(Command::Close(context));
        }
    }

    fn ask<T>(
        &self,
        command: impl FnOnce(mpsc::SyncSender<Result<T, EngineError>>) -> Command,
    ) -> Result<T, EngineError> {
        let (reply, answer) = mpsc::sync_channel(1);
        let sent = self
            .commands
            .as_ref()
            .is_some_and(|commands| commands.send(command(reply)).is_ok());
        match answer.recv() {
            Ok(answer) if sent => answer,
            _ => Err(EngineError::failed(
                "the language model's thread has stopped",
            )),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Without a sender the thread's loop ends, and the model is free when this returns.
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    backend: &LlamaBackend,
    model: &LlamaModel,
    size: ContextSize,
    commands: mpsc::Receiver<Command>,
) {
    let mut contexts = HashMap::new();
    let mut batch = LlamaBatch::new(STEP_TOKENS, 1);
    // Who asked may be gone when the answer comes, so failing to send one is no error.
    for command in commands {
        match command {
            Command::Open(name, reply) => {
                let opened = open(backend, model, size);
                let _ = reply.send(opened.map(|context| {
                    contexts.insert(name, context);
                }));
            }
            Command::Step(step, reply) => {
                let computed = match contexts.get_mut(&step.context) {
                    Some(context) => compute(context, &mut batch, step),
                    None => Err(EngineError::failed("the conversation's cache is gone")),
                };
                let _ = reply.send(computed);
            }
            Command::Close(name) => {
                contexts.remove(&name);
            }
        }
    }
}

fn open<'m>(
    backend: &LlamaBackend,
    model: &'m LlamaModel,
    size: ContextSize,
) -> Result<LlamaContext<'m>, EngineError> {
    let step_tokens = STEP_TOKENS as u32;
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(size.tokens))
        .with_n_seq_max(1)
        .with_n_batch(step_tokens)
        .with_n_ubatch(step_tokens)
        .with_n_threads(size.threads)
        .with_n_threads_batch(size.threads)
        .with_no_perf(true);
    model.new_context(backend, params).map_err(|error| {
        EngineError::failed(format_args!(
            "no context of {} tokens could be made: {error}",
            size.tokens
        ))
    })
}

fn compute(
    context: &mut LlamaContext<'_>,
    batch: &mut LlamaBatch<'_>,
    step: Step,
) -> Result<Drawn, EngineError> {
    // Forgetting from a position on frees nothing when nothing is there yet.
    context
        .kv_cache_seq_rm(SEQUENCE, Some(step.keep), None)
        .map_err(EngineError::failed)?;
    batch.clear();
    let last = step.tokens.len().saturating_sub(1);
    for (index, (token, position)) in step.tokens.iter().zip(step.keep..).enumerate() {
        let position = i32::try_from(position).map_err(EngineError::failed)?;
        let wanted = index == last && step.sampler.is_some();
        batch
            .add(*token, position, &[SEQUENCE], wanted)
            .map_err(EngineError::failed)?;
    }
    context.decode(batch).map_err(EngineError::failed)?;
    step.sampler
        .map(|mut sampler| Ok((sampler.draw(context)?, sampler)))
        .transpose()
}
