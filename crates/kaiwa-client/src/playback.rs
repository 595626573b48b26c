//! The playback ledger: what was received of each item, what was played of it, and what
//! will never be.

use std::collections::{HashMap, HashSet, VecDeque};

use kaiwa_audio::{AUDIBLE_DBFS, first_above, samples_to_ms};

use crate::card::{Frame, TICK};

const RATE_HZ: u32 = kaiwa_audio::WIRE_RATE_HZ;

/// The most sound that may wait to be played, in samples: an hour. A response cannot be
/// longer, so a server that sends more is at fault.
const MAX_QUEUED: usize = 3600 * RATE_HZ as usize;

/// Every sample of the assistant's speech, by the item it belongs to.
///
/// Frames go in as they arrive and come out 20 ms at a time; the ledger knows how far
/// each item has been played. An interruption empties it and bars what arrives late.
#[derive(Debug, Default)]
pub struct Playback {
    /// Sound to be played, oldest first.
    queue: VecDeque<Piece>,
    /// Samples in `queue`.
    queued: usize,
    parts: HashMap<PartKey, Part>,
    /// Responses of which nothing more may be played.
    barred: HashSet<String>,
    /// The part that was played last.
    current: Option<PartKey>,
    /// Whether the gap after `current` was reported.
    starved: bool,
}

/// A part of an item: what `conversation.item.truncate` names.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct PartKey {
    /// The item.
    pub item: String,
    /// Position of the part in the item's content.
    pub content_index: u32,
}

/// A part that was cut short by [`Playback::interrupt`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cut {
    /// The part.
    pub part: PartKey,
    /// The response it belongs to.
    pub response: String,
    /// What was played of it in ms, rounded down.
    pub played_ms: u64,
    /// What had been received of it in ms, rounded down.
    pub received_ms: u64,
}

/// What became of one tick's frame.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Played {
    /// Whether the frame holds sound of an item.
    pub sound: bool,
    /// Responses whose first audible sample is in this frame, and where in it.
    pub audible: Vec<(String, usize)>,
    /// Parts whose last sample is in this frame or before it.
    pub completed: Vec<PartKey>,
    /// A part whose sound ran out before its end, reported once for each gap.
    pub underrun: Option<PartKey>,
}

/// Sound the ledger cannot take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TooMuchSound;

#[derive(Debug)]
struct Piece {
    part: PartKey,
    samples: Vec<f32>,
    /// How much of `samples` is played.
    at: usize,
    /// The card's position at its arrival.
    arrived: u64,
}

#[derive(Debug, Default)]
struct Part {
    response: String,
    received: u64,
    /// Handed to the sound card.
    played: u64,
    /// Whether its first audible sample was played.
    heard: bool,
    /// Whether all of it has been received.
    complete: bool,
    cut: bool,
}

impl Playback {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes sound of a part that arrived at the card's position `arrived`, before which
    /// it will not be played. Sound of an interrupted part or response is dropped, and the
    /// answer is whether it was taken.
    ///
    /// # Errors
    ///
    /// When more than an hour of sound would wait.
    pub fn push(
        &mut self,
        response: &str,
        part: &PartKey,
        samples: Vec<f32>,
        arrived: u64,
    ) -> Result<bool, TooMuchSound> {
        if self.barred.contains(response) {
            return Ok(false);
        }
        let entry = self.parts.entry(part.clone()).or_default();
        if entry.cut {
            return Ok(false);
        }
        if self.queued + samples.len() > MAX_QUEUED {
            return Err(TooMuchSound);
        }
        if entry.response.is_empty() {
            response.clone_into(&mut entry.response);
        }
        entry.received += samples.len() as u64;
        self.queued += samples.len();
        if !samples.is_empty() {
            self.starved = false;
            self.queue.push_back(Piece {
                part: part.clone(),
                samples,
                at: 0,
                arrived,
            });
        }
        Ok(true)
    }

    /// Notes that all of a part has been received, and says whether all of it had been
    /// played already.
    pub fn complete(&mut self, part: &PartKey) -> bool {
        let Some(entry) = self.parts.get_mut(part) else {
            return false;
        };
        let news = !entry.complete && !entry.cut && entry.played == entry.received;
        entry.complete = true;
        news
    }

    /// Notes that no more will come of any part of a response.
    pub fn complete_response(&mut self, response: &str) {
        for entry in self.parts.values_mut() {
            if entry.response == response {
                entry.complete = true;
            }
        }
    }

    /// Lets everything that waits have arrived at the card's position `now` at the latest:
    /// a clock that forgives a delay is behind what it said during the delay, and nothing
    /// arrives in the future.
    pub fn rebase(&mut self, now: u64) {
        for piece in &mut self.queue {
            piece.arrived = piece.arrived.min(now);
        }
    }

