//! Sessions in the beta's flat shape.

use serde::{Deserializer, Serialize, Serializer};

use crate::prompt::Prompt;
use crate::session::{
    AudioInput, AudioOutput, Include, MaxOutputTokens, RealtimeSession, Session, SessionAudio,
    Tracing, TranscriptionAudio, TranscriptionSession,
};
use crate::tool::{Tool, ToolChoice};
use crate::turn::{NoiseReduction, ServerVad, TranscriptionConfig, TurnDetection};
use crate::voice::{AudioFormat, Modality, Voice};
use crate::wire::{
    Maybe, Number, RawJson, Shape, UnknownObject, Wire, nested, object, peek, shape, string_enum,
};

/// The temperature that a session of the beta has when nobody sets it.
const TEMPERATURE: f64 = 0.8;

object! {
    /// Configuration of a conversation with a model, in the beta.
    pub struct FlatSession {
        /// The session's id; only servers give it.
        pub id: Maybe<String>,
        /// [`SESSION_OBJECT`](crate::SESSION_OBJECT); only servers give it.
        pub object: Maybe<String>,
        /// Name of the model.
        pub model: Maybe<String>,
        /// When the session will end, in seconds since the Unix epoch; only servers give it.
        pub expires_at: Maybe<u64>,
        /// `[Text, Audio]` or `[Text]`.
        pub modalities: Maybe<Vec<Modality>>,
        /// What the model is told before the conversation.
        pub instructions: Maybe<String>,
        /// The voice; locked after the first sound.
        pub voice: Maybe<Voice>,
        /// Speed of speech as a factor, 0.25 to 1.5; since 2025.
        pub speed: Maybe<Number>,
        /// How the user's samples are written.
        pub input_audio_format: Maybe<Format>,
        /// How the model's samples are written.
        pub output_audio_format: Maybe<Format>,
        /// How the user's speech is transcribed; null for not at all.
        pub input_audio_transcription: Maybe<TranscriptionConfig>,
        /// How the end of the user's turn is found; null leaves it to the client.
        pub turn_detection: Maybe<FlatTurnDetection>,
        /// How noise is reduced; null for not at all. Since 2025.
        pub input_audio_noise_reduction: Maybe<NoiseReduction>,
        /// Functions at the model's disposal.
        pub tools: Maybe<Vec<Tool>>,
        /// Whether the model may, must or must not use them.
        pub tool_choice: Maybe<ToolChoice>,
        /// Sampling temperature, 0.6 to 1.2; without effect.
        pub temperature: Maybe<Number>,
        /// The most tokens of one response, 1 to 4096 or `inf`, which null means too.
        pub max_response_output_tokens: Maybe<MaxOutputTokens>,
        /// Whether the session is traced; since 2025.
        pub tracing: Maybe<Tracing>,
        /// A stored prompt to use; since 2025.
        pub prompt: Maybe<Prompt>,
        /// Additional members of events to send; since 2025.
        pub include: Maybe<Vec<Include>>,
        /// The key made with the session; only in answers over HTTP, or null.
        pub client_secret: Maybe<ClientSecret>,
    }
}

object! {
    /// Configuration of a transcription session, in the beta.
    pub struct FlatTranscriptionSession {
        /// The session's id; only servers give it.
        pub id: Maybe<String>,
        /// [`TRANSCRIPTION_SESSION_OBJECT`](crate::TRANSCRIPTION_SESSION_OBJECT); only servers give it.
        pub object: Maybe<String>,
        /// When the session will end, in seconds since the Unix epoch; only servers give it.
        pub expires_at: Maybe<u64>,
        /// Without effect: there are no responses.
        pub modalities: Maybe<Vec<Modality>>,
        /// How the user's samples are written.
        pub input_audio_format: Maybe<Format>,
        /// How the user's speech is transcribed.
        pub input_audio_transcription: Maybe<TranscriptionConfig>,
        /// How the end of the user's turn is found; null leaves it to the client.
        pub turn_detection: Maybe<FlatTurnDetection>,
        /// How noise is reduced; null for not at all.
        pub input_audio_noise_reduction: Maybe<NoiseReduction>,
        /// Additional members of events to send.
        pub include: Maybe<Vec<Include>>,
        /// The key made with the session; only in answers over HTTP, or null.
        pub client_secret: Maybe<ClientSecret>,
    }
}

