//! The way of a frame from the microphone.

use std::fmt;

use sonora::{AudioProcessing, AudioProcessingStats, Config, StreamConfig, config};

use super::{
    BLOCK, EchoStatistics, FRAME, NoiseReduction, VoiceOptions,
    gate::{Canceller, Gate},
    reference::Reference,
};
use crate::WIRE_RATE_HZ;

/// Samples of a millisecond.
const MS: usize = WIRE_RATE_HZ as usize / 1000;

/// Samples by which what was cleaned comes later: the blocks of the canceller, the overlap of
/// the noise reduction, the bands, and the rates. Measured; a test holds them.
const CANCELLER_LATENCY: usize = 223;
const NOISE_LATENCY: usize = 175;
const BOTH_LATENCY: usize = 367;
/// And by gain control after them.
const GAIN_LATENCY: usize = 28;

/// What a frame turned out to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Heard {
    /// Nothing but what was played: it is silence now.
    Echo,
    /// Something else, or nothing was played that could be heard. It was cleaned and passed on.
    Passed,
}

/// Cleans what a microphone hears of what was played, of noise, and of differences in level.
///
/// For each tick of the sound card [`process`](Self::process) is called once. A
/// wrapper around a card remembers the frame given to `play` (silence for none) and hands it in
/// together with the frame that `capture` gave for the same tick.
pub struct VoiceProcessor {
    options: VoiceOptions,
    /// Takes out echo and noise.
    cleaner: Option<AudioProcessing>,
    gate: Option<Gate>,
    /// Comes after the gate, which compares levels, and so does not raise what it silences.
    leveller: Option<AudioProcessing>,
    reference: Reference,
    frames: u64,
    silenced: u64,
}

impl VoiceProcessor {
    /// A processor that knows nothing of the room yet.
    #[must_use]
    pub fn new(options: VoiceOptions) -> Self {
        let noise = options.noise_reduction.level();
        let cleaner = (options.echo_cancellation || noise.is_some()).then(|| {
            built(Config {
                echo_canceller: options
                    .echo_cancellation
                    .then(config::EchoCanceller::default),
                noise_suppression: noise.map(|level| config::NoiseSuppression {
                    level,
                    ..config::NoiseSuppression::default()
                }),
                ..Config::default()
            })
        });
        let leveller = options.gain_control.then(|| {
            built(Config {
                gain_controller2: Some(config::GainController2 {
                    adaptive_digital: Some(config::AdaptiveDigital::default()),
                    ..config::GainController2::default()
                }),
                ..Config::default()
            })
        });
        Self {
            options,
            cleaner,
            gate: (options.echo_cancellation && options.gate).then(Gate::new),
            leveller,
            reference: Reference::new(),
            frames: 0,
            silenced: 0,
        }
    }

    /// Cleans `frame`, which the microphone heard in the tick in which `played` was given to the
    /// speaker; `None` is silence. `delay` is how many samples later the speaker's sound is in
    /// the microphone's frames, as far as the devices know: what waits in the output and in
    /// the input. The air's and unknown delays up to 0.5 s are found without it.
    ///
    /// What comes out is [`latency`](Self::latency) samples older than what went in. Samples
    /// that are no numbers count as silence, and louder ones than full scale are cut.
    pub fn process(
        &mut self,
        played: Option<&[f32; FRAME]>,
        frame: &mut [f32; FRAME],
        delay: u64,
    ) -> Heard {
        let played = played.map_or([0.0; FRAME], |played| played.map(bounded));
        *frame = frame.map(bounded);
        let due = self.reference.tick(&played, delay);
        self.frames += 1;

        let mut heard = Heard::Echo;
        let (due, _) = due.as_chunks::<BLOCK>();
        let (blocks, _) = frame.as_chunks_mut::<BLOCK>();
        for (due, block) in due.iter().zip(blocks) {
            if !self.block(due, block, delay) {
                heard = Heard::Passed;
            }
        }
        // Filters overshoot.
        *frame = frame.map(bounded);
        self.silenced += u64::from(heard == Heard::Echo);
        heard
    }

