//! Text to speech in this process.

mod english;
mod hibari;
mod ipa;
mod network;
mod noise;
mod piper;
mod speaker;
mod vocoder;

pub use english::English;
pub use hibari::Hibari;
pub use piper::Piper;
