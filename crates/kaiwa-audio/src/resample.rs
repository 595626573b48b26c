//! Streaming sample-rate conversion for one channel.

use std::collections::VecDeque;
use std::f64::consts::PI;

/// Zero crossings of the filter on each side, in samples of the lower rate.
const HALF_CROSSINGS: f64 = 48.0;
/// Kaiser window for 90 dB: Kaiser's `0.1102 (A - 8.7)`.
const KAISER_BETA: f64 = 0.1102 * (90.0 - 8.7);
/// Cut-off over the lower rate's Nyquist frequency. Kaiser's length formula gives a
/// transition `(90 - 8) / (2.285 * 2 pi * 96) = 0.0595` of the lower rate wide; this
/// puts its end on the Nyquist frequency, so nothing folds back.
const CUT_OFF: f64 = 1.0 - 0.0595;
/// Numbers of filter coefficients above which rates are so odd that the filter is
/// interpolated between neighbouring phases instead of being tabled for each.
const MAX_PHASES: usize = 1024;

/// Converts a mono stream from one rate to another.
///
/// A polyphase windowed-sinc filter: flat to 88 % of the lower rate's Nyquist
/// frequency, 90 dB down from that frequency on. The filter's delay is compensated:
/// sample 0 of the output is the instant of sample 0 of the input, and
/// [`delay`](Self::delay) says how far the output stays behind until
/// [`flush`](Self::flush) delivers the rest. After a flush the output has
/// `ceil(input * to / from)` samples. Cutting the input differently changes nothing.
///
/// Equal rates pass samples through untouched.
#[derive(Clone, Debug)]
pub struct Resampler {
    from_hz: u32,
    to_hz: u32,
    filter: Option<Filter>,
    /// Input around the next output; its front is `first` on the input's timeline.
    history: VecDeque<f32>,
    /// Input samples before `history`, negative while it still holds leading silence.
    first: i64,
    /// Input samples taken so far.
    taken: u64,
    /// Output samples given so far.
    given: u64,
}

impl Resampler {
    /// A converter at the start of a stream.
    ///
    /// # Panics
    ///
    /// When a rate is zero.
    #[must_use]
    pub fn new(from_hz: u32, to_hz: u32) -> Self {
        assert!(
            from_hz > 0 && to_hz > 0,
            "sample rates must be positive: {from_hz} Hz to {to_hz} Hz"
        );
        let mut resampler = Self {
            from_hz,
            to_hz,
            filter: (from_hz != to_hz).then(|| Filter::new(from_hz, to_hz)),
            history: VecDeque::new(),
            first: 0,
            taken: 0,
            given: 0,
        };
        resampler.reset();
        resampler
    }

    /// Takes `input` and appends the output it completes to `out`.
    pub fn process(&mut self, input: &[f32], out: &mut Vec<f32>) {
        self.taken += input.len() as u64;
        if self.filter.is_none() {
            self.given += input.len() as u64;
            out.extend_from_slice(input);
            return;
        }
        self.history.extend(input);
        self.drain(u64::MAX, out);
    }

    /// Appends the output still held back and starts a new stream.
    pub fn flush(&mut self, out: &mut Vec<f32>) {
        if let Some(filter) = &self.filter {
            let total = (u128::from(self.taken) * u128::from(self.to_hz))
                .div_ceil(u128::from(self.from_hz)) as u64;
            self.history.extend(std::iter::repeat_n(0.0, filter.half));
            self.drain(total, out);
        }
        self.reset();
    }

    /// Starts a new stream; what was held back is dropped.
    pub fn reset(&mut self) {
        self.history.clear();
        self.first = 0;
        if let Some(filter) = &self.filter {
            // Silence before the first sample.
            self.history
                .extend(std::iter::repeat_n(0.0, filter.half - 1));
            self.first = 1 - filter.half as i64;
        }
        self.taken = 0;
        self.given = 0;
    }

    /// Output samples that are held back until later input or a flush: the filter's
    /// look-ahead, rounded up.
    #[must_use]
    pub fn delay(&self) -> usize {
        self.filter.as_ref().map_or(0, |filter| {
            (filter.half as u64 * u64::from(self.to_hz)).div_ceil(u64::from(self.from_hz)) as usize
        })
    }

    /// The rate of the input, in Hz.
    #[must_use]
    pub fn from_hz(&self) -> u32 {
        self.from_hz
    }

    /// The rate of the output, in Hz.
    #[must_use]
    pub fn to_hz(&self) -> u32 {
        self.to_hz
    }

