//! The configuration of a session in effect: merging of `session.update`, defaults, and
//! what the rest of the session reads out of it.

mod check;
mod transcription;

use kaiwa_audio::{Format, echo::NoiseReduction};
use kaiwa_protocol::{
    AudioFormat, AudioInput, AudioOutput, Eagerness, ErrorDetail, Include, MaxOutputTokens, Maybe,
    Modality, NoiseReductionKind, RealtimeSession, SESSION_OBJECT, SemanticVad, ServerVad,
    Session as WireSession, SessionAudio, ToolChoice, TranscriptionConfig, Truncation,
    TurnDetection, Voice,
};

pub(crate) use self::check::{
    check_format, check_max_tokens, check_modalities, check_tool_choice, check_tools, check_voice,
};
use crate::{
    Millis, SessionOptions,
    event_size::{self, MAX_SHOWN_BYTES},
    mcp::{self, Servers},
    refusal::{self, Refusal},
    vad::TurnParameters,
};

/// Probability of speech from which a turn begins, unless told otherwise.
const DEFAULT_THRESHOLD: f64 = 0.5;

/// Audio before the detected start that belongs to the turn, unless told otherwise.
const DEFAULT_PREFIX_MS: Millis = 300;

/// More prefix than this is not kept.
const MAX_PREFIX_MS: Millis = 10_000;

/// The configuration in effect. Every setting that has a default has a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    purpose: Purpose,
    /// Of a transcription session only what [`transcription::shown`] shows is in use.
    session: RealtimeSession,
    /// Silence that ends a turn when the client names none.
    silence_ms: Millis,
    /// Voices that may be chosen; empty for any.
    voices: Vec<String>,
}

/// What a session is for; fixed for its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The client talks with a model.
    Conversation,
    /// The client's audio becomes text, and nothing answers.
    Transcription,
}

/// How turns are taken.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TurnTaking {
    pub(crate) parameters: TurnParameters,
    pub(crate) prefix_ms: Millis,
    pub(crate) idle_timeout_ms: Option<Millis>,
    pub(crate) create_response: bool,
    pub(crate) interrupt_response: bool,
    /// How soon a turn is taken to be over that is judged by its sound and its words; `None`
    /// where its silence alone decides.
    pub(crate) eagerness: Option<Eagerness>,
}

impl Config {
    pub(crate) fn new(options: &SessionOptions, session_id: String) -> Self {
        let audio = SessionAudio {
            input: Maybe::Value(AudioInput {
                format: AudioFormat::pcm().into(),
                transcription: Maybe::Null,
                noise_reduction: Maybe::Null,
                turn_detection: Maybe::Value(complete_server_vad(
                    ServerVad::default(),
                    options.silence_duration_ms,
                )),
                ..AudioInput::default()
            }),
            output: Maybe::Value(AudioOutput {
                format: AudioFormat::pcm().into(),
                voice: Voice::from(options.voice.as_str()).into(),
                speed: Maybe::Value(1_u64.into()),
                ..AudioOutput::default()
            }),
            ..SessionAudio::default()
        };
        Self {
            purpose: Purpose::Conversation,
            session: RealtimeSession {
                object: SESSION_OBJECT.into(),
                id: session_id.into(),
                model: options.model.clone().into(),
                output_modalities: vec![Modality::Audio].into(),
                instructions: options.instructions.clone().into(),
                tools: Vec::new().into(),
                tool_choice: ToolChoice::Auto.into(),
                max_output_tokens: MaxOutputTokens::Inf.into(),
                tracing: Maybe::Null,
                truncation: Truncation::Auto.into(),
                prompt: Maybe::Null,
                expires_at: Maybe::Value(
                    options.created_unix_seconds + options.max_session_ms / 1000,
                ),
                audio: audio.into(),
                include: Maybe::Null,
                ..RealtimeSession::default()
            },
            silence_ms: options.silence_duration_ms,
            voices: options.voices.clone(),
        }
    }

