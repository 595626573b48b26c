//! Reading a recording into memory.

use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use super::sniff::{Kind, sniff};
use super::{FileError, flac, wav};
use crate::Resampler;

/// Bytes that are looked at to tell the format and to find a WAV's data chunk.
const HEAD: u64 = 64 * 1024;

/// A recording in memory, one channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    /// Mono samples with full scale at ±1.0; several channels were averaged.
    pub samples: Vec<f32>,
    /// Samples a second, 1000 to 768000.
    pub rate_hz: u32,
    /// Channels of the recording this came from.
    pub channels: u16,
}

impl Clip {
    /// Reads a WAV (8 to 32-bit integer or 32-bit float) or FLAC file.
    ///
    /// # Errors
    ///
    /// See [`FileError`]; the caller adds the name of the file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FileError> {
        Self::read(BufReader::new(File::open(path)?))
    }

    /// Reads a WAV or FLAC stream.
    ///
    /// A WAV whose header leaves the length open (0 or the largest number, as written
    /// by programs that stream) is read to its end.
    ///
    /// # Errors
    ///
    /// See [`FileError`].
    pub fn read(reader: impl Read) -> Result<Self, FileError> {
        Self::read_at_most(reader, u64::MAX)
    }

    /// Reads a WAV or FLAC stream from somebody who is not trusted: of at most `most` samples
    /// for each channel, however small the stream is (a few bytes of FLAC can be minutes of
    /// silence).
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and [`FileError::LongerThan`].
    pub fn read_at_most(mut reader: impl Read, most: u64) -> Result<Self, FileError> {
        let mut head = Vec::new();
        reader.by_ref().take(HEAD).read_to_end(&mut head)?;
        if head.is_empty() {
            return Err(FileError::Empty);
        }
        let clip = match sniff(&head) {
            Kind::Flac => flac::read(Cursor::new(head).chain(reader), most)?,
            Kind::Wav => wav::read(head, reader, most)?,
            Kind::Other(found) => return Err(FileError::NotAudio { found }),
        };
        if clip.samples.is_empty() {
            return Err(FileError::NoSamples {
                rate_hz: clip.rate_hz,
            });
        }
        Ok(clip)
    }

    /// The same recording at another rate.
    ///
    /// # Panics
    ///
    /// When `rate_hz` is zero.
    #[must_use]
    pub fn resampled(self, rate_hz: u32) -> Self {
        if rate_hz == self.rate_hz {
            return self;
        }
        let mut resampler = Resampler::new(self.rate_hz, rate_hz);
        let mut samples = Vec::new();
        resampler.process(&self.samples, &mut samples);
        resampler.flush(&mut samples);
        Self {
            samples,
            rate_hz,
            channels: self.channels,
        }
    }

    /// Length in milliseconds, rounded down.
    #[must_use]
    pub fn duration_ms(&self) -> u64 {
        crate::samples_to_ms(self.samples.len() as u64, self.rate_hz)
    }
}

/// Refuses rates that would make the resampler absurdly large or divide by zero.
pub(super) fn checked_rate(rate_hz: u32) -> Result<u32, FileError> {
    if (1_000..=768_000).contains(&rate_hz) {
        Ok(rate_hz)
    } else {
        Err(FileError::Rate { rate_hz })
    }
}
