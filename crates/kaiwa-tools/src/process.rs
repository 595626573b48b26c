//! Programs that end with whatever they have started.

use std::io;
use std::process::Stdio;
#[cfg(unix)]
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

#[cfg(unix)]
use rustix::process::{Pid, Signal, WaitOptions};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// The groups that have to end before this program does, by their leaders.
#[cfg(unix)]
static GROUPS: Mutex<Vec<(Pid, Stage)>> = Mutex::new(Vec::new());

/// How far the end of a group is.
#[cfg(unix)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is still wanted, and will end so.
    Wanted(Ending),
    /// It was asked to end.
    Asked,
}

/// How long a program that was asked to end may take.
#[cfg(unix)]
const GRACE: Duration = Duration::from_secs(2);

/// The same where somebody waits for it.
#[cfg(unix)]
const LAST_GRACE: Duration = Duration::from_millis(500);

/// How often somebody who waits looks.
#[cfg(unix)]
const STEP: Duration = Duration::from_millis(5);

/// Bytes of what a program says on stderr that are kept: the last ones.
const LAST_WORDS: usize = 2 << 10;

/// What becomes of a program and of what it has started when nobody wants it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It is killed: it has failed or takes too long.
    Killed,
    /// It is asked to end, and killed when it does not: it may have something to put away.
    Asked,
    /// It has ended, and what it has left behind may stay.
    LetGo,
}

/// A program in a process group of its own.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) child: Child,
    /// What happens when this is dropped.
    ending: Ending,
    #[cfg(unix)]
    leader: Option<Pid>,
}

impl Group {
    /// Starts a program whose three streams are pipes.
    pub(crate) fn start(command: &mut Command, ending: Ending) -> io::Result<Self> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        #[cfg(unix)]
        command.process_group(0);
        // Where there are no groups, the program alone is killed.
        #[cfg(not(unix))]
        command.kill_on_drop(true);
        let child = command.spawn()?;
        #[cfg(unix)]
        let leader = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        #[cfg(unix)]
        groups().extend(leader.map(|leader| (leader, Stage::Wanted(ending))));
        Ok(Self {
            #[cfg(unix)]
            leader,
            child,
            ending,
        })
    }

    /// What it has started and left behind may stay.
    pub(crate) fn let_go(&mut self) {
        self.ending = Ending::LetGo;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(leader) = self.leader {
            match self.ending {
                Ending::LetGo => forget(leader),
                Ending::Killed => {
                    signal(leader, Signal::KILL);
                    forget(leader);
                }
                Ending::Asked => {
                    signal(leader, Signal::TERM);
                    set(leader, Stage::Asked);
                    let later = move || {
                        thread::sleep(GRACE);
                        signal(leader, Signal::KILL);
                        forget(leader);
                    };
                    let name = "kaiwa-ending".to_owned();
                    // Without a thread, `end_programs` does it.
                    if let Err(error) = thread::Builder::new().name(name).spawn(later) {
                        tracing::debug!(%error, "no thread to end a program");
                    }
                }
            }
        }
    }
}

/// Ends every program that runs for a tool, with what it has started: before this program ends,
/// whether or not anything is dropped then. Waits up to half a second for programs that may
/// have something to put away.
pub fn end_programs() {
    #[cfg(unix)]
    {
        let left: Vec<_> = groups().drain(..).collect();
        let until = Instant::now() + LAST_GRACE;
        let mut asked = Vec::new();
        for (leader, stage) in &left {
            match stage {
                // A second time would mean at once to many.
                Stage::Asked => asked.push(*leader),
                Stage::Wanted(Ending::Asked) => {
                    signal(*leader, Signal::TERM);
                    asked.push(*leader);
                }
                Stage::Wanted(Ending::Killed | Ending::LetGo) => {}
            }
        }
        while !asked.is_empty() && Instant::now() < until {
            thread::sleep(STEP);
            asked.retain(|leader| !has_ended(*leader));
        }
        for (leader, _) in left {
            signal(leader, Signal::KILL);
        }
    }
}

#[cfg(unix)]
fn groups() -> MutexGuard<'static, Vec<(Pid, Stage)>> {
    // A list is a list, whoever broke down beside it.
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(unix)]
fn forget(leader: Pid) {
    groups().retain(|(other, _)| *other != leader);
}

#[cfg(unix)]
fn set(leader: Pid, stage: Stage) {
    for (other, at) in groups().iter_mut() {
        if *other == leader {
            *at = stage;
        }
    }
}

#[cfg(unix)]
fn signal(leader: Pid, signal: Signal) {
    // A group that is empty is what is wanted.
    if let Err(error) = rustix::process::kill_process_group(leader, signal) {
        tracing::debug!(%error, "nothing to end");
    }
}

/// Whether a child of ours has ended; also when somebody else has seen it.
#[cfg(unix)]
fn has_ended(leader: Pid) -> bool {
    !matches!(
        rustix::process::waitpid(Some(leader), WaitOptions::NOHANG),
        Ok(None)
    )
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
pub(crate) async fn last_words(stream: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    keep_last(stream, &mut kept).await;
    as_words(&kept)
}

/// Reads to the end, and keeps so much of it that whoever stops waiting has what was said so
/// far.
pub(crate) async fn keep_last(mut stream: impl AsyncRead + Unpin, kept: &mut Vec<u8>) {
    let mut buffer = [0; 1024];
    // A stream that breaks has said what it has said.
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..read]);
        let excess = kept.len().saturating_sub(LAST_WORDS);
        kept.drain(..excess);
    }
}

/// What was said, without the space around it.
pub(crate) fn as_words(kept: &[u8]) -> String {
    String::from_utf8_lossy(kept).trim().to_owned()
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

    #[cfg(unix)]
    #[tokio::test]
    async fn a_program_that_is_asked_to_end_puts_away_what_it_has() {
        // Shells run a trap when they please.
        let script = "import signal, sys, time\n\
                      def end(*_):\n    print('put away', flush=True)\n    sys.exit()\n\
                      signal.signal(signal.SIGTERM, end)\n\
                      print('up', flush=True)\n\
                      while True: time.sleep(0.05)";
        let mut command = Command::new("python3");
        let group = Group::start(command.args(["-c", script]), Ending::Asked);
        let mut group = group.expect("python3, which fetching models needs, too");
        let input = group.child.stdin.take().expect("a pipe");
        let mut output = group.child.stdout.take().expect("a pipe");
        let mut up = [0; 3];
        output.read_exact(&mut up).await.expect("up");
        drop(group);
        assert_eq!(last_words(output).await, "put away");
        // It was the signal that ended it.
        drop(input);
    }
}
