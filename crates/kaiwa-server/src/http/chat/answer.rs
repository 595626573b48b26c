//! The answer to a chat request, whole or in chunks.

use kaiwa_session::EngineEvent;
use serde::Serialize;

/// What the language model has said so far.
pub(super) struct Answer {
    text: String,
    calls: Vec<Call>,
    /// Whether calls after the first are dropped.
    one_call: bool,
    dropping: bool,
    end: Option<End>,
}

struct Call {
    id: String,
    name: String,
    arguments: String,
}

/// How it ended.
struct End {
    truncated: bool,
    usage: Usage,
}

#[derive(Clone, Copy, Serialize)]
struct Usage {
    prompt_tokens: u32,
    completion_tokens: u32,
    total_tokens: u32,
    prompt_tokens_details: PromptTokens,
}

#[derive(Clone, Copy, Serialize)]
struct PromptTokens {
    cached_tokens: u32,
}

/// What a chunk adds.
#[derive(Default, Serialize)]
pub(super) struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<CallDelta>,
}

#[derive(Serialize)]
struct CallDelta {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    function: FunctionDelta,
}

#[derive(Serialize)]
struct FunctionDelta {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    arguments: String,
}

impl Answer {
    pub(super) fn new(one_call: bool) -> Self {
        Self {
            text: String::new(),
            calls: Vec::new(),
            one_call,
            dropping: false,
            end: None,
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.end.is_some()
    }

    /// Takes in what the language model says, and gives what a chunk says about it.
    pub(super) fn take(&mut self, event: EngineEvent) -> Option<Delta> {
        match event {
            EngineEvent::Text { text } => {
                self.text.push_str(&text);
                Some(Delta {
                    content: Some(text),
                    ..Delta::default()
                })
            }
            EngineEvent::CallStart { call_id, name } => {
                self.dropping = self.one_call && !self.calls.is_empty();
                if self.dropping {
                    return None;
                }
                let delta = CallDelta {
                    index: self.calls.len(),
                    id: Some(call_id.clone()),
                    r#type: Some("function"),
                    function: FunctionDelta {
                        name: Some(name.clone()),
                        arguments: String::new(),
                    },
                };
                self.calls.push(Call {
                    id: call_id,
                    name,
                    arguments: String::new(),
                });
                Some(Delta::call(delta))
            }
            EngineEvent::CallArguments { text } => {
                let index = self.calls.len().checked_sub(1).filter(|_| !self.dropping)?;
                self.calls[index].arguments.push_str(&text);
                Some(Delta::call(CallDelta {
                    index,
                    id: None,
                    r#type: None,
                    function: FunctionDelta {
                        name: None,
                        arguments: text,
                    },
                }))
            }
            EngineEvent::Generated {
                input_tokens,
                cached_tokens,
                output_tokens,
                truncated,
            } => {
                self.end = Some(End {
                    truncated,
                    usage: Usage {
                        prompt_tokens: input_tokens,
                        completion_tokens: output_tokens,
                        total_tokens: input_tokens.saturating_add(output_tokens),
                        prompt_tokens_details: PromptTokens { cached_tokens },
                    },
                });
                None
            }
            _ => None,
        }
    }

    fn finish_reason(&self) -> Option<&'static str> {
        let end = self.end.as_ref()?;
        Some(if end.truncated {
            "length"
        } else if self.calls.is_empty() {
            "stop"
        } else {
            "tool_calls"
        })
    }

    fn usage(&self) -> Option<Usage> {
        self.end.as_ref().map(|end| end.usage)
    }
}

impl Delta {
    fn call(call: CallDelta) -> Self {
        Self {
            tool_calls: vec![call],
            ..Self::default()
        }
    }
}

/// What all chunks of an answer have in common.
pub(super) struct Frame {
    pub(super) id: String,
    pub(super) created: u64,
    pub(super) model: String,
}

#[derive(Serialize)]
pub(super) struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<ChunkChoice>,
    /// Null in all but the last chunk, and only there at all when it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Usage>>,
}

#[derive(Serialize)]
struct ChunkChoice {
    index: u32,
    delta: Delta,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

#[derive(Serialize)]
pub(super) struct Completion {
    id: String,
    object: &'static str,
    created: u64,
    model: String,
    choices: [Choice; 1],
    usage: Option<Usage>,
}

#[derive(Serialize)]
struct Choice {
    index: u32,
    message: Message,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

#[derive(Serialize)]
struct Message {
    role: &'static str,
    content: Option<String>,
    refusal: Option<()>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WholeCall>,
}

#[derive(Serialize)]
struct WholeCall {
    id: String,
    r#type: &'static str,
    function: WholeFunction,
}

#[derive(Serialize)]
struct WholeFunction {
    name: String,
    arguments: String,
}

impl Frame {
    /// The first chunk.
    pub(super) fn beginning(&self, include_usage: bool) -> Chunk<'_> {
        let delta = Delta {
            role: Some("assistant"),
            content: Some(String::new()),
            ..Delta::default()
        };
        self.chunk(delta, include_usage)
    }

    pub(super) fn chunk(&self, delta: Delta, include_usage: bool) -> Chunk<'_> {
        self.with_choice(delta, None, include_usage)
    }

    /// The chunk that says why the answer ended.
    pub(super) fn end(&self, answer: &Answer, include_usage: bool) -> Chunk<'_> {
        self.with_choice(Delta::default(), answer.finish_reason(), include_usage)
    }

    /// The chunk that says what the answer cost.
    pub(super) fn usage(&self, answer: &Answer) -> Chunk<'_> {
        Chunk {
            choices: Vec::new(),
            usage: Some(answer.usage()),
            ..self.with_choice(Delta::default(), None, true)
        }
    }

    /// The answer in one piece.
    pub(super) fn completion(self, answer: Answer) -> Completion {
        let finish_reason = answer.finish_reason();
        let usage = answer.usage();
        let tool_calls: Vec<_> = answer
            .calls
            .into_iter()
            .map(|call| WholeCall {
                id: call.id,
                r#type: "function",
                function: WholeFunction {
                    name: call.name,
                    arguments: call.arguments,
                },
            })
            .collect();
        let is_silent = answer.text.is_empty() && !tool_calls.is_empty();
        Completion {
            id: self.id,
            object: "chat.completion",
            created: self.created,
            model: self.model,
            choices: [Choice {
                index: 0,
                message: Message {
                    role: "assistant",
                    content: (!is_silent).then_some(answer.text),
                    refusal: None,
                    tool_calls,
                },
                logprobs: None,
                finish_reason,
            }],
            usage,
        }
    }

    fn with_choice(
        &self,
        delta: Delta,
        finish_reason: Option<&'static str>,
        include_usage: bool,
    ) -> Chunk<'_> {
        Chunk {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.created,
            model: &self.model,
            choices: vec![ChunkChoice {
                index: 0,
                delta,
                logprobs: None,
                finish_reason,
            }],
            usage: include_usage.then_some(None),
        }
    }
}
