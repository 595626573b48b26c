//! What a handful of measurements says about all that could be made.
//!
//! Intervals are of 95 %: of percentiles by the ranks between which the true one lies with that
//! probability, whatever the distribution (the binomial order-statistic interval); of proportions
//! by Wilson's score.

use serde::Serialize;

/// Two-sided 95 % of the normal distribution, in standard deviations.
const Z: f64 = 1.96;

/// What may lie beyond each bound of an interval.
const TAIL: f64 = 0.025;

/// A distribution in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Distribution {
    pub(crate) count: usize,
    pub(crate) mean: u64,
    pub(crate) p50: u64,
    /// Where the true median lies with 95 % confidence: lowest and highest.
    pub(crate) p50_interval: Interval,
    pub(crate) p90: u64,
    pub(crate) p90_interval: Interval,
    pub(crate) p95: u64,
    pub(crate) p95_interval: Interval,
    pub(crate) max: u64,
}

/// Bounds; `None` where too little was measured to have one.
pub(crate) type Interval = [Option<u64>; 2];

/// An interval for people: "[603, 825]", or "[930, ?]" without an upper bound.
pub(crate) fn within(interval: Interval) -> String {
    let [low, high] =
        interval.map(|bound| bound.map_or_else(|| "?".to_owned(), |ms| ms.to_string()));
    format!("[{low}, {high}]")
}

impl Distribution {
    /// Nearest-rank percentiles; `None` of nothing.
    pub(crate) fn of(values: impl IntoIterator<Item = u64>) -> Option<Self> {
        let mut sorted: Vec<u64> = values.into_iter().collect();
        sorted.sort_unstable();
        let count = sorted.len();
        let [p50, p90, p95, max] = [50, 90, 95, 100].map(|percent| rank(&sorted, percent));
        let [p50_interval, p90_interval, p95_interval] =
            [50, 90, 95].map(|percent| interval(&sorted, percent));
        Some(Self {
            count,
            mean: sorted.iter().sum::<u64>().checked_div(count as u64)?,
            p50: p50?,
            p50_interval,
            p90: p90?,
            p90_interval,
            p95: p95?,
            p95_interval,
            max: max?,
        })
    }

    /// One line for people, without a unit.
    pub(crate) fn line(&self) -> String {
        let with = |value: u64, bounds: Interval| format!("{value:>5} {}", within(bounds));
        format!(
            "p50 {:<20} p90 {:<20} p95 {:<20} max {:>5}",
            with(self.p50, self.p50_interval),
            with(self.p90, self.p90_interval),
            with(self.p95, self.p95_interval),
            self.max
        )
    }
}

/// How often something happened.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Proportion {
    pub(crate) count: usize,
    pub(crate) of: usize,
    /// 0 to 1; 0 of nothing.
    pub(crate) rate: f64,
    /// Where the true rate lies with 95 % confidence: lowest and highest.
    pub(crate) interval: [f64; 2],
}

