//! The wire of `POST /chat/completions`: what is sent, and the chunks that come back.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Value, json};

use super::LanguageModelOptions;
use crate::{Message, Prompt, Role, ToolChoice, ToolSpec};

/// The body of a request.
#[derive(Serialize)]
pub(super) struct ChatRequest<'a> {
    model: &'a str,
    messages: Vec<Value>,
    stream: bool,
    stream_options: StreamOptions,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl<'a> ChatRequest<'a> {
    /// `is_hosted`: the hosted service has given the limit of tokens a name that most other
    /// servers do not know.
    pub(super) fn new(
        model: &'a str,
        prompt: &Prompt,
        options: &'a LanguageModelOptions,
        is_hosted: bool,
    ) -> Self {
        let has_tools = !prompt.tools.is_empty();
        Self {
            model,
            messages: prompt.messages.iter().map(message).collect(),
            stream: true,
            stream_options: StreamOptions {
                include_usage: true,
            },
            tools: prompt.tools.iter().map(tool).collect(),
            tool_choice: has_tools.then(|| choice(&prompt.tool_choice)),
            temperature: prompt.sampling.temperature.or(options.temperature),
            max_tokens: prompt.max_tokens.filter(|_| !is_hosted),
            max_completion_tokens: prompt.max_tokens.filter(|_| is_hosted),
            stop: &options.stop,
        }
    }
}

fn message(message: &Message) -> Value {
    let text = &message.text;
    match message.role {
        Role::System => json!({ "role": "system", "content": text }),
        Role::User if message.images.is_empty() => json!({ "role": "user", "content": text }),
        Role::User => {
            let words = (!text.is_empty()).then(|| json!({ "type": "text", "text": text }));
            let images = message
                .images
                .iter()
                .map(|url| json!({ "type": "image_url", "image_url": { "url": url } }));
            json!({ "role": "user", "content": words.into_iter().chain(images).collect::<Vec<_>>() })
        }
        Role::Assistant if message.tool_calls.is_empty() => {
            json!({ "role": "assistant", "content": text })
        }
        Role::Assistant => {
            let calls = message.tool_calls.iter().map(|call| {
                json!({
                    "id": call.id,
                    "type": "function",
                    "function": { "name": call.name, "arguments": call.arguments },
                })
            });
            let content = Some(text).filter(|text| !text.is_empty());
            json!({
                "role": "assistant",
                "content": content,
                "tool_calls": calls.collect::<Vec<_>>(),
            })
        }
        Role::Tool => json!({
            "role": "tool",
            "tool_call_id": message.tool_call_id,
            "content": text,
        }),
    }
}

fn tool(tool: &ToolSpec) -> Value {
    json!({
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        },
    })
}

fn choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Function(name) => {
            json!({ "type": "function", "function": { "name": name } })
        }
    }
}