    /// The configuration a session begins with when `requested` is bound to it, or why that
    /// is refused. It decides the session's type; a model it names is the session's.
    pub(crate) fn requested(
        options: &SessionOptions,
        session_id: String,
        requested: WireSession,
    ) -> Result<Self, Refusal> {
        let mut config = Self::new(options, session_id);
        match &requested {
            WireSession::Realtime(session) => set(&mut config.session.model, session.model.clone()),
            WireSession::Transcription(_) => {
                config.purpose = Purpose::Transcription;
                if let Some(input) = config.session.audio.value_mut()
                    && let Some(input) = input.input.value_mut()
                {
                    let detection = std::mem::take(&mut input.turn_detection);
                    input.turn_detection = detection.map(transcription::without_responses);
                }
            }
            WireSession::Unknown(unknown) => {
                return Err(refusal::not_one_of(
                    "session.type",
                    &unknown.kind,
                    WireSession::KNOWN,
                ));
            }
        }
        config.updated(requested, None, &Servers::default())
    }

    /// The configuration after an update, or why all of it is refused. No voice but the one
    /// that was heard may be chosen any more. `servers` are those declared before.
    pub(crate) fn updated(
        &self,
        update: WireSession,
        heard_voice: Option<&Voice>,
        servers: &Servers,
    ) -> Result<Self, Refusal> {
        let update = match (self.purpose, update) {
            (Purpose::Conversation, WireSession::Realtime(update)) => *update,
            (Purpose::Transcription, WireSession::Transcription(update)) => {
                transcription::as_update(*update)?
            }
            (Purpose::Conversation, WireSession::Transcription(_)) => {
                return Err(refusal::wrong_session_type("transcription", "realtime"));
            }
            (Purpose::Transcription, WireSession::Realtime(_)) => {
                return Err(refusal::wrong_session_type("realtime", "transcription"));
            }
            (purpose, WireSession::Unknown(unknown)) => {
                let own = match purpose {
                    Purpose::Conversation => "realtime",
                    Purpose::Transcription => "transcription",
                };
                return Err(refusal::not_one_of("session.type", &unknown.kind, &[own]));
            }
        };
        self.merged(update, heard_voice, servers)
    }

    /// Only keys that are present change something. The update reaches through `audio`,
    /// `audio.input` and `audio.output`; everything below is taken as a whole. Null switches
    /// off what can be off and otherwise leaves the setting alone. The model is fixed: clients
    /// that name another one are left in peace.
    fn merged(
        &self,
        mut update: RealtimeSession,
        heard_voice: Option<&Voice>,
        servers: &Servers,
    ) -> Result<Self, Refusal> {
        check::check_session(&update, &self.voices)?;
        if let Some(tools) = update.tools.value_mut() {
            mcp::resolve("session", tools, servers)?;
        }
        let mut new = self.clone();
        let session = &mut new.session;

        set(&mut session.output_modalities, update.output_modalities);
        set(&mut session.instructions, update.instructions);
        set(&mut session.tools, update.tools);
        set(&mut session.tool_choice, update.tool_choice);
        set(&mut session.max_output_tokens, update.max_output_tokens);
        set(&mut session.truncation, update.truncation);
        set(&mut session.parallel_tool_calls, update.parallel_tool_calls);
        set(&mut session.reasoning, update.reasoning);
        session.tracing.update(update.tracing);
        session.prompt.update(update.prompt);
        session.include.update(update.include);

        let audio = session.audio.get_or_insert_default();
        let update = update.audio.unwrap_or_default();
        if let Maybe::Value(update) = update.input {
            let input = audio.input.get_or_insert_default();
            set(&mut input.format, update.format.map(with_rate));
            input.transcription.update(update.transcription);
            input.noise_reduction.update(update.noise_reduction);
            input
                .turn_detection
                .update(update.turn_detection.map(|detection| {
                    let whole = match detection {
                        TurnDetection::ServerVad(vad) => complete_server_vad(vad, self.silence_ms),
                        TurnDetection::SemanticVad(vad) => complete_semantic_vad(vad),
                        unknown => unknown,
                    };
                    match self.purpose {
                        Purpose::Conversation => whole,
                        Purpose::Transcription => transcription::without_responses(whole),
                    }
                }));
        }
        if let Maybe::Value(update) = update.output {
            let output = audio.output.get_or_insert_default();
            set(&mut output.format, update.format.map(with_rate));
            set(&mut output.speed, update.speed);
            if let (Some(heard), Some(voice)) = (heard_voice, update.voice.value())
                && voice != heard
            {
                return Err(refusal::voice_locked("session.audio.output.voice"));
            }
            set(&mut output.voice, update.voice);
        }
        let bytes = event_size::session_bytes(&new.shown());
        if bytes > MAX_SHOWN_BYTES {
            return Err(refusal::too_large("session", MAX_SHOWN_BYTES, bytes));
        }
        Ok(new)
    }

