use std::ops::RangeInclusive;

use kaiwa_audio::WIRE_RATE_HZ;
use serde::Serialize;
use tokio::task::block_in_place;

use super::{
    Endpoint, Limits, Network,
    health::{self, Known},
    http::{Http, Payload},
    sound::Sound,
};
use crate::{Cancel, EngineError, Flow, Speech, Synthesizer, VoiceSpec};

/// Bytes of one piece of speech: 23 minutes at 24 000 Hz.
const MAX_ANSWER: usize = 64 << 20;

/// Types of answers that hold samples. A type that is not one of them, such as MP3, is a
/// server's way to say that it does not know the format.
const SOUND: [&str; 11] = [
    "",
    "application/octet-stream",
    "audio/l16",
    "audio/pcm",
    "audio/raw",
    "audio/vnd.wave",
    "audio/wav",
    "audio/wave",
    "audio/x-pcm",
    "audio/x-raw",
    "audio/x-wav",
];

/// Rates of speech.
const RATES_HZ: RangeInclusive<u32> = 8_000..=96_000;

/// How speech is asked for. An answer that begins as a WAV is read as one in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpeechFormat {
    /// 16-bit little-endian samples, mono, without a header.
    #[default]
    Pcm,
    /// A WAV of 16 bits, whose header says its rate.
    Wav,
}

/// How a remote voice is asked to speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SynthesizerOptions {
    /// What is asked for.
    pub format: SpeechFormat,
    /// Rate of [`SpeechFormat::Pcm`] in Hz where its content type names none (`;rate=`,
    /// `;channels=2`), and of the engine. Default: 24 000.
    pub rate_hz: u32,
    /// The voice for every name that is not among `voices`; without it, such a name is sent as
    /// it is.
    pub voice: Option<String>,
    /// Names that clients use, and what the server calls them.
    pub voices: Vec<(String, String)>,
}

impl Default for SynthesizerOptions {
    fn default() -> Self {
        Self {
            format: SpeechFormat::Pcm,
            rate_hz: WIRE_RATE_HZ,
            voice: None,
            voices: Vec::new(),
        }
    }
}

/// Text to speech behind `POST /audio/speech`, heard while it is made.
///
/// Such servers do not say when which word is spoken, so [`Speech::words`] is empty; whoever
/// needs the words spreads them over the time by their length.
#[derive(Debug)]
pub struct RemoteSynthesizer {
    http: Http,
    options: SynthesizerOptions,
}

#[derive(Serialize)]
struct SpeechRequest<'a> {
    model: &'a str,
    input: &'a str,
    voice: &'a str,
    response_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    speed: Option<f32>,
}

impl RemoteSynthesizer {
    /// The voices at `endpoint`; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// The rate is none (8000 to 96 000 Hz), or no HTTP client can be made.
    pub fn new(
        endpoint: Endpoint,
        options: SynthesizerOptions,
        limits: Limits,
        network: &Network,
    ) -> Result<Self, EngineError> {
        if !RATES_HZ.contains(&options.rate_hz) {
            return Err(EngineError::invalid_input(format_args!(
                "the rate of speech is 8000 to 96000 Hz, not {}",
                options.rate_hz
            )));
        }
        Ok(Self {
            http: Http::new("text to speech", endpoint, limits, network)?,
            options,
        })
    }

    /// Asks the server for its models: whether it is there, takes the key, knows the model.
    ///
    /// # Errors
    ///
    /// It cannot be reached, refuses the key, or fails.
    pub fn check(&self) -> Result<Known, EngineError> {
        health::check(&self.http)
    }

    /// What the server calls a voice.
    fn voice<'a>(&'a self, name: &'a str) -> &'a str {
        let mapped = self.options.voices.iter().find(|(from, _)| from == name);
        let mapped = mapped.map(|(_, to)| to.as_str());
        mapped.or(self.options.voice.as_deref()).unwrap_or(name)
    }

    async fn say(
        &self,
        payload: &Payload,
        sink: &mut dyn FnMut(Speech<'_>) -> Flow,
    ) -> Result<(), EngineError> {
        let mut answer = self
            .http
            .post("/audio/speech", payload, "audio/*", MAX_ANSWER)
            .await?;
        if !SOUND.contains(&answer.media_type().as_str()) {
            return Err(answer.misplaced("PCM or WAV").await);
        }
        let rate = answer.parameter("rate").and_then(|rate| rate.parse().ok());
        let rate = rate.filter(|rate| RATES_HZ.contains(rate));
        let to_hz = self.options.rate_hz;
        let is_stereo = answer.parameter("channels") == Some("2");
        let mut sound = Sound::new(rate.unwrap_or(to_hz), is_stereo, to_hz);
        let mut has_begun = false;
        let mut give = |pcm: Vec<f32>| {
            if pcm.is_empty() {
                return Flow::Continue(());
            }
            has_begun = true;
            sink(Speech {
                pcm: &pcm,
                words: &[],
            })
        };
        while let Some(piece) = answer.next().await? {
            let pcm = sound
                .push(&piece)
                .map_err(|what| answer.subject().failed(what))?;
            if give(pcm).is_break() {
                return Ok(());
            }
        }
        // It is all there is, whether or not more is wanted.
        let _ = give(sound.finish());
        match has_begun {
            true => Ok(()),
            false => Err(answer.subject().failed("sends no sound")),
        }
    }
}

impl Synthesizer for RemoteSynthesizer {
    fn sample_rate(&self) -> u32 {
        self.options.rate_hz
    }

    /// The names that are mapped, the one for all others first.
    fn voices(&self) -> Vec<String> {
        let mapped = self.options.voices.iter().map(|(from, _)| from);
        self.options.voice.iter().chain(mapped).cloned().collect()
    }

    fn speak(
        &self,
        text: &str,
        voice: &VoiceSpec,
        cancel: &Cancel,
        sink: &mut dyn FnMut(Speech<'_>) -> Flow,
    ) -> Result<(), EngineError> {
        if !text.chars().any(char::is_alphanumeric) {
            return Ok(());
        }
        let request = SpeechRequest {
            model: self.http.endpoint().model(),
            input: text,
            voice: self.voice(&voice.name),
            response_format: match self.options.format {
                SpeechFormat::Pcm => "pcm",
                SpeechFormat::Wav => "wav",
            },
            speed: Some(voice.speed).filter(|speed| (speed - 1.0).abs() > f32::EPSILON),
        };
        let payload = Payload {
            content_type: "application/json".to_owned(),
            bytes: serde_json::to_vec(&request).map_err(EngineError::failed)?,
        };
        // A sink may wait for whoever listens, which nothing inside a runtime may.
        let mut sink = |speech: Speech<'_>| block_in_place(|| sink(speech));
        self.http.run(cancel, self.say(&payload, &mut sink))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
