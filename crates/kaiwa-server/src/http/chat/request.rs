//! What a chat request asks for.

use std::hash::{DefaultHasher, Hash, Hasher};

use kaiwa_engine::{Message, Prompt, Role, Sampling, ToolCall, ToolChoice, ToolSpec};
use serde::Deserialize;
use serde_json::Value;

use super::super::ApiError;

/// Messages and functions of a request.
const MOST: usize = 4096;

#[derive(Deserialize)]
pub(super) struct ChatRequest {
    model: Option<String>,
    messages: Option<Vec<WireMessage>>,
    #[serde(default)]
    tools: Option<Vec<WireTool>>,
    tool_choice: Option<WireChoice>,
    parallel_tool_calls: Option<bool>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    temperature: Option<f32>,
    seed: Option<i64>,
    #[serde(default)]
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    // Taken where they say what holds anyway.
    n: Option<u32>,
    top_p: Option<f32>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    logprobs: Option<bool>,
    stop: Option<Value>,
    logit_bias: Option<serde_json::Map<String, Value>>,
    response_format: Option<ResponseFormat>,
    modalities: Option<Vec<String>>,
    functions: Option<Value>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct ResponseFormat {
    r#type: String,
}

#[derive(Deserialize)]
struct WireMessage {
    role: String,
    content: Option<Content>,
    tool_calls: Option<Vec<WireCall>>,
    tool_call_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    r#type: String,
    text: Option<String>,
    refusal: Option<String>,
    image_url: Option<ImageUrl>,
}

#[derive(Deserialize)]
struct ImageUrl {
    url: String,
}

#[derive(Deserialize)]
struct WireCall {
    id: String,
    function: CalledFunction,
}

#[derive(Deserialize)]
struct CalledFunction {
    name: String,
    arguments: String,
}

#[derive(Deserialize)]
struct WireTool {
    r#type: String,
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    description: Option<String>,
    parameters: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WireChoice {
    Word(String),
    Function { function: Named },
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// A request that makes sense.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) model: String,
    /// A hash of what the conversation begins with.
    pub(super) beginning: u64,
    pub(super) prompt: Prompt,
    /// Whether calls after the first are dropped.
    pub(super) one_call: bool,
    pub(super) streamed: bool,
    pub(super) include_usage: bool,
}

impl ChatRequest {
    pub(super) fn check(self) -> Result<Order, ApiError> {
        self.check_unsupported()?;
        let model = self.model.ok_or_else(|| ApiError::missing("model"))?;
        let messages = self.messages.ok_or_else(|| ApiError::missing("messages"))?;
        if !(1..=MOST).contains(&messages.len()) {
            let range = format!("1 to {MOST} messages");
            return Err(ApiError::out_of_range("messages", messages.len(), &range));
        }
        let messages = messages
            .into_iter()
            .enumerate()
            .map(|(index, message)| message.check(index))
            .collect::<Result<Vec<_>, _>>()?;
        let tools = tools(self.tools.unwrap_or_default())?;
        let tool_choice = choice(self.tool_choice, &tools)?;
        let max_tokens = self.max_completion_tokens.or(self.max_tokens);
        if max_tokens == Some(0) {
            return Err(ApiError::out_of_range("max_tokens", 0, "1 or more"));
        }
        let temperature = self.temperature;
        if let Some(value) = temperature.filter(|value| !(0.0..=2.0).contains(value)) {
            return Err(ApiError::out_of_range("temperature", value, "0 to 2"));
        }
        let beginning = beginning(&messages);
        // Without one given, the same request draws the same answer: half of the hash.
        let seed = self.seed.map_or(beginning as u32, |seed| seed as u32);
        Ok(Order {
            model,
            beginning,
            prompt: Prompt {
                conversation: 0,
                messages,
                tools,
                tool_choice,
                max_tokens,
                sampling: Sampling { temperature, seed },
            },
            one_call: self.parallel_tool_calls == Some(false),
            streamed: self.stream.unwrap_or_default(),
            include_usage: self
                .stream_options
                .is_some_and(|options| options.include_usage == Some(true)),
        })
    }

