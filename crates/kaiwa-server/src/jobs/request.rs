//! The work of one HTTP request on the engines.

use std::sync::Arc;

use kaiwa_engine::{Cancel, Prompt, SttOptions, VoiceSpec};
use kaiwa_session::{EngineEvent, JobId};
use tokio::sync::mpsc;

use super::{
    MAX_RESULTS_WAITING,
    chats::{Chat, Chats},
    pool::Lane,
    work::{Job, JobResult},
};
use crate::{engines::Engines, server::Seat};

/// A request's hold on the engines and its place among the requests. Dropping it cancels what
/// is under way; the place is given back when the engine has let go of it.
///
/// Jobs run one after the other in the order they were given.
pub(crate) struct RequestJobs {
    seat: Arc<Seat>,
    engines: Engines,
    lane: Lane,
    cancel: Cancel,
    given: u64,
    sender: mpsc::Sender<JobResult>,
    results: mpsc::Receiver<JobResult>,
    span: tracing::Span,
}

impl RequestJobs {
    pub(crate) fn new(seat: Seat, span: tracing::Span) -> Self {
        let (sender, results) = mpsc::channel(MAX_RESULTS_WAITING);
        Self {
            lane: seat.server().pool.lane(),
            engines: seat.server().engines.clone(),
            seat: Arc::new(seat),
            cancel: Cancel::new(),
            given: 0,
            sender,
            results,
            span,
        }
    }

    /// Has the rest done by the engines for this model.
    pub(crate) fn choose(&mut self, model: &str) {
        self.engines = self.seat.server().engines_for(model).clone();
    }

    /// Transcribes audio of 16 000 Hz.
    pub(crate) fn transcribe(&mut self, audio: Vec<f32>, options: SttOptions) {
        let engine = Arc::clone(&self.engines.transcriber);
        self.push(move |job| job.transcribe(&*engine, &audio, &options));
    }

    /// Speaks a piece of text.
    pub(crate) fn speak(&mut self, text: String, voice: VoiceSpec) {
        let engine = Arc::clone(&self.engines.synthesizer);
        self.push(move |job| job.speak(&*engine, &text, &voice));
    }

    /// Answers a prompt. `beginning` is a hash of what the conversation begins with; the
    /// prompt's key is found by it.
    pub(crate) fn generate(&mut self, beginning: u64, mut prompt: Prompt) {
        let seat = Arc::clone(&self.seat);
        let engine = Arc::clone(&self.engines.language_model);
        self.push(move |job| {
            let server = seat.server();
            let engine = &*engine;
            let chat = Conversation {
                chat: server.chats.begin(beginning, server.conversation()),
                chats: &server.chats,
                forget: |key| engine.forget(key),
            };
            if let Some(forgotten) = chat.chat.forgotten {
                engine.forget(forgotten);
            }
            prompt.conversation = chat.chat.key;
            job.generate(engine, &prompt);
        });
    }

    /// The next thing an engine says. Cancel safe.
    pub(crate) async fn next(&mut self) -> EngineEvent {
        match self.results.recv().await {
            Some((_, event)) => event,
            // `self` holds a sender: the channel stays open.
            None => std::future::pending().await,
        }
    }

    fn push(&mut self, work: impl FnOnce(Job) + Send + 'static) {
        let job = Job {
            id: JobId(self.given),
            cancel: self.cancel.clone(),
            results: self.sender.clone(),
            span: self.span.clone(),
        };
        self.given += 1;
        let seat = Arc::clone(&self.seat);
        self.lane.push(Box::new(move || {
            work(job);
            drop(seat);
        }));
    }
}

impl Drop for RequestJobs {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// Ends a chat however its answer ended.
struct Conversation<'a, F: Fn(u64)> {
    chat: Chat,
    chats: &'a Chats,
    forget: F,
}

impl<F: Fn(u64)> Drop for Conversation<'_, F> {
    fn drop(&mut self) {
        if let Some(key) = self.chats.end(&self.chat) {
            (self.forget)(key);
        }
    }
}
