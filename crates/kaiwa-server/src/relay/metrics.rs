//! What a relay counts.

use std::sync::{Arc, atomic::AtomicU64};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::keys::Key;
use crate::events::Direction;

/// The counts of one relay.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    open: Gauge,
    opened: Counter,
    from_client: Counter,
    to_client: Counter,
    errors: Counter,
    spent: Family<OfKey, Gauge<f64, AtomicU64>>,
    unpriced: Family<OfKey, Gauge>,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct Way {
    direction: &'static str,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct OfKey {
    key: String,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("kaiwa_relay");
        let events = Family::<Way, Counter>::default();
        let of = |direction| events.get_or_create(&Way { direction }).clone();
        let metrics = Self {
            from_client: of("from_client"),
            to_client: of("to_client"),
            open: Gauge::default(),
            opened: Counter::default(),
            errors: Counter::default(),
            spent: Family::default(),
            unpriced: Family::default(),
            registry: Registry::default(),
        };
        registry.register("sessions", "Sessions under way", metrics.open.clone());
        registry.register(
            "sessions_opened",
            "Sessions that were opened",
            metrics.opened.clone(),
        );
        registry.register("events", "Events that were passed on", events);
        registry.register(
            "errors",
            "Errors that clients were told, by the upstream or by the relay",
            metrics.errors.clone(),
        );
        registry.register(
            "spent_usd",
            "What was spent with a key in the present period of its budget",
            metrics.spent.clone(),
        );
        registry.register(
            "unpriced",
            "Responses and transcriptions of a key that have no known price",
            metrics.unpriced.clone(),
        );
        Self {
            registry,
            ..metrics
        }
    }
}

impl Metrics {
    /// A session begins.
    pub(super) fn opened(&self) {
        self.opened.inc();
    }

    /// An event was passed on.
    pub(super) fn passed(&self, direction: Direction) {
        match direction {
            Direction::FromClient => self.from_client.inc(),
            Direction::ToClient => self.to_client.inc(),
        };
    }

    /// A client was told of an error.
    pub(super) fn failed(&self) {
        self.errors.inc();
    }

    /// All of it in the OpenMetrics text format.
    pub(super) fn text(&self, sessions: usize, keys: &[Arc<Key>]) -> String {
        self.open.set(i64::try_from(sessions).unwrap_or(i64::MAX));
        for key in keys {
            let of_key = OfKey {
                key: key.name.clone(),
            };
            let (spent, unpriced) = key.spent();
            // A float for whoever draws it; sums are made of whole numbers.
            let usd = spent.units() as f64 / 1e12;
            self.spent.get_or_create(&of_key).set(usd);
            let unpriced = i64::try_from(unpriced).unwrap_or(i64::MAX);
            self.unpriced.get_or_create(&of_key).set(unpriced);
        }
        let mut text = String::new();
        // A string takes everything.
        text::encode(&mut text, &self.registry).unwrap_or_default();
        text
    }
}
