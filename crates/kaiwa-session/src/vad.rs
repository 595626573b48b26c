//! Turn-taking on the probability of speech: one decision per frame.

use crate::{Millis, input_buffer::SAMPLES_PER_MS};

/// Samples of a frame at 16 000 Hz: 32 ms, what the Silero detector takes.
pub(crate) const FRAME_SAMPLES: u64 = 512;

/// How far below the threshold the probability must fall before speech can end. The
/// detector's authors recommend 0.15, so that a voice at the threshold does not flicker.
const HYSTERESIS: f32 = 0.15;

/// Frames of speech (96 ms) that make a beginning. A click or a cough-like burst lights
/// up one or two; the shortest spoken words last longer than this.
const ONSET_FRAMES: u32 = 3;

/// What is asked of the detector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TurnParameters {
    /// Probability from which a frame counts as speech.
    pub(crate) threshold: f32,
    /// Silence that ends a turn.
    pub(crate) silence_ms: Millis,
    /// Silence that is told of because it may become the end of the turn; `None` for none.
    pub(crate) pause_ms: Option<Millis>,
    /// Longer silence that is told of as well; `None` for none.
    pub(crate) long_pause_ms: Option<Millis>,
}

/// A decision of the detector. Frames are counted from the start of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TurnEvent {
    /// Speech began with this frame (which lies a little back).
    Start {
        /// Index of the first frame of speech.
        frame: u64,
    },
    /// The turn has paused for so long that it may be over.
    Pause {
        /// Index of the first frame not judged yet.
        frame: u64,
    },
    /// It has paused for longer.
    LongPause {
        /// Index of the first frame not judged yet.
        frame: u64,
    },
    /// The turn goes on after a pause that was told of.
    Resume,
    /// The turn ended before this frame: the silence is over.
    End {
        /// Index of the first frame after the silence.
        frame: u64,
    },
}

/// Finds where turns begin and end in a stream of frames.
#[derive(Clone, Debug, Default)]
pub(crate) struct TurnDetector {
    /// Frames judged so far.
    frames: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody speaks; so many frames of a possible beginning have passed.
    Silence { onset: u64, heard: u32 },
    /// Somebody speaks.
    Speech,
    /// Somebody spoke.
    Pause(Pause),
}

/// A silence after speech.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pause {
    /// Its first frame.
    since: u64,
    /// The first frame without any sound, not even a faint one, up to now.
    quiet_since: u64,
    /// Whether it was told.
    told: bool,
    /// Whether it was told that it is long.
    long_told: bool,
}

impl TurnDetector {
    /// Judges the next frame.
    pub(crate) fn push(&mut self, probability: f32, is: TurnParameters) -> Option<TurnEvent> {
        let frame = self.frames;
        self.frames += 1;
        // At tiny thresholds the lower bound must stay above zero, or nothing would end.
        let silence = probability < (is.threshold - HYSTERESIS).max(0.01);
        let speech = !silence && probability >= is.threshold;

        match self.state {
            State::Silence { .. } if silence => {
                self.state = State::default();
                None
            }
            State::Silence { onset, heard } if speech => {
                let onset = if heard == 0 { frame } else { onset };
                if heard + 1 < ONSET_FRAMES {
                    self.state = State::Silence {
                        onset,
                        heard: heard + 1,
                    };
                    return None;
                }
                self.state = State::Speech;
                Some(TurnEvent::Start { frame: onset })
            }
            State::Speech if silence => {
                self.state = State::Pause(Pause {
                    since: frame,
                    quiet_since: frame,
                    told: false,
                    long_told: false,
                });
                self.pause(is)
            }
            State::Pause(pause) if speech => {
                self.state = State::Speech;
                pause.was_told().then_some(TurnEvent::Resume)
            }
            State::Pause(_) if silence => self.pause(is),
            // Between the two bounds nothing changes, but what was made of the pause so far has
            // not heard this: it may be the end of a word.
            State::Pause(pause) => {
                self.state = State::Pause(Pause {
                    quiet_since: frame + 1,
                    told: false,
                    long_told: false,
                    ..pause
                });
                pause.was_told().then_some(TurnEvent::Resume)
            }
            State::Silence { .. } | State::Speech => None,
        }
    }

