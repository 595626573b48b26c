//! Programs that end with whatever they have started.

use std::io;
use std::process::Stdio;
#[cfg(unix)]
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// The groups that are to be killed when this program ends, by their leaders.
#[cfg(unix)]
static GROUPS: Mutex<Vec<rustix::process::Pid>> = Mutex::new(Vec::new());

/// Bytes of what a program says on stderr that are kept: the last ones.
const LAST_WORDS: usize = 2 << 10;

/// A program in a process group of its own, which is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) child: Child,
    /// Whether there is something to kill.
    alive: bool,
    #[cfg(unix)]
    leader: Option<rustix::process::Pid>,
}

impl Group {
    /// Starts a program whose three streams are pipes.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        let child = command.spawn()?;
        #[cfg(unix)]
        let leader = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(rustix::process::Pid::from_raw);
        #[cfg(unix)]
        groups().extend(leader);
        Ok(Self {
            #[cfg(unix)]
            leader,
            child,
            alive: true,
        })
    }

    /// What it has started and left behind may stay.
    pub(crate) fn let_go(&mut self) {
        self.alive = false;
    }
}

/// Kills every program that runs for a tool, with what it has started: for a way out on which
/// nothing is dropped, such as [`std::process::exit`].
pub fn end_programs() {
    #[cfg(unix)]
    for leader in groups().drain(..) {
        kill(leader);
    }
}

#[cfg(unix)]
fn groups() -> MutexGuard<'static, Vec<rustix::process::Pid>> {
    // A list is a list, whoever broke down beside it.
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(unix)]
fn kill(leader: rustix::process::Pid) {
    use rustix::process::{Signal, kill_process_group};
    // A group that is empty is what is wanted.
    if let Err(error) = kill_process_group(leader, Signal::KILL) {
        tracing::debug!(%error, "nothing to kill");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(leader) = self.leader {
            groups().retain(|other| *other != leader);
            if self.alive {
                kill(leader);
            }
        }
        // Where there are no groups, the program alone ends, by `kill_on_drop`.
    }
}

/// A program with no more of our environment than these variables.
pub(crate) fn command(program: &str, environment: &[String]) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    for name in environment {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Reads to the end, of which so much is kept, and gives it without the space around it.
pub(crate) async fn last_words(mut stream: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 1024];
    // A stream that breaks has said what it has said.
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..read]);
        let excess = kept.len().saturating_sub(LAST_WORDS);
        kept.drain(..excess);
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_words_are_kept() {
        let text = format!("{}the end\n", "x".repeat(10_000));
        let kept = last_words(text.as_bytes()).await;
        assert_eq!(kept.len(), LAST_WORDS - 1);
        assert!(kept.ends_with("the end"));
        assert_eq!(last_words(&b""[..]).await, "");
    }
}
