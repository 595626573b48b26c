//! The configuration of a session in effect: merging of `session.update`, defaults, and
//! what the rest of the session reads out of it.

mod check;

use kaiwa_audio::Format;
use kaiwa_protocol::{
    AudioFormat, AudioInput, AudioOutput, Eagerness, Include, MaxOutputTokens, Maybe, Modality,
    RealtimeSession, SESSION_OBJECT, SemanticVad, ServerVad, SessionAudio, ToolChoice,
    TranscriptionConfig, Truncation, TurnDetection, Voice,
};

pub(crate) use self::check::{
    check_format, check_max_tokens, check_modalities, check_tool_choice, check_tools, check_voice,
};
use crate::{
    Millis, SessionOptions,
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
    session: RealtimeSession,
    /// Silence that ends a turn when the client names none.
    silence_ms: Millis,
    /// Voices that may be chosen; empty for any.
    voices: Vec<String>,
}

/// How turns are taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TurnTaking {
    pub(crate) parameters: TurnParameters,
    pub(crate) prefix_ms: Millis,
    pub(crate) idle_timeout_ms: Option<Millis>,
    pub(crate) create_response: bool,
    pub(crate) interrupt_response: bool,
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

    /// The configuration after an update, or why all of it is refused.
    ///
    /// Only keys that are present change something. The update reaches through `audio`,
    /// `audio.input` and `audio.output`; everything below is taken as a whole. Null switches
    /// off what can be off and otherwise leaves the setting alone. The model is fixed: clients
    /// that name another one are left in peace.
    pub(crate) fn updated(
        &self,
        update: RealtimeSession,
        voice_locked: bool,
    ) -> Result<Self, Refusal> {
        check::check_session(&update, &self.voices)?;
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
                .update(update.turn_detection.map(|detection| match detection {
                    TurnDetection::ServerVad(vad) => complete_server_vad(vad, self.silence_ms),
                    TurnDetection::SemanticVad(vad) => complete_semantic_vad(vad),
                    unknown => unknown,
                }));
        }
        if let Maybe::Value(update) = update.output {
            let output = audio.output.get_or_insert_default();
            set(&mut output.format, update.format.map(with_rate));
            set(&mut output.speed, update.speed);
            if voice_locked && update.voice.is_value() && update.voice != output.voice {
                return Err(refusal::voice_locked("session.audio.output.voice"));
            }
            set(&mut output.voice, update.voice);
        }
        Ok(new)
    }

    /// The whole configuration, as the client is shown it.
    pub(crate) fn session(&self) -> &RealtimeSession {
        &self.session
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

    /// The format of appended audio.
    pub(crate) fn input_format(&self) -> Format {
        self.input()
            .and_then(|input| input.format.value())
            .map_or(Format::Pcm24k, audio_format)
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
    ///
    /// `semantic_vad` is `server_vad` for now, with a silence that depends on the eagerness:
    /// nothing judges yet whether a sentence is finished.
    pub(crate) fn turn_taking(&self) -> Option<TurnTaking> {
        let detection = self.input()?.turn_detection.value()?;
        let (threshold, prefix_ms, silence_ms, idle_timeout_ms) = match detection {
            TurnDetection::ServerVad(vad) => (
                vad.threshold.as_ref().into_value().map(|n| n.get()),
                vad.prefix_padding_ms.copied(),
                vad.silence_duration_ms.copied(),
                vad.idle_timeout_ms.copied(),
            ),
            TurnDetection::SemanticVad(vad) => {
                let silence = match vad.eagerness.value() {
                    Some(Eagerness::Low) => 1500,
                    Some(Eagerness::High) => 500,
                    _ => 800,
                };
                (None, None, Some(silence), None)
            }
            TurnDetection::Unknown(_) => (None, None, None, None),
        };
        Some(TurnTaking {
            parameters: TurnParameters {
                // The range of a threshold is checked: nothing is lost in an `f32` but digits.
                threshold: threshold.unwrap_or(DEFAULT_THRESHOLD) as f32,
                silence_ms: silence_ms.unwrap_or(self.silence_ms),
            },
            prefix_ms: prefix_ms.unwrap_or(DEFAULT_PREFIX_MS).min(MAX_PREFIX_MS),
            idle_timeout_ms,
            create_response: detection.creates_response(),
            interrupt_response: detection.interrupts_response(),
        })
    }

    fn input(&self) -> Option<&AudioInput> {
        self.session.audio.value()?.input.value()
    }
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
mod tests {
    use kaiwa_protocol::{ClientEvent, Session, codes};

    use super::*;

    fn config() -> Config {
        Config::new(
            &SessionOptions {
                created_unix_seconds: 1_000,
                voices: vec!["alloy".to_owned(), "marin".to_owned()],
                ..SessionOptions::default()
            },
            "sess_1".to_owned(),
        )
    }

    fn update(json: &str) -> RealtimeSession {
        let frame = format!(r#"{{"type":"session.update","session":{json}}}"#);
        match ClientEvent::parse(&frame) {
            Ok(ClientEvent::SessionUpdate(event)) => match event.session {
                Session::Realtime(session) => *session,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    fn refused(json: &str) -> (String, String) {
        let error = config().updated(update(json), false).expect_err(json);
        (
            error.code.unwrap_or_default(),
            error.param.unwrap_or_default(),
        )
    }

    #[test]
    fn the_configuration_shows_every_key_in_the_order_of_the_service() {
        let json = serde_json::to_string(config().session()).expect("serialises");
        let keys = [
            "type",
            "object",
            "id",
            "model",
            "output_modalities",
            "instructions",
            "tools",
            "tool_choice",
            "max_output_tokens",
            "tracing",
            "truncation",
            "prompt",
            "expires_at",
            "audio",
            "input",
            "format",
            "transcription",
            "noise_reduction",
            "turn_detection",
            "output",
            "voice",
            "speed",
            "include",
        ];
        let mut at = 0;
        for key in keys {
            at += json[at..]
                .find(&format!("\"{key}\":"))
                .unwrap_or_else(|| panic!("{key} after {at} in {json}"));
        }
        assert!(json.contains(r#""expires_at":4600"#), "{json}");
    }

    #[test]
    fn only_what_is_named_changes() {
        let before = config();
        let after = before
            .updated(
                update(
                    r#"{"type":"realtime","audio":{"input":{"turn_detection":
                    {"type":"server_vad","silence_duration_ms":320}}}}"#,
                ),
                false,
            )
            .expect("accepted");
        assert_eq!(after.output(), before.output());
        assert_eq!(after.instructions(), before.instructions());
        let turns = after.turn_taking().expect("turn detection is on");
        assert_eq!(turns.parameters.silence_ms, 320);
        // Members left out of the whole value go back to their defaults.
        assert_eq!((turns.prefix_ms, turns.idle_timeout_ms), (300, None));
    }

    #[test]
    fn null_switches_off_and_the_empty_string_clears() {
        let after = config()
            .updated(
                update(
                    r#"{"type":"realtime","instructions":"","tools":[],
                    "audio":{"input":{"turn_detection":null,"transcription":null}}}"#,
                ),
                false,
            )
            .expect("accepted");
        assert_eq!(after.turn_taking(), None);
        assert_eq!(after.instructions(), "");
    }

    #[test]
    fn the_model_of_the_connection_stays() {
        let after = config()
            .updated(update(r#"{"type":"realtime","model":"other"}"#), false)
            .expect("accepted");
        assert_eq!(after, config());
    }

    #[test]
    fn unknown_keys_are_refused_with_their_path() {
        for (json, param) in [
            (r#"{"type":"realtime","voice":"alloy"}"#, "session.voice"),
            (r#"{"type":"realtime","audio":{"x":1}}"#, "session.audio.x"),
            (
                r#"{"type":"realtime","audio":{"input":{"rate":1}}}"#,
                "session.audio.input.rate",
            ),
            (
                r#"{"type":"realtime","audio":{"output":{"volume":1}}}"#,
                "session.audio.output.volume",
            ),
            (
                r#"{"type":"realtime","audio":{"input":{"turn_detection":{"type":"server_vad","x":1}}}}"#,
                "session.audio.input.turn_detection.x",
            ),
        ] {
            assert_eq!(
                refused(json),
                (codes::UNKNOWN_PARAMETER.to_owned(), param.to_owned())
            );
        }
    }

    #[test]
    fn values_out_of_range_are_refused_with_their_path() {
        for (json, param) in [
            (
                r#"{"type":"realtime","max_output_tokens":0}"#,
                "session.max_output_tokens",
            ),
            (
                r#"{"type":"realtime","max_output_tokens":4097}"#,
                "session.max_output_tokens",
            ),
            (
                r#"{"type":"realtime","max_output_tokens":"lots"}"#,
                "session.max_output_tokens",
            ),
            (
                r#"{"type":"realtime","output_modalities":["audio","text"]}"#,
                "session.output_modalities",
            ),
            (
                r#"{"type":"realtime","output_modalities":["video"]}"#,
                "session.output_modalities[0]",
            ),
            (
                r#"{"type":"realtime","output_modalities":[]}"#,
                "session.output_modalities",
            ),
            (
                r#"{"type":"realtime","tool_choice":"maybe"}"#,
                "session.tool_choice",
            ),
            (
                r#"{"type":"realtime","truncation":"never"}"#,
                "session.truncation",
            ),
            (
                r#"{"type":"realtime","truncation":{"type":"retention_ratio","retention_ratio":2}}"#,
                "session.truncation.retention_ratio",
            ),
            (
                r#"{"type":"realtime","tracing":"never"}"#,
                "session.tracing",
            ),
            (
                r#"{"type":"realtime","include":["everything"]}"#,
                "session.include[0]",
            ),
            (
                r#"{"type":"realtime","tools":[{"type":"oven"}]}"#,
                "session.tools[0].type",
            ),
            (
                r#"{"type":"realtime","audio":{"output":{"speed":0.2}}}"#,
                "session.audio.output.speed",
            ),
            (
                r#"{"type":"realtime","audio":{"output":{"speed":1.6}}}"#,
                "session.audio.output.speed",
            ),
            (
                r#"{"type":"realtime","audio":{"output":{"voice":"nobody"}}}"#,
                "session.audio.output.voice",
            ),
            (
                r#"{"type":"realtime","audio":{"input":{"format":{"type":"audio/opus"}}}}"#,
                "session.audio.input.format.type",
            ),
            (
                r#"{"type":"realtime","audio":{"input":{"format":{"type":"audio/pcm","rate":16000}}}}"#,
                "session.audio.input.format.rate",
            ),
            (
                r#"{"type":"realtime","audio":{"input":{"noise_reduction":{"type":"x"}}}}"#,
                "session.audio.input.noise_reduction.type",
            ),
            (
                r#"{"type":"realtime","audio":{"input":{"turn_detection":{"type":"x"}}}}"#,
                "session.audio.input.turn_detection.type",
            ),
            (
                r#"{"type":"realtime","audio":{"input":{"turn_detection":{"type":"server_vad","threshold":1.5}}}}"#,
                "session.audio.input.turn_detection.threshold",
            ),
            (
                r#"{"type":"realtime","audio":{"input":{"turn_detection":{"type":"server_vad","idle_timeout_ms":100}}}}"#,
                "session.audio.input.turn_detection.idle_timeout_ms",
            ),
            (
                r#"{"type":"realtime","audio":{"input":{"turn_detection":{"type":"semantic_vad","eagerness":"x"}}}}"#,
                "session.audio.input.turn_detection.eagerness",
            ),
        ] {
            assert_eq!(
                refused(json),
                (codes::INVALID_VALUE.to_owned(), param.to_owned()),
                "{json}"
            );
        }
    }

    #[test]
    fn a_function_needs_a_name() {
        assert_eq!(
            refused(r#"{"type":"realtime","tools":[{"type":"function"}]}"#),
            (
                codes::MISSING_REQUIRED_PARAMETER.to_owned(),
                "session.tools[0].name".to_owned()
            )
        );
    }

    #[test]
    fn the_voice_is_locked_once_heard_but_may_be_repeated() {
        let other = r#"{"type":"realtime","audio":{"output":{"voice":"marin"}}}"#;
        let same = r#"{"type":"realtime","audio":{"output":{"voice":"alloy"}}}"#;
        assert!(config().updated(update(other), false).is_ok());
        assert!(config().updated(update(same), true).is_ok());
        let error = config().updated(update(other), true).expect_err("locked");
        assert_eq!(error.code.as_deref(), Some(codes::CANNOT_UPDATE_VOICE));
    }

    #[test]
    fn eagerness_decides_how_long_semantic_vad_waits() {
        let silence = |eagerness: &str| {
            let json = format!(
                r#"{{"type":"realtime","audio":{{"input":{{"turn_detection":
                {{"type":"semantic_vad","eagerness":"{eagerness}"}}}}}}}}"#
            );
            let config = config().updated(update(&json), false).expect("accepted");
            config.turn_taking().expect("on").parameters.silence_ms
        };
        assert!(silence("high") < silence("auto"));
        assert_eq!(silence("auto"), silence("medium"));
        assert!(silence("medium") < silence("low"));
    }
}
