//! Engines that run somewhere else: a language model, speech to text and text to speech
//! behind HTTP servers that have OpenAI's routes.
//!
//! | role | route | asked for |
//! |---|---|---|
//! | [`RemoteLanguageModel`] | `POST /chat/completions` | an event stream |
//! | [`RemoteTranscriber`] | `POST /audio/transcriptions` | JSON, for a WAV of 16 kHz |
//! | [`RemoteSynthesizer`] | `POST /audio/speech` | PCM or WAV, while it is made |
//!
//! Each engine has one HTTP client, which keeps its connections for the next request. The
//! client's tasks run on the [`Network`]'s thread; the engine itself blocks its worker like
//! every other engine.
//!
//! # What a server may do to us
//!
//! The time to connect, the time it may stay silent, the length of a line and of an answer are
//! bounded ([`Limits`]). Redirects are not followed: they would carry the key elsewhere.
//! What a server says of a failure is shortened to one line without control characters, and
//! without the key if it should repeat it. No sentence holds the key.
//!
//! A request is made again only before anything of its answer was used, and only where no
//! connection came about or the server asked for it (429, 500, 502, 503, 504).

mod chat;
mod endpoint;
mod fallback;
mod health;
mod http;
mod language_model;
mod limits;
mod multipart;
mod network;
mod refusal;
mod sound;
mod sse;
mod synthesizer;
mod tls;
mod transcriber;
mod wav;

#[cfg(test)]
mod testing;

pub use endpoint::Endpoint;
pub use fallback::Fallback;
pub use health::Known;
pub use language_model::{LanguageModelOptions, RemoteLanguageModel};
pub use limits::Limits;
pub use network::Network;
pub use synthesizer::{RemoteSynthesizer, SpeechFormat, SynthesizerOptions};
pub use transcriber::RemoteTranscriber;
