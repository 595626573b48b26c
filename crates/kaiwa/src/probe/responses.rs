//! Two short answers, which servers may bill: one in text, one in sound.

use kaiwa_protocol::{Dialect, Maybe, Response, ServerEvent};
use serde_json::{Value, json};

use super::{
    order,
    report::{Finding, Report},
    session::{has, said, unanswered},
    wire::{Answer, Wire},
};
use crate::exit::Exit;

const CREATE: &str = "response.create";
const DONE: &str = "response.done";
/// Bytes of the sound that is asked for, in a millisecond: 16 bits, 24 kHz.
const BYTES_A_MS: usize = 48;

/// An answer that is asked for.
struct Wanted {
    name: &'static str,
    modality: &'static str,
    /// The most tokens; a token of sound is 50 ms of it.
    tokens: u32,
    /// What its part is made of.
    part: &'static str,
}

const WANTED: [Wanted; 2] = [
    Wanted {
        name: "text",
        modality: "text",
        tokens: 32,
        part: "response.output_text",
    },
    Wanted {
        name: "sound",
        modality: "audio",
        tokens: 100,
        part: "response.output_audio",
    },
];

pub(super) async fn all(wire: &mut Wire, report: &mut Report) -> Result<(), Exit> {
    for wanted in WANTED {
        if wire.ended().is_some() {
            break;
        }
        ask(wire, report, &wanted).await?;
    }
    Ok(())
}

async fn ask(wire: &mut Wire, report: &mut Report, wanted: &Wanted) -> Result<(), Exit> {
    let item = json!({"type": "conversation.item.create", "item": {"type": "message",
        "role": "user", "content": [{"type": "input_text", "text": "Say the word yes."}]}});
    let is_beta = wire.dialect() == Dialect::Beta;
    wire.ask(item, |events| {
        has(events, "conversation.item.added") && (is_beta || has(events, "conversation.item.done"))
    })
    .await;
    let request = json!({"type": CREATE, "response": {
        "output_modalities": [wanted.modality], "max_output_tokens": wanted.tokens}});
    let answer = wire.ask_model(request, |events| has(events, DONE)).await;
    for finding in findings(&answer, wire.ended(), wanted) {
        report.tell(finding)?;
    }
    if let Some(usage) = usage(&answer) {
        let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
        let message = format!(
            "{}: {} tokens in, {} out",
            wanted.name,
            count("input_tokens"),
            count("output_tokens")
        );
        report.tell(Finding::ok("usage", message))?;
        report.usage(usage);
    }
    Ok(())
}

fn findings(answer: &Answer, ended: Option<&str>, wanted: &Wanted) -> Vec<Finding> {
    let name = wanted.name;
    let Some(response) = response(answer) else {
        let finding = match (answer.error(), ended) {
            (None, Some(why)) => Finding::missing(CREATE, why),
            (None, None) => {
                let finding = unanswered(CREATE, answer);
                Finding::missing(CREATE, format_args!("no {DONE}: {}", finding.message))
            }
            (Some(error), _) => Finding::refused(CREATE, said(error)),
        };
        let message = format!("{name}: {}", finding.message);
        return vec![Finding::new(finding.verdict, CREATE, message)];
    };
    let status = response
        .status
        .value()
        .map_or("without a status", |it| it.as_str());
    let mut findings = vec![match status {
        "completed" | "incomplete" => Finding::ok(
            CREATE,
            format_args!("{name}: {status}, {}", content(answer)),
        ),
        _ => Finding::refused(CREATE, format_args!("{name}: {status}{}", reason(response))),
    }];
    let kinds: Vec<&str> = answer.events.iter().map(|seen| seen.event.kind()).collect();
    let faults = order::faults(&kinds, wanted.part);
    findings.push(match faults.is_empty() {
        true => Finding::ok("order", format_args!("{name}: every event in its place")),
        false => Finding::differs("order", format_args!("{name}: {}", faults.join("; "))),
    });
    findings
}

fn response(answer: &Answer) -> Option<&Response> {
    match &*answer.find(DONE)?.event {
        ServerEvent::ResponseDone(event) => Some(&event.response),
        _ => None,
    }
}

fn usage(answer: &Answer) -> Option<Value> {
    match &response(answer)?.usage {
        Maybe::Value(usage) => serde_json::to_value(usage).ok(),
        _ => None,
    }
}

/// Why a response failed, where the server says so.
fn reason(response: &Response) -> String {
    let details = response.status_details.value();
    let details = details.and_then(|details| serde_json::to_value(details).ok());
    let message = details
        .as_ref()
        .and_then(|it| it.pointer("/error/message")?.as_str());
    message
        .map(|message| format!(": {message}"))
        .unwrap_or_default()
}

/// What an answer consisted of.
fn content(answer: &Answer) -> String {
    let (mut text, mut transcript, mut bytes) = (0, 0, 0);
    for seen in &answer.events {
        match &*seen.event {
            ServerEvent::ResponseOutputTextDelta(event) => text += event.delta.chars().count(),
            ServerEvent::ResponseOutputAudioTranscriptDelta(event) => {
                transcript += event.delta.chars().count();
            }
            ServerEvent::ResponseOutputAudioDelta(event) => bytes += event.delta.len(),
            _ => {}
        }
    }
    match bytes {
        0 => format!("{} characters", text.max(transcript)),
        _ => format!(
            "{} ms of sound, a transcript of {transcript} characters",
            bytes / BYTES_A_MS
        ),
    }
}
