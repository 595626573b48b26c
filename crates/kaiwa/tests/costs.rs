//! What a conversation costs, as its user meets it.

mod common;

use common::{Bench, run, serve};
use serde_json::Value;

/// Prices for whatever model is asked for here, with transcription.
const PRICES: &str = r#"
[[model]]
name = "some-model"
text_input = "1"
text_output = "1000"
audio_input = "1"
audio_output = "1000"
as_of = "2026-11-23"
source = "made up for these tests"

[[model]]
name = "whisper-1"
per_minute = "0.006"
as_of = "2026-11-23"
source = "made up for these tests"
"#;

/// `kaiwa talk` to a server at this address.
fn talk(bench: &Bench, address: &str, flags: &[&str]) -> std::process::Command {
    let mut talk = bench.kaiwa();
    talk.args(["talk", "--url", &format!("ws://{address}/v1")])
        .args(flags);
    talk
}

#[test]
fn each_answer_and_the_whole_are_priced() {
    let bench = Bench::new();
    bench.write("prices.toml", PRICES);
    let server = serve(&bench, &[]);
    let flags = [
        "--prices",
        "prices.toml",
        "--model",
        "some-model",
        "--text",
        "one",
        "--text",
        "two",
    ];
    let ended = run(&mut talk(&bench, &server.address, &flags)).with_code(0);
    let total = ended.stdout.lines().last().unwrap();
    assert!(total.starts_with("2 responses, "), "{}", ended.stdout);
    assert!(total.contains(" out: $0."), "{}", ended.stdout);
    assert_eq!(
        ended.stdout.matches(" so far]").count(),
        2,
        "{}",
        ended.stdout
    );

    let mut json = talk(&bench, &server.address, &flags);
    let ended = run(json.arg("--json")).with_code(0);
    let bills: Vec<Value> = ended
        .events()
        .into_iter()
        .filter(|event| event["type"] == "billed")
        .collect();
    assert_eq!(bills.len(), 2);
    let sum: f64 = bills
        .iter()
        .map(|bill| bill["cost"]["usd"].as_f64().unwrap())
        .sum();
    let total = bills[1]["total"]["usd"].as_f64().unwrap();
    assert!((sum - total).abs() < 1e-9 && total > 0.0, "{bills:?}");
}

#[test]
fn a_budget_ends_the_conversation_with_a_code_of_its_own() {
    let bench = Bench::new();
    bench.write("prices.toml", PRICES);
    let server = serve(&bench, &[]);
    let mut command = talk(
        &bench,
        &server.address,
        &[
            "--prices",
            "prices.toml",
            "--model",
            "some-model",
            "--budget",
            "0.13",
        ],
    );
    for _ in 0..30 {
        command.args([
            "--text",
            "Tell me a long story about the sea and the ships on it",
        ]);
    }
    let ended = run(&mut command).with_code(8);
    assert!(
        ended.stderr.contains("the budget of $0.1300"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("hint: "), "{}", ended.stderr);
    let total = ended.stdout.lines().last().unwrap();
    let (_, spent) = total.rsplit_once(": $").unwrap();
    assert!(spent.parse::<f64>().unwrap() <= 0.13, "{total}");
}

#[test]
fn without_a_price_there_is_no_cost_and_no_budget() {
    let bench = Bench::new();
    let server = serve(&bench, &[]);
    let typed = ["--model", "some-model", "--text", "one"];
    let ended = run(&mut talk(&bench, &server.address, &typed)).with_code(0);
    let total = ended.stdout.lines().last().unwrap();
    assert!(
        total.contains("; no price is known for "),
        "{}",
        ended.stdout
    );
    assert!(!ended.stdout.contains('$'), "{}", ended.stdout);

    let mut budget = talk(&bench, &server.address, &typed);
    let ended = run(budget.args(["--budget", "1"])).with_code(2);
    assert!(
        ended.stderr.contains("no price is known for some-model"),
        "{}",
        ended.stderr
    );

    // The embedded server costs nothing.
    let mut offline = bench.kaiwa();
    offline.args([
        "talk", "--engine", "scripted", "--budget", "1", "--text", "one",
    ]);
    let ended = run(&mut offline).with_code(0);
    assert!(!ended.stdout.contains("tokens"), "{}", ended.stdout);
}
