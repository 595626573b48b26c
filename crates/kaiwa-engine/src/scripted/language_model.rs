use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    pace::Pace,
    script::{Call, End, Parts, Reply},
    transcriber::words,
};
use crate::{
    Cancel, EngineError, Finish, Flow, LanguageModel, LmDelta, LmUsage, Message, Prompt, Role,
    ToolChoice,
};

/// Characters of arguments in one delta (and token) of a function call.
const ARGUMENT_CHARS: usize = 8;

/// Gives the replies of a script. A word counts as a token.
#[derive(Debug)]
pub struct ScriptedLanguageModel {
    parts: Arc<Parts>,
    conversations: Mutex<HashMap<u64, Conversation>>,
    calls: AtomicU64,
}

#[derive(Debug, Default)]
struct Conversation {
    /// How many prompts were answered in order.
    replies: usize,
    /// The prompt before, which a real model would have in its cache.
    cached: Vec<Message>,
}

impl ScriptedLanguageModel {
    pub(super) fn new(parts: Arc<Parts>) -> Self {
        Self {
            parts,
            conversations: Mutex::default(),
            calls: AtomicU64::new(1),
        }
    }

    fn conversations(&self) -> MutexGuard<'_, HashMap<u64, Conversation>> {
        // Counters are valid at every step.
        self.conversations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The reply to `prompt`, and the tokens of it that were in the cache.
    fn begin(&self, prompt: &Prompt) -> (Option<&Reply>, u32) {
        let mut conversations = self.conversations();
        let conversation = conversations.entry(prompt.conversation).or_default();
        let cached = prompt
            .messages
            .iter()
            .zip(&conversation.cached)
            .take_while(|(now, before)| now == before)
            .map(|(message, _)| tokens(message))
            .sum();
        conversation.cached.clone_from(&prompt.messages);

        let (matched, ordered): (Vec<_>, Vec<_>) = self
            .parts
            .replies
            .iter()
            .partition(|reply| reply.is_matched());
        let user = last_user_text(prompt).to_lowercase();
        let tool = answered_tool(prompt);
        let fits = |reply: &&Reply| {
            // A reply that is not for a tool would call it again and again.
            reply.tool.as_deref() == tool
                && reply
                    .user
                    .as_ref()
                    .is_none_or(|text| user.contains(&text.to_lowercase()))
        };
        let reply = matched.into_iter().find(fits).or_else(|| {
            let count = ordered.len().max(1);
            let turn = conversation.replies;
            conversation.replies += 1;
            ordered.get(turn % count).copied()
        });
        (reply, cached)
    }
}

