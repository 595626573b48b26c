//! 16-bit little-endian PCM to and from `f32`.
//!
//! Full scale is 32768, so every 16-bit value survives the round trip exactly.

/// One sample to `f32` in -1.0..1.0.
#[must_use]
pub fn from_i16(sample: i16) -> f32 {
    f32::from(sample) / 32_768.0
}

/// One sample to 16 bits: rounded to nearest, saturated, and zero for NaN.
#[must_use]
pub fn to_i16(sample: f32) -> i16 {
    // A float to integer cast saturates and maps NaN to zero.
    (sample * 32_768.0).round() as i16
}

/// Appends `samples` as s16le bytes to `out`.
pub fn encode(samples: &[f32], out: &mut Vec<u8>) {
    out.reserve(samples.len() * 2);
    for &sample in samples {
        out.extend_from_slice(&to_i16(sample).to_le_bytes());
    }
}

/// Decodes s16le bytes that arrive in pieces of any length.
///
/// A piece may end in the middle of a sample: the odd byte is kept for the next one.
#[derive(Clone, Debug, Default)]
pub struct PcmDecoder {
    half: Option<u8>,
}

impl PcmDecoder {
    /// A decoder at a sample boundary.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the samples that `bytes` completes to `out`.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<f32>) {
        if let (Some(low), Some((&high, rest))) = (self.half, bytes.split_first()) {
            out.push(from_i16(i16::from_le_bytes([low, high])));
            self.half = None;
            bytes = rest;
        }
        let pairs = bytes.chunks_exact(2);
        if let [odd] = pairs.remainder() {
            self.half = Some(*odd);
        }
        out.extend(pairs.map(|pair| from_i16(i16::from_le_bytes([pair[0], pair[1]]))));
    }

    /// Forgets half a sample, as when the stream starts anew.
    pub fn reset(&mut self) {
        self.half = None;
    }

    /// Whether the stream so far ends in the middle of a sample.
    #[must_use]
    pub fn is_mid_sample(&self) -> bool {
        self.half.is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_16_bit_value_survives() {
        for value in i16::MIN..=i16::MAX {
            assert_eq!(to_i16(from_i16(value)), value);
        }
    }

    #[test]
    fn out_of_range_samples_saturate_and_nan_is_silence() {
        for (sample, expected) in [
            (1.0, i16::MAX),
            (7.5, i16::MAX),
            (f32::INFINITY, i16::MAX),
            (-1.0, i16::MIN),
            (-1.5, i16::MIN),
            (f32::NEG_INFINITY, i16::MIN),
            (f32::NAN, 0),
        ] {
            assert_eq!(to_i16(sample), expected, "{sample}");
        }
    }

    #[test]
    fn half_a_sample_waits_for_its_other_half() {
        let mut decoder = PcmDecoder::new();
        let mut out = Vec::new();
        decoder.push(&[0x00, 0x40, 0x00], &mut out);
        assert_eq!(out, [0.5]);
        assert!(decoder.is_mid_sample());
        decoder.push(&[], &mut out);
        assert!(decoder.is_mid_sample());
        decoder.push(&[0xc0], &mut out);
        assert_eq!(out, [0.5, -0.5]);
        decoder.push(&[0x01], &mut out);
        decoder.reset();
        decoder.push(&[0x00, 0x40], &mut out);
        assert_eq!(out, [0.5, -0.5, 0.5]);
    }

    proptest! {
        #[test]
        fn cutting_the_stream_changes_nothing(
            samples in prop::collection::vec(any::<i16>(), 0..300),
            cuts in prop::collection::vec(0usize..40, 0..60),
        ) {
            let expected: Vec<f32> = samples.iter().map(|&s| from_i16(s)).collect();
            let mut bytes = Vec::new();
            encode(&expected, &mut bytes);
            let mut rest = &bytes[..];
            let mut decoder = PcmDecoder::new();
            let mut out = Vec::new();
            for cut in cuts {
                let (piece, tail) = rest.split_at(cut.min(rest.len()));
                decoder.push(piece, &mut out);
                rest = tail;
            }
            decoder.push(rest, &mut out);
            prop_assert_eq!(out, expected);
        }
    }
}
