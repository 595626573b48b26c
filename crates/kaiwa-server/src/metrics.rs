//! What the server counts, for Prometheus and whoever reads its text format.

use std::sync::Arc;

use kaiwa_session::{AheadCounts, Millis};
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::timings::TurnTimings;

/// Bounds of the buckets of latencies, in seconds. People leave a gap of about 0.2 s.
const LATENCIES: [f64; 10] = [0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.5, 5.0];

/// The counts of one server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    open: Family<Kind, Gauge>,
    sessions: Counter,
    responses: Counter,
    /// From the decided turn to the first audio of its answer.
    first_audio: Histogram,
    partials: Counter,
    transcripts: Outcomes,
    answers: Outcomes,
}

/// Work of one kind that was done ahead of the end of turns.
#[derive(Debug, Default)]
struct Outcomes {
    begun: Counter,
    dropped: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("kaiwa"),
            open: Family::default(),
            sessions: Counter::default(),
            responses: Counter::default(),
            first_audio: Histogram::new(LATENCIES),
            partials: Counter::default(),
            transcripts: Outcomes::default(),
            answers: Outcomes::default(),
        };
        let registry = &mut metrics.registry;
        registry.register(
            "open",
            "Sessions and HTTP requests under way",
            metrics.open.clone(),
        );
        registry.register(
            "sessions",
            "Sessions that were opened",
            metrics.sessions.clone(),
        );
        registry.register(
            "responses",
            "Responses that have ended",
            metrics.responses.clone(),
        );
        registry.register_with_unit(
            "response_first_audio",
            "From the decided turn, or the request, to the first audio of the response",
            Unit::Seconds,
            metrics.first_audio.clone(),
        );
        registry.register(
            "speculation_partials",
            "Transcripts of turns that were going on",
            metrics.partials.clone(),
        );
        for (name, what, outcomes) in [
            ("transcripts", "Transcripts", &metrics.transcripts),
            ("responses", "Responses", &metrics.answers),
        ] {
            registry.register(
                format!("speculation_{name}"),
                format!("{what} begun before the turn was over"),
                outcomes.begun.clone(),
            );
            registry.register(
                format!("speculation_{name}_dropped"),
                format!("{what} of these that were of no use, most since the speaker went on"),
                outcomes.dropped.clone(),
            );
        }
        metrics
    }
}

impl Metrics {
    /// A session begins.
    pub(crate) fn session_opened(&self) {
        self.sessions.inc();
    }

    /// A session has worked ahead more often than before.
    pub(crate) fn worked_ahead(&self, before: AheadCounts, now: AheadCounts) {
        let add = |counter: &Counter, before: u64, now: u64| {
            counter.inc_by(now.saturating_sub(before));
        };
        add(&self.partials, before.partials, now.partials);
        add(&self.transcripts.begun, before.transcripts, now.transcripts);
        add(
            &self.transcripts.dropped,
            before.transcripts_dropped,
            now.transcripts_dropped,
        );
        add(&self.answers.begun, before.responses, now.responses);
        add(
            &self.answers.dropped,
            before.responses_dropped,
            now.responses_dropped,
        );
    }

    /// A response has ended.
    pub(crate) fn responded(&self) {
        self.responses.inc();
    }

    /// The answer to a turn has ended.
    pub(crate) fn answered(&self, timings: &TurnTimings) {
        if let Some(ms) = timings.first_audio {
            // Audio is not sent before the response has begun.
            let ms = Millis::try_from(ms).unwrap_or_default();
            self.first_audio.observe(ms as f64 / 1000.0);
        }
    }

    /// All of it in the OpenMetrics text format.
    pub(crate) fn text(&self, sessions: usize, requests: usize) -> String {
        for (kind, open) in [("session", sessions), ("request", requests)] {
            let open = i64::try_from(open).unwrap_or(i64::MAX);
            self.open.get_or_create(&Kind { kind }).set(open);
        }
        let mut text = String::new();
        // A string takes everything.
        text::encode(&mut text, &self.registry).unwrap_or_default();
        text
    }
}

/// The media type of [`Metrics::text`].
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Adds up what sessions do, which know only themselves.
#[derive(Debug)]
pub(crate) struct SessionMetrics {
    metrics: Arc<Metrics>,
    ahead: AheadCounts,
}

impl SessionMetrics {
    /// Of a session that begins.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        metrics.session_opened();
        Self {
            metrics,
            ahead: AheadCounts::default(),
        }
    }

    /// How often the session has worked ahead so far.
    pub(crate) fn count_ahead(&mut self, now: AheadCounts) {
        if now != self.ahead {
            self.metrics.worked_ahead(self.ahead, now);
            self.ahead = now;
        }
    }

    /// How often the session had worked ahead when it was asked last.
    pub(crate) fn ahead(&self) -> AheadCounts {
        self.ahead
    }

    /// A response has ended.
    pub(crate) fn responded(&self) {
        self.metrics.responded();
    }

    /// The answer to a turn has ended.
    pub(crate) fn answered(&self, timings: &TurnTimings) {
        self.metrics.answered(timings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sessions_did_is_added_up() {
        let metrics = Arc::new(Metrics::default());
        for dropped in [1, 0] {
            let mut session = SessionMetrics::new(Arc::clone(&metrics));
            for transcripts in [1, 2, 2] {
                session.count_ahead(AheadCounts {
                    transcripts,
                    transcripts_dropped: dropped,
                    ..AheadCounts::default()
                });
            }
            session.answered(&TurnTimings {
                first_audio: Some(30),
                ..TurnTimings::default()
            });
        }
        let text = metrics.text(2, 1);
        for line in [
            "kaiwa_open{kind=\"session\"} 2",
            "kaiwa_open{kind=\"request\"} 1",
            "kaiwa_sessions_total 2",
            "kaiwa_speculation_transcripts_total 4",
            "kaiwa_speculation_transcripts_dropped_total 1",
            "kaiwa_speculation_responses_total 0",
            "kaiwa_response_first_audio_seconds_count 2",
            "kaiwa_response_first_audio_seconds_bucket{le=\"0.05\"} 2",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} in\n{text}");
        }
    }
}