    /// Samples of the silence that the stream ends with, since there was speech in it.
    pub(crate) fn silence(&self) -> u64 {
        match self.state {
            State::Pause(pause) => (self.frames - pause.since) * FRAME_SAMPLES,
            State::Silence { .. } | State::Speech => 0,
        }
    }

    /// Ends the turn if it has paused for so long already: where the silence was long enough,
    /// however much later that is known, and behind any faint sound, which may be a word's end.
    pub(crate) fn reconsider(&mut self, silence_ms: Millis) -> Option<TurnEvent> {
        let State::Pause(pause) = self.state else {
            return None;
        };
        let samples = silence_ms.saturating_mul(SAMPLES_PER_MS);
        let frame = pause
            .since
            .saturating_add(samples.div_ceil(FRAME_SAMPLES).max(1))
            .max(pause.quiet_since);
        (frame <= self.frames).then(|| {
            self.state = State::default();
            TurnEvent::End { frame }
        })
    }

    /// Whether what was heard last may be the beginning of a turn.
    pub(crate) fn may_begin(&self) -> bool {
        matches!(self.state, State::Silence { heard: 1.., .. })
    }

    /// Ends the turn that is going on, whatever is heard.
    pub(crate) fn end_turn(&mut self) {
        self.state = State::default();
    }

    /// The pause goes on: tells of it, or that it was the end of the turn.
    fn pause(&mut self, is: TurnParameters) -> Option<TurnEvent> {
        let end = self.reconsider(is.silence_ms);
        let State::Pause(pause) = &mut self.state else {
            return end;
        };
        let frame = self.frames;
        let quiet_ms = (frame - pause.quiet_since) * FRAME_SAMPLES / SAMPLES_PER_MS;
        let is_due = |ms: Option<Millis>| ms.is_some_and(|ms| quiet_ms >= ms);
        // One a frame: what is due at once comes with the next.
        if !pause.told && is_due(is.pause_ms) {
            pause.told = true;
            return Some(TurnEvent::Pause { frame });
        }
        if !pause.long_told && is_due(is.long_pause_ms) {
            pause.long_told = true;
            return Some(TurnEvent::LongPause { frame });
        }
        None
    }
}

impl Pause {
    fn was_told(self) -> bool {
        self.told || self.long_told
    }
}

