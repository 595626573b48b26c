//! Levels relative to full scale: 0 dBFS is an amplitude of 1.0.

/// From this level on, speech counts as audible in kaiwa's measurements, in dBFS.
pub const AUDIBLE_DBFS: f32 = -50.0;

/// Root mean square of `samples` in dBFS; minus infinity for silence or no samples.
#[must_use]
pub fn rms_dbfs(samples: &[f32]) -> f32 {
    if samples.is_empty() {
        return f32::NEG_INFINITY;
    }
    let energy: f64 = samples.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    (10.0 * (energy / samples.len() as f64).log10()) as f32
}

/// Largest magnitude of `samples` in dBFS; minus infinity for silence or no samples.
#[must_use]
pub fn peak_dbfs(samples: &[f32]) -> f32 {
    let peak = samples.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
    20.0 * peak.log10()
}

/// Index of the first sample whose magnitude exceeds `dbfs`.
#[must_use]
pub fn first_above(samples: &[f32], dbfs: f32) -> Option<usize> {
    let limit = amplitude(dbfs);
    samples.iter().position(|x| x.abs() > limit)
}

/// Index of the last sample whose magnitude exceeds `dbfs`.
#[must_use]
pub fn last_above(samples: &[f32], dbfs: f32) -> Option<usize> {
    let limit = amplitude(dbfs);
    samples.iter().rposition(|x| x.abs() > limit)
}

fn amplitude(dbfs: f32) -> f32 {
    10f32.powf(dbfs / 20.0)
}

/// A sample as those downstream may rely on: a number, not louder than full scale.
pub(crate) fn bounded(sample: f32) -> f32 {
    if sample.is_finite() {
        sample.clamp(-1.0, 1.0)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_scale_sine_is_three_db_down_in_rms() {
        let sine: Vec<f32> = (0..24_000)
            .map(|n| (std::f32::consts::TAU * 1000.0 * n as f32 / 24_000.0).sin())
            .collect();
        assert!((rms_dbfs(&sine) + 3.01).abs() < 0.01);
        assert!(peak_dbfs(&sine).abs() < 0.01);
    }

    #[test]
    fn silence_and_nothing_are_minus_infinity() {
        for samples in [&[][..], &[0.0; 8][..]] {
            assert_eq!(rms_dbfs(samples), f32::NEG_INFINITY);
            assert_eq!(peak_dbfs(samples), f32::NEG_INFINITY);
            assert_eq!(first_above(samples, AUDIBLE_DBFS), None);
        }
    }

    #[test]
    fn the_audible_part_is_found_from_both_sides() {
        // -50 dBFS is an amplitude of 0.00316.
        let samples = [0.0, 0.003, -0.0032, 0.5, 0.0033, -0.003, 0.0];
        assert_eq!(first_above(&samples, AUDIBLE_DBFS), Some(2));
        assert_eq!(last_above(&samples, AUDIBLE_DBFS), Some(4));
    }
}
