//! Whether, when and how a lost connection is made again.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::time::Duration;

use kaiwa_protocol::ErrorDetail;

use crate::endpoint::Endpoint;
use crate::link::{Link, LinkError};

/// The wait before the first attempt, at most: a server that restarts drops all its clients at
/// once, and they should not all come back at once.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait between attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// How long a connection may be away before the conversation ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection in the making.
pub type Dialing = Pin<Box<dyn Future<Output = Result<Link, LinkError>> + Send>>;

/// How a conversation gets another connection when it has lost one.
///
/// Attempts are made after 0.25, 0.5, 1, 2, 4 and then every 8 s, each wait shortened by up to
/// half at random, until a minute has passed.
pub struct Reconnect {
    dial: Box<dyn FnMut() -> Dialing + Send>,
    patience: Duration,
    /// State of the generator that shortens the waits.
    seed: u64,
}

impl Reconnect {
    /// Connections are made by `dial`, each to the same server with the same key.
    #[must_use]
    pub fn new(dial: impl FnMut() -> Dialing + Send + 'static) -> Self {
        Self {
            dial: Box::new(dial),
            patience: PATIENCE,
            // The one source of randomness of the standard library.
            seed: RandomState::new().hash_one(0),
        }
    }

    /// Connects to `endpoint` anew.
    #[must_use]
    pub fn to(endpoint: Endpoint) -> Self {
        Self::new(move || {
            let endpoint = endpoint.clone();
            Box::pin(async move { Link::connect(&endpoint).await })
        })
    }

    /// Gives up after `patience`; by default after 60 s.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Shortens the waits by what follows from `seed`, the same each time.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How long a connection may be away.
    pub(super) fn most_patience(&self) -> Duration {
        self.patience
    }

    /// Makes another connection.
    pub(super) fn dial(&mut self) -> Dialing {
        (self.dial)()
    }

    /// How long to wait before attempt `attempt`, counted from 1.
    pub(super) fn wait(&mut self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(16);
        let most = (FIRST_WAIT * (1 << doublings)).min(LONGEST_WAIT);
        // SplitMix64 (Steele, Lea and Flood, 2014), the top 16 bits.
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.seed;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let share = ((bits ^ (bits >> 31)) >> 48) as u32;
        most / 2 + most / 2 * share / (1 << 16)
    }
}

impl std::fmt::Debug for Reconnect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reconnect")
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

/// Whether a server that closed the connection with this code may take another one.
///
/// 1000 was meant; 1002, 1003, 1007 to 1010 and the codes of applications (3000 a key that was
/// refused, 4000 a dialect that was) would follow again.
pub(super) fn is_passing_close(code: Option<u16>) -> bool {
    match code {
        // Nothing was said, as when a proxy goes away.
        None => true,
        // Going away; no code; broken off; a fault; a restart; overload; a bad gateway; TLS.
        Some(code) => matches!(code, 1001 | 1005 | 1006 | 1011..=1015),
    }
}

/// Whether another attempt may go better than one that failed so.
pub(super) fn is_passing(error: &LinkError) -> bool {
    match error {
        LinkError::Backlog(_)
        | LinkError::HandshakeTimeout { .. }
        | LinkError::Lost(_)
        // A proxy whose server is away, or a network that asks for a login.
        | LinkError::NotWebSocket { .. }
        | LinkError::RateLimited { .. }
        | LinkError::Unreachable { .. } => true,
        LinkError::Http { status, .. } => *status >= 500,
        LinkError::InvalidHeader { .. }
        | LinkError::InvalidUrl { .. }
        | LinkError::NotFound { .. }
        | LinkError::NotInDialect { .. }
        | LinkError::Tls { .. }
        | LinkError::Unauthorized { .. } => false,
    }
}

/// Whether a session that could not be opened for this error may be opened later.
pub(super) fn is_passing_fault(error: &ErrorDetail) -> bool {
    let code = error.code.as_deref();
    error.kind == "server_error" || code == Some("rate_limit_exceeded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_eight_seconds_and_differ() {
        let never = || Reconnect::new(|| Box::pin(std::future::pending()));
        let waits = |seed| -> Vec<u128> {
            let mut reconnect = never().seed(seed);
            (1..=8).map(|n| reconnect.wait(n).as_millis()).collect()
        };
        for seed in 0..100 {
            let most = [250, 500, 1000, 2000, 4000, 8000, 8000, 8000];
            for (wait, most) in waits(seed).into_iter().zip(most) {
                assert!((most / 2..=most).contains(&wait), "{wait} of {most} ms");
            }
        }
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
        assert!(never().wait(u32::MAX) <= LONGEST_WAIT);
    }
}
