//! A program is run.

use std::{io, process::ExitStatus};

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::{CommandTool, Passing};
use crate::process::{self, Group};

/// Most bytes that are kept of what a program says; it goes on unheard.
pub const MAX_STDOUT: usize = 64 << 10;

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
        let mut group = Group::start(&mut command).map_err(|error| self.not_run(error))?;
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
            Ok(())
        };
        let hear = async { Ok(process::last_words(errors).await) };
        let heard = tokio::try_join!(read(output), give, hear);
        let (text, (), words) = heard.map_err(|error| self.not_run(error))?;
        let status = group
            .child
            .wait()
            .await
            .map_err(|error| self.not_run(error))?;
        if status.success() {
            group.let_go();
            return Ok(text);
        }
        Err(CommandError::Failed {
            program: program.clone(),
            status: ended(status),
            words,
        })
    }

    fn not_run(&self, source: io::Error) -> CommandError {
        CommandError::NotRun {
            program: self.command.first().cloned().unwrap_or_default(),
            source,
        }
    }
}

/// Reads what a program says, without the space at its end. It may be in the middle of its work
/// when enough is heard, so all of it is read.
async fn read(mut output: impl AsyncRead + Unpin) -> io::Result<String> {
    let mut bytes = Vec::new();
    let limit = MAX_STDOUT as u64 + 1;
    (&mut output).take(limit).read_to_end(&mut bytes).await?;
    tokio::io::copy(&mut output, &mut tokio::io::sink()).await?;
    let is_whole = bytes.len() <= MAX_STDOUT;
    bytes.truncate(MAX_STDOUT);
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_end();
    Ok(match is_whole {
        true => text.to_owned(),
        false => format!("{text}\n[cut: more than {MAX_STDOUT} bytes]"),
    })
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
