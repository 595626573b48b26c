//! Where the binary's own words go: results to stdout, everything else to stderr.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    sync::Mutex,
};

use serde::Serialize;

use crate::exit::{Code, Exit};

/// What was said to stderr while a screen covers the terminal; `None` while none does.
static HELD: Mutex<Option<Vec<String>>> = Mutex::new(None);
/// Lines that are kept for a screen; more than these nobody reads.
const MOST_HELD: usize = 1000;

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
    writeln!(Stderr, "{text}").ok();
}

/// From now on what goes to stderr waits for [`held`]: a screen covers the terminal.
pub(crate) fn hold() {
    with_held(|held| *held = Some(Vec::new()));
}

/// The lines that wait, which then wait no longer.
pub(crate) fn held() -> Vec<String> {
    with_held(|held| held.as_mut().map(std::mem::take)).unwrap_or_default()
}

/// The screen has gone: what waits is written, and what comes is as it was.
pub(crate) fn release() {
    for line in with_held(Option::take).unwrap_or_default() {
        note(line);
    }
}

fn with_held<T>(act: impl FnOnce(&mut Option<Vec<String>>) -> T) -> T {
    // Whoever panicked with it left whole lines.
    act(&mut HELD
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// Stderr, unless a screen covers it: then lines wait for [`held`].
pub(crate) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let waits = with_held(|held| {
            let lines = held.as_mut()?;
            let text = String::from_utf8_lossy(bytes);
            let room = MOST_HELD.saturating_sub(lines.len());
            lines.extend(text.lines().take(room).map(without_colours));
            Some(())
        });
        match waits {
            Some(()) => Ok(()),
            None => io::stderr().write_all(bytes),
        }
    }

    /// A whole line is one write.
    fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        self.write_all(text.to_string().as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// A line of the log as a screen can show it.
fn without_colours(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let parameters = |c: char| c.is_ascii_digit() || c == ';';
        let rest = part.trim_start_matches(parameters);
        plain.push_str(rest.strip_prefix('m').unwrap_or(rest));
    }
    plain
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_under_a_screen_waits_in_whole_lines() {
        hold();
        note("one");
        writeln!(Stderr, "\u{1b}[33mtwo\u{1b}[0;1m three\u{1b}[0m\nfour").expect("it waits");
        assert_eq!(held(), ["one", "two three", "four"]);
        assert!(held().is_empty());
        for line in 0..2 * MOST_HELD {
            note(line);
        }
        assert_eq!(held().len(), MOST_HELD);
        release();
        assert!(with_held(|held| held.is_none()));
    }
}
