//! The microphone less the echo that a linear filter predicts: the voice whole, and some echo.
//!
//! `sonora` gives out what its suppressor leaves and not what it was given, so the same filter
//! runs here a second time, without a suppressor. It hears 16 kHz. What it predicts is taken off
//! the microphone at 24 kHz, so what lies above 8 kHz stays as it was heard.

use std::collections::VecDeque;

use sonora::high_pass_filter::HighPassFilter;
use sonora_aec3::{
    block::Block as Samples, block_processor::BlockProcessor, config::EchoCanceller3Config,
};

use super::{BLOCK, processor::CANCELLER_LATENCY};
use crate::{Resampler, WIRE_RATE_HZ};

/// The filter's rate, in Hz, and how many samples it takes at once.
const FILTER_RATE_HZ: u32 = 16_000;
const FILTER_BLOCK: usize = 64;

/// Full scale as the filter has it.
const FULL_SCALE: f32 = 32_768.0;
/// From this on a sample counts as cut off by the device.
const SATURATED: f32 = 32_700.0;

/// By how many samples the output is later than the microphone: as many as behind the suppressor,
/// so that one can take the other's place. The resamplers hold back 144 and the filter's
/// blocks 72, so what is predicted is always there in time.
const LATENCY: usize = CANCELLER_LATENCY;

pub(super) struct LinearCanceller {
    filter: BlockProcessor,
    /// As in front of the suppressor: the filter must not see what a device adds to silence.
    high_pass: HighPassFilter,
    played: Stream,
    heard: Stream,
    back: Resampler,
    /// What is to be taken off the microphone, 24 kHz; begins [`LATENCY`] before the microphone.
    predicted: Vec<f32>,
    /// The microphone, held back by [`LATENCY`].
    waiting: VecDeque<f32>,
    /// For one block of the filter.
    reference: Samples,
    microphone: Samples,
    left: Samples,
    filtered: [Vec<f32>; 1],
}

/// One of the filter's inputs at its rate, full scale as the filter has it.
struct Stream {
    resampler: Resampler,
    samples: Vec<f32>,
}

impl Stream {
    fn new() -> Self {
        Self {
            resampler: Resampler::new(WIRE_RATE_HZ, FILTER_RATE_HZ),
            samples: Vec::new(),
        }
    }

    fn push(&mut self, block: &[f32; BLOCK]) {
        let loud = block.map(|sample| sample * FULL_SCALE);
        self.resampler.process(&loud, &mut self.samples);
    }
}

impl LinearCanceller {
    pub(super) fn new() -> Self {
        let config = EchoCanceller3Config::default();
        let mut filter = BlockProcessor::new(&config, FILTER_RATE_HZ as usize, 1, 1);
        filter.set_capture_output_usage(false);
        Self {
            filter,
            high_pass: HighPassFilter::new(FILTER_RATE_HZ as i32, 1),
            played: Stream::new(),
            heard: Stream::new(),
            back: Resampler::new(FILTER_RATE_HZ, WIRE_RATE_HZ),
            predicted: vec![0.0; LATENCY],
            waiting: VecDeque::from(vec![0.0; LATENCY]),
            reference: Samples::new(1, 1),
            microphone: Samples::new(1, 1),
            left: Samples::new(1, 1),
            filtered: [vec![0.0; FILTER_BLOCK]],
        }
    }

