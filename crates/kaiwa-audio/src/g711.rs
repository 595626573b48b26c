//! ITU-T G.711: mu-law and A-law at 8 kHz, one byte a sample.
//!
//! 16-bit samples stand left-aligned for the standard's 14-bit (mu-law) and 13-bit
//! (A-law) ones. Decoding reads a table made at compile time from the standard's
//! segment formula; encoding finds the segment from the leading bit.

use crate::pcm;

/// mu-law bias in 16-bit units: 33 of the standard's 14-bit units.
const MU_BIAS: i32 = 33 << 2;
/// Largest biased magnitude in 16-bit units; louder samples share the last code.
const MU_CLIP: i32 = 0x7fff;

const MU_LAW: [i16; 256] = mu_law_table();
const A_LAW: [i16; 256] = a_law_table();

/// The 16-bit sample of a mu-law code.
#[must_use]
pub fn mu_law_to_i16(code: u8) -> i16 {
    MU_LAW[usize::from(code)]
}

/// The mu-law code of a 16-bit sample.
#[must_use]
pub fn i16_to_mu_law(sample: i16) -> u8 {
    let negative = sample < 0;
    // The one's complement keeps -32768 in range and is what the two low bits,
    // which mu-law does not see, allow.
    let magnitude = i32::from(if negative { !sample } else { sample }) & !3;
    let biased = (magnitude + MU_BIAS).min(MU_CLIP);
    // 0x84 <= biased <= 0x7fff: the leading bit is bit 7 to 14.
    let segment = 24 - biased.leading_zeros();
    let step = (biased >> (segment + 3)) & 0x0f;
    let sign = if negative { 0x80 } else { 0 };
    // All bits are inverted on the line.
    !(sign | (segment as u8) << 4 | step as u8)
}

/// The 16-bit sample of an A-law code.
#[must_use]
pub fn a_law_to_i16(code: u8) -> i16 {
    A_LAW[usize::from(code)]
}

/// The A-law code of a 16-bit sample.
#[must_use]
pub fn i16_to_a_law(sample: i16) -> u8 {
    let negative = sample < 0;
    // Down to the standard's 12 bits of magnitude.
    let magnitude = i32::from(if negative { !sample } else { sample }) >> 4;
    let code = if magnitude < 32 {
        // The first two segments are one line with a step of two.
        magnitude
    } else {
        // 32 <= magnitude < 2048: the leading bit, bit 5 to 10, names segment 2 to 7,
        // and the four bits below it are the step.
        let segment = 28 - magnitude.leading_zeros() as i32;
        segment << 4 | (magnitude >> (segment - 1)) & 0x0f
    };
    let sign = if negative { 0 } else { 0x80 };
    // Even bits are inverted on the line.
    (sign | code as u8) ^ 0x55
}

/// Appends the mu-law codes of `samples` to `out`.
pub fn encode_mu_law(samples: &[f32], out: &mut Vec<u8>) {
    out.extend(samples.iter().map(|&x| i16_to_mu_law(pcm::to_i16(x))));
}

/// Appends the samples of mu-law `codes` to `out`.
pub fn decode_mu_law(codes: &[u8], out: &mut Vec<f32>) {
    out.extend(codes.iter().map(|&c| pcm::from_i16(mu_law_to_i16(c))));
}

/// Appends the A-law codes of `samples` to `out`.
pub fn encode_a_law(samples: &[f32], out: &mut Vec<u8>) {
    out.extend(samples.iter().map(|&x| i16_to_a_law(pcm::to_i16(x))));
}

/// Appends the samples of A-law `codes` to `out`.
pub fn decode_a_law(codes: &[u8], out: &mut Vec<f32>) {
    out.extend(codes.iter().map(|&c| pcm::from_i16(a_law_to_i16(c))));
}

const fn mu_law_table() -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let bits = !code as i32;
        let (segment, step) = (bits >> 4 & 7, bits & 0x0f);
        let magnitude = (((step << 3) + MU_BIAS) << segment) - MU_BIAS;
        table[code] = if bits & 0x80 != 0 {
            -magnitude
        } else {
            magnitude
        } as i16;
        code += 1;
    }
    table
}

const fn a_law_table() -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let bits = code as i32 ^ 0x55;
        let (segment, step) = (bits >> 4 & 7, bits & 0x0f);
        // The middle of each step, in 16-bit units of eight.
        let magnitude = if segment == 0 {
            (step << 4) + 8
        } else {
            ((step << 4) + 0x108) << (segment - 1)
        };
        table[code] = if bits & 0x80 != 0 {
            magnitude
        } else {
            -magnitude
        } as i16;
        code += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_the_standard_decode_to_its_values() {
        // G.711 tables 1 and 2, 16-bit aligned: the ends of the scale and of a segment.
        for (code, value) in [
            (0x80, 32_124),
            (0x00, -32_124),
            (0x8f, 16_764),
            (0x90, 15_996),
            (0xff, 0),
            (0x7f, 0),
            (0xfe, 8),
            (0x7e, -8),
            (0xef, 132),
        ] {
            assert_eq!(mu_law_to_i16(code), value, "mu-law {code:#04x}");
        }
        for (code, value) in [
            (0xaa, 32_256),
            (0x2a, -32_256),
            (0xa5, 16_896),
            (0xba, 16_128),
            (0xd5, 8),
            (0x55, -8),
            (0xd4, 24),
        ] {
            assert_eq!(a_law_to_i16(code), value, "A-law {code:#04x}");
        }
    }

    #[test]
    fn every_sample_is_within_half_a_step_of_its_code() {
        for sample in i16::MIN..=i16::MAX {
            let code = i16_to_mu_law(sample);
            let error = i32::from(mu_law_to_i16(code)) - i32::from(sample);
            let half_step = 4 << (!code >> 4 & 7);
            // Mu-law clips above its largest code and does not see the two low bits.
            let clipped = i32::from(sample).abs() > 32_635;
            assert!(
                error.abs() <= half_step + 3 || clipped && error.abs() <= 644,
                "mu-law {sample}: off by {error}"
            );
            let code = i16_to_a_law(sample);
            let error = i32::from(a_law_to_i16(code)) - i32::from(sample);
            let half_step = 8 << ((code ^ 0x55) >> 4 & 7).saturating_sub(1);
            assert!(error.abs() <= half_step, "A-law {sample}: off by {error}");
        }
    }

    #[test]
    fn every_code_survives_except_the_negative_zero_of_mu_law() {
        for code in 0..=255 {
            let mu = i16_to_mu_law(mu_law_to_i16(code));
            assert_eq!(mu, if code == 0x7f { 0xff } else { code });
            assert_eq!(i16_to_a_law(a_law_to_i16(code)), code);
        }
    }

    #[test]
    fn encoding_is_monotonic() {
        for sample in i16::MIN..i16::MAX {
            let next = sample + 1;
            assert!(
                mu_law_to_i16(i16_to_mu_law(sample)) <= mu_law_to_i16(i16_to_mu_law(next)),
                "mu-law {sample}"
            );
            assert!(
                a_law_to_i16(i16_to_a_law(sample)) <= a_law_to_i16(i16_to_a_law(next)),
                "A-law {sample}"
            );
        }
    }
}
