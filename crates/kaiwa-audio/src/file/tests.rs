//! Files written here, read back whole, cut and spoilt.

use std::io::Cursor;

use hound::{SampleFormat, WavSpec};

use super::*;

/// A WAV of one second of a 440 Hz tone at half scale on each channel.
fn wav(rate: u32, channels: u16, bits: u16, format: SampleFormat) -> Vec<u8> {
    let spec = WavSpec {
        channels,
        sample_rate: rate,
        bits_per_sample: bits,
        sample_format: format,
    };
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).expect("a header");
    for n in 0..rate {
        let x = 0.5 * (std::f32::consts::TAU * 440.0 * n as f32 / rate as f32).sin();
        for _ in 0..channels {
            match format {
                SampleFormat::Float => writer.write_sample(x),
                SampleFormat::Int => {
                    writer.write_sample((f64::from(x) * (1u64 << (bits - 1)) as f64) as i32)
                }
            }
            .expect("a sample");
        }
    }
    writer.finalize().expect("a file");
    bytes.into_inner()
}

#[test]
fn every_sample_format_reads_as_the_same_tone() {
    for (bits, format) in [
        (8, SampleFormat::Int),
        (16, SampleFormat::Int),
        (24, SampleFormat::Int),
        (32, SampleFormat::Int),
        (32, SampleFormat::Float),
    ] {
        for channels in [1, 2, 6] {
            let clip = Clip::read(&wav(16_000, channels, bits, format)[..]).expect("audio");
            assert_eq!((clip.rate_hz, clip.channels), (16_000, channels));
            assert_eq!(clip.samples.len(), 16_000);
            assert_eq!(clip.duration_ms(), 1000);
            for (n, x) in clip.samples.iter().enumerate() {
                let ideal = 0.5 * (std::f32::consts::TAU * 440.0 * n as f32 / 16_000.0).sin();
                assert!((x - ideal).abs() < 0.01, "{bits} bits, sample {n}");
            }
        }
    }
}

#[test]
fn a_recording_longer_than_asked_for_is_refused() {
    for channels in [1, 2] {
        let bytes = wav(16_000, channels, 16, SampleFormat::Int);
        let clip = Clip::read_at_most(&bytes[..], 16_000).expect("as long as allowed");
        assert_eq!(clip.samples.len(), 16_000);
        let error = Clip::read_at_most(&bytes[..], 15_999).expect_err("too long");
        assert!(
            matches!(error, FileError::LongerThan { most: 15_999 }),
            "{error}"
        );
    }
    let bytes = flac(3, 48);
    let clip = Clip::read_at_most(&bytes[..], 48).expect("as long as allowed");
    assert_eq!(clip.samples.len(), 48);
    let error = Clip::read_at_most(&bytes[..], 47).expect_err("too long");
    assert!(
        matches!(error, FileError::LongerThan { most: 47 }),
        "{error}"
    );
}

#[test]
fn a_stereo_recording_at_44100_becomes_24000_mono() {
    let clip = Clip::read(&wav(44_100, 2, 16, SampleFormat::Int)[..])
        .expect("audio")
        .resampled(24_000);
    assert_eq!((clip.rate_hz, clip.samples.len()), (24_000, 24_000));
    let level = crate::rms_dbfs(&clip.samples);
    assert!((level + 9.03).abs() < 0.05, "{level} dBFS");
}

#[test]
fn opposite_channels_cancel() {
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut bytes, 8_000, 2).expect("a header");
    writer
        .write_stereo(&[0.25; 100], &[-0.25; 100])
        .expect("frames");
    writer.finalize().expect("a file");
    let clip = Clip::read(&bytes.into_inner()[..]).expect("audio");
    assert_eq!(clip.samples, [0.0; 100]);
}

