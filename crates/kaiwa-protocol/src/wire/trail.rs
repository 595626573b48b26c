//! Where in a frame a value was wrong.
//!
//! Serde's errors carry text only. While an error travels outward through the objects of this crate, each of them
//! leaves its member's name here; the codec then reads the path (`session.tools[0].name`) for the error's `param`.
//! Nothing is written while parsing succeeds.

use std::cell::RefCell;
use std::fmt::Write;

use serde::de::Error;

/// What was found out about the first fault of a frame.
#[derive(Default)]
pub(crate) struct Fault {
    /// Path to the faulty value, empty when the frame itself is at fault.
    pub(crate) path: String,
    /// Whether the value is not there at all.
    pub(crate) missing: bool,
}

/// Forgets earlier faults; to be called before a parse whose fault will be asked for.
pub(crate) fn clear() {
    TRAIL.with_borrow_mut(|trail| {
        trail.steps.clear();
        trail.missing = false;
    });
}

/// The fault noted since [`clear`].
pub(crate) fn take() -> Fault {
    TRAIL.with_borrow_mut(|trail| {
        let mut path = String::new();
        for step in trail.steps.drain(..).rev() {
            let written = match step {
                Step::Member(name) if path.is_empty() => write!(path, "{name}"),
                Step::Member(name) => write!(path, ".{name}"),
                Step::Key(name) => write!(path, ".{name}"),
                Step::Index(index) => write!(path, "[{index}]"),
            };
            // Writing to a `String` cannot fail.
            debug_assert!(written.is_ok());
        }
        Fault {
            path,
            missing: std::mem::take(&mut trail.missing),
        }
    })
}

/// Notes that the fault is inside the member `name`.
pub(crate) fn member(name: &'static str) {
    push(Step::Member(name));
}

/// Notes that the fault is inside the entry `name` of a map.
pub(crate) fn key(name: String) {
    push(Step::Key(name));
}

/// Notes that the fault is inside element `index` of an array.
pub(crate) fn index(index: usize) {
    push(Step::Index(index));
}

/// Notes that the required member `name` is not there, and makes the error that says so.
pub(crate) fn missing<E: Error>(name: &'static str) -> E {
    TRAIL.with_borrow_mut(|trail| trail.missing = true);
    member(name);
    E::missing_field(name)
}

enum Step {
    Member(&'static str),
    Key(String),
    Index(usize),
}

#[derive(Default)]
struct Trail {
    /// Innermost first, since errors travel outward.
    steps: Vec<Step>,
    missing: bool,
}

fn push(step: Step) {
    TRAIL.with_borrow_mut(|trail| trail.steps.push(step));
}

thread_local! {
    static TRAIL: RefCell<Trail> = RefCell::default();
}
