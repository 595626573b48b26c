//! Deadlines of a session.

/// Why a session wants to be called again at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The longest time a session may last is over: it says so and closes.
    Expiry,
    /// Nobody has spoken since the last answer was played (`idle_timeout_ms` of
    /// `server_vad`): the model is asked to speak to the user.
    Idle,
}