    /// Gives every output below index `end` whose input is here.
    fn drain(&mut self, end: u64, out: &mut Vec<f32>) {
        let Some(filter) = &self.filter else { return };
        let taps = filter.half * 2;
        let history = self.history.make_contiguous();
        let mut used = 0;
        while self.given < end {
            // Output n lies at n * from / to on the input's timeline.
            let at = u128::from(self.given) * u128::from(self.from_hz);
            let whole = (at / u128::from(self.to_hz)) as i64;
            let part = (at % u128::from(self.to_hz)) as u32;
            let start = (whole + 1 - filter.half as i64 - self.first) as usize;
            let Some(window) = history.get(start..start + taps) else {
                used = start.min(history.len());
                break;
            };
            used = start;
            out.push(filter.apply(window, part));
            self.given += 1;
        }
        self.history.drain(..used);
        self.first += used as i64;
    }
}

/// The windowed sinc, tabled for each position of an output between two inputs.
#[derive(Clone, Debug)]
struct Filter {
    /// Taps before and after an output's position.
    half: usize,
    /// Denominator of the position between two inputs.
    to_hz: u32,
    /// Phases of `half * 2` coefficients; one more than `phases`, to interpolate.
    table: Vec<f32>,
    phases: usize,
    /// Whether every position that occurs is a phase of the table.
    exact: bool,
}

impl Filter {
    fn new(from_hz: u32, to_hz: u32) -> Self {
        let needed = (to_hz / gcd(from_hz, to_hz)) as usize;
        let phases = needed.min(MAX_PHASES);
        let lower = (f64::from(to_hz) / f64::from(from_hz)).min(1.0);
        let half_width = HALF_CROSSINGS / lower;
        let half = half_width.ceil() as usize;
        let cut_off = CUT_OFF * lower;
        let mut table = Vec::with_capacity((phases + 1) * half * 2);
        for phase in 0..=phases {
            let position = phase as f64 / phases as f64;
            let taps: Vec<f64> = (0..half * 2)
                .map(|tap| {
                    let t = tap as f64 + 1.0 - half as f64 - position;
                    cut_off * sinc(cut_off * t) * kaiser(t / half_width)
                })
                .collect();
            // Every phase passes a constant unchanged.
            let sum: f64 = taps.iter().sum();
            table.extend(taps.iter().map(|tap| (tap / sum) as f32));
        }
        Self {
            half,
            to_hz,
            table,
            phases,
            exact: needed == phases,
        }
    }

    /// The output at `part / to_hz` after the input at `window[half - 1]`.
    fn apply(&self, window: &[f32], part: u32) -> f32 {
        let taps = self.half * 2;
        let scaled = u64::from(part) * self.phases as u64;
        let phase = (scaled / u64::from(self.to_hz)) as usize;
        let here = dot(window, &self.table[phase * taps..][..taps]);
        if self.exact {
            return here;
        }
        let next = dot(window, &self.table[(phase + 1) * taps..][..taps]);
        let between = (scaled % u64::from(self.to_hz)) as f32 / self.to_hz as f32;
        here + (next - here) * between
    }
}

/// Eight running sums, which the compiler keeps in one vector register.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f32 = std::iter::zip(a8.remainder(), b8.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a8.zip(b8) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f32>() + tail
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        1.0
    } else {
        (PI * x).sin() / (PI * x)
    }
}

/// The Kaiser window over -1..1.
fn kaiser(x: f64) -> f64 {
    if x.abs() > 1.0 {
        return 0.0;
    }
    bessel_i0(KAISER_BETA * (1.0 - x * x).sqrt()) / bessel_i0(KAISER_BETA)
}