    /// Refuses what would change the answer in ways the language model does not know. What
    /// is not named here or above has no bearing on the answer and is passed over.
    fn check_unsupported(&self) -> Result<(), ApiError> {
        let is_one = |value: Option<f32>| value.is_none_or(|value| value == 1.0);
        let is_zero = |value: Option<f32>| value.is_none_or(|value| value == 0.0);
        let is_empty = |value: &Option<Value>| {
            value.as_ref().is_none_or(|value| match value {
                Value::Null => true,
                Value::Array(list) => list.is_empty(),
                _ => false,
            })
        };
        for (param, fits, reason) in [
            ("n", self.n.is_none_or(|n| n == 1), "There is one answer."),
            ("top_p", is_one(self.top_p), "Only 1 is supported."),
            (
                "presence_penalty",
                is_zero(self.presence_penalty),
                "Only 0 is supported.",
            ),
            (
                "frequency_penalty",
                is_zero(self.frequency_penalty),
                "Only 0 is supported.",
            ),
            (
                "logprobs",
                self.logprobs != Some(true),
                "The language model does not tell them.",
            ),
            (
                "stop",
                is_empty(&self.stop),
                "The answer ends where the language model ends it.",
            ),
            (
                "logit_bias",
                self.logit_bias.as_ref().is_none_or(|bias| bias.is_empty()),
                "Tokens cannot be weighed.",
            ),
            (
                "response_format",
                self.response_format
                    .as_ref()
                    .is_none_or(|format| format.r#type == "text"),
                "Only text is supported.",
            ),
            (
                "modalities",
                self.modalities
                    .as_ref()
                    .is_none_or(|list| list.iter().all(|name| name == "text")),
                "Only text is supported; speech is at /v1/audio/speech and /v1/realtime.",
            ),
            (
                "functions",
                is_empty(&self.functions),
                "Use 'tools' instead.",
            ),
        ] {
            if !fits {
                return Err(ApiError::unsupported(param, reason));
            }
        }
        Ok(())
    }
}

impl WireMessage {
    fn check(self, index: usize) -> Result<Message, ApiError> {
        let role = match self.role.as_str() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" => Role::Tool,
            other => {
                return Err(ApiError::invalid_value(
                    &format!("messages[{index}].role"),
                    format!(
                        "Invalid value: '{other}'. Supported values are: 'system', 'developer', \
                         'user', 'assistant', 'tool'."
                    ),
                ));
            }
        };
        if role == Role::Tool && self.tool_call_id.is_none() {
            return Err(ApiError::missing(&format!(
                "messages[{index}].tool_call_id"
            )));
        }
        let tool_calls = self.tool_calls.unwrap_or_default();
        let only_calls = role == Role::Assistant && !tool_calls.is_empty();
        if self.content.is_none() && !only_calls {
            return Err(ApiError::missing(&format!("messages[{index}].content")));
        }
        let mut message = Message {
            tool_calls: tool_calls
                .into_iter()
                .map(|call| ToolCall {
                    id: call.id,
                    name: call.function.name,
                    arguments: call.function.arguments,
                })
                .collect(),
            tool_call_id: self.tool_call_id,
            ..Message::text(role, "")
        };
        match self.content {
            None => {}
            Some(Content::Text(text)) => message.text = text,
            Some(Content::Parts(parts)) => {
                for (at, part) in parts.into_iter().enumerate() {
                    let param = || format!("messages[{index}].content[{at}]");
                    part.add_to(&mut message, param)?;
                }
            }
        }
        Ok(message)
    }
}

impl Part {
    fn add_to(self, message: &mut Message, param: impl Fn() -> String) -> Result<(), ApiError> {
        let text = match self.r#type.as_str() {
            "text" => self
                .text
                .ok_or_else(|| ApiError::missing(&format!("{}.text", param())))?,
            "refusal" => self.refusal.unwrap_or_default(),
            "image_url" => {
                let url = self.image_url.map(|image| image.url).unwrap_or_default();
                if !url.starts_with("data:") {
                    return Err(ApiError::invalid_value(
                        &format!("{}.image_url.url", param()),
                        "Images are taken as data URIs only: this server fetches nothing.",
                    ));
                }
                message.images.push(url);
                return Ok(());
            }
            other => {
                return Err(ApiError::invalid_value(
                    &format!("{}.type", param()),
                    format!(
                        "Invalid value: '{other}'. Supported values are: 'text', 'image_url', \
                         'refusal'."
                    ),
                ));
            }
        };
        if !message.text.is_empty() {
            message.text.push('\n');
        }
        message.text.push_str(&text);
        Ok(())
    }
}

fn tools(tools: Vec<WireTool>) -> Result<Vec<ToolSpec>, ApiError> {
    if tools.len() > MOST {
        let range = format!("at most {MOST} functions");
        return Err(ApiError::out_of_range("tools", tools.len(), &range));
    }
    let check = |(index, tool): (usize, WireTool)| match tool.function {
        Some(function) if tool.r#type == "function" => Ok(ToolSpec {
            name: function.name,
            description: function.description.unwrap_or_default(),
            parameters: function
                .parameters
                .unwrap_or_else(|| Value::Object(serde_json::Map::new())),
        }),
        _ if tool.r#type == "function" => {
            Err(ApiError::missing(&format!("tools[{index}].function")))
        }
        _ => Err(ApiError::invalid_value(
            &format!("tools[{index}].type"),
            format!(
                "Invalid value: '{}'. Supported values are: 'function'.",
                tool.r#type
            ),
        )),
    };
    tools.into_iter().enumerate().map(check).collect()
}

