//! Who waited for what, how long.

use super::event::TurnLatency;

/// Follows the latest turn from its end to the assistant's voice.
#[derive(Debug, Default)]
pub(super) struct Latency {
    turn: Option<TurnLatency>,
}

impl Latency {
    /// A spoken turn was decided.
    pub(super) fn spoken(&mut self, item: Option<String>, turn_end_ms: u64, now_ms: u64) {
        self.turn = Some(TurnLatency {
            item,
            turn_end_ms,
            decided_ms: now_ms,
            ..TurnLatency::default()
        });
    }

    /// A typed turn was sent.
    pub(super) fn typed(&mut self, item: String, now_ms: u64) {
        self.turn = Some(TurnLatency {
            item: Some(item),
            typed: true,
            turn_end_ms: now_ms,
            decided_ms: now_ms,
            ..TurnLatency::default()
        });
    }

    /// What the user said is known.
    pub(super) fn transcript(&mut self, item: &str, now_ms: u64) {
        if let Some(turn) = &mut self.turn
            && turn.item.as_deref() == Some(item)
        {
            turn.transcript_ms.get_or_insert(now_ms);
        }
    }

    /// A response was announced; it answers the latest turn.
    pub(super) fn response(&mut self, response: &str, now_ms: u64) {
        if let Some(turn) = &mut self.turn
            && turn.response.is_empty()
        {
            response.clone_into(&mut turn.response);
            turn.response_ms = Some(now_ms);
        }
    }

    /// A response has ended without a word: the next one answers the turn.
    pub(super) fn pass_on(&mut self, response: &str) {
        if let Some(turn) = self.of(response) {
            turn.response.clear();
            turn.response_ms = None;
        }
    }

    /// A word of a response arrived.
    pub(super) fn text(&mut self, response: &str, now_ms: u64) {
        if let Some(turn) = self.of(response) {
            turn.first_text_ms.get_or_insert(now_ms);
        }
    }

    /// Sound of a response arrived.
    pub(super) fn audio(&mut self, response: &str, now_ms: u64) {
        if let Some(turn) = self.of(response) {
            turn.first_audio_ms.get_or_insert(now_ms);
        }
    }

    /// A response became audible: the turn's figures, once.
    pub(super) fn audible(&mut self, response: &str, audible_ms: u64) -> Option<TurnLatency> {
        self.of(response)?;
        let mut turn = self.turn.take()?;
        turn.audible_ms = audible_ms;
        turn.total_ms = audible_ms.saturating_sub(turn.turn_end_ms);
        Some(turn)
    }

    fn of(&mut self, response: &str) -> Option<&mut TurnLatency> {
        self.turn.as_mut().filter(|turn| turn.response == response)
    }
}
