//! What goes into a session and what comes out.

use std::collections::VecDeque;

use kaiwa_protocol::{ClientEvent, ParseError, ServerEvent};

use crate::engine::{EngineCommand, EngineEvent, JobId};

/// Milliseconds of the driver's monotonic clock since the session began.
pub type Millis = u64;

/// What happens to a session.
#[derive(Clone, Debug, PartialEq)]
pub enum Input<'a> {
    /// A client event other than `input_audio_buffer.append`, parsed.
    Client(ClientEvent),
    /// The payload of an `input_audio_buffer.append`, base64 decoded, any length, in the
    /// session's input format.
    Audio {
        /// The client's id of the event, for errors.
        event_id: Option<&'a str>,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// A frame that is no client event: the codec's reason goes back as an `error` event.
    Malformed(ParseError),
    /// A result of a job.
    Engine(JobId, EngineEvent),
    /// The time named by [`Session::next_timeout`](crate::Session::next_timeout) has come.
    Timeout,
}

/// What a session wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send an event to the client.
    Send(ServerEvent),
    /// Give a job to an engine.
    Run(JobId, EngineCommand),
    /// The job's result is no longer wanted.
    Cancel(JobId),
    /// Close the connection after everything sent so far. Nothing comes after it.
    Close(CloseReason),
}

/// Why a session ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseReason {
    /// WebSocket close code.
    pub code: u16,
    /// Reason text.
    pub reason: String,
}

/// The outputs of a session, oldest first. While it is alive the session cannot be
/// touched; outputs that are not taken out of it come first the next time.
#[derive(Debug)]
#[must_use = "outputs are to be acted upon"]
pub struct Drain<'a> {
    outputs: &'a mut VecDeque<Output>,
}

impl<'a> Drain<'a> {
    pub(crate) fn new(outputs: &'a mut VecDeque<Output>) -> Self {
        Self { outputs }
    }
}

impl Iterator for Drain<'_> {
    type Item = Output;

    fn next(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.outputs.len(), Some(self.outputs.len()))
    }
}

impl ExactSizeIterator for Drain<'_> {}
