//! Steady noise taken out of a stream, sample for sample.

use std::fmt;

use sonora::{AudioProcessing, Config, StreamConfig, config};

use crate::{echo::NoiseReduction, level::bounded};

/// Takes steady noise out of a mono stream at 8, 16, 24, 32 or 48 kHz.
///
/// Its delay is compensated: sample 0 of the output is sample 0 of the input, up to 27 ms stay
/// [`held`](Self::held) until more comes or [`flush`](Self::flush) delivers them, and after a
/// flush there are as many samples as went in. Samples that are no numbers count as silence, and
/// louder ones than full scale are cut. Cutting the input differently changes nothing.
/// What was learnt of the noise outlives a flush. [`NoiseReduction::Off`] passes samples
/// through untouched.
pub struct NoiseReducer {
    level: NoiseReduction,
    suppressor: Option<AudioProcessing>,
    /// Samples of 10 ms.
    block: usize,
    /// Samples that the suppressor's output is behind its input.
    latency: usize,
    /// The block before the next one, and what is there of that.
    previous: Vec<f32>,
    waiting: Vec<f32>,
    /// Samples of the output that belong to what came before the stream.
    before: usize,
    /// Samples taken, and not given yet.
    held: usize,
    cleaned: Vec<f32>,
}

impl NoiseReducer {
    /// A reducer at the start of a stream that knows nothing of its noise.
    ///
    /// # Panics
    ///
    /// When the rate is none of the above.
    #[must_use]
    pub fn new(level: NoiseReduction, rate_hz: u32) -> Self {
        let latency = latency(rate_hz);
        let suppressor = level.level().map(|level| {
            let stream = StreamConfig::new(rate_hz, 1);
            AudioProcessing::builder()
                .config(Config {
                    noise_suppression: Some(config::NoiseSuppression {
                        level,
                        ..config::NoiseSuppression::default()
                    }),
                    ..Config::default()
                })
                .capture_config(stream)
                .build()
        });
        let block = rate_hz as usize / 100;
        Self {
            level,
            suppressor,
            block,
            latency,
            previous: Vec::new(),
            waiting: Vec::new(),
            before: latency,
            held: 0,
            cleaned: vec![0.0; block],
        }
    }

    /// How much is taken out.
    #[must_use]
    pub fn level(&self) -> NoiseReduction {
        self.level
    }

    /// Samples that were taken and not given yet.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// Takes `input` and appends what is known of its output to `out`.
    pub fn process(&mut self, input: &[f32], out: &mut Vec<f32>) {
        if self.suppressor.is_none() {
            out.extend_from_slice(input);
            return;
        }
        self.held += input.len();
        self.waiting.extend(input.iter().copied().map(bounded));
        let whole = self.waiting.len() / self.block * self.block;
        let blocks: Vec<f32> = self.waiting.drain(..whole).collect();
        for block in blocks.chunks_exact(self.block) {
            self.block(block, out);
        }
    }

    /// Appends the output still held back. What comes next begins a new stream in the same noise.
    pub fn flush(&mut self, out: &mut Vec<f32>) {
        if self.held == 0 {
            return;
        }
        // Behind the end comes what was before it, backwards: it sounds like the noise does, so
        // what is known of that does not suffer, as it would from silence.
        let backwards = self.waiting.iter().rev().chain(self.previous.iter().rev());
        let behind: Vec<f32> = backwards.copied().collect();
        let mut behind = behind.into_iter().cycle();
        let mut block = std::mem::take(&mut self.waiting);
        while self.held > 0 {
            let missing = self.block - block.len();
            block.extend(behind.by_ref().take(missing));
            self.block(&block, out);
            block.clear();
        }
        self.before = self.latency;
    }

    /// Cleans 10 ms.
    fn block(&mut self, block: &[f32], out: &mut Vec<f32>) {
        let Some(suppressor) = &mut self.suppressor else {
            return;
        };
        // Errors would be about the length of the block, which is right.
        let _ = suppressor.process_capture_f32(&[block], &mut [self.cleaned.as_mut_slice()]);
        self.previous.clear();
        self.previous.extend_from_slice(block);
        let skipped = self.before.min(self.block);
        self.before -= skipped;
        let given = (self.block - skipped).min(self.held);
        self.held -= given;
        let cleaned = self.cleaned[skipped..][..given].iter();
        out.extend(cleaned.copied().map(bounded));
    }
}

impl fmt::Debug for NoiseReducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoiseReducer")
            .field("level", &self.level)
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}

