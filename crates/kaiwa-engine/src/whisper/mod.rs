//! Speech to text: OpenAI's Whisper, from the weights of CTranslate2 (faster-whisper).
//!
//! What makes it fast on few cores:
//!
//! * The encoder works on the utterance and a second of silence, not on 30 s.
//! * Matrix products of the encoder use weights that are packed once for the machine's
//!   vector instructions.
//! * The decoder keeps the keys and values of the audio and of earlier tokens, and its
//!   weights are 8 bits wide.
//!
//! The text is decoded greedily. A text that loops or that the model itself finds
//! unlikely is decoded once more, so a bad clip costs at most twice the time.

mod decoder;
mod encoder;
mod engine;
mod greedy;
mod linear;
mod tokenizer;
mod vocabulary;
mod weights;
mod windows;

#[cfg(test)]
mod tests;

pub use engine::Whisper;
