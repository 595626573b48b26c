//! Frames: from text to events and back.
//!
//! The types know nothing of frames; another dialect would be another codec over the same types.

mod audio;
mod error;
mod read;
mod write;

pub use audio::{AppendRef, AudioDeltaRef};
pub use error::{ParseError, ParseErrorKind};
pub use write::{AudioPlace, write_append, write_audio_delta};
