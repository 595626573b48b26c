//! `POST /v1/audio/transcriptions`: a recording in, its text out.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use kaiwa_audio::{AudioDecoder, Clip, FileError, Format};
use kaiwa_engine::SttOptions;
use kaiwa_session::EngineEvent;
use serde::Serialize;

use super::{
    ApiError,
    exchange::Exchange,
    stream::{self, Feed, Gone},
    upload::{File, MAX_FORM, Upload},
};
use crate::server::Shared;

/// Rate of the audio engines take, in Hz.
const ENGINE_RATE_HZ: u32 = 16_000;

/// Samples a second of the densest recording that may last as long as allowed.
const DENSEST_RATE_HZ: u64 = 48_000;

/// How the answer looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Json,
    Text,
    VerboseJson,
}

/// What a form asks for, once it makes sense.
struct Order {
    model: String,
    file: File,
    options: SttOptions,
    shape: Shape,
    streamed: bool,
    logprobs: bool,
}

pub(super) async fn create(
    State(server): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let (mut exchange, form) = Exchange::begin(&server, "transcription", MAX_FORM, body).await?;
    let patience = server.config.patience;
    let form = Request::from_parts(parts, Body::from(form));
    let order = Upload::read(form).await?.check()?;

    let most_ms = server.config.session.max_buffer_ms;
    let file = order.file;
    let samples = tokio::task::spawn_blocking(move || decode(&file, most_ms));
    let samples = exchange.wait_for("The recording", samples).await?;
    let samples = samples.map_err(|error| {
        tracing::error!(%error, "reading a recording panicked");
        ApiError::internal("An internal error stopped the reading of the recording.")
    })??;
    let heard = Heard {
        seconds: samples.len() as f64 / f64::from(ENGINE_RATE_HZ),
        logprobs: order.logprobs,
    };
    exchange.jobs.choose(&order.model);
    exchange.jobs.transcribe(samples, order.options);

    if order.streamed {
        // The status depends on whether anything is heard.
        let first = exchange.next().await?;
        return Ok(stream::answer(stream::EVENTS, patience, move |feed| {
            send(exchange, first, heard, feed)
        }));
    }
    loop {
        if let EngineEvent::Transcript {
            text,
            language,
            logprobs,
        } = exchange.next().await?
        {
            return Ok(match order.shape {
                Shape::Json => Json(heard.json(text, &logprobs)).into_response(),
                Shape::Text => format!("{text}\n").into_response(),
                Shape::VerboseJson => Json(heard.verbose(text, language)).into_response(),
            });
        }
    }
}

/// Sends the transcript while it is made.
async fn send(
    mut exchange: Exchange,
    first: EngineEvent,
    heard: Heard,
    feed: Feed,
) -> Result<(), Gone> {
    let mut event = Ok(first);
    loop {
        match event {
            Ok(EngineEvent::TranscriptDelta { text }) => {
                feed.event(&StreamEvent::Delta { delta: text }).await?;
            }
            Ok(EngineEvent::Transcript { text, logprobs, .. }) => {
                let done = StreamEvent::Done(heard.json(text, &logprobs));
                feed.event(&done).await?;
                return feed.end().await;
            }
            Ok(other) => return feed.fail(other.into()).await,
            Err(error) => return feed.fail(error).await,
        }
        event = exchange.next().await;
    }
}

/// What the answer says besides the text.
struct Heard {
    seconds: f64,
    logprobs: bool,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum StreamEvent {
    #[serde(rename = "transcript.text.delta")]
    Delta { delta: String },
    #[serde(rename = "transcript.text.done")]
    Done(Plain),
}

#[derive(Serialize)]
struct Plain {
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<Vec<Logprob>>,
    usage: Usage,
}

#[derive(Serialize)]
struct Logprob {
    token: String,
    bytes: Vec<u8>,
    logprob: f32,
}

#[derive(Serialize)]
struct Usage {
    r#type: &'static str,
    seconds: u64,
}

#[derive(Serialize)]
struct Verbose {
    task: &'static str,
    language: String,
    duration: f64,
    text: String,
    usage: Usage,
}

impl Heard {
    fn usage(&self) -> Usage {
        Usage {
            r#type: "duration",
            seconds: self.seconds.ceil() as u64,
        }
    }

    fn json(&self, text: String, logprobs: &[(String, f32)]) -> Plain {
        Plain {
            text,
            logprobs: self.logprobs.then(|| {
                logprobs
                    .iter()
                    .map(|(token, logprob)| Logprob {
                        token: token.clone(),
                        bytes: token.clone().into_bytes(),
                        logprob: *logprob,
                    })
                    .collect()
            }),
            usage: self.usage(),
        }
    }

