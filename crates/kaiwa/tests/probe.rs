//! `kaiwa probe` against servers of every kind, hostile ones included.

#![expect(
    clippy::unwrap_used,
    reason = "in tests a failed unwrap is the message"
)]

mod common;
#[path = "common/realtime.rs"]
mod realtime;

use std::process::Command;

use common::{Bench, Ended, run, serve};
use realtime::{Fake, beta, ga};
use serde_json::{Value, json};

/// Patience that no loaded machine uses up: every answer that is waited for comes.
const PATIENT: &str = "--timeout=120";
/// For servers that say nothing, however long one waits.
const BRIEF: &str = "--timeout=0.2";

fn probe(bench: &Bench, url: &str, timeout: &str) -> Command {
    let mut command = bench.kaiwa();
    command.args(["probe", "--json", timeout, url]);
    command
}

/// The one object that was printed.
#[track_caller]
fn report(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).expect(&ended.stdout)
}

/// Findings that are not as the API has it: what they are about, their verdict and message.
fn faults(report: &Value) -> Vec<[&str; 3]> {
    let findings = report["findings"].as_array().unwrap().iter();
    let all = findings
        .map(|finding| ["about", "verdict", "message"].map(|name| finding[name].as_str().unwrap()));
    all.filter(|[_, verdict, _]| *verdict != "ok").collect()
}

/// The finding about something whose message contains these words.
#[track_caller]
fn finding<'a>(report: &'a Value, about: &str, words: &str) -> (&'a str, &'a str) {
    let findings = report["findings"].as_array().unwrap();
    let text = |finding: &'a Value, name: &str| finding[name].as_str().unwrap();
    let found = findings
        .iter()
        .find(|it| text(it, "about") == about && text(it, "message").contains(words));
    let found = found.unwrap_or_else(|| panic!("nothing about {about} with {words:?}: {report}"));
    (text(found, "verdict"), text(found, "message"))
}

#[test]
fn the_embedded_server_speaks_as_the_api_does() {
    let bench = Bench::new();
    let mut command = probe(&bench, "local", PATIENT);
    command.args(["--respond", "--", "--engine", "scripted"]);
    let ended = run(&mut command).with_code(0);
    let report = report(&ended);
    assert_eq!(faults(&report), Vec::<[&str; 3]>::new());
    assert_eq!(report["speaks"], true);
    assert_eq!(report["dialect"], "ga");
    assert_eq!(report["usage"].as_array().unwrap().len(), 2);
    let (_, message) = finding(&report, "response.create", "sound");
    assert!(message.contains("ms of sound"), "{message}");
}

#[test]
fn nothing_is_asked_for_that_costs_unless_it_is_wanted() {
    let bench = Bench::new();
    let server = serve(&bench, &[]);
    let url = format!("ws://{}/v1", server.address);
    let ended = run(&mut probe(&bench, &url, PATIENT)).with_code(0);
    let report = report(&ended);
    assert_eq!(faults(&report), Vec::<[&str; 3]>::new());
    assert_eq!(report["usage"], json!([]));
    assert!(report["events"]["response.created"].is_null(), "{report}");
    finding(&report, "subprotocol", "realtime is chosen");
    finding(&report, "handshake", "without a key");
}

#[test]
fn the_beta_is_spoken_where_it_is_asked_for() {
    let bench = Bench::new();
    let server = serve(&bench, &[]);
    let url = format!("ws://{}/v1", server.address);
    let mut command = probe(&bench, &url, PATIENT);
    command.args(["--profile", "beta", "--respond"]);
    let ended = run(&mut command).with_code(0);
    let report = report(&ended);
    assert_eq!(report["dialect"], "beta");
    let (verdict, _) = finding(&report, "dialect", "asked for");
    assert_eq!(verdict, "ok");
    finding(
        &report,
        "conversation.item.create",
        "conversation.item.created",
    );
    assert!(
        report["events"]["response.audio.delta"].is_u64(),
        "{report}"
    );
}

