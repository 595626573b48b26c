//! The sound of a recording.

use std::{fs, path::Path};

use super::read::unreadable;
use crate::exit::Exit;

/// Milliseconds that a peak stands for.
pub(super) const PEAK_MS: u64 = 5;

/// A recording of both sides: the file as it is, and where its samples lie.
pub(super) struct Stereo {
    pub(super) file: Vec<u8>,
    rate_hz: u32,
    /// 16-bit little-endian pairs: the user's sample and the assistant's.
    frames: std::ops::Range<usize>,
}

impl Stereo {
    pub(super) fn open(path: &Path) -> Result<Self, Exit> {
        let file = fs::read(path).map_err(|error| unreadable(path, error))?;
        let found = frames(&file);
        let (rate_hz, frames) =
            found.ok_or_else(|| unreadable(path, "it is no stereo WAV file of 16 bits"))?;
        Ok(Self {
            file,
            rate_hz,
            frames,
        })
    }

    /// Its length.
    pub(super) fn ms(&self) -> u64 {
        self.frames.len() as u64 / 4 * 1000 / u64::from(self.rate_hz)
    }

    /// The lowest and the highest sample of every [`PEAK_MS`], -127..=127, of the user
    /// (`channel` 0) or the assistant (1).
    pub(super) fn peaks(&self, channel: usize) -> Vec<i8> {
        let per_peak = (u64::from(self.rate_hz) * PEAK_MS / 1000).max(1) as usize;
        let (samples, _) = self.file[self.frames.clone()].as_chunks::<2>();
        let samples = samples.iter().skip(channel).step_by(2);
        let samples: Vec<_> = samples.copied().map(i16::from_le_bytes).collect();
        let peak = |samples: &[i16]| {
            // The range of 16 bits, brought to that of 8 without losing a quiet voice's sign.
            let scaled = |sample: Option<&i16>| (sample.map_or(0, |s| s / 256)) as i8;
            [scaled(samples.iter().min()), scaled(samples.iter().max())]
        };
        samples.chunks(per_peak).flat_map(peak).collect()
    }
}

/// The rate of a stereo file of 16 bits, and where its samples lie.
fn frames(file: &[u8]) -> Option<(u32, std::ops::Range<usize>)> {
    let word = |at: usize| Some(u32::from_le_bytes(*file.get(at..)?.first_chunk()?));
    let half = |at: usize| Some(u16::from_le_bytes(*file.get(at..)?.first_chunk()?));
    if !file.starts_with(b"RIFF") || file.get(8..12)? != b"WAVE" {
        return None;
    }
    let (mut at, mut rate_hz) = (12, None);
    loop {
        let name = file.get(at..at + 4)?;
        let length = word(at + 4)? as usize;
        let body = at + 8;
        match name {
            b"fmt " => {
                let (channels, rate, bits) = (half(body + 2)?, word(body + 4)?, half(body + 14)?);
                if (channels, bits) != (2, 16) || rate == 0 {
                    return None;
                }
                rate_hz = Some(rate);
            }
            b"data" => {
                // A program that was killed has not said how much there is.
                let end = body.checked_add(length)?.min(file.len());
                return Some((rate_hz?, body..end - (end - body) % 4));
            }
            _ => {}
        }
        at = body.checked_add(length)?.checked_add(length % 2)?;
    }
}

#[cfg(test)]
mod tests {
    use kaiwa_audio::WavWriter;

    use super::*;

    #[test]
    fn each_side_has_its_peaks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        let mut writer = WavWriter::create(&path, 24_000, 2).unwrap();
        let left = [[0.5; 120], [0.0; 120]].concat();
        let right = [[0.0; 120], [-0.5; 120]].concat();
        writer.write_stereo(&left, &right).unwrap();
        writer.finalize().unwrap();
        let sound = Stereo::open(&path).unwrap();
        assert_eq!(sound.ms(), 10);
        assert_eq!(sound.peaks(0), [64, 64, 0, 0]);
        assert_eq!(sound.peaks(1), [0, 0, -64, -64]);
    }

    #[test]
    fn what_is_no_recording_is_refused_and_a_cut_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        let mut writer = WavWriter::create(&path, 24_000, 2).unwrap();
        writer.write_stereo(&[0.5; 240], &[0.5; 240]).unwrap();
        writer.finalize().unwrap();
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let opened = Stereo::open(&path);
            assert_eq!(opened.is_ok(), length >= 44, "{length} bytes");
        }
        fs::write(&path, b"RIFF\xff\xff\xff\xffWAVEjunk\xff\xff\xff\xff").unwrap();
        assert!(Stereo::open(&path).is_err());
    }
}
