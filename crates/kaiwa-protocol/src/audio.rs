//! Audio payloads: bytes in the types, base64 on the wire.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::LazyLock;

use base64::display::Base64Display;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use base64::{DecodeSliceError, Engine};
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::wire::Wire;

/// Bytes of audio in the session's format (see [`AudioFormat`](crate::AudioFormat)): 16-bit little-endian samples,
/// mono, 24 000 Hz (48 bytes per ms) for `audio/pcm`, one byte per sample at 8 000 Hz (8 bytes per ms) for G.711.
///
/// The bytes are raw here and standard base64 with padding on the wire. Reading also accepts base64 without padding.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Audio(pub Vec<u8>);

impl fmt::Debug for Audio {
    /// Says how much there is, not what: logs are read by people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Audio({} bytes)", self.0.len())
    }
}

impl Deref for Audio {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Audio {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl From<Vec<u8>> for Audio {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Audio {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl Wire for Audio {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AudioVisitor;

        impl Visitor<'_> for AudioVisitor {
            type Value = Audio;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string of base64")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Audio, E> {
                let mut bytes = Vec::new();
                decode(text, &mut bytes).map_err(E::custom)?;
                Ok(Audio(bytes))
            }
        }

        deserializer.deserialize_str(AudioVisitor)
    }
}

impl Serialize for Audio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(&self.0, &*ENGINE))
    }
}

impl<'de> Deserialize<'de> for Audio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(deserializer)
    }
}

/// Appends the bytes that `text` encodes to `out`, which is unchanged on error.
pub(crate) fn decode(text: &str, out: &mut Vec<u8>) -> Result<(), NotBase64> {
    let start = out.len();
    ENGINE.decode_vec(text, out).map_err(|error| {
        out.truncate(start);
        NotBase64(error)
    })
}

/// Puts the bytes that `text` encodes in the place of what `out` holds, which is empty on error. Only memory that `out`
/// gains is cleared first, so a buffer that is used again costs nothing but the decoding.
pub(crate) fn decode_over(text: &str, out: &mut Vec<u8>) -> Result<(), NotBase64> {
    let most = base64::decoded_len_estimate(text.len());
    if out.len() < most {
        out.resize(most, 0);
    }
    match ENGINE.decode_slice(text, out) {
        Ok(len) => {
            out.truncate(len);
            Ok(())
        }
        Err(DecodeSliceError::DecodeError(error)) => {
            out.clear();
            Err(NotBase64(error))
        }
        // The estimate is an upper bound.
        Err(DecodeSliceError::OutputSliceTooSmall) => unreachable!("{most} bytes are enough"),
    }
}

/// Why a text is not base64.
#[derive(Debug)]
pub(crate) struct NotBase64(base64::DecodeError);

impl fmt::Display for NotBase64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            base64::DecodeError::InvalidByte(offset, byte) => {
                write!(
                    f,
                    "not base64: character {:?} at {offset}",
                    char::from(byte)
                )
            }
            _ => f.write_str("not base64: cut short"),
        }
    }
}

/// Writes the base64 of `bytes` into `frame` at `start`, over what is there, without an intermediate string. Gives the
/// position after it.
pub(crate) fn encode(bytes: &[u8], frame: &mut Vec<u8>, start: usize) -> usize {
    // Four characters for every three bytes begun. A slice holds at most `isize::MAX` bytes, so only payloads that no
    // machine can hold would overflow.
    let end = start + bytes.len().div_ceil(3) * 4;
    if frame.len() < end {
        frame.resize(end, b'=');
    }
    let written = ENGINE.encode_slice(bytes, &mut frame[start..end]);
    debug_assert_eq!(written.ok(), Some(end - start));
    end
}

/// Base64 as the protocol has it: standard alphabet, padded when written; padding and the spare bits of the last
/// character are not insisted on when read.
static ENGINE: LazyLock<Base64Engine> = LazyLock::new(|| {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    return base64::engine::Simd::standard(config);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return base64::engine::GeneralPurpose::new(&base64::alphabet::STANDARD, config);
});

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
type Base64Engine = base64::engine::Simd;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
type Base64Engine = base64::engine::GeneralPurpose;
