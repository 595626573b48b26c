//! Deadlines of a session.

/// Why a session wants to be called again at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// Outputs wait to be taken: `session.created` of a session that was not started, or
    /// what a dropped drain left behind. Due at once.
    Outputs,
    /// The longest time a session may last is over: it says so and closes.
    Expiry,
    /// A sound over the assistant's voice may be an interruption, and the client sends no audio
    /// any more that would tell: it is one.
    Doubt,
    /// An answer was made for a turn that paused and neither ended nor went on: the client
    /// sends no audio any more, and the answer is dropped.
    Held,
    /// Nobody has spoken since the last answer was played (`idle_timeout_ms` of
    /// `server_vad`): the model is asked to speak to the user.
    Idle,
}
