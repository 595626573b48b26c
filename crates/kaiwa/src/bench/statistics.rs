//! Percentiles of a handful of measurements.

use serde::Serialize;

/// A distribution in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Distribution {
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p95: u64,
    pub(crate) max: u64,
}

impl Distribution {
    /// Nearest-rank percentiles; `None` of nothing.
    pub(crate) fn of(values: impl IntoIterator<Item = u64>) -> Option<Self> {
        let mut sorted: Vec<u64> = values.into_iter().collect();
        sorted.sort_unstable();
        let rank = |percent: usize| {
            let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
            sorted.get(index).copied()
        };
        Some(Self {
            p50: rank(50)?,
            p90: rank(90)?,
            p95: rank(95)?,
            max: rank(100)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let all = Distribution::of(1..=20).unwrap();
        assert_eq!((all.p50, all.p90, all.p95, all.max), (10, 18, 19, 20));
        let one = Distribution::of([7]).unwrap();
        assert_eq!((one.p50, one.max), (7, 7));
        assert_eq!(Distribution::of([]), None);
    }
}
