use std::time::Duration;

/// What a remote engine may take, in time and tries. The bounds of sizes are fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a connection may take to come about. Default: 5 s.
    pub connect: Duration,
    /// How long the server may say nothing: before the first byte of its answer, and between
    /// two pieces. Default: 30 s.
    pub silence: Duration,
    /// How often a request is made at most. Default: 3.
    pub attempts: u32,
    /// The pause before the second attempt, which doubles with each further one. Default: 250
    /// ms.
    pub pause: Duration,
    /// The longest pause a server may ask for (`Retry-After`); if it wants a longer one, the
    /// request has failed. Default: 5 s.
    pub longest_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            silence: Duration::from_secs(30),
            attempts: 3,
            pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(5),
        }
    }
}
