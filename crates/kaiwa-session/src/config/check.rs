//! What a configuration may say. Each check names the path to what is wrong.

use kaiwa_protocol::{
    AudioFormat, AudioInput, AudioOutput, Eagerness, Effort, Extra, Include, MaxOutputTokens,
    Maybe, Modality, NoiseReductionKind, Number, RealtimeSession, Tool, ToolChoice, Tracing,
    TracingMode, Truncation, TurnDetection, Voice,
};

use super::voice_name;
use crate::{
    mcp,
    refusal::{
        Refusal, invalid, missing_parameter, not_one_of, out_of_range, too_long, unknown_parameter,
    },
};

/// Most tokens that a client may allow a response.
const MAX_OUTPUT_TOKENS: u64 = 4096;

/// Longest name of a voice, in characters.
const MAX_VOICE_CHARS: usize = 256;

/// Checks the session of a `session.update`.
pub(super) fn check_session(session: &RealtimeSession, voices: &[String]) -> Result<(), Refusal> {
    check_known("session", &session.extra)?;
    check_modalities("session", session.output_modalities.as_deref())?;
    check_max_tokens("session", session.max_output_tokens.value())?;
    check_tools("session", session.tools.as_deref())?;
    check_tool_choice("session", session.tool_choice.value())?;
    if let Some(Tracing::Mode(TracingMode::Other(text))) = session.tracing.value() {
        return Err(not_one_of("session.tracing", text, TracingMode::KNOWN));
    }
    check_truncation(session.truncation.value())?;
    if let Some(reasoning) = session.reasoning.value()
        && let Some(Effort::Other(text)) = reasoning.effort.value()
    {
        return Err(not_one_of("session.reasoning.effort", text, Effort::KNOWN));
    }
    for (index, include) in session.include.value().into_iter().flatten().enumerate() {
        if let Include::Other(text) = include {
            let param = format!("session.include[{index}]");
            return Err(not_one_of(&param, text, Include::KNOWN));
        }
    }
    let Some(audio) = session.audio.value() else {
        return Ok(());
    };
    check_known("session.audio", &audio.extra)?;
    if let Some(input) = audio.input.value() {
        check_input(input)?;
    }
    match audio.output.value() {
        Some(output) => check_output(output, voices),
        None => Ok(()),
    }
}

/// Checks `output_modalities` of `parent`: one of them, and a known one.
pub(crate) fn check_modalities(
    parent: &str,
    modalities: Option<&[Modality]>,
) -> Result<(), Refusal> {
    match modalities {
        None | Some([Modality::Audio | Modality::Text]) => Ok(()),
        Some([Modality::Other(text)]) => Err(not_one_of(
            &format!("{parent}.output_modalities[0]"),
            text,
            Modality::KNOWN,
        )),
        Some(several) => Err(invalid(
            &format!("{parent}.output_modalities"),
            format!(
                "Invalid modalities: {} were given. Expected either ['audio'] or ['text'].",
                several.len()
            ),
        )),
    }
}

/// Checks `max_output_tokens` of `parent`.
pub(crate) fn check_max_tokens(
    parent: &str,
    most: Option<&MaxOutputTokens>,
) -> Result<(), Refusal> {
    let given = match most {
        None | Some(MaxOutputTokens::Inf | MaxOutputTokens::Count(1..=MAX_OUTPUT_TOKENS)) => {
            return Ok(());
        }
        Some(MaxOutputTokens::Count(count)) => count.to_string(),
        Some(MaxOutputTokens::Other(text)) => format!("'{text}'"),
    };
    Err(out_of_range(
        &format!("{parent}.max_output_tokens"),
        &given,
        &format!("an integer from 1 to {MAX_OUTPUT_TOKENS}, or 'inf'"),
    ))
}

/// Checks `tools` of `parent`.
pub(crate) fn check_tools(parent: &str, tools: Option<&[Tool]>) -> Result<(), Refusal> {
    for (index, tool) in tools.into_iter().flatten().enumerate() {
        match tool {
            Tool::Function(function) if function.name.as_deref().unwrap_or_default().is_empty() => {
                return Err(missing_parameter(&format!("{parent}.tools[{index}].name")));
            }
            Tool::Unknown(unknown) => {
                return Err(not_one_of(
                    &format!("{parent}.tools[{index}].type"),
                    &unknown.kind,
                    Tool::KNOWN,
                ));
            }
            Tool::Function(_) => {}
            Tool::Mcp(tool) => mcp::check(&format!("{parent}.tools[{index}]"), tool)?,
        }
    }
    Ok(())
}

/// Checks `tool_choice` of `parent`.
pub(crate) fn check_tool_choice(parent: &str, choice: Option<&ToolChoice>) -> Result<(), Refusal> {
    match choice {
        Some(ToolChoice::Unknown(unknown)) => Err(not_one_of(
            &format!("{parent}.tool_choice"),
            &unknown.kind,
            ToolChoice::KNOWN,
        )),
        _ => Ok(()),
    }
}

