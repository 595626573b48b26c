//! FLAC through claxon.

use std::io::{ErrorKind, Read};

use claxon::{Error, FlacReader};

use super::FileError;
use super::read::{Clip, checked_rate};

pub(super) fn read(reader: impl Read, most: u64) -> Result<Clip, FileError> {
    let mut flac = FlacReader::new(reader).map_err(|error| damaged(error, None, 0))?;
    let info = flac.streaminfo();
    let rate_hz = checked_rate(info.sample_rate)?;
    let scale = 1.0 / ((1u64 << (info.bits_per_sample - 1)) as f32 * info.channels as f32);
    let mut samples = Vec::new();
    let mut blocks = flac.blocks();
    let mut buffer = Vec::new();
    loop {
        let block = match blocks.read_next_or_eof(buffer) {
            Ok(Some(block)) => block,
            Ok(None) => break,
            Err(error) => return Err(damaged(error, info.samples, samples.len() as u64)),
        };
        if samples.len() as u64 + u64::from(block.duration()) > most {
            return Err(FileError::LongerThan { most });
        }
        for n in 0..block.duration() {
            let sum: f32 = (0..block.channels())
                .map(|channel| block.sample(channel, n) as f32)
                .sum();
            samples.push(sum * scale);
        }
        buffer = block.into_buffer();
    }
    if let Some(expected) = info.samples
        && (samples.len() as u64) < expected
    {
        return Err(FileError::Truncated {
            expected,
            actual: samples.len() as u64,
        });
    }
    Ok(Clip {
        samples,
        rate_hz,
        channels: info.channels as u16,
    })
}

fn damaged(error: Error, expected: Option<u64>, actual: u64) -> FileError {
    match error {
        Error::IoError(io) if io.kind() == ErrorKind::UnexpectedEof => match expected {
            Some(expected) => FileError::Truncated { expected, actual },
            None => FileError::Malformed {
                format: "FLAC",
                reason: "it ends inside a header or a block".to_owned(),
            },
        },
        Error::IoError(io) => FileError::Io(io),
        Error::FormatError(reason) => FileError::Malformed {
            format: "FLAC",
            reason: reason.to_owned(),
        },
        Error::Unsupported(reason) => FileError::Unsupported {
            format: "FLAC",
            reason: reason.to_owned(),
        },
    }
}
