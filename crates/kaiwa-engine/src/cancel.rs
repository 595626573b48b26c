use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// A flag that asks an engine to stop.
///
/// Clones share the flag. Engines look at it at least once per token, decoder step
/// or synthesised clause and then return what they have; correctness never depends
/// on how soon they do, because results of a cancelled job are dropped by job id.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the engine to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the engine was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
