//! Recordings: reading WAV and FLAC, writing WAV.

mod error;
mod flac;
mod read;
mod sniff;
mod wav;
mod write;

pub use error::{FileError, FileErrorKind};
pub use read::Clip;
pub use write::WavWriter;

#[cfg(test)]
mod tests;
