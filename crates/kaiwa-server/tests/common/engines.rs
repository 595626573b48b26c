//! Engines that do exactly what a test says.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use kaiwa_engine::{
    Cancel, EngineError, Finish, Flow, LanguageModel, LmDelta, LmUsage, Prompt, Role, Speech,
    SpokenWord, SttDelta, SttOptions, Synthesizer, Transcriber, Transcript, VoiceActivity,
    VoiceSpec,
};
use kaiwa_server::Engines;

/// Speech is whatever is louder than this (root of the mean square).
const LOUD: f32 = 0.05;

/// Samples of speech the fake voice makes of one byte of text: 40 ms at 24 kHz.
pub(crate) const SAMPLES_PER_BYTE: usize = 960;

/// What a test's engines saw.
#[derive(Default)]
pub(crate) struct Fakes {
    /// Generations that ended because they were cancelled or nobody listened.
    pub(crate) stopped: AtomicUsize,
    /// Deltas of text that were accepted.
    pub(crate) deltas: AtomicUsize,
    /// Calls of `forget`.
    pub(crate) forgotten: Mutex<Vec<u64>>,
    /// Conversations that were generated for.
    pub(crate) conversations: Mutex<Vec<u64>>,
}

impl Fakes {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    pub(crate) fn engines(self: &Arc<Self>) -> Engines {
        Engines {
            voice_activity: Arc::new(|| Ok(Box::new(Loudness))),
            end_of_turn: None,
            transcriber: Arc::new(Ears),
            language_model: Arc::new(Mind(Arc::clone(self))),
            synthesizer: Arc::new(Tone),
        }
    }
}

struct Loudness;

impl VoiceActivity for Loudness {
    fn frame_samples(&self) -> usize {
        512
    }

    fn push(&mut self, frame: &[f32]) -> Result<f32, EngineError> {
        let energy = frame.iter().map(|sample| sample * sample).sum::<f32>();
        let loudness = (energy / frame.len() as f32).sqrt();
        Ok(if loudness > LOUD { 0.95 } else { 0.02 })
    }

    fn reset(&mut self) {}
}

/// Hears how long the turn was.
struct Ears;

impl Transcriber for Ears {
    fn transcribe(
        &self,
        turn: &[f32],
        _options: &SttOptions,
        _cancel: &Cancel,
        sink: &mut dyn FnMut(SttDelta<'_>) -> Flow,
    ) -> Result<Transcript, EngineError> {
        let text = if turn.is_empty() { "nothing" } else { "a tone" };
        let _ = sink(SttDelta { text });
        Ok(Transcript {
            text: text.into(),
            language: Some("en".into()),
            ..Transcript::default()
        })
    }
}

/// Answers "You said: ..." unless told otherwise.
struct Mind(Arc<Fakes>);

impl LanguageModel for Mind {
    fn generate(
        &self,
        prompt: &Prompt,
        cancel: &Cancel,
        sink: &mut dyn FnMut(LmDelta<'_>) -> Flow,
    ) -> Result<LmUsage, EngineError> {
        if prompt.max_tokens == Some(0) {
            return Ok(usage(Finish::Length));
        }
        self.0
            .conversations
            .lock()
            .unwrap()
            .push(prompt.conversation);
        let said = prompt
            .messages
            .iter()
            .rev()
            .find(|message| message.role == Role::User)
            .map_or("", |message| message.text.as_str());
        match said {
            "fail" => return Err(EngineError::failed("the fake language model fails")),
            "call"
                if prompt
                    .messages
                    .last()
                    .is_some_and(|last| last.role != Role::Tool) =>
            {
                for id in ["call_1", "call_2"] {
                    let _ = sink(LmDelta::ToolCallStart { id, name: "look" });
                    let _ = sink(LmDelta::ToolCallArguments("{\"at\":"));
                    let _ = sink(LmDelta::ToolCallArguments("1}"));
                }
                return Ok(usage(Finish::Stop));
            }
            "wait" => {
                while !cancel.is_cancelled() {
                    std::thread::yield_now();
                }
                self.0.stopped.fetch_add(1, Ordering::SeqCst);
                return Ok(usage(Finish::Cancelled));
            }
            "be cut" => {
                let _ = sink(LmDelta::Text("as much as"));
                return Ok(usage(Finish::Length));
            }
            "panic" => panic!("the fake language model panics on purpose"),
            "talk forever" => {
                while !cancel.is_cancelled()
                    && sink(LmDelta::Text("and on it goes. ")).is_continue()
                {
                    self.0.deltas.fetch_add(1, Ordering::SeqCst);
                }
                self.0.stopped.fetch_add(1, Ordering::SeqCst);
                return Ok(usage(Finish::Cancelled));
            }
            said => {
                for piece in ["You said: ", said, "."] {
                    if sink(LmDelta::Text(piece)).is_break() {
                        return Ok(usage(Finish::Cancelled));
                    }
                }
            }
        }
        Ok(usage(Finish::Stop))
    }

    fn forget(&self, conversation: u64) {
        self.0.forgotten.lock().unwrap().push(conversation);
    }

    fn context_tokens(&self) -> usize {
        4096
    }
}

fn usage(finish: Finish) -> LmUsage {
    LmUsage {
        input_tokens: 10,
        cached_tokens: 4,
        output_tokens: 5,
        finish,
    }
}

/// Speaks a tone as long as the text.
struct Tone;

impl Synthesizer for Tone {
    fn sample_rate(&self) -> u32 {
        24_000
    }

    fn voices(&self) -> Vec<String> {
        vec!["tone".into()]
    }

    fn speak(
        &self,
        text: &str,
        _voice: &VoiceSpec,
        cancel: &Cancel,
        sink: &mut dyn FnMut(Speech<'_>) -> Flow,
    ) -> Result<(), EngineError> {
        if text.contains("mute") {
            return Err(EngineError::failed("the fake voice is mute"));
        }
        if cancel.is_cancelled() {
            return Ok(());
        }
        let pcm: Vec<f32> = (0..text.len() * SAMPLES_PER_BYTE)
            .map(|n| (n as f32 * 0.05).sin() * 0.3)
            .collect();
        let words = [SpokenWord {
            text: 0..text.len(),
            samples: 0..pcm.len(),
        }];
        let _ = sink(Speech {
            pcm: &pcm,
            words: &words,
        });
        Ok(())
    }
}
