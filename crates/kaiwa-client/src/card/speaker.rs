//! Where a file card's speaker is heard.

use std::fs::File;
use std::io::{BufWriter, ErrorKind};
use std::path::{Path, PathBuf};

use kaiwa_audio::{FileError, WIRE_RATE_HZ, WavWriter, pcm};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{CardError, Frame, TICK};

const SILENCE: Frame = [0.0; TICK];

/// What a speaker plays into.
pub struct Speaker(Sink);

enum Sink {
    None,
    Stream(Stream),
    Wav(Wav),
}

impl Speaker {
    /// Plays into nothing.
    #[must_use]
    pub fn none() -> Self {
        Self(Sink::None)
    }

    /// Plays into a mono 16-bit WAV file at 24 kHz, silence included, so that the file's
    /// time is the card's.
    ///
    /// # Errors
    ///
    /// When the file cannot be created.
    pub fn wav(path: impl AsRef<Path>) -> Result<Self, CardError> {
        Ok(Self(Sink::Wav(Wav::create(path.as_ref(), 1, true)?)))
    }

    /// Like [`wav`](Self::wav), without the silence between answers.
    ///
    /// # Errors
    ///
    /// When the file cannot be created.
    pub fn wav_without_gaps(path: impl AsRef<Path>) -> Result<Self, CardError> {
        Ok(Self(Sink::Wav(Wav::create(path.as_ref(), 1, false)?)))
    }

    /// Plays raw s16le mono sound at 24 kHz into a stream, such as standard output,
    /// silence included. A slow reader slows the card down.
    #[must_use]
    pub fn stream(output: impl AsyncWrite + Send + Unpin + 'static) -> Self {
        Self(Sink::Stream(Stream {
            output: Box::new(output),
            pending: Vec::new(),
            written: 0,
        }))
    }

    pub(super) fn play(&mut self, frame: Option<&Frame>) -> Result<(), CardError> {
        match &mut self.0 {
            Sink::None => Ok(()),
            Sink::Stream(stream) => {
                pcm::encode(frame.unwrap_or(&SILENCE), &mut stream.pending);
                Ok(())
            }
            Sink::Wav(wav) => match frame {
                None if !wav.gaps => Ok(()),
                frame => wav.write(frame.unwrap_or(&SILENCE)),
            },
        }
    }

    /// Waits until all that was played is out. Dropping the future loses nothing.
    pub(super) async fn drained(&mut self) -> Result<(), CardError> {
        match &mut self.0 {
            Sink::None | Sink::Wav(_) => Ok(()),
            Sink::Stream(stream) => stream.drained().await,
        }
    }

    pub(super) async fn finish(&mut self) -> Result<(), CardError> {
        match std::mem::replace(&mut self.0, Sink::None) {
            Sink::None => Ok(()),
            Sink::Stream(mut stream) => stream.drained().await,
            Sink::Wav(wav) => wav.finalize(),
        }
    }
}

impl std::fmt::Debug for Speaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &self.0 {
            Sink::None => "Speaker::none",
            Sink::Stream(_) => "Speaker::stream",
            Sink::Wav(_) => "Speaker::wav",
        })
    }
}

struct Stream {
    output: Box<dyn AsyncWrite + Send + Unpin>,
    pending: Vec<u8>,
    /// How much of `pending` is out.
    written: usize,
}

impl Stream {
    async fn drained(&mut self) -> Result<(), CardError> {
        while self.written < self.pending.len() {
            match self.output.write(&self.pending[self.written..]).await {
                Ok(0) => return Err(CardError::OutputClosed),
                Ok(count) => self.written += count,
                Err(error) => return Err(output_error(error)),
            }
        }
        self.pending.clear();
        self.written = 0;
        self.output.flush().await.map_err(output_error)
    }
}

fn output_error(error: std::io::Error) -> CardError {
    if error.kind() == ErrorKind::BrokenPipe {
        CardError::OutputClosed
    } else {
        CardError::Output(error)
    }
}

/// A WAV file with its name, for messages.
pub(super) struct Wav {
    writer: WavWriter<BufWriter<File>>,
    path: PathBuf,
    /// Whether silence is written.
    gaps: bool,
}

impl Wav {
    pub(super) fn create(path: &Path, channels: u16, gaps: bool) -> Result<Self, CardError> {
        match WavWriter::create(path, WIRE_RATE_HZ, channels) {
            Ok(writer) => Ok(Self {
                writer,
                path: path.to_owned(),
                gaps,
            }),
            Err(source) => Err(CardError::Write {
                path: path.to_owned(),
                source,
            }),
        }
    }

    pub(super) fn write_stereo(
        &mut self,
        left: &Frame,
        right: Option<&Frame>,
    ) -> Result<(), CardError> {
        let outcome = self.writer.write_stereo(left, right.unwrap_or(&SILENCE));
        outcome.map_err(|source| self.failed(source))
    }

    fn write(&mut self, frame: &Frame) -> Result<(), CardError> {
        let outcome = self.writer.write(frame);
        outcome.map_err(|source| self.failed(source))
    }

    pub(super) fn finalize(self) -> Result<(), CardError> {
        let Self { writer, path, .. } = self;
        writer
            .finalize()
            .map_err(|source| CardError::Write { path, source })
    }

    fn failed(&self, source: FileError) -> CardError {
        CardError::Write {
            path: self.path.clone(),
            source,
        }
    }
}
