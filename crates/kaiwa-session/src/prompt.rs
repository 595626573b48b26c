//! What the language model is told: instructions and context as messages.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kaiwa_protocol::{
    ContentPart, Item, ItemStatus, McpApprovalResponse, McpError, Message, Role, Tool,
};

use crate::{
    conversation::{Entry, Hearing},
    engine::{PromptCall, PromptMessage, PromptRole, PromptTool},
};

/// Instructions and context as messages. Items without anything to say are left out: a
/// user who was not understood, an answer of which nothing was heard. So are calls that were
/// cut off, which nobody can answer, and outputs of calls that are not told before them:
/// models take neither. An output stands behind its call, whatever was said in between. Tools of
/// MCP servers look like functions: a call with its output, or, where the client did not allow it,
/// with that.
pub(crate) fn messages<'a>(
    instructions: &str,
    context: impl Iterator<Item = &'a Entry>,
) -> Vec<PromptMessage> {
    let mut messages = Vec::new();
    let mut told_calls: BTreeSet<&str> = BTreeSet::new();
    let mut requests: BTreeMap<&str, (&String, &String)> = BTreeMap::new();
    if !instructions.is_empty() {
        messages.push(text_message(PromptRole::System, instructions.to_owned()));
    }
    for entry in context {
        match &entry.item {
            Item::Message(message) => messages.extend(said(message, entry)),
            Item::FunctionCall(call) if call.status.value() != Some(&ItemStatus::Incomplete) => {
                told_calls.extend(call.call_id.as_deref());
                let call_id = call.call_id.as_deref().unwrap_or_default();
                tell_call(&mut messages, call_id, &call.name, &call.arguments);
            }
            Item::FunctionCallOutput(output) if told_calls.contains(output.call_id.as_str()) => {
                messages.push(tool_message(&output.call_id, told(entry, &output.output)));
            }
            Item::McpCall(call) => {
                let failure = call.error.value().map(failure);
                if let Some(output) = call.output.cloned().or(failure) {
                    let call_id = call.id.as_deref().unwrap_or_default();
                    let name = entry.offered.as_ref().unwrap_or(&call.name);
                    tell_call(&mut messages, call_id, name, &call.arguments);
                    messages.push(tool_message(call_id, told(entry, &output)));
                }
            }
            Item::McpApprovalRequest(request) => {
                let id = request.id.as_deref().unwrap_or_default();
                let name = entry.offered.as_ref().unwrap_or(&request.name);
                requests.insert(id, (name, &request.arguments));
            }
            Item::McpApprovalResponse(answer) if !answer.approve => {
                if let Some((name, arguments)) = requests.get(answer.approval_request_id.as_str()) {
                    let call_id = &answer.approval_request_id;
                    tell_call(&mut messages, call_id, name, arguments);
                    messages.push(tool_message(call_id, denial(answer)));
                }
            }
            Item::FunctionCall(_)
            | Item::FunctionCallOutput(_)
            | Item::McpListTools(_)
            | Item::McpApprovalResponse(_)
            | Item::Reference(_)
            | Item::Unknown(_) => {}
        }
    }
    answered(messages)
}

/// Characters of the sentence that tells how much of an output was left out, at most.
pub(crate) const ABRIDGED_CHARS: u64 = 80;

/// A tool's output, or as much of it as may be told.
fn told(entry: &Entry, output: &str) -> String {
    let Some(most) = entry.abridged else {
        return output.to_owned();
    };
    let all = text_chars(output);
    let left_out = all.saturating_sub(most);
    if left_out == 0 {
        return output.to_owned();
    }
    let begin: String = output.chars().take(most as usize).collect();
    format!("{begin}\n[The result is too long. {left_out} more characters were left out.]")
}

/// The characters of a tool's output, and how many of them are told at most.
pub(crate) fn output_chars(entry: &Entry) -> Option<u64> {
    let all = match &entry.item {
        Item::FunctionCallOutput(output) => text_chars(&output.output),
        Item::McpCall(call) => text_chars(call.output.value()?),
        _ => return None,
    };
    Some(entry.abridged.map_or(all, |most| all.min(most)))
}

