use std::io;

/// Why a recording could not be read or written.
///
/// The messages do not name the file: the caller, who opened it, does.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file has no bytes.
    #[error("the file is empty (0 bytes)")]
    Empty,
    /// Opening, reading or writing failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// More samples than the caller takes.
    #[error("the recording is longer than {most} samples")]
    LongerThan {
        /// Samples for each channel that are taken.
        most: u64,
    },
    /// A WAV or FLAC file whose content contradicts its format.
    #[error("this {format} file is damaged: {reason}")]
    Malformed {
        /// `WAV` or `FLAC`.
        format: &'static str,
        /// What is wrong, in the decoder's words.
        reason: String,
    },
    /// A valid file without a single sample.
    #[error("the recording holds no audio (0 samples at {rate_hz} Hz)")]
    NoSamples {
        /// The rate its header states.
        rate_hz: u32,
    },
    /// Something else than WAV or FLAC.
    #[error("this is not a WAV or FLAC recording: it looks like {found}")]
    NotAudio {
        /// What the first bytes suggest, with an article.
        found: String,
    },
    /// A rate that no recording has.
    #[error("a sample rate of {rate_hz} Hz is outside 1000 to 768000 Hz")]
    Rate {
        /// The rate the header states.
        rate_hz: u32,
    },
    /// A WAV file cannot grow past 4 GiB.
    #[error("a WAV file cannot hold more than 4 GiB")]
    TooLong,
    /// The file ends early.
    #[error(
        "the recording is cut short: its header promises {expected} samples, {actual} are there"
    )]
    Truncated {
        /// Samples for each channel that the header promises.
        expected: u64,
        /// Samples for each channel that could be read.
        actual: u64,
    },
    /// A variant of the format that is not read here.
    #[error("this kind of {format} file is not supported: {reason}")]
    Unsupported {
        /// `WAV` or `FLAC`.
        format: &'static str,
        /// Which feature.
        reason: String,
    },
}

impl FileError {
    /// What a caller may want to tell apart.
    #[must_use]
    pub fn kind(&self) -> FileErrorKind {
        match self {
            Self::Io(_) => FileErrorKind::Io,
            Self::Empty | Self::NoSamples { .. } => FileErrorKind::Empty,
            Self::NotAudio { .. } => FileErrorKind::NotAudio,
            Self::Malformed { .. } | Self::Rate { .. } | Self::Truncated { .. } => {
                FileErrorKind::Damaged
            }
            Self::LongerThan { .. } | Self::TooLong | Self::Unsupported { .. } => {
                FileErrorKind::Unsupported
            }
        }
    }
}

/// The classes of [`FileError`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FileErrorKind {
    /// Audio whose content is broken; another copy may help.
    Damaged,
    /// Nothing to hear: no bytes or no samples.
    Empty,
    /// The operating system said no.
    Io,
    /// Not a recording at all; another file is needed.
    NotAudio,
    /// Valid, but beyond what is read or written here; conversion helps.
    Unsupported,
}
