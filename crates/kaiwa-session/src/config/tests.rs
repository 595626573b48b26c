//! Defaults, merging, refusals.

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

fn update(json: &str) -> Session {
    let frame = format!(r#"{{"type":"session.update","session":{json}}}"#);
    match ClientEvent::parse(&frame) {
        Ok(ClientEvent::SessionUpdate(event)) => event.session,
        other => panic!("{other:?}"),
    }
}

fn refused(json: &str) -> (String, String) {
    let error = config()
        .updated(update(json), None, &Servers::default())
        .expect_err(json);
    (
        error.code.unwrap_or_default(),
        error.param.unwrap_or_default(),
    )
}

#[test]
fn the_configuration_shows_every_key_in_the_order_of_the_service() {
    let json = serde_json::to_string(&config().shown()).expect("serialises");
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
            None,
            &Servers::default(),
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
            None,
            &Servers::default(),
        )
        .expect("accepted");
    assert_eq!(after.turn_taking(), None);
    assert_eq!(after.instructions(), "");
}

#[test]
fn the_model_of_the_connection_stays() {
    let after = config()
        .updated(
            update(r#"{"type":"realtime","model":"other"}"#),
            None,
            &Servers::default(),
        )
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
    let heard = Voice::from("alloy");
    assert!(
        config()
            .updated(update(other), None, &Servers::default())
            .is_ok()
    );
    assert!(
        config()
            .updated(update(same), Some(&heard), &Servers::default())
            .is_ok()
    );
    let refused = config().updated(update(other), Some(&heard), &Servers::default());
    let error = refused.expect_err("locked");
    assert_eq!(error.code.as_deref(), Some(codes::CANNOT_UPDATE_VOICE));
}

#[test]
fn semantic_vad_has_an_eagerness_and_server_vad_has_none() {
    let eagerness = |detection: &str| {
        let json = format!(
            r#"{{"type":"realtime","audio":{{"input":{{"turn_detection":{detection}}}}}}}"#
        );
        let config = config()
            .updated(update(&json), None, &Servers::default())
            .expect("accepted");
        config.turn_taking().expect("turns are detected").eagerness
    };
    assert_eq!(
        eagerness(r#"{"type":"semantic_vad"}"#),
        Some(Eagerness::Auto)
    );
    assert_eq!(
        eagerness(r#"{"type":"semantic_vad","eagerness":"low"}"#),
        Some(Eagerness::Low)
    );
    assert_eq!(eagerness(r#"{"type":"server_vad"}"#), None);
}