/// What stands behind a call that has no output yet: servers of language models refuse a history
/// in which there is none.
const RUNNING: &str = "The tool is still running. Its result comes later.";

/// Puts the outputs of calls behind the message that makes them.
fn answered(messages: Vec<PromptMessage>) -> Vec<PromptMessage> {
    let mut outputs: BTreeMap<String, VecDeque<PromptMessage>> = BTreeMap::new();
    let mut rest = Vec::with_capacity(messages.len());
    for message in messages {
        match &message.call_id {
            Some(call_id) => outputs
                .entry(call_id.clone())
                .or_default()
                .push_back(message),
            None => rest.push(message),
        }
    }
    let mut ordered = Vec::with_capacity(rest.len());
    for message in rest {
        let answers: Vec<_> = message
            .calls
            .iter()
            .map(|call| {
                let output = outputs.get_mut(&call.call_id).and_then(VecDeque::pop_front);
                output.unwrap_or_else(|| tool_message(&call.call_id, RUNNING.to_owned()))
            })
            .collect();
        ordered.push(message);
        ordered.extend(answers);
    }
    ordered
}

/// Adds a call; calls belong to the message they follow.
fn tell_call(messages: &mut Vec<PromptMessage>, call_id: &str, name: &str, arguments: &str) {
    let call = PromptCall {
        call_id: call_id.to_owned(),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    };
    match messages.last_mut() {
        Some(last) if last.role == PromptRole::Assistant => last.calls.push(call),
        _ => messages.push(PromptMessage {
            calls: vec![call],
            ..text_message(PromptRole::Assistant, String::new())
        }),
    }
}

fn tool_message(call_id: &str, output: String) -> PromptMessage {
    PromptMessage {
        call_id: Some(call_id.to_owned()),
        ..text_message(PromptRole::Tool, output)
    }
}

/// Why a tool failed, for the language model.
fn failure(error: &McpError) -> String {
    let message = match error {
        McpError::Protocol(error) => &error.message,
        McpError::ToolExecution(error) => &error.message,
        McpError::Http(error) => &error.message,
        McpError::Unknown(_) => "unknown",
    };
    format!("The tool failed: {message}")
}

/// That the user did not allow a tool, for the language model.
fn denial(answer: &McpApprovalResponse) -> String {
    match answer.reason.as_deref() {
        Some(reason) if !reason.is_empty() => {
            format!("The user did not allow this call: {reason}")
        }
        _ => "The user did not allow this call.".to_owned(),
    }
}

/// What a message takes besides its text (the marks of its role), in characters.
const MESSAGE_CHARS: u64 = 16;

/// The characters of messages: what their tokens are estimated from. Images have none.
pub(crate) fn chars(messages: &[PromptMessage]) -> u64 {
    messages
        .iter()
        .map(|message| {
            let calls = message.calls.iter().flat_map(|c| [&c.name, &c.arguments]);
            let texts = calls.chain([&message.text]);
            MESSAGE_CHARS + texts.map(|text| text_chars(text)).sum::<u64>()
        })
        .sum()
}

/// The characters that an entry takes among others: an output as if its call was told.
pub(crate) fn entry_chars(entry: &Entry) -> u64 {
    match &entry.item {
        Item::FunctionCallOutput(output) => {
            MESSAGE_CHARS + text_chars(&told(entry, &output.output))
        }
        Item::FunctionCall(_) => {
            let mut alone = messages("", std::iter::once(entry));
            // What is told of a running one is not told beside its output.
            alone.retain(|message| message.call_id.is_none());
            chars(&alone)
        }
        _ => chars(&messages("", std::iter::once(entry))),
    }
}

