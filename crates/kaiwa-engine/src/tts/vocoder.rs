//! From the spectra hibari's network predicts to a waveform.
//!
//! One frame per 12.5 ms holds five values per bin and a pitch. With `P` the short-time
//! spectrum of a pulse train at that pitch and `Z` complex noise, the spectrum is
//!
//! ```text
//! S = exp(lh) · exp(iπ·tanh θ) · P  +  exp(ln) · Z  +  exp(lr) · exp(iφ)
//! ```
//!
//! and the waveform its inverse short-time Fourier transform (1200 points, hop 300,
//! periodic Hann window, frames centred on multiples of the hop, 24 kHz).

use std::{f32::consts::PI, f64::consts::TAU, sync::Arc, thread};

use realfft::{ComplexToReal, RealFftPlanner, RealToComplex, num_complex::Complex32};

use super::noise::Noise;
use crate::EngineError;

/// Rate of the waveform in Hz.
pub(super) const SAMPLE_RATE: u32 = 24_000;
/// Samples per frame.
pub(super) const HOP: usize = 300;
/// Bins of a frame.
pub(super) const BINS: usize = FFT / 2 + 1;
const FFT: usize = 1200;
/// Pitches at or below this are "no voice" (Hz).
const VOICED_ABOVE: f32 = 40.0;
/// The pulse train has no harmonics above this (Hz).
const HIGHEST_HARMONIC: f32 = 11_000.0;
/// Log-magnitudes are clamped here, so that a bad prediction cannot overflow.
const MAX_LOG: f32 = 7.0;

/// What the network predicts: each spectrum is [`BINS`] rows of one value per frame.
pub(super) struct Spectra {
    /// Log-magnitude of the harmonic part.
    pub(super) harmonic: Vec<f32>,
    /// Its phase before `π·tanh`.
    pub(super) rotation: Vec<f32>,
    /// Log-magnitude of the noise.
    pub(super) noise: Vec<f32>,
    /// Log-magnitude of the free part.
    pub(super) residual: Vec<f32>,
    /// Phase of the free part.
    pub(super) phase: Vec<f32>,
    /// Pitch in Hz, one value per frame.
    pub(super) pitch: Vec<f32>,
}

/// Plans and window, made once per voice.
pub(super) struct Vocoder {
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    window: Vec<f32>,
}

impl Vocoder {
    pub(super) fn new() -> Self {
        let mut planner = RealFftPlanner::new();
        let window = (0..FFT)
            .map(|i| (0.5 - 0.5 * (TAU * i as f64 / FFT as f64).cos()) as f32)
            .collect();
        Self {
            forward: planner.plan_fft_forward(FFT),
            inverse: planner.plan_fft_inverse(FFT),
            window,
        }
    }

    /// The waveform, [`HOP`] samples per frame, computed on `threads` threads. The same
    /// spectra and seed give the same samples, whatever the number of threads.
    ///
    /// # Errors
    ///
    /// The spectra do not all have [`BINS`] times as many values as there are pitches.
    pub(super) fn synthesize(
        &self,
        spectra: &Spectra,
        seed: u64,
        threads: usize,
    ) -> Result<Vec<f32>, EngineError> {
        let frames = spectra.pitch.len();
        for part in [
            &spectra.harmonic,
            &spectra.rotation,
            &spectra.noise,
            &spectra.residual,
            &spectra.phase,
        ] {
            if part.len() != BINS * frames {
                return Err(EngineError::model(format!(
                    "expected spectra of {BINS} bins by {frames} frames, got {} values",
                    part.len()
                )));
            }
        }
        if frames == 0 {
            return Ok(Vec::new());
        }
        // `FFT / 2` samples of reflection on both sides: every frame is then a plain slice.
        let pulses = reflected(&pulse_train(&spectra.pitch));
        let mut framed = vec![0.0; frames * FFT];
        let per_thread = frames.div_ceil(threads.max(1));
        thread::scope(|scope| {
            for (share, out) in framed.chunks_mut(per_thread * FFT).enumerate() {
                let pulses = &pulses;
                scope.spawn(move || {
                    self.frames(spectra, pulses, seed, share * per_thread, out);
                });
            }
        });
        Ok(self.overlap_add(&framed, frames))
    }

    /// Fills `out` with the windowed frames that start at frame `first`.
    fn frames(&self, spectra: &Spectra, pulses: &[f32], seed: u64, first: usize, out: &mut [f32]) {
        let frames = spectra.pitch.len();
        let mut input = self.forward.make_input_vec();
        let mut bins = self.forward.make_output_vec();
        let mut forward_scratch = self.forward.make_scratch_vec();
        let mut inverse_scratch = self.inverse.make_scratch_vec();
        // A unit cosine has the magnitude of half the window's sum; dividing by it makes
        // exp(lh) the amplitude of a harmonic.
        let source_scale = 1.0 / (FFT / 4) as f32;
        for (index, out) in out.chunks_exact_mut(FFT).enumerate() {
            let frame = first + index;
            for ((x, p), w) in input
                .iter_mut()
                .zip(&pulses[frame * HOP..])
                .zip(&self.window)
            {
                *x = p * w * source_scale;
            }
            self.forward
                .process_with_scratch(&mut input, &mut bins, &mut forward_scratch)
                .expect("the buffers were made by this plan");
            // A frame's noise depends on its number alone, so that threads do not matter.
            let mut noise = Noise::stream(seed, frame as u64);
            for (bin, value) in bins.iter_mut().enumerate() {
                let at = bin * frames + frame;
                let harmonic = Complex32::from_polar(
                    level(spectra.harmonic[at]),
                    PI * spectra.rotation[at].tanh(),
                );
                let random = Complex32::new(noise.next(), noise.next()) * level(spectra.noise[at]);
                let residual =
                    Complex32::from_polar(level(spectra.residual[at]), spectra.phase[at]);
                *value = *value * harmonic + random + residual;
            }
            // The spectrum of a real signal is real at both ends.
            bins[0].im = 0.0;
            bins[BINS - 1].im = 0.0;
            self.inverse
                .process_with_scratch(&mut bins, out, &mut inverse_scratch)
                .expect("the buffers have the plan's lengths, and the ends are real");
            for (y, w) in out.iter_mut().zip(&self.window) {
                *y *= w / FFT as f32;
            }
        }
    }