    /// Takes what was played and what the microphone heard in 10 ms, and gives the microphone
    /// less the echo, later by as much as what the suppressor leaves. `delay_ms` is how much
    /// later the echo is at least, as far as the devices know.
    pub(super) fn process(
        &mut self,
        played: &[f32; BLOCK],
        heard: &[f32; BLOCK],
        delay_ms: usize,
    ) -> [f32; BLOCK] {
        self.played.push(played);
        self.heard.push(heard);
        // A delay of a second at the most.
        self.filter.set_audio_buffer_delay(delay_ms as i32);
        let blocks = self.heard.samples.len() / FILTER_BLOCK;
        for block in 0..blocks {
            self.filter_block(block * FILTER_BLOCK);
        }
        self.played.samples.drain(..blocks * FILTER_BLOCK);
        self.heard.samples.drain(..blocks * FILTER_BLOCK);

        self.waiting.extend(heard);
        debug_assert!(self.predicted.len() >= BLOCK, "the latency covers it");
        let mut predicted = self.predicted.drain(..BLOCK.min(self.predicted.len()));
        std::array::from_fn(|_| {
            let heard = self.waiting.pop_front().unwrap_or_default();
            heard - predicted.next().unwrap_or_default()
        })
    }

    /// Filters the block that begins at this sample of both inputs.
    fn filter_block(&mut self, first: usize) {
        let played = &self.played.samples[first..first + FILTER_BLOCK];
        let heard = &self.heard.samples[first..first + FILTER_BLOCK];
        self.reference.view_mut(0, 0).copy_from_slice(played);
        self.filter.buffer_render(&self.reference);

        self.filtered[0].copy_from_slice(heard);
        self.high_pass.process_channels(&mut self.filtered);
        let microphone = self.microphone.view_mut(0, 0);
        microphone.copy_from_slice(&self.filtered[0]);
        let is_saturated = heard.iter().any(|sample| sample.abs() >= SATURATED);
        self.filter.process_capture(
            false,
            is_saturated,
            Some(&mut self.left),
            &mut self.microphone,
        );
        // With the echo goes what the high pass took.
        let left = self.left.view(0, 0);
        let off: Vec<f32> = std::iter::zip(heard, left)
            .map(|(heard, left)| (heard - left) / FULL_SCALE)
            .collect();
        self.back.process(&off, &mut self.predicted);
    }
}

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;

    use super::*;

    /// A second of what is heard, and what comes out.
    fn through(heard: impl Fn(usize) -> f32) -> (Vec<f32>, Vec<f32>) {
        let mut canceller = LinearCanceller::new();
        let input: Vec<f32> = (0..100 * BLOCK).map(heard).collect();
        let blocks = input.as_chunks::<BLOCK>().0.iter();
        let output = blocks.flat_map(|block| canceller.process(&[0.0; BLOCK], block, 0));
        let output = output.collect();
        (input, output)
    }

    #[test]
    fn without_an_echo_the_microphone_is_only_late() {
        // In the filter's band and above it.
        for hz in [4_000.0, 7_000.0, 10_000.0] {
            let (input, output) = through(|n| 0.1 * (TAU * hz * n as f32 / 24_000.0).sin());
            for (n, (heard, left)) in input.iter().zip(&output[LATENCY..]).enumerate().skip(4_800) {
                assert!((heard - left).abs() < 0.02, "{hz} Hz, {n}: {heard} {left}");
            }
        }
    }

    #[test]
    fn what_a_device_adds_to_silence_goes() {
        let (_, output) = through(|_| 0.1);
        assert!(output[12_000..].iter().all(|sample| sample.abs() < 0.005));
    }

    #[test]
    fn the_echo_in_the_band_of_the_filter_goes() {
        let mut state = 1u32;
        let mut draw = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / 8_388_608.0 - 1.0) * 0.1
        };
        let mut canceller = LinearCanceller::new();
        let mut last = [0.0; BLOCK];
        let mut left = Vec::new();
        for _ in 0..400 {
            // 10 ms late, half as loud.
            let played: [f32; BLOCK] = std::array::from_fn(|_| draw());
            let heard = last.map(|sample| sample / 2.0);
            last = played;
            left.extend(canceller.process(&played, &heard, 0));
        }
        let level = crate::rms_dbfs(&left[300 * BLOCK..]);
        // A third of white noise is above the filter's band.
        assert!(level < -33.5, "{level:.1} dBFS of -30.8");
    }
}
