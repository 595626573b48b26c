//! `kaiwa doctor` as its user meets it; `devices.rs` has what it says of devices.

mod common;

use std::process::Command;

use common::{Bench, run, serve};
use serde_json::Value;

fn doctor(bench: &Bench, only: &str) -> Command {
    let mut command = bench.kaiwa();
    command.args(["doctor", "--json", "--only", only]);
    command
}

/// Verdicts by what they are about.
fn verdicts(findings: &[Value]) -> Vec<(&str, &str)> {
    findings
        .iter()
        .map(|finding| {
            let text = |name: &str| finding[name].as_str().unwrap_or_default();
            (text("about"), text("verdict"))
        })
        .collect()
}

#[test]
fn without_a_key_the_embedded_server_is_used_and_missing_models_are_noted() {
    let bench = Bench::new();
    let ended = run(&mut doctor(&bench, "endpoint,models,engines,permissions")).with_code(0);
    let findings = ended.events();
    let verdicts = verdicts(&findings);
    assert_eq!(
        verdicts[..2],
        [("model store", "ok"), ("configuration", "ok")]
    );
    assert!(verdicts.contains(&("endpoint", "ok")), "{verdicts:?}");
    assert!(
        verdicts.contains(&("whisper-tiny.en", "note")),
        "{verdicts:?}"
    );
    assert_eq!(verdicts.last(), Some(&("engines", "note")));
    for finding in &findings {
        // Whoever is told of something is told what to do.
        assert_eq!(
            finding["advice"].is_null(),
            finding["verdict"] == "ok",
            "{finding}"
        );
    }
}

#[test]
fn a_server_is_looked_at_with_the_key_that_talk_would_use() {
    let bench = Bench::new();
    let server = serve(&bench, &["--keys-env", "GOOD_KEYS"]);
    let url = format!("ws://{}/v1", server.address);
    let examine = |key: &str, code: i32| {
        let mut doctor = doctor(&bench, "endpoint,models,engines");
        doctor
            .env("MY_KEY", key)
            .args(["--", "--key-env", "MY_KEY", "--url", &url]);
        run(&mut doctor).with_code(code).events()
    };
    let findings = examine("sesame", 0);
    assert_eq!(
        verdicts(&findings),
        [
            ("name", "ok"),
            ("connection", "ok"),
            ("handshake", "ok"),
            ("session", "ok"),
            ("key", "ok"),
            ("models", "ok"),
            ("engines", "ok")
        ]
    );
    let findings = examine("wrong", 1);
    assert!(
        verdicts(&findings).contains(&("key", "problem")),
        "{findings:?}"
    );
    assert!(
        !findings
            .iter()
            .any(|finding| finding.to_string().contains("wrong\""))
    );
}

#[test]
fn a_script_is_read() {
    let bench = Bench::new();
    let examine = |code: i32| {
        let mut doctor = doctor(&bench, "engines");
        doctor.args(["--", "--engine", "scripted", "--script", "script.toml"]);
        run(&mut doctor).with_code(code).stdout
    };
    let missing = examine(1);
    assert!(missing.contains("script.toml"), "{missing}");
    bench.write("script.toml", "");
    examine(0);
}

#[test]
fn options_that_talk_does_not_know_are_refused() {
    let bench = Bench::new();
    run(doctor(&bench, "terminal").args(["--", "--nonsense"])).with_code(2);
    run(bench.kaiwa().args(["doctor", "--only", "weather"])).with_code(2);
    let ended = run(&mut doctor(&bench, "terminal")).with_code(0);
    assert!(
        ended.stdout.contains("prints lines instead of a screen"),
        "{}",
        ended.stdout
    );
}
