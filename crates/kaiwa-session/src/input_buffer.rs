//! The input audio buffer: what was appended and not yet committed.
//!
//! Positions count samples at 16 000 Hz since the session began, over all audio ever
//! appended, so that 16 of them are a millisecond of the protocol's clock.

use std::sync::Arc;

use kaiwa_audio::{AudioDecoder, Format, NoiseReducer, Resampler, echo::NoiseReduction};

use crate::Millis;

/// Rate of the audio that engines get.
pub(crate) const ENGINE_RATE_HZ: u32 = 16_000;

/// Samples of a millisecond at [`ENGINE_RATE_HZ`].
pub(crate) const SAMPLES_PER_MS: u64 = 16;

/// Audio taken out of the buffer as a user's turn.
#[derive(Clone, Debug)]
pub(crate) struct UserAudio {
    /// At [`ENGINE_RATE_HZ`].
    pub(crate) samples: Arc<[f32]>,
    /// As it was appended.
    pub(crate) bytes: Vec<u8>,
    /// What `bytes` are.
    pub(crate) format: Format,
}

impl UserAudio {
    /// Decodes audio that came with an item.
    pub(crate) fn decode(bytes: Vec<u8>, format: Format) -> Self {
        let mut decoded = Vec::new();
        AudioDecoder::new(format).push(&bytes, &mut decoded);
        Self {
            samples: resample(&decoded, format.rate_hz(), ENGINE_RATE_HZ).into(),
            bytes,
            format,
        }
    }

    /// Its length, rounded down.
    pub(crate) fn ms(&self) -> Millis {
        (self.bytes.len() / self.format.bytes_per_ms()) as Millis
    }
}

/// Audio between the client and the turns.
#[derive(Debug)]
pub(crate) struct InputBuffer {
    format: Format,
    decoder: AudioDecoder,
    /// Comes before everything that listens, and before what is kept.
    reducer: NoiseReducer,
    resampler: Resampler,
    /// As appended, where no noise is reduced; may end with half a sample then.
    bytes: Vec<u8>,
    /// The last byte appended.
    last: u8,
    samples: Vec<f32>,
    /// Position of the first sample of both.
    start: u64,
}

impl InputBuffer {
    pub(crate) fn new(format: Format) -> Self {
        Self {
            format,
            decoder: AudioDecoder::new(format),
            reducer: NoiseReducer::new(NoiseReduction::Off, format.rate_hz()),
            resampler: Resampler::new(format.rate_hz(), ENGINE_RATE_HZ),
            bytes: Vec::new(),
            last: 0,
            samples: Vec::new(),
            start: 0,
        }
    }

