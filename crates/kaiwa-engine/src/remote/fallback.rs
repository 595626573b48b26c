use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use kaiwa_audio::Resampler;

use crate::{
    Cancel, EngineError, EngineErrorKind, Flow, LanguageModel, LmDelta, LmUsage, Prompt, Speech,
    SttDelta, SttOptions, Synthesizer, Transcriber, Transcript, VoiceSpec,
};

/// How long an engine that could not be reached is not asked again.
const REST: Duration = Duration::from_secs(30);

/// An engine, and the one that works when it fails.
///
/// The second is asked only when nothing of the first one's answer was passed on: half an
/// answer is not continued by somebody else. An engine that cannot be reached or says nothing is
/// left alone for 30 s, in which nobody waits for it. A prompt that is too long goes back to
/// whoever can shorten it.
pub struct Fallback<T: ?Sized> {
    first: Arc<T>,
    second: Arc<T>,
    rest: Duration,
    resting: Mutex<Option<Instant>>,
}

impl<T: ?Sized> Fallback<T> {
    /// `second` works when `first` fails.
    pub fn new(first: Arc<T>, second: Arc<T>) -> Self {
        Self {
            first,
            second,
            rest: REST,
            resting: Mutex::default(),
        }
    }

    /// Asks the first, then the second. `ask` says whether anything was passed on.
    fn run<R>(
        &self,
        cancel: &Cancel,
        mut ask: impl FnMut(&T, &mut bool) -> Result<R, EngineError>,
    ) -> Result<R, EngineError> {
        let mut begun = false;
        if !self.is_resting() {
            match ask(&self.first, &mut begun) {
                Err(error) if !begun && !cancel.is_cancelled() && is_for_another(error.kind()) => {
                    tracing::warn!(%error, "the fallback works instead");
                    if matches!(
                        error.kind(),
                        EngineErrorKind::Timeout | EngineErrorKind::Unreachable
                    ) {
                        *self.resting() = Instant::now().checked_add(self.rest);
                    }
                }
                result => return result,
            }
        }
        ask(&self.second, &mut begun)
    }

    fn is_resting(&self) -> bool {
        self.resting().is_some_and(|until| Instant::now() < until)
    }

    fn resting(&self) -> MutexGuard<'_, Option<Instant>> {
        // A moment is valid at every step.
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_for_another(kind: EngineErrorKind) -> bool {
    kind != EngineErrorKind::PromptTooLong
}

impl Transcriber for Fallback<dyn Transcriber> {
    fn transcribe(
        &self,
        turn: &[f32],
        options: &SttOptions,
        cancel: &Cancel,
        sink: &mut dyn FnMut(SttDelta<'_>) -> Flow,
    ) -> Result<Transcript, EngineError> {
        self.run(cancel, |engine, begun| {
            engine.transcribe(turn, options, cancel, &mut |delta| {
                *begun = true;
                sink(delta)
            })
        })
    }
}

impl LanguageModel for Fallback<dyn LanguageModel> {
    fn generate(
        &self,
        prompt: &Prompt,
        cancel: &Cancel,
        sink: &mut dyn FnMut(LmDelta<'_>) -> Flow,
    ) -> Result<LmUsage, EngineError> {
        self.run(cancel, |engine, begun| {
            engine.generate(prompt, cancel, &mut |delta| {
                *begun = true;
                sink(delta)
            })
        })
    }

    fn forget(&self, conversation: u64) {
        self.first.forget(conversation);
        self.second.forget(conversation);
    }

    fn context_tokens(&self) -> usize {
        self.first
            .context_tokens()
            .min(self.second.context_tokens())
    }
}

impl Synthesizer for Fallback<dyn Synthesizer> {
    fn sample_rate(&self) -> u32 {
        self.first.sample_rate()
    }

    fn voices(&self) -> Vec<String> {
        self.first.voices()
    }

    /// The second one's speech comes at the first one's rate.
    fn speak(
        &self,
        text: &str,
        voice: &VoiceSpec,
        cancel: &Cancel,
        sink: &mut dyn FnMut(Speech<'_>) -> Flow,
    ) -> Result<(), EngineError> {
        let rate = self.sample_rate();
        self.run(cancel, |engine, begun| {
            let from = engine.sample_rate();
            if from == rate {
                return engine.speak(text, voice, cancel, &mut |speech| {
                    *begun = true;
                    sink(speech)
                });
            }
            let mut resampler = Resampler::new(from, rate);
            let mut stopped = false;
            engine.speak(text, voice, cancel, &mut |speech| {
                *begun = true;
                let mut pcm = Vec::new();
                resampler.process(speech.pcm, &mut pcm);
                // The words' places would have to be counted anew: they are spread instead.
                let flow = sink(Speech {
                    pcm: &pcm,
                    words: &[],
                });
                stopped = flow.is_break();
                flow
            })?;
            if *begun && !stopped {
                let mut pcm = Vec::new();
                resampler.flush(&mut pcm);
                // It is all there is, whether or not more is wanted.
                let _ = sink(Speech {
                    pcm: &pcm,
                    words: &[],
                });
            }
            Ok(())
        })
    }
}

impl<T: ?Sized> fmt::Debug for Fallback<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        ops::ControlFlow,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use super::*;
    use crate::{
        Finish, Message, Role,
        scripted::{Script, ScriptedEngines},
    };

