//! A conversation's events as words for people, or as lines of JSON for programs.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
};

use kaiwa_client::{Event, Moment, costs::Spent};

use crate::{
    exit::{Code, Exit, leave},
    output::clean,
};

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON object a line: every event as it is.
    Json,
    /// A transcript.
    Plain,
}

/// Writes events as they come.
pub(crate) struct Renderer {
    format: Format,
    out: Box<dyn Write>,
    /// Words appear as they are spoken only where somebody watches.
    live: bool,
    /// The item whose words stand on the unfinished line.
    open: Option<String>,
    /// What everything has cost so far, where something costs.
    spent: Option<Spent>,
}

impl Renderer {
    /// Writes to stdout, or to stderr where stdout carries sound.
    pub(crate) fn new(format: Format, to_stderr: bool) -> Self {
        let (out, live): (Box<dyn Write>, _) = if to_stderr {
            (Box::new(io::stderr()), io::stderr().is_terminal())
        } else {
            (Box::new(io::stdout()), io::stdout().is_terminal())
        };
        Self {
            format,
            out,
            live,
            open: None,
            spent: None,
        }
    }

    /// Writes one event.
    pub(crate) fn show(&mut self, moment: &Moment) -> Result<(), Exit> {
        let written = match self.format {
            Format::Json => serde_json::to_writer(&mut self.out, moment)
                .map_err(io::Error::from)
                .and_then(|()| writeln!(self.out)),
            Format::Plain => self.plain(&moment.event),
        };
        written.and_then(|()| self.out.flush()).map_err(broken)
    }

    /// Ends a line that was left open, and says what it all cost.
    pub(crate) fn finish(&mut self) -> Result<(), Exit> {
        let spent = self.spent.take();
        self.close_line()
            .and_then(|()| match spent {
                Some(spent) => self.line(format_args!("{spent}")),
                None => Ok(()),
            })
            .and_then(|()| self.out.flush())
            .map_err(broken)
    }

    fn plain(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::AssistantDelta { item, text } if self.live => {
                if self.open.as_deref() != Some(item) {
                    self.close_line()?;
                    write!(self.out, "assistant: ")?;
                    self.open = Some(item.clone());
                }
                write!(self.out, "{}", clean(text))
            }
            Event::AssistantDone { item, text } => {
                if self.open.as_deref() == Some(item) {
                    self.close_line()
                } else if self.live || text.is_empty() {
                    Ok(())
                } else {
                    self.line(format_args!("assistant: {}", text.trim()))
                }
            }
            Event::UserTranscriptDone { text, typed, .. } => {
                // A line that a person typed stands on the terminal already.
                if *typed && self.live {
                    return Ok(());
                }
                self.line(format_args!("you: {}", text.trim()))
            }
            Event::Heard { ms, text, .. } => self.line(format_args!("{}", cut_in(*ms, text))),
            Event::TurnLatency(latency) => self.line(format_args!(
                "  [answered after {:.2} s]",
                latency.total_ms as f64 / 1000.0
            )),
            Event::Billed(bill) => {
                self.spent = Some(bill.total.clone());
                match &bill.cost {
                    Some(cost) if bill.response.is_some() => {
                        let total = bill.total.usd;
                        self.line(format_args!("  [{}, {total} so far]", cost.usd))
                    }
                    _ => Ok(()),
                }
            }
            Event::ToolConfirmation {
                name, arguments, ..
            } => {
                let question = wants(name, arguments);
                self.line(format_args!("  [{question}: type y or n, and Enter]"))
            }
            Event::ToolCallStarted { name, .. } => {
                self.line(format_args!("  [the assistant uses {name}]"))
            }
            Event::ToolCallDone {
                name, failed, why, ..
            } if *failed => self.line(format_args!("  [{}]", went_wrong(name, why.as_deref()))),
            Event::ResponseDone { status, reason, .. } if status == "failed" => {
                let why = reason.as_deref().unwrap_or("no reason was given");
                self.line(format_args!("  [the answer failed: {why}]"))
            }
            Event::ResponseDone { status, reason, .. } if status == "incomplete" => {
                let why = reason.as_deref().unwrap_or("no reason was given");
                self.line(format_args!("  [the answer is incomplete: {why}]"))
            }
            Event::Error { message, .. } => self.line(format_args!("  [error: {message}]")),
            Event::Device { message, .. } => self.line(format_args!("  [{message}]")),
            // Later attempts are for programs.
            Event::Reconnecting {
                attempt: 1,
                message,
            } => self.line(format_args!("  [{message}]")),
            Event::Reconnected { away_ms, lost_ms } => {
                self.line(format_args!("  [{}]", connected_again(*away_ms, *lost_ms)))
            }
            Event::Warning { message } => self.line(format_args!("  [{message}]")),
            _ => Ok(()),
        }
    }

    fn line(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        self.close_line()?;
        writeln!(self.out, "{}", clean(&text.to_string()))
    }

    fn close_line(&mut self) -> io::Result<()> {
        match self.open.take() {
            Some(_) => writeln!(self.out),
            None => Ok(()),
        }
    }
}