/// The characters that functions take in a prompt.
pub(crate) fn tool_chars(tools: &[PromptTool]) -> u64 {
    tools
        .iter()
        .map(|tool| {
            let parameters = tool.parameters.to_string();
            let texts = [&tool.name, &tool.description, &parameters];
            texts.into_iter().map(|text| text_chars(text)).sum::<u64>()
        })
        .sum()
}

/// Characters of what users said aloud: the part of a prompt that was audio.
pub(crate) fn spoken_chars<'a>(context: impl Iterator<Item = &'a Entry>) -> u64 {
    context
        .flat_map(|entry| &entry.spoken)
        .map(|spoken| match &spoken.hearing {
            Hearing::Heard(text) => text_chars(text.trim()),
            Hearing::Pending(_) | Hearing::Failed => 0,
        })
        .sum()
}

fn text_chars(text: &str) -> u64 {
    text.chars().count() as u64
}

/// A message that is only text.
pub(crate) fn text_message(role: PromptRole, text: String) -> PromptMessage {
    PromptMessage {
        role,
        text,
        images: Vec::new(),
        calls: Vec::new(),
        call_id: None,
    }
}

/// The client's functions among tools, for the language model.
pub(crate) fn functions(tools: &[Tool]) -> Vec<PromptTool> {
    tools
        .iter()
        .filter_map(|tool| match tool {
            Tool::Function(function) => Some(PromptTool {
                name: function.name.cloned()?,
                description: function.description.cloned().unwrap_or_default(),
                parameters: function
                    .parameters
                    .value()
                    .and_then(|schema| schema.parse().ok())
                    .unwrap_or_else(no_parameters),
            }),
            Tool::Mcp(_) | Tool::Unknown(_) => None,
        })
        .collect()
}

/// The JSON schema of a function without parameters.
pub(crate) fn no_parameters() -> serde_json::Value {
    serde_json::json!({"type": "object", "properties": {}})
}

fn said(message: &Message, entry: &Entry) -> Option<PromptMessage> {
    let role = match message.role {
        Role::System => PromptRole::System,
        Role::Assistant => PromptRole::Assistant,
        Role::User | Role::Other(_) => PromptRole::User,
    };
    let mut texts = Vec::new();
    let mut images = Vec::new();
    for (index, part) in message.content.iter().enumerate() {
        match part {
            ContentPart::InputAudio(audio) => {
                match entry.spoken.iter().find(|s| s.content_index == index) {
                    Some(spoken) => {
                        if let Hearing::Heard(text) = &spoken.hearing {
                            texts.push(text.trim());
                        }
                    }
                    // History that a client replays without its audio.
                    None => texts.extend(audio.transcript.as_deref()),
                }
            }
            ContentPart::InputImage(image) => images.extend(image.image_url.cloned()),
            ContentPart::OutputAudio(audio) => match &entry.voiced {
                Some(voiced) => texts.push(voiced.heard_text()),
                None => texts.extend(audio.transcript.as_deref()),
            },
            ContentPart::InputText(_)
            | ContentPart::OutputText(_)
            | ContentPart::Text(_)
            | ContentPart::Audio(_)
            | ContentPart::Unknown(_) => texts.extend(part.words()),
        }
    }
    texts.retain(|text| !text.is_empty());
    (!texts.is_empty() || !images.is_empty()).then(|| PromptMessage {
        images,
        ..text_message(role, texts.join("\n"))
    })
}

#[cfg(test)]
mod tests {
    use kaiwa_audio::Format;
    use kaiwa_protocol::{FunctionCall, InputAudio, InputImage, Maybe};

    use super::*;
    use crate::{
        conversation::{Spoken, Voiced, audio_message},
        engine::JobId,
        input_buffer::UserAudio,
        ledger::Ledger,
    };

    fn heard(hearing: Hearing) -> Entry {
        let audio = UserAudio {
            samples: [].into(),
            bytes: Vec::new(),
            format: Format::Pcmu,
        };
        Entry {
            spoken: vec![Spoken::new(0, audio, hearing, false)],
            ..Entry::plain(audio_message("u".to_owned()))
        }
    }

