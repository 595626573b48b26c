//! Tools that are programs of this machine.

mod file;
mod run;

pub use file::{FileError, ToolFile, read};
pub use run::{CommandError, MAX_STDOUT};

use std::{path::PathBuf, time::Duration};

use serde_json::Value;

/// Variables of the environment that a program gets unless others are named.
pub(crate) const ENVIRONMENT: [&str; 4] = ["HOME", "LANG", "PATH", "TZ"];

/// A program that the assistant may run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CommandTool {
    /// Its name for the assistant.
    pub name: String,
    /// What it does and when to use it, for the assistant.
    pub description: String,
    /// The program, and what it gets before the arguments of a call.
    pub command: Vec<String>,
    /// How it gets the arguments of a call.
    pub passing: Passing,
    /// JSON Schema of the arguments.
    pub parameters: Value,
    /// How long a call may take.
    pub timeout: Duration,
    /// Where it is run; `None` for where we are.
    pub directory: Option<PathBuf>,
    /// Names of the variables of our environment that it gets.
    pub environment: Vec<String>,
    /// Whether somebody has to agree.
    pub confirm: Agreement,
    /// Where it stands, as `FILE:LINE`.
    pub place: String,
}

/// An MCP server that the assistant may use tools of.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct McpServer {
    /// A URL that begins with `http://` or `https://`, else a command line.
    pub server: String,
    /// The tools that are wanted; none are all.
    pub tools: Vec<String>,
    /// The variable of our environment that holds the key for a URL.
    pub key_env: Option<String>,
    /// Whether somebody has to agree.
    pub confirm: Agreement,
    /// Where this stands: `FILE:LINE`.
    pub place: String,
}

impl McpServer {
    /// Whether it is talked to over HTTP.
    #[must_use]
    pub fn is_url(&self) -> bool {
        crate::named::is_url(&self.server)
    }
}

/// How a program gets the arguments of a call.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Passing {
    /// As `--name=value`, a list as several, `true` as `--name`, and nothing for `false` and null.
    Flags,
    /// As a JSON object on stdin.
    #[default]
    Stdin,
}

/// Whether somebody has to agree before a program is run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Agreement {
    /// To each call.
    Always,
    /// To its first call in a conversation.
    First,
    /// Nobody.
    #[default]
    Never,
}
