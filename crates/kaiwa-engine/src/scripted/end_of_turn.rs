use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{
    pace::Pace,
    script::{Parts, TurnEntry},
};
use crate::{Cancel, EndOfTurn, EngineError};

/// Gives the judgements of a script.
#[derive(Debug)]
pub struct ScriptedEndOfTurn {
    parts: Arc<Parts>,
    /// How many judgements were given in order.
    judgements: AtomicUsize,
}

impl ScriptedEndOfTurn {
    pub(super) fn new(parts: Arc<Parts>) -> Self {
        Self {
            parts,
            judgements: AtomicUsize::new(0),
        }
    }

    fn entry(&self, ms: u64) -> Option<&TurnEntry> {
        let (matched, ordered): (Vec<_>, Vec<_>) = self
            .parts
            .turns
            .iter()
            .partition(|entry| entry.is_matched());
        let fits = |entry: &&TurnEntry| {
            entry.min_ms.is_none_or(|min| min <= ms) && entry.max_ms.is_none_or(|max| ms <= max)
        };
        matched.into_iter().find(fits).or_else(|| {
            let count = ordered.len().max(1);
            let judgement = self.judgements.fetch_add(1, Ordering::Relaxed);
            ordered.get(judgement % count).copied()
        })
    }
}

impl EndOfTurn for ScriptedEndOfTurn {
    fn judge(&self, turn: &[f32], cancel: &Cancel) -> Result<f32, EngineError> {
        // 16 samples a millisecond.
        let Some(entry) = self.entry(turn.len() as u64 / 16) else {
            return Ok(1.0);
        };
        let mut pace = Pace::new(None, cancel);
        if pace.next(entry.delay_ms)?.is_break() {
            return Ok(0.0);
        }
        match &entry.fail_message {
            Some(message) => Err(EngineError::failed(message)),
            None => Ok(entry.complete),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        EngineErrorKind,
        scripted::{Script, ScriptedEngines},
    };

    use super::*;

    fn judge(engine: &ScriptedEndOfTurn, ms: usize) -> Result<f32, EngineError> {
        engine.judge(&vec![0.0; ms * 16], &Cancel::new())
    }

    fn engine(script: &str) -> ScriptedEndOfTurn {
        ScriptedEngines::new(Script::parse(script).unwrap()).end_of_turn()
    }

    #[test]
    fn judgements_come_by_length_then_in_order_and_again() {
        let engine = engine(
            "[[turn]]\ncomplete = 0.25\n\
             [[turn]]\ncomplete = 0.5\nmin-ms = 1000\nmax-ms = 1500\n\
             [[turn]]\ncomplete = 0.75\n",
        );
        let given: Vec<_> = [200, 999, 1_000, 1_500, 1_501, 200]
            .into_iter()
            .map(|ms| judge(&engine, ms).unwrap())
            .collect();
        assert_eq!(given, [0.25, 0.75, 0.5, 0.5, 0.25, 0.75]);
    }

    #[test]
    fn without_a_script_every_pause_is_the_end() {
        let engine = ScriptedEngines::default().end_of_turn();
        assert_eq!(judge(&engine, 0), Ok(1.0));
        assert_eq!(judge(&engine, 3_000), Ok(1.0));
    }

    #[test]
    fn a_judgement_can_fail() {
        let engine = engine(
            "[[turn]]\ncomplete = 0.5\nfail-message = \"the ear melted\"\n\
             [[turn]]\ncomplete = 0.5\n",
        );
        let error = judge(&engine, 100).unwrap_err();
        assert_eq!(error.kind(), EngineErrorKind::Failed);
        assert_eq!(error.message(), "the ear melted");
        assert_eq!(judge(&engine, 100), Ok(0.5));
    }

    #[test]
    fn a_delay_ends_with_the_cancel_flag() {
        let engine = engine("[[turn]]\ncomplete = 0.5\ndelay-ms = 100000000\n");
        let cancel = Cancel::new();
        cancel.cancel();
        assert_eq!(engine.judge(&[0.0; 16], &cancel), Ok(0.0));
    }
}
