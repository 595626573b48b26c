//! Where the binary's own words go: results to stdout, everything else to stderr.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
};

use serde::Serialize;

use crate::exit::{Code, Exit};

/// Writes one line to stdout. A closed pipe ends the program quietly, as `head` expects.
pub(crate) fn line(text: impl fmt::Display) -> Result<(), Exit> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => std::process::exit(0),
            _ => Exit::new(Code::Output, format!("stdout cannot be written: {error}")),
        })
}

/// Writes one JSON value and a line's end to stdout.
pub(crate) fn json_line(value: &impl Serialize) -> Result<(), Exit> {
    let json = serde_json::to_string(value).map_err(|error| Exit::new(Code::Failure, error))?;
    line(json)
}

/// Writes one line to stderr. Nobody listening there is no reason to fail.
pub(crate) fn note(text: impl fmt::Display) {
    writeln!(io::stderr(), "{text}").ok();
}

/// Whether a person sits at stdin and stderr, who can be asked.
pub(crate) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question whose default answer is yes.
pub(crate) fn confirm(question: &str) -> Result<bool, Exit> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question} [Y/n] ")
        .and_then(|()| stderr.flush())
        .map_err(|error| Exit::new(Code::Output, error))?;
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Exit::new(Code::Input, error))?;
    let answer = answer.trim().to_lowercase();
    Ok(matches!(answer.as_str(), "" | "y" | "yes"))
}

/// Bytes as people read them.
pub(crate) fn megabytes(bytes: u64) -> String {
    match bytes {
        0..100_000 => format!("{} kB", bytes.div_ceil(1000)),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
