use std::{
    ops::ControlFlow,
    thread,
    time::{Duration, Instant},
};

use crate::{Cancel, EngineError, Flow};

/// How often a waiting engine looks at its cancel flag.
const STEP: Duration = Duration::from_millis(5);

/// A fault that happens after some units (words, tokens).
#[derive(Clone, Debug)]
pub(super) enum Fault {
    Fail { after: usize, message: String },
    Hang { after: usize },
}

impl Fault {
    pub(super) fn new(
        fail_after: Option<usize>,
        message: Option<&str>,
        hang_after: Option<usize>,
    ) -> Option<Self> {
        let fail = fail_after.map(|after| Self::Fail {
            after,
            message: message.unwrap_or("the script says so").to_owned(),
        });
        fail.or_else(|| hang_after.map(|after| Self::Hang { after }))
    }
}

/// The timing of one job: its delays, its fault, its cancel flag.
pub(super) struct Pace<'a> {
    fault: Option<Fault>,
    cancel: &'a Cancel,
    done: usize,
}

impl<'a> Pace<'a> {
    pub(super) fn new(fault: Option<Fault>, cancel: &'a Cancel) -> Self {
        Self {
            fault,
            cancel,
            done: 0,
        }
    }

    /// Units that were begun.
    pub(super) fn done(&self) -> usize {
        self.done
    }

    /// Waits before the next unit, or fails, or hangs. Break: cancelled.
    pub(super) fn next(&mut self, delay_ms: u64) -> Result<Flow, EngineError> {
        match &self.fault {
            Some(Fault::Fail { after, message }) if *after <= self.done => {
                return Err(EngineError::failed(message));
            }
            Some(Fault::Hang { after }) if *after <= self.done => {
                while !self.cancel.is_cancelled() {
                    thread::sleep(STEP);
                }
                return Ok(ControlFlow::Break(()));
            }
            _ => {}
        }
        let deadline = Instant::now() + Duration::from_millis(delay_ms);
        loop {
            if self.cancel.is_cancelled() {
                return Ok(ControlFlow::Break(()));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.done += 1;
                return Ok(ControlFlow::Continue(()));
            }
            thread::sleep(left.min(STEP));
        }
    }

    /// After the last unit: a fault that was to come later comes now.
    pub(super) fn finish(mut self) -> Result<(), EngineError> {
        if self.fault.is_some() {
            self.done = usize::MAX;
            // Cancelled or not, the job is over.
            let _ = self.next(0)?;
        }
        Ok(())
    }
}