#[test]
fn a_server_that_deviates_is_told_where() {
    let bench = Bench::new();
    let server = Fake::start(|_| Ok(()), vec![ga::created()], ga::sloppy);
    let ended = run(&mut probe(&bench, &server.url(), PATIENT)).with_code(0);
    let report = report(&ended);
    for (about, words, verdict) in [
        ("dialect", "general availability", "ok"),
        ("session.update", "text answers", "ok"),
        ("session.update", "semantic_vad: confirmed, but", "differs"),
        (
            "session.update",
            "noise reduction: confirmed, but",
            "differs",
        ),
        (
            "session.update",
            "transcription: unsupported: No ears.",
            "refused",
        ),
        (
            "conversation.item.create",
            "without conversation.item.done",
            "differs",
        ),
        (
            "conversation.item.retrieve",
            "invalid_value: Never heard",
            "refused",
        ),
        ("input_audio_buffer.commit", "does not carry", "differs"),
        ("conversation.item.delete", "the code is oops", "differs"),
        ("response.cancel", "no error, no answer", "missing"),
        ("events", "mood.changed", "differs"),
        ("fields", "session.mood", "differs"),
        ("fields", "session.tools", "missing"),
        ("subprotocol", "browsers", "missing"),
    ] {
        let (found, message) = finding(&report, about, words);
        assert_eq!(found, verdict, "{about}: {message}");
    }
    assert_eq!(report["unknown_events"], json!(["mood.changed"]));
    // Without a word for programs, a person is told the same in lines.
    let lines = run(bench.kaiwa().args(["probe", PATIENT, &server.url()])).with_code(0);
    assert!(
        lines.stdout.contains("It speaks Realtime, ga: "),
        "{}",
        lines.stdout
    );
    let refused = lines.stdout.lines().find(|line| line.contains("No ears"));
    assert!(refused.unwrap().starts_with("refused  session.update"));
    // What a server says steers no terminal.
    assert!(!lines.stdout.contains('\u{1b}'), "{:?}", lines.stdout);
}

#[test]
fn a_server_that_knows_only_the_beta_is_recognised() {
    let bench = Bench::new();
    for needs_header in [true, false] {
        let refuse = move |headers: &str| match headers.contains("openai-beta: realtime=v1") {
            false if needs_header => Err("Missing header: OpenAI-Beta".to_owned()),
            _ => Ok(()),
        };
        let server = Fake::start(refuse, beta::created(), beta::answers);
        let ended = run(&mut probe(&bench, &server.url(), PATIENT)).with_code(0);
        let report = report(&ended);
        assert_eq!(report["dialect"], "beta");
        let words = if needs_header {
            "asked for"
        } else {
            "nobody asked"
        };
        finding(&report, "dialect", words);
        let (verdict, _) = finding(&report, "session.update", "text answers");
        assert_eq!(verdict, "ok");
        let (verdict, _) = finding(&report, "conversation.item.create", "item.created");
        assert_eq!(verdict, "ok");
    }
}

#[test]
fn a_refused_key_is_told_and_not_shown() {
    let bench = Bench::new();
    let refuse = |_: &str| Err("401 Incorrect key: sk-very-secret".to_owned());
    let server = Fake::start(refuse, Vec::new(), ga::sloppy);
    let mut command = probe(&bench, &server.url(), PATIENT);
    command.env("MY_KEY", "sk-very-secret");
    let ended = run(command.args(["--key-env", "MY_KEY"])).with_code(4);
    let report = report(&ended);
    assert_eq!(report["speaks"], false);
    let (verdict, message) = finding(&report, "handshake", "MY_KEY");
    assert_eq!(verdict, "refused");
    assert!(message.contains("(the key)"), "{message}");
    assert!(!ended.stdout.contains("sk-very-secret"));
    assert!(!ended.stderr.contains("sk-very-secret"));
}

#[test]
fn a_key_that_is_refused_in_the_session_is_a_refused_key() {
    let bench = Bench::new();
    let error = json!({"type": "error", "event_id": "e", "error": {"type": "invalid_request_error",
        "code": "invalid_api_key", "message": "Incorrect API key provided."}});
    let server = Fake::start(|_| Ok(()), vec![error.to_string()], ga::sloppy);
    let ended = run(&mut probe(&bench, &server.url(), PATIENT)).with_code(4);
    let report = report(&ended);
    let (verdict, _) = finding(&report, "session.created", "Incorrect API key");
    assert_eq!(verdict, "refused");
}

