//! Errors in the words of either dialect: `param` is a path into what the client wrote.

use crate::error::ErrorDetail;
use crate::wire::Maybe;

/// Paths that the two dialects name differently, GA's first.
const PATHS: &[(&str, &str)] = &[
    ("session.audio.input.format", "session.input_audio_format"),
    (
        "session.audio.input.transcription",
        "session.input_audio_transcription",
    ),
    (
        "session.audio.input.noise_reduction",
        "session.input_audio_noise_reduction",
    ),
    (
        "session.audio.input.turn_detection",
        "session.turn_detection",
    ),
    ("session.audio.output.format", "session.output_audio_format"),
    ("session.audio.output.voice", "session.voice"),
    ("session.audio.output.speed", "session.speed"),
    ("session.output_modalities", "session.modalities"),
    (
        "session.max_output_tokens",
        "session.max_response_output_tokens",
    ),
    ("response.output_modalities", "response.modalities"),
    (
        "response.audio.output.format",
        "response.output_audio_format",
    ),
    ("response.audio.output.voice", "response.voice"),
    (
        "response.max_output_tokens",
        "response.max_response_output_tokens",
    ),
];

/// The error as a beta client understands it.
pub(super) fn to_beta(error: &ErrorDetail) -> ErrorDetail {
    // A response's token limit has both names in the beta; the shorter one is the common one.
    let paths = PATHS
        .iter()
        .filter(|(ga, _)| *ga != "response.max_output_tokens");
    translated(error.clone(), paths.map(|(ga, beta)| (*ga, *beta)))
}

/// A beta server's error in GA's words.
pub(super) fn to_ga(error: ErrorDetail) -> ErrorDetail {
    translated(error, PATHS.iter().map(|(ga, beta)| (*beta, *ga)))
}

/// Renames the path in `param`, and where the message quotes it.
fn translated<'a>(
    mut error: ErrorDetail,
    mut paths: impl Iterator<Item = (&'a str, &'a str)>,
) -> ErrorDetail {
    let Some(param) = error.param.as_deref() else {
        return error;
    };
    let renamed = paths.find_map(|(from, to)| {
        let rest = param.strip_prefix(from)?;
        let whole = rest.is_empty() || rest.starts_with(['.', '[']);
        whole.then(|| format!("{to}{rest}"))
    });
    if let Some(renamed) = renamed {
        error.message = error
            .message
            .replace(&format!("'{param}'"), &format!("'{renamed}'"));
        error.param = Maybe::Value(renamed);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(param: &str) -> ErrorDetail {
        let message = format!("Invalid value for '{param}': no.");
        ErrorDetail::invalid_request("invalid_value", message).with_param(param)
    }

    #[test]
    fn paths_come_back() {
        for (ga, beta) in [
            (
                "session.audio.input.turn_detection.threshold",
                "session.turn_detection.threshold",
            ),
            ("session.audio.output.voice", "session.voice"),
            ("session.output_modalities[0]", "session.modalities[0]"),
            ("session.tools[1].name", "session.tools[1].name"),
            ("session.voices", "session.voices"),
        ] {
            assert_eq!(to_beta(&error(ga)), error(beta), "{ga}");
            assert_eq!(to_ga(error(beta)), error(ga), "{beta}");
        }
    }

    #[test]
    fn a_token_limit_of_a_response_keeps_the_common_name() {
        let limit = error("response.max_output_tokens");
        assert_eq!(to_beta(&limit), limit);
        assert_eq!(to_ga(error("response.max_response_output_tokens")), limit);
    }

    #[test]
    fn an_error_without_a_path_is_left_alone() {
        let plain = ErrorDetail::server_error("server_error", "'session.voice' is not the point");
        assert_eq!(to_beta(&plain), plain);
    }
}
