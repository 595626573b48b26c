//! Who is let in.

use std::fmt;

use axum::http::{HeaderMap, HeaderName, header};
use sha2::{Digest as _, Sha256};

/// What is kept of a key: its SHA-256.
pub(crate) type Digest = [u8; 32];

/// Which API keys a server accepts.
#[derive(Clone, Default)]
pub struct Keys(Option<Vec<Digest>>);

impl Keys {
    /// Any key, and no key at all: for a server that only its own machine reaches.
    pub fn any() -> Self {
        Self(None)
    }

    /// The given keys and no other; none at all if there are none.
    ///
    /// Only their SHA-256 digests are kept.
    pub fn only<K: AsRef<str>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self(Some(
            keys.into_iter().map(|key| digest(key.as_ref())).collect(),
        ))
    }

    /// Judges a request by its headers.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(accepted) = &self.0 else {
            return Ok(());
        };
        let offered = digest(offered(headers).ok_or(Refusal::NoKey)?);
        // Digests have one length and are all compared to the end, so the time taken
        // says nothing about the keys.
        let found = accepted.iter().fold(false, |found, key| {
            let difference = key
                .iter()
                .zip(&offered)
                .fold(0, |difference, (a, b)| difference | (a ^ b));
            found | (std::hint::black_box(difference) == 0)
        });
        if found {
            Ok(())
        } else {
            Err(Refusal::WrongKey)
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("any key"),
            Some(keys) => write!(f, "{} keys", keys.len()),
        }
    }
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The key opens sessions and nothing else.
    Ephemeral,
    NoKey,
    WrongKey,
}

/// The digest of a key.
pub(crate) fn digest(key: impl AsRef<[u8]>) -> Digest {
    Sha256::digest(key).into()
}

/// The key a request carries: `Authorization: Bearer`, else `api-key`, else the
/// subprotocol browsers use because they cannot set headers.
pub(crate) fn offered(headers: &HeaderMap) -> Option<&[u8]> {
    const API_KEY: HeaderName = HeaderName::from_static("api-key");
    const IN_SUBPROTOCOL: &[u8] = b"openai-insecure-api-key.";

    if let Some(authorization) = headers.get(header::AUTHORIZATION) {
        let (scheme, key) = authorization.as_bytes().split_at_checked(7)?;
        return scheme
            .eq_ignore_ascii_case(b"bearer ")
            .then(|| key.trim_ascii())
            .filter(|key| !key.is_empty());
    }
    if let Some(key) = headers.get(API_KEY) {
        return Some(key.as_bytes());
    }
    subprotocols(headers).find_map(|element| element.strip_prefix(IN_SUBPROTOCOL))
}

/// The subprotocols a client offers, over all header lines.
pub(crate) fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn the_key_is_found_wherever_clients_put_it() {
        let keys = Keys::only(["sk-1", "sk-2"]);
        type Case = (&'static [(&'static str, &'static str)], Result<(), Refusal>);
        let cases: [Case; 11] = [
            (&[("authorization", "Bearer sk-1")], Ok(())),
            (&[("authorization", "bearer  sk-2")], Ok(())),
            (&[("authorization", "Bearer sk-3")], Err(Refusal::WrongKey)),
            (&[("authorization", "Bearer sk-")], Err(Refusal::WrongKey)),
            (&[("authorization", "Bearer ")], Err(Refusal::NoKey)),
            (&[("authorization", "Basic sk-1")], Err(Refusal::NoKey)),
            (&[("api-key", "sk-1")], Ok(())),
            (&[("api-key", "sk-11")], Err(Refusal::WrongKey)),
            (
                &[(
                    "sec-websocket-protocol",
                    "realtime, openai-insecure-api-key.sk-2",
                )],
                Ok(()),
            ),
            (
                &[("sec-websocket-protocol", "realtime")],
                Err(Refusal::NoKey),
            ),
            (&[], Err(Refusal::NoKey)),
        ];
        for (lines, expected) in cases {
            assert_eq!(keys.check(&headers(lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn any_key_means_also_none() {
        assert_eq!(Keys::any().check(&headers(&[])), Ok(()));
        assert_eq!(
            Keys::any().check(&headers(&[("authorization", "nonsense")])),
            Ok(())
        );
    }

    #[test]
    fn no_keys_means_nobody() {
        assert_eq!(
            Keys::only::<&str>([]).check(&headers(&[("api-key", "sk-1")])),
            Err(Refusal::WrongKey)
        );
    }

    #[test]
    fn debug_output_shows_no_key() {
        assert_eq!(format!("{:?}", Keys::only(["sk-1"])), "1 keys");
    }
}
