//! Engines that play a script instead of thinking: `--engine scripted`.
//!
//! All roles, without a model file: voice activity by loudness, ends of turns, transcripts
//! and replies from a file, speech as one tone per word with exact timings. For trying the
//! server without models, for clients' tests, and for faults on demand. Nothing here is
//! random; a delay is part of the behaviour that was asked for, and ends early when the
//! job is cancelled.
//!
//! [`Script::default`] is an empty script, which makes an echo: a turn of 1.2 s is
//! transcribed as "I spoke for 1.2 seconds." (a silent one as nothing), and the reply to
//! any text is "You said: …".
//!
//! # The file
//!
//! TOML. Every table and key may be left out.
//!
//! ```toml
//! [vad]
//! # Loudness (RMS of a 32 ms frame, full scale is 1.0) that counts as speech with
//! # probability 0.5. The probability is rms² / (rms² + threshold²).
//! threshold = 0.01
//!
//! # How sure it is, 0.0 to 1.0, that somebody who paused is done. One with `min-ms` or
//! # `max-ms` answers when the turn up to now, the pause included, has such a length. The
//! # others answer in order and then from the first one again. Without any, it is sure.
//! [[turn]]
//! complete = 0.2
//! delay-ms = 40          # before the answer
//!
//! [[turn]]
//! min-ms = 3000
//! complete = 0.9
//! fail-message = "the ear melted"   # fails with this instead
//!
//! # Transcripts. One with `min-ms` or `max-ms` answers any turn of such a length. The
//! # others answer the remaining turns in order and then from the first one again. The
//! # order is the engine's: sessions that share the engine share it.
//! [[transcript]]
//! text = "What is the weather like in Paris?"
//! language = "en"        # told if the client named none
//! delay-ms = 120         # before the first word
//! word-delay-ms = 15     # before every further word
//!
//! [[transcript]]
//! max-ms = 200           # turns of at most 200 ms
//! text = ""              # are taken for a cough
//!
//! [[transcript]]
//! text = "This will not work."
//! fail-after = 2         # fails after two words,
//! fail-message = "the microphone melted"
//!
//! # Replies. One with `user` answers every prompt whose last user message contains that
//! # text (in any case); one with `tool` answers a prompt that ends with the output of that
//! # function. The first that matches is taken. The others answer the remaining prompts of
//! # each conversation in order and then from the first one again.
//! [[reply]]
//! user = "weather"
//! text = "Let me look."
//! delay-ms = 200         # before the first token
//! token-delay-ms = 20    # before every further token (a word, or a piece of arguments)
//! tool-calls = [{ name = "get_weather", arguments = { city = "Paris" } }]
//!
//! [[reply]]
//! tool = "get_weather"
//! # Text as a list of deltas, each with the time it takes.
//! deltas = [
//!   { after-ms = 150, text = "It is sunny" },
//!   { after-ms = 900, text = " in Paris." },
//! ]
//!
//! [[reply]]
//! text = "You said {user}, and now I will hang."   # {user}: the last user message
//! hang-after = 6         # after six tokens: nothing more until cancelled
//!
//! [[reply]]
//! text = "This is as far as I"
//! finish = "length"      # as if the token limit had been reached
//!
//! [model]
//! context-tokens = 4096  # longer prompts are refused; a word counts as a token
//!
//! [voice]
//! names = ["tone"]       # the first is the default
//! rate = 24000           # Hz
//! ms-per-char = 60       # a word takes this for each of its characters, and as much
//!                        # again in silence when a word follows
//! wave = "tone"          # or "noise"
//! delay-ms = 0           # before the first word of a text
//! word-delay-ms = 0      # before every further word
//!
//! # What is special about speaking certain texts; the first that matches is taken.
//! [[speech]]
//! text = "boom"          # texts that contain this
//! delay-ms = 500
//! fail-after = 1         # in words; `hang-after` as well
//! ```

mod end_of_turn;
mod engines;
mod language_model;
mod pace;
mod script;
mod synthesizer;
mod transcriber;
mod vad;

pub use end_of_turn::ScriptedEndOfTurn;
pub use engines::ScriptedEngines;
pub use language_model::ScriptedLanguageModel;
pub use script::{Script, ScriptError};
pub use synthesizer::ScriptedSynthesizer;
pub use transcriber::ScriptedTranscriber;
pub use vad::ScriptedVoiceActivity;
