//! Where a file card's microphone hears.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kaiwa_audio::{Clip, PcmDecoder, WIRE_RATE_HZ};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{CardError, Frame, MicState, TICK};

/// Chunks of a stream that may wait to be heard: with 4 KiB each, some five seconds.
const STREAM_CHUNKS: usize = 64;
/// Bytes read from a stream at once.
const CHUNK: usize = 4096;
/// How long a tick waits for a stream that falls behind before it hears silence.
const STREAM_PATIENCE: Duration = Duration::from_millis(200);

/// What a microphone hears.
#[derive(Debug)]
pub struct Mic(Source);

#[derive(Debug)]
enum Source {
    Clip { samples: Vec<f32>, at: usize },
    Off,
    Queue(Arc<Mutex<Queued>>),
    Stream(Stream),
}

impl Mic {
    /// No microphone: nothing is sent.
    #[must_use]
    pub fn off() -> Self {
        Self(Source::Off)
    }

    /// Hears a recording, then silence.
    #[must_use]
    pub fn clip(clip: Clip) -> Self {
        Self(Source::Clip {
            samples: clip.resampled(WIRE_RATE_HZ).samples,
            at: 0,
        })
    }

    /// Hears a WAV or FLAC file, then silence.
    ///
    /// # Errors
    ///
    /// When the file is not a recording.
    pub fn file(path: impl AsRef<Path>) -> Result<Self, CardError> {
        let path = path.as_ref();
        let clip = Clip::open(path).map_err(|source| CardError::Open {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self::clip(clip))
    }

    /// Hears raw s16le mono sound at 24 kHz, such as standard input, then silence.
    ///
    /// A task reads ahead at most five seconds. In real time, a tick waits up to 200 ms
    /// for a stream that falls behind before it hears silence in its place.
    ///
    /// Must be called within a tokio runtime.
    #[must_use]
    pub fn stream(input: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let (chunks, receiver) = mpsc::channel(STREAM_CHUNKS);
        tokio::spawn(read(input, chunks));
        Self(Source::Stream(Stream {
            chunks: receiver,
            decoder: PcmDecoder::new(),
            samples: Vec::new(),
            ended: false,
        }))
    }

    /// Hears what a program gives to the queue, and silence between.
    #[must_use]
    pub fn queue() -> (MicQueue, Self) {
        let shared = Arc::new(Mutex::new(Queued::default()));
        (MicQueue(Arc::clone(&shared)), Self(Source::Queue(shared)))
    }

    pub(super) fn state(&self) -> MicState {
        match &self.0 {
            Source::Off => MicState::Off,
            Source::Clip { samples, at } if *at < samples.len() => MicState::Sounding,
            Source::Clip { .. } => MicState::Ended,
            Source::Stream(stream) if stream.ended && stream.samples.is_empty() => MicState::Ended,
            Source::Stream(_) => MicState::Sounding,
            Source::Queue(queue) => {
                let queue = lock(queue);
                match (queue.samples.is_empty(), queue.ended) {
                    (false, _) => MicState::Sounding,
                    (true, true) => MicState::Ended,
                    (true, false) => MicState::Open,
                }
            }
        }
    }

    /// Waits until a whole frame is there, as long as one may be expected by `due`.
    pub(super) async fn ready(&mut self, due: Instant) -> Result<(), CardError> {
        if let Source::Stream(stream) = &mut self.0 {
            let enough = stream.fill();
            if let Ok(outcome) = tokio::time::timeout_at(due + STREAM_PATIENCE, enough).await {
                return outcome;
            }
        }
        Ok(())
    }

    /// Takes the next frame, silence where there is nothing.
    pub(super) fn take(&mut self, frame: &mut Frame) {
        frame.fill(0.0);
        match &mut self.0 {
            Source::Off => {}
            Source::Clip { samples, at } => {
                let rest = &samples[*at..];
                let count = rest.len().min(TICK);
                frame[..count].copy_from_slice(&rest[..count]);
                *at += count;
            }
            Source::Stream(stream) => {
                let count = stream.samples.len().min(TICK);
                frame[..count].copy_from_slice(&stream.samples[..count]);
                stream.samples.drain(..count);
            }
            Source::Queue(queue) => {
                let mut queue = lock(queue);
                let count = queue.samples.len().min(TICK);
                for (slot, sample) in frame.iter_mut().zip(queue.samples.drain(..count)) {
                    *slot = sample;
                }
            }
        }
    }
}

/// Gives sound to a [`Mic::queue`]. Dropping the last clone ends the input.
#[derive(Clone, Debug)]
pub struct MicQueue(Arc<Mutex<Queued>>);

#[derive(Debug, Default)]
struct Queued {
    samples: VecDeque<f32>,
    ended: bool,
}

impl MicQueue {
    /// Lets the microphone hear `samples`, mono at 24 kHz, after what it has yet to hear.
    ///
    /// The queue is the program's own memory and has no bound.
    pub fn push(&self, samples: &[f32]) {
        lock(&self.0).samples.extend(samples);
    }

    /// Ends the input once all was heard.
    pub fn end(&self) {
        lock(&self.0).ended = true;
    }

    /// Samples yet to be heard.
    #[must_use]
    pub fn pending(&self) -> usize {
        lock(&self.0).samples.len()
    }
}

impl Drop for MicQueue {
    fn drop(&mut self) {
        // The microphone holds one reference, this is the other.
        if Arc::strong_count(&self.0) <= 2 {
            self.end();
        }
    }
}

fn lock(queue: &Mutex<Queued>) -> std::sync::MutexGuard<'_, Queued> {
    // Nothing panics while holding the lock, and samples have no invariant to break.
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The receiving end of a stream's reader.
#[derive(Debug)]
struct Stream {
    chunks: mpsc::Receiver<io::Result<Vec<u8>>>,
    decoder: PcmDecoder,
    /// Decoded and not heard yet.
    samples: Vec<f32>,
    ended: bool,
}

impl Stream {
    /// Waits for a whole frame or the end.
    async fn fill(&mut self) -> Result<(), CardError> {
        while self.samples.len() < TICK && !self.ended {
            match self.chunks.recv().await {
                Some(Ok(bytes)) => self.decoder.push(&bytes, &mut self.samples),
                Some(Err(error)) => return Err(CardError::Input(error)),
                None => self.ended = true,
            }
        }
        Ok(())
    }
}

/// Reads a stream to its end, or until nobody listens.
async fn read(mut input: impl AsyncRead + Send + Unpin, chunks: mpsc::Sender<io::Result<Vec<u8>>>) {
    loop {
        let mut chunk = vec![0; CHUNK];
        let outcome = match input.read(&mut chunk).await {
            Ok(0) => return,
            Ok(count) => {
                chunk.truncate(count);
                Ok(chunk)
            }
            Err(error) => Err(error),
        };
        let failed = outcome.is_err();
        if chunks.send(outcome).await.is_err() || failed {
            return;
        }
    }
}
