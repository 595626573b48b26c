//! The latest of what the microphone heard, for a session that has not heard it.

use std::collections::VecDeque;
use std::ops::Range;

use kaiwa_audio::{WIRE_RATE_HZ, samples_to_ms};

use crate::card::{TICK, TICK_MS};

/// Ticks that are kept: 30 s.
const MOST_TICKS: usize = 30_000 / TICK_MS as usize;
/// Runs of audible ticks that are remembered after they are gone. A turn of an hour has fewer.
const MOST_RUNS: usize = 10_000;

/// The latest 30 s of the microphone that were sent or would have been: 1.4 MB.
#[derive(Debug, Default)]
pub(super) struct Tape {
    ticks: VecDeque<Tick>,
    /// The position from which on nothing should be lost, while there is no session.
    held: Option<u64>,
    /// Where audible ticks were that are not there any more, oldest first: silence is no loss.
    fallen: VecDeque<Range<u64>>,
}

#[derive(Debug)]
struct Tick {
    /// The card's position at its beginning.
    begin: u64,
    /// 16-bit samples at 24 kHz.
    bytes: Vec<u8>,
    audible: bool,
}

impl Tape {
    /// Takes a tick that began at the card's position `begin`.
    pub(super) fn push(&mut self, begin: u64, bytes: &[u8], audible: bool) {
        let mut memory = Vec::new();
        if self.ticks.len() >= MOST_TICKS
            && let Some(oldest) = self.ticks.pop_front()
        {
            if oldest.audible {
                self.fall(oldest.begin);
            }
            memory = oldest.bytes;
        }
        memory.clear();
        memory.extend_from_slice(bytes);
        self.ticks.push_back(Tick {
            begin,
            bytes: memory,
            audible,
        });
    }

    /// Counts from now on what is lost of the sound from the position `from` on.
    pub(super) fn hold(&mut self, from: u64) {
        if self.held.is_some() {
            return;
        }
        self.held = Some(from);
    }

    /// What was said before the position is known to the server.
    pub(super) fn settle(&mut self, position: u64) {
        while self.fallen.front().is_some_and(|run| run.end <= position) {
            self.fallen.pop_front();
        }
    }

    /// The position of the oldest that is there.
    pub(super) fn begin(&self) -> u64 {
        self.ticks.front().map_or(0, |tick| tick.begin)
    }

    /// Ends the counting, and gives the position it counted from and what was lost, in ms.
    pub(super) fn release(&mut self) -> (u64, u64) {
        let from = self.held.take().unwrap_or(u64::MAX);
        let after = |run: &Range<u64>| run.end.saturating_sub(run.start.max(from));
        let lost = self.fallen.iter().map(after).sum();
        (from, samples_to_ms(lost, WIRE_RATE_HZ))
    }

    /// Notes an audible tick that is not there any more.
    fn fall(&mut self, begin: u64) {
        let end = begin + TICK as u64;
        match self.fallen.back_mut() {
            Some(run) if run.end == begin => run.end = end,
            _ => self.fallen.push_back(begin..end),
        }
        if self.fallen.len() > MOST_RUNS {
            self.fallen.pop_front();
        }
    }

    /// What there is from the position `from` on: each tick's position and bytes.
    pub(super) fn since(&self, from: u64) -> impl Iterator<Item = (u64, &[u8])> {
        let ticks = self.ticks.iter();
        ticks
            .filter(move |tick| tick.begin + TICK as u64 > from)
            .map(|tick| (tick.begin, tick.bytes.as_slice()))
    }

    /// The sound from one position to another, as far as it is there.
    pub(super) fn between(&self, from: u64, to: u64) -> Vec<u8> {
        let ticks = self.since(from).take_while(|(begin, _)| *begin < to);
        ticks.flat_map(|(_, bytes)| bytes).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = WIRE_RATE_HZ as u64;

    /// So many seconds from there on.
    fn record(tape: &mut Tape, from: u64, seconds: u64, audible: bool) {
        for begin in (from..from + seconds * SECOND).step_by(TICK) {
            tape.push(begin, &[0; 4], audible);
        }
    }

    #[test]
    fn of_what_fell_off_only_what_could_be_heard_is_lost() {
        let mut tape = Tape::default();
        record(&mut tape, 0, 10, true);
        record(&mut tape, 10 * SECOND, 10, false);
        record(&mut tape, 20 * SECOND, 20, true);
        tape.hold(2 * SECOND);
        record(&mut tape, 40 * SECOND, 15, true);
        // 25 s are gone: of them 8 s and 5 s were sound after the position.
        assert_eq!(tape.release(), (2 * SECOND, 13_000));
    }

    #[test]
    fn while_nothing_is_recorded_nothing_is_lost() {
        let mut tape = Tape::default();
        record(&mut tape, 60 * SECOND, 5, true);
        tape.hold(0);
        assert_eq!(tape.release(), (0, 0));
    }

    #[test]
    fn what_the_server_knows_is_not_lost() {
        let mut tape = Tape::default();
        record(&mut tape, 0, 40, true);
        tape.settle(9 * SECOND);
        tape.hold(9 * SECOND);
        assert_eq!(tape.release(), (9 * SECOND, 1000));
        tape.settle(10 * SECOND);
        assert!(tape.fallen.is_empty());
    }
}