impl Default for State {
    fn default() -> Self {
        Self::Silence { onset: 0, heard: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(probabilities: &[f32], silence_ms: Millis) -> Vec<TurnEvent> {
        let mut detector = TurnDetector::default();
        let parameters = TurnParameters {
            threshold: 0.5,
            silence_ms,
            pause_ms: None,
            long_pause_ms: None,
        };
        probabilities
            .iter()
            .filter_map(|&p| detector.push(p, parameters))
            .collect()
    }

    #[test]
    fn a_turn_starts_at_its_first_frame_of_speech_and_ends_with_its_silence() {
        let mut frames = vec![0.0; 10];
        frames.extend([0.9; 20]);
        frames.extend([0.0; 20]);
        // 200 ms are six whole frames and a piece: the seventh ends the turn.
        assert_eq!(
            run(&frames, 200),
            [TurnEvent::Start { frame: 10 }, TurnEvent::End { frame: 37 }]
        );
    }

    #[test]
    fn silence_of_whole_frames_is_honoured_to_the_frame() {
        let mut frames = vec![0.9; 3];
        frames.extend([0.0; 16]);
        for (silence_ms, end) in [(0, 4), (32, 4), (33, 5), (320, 13), (512, 19)] {
            assert_eq!(
                run(&frames, silence_ms),
                [TurnEvent::Start { frame: 0 }, TurnEvent::End { frame: end }],
                "{silence_ms} ms"
            );
        }
    }

    #[test]
    fn a_click_starts_no_turn() {
        assert_eq!(run(&[0.0, 0.9, 0.95, 0.1, 0.9, 0.9, 0.0, 0.0], 32), []);
    }

    #[test]
    fn speech_after_a_pause_shorter_than_the_silence_goes_on() {
        let mut frames = vec![0.9; 5];
        frames.extend([0.1; 5]);
        frames.extend([0.9; 5]);
        frames.extend([0.1; 6]);
        assert_eq!(
            run(&frames, 192),
            [TurnEvent::Start { frame: 0 }, TurnEvent::End { frame: 21 }]
        );
    }

    #[test]
    fn a_pause_is_told_once_and_so_is_its_end() {
        let parameters = TurnParameters {
            threshold: 0.5,
            silence_ms: 320,
            pause_ms: Some(96),
            long_pause_ms: Some(192),
        };
        let mut detector = TurnDetector::default();
        let mut frames = vec![0.9; 3];
        for pause in [2, 5, 10] {
            frames.extend(vec![0.0; pause]);
            frames.extend([0.9; 2]);
        }
        let events: Vec<_> = frames
            .iter()
            .filter_map(|&p| detector.push(p, parameters))
            .collect();
        assert_eq!(
            events,
            [
                TurnEvent::Start { frame: 0 },
                TurnEvent::Pause { frame: 10 },
                TurnEvent::Resume,
                TurnEvent::Pause { frame: 17 },
                TurnEvent::LongPause { frame: 20 },
                TurnEvent::End { frame: 24 },
            ]
        );
    }

    #[test]
    fn quiet_sound_in_a_pause_has_it_told_again_and_does_not_prolong_it() {
        let parameters = TurnParameters {
            threshold: 0.5,
            silence_ms: 320,
            pause_ms: Some(96),
            long_pause_ms: None,
        };
        let mut detector = TurnDetector::default();
        let mut frames = vec![0.9; 3];
        frames.extend([0.0; 4]);
        frames.extend([0.4; 2]);
        frames.extend([0.0; 10]);
        let events: Vec<_> = frames
            .iter()
            .filter_map(|&p| detector.push(p, parameters))
            .collect();
        assert_eq!(
            events,
            [
                TurnEvent::Start { frame: 0 },
                TurnEvent::Pause { frame: 6 },
                TurnEvent::Resume,
                TurnEvent::Pause { frame: 12 },
                TurnEvent::End { frame: 13 },
            ]
        );
    }

    #[test]
    fn what_is_known_late_ends_the_turn_where_it_would_have_ended() {
        let parameters = TurnParameters {
            threshold: 0.5,
            silence_ms: Millis::MAX,
            pause_ms: None,
            long_pause_ms: None,
        };
        // 512 ms are 16 frames, after four of speech. Faint sound is not left out.
        for (silent, faint, end) in [
            (15, 0, None),
            (16, 0, Some(20)),
            (60, 0, Some(20)),
            (8, 4, None),
            (14, 4, Some(22)),
            (20, 4, Some(28)),
        ] {
            let mut detector = TurnDetector::default();
            for probability in [vec![0.9; 4], vec![0.0; silent], vec![0.4; faint]].concat() {
                detector.push(probability, parameters);
            }
            let expected = end.map(|frame| TurnEvent::End { frame });
            assert_eq!(detector.reconsider(512), expected, "{silent} {faint}");
        }
    }

    #[test]
    fn a_probability_between_the_bounds_neither_starts_nor_ends_anything() {
        assert_eq!(run(&[0.45; 50], 32), []);
        let mut frames = vec![0.9; 3];
        frames.extend([0.45; 50]);
        assert_eq!(run(&frames, 32), [TurnEvent::Start { frame: 0 }]);
    }

    #[test]
    fn a_turn_ended_from_outside_starts_anew() {
        let mut detector = TurnDetector::default();
        let parameters = TurnParameters {
            threshold: 0.5,
            silence_ms: 32,
            pause_ms: None,
            long_pause_ms: None,
        };
        for _ in 0..4 {
            detector.push(0.9, parameters);
        }
        detector.end_turn();
        let events: Vec<_> = (0..3)
            .filter_map(|_| detector.push(0.9, parameters))
            .collect();
        assert_eq!(events, [TurnEvent::Start { frame: 4 }]);
    }

    #[test]
    fn the_lowest_threshold_still_finds_silence() {
        let mut detector = TurnDetector::default();
        let parameters = TurnParameters {
            threshold: 0.05,
            silence_ms: 32,
            pause_ms: None,
            long_pause_ms: None,
        };
        let events: Vec<_> = [0.06, 0.06, 0.06, 0.0]
            .iter()
            .filter_map(|&p| detector.push(p, parameters))
            .collect();
        assert_eq!(
            events,
            [TurnEvent::Start { frame: 0 }, TurnEvent::End { frame: 4 }]
        );
    }
}
