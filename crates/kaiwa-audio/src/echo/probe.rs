//! A sound that tells how a microphone hears a speaker.

use std::f32::consts::{PI, TAU};

use realfft::RealFftPlanner;

use crate::{WIRE_RATE_HZ, rms_dbfs};

/// Samples of a chirp: 200 ms.
const CHIRP: usize = 4_800;
/// Samples over which a chirp grows and fades, so that it does not click: 10 ms.
const EDGE: usize = 240;
/// What a chirp runs through, in Hz: what small speakers play and speech is made of.
const SWEEP_HZ: (f32, f32) = (300.0, 3_400.0);
/// Its amplitude: -20 dBFS, softer than speech.
const AMPLITUDE: f32 = 0.1;
/// What is heard is a chirp from this likeness on. Of noise, the most alike of all 9600 places
/// has 0.15 or less.
const ALIKE: f32 = 0.25;

/// Quiet chirps, one after another, and what finds them again in what a microphone heard.
///
/// Like everything on a sound card's wire, they have 24 kHz.
#[derive(Clone, Debug)]
pub struct Probe {
    period: Vec<f32>,
}

/// What a microphone heard of a [`Probe`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ProbeEcho {
    /// Samples by which it came later than it was played, by the strongest way.
    pub delay: usize,
    /// Its level against what was played, in dB.
    pub gain_db: f32,
}

impl Default for Probe {
    fn default() -> Self {
        Self::new()
    }
}

impl Probe {
    /// Samples from one chirp to the next: 400 ms. A later echo is taken for an earlier one.
    pub const PERIOD: usize = 9_600;

    /// The sound.
    #[must_use]
    pub fn new() -> Self {
        let seconds = |n: usize| n as f32 / WIRE_RATE_HZ as f32;
        let (low, high) = SWEEP_HZ;
        let rise = (high - low) / seconds(CHIRP);
        let mut period: Vec<f32> = (0..CHIRP)
            .map(|n| {
                let t = seconds(n);
                let from_edge = n.min(CHIRP - 1 - n).min(EDGE) as f32 / EDGE as f32;
                let envelope = 0.5 - 0.5 * (PI * from_edge).cos();
                AMPLITUDE * envelope * (TAU * (low * t + 0.5 * rise * t * t)).sin()
            })
            .collect();
        period.resize(Self::PERIOD, 0.0);
        Self { period }
    }

    /// Its sample at a position.
    #[must_use]
    pub fn sample(&self, position: usize) -> f32 {
        self.period[position % Self::PERIOD]
    }

    /// Looks for it in `heard`, which begins with the first sample played and during all of
    /// which it was played; `None` where it is not to be found. The first chirp is not looked
    /// at, since not all of it may have arrived: `heard` has two periods or more.
    #[must_use]
    pub fn find(&self, heard: &[f32]) -> Option<ProbeEcho> {
        let (periods, _) = heard.as_chunks::<{ Self::PERIOD }>();
        let (_, periods) = periods.split_first()?;
        if periods.is_empty() {
            return None;
        }
        // What all periods have in common stays, noise becomes less.
        let mean: Vec<f32> = (0..Self::PERIOD)
            .map(|n| periods.iter().map(|period| period[n]).sum::<f32>() / periods.len() as f32)
            .collect();
        let likeness = self.correlate(&mean);
        let (delay, product) = likeness
            .iter()
            .map(|product| product.abs())
            .enumerate()
            .max_by(|(_, a), (_, b)| a.total_cmp(b))?;
        let chirp = &self.period[..CHIRP];
        let at_delay: Vec<f32> = (delay..delay + CHIRP)
            .map(|n| mean[n % Self::PERIOD])
            .collect();
        let most = (energy(chirp) * energy(&at_delay)).sqrt();
        (most > 0.0 && product / most >= ALIKE).then(|| ProbeEcho {
            delay,
            gain_db: rms_dbfs(&at_delay) - rms_dbfs(chirp),
        })
    }