    fn overlap_add(&self, framed: &[f32], frames: usize) -> Vec<f32> {
        let mut sum = vec![0.0; (frames - 1) * HOP + FFT];
        let mut weight = vec![0.0; sum.len()];
        for (index, frame) in framed.chunks_exact(FFT).enumerate() {
            let at = index * HOP;
            for (i, (y, w)) in frame.iter().zip(&self.window).enumerate() {
                sum[at + i] += y;
                weight[at + i] += w * w;
            }
        }
        let half = FFT / 2;
        sum[half..]
            .iter()
            .zip(&weight[half..])
            .map(|(y, w)| y / w.max(1e-11))
            .chain(std::iter::repeat(0.0))
            .take(frames * HOP)
            .collect()
    }
}

fn level(log: f32) -> f32 {
    log.min(MAX_LOG).exp()
}

/// Every harmonic of the pitch up to [`HIGHEST_HARMONIC`] at amplitude one; silence where
/// there is no voice. The sum over h = 1..=H of cos(h·t) is
/// `sin((H + 1/2)·t) / (2·sin(t/2)) - 1/2`.
fn pulse_train(pitch: &[f32]) -> Vec<f32> {
    let mut phase = 0.0_f64;
    (0..pitch.len() * HOP)
        .map(|sample| {
            // A frame's pitch holds at its middle; between middles it is interpolated.
            let position = (sample as f32 + 0.5) / HOP as f32 - 0.5;
            let left = position.floor();
            let clamp = |index: f32| (index.max(0.0) as usize).min(pitch.len() - 1);
            let (a, b) = (pitch[clamp(left)], pitch[clamp(left + 1.0)]);
            let hz = a + (b - a) * (position - left);
            let voiced = hz > VOICED_ABOVE;
            let hz = hz.max(VOICED_ABOVE);
            phase = (phase + f64::from(hz) / f64::from(SAMPLE_RATE)).fract();
            if !voiced {
                return 0.0;
            }
            let t = (phase * TAU) as f32;
            let order = (HIGHEST_HARMONIC / hz).floor() + 0.5;
            let below = 2.0 * (t * 0.5).sin();
            let ratio = if below.abs() <= 2e-3 {
                order
            } else {
                (order * t).sin() / below
            };
            ratio - 0.5
        })
        .collect()
}

/// `signal` with half a frame mirrored before and after it (the ends are not repeated).
fn reflected(signal: &[f32]) -> Vec<f32> {
    let last = signal.len() as isize - 1;
    let half = (FFT / 2) as isize;
    (-half..=last + half)
        .map(|index| {
            let mirrored = if index > last {
                2 * last - index
            } else {
                index
            };
            // A signal shorter than half a frame (one frame of audio) mirrors only once.
            signal[mirrored.unsigned_abs().min(signal.len() - 1)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spectra(frames: usize, pitch: f32) -> Spectra {
        let all = |value| vec![value; BINS * frames];
        Spectra {
            harmonic: all(4.0),
            rotation: all(0.0),
            noise: all(-30.0),
            residual: all(-30.0),
            phase: all(0.0),
            pitch: vec![pitch; frames],
        }
    }

    #[test]
    fn a_steady_pitch_gives_a_periodic_wave() {
        let wave = Vocoder::new()
            .synthesize(&spectra(40, 200.0), 1, 1)
            .unwrap();
        assert_eq!(wave.len(), 40 * HOP);
        let period = SAMPLE_RATE as usize / 200;
        let middle = &wave[10 * HOP..30 * HOP];
        let energy: f32 = middle.iter().map(|y| y * y).sum();
        let difference: f32 = middle
            .iter()
            .zip(&wave[10 * HOP + period..])
            .map(|(a, b)| (a - b) * (a - b))
            .sum();
        assert!(energy > 1.0, "silent: {energy}");
        assert!(difference < energy * 1e-3, "{difference} of {energy}");
    }

    #[test]
    fn no_pitch_is_silence_without_noise() {
        let wave = Vocoder::new().synthesize(&spectra(10, 0.0), 1, 1).unwrap();
        assert!(wave.iter().all(|y| y.abs() < 1e-6));
    }

    #[test]
    fn the_seed_decides_and_threads_do_not() {
        let mut input = spectra(13, 150.0);
        input.noise.fill(-2.0);
        let vocoder = Vocoder::new();
        let one = vocoder.synthesize(&input, 7, 1).unwrap();
        assert_eq!(one, vocoder.synthesize(&input, 7, 4).unwrap());
        assert_ne!(one, vocoder.synthesize(&input, 8, 1).unwrap());
    }

    #[test]
    fn wrong_shapes_are_refused() {
        let mut input = spectra(3, 100.0);
        input.phase.pop();
        assert!(Vocoder::new().synthesize(&input, 0, 1).is_err());
        let empty = Vocoder::new().synthesize(&spectra(0, 0.0), 0, 1).unwrap();
        assert!(empty.is_empty());
        let short = Vocoder::new().synthesize(&spectra(1, 90.0), 0, 2).unwrap();
        assert_eq!(short.len(), HOP);
    }
}
