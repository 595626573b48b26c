//! Ephemeral keys: made by who holds a key, given to who should not, good for sessions only.

use std::{
    collections::HashMap,
    fmt::Write,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kaiwa_protocol::{Dialect, Session};
use tokio::time::Instant;

use crate::auth::{self, Digest};

/// Secrets that may be valid at once. Each keeps the request it was made from.
const MOST: usize = 1000;

/// Random bytes of a secret or an id.
const RANDOM: usize = 16;

/// What a secret is bound to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bound {
    /// The dialect of the sessions it opens.
    pub(crate) dialect: Dialect,
    /// What they begin with.
    pub(crate) session: Session,
}

/// The secrets of a server, each bound to something. Only their digests are kept.
pub(crate) struct Secrets<B = Bound>(Mutex<HashMap<Digest, Entry<B>>>);

struct Entry<B> {
    expires: Instant,
    bound: Arc<B>,
}

impl<B> Default for Secrets<B> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// As many secrets as allowed are valid.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl<B> Secrets<B> {
    /// Makes a secret that is good for `lifetime` from `now` on.
    pub(crate) fn issue(&self, bound: B, lifetime: Duration, now: Instant) -> Result<String, Full> {
        let mut secrets = self.secrets();
        secrets.retain(|_, entry| now < entry.expires);
        if secrets.len() >= MOST {
            return Err(Full);
        }
        let secret = random_id("ek_");
        secrets.insert(
            auth::digest(&secret),
            Entry {
                expires: now + lifetime,
                bound: Arc::new(bound),
            },
        );
        Ok(secret)
    }

    /// What a key is bound to, if it is a secret that is valid `now`.
    ///
    /// Found by digest: the time this takes says nothing about the secrets.
    pub(crate) fn bound(&self, key: &[u8], now: Instant) -> Option<Arc<B>> {
        let secrets = self.secrets();
        let entry = secrets.get(&auth::digest(key))?;
        (now < entry.expires).then(|| Arc::clone(&entry.bound))
    }

    fn secrets(&self) -> MutexGuard<'_, HashMap<Digest, Entry<B>>> {
        // Valid at every step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A prefix and 32 hexadecimal digits that nobody can guess, which every client can put into a
/// header or a subprotocol.
pub(crate) fn random_id(prefix: &str) -> String {
    let mut random = [0; RANDOM];
    getrandom::fill(&mut random).expect("the operating system gives random bytes");
    let mut text = prefix.to_owned();
    for byte in random {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn bound(model: &str) -> Bound {
        let session = kaiwa_protocol::RealtimeSession {
            model: model.into(),
            ..Default::default()
        };
        Bound {
            dialect: Dialect::default(),
            session: session.into(),
        }
    }

    #[test]
    fn a_secret_is_good_until_it_expires() {
        let secrets = Secrets::default();
        let now = Instant::now();
        let secret = secrets.issue(bound("a"), MINUTE, now).unwrap();
        let other = secrets.issue(bound("b"), 2 * MINUTE, now).unwrap();
        assert_ne!(secret, other);
        assert!(secret.starts_with("ek_") && secret.len() == 35, "{secret}");
        let last = now + MINUTE - Duration::from_millis(1);
        let found = secrets.bound(secret.as_bytes(), last).unwrap();
        assert_eq!(*found, bound("a"));
        assert_eq!(secrets.bound(secret.as_bytes(), now + MINUTE), None);
        assert!(secrets.bound(other.as_bytes(), now + MINUTE).is_some());
        assert_eq!(secrets.bound(b"ek_", now), None);
    }

    #[test]
    fn their_number_is_bounded_and_expired_ones_make_room() {
        let secrets = Secrets::default();
        let now = Instant::now();
        for _ in 0..MOST {
            secrets.issue(bound("a"), MINUTE, now).unwrap();
        }
        assert_eq!(secrets.issue(bound("a"), MINUTE, now), Err(Full));
        let later = now + MINUTE;
        let secret = secrets.issue(bound("b"), MINUTE, later).unwrap();
        assert!(secrets.bound(secret.as_bytes(), later).is_some());
        assert_eq!(secrets.secrets().len(), 1);
    }
}
