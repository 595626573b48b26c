//! One job on one engine: the blocking call, its results, its failure.

use std::{
    any::Any,
    panic::{self, AssertUnwindSafe},
};

use kaiwa_engine::{
    Cancel, EndOfTurn, EngineError, EngineErrorKind, Finish, Flow, LanguageModel, LmDelta, Message,
    Prompt, Role, Sampling, SttOptions, Synthesizer, ToolCall, ToolChoice, ToolSpec, Transcriber,
    VoiceSpec,
};
use kaiwa_session::{
    EngineEvent, Generate, JobId, PROMPT_TOO_LONG, PromptMessage, PromptRole, PromptToolChoice,
    Word,
};
use tokio::sync::mpsc;

/// What an engine says about a job, on its way to the session.
pub(crate) type JobResult = (JobId, EngineEvent);

/// A job on a worker thread.
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) cancel: Cancel,
    pub(crate) results: mpsc::Sender<JobResult>,
    pub(crate) span: tracing::Span,
}

impl Job {
    pub(crate) fn transcribe(self, engine: &dyn Transcriber, audio: &[f32], options: &SttOptions) {
        self.run("the transcriber", |job| {
            let transcript = engine.transcribe(audio, options, &job.cancel, &mut |delta| {
                job.emit(EngineEvent::TranscriptDelta {
                    text: delta.text.to_owned(),
                })
            })?;
            Ok(EngineEvent::Transcript {
                text: transcript.text,
                language: transcript.language,
                logprobs: transcript
                    .tokens
                    .into_iter()
                    .map(|token| (token.text, token.logprob))
                    .collect(),
            })
        });
    }

    pub(crate) fn judge(self, engine: Option<&dyn EndOfTurn>, audio: &[f32]) {
        self.run("the turn detector", |job| match engine {
            Some(engine) => Ok(EngineEvent::TurnJudged {
                probability: engine.judge(audio, &job.cancel)?,
            }),
            None => Err(EngineError::new(
                EngineErrorKind::Unsupported,
                "no engine judges turns here",
            )),
        });
    }

    pub(crate) fn generate(self, engine: &dyn LanguageModel, prompt: &Prompt) {
        self.run("the language model", |job| {
            let usage = engine.generate(prompt, &job.cancel, &mut |delta| {
                job.emit(match delta {
                    LmDelta::Text(text) => EngineEvent::Text {
                        text: text.to_owned(),
                    },
                    LmDelta::ToolCallStart { id, name } => EngineEvent::CallStart {
                        call_id: id.to_owned(),
                        name: name.to_owned(),
                    },
                    LmDelta::ToolCallArguments(text) => EngineEvent::CallArguments {
                        text: text.to_owned(),
                    },
                })
            })?;
            let truncated = match usage.finish {
                Finish::Stop => false,
                Finish::Length => true,
                Finish::Cancelled => {
                    return Err(EngineError::failed(
                        "the language model stopped without being asked to",
                    ));
                }
            };
            Ok(EngineEvent::Generated {
                input_tokens: usage.input_tokens,
                cached_tokens: usage.cached_tokens,
                output_tokens: usage.output_tokens,
                truncated,
            })
        });
    }

    pub(crate) fn speak(self, engine: &dyn Synthesizer, text: &str, voice: &VoiceSpec) {
        self.run("the synthesizer", |job| {
            let rate = engine.sample_rate();
            engine.speak(text, voice, &job.cancel, &mut |speech| {
                job.emit(EngineEvent::Speech {
                    pcm: speech.pcm.to_vec(),
                    rate,
                    words: speech
                        .words
                        .iter()
                        .map(|word| Word {
                            text: word.text.clone(),
                            samples: samples(word.samples.start)..samples(word.samples.end),
                        })
                        .collect(),
                })
            })?;
            Ok(EngineEvent::Spoken)
        });
    }

