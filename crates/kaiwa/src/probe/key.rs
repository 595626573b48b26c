//! The server's key: whom it is sent to, and that nobody reads it in a report.

use std::net::{IpAddr, Ipv4Addr};

use kaiwa_client::Endpoint;
use serde_json::{Map, Value};

use crate::exit::{Code, Exit};

/// What stands where a secret stood.
const HIDDEN: &str = "(the key)";
/// A shorter key is none: servers without keys are given such words.
const SHORTEST: usize = 6;
/// So many of a secret's first characters are hidden, too: some texts come cut off.
const TELLING: usize = 12;
/// Values in the query of an address that are secrets.
const SECRET_VALUES: [&str; 8] = [
    "access_token",
    "api-key",
    "api_key",
    "apikey",
    "key",
    "secret",
    "subscription-key",
    "token",
];

/// Takes the key away where the server is one that nobody has named it for, and says whether it
/// did.
///
/// # Errors
///
/// When the key would go over an open network as it is.
pub(super) fn settle(endpoint: &mut Endpoint, is_meant: bool) -> Result<bool, Exit> {
    let host = endpoint.host().unwrap_or_default();
    if !is_meant && !takes_such_keys(&host) {
        return Ok(endpoint.key.take().is_some());
    }
    // An address that is none is told of by whoever connects.
    if endpoint.key.is_some()
        && let Ok(address) = endpoint.address()
        && !address.tls
        && !is_private(&address.host)
    {
        let message = format!(
            "the key is not sent to {} without encryption: that is no address of this machine or \
             a private network",
            address.host
        );
        return Err(Exit::new(Code::Usage, message).with_hint("use wss:// instead of ws://"));
    }
    Ok(false)
}

/// Whether a host is OpenAI's or Azure's.
fn takes_such_keys(host: &str) -> bool {
    host == "api.openai.com"
        || host.ends_with(".openai.azure.com")
        || host.ends_with(".cognitiveservices.azure.com")
}

/// Whether a host is this machine or in a private network, by its address: a name may lead
/// anywhere.
fn is_private(host: &str) -> bool {
    let is_private_v4 = |ip: Ipv4Addr| ip.is_loopback() || ip.is_private() || ip.is_link_local();
    match host.parse() {
        Ok(IpAddr::V4(ip)) => is_private_v4(ip),
        Ok(IpAddr::V6(ip)) => match ip.to_ipv4_mapped() {
            Some(ip) => is_private_v4(ip),
            None => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        },
        Err(_) => host == "localhost",
    }
}

/// What is not to be shown, though a server may say it.
#[derive(Clone, Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// The key of an endpoint, and what its address has of the kind.
    pub(super) fn of(endpoint: &Endpoint) -> Self {
        let query = endpoint.url.split_once('?').map_or("", |(_, query)| query);
        let query = query.split('#').next().unwrap_or_default();
        let in_query = query.split('&').filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let is_secret = SECRET_VALUES.contains(&name.to_ascii_lowercase().as_str());
            is_secret.then(|| value.to_owned())
        });
        let all = endpoint.key.clone().into_iter().chain(in_query);
        let mut secrets: Vec<String> = all
            .filter(|secret| secret.chars().count() >= SHORTEST)
            .collect();
        // One that is a part of another would leave the rest of it.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(secrets)
    }

    /// A text without them.
    pub(super) fn hide(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, secret| without(&text, secret))
    }

    /// A value without them in any string, names of members included.
    pub(super) fn hide_in(&self, value: Value) -> Value {
        if self.0.is_empty() {
            return value;
        }
        match value {
            Value::String(text) => Value::String(self.hide(&text)),
            Value::Array(values) => Value::Array(
                values
                    .into_iter()
                    .map(|value| self.hide_in(value))
                    .collect(),
            ),
            Value::Object(members) => {
                let members = members.into_iter();
                let hidden = members.map(|(name, value)| (self.hide(&name), self.hide_in(value)));
                Value::Object(hidden.collect::<Map<String, Value>>())
            }
            value => value,
        }
    }
}

/// A text without a secret, nor a beginning of it that tells much.
fn without(text: &str, secret: &str) -> String {
    let telling = secret
        .char_indices()
        .nth(TELLING)
        .map_or(secret, |(end, _)| &secret[..end]);
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(telling) {
        shown.push_str(&rest[..at]);
        shown.push_str(HIDDEN);
        let found = &rest[at..];
        let same = found.chars().zip(secret.chars());
        let end: usize = same
            .take_while(|(one, other)| one == other)
            .map(|(one, _)| one.len_utf8())
            .sum();
        rest = &found[end..];
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn endpoint(url: &str) -> Endpoint {
        Endpoint {
            key: Some("sk-very-secret".to_owned()),
            ..Endpoint::new(url)
        }
    }

    #[test]
    fn a_key_goes_only_where_it_is_meant_to_go() {
        for (url, is_meant, is_sent) in [
            ("wss://api.openai.com/v1", false, true),
            ("wss://me.openai.azure.com", false, true),
            ("wss://api.openai.com.evil.example/v1", false, false),
            ("wss://evil.example/?api.openai.com", false, false),
            ("wss://example.com/v1", false, false),
            ("ws://example.com/v1", false, false),
            ("wss://example.com/v1", true, true),
            ("ws://127.0.0.1:8080/v1", true, true),
            ("ws://localhost:8080/v1", true, true),
            ("ws://[::1]:8080/v1", true, true),
            ("ws://192.168.1.5/v1", true, true),
            ("ws://127.0.0.1:8080/v1", false, false),
            ("nonsense", false, false),
        ] {
            let mut endpoint = endpoint(url);
            let withheld = settle(&mut endpoint, is_meant).expect(url);
            assert_eq!(endpoint.key.is_some(), is_sent, "{url}");
            assert_eq!(withheld, !is_sent, "{url}");
        }
        for url in [
            "ws://example.com/v1",
            "ws://api.openai.com/v1",
            "ws://8.8.8.8/v1",
            "ws://127.0.0.1.evil.example/v1",
        ] {
            let exit = settle(&mut endpoint(url), true).expect_err(url);
            assert_eq!(exit.code, Code::Usage);
            assert!(exit.message.contains("without encryption"), "{exit}");
        }
    }

    #[test]
    fn secrets_are_hidden_in_every_string() {
        let secrets = Secrets::of(&endpoint("wss://h/v1?api-key=abcdefgh&model=gpt-realtime"));
        let value =
            json!({"sk-very-secret": [{"a abcdefgh": "gpt-realtime sk-very-secret!"}], "n": 1});
        assert_eq!(
            secrets.hide_in(value),
            json!({"(the key)": [{"a (the key)": "gpt-realtime (the key)!"}], "n": 1})
        );
        // A text that was cut off within the key.
        assert_eq!(
            secrets.hide("Incorrect: sk-very-secr"),
            "Incorrect: (the key)"
        );
        assert_eq!(secrets.hide("sk-very"), "sk-very");
    }

    #[test]
    fn a_word_in_the_place_of_a_key_is_no_secret() {
        let endpoint = Endpoint {
            key: Some("none".to_owned()),
            ..Endpoint::new("ws://h")
        };
        assert_eq!(
            Secrets::of(&endpoint).hide("there is none"),
            "there is none"
        );
    }
}
