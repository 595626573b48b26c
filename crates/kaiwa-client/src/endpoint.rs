//! Where a Realtime server is, and what opens it.

use kaiwa_protocol::Dialect;
use tokio_tungstenite::Connector;
use tokio_tungstenite::tungstenite::http::Request;

use crate::link::{self, LinkError};
use crate::profile::Profile;

/// A Realtime server: its address, its key and the model asked for.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Endpoint {
    /// A base such as `https://api.openai.com/v1` or `ws://127.0.0.1:8080/v1`, with or
    /// without `/realtime`, with or without a query.
    pub url: String,
    /// The API key, sent as a bearer token (as `api-key` to Azure).
    pub key: Option<String>,
    /// The environment variable the key came from, for messages about a wrong key.
    pub key_env: Option<String>,
    /// The model, unless the URL's query names one.
    pub model: Option<String>,
    /// Further headers of the handshake, name and value.
    pub headers: Vec<(String, String)>,
    /// How the server wants to be spoken to.
    pub profile: Profile,
}

impl Endpoint {
    /// The server at `url`, with no key and no model.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ..Self::default()
        }
    }

    /// The host of the address, which decides what models cost; `None` where the address is
    /// not valid.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        self.target().ok().map(|target| target.host)
    }

    /// The model that is asked for: by the URL's query, or else by name.
    #[must_use]
    pub fn asked_model(&self) -> Option<String> {
        let query = self.url.split_once('?').map_or("", |(_, query)| query);
        let query = query.split('#').next().unwrap_or_default();
        let named = query.split('&').find_map(|pair| {
            let (name, model) = pair.split_once('=')?;
            matches!(name, "model" | "deployment").then(|| model.to_owned())
        });
        named.or_else(|| self.model.clone())
    }

    /// Where a connection goes.
    ///
    /// # Errors
    ///
    /// When the address is not valid.
    pub fn address(&self) -> Result<Address, LinkError> {
        let Target {
            host, port, tls, ..
        } = self.target()?;
        Ok(Address { host, port, tls })
    }

    /// What [`Link`](crate::Link) opens a connection with, for whoever passes frames on without
    /// reading them: the request of the handshake, and TLS or none.
    ///
    /// # Errors
    ///
    /// When the address or a header is not valid.
    pub fn handshake(&self) -> Result<(Request<()>, Connector), LinkError> {
        let target = self.target()?;
        let connector = match target.tls {
            true => Connector::Rustls(link::tls::config()),
            false => Connector::Plain,
        };
        Ok((link::request(self, &target)?, connector))
    }

    /// Works out what to connect to and what to ask for.
    pub(crate) fn target(&self) -> Result<Target, LinkError> {
        let invalid = |reason| LinkError::InvalidUrl {
            url: self.url.clone(),
            reason,
        };
        let url = self.url.trim();
        let (scheme, rest) = url.split_once("://").ok_or_else(|| {
            invalid("it needs a scheme, as in wss://api.openai.com/v1 or ws://127.0.0.1:8080/v1")
        })?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "wss" | "https" => true,
            "ws" | "http" => false,
            _ => return Err(invalid("its scheme must be ws, wss, http or https")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = match place.find('/') {
            Some(slash) => place.split_at(slash),
            None => (place, ""),
        };
        if authority.contains('@') {
            return Err(invalid(
                "a user name does not belong in it; the key goes into a header",
            ));
        }
        let (host, port) =
            split_authority(authority).ok_or_else(|| invalid("its host or port is not valid"))?;
        let azure = match self.profile {
            Profile::Azure => true,
            Profile::Auto => AZURE.iter().any(|domain| host.ends_with(domain)),
            Profile::Beta | Profile::OpenAi => false,
        };
        let named = |name: &str| query.split('&').any(|pair| pair.starts_with(name));
        let versioned = azure && named("api-version=");
        let path = match path.trim_end_matches('/') {
            "" if versioned => "/openai/realtime".to_owned(),
            "" if azure => "/openai/v1/realtime".to_owned(),
            "" => "/v1/realtime".to_owned(),
            path if path.ends_with("/realtime") => path.to_owned(),
            path => format!("{path}/realtime"),
        };
        let key = if versioned { "deployment=" } else { "model=" };
        let model = self.model.as_ref().filter(|_| !named(key));
        let mut query = query.to_owned();
        if let Some(model) = model {
            if !query.is_empty() {
                query.push('&');
            }
            query.push_str(key);
            percent_encode(model, &mut query);
        }
        if !query.is_empty() {
            query.insert(0, '?');
        }
        Ok(Target {
            uri: format!(
                "{}://{authority}{path}{query}",
                if tls { "wss" } else { "ws" }
            ),
            port: port.unwrap_or(if tls { 443 } else { 80 }),
            dialect: if versioned || self.profile == Profile::Beta {
                Dialect::Beta
            } else {
                Dialect::Ga
            },
            asks_for_beta: self.profile == Profile::Beta,
            adapts: self.profile == Profile::Auto,
            azure,
            host,
            tls,
        })
    }
}

impl std::fmt::Debug for Endpoint {
    /// Leaves the secrets out: logs are read by people.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("url", &self.url)
            .field("key", &self.key.as_ref().map(|_| "(hidden)"))
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

/// Where an endpoint's connection goes.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Address {
    /// The host, without the brackets of IPv6.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether it is encrypted.
    pub tls: bool,
}