    /// The product of the chirp and of `mean`, for each delay. `mean` goes round in a circle.
    fn correlate(&self, mean: &[f32]) -> Vec<f32> {
        let mut planner = RealFftPlanner::<f32>::new();
        let forward = planner.plan_fft_forward(Self::PERIOD);
        let back = planner.plan_fft_inverse(Self::PERIOD);
        let transform = |samples: &[f32]| {
            let mut input = samples.to_vec();
            let mut output = forward.make_output_vec();
            let done = forward.process(&mut input, &mut output);
            debug_assert!(done.is_ok(), "the buffers are the transform's own");
            output
        };
        let mut bins = transform(mean);
        for (bin, chirp) in bins.iter_mut().zip(transform(&self.period)) {
            *bin *= chirp.conj();
        }
        // The ends of a real signal's spectrum are real; rounding leaves a little.
        for end in [0, Self::PERIOD / 2] {
            bins[end].im = 0.0;
        }
        let mut output = back.make_output_vec();
        let done = back.process(&mut bins, &mut output);
        debug_assert!(done.is_ok(), "a product of real signals' spectra");
        for product in &mut output {
            *product /= Self::PERIOD as f32;
        }
        output
    }
}

fn energy(samples: &[f32]) -> f32 {
    samples.iter().map(|x| x * x).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::EchoPath;

    fn played(periods: usize) -> Vec<f32> {
        let probe = Probe::new();
        (0..periods * Probe::PERIOD)
            .map(|n| probe.sample(n))
            .collect()
    }

    /// Noise of so many dBFS.
    fn noise(samples: usize, dbfs: f32) -> Vec<f32> {
        let mut seed = 7_u32;
        let amplitude = 10f32.powf(dbfs / 20.0) * 3f32.sqrt();
        (0..samples)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                amplitude * ((seed >> 8) as f32 / (1 << 23) as f32 - 1.0)
            })
            .collect()
    }

    fn mixed(echo: &[f32], noise: &[f32]) -> Vec<f32> {
        echo.iter().zip(noise).map(|(a, b)| a + b).collect()
    }

    #[test]
    fn delay_and_loudness_are_found_in_noise() {
        let played = played(6);
        for (delay, gain_db, noise_dbfs) in [
            (0, 0.0, -90.0),
            (480, -6.0, -60.0),
            (2_400, -20.0, -60.0),
            // As loud as the echo itself.
            (2_400, -30.0, -53.0),
            (9_000, -10.0, -50.0),
        ] {
            let echo = EchoPath::new(delay, gain_db, &[]).echo(&played);
            let heard = mixed(&echo, &noise(played.len(), noise_dbfs));
            let found = Probe::new().find(&heard).expect("it is found");
            assert_eq!(found.delay, delay, "{gain_db} dB in {noise_dbfs} dBFS");
            assert!(
                (found.gain_db - gain_db).abs() < 3.0,
                "{found:?} for {gain_db}"
            );
        }
    }

    #[test]
    fn in_silence_and_noise_there_is_none() {
        let samples = 6 * Probe::PERIOD;
        for heard in [
            vec![],
            vec![0.0; Probe::PERIOD],
            vec![0.0; samples],
            noise(samples, -60.0),
            noise(samples, -10.0),
            vec![0.5; samples],
            played(1),
        ] {
            assert_eq!(Probe::new().find(&heard), None);
        }
    }

    #[test]
    fn a_chirp_is_quiet_and_does_not_click() {
        let played = played(2);
        let step = |pair: &[f32]| (pair[1] - pair[0]).abs();
        let steepest = played.windows(2).map(step).fold(0.0, f32::max);
        // That of 3400 Hz at its amplitude.
        assert!(steepest < 0.1 * TAU * 3_450.0 / 24_000.0, "{steepest}");
        assert!(played.iter().all(|x| x.abs() <= AMPLITUDE));
    }
}
