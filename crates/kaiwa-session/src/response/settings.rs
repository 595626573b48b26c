//! What one response is to be: the session's settings with those of `response.create`.

use std::collections::BTreeMap;

use kaiwa_audio::Format;
use kaiwa_protocol::{
    AudioFormat, ConversationChoice, MaxOutputTokens, Maybe, McpTool, Modality, ResponseAudio,
    ResponseAudioOutput, ResponseParams, Tool, ToolChoice, Voice,
};

use crate::{
    config::{
        Config, audio_format, check_format, check_max_tokens, check_modalities, check_tool_choice,
        check_tools, check_voice, voice_name, with_rate,
    },
    mcp::{self, Servers},
    refusal::{self, Refusal},
    truncation::Retention,
};

/// Most pairs of metadata.
const MAX_METADATA_PAIRS: usize = 16;

/// Longest key of metadata, in characters.
const MAX_METADATA_KEY: usize = 64;

/// Longest value of metadata, in characters.
const MAX_METADATA_VALUE: usize = 512;

/// How a response is made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// Speech with its transcript, or text alone.
    pub(crate) modality: Modality,
    pub(crate) instructions: String,
    /// Functions and MCP servers, the latter resolved.
    pub(crate) tools: Vec<Tool>,
    pub(crate) tool_choice: Maybe<ToolChoice>,
    pub(crate) max_output_tokens: MaxOutputTokens,
    format: AudioFormat,
    voice: Voice,
    /// 1.0 is the voice's own speed.
    pub(crate) speed: f32,
    pub(crate) metadata: Maybe<BTreeMap<String, String>>,
    /// Whether it writes to the default conversation.
    pub(crate) in_conversation: bool,
    /// Whether it may make several calls.
    pub(crate) parallel_calls: bool,
    /// What happens when the context is too long.
    pub(crate) retention: Retention,
}

impl Settings {
    /// The settings of a response that takes everything from the session.
    pub(crate) fn of_session(config: &Config) -> Self {
        let session = config.session();
        let output = config.output();
        Self {
            modality: match session.output_modalities.as_deref() {
                Some([Modality::Text]) => Modality::Text,
                _ => Modality::Audio,
            },
            instructions: config.instructions().to_owned(),
            tools: session.tools.cloned().unwrap_or_default(),
            tool_choice: session.tool_choice.clone(),
            max_output_tokens: session
                .max_output_tokens
                .cloned()
                .unwrap_or(MaxOutputTokens::Inf),
            format: output.format.unwrap_or(AudioFormat::pcm()),
            voice: output.voice.unwrap_or(Voice::Named(String::new())),
            // The range of the speed is checked: nothing is lost in an `f32` but digits.
            speed: output.speed.into_value().map_or(1.0, |n| n.get()) as f32,
            metadata: Maybe::Null,
            in_conversation: true,
            parallel_calls: session.parallel_tool_calls.copied().unwrap_or(true),
            retention: Retention::new(session.truncation.value()),
        }
    }

    /// The settings that `response.create` asks for, or why it is refused. Null leaves a
    /// setting as the session has it. In the conversation no voice but the one that was heard
    /// there may be chosen any more.
    pub(crate) fn requested(
        config: &Config,
        params: &ResponseParams,
        heard_voice: Option<&Voice>,
        servers: &Servers,
    ) -> Result<Self, Refusal> {
        let mut settings = Self::of_session(config);
        check_modalities("response", params.output_modalities.as_deref())?;
        check_max_tokens("response", params.max_output_tokens.value())?;
        check_tools("response", params.tools.as_deref())?;
        check_tool_choice("response", params.tool_choice.value())?;

        if let Some([modality]) = params.output_modalities.as_deref() {
            settings.modality = modality.clone();
        }
        if let Some(instructions) = params.instructions.value() {
            settings.instructions.clone_from(instructions);
        }
        if let Some(tools) = params.tools.as_deref() {
            settings.tools = tools.to_vec();
            mcp::resolve("response", &mut settings.tools, servers)?;
        }
        if params.tool_choice.is_value() {
            settings.tool_choice = params.tool_choice.clone();
        }
        if let Some(parallel) = params.parallel_tool_calls.copied() {
            settings.parallel_calls = parallel;
        }
        if let Some(most) = params.max_output_tokens.value() {
            settings.max_output_tokens = most.clone();
        }
        match params.conversation.value() {
            None | Some(ConversationChoice::Auto) => {}
            Some(ConversationChoice::None) => settings.in_conversation = false,
            Some(ConversationChoice::Other(text)) => {
                return Err(refusal::not_one_of(
                    "response.conversation",
                    text,
                    ConversationChoice::KNOWN,
                ));
            }
        }
        if let Some(metadata) = params.metadata.value() {
            check_metadata(metadata)?;
            settings.metadata = Maybe::Value(metadata.clone());
        }
        if let Some(output) = params.audio.value().and_then(|audio| audio.output.value()) {
            check_format("response.audio.output.format", output.format.value())?;
            if let Some(format) = output.format.value() {
                settings.format = with_rate(format.clone());
            }
            if let Some(voice) = output.voice.value() {
                let param = "response.audio.output.voice";
                check_voice(param, Some(voice), config.voices())?;
                if settings.in_conversation && heard_voice.is_some_and(|heard| heard != voice) {
                    return Err(refusal::voice_locked(param));
                }
                settings.voice = voice.clone();
            }
        }
        Ok(settings)
    }

