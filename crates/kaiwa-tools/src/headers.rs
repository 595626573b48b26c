//! Headers that come from a client.

use std::collections::HashMap;

use reqwest::header::{HeaderName, HeaderValue};

use crate::Error;

/// Headers that belong to the connection, to the body or to the protocol, none of which is a
/// client's. Those that begin with `mcp-` are the protocol's too.
const OURS: &[&str] = &[
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "last-event-id",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Checks headers. Of several of a name, the last counts.
pub(crate) fn checked(
    headers: &[(String, String)],
) -> Result<HashMap<HeaderName, HeaderValue>, Error> {
    headers
        .iter()
        .map(|(name, value)| {
            let refused = |reason: &str| Error::Header {
                name: name.clone(),
                reason: reason.to_owned(),
            };
            let header = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| refused("this is not the name of a header"))?;
            if OURS.contains(&header.as_str()) || header.as_str().starts_with("mcp-") {
                return Err(refused("it is set by the server itself"));
            }
            let mut value = HeaderValue::from_str(value)
                .map_err(|_| refused("its value has characters that headers cannot have"))?;
            value.set_sensitive(true);
            Ok((header, value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(name: &str, value: &str) -> String {
        checked(&[(name.to_owned(), value.to_owned())])
            .expect_err(name)
            .to_string()
    }

    #[test]
    fn names_and_values_that_are_none_are_refused() {
        assert_eq!(
            refusal("X Key", "1"),
            r#"The header "X Key" cannot be sent to an MCP server: this is not the name of a header."#
        );
        assert!(refusal("", "1").contains("not the name of a header"));
        assert!(refusal("x\r\nhost", "1").contains("not the name of a header"));
        let split = refusal("X-Key", "secret\r\nHost: evil");
        assert!(
            split.contains("characters that headers cannot have"),
            "{split}"
        );
        assert!(!split.contains("secret"), "{split}");
    }

    #[test]
    fn headers_of_the_connection_and_the_protocol_are_refused() {
        for name in ["Host", "TRANSFER-ENCODING", "Connection", "Mcp-Session-Id"] {
            assert!(
                refusal(name, "1").contains("set by the server itself"),
                "{name}"
            );
        }
    }

    #[test]
    fn the_last_of_a_name_counts() {
        let pairs = [("X-Key", "1"), ("x-key", "2")].map(|(a, b)| (a.into(), b.into()));
        let headers = checked(&pairs).expect("both are fine");
        assert_eq!(headers.len(), 1);
        assert_eq!(headers[&HeaderName::from_static("x-key")], "2");
    }
}
