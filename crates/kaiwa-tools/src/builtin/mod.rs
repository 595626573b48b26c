//! Tools that need nothing but this machine.

mod calculator;
mod clock;
mod ratio;

pub use calculator::{CalculatorError, calculate};
pub use clock::now;

use std::time::Duration;

use serde_json::json;

use crate::commands::{Agreement, CommandTool, ENVIRONMENT, Passing};

/// A command line for `sh`, which somebody has to agree to.
#[must_use]
pub fn shell(command: &str) -> CommandTool {
    CommandTool {
        name: "shell".to_owned(),
        description: "Runs a command in the user's shell and gives what it prints.".to_owned(),
        command: ["sh", "-c", command].map(str::to_owned).into(),
        passing: Passing::Flags,
        parameters: json!({"type": "object"}),
        timeout: Duration::from_secs(60),
        directory: None,
        environment: ENVIRONMENT.map(str::to_owned).into(),
        confirm: Agreement::Always,
        place: "built in".to_owned(),
    }
}
