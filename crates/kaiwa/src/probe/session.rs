//! The session: its beginning, its dialect, and which settings are taken.

use kaiwa_protocol::{Dialect, ErrorDetail, ServerEvent};
use serde_json::{Map, Value, json};

use super::{
    no_session,
    report::{Finding, Report},
    wire::{Answer, Seen, Wire},
};
use crate::{
    exit::{Code, Exit},
    talk,
};

const CREATED: &str = "session.created";
const UPDATE: &str = "session.update";
const UPDATED: &str = "session.updated";

/// Waits for a session, and says which dialect it is of. A server that does not speak first is
/// spoken to.
pub(super) async fn begin(wire: &mut Wire, report: &mut Report) -> Result<(), Exit> {
    let asked_for_beta = wire.dialect() == Dialect::Beta;
    let is_session = |seen: &Seen| seen.event.kind() == CREATED || seen.error().is_some();
    let answer = wire.listen(is_session).await;
    if let Some(error) = answer.error() {
        report.tell(Finding::refused(CREATED, said(error)))?;
        return Err(refused(error));
    }
    let created = answer.find(CREATED);
    match created {
        Some(_) if answer.events.len() == 1 => {
            report.tell(Finding::ok(CREATED, "it is the first event"))?;
        }
        Some(_) => {
            let message = format!(
                "it is not the first event, but comes after {}",
                answer.kinds()
            );
            report.tell(Finding::differs(CREATED, message))?;
        }
        None => {
            let came = match answer.kinds() {
                kinds if kinds.is_empty() => "nothing came".to_owned(),
                kinds => format!("there came {kinds}"),
            };
            let message = match wire.ended() {
                Some(why) => format!("{came}: {why}"),
                None => came,
            };
            report.tell(Finding::missing(CREATED, &message))?;
            if wire.ended().is_some() {
                return Err(no_session(message));
            }
        }
    }
    let mut session = created.and_then(session_of).cloned();
    // What comes late is as good as what comes first.
    let settings = setting(json!({"output_modalities": ["text"]}));
    let answer = wire.ask(settings, |events| has(events, UPDATED)).await;
    if session.is_none() {
        let late = answer.find(UPDATED).or_else(|| answer.find(CREATED));
        session = late.and_then(session_of).cloned();
    }
    let Some(session) = session else {
        let why = wire.ended().unwrap_or("the server opens none");
        return Err(match answer.error() {
            Some(error) => refused(error),
            None => no_session(why),
        });
    };
    report.dialect(wire.dialect());
    report.tell(dialect(&session, wire.dialect(), asked_for_beta))?;
    report.tell(judged(
        "text answers",
        &answer,
        &["output_modalities"],
        &json!(["text"]),
    ))?;
    let answer = wire
        .ask(json!({"type": "input_audio_buffer.clear"}), |events| {
            has(events, "input_audio_buffer.cleared")
        })
        .await;
    let finding = match answer.find("input_audio_buffer.cleared") {
        Some(_) => {
            wire.use_marks();
            Finding::ok("input_audio_buffer.clear", "it is confirmed")
        }
        None => unanswered("input_audio_buffer.clear", &answer),
    };
    report.tell(finding)
}

/// Which settings the server takes, each on its own: one that is refused takes the others of its
/// update with it.
pub(super) async fn settings(wire: &mut Wire, report: &mut Report) -> Result<(), Exit> {
    const TURNS: &[&str] = &["audio", "input", "turn_detection"];
    let tool = json!({"type": "function", "name": "kaiwa_probe", "description": "Does nothing.",
        "parameters": {"type": "object", "properties": {}}});
    let tried: [(&str, &[&str], Value); 10] = [
        (
            "instructions",
            &["instructions"],
            json!("Answer in one word."),
        ),
        ("function tools", &["tools"], json!([tool])),
        ("a limit of tokens", &["max_output_tokens"], json!(200)),
        (
            "server_vad",
            TURNS,
            json!({"type": "server_vad", "threshold": 0.6, "prefix_padding_ms": 200,
                "silence_duration_ms": 600}),
        ),
        (
            "semantic_vad",
            TURNS,
            json!({"type": "semantic_vad", "eagerness": "low"}),
        ),
        ("no turn detection", TURNS, Value::Null),
        (
            "noise reduction",
            &["audio", "input", "noise_reduction"],
            json!({"type": "near_field"}),
        ),
        (
            "transcription",
            &["audio", "input", "transcription"],
            json!({"model": "whisper-1"}),
        ),
        // Sound that is sent later is to be heard by nobody who bills it.
        (
            "no transcription",
            &["audio", "input", "transcription"],
            Value::Null,
        ),
        ("no tools", &["tools"], json!([])),
    ];
    for (name, path, value) in tried {
        if wire.ended().is_some() {
            break;
        }
        let nested = path.iter().rev().fold(value.clone(), |inner, name| {
            Value::Object(Map::from_iter([((*name).to_owned(), inner)]))
        });
        let answer = wire
            .ask(setting(nested), |events| has(events, UPDATED))
            .await;
        report.tell(judged(name, &answer, path, &value))?;
    }
    Ok(())
}

/// Whether an event of a type, as general availability calls it, is among them.
pub(super) fn has(events: &[Seen], kind: &str) -> bool {
    events.iter().any(|seen| seen.event.kind() == kind)
}

/// An error as a server said it.
pub(super) fn said(error: &ErrorDetail) -> String {
    match error.code.as_deref() {
        Some(code) => format!("{code}: {}", error.message),
        None => error.message.clone(),
    }
}

