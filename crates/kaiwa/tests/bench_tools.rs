//! `kaiwa bench tools` on a script: what is counted, without a model.

#![expect(
    clippy::unwrap_used,
    reason = "in tests a failed unwrap is the message"
)]

mod common;

use common::{Bench, run};
use serde_json::Value;

/// Right once, wrong in every way once; what is not mentioned is answered in words.
const SCRIPT: &str = r#"
[[reply]]
user = "Paris right now"
tool-calls = [{ name = "get_weather", arguments = { city = "PARIS", unit = "celsius" } }]

[[reply]]
user = "timer for five minutes"
tool-calls = [{ name = "set_timer", arguments = { minutes = "five" } }]

[[reply]]
user = "timer 20 min"
tool-calls = [{ name = "set_timer", arguments = { minutes = 2 } }]

[[reply]]
user = "some jazz"
tool-calls = [{ name = "set_timer", arguments = { minutes = 20 } }]

[[reply]]
user = "17 times 23"
tool-calls = [{ name = "calculator", arguments = { sum = "17 * 23" } }]

[[reply]]
user = "tell me a joke"
tool-calls = [{ name = "play_music", arguments = { query = "a joke" } }]

[[reply]]
text = "I would rather not."
"#;

fn outcome<'a>(report: &'a Value, said: &str) -> &'a Value {
    let outcomes = report["outcomes"].as_array().unwrap();
    let found = outcomes
        .iter()
        .find(|it| it["said"].as_str().unwrap().contains(said));
    found.unwrap_or_else(|| panic!("nobody said {said}"))
}

#[test]
fn calls_are_counted_by_what_is_right_about_them() {
    let bench = Bench::new();
    bench.write("script.toml", SCRIPT);
    let mut command = bench.kaiwa();
    command.args(["bench", "tools", "--json", "--engine", "scripted"]);
    command.args(["--script", "script.toml", "--html", "report.html"]);
    let ended = run(&mut command).with_code(0);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    for (figure, count, of) in [
        ("right_tool", 4, 34),
        ("right_tool_and_arguments", 2, 34),
        ("no_call", 29, 34),
        ("well_formed", 5, 6),
        ("false_calls", 1, 6),
        ("failed", 0, 40),
    ] {
        let share = &report[figure];
        assert_eq!(
            (share["count"].as_u64(), share["of"].as_u64()),
            (Some(count), Some(of)),
            "{figure}: {report}"
        );
    }
    assert_eq!(report["call_ms"]["count"], 6);
    let right = outcome(&report, "five minutes");
    assert_eq!(right["right_arguments"], true);
    assert_eq!(right["expected"]["tool"], "set_timer");
    assert_eq!(right["got"][0]["arguments"], "{\"minutes\":\"five\"}");
    let silent = outcome(&report, "Who wrote");
    assert_eq!(silent["expected"], Value::Null);
    assert_eq!(silent["text"], "I would rather not.");
    let page = std::fs::read_to_string(bench.path("report.html")).unwrap();
    assert!(page.contains("Calls of tools") && page.contains("false call"));
}

#[test]
fn where_nobody_answers_the_benchmark_fails() {
    let bench = Bench::new();
    let script = "[[reply]]\ntext = \"x\"\nfail-after = 0\nfail-message = \"no mind\"";
    bench.write("script.toml", script);
    let mut command = bench.kaiwa();
    command.args(["bench", "tools", "--engine", "scripted", "--requests", "3"]);
    let ended = run(command.args(["--script", "script.toml"])).with_code(1);
    assert!(ended.stdout.contains("3 of 3"), "{}", ended.stdout);
    assert!(
        ended.stderr.contains("no request was answered"),
        "{}",
        ended.stderr
    );
}
