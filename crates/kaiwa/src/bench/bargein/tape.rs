//! A sound card that keeps what went through it, to the sample.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kaiwa_client::{
    CardError, FileCard, MicState, Pace, SoundCard,
    card::{Frame, TICK},
};

/// Both channels of a card.
#[derive(Clone, Debug, Default)]
pub(super) struct Tape(Arc<Mutex<Channels>>);

/// What was captured and played, at 24 kHz from the card's first tick on.
#[derive(Debug, Default)]
pub(super) struct Channels {
    pub(super) user: Vec<f32>,
    pub(super) assistant: Vec<f32>,
    /// For each tick, whether sound of the assistant was played in it.
    pub(super) sounding: Vec<bool>,
}

/// The sound of an answer on a tape.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Heard {
    /// From its first sample to its last, gaps included.
    pub(super) samples: Vec<f32>,
    /// Samples of it, gaps not included.
    pub(super) played: usize,
    /// Position after its last sample.
    pub(super) end: usize,
}

impl Tape {
    /// A card that is taped.
    pub(super) fn card(&self, card: FileCard) -> TapedCard {
        TapedCard {
            card,
            tape: self.clone(),
        }
    }

    pub(super) fn channels(&self) -> MutexGuard<'_, Channels> {
        // Nothing panics while holding the lock, and samples have no invariant to break.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Channels {
    /// What was played up to the tick that had begun at position `until`; `None` if nothing.
    pub(super) fn heard(&self, until: usize) -> Option<Heard> {
        let ticks = self.sounding.len().min(until / TICK + 1);
        let first = self.sounding[..ticks].iter().position(|sounds| *sounds)?;
        let last = self.sounding[..ticks].iter().rposition(|sounds| *sounds)?;
        let of_tick = |tick: usize| &self.assistant[tick * TICK..(tick + 1) * TICK];
        let mut played = 0;
        let mut end = last * TICK;
        for tick in (first..=last).filter(|&tick| self.sounding[tick]) {
            let goes_on = self.sounding[..ticks].get(tick + 1) == Some(&true);
            // A tick before a gap may have been filled up with silence.
            let count = match goes_on {
                true => TICK,
                false => {
                    let last = of_tick(tick).iter().rposition(|sample| *sample != 0.0);
                    last.map_or(0, |index| index + 1)
                }
            };
            played += count;
            end = tick * TICK + count;
        }
        Some(Heard {
            samples: self.assistant[first * TICK..end].to_vec(),
            played,
            end,
        })
    }
}

/// A card whose sound is kept.
pub(super) struct TapedCard {
    card: FileCard,
    tape: Tape,
}

impl SoundCard for TapedCard {
    fn play(&mut self, frame: Option<&Frame>) -> Result<(), CardError> {
        {
            let mut channels = self.tape.channels();
            channels.sounding.push(frame.is_some());
            channels.assistant.extend(frame.unwrap_or(&[0.0; TICK]));
        }
        self.card.play(frame)
    }

    async fn capture(&mut self, frame: &mut Frame) -> Result<(), CardError> {
        self.card.capture(frame).await?;
        self.tape.channels().user.extend(&*frame);
        Ok(())
    }

    fn mic(&self) -> MicState {
        self.card.mic()
    }

    fn pace(&self) -> Pace {
        self.card.pace()
    }

    fn position(&self) -> u64 {
        self.card.position()
    }

    async fn finish(&mut self) -> Result<(), CardError> {
        self.card.finish().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_counted_without_its_gaps_and_without_the_next() {
        // Silence, two ticks, half a tick before a gap, a tick, silence, another answer.
        let mut channels = Channels::default();
        for (sounds, loud) in [
            (false, 0),
            (true, TICK),
            (true, TICK),
            (true, TICK / 2),
            (false, 0),
            (true, TICK),
            (false, 0),
            (true, TICK),
        ] {
            channels.sounding.push(sounds);
            channels
                .assistant
                .extend((0..TICK).map(|at| if at < loud { 0.5 } else { 0.0 }));
        }
        let heard = channels.heard(6 * TICK).unwrap();
        assert_eq!(heard.played, 3 * TICK + TICK / 2);
        assert_eq!(heard.end, 6 * TICK);
        assert_eq!(heard.samples.len(), 5 * TICK);
        // In the middle of the second tick it goes on to the tick's end.
        let heard = channels.heard(2 * TICK + 100).unwrap();
        assert_eq!((heard.played, heard.end), (2 * TICK, 3 * TICK));
        assert_eq!(channels.heard(TICK - 1), None);
    }
}