    /// Says `words` and then fails.
    struct Failing {
        kind: EngineErrorKind,
        words: Option<&'static str>,
        asked: AtomicUsize,
    }

    impl Failing {
        fn new(kind: EngineErrorKind, words: Option<&'static str>) -> Arc<Self> {
            Arc::new(Self {
                kind,
                words,
                asked: AtomicUsize::new(0),
            })
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::Relaxed)
        }
    }

    impl LanguageModel for Failing {
        fn generate(
            &self,
            _: &Prompt,
            _: &Cancel,
            sink: &mut dyn FnMut(LmDelta<'_>) -> Flow,
        ) -> Result<LmUsage, EngineError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if let Some(words) = self.words {
                let _ = sink(LmDelta::Text(words));
            }
            Err(EngineError::new(self.kind, "the first fails"))
        }

        fn forget(&self, _: u64) {}

        fn context_tokens(&self) -> usize {
            1
        }
    }

    impl Synthesizer for Failing {
        fn sample_rate(&self) -> u32 {
            12_000
        }

        fn voices(&self) -> Vec<String> {
            Vec::new()
        }

        fn speak(
            &self,
            _: &str,
            _: &VoiceSpec,
            _: &Cancel,
            _: &mut dyn FnMut(Speech<'_>) -> Flow,
        ) -> Result<(), EngineError> {
            Err(EngineError::new(self.kind, "the first fails"))
        }
    }

    fn scripted() -> ScriptedEngines {
        let script = "[[reply]]\ntext = \"I am the second.\"\n";
        ScriptedEngines::new(Script::parse(script).expect("a script"))
    }

    fn fallback(first: &Arc<Failing>) -> Fallback<dyn LanguageModel> {
        let first = Arc::clone(first);
        Fallback::new(first, Arc::new(scripted().language_model()))
    }

    fn ask(model: &dyn LanguageModel, cancel: &Cancel) -> (String, Result<LmUsage, EngineError>) {
        let prompt = Prompt {
            messages: vec![Message::text(Role::User, "Hello")],
            ..Prompt::default()
        };
        let mut text = String::new();
        let result = model.generate(&prompt, cancel, &mut |delta| {
            if let LmDelta::Text(piece) = delta {
                text.push_str(piece);
            }
            ControlFlow::Continue(())
        });
        (text, result)
    }

    #[test]
    fn the_second_answers_when_the_first_has_said_nothing() {
        let first = Failing::new(EngineErrorKind::Failed, None);
        let model = fallback(&first);
        for asked in 1..=2 {
            let (text, result) = ask(&model, &Cancel::new());
            assert_eq!(text, "I am the second.");
            assert_eq!(result.expect("an answer").finish, Finish::Stop);
            assert_eq!(first.asked(), asked);
        }
    }

    #[test]
    fn an_engine_that_is_away_is_left_alone_for_a_while() {
        let first = Failing::new(EngineErrorKind::Unreachable, None);
        let mut model = fallback(&first);
        for _ in 0..3 {
            assert_eq!(ask(&model, &Cancel::new()).0, "I am the second.");
        }
        assert_eq!(first.asked(), 1);
        model.rest = Duration::ZERO;
        *model.resting() = None;
        for _ in 0..3 {
            assert_eq!(ask(&model, &Cancel::new()).0, "I am the second.");
        }
        assert_eq!(first.asked(), 4);
    }

    #[test]
    fn half_an_answer_a_long_prompt_and_a_cancelled_one_are_left_to_the_first() {
        let first = Failing::new(EngineErrorKind::Failed, Some("I was"));
        let (text, result) = ask(&fallback(&first), &Cancel::new());
        assert_eq!(text, "I was");
        assert_eq!(result.expect_err("half").message(), "the first fails");

        let first = Failing::new(EngineErrorKind::PromptTooLong, None);
        let (_, result) = ask(&fallback(&first), &Cancel::new());
        assert_eq!(
            result.expect_err("too long").kind(),
            EngineErrorKind::PromptTooLong
        );

        let first = Failing::new(EngineErrorKind::Failed, None);
        let cancel = Cancel::new();
        cancel.cancel();
        let (text, result) = ask(&fallback(&first), &cancel);
        assert_eq!((text.as_str(), result.is_err()), ("", true));
    }

    #[test]
    fn speech_keeps_the_first_ones_rate() {
        let second: Arc<dyn Synthesizer> = Arc::new(scripted().synthesizer());
        let first = Failing::new(EngineErrorKind::Failed, None);
        let voices: Fallback<dyn Synthesizer> = Fallback::new(first, Arc::clone(&second));
        let voice = VoiceSpec {
            name: String::new(),
            speed: 1.0,
        };
        let spoken = |engine: &dyn Synthesizer| {
            let mut samples = 0;
            let mut words = 0;
            engine
                .speak("one two", &voice, &Cancel::new(), &mut |speech| {
                    samples += speech.pcm.len();
                    words += speech.words.len();
                    ControlFlow::Continue(())
                })
                .expect("speech");
            (samples, words)
        };
        let (samples, words) = spoken(&*second);
        assert_eq!((second.sample_rate(), words), (24_000, 2));
        assert_eq!(spoken(&voices), (samples / 2, 0));
    }
}
