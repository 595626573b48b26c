//! Configuration as its user meets it: file, environment, flags, personas.

#![expect(
    clippy::unwrap_used,
    reason = "in tests a failed unwrap is the message"
)]

mod common;

use std::fs;

use common::{Bench, Ended, run};

/// Writes the user's configuration.
fn configure(bench: &Bench, name: &str, text: &str) -> String {
    let path = bench.path("configuration").join("kaiwa").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// What `kaiwa config show` says of an option: its value and where it came from.
#[track_caller]
fn shown(ended: &Ended, option: &str) -> (String, String) {
    let line = ended.stdout.lines().find(|line| {
        let name = line.split(" = ").next().unwrap();
        name == option
    });
    let line = line.unwrap_or_else(|| panic!("no {option} in {}", ended.stdout));
    let (value, origin) = line.rsplit_once("  # ").unwrap();
    let (_, value) = value.split_once(" = ").unwrap();
    (value.trim().to_owned(), origin.to_owned())
}

#[test]
fn flags_go_before_the_environment_before_the_persona_before_the_file_before_defaults() {
    let bench = Bench::new();
    let file = configure(
        &bench,
        "config.toml",
        "[engines]\nstt = \"of-engines\"\nllm = \"of-engines\"\n\n[talk]\nllm = \"of-talk\"\n\
         turn = \"none\"\nvoice = \"of-file\"\nmodel = \"of-file\"\neagerness = \"low\"\n",
    );
    let persona = configure(
        &bench,
        "personas/guide.md",
        "---\nvoice: of-persona\nmodel: of-persona\n---\nYou are a guide.\n",
    );
    let mut show = bench.kaiwa();
    show.env("KAIWA_MODEL", "of-environment")
        .env("KAIWA_EAGERNESS", "high")
        .args([
            "config",
            "show",
            "talk",
            "--persona",
            "guide",
            "--eagerness",
            "medium",
        ]);
    let ended = run(&mut show).with_code(0);
    for (option, value, origin) in [
        ("eagerness", "\"medium\"", "flag --eagerness"),
        ("model", "\"of-environment\"", "environment KAIWA_MODEL"),
        ("voice", "\"of-persona\"", &format!("{persona}:2")),
        ("instructions", "\"You are a guide.\"", &persona),
        ("llm", "\"of-talk\"", &format!("{file}:6")),
        ("stt", "\"of-engines\"", &format!("{file}:2")),
        ("turn", "\"none\"", &format!("{file}:7")),
        ("fast", "false", "default"),
    ] {
        assert_eq!(
            shown(&ended, option),
            (value.to_owned(), origin.to_owned()),
            "{option}"
        );
    }
    assert!(ended.stdout.contains("# url "), "{}", ended.stdout);
    // The engines' table is of serve, too, and talk's is not.
    let ended = run(bench.kaiwa().args(["config", "show", "serve"])).with_code(0);
    assert_eq!(shown(&ended, "llm").0, "\"of-engines\"");
}

#[test]
fn what_is_shown_is_a_configuration() {
    let bench = Bench::new();
    configure(
        &bench,
        "config.toml",
        "[talk]\ninstructions = \"Say \\\"hi\\\"\\nand go.\"\n",
    );
    let before = run(bench.kaiwa().args(["config", "show"])).with_code(0);
    let written = bench.write("written.toml", &before.stdout);
    let mut again = bench.kaiwa();
    again.env("KAIWA_CONFIG", &written).args(["config", "show"]);
    let after = run(&mut again).with_code(0);
    let values = |ended: &Ended| -> Vec<String> {
        let lines = ended.stdout.lines();
        lines
            .filter_map(|line| Some(line.rsplit_once("  # ")?.0.trim().to_owned()))
            .collect()
    };
    assert_eq!(values(&before), values(&after));
}

#[test]
fn the_file_is_obeyed() {
    let bench = Bench::new();
    configure(
        &bench,
        "config.toml",
        "[talk]\njson = true\n[engines]\nengine = \"scripted\"\n",
    );
    let mut talk = bench.kaiwa();
    let ended = run(talk.args(["talk", "--text", "Good morning"])).with_code(0);
    assert_eq!(ended.texts("assistant_done"), ["You said: Good morning"]);
    let mut talk = bench.kaiwa();
    let ended = run(talk
        .env("KAIWA_JSON", "0")
        .args(["talk", "--text", "Good morning"]));
    assert!(ended.with_code(0).stdout.contains("assistant: You said"));
}

#[test]
fn a_mistake_in_the_file_is_named_with_its_line() {
    let bench = Bench::new();
    let file = configure(&bench, "config.toml", "[talk]\n\nvoicee = \"marin\"\n");
    let ended = run(bench.kaiwa().args(["talk", "--text", "Hi"])).with_code(2);
    assert!(
        ended.stderr.contains(&format!("{file}:3: ")),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("\"voicee\""), "{}", ended.stderr);
    assert!(ended.stderr.contains("hint: "), "{}", ended.stderr);

    let mut missing = bench.kaiwa();
    let ended =
        run(missing.args(["talk", "--config", "nowhere.toml", "--text", "Hi"])).with_code(2);
    assert!(ended.stderr.contains("nowhere.toml"), "{}", ended.stderr);
}

#[test]
fn the_nearer_of_url_and_local_counts() {
    let bench = Bench::new();
    configure(
        &bench,
        "config.toml",
        "[talk]\nurl = \"ws://127.0.0.1:9/v1\"\n",
    );
    let mut local = bench.kaiwa();
    local.args(["talk", "--local", "--engine", "scripted", "--text", "Hi"]);
    assert!(run(&mut local).with_code(0).stdout.contains("You said: Hi"));
    configure(
        &bench,
        "config.toml",
        "[talk]\nurl = \"ws://127.0.0.1:9/v1\"\nlocal = true\n",
    );
    let ended = run(bench.kaiwa().args(["talk", "--text", "Hi"])).with_code(2);
    assert!(
        ended.stderr.contains("exclude each other"),
        "{}",
        ended.stderr
    );
    // A flag goes before the environment, and the environment before the file.
    let local = ["talk", "--engine", "scripted", "--text", "Hi", "--local"];
    let mut flag = bench.kaiwa();
    flag.env("KAIWA_URL", "ws://127.0.0.1:9/v1").args(local);
    assert!(run(&mut flag).with_code(0).stdout.contains("You said: Hi"));
    let mut variable = bench.kaiwa();
    variable.env("KAIWA_LOCAL", "1").args(&local[..5]);
    assert!(
        run(&mut variable)
            .with_code(0)
            .stdout
            .contains("You said: Hi")
    );
    // A switch that is off excludes nothing.
    let mut off = bench.kaiwa();
    configure(
        &bench,
        "config.toml",
        "[talk]\nurl = \"ws://127.0.0.1:9/v1\"\n",
    );
    off.env("KAIWA_LOCAL", "0").args(["talk", "--text", "Hi"]);
    run(&mut off).with_code(3);
    let mut both = bench.kaiwa();
    let ended = run(both.args(local).args(["--url", "ws://127.0.0.1:9/v1"])).with_code(2);
    assert!(
        ended.stderr.contains("exclude each other"),
        "{}",
        ended.stderr
    );
}

#[test]
fn personas_are_found_or_listed() {
    let bench = Bench::new();
    let show = |name: &str| {
        let mut command = bench.kaiwa();
        command.args(["config", "show", "talk", "--persona", name]);
        run(&mut command)
    };
    let haiku = show("haiku").with_code(0);
    let (text, origin) = shown(&haiku, "instructions");
    assert!(text.contains("five syllables"), "{text}");
    assert_eq!(origin, "built-in persona haiku");
    configure(&bench, "personas/pirate.md", "Arr.");
    let ended = show("nobody").with_code(2);
    assert!(
        ended.stderr.contains("known personas: haiku, pirate"),
        "{}",
        ended.stderr
    );
}

#[test]
fn the_path_completions_and_manual_are_printed() {
    let bench = Bench::new();
    let ended = run(bench.kaiwa().args(["config", "path"])).with_code(0);
    let expected = bench
        .path("configuration")
        .join("kaiwa")
        .join("config.toml");
    assert_eq!(ended.stdout.trim(), expected.display().to_string());
    for shell in ["bash", "fish", "zsh"] {
        let ended = run(bench.kaiwa().args(["completions", shell])).with_code(0);
        assert!(ended.stdout.contains("persona"), "{shell}");
    }
    let ended = run(bench.kaiwa().arg("man")).with_code(0);
    assert!(ended.stdout.contains(".TH"), "{}", ended.stdout);
    run(bench.kaiwa().args(["man", "--output", "pages"])).with_code(0);
    let page = fs::read_to_string(bench.path("pages").join("kaiwa-talk.1")).unwrap();
    assert!(page.contains("persona"), "{page}");
}