fn choice(choice: Option<WireChoice>, tools: &[ToolSpec]) -> Result<ToolChoice, ApiError> {
    let choice = match choice {
        None => return Ok(ToolChoice::Auto),
        Some(WireChoice::Function { function }) => {
            if !tools.iter().any(|tool| tool.name == function.name) {
                return Err(ApiError::invalid_value(
                    "tool_choice",
                    format!("There is no function '{}' in 'tools'.", function.name),
                ));
            }
            return Ok(ToolChoice::Function(function.name));
        }
        Some(WireChoice::Word(word)) => word,
    };
    match choice.as_str() {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        "required" if tools.is_empty() => Err(ApiError::invalid_value(
            "tool_choice",
            "A call is required, but 'tools' is empty.",
        )),
        "required" => Ok(ToolChoice::Required),
        other => Err(ApiError::invalid_value(
            "tool_choice",
            format!(
                "Invalid value: '{other}'. Supported values are: 'auto', 'none', 'required', or \
                 a function."
            ),
        )),
    }
}

/// A hash of the messages up to the first of the user, which stay the same from turn to turn.
fn beginning(messages: &[Message]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for message in messages {
        (message.role, &message.text).hash(&mut hasher);
        if message.role == Role::User {
            break;
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(request: Value) -> Result<Order, ApiError> {
        serde_json::from_value::<ChatRequest>(request)
            .expect("the shape of a request")
            .check()
    }

    fn param(request: Value) -> String {
        let error = check(request).expect_err("a refusal");
        let body = serde_json::to_value(error.into_body()).expect("an error");
        body["param"].as_str().unwrap_or_default().to_owned()
    }

    #[test]
    fn messages_become_a_prompt() {
        let order = check(json!({
            "model": "m",
            "messages": [
                { "role": "developer", "content": "Be brief." },
                { "role": "user", "content": [
                    { "type": "text", "text": "What" },
                    { "type": "text", "text": "is this?" },
                    { "type": "image_url", "image_url": { "url": "data:image/png;base64,AA==" } },
                ] },
                { "role": "assistant", "content": null, "tool_calls": [
                    { "id": "c1", "type": "function",
                      "function": { "name": "look", "arguments": "{}" } },
                ] },
                { "role": "tool", "tool_call_id": "c1", "content": "a cat" },
            ],
            "tools": [{ "type": "function", "function": { "name": "look" } }],
            "tool_choice": { "type": "function", "function": { "name": "look" } },
            "max_tokens": 3,
            "max_completion_tokens": 4,
            "temperature": 0.5,
            "seed": 9,
            "stream": true,
            "stream_options": { "include_usage": true },
            "parallel_tool_calls": false,
            "user": "somebody",
        }))
        .unwrap();
        assert!(order.streamed && order.include_usage && order.one_call);
        let prompt = order.prompt;
        let messages = &prompt.messages;
        assert_eq!(messages[0], Message::text(Role::System, "Be brief."));
        assert_eq!(messages[1].text, "What\nis this?");
        assert_eq!(messages[1].images, ["data:image/png;base64,AA=="]);
        assert_eq!(messages[2].tool_calls[0].name, "look");
        assert_eq!(messages[3].tool_call_id.as_deref(), Some("c1"));
        assert_eq!(prompt.tools[0].parameters, json!({}));
        assert_eq!(prompt.tool_choice, ToolChoice::Function("look".into()));
        assert_eq!(prompt.max_tokens, Some(4));
        assert_eq!(
            (prompt.sampling.temperature, prompt.sampling.seed),
            (Some(0.5), 9)
        );
    }

    #[test]
    fn a_conversation_keeps_its_beginning_from_turn_to_turn() {
        let turns = [
            ("system", "Be brief."),
            ("user", "Hello"),
            ("assistant", "Hi"),
            ("user", "And now?"),
        ];
        let messages = |count: usize| {
            let messages = turns[..count].iter();
            messages
                .map(|(role, text)| json!({ "role": role, "content": text }))
                .collect::<Vec<_>>()
        };
        let beginning = |messages: Vec<Value>| {
            let request = json!({ "model": "m", "messages": messages });
            check(request).unwrap().beginning
        };
        assert_eq!(beginning(messages(2)), beginning(messages(4)));
        assert_ne!(beginning(messages(2)), beginning(messages(1)));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let hello = json!([{ "role": "user", "content": "hello" }]);
        let with = |name: &str, value: Value| {
            let mut request = json!({ "model": "m", "messages": hello.clone() });
            request[name] = value;
            request
        };
        for (name, value) in [
            ("n", json!(2)),
            ("top_p", json!(0.5)),
            ("presence_penalty", json!(1)),
            ("frequency_penalty", json!(-1)),
            ("logprobs", json!(true)),
            ("stop", json!("x")),
            ("logit_bias", json!({ "1": 2 })),
            ("response_format", json!({ "type": "json_object" })),
            ("modalities", json!(["text", "audio"])),
            ("functions", json!([{ "name": "f" }])),
            ("temperature", json!(3)),
            ("max_tokens", json!(0)),
            ("tool_choice", json!("maybe")),
            ("tool_choice", json!("required")),
            ("model", json!(null)),
            ("messages", json!([])),
        ] {
            assert_eq!(param(with(name, value.clone())), name, "{value}");
        }
        let messages = |message| with("messages", json!([message]));
        for (message, expected) in [
            (
                json!({ "role": "robot", "content": "x" }),
                "messages[0].role",
            ),
            (json!({ "role": "user" }), "messages[0].content"),
            (
                json!({ "role": "tool", "content": "x" }),
                "messages[0].tool_call_id",
            ),
            (
                json!({ "role": "user", "content": [{ "type": "input_audio" }] }),
                "messages[0].content[0].type",
            ),
            (
                json!({ "role": "user", "content": [
                    { "type": "image_url", "image_url": { "url": "file:///etc/passwd" } },
                ] }),
                "messages[0].content[0].image_url.url",
            ),
        ] {
            assert_eq!(param(messages(message)), expected);
        }
        // What says the same as nothing is taken.
        for (name, value) in [
            ("n", json!(1)),
            ("stop", json!(null)),
            ("top_p", json!(1)),
            ("response_format", json!({ "type": "text" })),
        ] {
            assert!(check(with(name, value)).is_ok(), "{name}");
        }
    }
}
