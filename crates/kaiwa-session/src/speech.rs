//! From engine speech to the chunks that leave as `response.output_audio.delta`.

use kaiwa_audio::{Format, Resampler};

use crate::Millis;

/// Longest chunk; recorded sessions show 100 to 200 ms.
const CHUNK_MS: usize = 200;

/// Shortest chunk inside a clause; less waits for more.
const MIN_CHUNK_MS: usize = 100;

/// Brings speech into a response's output format and cuts it into chunks.
#[derive(Debug)]
pub(crate) struct SpeechEncoder {
    format: Format,
    resampler: Option<Resampler>,
    /// Encoded audio that has not left yet.
    pending: Vec<u8>,
    /// Used again and again by `push`.
    scratch: Vec<f32>,
    /// Bytes that have left.
    sent: usize,
}

impl SpeechEncoder {
    pub(crate) fn new(format: Format) -> Self {
        Self {
            format,
            resampler: None,
            pending: Vec::new(),
            scratch: Vec::new(),
            sent: 0,
        }
    }

    /// Takes speech at `rate` Hz and gives the chunks it completes.
    pub(crate) fn push(&mut self, pcm: &[f32], rate: u32) -> Vec<Vec<u8>> {
        let mut chunks = match &self.resampler {
            Some(resampler) if resampler.from_hz() != rate => self.flush(),
            _ => Vec::new(),
        };
        self.scratch.clear();
        self.resampler
            .get_or_insert_with(|| Resampler::new(rate, self.format.rate_hz()))
            .process(pcm, &mut self.scratch);
        self.format.encode(&self.scratch, &mut self.pending);
        chunks.extend(self.take(MIN_CHUNK_MS));
        chunks
    }

    /// A clause is over: gives all that was held back.
    pub(crate) fn flush(&mut self) -> Vec<Vec<u8>> {
        if let Some(mut resampler) = self.resampler.take() {
            self.scratch.clear();
            resampler.flush(&mut self.scratch);
            self.format.encode(&self.scratch, &mut self.pending);
        }
        self.take(0)
    }

    /// Milliseconds of audio that have left.
    pub(crate) fn sent_ms(&self) -> Millis {
        (self.sent / self.format.bytes_per_ms()) as Millis
    }

    fn take(&mut self, least_ms: usize) -> Vec<Vec<u8>> {
        let (least, most) = (
            (least_ms * self.format.bytes_per_ms()).max(1),
            CHUNK_MS * self.format.bytes_per_ms(),
        );
        let mut chunks = Vec::new();
        while self.pending.len() >= least {
            let rest = self.pending.split_off(self.pending.len().min(most));
            let chunk = std::mem::replace(&mut self.pending, rest);
            self.sent += chunk.len();
            chunks.push(chunk);
        }
        chunks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(chunks: &[Vec<u8>]) -> Vec<usize> {
        chunks.iter().map(Vec::len).collect()
    }

    #[test]
    fn speech_leaves_in_chunks_of_100_to_200_ms_and_the_rest_at_the_end() {
        let mut encoder = SpeechEncoder::new(Format::Pcm24k);
        assert_eq!(lengths(&encoder.push(&[0.1; 2399], 24_000)), [0_usize; 0]);
        assert_eq!(lengths(&encoder.push(&[0.1; 1], 24_000)), [4800]);
        assert_eq!(
            lengths(&encoder.push(&[0.1; 24_000 / 2], 24_000)),
            [9600, 9600, 4800]
        );
        assert_eq!(lengths(&encoder.push(&[0.1; 24], 24_000)), [0_usize; 0]);
        assert_eq!(lengths(&encoder.flush()), [48]);
        assert_eq!(lengths(&encoder.flush()), [0_usize; 0]);
        assert_eq!(encoder.sent_ms(), 601);
    }

    #[test]
    fn speech_is_resampled_to_the_format_without_losing_time() {
        for (rate, format) in [
            (22_050, Format::Pcm24k),
            (24_000, Format::Pcmu),
            (16_000, Format::Pcma),
        ] {
            let mut encoder = SpeechEncoder::new(format);
            let mut bytes = 0;
            for _ in 0..10 {
                let pcm = vec![0.1; rate as usize / 10];
                bytes += encoder.push(&pcm, rate).concat().len();
            }
            bytes += encoder.flush().concat().len();
            assert_eq!(bytes, format.bytes_per_ms() * 1000, "{rate} to {format}");
        }
    }

    #[test]
    fn a_voice_may_change_its_rate_between_pieces() {
        let mut encoder = SpeechEncoder::new(Format::Pcm24k);
        let mut bytes = encoder.push(&[0.1; 1600], 16_000).concat();
        bytes.extend(encoder.push(&[0.1; 2205], 22_050).concat());
        bytes.extend(encoder.flush().concat());
        assert_eq!(bytes.len(), 200 * 48);
    }
}
