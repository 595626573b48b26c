//! The head of a WAV whose end is still to come.
//!
//! [`kaiwa_audio::file`] reads whole recordings; speech is to be heard while it is made.

/// From here on a length stands for one that is not known: 2 GB.
const UNKNOWN: usize = 0x7fff_0000;

/// Bytes in which the sound must have begun.
const MAX_HEAD: usize = 64 << 10;

/// How the sound behind the head is written: 16-bit little-endian samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) rate_hz: u32,
    pub(super) channels: u16,
    /// Where the sound begins.
    pub(super) at: usize,
    /// Bytes of sound; `None` where the server did not know them when it began.
    pub(super) length: Option<usize>,
}

/// Whether this could be the beginning of a WAV; `None` when there is too little to tell.
pub(super) fn is_wav(bytes: &[u8]) -> Option<bool> {
    if bytes.len() < 4 {
        return (!b"RIFF".starts_with(bytes)).then_some(false);
    }
    Some(bytes.starts_with(b"RIFF"))
}

/// Reads the head; `None` when more is needed.
pub(super) fn head(bytes: &[u8]) -> Result<Option<Head>, &'static str> {
    if bytes.len() >= 12 && (&bytes[..4] != b"RIFF" || &bytes[8..12] != b"WAVE") {
        return Err("sends no WAV");
    }
    let mut format = None;
    let mut at = 12_usize;
    while let Some(chunk) = bytes.get(at..at + 8) {
        let length = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]) as usize;
        let body = at + 8;
        match &chunk[..4] {
            b"fmt " => match bytes.get(body..body + 16) {
                Some(fields) => format = Some(checked(fields)?),
                None => break,
            },
            b"data" => {
                let Some((rate_hz, channels)) = format else {
                    return Err("sends a WAV that does not say what is in it");
                };
                return Ok(Some(Head {
                    rate_hz,
                    channels,
                    at: body,
                    // Whoever streams writes 0, the largest number, or one near it.
                    length: Some(length).filter(|&l| l != 0 && l < UNKNOWN),
                }));
            }
            _ => {}
        }
        // Chunks are padded to even lengths.
        at = body.saturating_add(length).saturating_add(length & 1);
        if at > MAX_HEAD {
            return Err("sends a WAV without sound");
        }
    }
    match bytes.len() > MAX_HEAD {
        true => Err("sends a WAV without sound"),
        false => Ok(None),
    }
}

/// Rate and channels of a `fmt ` chunk.
fn checked(fields: &[u8]) -> Result<(u32, u16), &'static str> {
    let short = |at: usize| u16::from_le_bytes([fields[at], fields[at + 1]]);
    let rate_hz = u32::from_le_bytes([fields[4], fields[5], fields[6], fields[7]]);
    let (kind, channels, bits) = (short(0), short(2), short(14));
    // 1 is PCM; 0xfffe says it in a further field.
    let is_known = matches!(kind, 1 | 0xfffe) && bits == 16;
    if !is_known || !matches!(channels, 1 | 2) || !(8_000..=192_000).contains(&rate_hz) {
        return Err("sends a WAV of another kind than 16-bit PCM, mono or stereo");
    }
    Ok((rate_hz, channels))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use kaiwa_audio::WavWriter;

    use super::*;

    fn wav(rate_hz: u32, channels: u16) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = WavWriter::new(&mut bytes, rate_hz, channels).expect("a writer");
        writer.write(&[0.5; 4]).expect("samples");
        writer.finalize().expect("an end");
        bytes.into_inner()
    }

    #[test]
    fn a_head_is_read_as_soon_as_it_is_there() {
        let bytes = wav(22_050, 1);
        let found = (0..=bytes.len()).find_map(|end| head(&bytes[..end]).expect("a WAV"));
        let found = found.expect("a head");
        assert_eq!((found.rate_hz, found.channels), (22_050, 1));
        assert_eq!(bytes.len() - found.at, 8);
    }

    #[test]
    fn what_cannot_be_played_is_refused() {
        let mut other = wav(24_000, 1);
        other[20] = 3;
        assert!(head(&other).expect_err("floats").contains("another kind"));
        let mut huge = wav(24_000, 1);
        huge[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(
            head(&huge)
                .expect_err("a huge chunk")
                .contains("without sound")
        );
        assert!(head(b"RIFF....AVI fmt ").is_err());
        let nothing = [&b"RIFF....WAVEdata...."[..], &[0; 8]].concat();
        assert!(
            head(&nothing)
                .expect_err("no format")
                .contains("does not say")
        );
    }

    #[test]
    fn a_wav_is_told_from_samples_by_its_first_bytes() {
        assert_eq!(is_wav(b""), None);
        assert_eq!(is_wav(b"RI"), None);
        assert_eq!(is_wav(b"RIFF"), Some(true));
        assert_eq!(is_wav(b"RA"), Some(false));
        assert_eq!(is_wav(&[0, 0, 1, 0]), Some(false));
    }
}
