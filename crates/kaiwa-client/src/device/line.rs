//! What a backend's threads and the card share.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kaiwa_audio::{WIRE_RATE_HZ, pcm};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::DeviceNotice;
use super::ring::MicRing;
use crate::card::Frame;

/// Notices that may wait; a conversation takes one every 20 ms. The oldest give way.
const NOTICES: usize = 32;

/// The line between a backend and a card.
///
/// The backend's threads say what was heard and asked for; the card's task takes it. The locks
/// are held for a copy of a few hundred samples, and nothing is allocated under them.
#[derive(Debug)]
pub(super) struct Line {
    mic: Mutex<MicRing>,
    clocks: Mutex<DeviceClocks>,
    /// What the speaker has asked for, in samples.
    asked: AtomicU64,
    /// What it was given of that, in samples.
    given: AtomicU64,
    /// Whether there is a speaker now.
    speaker: AtomicBool,
    /// Whether the ticks have begun.
    begun: AtomicBool,
    output: Mutex<Measured>,
    notices: Mutex<VecDeque<DeviceNotice>>,
    /// Says that the speaker has asked, or is there no longer.
    news: Notify,
}

/// How far the devices' own clocks have come: two such readings some seconds apart tell how they
/// drift against each other and against the system's clock.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct DeviceClocks {
    /// What the microphone has heard.
    pub microphone: Reading,
    /// What the speaker has asked for.
    pub speaker: Reading,
}

/// A device's clock when it was last heard of.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Reading {
    /// When that was; `None` before the first time.
    pub at: Option<Instant>,
    /// Samples at 24 kHz since the first time.
    pub samples: u64,
}

impl Reading {
    fn advance(&mut self, samples: u64) {
        self.at = Some(Instant::now());
        self.samples += samples;
    }
}

/// A measurement of the speaker's latency.
#[derive(Clone, Copy, Debug)]
struct Measured {
    at: Instant,
    /// What had been given then.
    given: u64,
    /// Samples between what is given and what is audible.
    queued: u64,
}

impl Line {
    pub(super) fn new() -> Self {
        Self {
            mic: Mutex::new(MicRing::new()),
            clocks: Mutex::default(),
            asked: AtomicU64::new(0),
            given: AtomicU64::new(0),
            speaker: AtomicBool::new(false),
            begun: AtomicBool::new(false),
            output: Mutex::new(Measured {
                at: Instant::now(),
                given: 0,
                queued: 0,
            }),
            notices: Mutex::new(VecDeque::with_capacity(NOTICES)),
            news: Notify::new(),
        }
    }

    // The backend's side.

    /// The microphone heard 24 kHz mono s16le.
    pub(super) fn hear(&self, bytes: &[u8]) {
        lock(&self.clocks)
            .microphone
            .advance(bytes.len() as u64 / 2);
        let samples = bytes
            .chunks_exact(2)
            .map(|pair| pcm::from_i16(i16::from_le_bytes([pair[0], pair[1]])));
        lock(&self.mic).push(samples);
    }

    /// The speaker asks for so many samples. The answer is whether the card will give them;
    /// else it is the backend that plays silence.
    pub(super) fn ask(&self, samples: u64) -> bool {
        if !self.begun.load(Ordering::Acquire) {
            return false;
        }
        lock(&self.clocks).speaker.advance(samples);
        self.asked.fetch_add(samples, Ordering::AcqRel);
        self.news.notify_one();
        true
    }

    /// The microphone is another now, or gone.
    pub(super) fn reset_mic(&self) {
        lock(&self.mic).clear();
    }

    /// The speaker is another now, or gone: it owes and is owed nothing.
    pub(super) fn reset_speaker(&self, there: bool) {
        let asked = self.asked.load(Ordering::Acquire);
        self.given.store(asked, Ordering::Release);
        self.speaker.store(there, Ordering::Release);
        if !there {
            self.measure(0);
        }
        self.news.notify_one();
    }

    /// So many samples are between what was given up to now and what is audible now.
    pub(super) fn measure(&self, queued: u64) {
        *lock(&self.output) = Measured {
            at: Instant::now(),
            given: self.given.load(Ordering::Acquire),
            queued,
        };
    }

    pub(super) fn notice(&self, notice: DeviceNotice) {
        let mut notices = lock(&self.notices);
        if notices.len() == NOTICES {
            notices.pop_front();
        }
        notices.push_back(notice);
    }

    // The card's side.

    /// The ticks begin.
    pub(super) fn begin(&self) {
        self.begun.store(true, Ordering::Release);
    }

    pub(super) fn clocks(&self) -> DeviceClocks {
        *lock(&self.clocks)
    }

    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Acquire)
    }

    /// What the speaker asked for and was not given, in samples; negative for too much.
    pub(super) fn owed(&self) -> i64 {
        self.asked() as i64 - self.given.load(Ordering::Acquire) as i64
    }

    pub(super) fn give(&self, samples: u64) {
        self.given.fetch_add(samples, Ordering::AcqRel);
    }

    pub(super) fn has_speaker(&self) -> bool {
        self.speaker.load(Ordering::Acquire)
    }

    /// Waits for news of the speaker.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    pub(super) fn take_mic(&self, frame: &mut Frame) {
        lock(&self.mic).take(frame);
    }

    /// Samples that were heard and not taken.
    pub(super) fn heard(&self) -> u64 {
        lock(&self.mic).len() as u64
    }

    /// Samples that were given and are not audible yet.
    pub(super) fn output_latency(&self) -> u64 {
        if !self.has_speaker() {
            return 0;
        }
        let measured = *lock(&self.output);
        let since = self
            .given
            .load(Ordering::Acquire)
            .saturating_sub(measured.given);
        let played = measured.at.elapsed().as_micros() as u64 * u64::from(WIRE_RATE_HZ) / 1_000_000;
        (measured.queued + since).saturating_sub(played)
    }

    pub(super) fn take_notice(&self) -> Option<DeviceNotice> {
        lock(&self.notices).pop_front()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while holding a lock, and samples have no invariant to break.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
