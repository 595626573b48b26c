//! The bytes of speech, in pieces of any length, as samples.

use kaiwa_audio::{AUDIBLE_DBFS, PcmDecoder, Resampler, first_above};

use super::wav;

/// Of the silence before speech this much stays, in ms, for soft onsets.
const KEPT_MS: usize = 20;

/// Speech that arrives: samples without a header, or a WAV; mono at the wanted rate when it
/// leaves.
pub(super) struct Sound {
    rate_hz: u32,
    /// What came before it was clear what it is.
    head: Option<Vec<u8>>,
    decoder: PcmDecoder,
    /// Bytes of sound that are still to come; what follows them is no sound.
    left_bytes: Option<usize>,
    is_stereo: bool,
    /// The left half of a frame.
    left: Option<f32>,
    resampler: Option<Resampler>,
    /// The end of the silence before speech; `None` once speech has begun.
    lead: Option<Vec<f32>>,
}

impl Sound {
    /// Samples without a header have the rate `from_hz`; all leave with `rate_hz`.
    pub(super) fn new(from_hz: u32, is_stereo: bool, rate_hz: u32) -> Self {
        Self {
            rate_hz,
            head: Some(Vec::new()),
            decoder: PcmDecoder::new(),
            left_bytes: None,
            is_stereo,
            left: None,
            resampler: resampler(from_hz, rate_hz),
            lead: Some(Vec::new()),
        }
    }

    /// Takes a piece; gives the speech it completes, or says what is wrong with it.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<Vec<f32>, &'static str> {
        let Some(mut head) = self.head.take() else {
            return Ok(self.decode(piece));
        };
        head.extend_from_slice(piece);
        match wav::is_wav(&head) {
            Some(false) => return Ok(self.decode(&head)),
            Some(true) => {
                if let Some(found) = wav::head(&head)? {
                    self.is_stereo = found.channels == 2;
                    self.left_bytes = found.length;
                    self.resampler = resampler(found.rate_hz, self.rate_hz);
                    return Ok(self.decode(&head[found.at..]));
                }
            }
            None => {}
        }
        self.head = Some(head);
        Ok(Vec::new())
    }

    /// The rest, after the last piece.
    pub(super) fn finish(mut self) -> Vec<f32> {
        // What is too short to tell is no WAV; a WAV without sound holds none.
        let head = self.head.take().unwrap_or_default();
        let mut rest = match wav::is_wav(&head) {
            Some(true) => Vec::new(),
            _ => self.decode(&head),
        };
        if let Some(mut resampler) = self.resampler.take() {
            let mut end = Vec::new();
            resampler.flush(&mut end);
            rest.extend(self.begun(end));
        }
        rest
    }

    fn decode(&mut self, mut bytes: &[u8]) -> Vec<f32> {
        if let Some(left) = &mut self.left_bytes {
            bytes = &bytes[..bytes.len().min(*left)];
            *left -= bytes.len();
        }
        let mut samples = Vec::with_capacity(bytes.len() / 2 + 1);
        self.decoder.push(bytes, &mut samples);
        if self.is_stereo {
            samples = self.mixed(&samples);
        }
        if let Some(resampler) = &mut self.resampler {
            let mut resampled = Vec::new();
            resampler.process(&samples, &mut resampled);
            samples = resampled;
        }
        self.begun(samples)
    }

    fn mixed(&mut self, samples: &[f32]) -> Vec<f32> {
        let mut mixed = Vec::with_capacity(samples.len() / 2 + 1);
        for &sample in samples {
            match self.left.take() {
                Some(left) => mixed.push(left.midpoint(sample)),
                None => self.left = Some(sample),
            }
        }
        mixed
    }

    /// Leaves out the silence before speech.
    fn begun(&mut self, samples: Vec<f32>) -> Vec<f32> {
        let Some(mut lead) = self.lead.take() else {
            return samples;
        };
        lead.extend(samples);
        let kept = KEPT_MS * self.rate_hz as usize / 1000;
        match first_above(&lead, AUDIBLE_DBFS) {
            Some(onset) => lead.split_off(onset.saturating_sub(kept)),
            None => {
                lead.drain(..lead.len().saturating_sub(kept));
                self.lead = Some(lead);
                Vec::new()
            }
        }
    }
}

