//! A program is run.

use std::{io, process::ExitStatus, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{CommandTool, Passing};
use crate::process::{self, Ending, Group};

/// Most bytes that are kept of what a program says; it goes on unheard.
pub const MAX_STDOUT: usize = 64 << 10;

/// How long what a program has left behind may hold its stdout and stderr open.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why a program has no result, in sentences for a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// It said that it failed.
    #[error("{program} ended with {status}{}", said(.words))]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: String,
        /// The end of what it said on stderr.
        words: String,
    },
    /// It could not be talked to.
    #[error("{program} cannot be run: {source}")]
    NotRun {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
}

impl CommandTool {
    /// Runs the program with the arguments of a call, a JSON object, and gives what it says on
    /// stdout. When the future is dropped, the program ends, and with it what it has started.
    ///
    /// # Errors
    ///
    /// When it cannot be run, or ends with another status than 0.
    pub async fn run(&self, arguments: &Value) -> Result<String, CommandError> {
        let Some((program, first)) = self.command.split_first() else {
            let source = io::Error::other("no program is named");
            return Err(self.not_run(source));
        };
        let mut command = process::command(program, &self.environment);
        command.args(first);
        let stdin = match self.passing {
            Passing::Flags => {
                command.args(flags(arguments));
                String::new()
            }
            Passing::Stdin => format!("{arguments}\n"),
        };
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let mut group =
            Group::start(&mut command, Ending::Killed).map_err(|error| self.not_run(error))?;
        let streams = (
            group.child.stdin.take(),
            group.child.stdout.take(),
            group.child.stderr.take(),
        );
        let (Some(mut input), Some(output), Some(errors)) = streams else {
            return Err(self.not_run(io::Error::other("it has no pipes")));
        };
        let give = async move {
            // A program need not read what it is given.
            input.write_all(stdin.as_bytes()).await.ok();
            drop(input);
        };
        let (mut said, mut words) = (Vec::new(), Vec::new());
        let status = {
            let hear = process::keep_last(errors, &mut words);
            let talk = async { tokio::join!(read(output, &mut said), give, hear) };
            tokio::pin!(talk);
            tokio::select! {
                _ = &mut talk => group.child.wait().await,
                status = group.child.wait() => {
                    // Something that goes on without it may never let go of them.
                    let _ = timeout(LAST_WORDS, talk).await;
                    status
                }
            }
        };
        let status = status.map_err(|error| self.not_run(error))?;
        if status.success() {
            group.let_go();
            return Ok(as_result(said));
        }
        Err(CommandError::Failed {
            program: program.clone(),
            status: ended(status),
            words: process::as_words(&words),
        })
    }

    fn not_run(&self, source: io::Error) -> CommandError {
        CommandError::NotRun {
            program: self.command.first().cloned().unwrap_or_default(),
            source,
        }
    }
}

/// Reads what a program says, and keeps a byte more of it than may be told. It may be in the
/// middle of its work when enough is heard, so all of it is read.
async fn read(mut output: impl AsyncRead + Unpin, said: &mut Vec<u8>) {
    let mut buffer = vec![0; 8 << 10];
    // A stream that breaks has said what it has said.
    while let Ok(read @ 1..) = output.read(&mut buffer).await {
        let room = (MAX_STDOUT + 1).saturating_sub(said.len());
        said.extend_from_slice(&buffer[..read.min(room)]);
    }
}

/// What a program said, without the space at its end.
fn as_result(mut said: Vec<u8>) -> String {
    let is_whole = said.len() <= MAX_STDOUT;
    said.truncate(MAX_STDOUT);
    let text = String::from_utf8_lossy(&said);
    let text = text.trim_end();
    match is_whole {
        true => text.to_owned(),
        false => format!("{text}\n[cut: more than {MAX_STDOUT} bytes]"),
    }
}

/// Arguments as flags. A value stands in one word with its name, lest it be taken for a flag.
fn flags(arguments: &Value) -> Vec<String> {
    let mut flags = Vec::new();
    for (name, value) in arguments.as_object().into_iter().flatten() {
        let mut push = |value: &Value| match value {
            Value::Null | Value::Bool(false) => {}
            Value::Bool(true) => flags.push(format!("--{name}")),
            Value::String(text) => flags.push(format!("--{name}={text}")),
            other => flags.push(format!("--{name}={other}")),
        };
        match value {
            Value::Array(list) => list.iter().for_each(push),
            value => push(value),
        }
    }
    flags
}

fn ended(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("signal {signal}");
    }
    match status.code() {
        Some(code) => format!("exit code {code}"),
        None => "no exit code".to_owned(),
    }
}

fn said(words: &str) -> String {
    match words {
        "" => String::new(),
        words => format!(": {words}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_cannot_become_a_flag() {
        let arguments = json!({"a": "-rf", "b": 2.5, "c": true, "d": false, "e": null,
            "f": ["x y", 1], "g": {"h": 1}});
        let expected = [
            "--a=-rf",
            "--b=2.5",
            "--c",
            "--f=x y",
            "--f=1",
            r#"--g={"h":1}"#,
        ];
        assert_eq!(flags(&arguments), expected);
        assert!(flags(&json!({})).is_empty());
    }
}