    /// Its MCP servers.
    pub(crate) fn servers(&self) -> impl Iterator<Item = &McpTool> {
        self.tools.iter().filter_map(|tool| match tool {
            Tool::Mcp(tool) => Some(&**tool),
            Tool::Function(_) | Tool::Unknown(_) => None,
        })
    }

    /// Whether it is spoken.
    pub(crate) fn is_spoken(&self) -> bool {
        self.modality == Modality::Audio
    }

    /// The format of its audio.
    pub(crate) fn format(&self) -> Format {
        audio_format(&self.format)
    }

    /// The name by which engines know its voice.
    pub(crate) fn voice(&self) -> &str {
        voice_name(&self.voice)
    }

    /// Its voice, as the client names it.
    pub(crate) fn wire_voice(&self) -> &Voice {
        &self.voice
    }

    /// Most tokens to generate.
    pub(crate) fn max_tokens(&self) -> Option<u32> {
        match &self.max_output_tokens {
            MaxOutputTokens::Count(count) => u32::try_from(*count).ok(),
            MaxOutputTokens::Inf | MaxOutputTokens::Other(_) => None,
        }
    }

    /// Its audio, as the client is shown it.
    pub(crate) fn audio(&self) -> ResponseAudio {
        ResponseAudio {
            output: Maybe::Value(ResponseAudioOutput {
                format: Maybe::Value(self.format.clone()),
                voice: Maybe::Value(self.voice.clone()),
                ..ResponseAudioOutput::default()
            }),
            ..ResponseAudio::default()
        }
    }
}

fn check_metadata(metadata: &BTreeMap<String, String>) -> Result<(), Refusal> {
    if metadata.len() > MAX_METADATA_PAIRS {
        return Err(refusal::out_of_range(
            "response.metadata",
            &format!("{} pairs", metadata.len()),
            &format!("at most {MAX_METADATA_PAIRS} pairs"),
        ));
    }
    for (key, value) in metadata {
        for (text, most) in [(key, MAX_METADATA_KEY), (value, MAX_METADATA_VALUE)] {
            let length = text.chars().count();
            if length > most {
                return Err(refusal::too_long("response.metadata", most, length));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use kaiwa_protocol::{ClientEvent, codes};

    use super::*;
    use crate::SessionOptions;

    fn requested(json: &str, heard: Option<&str>) -> Result<Settings, Refusal> {
        let config = Config::new(&SessionOptions::default(), "sess_1".to_owned());
        let frame = format!(r#"{{"type":"response.create","response":{json}}}"#);
        match ClientEvent::parse(&frame) {
            Ok(ClientEvent::ResponseCreate(event)) => {
                let heard = heard.map(Voice::from);
                let params = event.response.unwrap_or_default();
                Settings::requested(&config, &params, heard.as_ref(), &Servers::default())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_left_out_or_null_is_as_in_the_session() {
        let settings = requested(r#"{"instructions":null,"metadata":null}"#, None);
        let config = Config::new(&SessionOptions::default(), "sess_1".to_owned());
        assert_eq!(settings, Ok(Settings::of_session(&config)));
    }

    #[test]
    fn what_is_given_counts_for_this_response() {
        let settings = requested(
            r#"{"output_modalities":["text"],"instructions":"Sing.","max_output_tokens":7,
                "conversation":"none","metadata":{"a":"b"},"tool_choice":"none",
                "audio":{"output":{"format":{"type":"audio/pcmu"},"voice":"echo"}}}"#,
            None,
        )
        .expect("accepted");
        assert!(!settings.is_spoken());
        assert_eq!(settings.instructions, "Sing.");
        assert_eq!(settings.max_tokens(), Some(7));
        assert!(!settings.in_conversation);
        assert_eq!(settings.format(), Format::Pcmu);
        assert_eq!(settings.voice(), "echo");
        assert_eq!(settings.tool_choice, ToolChoice::None.into());
    }

    #[test]
    fn faults_are_refused_with_their_path() {
        let long = "x".repeat(513);
        let many: Vec<_> = (0..17).map(|n| format!(r#""{n}":"""#)).collect();
        for (json, code, param) in [
            (
                r#"{"conversation":"mine"}"#.to_owned(),
                codes::INVALID_VALUE,
                "response.conversation",
            ),
            (
                r#"{"output_modalities":["audio","text"]}"#.to_owned(),
                codes::INVALID_VALUE,
                "response.output_modalities",
            ),
            (
                r#"{"max_output_tokens":5000}"#.to_owned(),
                codes::INVALID_VALUE,
                "response.max_output_tokens",
            ),
            (
                format!(r#"{{"metadata":{{"a":"{long}"}}}}"#),
                "string_above_max_length",
                "response.metadata",
            ),
            (
                format!(r#"{{"metadata":{{{}}}}}"#, many.join(",")),
                codes::INVALID_VALUE,
                "response.metadata",
            ),
        ] {
            let error = requested(&json, None).expect_err(&json);
            assert_eq!(error.code.as_deref(), Some(code), "{json}");
            assert_eq!(error.param.as_deref(), Some(param), "{json}");
        }
    }

    #[test]
    fn another_voice_is_refused_once_one_was_heard() {
        let json = r#"{"audio":{"output":{"voice":"echo"}}}"#;
        assert!(requested(json, None).is_ok());
        assert!(requested(json, Some("echo")).is_ok());
        let error = requested(json, Some("ash")).expect_err("locked");
        assert_eq!(error.code.as_deref(), Some(codes::CANNOT_UPDATE_VOICE));
        let aside = r#"{"conversation":"none","audio":{"output":{"voice":"echo"}}}"#;
        assert!(requested(aside, Some("ash")).is_ok());
    }
}
