//! When a turn with semantic turn detection is over: by its sound and its words.
//!
//! Neither is enough. On recorded English, Smart Turn calls 37 % of the pauses inside turns
//! complete and 22 % of the ends incomplete, and what Whisper writes looks finished at 45 % of
//! the pauses; together they need half the silence that either needs for as few false cutoffs
//! (`docs/turn-taking.md` has the figures).

mod words;

use kaiwa_protocol::Eagerness;

pub(crate) use self::words::Words;
use crate::Millis;

/// Silence after which a turn is judged by its sound. Later is no better: the model knows its
/// silence to be short.
pub(crate) const JUDGED_MS: Millis = 192;

/// Audio that the judgement looks at, at most.
pub(crate) const JUDGED_AUDIO_MS: Millis = 8_000;

/// Probability from which finished words are believed.
const FINISHED: f32 = 0.3;

/// Probability from which other words are believed.
const COMPLETE: f32 = 0.5;

/// Digits of a number that is hardly dictated: a year, a house, an amount.
const FEW_DIGITS: usize = 3;

/// What is known of a turn at a pause.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Evidence {
    pub(crate) sound: Sound,
    /// `None` while there is no transcript.
    pub(crate) words: Option<Words>,
}

/// What the turn's sound says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Sound {
    /// Nobody was asked yet, or has answered.
    #[default]
    Pending,
    /// Nobody can say.
    Unknown,
    /// The turn is over with this probability.
    Judged(f32),
}

/// How finished a turn looks, from most to least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    Finished,
    Likely,
    WholeNumber,
    Doubtful,
    Spelling,
    Unfinished,
}

impl Evidence {
    /// The silence that ends the turn.
    pub(crate) fn silence_ms(self, eagerness: &Eagerness) -> Millis {
        let [high, auto, low] = match self.looks() {
            // No answer is ready sooner than in half a second: to decide sooner gains nothing.
            Looks::Finished => [320, 480, 800],
            Looks::Likely => [600, 800, 1600],
            Looks::WholeNumber => [800, 1000, 1500],
            Looks::Doubtful => [600, 1000, 1500],
            Looks::Spelling => [1000, 1200, 2000],
            Looks::Unfinished => [1000, 1600, 2000],
        };
        match eagerness {
            Eagerness::High => high,
            Eagerness::Low => low,
            Eagerness::Medium | Eagerness::Auto | Eagerness::Other(_) => auto,
        }
    }

    fn looks(self) -> Looks {
        let probability = match self.sound {
            Sound::Pending => return Looks::Unfinished,
            Sound::Unknown => COMPLETE,
            Sound::Judged(probability) => probability,
        };
        match self.words.unwrap_or(Words::Neutral) {
            Words::Finished | Words::Backchannel if probability >= FINISHED => Looks::Finished,
            Words::Finished | Words::Backchannel => Looks::Doubtful,
            Words::Number { digits } if digits < FEW_DIGITS => Looks::Doubtful,
            Words::Number { digits }
                if Words::is_whole_number(digits) && probability >= COMPLETE =>
            {
                Looks::WholeNumber
            }
            Words::Number { .. } | Words::Open => Looks::Unfinished,
            Words::Spelling { .. } => Looks::Spelling,
            Words::Neutral if probability >= COMPLETE => Looks::Likely,
            Words::Neutral => Looks::Unfinished,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silence_ms(transcript: &str, sound: Sound) -> Millis {
        let words = Some(Words::of(transcript, Some("en")));
        Evidence { sound, words }.silence_ms(&Eagerness::Auto)
    }

    #[test]
    fn words_and_sound_decide_together() {
        let (yes, no) = (Sound::Judged(0.9), Sound::Judged(0.1));
        for (transcript, sound, ms) in [
            ("What time is it?", yes, 480),
            ("What time is it?", no, 1000),
            ("I would like to know and", yes, 1600),
            ("My number is 4 1 5", yes, 1600),
            ("4 1 5 5 5 5 0 1 9 9", yes, 1000),
            ("K A I", yes, 1200),
            ("", yes, 800),
            ("", no, 1600),
        ] {
            assert_eq!(silence_ms(transcript, sound), ms, "{transcript} {sound:?}");
        }
    }

    #[test]
    fn without_a_judgement_the_words_decide_and_before_it_nothing_does() {
        assert_eq!(silence_ms("What time is it?", Sound::Unknown), 480);
        assert_eq!(silence_ms("What time is it?", Sound::Pending), 1600);
        let evidence = Evidence {
            sound: Sound::Judged(0.9),
            words: None,
        };
        assert_eq!(evidence.silence_ms(&Eagerness::Auto), 800);
    }

    #[test]
    fn eagerness_bounds_the_wait() {
        for (eagerness, shortest, longest) in [
            (Eagerness::High, 320, 1000),
            (Eagerness::Medium, 480, 1600),
            (Eagerness::Low, 800, 2000),
        ] {
            for transcript in ["Yes.", "and", "", "4 1 5", "A B"] {
                for sound in [Sound::Pending, Sound::Unknown, Sound::Judged(0.4)] {
                    let words = Some(Words::of(transcript, None));
                    let ms = Evidence { sound, words }.silence_ms(&eagerness);
                    assert!((shortest..=longest).contains(&ms), "{ms}");
                }
            }
        }
    }
}
