//! The thread that owns llama.cpp's contexts.
//!
//! A context borrows its model, so that both cannot stand in one struct without
//! `unsafe`. The thread keeps them on its stack and is asked to compute one step at a
//! time; the 30 µs of the two messages are nothing beside a step of 10 ms.
//!
//! The number of a context's threads is fixed when it is made. Where another number is
//! wanted, the sequence moves to a new context (some 50 ms, on rare occasions).

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::Instant,
};

use llama_cpp_2::{
    LlamaStateSeqFlags,
    context::{LlamaContext, params::LlamaContextParams},
    llama_backend::LlamaBackend,
    llama_batch::LlamaBatch,
    model::LlamaModel,
    token::LlamaToken,
};

use super::{
    pace::{JUDGED_TOKENS, Pace},
    sampler::Sampler,
};
use crate::EngineError;

/// Most tokens of one step.
///
/// 32 tokens take 0.1-0.2 s with the small models on two cores, after which somebody
/// else may have the machine. Larger steps are not faster on a CPU.
pub(super) const STEP_TOKENS: usize = 32;

/// The only sequence of each context.
const SEQUENCE: i32 = 0;

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
    /// Makes an empty context.
    Open(u64, i32, mpsc::SyncSender<Result<(), EngineError>>),
    /// Computes a step on so many threads.
    Step(Step, i32, mpsc::SyncSender<Result<Drawn, EngineError>>),
    Close(u64),
}

/// A handle of the thread, which ends with it.
pub(super) struct Worker {
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
    pace: Mutex<Pace>,
}

impl Worker {
    /// Starts the thread. Its contexts hold `window` tokens and have at most `threads`
    /// threads.
    pub(super) fn start(
        backend: &'static LlamaBackend,
        model: Arc<LlamaModel>,
        window: u32,
        threads: i32,
    ) -> Result<Self, EngineError> {
        let (commands, received) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("llama".to_owned())
            .spawn(move || serve(backend, &model, window, received))
            .map_err(EngineError::failed)?;
        Ok(Self {
            commands: Some(commands),
            thread: Some(thread),
            pace: Mutex::new(Pace::new(threads)),
        })
    }

    /// Computes a few tokens on one thread and on all, so that a crowd is known as one.
    /// The file's pages are in memory afterwards.
    pub(super) fn warm_up(&self) -> Result<(), EngineError> {
        const CONTEXT: u64 = 0;
        let token = LlamaToken::new(0);
        let most = self.pace().threads(Instant::now());
        if most == 1 {
            return Ok(());
        }
        for threads in [1, most] {
            self.ask(|reply| Command::Open(CONTEXT, threads, reply))?;
            for keep in 0..JUDGED_TOKENS {
                let step = Step {
                    context: CONTEXT,
                    keep,
                    tokens: vec![token],
                    sampler: None,
                };
                self.step_on(threads, step)?;
            }
            self.close(CONTEXT);
        }
        Ok(())
    }

    /// Makes an empty context of the given name, which is not 0.
    pub(super) fn open(&self, context: u64) -> Result<(), EngineError> {
        let threads = self.pace().threads(Instant::now());
        self.ask(|reply| Command::Open(context, threads, reply))
    }

    /// Computes a step. After an error the context's content is unknown.
    pub(super) fn step(&self, step: Step) -> Result<Drawn, EngineError> {
        let threads = self.pace().threads(Instant::now());
        self.step_on(threads, step)
    }

    fn step_on(&self, threads: i32, step: Step) -> Result<Drawn, EngineError> {
        let tokens = u32::try_from(step.tokens.len()).map_err(EngineError::failed)?;
        let started = Instant::now();
        let drawn = self.ask(|reply| Command::Step(step, threads, reply))?;
        let now = Instant::now();
        self.pace().took(threads, tokens, now - started, now);
        Ok(drawn)
    }

