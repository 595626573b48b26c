use std::{f64::consts::PI, sync::Arc};

use realfft::{RealFftPlanner, RealToComplex, num_complex::Complex};

/// Bands of the log-mel spectrogram.
pub(crate) const BANDS: usize = 80;
/// Samples (16 000 Hz) from one frame to the next: 10 ms.
pub(crate) const HOP: usize = 160;
const WINDOW: usize = 400;
const BINS: usize = WINDOW / 2 + 1;
const RATE: f64 = 16_000.0;

/// Power below this counts as this: `log10` of it is -10.
const FLOOR: f32 = 1e-10;
/// Frames weaker than the loudest one by more than this (in `log10` of power) are raised.
const RANGE: f32 = 8.0;

/// What does not change from one spectrogram to the next: window, transform, filters.
pub(crate) struct MelFilters {
    window: Vec<f32>,
    fft: Arc<dyn RealToComplex<f32>>,
    bands: Vec<Band>,
}

/// One triangular filter: weights of the bins from `first` on.
struct Band {
    first: usize,
    weights: Vec<f32>,
}

impl MelFilters {
    pub(crate) fn new() -> Self {
        // A periodic Hann window.
        let window = (0..WINDOW)
            .map(|n| (0.5 - 0.5 * (2.0 * PI * n as f64 / WINDOW as f64).cos()) as f32)
            .collect();
        Self {
            window,
            fft: RealFftPlanner::new().plan_fft_forward(WINDOW),
            bands: slaney_bands(),
        }
    }
}

/// The log-mel spectrogram of one stretch of audio, computed as the audio arrives.
///
/// Only the last step ([`finish`](Self::finish)) depends on the loudest frame of all, so
/// the transforms can be done while somebody is still speaking.
pub(crate) struct LogMel<'a> {
    filters: &'a MelFilters,
    /// Samples of which frames are still to be computed; begins with the mirrored start.
    pending: Vec<f32>,
    /// The first samples, until the start can be mirrored.
    started: bool,
    /// `log10` of the power per band, [`BANDS`] per frame.
    frames: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    windowed: Vec<f32>,
    scratch: Vec<Complex<f32>>,
}

impl<'a> LogMel<'a> {
    pub(crate) fn new(filters: &'a MelFilters) -> Self {
        Self {
            filters,
            pending: Vec::new(),
            started: false,
            frames: Vec::new(),
            spectrum: filters.fft.make_output_vec(),
            windowed: vec![0.0; WINDOW],
            scratch: filters.fft.make_scratch_vec(),
        }
    }

    /// Appends audio (16 000 Hz) and computes the frames it completes.
    pub(crate) fn push(&mut self, samples: &[f32]) {
        self.pending.extend_from_slice(samples);
        if !self.started {
            // Frame 0 is centred on sample 0: what lies before is the mirrored beginning.
            if self.pending.len() <= WINDOW / 2 {
                return;
            }
            let mirrored: Vec<f32> = self.pending[1..=WINDOW / 2].iter().rev().copied().collect();
            self.pending.splice(..0, mirrored);
            self.started = true;
        }
        let mut at = 0;
        while at + WINDOW <= self.pending.len() {
            self.frame(at);
            at += HOP;
        }
        self.pending.drain(..at);
    }

    /// Ends the audio: follows it with silence up to `frames` frames in all, scales, and
    /// gives the spectrogram, [`BANDS`] values per frame. More frames than asked for are
    /// cut off.
    pub(crate) fn finish(mut self, frames: usize) -> Vec<f32> {
        // Frames that still overlap the audio are computed; those after it are constant.
        self.push(&[0.0; WINDOW]);
        self.frames.resize(frames * BANDS, FLOOR.log10());
        let loudest = self.frames.iter().copied().fold(FLOOR.log10(), f32::max);
        let floor = loudest - RANGE;
        for value in &mut self.frames {
            *value = (value.max(floor) + 4.0) / 4.0;
        }
        self.frames
    }

    fn frame(&mut self, at: usize) {
        let samples = &self.pending[at..at + WINDOW];
        for ((out, sample), weight) in self
            .windowed
            .iter_mut()
            .zip(samples)
            .zip(&self.filters.window)
        {
            *out = sample * weight;
        }
        let done = self.filters.fft.process_with_scratch(
            &mut self.windowed,
            &mut self.spectrum,
            &mut self.scratch,
        );
        debug_assert!(done.is_ok(), "the buffers come from the same plan");
        let mut power = [0.0_f32; BINS];
        for (power, bin) in power.iter_mut().zip(&self.spectrum) {
            *power = bin.norm_sqr();
        }
        self.frames.extend(self.filters.bands.iter().map(|band| {
            let energy: f32 = band
                .weights
                .iter()
                .zip(&power[band.first..])
                .map(|(weight, power)| weight * power)
                .sum();
            energy.max(FLOOR).log10()
        }));
    }
}

