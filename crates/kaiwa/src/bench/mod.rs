//! `kaiwa bench`: figures, printed with what they depend on.

pub(crate) mod latency;
mod normalize;
pub(crate) mod recognition;
mod speech;
mod statistics;
mod wer;
