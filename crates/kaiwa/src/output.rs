//! Where the binary's own words go: results to stdout, everything else to stderr.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    sync::{Mutex, PoisonError},
};

use serde::Serialize;

use crate::exit::{Code, Exit, leave};

/// What was said to stderr while a screen covers the terminal.
static HELD: Mutex<Held> = Mutex::new(Held(None));
/// Lines that are kept for a screen; more than these nobody reads.
const MOST_HELD: usize = 1000;

/// Words without what would steer a terminal: control characters but the line's end, characters
/// that turn the direction of writing (Unicode Standard Annex 9, section 2), and separators of
/// lines and paragraphs. Much of what is said comes from servers.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .filter(|character| !matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
        .map(|character| match character {
            '\n' => '\n',
            '\u{2028}' | '\u{2029}' => ' ',
            control if control.is_control() => ' ',
            character => character,
        })
        .collect()
}

/// Writes one line of [`clean`] words to stdout. A closed pipe ends the program quietly, as `head`
/// expects.
pub(crate) fn line(text: impl fmt::Display) -> Result<(), Exit> {
    print(&clean(&text.to_string()))
}

/// Writes one JSON value and a line's end to stdout. What would steer a terminal is escaped, and
/// the value is the same.
pub(crate) fn json_line(value: &impl Serialize) -> Result<(), Exit> {
    let json = serde_json::to_string(value).map_err(|error| Exit::new(Code::Failure, error))?;
    print(&escaped(&json))
}

/// JSON with escapes for what JSON takes as it is and [`clean`] does not. Such characters stand in
/// strings alone, and all of them have four hexadecimal digits.
fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\u{7f}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            character => escaped.push(character),
        }
    }
    escaped
}

fn print(text: &str) -> Result<(), Exit> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => leave(0),
            _ => Exit::new(Code::Output, format!("stdout cannot be written: {error}")),
        })
}

/// Writes one line of [`clean`] words to stderr. Nobody listening there is no reason to fail.
pub(crate) fn note(text: impl fmt::Display) {
    writeln!(Stderr, "{}", clean(&text.to_string())).ok();
}

/// From now on what goes to stderr waits for [`held`]: a screen covers the terminal.
pub(crate) fn hold() {
    with_held(|held| held.0 = Some(Vec::new()));
}

/// The lines that wait, which then wait no longer.
pub(crate) fn held() -> Vec<String> {
    with_held(|held| held.0.as_mut().map(std::mem::take)).unwrap_or_default()
}

/// The screen has gone: what waits is written, and what comes is as it was.
pub(crate) fn release() {
    for line in with_held(|held| held.0.take()).unwrap_or_default() {
        note(line);
    }
}

fn with_held<T>(act: impl FnOnce(&mut Held) -> T) -> T {
    // Whoever panicked with it left whole lines.
    act(&mut HELD.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Lines that wait; `None` while there is no screen.
struct Held(Option<Vec<String>>);

impl Held {
    /// Whether the lines of `text` wait now, the last ones perhaps lost.
    fn keep(&mut self, text: &str) -> bool {
        let Some(lines) = &mut self.0 else {
            return false;
        };
        let room = MOST_HELD.saturating_sub(lines.len());
        lines.extend(text.lines().take(room).map(without_colours));
        true
    }
}

/// Stderr, unless a screen covers it: then lines wait for [`held`].
pub(crate) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match with_held(|held| held.keep(&String::from_utf8_lossy(bytes))) {
            true => Ok(()),
            false => io::stderr().write_all(bytes),
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
    fn words_steer_no_terminal() {
        assert_eq!(
            clean("one\u{1b}[2J\ttwo\u{9b}31m\nthree\r\u{7}"),
            "one [2J two 31m\nthree  "
        );
        assert_eq!(
            clean("\u{202e}abc\u{202c} d\u{2066}e\u{2069}\u{2028}f\u{2029}g"),
            "abc de f g"
        );
        // Marks that a right-to-left text is written with are no orders, nor is an emoji's joiner.
        let text = "\u{200f}שלום\u{200e} 👩\u{200d}👧";
        assert_eq!(clean(text), text);
    }

    #[test]
    fn json_steers_no_terminal_and_stays_the_same() {
        let value = serde_json::json!({"a\u{9b}31m": "\u{7f}\u{202e}x\u{2066}é\u{2069}\u{1b}[2J"});
        let json = escaped(&value.to_string());
        assert_eq!(
            json,
            r#"{"a\u009b31m":"\u007f\u202ex\u2066é\u2069\u001b[2J"}"#
        );
        let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(read, value);
    }

    #[test]
    fn what_is_said_under_a_screen_waits_in_whole_lines() {
        let mut held = Held(None);
        assert!(!held.keep("there is no screen"));
        held.0 = Some(Vec::new());
        assert!(held.keep("one\n"));
        assert!(held.keep("\u{1b}[33mtwo\u{1b}[0;1m three\u{1b}[0m\nfour"));
        assert_eq!(
            held.0,
            Some(vec![
                "one".to_owned(),
                "two three".to_owned(),
                "four".to_owned()
            ])
        );
        for _ in 0..2 * MOST_HELD {
            assert!(held.keep("more"));
        }
        assert_eq!(held.0.map(|lines| lines.len()), Some(MOST_HELD));
    }
}