    /// Runs the engine and reports how it ended, unless nobody wants to know any more.
    fn run(self, engine: &str, work: impl FnOnce(&Self) -> Result<EngineEvent, EngineError>) {
        if self.cancel.is_cancelled() {
            return;
        }
        let _entered = self.span.enter();
        let last = match panic::catch_unwind(AssertUnwindSafe(|| work(&self))) {
            Ok(Ok(event)) => event,
            // What a cancelled job made of it is no failure.
            Ok(Err(_)) if self.cancel.is_cancelled() => return,
            Ok(Err(error)) => {
                tracing::warn!(job = self.id.0, %error, "{engine} failed");
                failed(&error)
            }
            Err(panic) => {
                tracing::error!(
                    job = self.id.0,
                    panic = panic_text(&*panic),
                    "{engine} panicked"
                );
                panicked(engine)
            }
        };
        // A session that is gone needs no last word.
        let _ = self.emit(last);
    }

    /// Waits until the session takes the event: this is what slows an engine down to the
    /// pace of its client.
    fn emit(&self, event: EngineEvent) -> Flow {
        if self.cancel.is_cancelled() {
            return Flow::Break(());
        }
        match self.results.blocking_send((self.id, event)) {
            Ok(()) => Flow::Continue(()),
            Err(_) => {
                self.cancel.cancel();
                Flow::Break(())
            }
        }
    }
}

/// A prompt for the conversation with the given key, from what the session knows.
pub(crate) fn prompt(conversation: u64, seed: u32, generate: Generate) -> Prompt {
    Prompt {
        conversation,
        messages: generate.messages.into_iter().map(message).collect(),
        tools: generate
            .tools
            .into_iter()
            .map(|tool| ToolSpec {
                name: tool.name,
                description: tool.description,
                parameters: tool.parameters,
            })
            .collect(),
        tool_choice: match generate.tool_choice {
            PromptToolChoice::Auto => ToolChoice::Auto,
            PromptToolChoice::None => ToolChoice::None,
            PromptToolChoice::Required => ToolChoice::Required,
            PromptToolChoice::Function(name) => ToolChoice::Function(name),
        },
        max_tokens: generate.max_tokens,
        sampling: Sampling {
            seed,
            ..Sampling::default()
        },
    }
}

fn message(message: PromptMessage) -> Message {
    Message {
        role: match message.role {
            PromptRole::System => Role::System,
            PromptRole::User => Role::User,
            PromptRole::Assistant => Role::Assistant,
            PromptRole::Tool => Role::Tool,
        },
        text: message.text,
        images: message.images,
        tool_calls: message
            .calls
            .into_iter()
            .map(|call| ToolCall {
                id: call.call_id,
                name: call.name,
                arguments: call.arguments,
            })
            .collect(),
        tool_call_id: message.call_id,
    }
}

/// An engine's failure in the words of the session.
pub(crate) fn failed(error: &EngineError) -> EngineEvent {
    if let Some(event) = too_long(error) {
        return event;
    }
    let code = match error.kind() {
        EngineErrorKind::InvalidInput => "engine_invalid_input",
        EngineErrorKind::Model => "engine_model_unavailable",
        EngineErrorKind::PromptTooLong => PROMPT_TOO_LONG,
        EngineErrorKind::Timeout => "engine_timeout",
        EngineErrorKind::Unauthorized => "engine_unauthorized",
        EngineErrorKind::Unreachable => "engine_unreachable",
        EngineErrorKind::Unsupported => "engine_unsupported",
        // `Failed`, and kinds that are added later.
        _ => "server_error",
    };
    let mut message = error.message().to_owned();
    if !message.ends_with('.') {
        message.push('.');
    }
    EngineEvent::Failed {
        code: code.to_owned(),
        message,
    }
}

/// A prompt that does not fit the language model's context, as the engines that count say
/// it: "the prompt has 5000 tokens, 4095 fit the language model's window".
fn too_long(error: &EngineError) -> Option<EngineEvent> {
    if error.kind() != EngineErrorKind::InvalidInput {
        return None;
    }
    let numbers = error.message().strip_prefix("the prompt has ")?;
    let mut numbers = numbers
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok());
    Some(EngineEvent::PromptTooLong {
        tokens: numbers.next()?,
        limit: numbers.next()?,
    })
}

