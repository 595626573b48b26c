//! Small programs as tools.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::Command,
};

use kaiwa_tools::commands::{CommandTool, MAX_STDOUT, read};
use serde_json::{Value, json};

/// A tool of a script for `sh`, in a folder of its own.
struct Script {
    folder: tempfile::TempDir,
    tool: CommandTool,
}

impl Script {
    fn new(script: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tools.toml");
        let command = ["sh", "-c", script, "sh"].map(|word| toml::Value::from(word).to_string());
        let text = format!(
            "[[tool]]\nname = \"t\"\ndescription = \"A test.\"\ncommand = [{}]\n{more}",
            command.join(", ")
        );
        fs::write(&file, text).unwrap();
        let tool = read(&file).unwrap().tools.pop().unwrap();
        Self { folder, tool }
    }

    async fn run(&self, arguments: Value) -> Result<String, String> {
        self.tool
            .run(&arguments)
            .await
            .map_err(|error| error.to_string())
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

#[tokio::test]
async fn arguments_come_on_stdin_and_the_result_from_stdout() {
    let script = Script::new("cat; echo; echo unheard >&2", "");
    let arguments = json!({"place": "Kyoto", "days": [1, 2]});
    assert_eq!(
        script.run(arguments.clone()).await,
        Ok(arguments.to_string())
    );
}

#[tokio::test]
async fn arguments_come_as_flags() {
    let script = Script::new("printf '%s,' \"$@\"", "arguments = \"flags\"\n");
    let arguments = json!({"loud": true, "place": "a b", "rest": "-x"});
    let expected = "--loud,--place=a b,--rest=-x,";
    assert_eq!(script.run(arguments).await.as_deref(), Ok(expected));
}

#[tokio::test]
async fn a_program_that_reads_nothing_is_given_more_than_a_pipe_holds() {
    let script = Script::new("echo done", "");
    let arguments = json!({"text": "x".repeat(1 << 20)});
    assert_eq!(script.run(arguments).await.as_deref(), Ok("done"));
}

#[tokio::test]
async fn a_program_gets_only_the_variables_that_are_named() {
    // What cargo sets for a test.
    let names = "${CARGO_MANIFEST_DIR:-none} ${CARGO_PKG_NAME:-none}";
    let without = Script::new(&format!("echo {names}"), "");
    assert_eq!(without.run(json!({})).await.as_deref(), Ok("none none"));
    let named = "environment = [\"PATH\", \"CARGO_PKG_NAME\", \"KAIWA_NOT_SET\"]\n";
    let with = Script::new(&format!("echo {names}"), named);
    assert_eq!(with.run(json!({})).await.as_deref(), Ok("none kaiwa-tools"));
}

#[tokio::test]
async fn a_program_runs_where_it_is_to() {
    let script = Script::new("pwd -P", "directory = \"below\"\n");
    let below = script.path().join("below");
    let missing = script.run(json!({})).await.unwrap_err();
    assert!(missing.starts_with("sh cannot be run: "), "{missing}");
    fs::create_dir(&below).unwrap();
    let below = below.canonicalize().unwrap().display().to_string();
    assert_eq!(script.run(json!({})).await, Ok(below));
}

#[tokio::test]
async fn a_program_that_fails_says_why() {
    let script = Script::new("echo lost; echo out of paper >&2; exit 3", "");
    let failure = script.run(json!({})).await.unwrap_err();
    assert_eq!(failure, "sh ended with exit code 3: out of paper");
    let killed = Script::new("kill -9 $$", "").run(json!({})).await;
    assert_eq!(killed.unwrap_err(), "sh ended with signal 9");
    let mut missing = Script::new("", "");
    missing.tool.command = vec!["/nonexistent/program".to_owned()];
    let failure = missing.run(json!({})).await.unwrap_err();
    assert!(
        failure.starts_with("/nonexistent/program cannot be run: "),
        "{failure}"
    );
}

#[tokio::test]
async fn a_program_need_not_wait_for_what_it_leaves_behind() {
    // What stays holds stdout and stderr open until somebody opens the pipe.
    let script = Script::new("cat never & echo begun", "directory = \".\"\n");
    let never = script.path().join("never");
    let made = Command::new("mkfifo").arg(&never).status();
    assert!(made.unwrap().success());
    assert_eq!(script.run(json!({})).await.as_deref(), Ok("begun"));
    // It is still there to read what is written.
    let mut pipe = File::options().write(true).open(never).unwrap();
    pipe.write_all(b"go").unwrap();
}

#[tokio::test]
async fn a_program_that_says_too_much_does_its_work_to_the_end() {
    let chatty = "yes | head -n 100000; echo done > done";
    let output = Script::new(&format!("{chatty}; cat done >&2"), "");
    let output = output.run(json!({})).await.unwrap();
    let note = format!("\n[cut: more than {MAX_STDOUT} bytes]");
    assert!(
        output.starts_with("y\ny\n") && output.ends_with(&note),
        "{}",
        output.len()
    );
    // How it ends is what it says in the end.
    let failed = Script::new(&format!("{chatty}; cat done >&2; exit 3"), "");
    let failure = failed.run(json!({})).await.unwrap_err();
    assert_eq!(failure, "sh ended with exit code 3: done");
}

#[tokio::test]
async fn a_program_that_is_given_up_ends_with_all_it_has_started() {
    // Both processes hold the first pipe, and wait for somebody to open the second.
    let script = Script::new(
        "exec 3>alive; cat never >&3 & echo up >&3; cat never",
        "directory = \".\"\n",
    );
    for pipe in ["alive", "never"] {
        let made = Command::new("mkfifo")
            .arg(script.path().join(pipe))
            .status();
        assert!(made.unwrap().success());
    }
    let alive = script.path().join("alive");
    let tool = script.tool.clone();
    let running = tokio::spawn(async move { tool.run(&json!({})).await });
    let opened = tokio::task::spawn_blocking(move || {
        let mut alive = BufReader::new(File::open(alive).unwrap());
        let mut line = String::new();
        alive.read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        alive
    });
    let mut alive = opened.await.unwrap();
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    // It has an end when nobody holds it any more.
    let ended = tokio::task::spawn_blocking(move || alive.read_to_end(&mut Vec::new()));
    assert_eq!(ended.await.unwrap().unwrap(), 0);
}