/// Samples that the suppressor's output is behind its input: the overlap of its windows, and
/// where the rate is not its own, the bands and the rates. Measured; a test holds them.
fn latency(rate_hz: u32) -> usize {
    match rate_hz {
        8_000 => 72,
        16_000 => 96,
        24_000 => 175,
        32_000 => 194,
        48_000 => 334,
        _ => panic!("no noise is reduced at {rate_hz} Hz"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rms_dbfs;

    const RATES: [u32; 5] = [8_000, 16_000, 24_000, 32_000, 48_000];

    /// Noise between -1 and 1, the same for the same seed.
    fn noise(seed: u32) -> impl FnMut() -> f32 {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        }
    }

    fn reduced(level: NoiseReduction, rate: u32, input: &[f32]) -> Vec<f32> {
        let mut reducer = NoiseReducer::new(level, rate);
        let mut out = Vec::new();
        reducer.process(input, &mut out);
        reducer.flush(&mut out);
        out
    }

    #[test]
    fn noise_goes_down() {
        for rate in RATES {
            let mut draw = noise(1);
            let hiss: Vec<f32> = (0..4 * rate).map(|_| 0.01 * draw()).collect();
            let from = 2 * rate as usize;
            let by =
                |level| rms_dbfs(&hiss[from..]) - rms_dbfs(&reduced(level, rate, &hiss)[from..]);
            let (near, far) = (by(NoiseReduction::Near), by(NoiseReduction::Far));
            assert!(near > 8.0 && far > near + 3.0, "{rate}: {near:.1} {far:.1}");
        }
    }

    #[test]
    fn off_changes_nothing() {
        let mut draw = noise(2);
        let input: Vec<f32> = (0..777).map(|_| 2.0 * draw()).collect();
        assert_eq!(reduced(NoiseReduction::Off, 24_000, &input), input);
    }

    #[test]
    fn every_sample_stays_in_its_place() {
        for rate in RATES {
            // Bursts of low noise, found again by where they are most alike.
            let mut draw = noise(3);
            let mut low = 0.0;
            let input: Vec<f32> = (0..2 * rate as usize)
                .map(|n| {
                    low += (draw() - low) * 0.3;
                    if n % (rate as usize / 2) < rate as usize / 8 {
                        low * 0.2
                    } else {
                        0.0
                    }
                })
                .collect();
            let output = reduced(NoiseReduction::Near, rate, &input);
            let alike = |shift: usize| -> f32 {
                let pairs = input[200..input.len() - 200].iter().zip(&output[shift..]);
                pairs.map(|(a, b)| a * b).sum()
            };
            let found = (0..400).max_by(|a, b| alike(*a).total_cmp(&alike(*b)));
            assert!(
                found.is_some_and(|found| found.abs_diff(200) <= 2),
                "{rate}: {found:?}, 200 is right"
            );
        }
    }

    #[test]
    fn what_is_known_of_the_noise_outlives_a_flush() {
        let mut draw = noise(4);
        let hiss: Vec<f32> = (0..4 * 24_000).map(|_| 0.01 * draw()).collect();
        let mut reducer = NoiseReducer::new(NoiseReduction::Near, 24_000);
        let mut out = Vec::new();
        reducer.process(&hiss[..72_001], &mut out);
        reducer.flush(&mut out);
        assert_eq!(out.len(), 72_001);
        reducer.process(&hiss[72_001..], &mut out);
        reducer.flush(&mut out);
        assert_eq!(out.len(), hiss.len());
        let after = rms_dbfs(&hiss[72_001..]) - rms_dbfs(&out[72_001..]);
        assert!(after > 8.0, "{after:.1} dB at once");
    }

    #[test]
    fn nothing_that_comes_in_does_harm() {
        let values = [
            0.0,
            f32::NAN,
            f32::INFINITY,
            -1e30,
            f32::MIN_POSITIVE,
            1.0,
            -0.3,
        ];
        for value in values {
            let mut draw = noise(6);
            let mut reducer = NoiseReducer::new(NoiseReduction::Far, 24_000);
            let mut out = Vec::new();
            reducer.process(&[value; 48_123], &mut out);
            // Somebody begins to speak, or something like it.
            let voice: Vec<f32> = (0..24_000).map(|_| 0.2 * draw()).collect();
            reducer.process(&voice, &mut out);
            reducer.flush(&mut out);
            assert_eq!(out.len(), 72_123);
            assert!(out.iter().all(|sample| sample.abs() <= 1.0), "{value}");
            let level = rms_dbfs(&out[48_123..]);
            assert!(level > -40.0, "{value}: {level:.1} dBFS");
        }
    }

    proptest! {
        #[test]
        fn cutting_the_input_changes_nothing(
            length in 0usize..3_000,
            cuts in prop::collection::vec(0usize..500, 0..20),
        ) {
            let mut draw = noise(5);
            let input: Vec<f32> = (0..length).map(|_| 0.3 * draw()).collect();
            let whole = reduced(NoiseReduction::Far, 24_000, &input);
            prop_assert_eq!(whole.len(), length);
            let mut reducer = NoiseReducer::new(NoiseReduction::Far, 24_000);
            let mut out = Vec::new();
            let mut rest = &input[..];
            for cut in cuts {
                let (piece, tail) = rest.split_at(cut.min(rest.len()));
                reducer.process(piece, &mut out);
                prop_assert_eq!(out.len() + reducer.held(), length - tail.len());
                prop_assert!(reducer.held() <= 650);
                rest = tail;
            }
            reducer.process(rest, &mut out);
            reducer.flush(&mut out);
            prop_assert_eq!(out, whole);
        }
    }
}