/// A request that has an answer did not get it.
pub(super) fn unanswered(about: &str, answer: &Answer) -> Finding {
    match answer.error() {
        Some(error) => Finding::refused(about, said(error)),
        None if answer.doubtful > 0 => Finding::missing(
            about,
            "no answer, unless it was the confirmation that may be of an earlier request",
        ),
        None if answer.events.is_empty() => Finding::missing(about, "no answer"),
        None => Finding::differs(about, format_args!("there came {}", answer.kinds())),
    }
}

fn setting(members: Value) -> Value {
    let mut session = json!({"type": "realtime"});
    if let (Value::Object(session), Value::Object(members)) = (&mut session, members) {
        session.extend(members);
    }
    json!({"type": UPDATE, "session": session})
}

fn session_of(seen: &Seen) -> Option<&Map<String, Value>> {
    seen.raw.get("session")?.as_object()
}

/// Tells the dialects apart by the session's shape.
fn dialect(session: &Map<String, Value>, spoken: Dialect, asked_for_beta: bool) -> Finding {
    let has = |names: &[&str]| names.iter().any(|name| session.contains_key(*name));
    let is_nested = has(&["audio", "output_modalities"]);
    let is_flat = has(&["modalities", "input_audio_format", "voice"]);
    let is_typed = session.contains_key("type");
    match (is_typed, is_nested, is_flat, spoken) {
        (true, true, false, Dialect::Ga) => Finding::ok(
            "dialect",
            "general availability: the session has a type, and its sound is nested",
        ),
        (false, false, true, Dialect::Beta) if asked_for_beta => Finding::ok(
            "dialect",
            "the beta of 2024, which was asked for: the session is flat",
        ),
        (false, false, true, Dialect::Beta) => Finding::differs(
            "dialect",
            "the beta of 2024: the session is flat, though nobody asked for that",
        ),
        (_, true, false, Dialect::Beta) => Finding::differs(
            "dialect",
            "general availability, where the beta was asked for; leave --profile out",
        ),
        _ => {
            let mut names: Vec<&str> = session.keys().map(String::as_str).collect();
            names.truncate(12);
            Finding::differs(
                "dialect",
                format_args!("of neither: the session has {}", names.join(", ")),
            )
        }
    }
}

/// What became of a setting.
fn judged(name: &str, answer: &Answer, path: &[&str], wanted: &Value) -> Finding {
    let Some(updated) = answer.find(UPDATED) else {
        let Finding {
            verdict, message, ..
        } = unanswered(UPDATE, answer);
        return Finding::new(verdict, UPDATE, format_args!("{name}: {message}"));
    };
    let session = match &*updated.event {
        ServerEvent::SessionUpdated(event) => serde_json::to_value(&event.session),
        _ => unreachable!("found by its type"),
    };
    let session = session.unwrap_or_default();
    let in_force = path
        .iter()
        .try_fold(&session, |inner, name| inner.get(name));
    match in_force {
        Some(value) if covers(value, wanted) => {
            Finding::ok(UPDATE, format_args!("{name}: taken, and shown"))
        }
        // What is off may be left out.
        None if wanted.is_null() || wanted == &json!([]) => {
            Finding::ok(UPDATE, format_args!("{name}: taken"))
        }
        Some(value) => Finding::differs(
            UPDATE,
            format_args!("{name}: confirmed, but {value} is in force"),
        ),
        None => Finding::differs(UPDATE, format_args!("{name}: confirmed, but not shown")),
    }
}

/// Whether everything that was asked for is there; servers add defaults.
fn covers(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (Value::Object(value), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, wanted)| value.get(name).is_some_and(|value| covers(value, wanted))),
        (Value::Array(value), Value::Array(wanted)) => {
            value.len() == wanted.len() && value.iter().zip(wanted).all(|(a, b)| covers(a, b))
        }
        (Value::Number(value), Value::Number(wanted)) => value.as_f64() == wanted.as_f64(),
        (value, wanted) => value == wanted,
    }
}

/// The server has said why there is no session.
fn refused(error: &ErrorDetail) -> Exit {
    let code = match error.code.as_deref() {
        Some(code) if talk::is_of_the_key(code) => Code::Unauthorized,
        _ => Code::Connection,
    };
    Exit::new(code, format_args!("no session was had: {}", error.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_may_add_to_what_was_asked_for() {
        let wanted = json!({"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 200});
        let mut shown = json!({"type": "server_vad", "threshold": 0.50, "prefix_padding_ms": 200.0,
            "create_response": true});
        assert!(covers(&shown, &wanted));
        shown["threshold"] = json!(0.6);
        assert!(!covers(&shown, &wanted));
        assert!(!covers(&Value::Null, &wanted));
        assert!(!covers(&json!([1, 2]), &json!([1])));
        assert!(covers(&Value::Null, &Value::Null));
    }

    #[test]
    fn a_dialect_is_known_by_the_shape_of_its_session() {
        let verdict = |session: Value, spoken, asked| {
            let session = session.as_object().expect("an object");
            let finding = dialect(session, spoken, asked);
            (finding.verdict, finding.message)
        };
        let nested = json!({"type": "realtime", "audio": {}});
        let flat = json!({"modalities": ["text"], "voice": "alloy"});
        use super::super::report::Verdict::{Differs, Ok};
        for (session, spoken, asked, expected, words) in [
            (&nested, Dialect::Ga, false, Ok, "general availability"),
            (&flat, Dialect::Beta, true, Ok, "asked for"),
            (&flat, Dialect::Beta, false, Differs, "nobody asked"),
            (&nested, Dialect::Beta, true, Differs, "--profile"),
            (&json!({"mood": 1}), Dialect::Ga, false, Differs, "mood"),
        ] {
            let (found, message) = verdict(session.clone(), spoken, asked);
            assert_eq!(found, expected, "{message}");
            assert!(message.contains(words), "{message}");
        }
    }
}
