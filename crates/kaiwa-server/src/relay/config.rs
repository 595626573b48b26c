use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use kaiwa_client::{
    Endpoint, LinkError,
    costs::{Prices, Usd},
};
use tokio::io::DuplexStream;

use crate::{events::EventObserver, server::unix_seconds};

/// Opens a connection to the upstream inside the process.
pub type InProcess = Arc<dyn Fn() -> DuplexStream + Send + Sync>;

/// Seconds since the Unix epoch, from which budgets know the day.
pub type UnixClock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How a relay behaves.
#[derive(Clone)]
#[non_exhaustive]
pub struct RelayConfig {
    /// The server behind the relay, with the key that no client gets to see.
    pub upstream: Endpoint,
    /// Whether the key may go over an unencrypted connection to any address. Default: only to
    /// this machine and to private addresses.
    pub insecure: bool,
    /// The keys clients may have. Default: none, which lets in who reaches the relay, without
    /// any limit; websites of other hosts excepted.
    pub keys: Vec<RelayKey>,
    /// What the upstream's models cost. Default: nothing is known.
    pub prices: Prices,
    /// What a response is taken to cost before it is known, unless one of the key has cost more.
    /// Default: $0.05.
    pub reserve: Usd,
    /// Where the sums spent are kept. Default (`None`): in memory, so that they begin anew with
    /// the process.
    pub state: Option<PathBuf>,
    /// Sessions that may be open at once; more are refused with status 503. Default: 16.
    pub max_sessions: usize,
    /// Largest message passed, in bytes; a larger one ends the session with close code 1009.
    /// Default: 32 MiB.
    pub max_message_bytes: usize,
    /// How long a side may take nothing of what is sent to it, or not answer a ping, before the
    /// session ends. Default: 30 s.
    pub patience: Duration,
    /// How long a side may send nothing before it is sent a ping. Default: 15 s.
    pub ping_interval: Duration,
    /// How long closing sessions may take at shutdown. Default: 5 s.
    pub shutdown_grace: Duration,
    /// Hears every text frame of every session, after it was passed on.
    pub on_event: Option<EventObserver>,
    /// Where connections to the upstream come from. Default (`None`): the network.
    pub in_process: Option<InProcess>,
    /// Default: the system's clock.
    pub clock: UnixClock,
}

impl RelayConfig {
    /// A relay in front of `upstream`, with the defaults of every field.
    #[must_use]
    pub fn new(upstream: Endpoint) -> Self {
        Self {
            upstream,
            insecure: false,
            keys: Vec::new(),
            prices: Prices::default(),
            reserve: Usd::from_units(50_000_000_000),
            state: None,
            max_sessions: 16,
            max_message_bytes: 32 << 20,
            patience: Duration::from_secs(30),
            ping_interval: Duration::from_secs(15),
            shutdown_grace: Duration::from_secs(5),
            on_event: None,
            in_process: None,
            clock: Arc::new(unix_seconds),
        }
    }

    /// Whether everything is as a relay can work with it.
    pub(super) fn check(&self) -> Result<(), RelayError> {
        let address = self.upstream.address().map_err(RelayError::Upstream)?;
        if self.upstream.key.is_some()
            && !address.tls
            && !self.insecure
            && self.in_process.is_none()
            && !is_private(&address.host)
        {
            return Err(RelayError::Insecure { host: address.host });
        }
        for (index, key) in self.keys.iter().enumerate() {
            let problem = if key.key.is_empty() {
                Some("is empty")
            } else if Some(&key.key) == self.upstream.key.as_ref() {
                Some("is that of the upstream, which no client is to have")
            } else if self.keys[..index].iter().any(|other| other.key == key.key) {
                Some("is another's, too")
            } else if key.budget.is_some_and(|budget| budget < self.reserve) {
                Some(
                    "has a budget that is less than the reserve, so that it is good for nothing; \
                     raise the budget or lower the reserve",
                )
            } else {
                None
            };
            if let Some(problem) = problem {
                let name = key.name.clone();
                return Err(RelayError::Key { name, problem });
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RelayConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayConfig")
            .field("upstream", &self.upstream)
            .field("insecure", &self.insecure)
            .field("keys", &self.keys)
            .field("reserve", &self.reserve)
            .field("state", &self.state)
            .field("max_sessions", &self.max_sessions)
            .field("patience", &self.patience)
            .field("ping_interval", &self.ping_interval)
            .finish_non_exhaustive()
    }
}

/// A key that clients may have, and what it is good for.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct RelayKey {
    /// What it is called in counts and messages.
    pub name: String,
    /// The key itself.
    pub key: String,
    /// What may be spent with it in a period; `None` for any amount.
    pub budget: Option<Usd>,
    /// The period of the budget.
    pub period: Period,
    /// Sessions at once; `None` for as many as the relay has.
    pub max_sessions: Option<usize>,
    /// Responses a minute, those included that the server begins by itself.
    pub requests_per_minute: Option<usize>,
    /// The models it is for; none for all.
    pub models: Vec<String>,
}

impl fmt::Debug for RelayKey {
    /// Leaves the key out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayKey")
            .field("name", &self.name)
            .field("budget", &self.budget)
            .field("period", &self.period)
            .field("max_sessions", &self.max_sessions)
            .field("requests_per_minute", &self.requests_per_minute)
            .field("models", &self.models)
            .finish_non_exhaustive()
    }
}

