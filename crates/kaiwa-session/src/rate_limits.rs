//! Rate limits: how many responses and tokens a session may use in a time.

use kaiwa_protocol::{Maybe, Number, RateLimit, RateLimitsUpdated};
use serde::{Deserialize, Serialize};

use crate::Millis;

/// A limit on what a session may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimitConfig {
    /// What is counted.
    pub name: RateLimitName,
    /// How much may be used in a window.
    pub limit: u64,
    /// Length of a window. It begins with the first use after the one before has passed.
    pub window_ms: Millis,
}

/// What a rate limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateLimitName {
    /// Responses that began.
    Requests,
    /// Tokens of responses that are done, as `usage.total_tokens` tells them.
    Tokens,
}

impl RateLimitName {
    /// The limit's name on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
        }
    }
}

/// Counts what a session uses.
#[derive(Clone, Debug)]
pub(crate) struct RateLimits(Vec<Window>);

#[derive(Clone, Debug)]
struct Window {
    is: RateLimitConfig,
    used: u64,
    /// When it is over; `None` before its first use.
    ends: Option<Millis>,
}

/// A limit that is used up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) name: RateLimitName,
    pub(crate) message: String,
}

impl RateLimits {
    pub(crate) fn new(limits: &[RateLimitConfig]) -> Self {
        let window = |limit: &RateLimitConfig| Window {
            is: *limit,
            used: 0,
            ends: None,
        };
        Self(limits.iter().map(window).collect())
    }

    /// Counts a response that begins, or says which limit forbids it.
    pub(crate) fn begin(&mut self, now: Millis) -> Result<(), Exceeded> {
        self.refresh(now);
        if let Some(window) = self.0.iter().find(|window| window.used >= window.is.limit) {
            let RateLimitConfig { name, limit, .. } = window.is;
            let name_text = name.as_str();
            let seconds = window.reset_ms(now) as f64 / 1000.0;
            return Err(Exceeded {
                name,
                message: format!(
                    "Rate limit reached for {name_text}: limit {limit}, used {}. Please try \
                     again in {seconds:.3}s.",
                    window.used
                ),
            });
        }
        self.count(RateLimitName::Requests, 1, now);
        Ok(())
    }

    /// Counts the tokens of a response that is done, and tells what is left; `None` without
    /// limits.
    pub(crate) fn end(&mut self, tokens: u64, now: Millis) -> Option<RateLimitsUpdated> {
        self.refresh(now);
        self.count(RateLimitName::Tokens, tokens, now);
        (!self.0.is_empty()).then(|| RateLimitsUpdated {
            rate_limits: self.0.iter().map(|window| window.shown(now)).collect(),
            ..RateLimitsUpdated::default()
        })
    }

    fn count(&mut self, name: RateLimitName, amount: u64, now: Millis) {
        for window in self.0.iter_mut().filter(|window| window.is.name == name) {
            if amount > 0 {
                window.used = window.used.saturating_add(amount);
                let end = now.saturating_add(window.is.window_ms);
                window.ends.get_or_insert(end);
            }
        }
    }

    fn refresh(&mut self, now: Millis) {
        for window in &mut self.0 {
            if window.ends.is_some_and(|end| now >= end) {
                window.used = 0;
                window.ends = None;
            }
        }
    }
}

impl Window {
    /// How long until all of it may be used again.
    fn reset_ms(&self, now: Millis) -> Millis {
        self.ends.map_or(0, |end| end.saturating_sub(now))
    }

    fn shown(&self, now: Millis) -> RateLimit {
        RateLimit {
            name: self.is.name.as_str().into(),
            limit: Maybe::Value(self.is.limit),
            remaining: Maybe::Value(self.is.limit.saturating_sub(self.used)),
            reset_seconds: Maybe::Value(Number::from(self.reset_ms(now) as f64 / 1000.0)),
            ..RateLimit::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> RateLimits {
        RateLimits::new(&[
            RateLimitConfig {
                name: RateLimitName::Requests,
                limit: 2,
                window_ms: 10_000,
            },
            RateLimitConfig {
                name: RateLimitName::Tokens,
                limit: 100,
                window_ms: 60_000,
            },
        ])
    }

    fn left(limits: &mut RateLimits, tokens: u64, now: Millis) -> Vec<(u64, f64)> {
        let updated = limits.end(tokens, now).expect("there are limits");
        let left = |limit: RateLimit| {
            let seconds = limit.reset_seconds.into_value().expect("seconds").get();
            (limit.remaining.unwrap_or(u64::MAX), seconds)
        };
        updated.rate_limits.into_iter().map(left).collect()
    }

    #[test]
    fn a_window_runs_from_its_first_use_and_begins_anew_with_the_next() {
        let mut limits = limits();
        assert_eq!(limits.begin(1_000), Ok(()));
        assert_eq!(left(&mut limits, 30, 2_000), [(1, 9.0), (70, 60.0)]);
        assert_eq!(limits.begin(3_000), Ok(()));
        let exceeded = limits.begin(10_999).expect_err("two is the limit");
        assert_eq!(exceeded.name, RateLimitName::Requests);
        assert!(exceeded.message.contains("again in 0.001s"), "{exceeded:?}");
        assert_eq!(limits.begin(11_000), Ok(()));
        assert_eq!(left(&mut limits, 0, 11_000), [(1, 10.0), (70, 51.0)]);
    }

    #[test]
    fn tokens_may_overshoot_once_and_then_forbid() {
        let mut limits = limits();
        assert_eq!(limits.begin(0), Ok(()));
        assert_eq!(left(&mut limits, 250, 500), [(1, 9.5), (0, 60.0)]);
        let exceeded = limits.begin(600).expect_err("no tokens are left");
        assert_eq!(exceeded.name, RateLimitName::Tokens);
        assert_eq!(limits.begin(60_500), Ok(()));
    }

    #[test]
    fn without_limits_nothing_is_told() {
        let mut limits = RateLimits::new(&[]);
        assert_eq!(limits.begin(0), Ok(()));
        assert_eq!(limits.end(1_000_000, 0), None);
    }
}