    /// Appends audio in the buffer's format.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let mut decoded = Vec::new();
        self.decoder.push(bytes, &mut decoded);
        self.last = bytes.last().copied().unwrap_or(self.last);
        if self.is_reducing() {
            let mut cleaned = Vec::new();
            self.reducer.process(&decoded, &mut cleaned);
            self.keep(&cleaned);
        } else {
            self.resampler.process(&decoded, &mut self.samples);
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// Changes how much noise is taken out of what comes next.
    pub(crate) fn set_noise_reduction(&mut self, level: NoiseReduction) {
        if level == self.reducer.level() {
            return;
        }
        // Half a sample is among the bytes only where they are kept as they came.
        let has_half = self.decoder.is_mid_sample();
        if self.is_reducing() {
            self.end_reduction();
        } else if has_half {
            self.bytes.pop();
        }
        self.reducer = NoiseReducer::new(level, self.format.rate_hz());
        if has_half && !self.is_reducing() {
            self.bytes.push(self.last);
        }
    }

    /// Changes the format of what comes next; what is there is converted.
    pub(crate) fn set_format(&mut self, format: Format) {
        if format == self.format {
            return;
        }
        self.end_reduction();
        self.resampler.flush(&mut self.samples);
        let mut decoded = Vec::new();
        AudioDecoder::new(self.format).push(&self.bytes, &mut decoded);
        self.bytes.clear();
        format.encode(
            &resample(&decoded, self.format.rate_hz(), format.rate_hz()),
            &mut self.bytes,
        );
        self.format = format;
        self.decoder = AudioDecoder::new(format);
        self.reducer = NoiseReducer::new(self.reducer.level(), format.rate_hz());
        self.resampler = Resampler::new(format.rate_hz(), ENGINE_RATE_HZ);
    }

    /// Forgets the audio; the clock goes on.
    pub(crate) fn clear(&mut self) {
        self.take_all();
        self.bytes.clear();
        self.decoder.reset();
    }

    /// Takes everything there is.
    pub(crate) fn take_all(&mut self) -> UserAudio {
        self.end_reduction();
        self.resampler.flush(&mut self.samples);
        let samples = std::mem::take(&mut self.samples);
        self.start += samples.len() as u64;
        // Half a sample stays for its other half.
        let half = self.bytes.len() % self.format.bytes_per_sample();
        let rest = self.bytes.split_off(self.bytes.len() - half);
        UserAudio {
            samples: samples.into(),
            bytes: std::mem::replace(&mut self.bytes, rest),
            format: self.format,
        }
    }

    /// Takes the audio between two positions and forgets what lies before it.
    pub(crate) fn take(&mut self, from: u64, to: u64) -> UserAudio {
        self.discard_before(from);
        let samples = self.sample_offset(to);
        let bytes = self.byte_offset(to);
        self.start += samples as u64;
        UserAudio {
            samples: self.samples.drain(..samples).collect(),
            bytes: self.bytes.drain(..bytes).collect(),
            format: self.format,
        }
    }

    /// Forgets the audio before a position.
    pub(crate) fn discard_before(&mut self, position: u64) {
        let (samples, bytes) = (self.sample_offset(position), self.byte_offset(position));
        self.samples.drain(..samples);
        self.bytes.drain(..bytes);
        self.start += samples as u64;
    }

    /// The samples between two positions that are both in the buffer.
    pub(crate) fn samples(&self, from: u64, to: u64) -> Option<&[f32]> {
        let from = usize::try_from(from.checked_sub(self.start)?).ok()?;
        let to = usize::try_from(to.checked_sub(self.start)?).ok()?;
        self.samples.get(from..to)
    }

    /// Position of the first sample.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Position after the last sample appended, of which the noise reduction and the resampler may
    /// still hold some.
    pub(crate) fn received(&self) -> u64 {
        let samples = self.appended() as u64;
        self.start + samples * u64::from(ENGINE_RATE_HZ) / u64::from(self.format.rate_hz())
    }

    /// How much audio there is, in milliseconds.
    pub(crate) fn ms(&self) -> f64 {
        self.appended() as f64 * 1000.0 / f64::from(self.format.rate_hz())
    }

    /// Bytes of a millisecond of what is appended.
    pub(crate) fn bytes_per_ms(&self) -> usize {
        self.format.bytes_per_ms()
    }

    fn is_reducing(&self) -> bool {
        self.reducer.level() != NoiseReduction::Off
    }

    /// Keeps what the noise reduction still holds.
    fn end_reduction(&mut self) {
        let mut cleaned = Vec::new();
        self.reducer.flush(&mut cleaned);
        if !cleaned.is_empty() {
            self.keep(&cleaned);
        }
    }

    /// Keeps audio whose noise was reduced.
    fn keep(&mut self, cleaned: &[f32]) {
        self.resampler.process(cleaned, &mut self.samples);
        self.format.encode(cleaned, &mut self.bytes);
    }

    /// Samples of the format that are there.
    fn appended(&self) -> usize {
        self.bytes.len() / self.format.bytes_per_sample() + self.reducer.held()
    }

    fn sample_offset(&self, position: u64) -> usize {
        let offset = usize::try_from(position.saturating_sub(self.start)).unwrap_or(usize::MAX);
        offset.min(self.samples.len())
    }

    fn byte_offset(&self, position: u64) -> usize {
        let samples = self.sample_offset(position) as u64 * u64::from(self.format.rate_hz())
            / u64::from(ENGINE_RATE_HZ);
        // The offset is that of a sample in memory.
        (samples as usize * self.format.bytes_per_sample()).min(self.bytes.len())
    }
}

fn resample(samples: &[f32], from_hz: u32, to_hz: u32) -> Vec<f32> {
    let mut resampler = Resampler::new(from_hz, to_hz);
    let mut out = Vec::new();
    resampler.process(samples, &mut out);
    resampler.flush(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ramp of `ms` at 24 kHz: every sample differs from its neighbours.
    fn ramp(ms: usize) -> Vec<u8> {
        (0..ms * 24)
            .flat_map(|n| ((n % 30_000) as i16).to_le_bytes())
            .collect()
    }

    #[test]
    fn the_position_follows_the_audio_in_every_format() {
        for (format, bytes) in [
            (Format::Pcm24k, 4800),
            (Format::Pcmu, 800),
            (Format::Pcma, 800),
        ] {
            let mut buffer = InputBuffer::new(format);
            buffer.push(&vec![0; bytes]);
            assert_eq!((buffer.ms(), buffer.received()), (100.0, 1600));
            let turn = buffer.take_all();
            assert_eq!(turn.samples.len(), 1600);
            assert_eq!((turn.bytes.len(), turn.ms()), (bytes, 100));
            assert_eq!((buffer.start(), buffer.received()), (1600, 1600));
        }
    }

    #[test]
    fn pieces_of_any_length_give_the_same_audio() {
        let audio = ramp(200);
        let mut whole = InputBuffer::new(Format::Pcm24k);
        whole.push(&audio);
        let whole = whole.take_all();
        for piece in [1, 7, 480, 4801] {
            let mut buffer = InputBuffer::new(Format::Pcm24k);
            audio.chunks(piece).for_each(|chunk| buffer.push(chunk));
            let turn = buffer.take_all();
            assert_eq!(turn.bytes, audio, "pieces of {piece}");
            assert_eq!(turn.samples, whole.samples, "pieces of {piece}");
        }
    }

    #[test]
    fn half_a_sample_waits_for_its_other_half() {
        let audio = ramp(100);
        let mut buffer = InputBuffer::new(Format::Pcm24k);
        buffer.push(&audio[..2401]);
        assert_eq!(buffer.take_all().bytes, audio[..2400]);
        buffer.push(&audio[2401..]);
        assert_eq!(buffer.take_all().bytes, audio[2400..]);
    }

    #[test]
    fn a_turn_is_cut_out_where_it_lies() {
        let audio = ramp(1000);
        let mut buffer = InputBuffer::new(Format::Pcm24k);
        buffer.push(&audio);
        let turn = buffer.take(200 * 16, 500 * 16);
        assert_eq!(turn.bytes, audio[200 * 48..500 * 48]);
        assert_eq!(turn.samples.len(), 300 * 16);
        assert_eq!(buffer.start(), 500 * 16);
        assert_eq!(buffer.take_all().bytes, audio[500 * 48..]);
    }

    #[test]
    fn the_clock_counts_cleared_and_forgotten_audio() {
        let mut buffer = InputBuffer::new(Format::Pcm24k);
        buffer.push(&ramp(300));
        buffer.discard_before(100 * 16);
        assert_eq!(buffer.ms(), 200.0);
        buffer.clear();
        assert_eq!(buffer.ms(), 0.0);
        assert_eq!(buffer.start(), 300 * 16);
        assert!(buffer.samples(0, 16).is_none());
    }

    /// Noise of so many ms at 24 kHz.
    fn hiss(ms: usize) -> Vec<u8> {
        let mut state = 1u32;
        (0..ms * 24)
            .flat_map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (((state >> 16) as i16) / 64).to_le_bytes()
            })
            .collect()
    }

