//! `kaiwa bench`: figures, printed with what they depend on.

pub(crate) mod bargein;
pub(crate) mod echo;
pub(crate) mod latency;
mod machine;
pub(crate) mod noise;
mod normalize;
pub(crate) mod recognition;
pub(crate) mod relay;
mod report;
mod speech;
mod statistics;
pub(crate) mod tools;
pub(crate) mod turns;
mod wer;
