//! Frames: from text to events and back.
//!
//! The types know nothing of frames. The codec of the beta dialect is in [`beta`](crate::beta).

mod audio;
mod error;
mod read;
mod scan;
mod write;

pub use audio::{AppendRef, AudioDeltaRef};
pub use error::{ParseError, ParseErrorKind};
pub(crate) use read::parse;
pub use write::{AudioPlace, write_append, write_audio_delta};
pub(crate) use write::{json, write_delta};
