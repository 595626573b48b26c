//! Text to speech in this process.

mod english;
mod hibari;
mod network;
mod noise;
mod speaker;
mod vocoder;

pub use english::English;
pub use hibari::Hibari;