/// What the session hears of an engine that panicked: not the panic's text, which is for
/// the log.
pub(crate) fn panicked(engine: &str) -> EngineEvent {
    EngineEvent::Failed {
        code: "server_error".to_owned(),
        message: format!("An internal error stopped {engine}."),
    }
}

/// The text of a caught panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

/// A position in a piece of speech. Pieces are seconds long, 2^32 samples are a day.
fn samples(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use kaiwa_engine::{LmUsage, Speech, SttDelta, Transcript};

    use super::*;

    type Sink<'a> = &'a mut dyn FnMut(SttDelta<'_>) -> Flow;

    struct Fake(fn(Sink<'_>) -> Result<Transcript, EngineError>);

    impl Transcriber for Fake {
        fn transcribe(
            &self,
            _turn: &[f32],
            _options: &SttOptions,
            _cancel: &Cancel,
            sink: &mut dyn FnMut(SttDelta<'_>) -> Flow,
        ) -> Result<Transcript, EngineError> {
            self.0(sink)
        }
    }

    fn job(capacity: usize) -> (Job, mpsc::Receiver<JobResult>) {
        let (results, received) = mpsc::channel(capacity);
        let job = Job {
            id: JobId(7),
            cancel: Cancel::new(),
            results,
            span: tracing::Span::none(),
        };
        (job, received)
    }

    fn events(mut received: mpsc::Receiver<JobResult>) -> Vec<EngineEvent> {
        std::iter::from_fn(|| received.blocking_recv())
            .map(|(id, event)| {
                assert_eq!(id, JobId(7));
                event
            })
            .collect()
    }

    #[test]
    fn results_come_in_order_and_end_with_the_transcript() {
        let (job, received) = job(8);
        let engine = Fake(|sink| {
            assert!(sink(SttDelta { text: "Good " }).is_continue());
            assert!(sink(SttDelta { text: "day" }).is_continue());
            Ok(Transcript {
                text: "Good day".into(),
                ..Transcript::default()
            })
        });
        job.transcribe(&engine, &[], &SttOptions::default());
        assert_eq!(
            events(received),
            [
                EngineEvent::TranscriptDelta {
                    text: "Good ".into()
                },
                EngineEvent::TranscriptDelta { text: "day".into() },
                EngineEvent::Transcript {
                    text: "Good day".into(),
                    language: None,
                    logprobs: Vec::new()
                },
            ]
        );
    }

    #[test]
    fn a_failure_keeps_its_kind_and_sentence() {
        let (job, received) = job(8);
        let engine = Fake(|_| Err(EngineError::invalid_input("the turn is too long")));
        job.transcribe(&engine, &[], &SttOptions::default());
        assert_eq!(
            events(received),
            [EngineEvent::Failed {
                code: "engine_invalid_input".into(),
                message: "the turn is too long.".into()
            }]
        );
    }

    #[test]
    fn a_panic_becomes_a_failure_without_its_text() {
        let (job, received) = job(8);
        let engine = Fake(|_| panic!("secret detail"));
        job.transcribe(&engine, &[], &SttOptions::default());
        let events = events(received);
        let [EngineEvent::Failed { code, message }] = events.as_slice() else {
            panic!("expected one failure, got {events:?}");
        };
        assert_eq!(code, "server_error");
        assert!(!message.contains("secret"), "{message}");
    }

    #[test]
    fn a_cancelled_job_says_nothing() {
        let (job, received) = job(8);
        job.cancel.cancel();
        let engine = Fake(|_| panic!("the engine must not be called"));
        job.transcribe(&engine, &[], &SttOptions::default());
        assert_eq!(events(received), []);
    }

    #[test]
    fn a_session_that_is_gone_stops_the_engine() {
        let (job, received) = job(8);
        let cancel = job.cancel.clone();
        drop(received);
        let engine = Fake(|sink| {
            assert!(sink(SttDelta { text: "a" }).is_break());
            Ok(Transcript::default())
        });
        job.transcribe(&engine, &[], &SttOptions::default());
        assert!(cancel.is_cancelled());
    }

    #[test]
    fn a_prompt_that_is_too_long_is_told_in_numbers() {
        for (message, expected) in [
            (
                "the prompt has 5000 tokens, 4095 fit the language model's window",
                Some((5000, 4095)),
            ),
            (
                "the prompt has 6 tokens, but the context window holds 5",
                Some((6, 5)),
            ),
            ("the prompt has no tokens", None),
            (
                "a call of f is required, but no such function is given",
                None,
            ),
        ] {
            let numbers = match failed(&EngineError::invalid_input(message)) {
                EngineEvent::PromptTooLong { tokens, limit } => Some((tokens, limit)),
                EngineEvent::Failed { .. } => None,
                other => panic!("{other:?}"),
            };
            assert_eq!(numbers, expected, "{message}");
        }
    }

    #[test]
    fn an_engine_that_fails_because_it_was_cancelled_says_nothing() {
        struct GivesUp;
        impl Transcriber for GivesUp {
            fn transcribe(
                &self,
                _turn: &[f32],
                _options: &SttOptions,
                cancel: &Cancel,
                _sink: &mut dyn FnMut(SttDelta<'_>) -> Flow,
            ) -> Result<Transcript, EngineError> {
                cancel.cancel();
                Err(EngineError::failed("half a turn"))
            }
        }
        let (job, received) = job(8);
        job.transcribe(&GivesUp, &[], &SttOptions::default());
        assert_eq!(events(received), []);
    }

    #[test]
    fn a_full_channel_holds_the_engine_back() {
        struct Endless;
        impl Synthesizer for Endless {
            fn sample_rate(&self) -> u32 {
                24_000
            }
            fn voices(&self) -> Vec<String> {
                vec!["one".into()]
            }
            fn speak(
                &self,
                _text: &str,
                _voice: &VoiceSpec,
                _cancel: &Cancel,
                sink: &mut dyn FnMut(Speech<'_>) -> Flow,
            ) -> Result<(), EngineError> {
                let speech = Speech {
                    pcm: &[0.0; 10],
                    words: &[],
                };
                while sink(speech).is_continue() {}
                Ok(())
            }
        }
        let (job, mut received) = job(2);
        let worker = thread::spawn(move || {
            let voice = VoiceSpec {
                name: String::new(),
                speed: 1.0,
            };
            job.speak(&Endless, "x", &voice);
        });
        for _ in 0..10 {
            assert!(received.blocking_recv().is_some());
            assert!(received.len() <= 2);
        }
        drop(received);
        worker.join().expect("the engine stops");
    }

    #[test]
    fn how_a_generation_ended_is_reported() {
        struct Once(Finish);
        impl LanguageModel for Once {
            fn generate(
                &self,
                _prompt: &Prompt,
                _cancel: &Cancel,
                sink: &mut dyn FnMut(LmDelta<'_>) -> Flow,
            ) -> Result<LmUsage, EngineError> {
                let _ = sink(LmDelta::ToolCallStart { id: "c", name: "f" });
                let _ = sink(LmDelta::ToolCallArguments("{}"));
                Ok(LmUsage {
                    input_tokens: 3,
                    cached_tokens: 2,
                    output_tokens: 1,
                    finish: self.0,
                })
            }
            fn forget(&self, _conversation: u64) {}
            fn context_tokens(&self) -> usize {
                8
            }
        }
        for (finish, last) in [
            (
                Finish::Stop,
                EngineEvent::Generated {
                    input_tokens: 3,
                    cached_tokens: 2,
                    output_tokens: 1,
                    truncated: false,
                },
            ),
            (
                Finish::Length,
                EngineEvent::Generated {
                    input_tokens: 3,
                    cached_tokens: 2,
                    output_tokens: 1,
                    truncated: true,
                },
            ),
            (
                Finish::Cancelled,
                EngineEvent::Failed {
                    code: "server_error".into(),
                    message: "the language model stopped without being asked to.".into(),
                },
            ),
        ] {
            let (job, received) = job(8);
            job.generate(&Once(finish), &Prompt::default());
            let expected = [
                EngineEvent::CallStart {
                    call_id: "c".into(),
                    name: "f".into(),
                },
                EngineEvent::CallArguments { text: "{}".into() },
                last,
            ];
            assert_eq!(events(received), expected, "{finish:?}");
        }
    }
}
