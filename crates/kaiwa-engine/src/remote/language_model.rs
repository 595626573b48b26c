use std::sync::atomic::{AtomicU32, Ordering};

use serde::de::IgnoredAny;
use tokio::task::block_in_place;

use super::{
    Endpoint, Limits, Network,
    chat::{CallDelta, ChatRequest, Chunk, Usage},
    health::{self, Known},
    http::{Answer, Http, Payload},
    sse::Events,
};
use crate::{Cancel, EngineError, Finish, Flow, LanguageModel, LmDelta, LmUsage, Prompt, ToolCall};

/// Bytes of an answer with everything around its words: some 300 a token.
const MAX_ANSWER: usize = 16 << 20;

/// Function calls of one answer.
const MAX_CALLS: usize = 128;

/// Characters of a call's id that the Realtime protocol takes back from a client.
const MAX_ID: usize = 32;

/// How a remote language model is asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LanguageModelOptions {
    /// How freely it draws where the prompt does not say (0.0); `None` leaves it to the server.
    pub temperature: Option<f32>,
    /// Texts that end an answer.
    pub stop: Vec<String>,
}

/// A language model behind `POST /chat/completions`.
///
/// What a server computes of a prompt beforehand is its own affair: [`Prompt::conversation`] is
/// not sent, [`forget`](LanguageModel::forget) does nothing, and a prompt that may write no
/// token is answered here without asking anybody, since it would only cost.
/// [`Sampling::seed`](crate::Sampling::seed) is not sent, since some servers refuse it.
///
/// Calls of functions are told when the answer is complete. An id that the protocol or the
/// conversation cannot hold is replaced by one of our own, on the way back, too.
#[derive(Debug)]
pub struct RemoteLanguageModel {
    http: Http,
    options: LanguageModelOptions,
    next_call: AtomicU32,
}

impl RemoteLanguageModel {
    /// The language model at `endpoint`; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// No HTTP client can be made.
    pub fn new(
        endpoint: Endpoint,
        options: LanguageModelOptions,
        limits: Limits,
        network: &Network,
    ) -> Result<Self, EngineError> {
        Ok(Self {
            http: Http::new("the language model", endpoint, limits, network)?,
            options,
            next_call: AtomicU32::new(0),
        })
    }

    /// Asks the server for its models: whether it is there, takes the key, knows the model.
    ///
    /// # Errors
    ///
    /// It cannot be reached, refuses the key, or fails.
    pub fn check(&self) -> Result<Known, EngineError> {
        health::check(&self.http)
    }