    /// Fills `frame` with the 20 ms from the card's position `now` on, silence where there
    /// is nothing.
    ///
    /// A caller that is late with its ticks cannot play in the past what arrived since:
    /// a real card would have been silent there.
    pub fn next(&mut self, frame: &mut Frame, now: u64) -> Played {
        let mut played = Played::default();
        frame.fill(0.0);
        let mut at = 0;
        while at < TICK
            && let Some(piece) = self.queue.front_mut()
            && piece.arrived <= now
        {
            let count = (piece.samples.len() - piece.at).min(TICK - at);
            let slice = &piece.samples[piece.at..piece.at + count];
            frame[at..at + count].copy_from_slice(slice);
            // Every piece's part was entered when it was pushed.
            if let Some(entry) = self.parts.get_mut(&piece.part) {
                if !entry.heard
                    && let Some(index) = first_above(slice, AUDIBLE_DBFS)
                {
                    entry.heard = true;
                    played.audible.push((entry.response.clone(), at + index));
                }
                entry.played += count as u64;
                if entry.complete && entry.played == entry.received {
                    played.completed.push(piece.part.clone());
                }
            }
            piece.at += count;
            at += count;
            self.queued -= count;
            played.sound = true;
            if self.current.as_ref() != Some(&piece.part) {
                self.current = Some(piece.part.clone());
            }
            if piece.at == piece.samples.len() {
                self.queue.pop_front();
            }
        }
        if at < TICK && !self.starved && self.is_unfinished() {
            self.starved = true;
            played.underrun = self.current.clone();
        }
        played
    }

    /// Drops all that waits, bars what is yet to come of it, and says what was cut.
    ///
    /// `unheard` is how many of the samples given to the card are not audible yet.
    pub fn interrupt(&mut self, unheard: u64) -> Vec<Cut> {
        let mut cuts: Vec<Cut> = self
            .parts
            .iter_mut()
            .filter(|(_, entry)| !entry.cut && (entry.played < entry.received || !entry.complete))
            .map(|(key, entry)| {
                entry.cut = true;
                let heard = entry.played.saturating_sub(unheard);
                Cut {
                    part: key.clone(),
                    response: entry.response.clone(),
                    played_ms: samples_to_ms(heard, RATE_HZ),
                    received_ms: samples_to_ms(entry.received, RATE_HZ),
                }
            })
            .collect();
        // What was played first is cut first; the rest in the order of names.
        cuts.sort_by(|a, b| {
            (b.played_ms.cmp(&a.played_ms)).then_with(|| a.part.item.cmp(&b.part.item))
        });
        self.queue.clear();
        self.queued = 0;
        self.starved = false;
        cuts
    }

    /// Forgets what will not be played any more, as at the end of a session: the next one may
    /// use the same names.
    pub fn forget(&mut self) {
        self.barred.clear();
        self.parts
            .retain(|_, entry| !entry.cut && entry.played < entry.received);
    }

    /// Bars all that is yet to come of a response.
    pub fn bar(&mut self, response: &str) {
        self.barred.insert(response.to_owned());
    }

    /// What was played of a part in ms, rounded down; `None` for an unknown part.
    #[must_use]
    pub fn played_ms(&self, part: &PartKey) -> Option<u64> {
        let entry = self.parts.get(part)?;
        Some(samples_to_ms(entry.played, RATE_HZ))
    }

    /// Whether nothing waits to be played. A part that ran dry before its end is drained
    /// all the same; its response is still running.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether an interruption would cut anything: sound waits, or is still to come.
    #[must_use]
    pub fn is_speaking(&self) -> bool {
        !self.queue.is_empty() || self.is_unfinished()
    }