impl Proportion {
    pub(crate) fn new(count: usize, of: usize) -> Self {
        if of == 0 {
            return Self {
                count,
                of,
                rate: 0.0,
                interval: [0.0, 1.0],
            };
        }
        let n = of as f64;
        let rate = count as f64 / n;
        let middle = (rate + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
        let half = Z / (1.0 + Z * Z / n) * (rate * (1.0 - rate) / n + Z * Z / (4.0 * n * n)).sqrt();
        Self {
            count,
            of,
            rate,
            interval: [(middle - half).max(0.0), (middle + half).min(1.0)],
        }
    }

    /// For people: "3 of 20, 15.0 % [5.2, 36.0]".
    pub(crate) fn line(&self) -> String {
        let [low, high] = self.interval.map(|bound| 100.0 * bound);
        format!(
            "{} of {}, {:.1} % [{low:.1}, {high:.1}]",
            self.count,
            self.of,
            100.0 * self.rate
        )
    }
}

/// Draws that are the same on each run.
#[derive(Clone, Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A whole number less than `bound`, which is not zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// A number from `low` up to `high`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        // 53 bits are what an f64 holds exactly.
        low + (high - low) * (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The next state of SplitMix64, stirred.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

fn rank(sorted: &[u64], percent: usize) -> Option<u64> {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).copied()
}

/// Between which measured values the true percentile lies with 95 % confidence: of `n`
/// measurements, the number below it is binomial.
fn interval(sorted: &[u64], percent: usize) -> Interval {
    let (n, share) = (sorted.len(), percent as f64 / 100.0);
    // How probable it is that at most so many of them lie below; of many, each term alone is
    // too small for an f64.
    let mut logarithm = n as f64 * (1.0 - share).ln();
    let mut at_most = logarithm.exp();
    let (mut low, mut high) = (None, None);
    for (below, value) in sorted.iter().enumerate() {
        if at_most <= TAIL {
            low = Some(*value);
        }
        if high.is_none() && at_most >= 1.0 - TAIL {
            high = Some(*value);
        }
        logarithm += ((n - below) as f64 / (below + 1) as f64 * share / (1.0 - share)).ln();
        at_most += logarithm.exp();
    }
    [low, high]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let all = Distribution::of(1..=20).unwrap();
        assert_eq!((all.p50, all.p90, all.p95, all.max), (10, 18, 19, 20));
        assert_eq!((all.count, all.mean), (20, 10));
        let one = Distribution::of([7]).unwrap();
        assert_eq!((one.p50, one.max, one.p95_interval), (7, 7, [None, None]));
        assert_eq!(Distribution::of([]), None);
    }

    #[test]
    fn intervals_are_the_ranks_of_the_tables() {
        // Conover, Practical Nonparametric Statistics: of 20 values, the median lies between the
        // 6th and the 15th with 95.9 %.
        let of = |count: u64| Distribution::of(1..=count).unwrap();
        assert_eq!(of(20).p50_interval, [Some(6), Some(15)]);
        assert_eq!(of(5).p50_interval, [None, None]);
        assert_eq!(of(6).p50_interval, [Some(1), Some(6)]);
        // All 72 lie below the 95th percentile in 2.49 % of cases, and all 71 in 2.62 %.
        assert_eq!(of(71).p95_interval[1], None);
        assert_eq!(of(72).p95_interval[1], Some(72));
        let [low, high] = of(2_000).p50_interval.map(Option::unwrap);
        // The median of n values has a standard deviation of half the root of n in ranks.
        assert!((85..92).contains(&(high - low)), "{low} {high}");
    }

    #[test]
    fn an_interval_without_a_bound_says_so() {
        assert_eq!(within([Some(603), Some(825)]), "[603, 825]");
        assert_eq!(within([Some(930), None]), "[930, ?]");
    }

    #[test]
    fn wilson_knows_that_nothing_of_few_is_not_never() {
        let rounded = |share: f64| (share * 1000.0).round() as u32;
        // Compared with tables of the interval.
        for (count, of, low, high) in [(0, 20, 0, 161), (1, 20, 9, 236), (10, 10, 722, 1000)] {
            let interval = Proportion::new(count, of).interval.map(rounded);
            assert_eq!(interval, [low, high], "{count} of {of}");
        }
        assert_eq!(Proportion::new(0, 0).interval, [0.0, 1.0]);
    }

    #[test]
    fn draws_are_even_and_repeat() {
        let draws = |seed| {
            let mut draw = Draw::new(seed);
            (0..6000).map(|_| draw.below(6)).collect::<Vec<_>>()
        };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
        for face in 0..6 {
            let count = draws(1).iter().filter(|&&drawn| drawn == face).count();
            assert!((900..1100).contains(&count), "{face}: {count}");
        }
        let mut draw = Draw::new(3);
        for _ in 0..100 {
            assert!((0.4..2.0).contains(&draw.between(0.4, 2.0)));
        }
    }
}
