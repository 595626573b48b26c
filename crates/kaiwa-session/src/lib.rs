//! The server's side of a Realtime session as a deterministic state machine.
//!
//! A [`Session`] knows what the protocol says and nothing of sockets, threads, clocks or
//! models. A driver feeds it with [`Input`]s and acts on its [`Output`]s:
//!
//! 1. [`Session::new`] (or [`Session::configured`]), then [`Session::start`]: the drain holds `session.created`.
//! 2. For everything that happens, [`Session::handle`] with the time since the session
//!    began; take every output out of the [`Drain`] and act on it.
//! 3. Ask [`Session::next_timeout`]; when that time comes and nothing else happened, call
//!    `handle` with [`Input::Timeout`].
//!
//! # Invariants
//!
//! - Deterministic: the same options, inputs and times give the same outputs, byte for byte.
//! - A session cannot be touched while a drain is alive, and no output is ever lost: what is
//!   left in a drain comes first in the next one.
//! - Every event of a client is applied or answered with an `error` that carries its
//!   `event_id`.
//! - Each `response.created` is followed by exactly one `response.done`, unless the session
//!   ends first, and at most one response at a time writes to the conversation.
//! - Results of a job that was cancelled are dropped by the job's id, whenever they come.
//! - What the model is told it said is what was heard.
//! - Memory is bounded by [`SessionOptions`].
//! - No event is larger than 1 MiB, which is all that some clients take.
//!
//! # The cascade
//!
//! Appended audio is brought to 16 kHz and judged frame by frame
//! ([`EngineCommand::Detect`]). A turn's audio becomes an item and is transcribed
//! ([`EngineCommand::Transcribe`]), whether or not the client wants to see the transcript: the
//! language model needs it. A response waits for the transcripts in its context, is written
//! ([`EngineCommand::Generate`]), cut into clauses, and spoken clause by clause
//! ([`EngineCommand::Speak`]). Tools of MCP servers that it calls ([`EngineCommand::CallTool`])
//! are part of it; what they returned is answered by the next response.

mod clause;
mod config;
mod conversation;
mod endpointing;
mod engine;
mod event_size;
mod ids;
mod input_buffer;
mod io;
pub mod journal;
mod ledger;
mod mcp;
mod options;
mod outbox;
mod prompt;
mod rate_limits;
mod refusal;
mod response;
mod session;
mod speech;
mod timer;
mod truncation;
mod vad;

pub use config::effective;
pub use engine::{
    EngineCommand, EngineEvent, Generate, JobId, McpServer, PROMPT_TOO_LONG, PromptCall,
    PromptMessage, PromptRole, PromptTool, PromptToolChoice, Said, Word,
};
pub use io::{CloseReason, Drain, Input, Millis, Output};
pub use options::SessionOptions;
pub use rate_limits::{RateLimitConfig, RateLimitName};
pub use session::{AheadCounts, Session};
pub use timer::Timer;
