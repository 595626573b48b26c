//! Everything that can be wrong with what a user gives, and the sentence and exit code for it.

#![expect(
    clippy::unwrap_used,
    reason = "in tests a failed unwrap is the message"
)]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Child,
};

use common::{Bench, Ended, run, serve};
use kaiwa_audio::Clip;

#[test]
fn a_file_that_is_no_audio_is_named() {
    let bench = Bench::new();
    bench.write("notes.txt", "Dear diary, today I spoke to a machine.");
    let ended = run(bench.talk().args(["--input", "notes.txt"])).with_code(6);
    assert!(ended.stderr.contains("notes.txt"), "{}", ended.stderr);
    assert!(ended.stderr.contains("hint:"), "{}", ended.stderr);
}

#[test]
fn an_empty_file_is_named() {
    let bench = Bench::new();
    bench.write("empty.wav", "");
    let ended = run(bench.talk().args(["--input", "empty.wav"])).with_code(6);
    assert!(ended.stderr.contains("empty"), "{}", ended.stderr);
}

#[test]
fn a_recording_of_no_samples_is_named() {
    let bench = Bench::new();
    let path = bench.tone("long.wav", 24_000, 1, 0.1);
    let header = fs::read(path).unwrap()[..44].to_vec();
    let mut header = header;
    header[40..44].fill(0);
    bench.write("none.wav", header);
    let ended = run(bench.talk().args(["--input", "none.wav"])).with_code(6);
    assert!(ended.stderr.contains("none.wav"), "{}", ended.stderr);
}

#[test]
fn a_missing_file_is_named() {
    let bench = Bench::new();
    let ended = run(bench.talk().args(["--input", "nowhere.wav"])).with_code(6);
    assert!(ended.stderr.contains("nowhere.wav"), "{}", ended.stderr);
}

#[test]
fn a_recording_of_silence_is_told_from_an_answer() {
    let bench = Bench::new();
    bench.tone("silence.wav", 24_000, 1, 0.0);
    let ended = run(bench.talk().args(["--input", "silence.wav", "--fast"])).with_code(6);
    assert!(
        ended.stderr.contains("no speech was heard"),
        "{}",
        ended.stderr
    );
}

#[test]
fn an_empty_text_is_refused() {
    let bench = Bench::new();
    let ended = run(bench.talk().args(["--text", "  "])).with_code(6);
    assert!(ended.stderr.contains("is empty"), "{}", ended.stderr);
}

#[test]
fn a_text_of_100_kb_is_answered_or_refused_in_words() {
    let bench = Bench::new();
    let text = "word ".repeat(20_000);
    let ended = run(bench.talk().args(["--text", &text]));
    let ended = ended.with_code(1);
    // The scripted model's window is 4096 words.
    assert!(
        ended.stderr.contains("the last answer failed"),
        "{}",
        ended.stderr
    );
}

#[test]
fn an_unreachable_server_is_named() {
    let bench = Bench::new();
    let mut talk = bench.kaiwa();
    talk.args(["talk", "--url", "ws://127.0.0.1:9/v1", "--text", "hi"]);
    let ended = run(&mut talk).with_code(3);
    assert!(
        ended.stderr.contains("cannot reach 127.0.0.1:9"),
        "{}",
        ended.stderr
    );
}

#[test]
fn an_address_that_is_none_is_refused() {
    let bench = Bench::new();
    let ended = run(bench
        .kaiwa()
        .args(["talk", "--url", "nonsense", "--text", "hi"]))
    .with_code(2);
    assert!(ended.stderr.contains("wss://"), "{}", ended.stderr);
}

#[test]
fn a_wrong_key_is_told_with_the_variable_it_came_from() {
    let bench = Bench::new();
    let server = serve(&bench, &["--keys-env", "GOOD_KEYS"]);
    let talk = |key: &str| {
        let mut talk = bench.kaiwa();
        talk.args([
            "talk",
            "--json",
            "--url",
            &format!("ws://{}/v1", server.address),
            "--text",
            "hi",
        ])
        .args(["--key-env", "MY_KEY"])
        .env("MY_KEY", key);
        run(&mut talk)
    };
    let refused = talk("wrong").with_code(4);
    assert!(refused.stderr.contains("MY_KEY"), "{}", refused.stderr);
    let welcome = talk("sesame").with_code(0);
    assert_eq!(welcome.texts("assistant_done"), ["You said: hi"]);
}

