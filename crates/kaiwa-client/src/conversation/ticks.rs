//! The card's ticks: what is played, what is sent, and where on the clock things are.

use std::collections::VecDeque;
use std::time::Duration;

use kaiwa_audio::{AUDIBLE_DBFS, WIRE_RATE_HZ, last_above, pcm, samples_to_ms};
use tokio::time::Instant;

use super::config::{SpeechEnd, Turn};
use super::driver::Driver;
use super::event::{EndReason, Event, Moment};
use crate::card::{CardError, CardErrorKind, Frame, MicState, Pace, SoundCard, TICK};
use crate::playback::PartKey;

/// Ticks with something audible in them that are remembered: 10 s. The news of a turn's end comes
/// later than the end, and the user may go on speaking.
const AUDIBLE_TICKS: usize = 500;

/// The card's clock.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// Samples since then, at the beginning of the current tick.
    pub(super) position: u64,
    /// Whether a tick has begun and not ended.
    pub(super) ticking: bool,
    /// Whether the current tick carries sound of the assistant.
    pub(super) playing: bool,
}

/// What was heard by the microphone.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) frame: Box<Frame>,
    pub(super) bytes: Vec<u8>,
    /// Samples of silence captured since the last sound of the source.
    pub(super) silence: u64,
    /// Card positions after the last audible sample of the latest ticks that have one.
    audible: VecDeque<u64>,
    /// The source had more to give when the tick began.
    pub(super) sounding: bool,
}

impl Default for Input {
    /// Nothing heard.
    fn default() -> Self {
        Self {
            frame: Box::new([0.0; TICK]),
            bytes: Vec::with_capacity(TICK * 2),
            silence: 0,
            audible: VecDeque::with_capacity(AUDIBLE_TICKS),
            sounding: false,
        }
    }
}

impl<C: SoundCard> Driver<C> {
    /// Whether the clock is to run now.
    pub(super) fn wants_tick(&self) -> bool {
        if !self.session.ready && !self.recovery.is_down() {
            return false;
        }
        match self.card.pace() {
            Pace::RealTime => true,
            // A recording can wait for a connection.
            Pace::Fast if self.recovery.is_down() => false,
            Pace::Fast if !self.session.link.is_flushed() => false,
            Pace::Fast => {
                let input = match self.card.mic() {
                    MicState::Sounding => true,
                    MicState::Ended | MicState::Open => self.wants_silence(),
                    MicState::Off => false,
                };
                input || !self.playback.is_drained()
            }
        }
    }

    /// Whether the server still needs silence to end the turn.
    pub(super) fn wants_silence(&self) -> bool {
        self.config.turn != Turn::None && self.input.silence < samples(self.config.trailing_silence)
    }

    pub(super) fn begin_tick(&mut self) -> Result<(), EndReason> {
        let pace = self.card.pace();
        self.clock.ticking = true;
        self.input.sounding = self.card.mic() == MicState::Sounding;
        if pace == Pace::RealTime {
            self.playback.rebase(self.card.position());
        }
        let mut frame = [0.0; TICK];
        let played = self.playback.next(&mut frame, self.clock.position);
        self.clock.playing = played.sound;
        // Faster than time passes, what is heard was not said over what is played.
        if pace == Pace::RealTime && matches!(self.config.turn, Turn::Semantic { .. }) {
            self.duck.apply(&mut frame);
        }
        self.card
            .play(played.sound.then_some(&frame))
            .map_err(|error| card_failed(&error))?;
        if played.sound {
            self.session.last_news = Instant::now();
        }
        for (response, index) in played.audible {
            let at = self.clock.position + index as u64 + self.card.output_latency();
            let ms = samples_to_ms(at, WIRE_RATE_HZ);
            let latency = self.latency.audible(&response, ms);
            self.emit(Event::AssistantSpeechStarted { response, ms });
            if pace == Pace::RealTime {
                self.out.extend(latency.map(|latency| Moment {
                    at_ms: ms,
                    event: Event::TurnLatency(latency),
                }));
            }
        }
        for part in played.completed {
            self.spoken_to_the_end(&part);
        }
        if let Some(part) = played.underrun
            && pace == Pace::RealTime
        {
            self.emit(Event::PlaybackUnderrun { item: part.item });
        }
        Ok(())
    }

