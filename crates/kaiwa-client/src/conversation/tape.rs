//! The latest of what the microphone heard, for a session that has not heard it.

use std::collections::VecDeque;

use kaiwa_audio::{WIRE_RATE_HZ, samples_to_ms};

use crate::card::{TICK, TICK_MS};

/// Ticks that are kept: 30 s.
const MOST_TICKS: usize = 30_000 / TICK_MS as usize;

/// The latest 30 s of the microphone that were sent or would have been: 1.4 MB.
#[derive(Debug, Default)]
pub(super) struct Tape {
    ticks: VecDeque<Tick>,
    /// The position from which on nothing should be lost, while there is no session.
    held: Option<u64>,
    /// Samples after it that were lost.
    lost: u64,
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
            // Silence is no loss.
            if oldest.audible && self.held.is_some_and(|from| oldest.begin >= from) {
                self.lost += TICK as u64;
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
        // Of what is not there any more, it is not known whether it was silence.
        let begin = self.ticks.front().map_or(from, |tick| tick.begin);
        self.lost = begin.saturating_sub(from);
    }

    /// Ends the counting, and gives the position it counted from and what was lost, in ms.
    pub(super) fn release(&mut self) -> (u64, u64) {
        let lost = std::mem::take(&mut self.lost);
        let from = self.held.take().unwrap_or(u64::MAX);
        (from, samples_to_ms(lost, WIRE_RATE_HZ))
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