#[test]
fn a_voice_the_server_does_not_have_is_told_with_what_to_do() {
    let bench = Bench::new();
    let mut talk = bench.talk();
    talk.args(["--text", "hi", "--voice", "nobody"]);
    let ended = run(&mut talk).with_code(1);
    assert!(
        ended.stderr.contains("refused the session's configuration"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("--voice"), "{}", ended.stderr);
    assert!(ended.texts("assistant_done").is_empty());
}

#[test]
fn missing_models_are_named_and_not_fetched_silently() {
    let bench = Bench::new();
    let ended = run(bench.kaiwa().args(["talk", "--text", "hi"]));
    if cfg!(feature = "llama") {
        let ended = ended.with_code(5);
        assert!(
            ended.stderr.contains("kaiwa models pull"),
            "{}",
            ended.stderr
        );
        assert!(ended.stderr.contains("MB"), "{}", ended.stderr);
    } else {
        let ended = ended.with_code(1);
        assert!(ended.stderr.contains("built without"), "{}", ended.stderr);
    }
    assert!(!bench.path("models").join("silero-vad").exists());
}

#[test]
fn a_model_cut_short_is_named_with_both_sizes() {
    let bench = Bench::new();
    let folder = bench.path("models").join("silero-vad");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("silero_vad_16k_op15.onnx"), [0; 1000]).unwrap();
    let ended = run(bench.kaiwa().args(["models", "verify"])).with_code(5);
    assert!(ended.stdout.contains("1289603"), "{}", ended.stdout);
    assert!(ended.stdout.contains("1000"), "{}", ended.stdout);
}

#[test]
fn an_unknown_model_is_a_word_wrong_on_the_command_line() {
    let bench = Bench::new();
    let ended = run(bench.kaiwa().args(["models", "pull", "gpt-7"])).with_code(2);
    assert!(ended.stderr.contains("gpt-7"), "{}", ended.stderr);
}

#[test]
fn a_bad_script_is_named_with_its_line() {
    let bench = Bench::new();
    bench.write("script.toml", "[[reply]]\ntxet = \"typo\"\n");
    let mut talk = bench.talk();
    let ended = run(talk.args(["--script", "script.toml", "--text", "hi"])).with_code(6);
    assert!(ended.stderr.contains("txet"), "{}", ended.stderr);
}

#[test]
fn words_from_outside_steer_no_terminal() {
    const NASTY: &str = "\u{1b}]0;title\u{7}\u{202e}";
    let bench = Bench::new();
    // The scripted engine says what was said to it.
    let echoed = ["talk", "--engine", "scripted", "--text", NASTY];
    let echoed = run(bench.kaiwa().args(echoed)).with_code(0);
    assert!(echoed.stdout.contains("]0;title"), "{}", echoed.stdout);
    let unreachable = ["talk", "--text", "hi", "--url", NASTY];
    let unreachable = run(bench.kaiwa().args(unreachable)).with_code(2);
    assert!(
        unreachable.stderr.contains("]0;title"),
        "{}",
        unreachable.stderr
    );
    for shown in [echoed.stdout, unreachable.stderr] {
        assert!(
            !shown.contains(['\u{1b}', '\u{7}', '\u{202e}']),
            "{shown:?}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_the_conversation_in_words() {
    let bench = Bench::new();
    bench.tone("question.wav", 24_000, 1, 1.0);
    let mut talk = bench.talk();
    talk.args(["--input", "question.wav", "--output", "/dev/full", "--fast"]);
    let ended = run(&mut talk).with_code(7);
    assert!(ended.stderr.contains("/dev/full"), "{}", ended.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_shown_is_recorded_to_its_end() {
    let bench = Bench::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    let mut talk = bench.kaiwa();
    talk.args(["talk", "--engine", "scripted", "--record", "kept"])
        .args(["--text", "one", "--text", "two"])
        .stdout(full.unwrap());
    let ended = run(&mut talk).with_code(7);
    assert!(ended.stderr.contains("transcript"), "{}", ended.stderr);
    let moments = fs::read_to_string(bench.path("kept").join("moments.jsonl")).unwrap();
    let last = moments.lines().last().unwrap();
    assert!(last.contains(r#""type":"ended""#), "{last}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_a_recording_that_plays() {
    let bench = Bench::new();
    bench.tone_then_silence("long.wav", 24_000, 1, 0.5, 60.0);
    bench.write(
        "script.toml",
        "[[reply]]\ntext = \"Never mind the length of what I am saying here.\"\n",
    );
    let mut talk = bench.talk();
    talk.args(["--script", "script.toml", "--input", "long.wav"])
        .args(["--output", "reply.wav"]);
    let mut child = talk.spawn().unwrap();
    wait_for_line(&mut child, "assistant_speech_started");
    let interrupt = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupt.success());
    Ended::from(child.wait_with_output().unwrap()).with_code(130);
    let clip = Clip::open(bench.path("reply.wav")).unwrap();
    assert!(clip.samples.iter().any(|sample| sample.abs() > 0.01));
}

#[cfg(unix)]
fn wait_for_line(child: &mut Child, needle: &str) {
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while stdout.read_line(&mut line).unwrap() > 0 {
        if line.contains(needle) {
            // Whatever comes after must not block the program.
            std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
            return;
        }
        line.clear();
    }
    panic!("the conversation ended without {needle}");
}