    #[test]
    fn reduced_noise_keeps_the_clock_whatever_the_pieces() {
        let audio = hiss(2_000);
        let mut plain = InputBuffer::new(Format::Pcm24k);
        plain.push(&audio);
        let plain = plain.take_all();
        let mut whole = InputBuffer::new(Format::Pcm24k);
        whole.set_noise_reduction(NoiseReduction::Near);
        whole.push(&audio);
        assert_eq!((whole.ms(), whole.received()), (2000.0, 32_000));
        let whole = whole.take_all();
        assert_eq!(whole.samples.len(), plain.samples.len());
        assert_eq!(whole.bytes.len(), audio.len());
        let level = |turn: &UserAudio| kaiwa_audio::rms_dbfs(&turn.samples[16_000..]);
        assert!(level(&whole) < level(&plain) - 8.0);
        for piece in [1, 7, 480, 4801] {
            let mut buffer = InputBuffer::new(Format::Pcm24k);
            buffer.set_noise_reduction(NoiseReduction::Near);
            audio.chunks(piece).for_each(|chunk| buffer.push(chunk));
            assert_eq!(buffer.ms(), 2000.0, "pieces of {piece}");
            let turn = buffer.take_all();
            assert_eq!(turn.bytes, whole.bytes, "pieces of {piece}");
            assert_eq!(turn.samples, whole.samples, "pieces of {piece}");
            assert_eq!(buffer.start(), 32_000);
        }
    }