    /// The whole configuration, as the client is shown it: without secrets.
    pub(crate) fn shown(&self) -> WireSession {
        match self.purpose {
            Purpose::Conversation => {
                let mut session = self.session.clone();
                if let Some(tools) = session.tools.value_mut() {
                    mcp::without_secrets(tools);
                }
                session.into()
            }
            Purpose::Transcription => transcription::shown(&self.session),
        }
    }

    /// The settings of a conversation.
    pub(crate) fn session(&self) -> &RealtimeSession {
        &self.session
    }

    /// What the session is for.
    pub(crate) fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The voices a client may choose; empty for any.
    pub(crate) fn voices(&self) -> &[String] {
        &self.voices
    }

    /// Instructions of the session, empty for none.
    pub(crate) fn instructions(&self) -> &str {
        self.session.instructions.as_deref().unwrap_or_default()
    }

    /// How the user's speech is transcribed for the client; `None` for not at all.
    pub(crate) fn transcription(&self) -> Option<&TranscriptionConfig> {
        self.input()?.transcription.value()
    }

    /// Whether the tokens of transcripts are asked for.
    pub(crate) fn wants_logprobs(&self) -> bool {
        self.session
            .include
            .value()
            .is_some_and(|include| include.contains(&Include::InputAudioTranscriptionLogprobs))
    }

    /// Whether the transcriber is one that tells speakers apart.
    pub(crate) fn wants_segments(&self) -> bool {
        self.transcription()
            .and_then(|config| config.model.as_deref())
            .is_some_and(|model| model.contains("diarize"))
    }

    /// Whether it is left to the transcriber which language it hears.
    pub(crate) fn detects_language(&self) -> bool {
        self.transcription().is_some_and(|config| {
            !config.language.is_value()
                && config
                    .languages
                    .as_deref()
                    .is_none_or(|only| only.len() != 1)
        })
    }

    /// The format of appended audio.
    pub(crate) fn input_format(&self) -> Format {
        self.input()
            .and_then(|input| input.format.value())
            .map_or(Format::Pcm24k, audio_format)
    }

    /// How much noise is taken out of the user's audio. Where a client wants it and does not say
    /// where its microphone is, as much as leaves a close voice as it is.
    pub(crate) fn noise_reduction(&self) -> NoiseReduction {
        let reduction = self.input().and_then(|input| input.noise_reduction.value());
        match reduction.map(|reduction| reduction.kind.value()) {
            None => NoiseReduction::Off,
            Some(Some(NoiseReductionKind::FarField)) => NoiseReduction::Far,
            Some(_) => NoiseReduction::Near,
        }
    }

    /// The settings of the assistant's audio.
    pub(crate) fn output(&self) -> AudioOutput {
        self.session
            .audio
            .value()
            .and_then(|audio| audio.output.cloned())
            .unwrap_or_default()
    }