/// Checks an audio format.
pub(crate) fn check_format(param: &str, format: Option<&AudioFormat>) -> Result<(), Refusal> {
    match format {
        None => Ok(()),
        Some(AudioFormat::Pcm(pcm)) => {
            check_known(param, &pcm.extra)?;
            match pcm.rate {
                Maybe::Value(rate) if rate != kaiwa_audio::WIRE_RATE_HZ => Err(out_of_range(
                    &format!("{param}.rate"),
                    &rate.to_string(),
                    "24000",
                )),
                _ => Ok(()),
            }
        }
        Some(AudioFormat::Pcmu(pcmu)) => check_known(param, &pcmu.extra),
        Some(AudioFormat::Pcma(pcma)) => check_known(param, &pcma.extra),
        Some(AudioFormat::Unknown(unknown)) => Err(not_one_of(
            &format!("{param}.type"),
            &unknown.kind,
            AudioFormat::KNOWN,
        )),
    }
}

/// Checks that a voice is one of those offered.
pub(crate) fn check_voice(
    param: &str,
    voice: Option<&Voice>,
    voices: &[String],
) -> Result<(), Refusal> {
    match voice.map(voice_name) {
        Some(name) if name.chars().count() > MAX_VOICE_CHARS => {
            Err(too_long(param, MAX_VOICE_CHARS, name.chars().count()))
        }
        Some(name) if !voices.is_empty() && !voices.iter().any(|voice| voice == name) => {
            let voices: Vec<_> = voices.iter().map(String::as_str).collect();
            Err(not_one_of(param, name, &voices))
        }
        _ => Ok(()),
    }
}

fn check_truncation(truncation: Option<&Truncation>) -> Result<(), Refusal> {
    match truncation {
        Some(Truncation::Unknown(unknown)) => Err(not_one_of(
            "session.truncation",
            &unknown.kind,
            Truncation::KNOWN,
        )),
        Some(Truncation::RetentionRatio(ratio)) => check_range(
            "session.truncation.retention_ratio",
            Some(&ratio.retention_ratio),
            0.0,
            1.0,
        ),
        _ => Ok(()),
    }
}

fn check_input(input: &AudioInput) -> Result<(), Refusal> {
    check_known("session.audio.input", &input.extra)?;
    check_format("session.audio.input.format", input.format.value())?;
    if let Some(transcription) = input.transcription.value() {
        check_known("session.audio.input.transcription", &transcription.extra)?;
    }
    if let Some(reduction) = input.noise_reduction.value() {
        check_known("session.audio.input.noise_reduction", &reduction.extra)?;
        if let Some(NoiseReductionKind::Other(text)) = reduction.kind.value() {
            return Err(not_one_of(
                "session.audio.input.noise_reduction.type",
                text,
                NoiseReductionKind::KNOWN,
            ));
        }
    }
    let path = "session.audio.input.turn_detection";
    match input.turn_detection.value() {
        None => Ok(()),
        Some(TurnDetection::ServerVad(vad)) => {
            check_known(path, &vad.extra)?;
            check_range(
                &format!("{path}.threshold"),
                vad.threshold.value(),
                0.0,
                1.0,
            )?;
            match vad.idle_timeout_ms {
                Maybe::Value(ms) if !(5_000..=30_000).contains(&ms) => Err(out_of_range(
                    &format!("{path}.idle_timeout_ms"),
                    &ms.to_string(),
                    "5000 to 30000",
                )),
                _ => Ok(()),
            }
        }
        Some(TurnDetection::SemanticVad(vad)) => {
            check_known(path, &vad.extra)?;
            match vad.eagerness.value() {
                Some(Eagerness::Other(text)) => Err(not_one_of(
                    &format!("{path}.eagerness"),
                    text,
                    Eagerness::KNOWN,
                )),
                _ => Ok(()),
            }
        }
        Some(TurnDetection::Unknown(unknown)) => Err(not_one_of(
            &format!("{path}.type"),
            &unknown.kind,
            TurnDetection::KNOWN,
        )),
    }
}

fn check_output(output: &AudioOutput, voices: &[String]) -> Result<(), Refusal> {
    check_known("session.audio.output", &output.extra)?;
    check_format("session.audio.output.format", output.format.value())?;
    check_voice("session.audio.output.voice", output.voice.value(), voices)?;
    check_range(
        "session.audio.output.speed",
        output.speed.value(),
        0.25,
        1.5,
    )
}

fn check_range(param: &str, value: Option<&Number>, least: f64, most: f64) -> Result<(), Refusal> {
    match value {
        Some(value) if !(least..=most).contains(&value.get()) => Err(out_of_range(
            param,
            &value.to_string(),
            &format!("{least} to {most}"),
        )),
        _ => Ok(()),
    }
}

pub(super) fn check_known(parent: &str, extra: &Extra) -> Result<(), Refusal> {
    match extra.names().next() {
        Some(name) => Err(unknown_parameter(&format!("{parent}.{name}"))),
        None => Ok(()),
    }
}