/// The filters of Slaney's Auditory Toolbox: linear below 1000 Hz, logarithmic above,
/// each scaled to the same area.
fn slaney_bands() -> Vec<Band> {
    const LINEAR_STEP: f64 = 200.0 / 3.0;
    const BREAK_HZ: f64 = 1000.0;
    const BREAK_MEL: f64 = BREAK_HZ / LINEAR_STEP;
    let log_step = 6.4_f64.ln() / 27.0;
    let hz = |mel: f64| {
        if mel < BREAK_MEL {
            mel * LINEAR_STEP
        } else {
            BREAK_HZ * ((mel - BREAK_MEL) * log_step).exp()
        }
    };
    let top = BREAK_MEL + (RATE / 2.0 / BREAK_HZ).ln() / log_step;
    let edges: Vec<f64> = (0..BANDS + 2)
        .map(|n| hz(top * n as f64 / (BANDS + 1) as f64))
        .collect();
    edges
        .windows(3)
        .map(|edge| {
            let weights: Vec<f64> = (0..BINS)
                .map(|bin| {
                    let frequency = bin as f64 * RATE / WINDOW as f64;
                    let rising = (frequency - edge[0]) / (edge[1] - edge[0]);
                    let falling = (edge[2] - frequency) / (edge[2] - edge[1]);
                    rising.min(falling).max(0.0) * 2.0 / (edge[2] - edge[0])
                })
                .collect();
            let first = weights.iter().position(|&w| w > 0.0).unwrap_or(0);
            let last = weights.iter().rposition(|&w| w > 0.0).unwrap_or(first);
            Band {
                first,
                weights: weights[first..=last].iter().map(|&w| w as f32).collect(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tone of 440 Hz for 150 ms under a rising sweep of 250 ms.
    fn signal() -> Vec<f32> {
        (0..4000)
            .map(|n| {
                let t = f64::from(n) / RATE;
                let tone = if n < 2400 {
                    0.5 * (2.0 * PI * 440.0 * t).sin()
                } else {
                    0.0
                };
                (tone + 0.25 * (2.0 * PI * (1000.0 + 3000.0 * t) * t).sin()) as f32
            })
            .collect()
    }

    /// (frame, band, value) of the spectrogram of [`signal`], followed by silence, as
    /// faster-whisper 1.2.1 gives it: `FeatureExtractor(80)(signal, padding=0)`.
    const KNOWN: [(usize, usize, f32); 14] = [
        (0, 0, 1.0255),
        (0, 11, 1.1061),
        (0, 40, 0.6248),
        (5, 10, 1.3487),
        (5, 11, 1.4382),
        (5, 12, 1.2935),
        (14, 24, 0.0549),
        (15, 11, 1.2929),
        (20, 30, -0.5618),
        (24, 27, -0.1803),
        (24, 79, -0.4974),
        (25, 27, 0.3305),
        (26, 3, -0.2260),
        (60, 5, -0.5618),
    ];

    #[test]
    fn the_spectrogram_has_the_known_values() {
        let filters = MelFilters::new();
        let mut mel = LogMel::new(&filters);
        mel.push(&signal());
        let frames = mel.finish(80);
        assert_eq!(frames.len(), 80 * BANDS);
        for (frame, band, expected) in KNOWN {
            let actual = frames[frame * BANDS + band];
            assert!(
                (actual - expected).abs() < 2e-3,
                "frame {frame}, band {band}: {actual}, expected {expected}"
            );
        }
    }

    #[test]
    fn audio_in_pieces_gives_the_same_spectrogram() {
        let filters = MelFilters::new();
        let mut whole = LogMel::new(&filters);
        whole.push(&signal());
        let mut pieces = LogMel::new(&filters);
        for piece in signal().chunks(123) {
            pieces.push(piece);
        }
        assert_eq!(whole.finish(40), pieces.finish(40));
    }

    #[test]
    fn no_audio_is_all_floor() {
        let frames = LogMel::new(&MelFilters::new()).finish(10);
        assert_eq!(frames, [-1.5; 10 * BANDS]);
    }
}
