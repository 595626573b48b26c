//! Who is let in.

use std::{fmt, net::IpAddr};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header, uri::Authority};
use sha2::{Digest as _, Sha256};

/// What is kept of a key: its SHA-256.
pub(crate) type Digest = [u8; 32];

/// Which API keys a server accepts.
#[derive(Clone, Default)]
pub struct Keys(Option<Vec<Digest>>);

impl Keys {
    /// Any key, and no key at all: for a server that only its own machine reaches.
    ///
    /// Browsers on that machine reach it on behalf of any website. Requests whose `Origin`
    /// is neither on the machine nor on the host they are sent to are therefore refused.
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
            return if of_foreign_website(headers) {
                Err(Refusal::ForeignOrigin)
            } else {
                Ok(())
            };
        };
        let offered = digest(offered(headers).ok_or(Refusal::NoKey)?);
        // All are compared, so the time taken says nothing about the keys.
        let found = accepted
            .iter()
            .fold(false, |found, key| found | is_same(key, &offered));
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
    /// A website of another host asks, and no key says that it may.
    ForeignOrigin,
    NoKey,
    WrongKey,
}

/// The digest of a key.
pub(crate) fn digest(key: impl AsRef<[u8]>) -> Digest {
    Sha256::digest(key).into()
}

/// Whether two digests are the same, which takes as long where they are not.
pub(crate) fn is_same(a: &Digest, b: &Digest) -> bool {
    let difference = a
        .iter()
        .zip(b)
        .fold(0, |difference, (a, b)| difference | (a ^ b));
    std::hint::black_box(difference) == 0
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

/// Whether a browser sends the request for a website that is neither on this machine nor at the
/// address the request is for. Programs send no `Origin`.
///
/// A website with the same name as the host proves nothing: its owner may have let the name
/// point to this machine after the page was loaded (DNS rebinding).
fn of_foreign_website(headers: &HeaderMap) -> bool {
    let asked = headers
        .get(header::HOST)
        .and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let is_at_home = |origin: &HeaderValue| {
        // `null` has no scheme, hence no host of a website.
        let origin = Uri::try_from(origin.as_bytes()).ok();
        let origin = origin.filter(|origin| origin.scheme().is_some());
        origin.as_ref().and_then(Uri::host).is_some_and(|host| {
            let asked = asked.as_ref().map(Authority::host);
            let is_asked = asked.is_some_and(|asked| asked.eq_ignore_ascii_case(host));
            is_loopback(host) || (is_asked && address(host).is_some())
        })
    };
    !headers.get_all(header::ORIGIN).iter().all(is_at_home)
}

/// Whether a host of a URL, in which IPv6 has brackets, is this machine.
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || address(host).is_some_and(|ip| ip.is_loopback())
}

/// The address that a host of a URL is written as.
fn address(host: &str) -> Option<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
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
    fn any_key_is_not_for_foreign_websites() {
        let cases = [
            (None, true),
            (Some("http://localhost:3000"), true),
            (Some("https://LOCALHOST"), true),
            (Some("http://127.0.0.1:8080"), true),
            (Some("http://127.1.2.3"), true),
            (Some("http://[::1]:5173"), true),
            (Some("http://192.168.0.9:3000"), true),
            (Some("http://kaiwa.lan"), false),
            (Some("https://example.com"), false),
            (Some("http://localhost.example.com"), false),
            (Some("http://127.0.0.1.example.com"), false),
            (Some("http://localhost@example.com"), false),
            (Some("http://[::2]"), false),
            (Some("http://192.168.0.2"), false),
            (Some("null"), false),
            (Some("localhost"), false),
            (Some("file://"), false),
            (Some(""), false),
        ];
        for (origin, accepted) in cases {
            let mut headers = headers(&[("host", "192.168.0.9:8080")]);
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            let expected = if accepted {
                Ok(())
            } else {
                Err(Refusal::ForeignOrigin)
            };
            assert_eq!(Keys::any().check(&headers), expected, "{origin:?}");
            headers.insert("api-key", HeaderValue::from_static("sk-1"));
            assert_eq!(Keys::only(["sk-1"]).check(&headers), Ok(()), "{origin:?}");
        }
    }

    #[test]
    fn a_name_may_have_been_pointed_here_by_the_website_that_has_it() {
        let rebound = headers(&[
            ("host", "evil.example:8080"),
            ("origin", "http://evil.example:8080"),
        ]);
        assert_eq!(Keys::any().check(&rebound), Err(Refusal::ForeignOrigin));
    }

    #[test]
    fn one_foreign_origin_among_several_counts() {
        let mut headers = headers(&[("origin", "http://localhost")]);
        headers.append(
            header::ORIGIN,
            HeaderValue::from_static("https://example.com"),
        );
        assert_eq!(Keys::any().check(&headers), Err(Refusal::ForeignOrigin));
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