    /// Whether more is to come of the part that was played last.
    fn is_unfinished(&self) -> bool {
        self.current
            .as_ref()
            .and_then(|part| self.parts.get(part))
            .is_some_and(|entry| !entry.complete && !entry.cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(item: &str) -> PartKey {
        PartKey {
            item: item.to_owned(),
            content_index: 0,
        }
    }

    fn tick(playback: &mut Playback) -> (Frame, Played) {
        let mut frame = [f32::NAN; TICK];
        let played = playback.next(&mut frame, u64::MAX);
        (frame, played)
    }

    #[test]
    fn pieces_of_any_length_are_played_seamlessly() {
        let mut playback = Playback::new();
        for (length, value) in [(100, 0.1), (500, 0.2), (360, 0.3)] {
            playback
                .push("r", &part("a"), vec![value; length], 0)
                .expect("room");
        }
        playback.complete(&part("a"));
        let (frame, played) = tick(&mut playback);
        assert_eq!((frame[99], frame[100], frame[479]), (0.1, 0.2, 0.2));
        assert_eq!(played.audible, [("r".to_owned(), 0)]);
        assert!(played.completed.is_empty());
        assert_eq!(playback.played_ms(&part("a")), Some(20));
        let (frame, played) = tick(&mut playback);
        assert_eq!((frame[119], frame[120], frame[479]), (0.2, 0.3, 0.3));
        assert_eq!(played.completed, [part("a")]);
        assert!(playback.is_drained());
        let (frame, played) = tick(&mut playback);
        assert_eq!(frame, [0.0; TICK]);
        assert_eq!(played, Played::default());
    }

    #[test]
    fn audible_is_the_first_loud_sample_not_the_first_sample() {
        let mut playback = Playback::new();
        let mut samples = vec![0.0; 700];
        samples[600] = 0.1;
        playback.push("r", &part("a"), samples, 0).expect("room");
        assert!(tick(&mut playback).1.audible.is_empty());
        assert_eq!(tick(&mut playback).1.audible, [("r".to_owned(), 120)]);
    }

    #[test]
    fn an_interruption_cuts_at_what_was_played_and_drops_what_comes_late() {
        let mut playback = Playback::new();
        let (a, b) = (part("a"), part("b"));
        playback.push("r", &a, vec![0.5; 1000], 0).expect("room");
        playback.push("r", &b, vec![0.5; 1000], 0).expect("room");
        tick(&mut playback);
        tick(&mut playback);
        let cuts = playback.interrupt(0);
        assert_eq!(cuts.len(), 2);
        assert_eq!((&cuts[0].part, cuts[0].played_ms), (&a, 40));
        assert_eq!((&cuts[1].part, cuts[1].played_ms), (&b, 0));
        assert_eq!(cuts[0].received_ms, 41);
        assert!(playback.is_drained());
        assert_eq!(playback.push("r", &a, vec![0.5; 480], 0), Ok(false));
        assert_eq!(tick(&mut playback).0, [0.0; TICK]);
        assert!(playback.interrupt(0).is_empty(), "cut once only");
    }

    #[test]
    fn late_ticks_do_not_play_in_the_past() {
        let mut playback = Playback::new();
        playback
            .push("r", &part("a"), vec![0.5; 480], 1000)
            .expect("room");
        let mut frame = [f32::NAN; TICK];
        assert!(!playback.next(&mut frame, 480).sound);
        assert!(!playback.next(&mut frame, 960).sound);
        assert!(!playback.is_drained());
        assert!(playback.next(&mut frame, 1440).sound);
    }

    #[test]
    fn what_arrived_on_a_clock_that_was_set_back_is_played_at_once() {
        let mut playback = Playback::new();
        for arrived in [480, 120_000] {
            playback
                .push("r", &part("a"), vec![0.5; 240], arrived)
                .expect("room");
        }
        playback.rebase(960);
        let mut frame = [f32::NAN; TICK];
        assert!(!playback.next(&mut frame, 0).sound, "never made earlier");
        assert!(playback.next(&mut frame, 960).sound);
        assert_eq!(frame, [0.5; TICK]);
        assert_eq!(playback.played_ms(&part("a")), Some(20));
    }

    #[test]
    fn what_was_played_out_is_not_cut() {
        let mut playback = Playback::new();
        playback
            .push("r", &part("a"), vec![0.5; 480], 0)
            .expect("room");
        playback.complete(&part("a"));
        tick(&mut playback);
        assert!(playback.interrupt(0).is_empty());
    }

    #[test]
    fn samples_inside_the_device_were_not_heard() {
        let mut playback = Playback::new();
        playback
            .push("r", &part("a"), vec![0.5; 4800], 0)
            .expect("room");
        tick(&mut playback);
        tick(&mut playback);
        assert_eq!(playback.interrupt(600)[0].played_ms, 15);
    }

    #[test]
    fn a_barred_response_is_never_heard() {
        let mut playback = Playback::new();
        playback.bar("r");
        assert_eq!(
            playback.push("r", &part("new"), vec![0.5; 480], 0),
            Ok(false)
        );
        assert_eq!(
            playback.push("s", &part("other"), vec![0.5; 480], 0),
            Ok(true)
        );
    }

    #[test]
    fn a_gap_is_one_underrun_until_sound_comes_again() {
        let mut playback = Playback::new();
        playback
            .push("r", &part("a"), vec![0.5; 700], 0)
            .expect("room");
        assert_eq!(tick(&mut playback).1.underrun, None);
        assert_eq!(tick(&mut playback).1.underrun, Some(part("a")));
        assert!(playback.is_speaking());
        assert_eq!(tick(&mut playback).1.underrun, None);
        playback
            .push("r", &part("a"), vec![0.5; 100], 0)
            .expect("room");
        assert_eq!(tick(&mut playback).1.underrun, Some(part("a")));
        assert!(playback.complete(&part("a")), "all of it was played");
        assert!(!playback.is_speaking());
    }

    #[test]
    fn a_gap_at_the_edge_of_a_frame_is_seen_too() {
        let mut playback = Playback::new();
        playback
            .push("r", &part("a"), vec![0.5; 480], 0)
            .expect("room");
        assert_eq!(tick(&mut playback).1.underrun, None);
        assert_eq!(tick(&mut playback).1.underrun, Some(part("a")));
        playback.complete_response("r");
        assert!(!playback.is_speaking());
    }

    #[test]
    fn more_than_an_hour_is_refused() {
        let mut playback = Playback::new();
        let outcome = playback.push("r", &part("a"), vec![0.0; MAX_QUEUED + 1], 0);
        assert_eq!(outcome, Err(TooMuchSound));
    }
}
