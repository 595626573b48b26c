use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use reqwest::{Url, header::HeaderValue};

use crate::EngineError;

/// Where a remote engine is, what it is called there, and with which key.
#[derive(Clone)]
pub struct Endpoint {
    base: Url,
    model: String,
    key: Option<Key>,
}

#[derive(Clone)]
struct Key {
    text: String,
    header: HeaderValue,
}

impl Endpoint {
    /// The model named `model` of the server at `url`, the address below which its routes are:
    /// `http://127.0.0.1:11434/v1`. Without a path, `/v1` is meant.
    ///
    /// # Errors
    ///
    /// The address is not one of HTTP or HTTPS, or holds more than host, port and path; the
    /// name is empty.
    pub fn new(url: &str, model: impl Into<String>) -> Result<Self, EngineError> {
        let refuse = |why: &str| {
            Err(EngineError::invalid_input(format_args!(
                "a remote engine's url {why}, as in http://127.0.0.1:8000/v1"
            )))
        };
        // What was given is not repeated: it may hold a password.
        let Ok(mut base) = Url::parse(url) else {
            return refuse("is an address");
        };
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return refuse("begins with http:// or https://");
        }
        let is_plain = base.username().is_empty()
            && base.password().is_none()
            && base.query().is_none()
            && base.fragment().is_none();
        if !is_plain {
            return refuse("has a host, a port and a path and nothing else");
        }
        let path = match base.path().trim_end_matches('/') {
            "" => "/v1".to_owned(),
            path => path.to_owned(),
        };
        base.set_path(&path);
        let model = model.into();
        if model.is_empty() {
            return Err(EngineError::invalid_input(format_args!(
                "the engine at {} has to be asked for a model by name",
                host(&base)
            )));
        }
        Ok(Self {
            base,
            model,
            key: None,
        })
    }

    /// With a key, sent as `Authorization: Bearer KEY`.
    ///
    /// # Errors
    ///
    /// The key is empty or has characters that a header cannot have; or it would cross the
    /// internet unencrypted.
    pub fn with_key(mut self, key: &str) -> Result<Self, EngineError> {
        let key = key.trim();
        let header = HeaderValue::from_str(&format!("Bearer {key}"));
        let (false, Ok(mut header)) = (key.is_empty(), header) else {
            return Err(EngineError::invalid_input(format_args!(
                "the key for {} is empty or has characters that a key cannot have",
                self.host()
            )));
        };
        if self.base.scheme() == "http" && !self.is_private() {
            return Err(EngineError::invalid_input(format_args!(
                "a key for {} would be sent unencrypted: its url has to begin with https://",
                self.host()
            )));
        }
        header.set_sensitive(true);
        self.key = Some(Key {
            text: key.to_owned(),
            header,
        });
        Ok(self)
    }

    /// Whether the server is on this machine or in its own network, where nobody is billed by
    /// the token: a loopback, private or link-local address, or a name that only such a network
    /// knows (`localhost`, one without a dot, below `.local`, `.lan`, `.internal`, `.home.arpa`).
    pub fn is_private(&self) -> bool {
        let host = self.base.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        match host.parse() {
            Ok(IpAddr::V4(address)) => is_private_v4(address),
            Ok(IpAddr::V6(address)) => is_private_v6(address),
            Err(_) => {
                let name = host.trim_end_matches('.');
                !name.contains('.')
                    || [".localhost", ".local", ".lan", ".internal", ".home.arpa"]
                        .iter()
                        .any(|suffix| name.ends_with(suffix))
            }
        }
    }

    /// The model's name there.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Host and port, for sentences.
    pub fn host(&self) -> String {
        host(&self.base)
    }

    /// The address of a route below the base.
    pub(super) fn route(&self, route: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{route}", self.base.path()));
        url
    }

    /// Whether this is the hosted service, or Azure's edition of it.
    pub(super) fn is_hosted(&self) -> bool {
        let host = self.base.host_str().unwrap_or_default();
        host == "api.openai.com" || host.ends_with(".openai.azure.com")
    }

    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        self.key.as_ref().map(|key| key.header.clone())
    }

    pub(super) fn key(&self) -> Option<&str> {
        self.key.as_ref().map(|key| key.text.as_str())
    }
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    // 100.64.0.0/10 is the space of carriers and of overlay networks (RFC 6598).
    let is_shared = matches!(address.octets(), [100, 64..=127, ..]);
    // To connect to the unspecified address is to connect to this machine.
    address.is_loopback()
        || address.is_unspecified()
        || address.is_private()
        || address.is_link_local()
        || is_shared
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    match address.to_ipv4_mapped() {
        Some(address) => is_private_v4(address),
        None => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_unique_local()
                || address.is_unicast_link_local()
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("base", &self.base.as_str())
            .field("model", &self.model)
            .field("key", &self.key.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Endpoint {
        Endpoint::new(url, "m").expect(url)
    }

    #[test]
    fn routes_are_below_the_address() {
        for (url, route) in [
            (
                "http://127.0.0.1:8000/v1",
                "http://127.0.0.1:8000/v1/models",
            ),
            (
                "http://127.0.0.1:8000/v1/",
                "http://127.0.0.1:8000/v1/models",
            ),
            ("http://gpu:8000", "http://gpu:8000/v1/models"),
            (
                "https://a.example/openai/x/",
                "https://a.example/openai/x/models",
            ),
        ] {
            assert_eq!(endpoint(url).route("/models").as_str(), route);
        }
    }

    #[test]
    fn addresses_that_are_none_are_refused_without_repeating_them() {
        for url in [
            "",
            "gpu:8000",
            "ftp://gpu/v1",
            "http://me:secret@gpu/v1",
            "http://gpu/v1?api-key=secret",
            "http://gpu/v1#secret",
            "unix:/run/secret",
        ] {
            let error = Endpoint::new(url, "m").expect_err(url);
            assert!(!error.message().contains("secret"), "{error}");
            assert!(
                error.message().contains("http://127.0.0.1:8000/v1"),
                "{error}"
            );
        }
        let error = Endpoint::new("http://gpu", "").expect_err("no model");
        assert!(error.message().contains("a model by name"), "{error}");
    }

    #[test]
    fn addresses_of_ones_own_network_are_known() {
        for url in [
            "http://localhost:1/v1",
            "http://127.8.8.8/v1",
            "http://10.1.2.3/v1",
            "http://172.31.0.1",
            "http://192.168.0.9",
            "http://169.254.1.1",
            "http://100.100.1.1",
            "http://[::1]:8000",
            "http://[fd00::5]:8000",
            "http://[fe80::5]:8000",
            "http://[::ffff:10.0.0.1]",
            "http://gpu:8000",
            "http://gpu.local.",
            "http://gpu.lan",
        ] {
            assert!(endpoint(url).is_private(), "{url}");
        }
        for url in [
            "https://api.openai.com/v1",
            "http://8.8.8.8",
            "http://172.32.0.1",
            "http://[2001:db8::1]",
            "http://local.example",
            "http://notlocal.com",
        ] {
            assert!(!endpoint(url).is_private(), "{url}");
        }
    }

    #[test]
    fn a_key_is_never_shown_nor_sent_in_the_clear() {
        let with_key = endpoint("https://a.example")
            .with_key(" sesame\n")
            .expect("a key");
        assert_eq!(with_key.key(), Some("sesame"));
        assert!(!format!("{with_key:?}").contains("sesame"));
        for (url, key) in [
            ("http://a.example/v1", "sesame"),
            ("https://a.example/v1", "  "),
            ("https://a.example/v1", "ses\name"),
        ] {
            let error = endpoint(url).with_key(key).expect_err(key);
            assert!(error.message().contains("a.example"), "{error}");
            assert!(!error.message().contains("ame\""), "{error}");
            assert!(!error.message().contains("sesame"), "{error}");
        }
        endpoint("http://gpu:8000")
            .with_key("sesame")
            .expect("one's own network");
    }
}
