//! `POST /v1/audio/speech`: text in, speech out, while it is spoken.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::Response,
};
use kaiwa_audio::{Resampler, WIRE_RATE_HZ, pcm};
use kaiwa_engine::VoiceSpec;
use kaiwa_session::EngineEvent;
use serde::Deserialize;

use super::{
    ApiError, body,
    exchange::Exchange,
    sentences::sentences,
    stream::{self, Feed, Gone},
};
use crate::server::Shared;

/// Bytes of a request's body.
const MAX_BODY: usize = 64 << 10;

/// Characters of a text.
const MAX_INPUT: usize = 4096;

/// What the engines' voices can do.
const SPEEDS: std::ops::RangeInclusive<f32> = 0.25..=1.5;

#[derive(Deserialize)]
struct SpeechRequest {
    input: Option<String>,
    model: Option<String>,
    voice: Option<Voice>,
    instructions: Option<String>,
    response_format: Option<String>,
    speed: Option<f32>,
    stream_format: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Voice {
    Named(String),
    Custom { id: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Container {
    Pcm,
    Wav,
}

/// What a request asks for, once it makes sense.
struct Order {
    model: String,
    text: String,
    voice: VoiceSpec,
    container: Container,
}

pub(super) async fn create(
    State(server): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, ApiError> {
    let body = request.into_body();
    let (mut exchange, body) = Exchange::begin(&server, "speech", MAX_BODY, body).await?;
    let patience = server.config.patience;
    let order = body::json::<SpeechRequest>(&body)?.check()?;

    exchange.jobs.choose(&order.model);

    let mut pieces = 0;
    for piece in sentences(&order.text) {
        exchange.jobs.speak(piece.to_owned(), order.voice.clone());
        pieces += 1;
    }
    let mut spoken = Spoken {
        exchange,
        pieces,
        resampler: None,
        bytes: Vec::new(),
    };
    // The status depends on whether anything can be spoken.
    spoken.listen().await?;
    let (content_type, header) = match order.container {
        Container::Pcm => ("audio/pcm", Vec::new()),
        Container::Wav => ("audio/wav", wav_header()),
    };
    Ok(stream::answer(content_type, patience, move |feed| {
        spoken.send(feed, header)
    }))
}

/// Speech on its way.
struct Spoken {
    exchange: Exchange,
    /// Pieces of text that are not spoken yet.
    pieces: usize,
    resampler: Option<Resampler>,
    /// Speech as it is sent: 16-bit little-endian samples at 24 000 Hz.
    bytes: Vec<u8>,
}

impl Spoken {
    /// Waits for more speech. There is none when all pieces have been spoken.
    async fn listen(&mut self) -> Result<(), ApiError> {
        while self.pieces > 0 && self.bytes.is_empty() {
            match self.exchange.next().await? {
                EngineEvent::Speech { pcm, rate, .. } => self.push(&pcm, rate),
                EngineEvent::Spoken => {
                    self.pieces -= 1;
                    if self.pieces == 0 {
                        self.flush();
                    }
                }
                other => return Err(other.into()),
            }
        }
        Ok(())
    }

    fn push(&mut self, samples: &[f32], rate: u32) {
        // An engine keeps its rate.
        let resampler = self
            .resampler
            .get_or_insert_with(|| Resampler::new(rate, WIRE_RATE_HZ));
        let mut resampled = Vec::new();
        resampler.process(samples, &mut resampled);
        pcm::encode(&resampled, &mut self.bytes);
    }

    fn flush(&mut self) {
        if let Some(resampler) = &mut self.resampler {
            let mut rest = Vec::new();
            resampler.flush(&mut rest);
            pcm::encode(&rest, &mut self.bytes);
        }
    }

    async fn send(mut self, feed: Feed, header: Vec<u8>) -> Result<(), Gone> {
        if !header.is_empty() {
            feed.bytes(header).await?;
        }
        loop {
            if !self.bytes.is_empty() {
                feed.bytes(std::mem::take(&mut self.bytes)).await?;
            }
            if self.pieces == 0 {
                return feed.end().await;
            }
            if let Err(error) = self.listen().await {
                // Audio cannot say so: the body is cut off.
                tracing::warn!(?error, "speech broke off");
                return Ok(());
            }
        }
    }
}

impl SpeechRequest {
    fn check(self) -> Result<Order, ApiError> {
        let model = self.model.ok_or_else(|| ApiError::missing("model"))?;
        let text = self.input.ok_or_else(|| ApiError::missing("input"))?;
        if text.trim().is_empty() {
            return Err(ApiError::invalid_value("input", "The input is empty."));
        }
        let length = text.chars().count();
        if length > MAX_INPUT {
            return Err(ApiError::out_of_range(
                "input",
                format_args!("{length}"),
                &format!("at most {MAX_INPUT} characters"),
            ));
        }
        let voice = match self.voice.ok_or_else(|| ApiError::missing("voice"))? {
            Voice::Named(name) | Voice::Custom { id: name } => name,
        };
        let speed = self.speed.unwrap_or(1.0);
        if !SPEEDS.contains(&speed) {
            return Err(ApiError::out_of_range("speed", speed, "0.25 to 1.5"));
        }
        if self.instructions.is_some_and(|text| !text.is_empty()) {
            return Err(ApiError::unsupported(
                "instructions",
                "The voices of this server cannot be told how to speak.",
            ));
        }
        if let Some(format) = self.stream_format.filter(|format| format != "audio") {
            return Err(ApiError::invalid_value(
                "stream_format",
                format!("Invalid value: '{format}'. Supported values are: 'audio'."),
            ));
        }
        let container = match self.response_format.as_deref() {
            Some("pcm") => Container::Pcm,
            // The service's default, mp3, is not spoken here.
            None | Some("wav") => Container::Wav,
            Some(format) => {
                return Err(ApiError::invalid_value(
                    "response_format",
                    format!("Invalid value: '{format}'. Supported values are: 'pcm', 'wav'."),
                ));
            }
        };
        Ok(Order {
            model,
            text,
            voice: VoiceSpec { name: voice, speed },
            container,
        })
    }
}

/// The head of a WAV of 16-bit mono whose length nobody knows yet: as long as can be said.
fn wav_header() -> Vec<u8> {
    const BYTES: u32 = 2;
    let mut header = b"RIFF\xff\xff\xff\xffWAVEfmt ".to_vec();
    header.extend(16u32.to_le_bytes());
    // PCM, one channel.
    header.extend([1, 0, 1, 0]);
    header.extend(WIRE_RATE_HZ.to_le_bytes());
    header.extend((WIRE_RATE_HZ * BYTES).to_le_bytes());
    // Bytes of a frame, bits of a sample.
    header.extend([2, 0, 16, 0]);
    header.extend(b"data\xff\xff\xff\xff");
    header
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use kaiwa_audio::Clip;

    use super::*;

    #[test]
    fn the_streamed_wav_is_read_to_its_end() {
        let mut samples = Vec::new();
        pcm::encode(&[0.0, 0.5, -0.5], &mut samples);
        let header = wav_header();
        let clip = Clip::read(header.as_slice().chain(samples.as_slice())).unwrap();
        assert_eq!(clip.samples, [0.0, 0.5, -0.5]);
        assert_eq!((clip.rate_hz, clip.channels), (24_000, 1));
    }
}
