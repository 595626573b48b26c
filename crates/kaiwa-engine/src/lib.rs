//! The engines behind a conversation: voice activity, end of turn, speech to text, a
//! language model and text to speech.
//!
//! Engines are plain blocking code. Whoever runs them gives them a worker thread,
//! a [`Cancel`] flag and a sink; results are pushed into the sink as they appear,
//! and the sink stops the engine by returning [`Flow::Break`]. Nothing here knows
//! the Realtime protocol or a socket of a client, and no async runtime shows
//! (the [`remote`] engines keep one to themselves).
//!
//! All engines of a process share one [`ComputeBudget`], so that two thread pools
//! never each believe they own the machine.

mod budget;
mod cancel;
mod error;
mod mel;
pub mod models;
mod onnx;
pub mod roles;
pub mod scripted;
pub mod silero;
pub mod smart_turn;

#[cfg(test)]
mod testing;

#[cfg(feature = "llama")]
pub mod llama;
#[cfg(feature = "remote")]
pub mod remote;
#[cfg(feature = "tts")]
pub mod tts;
#[cfg(feature = "whisper")]
pub mod whisper;

pub use budget::{ComputeBudget, Slot};
pub use cancel::Cancel;
pub use error::{EngineError, EngineErrorKind};
pub use roles::{
    EndOfTurn, Finish, Flow, LanguageModel, LmDelta, LmUsage, Message, Prompt, Role, Sampling,
    Speech, SpokenWord, SttDelta, SttOptions, Synthesizer, ToolCall, ToolChoice, ToolSpec,
    Transcriber, Transcript, TranscriptToken, VoiceActivity, VoiceSpec,
};