/// What is said of an answer that was interrupted after `ms` milliseconds.
pub(super) fn cut_in(ms: u64, heard: &str) -> String {
    let seconds = ms as f64 / 1000.0;
    match heard.trim() {
        "" => format!("  [you cut in after {seconds:.1} s]"),
        heard => format!("  [you cut in after {seconds:.1} s; heard: \"{heard}\"]"),
    }
}

/// What is said when another connection stands after `away_ms` without one.
pub(super) fn connected_again(away_ms: u64, lost_ms: u64) -> String {
    let [away, lost] = [away_ms, lost_ms].map(|ms| ms as f64 / 1000.0);
    let again = format!("connected again after {away:.1} s");
    match lost_ms {
        0 => again,
        _ => format!("{again}; {lost:.1} s of what you said before are lost, say it again"),
    }
}

/// Words as they are: what cannot be seen, or not be told from a space, is told by its number.
fn exactly(text: &str) -> String {
    let seen = |c: char| c.is_ascii_graphic() || c == ' ' || c.is_alphanumeric();
    text.chars()
        .map(|c| match seen(c) {
            true => c.to_string(),
            false => c.escape_unicode().to_string(),
        })
        .collect()
}

/// What is asked about a tool.
pub(super) fn wants(name: &str, arguments: &str) -> String {
    format!(
        "the assistant wants to use {name} with {}",
        exactly(arguments)
    )
}

/// What is said of a tool that failed.
pub(super) fn went_wrong(name: &str, why: Option<&str>) -> String {
    match why {
        Some(why) => {
            let why = why.replace(char::is_control, " ");
            format!("{name} has failed: {why}")
        }
        None => format!("{name} has failed"),
    }
}

fn broken(error: io::Error) -> Exit {
    match error.kind() {
        // `kaiwa talk | head` is no failure.
        io::ErrorKind::BrokenPipe => leave(0),
        _ => Exit::new(
            Code::Output,
            format!("the transcript cannot be written: {error}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What is written.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("a lock").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Page {
        /// A renderer that writes here, for somebody who watches or not.
        fn renderer(&self, live: bool) -> Renderer {
            Renderer {
                format: Format::Plain,
                out: Box::new(self.clone()),
                live,
                open: None,
                spent: None,
            }
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("a lock").clone()).expect("text")
        }
    }

    #[test]
    fn nothing_from_a_server_steers_the_terminal() {
        let nasty = || "\u{1b}]0;title\u{7}\u{9b}2J\u{202e}".to_owned();
        let item = || "a".to_owned();
        for live in [false, true] {
            let page = Page::default();
            let mut renderer = page.renderer(live);
            for event in [
                Event::AssistantDelta {
                    item: item(),
                    text: nasty(),
                },
                Event::AssistantDone {
                    item: item(),
                    text: nasty(),
                },
                Event::UserTranscriptDone {
                    item: "u".to_owned(),
                    text: nasty(),
                    typed: false,
                },
                Event::Heard {
                    item: item(),
                    ms: 1,
                    received_ms: 2,
                    text: nasty(),
                },
                Event::Reconnecting {
                    attempt: 1,
                    message: nasty(),
                },
                Event::Warning { message: nasty() },
                Event::Error {
                    code: None,
                    message: nasty(),
                    event_id: None,
                },
                Event::ResponseDone {
                    response: "r".to_owned(),
                    status: "failed".to_owned(),
                    reason: Some(nasty()),
                    usage: None,
                },
            ] {
                renderer
                    .show(&Moment { at_ms: 0, event })
                    .expect("is shown");
            }
            let text = page.text();
            assert_eq!(text.matches("]0;title").count(), 7, "{text:?}");
            assert_eq!(clean(&text), text);
        }
    }

    #[test]
    fn a_question_about_a_tool_cannot_steer_the_terminal() {
        assert_eq!(
            wants("shell", "{\"command\":\"ls\u{1b}[2J\"}"),
            "the assistant wants to use shell with {\"command\":\"ls\\u{1b}[2J\"}"
        );
        assert_eq!(went_wrong("a", Some("b\nc")), "a has failed: b c");
        assert_eq!(went_wrong("a", None), "a has failed");
    }

    #[test]
    fn a_lost_connection_is_one_line_and_its_return_another() {
        let page = Page::default();
        let mut renderer = page.renderer(false);
        let message = |text: &str| text.to_owned();
        for event in [
            Event::Reconnecting {
                attempt: 1,
                message: message("the connection was lost; connecting again"),
            },
            Event::Reconnecting {
                attempt: 2,
                message: message("not connected yet"),
            },
            Event::Reconnected {
                away_ms: 1240,
                lost_ms: 0,
            },
            Event::Reconnected {
                away_ms: 42_000,
                lost_ms: 12_000,
            },
        ] {
            renderer
                .show(&Moment { at_ms: 0, event })
                .expect("is shown");
        }
        assert_eq!(
            page.text(),
            "  [the connection was lost; connecting again]\n  [connected again after 1.2 s]\n  \
             [connected again after 42.0 s; 12.0 s of what you said before are lost, say it again]\n"
        );
    }
}
