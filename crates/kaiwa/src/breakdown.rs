//! Where the time between a question and its answer went: the client's clock for what the
//! person experiences, the server's steps for the reasons.

use std::time::Duration;

use kaiwa_client::TurnLatency;
use kaiwa_server::{ServerConfig, TurnTimings};
use serde::Serialize;
use tokio::sync::watch;

/// How long a server may take to end a response nobody listens to any more.
const PATIENCE: Duration = Duration::from_secs(5);

/// The steps of one turn in milliseconds. They add up to the total.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Breakdown {
    /// From the end of the user's speech until the turn was decided to be over.
    pub(crate) endpoint_ms: u64,
    /// Speech to text, after that decision.
    pub(crate) stt_ms: u64,
    /// The language model's first clause.
    pub(crate) llm_first_clause_ms: u64,
    /// The first piece of speech for that clause.
    pub(crate) tts_first_chunk_ms: u64,
    /// On the way to the speaker, silence at the start of the audio included.
    pub(crate) delivery_ms: u64,
    /// From the end of the user's speech to the first audible sample.
    pub(crate) total_ms: u64,
}

impl Breakdown {
    /// Brings both clocks together; `None` where the server did not see the turn.
    pub(crate) fn new(latency: &TurnLatency, timings: Option<&TurnTimings>) -> Option<Self> {
        let timings = timings?;
        let endpoint_ms = latency.decided_ms.saturating_sub(latency.turn_end_ms);
        // What was done ahead of the decision took no time after it, and what is not known none.
        let mut reached = 0;
        let mut step = |to: Option<i64>| {
            let to = to.unwrap_or_default().max(reached);
            let took = to - reached;
            reached = to;
            took.unsigned_abs()
        };
        let stt_ms = step(timings.transcribed);
        let llm_first_clause_ms = step(timings.first_clause);
        let tts_first_chunk_ms = step(timings.first_speech);
        let known = endpoint_ms + stt_ms + llm_first_clause_ms + tts_first_chunk_ms;
        Some(Self {
            endpoint_ms,
            stt_ms,
            llm_first_clause_ms,
            tts_first_chunk_ms,
            delivery_ms: latency.total_ms.saturating_sub(known),
            total_ms: latency.total_ms,
        })
    }
}

/// Collects the server's timings of every turn.
#[derive(Clone)]
pub(crate) struct TurnLog(watch::Sender<Vec<TurnTimings>>);

impl TurnLog {
    /// An empty log.
    pub(crate) fn new() -> Self {
        Self(watch::Sender::default())
    }

    /// Lets a server write here.
    pub(crate) fn observe(&self, config: &mut ServerConfig) {
        let log = self.0.clone();
        config.on_turn = Some(std::sync::Arc::new(move |timings| {
            log.send_modify(|turns| turns.push(timings.clone()));
        }));
    }

    /// The turn that a response answered, once the response has ended; `None` when the
    /// server says nothing for too long.
    pub(crate) async fn turn(&self, response: &str) -> Option<TurnTimings> {
        let is_it = |turn: &&TurnTimings| turn.response_id == response;
        let mut log = self.0.subscribe();
        let ended = log.wait_for(|turns| turns.iter().any(|turn| is_it(&turn)));
        let turns = tokio::time::timeout(PATIENCE, ended).await.ok()?.ok()?;
        turns.iter().find(is_it).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_add_up_to_the_total() {
        let latency = TurnLatency {
            turn_end_ms: 1000,
            decided_ms: 1200,
            total_ms: 900,
            ..TurnLatency::default()
        };
        let mut timings = TurnTimings::default();
        timings.transcribed = Some(250);
        timings.first_clause = Some(450);
        timings.first_speech = Some(600);
        let steps = Breakdown::new(&latency, Some(&timings)).unwrap();
        assert_eq!(
            (
                steps.endpoint_ms,
                steps.stt_ms,
                steps.llm_first_clause_ms,
                steps.tts_first_chunk_ms
            ),
            (200, 250, 200, 150)
        );
        assert_eq!(steps.delivery_ms, 100);
    }

    #[test]
    fn what_was_done_ahead_took_no_time_after_the_decision() {
        let latency = TurnLatency {
            turn_end_ms: 1000,
            decided_ms: 1500,
            total_ms: 560,
            ..TurnLatency::default()
        };
        let mut timings = TurnTimings::default();
        timings.transcribed = Some(-250);
        timings.first_clause = Some(-100);
        timings.first_speech = Some(20);
        let steps = Breakdown::new(&latency, Some(&timings)).unwrap();
        assert_eq!(
            (
                steps.stt_ms,
                steps.llm_first_clause_ms,
                steps.tts_first_chunk_ms,
                steps.delivery_ms
            ),
            (0, 0, 20, 40)
        );
    }
}