/// A piece of an answer. Servers leave out or set to null whatever does not apply.
#[derive(Debug, Deserialize)]
pub(super) struct Chunk {
    pub(super) choices: Option<Vec<Choice>>,
    #[serde(default, deserialize_with = "readable")]
    pub(super) usage: Option<Usage>,
    pub(super) error: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    pub(super) delta: Option<Delta>,
    pub(super) finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Delta {
    #[serde(default, deserialize_with = "words")]
    pub(super) content: Option<String>,
    pub(super) tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CallDelta {
    pub(super) index: Option<usize>,
    pub(super) id: Option<String>,
    pub(super) function: Option<FunctionDelta>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FunctionDelta {
    pub(super) name: Option<String>,
    pub(super) arguments: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Usage {
    #[serde(default)]
    pub(super) prompt_tokens: u32,
    #[serde(default)]
    pub(super) completion_tokens: u32,
    pub(super) prompt_tokens_details: Option<PromptTokens>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct PromptTokens {
    pub(super) cached_tokens: Option<u32>,
}

/// A usage of a shape that nobody knows is none: the answer is worth more than its count.
fn readable<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Usage>, D::Error> {
    let value = Value::deserialize(from)?;
    Ok(Usage::deserialize(value).ok())
}

/// Text, also where a server sends it in parts, of which those without text (references,
/// thoughts) are not spoken.
fn words<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::Null => None,
        Value::String(text) => Some(text),
        Value::Array(parts) => {
            let texts = parts.iter().filter(|part| part["type"] == "text");
            Some(texts.filter_map(|part| part["text"].as_str()).collect())
        }
        _ => return Err(D::Error::custom("content is no text")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sampling, ToolCall};

    fn sent(prompt: &Prompt, options: &LanguageModelOptions, is_hosted: bool) -> Value {
        serde_json::to_value(ChatRequest::new("m", prompt, options, is_hosted)).expect("JSON")
    }

    #[test]
    fn a_conversation_is_sent_as_it_is() {
        let call = ToolCall {
            id: "c1".into(),
            name: "look".into(),
            arguments: "{}".into(),
        };
        let prompt = Prompt {
            messages: vec![
                Message::text(Role::System, "Be brief."),
                Message {
                    images: vec!["data:image/png;base64,AA==".into()],
                    ..Message::text(Role::User, "What is this?")
                },
                Message {
                    tool_calls: vec![call],
                    ..Message::text(Role::Assistant, "")
                },
                Message {
                    tool_call_id: Some("c1".into()),
                    ..Message::text(Role::Tool, "a cat")
                },
                Message::text(Role::Assistant, "A cat."),
                Message::text(Role::User, "Sure?"),
            ],
            tools: vec![ToolSpec {
                name: "look".into(),
                description: "Looks.".into(),
                parameters: json!({ "type": "object" }),
            }],
            tool_choice: ToolChoice::Function("look".into()),
            max_tokens: Some(9),
            ..Prompt::default()
        };
        assert_eq!(
            sent(&prompt, &LanguageModelOptions::default(), false),
            json!({
                "model": "m",
                "messages": [
                    { "role": "system", "content": "Be brief." },
                    { "role": "user", "content": [
                        { "type": "text", "text": "What is this?" },
                        { "type": "image_url",
                          "image_url": { "url": "data:image/png;base64,AA==" } },
                    ] },
                    { "role": "assistant", "content": null, "tool_calls": [
                        { "id": "c1", "type": "function",
                          "function": { "name": "look", "arguments": "{}" } },
                    ] },
                    { "role": "tool", "tool_call_id": "c1", "content": "a cat" },
                    { "role": "assistant", "content": "A cat." },
                    { "role": "user", "content": "Sure?" },
                ],
                "stream": true,
                "stream_options": { "include_usage": true },
                "tools": [{ "type": "function", "function": {
                    "name": "look", "description": "Looks.", "parameters": { "type": "object" },
                } }],
                "tool_choice": { "type": "function", "function": { "name": "look" } },
                "max_tokens": 9,
            })
        );
    }

    #[test]
    fn what_nobody_asked_for_is_left_to_the_server() {
        let mut prompt = Prompt {
            messages: vec![Message::text(Role::User, "Hi")],
            tool_choice: ToolChoice::Required,
            ..Prompt::default()
        };
        let plain = sent(&prompt, &LanguageModelOptions::default(), false);
        for member in ["temperature", "tools", "tool_choice", "max_tokens", "stop"] {
            assert!(plain.get(member).is_none(), "{member}: {plain}");
        }
        let options = LanguageModelOptions {
            temperature: Some(0.5),
            stop: vec!["\n\n".into()],
        };
        prompt.max_tokens = Some(5);
        let told = sent(&prompt, &options, true);
        assert_eq!(told["temperature"], json!(0.5));
        assert_eq!(told["stop"], json!(["\n\n"]));
        assert_eq!(told["max_completion_tokens"], json!(5));
        assert!(told.get("max_tokens").is_none(), "{told}");
        for temperature in [1.5, 0.0] {
            prompt.sampling = Sampling {
                temperature: Some(temperature),
                seed: 7,
            };
            let told = sent(&prompt, &options, true);
            assert_eq!(told["temperature"], json!(temperature));
        }
    }
}