    async fn answer(
        &self,
        prompt: &Prompt,
        sink: &mut dyn FnMut(LmDelta<'_>) -> Flow,
    ) -> Result<LmUsage, EngineError> {
        let endpoint = self.http.endpoint();
        let request = ChatRequest::new(
            endpoint.model(),
            prompt,
            &self.options,
            endpoint.is_hosted(),
        );
        let payload = Payload {
            content_type: "application/json".to_owned(),
            bytes: serde_json::to_vec(&request).map_err(EngineError::failed)?,
        };
        let mut answer = self
            .http
            .post(
                "/chat/completions",
                &payload,
                "text/event-stream",
                MAX_ANSWER,
            )
            .await?;
        if answer.media_type() != "text/event-stream" {
            return Err(answer.misplaced("an event stream").await);
        }
        let mut written = Written::default();
        let ended = match written.read(answer, sink).await? {
            Read::Stopped => Finish::Cancelled,
            Read::Ended(finish) => finish,
        };
        let usage = written.usage(payload.bytes.len(), ended);
        if ended != Finish::Cancelled {
            for call in self.named(written.calls, prompt) {
                let begun = sink(LmDelta::ToolCallStart {
                    id: &call.id,
                    name: &call.name,
                });
                if begun.is_break() || sink(LmDelta::ToolCallArguments(&call.arguments)).is_break()
                {
                    return Ok(LmUsage {
                        finish: Finish::Cancelled,
                        ..usage
                    });
                }
            }
        }
        Ok(usage)
    }

    /// Gives calls ids that are theirs alone.
    fn named(&self, calls: Vec<ToolCall>, prompt: &Prompt) -> Vec<ToolCall> {
        let mut taken: Vec<String> = prompt
            .messages
            .iter()
            .flat_map(|message| &message.tool_calls)
            .map(|call| call.id.clone())
            .collect();
        let mut named = Vec::with_capacity(calls.len());
        for mut call in calls {
            while call.id.is_empty() || call.id.chars().count() > MAX_ID || taken.contains(&call.id)
            {
                // Nine letters and digits: the one shape that every server takes back.
                let number = self.next_call.fetch_add(1, Ordering::Relaxed);
                call.id = format!("call{:05x}", number & 0xf_ffff);
            }
            taken.push(call.id.clone());
            named.push(call);
        }
        named
    }
}

impl LanguageModel for RemoteLanguageModel {
    fn generate(
        &self,
        prompt: &Prompt,
        cancel: &Cancel,
        sink: &mut dyn FnMut(LmDelta<'_>) -> Flow,
    ) -> Result<LmUsage, EngineError> {
        if prompt.max_tokens == Some(0) {
            return Ok(nothing(Finish::Length));
        }
        // A sink may wait for whoever listens, which nothing inside a runtime may.
        let mut sink = |delta: LmDelta<'_>| block_in_place(|| sink(delta));
        let answer = self.http.run(cancel, self.answer(prompt, &mut sink))?;
        Ok(answer.unwrap_or_else(|| nothing(Finish::Cancelled)))
    }

    fn forget(&self, _conversation: u64) {}

    /// Not known: the server says when a prompt is too long.
    fn context_tokens(&self) -> usize {
        usize::MAX
    }
}

fn nothing(finish: Finish) -> LmUsage {
    LmUsage {
        input_tokens: 0,
        cached_tokens: 0,
        output_tokens: 0,
        finish,
    }
}

/// How reading an answer ended.
enum Read {
    /// The sink wants no more.
    Stopped,
    Ended(Finish),
}

/// What an answer has brought so far.
#[derive(Default)]
struct Written {
    /// Bytes of text.
    text: usize,
    calls: Vec<ToolCall>,
    /// The server's numbers of the calls.
    indices: Vec<usize>,
    finish: Option<Finish>,
    usage: Option<Usage>,
}

impl Written {
    async fn read(
        &mut self,
        answer: Answer<'_>,
        sink: &mut dyn FnMut(LmDelta<'_>) -> Flow,
    ) -> Result<Read, EngineError> {
        let subject = answer.subject();
        let mut events = Events::new(answer);
        let mut goes_on = true;
        loop {
            let data = match (events.next().await, self.finish) {
                (Ok(Some(data)), _) if data == "[DONE]" => break,
                (Ok(Some(data)), _) => data,
                // The answer is whole; what is missing is its usage at most.
                (Ok(None) | Err(_), Some(_)) => {
                    goes_on = false;
                    break;
                }
                (Ok(None), None) => {
                    return Err(subject.failed("broke off before the end of its answer"));
                }
                (Err(error), None) => return Err(error),
            };
            let chunk: Chunk = serde_json::from_str(&data)
                .map_err(|_| subject.failed("sends what is no piece of an answer"))?;
            if let Some(error) = chunk.error {
                return Err(subject.error_object(&error));
            }
            self.usage = chunk.usage.or(self.usage);
            // There is one: `n` is not asked for.
            let Some(choice) = chunk.choices.unwrap_or_default().into_iter().next() else {
                continue;
            };
            if let Some(delta) = choice.delta {
                if let Some(text) = delta.content.filter(|text| !text.is_empty()) {
                    self.text += text.len();
                    if sink(LmDelta::Text(&text)).is_break() {
                        return Ok(Read::Stopped);
                    }
                }
                for call in delta.tool_calls.unwrap_or_default() {
                    if !self.call(call) {
                        return Err(subject.failed("calls functions without end or name"));
                    }
                }
            }
            match choice.finish_reason.as_deref() {
                None | Some("") => {}
                Some("length") => self.finish = Some(Finish::Length),
                Some("content_filter") => {
                    return Err(subject.failed("ended the answer for what it is about"));
                }
                Some(_) => self.finish = Some(Finish::Stop),
            }
        }
        if goes_on {
            events.finish().await;
        }
        if self.finish == Some(Finish::Length) {
            // The limit may have come in the middle of the last one.
            self.calls.pop_if(|call| !is_whole(call));
        }
        if self.calls.iter().any(|call| call.name.is_empty()) {
            return Err(subject.failed("calls functions without end or name"));
        }
        match self.finish {
            Some(finish) => Ok(Read::Ended(finish)),
            None if self.text == 0 && self.calls.is_empty() => {
                Err(subject.failed("ended its answer without a word"))
            }
            None => Ok(Read::Ended(Finish::Stop)),
        }
    }

    /// Adds a piece of a call. `false` when there are too many.
    fn call(&mut self, delta: CallDelta) -> bool {
        let named = delta.function.as_ref().is_some_and(|f| f.name.is_some());
        let known = match delta.index {
            // The latest one of this number, unless another call begins with it: some servers
            // give each call the number 0.
            Some(index) => self
                .indices
                .iter()
                .rposition(|other| *other == index)
                .filter(|&at| {
                    let id = &self.calls[at].id;
                    let other = delta
                        .id
                        .as_ref()
                        .is_some_and(|new| !new.is_empty() && new != id);
                    !(named && other && !id.is_empty())
                }),
            // A server that numbers nothing sends each call whole, or goes on with the last.
            None if delta.id.is_none() && !named => self.calls.len().checked_sub(1),
            None => None,
        };
        let at = match known {
            Some(at) => at,
            None if self.calls.len() == MAX_CALLS => return false,
            None => {
                self.indices
                    .push(delta.index.unwrap_or(usize::MAX - self.calls.len()));
                self.calls.push(ToolCall {
                    id: String::new(),
                    name: String::new(),
                    arguments: String::new(),
                });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[at];
        if let Some(id) = delta.id.filter(|_| call.id.is_empty()) {
            call.id = id;
        }
        if let Some(function) = delta.function {
            // Some servers repeat the name with every piece.
            if let Some(name) = function.name.filter(|_| call.name.is_empty()) {
                call.name = name;
            }
            call.arguments
                .push_str(&function.arguments.unwrap_or_default());
        }
        true
    }

    /// What the server counted, else a token for every four bytes, as English has them.
    fn usage(&self, prompt_bytes: usize, finish: Finish) -> LmUsage {
        let estimate = |bytes: usize| u32::try_from(bytes.div_ceil(4)).unwrap_or(u32::MAX);
        let said = self.text + self.calls.iter().map(|c| c.arguments.len()).sum::<usize>();
        match self.usage {
            Some(usage) => LmUsage {
                input_tokens: usage.prompt_tokens,
                cached_tokens: usage
                    .prompt_tokens_details
                    .and_then(|details| details.cached_tokens)
                    .unwrap_or_default()
                    .min(usage.prompt_tokens),
                output_tokens: usage.completion_tokens,
                finish,
            },
            None => LmUsage {
                input_tokens: estimate(prompt_bytes),
                cached_tokens: 0,
                output_tokens: estimate(said),
                finish,
            },
        }
    }
}

fn is_whole(call: &ToolCall) -> bool {
    !call.name.is_empty() && serde_json::from_str::<IgnoredAny>(&call.arguments).is_ok()
}

#[cfg(test)]
mod tests;
