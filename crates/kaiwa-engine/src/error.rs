use std::fmt;

/// What went wrong in an engine, in the way its caller has to react.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EngineErrorKind {
    /// The input cannot be worked on (wrong length, wrong rate, too long a prompt).
    InvalidInput,
    /// A model file is missing, cut short, or not the file its name promises.
    Model,
    /// The engine failed while it worked; the same call may succeed later.
    Failed,
    /// The prompt does not fit the language model's window, by an amount that is not known.
    PromptTooLong,
    /// The engine took longer than it may.
    Timeout,
    /// A remote engine refuses the key.
    Unauthorized,
    /// A remote engine cannot be reached.
    Unreachable,
    /// The engine cannot do what was asked (no such voice, no such language, no tools).
    Unsupported,
}

/// An engine's failure: a kind for the program, one plain sentence for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineError {
    kind: EngineErrorKind,
    message: String,
}

impl EngineError {
    /// A failure of the given kind. The message is one sentence without a final period.
    pub fn new(kind: EngineErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// [`EngineErrorKind::Failed`] with the given message.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self::new(EngineErrorKind::Failed, message.to_string())
    }

    /// [`EngineErrorKind::InvalidInput`] with the given message.
    pub fn invalid_input(message: impl fmt::Display) -> Self {
        Self::new(EngineErrorKind::InvalidInput, message.to_string())
    }

    /// [`EngineErrorKind::Model`] with the given message.
    pub fn model(message: impl fmt::Display) -> Self {
        Self::new(EngineErrorKind::Model, message.to_string())
    }

    /// How the caller has to react.
    pub fn kind(&self) -> EngineErrorKind {
        self.kind
    }

    /// The sentence for the user.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EngineError {}
