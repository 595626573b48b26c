//! The screen of `kaiwa talk` on a terminal, which is given back on every way out.
#![cfg(unix)]

mod common;
#[path = "common/pty.rs"]
mod pty;

use common::Bench;
use pty::{ENTER, LEAVE, Pty};
use rustix::process::Signal;

/// Keys as a terminal sends them.
const CTRL_C: &str = "\u{3}";
const CTRL_D: &str = "\u{4}";
const CTRL_L: &str = "\u{c}";
const CTRL_Z: &str = "\u{1a}";
/// What the screen shows when it can be used.
const READY: &str = "ready; type";

/// A conversation with scripted engines, without devices, that can be typed at.
fn talking(bench: &Bench) -> Pty {
    let mut talk = bench.kaiwa();
    talk.args(["talk", "--engine", "scripted"])
        .args(["--mic", "none", "--speaker", "none"]);
    let mut terminal = Pty::spawn(talk);
    terminal.wait_for(ENTER);
    terminal.wait_for(READY);
    assert!(!terminal.is_as_before());
    terminal
}

/// Types, and waits for the answer: the scripted engine repeats what it is told.
fn ask(terminal: &mut Pty) {
    terminal.press("Hello\r");
    for _question_and_answer in 0..2 {
        terminal.wait_for("Hello");
    }
}

#[test]
fn at_its_end_the_terminal_is_as_it_was_and_the_transcript_stands_on_it() {
    let bench = Bench::new();
    let mut terminal = talking(&bench);
    ask(&mut terminal);
    terminal.press(CTRL_D);
    let left = terminal.given_back(0);
    assert!(
        left.contains("you: Hello\r\nassistant: You said: Hello\r\n"),
        "{left:?}"
    );
}

#[test]
fn whoever_ends_it_gets_the_terminal_back() {
    let bench = Bench::new();
    let mut terminal = talking(&bench);
    terminal.press(CTRL_C);
    terminal.given_back(130);
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
        let terminal = talking(&bench);
        terminal.tell(signal);
        terminal.given_back(130);
    }
    // The second time it ends at once, wherever it is by then.
    let terminal = talking(&bench);
    terminal.tell(Signal::INT);
    terminal.tell(Signal::TERM);
    terminal.given_back(130);
}

#[test]
fn in_a_pause_the_shell_has_the_terminal() {
    let bench = Bench::new();
    let mut terminal = talking(&bench);
    for told in [false, true] {
        if told {
            terminal.tell(Signal::TSTP);
        } else {
            terminal.press(CTRL_Z);
        }
        terminal.wait_for(LEAVE);
        terminal.wait_until_stopped();
        assert!(terminal.is_as_before());
        terminal.tell(Signal::CONT);
        terminal.wait_for(ENTER);
        // All of it is drawn anew, not what has changed alone.
        terminal.wait_for(READY);
        assert!(!terminal.is_as_before());
    }
    ask(&mut terminal);
    terminal.press(CTRL_D);
    terminal.given_back(0);
}

#[test]
fn asked_for_everything_is_drawn_anew() {
    let bench = Bench::new();
    let mut terminal = talking(&bench);
    terminal.press(CTRL_L);
    terminal.wait_for(READY);
    terminal.press(CTRL_D);
    terminal.given_back(0);
}

#[test]
fn after_a_stop_from_outside_everything_is_drawn_anew() {
    let bench = Bench::new();
    let mut terminal = talking(&bench);
    terminal.tell(Signal::STOP);
    terminal.wait_until_stopped();
    terminal.tell(Signal::CONT);
    terminal.wait_for(ENTER);
    terminal.wait_for(READY);
    terminal.press(CTRL_D);
    terminal.given_back(0);
}