    fn answer(text: &str, heard: usize) -> Entry {
        let message = Message::new(Role::Assistant, vec![ContentPart::output_audio(text)]);
        Entry {
            voiced: Some(Voiced {
                ledger: Ledger::new(Format::Pcmu),
                answer: text.to_owned(),
                heard,
            }),
            ..Entry::plain(message.into())
        }
    }

    fn call(call_id: &str) -> Entry {
        Entry::plain(Item::FunctionCall(FunctionCall {
            call_id: call_id.into(),
            name: "f".to_owned(),
            arguments: "{}".to_owned(),
            ..FunctionCall::default()
        }))
    }

    fn render(instructions: &str, context: &[Entry]) -> Vec<String> {
        messages(instructions, context.iter())
            .into_iter()
            .map(|m| {
                let calls: Vec<_> = m.calls.iter().map(|c| c.call_id.as_str()).collect();
                format!(
                    "{:?} {:?} {} {} {:?}",
                    m.role,
                    m.text,
                    m.images.join(","),
                    calls.join(","),
                    m.call_id
                )
            })
            .collect()
    }

    #[test]
    fn the_context_is_what_was_said_and_heard() {
        let context = [
            heard(Hearing::Heard(" hello there ".to_owned())),
            answer("Hi! How are you?", 3),
            heard(Hearing::Failed),
            heard(Hearing::Pending(JobId(1))),
            answer("Unheard.", 0),
        ];
        assert_eq!(
            render("Be brief.", &context),
            [
                r#"System "Be brief."   None"#,
                r#"User "hello there"   None"#,
                r#"Assistant "Hi!"   None"#,
            ]
        );
    }

    #[test]
    fn calls_join_their_message_and_outputs_stand_behind_their_call() {
        let context = [
            Entry::plain(Item::user_text("weather?")),
            answer("Let me see.", 11),
            call("c1"),
            call("c2"),
            Entry::plain(Item::user_text("are you there?")),
            answer("One moment.", 11),
            Entry::plain(Item::function_output("c1", "sun")),
            call("c3"),
        ];
        assert_eq!(
            render("", &context),
            [
                r#"User "weather?"   None"#,
                r#"Assistant "Let me see."  c1,c2 None"#,
                r#"Tool "sun"   Some("c1")"#,
                r#"Tool "The tool is still running. Its result comes later."   Some("c2")"#,
                r#"User "are you there?"   None"#,
                r#"Assistant "One moment."   None"#,
                r#"Assistant ""  c3 None"#,
                r#"Tool "The tool is still running. Its result comes later."   Some("c3")"#,
            ]
        );
    }

    #[test]
    fn a_call_that_was_cut_off_is_not_told_nor_an_output_of_no_call() {
        let mut cut_off = call("c2");
        cut_off.item.set_status(ItemStatus::Incomplete);
        let context = [
            Entry::plain(Item::function_output("c1", "too early")),
            call("c1"),
            cut_off,
            Entry::plain(Item::function_output("c2", "of a call cut off")),
            Entry::plain(Item::function_output("c3", "of no call")),
            Entry::plain(Item::function_output("c1", "sun")),
        ];
        assert_eq!(
            render("", &context),
            [r#"Assistant ""  c1 None"#, r#"Tool "sun"   Some("c1")"#]
        );
    }

    #[test]
    fn images_and_replayed_transcripts_reach_the_model() {
        let message = Message::new(
            Role::User,
            vec![
                ContentPart::InputImage(InputImage {
                    image_url: "data:image/png;base64,AA==".into(),
                    ..InputImage::default()
                }),
                ContentPart::InputAudio(InputAudio {
                    transcript: "what is this".into(),
                    audio: Maybe::Absent,
                    ..InputAudio::default()
                }),
            ],
        );
        assert_eq!(
            render("", &[Entry::plain(message.into())]),
            [r#"User "what is this" data:image/png;base64,AA==  None"#]
        );
    }
}