/// An endpoint, worked out.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Target {
    /// What the handshake asks for.
    pub(crate) uri: String,
    /// The host, without the brackets of IPv6.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
    /// Whether the key goes into Azure's header.
    pub(crate) azure: bool,
    /// What to speak first.
    pub(crate) dialect: Dialect,
    /// Whether the handshake asks for the beta dialect.
    pub(crate) asks_for_beta: bool,
    /// Whether to take to the dialect that the server turns out to speak.
    pub(crate) adapts: bool,
}

/// The domains of Azure's servers.
const AZURE: &[&str] = &[".openai.azure.com", ".cognitiveservices.azure.com"];

/// Splits `host:port`, `[v6]:port`, `host`.
fn split_authority(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        match after.strip_prefix(':') {
            None if !after.is_empty() => return None,
            port => (host, port),
        }
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
    if host.is_empty() || !host.chars().all(legal) {
        return None;
    }
    let port = match port {
        Some(port) => Some(port.parse().ok()?),
        None => None,
    };
    Some((host.to_ascii_lowercase(), port))
}

/// Appends `text` as a query value: all but RFC 3986's unreserved characters escaped.
fn percent_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str, model: Option<&str>) -> Target {
        Endpoint {
            model: model.map(str::to_owned),
            ..Endpoint::new(url)
        }
        .target()
        .expect("a valid URL")
    }

    #[test]
    fn bases_of_every_kind_lead_to_the_realtime_path() {
        for (url, model, uri) in [
            (
                "https://api.openai.com/v1",
                Some("gpt-realtime"),
                "wss://api.openai.com/v1/realtime?model=gpt-realtime",
            ),
            (
                "wss://api.openai.com/v1/",
                None,
                "wss://api.openai.com/v1/realtime",
            ),
            (
                "ws://127.0.0.1:8080",
                None,
                "ws://127.0.0.1:8080/v1/realtime",
            ),
            (
                "http://localhost:8080/v1/realtime",
                Some("a b"),
                "ws://localhost:8080/v1/realtime?model=a%20b",
            ),
            (
                "ws://h/v1/realtime?model=x",
                Some("y"),
                "ws://h/v1/realtime?model=x",
            ),
            (
                "ws://h/v1?x=1#top",
                Some("y"),
                "ws://h/v1/realtime?x=1&model=y",
            ),
            ("ws://[::1]:9/v1", None, "ws://[::1]:9/v1/realtime"),
            ("WSS://H/V1", None, "wss://H/V1/realtime"),
        ] {
            assert_eq!(target(url, model).uri, uri, "{url}");
        }
    }

    #[test]
    fn hosts_ports_and_azure_are_recognised() {
        let azure = target("https://me.openai.azure.com/openai/v1", None);
        assert!(azure.azure && azure.tls);
        assert_eq!(azure.port, 443);
        let local = target("ws://[::1]:9/v1", None);
        assert_eq!(
            (local.host.as_str(), local.port, local.tls),
            ("::1", 9, false)
        );
        assert_eq!(target("ws://h", None).port, 80);
        assert!(!target("https://openai.azure.com.evil.org", None).azure);
    }

    #[test]
    fn a_profile_decides_over_query_and_dialect() {
        let target = |url: &str, profile| {
            let endpoint = Endpoint {
                model: Some("m".to_owned()),
                profile,
                ..Endpoint::new(url)
            };
            let target = endpoint.target().expect("a valid URL");
            (target.uri, target.dialect, target.asks_for_beta)
        };
        let versioned =
            "https://me.openai.azure.com/openai/realtime?api-version=2025-04-01-preview";
        for (url, profile, uri, dialect, asks_for_beta) in [
            (
                "https://me.openai.azure.com",
                Profile::Auto,
                "wss://me.openai.azure.com/openai/v1/realtime?model=m",
                Dialect::Ga,
                false,
            ),
            (
                versioned,
                Profile::Auto,
                "wss://me.openai.azure.com/openai/realtime?api-version=2025-04-01-preview&deployment=m",
                Dialect::Beta,
                false,
            ),
            (
                "wss://proxy.example/?api-version=1",
                Profile::Azure,
                "wss://proxy.example/openai/realtime?api-version=1&deployment=m",
                Dialect::Beta,
                false,
            ),
            (
                "wss://api.openai.com/v1",
                Profile::Beta,
                "wss://api.openai.com/v1/realtime?model=m",
                Dialect::Beta,
                true,
            ),
            (
                "wss://me.openai.azure.com/v1",
                Profile::OpenAi,
                "wss://me.openai.azure.com/v1/realtime?model=m",
                Dialect::Ga,
                false,
            ),
        ] {
            assert_eq!(
                target(url, profile),
                (uri.to_owned(), dialect, asks_for_beta),
                "{url}"
            );
        }
    }

    #[test]
    fn what_is_not_a_url_is_refused_with_a_reason() {
        for url in [
            "",
            "api.openai.com",
            "ftp://h",
            "ws://",
            "ws://h:99999",
            "ws://h:x",
            "ws://me@h",
            "ws://a b",
            "ws://[::1",
            "ws://[::1]9",
        ] {
            let error = Endpoint::new(url).target().expect_err(url);
            assert!(
                matches!(error, LinkError::InvalidUrl { .. }),
                "{url}: {error}"
            );
        }
    }

    #[test]
    fn the_key_stays_out_of_logs() {
        let endpoint = Endpoint {
            key: Some("sk-secret".to_owned()),
            ..Endpoint::new("ws://h")
        };
        assert!(!format!("{endpoint:?}").contains("secret"));
    }
}