impl LanguageModel for ScriptedLanguageModel {
    fn generate(
        &self,
        prompt: &Prompt,
        cancel: &Cancel,
        sink: &mut dyn FnMut(LmDelta<'_>) -> Flow,
    ) -> Result<LmUsage, EngineError> {
        let input_tokens = prompt.messages.iter().map(tokens).sum();
        let context = self.parts.model.context_tokens;
        if input_tokens as usize > context {
            return Err(EngineError::invalid_input(format_args!(
                "the prompt has {input_tokens} tokens, but the context window holds {context}"
            )));
        }
        if prompt.max_tokens == Some(0) {
            // The prompt is read ahead: no reply is given, and none is used up.
            return Ok(LmUsage {
                input_tokens,
                cached_tokens: 0,
                output_tokens: 0,
                finish: Finish::Length,
            });
        }
        let (reply, cached_tokens) = self.begin(prompt);
        let mut pace = Pace::new(reply.and_then(Reply::fault), cancel);
        let limit = prompt.max_tokens.map_or(usize::MAX, |max| max as usize);
        let mut finish = match reply.map(|reply| reply.finish) {
            Some(End::Length) => Finish::Length,
            Some(End::Stop) | None => Finish::Stop,
        };
        for token in self.reply_tokens(reply, prompt) {
            if pace.done() == limit {
                finish = Finish::Length;
                break;
            }
            let is_stopped =
                pace.next(token.delay_ms)?.is_break() || sink(token.delta()).is_break();
            if is_stopped {
                finish = Finish::Cancelled;
                break;
            }
        }
        let output_tokens = u32::try_from(pace.done()).unwrap_or(u32::MAX);
        if finish != Finish::Cancelled {
            pace.finish()?;
        }
        Ok(LmUsage {
            input_tokens,
            cached_tokens,
            output_tokens,
            finish: if cancel.is_cancelled() {
                Finish::Cancelled
            } else {
                finish
            },
        })
    }

    fn forget(&self, conversation: u64) {
        self.conversations().remove(&conversation);
    }

    fn context_tokens(&self) -> usize {
        self.parts.model.context_tokens
    }
}

impl ScriptedLanguageModel {
    fn reply_tokens(&self, reply: Option<&Reply>, prompt: &Prompt) -> Vec<Token> {
        let fill = |text: &str| text.replace("{user}", last_user_text(prompt));
        let Some(reply) = reply else {
            return words(&echo(prompt))
                .map(|word| Token::text(0, word))
                .collect();
        };
        let mut tokens: Vec<_> = if reply.deltas.is_empty() {
            words(&fill(&reply.text))
                .map(|word| Token::text(reply.token_delay_ms, word))
                .collect()
        } else {
            reply
                .deltas
                .iter()
                .map(|delta| Token::text(delta.after_ms, &fill(&delta.text)))
                .collect()
        };
        if prompt.tool_choice != ToolChoice::None {
            for call in &reply.tool_calls {
                self.push_call(call, reply.token_delay_ms, &mut tokens);
            }
        }
        // With deltas both delays add up: `delay-ms` and the first one's `after-ms`.
        if let Some(first) = tokens.first_mut() {
            first.delay_ms = match reply.deltas.first() {
                Some(delta) => reply.delay_ms + delta.after_ms,
                None => reply.delay_ms,
            };
        }
        tokens
    }

    fn push_call(&self, call: &Call, delay_ms: u64, tokens: &mut Vec<Token>) {
        let id = call
            .id
            .clone()
            .unwrap_or_else(|| format!("call_{}", self.calls.fetch_add(1, Ordering::Relaxed)));
        tokens.push(Token {
            delay_ms,
            content: Content::Call {
                id,
                name: call.name.clone(),
            },
        });
        let arguments = serde_json::Value::Object(call.arguments.clone()).to_string();
        let characters: Vec<char> = arguments.chars().collect();
        tokens.extend(characters.chunks(ARGUMENT_CHARS).map(|chunk| Token {
            delay_ms,
            content: Content::Arguments(chunk.iter().collect()),
        }));
    }
}

struct Token {
    delay_ms: u64,
    content: Content,
}

enum Content {
    Arguments(String),
    Call { id: String, name: String },
    Text(String),
}

impl Token {
    fn text(delay_ms: u64, text: &str) -> Self {
        Self {
            delay_ms,
            content: Content::Text(text.to_owned()),
        }
    }

    fn delta(&self) -> LmDelta<'_> {
        match &self.content {
            Content::Arguments(text) => LmDelta::ToolCallArguments(text),
            Content::Call { id, name } => LmDelta::ToolCallStart { id, name },
            Content::Text(text) => LmDelta::Text(text),
        }
    }
}

/// The reply without a script.
fn echo(prompt: &Prompt) -> String {
    if let Some(output) = prompt
        .messages
        .last()
        .filter(|last| last.role == Role::Tool)
    {
        return format!("The function answered: {}", output.text);
    }
    match last_user_text(prompt) {
        "" => "Hello. I repeat what you say.".to_owned(),
        text => format!("You said: {text}"),
    }
}

fn last_user_text(prompt: &Prompt) -> &str {
    prompt
        .messages
        .iter()
        .rfind(|message| message.role == Role::User)
        .map_or("", |message| message.text.trim())
}

