//! The server of a Realtime session: routes, admission, and the driver that runs the
//! sans-IO [session](kaiwa_session) on [engines](kaiwa_engine).
//!
//! ```no_run
//! # async fn example(engines: kaiwa_server::Engines) -> std::io::Result<()> {
//! use kaiwa_server::{Server, ServerConfig};
//!
//! let server = Server::new(engines, ServerConfig::default());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! server.serve(listener, std::future::pending()).await
//! # }
//! ```
//!
//! # Who waits for whom
//!
//! One task per session, the driver, owns the session and is never blocked: it reads the
//! socket, hears the engines, keeps the timers. Engines run on worker threads and hand
//! their results over through bounded channels. At each bound something is decided:
//!
//! | bound | at the bound |
//! |---|---|
//! | messages to the client | results of transcription, language model and synthesizer stay where they are, which makes the engines wait; the socket is still read and the detector still heard, so that a cancellation or an interruption counts at once |
//! | answers to a client that asks without reading | its socket is left unread |
//! | transcriptions and answers a client has ordered that are not done (64) | its socket is left unread, so that a `response.cancel` behind them is read late |
//! | time a client reads nothing | the session is closed |
//! | audio that waits for the voice activity detector (1-2 s) | the socket is left unread, so that a client which sends faster than real time is slowed down |
//! | time the detector judges nothing | the session is closed with an error; audio is never skipped |
//! | requests of a session to MCP servers (16) | more wait until one is done |
//! | speech the synthesizer still owes | the language model waits |
//! | sessions, requests that engines work on, client secrets | status 503 |

mod auth;
mod config;
mod driver;
mod engines;
mod events;
mod http;
mod jobs;
mod listen;
mod metrics;
mod outgoing;
mod relay;
mod scribe;
mod secrets;
mod server;
mod stall;
mod timings;
mod wire;

pub use auth::Keys;
pub use config::{ServerConfig, TurnObserver};
pub use engines::{Engines, Profile, VoiceActivityFactory};
pub use events::{Direction, EventObserver, FrameObserver, SessionLabel};
/// What [`TurnTimings::ahead`] counts.
pub use kaiwa_session::AheadCounts;
/// What [`ServerConfig::journal`] hears, and how to go through it again.
pub use kaiwa_session::journal;
/// What is in a [`Line`](journal::Line).
pub use kaiwa_session::{EngineEvent, JobId, Said};
/// What [`ServerConfig::session`] is made of.
pub use kaiwa_session::{RateLimitConfig, RateLimitName, SessionOptions};
/// What [`ServerConfig::mcp`] is made of.
pub use kaiwa_tools::{Allowed, AllowedServer};
pub use relay::{InProcess, Period, Relay, RelayConfig, RelayError, RelayKey, UnixClock};
pub use scribe::{JournalObserver, LineObserver};
pub use server::Server;
pub use timings::TurnTimings;
