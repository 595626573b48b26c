//! Typed turns from stdin.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use kaiwa_client::{Handle, HandleError};

use super::questions::Questions;
use crate::{
    exit::{Code, Exit},
    output,
};

/// How long a line waits for its turn before it is given again.
const RETRY: Duration = Duration::from_millis(10);

/// Types the turns that came with the command, and no more.
pub(super) fn give(handle: &Handle, turns: Vec<String>) -> Result<(), Exit> {
    for turn in turns {
        match handle.say_next(turn) {
            Ok(()) => {}
            // Why it has ended is the last that it says itself.
            Err(HandleError::Ended) => return Ok(()),
            Err(error) => return Err(Exit::new(Code::Input, error)),
        }
    }
    match handle.finish() {
        Ok(()) | Err(HandleError::Ended) => Ok(()),
        Err(error) => Err(Exit::new(Code::Failure, error)),
    }
}

/// Reads lines in a thread of their own, because a read of stdin cannot be abandoned.
/// The end of the input lets the conversation end. A line may be the answer to a question.
pub(super) fn read_lines(handle: Handle, interrupt: bool, questions: Questions) {
    thread::spawn(move || {
        for line in io::stdin().lines() {
            let line = match line {
                Ok(line) => line,
                Err(error) => {
                    output::note(format_args!("kaiwa: stdin cannot be read: {error}"));
                    break;
                }
            };
            if line.trim().is_empty() {
                continue;
            }
            let answer = questions.answer(&line, Instant::now());
            let said = patiently(|| {
                if let Some((item, agreed)) = &answer {
                    handle.confirm(item.as_str(), *agreed)
                } else if interrupt {
                    handle.say(line.as_str())
                } else {
                    handle.say_next(line.as_str())
                }
            });
            match said {
                Ok(()) => {}
                Err(HandleError::Ended) => return,
                Err(error) => output::note(format_args!("kaiwa: {error}")),
            }
        }
        // A conversation that has ended already needs no end.
        patiently(|| handle.finish()).ok();
    });
}

/// Tries until the conversation has taken enough of what was given before: a pipe may hold
/// more lines than can wait.
fn patiently(order: impl Fn() -> Result<(), HandleError>) -> Result<(), HandleError> {
    loop {
        match order() {
            Err(HandleError::Busy) => thread::sleep(RETRY),
            outcome => return outcome,
        }
    }
}
