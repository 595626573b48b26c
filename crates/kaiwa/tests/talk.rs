//! `kaiwa talk` as its user meets it, on scripted engines.

mod common;

use std::fs;

use common::{Bench, Ended, audible_seconds, run, run_with};

#[test]
fn a_typed_turn_is_answered_in_writing() {
    let bench = Bench::new();
    let ended = run(bench.talk().args(["--text", "Good morning"])).with_code(0);
    assert_eq!(ended.texts("user_transcript_done"), ["Good morning"]);
    assert_eq!(ended.texts("assistant_done"), ["You said: Good morning"]);
    let last = ended.events().pop().unwrap();
    assert_eq!(
        (&last["type"], &last["reason"]),
        (&"ended".into(), &"input_ended".into())
    );
}

#[test]
fn typed_turns_are_answered_in_order() {
    let bench = Bench::new();
    let ended = run(bench.talk().args(["--text", "one", "--text", "two"])).with_code(0);
    assert_eq!(
        ended.texts("assistant_done"),
        ["You said: one", "You said: two"]
    );
}

#[test]
fn lines_of_a_pipe_are_typed_turns() {
    let bench = Bench::new();
    let ended = Ended::from(run_with(&mut bench.talk(), b"one\n\ntwo\n")).with_code(0);
    assert_eq!(
        ended.texts("assistant_done"),
        ["You said: one", "You said: two"]
    );
}

#[test]
fn a_spoken_turn_is_answered_aloud() {
    let bench = Bench::new();
    bench.tone("question.wav", 24_000, 1, 1.2);
    let mut talk = bench.talk();
    talk.args(["--input", "question.wav", "--output", "reply.wav", "--fast"]);
    let ended = run(&mut talk).with_code(0);
    let heard = ended.texts("user_transcript_done");
    assert!(
        heard.len() == 1 && heard[0].starts_with("I spoke for"),
        "{heard:?}"
    );
    assert_eq!(
        ended.texts("assistant_done"),
        [format!("You said: {}", heard[0])]
    );
    assert!(audible_seconds(&bench.path("reply.wav")) > 0.5);
}

#[test]
fn a_stereo_recording_at_44100_hz_is_a_recording_like_any_other() {
    let bench = Bench::new();
    bench.tone("mono.wav", 24_000, 1, 1.2);
    bench.tone("stereo.wav", 44_100, 2, 1.2);
    let transcript = |file: &str| {
        let mut talk = bench.talk();
        talk.args(["--input", file, "--output", "none", "--fast"]);
        run(&mut talk).with_code(0).texts("user_transcript_done")
    };
    assert_eq!(transcript("mono.wav"), transcript("stereo.wav"));
}

#[test]
fn without_turn_taking_the_turn_ends_with_the_input() {
    let bench = Bench::new();
    bench.tone("question.wav", 24_000, 1, 0.8);
    let mut talk = bench.talk();
    talk.args(["--input", "question.wav", "--turn", "none", "--fast"]);
    let ended = run(&mut talk).with_code(0);
    assert_eq!(
        ended.texts("user_transcript_done"),
        ["I spoke for 1.8 seconds."]
    );
}

#[test]
fn raw_sound_goes_in_and_out_of_pipes() {
    let bench = Bench::new();
    let path = bench.tone("question.wav", 24_000, 1, 1.2);
    let raw = fs::read(path).unwrap()[44..].to_vec();
    let mut talk = bench.kaiwa();
    talk.args([
        "talk", "--engine", "scripted", "--input", "-", "--output", "-", "--fast",
    ]);
    let output = run_with(&mut talk, &raw);
    // Sound on stdout, words on stderr.
    let loud = output
        .stdout
        .chunks_exact(2)
        .filter(|pair| i16::from_le_bytes([pair[0], pair[1]]).unsigned_abs() > 1000)
        .count();
    assert!(loud > 12_000, "{loud} loud samples");
    let ended = Ended::from(output).with_code(0);
    assert!(
        ended.stderr.contains("assistant: You said: I spoke for"),
        "{}",
        ended.stderr
    );
}

#[test]
fn instructions_come_from_a_file_too() {
    let bench = Bench::new();
    bench.write("be.txt", "Be brief.");
    let mut talk = bench.talk();
    talk.args([
        "--instructions",
        "@be.txt",
        "--text",
        "hi",
        "--trace",
        "trace.jsonl",
    ]);
    run(&mut talk).with_code(0);
    let trace = fs::read_to_string(bench.path("trace.jsonl")).unwrap();
    assert!(trace.contains(r#""instructions":"Be brief.""#), "{trace}");
    assert!(
        trace
            .lines()
            .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
    );
}

#[test]
fn a_script_plays_its_replies() {
    let bench = Bench::new();
    bench.write("script.toml", "[[reply]]\ntext = \"Fine, thanks.\"\n");
    let mut talk = bench.talk();
    talk.args(["--script", "script.toml", "--text", "How are you?"]);
    let ended = run(&mut talk).with_code(0);
    assert_eq!(ended.texts("assistant_done"), ["Fine, thanks."]);
}

#[test]
fn an_engine_that_fails_makes_the_command_fail_in_words() {
    let bench = Bench::new();
    bench.write(
        "script.toml",
        "[[reply]]\ntext = \"one two three\"\nfail-after = 1\n",
    );
    let mut talk = bench.talk();
    talk.args(["--script", "script.toml", "--text", "hi"]);
    let ended = run(&mut talk).with_code(1);
    assert!(
        ended.stderr.contains("the last answer failed"),
        "{}",
        ended.stderr
    );
}
