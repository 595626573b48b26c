//! Which servers may be contacted.

use std::{fmt, str::FromStr, sync::Arc};

use reqwest::Url;

use crate::Error;

/// The MCP servers that may be contacted; none by default.
///
/// Made of [`AllowedServer`]s. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    servers: Arc<[AllowedServer]>,
}

/// A URL that MCP servers may be contacted below.
///
/// Scheme, host and port must be the same, and the segments of its path must begin the other's:
/// `https://example.com/mcp` allows `https://example.com/mcp/tools?key=1`, and neither
/// `https://example.com/mcp2`, nor `http://example.com/mcp`, nor `https://example.com:444/mcp`.
/// Hosts are compared as they are written: `localhost` is not `127.0.0.1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedServer {
    url: Url,
}

impl Allowed {
    /// This URL and no other, whatever its query.
    ///
    /// # Errors
    ///
    /// [`Error::Url`] for what names no server over HTTP.
    pub fn only(text: &str) -> Result<Self, Error> {
        let url = http_url(text).map_err(|reason| Error::Url { reason })?;
        Ok([AllowedServer { url }].into_iter().collect())
    }

    /// The URL to contact.
    ///
    /// # Errors
    ///
    /// [`Error::Url`] for what names no server over HTTP, [`Error::NotAllowed`] for a server
    /// that is not below any of the URLs.
    pub(crate) fn check(&self, text: &str) -> Result<Url, Error> {
        let url = http_url(text).map_err(|reason| Error::Url { reason })?;
        if self.servers.iter().any(|server| server.covers(&url)) {
            return Ok(url);
        }
        Err(Error::NotAllowed {
            url: shown(&url).to_string(),
        })
    }
}

impl FromIterator<AllowedServer> for Allowed {
    fn from_iter<I: IntoIterator<Item = AllowedServer>>(servers: I) -> Self {
        Self {
            servers: servers.into_iter().collect(),
        }
    }
}

impl AllowedServer {
    fn covers(&self, url: &Url) -> bool {
        // `http_url` has seen to it that both have a host and no user.
        self.url.scheme() == url.scheme()
            && self.url.host() == url.host()
            && self.url.port_or_known_default() == url.port_or_known_default()
            && begins(segments(url), segments(&self.url))
    }
}

impl FromStr for AllowedServer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let url = http_url(text).map_err(|reason| Error::Url { reason })?;
        if url.query().is_some() || url.fragment().is_some() {
            let reason = "it has a query or a fragment, which have no part in the comparison";
            return Err(Error::Url {
                reason: reason.into(),
            });
        }
        Ok(Self { url })
    }
}

impl fmt::Display for AllowedServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

/// The URL without what may be secret in it.
pub(crate) fn shown(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// A URL of a server, or what keeps it from being one.
fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("its scheme is {}, not http or https", url.scheme()));
    }
    if url.host().is_none() {
        return Err("it names no host".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it names a user or a password, which belong in a header".into());
    }
    // Some servers take these for separators, and would leave the path that was compared.
    let path = url.path().to_ascii_lowercase();
    if path.contains("%2f") || path.contains("%5c") {
        return Err("its path has an encoded slash or backslash".into());
    }
    // `..;x` is `..` to some: what follows the semicolon is a parameter of the segment. Without
    // one, dots were resolved by the parser.
    let climbs = |segment: &str| segment.replace("%2e", ".").starts_with("..;");
    if path.split('/').any(climbs) {
        return Err("its path has a segment that climbs".into());
    }
    Ok(url)
}

fn segments(url: &Url) -> impl Iterator<Item = &str> {
    url.path().split('/').filter(|segment| !segment.is_empty())
}

fn begins<'a>(
    mut whole: impl Iterator<Item = &'a str>,
    mut prefix: impl Iterator<Item = &'a str>,
) -> bool {
    prefix.all(|segment| whole.next() == Some(segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(entry: &str, url: &str) -> bool {
        let allowed: Allowed = [entry.parse().expect(entry)].into_iter().collect();
        allowed.check(url).is_ok()
    }

    #[test]
    fn nothing_is_allowed_by_default() {
        let error = Allowed::default()
            .check("http://127.0.0.1:9000/mcp?key=secret")
            .expect_err("nothing is allowed");
        assert_eq!(
            error.to_string(),
            "The MCP server http://127.0.0.1:9000/mcp is not allowed here: start the server with \
             --mcp-allow http://127.0.0.1:9000/mcp."
        );
    }

    #[test]
    fn scheme_host_and_port_are_compared_exactly_and_the_path_by_segments() {
        let entry = "https://example.com/mcp";
        for url in [
            "https://example.com/mcp",
            "https://example.com/mcp/",
            "https://example.com/mcp/tools?key=1#top",
            "https://EXAMPLE.com:443//mcp",
        ] {
            assert!(allows(entry, url), "{url}");
        }
        for url in [
            "http://example.com/mcp",
            "https://example.com:444/mcp",
            "https://example.com/mcp2",
            "https://example.com/",
            "https://example.com/mcp/../admin",
            "https://example.com/mcp/%2e%2e/admin",
            "https://example.com/mcp/..%2Fadmin",
            "https://example.com/mcp/..%5cadmin",
            "https://example.com/mcp/..;/admin",
            "https://example.com/mcp/%2E.;a=b/admin",
            "https://example.com.evil/mcp",
            "https://sub.example.com/mcp",
            "https://example.com@evil/mcp",
            "https://user@example.com/mcp",
            "https://:password@example.com/mcp",
            "https://evil\\@example.com/mcp",
            "ftp://example.com/mcp",
            "example.com/mcp",
            "",
        ] {
            assert!(!allows(entry, url), "{url}");
        }
    }

    #[test]
    fn a_url_that_is_named_is_allowed_with_its_query_and_no_other() {
        let allowed = Allowed::only("https://example.com/mcp?key=1").expect("a URL");
        assert!(allowed.check("https://example.com/mcp?key=1").is_ok());
        assert!(allowed.check("https://example.com/other?key=1").is_err());
        assert!(Allowed::only("npx server").is_err());
    }

    #[test]
    fn an_entry_without_a_path_allows_the_whole_host() {
        for entry in ["http://127.0.0.1:9000", "http://127.0.0.1:9000/"] {
            assert!(allows(entry, "http://127.0.0.1:9000/any/where"), "{entry}");
            assert!(!allows(entry, "http://127.0.0.1/any/where"), "{entry}");
            assert!(!allows(entry, "http://localhost:9000/"), "{entry}");
        }
        // However the address is written.
        assert!(allows("http://127.0.0.1:9000", "http://0x7f.1:9000/"));
        assert!(allows("http://[::1]:9000", "http://[0:0::1]:9000/"));
    }

    #[test]
    fn an_entry_that_is_no_servers_url_is_refused_with_the_reason() {
        for (entry, reason) in [
            (
                "localhost:9000",
                "its scheme is localhost, not http or https",
            ),
            ("/mcp", "relative URL without a base"),
            ("http://", "empty host"),
            (
                "http://user:password@example.com",
                "it names a user or a password, which belong in a header",
            ),
            (
                "http://example.com/?a=b",
                "it has a query or a fragment, which have no part in the comparison",
            ),
        ] {
            let error = entry.parse::<AllowedServer>().expect_err(entry);
            assert_eq!(
                error.to_string(),
                format!("This is not the URL of an MCP server: {reason}.")
            );
        }
    }
}