    /// Frees a context.
    pub(super) fn close(&self, context: u64) {
        if let Some(commands) = &self.commands {
            // A thread that is gone has freed everything.
            let _ = commands.send(Command::Close(context));
        }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        // The pace is valid at every step, also when a holder panicked.
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
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

/// A context and the threads it was made with.
struct Context<'m> {
    threads: i32,
    llama: LlamaContext<'m>,
}

fn serve(
    backend: &LlamaBackend,
    model: &LlamaModel,
    window: u32,
    commands: mpsc::Receiver<Command>,
) {
    let mut contexts: HashMap<u64, Context<'_>> = HashMap::new();
    let mut batch = LlamaBatch::new(STEP_TOKENS, 1);
    let open = |threads| open(backend, model, window, threads);
    // Who asked may be gone when the answer comes, so failing to send one is no error.
    for command in commands {
        match command {
            Command::Open(name, threads, reply) => {
                let _ = reply.send(open(threads).map(|context| {
                    contexts.insert(name, context);
                }));
            }
            Command::Step(step, threads, reply) => {
                let computed = match contexts.get_mut(&step.context) {
                    Some(context) if context.threads == threads => {
                        compute(&mut context.llama, &mut batch, step)
                    }
                    Some(context) => open(threads)
                        .and_then(|to| move_to(to, context))
                        .and_then(|()| compute(&mut context.llama, &mut batch, step)),
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
    window: u32,
    threads: i32,
) -> Result<Context<'m>, EngineError> {
    let step_tokens = STEP_TOKENS as u32;
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(window))
        .with_n_seq_max(1)
        .with_n_batch(step_tokens)
        .with_n_ubatch(step_tokens)
        .with_n_threads(threads)
        .with_n_threads_batch(threads)
        .with_no_perf(true);
    match model.new_context(backend, params) {
        Ok(llama) => Ok(Context { threads, llama }),
        Err(error) => Err(EngineError::failed(format_args!(
            "no context of {window} tokens could be made: {error}"
        ))),
    }
}

/// Puts `to`, with the content of `context`, in its place.
fn move_to<'m>(mut to: Context<'m>, context: &mut Context<'m>) -> Result<(), EngineError> {
    let state = context
        .llama
        .state_seq_get(SEQUENCE, LlamaStateSeqFlags::empty())
        .map_err(EngineError::failed)?;
    to.llama
        .state_seq_set(&state, SEQUENCE)
        .map_err(EngineError::failed)?;
    *context = to;
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::{
        super::{backend, tests::file, tokens::Vocabulary},
        *,
    };
    use crate::Sampling;

    #[test]
    fn a_sequence_survives_a_change_of_threads() {
        let Some(file) = file() else { return };
        let backend = backend::backend().expect("llama.cpp starts");
        let model = Arc::new(backend::load(backend, &file).expect("the model loads"));
        let worker = Worker::start(backend, Arc::clone(&model), 256, 2).expect("a thread");
        let text = "The capital of France is";
        let tokens = model.tokenised(text, true);
        let (first, second) = tokens.split_at(2);
        let followed_by = |threads: [i32; 2], context| {
            let sampler = Sampler::text(&model, Sampling::default());
            let step = |keep, tokens: &[LlamaToken], sampler| Step {
                context,
                keep,
                tokens: tokens.to_vec(),
                sampler,
            };
            worker.open(context).expect("a context");
            worker
                .step_on(threads[0], step(0, first, None))
                .expect("a step");
            let (token, _) = worker
                .step_on(threads[1], step(2, second, Some(Box::new(sampler))))
                .expect("a step")
                .expect("a token");
            String::from_utf8(model.text_of(token))
        };
        let expected = Ok(" Paris".to_owned());
        assert_eq!(followed_by([1, 1], 1), expected);
        assert_eq!(followed_by([2, 1], 2), expected);
        assert_eq!(followed_by([1, 2], 3), expected);
    }
}
