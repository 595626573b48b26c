//! Text to speech in this process, on the CPU.
//!
//! * [`English`] reads text: numbers, dates, addresses and markup become words, words
//!   become phonemes. It uses the dictionaries that come with the hibari voice.
//! * [`Hibari`] and [`Piper`] turn phonemes into sound.
//! * [`LocalVoices`] holds several voices behind one [`Synthesizer`](crate::Synthesizer).
//!
//! Long text is spoken in pieces: a sentence each, or a clause of a long one; the first
//! piece of a call is kept short. Every piece is trimmed to 20 ms of silence on both sides,
//! faded, and followed by a pause that suits its last mark. Word times come from the
//! durations the networks predict for their phonemes, so they need no alignment.
//!
//! The same text, voice and speed give the same samples on the same machine.

mod english;
mod hibari;
mod ipa;
mod network;
mod noise;
mod piper;
mod speaker;
mod vocoder;
mod voices;

#[cfg(test)]
mod tests;

pub use english::English;
pub use hibari::Hibari;
pub use piper::Piper;
pub use voices::LocalVoices;
