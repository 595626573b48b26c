//! Typed turns from stdin.

use std::{io, thread};

use kaiwa_client::{Handle, HandleError};

use crate::output;

/// Reads lines in a thread of their own, because a read of stdin cannot be abandoned.
/// The end of the input lets the conversation end.
pub(super) fn read_lines(handle: Handle, interrupt: bool) {
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
            let said = if interrupt {
                handle.say(line)
            } else {
                handle.say_next(line)
            };
            match said {
                Ok(()) => {}
                Err(HandleError::Ended) => return,
                Err(error) => output::note(format_args!("kaiwa: {error}")),
            }
        }
        // A conversation that has ended already needs no end.
        handle.finish().ok();
    });
}