    /// How turns are taken; `None` leaves them to the client.
    pub(crate) fn turn_taking(&self) -> Option<TurnTaking> {
        let detection = self.input()?.turn_detection.value()?;
        let responds = self.purpose == Purpose::Conversation;
        let mut taking = TurnTaking {
            parameters: TurnParameters {
                threshold: DEFAULT_THRESHOLD as f32,
                silence_ms: self.silence_ms,
                pause_ms: None,
                long_pause_ms: None,
            },
            prefix_ms: DEFAULT_PREFIX_MS,
            idle_timeout_ms: None,
            create_response: responds && detection.creates_response(),
            interrupt_response: responds && detection.interrupts_response(),
            eagerness: None,
        };
        match detection {
            TurnDetection::ServerVad(vad) => {
                if let Some(threshold) = vad.threshold.value() {
                    // Its range is checked: nothing is lost in an `f32` but digits.
                    taking.parameters.threshold = threshold.get() as f32;
                }
                if let Some(silence_ms) = vad.silence_duration_ms.copied() {
                    taking.parameters.silence_ms = silence_ms;
                }
                if let Some(prefix_ms) = vad.prefix_padding_ms.copied() {
                    taking.prefix_ms = prefix_ms.min(MAX_PREFIX_MS);
                }
                taking.idle_timeout_ms = vad.idle_timeout_ms.copied();
            }
            TurnDetection::SemanticVad(vad) => {
                taking.eagerness = Some(vad.eagerness.cloned().unwrap_or(Eagerness::Auto));
            }
            TurnDetection::Unknown(_) => {}
        }
        Some(taking)
    }

    fn input(&self) -> Option<&AudioInput> {
        self.session.audio.value()?.input.value()
    }
}

/// The whole configuration that a session would begin with if `requested` was bound to it
/// (see [`Session::configured`](crate::Session::configured)), for `POST
/// /v1/realtime/client_secrets` and its like. It has no id yet: the caller gives it one.
/// `expires_at` is 0, since the session has not begun.
///
/// # Errors
///
/// The fault in `requested`, as an `error` event would tell it.
pub fn effective(
    options: &SessionOptions,
    requested: &WireSession,
) -> Result<WireSession, Box<ErrorDetail>> {
    let mut config = Config::requested(options, String::new(), requested.clone())?;
    config.session.id = Maybe::Absent;
    config.session.expires_at = Maybe::Value(0);
    Ok(config.shown())
}

/// The codec's format for the protocol's.
pub(crate) fn audio_format(format: &AudioFormat) -> Format {
    match format {
        AudioFormat::Pcmu(_) => Format::Pcmu,
        AudioFormat::Pcma(_) => Format::Pcma,
        AudioFormat::Pcm(_) | AudioFormat::Unknown(_) => Format::Pcm24k,
    }
}

/// The name by which engines know a voice.
pub(crate) fn voice_name(voice: &Voice) -> &str {
    match voice {
        Voice::Named(name) => name,
        Voice::Custom(custom) => &custom.id,
    }
}

/// The protocol allows `rate` to be left out; the effective configuration shows it.
pub(crate) fn with_rate(format: AudioFormat) -> AudioFormat {
    match format {
        AudioFormat::Pcm(mut pcm) => {
            pcm.rate = Maybe::Value(kaiwa_audio::WIRE_RATE_HZ);
            AudioFormat::Pcm(pcm)
        }
        other => other,
    }
}

/// Takes over a value; null cannot switch this setting off and changes nothing.
fn set<T>(setting: &mut Maybe<T>, update: Maybe<T>) {
    if update.is_value() {
        *setting = update;
    }
}

/// Fills in what a client left out.
fn complete_server_vad(mut vad: ServerVad, silence_ms: Millis) -> TurnDetection {
    vad.threshold
        .get_or_insert_with(|| DEFAULT_THRESHOLD.into());
    vad.prefix_padding_ms
        .get_or_insert_with(|| DEFAULT_PREFIX_MS);
    vad.silence_duration_ms.get_or_insert_with(|| silence_ms);
    if vad.idle_timeout_ms.is_absent() {
        vad.idle_timeout_ms = Maybe::Null;
    }
    vad.create_response.get_or_insert_with(|| true);
    vad.interrupt_response.get_or_insert_with(|| true);
    TurnDetection::ServerVad(vad)
}

/// Fills in what a client left out.
fn complete_semantic_vad(mut vad: SemanticVad) -> TurnDetection {
    vad.eagerness.get_or_insert_with(|| Eagerness::Auto);
    vad.create_response.get_or_insert_with(|| true);
    vad.interrupt_response.get_or_insert_with(|| true);
    TurnDetection::SemanticVad(vad)
}

#[cfg(test)]
mod tests;
