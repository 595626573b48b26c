//! Every frame of a session, for whoever wants to keep them.

use std::sync::Arc;

use kaiwa_protocol::Dialect;

/// Asked once for each session, when it begins; what it returns hears the session's frames
/// and is dropped when the session has ended.
pub type EventObserver = Arc<dyn Fn(&SessionLabel) -> FrameObserver + Send + Sync>;

/// Hears the text frames of one session in their order, on the session's task: it must not
/// block for long.
///
/// Frames are given as they travel, audio included. A frame for the client is heard when it
/// is queued, a client's frame before it is acted upon, whether or not it is an event.
pub type FrameObserver = Box<dyn FnMut(Direction, &str) + Send>;

/// What tells a session from others.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionLabel {
    /// Number of the session, unique in the process.
    pub number: u64,
    /// The dialect its frames are in.
    pub dialect: Dialect,
}

/// Which way a frame travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server.
    FromClient,
    /// From the server to the client.
    ToClient,
}
