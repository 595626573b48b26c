use std::{collections::VecDeque, fmt};

use kaiwa_protocol::ClientEvent;

use super::{FORMAT, Head, Line, Writer};
use crate::{Input, Millis, Output, Session, engine::EngineEvent};

/// Goes through a journal with a fresh session.
///
/// Lines are given in order with [`take`](Self::take). A journal that stops in the middle,
/// as one does whose program was ended, is compared as far as it goes.
#[derive(Debug)]
pub struct Replay {
    session: Session,
    writer: Writer,
    /// What the session wants done now, and the journal has not said yet.
    outputs: VecDeque<Line>,
    line: usize,
    done: Replayed,
}

/// How much was gone through without a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Inputs that were given to the session.
    pub inputs: usize,
    /// Events for the client that were the same.
    pub events: usize,
    /// Jobs begun and cancelled that were the same.
    pub jobs: usize,
    /// Whether the journal has its last line.
    pub complete: bool,
}

/// Where a replay is not what the journal says.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The line of the journal, counted from 1.
    pub line: usize,
    /// When it was, in milliseconds since the session began.
    pub at: Millis,
    /// In one sentence, without a final period.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, at, what } = self;
        write!(f, "line {line} ({at} ms): {what}")
    }
}

impl std::error::Error for Difference {}

impl Replay {
    /// A session as it was made then.
    ///
    /// # Errors
    ///
    /// When the head is of another format, or of a session that cannot be made.
    pub fn new(head: Head) -> Result<Self, Difference> {
        let first = |what| Difference {
            line: 1,
            at: 0,
            what,
        };
        if head.format != FORMAT {
            let format = head.format;
            return Err(first(format!(
                "the journal has format {format}, and this kaiwa reads format {FORMAT}"
            )));
        }
        let (writer, _) = Writer::new(&head.options, None);
        let session = match head.requested {
            None => Session::new(head.options),
            Some(requested) => Session::configured(head.options, requested)
                .map_err(|fault| first(format!("the session is refused now: {}", fault.message)))?,
        };
        Ok(Self {
            session,
            writer,
            outputs: VecDeque::new(),
            line: 1,
            done: Replayed::default(),
        })
    }

    /// Takes the next line: gives an input to the session, or compares an output.
    ///
    /// # Errors
    ///
    /// The first difference; what comes after it means nothing.
    pub fn take(&mut self, line: Line) -> Result<(), Difference> {
        self.line += 1;
        let at = line.at();
        match line {
            Line::Send { .. } | Line::Run { .. } | Line::Cancel { .. } | Line::Close { .. } => {
                self.compare(&line)
            }
            Line::Head(_) => Err(self.differs(at, "a second head".to_owned())),
            Line::End { .. } => {
                self.nothing_is_left(at)?;
                self.done.complete = true;
                Ok(())
            }
            Line::Ahead { allowed, .. } => {
                self.nothing_is_left(at)?;
                self.session.allow_ahead(allowed);
                Ok(())
            }
            Line::Start { .. } => {
                self.nothing_is_left(at)?;
                let outputs: Vec<_> = self.session.start(at).collect();
                self.expect(&outputs, at);
                Ok(())
            }
            Line::Client { event, .. } => match ClientEvent::parse(event.get()) {
                Ok(event) => self.give(Input::Client(event), at),
                Err(error) => {
                    Err(self.differs(at, format!("the client's event cannot be read: {error}")))
                }
            },
            Line::Audio {
                event_id, bytes, ..
            } => {
                let input = Input::Audio {
                    event_id: event_id.as_deref(),
                    bytes: &bytes,
                };
                self.give(input, at)
            }
            Line::Malformed { error, .. } => self.give(Input::Malformed(error), at),
            Line::Voice { job, p, .. } => {
                let event = EngineEvent::Voice { probability: p };
                self.give(Input::Engine(job, event), at)
            }
            Line::Engine { job, event, .. } => self.give(Input::Engine(job, event), at),
            Line::Timeout { .. } => self.give(Input::Timeout, at),
        }
    }

    /// How much was the same.
    #[must_use]
    pub fn finish(self) -> Replayed {
        self.done
    }

    fn give(&mut self, input: Input<'_>, at: Millis) -> Result<(), Difference> {
        self.nothing_is_left(at)?;
        let outputs: Vec<_> = self.session.handle(input, at).collect();
        self.expect(&outputs, at);
        Ok(())
    }

    fn expect(&mut self, outputs: &[Output], at: Millis) {
        self.done.inputs += 1;
        let lines = outputs.iter().map(|output| self.writer.output(output, at));
        self.outputs.extend(lines);
    }

    fn compare(&mut self, recorded: &Line) -> Result<(), Difference> {
        let at = recorded.at();
        match self.outputs.pop_front() {
            Some(produced) if produced == *recorded => {}
            Some(produced) => {
                let what = parted(&text(recorded), &text(&produced));
                return Err(self.differs(at, what));
            }
            None => {
                let what = format!("recorded {}, produced nothing", clipped(&text(recorded)));
                return Err(self.differs(at, what));
            }
        }
        match recorded {
            Line::Send { .. } => self.done.events += 1,
            _ => self.done.jobs += 1,
        }
        Ok(())
    }

    fn nothing_is_left(&self, at: Millis) -> Result<(), Difference> {
        self.outputs.front().map_or(Ok(()), |produced| {
            let what = format!("recorded nothing, produced {}", clipped(&text(produced)));
            Err(self.differs(at, what))
        })
    }

    fn differs(&self, at: Millis, what: String) -> Difference {
        Difference {
            line: self.line,
            at,
            what,
        }
    }
}

fn text(line: &Line) -> String {
    // Names, numbers and strings: there is nothing in a line that JSON cannot say.
    serde_json::to_string(line).unwrap_or_default()
}

/// Characters that are shown of what differs, and of what stands before it.
const SHOWN: usize = 160;
const BEFORE: usize = 40;

/// Both texts from a little before they part.
fn parted(recorded: &str, produced: &str) -> String {
    let same = recorded
        .chars()
        .zip(produced.chars())
        .take_while(|(one, other)| one == other)
        .count();
    let from = same.saturating_sub(BEFORE);
    let part = |text: &str| match from {
        0 => clipped(text),
        _ => format!("…{}", clipped(&text.chars().skip(from).collect::<String>())),
    };
    format!("recorded {}, produced {}", part(recorded), part(produced))
}

fn clipped(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
