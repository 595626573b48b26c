//! The server's side of a Realtime session as a deterministic state machine.
//!
//! Placeholder of the public face; see the module `engine`.
#![allow(missing_docs)]

mod engine;

pub use engine::{
    EngineCommand, EngineEvent, Generate, JobId, PromptCall, PromptMessage, PromptRole, PromptTool,
    PromptToolChoice, Word,
};

/// Milliseconds of the driver's monotonic clock since the session began.
pub type Millis = u64;

/// What happens to a session.
pub enum Input<'a> {
    /// A client event other than `input_audio_buffer.append`, parsed.
    Client(kaiwa_protocol::ClientEvent),
    /// The payload of an `input_audio_buffer.append`, base64 decoded, any length, in the
    /// session's input format.
    Audio {
        /// The client's id of the event, for errors.
        event_id: Option<&'a str>,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// A frame that is no client event: the codec's reason goes back as an `error` event.
    Malformed(kaiwa_protocol::ParseError),
    /// A result of a job.
    Engine(JobId, EngineEvent),
    /// The time named by `next_timeout` has come.
    Timeout,
}

/// What a session wants done.
pub enum Output {
    /// Send an event to the client.
    Send(kaiwa_protocol::ServerEvent),
    /// Give a job to an engine.
    Run(JobId, EngineCommand),
    /// The job's result is no longer wanted.
    Cancel(JobId),
    /// Close the connection after everything sent so far.
    Close(CloseReason),
}

/// Why a session ends.
pub struct CloseReason {
    /// WebSocket close code.
    pub code: u16,
    /// Reason text.
    pub reason: String,
}
