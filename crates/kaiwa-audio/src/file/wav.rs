//! WAV through hound.

use std::io::{Cursor, ErrorKind, Read};

use hound::{Error, SampleFormat, WavReader};

use super::FileError;
use super::read::{Clip, checked_rate};

/// Reads the WAV that starts with `head` and goes on in `rest`.
pub(super) fn read(mut head: Vec<u8>, rest: impl Read, most: u64) -> Result<Clip, FileError> {
    let open_ended = close_open_length(&mut head);
    let wav = WavReader::new(Cursor::new(head).chain(rest)).map_err(damaged)?;
    let spec = wav.spec();
    let rate_hz = checked_rate(spec.sample_rate)?;
    let expected = u64::from(wav.duration());
    let channels = usize::from(spec.channels);
    let full_scale = (1u64 << (spec.bits_per_sample.clamp(1, 32) - 1)) as f32;
    let mut mixer = Mixer::new(channels);
    // One sample more than allowed is enough to know.
    let most_values = usize::try_from(most)
        .unwrap_or(usize::MAX)
        .saturating_add(1)
        .saturating_mul(channels);
    let result = match spec.sample_format {
        SampleFormat::Float => wav
            .into_samples::<f32>()
            .take(most_values)
            .try_for_each(|sample| {
                mixer.push(sample?);
                Ok(())
            }),
        SampleFormat::Int => wav
            .into_samples::<i32>()
            .take(most_values)
            .try_for_each(|sample| {
                mixer.push(sample? as f32 / full_scale);
                Ok(())
            }),
    };
    match result {
        Ok(()) => {}
        // hound reports the end of the file inside the data as its own error kind.
        Err(Error::IoError(io)) if is_end(&io) && open_ended => {}
        Err(Error::IoError(io)) if is_end(&io) => {
            return Err(FileError::Truncated {
                expected,
                actual: mixer.samples.len() as u64,
            });
        }
        Err(error) => return Err(damaged(error)),
    }
    if mixer.samples.len() as u64 > most {
        return Err(FileError::LongerThan { most });
    }
    Ok(Clip {
        samples: mixer.samples,
        rate_hz,
        channels: spec.channels,
    })
}

/// Averages the channels of each frame.
struct Mixer {
    samples: Vec<f32>,
    channels: usize,
    sum: f32,
    seen: usize,
}

impl Mixer {
    fn new(channels: usize) -> Self {
        Self {
            samples: Vec::new(),
            channels,
            sum: 0.0,
            seen: 0,
        }
    }

    fn push(&mut self, sample: f32) {
        self.sum += if sample.is_finite() { sample } else { 0.0 };
        self.seen += 1;
        if self.seen == self.channels {
            self.samples.push(self.sum / self.channels as f32);
            (self.sum, self.seen) = (0.0, 0);
        }
    }
}

/// Replaces a data length that was left open by the largest whole number of frames,
/// and says whether it did.
fn close_open_length(head: &mut [u8]) -> bool {
    let mut block_align = 1;
    let mut at = 12;
    while let Some(header) = head.get(at..at + 8) {
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        let body = at + 8;
        match &header[..4] {
            b"fmt " => {
                if let Some(&[low, high]) = head.get(body + 12..body + 14) {
                    block_align = u32::from(u16::from_le_bytes([low, high])).max(1);
                }
            }
            b"data" => {
                let followed = head.len() > body;
                if length != u32::MAX && !(length == 0 && followed) {
                    return false;
                }
                let longest = u32::MAX - u32::MAX % block_align;
                head[at + 4..body].copy_from_slice(&longest.to_le_bytes());
                return true;
            }
            _ => {}
        }
        // Chunks are padded to even lengths.
        at = body + length as usize + (length as usize & 1);
    }
    false
}

fn is_end(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::UnexpectedEof || error.to_string().contains("enough bytes")
}

fn damaged(error: Error) -> FileError {
    let format = "WAV";
    match error {
        Error::IoError(io) if is_end(&io) => FileError::Malformed {
            format,
            reason: "it ends inside its header".to_owned(),
        },
        Error::IoError(io) => FileError::Io(io),
        Error::Unsupported => FileError::Unsupported {
            format,
            reason: "only 8, 16, 24 and 32-bit integer and 32-bit float samples are read"
                .to_owned(),
        },
        other => FileError::Malformed {
            format,
            reason: other.to_string(),
        },
    }
}