    pub(super) fn end_tick(&mut self) -> Result<(), EndReason> {
        let begin = self.clock.position;
        self.clock.position += TICK as u64;
        self.clock.ticking = false;
        self.clock.playing = false;
        while let Some(notice) = self.card.notice() {
            self.emit(notice.into());
        }
        let mic = self.card.mic();
        let wants_silence = self.wants_silence();
        let input = &mut self.input;
        self.duck.hear(&input.frame);
        let audible = last_above(&*input.frame, AUDIBLE_DBFS);
        if let Some(index) = audible {
            if input.audible.len() == AUDIBLE_TICKS {
                input.audible.pop_front();
            }
            input.audible.push_back(begin + index as u64 + 1);
        }
        let sounding = input.sounding || mic == MicState::Sounding;
        input.silence = if sounding {
            0
        } else {
            input.silence + TICK as u64
        };
        let send = match mic {
            MicState::Off => false,
            MicState::Ended if !sounding => match self.card.pace() {
                // An open microphone would go on hearing silence, too.
                Pace::RealTime => self.config.turn != Turn::None,
                Pace::Fast => wants_silence,
            },
            MicState::Open if !sounding && self.card.pace() == Pace::Fast => wants_silence,
            MicState::Ended | MicState::Open | MicState::Sounding => true,
        };
        if !send {
            return Ok(());
        }
        let input = &mut self.input;
        input.bytes.clear();
        pcm::encode(&*input.frame, &mut input.bytes);
        self.recovery.record(begin, &input.bytes, audible.is_some());
        self.session.uncommitted += TICK as u64;
        if self.recovery.is_down() {
            return Ok(());
        }
        self.session.advance(begin);
        match self.session.link.queue_audio(&self.input.bytes) {
            Ok(()) => Ok(()),
            Err(error) => self.lost(&error),
        }
    }

    pub(super) fn spoken_to_the_end(&mut self, part: &PartKey) {
        let played_ms = self.playback.played_ms(part).unwrap_or_default();
        self.emit(Event::AssistantSpeechStopped {
            item: part.item.clone(),
            played_ms,
        });
    }

    pub(super) fn now_ms(&self) -> u64 {
        samples_to_ms(self.card.position(), WIRE_RATE_HZ)
    }

    /// The position from which sound that arrives now may be played.
    pub(super) fn arrival(&self) -> u64 {
        match self.card.pace() {
            Pace::RealTime => self.card.position(),
            // Time does not pass by itself.
            Pace::Fast => 0,
        }
    }

    /// A time of the server's input buffer on the card's clock.
    pub(super) fn card_ms(&self, session_ms: u64) -> u64 {
        session_ms + samples_to_ms(self.session.offset, WIRE_RATE_HZ)
    }

    /// Where the user's speech ended, given where the server says the turn did, in ms of
    /// the session, and the silence it waited for, if that is known.
    pub(super) fn speech_end_ms(&self, audio_end_ms: u64, silence_ms: Option<u64>) -> u64 {
        let turn_end = self.card_ms(audio_end_ms);
        let turn = self.turns.begun_ms..=turn_end;
        let latest = self.input.audible.iter().rev();
        let audible = latest
            .map(|&at| samples_to_ms(at, WIRE_RATE_HZ))
            .find(|end| turn.contains(end));
        let by_server = match silence_ms {
            Some(silence) => turn_end.saturating_sub(silence),
            None => audible.unwrap_or(turn_end),
        };
        match &self.config.speech_end {
            SpeechEnd::Server => by_server,
            SpeechEnd::Audible => audible.unwrap_or(by_server),
            SpeechEnd::Known(ends) => ends
                .iter()
                .copied()
                .filter(|&end| end <= turn_end)
                .max()
                .unwrap_or(by_server),
        }
    }
}

pub(super) fn card_failed(error: &CardError) -> EndReason {
    match error.kind() {
        CardErrorKind::OutputClosed => EndReason::OutputClosed,
        CardErrorKind::Input => EndReason::InputFailed {
            message: error.to_string(),
        },
        CardErrorKind::Output => EndReason::CardFailed {
            message: error.to_string(),
        },
    }
}

fn samples(duration: Duration) -> u64 {
    kaiwa_audio::ms_to_samples(duration.as_millis() as u64, WIRE_RATE_HZ)
}
