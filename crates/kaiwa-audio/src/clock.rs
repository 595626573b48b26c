//! Samples to milliseconds and back, in whole numbers.

/// Whole milliseconds that `samples` at `rate_hz` have completed (rounded down).
///
/// A rate of zero gives zero.
#[must_use]
pub const fn samples_to_ms(samples: u64, rate_hz: u32) -> u64 {
    if rate_hz == 0 {
        return 0;
    }
    // Split so that the product cannot overflow.
    let rate = rate_hz as u64;
    (samples / rate) * 1000 + (samples % rate) * 1000 / rate
}

/// The first sample at or after `ms` at `rate_hz` (rounded up), so that
/// `samples_to_ms(ms_to_samples(ms, rate), rate) == ms` for rates from 1000 Hz.
#[must_use]
pub const fn ms_to_samples(ms: u64, rate_hz: u32) -> u64 {
    let rate = rate_hz as u64;
    (ms / 1000) * rate + ((ms % 1000) * rate).div_ceil(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_survive_the_round_trip() {
        for rate in [8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000] {
            for ms in [0, 1, 19, 20, 999, 1000, 1001, 3_600_000] {
                assert_eq!(
                    samples_to_ms(ms_to_samples(ms, rate), rate),
                    ms,
                    "{ms} at {rate}"
                );
            }
        }
    }

    #[test]
    fn milliseconds_round_down_and_a_zero_rate_is_harmless() {
        assert_eq!(samples_to_ms(47, 24_000), 1);
        assert_eq!(samples_to_ms(23, 24_000), 0);
        assert_eq!(samples_to_ms(u64::MAX, 0), 0);
        assert_eq!(ms_to_samples(5, 0), 0);
    }
}
