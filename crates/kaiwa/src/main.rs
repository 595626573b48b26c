//! kaiwa: converse with AI by voice, from a terminal or as a server.
//!
//! The binary wires the crates together and owns what a person sees: flags, words on the
//! terminal, exit codes.

mod bench;
mod breakdown;
mod cli;
mod demo;
mod devices;
mod doctor;
mod engines;
mod exit;
mod fetch;
mod inspect;
mod lines;
mod manual;
mod models;
mod output;
mod probe;
mod record;
mod remote;
mod serve;
mod settings;
mod stop;
mod talk;

use std::{env, ffi::OsString, future::Future, process::ExitCode};

use tracing_subscriber::EnvFilter;

use crate::{
    cli::{BenchCommand, Command, ConfigCommand},
    exit::{Code, Exit},
    settings::Refusal,
};

fn main() -> ExitCode {
    let words: Vec<OsString> = env::args_os().collect();
    let (cli, profiles, keys) = match settings::read(&words) {
        Ok(reading) => (reading.cli, reading.profiles, reading.keys),
        Err(Refusal::Words(error)) => error.exit(),
        Err(Refusal::Settings(exit)) => return failed(&exit),
    };
    // Quiet unless asked: RUST_LOG=info (or debug) tells what goes on inside.
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn")),
        )
        .with_writer(|| output::Stderr)
        .init();
    let result = match cli.command {
        Command::Talk(arguments) => block_on(talk::run(*arguments)),
        Command::Serve(arguments) => block_on(serve::run(*arguments, profiles, keys)),
        Command::Devices(arguments) => devices::run(&arguments),
        Command::Doctor(arguments) => block_on(doctor::run(arguments, cli.config.as_deref())),
        Command::Probe(arguments) => block_on(probe::run(arguments, cli.config.as_deref())),
        Command::Demo(arguments) => block_on(demo::run(arguments)),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Models { command } => models::run(command),
        Command::Config { command } => {
            let named = cli.config.as_deref();
            match command {
                ConfigCommand::Show { words } => settings::show(named, &words),
                ConfigCommand::Path => settings::path(named),
            }
        }
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { output } => manual::pages(output.as_deref()),
        Command::Bench { command } => match command {
            BenchCommand::Wer(arguments) => bench::recognition::run(&arguments),
            BenchCommand::Latency(arguments) => block_on(bench::latency::run(arguments)),
            BenchCommand::Bargein(arguments) => block_on(bench::bargein::run(arguments)),
            BenchCommand::Echo(arguments) => bench::echo::run(&arguments),
            BenchCommand::Noise(arguments) => bench::noise::run(&arguments),
            BenchCommand::Relay(arguments) => block_on(bench::relay::run(arguments)),
            BenchCommand::Turns(arguments) => bench::turns::run(&arguments),
            BenchCommand::Tools(arguments) => block_on(bench::tools::run(*arguments)),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => failed(&exit),
    }
}

fn failed(exit: &Exit) -> ExitCode {
    output::note(format_args!("kaiwa: {exit}"));
    exit.code.into()
}

fn block_on(future: impl Future<Output = Result<(), Exit>>) -> Result<(), Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Exit::new(Code::Failure, format!("no runtime: {error}")))?;
    let result = runtime.block_on(future);
    // A read of the terminal may still be waiting for a line; the process does not.
    runtime.shutdown_background();
    kaiwa_tools::end_programs();
    result
}