object! {
    /// A key for one session, made over HTTP.
    pub struct ClientSecret {
        /// The key, `ek_` and more.
        pub value: String,
        /// Until when it opens a session, in seconds since the Unix epoch.
        pub expires_at: Maybe<u64>,
    }
}

string_enum! {
    /// How samples are written, in the beta.
    pub enum Format {
        /// Signed 16-bit little-endian samples at 24 000 Hz.
        Pcm16 = "pcm16",
        /// G.711 µ-law at 8 000 Hz.
        G711Ulaw = "g711_ulaw",
        /// G.711 A-law at 8 000 Hz.
        G711Alaw = "g711_alaw",
    }
}

/// How the end of the user's turn is found, in the beta: without a `type` it is by silence.
#[derive(Clone, Debug, PartialEq)]
pub struct FlatTurnDetection(pub TurnDetection);

impl FlatSession {
    /// The session as a server shows it: what GA does not know has its default.
    pub fn shown(session: &RealtimeSession) -> Self {
        Self {
            temperature: Maybe::Value(TEMPERATURE.into()),
            ..Self::from(session)
        }
    }
}

impl FlatTranscriptionSession {
    /// The session as a server shows it. Its `client_secret` is null, as over a WebSocket.
    pub fn shown(session: &TranscriptionSession) -> Self {
        Self {
            client_secret: Maybe::Null,
            ..Self::from(session)
        }
    }
}

impl From<FlatSession> for RealtimeSession {
    fn from(flat: FlatSession) -> Self {
        let input = input_of_beta(
            flat.input_audio_format,
            flat.input_audio_transcription,
            flat.input_audio_noise_reduction,
            flat.turn_detection,
        );
        let output = AudioOutput {
            format: flat.output_audio_format.map(AudioFormat::from),
            voice: flat.voice,
            speed: flat.speed,
            ..AudioOutput::default()
        };
        let audio = SessionAudio {
            input,
            output: unless_empty(output),
            ..SessionAudio::default()
        };
        Self {
            object: flat.object,
            id: flat.id,
            model: flat.model,
            output_modalities: modalities_of_beta(flat.modalities),
            instructions: flat.instructions,
            tools: flat.tools,
            tool_choice: flat.tool_choice,
            max_output_tokens: tokens_of_beta(flat.max_response_output_tokens),
            tracing: flat.tracing,
            prompt: flat.prompt,
            expires_at: flat.expires_at,
            audio: unless_empty(audio),
            include: flat.include,
            extra: flat.extra,
            ..Self::default()
        }
    }
}

impl From<&RealtimeSession> for FlatSession {
    fn from(session: &RealtimeSession) -> Self {
        let audio = session.audio.value();
        let input = audio.and_then(|audio| audio.input.value());
        let input = input.cloned().unwrap_or_default();
        let output = audio.and_then(|audio| audio.output.value());
        let output = output.cloned().unwrap_or_default();
        Self {
            id: session.id.clone(),
            object: session.object.clone(),
            model: session.model.clone(),
            expires_at: session.expires_at,
            modalities: modalities_of_ga(&session.output_modalities),
            instructions: session.instructions.clone(),
            voice: output.voice,
            speed: output.speed,
            input_audio_format: input.format.as_ref().map(Format::from),
            output_audio_format: output.format.as_ref().map(Format::from),
            input_audio_transcription: input.transcription,
            turn_detection: input.turn_detection.map(FlatTurnDetection),
            input_audio_noise_reduction: input.noise_reduction,
            tools: session.tools.clone(),
            tool_choice: session.tool_choice.clone(),
            max_response_output_tokens: session.max_output_tokens.clone(),
            tracing: session.tracing.clone(),
            prompt: session.prompt.clone(),
            include: session.include.clone(),
            extra: session.extra.clone(),
            ..Self::default()
        }
    }
}

impl From<FlatSession> for Session {
    fn from(flat: FlatSession) -> Self {
        RealtimeSession::from(flat).into()
    }
}

impl From<FlatTranscriptionSession> for TranscriptionSession {
    fn from(flat: FlatTranscriptionSession) -> Self {
        let audio = TranscriptionAudio {
            input: input_of_beta(
                flat.input_audio_format,
                flat.input_audio_transcription,
                flat.input_audio_noise_reduction,
                flat.turn_detection,
            ),
            ..TranscriptionAudio::default()
        };
        Self {
            object: flat.object,
            id: flat.id,
            expires_at: flat.expires_at,
            audio: unless_empty(audio),
            include: flat.include,
            extra: flat.extra,
        }
    }
}

