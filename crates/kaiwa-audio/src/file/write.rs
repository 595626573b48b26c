//! Writing a recording as it happens.

use std::fs::File;
use std::io::{BufWriter, Seek, Write};
use std::path::Path;

use hound::{SampleFormat, WavSpec};

use super::FileError;
use crate::pcm;

/// Bytes a WAV header can count, less room for the header itself.
const MAX_DATA: u64 = u32::MAX as u64 - 1024;

/// Writes a 16-bit WAV whose header is brought up to date every second, so that the
/// file is playable whenever the process ends.
pub struct WavWriter<W: Write + Seek> {
    inner: hound::WavWriter<W>,
    channels: u16,
    /// Frames written.
    frames: u64,
    /// Frames written when the header was last right.
    flushed: u64,
    rate_hz: u32,
}

impl WavWriter<BufWriter<File>> {
    /// Creates or empties the file at `path`.
    ///
    /// # Errors
    ///
    /// When the file cannot be created or written.
    pub fn create(path: impl AsRef<Path>, rate_hz: u32, channels: u16) -> Result<Self, FileError> {
        Self::new(BufWriter::new(File::create(path)?), rate_hz, channels)
    }
}

impl<W: Write + Seek> WavWriter<W> {
    /// Writes to `writer`, which the WAV starts at the beginning of.
    ///
    /// # Errors
    ///
    /// When the header cannot be written.
    pub fn new(writer: W, rate_hz: u32, channels: u16) -> Result<Self, FileError> {
        let spec = WavSpec {
            channels,
            sample_rate: rate_hz,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let mut inner = hound::WavWriter::new(writer, spec).map_err(write_error)?;
        inner.flush().map_err(write_error)?;
        Ok(Self {
            inner,
            channels,
            frames: 0,
            flushed: 0,
            rate_hz,
        })
    }

    /// Appends interleaved samples; a last incomplete frame is an error of the caller.
    ///
    /// # Errors
    ///
    /// When writing fails or the file would pass 4 GiB.
    ///
    /// # Panics
    ///
    /// When `samples` is not a whole number of frames.
    pub fn write(&mut self, samples: &[f32]) -> Result<(), FileError> {
        let channels = usize::from(self.channels);
        assert!(
            samples.len().is_multiple_of(channels),
            "{} samples are not whole frames of {channels} channels",
            samples.len()
        );
        self.write_frames((samples.len() / channels) as u64, samples.iter().copied())
    }

    /// Appends frames of two channels, up to the shorter side's length.
    ///
    /// # Errors
    ///
    /// When writing fails or the file would pass 4 GiB.
    ///
    /// # Panics
    ///
    /// When the file does not have two channels.
    pub fn write_stereo(&mut self, left: &[f32], right: &[f32]) -> Result<(), FileError> {
        assert_eq!(self.channels, 2, "the file has {} channels", self.channels);
        let frames = left.len().min(right.len());
        self.write_frames(
            frames as u64,
            left.iter().zip(right).flat_map(|(&l, &r)| [l, r]),
        )
    }

    /// Brings the header up to date and writes everything out.
    ///
    /// # Errors
    ///
    /// When writing fails.
    pub fn flush(&mut self) -> Result<(), FileError> {
        self.inner.flush().map_err(write_error)?;
        self.flushed = self.frames;
        Ok(())
    }

    /// Ends the file. Dropping the writer does the same, without saying what failed.
    ///
    /// # Errors
    ///
    /// When writing fails.
    pub fn finalize(self) -> Result<(), FileError> {
        self.inner.finalize().map_err(write_error)
    }

    /// Frames written so far.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    fn write_frames(
        &mut self,
        frames: u64,
        samples: impl Iterator<Item = f32>,
    ) -> Result<(), FileError> {
        let total = self.frames + frames;
        if total * u64::from(self.channels) * 2 > MAX_DATA {
            return Err(FileError::TooLong);
        }
        for sample in samples {
            self.inner
                .write_sample(pcm::to_i16(sample))
                .map_err(write_error)?;
        }
        self.frames = total;
        if self.frames - self.flushed >= u64::from(self.rate_hz) {
            self.flush()?;
        }
        Ok(())
    }
}

impl<W: Write + Seek> std::fmt::Debug for WavWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WavWriter")
            .field("rate_hz", &self.rate_hz)
            .field("channels", &self.channels)
            .field("frames", &self.frames)
            .finish_non_exhaustive()
    }
}

fn write_error(error: hound::Error) -> FileError {
    match error {
        hound::Error::IoError(io) => FileError::Io(io),
        other => FileError::Unsupported {
            format: "WAV",
            reason: other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn a_file_past_four_gib_is_refused() {
        let mut writer = WavWriter::new(Cursor::new(Vec::new()), 24_000, 2).expect("a header");
        // As if hours had been written.
        writer.frames = MAX_DATA / 4 - 10;
        writer.flushed = writer.frames;
        writer.write(&[0.0; 20]).expect("the last that fits");
        let error = writer.write(&[0.0; 2]).expect_err("too long");
        assert!(matches!(error, FileError::TooLong), "{error}");
    }
}
