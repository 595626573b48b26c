//! The one door for checks that need code: `cargo xtask lint`, `cargo xtask house`.

mod house;
mod lint;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Parser, Subcommand};

/// Checks of the kaiwa workspace.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Formatting, clippy with and without the embedded engines, documentation, house rules.
    Lint,
    /// Only the house rules: direction of dependencies, determinism of the core, file lengths.
    House,
}

fn main() -> ExitCode {
    let result = root().and_then(|root| match Arguments::parse().command {
        Command::Lint => lint::run(&root),
        Command::House => house::run(&root),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The workspace's root, wherever the command was started.
fn root() -> anyhow::Result<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf)
        .context("xtask lies in a folder of the workspace")
}

#[expect(clippy::print_stderr, reason = "a command's own output")]
fn report(line: &str) {
    eprintln!("{line}");
}