impl From<&TranscriptionSession> for FlatTranscriptionSession {
    fn from(session: &TranscriptionSession) -> Self {
        let input = session.audio.value().and_then(|audio| audio.input.value());
        let input = input.cloned().unwrap_or_default();
        Self {
            id: session.id.clone(),
            object: session.object.clone(),
            expires_at: session.expires_at,
            input_audio_format: input.format.as_ref().map(Format::from),
            input_audio_transcription: input.transcription,
            turn_detection: input.turn_detection.map(FlatTurnDetection),
            input_audio_noise_reduction: input.noise_reduction,
            include: session.include.clone(),
            extra: session.extra.clone(),
            ..Self::default()
        }
    }
}

impl From<FlatTranscriptionSession> for Session {
    fn from(flat: FlatTranscriptionSession) -> Self {
        TranscriptionSession::from(flat).into()
    }
}

impl From<Format> for AudioFormat {
    /// A name that is not known stays one, for whoever checks the session to refuse.
    fn from(format: Format) -> Self {
        match format {
            Format::Pcm16 => Self::pcm(),
            Format::G711Ulaw => Self::pcmu(),
            Format::G711Alaw => Self::pcma(),
            Format::Other(kind) => Self::Unknown(UnknownObject {
                raw: serde_json::Value::from(kind.as_str()).into(),
                kind,
            }),
        }
    }
}

impl From<&AudioFormat> for Format {
    fn from(format: &AudioFormat) -> Self {
        match format {
            AudioFormat::Pcm(_) => Self::Pcm16,
            AudioFormat::Pcmu(_) => Self::G711Ulaw,
            AudioFormat::Pcma(_) => Self::G711Alaw,
            AudioFormat::Unknown(unknown) => Self::Other(unknown.kind.clone()),
        }
    }
}

impl Wire for FlatTurnDetection {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawJson::read(deserializer)?;
        let untyped =
            shape(raw.get()) == Shape::Object && matches!(peek(raw.get(), "type"), Ok(None));
        if untyped {
            nested::<ServerVad, _>(&raw).map(|vad| Self(vad.into()))
        } else {
            nested(&raw).map(Self)
        }
    }
}

impl Serialize for FlatTurnDetection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Speech brings its transcript along in GA, while the beta names both.
pub(super) fn modalities_of_beta(modalities: Maybe<Vec<Modality>>) -> Maybe<Vec<Modality>> {
    modalities.map(|modalities| {
        let known = |modality: &Modality| matches!(modality, Modality::Text | Modality::Audio);
        if modalities.contains(&Modality::Audio) && modalities.iter().all(known) {
            vec![Modality::Audio]
        } else {
            modalities
        }
    })
}

/// The other way of [`modalities_of_beta`].
pub(super) fn modalities_of_ga(modalities: &Maybe<Vec<Modality>>) -> Maybe<Vec<Modality>> {
    modalities.as_ref().map(|modalities| {
        if *modalities == [Modality::Audio] {
            vec![Modality::Text, Modality::Audio]
        } else {
            modalities.clone()
        }
    })
}

/// Null is no limit in the beta of 2024.
pub(super) fn tokens_of_beta(tokens: Maybe<MaxOutputTokens>) -> Maybe<MaxOutputTokens> {
    match tokens {
        Maybe::Null => Maybe::Value(MaxOutputTokens::Inf),
        tokens => tokens,
    }
}

fn input_of_beta(
    format: Maybe<Format>,
    transcription: Maybe<TranscriptionConfig>,
    noise_reduction: Maybe<NoiseReduction>,
    turn_detection: Maybe<FlatTurnDetection>,
) -> Maybe<AudioInput> {
    unless_empty(AudioInput {
        format: format.map(AudioFormat::from),
        transcription: transcription.map(|mut config| {
            // The beta's examples say "any language" with the empty string.
            if config.language.as_deref() == Some("") {
                config.language = Maybe::Absent;
            }
            config
        }),
        noise_reduction,
        turn_detection: turn_detection.map(|turn| turn.0),
        ..AudioInput::default()
    })
}

/// Absent when the object says nothing, so that a merge leaves everything as it is.
fn unless_empty<T: Default + PartialEq>(object: T) -> Maybe<T> {
    if object == T::default() {
        Maybe::Absent
    } else {
        Maybe::Value(object)
    }
}