#[test]
fn what_is_not_a_recording_is_named() {
    for (bytes, message) in [
        (&b""[..], "the file is empty (0 bytes)"),
        (
            b"Dear Sir or Madam",
            "this is not a WAV or FLAC recording: it looks like text",
        ),
        (
            b"ID3\x04\x00",
            "this is not a WAV or FLAC recording: it looks like an MP3 file",
        ),
        (
            b"RIFF\x24\x00\x00\x00WAVE",
            "this WAV file is damaged: it ends inside its header",
        ),
        (
            b"fLaC\x00\x00",
            "this FLAC file is damaged: it ends inside a header or a block",
        ),
    ] {
        let error = Clip::read(bytes).expect_err("not audio");
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn a_recording_without_samples_says_so() {
    let bytes = {
        let mut bytes = Cursor::new(Vec::new());
        let writer = WavWriter::new(&mut bytes, 24_000, 1).expect("a header");
        writer.finalize().expect("a file");
        bytes.into_inner()
    };
    let error = Clip::read(&bytes[..]).expect_err("no samples");
    assert_eq!(error.kind(), FileErrorKind::Empty);
    assert_eq!(
        error.to_string(),
        "the recording holds no audio (0 samples at 24000 Hz)"
    );
}

#[test]
fn a_recording_that_was_cut_says_how_much_is_there() {
    let mut bytes = wav(16_000, 2, 16, SampleFormat::Int);
    bytes.truncate(44 + 4_000 * 4 + 3);
    let error = Clip::read(&bytes[..]).expect_err("cut");
    assert!(
        matches!(
            error,
            FileError::Truncated {
                expected: 16_000,
                actual: 4_000
            }
        ),
        "{error}"
    );
    assert_eq!(error.kind(), FileErrorKind::Damaged);
}

#[test]
fn a_wav_of_open_length_is_read_to_its_end() {
    for length in [0u32, u32::MAX] {
        let mut bytes = wav(16_000, 1, 16, SampleFormat::Int);
        bytes[40..44].copy_from_slice(&length.to_le_bytes());
        let clip = Clip::read(&bytes[..]).expect("audio");
        assert_eq!(clip.samples.len(), 16_000, "length {length:#x}");
    }
}

#[test]
fn absurd_rates_are_refused() {
    for rate in [0u32, 999, 768_001] {
        let mut bytes = wav(16_000, 1, 16, SampleFormat::Int);
        bytes[24..28].copy_from_slice(&rate.to_le_bytes());
        // Bytes a second have to agree with the rate.
        bytes[28..32].copy_from_slice(&(rate * 2).to_le_bytes());
        let error = Clip::read(&bytes[..]).expect_err("no such rate");
        assert!(matches!(error, FileError::Rate { rate_hz } if rate_hz == rate));
    }
}

/// A FLAC stream of `frames` verbatim blocks of 16 samples of 0.25, 16 bits, mono,
/// whose header promises `promised` samples.
fn flac(frames: u8, promised: u32) -> Vec<u8> {
    let mut bytes = b"fLaC\x80\x00\x00\x22".to_vec();
    bytes.extend([0, 16, 0, 16, 0, 0, 0, 0, 0, 0]);
    // 20 bits of rate (16000), 3 of channels - 1, 5 of bits - 1, 36 of length.
    let packed = 16_000u64 << 44 | 15 << 36 | u64::from(promised);
    bytes.extend(packed.to_be_bytes());
    bytes.extend([0; 16]);
    for number in 0..frames {
        // Fixed block size, 8 bits of "size - 1", 16 bits, rate from the header.
        let mut frame = vec![0xff, 0xf8, 0x60, 0x08, number, 15];
        frame.push(crc(&frame, 0x07, 8) as u8);
        frame.push(0x02);
        frame.extend([0x20, 0x00].repeat(16));
        let check = crc(&frame, 0x8005, 16);
        frame.extend(check.to_be_bytes());
        bytes.extend(frame);
    }
    bytes
}

fn crc(bytes: &[u8], polynomial: u32, width: u32) -> u16 {
    let top = 1u32 << (width - 1);
    let mut value = 0u32;
    for &byte in bytes {
        value ^= u32::from(byte) << (width - 8);
        for _ in 0..8 {
            let carry = value & top != 0;
            value = value << 1 & ((1 << width) - 1);
            if carry {
                value ^= polynomial;
            }
        }
    }
    value as u16
}

#[test]
fn a_flac_reads_and_a_cut_one_says_how_much_is_there() {
    let whole = flac(4, 64);
    let clip = Clip::read(&whole[..]).expect("audio");
    assert_eq!(clip.samples, [0.25; 64]);
    assert_eq!((clip.rate_hz, clip.channels), (16_000, 1));
    // At a block's end and inside a block.
    for (bytes, samples) in [(&flac(3, 64)[..], 48), (&whole[..whole.len() - 10], 48)] {
        let error = Clip::read(bytes).expect_err("cut");
        assert!(
            matches!(error, FileError::Truncated { expected: 64, actual } if actual == samples),
            "{error}"
        );
    }
}

#[test]
fn a_killed_writer_leaves_what_the_last_second_held() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut writer = WavWriter::create(file.path(), 24_000, 2).expect("a header");
    for _ in 0..75 {
        writer
            .write_stereo(&[0.5; 480], &[-0.25; 480])
            .expect("frames");
    }
    assert_eq!(writer.frames(), 36_000);
    // A killed process neither finalizes nor drops.
    std::mem::forget(writer);
    let clip = Clip::open(file.path()).expect("playable");
    assert_eq!(clip.samples.len(), 24_000);
    assert_eq!(clip.channels, 2);
}

#[test]
fn a_finalized_file_holds_everything() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut writer = WavWriter::create(file.path(), 24_000, 1).expect("a header");
    writer.write(&[0.5; 24_100]).expect("samples");
    writer.finalize().expect("a file");
    let clip = Clip::open(file.path()).expect("playable");
    assert_eq!(clip.samples, [0.5; 24_100]);
}
