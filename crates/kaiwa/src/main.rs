//! kaiwa: converse with AI by voice, from a terminal or as a server.
//!
//! The binary wires the crates together and owns what a person sees: flags, words on the
//! terminal, exit codes.

mod bench;
mod breakdown;
mod cli;
mod demo;
mod engines;
mod exit;
mod fetch;
mod inspect;
mod lines;
mod models;
mod output;
mod record;
mod serve;
mod stop;
mod talk;

use std::{future::Future, process::ExitCode};

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::{
    cli::{BenchCommand, Cli, Command},
    exit::{Code, Exit},
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Quiet unless asked: RUST_LOG=info (or debug) tells what goes on inside.
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn")),
        )
        .with_writer(std::io::stderr)
        .init();
    let result = match cli.command {
        Command::Talk(arguments) => block_on(talk::run(arguments)),
        Command::Serve(arguments) => block_on(serve::run(arguments)),
        Command::Demo(arguments) => block_on(demo::run(arguments)),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Models { command } => models::run(command),
        Command::Bench { command } => match command {
            BenchCommand::Wer(arguments) => bench::recognition::run(&arguments),
            BenchCommand::Latency(arguments) => block_on(bench::latency::run(arguments)),
            BenchCommand::Bargein(arguments) => block_on(bench::bargein::run(arguments)),
            BenchCommand::Turns(arguments) => bench::turns::run(&arguments),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => {
            output::note(format_args!("kaiwa: {exit}"));
            exit.code.into()
        }
    }
}

fn block_on(future: impl Future<Output = Result<(), Exit>>) -> Result<(), Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Exit::new(Code::Failure, format!("no runtime: {error}")))?;
    let result = runtime.block_on(future);
    // A read of the terminal may still be waiting for a line; the process does not.
    runtime.shutdown_background();
    result
}
