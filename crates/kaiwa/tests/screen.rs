//! The screen, in a terminal of its own: tmux.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "in tests a failed unwrap is the message"
)]

mod common;

use std::{
    fs::File,
    io::Read,
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use common::Bench;

/// Nothing that is waited for takes so long, on a busy machine either.
const PATIENCE: Duration = Duration::from_secs(60);

/// A reply, and one that does not come to its end.
const SCRIPT: &str = r#"
[[reply]]
user = "France"
text = "It is Paris."

[[reply]]
user = "story"
text = "Once upon a time there was"
hang-after = 4
"#;

/// `kaiwa talk` in a terminal.
struct Terminal {
    bench: Bench,
    /// Says that something was drawn.
    drawn: Receiver<()>,
}

impl Terminal {
    /// Starts it; `None`, and a line that says so, where there is no tmux.
    fn start(size: (u16, u16), words: &str) -> Option<Self> {
        Self::start_with("", size, words)
    }

    /// The same with a variable of the environment, as NAME=VALUE.
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    fn start_with(variable: &str, (columns, rows): (u16, u16), words: &str) -> Option<Self> {
        let bench = Bench::new();
        bench.write("script.toml", SCRIPT);
        let fifo = bench.path("drawn");
        let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        let (note, drawn) = channel();
        let terminal = Self { bench, drawn };
        // What is left on the terminal afterwards is to be seen, too.
        let command =
            format!("{variable} \"$KAIWA\" talk {words}; echo \"ended with $?\"; exec cat");
        let mut start = terminal.tmux();
        start
            .args(["new-session", "-d", "-s", "talk"])
            .args(["-x", &columns.to_string(), "-y", &rows.to_string()])
            .args([&command]);
        if let Err(error) = start.output().map(succeeded) {
            eprintln!("skipped: no tmux ({error})");
            return None;
        }
        let pipe = format!("cat > '{}'", fifo.display());
        terminal.run(&["pipe-pane", "-O", "-t", "talk", &pipe]);
        thread::spawn(move || follow(fifo, || note.send(()).is_ok()));
        Some(terminal)
    }

    /// A tmux that knows no other, and what the test's kaiwa knows.
    fn tmux(&self) -> Command {
        let mut tmux = Command::new("tmux");
        for (name, value) in self.bench.kaiwa().get_envs() {
            match value {
                Some(value) => tmux.env(name, value),
                None => tmux.env_remove(name),
            };
        }
        tmux.current_dir(self.bench.folder.path())
            .env_remove("TMUX")
            .env_remove("NO_COLOR")
            .env("KAIWA", env!("CARGO_BIN_EXE_kaiwa"))
            .arg("-S")
            .arg(self.bench.path("tmux"))
            .args(["-f", "/dev/null"])
            .stdin(Stdio::null());
        tmux
    }

    fn run(&self, arguments: &[&str]) -> String {
        succeeded(self.tmux().args(arguments).output().unwrap())
    }

    /// Types.
    fn write(&self, text: &str) {
        self.run(&["send-keys", "-t", "talk", "-l", text]);
    }

    /// Pushes a key.
    fn push(&self, key: &str) {
        self.run(&["send-keys", "-t", "talk", key]);
    }

    /// What the terminal shows.
    fn shown(&self) -> String {
        self.run(&["capture-pane", "-p", "-t", "talk"])
    }

    /// Waits until the terminal shows all of these, and gives what it shows.
    #[track_caller]
    fn wait_for(&self, texts: &[&str]) -> String {
        loop {
            let shown = self.shown();
            if texts.iter().all(|text| shown.contains(text)) {
                return shown;
            }
            if self.drawn.recv_timeout(PATIENCE).is_err() {
                panic!("{texts:?} are not in:\n{}", self.shown());
            }
            // What was drawn since is in the next picture.
            while self.drawn.try_recv().is_ok() {}
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux().arg("kill-server").output().ok();
    }
}

/// Calls `note` whenever something is drawn.
fn follow(fifo: PathBuf, note: impl Fn() -> bool) {
    let mut drawn = File::open(fifo).unwrap();
    let mut bytes = [0; 4096];
    while drawn.read(&mut bytes).is_ok_and(|count| count > 0) && note() {}
}

#[track_caller]
fn succeeded(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const SCRIPTED: &str = "--engine scripted --script script.toml --output none";

#[test]
fn a_typed_conversation_with_an_interruption() {
    let Some(terminal) = Terminal::start((80, 24), SCRIPTED) else {
        return;
    };
    let shown = terminal.wait_for(&["kaiwa: ready; type", "Ctrl-C end"]);
    assert_eq!(shown.lines().count(), 24, "{shown}");
    terminal.write("What is the capital of France?");
    terminal.wait_for(&["> What is the capital of France?"]);
    terminal.push("Enter");
    let shown = terminal.wait_for(&["assistant: It is Paris.", "kaiwa: ready"]);
    assert!(
        shown.contains("you: What is the capital of France?\n"),
        "{shown}"
    );
    terminal.write("Tell me a story");
    terminal.push("Enter");
    terminal.wait_for(&["assistant: Once upon a time", "kaiwa: writing"]);
    terminal.push("Escape");
    terminal.wait_for(&["kaiwa: ready"]);
    terminal.push("C-d");
    // The terminal is as it was, and the transcript stands on it.
    let left = terminal.wait_for(&["ended with 0"]);
    assert!(!left.contains("kaiwa: "), "{left}");
    assert!(
        left.contains("you: Tell me a story\nassistant: Once upon a time\n"),
        "{left}"
    );
}

#[test]
fn ctrl_c_ends_it_in_every_size() {
    for size in [(40, 15), (20, 5), (200, 50)] {
        let Some(terminal) = Terminal::start(size, SCRIPTED) else {
            return;
        };
        terminal.wait_for(&["kaiwa: ready; type"]);
        terminal.push("C-c");
        terminal.wait_for(&["ended with 130"]);
    }
}

#[test]
fn what_cannot_be_prepared_gives_the_terminal_back() {
    let words = "--engine scripted --script nowhere.toml --output none";
    let Some(terminal) = Terminal::start((80, 24), words) else {
        return;
    };
    let left = terminal.wait_for(&["ended with 6"]);
    assert!(left.contains("nowhere.toml"), "{left}");
    assert!(!left.contains("Ctrl-C end"), "{left}");
}

/// What needs the engines is asked, and a mirror that says nothing is waited for only as long as
/// somebody wants to.
#[cfg(all(feature = "llama", feature = "tts", feature = "whisper"))]
mod preparing {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn models_are_asked_for_and_fetched_on_the_screen() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let mirror = silent.local_addr().unwrap();
        let words = "--output none";
        let environment = format!("KAIWA_MODELS=http://{mirror}");
        for (key, expected, then, code) in [
            ("n", "nothing was fetched", None, "ended with 5"),
            (
                "y",
                "kaiwa: fetching silero-vad",
                Some("C-c"),
                "ended with 130",
            ),
        ] {
            let Some(terminal) = Terminal::start_with(&environment, (80, 24), words) else {
                return;
            };
            terminal.wait_for(&["kaiwa: may it fetch models? y/n", "whisper-tiny.en"]);
            terminal.push(key);
            terminal.wait_for(&[expected]);
            if let Some(then) = then {
                terminal.push(then);
            }
            terminal.wait_for(&[code]);
        }
    }
}