    fn verbose(&self, text: String, language: Option<String>) -> Verbose {
        Verbose {
            task: "transcribe",
            language: language.unwrap_or_default(),
            duration: self.seconds,
            text,
            usage: self.usage(),
        }
    }
}

impl Upload {
    fn check(self) -> Result<Order, ApiError> {
        let model = self.model.ok_or_else(|| ApiError::missing("model"))?;
        let file = self.file.ok_or_else(|| ApiError::missing("file"))?;
        let streamed = match self.stream.as_deref() {
            None | Some("" | "false" | "0") => false,
            Some("true" | "1") => true,
            Some(other) => {
                return Err(not_one_of("stream", other, "'true', 'false'"));
            }
        };
        let shape = match self.response_format.as_deref() {
            None | Some("json") => Shape::Json,
            Some("text") => Shape::Text,
            Some("verbose_json") => Shape::VerboseJson,
            Some(other) => {
                let supported = "'json', 'text', 'verbose_json'";
                return Err(not_one_of("response_format", other, supported));
            }
        };
        if streamed && shape != Shape::Json {
            return Err(not_one_of("response_format", "text", "'json' with stream"));
        }
        let language = self.language.filter(|language| !language.is_empty());
        if let Some(language) = &language
            && !(matches!(language.len(), 2 | 3)
                && language.bytes().all(|byte| byte.is_ascii_lowercase()))
        {
            return Err(ApiError::invalid_value(
                "language",
                format!("Invalid language '{language}': expected a code of ISO 639-1."),
            ));
        }
        if let Some(temperature) = self.temperature
            && temperature.trim().parse::<f32>() != Ok(0.0)
        {
            return Err(ApiError::unsupported(
                "temperature",
                "This server takes the likeliest words, which is 0.",
            ));
        }
        if let Some(other) = self.include.iter().find(|name| *name != "logprobs") {
            return Err(not_one_of("include", other, "'logprobs'"));
        }
        if !self.timestamp_granularities.is_empty() {
            return Err(ApiError::unsupported(
                "timestamp_granularities",
                "The transcriber of this server knows no times.",
            ));
        }
        if let Some(other) = self.chunking_strategy.filter(|name| name != "auto") {
            return Err(not_one_of("chunking_strategy", &other, "'auto'"));
        }
        Ok(Order {
            model,
            file,
            options: SttOptions {
                language,
                prompt: self.prompt.unwrap_or_default(),
            },
            shape,
            streamed,
            logprobs: !self.include.is_empty(),
        })
    }
}

fn not_one_of(param: &str, given: &str, supported: &str) -> ApiError {
    ApiError::invalid_value(
        param,
        format!("Invalid value: '{given}'. Supported values are: {supported}."),
    )
}

/// The samples of a recording of at most `most_ms`, as engines take them.
fn decode(file: &File, most_ms: u64) -> Result<Vec<f32>, ApiError> {
    let clip = match raw_format(file) {
        Some(format) => {
            let mut samples = Vec::new();
            AudioDecoder::new(format).push(&file.bytes, &mut samples);
            Ok(Clip {
                samples,
                rate_hz: format.rate_hz(),
                channels: 1,
            })
        }
        None => {
            let most = most_ms.saturating_mul(DENSEST_RATE_HZ) / 1000;
            Clip::read_at_most(&file.bytes[..], most)
        }
    };
    let clip = clip.map_err(|error| match error {
        FileError::LongerThan { .. } => too_long(most_ms),
        error => {
            let mut message = error.to_string();
            if let Some(first) = message.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            ApiError::invalid("invalid_audio", format!("{message}.")).with_param("file")
        }
    })?;
    if clip.duration_ms() > most_ms {
        return Err(too_long(most_ms));
    }
    Ok(clip.resampled(ENGINE_RATE_HZ).samples)
}

fn too_long(most_ms: u64) -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "audio_too_long",
        format!("The recording is longer than {} s.", most_ms / 1000),
    )
    .with_param("file")
}

/// The format of a file without a header, by its media type or the ending of its name.
fn raw_format(file: &File) -> Option<Format> {
    let media = file.content_type.as_deref().unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    Format::from_name(&media.to_ascii_lowercase()).or_else(|| {
        let (_, ending) = file.name.as_deref()?.rsplit_once('.')?;
        match ending.to_ascii_lowercase().as_str() {
            "pcm" | "raw" => Some(Format::Pcm24k),
            "alaw" | "al" => Some(Format::Pcma),
            "ulaw" | "ul" => Some(Format::Pcmu),
            _ => None,
        }
    })
}
