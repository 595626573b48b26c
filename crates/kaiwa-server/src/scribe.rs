//! The journal of a session, for whoever wants to look into it afterwards.

use std::sync::Arc;

use kaiwa_session::{
    Input, Millis, Output,
    journal::{Line, Writer},
};

use crate::events::SessionLabel;

/// Asked once for each session, when it begins; what it returns hears the lines of the
/// session's journal and is dropped when the session has ended.
pub type JournalObserver = Arc<dyn Fn(&SessionLabel) -> LineObserver + Send + Sync>;

/// Hears everything that one session is told and wants done, in order, on the session's
/// task: it must not block for long.
pub type LineObserver = Box<dyn FnMut(&Line) + Send>;

/// Writes down what the driver and its session say to each other.
pub(crate) struct Scribe {
    writer: Writer,
    observer: LineObserver,
}

impl Scribe {
    /// Begins a journal with its first line.
    pub(crate) fn new(mut observer: LineObserver, (writer, head): (Writer, Line)) -> Self {
        observer(&head);
        Self { writer, observer }
    }

    pub(crate) fn start(&mut self, at: Millis) {
        (self.observer)(&Line::Start { at });
    }

    pub(crate) fn ahead(&mut self, allowed: bool, at: Millis) {
        if let Some(line) = self.writer.ahead(allowed, at) {
            (self.observer)(&line);
        }
    }

    pub(crate) fn input(&mut self, input: &Input<'_>, at: Millis) {
        let line = self.writer.input(input, at);
        (self.observer)(&line);
    }

    pub(crate) fn output(&mut self, output: &Output, at: Millis) {
        let line = self.writer.output(output, at);
        (self.observer)(&line);
    }

    pub(crate) fn end(mut self, at: Millis) {
        (self.observer)(&Line::End { at });
    }
}
