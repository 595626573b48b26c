//! A device card on ALSA, whose devices are those of a sound server of its own: ALSA's plugin for
//! PulseAudio is the sound card that this needs. ALSA reads its environment once, so the card is
//! in a process of its own: this program, when it is told to `talk`.

#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "it is a test, and the program that the test runs"
)]

#[cfg(target_os = "linux")]
#[allow(dead_code, reason = "made for other tests, too")]
#[path = "../sound/mod.rs"]
mod sound;
#[cfg(target_os = "linux")]
mod talk;
#[cfg(target_os = "linux")]
#[path = "../sound/tone.rs"]
mod tone;

fn main() {
    #[cfg(target_os = "linux")]
    talk::main();
}
