use std::io;
use std::path::PathBuf;

use kaiwa_audio::FileError;

/// Why a sound card's input or output failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// Sound could not be read from a stream.
    #[error("cannot read the input: {0}")]
    Input(io::Error),
    /// A recording could not be read.
    #[error("cannot use {}: {source}", .path.display())]
    Open {
        /// The recording.
        path: PathBuf,
        /// What is wrong with it.
        source: FileError,
    },
    /// Sound could not be written to a stream.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
    /// Whoever read the output has gone.
    #[error("nobody reads the output any more")]
    OutputClosed,
    /// A recording could not be written.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// The recording.
        path: PathBuf,
        /// What is wrong.
        source: FileError,
    },
}

impl CardError {
    /// What a caller may want to tell apart.
    #[must_use]
    pub fn kind(&self) -> CardErrorKind {
        match self {
            Self::Input(_) | Self::Open { .. } => CardErrorKind::Input,
            Self::Output(_) | Self::Write { .. } => CardErrorKind::Output,
            Self::OutputClosed => CardErrorKind::OutputClosed,
        }
    }
}

/// The classes of [`CardError`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CardErrorKind {
    /// The microphone's side.
    Input,
    /// The speaker's side, or the recording.
    Output,
    /// The reader of a pipe went away; for a command-line tool not an error.
    OutputClosed,
}