/// The function whose output ends the prompt.
fn answered_tool(prompt: &Prompt) -> Option<&str> {
    let last = prompt.messages.last()?;
    let id = last.tool_call_id.as_deref()?;
    if last.role != Role::Tool {
        return None;
    }
    prompt
        .messages
        .iter()
        .rev()
        .flat_map(|message| &message.tool_calls)
        .find(|call| call.id == id)
        .map(|call| call.name.as_str())
}

fn tokens(message: &Message) -> u32 {
    let calls = message.tool_calls.iter();
    let words = words(&message.text).count()
        + calls
            .map(|call| words(&call.arguments).count())
            .sum::<usize>();
    u32::try_from(words).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use crate::{
        EngineErrorKind, ToolCall,
        scripted::{Script, ScriptedEngines},
    };

    use super::*;

    fn engines(script: &str) -> ScriptedEngines {
        ScriptedEngines::new(Script::parse(script).unwrap())
    }

    fn prompt(messages: &[(Role, &str)]) -> Prompt {
        Prompt {
            messages: messages
                .iter()
                .map(|(role, text)| Message::text(*role, *text))
                .collect(),
            ..Prompt::default()
        }
    }

    /// Deltas as one text each, and the result.
    fn play(
        model: &ScriptedLanguageModel,
        prompt: &Prompt,
    ) -> (Vec<String>, Result<LmUsage, EngineError>) {
        let mut deltas = Vec::new();
        let usage = model.generate(prompt, &Cancel::new(), &mut |delta| {
            deltas.push(match delta {
                LmDelta::Text(text) => text.to_owned(),
                LmDelta::ToolCallStart { id, name } => format!("<{id} {name}>"),
                LmDelta::ToolCallArguments(text) => format!("<{text}>"),
            });
            ControlFlow::Continue(())
        });
        (deltas, usage)
    }

    fn model(script: &str) -> ScriptedLanguageModel {
        engines(script).language_model()
    }

    #[test]
    fn without_a_script_it_is_an_echo() {
        let model = ScriptedEngines::default().language_model();
        let (deltas, usage) = play(
            &model,
            &prompt(&[(Role::System, "Be kind."), (Role::User, "Good day ")]),
        );
        assert_eq!(deltas, ["You", " said:", " Good", " day"]);
        assert_eq!(
            usage.unwrap(),
            LmUsage {
                input_tokens: 5,
                cached_tokens: 0,
                output_tokens: 4,
                finish: Finish::Stop,
            }
        );
        let (deltas, _) = play(&model, &prompt(&[(Role::System, "Be kind.")]));
        assert_eq!(deltas.concat(), "Hello. I repeat what you say.");
    }

    #[test]
    fn replies_come_by_text_then_in_order_for_each_conversation() {
        let model = model(
            "[[reply]]\ntext = \"first\"\n\
             [[reply]]\nuser = \"Weather\"\ntext = \"{user}? Sunny.\"\n\
             [[reply]]\ndeltas = [{ text = \"se\" }, { text = \"cond\" }]\n",
        );
        let say = |conversation, text| {
            let prompt = Prompt {
                conversation,
                ..prompt(&[(Role::User, text)])
            };
            play(&model, &prompt).0.join("|")
        };
        assert_eq!(say(1, "hi"), "first");
        assert_eq!(say(1, "the weather"), "the| weather?| Sunny.");
        assert_eq!(say(1, "hi"), "se|cond");
        assert_eq!(say(2, "hi"), "first");
        assert_eq!(say(1, "hi"), "first");
        model.forget(2);
        assert_eq!(say(2, "hi"), "first");
    }

    #[test]
    fn functions_are_called_and_their_output_is_answered() {
        let model = model(
            "[[reply]]\nuser = \"weather\"\ntext = \"Wait.\"\n\
             tool-calls = [{ name = \"look\", arguments = { city = \"Paris\" } }]\n\
             [[reply]]\ntool = \"look\"\ntext = \"Sunny.\"\n",
        );
        let mut question = prompt(&[(Role::User, "the weather?")]);
        let (deltas, usage) = play(&model, &question);
        assert_eq!(
            deltas,
            ["Wait.", "<call_1 look>", "<{\"city\":>", "<\"Paris\"}>"]
        );
        assert_eq!(usage.unwrap().output_tokens, 4);

        let mut call = Message::text(Role::Assistant, "Wait.");
        call.tool_calls.push(ToolCall {
            id: "call_1".to_owned(),
            name: "look".to_owned(),
            arguments: "{}".to_owned(),
        });
        let mut output = Message::text(Role::Tool, "21 degrees");
        output.tool_call_id = Some("call_1".to_owned());
        let mut after = question.clone();
        after.messages.extend([call, output]);
        assert_eq!(play(&model, &after).0, ["Sunny."]);
        let (deltas, _) = play(&ScriptedEngines::default().language_model(), &after);
        assert_eq!(deltas.concat(), "The function answered: 21 degrees");

        question.tool_choice = ToolChoice::None;
        assert_eq!(play(&model, &question).0, ["Wait."]);
    }

    #[test]
    fn tokens_are_limited_and_the_cache_is_counted() {
        let model = model(
            "[model]\ncontext-tokens = 5\n\
             [[reply]]\ntext = \"a b c\"\n[[reply]]\ntext = \"a\"\nfinish = \"length\"\n",
        );
        let mut first = prompt(&[(Role::System, "x y"), (Role::User, "z")]);
        first.max_tokens = Some(2);
        let (deltas, usage) = play(&model, &first);
        assert_eq!(deltas.concat(), "a b");
        assert_eq!(usage.unwrap().finish, Finish::Length);
        let second = prompt(&[(Role::System, "x y"), (Role::User, "z w v")]);
        let usage = play(&model, &second).1.unwrap();
        assert_eq!(usage.finish, Finish::Length);
        assert_eq!((usage.input_tokens, usage.cached_tokens), (5, 2));

        let long = prompt(&[(Role::User, "1 2 3 4 5 6")]);
        let error = play(&model, &long).1.unwrap_err();
        assert_eq!(error.kind(), EngineErrorKind::InvalidInput);
        assert_eq!(
            error.message(),
            "the prompt has 6 tokens, but the context window holds 5"
        );
        assert_eq!(model.context_tokens(), 5);
    }

    #[test]
    fn faults_come_after_tokens() {
        let model = model(
            "[[reply]]\ntext = \"a b c\"\nfail-after = 1\nfail-message = \"ouch\"\n\
             [[reply]]\ntext = \"a\"\nfail-after = 7\n[[reply]]\nfail-after = 0\n",
        );
        for (text, message) in [
            ("a", "ouch"),
            ("a", "the script says so"),
            ("", "the script says so"),
        ] {
            let (deltas, usage) = play(&model, &prompt(&[]));
            assert_eq!(deltas.concat(), text);
            assert_eq!(usage.unwrap_err().message(), message);
        }
    }

    #[test]
    fn hanging_and_waiting_end_with_the_cancel_flag() {
        let model = model(
            "[[reply]]\ntext = \"a b\"\nhang-after = 1\n\
             [[reply]]\ntext = \"a b\"\ntoken-delay-ms = 100000000\n\
             [[reply]]\ntext = \"a\"\nhang-after = 5\n",
        );
        for _ in 0..3 {
            let cancel = Cancel::new();
            let usage = model
                .generate(&prompt(&[]), &cancel, &mut |_| {
                    cancel.cancel();
                    ControlFlow::Continue(())
                })
                .unwrap();
            assert_eq!((usage.output_tokens, usage.finish), (1, Finish::Cancelled));
        }
    }

    #[test]
    fn the_sink_can_stop_it() {
        let model = model("[[reply]]\ntext = \"a b\"\nfail-after = 1\n");
        let usage = model
            .generate(
                &prompt(&[]),
                &Cancel::new(),
                &mut |_| ControlFlow::Break(()),
            )
            .unwrap();
        assert_eq!((usage.output_tokens, usage.finish), (1, Finish::Cancelled));
    }
}
