//! The way of a frame from the microphone.

use std::fmt;

use sonora::{AudioProcessing, AudioProcessingStats, Config, StreamConfig, config};

use super::{
    BLOCK, EchoStatistics, FRAME, NoiseReduction, VoiceOptions,
    gate::{Canceller, Gate, Judgement},
    linear::LinearCanceller,
    ramp::Ramp,
    reference::Reference,
};
use crate::{WIRE_RATE_HZ, level::bounded};

/// Samples of a millisecond.
const MS: usize = WIRE_RATE_HZ as usize / 1000;

/// Samples by which what was cleaned comes later: by the blocks of the canceller, the overlap of
/// the noise reduction, the bands, and the rates. Measured; a test holds them.
pub(super) const CANCELLER_LATENCY: usize = 223;
const NOISE_LATENCY: usize = 175;
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
    canceller: Option<AudioProcessing>,
    guard: Option<Guard>,
    /// Comes after the canceller, whose voice is the microphone's where it is a voice's.
    denoiser: Option<AudioProcessing>,
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
        let canceller = options.echo_cancellation.then(|| {
            built(Config {
                echo_canceller: Some(config::EchoCanceller::default()),
                ..Config::default()
            })
        });
        let denoiser = options.noise_reduction.level().map(|level| {
            built(Config {
                noise_suppression: Some(config::NoiseSuppression {
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
            canceller,
            guard: (options.echo_cancellation && options.gate).then(Guard::new),
            denoiser,
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

    /// Samples that the output is behind the input: 0 to 426 by the options.
    #[must_use]
    pub fn latency(&self) -> usize {
        let parts = [
            (self.options.echo_cancellation, CANCELLER_LATENCY),
            (
                self.options.noise_reduction != NoiseReduction::Off,
                NOISE_LATENCY,
            ),
            (self.options.gain_control, GAIN_LATENCY),
        ];
        parts
            .iter()
            .filter_map(|(is_on, samples)| is_on.then_some(samples))
            .sum()
    }

    /// What it does.
    #[must_use]
    pub fn options(&self) -> VoiceOptions {
        self.options
    }

    /// What is known of the echo.
    #[must_use]
    pub fn statistics(&self) -> EchoStatistics {
        let canceller = self.canceller.as_ref().map(AudioProcessing::statistics);
        EchoStatistics {
            erle_db: canceller.and_then(|said| Some(said.echo_return_loss_enhancement? as f32)),
            erl_db: canceller.and_then(|said| Some(said.echo_return_loss? as f32)),
            delay: canceller
                .and_then(found_ms)
                .map(|ms| ms as usize * MS + self.reference.held()),
            coupling_db: self.guard.as_ref().map(|guard| guard.gate.coupling_db()),
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
        let mut judgement = None;
        if let Some(canceller) = &mut self.canceller {
            let heard = *block;
            // Errors would be about the length of frames and the range of the delay, and
            // those are right by type and by `Reference::left`.
            let mut unchanged = [0.0; BLOCK];
            let _ = canceller.process_render_f32(&[due], &mut [&mut unchanged]);
            let left_ms = self.reference.left(delay) / MS;
            let _ = canceller.set_stream_delay_ms(left_ms as i32);
            let _ = canceller.process_capture_f32(&[&heard], &mut [block.as_mut_slice()]);
            if let Some(guard) = &mut self.guard {
                let said = canceller.statistics();
                let said = Canceller {
                    loss_db: said.echo_return_loss_enhancement.unwrap_or_default() as f32,
                    delay_ms: found_ms(said),
                };
                judgement = Some(guard.restore(due, &heard, block, left_ms, said));
            }
        }
        if let Some(denoiser) = &mut self.denoiser {
            let noisy = *block;
            let _ = denoiser.process_capture_f32(&[&noisy], &mut [block.as_mut_slice()]);
        }
        let is_echo = judgement.is_some_and(|judgement| judgement.is_echo);
        if let Some(guard) = &mut self.guard {
            guard.silence(block, is_echo);
        }
        if let Some(leveller) = &mut self.leveller {
            let quiet = *block;
            let _ = leveller.process_capture_f32(&[&quiet], &mut [block.as_mut_slice()]);
        }
        is_echo
    }
}

/// Silences echo, and gives a voice over it back what the canceller's suppressor took.
struct Guard {
    gate: Gate,
    linear: LinearCanceller,
    /// How much of what goes out is the linear filter's.
    whole: Ramp,
    aloud: Ramp,
}

impl Guard {
    fn new() -> Self {
        Self {
            gate: Gate::new(),
            linear: LinearCanceller::new(),
            whole: Ramp::at(0.0),
            aloud: Ramp::at(1.0),
        }
    }

    /// Judges what the canceller left in `block` of what was `heard`, and puts the
    /// microphone less the linear echo in its place where that is certainly a voice.
    fn restore(
        &mut self,
        due: &[f32; BLOCK],
        heard: &[f32; BLOCK],
        block: &mut [f32; BLOCK],
        left_ms: usize,
        said: Canceller,
    ) -> Judgement {
        let linear = self.linear.process(due, heard, left_ms);
        let judgement = self.gate.judge(due, heard, block, &linear, said);
        let towards = if judgement.is_voice { 1.0 } else { 0.0 };
        for (sample, linear) in block.iter_mut().zip(linear) {
            *sample += (linear - *sample) * self.whole.step(towards);
        }
        judgement
    }

    fn silence(&mut self, block: &mut [f32; BLOCK], is_echo: bool) {
        let towards = if is_echo { 0.0 } else { 1.0 };
        for sample in block {
            *sample *= self.aloud.step(towards);
        }
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