/// How long a budget has to last. Days and months begin at midnight UTC.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Period {
    /// A day.
    Day,
    /// A month.
    Month,
    /// As long as the sums are kept.
    #[default]
    Ever,
}

impl Period {
    /// The period in which a time lies: `2026-11-23`, `2026-11` or nothing.
    pub(super) fn of(self, unix_seconds: u64) -> String {
        let (year, month, day) = date(unix_seconds / 86_400);
        match self {
            Self::Day => format!("{year:04}-{month:02}-{day:02}"),
            Self::Month => format!("{year:04}-{month:02}"),
            Self::Ever => String::new(),
        }
    }
}

/// Why there is no relay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// The upstream's key would be readable on its way.
    #[error(
        "the upstream's key would go to {host} unencrypted; use wss://, or say that this is meant"
    )]
    Insecure {
        /// The upstream's host.
        host: String,
    },
    /// A key of the relay cannot be used.
    #[error("the key of {name} {problem}")]
    Key {
        /// Whose key.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The file of the sums cannot be read or written.
    #[error("cannot keep the sums spent in {}: {reason}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The address of the upstream makes no sense.
    #[error(transparent)]
    Upstream(LinkError),
}

/// Whether a host is this machine or in a private network, by its address: a name may lead
/// anywhere.
fn is_private(host: &str) -> bool {
    if host == "localhost" {
        return true;
    }
    match host.parse() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => is_private_v6(ip),
        Err(_) => false,
    }
}

fn is_private_v6(ip: Ipv6Addr) -> bool {
    match ip.to_ipv4_mapped() {
        Some(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        None => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// Year, month and day of a day since 1970, in the Gregorian calendar. Years are counted from
/// March, so that the leap day comes last.
fn date(days: u64) -> (u64, u64, u64) {
    // 1 March 0000 was 719,468 days before.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str, key: Option<&str>) -> RelayConfig {
        RelayConfig::new(Endpoint {
            key: key.map(str::to_owned),
            ..Endpoint::new(url)
        })
    }

    #[test]
    fn a_key_does_not_go_unencrypted_over_public_networks() {
        for (url, taken) in [
            ("wss://api.openai.com/v1", true),
            ("ws://127.0.0.1:8080/v1", true),
            ("ws://localhost:8080/v1", true),
            ("ws://192.168.1.7/v1", true),
            ("ws://10.0.0.1/v1", true),
            ("ws://[::1]:8080/v1", true),
            ("ws://[fd00::1]/v1", true),
            ("ws://[::ffff:192.168.0.1]/v1", true),
            ("ws://api.openai.com/v1", false),
            ("ws://93.184.216.34/v1", false),
            ("ws://172.32.0.1/v1", false),
            ("ws://[2001:db8::1]/v1", false),
            ("ws://localhost.example/v1", false),
            ("ws://127.0.0.1.example/v1", false),
        ] {
            let checked = config(url, Some("sk-real")).check();
            assert_eq!(checked.is_ok(), taken, "{url}");
            if let Err(error) = checked {
                assert!(matches!(error, RelayError::Insecure { .. }), "{error}");
                assert!(!error.to_string().contains("sk-real"), "{error}");
            }
            // Nothing is secret without a key, or where somebody says so.
            assert!(config(url, None).check().is_ok(), "{url}");
            let mut meant = config(url, Some("sk-real"));
            meant.insecure = true;
            assert!(meant.check().is_ok(), "{url}");
        }
    }

    #[test]
    fn keys_that_open_nothing_or_too_much_are_refused() {
        let key = |name: &str, key: &str| RelayKey {
            name: name.to_owned(),
            key: key.to_owned(),
            ..RelayKey::default()
        };
        for (keys, part) in [
            (vec![key("a", "")], "a is empty"),
            (vec![key("a", "x"), key("b", "x")], "b is another's"),
            (vec![key("a", "sk-real")], "no client"),
        ] {
            let mut config = config("wss://h", Some("sk-real"));
            config.keys = keys;
            let error = config.check().expect_err(part);
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn a_budget_without_room_for_a_response_is_refused() {
        for (budget, taken) in [(0, false), (49_999_999_999, false), (50_000_000_000, true)] {
            let mut config = config("wss://h", None);
            config.keys = vec![RelayKey {
                name: "a".to_owned(),
                key: "x".to_owned(),
                budget: Some(Usd::from_units(budget)),
                ..RelayKey::default()
            }];
            let checked = config.check();
            assert_eq!(checked.is_ok(), taken, "{budget}");
            if let Err(error) = checked {
                assert!(
                    error.to_string().contains("less than the reserve"),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn periods_are_those_of_the_calendar() {
        for (seconds, day) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_799, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_763_942_400, "2025-11-24"),
            (4_107_542_399, "2100-02-28"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(Period::Day.of(seconds), day);
            assert_eq!(Period::Month.of(seconds), day[..7]);
            assert_eq!(Period::Ever.of(seconds), "");
        }
    }
}
