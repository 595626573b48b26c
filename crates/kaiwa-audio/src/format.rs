//! The audio formats of the Realtime protocol.

use std::fmt;

use crate::{WIRE_RATE_HZ, g711, pcm, pcm::PcmDecoder};

/// How audio travels inside `input_audio_buffer.append` and `response.output_audio.delta`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Format {
    /// `audio/pcm`: s16le mono at 24 kHz.
    #[default]
    Pcm24k,
    /// `audio/pcma`: G.711 A-law at 8 kHz.
    Pcma,
    /// `audio/pcmu`: G.711 mu-law at 8 kHz.
    Pcmu,
}

impl Format {
    /// The format of a protocol name such as `audio/pcm`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "audio/pcm" => Self::Pcm24k,
            "audio/pcma" => Self::Pcma,
            "audio/pcmu" => Self::Pcmu,
            _ => return None,
        })
    }

    /// The protocol's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcm24k => "audio/pcm",
            Self::Pcma => "audio/pcma",
            Self::Pcmu => "audio/pcmu",
        }
    }

    /// Samples a second.
    #[must_use]
    pub const fn rate_hz(self) -> u32 {
        match self {
            Self::Pcm24k => WIRE_RATE_HZ,
            Self::Pcma | Self::Pcmu => 8_000,
        }
    }

    /// Bytes of one sample.
    #[must_use]
    pub const fn bytes_per_sample(self) -> usize {
        match self {
            Self::Pcm24k => 2,
            Self::Pcma | Self::Pcmu => 1,
        }
    }

    /// Bytes of one millisecond.
    #[must_use]
    pub const fn bytes_per_ms(self) -> usize {
        self.rate_hz() as usize / 1000 * self.bytes_per_sample()
    }

    /// Appends `samples`, which must be at [`rate_hz`](Self::rate_hz), to `out`.
    pub fn encode(self, samples: &[f32], out: &mut Vec<u8>) {
        match self {
            Self::Pcm24k => pcm::encode(samples, out),
            Self::Pcma => g711::encode_a_law(samples, out),
            Self::Pcmu => g711::encode_mu_law(samples, out),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Decodes bytes of one [`Format`] that arrive in pieces of any length.
#[derive(Clone, Debug, Default)]
pub struct AudioDecoder {
    format: Format,
    pcm: PcmDecoder,
}

impl AudioDecoder {
    /// A decoder at the start of a stream.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self {
            format,
            pcm: PcmDecoder::new(),
        }
    }

    /// Appends the samples that `bytes` completes, at the format's own rate, to `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<f32>) {
        match self.format {
            Format::Pcm24k => self.pcm.push(bytes, out),
            Format::Pcma => g711::decode_a_law(bytes, out),
            Format::Pcmu => g711::decode_mu_law(bytes, out),
        }
    }

    /// Forgets half a sample, as when the stream starts anew.
    pub fn reset(&mut self) {
        self.pcm.reset();
    }

    /// Whether the stream so far ends in the middle of a sample.
    #[must_use]
    pub fn is_mid_sample(&self) -> bool {
        self.pcm.is_mid_sample()
    }

    /// What this decoder reads.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_rates_and_sizes() {
        for (format, name, rate, bytes) in [
            (Format::Pcm24k, "audio/pcm", 24_000, 48),
            (Format::Pcma, "audio/pcma", 8_000, 8),
            (Format::Pcmu, "audio/pcmu", 8_000, 8),
        ] {
            assert_eq!(Format::from_name(name), Some(format));
            assert_eq!(format.to_string(), name);
            assert_eq!(format.rate_hz(), rate);
            assert_eq!(format.bytes_per_ms(), bytes);
        }
        assert_eq!(Format::from_name("audio/opus"), None);
    }

    #[test]
    fn each_format_decodes_what_it_encoded() {
        let samples = [0.0, 0.25, -0.25, 0.9];
        for format in [Format::Pcm24k, Format::Pcma, Format::Pcmu] {
            let (mut bytes, mut back) = (Vec::new(), Vec::new());
            format.encode(&samples, &mut bytes);
            assert_eq!(bytes.len(), samples.len() * format.bytes_per_sample());
            let mut decoder = AudioDecoder::new(format);
            decoder.push(&bytes[..1], &mut back);
            decoder.push(&bytes[1..], &mut back);
            for (x, y) in samples.iter().zip(&back) {
                assert!((x - y).abs() <= 0.02, "{format}: {x} came back as {y}");
            }
            assert_eq!(back.len(), samples.len());
        }
    }
}
