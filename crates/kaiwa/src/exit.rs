//! Exit codes, the contract with scripts. Documented in the README and in `--help`.

use std::{fmt, process};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    /// Something failed that none of the other codes names.
    Failure = 1,
    /// The command line cannot be understood (clap's own code, too).
    Usage = 2,
    /// The endpoint cannot be reached, or the connection was lost.
    Connection = 3,
    /// The endpoint refuses the key.
    Unauthorized = 4,
    /// A model is missing, damaged, or cannot be fetched.
    Models = 5,
    /// The input is not usable audio or text.
    Input = 6,
    /// The output cannot be written.
    Output = 7,
    /// The budget has no room for another answer.
    Budget = 8,
    /// No sound device can be used, or not the one that was named.
    Device = 9,
    /// Stopped by Ctrl-C; what was recorded so far is complete.
    Interrupted = 130,
}

impl From<Code> for process::ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// A failure that the user is told in one sentence, with what to do next where we know it.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) code: Code,
    pub(crate) message: String,
    /// What to do next, without a final period.
    pub(crate) hint: Option<String>,
}

/// Ends the program where it stands, and what it has started for tools.
pub(crate) fn leave(code: u8) -> ! {
    kaiwa_tools::end_programs();
    process::exit(i32::from(code))
}

impl Exit {
    pub(crate) fn new(code: Code, message: impl fmt::Display) -> Self {
        Self {
            code,
            message: message.to_string(),
            hint: None,
        }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Exit {}
