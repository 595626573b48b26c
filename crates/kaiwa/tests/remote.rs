//! Engines on another server, as their user configures them.

mod common;

use std::fs;

use common::{Bench, run, serve};

/// Nothing listens on port 1.
const NOBODY: &str = "http://127.0.0.1:1/v1";

#[test]
fn a_conversation_runs_on_the_engines_of_another_kaiwa() {
    let bench = Bench::new();
    let script = bench.write("script.toml", "[[reply]]\ntext = \"I am the other one.\"\n");
    let peer = serve(&bench, &["--script", script.to_str().unwrap()]);
    let url = format!("http://{}", peer.address);
    let mut talk = bench.talk();
    talk.args(["--local", "--text", "Who are you?", "--output", "reply.wav"]);
    for role in ["llm", "stt", "tts"] {
        talk.args([format!("--{role}-url={url}"), format!("--{role}-model=any")]);
    }
    let ended = run(&mut talk).with_code(0);
    assert_eq!(ended.texts("assistant_done"), ["I am the other one."]);
    assert!(common::audible_seconds(&bench.path("reply.wav")) > 0.5);
    // It lists "scripted".
    assert!(
        ended.stderr.contains("does not list the model \"any\""),
        "{}",
        ended.stderr
    );
}

#[test]
fn mistakes_are_said_before_anything_is_served() {
    let bench = Bench::new();
    let locked = serve(&bench, &["--keys-env", "GOOD_KEYS"]);
    let keyed = format!("http://{}/v1", locked.address);
    for (arguments, code, part) in [
        (vec!["--llm-url", NOBODY], 2, "--llm-model"),
        (vec!["--llm-model", "m"], 2, "it needs a --llm-url"),
        (
            vec!["--llm-url", "gpu", "--llm-model", "m"],
            2,
            "--llm-url: ",
        ),
        (
            vec![
                "--llm-url",
                NOBODY,
                "--llm-model",
                "m",
                "--llm-key-env",
                "NO_SUCH_KEY",
            ],
            2,
            "NO_SUCH_KEY",
        ),
        (
            vec!["--llm-url", NOBODY, "--llm-model", "m"],
            3,
            "cannot be reached",
        ),
        (
            vec!["--tts-url", &keyed, "--tts-model", "m"],
            4,
            "wants a key",
        ),
        (
            vec![
                "--stt-url",
                &keyed,
                "--stt-model",
                "m",
                "--stt-key-env",
                "BAD_KEY",
            ],
            4,
            "refuses the key",
        ),
    ] {
        let mut serve = bench.kaiwa();
        serve
            .args(["serve", "--engine", "scripted", "--listen", "127.0.0.1:0"])
            .args(&arguments)
            .env("BAD_KEY", "open-barley");
        let ended = run(&mut serve).with_code(code);
        assert!(
            ended.stderr.contains(part),
            "{arguments:?}: {}",
            ended.stderr
        );
        assert!(!ended.stderr.contains("open-barley"), "{}", ended.stderr);
    }
}

#[test]
fn with_a_fallback_the_server_starts_all_the_same() {
    let bench = Bench::new();
    let mut talk = bench.talk();
    talk.args([
        "--local",
        "--text",
        "Hello",
        "--llm-url",
        NOBODY,
        "--llm-model",
        "m",
    ]);
    talk.args(["--llm-fallback", "local", "--output", "reply.wav"]);
    let ended = run(&mut talk).with_code(0);
    assert_eq!(ended.texts("assistant_done"), ["You said: Hello"]);
    assert!(
        ended.stderr.contains("cannot be reached"),
        "{}",
        ended.stderr
    );
}

#[test]
fn the_file_has_a_table_for_each_role() {
    let bench = Bench::new();
    let folder = bench.path("configuration").join("kaiwa");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("config.toml");
    fs::write(
        &file,
        "[engines.llm]\nurl = \"http://127.0.0.1:1\"\nmodel = \"big\"\n\
         [profiles.small.engines.llm]\nurl = \"http://127.0.0.1:2\"\n",
    )
    .unwrap();
    let mut show = bench.kaiwa();
    show.args(["config", "show", "serve"])
        .env("KAIWA_LLM_MODEL", "bigger");
    let ended = run(&mut show).with_code(0);
    for (option, origin) in [
        (
            "llm-url = \"http://127.0.0.1:1\"",
            format!("{}:2", file.display()),
        ),
        (
            "llm-model = \"bigger\"",
            "environment KAIWA_LLM_MODEL".to_owned(),
        ),
    ] {
        let line = ended.stdout.lines().find(|line| line.starts_with(option));
        let line = line.unwrap_or_else(|| panic!("no {option} in {}", ended.stdout));
        assert!(line.ends_with(&origin), "{line}");
    }

    // The profile has an url of its own, so that the model's name there has to be given, too.
    let mut serve = bench.kaiwa();
    serve.args(["serve", "--engine", "scripted", "--listen", "127.0.0.1:0"]);
    serve.args(["--llm-fallback", "local"]);
    let ended = run(&mut serve).with_code(2);
    assert!(ended.stderr.contains("--llm-model"), "{}", ended.stderr);
}

#[test]
fn no_key_goes_to_a_server_it_was_not_named_for() {
    let bench = Bench::new();
    let folder = bench.path("configuration").join("kaiwa");
    fs::create_dir_all(&folder).unwrap();
    fs::write(
        folder.join("config.toml"),
        "[engines.llm]\nurl = \"https://first.test/v1\"\nmodel = \"big\"\nkey_env = \"FIRST\"\n",
    )
    .unwrap();
    let serve = |arguments: &[&str]| {
        let mut serve = bench.kaiwa();
        serve
            .args(["serve", "--engine", "scripted", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .env("FIRST", "open-barley");
        serve
    };
    let refused = run(&mut serve(&["--llm-url", NOBODY])).with_code(2);
    let part = "names another server than the one whose key";
    assert!(refused.stderr.contains(part), "{}", refused.stderr);
    // Whoever says that there is none, or names one, is believed.
    for key in ["", "FIRST"] {
        let ended = run(&mut serve(&["--llm-url", NOBODY, "--llm-key-env", key])).with_code(3);
        assert!(
            ended.stderr.contains("cannot be reached"),
            "{}",
            ended.stderr
        );
    }
}
