/// Reproducible noise with mean 0 and variance 1.
///
/// A draw is the sum of four 16-bit uniforms (Irwin-Hall), not an exact normal: hundreds
/// of draws are mixed into every sample by the inverse Fourier transform or a network's
/// first layer, which makes the result normal again. It costs one multiply-xor step
/// (`SplitMix64`) where a normal draw costs a logarithm and a cosine.
pub(super) struct Noise(u64);

impl Noise {
    pub(super) fn new(seed: u64) -> Self {
        Self::stream(seed, 0)
    }

    /// One of many sequences under the same seed. The factor differs from the generator's
    /// own step, or the streams would be one sequence shifted.
    pub(super) fn stream(seed: u64, number: u64) -> Self {
        Self(seed ^ number.wrapping_mul(0xD1B5_4A32_D192_ED03))
    }

    pub(super) fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^= bits >> 31;
        let sum = (bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48);
        // Four uniforms on 0..65536: mean 2 · 65536, variance 4/12 · 65536².
        (sum as f32 / 65_536.0 - 2.0) * 3.0_f32.sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_variance_are_those_of_a_normal() {
        let mut noise = Noise::new(42);
        let draws: Vec<f64> = (0..100_000).map(|_| f64::from(noise.next())).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| x * x).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.02, "{mean}");
        assert!((variance - 1.0).abs() < 0.02, "{variance}");
    }
}
