//! Requests that ask for no answer of a model: items, the input buffer, and mistakes that have
//! known errors.

use kaiwa_protocol::{Dialect, codes};
use serde_json::{Value, json};

use super::{
    report::{Finding, Report},
    session::{has, said, unanswered},
    wire::{Answer, Wire},
};
use crate::exit::Exit;

const CREATE: &str = "conversation.item.create";
const ADDED: &str = "conversation.item.added";
const DONE: &str = "conversation.item.done";
const COMMIT: &str = "input_audio_buffer.commit";
const APPEND: &str = "input_audio_buffer.append";
/// An id that no server would give, within the 32 characters that ids may have.
const ITEM: &str = "item_kaiwa_probe";
/// 20 ms of silence: 960 bytes of zero, in base64.
const SILENCE_BYTES: usize = 960;

pub(super) async fn all(wire: &mut Wire, report: &mut Report) -> Result<(), Exit> {
    items(wire, report).await?;
    append(wire, report).await?;
    let mistakes = [
        (
            COMMIT,
            "an empty buffer",
            json!({"type": COMMIT}),
            codes::INPUT_AUDIO_BUFFER_COMMIT_EMPTY,
        ),
        (
            "conversation.item.retrieve",
            "an unknown item",
            json!({"type": "conversation.item.retrieve", "item_id": "item_of_nobody"}),
            codes::ITEM_RETRIEVE_INVALID_ITEM_ID,
        ),
        (
            "conversation.item.truncate",
            "an unknown item",
            json!({"type": "conversation.item.truncate", "item_id": "item_of_nobody",
                "content_index": 0, "audio_end_ms": 0}),
            codes::ITEM_TRUNCATE_INVALID_ITEM_ID,
        ),
        (
            "conversation.item.delete",
            "an unknown item",
            json!({"type": "conversation.item.delete", "item_id": "item_of_nobody"}),
            codes::ITEM_DELETE_INVALID_ITEM_ID,
        ),
        (
            "response.cancel",
            "no response",
            json!({"type": "response.cancel"}),
            codes::RESPONSE_CANCEL_NOT_ACTIVE,
        ),
        (
            "session.update",
            "an unknown field",
            json!({"type": "session.update", "session": {"type": "realtime", "kaiwa_probe": 1}}),
            codes::UNKNOWN_PARAMETER,
        ),
    ];
    for (about, what, request, code) in mistakes {
        // A buffer that nobody has said to be empty may hold sound, and that would be heard.
        if about == COMMIT && !wire.has_marks() {
            if wire.ended().is_none() {
                let message = format!("{what}: not tried, since no clearing of it is confirmed");
                report.tell(Finding::missing(about, message))?;
            }
            continue;
        }
        mistake(wire, report, about, what, request, code).await?;
    }
    Ok(())
}

/// An event that nobody knows. It comes last: there are servers that hang up.
pub(super) async fn unknown(wire: &mut Wire, report: &mut Report) -> Result<(), Exit> {
    let request = json!({"type": "kaiwa.probe"});
    let what = "an unknown event";
    mistake(
        wire,
        report,
        "kaiwa.probe",
        what,
        request,
        codes::INVALID_VALUE,
    )
    .await
}

/// Creates an item, looks at it, and deletes it.
async fn items(wire: &mut Wire, report: &mut Report) -> Result<(), Exit> {
    if wire.ended().is_some() {
        return Ok(());
    }
    let request = json!({"type": CREATE, "item": {"id": ITEM, "type": "message", "role": "user",
        "content": [{"type": "input_text", "text": "This is a test."}]}});
    let is_beta = wire.dialect() == Dialect::Beta;
    // The beta has one event for it, which is read as the first of the two.
    let answer = wire
        .ask(request, |events| {
            has(events, ADDED) && (is_beta || has(events, DONE))
        })
        .await;
    let finding = created(&answer, is_beta);
    report.tell(finding)?;
    if !has(&answer.events, ADDED) {
        return Ok(());
    }
    for (about, confirmation) in [
        ("conversation.item.retrieve", "conversation.item.retrieved"),
        ("conversation.item.delete", "conversation.item.deleted"),
    ] {
        if wire.ended().is_some() {
            break;
        }
        let request = json!({"type": about, "item_id": ITEM});
        let answer = wire.ask(request, |events| has(events, confirmation)).await;
        let finding = match answer.find(confirmation) {
            Some(_) => Finding::ok(about, format_args!("{confirmation} follows")),
            None => unanswered(about, &answer),
        };
        report.tell(finding)?;
    }
    Ok(())
}

fn created(answer: &Answer, is_beta: bool) -> Finding {
    let Some(added) = answer.find(ADDED) else {
        return unanswered(CREATE, answer);
    };
    let id = added.raw.get("item").and_then(|item| item.get("id"));
    if id.and_then(Value::as_str) != Some(ITEM) {
        return Finding::differs(
            CREATE,
            "the item has another id than the one that was asked for",
        );
    }
    let kinds = answer.kinds();
    match is_beta || has(&answer.events, DONE) {
        true => Finding::ok(
            CREATE,
            format_args!("{kinds}, with the id that was asked for"),
        ),
        false => Finding::differs(CREATE, format_args!("{kinds} alone, without {DONE}")),
    }
}

/// Sound is taken without a word.
async fn append(wire: &mut Wire, report: &mut Report) -> Result<(), Exit> {
    if wire.ended().is_some() {
        return Ok(());
    }
    // Three bytes of zero are "AAAA" in base64.
    let audio = "AAAA".repeat(SILENCE_BYTES / 3);
    let request = json!({"type": APPEND, "audio": audio});
    let answer = wire.ask(request, |_| true).await;
    report.tell(match answer.error() {
        Some(error) => Finding::refused(APPEND, said(error)),
        None if answer.events.is_empty() => Finding::ok(APPEND, "taken without a word"),
        None => Finding::differs(APPEND, format_args!("there came {}", answer.kinds())),
    })
}

/// A mistake, whose error is known.
async fn mistake(
    wire: &mut Wire,
    report: &mut Report,
    about: &str,
    what: &str,
    request: Value,
    code: &str,
) -> Result<(), Exit> {
    if wire.ended().is_some() {
        return Ok(());
    }
    let answer = wire
        .ask(request, |events| {
            events.iter().any(|seen| seen.error().is_some())
        })
        .await;
    report.tell(error_of(&answer, wire.ended(), about, what, code))
}

fn error_of(answer: &Answer, ended: Option<&str>, about: &str, what: &str, code: &str) -> Finding {
    let Some(error) = answer.error() else {
        return match ended {
            Some(why) => Finding::differs(about, format_args!("{what}: {why}")),
            None if answer.events.is_empty() => {
                Finding::missing(about, format_args!("{what}: no error, no answer at all"))
            }
            None => Finding::differs(
                about,
                format_args!("{what}: no error, but {}", answer.kinds()),
            ),
        };
    };
    let mut faults = Vec::new();
    match error.code.as_deref() {
        Some(given) if given == code => {}
        Some(given) => faults.push(format!("the code is {given} instead of {code}")),
        None => faults.push(format!("there is no code, which would be {code}")),
    }
    match error.event_id.as_deref() {
        Some(id) if id == answer.id => {}
        Some(_) => faults.push("event_id is not the request's".to_owned()),
        None => faults.push("it does not carry the request's event_id".to_owned()),
    }
    match faults.as_slice() {
        [] => Finding::ok(about, format_args!("{what}: {code}, with the event_id")),
        faults => Finding::differs(
            about,
            format_args!("{what}: {}; it says: {}", faults.join("; "), error.message),
        ),
    }
}
