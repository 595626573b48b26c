//! A sound card in a room: its microphone hears its speaker, and whoever speaks there.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use kaiwa_audio::echo::{EchoPath, RunningEcho};
use kaiwa_client::{CardError, MicState, Pace, SoundCard};
use tokio::time::Instant;

/// Samples of a tick: 20 ms at 24 kHz.
pub(crate) const TICK: usize = 480;

/// The echo waits this long where the clocks differ, in samples (40 ms): a microphone that
/// is faster than the speaker uses it up.
const CUSHION: usize = 960;

/// The room's own noise: white, -65 dBFS.
const NOISE: f32 = 0.000_97;

/// Where a room is and how far apart its clocks are.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// An impulse response at 24 kHz.
    pub(crate) response: Vec<f32>,
    /// From the speaker to the microphone.
    pub(crate) delay_ms: usize,
    /// Of the echo against what is played.
    pub(crate) gain_db: f32,
    /// By how many millionths the microphone's clock is faster than the speaker's.
    pub(crate) drift_ppm: f64,
    /// Whether the echo is cancelled.
    pub(crate) cancels: bool,
}

/// Somebody in the room.
#[derive(Clone, Debug, Default)]
pub(crate) struct Person(Arc<Mutex<Mouth>>);

#[derive(Debug, Default)]
struct Mouth {
    waiting: VecDeque<f32>,
    /// Samples that the card has captured.
    captured: u64,
    /// Where the person spoke, in ms of the card's clock.
    spoken: Vec<[u64; 2]>,
}

impl Person {
    /// Says something from now on; gives when it will be over, in ms of the card's clock.
    pub(crate) fn say(&self, samples: &[f32]) -> u64 {
        let mut mouth = self.0.lock().unwrap();
        assert!(mouth.waiting.is_empty(), "one after the other");
        mouth.waiting.extend(samples);
        let start = mouth.captured / 24;
        let end = start + samples.len() as u64 / 24;
        mouth.spoken.push([start, end]);
        end
    }

    /// When it is, in ms of the card's clock.
    pub(crate) fn now(&self) -> u64 {
        self.0.lock().unwrap().captured / 24
    }

    /// Where the person spoke, in ms of the card's clock.
    pub(crate) fn spoken(&self) -> Vec<[u64; 2]> {
        self.0.lock().unwrap().spoken.clone()
    }

    fn next(&self) -> f32 {
        self.0.lock().unwrap().waiting.pop_front().unwrap_or(0.0)
    }
}

/// A card whose speaker and microphone are in one room.
pub(crate) struct RoomCard {
    echo: RunningEcho,
    /// The echo that the microphone has not heard yet, and where it is in its first sample.
    arriving: VecDeque<f32>,
    at: f64,
    step: f64,
    person: Person,
    noise: u32,
    playing: [f32; TICK],
    ticks: u64,
    due: Option<Instant>,
}

impl RoomCard {
    pub(crate) fn new(place: &Place, person: Person) -> Self {
        let has_drift = place.drift_ppm != 0.0;
        let delay = place.delay_ms * 24;
        // The room's delay, part of which gives way where the clocks differ.
        let cushion = if has_drift { CUSHION.min(delay) } else { 0 };
        Self {
            echo: EchoPath::new(delay - cushion, place.gain_db, &place.response).running(),
            arriving: VecDeque::from(vec![0.0; cushion]),
            at: 0.0,
            step: 1.0 + place.drift_ppm / 1e6,
            person,
            noise: 1,
            playing: [0.0; TICK],
            ticks: 0,
            due: None,
        }
    }

    /// The next sample of the echo on the microphone's clock.
    fn echo(&mut self) -> f32 {
        let here = self.arriving.front().copied().unwrap_or(0.0);
        let next = self.arriving.get(1).copied().unwrap_or(here);
        let sample = here + (next - here) * self.at as f32;
        self.at += self.step;
        while self.at >= 1.0 {
            self.at -= 1.0;
            self.arriving.pop_front();
        }
        sample
    }

    fn hiss(&mut self) -> f32 {
        self.noise = self
            .noise
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        ((self.noise >> 8) as f32 / 8_388_608.0 - 1.0) * NOISE
    }
}

impl SoundCard for RoomCard {
    fn play(&mut self, frame: Option<&[f32; TICK]>) -> Result<(), CardError> {
        self.playing = frame.copied().unwrap_or([0.0; TICK]);
        let begun = self.due.unwrap_or_else(Instant::now);
        self.due = Some(begun + Duration::from_millis(20));
        Ok(())
    }

    async fn capture(&mut self, frame: &mut [f32; TICK]) -> Result<(), CardError> {
        if let Some(due) = self.due {
            tokio::time::sleep_until(due).await;
        }
        let heard = self.echo.push(&self.playing);
        self.arriving.extend(heard);
        for sample in frame.iter_mut() {
            *sample = self.echo() + self.person.next() + self.hiss();
        }
        self.ticks += 1;
        self.person.0.lock().unwrap().captured += TICK as u64;
        Ok(())
    }

    fn mic(&self) -> MicState {
        MicState::Open
    }

    fn pace(&self) -> Pace {
        Pace::RealTime
    }

    fn position(&self) -> u64 {
        self.ticks * TICK as u64
    }

    async fn finish(&mut self) -> Result<(), CardError> {
        Ok(())
    }
}