fn resampler(from_hz: u32, to_hz: u32) -> Option<Resampler> {
    (from_hz != to_hz).then(|| Resampler::new(from_hz, to_hz))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use kaiwa_audio::{WavWriter, pcm};

    use super::*;

    fn bytes(samples: &[f32]) -> Vec<u8> {
        let mut bytes = Vec::new();
        pcm::encode(samples, &mut bytes);
        bytes
    }

    fn hear(rate_hz: u32, bytes: &[u8], piece: usize) -> Vec<f32> {
        let mut sound = Sound::new(rate_hz, false, rate_hz);
        let mut heard = Vec::new();
        for piece in bytes.chunks(piece) {
            heard.extend(sound.push(piece).expect("sound"));
        }
        heard.extend(sound.finish());
        heard
    }

    fn wav(rate_hz: u32, channels: u16, samples: &[f32]) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = WavWriter::new(&mut bytes, rate_hz, channels).expect("a writer");
        writer.write(samples).expect("samples");
        writer.finalize().expect("an end");
        bytes.into_inner()
    }

    #[test]
    fn samples_are_heard_wherever_the_pieces_end() {
        let samples: Vec<f32> = (1..=100).map(|n| n as f32 / 128.0).collect();
        for piece in [1, 3, 4, 7, 1000] {
            assert_eq!(hear(24_000, &bytes(&samples), piece), samples, "{piece}");
        }
        assert_eq!(hear(24_000, &bytes(&samples[..1]), 1), samples[..1]);
    }

    #[test]
    fn a_wav_says_its_rate_and_its_channels() {
        let mono = [0.5; 2205];
        assert_eq!(hear(22_050, &wav(22_050, 1, &mono), 5), mono);
        let stereo: Vec<f32> = [0.25, 0.75].repeat(2205);
        assert_eq!(hear(22_050, &wav(22_050, 2, &stereo), 7), mono);
        assert_eq!(hear(24_000, &wav(22_050, 1, &mono), 999).len(), 2400);
        assert!(hear(24_000, &wav(24_000, 1, &[]), 9).is_empty());
    }

    #[test]
    fn what_follows_the_sound_of_a_wav_is_not_played() {
        let mut bytes = wav(24_000, 1, &[0.5; 100]);
        bytes.extend(b"LIST\x04\0\0\0INFO");
        for piece in [1, 50, 10_000] {
            assert_eq!(hear(24_000, &bytes, piece), [0.5; 100], "{piece}");
        }
        // Nobody knew the length.
        for length in [0_u32, u32::MAX, 0x7fff_ffff] {
            bytes[40..44].copy_from_slice(&length.to_le_bytes());
            assert_eq!(hear(24_000, &bytes, 50).len(), 106, "{length}");
        }
    }

    #[test]
    fn samples_may_have_another_rate_and_two_channels() {
        let mut sound = Sound::new(48_000, true, 24_000);
        let stereo = bytes(&[0.25, 0.75].repeat(4800));
        let mut heard = sound.push(&stereo).expect("sound");
        heard.extend(sound.finish());
        assert_eq!(heard.len(), 2400);
    }

    #[test]
    fn silence_before_speech_is_left_out() {
        let mut samples = vec![0.0; 24_000];
        samples.extend([0.5; 10]);
        samples.extend([0.0; 10]);
        for piece in [2, 1001, 100_000] {
            let heard = hear(24_000, &bytes(&samples), piece);
            assert_eq!(heard.len(), 480 + 20, "{piece}");
            assert_eq!(heard[480], 0.5);
        }
        assert!(hear(24_000, &bytes(&[0.0; 5000]), 100).is_empty());
    }
}
