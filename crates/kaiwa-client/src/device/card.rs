//! A sound card made of real devices.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kaiwa_audio::{WIRE_RATE_HZ, samples_to_ms};

use super::backend::{self, Backend};
use super::clock::Clock;
use super::line::{DeviceClocks, Line};
use super::{Choice, DeviceError, DeviceNotice};
use crate::card::{CardError, Frame, Lost, MicState, Pace, Recording, SoundCard, TICK};

/// The end of the output is waited for no longer than this.
const DRAIN: Duration = Duration::from_millis(500);

/// Which devices to use.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DeviceConfig {
    /// Where the user is heard.
    pub microphone: Choice,
    /// Where the assistant is heard.
    pub speaker: Choice,
    /// Path of the sound server's socket; `None` to look where the environment says:
    /// `PULSE_SERVER`, `PULSE_RUNTIME_PATH`, `XDG_RUNTIME_DIR`.
    pub server: Option<PathBuf>,
}

impl DeviceConfig {
    /// Whether a device is named, so that no other will do.
    #[must_use]
    pub fn names_a_device(&self) -> bool {
        let choices = [&self.microphone, &self.speaker];
        choices
            .iter()
            .any(|choice| matches!(choice, Choice::Named(_)))
    }
}

/// A [`SoundCard`] of a microphone and a speaker.
///
/// Its ticks follow the speaker's clock: one ends when the speaker has asked for 20 ms more.
/// The microphone's drift against it is corrected. While there is no speaker, the system's
/// clock takes its place. Devices may come and go, and the default may change: the card goes
/// on, silent where there is nothing, and [`notice`](SoundCard::notice) says what happened.
pub struct DeviceCard {
    backend: Box<dyn Backend>,
    line: Arc<Line>,
    clock: Clock,
    mic: MicState,
    recording: Recording,
    /// While it is true, the microphone is recorded as silence.
    muted: Arc<AtomicBool>,
    /// What the speaker plays in the current tick, if anything.
    playing: Option<Box<Frame>>,
}

impl DeviceCard {
    /// Opens the devices. This talks to the sound server and may block for some ms, with a
    /// server that hangs for seconds.
    ///
    /// # Errors
    ///
    /// When no sound server answers, when a named device is not there or not clear, or when
    /// there is no device at all.
    pub fn open(config: &DeviceConfig) -> Result<Self, DeviceError> {
        let line = Arc::new(Line::new());
        let backend = backend::open(config, &line)?;
        Ok(Self {
            backend,
            line,
            clock: Clock::new(),
            mic: match config.microphone {
                Choice::None => MicState::Off,
                Choice::Default | Choice::Named(_) => MicState::Open,
            },
            recording: Recording::default(),
            muted: Arc::default(),
            playing: None,
        })
    }

    /// Records both sides into a stereo WAV as
    /// [`FileCardBuilder::record_while_possible`](crate::FileCardBuilder::record_while_possible)
    /// does.
    ///
    /// # Errors
    ///
    /// When the recording cannot be created.
    pub fn record_while_possible(
        mut self,
        path: impl AsRef<Path>,
        lost: impl FnOnce(CardError) + Send + 'static,
    ) -> Result<Self, CardError> {
        self.recording = Recording::create(path.as_ref(), Some(Lost::new(lost)))?;
        Ok(self)
    }

    /// Records silence in the microphone's place while `muted` is true. What is captured stays as
    /// it is: an echo canceller has to hear the room all the time. Whoever mutes the
    /// conversation silences it behind the canceller.
    #[must_use]
    pub fn unrecorded_while(mut self, muted: Arc<AtomicBool>) -> Self {
        self.muted = muted;
        self
    }

    /// Samples at 24 kHz that the microphone has given and [`capture`](SoundCard::capture)
    /// has not.
    #[must_use]
    pub fn input_waiting(&self) -> u64 {
        self.line.heard()
    }

    /// How far the devices' clocks have come. That of the speaker begins with the first tick.
    #[must_use]
    pub fn clocks(&self) -> DeviceClocks {
        self.line.clocks()
    }
}

impl SoundCard for DeviceCard {
    fn play(&mut self, frame: Option<&Frame>) -> Result<(), CardError> {
        self.line.begin();
        self.playing = frame.map(|frame| Box::new(*frame));
        self.clock.begin(self.line.asked(), self.line.has_speaker());
        if !self.line.has_speaker() {
            return Ok(());
        }
        // What the speaker asked for in time that no tick will fill, as after a long delay.
        let lost = self.line.owed() - self.clock.late() as i64;
        if lost > 0 {
            self.line.give(lost as u64);
            self.backend.play_silence(lost as u64);
        }
        // A speaker that has stopped asking would be late by all that it is given meanwhile.
        if self.line.owed() >= 0 {
            self.line.give(TICK as u64);
            match frame {
                Some(frame) => self.backend.play(frame),
                None => self.backend.play_silence(TICK as u64),
            }
        }
        Ok(())
    }

    async fn capture(&mut self, frame: &mut Frame) -> Result<(), CardError> {
        while !self
            .clock
            .is_over(self.line.asked(), self.line.has_speaker())
        {
            tokio::select! {
                () = self.line.news() => {}
                () = tokio::time::sleep_until(self.clock.wake()) => {}
            }
        }
        // From here on nothing waits, so a dropped future has taken nothing.
        self.line.take_mic(frame);
        let recorded = match self.muted.load(Ordering::Relaxed) {
            true => &[0.0; TICK],
            false => &*frame,
        };
        self.recording.write(recorded, self.playing.as_deref())
    }

    fn mic(&self) -> MicState {
        self.mic
    }

    fn pace(&self) -> Pace {
        Pace::RealTime
    }

    fn position(&self) -> u64 {
        self.clock.position(self.line.asked())
    }

    fn output_latency(&self) -> u64 {
        self.line.output_latency()
    }

    fn notice(&mut self) -> Option<DeviceNotice> {
        self.line.take_notice()
    }

    async fn finish(&mut self) -> Result<(), CardError> {
        let left = samples_to_ms(self.line.output_latency(), WIRE_RATE_HZ);
        tokio::time::sleep(Duration::from_millis(left).min(DRAIN)).await;
        self.recording.finish()
    }
}

impl std::fmt::Debug for DeviceCard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceCard")
            .field("line", &self.line)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
