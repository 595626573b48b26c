//! How the clocks of two devices run against each other.

use std::{cmp::Ordering, time::Duration};

use kaiwa_audio::WIRE_RATE_HZ;
use kaiwa_client::device::{DeviceClocks, Reading};
use tokio::time::Instant;

use super::Finding;

/// What is corrected without a gap (`docs/devices.md`), in parts in a million.
const CORRECTED_PPM: f64 = 2_000.0;
/// What devices usually stay below. More is corrected, and may be a bad driver.
const USUAL_PPM: f64 = 500.0;
/// Readings without which nothing can be said.
const FEWEST: usize = 50;
/// Stretches of time, of each of which one reading counts.
const STRETCHES: usize = 12;

/// Readings of both clocks.
#[derive(Debug, Default)]
pub(super) struct Drift {
    microphone: Readings,
    speaker: Readings,
}

/// A clock's readings: seconds since the first one, and samples.
#[derive(Debug, Default)]
struct Readings {
    begun: Option<Instant>,
    points: Vec<(f64, f64)>,
}

/// A rate and its standard error, both in parts in a million of 24 kHz.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rate {
    ppm: f64,
    error_ppm: f64,
}

impl Drift {
    pub(super) fn note(&mut self, clocks: &DeviceClocks) {
        self.microphone.note(clocks.microphone);
        self.speaker.note(clocks.speaker);
    }

    /// What there is to say of the clocks; nothing unless there are two.
    pub(super) fn finding(&self) -> Option<Finding> {
        let microphone = self.microphone.rate()?;
        let speaker = self.speaker.rate()?;
        Some(judged(Rate {
            ppm: microphone.ppm - speaker.ppm,
            error_ppm: microphone.error_ppm.hypot(speaker.error_ppm),
        }))
    }
}

fn judged(drift: Rate) -> Finding {
    let message = format!(
        "the microphone's clock runs {:.0} ppm {} than the speaker's (give or take {:.0})",
        drift.ppm.abs(),
        if drift.ppm < 0.0 { "slower" } else { "faster" },
        2.0 * drift.error_ppm
    );
    // What may as well be the measurement's error is no reason to worry anybody.
    let surely = drift.ppm.abs() - 2.0 * drift.error_ppm;
    if surely > CORRECTED_PPM {
        Finding::problem(
            "clocks",
            format_args!("{message}, more than can be corrected"),
            "use a microphone and a speaker of the same device, with --mic and --speaker",
        )
    } else if surely > USUAL_PPM {
        Finding::note(
            "clocks",
            format_args!("{message}, which is corrected"),
            "use devices on the same bus if you are not understood well",
        )
    } else {
        Finding::ok("clocks", message)
    }
}

impl Readings {
    fn note(&mut self, reading: Reading) {
        let Some(at) = reading.at else {
            return;
        };
        let begun = *self.begun.get_or_insert(at);
        let seconds = at.saturating_duration_since(begun);
        let is_new = self
            .points
            .last()
            .is_none_or(|(last, _)| Duration::from_secs_f64(*last) < seconds);
        if is_new {
            self.points
                .push((seconds.as_secs_f64(), reading.samples as f64));
        }
    }

    /// The line of least squares through the most punctual readings: one comes when a block of
    /// sound does, and on a busy machine late, but never early.
    fn rate(&self) -> Option<Rate> {
        if self.points.len() < FEWEST {
            return None;
        }
        let points: Vec<(f64, f64)> = self
            .points
            .chunks(self.points.len().div_ceil(STRETCHES))
            .filter_map(|stretch| stretch.iter().copied().max_by(is_more_punctual))
            .collect();
        let count = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
        let spread: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
        if spread <= 0.0 {
            return None;
        }
        let slope = points
            .iter()
            .map(|(x, y)| (x - mean_x) * (y - mean_y))
            .sum::<f64>()
            / spread;
        let residue: f64 = points
            .iter()
            .map(|(x, y)| (y - mean_y - slope * (x - mean_x)).powi(2))
            .sum();
        let error = (residue / (count - 2.0) / spread).sqrt();
        let nominal = f64::from(WIRE_RATE_HZ);
        Some(Rate {
            ppm: (slope / nominal - 1.0) * 1e6,
            error_ppm: error / nominal * 1e6,
        })
    }
}

/// Which of two readings is ahead of a clock of 24 kHz by more.
fn is_more_punctual(one: &(f64, f64), other: &(f64, f64)) -> Ordering {
    let ahead = |(seconds, samples): &(f64, f64)| samples - seconds * f64::from(WIRE_RATE_HZ);
    ahead(one).total_cmp(&ahead(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;

    /// Five seconds of a clock so many ppm fast, heard of every 10 ms, each time up to 2 ms late.
    fn readings(ppm: f64) -> Readings {
        let mut seed = 1_u32;
        let points = (0..500)
            .map(|n| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let late = f64::from(seed >> 8) / f64::from(1 << 24) * 0.002;
                let samples = f64::from(n) * 240.0;
                (samples / 24_000.0 / (1.0 + ppm / 1e6) + late, samples)
            })
            .collect();
        Readings {
            begun: None,
            points,
        }
    }

    #[test]
    fn a_drift_is_found_within_its_error() {
        for ppm in [-3_000.0, -100.0, 0.0, 40.0, 1_000.0] {
            let rate = readings(ppm).rate().expect("enough readings");
            assert!(
                (rate.ppm - ppm).abs() < 3.0 * rate.error_ppm,
                "{rate:?} of {ppm}"
            );
            assert!(rate.error_ppm < 30.0, "{rate:?}");
        }
    }

    #[test]
    fn what_can_be_corrected_is_no_problem() {
        for (microphone, speaker, verdict) in [
            (20.0, -30.0, Verdict::Ok),
            (900.0, 0.0, Verdict::Note),
            (0.0, 2_500.0, Verdict::Problem),
        ] {
            let drift = Drift {
                microphone: readings(microphone),
                speaker: readings(speaker),
            };
            let finding = drift.finding().expect("two clocks");
            assert_eq!(finding.verdict, verdict, "{finding}");
        }
        let uncertain = judged(Rate {
            ppm: 2_500.0,
            error_ppm: 1_200.0,
        });
        assert_eq!(uncertain.verdict, Verdict::Ok, "{uncertain}");
    }

    #[test]
    fn one_clock_alone_does_not_drift() {
        let drift = Drift {
            microphone: readings(0.0),
            speaker: Readings::default(),
        };
        assert_eq!(drift.finding(), None);
    }
}