    /// Samples that the output is behind the input: 0 to 395 by the options.
    #[must_use]
    pub fn latency(&self) -> usize {
        let noise = self.options.noise_reduction != NoiseReduction::Off;
        let cleaner = match (self.options.echo_cancellation, noise) {
            (true, true) => BOTH_LATENCY,
            (true, false) => CANCELLER_LATENCY,
            (false, true) => NOISE_LATENCY,
            (false, false) => 0,
        };
        cleaner
            + if self.options.gain_control {
                GAIN_LATENCY
            } else {
                0
            }
    }

    /// What it does.
    #[must_use]
    pub fn options(&self) -> VoiceOptions {
        self.options
    }

    /// What is known of the echo.
    #[must_use]
    pub fn statistics(&self) -> EchoStatistics {
        let canceller = self
            .cleaner
            .as_ref()
            .filter(|_| self.options.echo_cancellation)
            .map(AudioProcessing::statistics);
        EchoStatistics {
            erle_db: canceller.and_then(|said| Some(said.echo_return_loss_enhancement? as f32)),
            erl_db: canceller.and_then(|said| Some(said.echo_return_loss? as f32)),
            delay: canceller
                .and_then(found_ms)
                .map(|ms| ms as usize * MS + self.reference.held()),
            coupling_db: self.gate.as_ref().map(Gate::coupling_db),
            frames: self.frames,
            silenced: self.silenced,
        }
    }

    /// Forgets the room, as after a change of devices.
    pub fn reset(&mut self) {
        *self = Self::new(self.options);
    }

    /// Cleans 10 ms. Says whether it was echo.
    fn block(&mut self, due: &[f32; BLOCK], block: &mut [f32; BLOCK], delay: u64) -> bool {
        let mut silenced = false;
        if let Some(cleaner) = &mut self.cleaner {
            let heard = *block;
            if self.options.echo_cancellation {
                // Errors would be about the length of frames and the range of the delay, and
                // those are right by type and by `Reference::left`.
                let mut unchanged = [0.0; BLOCK];
                let _ = cleaner.process_render_f32(&[due], &mut [&mut unchanged]);
                let left_ms = self.reference.left(delay) / MS;
                let _ = cleaner.set_stream_delay_ms(left_ms as i32);
            }
            let _ = cleaner.process_capture_f32(&[&heard], &mut [block.as_mut_slice()]);
            if let Some(gate) = &mut self.gate {
                let said = cleaner.statistics();
                let canceller = Canceller {
                    loss_db: said.echo_return_loss_enhancement.unwrap_or_default() as f32,
                    delay_ms: found_ms(said),
                };
                silenced = gate.process(due, &heard, block, canceller);
            }
        }
        if let Some(leveller) = &mut self.leveller {
            let quiet = *block;
            let _ = leveller.process_capture_f32(&[&quiet], &mut [block.as_mut_slice()]);
        }
        silenced
    }
}

impl fmt::Debug for VoiceProcessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VoiceProcessor")
            .field("options", &self.options)
            .field("statistics", &self.statistics())
            .finish_non_exhaustive()
    }
}

fn built(config: Config) -> AudioProcessing {
    let stream = StreamConfig::new(WIRE_RATE_HZ, 1);
    AudioProcessing::builder()
        .config(config)
        .capture_config(stream)
        .render_config(stream)
        .build()
}

/// The delay that the canceller found, in ms; it says 0 before it has found one.
fn found_ms(said: &AudioProcessingStats) -> Option<u32> {
    u32::try_from(said.delay_ms?).ok().filter(|ms| *ms > 0)
}

fn bounded(sample: f32) -> f32 {
    if sample.is_finite() {
        sample.clamp(-1.0, 1.0)
    } else {
        0.0
    }
}
