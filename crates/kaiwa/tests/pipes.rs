//! Raw sound in and out, as `docs/pipes.md` has it.

#![expect(
    clippy::unwrap_used,
    reason = "in tests a failed unwrap is the message"
)]

mod common;

use std::{
    fs,
    io::{Read, Write},
    process::{Command, Stdio},
    thread,
};

use common::{Bench, Ended, audible_seconds, run, run_with};
use serde_json::Value;

const MANUAL: &str = include_str!("../../../docs/pipes.md");

/// The commands of the manual.
fn examples() -> Vec<&'static str> {
    let mut fenced = false;
    let mut commands = Vec::new();
    for line in MANUAL.lines() {
        match line {
            "```sh" => fenced = true,
            "```" => fenced = false,
            command if fenced => commands.push(command),
            _ => {}
        }
    }
    commands
}

/// What each of them does with kaiwa: its words after the name.
fn kaiwa_parts() -> Vec<Vec<&'static str>> {
    let parts = examples().into_iter().flat_map(|line| line.split('|'));
    parts
        .filter_map(|part| part.trim().strip_prefix("kaiwa "))
        .map(|words| {
            let words = words.split_whitespace();
            words.filter(|word| !word.starts_with("2>")).collect()
        })
        .collect()
}

/// A spoken turn as raw PCM.
fn spoken(bench: &Bench) -> Vec<u8> {
    let path = bench.tone("spoken.wav", 24_000, 1, 1.2);
    fs::read(path).unwrap()[44..].to_vec()
}

#[test]
fn every_example_holds_a_conversation() {
    let parts = kaiwa_parts();
    assert_eq!(parts.len(), examples().len());
    for words in parts {
        let bench = Bench::new();
        let mut talk = bench.kaiwa();
        talk.args(&words).args(["--engine", "scripted"]);
        // At the pace of speech it would take ten seconds each, and no more be seen.
        if !words.contains(&"--fast") {
            talk.arg("--fast");
        }
        let output = run_with(&mut talk, &spoken(&bench));
        let sound = match words.contains(&"reply.wav") {
            true => fs::read(bench.path("reply.wav")).unwrap(),
            false => output.stdout.clone(),
        };
        let loud = sound
            .chunks_exact(2)
            .filter(|pair| i16::from_le_bytes([pair[0], pair[1]]).unsigned_abs() > 1000)
            .count();
        assert!(loud > 12_000, "{loud} loud samples of {words:?}");
        Ended::from(output).with_code(0);
    }
}

#[test]
fn sox_converts_on_both_sides() {
    if Command::new("sox")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        eprintln!("skipped: no sox");
        return;
    }
    let bench = Bench::new();
    bench.tone("question.wav", 44_100, 2, 1.2);
    let example = examples()
        .into_iter()
        .find(|line| line.starts_with("sox question.wav"))
        .unwrap();
    let line = example.replace("kaiwa talk", "\"$KAIWA\" talk --engine scripted");
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("set -e; {line}")]);
    let settings = bench.kaiwa();
    for (name, value) in settings.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
        .env("KAIWA", env!("CARGO_BIN_EXE_kaiwa"))
        .current_dir(bench.folder.path());
    run(shell.stdin(Stdio::null()).stdout(Stdio::piped())).with_code(0);
    assert!(audible_seconds(&bench.path("reply.wav")) > 0.5);
    let words = fs::read_to_string(bench.path("words.jsonl")).unwrap();
    let said = |kind: &str| {
        let mut lines = words.lines().filter(|line| line.starts_with('{'));
        lines.any(|line| serde_json::from_str::<Value>(line).unwrap()["type"] == kind)
    };
    assert!(said("user_transcript_done") && said("ended"), "{words}");
}

#[test]
fn sound_on_stdout_leaves_stderr_for_json() {
    let bench = Bench::new();
    let mut talk = bench.talk();
    talk.args(["--input", "-", "--output", "-", "--fast"]);
    let output = run_with(&mut talk, &spoken(&bench));
    assert_eq!(output.stdout.len() % 960, 0, "whole ticks");
    let ended = Ended::from(output).with_code(0);
    let events: Vec<Value> = ended
        .stderr
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events.last().unwrap()["type"], "ended");
    assert_eq!(events.last().unwrap()["reason"], "input_ended");
}

#[test]
fn half_a_sample_at_the_end_is_left_out() {
    let bench = Bench::new();
    let mut talk = bench.talk();
    talk.args(["--input", "-", "--output", "none", "--fast"]);
    let mut sound = spoken(&bench);
    sound.push(0x55);
    let ended = Ended::from(run_with(&mut talk, &sound)).with_code(0);
    assert_eq!(ended.texts("user_transcript_done").len(), 1);
}

#[test]
fn a_pipe_without_speech_is_told_from_an_answer() {
    for sound in [vec![], vec![0; 96_000]] {
        let bench = Bench::new();
        let mut talk = bench.talk();
        talk.args(["--input", "-", "--output", "-", "--fast"]);
        let ended = Ended::from(run_with(&mut talk, &sound)).with_code(6);
        assert!(
            ended.stderr.contains("no speech was heard"),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_conversation_in_order() {
    let bench = Bench::new();
    let mut talk = bench.kaiwa();
    talk.args(["talk", "--engine", "scripted", "--json"])
        .args(["--input", "-", "--output", "-", "--fast"]);
    let mut child = talk.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A microphone that never ends: until nobody reads it.
    let feeding = thread::spawn(move || while stdin.write_all(&[0; 9_600]).is_ok() {});
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 9_600]).unwrap();
    drop(stdout);
    let ended = Ended::from(child.wait_with_output().unwrap()).with_code(0);
    feeding.join().unwrap();
    let last = ended.stderr.lines().last().unwrap();
    assert!(last.contains("output_closed"), "{last}");
}

#[test]
fn other_devices_than_the_pipe_are_refused() {
    let bench = Bench::new();
    let mut talk = bench.kaiwa();
    talk.args(["talk", "--input", "-", "--mic", "default"]);
    run(&mut talk).with_code(2);
}