#[test]
fn a_page_for_browsers_is_no_realtime_server() {
    let bench = Bench::new();
    let refuse = |_: &str| Err("200 <!doctype html><title>Hello</title>".to_owned());
    let server = Fake::start(refuse, Vec::new(), ga::sloppy);
    let ended = run(&mut probe(&bench, &server.url(), PATIENT)).with_code(3);
    let report = report(&ended);
    let (verdict, message) = finding(&report, "handshake", "not as a WebSocket");
    assert_eq!(verdict, "differs", "{message}");
    assert_eq!(report["dialect"], Value::Null);
}

#[test]
fn a_server_that_says_nothing_is_left_in_time() {
    let bench = Bench::new();
    let server = Fake::start(|_| Ok(()), Vec::new(), |_| Vec::new());
    let ended = run(&mut probe(&bench, &server.url(), BRIEF)).with_code(3);
    let report = report(&ended);
    let (verdict, _) = finding(&report, "session.created", "nothing came");
    assert_eq!(verdict, "missing");
    assert!(
        ended.stderr.contains("no session was had"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_server_that_waits_to_be_spoken_to_is_spoken_to() {
    let bench = Bench::new();
    let server = Fake::start(|_| Ok(()), Vec::new(), ga::sloppy);
    let ended = run(&mut probe(&bench, &server.url(), PATIENT)).with_code(0);
    let report = report(&ended);
    assert_eq!(report["dialect"], "ga");
    finding(&report, "session.created", "nothing came");
}

#[test]
fn rubbish_ends_in_words() {
    let bench = Bench::new();
    let many = vec!["{".to_owned(); 3000];
    let endless = vec![json!({"type": "mood.changed", "\u{1b}[2J": 1}).to_string(); 3000];
    let close = || "close".to_owned();
    let deep = vec![
        format!(r#"{{"type": "x", "y": {}"#, "[".repeat(100_000)),
        close(),
    ];
    let nested = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let nested = vec![format!(r#"{{"type": "x", "y": {nested}}}"#), close()];
    let wrong = vec![
        r#"{"type": 5}"#.to_owned(),
        r#"{"type": "\u001b]0;title\u0007"}"#.to_owned(),
        close(),
    ];
    for (frames, words) in [
        (many, "does not stop sending"),
        (endless, "does not stop sending"),
        (deep, "nothing came"),
        (nested, "nothing came"),
        (wrong, "title"),
    ] {
        let server = Fake::start(|_| Ok(()), frames, |_| Vec::new());
        let ended = run(&mut probe(&bench, &server.url(), PATIENT)).with_code(3);
        let report = report(&ended);
        let (verdict, message) = finding(&report, "session.created", words);
        assert_eq!(verdict, "missing", "{message}");
        let lines = run(bench.kaiwa().args(["probe", PATIENT, &server.url()])).with_code(3);
        for shown in [&lines.stdout, &lines.stderr] {
            assert!(!shown.contains(['\u{1b}', '\u{7}']), "{shown:?}");
        }
    }
}

#[test]
fn a_server_that_hangs_up_is_asked_no_further() {
    let bench = Bench::new();
    let answers = |request: &Value| match request["type"].as_str() {
        Some("conversation.item.create") => vec!["close".to_owned()],
        _ => ga::sloppy(request),
    };
    let server = Fake::start(|_| Ok(()), vec![ga::created()], answers);
    let ended = run(&mut probe(&bench, &server.url(), PATIENT)).with_code(0);
    let report = report(&ended);
    finding(&report, "conversation.item.create", "no answer");
    let (verdict, message) = finding(&report, "connection", "what follows");
    assert_eq!(verdict, "differs");
    assert!(
        message.contains("the server closed the connection"),
        "{message}"
    );
}

#[test]
fn addresses_and_patience_are_judged_first() {
    let bench = Bench::new();
    run(&mut probe(&bench, "nonsense", PATIENT)).with_code(2);
    run(&mut probe(&bench, "ws://127.0.0.1:9/v1", "--timeout=0")).with_code(2);
    let ended = run(&mut probe(&bench, "ws://127.0.0.1:9/v1", PATIENT)).with_code(3);
    let report = report(&ended);
    let (verdict, _) = finding(&report, "handshake", "cannot reach");
    assert_eq!(verdict, "missing");
}