    #[test]
    fn noise_reduction_may_change_anywhere() {
        for format in [Format::Pcm24k, Format::Pcmu] {
            for cut in [1, 961, 4_000, 4_801] {
                let audio = hiss(400);
                let (first, second) = audio.split_at(cut);
                let mut buffer = InputBuffer::new(format);
                buffer.push(first);
                buffer.set_noise_reduction(NoiseReduction::Far);
                buffer.push(second);
                buffer.set_noise_reduction(NoiseReduction::Near);
                buffer.push(first);
                buffer.set_noise_reduction(NoiseReduction::Off);
                buffer.push(second);
                assert_eq!(buffer.bytes.len(), 2 * audio.len(), "{format}, {cut}");
                // What came without it is as it came.
                let whole = cut / format.bytes_per_sample() * format.bytes_per_sample();
                assert_eq!(buffer.bytes[..whole], audio[..whole]);
                assert!(buffer.bytes.ends_with(second), "{format}, {cut}");
                let bytes = 2 * audio.len() / format.bytes_per_ms();
                let turn = buffer.take_all();
                assert_eq!(turn.samples.len(), bytes * 16, "{format}, {cut}");
            }
        }
    }

    #[test]
    fn a_commit_a_clear_and_a_new_format_take_what_the_reduction_holds() {
        let mut buffer = InputBuffer::new(Format::Pcm24k);
        buffer.set_noise_reduction(NoiseReduction::Near);
        buffer.push(&hiss(105));
        assert_eq!(buffer.take_all().ms(), 105);
        buffer.push(&hiss(105));
        buffer.clear();
        assert_eq!((buffer.ms(), buffer.start()), (0.0, 210 * 16));
        buffer.push(&hiss(105));
        buffer.set_format(Format::Pcma);
        assert_eq!(buffer.ms(), 105.0);
        buffer.push(&[0x55; 80]);
        assert_eq!((buffer.ms(), buffer.take_all().ms()), (115.0, 115));
    }

    #[test]
    fn a_new_format_keeps_the_audio_and_the_clock() {
        let mut buffer = InputBuffer::new(Format::Pcm24k);
        buffer.push(&ramp(100));
        buffer.set_format(Format::Pcmu);
        assert_eq!(buffer.ms(), 100.0);
        buffer.push(&[0xFF; 800]);
        let turn = buffer.take_all();
        assert_eq!((turn.ms(), turn.format), (200, Format::Pcmu));
        assert_eq!(turn.samples.len(), 3200);
    }
}
