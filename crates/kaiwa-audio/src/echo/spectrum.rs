//! Powers in bands, 10 ms by 10 ms.

use std::{f32::consts::TAU, sync::Arc};

use realfft::{RealFftPlanner, RealToComplex, num_complex::Complex32};

use super::BLOCK;
use crate::WIRE_RATE_HZ;

/// Samples of a window: 20 ms, of which each block moves on by half.
const WINDOW: usize = 2 * BLOCK;

/// Edges of the bands in Hz: Zwicker's critical bands (Bark 2 to 21) that carry speech.
const EDGES_HZ: [u32; BANDS + 1] = [
    200, 300, 400, 510, 630, 770, 920, 1080, 1270, 1480, 1720, 2000, 2320, 2700, 3150, 3700, 4400,
    5300, 6400, 7700,
];

/// How many bands there are.
pub(super) const BANDS: usize = 19;

/// A power in each band. White noise of RMS 1 has 1 in all of them together, if it
/// reached from 0 to 12 kHz.
pub(super) type Powers = [f32; BANDS];

/// Takes a stream apart.
pub(super) struct Spectrum {
    fft: Arc<dyn RealToComplex<f32>>,
    window: [f32; WINDOW],
    /// The last two blocks.
    samples: [f32; WINDOW],
    windowed: Vec<f32>,
    bins: Vec<Complex32>,
    scratch: Vec<Complex32>,
}

impl Spectrum {
    pub(super) fn new() -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(WINDOW);
        Self {
            window: std::array::from_fn(|n| {
                0.5 - 0.5 * (TAU * (n as f32 + 0.5) / WINDOW as f32).cos()
            }),
            samples: [0.0; WINDOW],
            windowed: fft.make_input_vec(),
            bins: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            fft,
        }
    }

    /// The powers of this block and the one before it.
    pub(super) fn push(&mut self, block: &[f32; BLOCK]) -> Powers {
        self.samples.copy_within(BLOCK.., 0);
        self.samples[BLOCK..].copy_from_slice(block);
        for (windowed, (sample, weight)) in self
            .windowed
            .iter_mut()
            .zip(self.samples.iter().zip(&self.window))
        {
            *windowed = sample * weight;
        }
        let done =
            self.fft
                .process_with_scratch(&mut self.windowed, &mut self.bins, &mut self.scratch);
        debug_assert!(done.is_ok(), "the buffers are the transform's own");
        // Parseval, both sides of the spectrum, and the window's mean square of 3/8.
        let scale = 2.0 / (WINDOW as f32 * WINDOW as f32 * 0.375);
        std::array::from_fn(|band| {
            let bins = &self.bins[bin(EDGES_HZ[band])..bin(EDGES_HZ[band + 1])];
            bins.iter().map(Complex32::norm_sqr).sum::<f32>() * scale
        })
    }
}

/// The transform's bin at `hz`.
fn bin(hz: u32) -> usize {
    (hz as usize * WINDOW + WIRE_RATE_HZ as usize / 2) / WIRE_RATE_HZ as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_in_its_band_with_its_power() {
        let mut spectrum = Spectrum::new();
        let mut powers = [0.0; BANDS];
        for block in 0..4 {
            powers = spectrum.push(&std::array::from_fn(|n| {
                (TAU * 1000.0 * (block * BLOCK + n) as f32 / WIRE_RATE_HZ as f32).sin()
            }));
        }
        // 920 to 1080 Hz.
        assert!((powers[6] - 0.5).abs() < 0.01, "{powers:?}");
        assert!(powers.iter().sum::<f32>() - powers[6] < 0.01, "{powers:?}");
    }

    #[test]
    fn silence_has_no_power() {
        assert_eq!(Spectrum::new().push(&[0.0; BLOCK]), [0.0; BANDS]);
    }
}