/// The modified Bessel function of the first kind and order zero, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-17 {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATES: [(u32, u32); 12] = [
        (8_000, 16_000),
        (8_000, 24_000),
        (16_000, 24_000),
        (22_050, 24_000),
        (24_000, 16_000),
        (24_000, 8_000),
        (24_000, 48_000),
        (44_100, 24_000),
        (48_000, 24_000),
        (48_000, 16_000),
        (44_101, 24_000),
        (96_000, 24_000),
    ];

    fn tone(hz: f64, rate: u32, samples: usize) -> Vec<f32> {
        (0..samples)
            .map(|n| (2.0 * PI * hz * n as f64 / f64::from(rate)).sin() as f32)
            .collect()
    }

    fn convert(from_hz: u32, to_hz: u32, input: &[f32]) -> Vec<f32> {
        let mut resampler = Resampler::new(from_hz, to_hz);
        let mut out = Vec::new();
        resampler.process(input, &mut out);
        resampler.flush(&mut out);
        out
    }

    #[test]
    fn tones_in_the_pass_band_keep_their_place_and_shape() {
        for (from, to) in RATES {
            let nyquist = f64::from(from.min(to)) / 2.0;
            for share in [0.02, 0.3, 0.6, 0.88] {
                let hz = nyquist * share;
                let seconds = 1;
                let out = convert(from, to, &tone(hz, from, from as usize * seconds));
                let ideal = tone(hz, to, to as usize * seconds);
                let edge = to as usize / 10;
                let (mut signal, mut noise) = (0.0, 0.0);
                for n in edge..ideal.len() - edge {
                    signal += f64::from(ideal[n]).powi(2);
                    noise += f64::from(out[n] - ideal[n]).powi(2);
                }
                let snr = 10.0 * (signal / noise).log10();
                assert!(snr > 70.0, "{from} to {to} Hz, {hz:.0} Hz: {snr:.1} dB");
            }
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_carry_is_removed() {
        for (from, to) in RATES.into_iter().filter(|(from, to)| from > to) {
            for share in [1.0, 1.2, 1.6] {
                let hz = (f64::from(to) / 2.0 * share).min(f64::from(from) / 2.0 - 10.0);
                let out = convert(from, to, &tone(hz, from, from as usize));
                let edge = to as usize / 10;
                let level = crate::rms_dbfs(&out[edge..out.len() - edge]);
                assert!(
                    level < -83.0,
                    "{from} to {to} Hz, {hz:.0} Hz: {level:.1} dBFS"
                );
            }
        }
    }

    #[test]
    fn images_of_a_low_rate_are_removed() {
        // 3 kHz at 8 kHz has images at 5, 11, ... kHz: subtract the tone and look.
        let out = convert(8_000, 24_000, &tone(3_000.0, 8_000, 8_000));
        let ideal = tone(3_000.0, 24_000, 24_000);
        let rest: Vec<f32> = out.iter().zip(&ideal).map(|(a, b)| a - b).collect();
        let level = crate::rms_dbfs(&rest[2_400..21_600]);
        assert!(level < -75.0, "{level:.1} dBFS");
    }

    #[test]
    fn equal_rates_pass_through() {
        let input = tone(440.0, 24_000, 100);
        let mut resampler = Resampler::new(24_000, 24_000);
        let mut out = Vec::new();
        resampler.process(&input, &mut out);
        assert_eq!(out, input);
        resampler.flush(&mut out);
        assert_eq!(out, input);
        assert_eq!(resampler.delay(), 0);
    }

    #[test]
    fn the_output_stays_behind_by_the_delay_it_states() {
        for (from, to) in RATES {
            let mut resampler = Resampler::new(from, to);
            let mut out = Vec::new();
            resampler.process(&vec![0.0; from as usize], &mut out);
            let behind = to as usize - out.len();
            assert!(
                behind <= resampler.delay() && behind + 1 >= resampler.delay(),
                "{from} to {to} Hz: {behind} behind, {} stated",
                resampler.delay()
            );
        }
    }

    #[test]
    fn a_flushed_resampler_starts_anew() {
        let input = tone(500.0, 16_000, 777);
        let mut resampler = Resampler::new(16_000, 24_000);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        resampler.process(&input, &mut first);
        resampler.flush(&mut first);
        resampler.process(&input, &mut second);
        resampler.flush(&mut second);
        assert_eq!(first, second);
    }

    #[test]
    fn an_empty_stream_stays_empty() {
        assert!(convert(44_100, 24_000, &[]).is_empty());
    }

    proptest! {
        #[test]
        fn cutting_the_input_changes_nothing(
            pair in 0..RATES.len(),
            length in 0usize..3_000,
            cuts in prop::collection::vec(0usize..500, 0..20),
        ) {
            let (from, to) = RATES[pair];
            let input = tone(440.0, from, length);
            let whole = convert(from, to, &input);
            prop_assert_eq!(
                whole.len() as u64,
                (length as u64 * u64::from(to)).div_ceil(u64::from(from))
            );
            let mut resampler = Resampler::new(from, to);
            let mut out = Vec::new();
            let mut rest = &input[..];
            for cut in cuts {
                let (piece, tail) = rest.split_at(cut.min(rest.len()));
                resampler.process(piece, &mut out);
                rest = tail;
            }
            resampler.process(rest, &mut out);
            resampler.flush(&mut out);
            prop_assert_eq!(out, whole);
        }
    }
}
