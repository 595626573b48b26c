//! `kaiwa probe` against servers of every kind, hostile ones included.

#![expect(
    clippy::unwrap_used,
    reason = "in tests a failed unwrap is the message"
)]

mod common;
#[path = "common/realtime.rs"]
mod realtime;

use std::{
    io::Read,
    process::{Command, Output},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use common::{Bench, Ended, serve};
use realtime::{Fake, beta, ga};
use serde_json::{Value, json};

/// Patience that no loaded machine uses up: every answer that is waited for comes.
const PATIENT: &str = "--timeout=120";
/// For servers that say nothing, however long one waits.
const BRIEF: &str = "--timeout=0.2";
/// For servers that leave some requests without an answer: each costs a part of it.
const BRISK: &str = "--timeout=20";
/// No probe takes so long, unless it hangs.
const HANGS: Duration = Duration::from_secs(120);
const KEY: &str = "sk-very-secret";

/// Runs a command to its end, which it is brought to where it hangs.
#[track_caller]
fn run(command: &mut Command) -> Ended {
    let mut child = command.spawn().unwrap();
    let (sender, ends) = mpsc::channel();
    let reading = [
        Box::new(child.stdout.take().unwrap()) as Box<dyn Read + Send>,
        Box::new(child.stderr.take().unwrap()),
    ]
    .map(|mut pipe| {
        let sender = sender.clone();
        thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).unwrap();
            sender.send(()).ok();
            bytes
        })
    });
    let until = Instant::now() + HANGS;
    for _ in &reading {
        let left = until.saturating_duration_since(Instant::now());
        if ends.recv_timeout(left).is_err() {
            child.kill().ok();
        }
    }
    let [stdout, stderr] = reading.map(|reader| reader.join().unwrap());
    let status = child.wait().unwrap();
    Output {
        status,
        stdout,
        stderr,
    }
    .into()
}

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
fn no_answer_is_asked_for_and_no_sound_is_left_to_be_heard() {
    let bench = Bench::new();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&sent);
    // Everything is refused but settings and sound, and no clearing is confirmed.
    let answers = move |request: &Value| {
        kept.lock().unwrap().push(request.clone());
        match request["type"].as_str().unwrap() {
            "input_audio_buffer.clear" | "input_audio_buffer.append" => Vec::new(),
            "session.update" if request["session"]["kaiwa_probe"].is_null() => ga::sloppy(request),
            _ => vec![
                json!({"type": "error", "event_id": "e", "error": {"type": "invalid_request_error",
                    "code": "no", "message": "No.", "event_id": request["event_id"]}})
                .to_string(),
            ],
        }
    };
    let server = Fake::start(|_| Ok(()), vec![ga::created()], answers);
    let ended = run(&mut probe(&bench, &server.url(), BRISK)).with_code(0);
    let report = report(&ended);
    let (verdict, _) = finding(&report, "input_audio_buffer.commit", "not tried");
    assert_eq!(verdict, "missing");
    let sent = sent.lock().unwrap();
    let types: Vec<&str> = sent.iter().map(|it| it["type"].as_str().unwrap()).collect();
    assert!(!types.contains(&"response.create"), "{types:?}");
    assert!(!types.contains(&"input_audio_buffer.commit"), "{types:?}");
    assert!(types.contains(&"kaiwa.probe"), "{types:?}");
    // Before there is sound, nobody listens to it.
    let sound = types
        .iter()
        .position(|it| *it == "input_audio_buffer.append");
    let before = &sent[..sound.unwrap()];
    for name in ["transcription", "turn_detection"] {
        let of = |request: &Value| request["session"]["audio"]["input"].get(name).cloned();
        assert_eq!(before.iter().rev().find_map(of), Some(Value::Null));
    }
}

#[test]
fn an_answer_that_nobody_asked_for_is_told() {
    let bench = Bench::new();
    let answers = |request: &Value| match request["type"].as_str() {
        Some("input_audio_buffer.append") => {
            let response = json!({"id": "resp_1", "object": "realtime.response",
                "status": "in_progress", "status_details": null, "output": [], "usage": null});
            let event = json!({"type": "response.created", "event_id": "e", "response": response});
            vec![event.to_string()]
        }
        Some("input_audio_buffer.commit") => vec!["close".to_owned()],
        _ => ga::sloppy(request),
    };
    let server = Fake::start(|_| Ok(()), vec![ga::created()], answers);
    let ended = run(&mut probe(&bench, &server.url(), BRISK)).with_code(0);
    let report = report(&ended);
    let (verdict, _) = finding(&report, "response.created", "1 came unasked");
    assert_eq!(verdict, "differs");
}

#[test]
fn a_late_confirmation_is_not_that_of_the_next_request() {
    let bench = Bench::new();
    let answers = |request: &Value| {
        let session = &request["session"];
        match request["type"].as_str() {
            Some("conversation.item.create") => vec!["close".to_owned()],
            Some("session.update") if !session["instructions"].is_null() => Vec::new(),
            // The one that is owed comes before the own one.
            Some("session.update") if session["tools"].get(0).is_some() => {
                let plain = ga::sloppy(request);
                let mut own: Value = serde_json::from_str(&plain[0]).unwrap();
                own["session"]["tools"] = session["tools"].clone();
                vec![plain[0].clone(), own.to_string()]
            }
            _ => ga::sloppy(request),
        }
    };
    let server = Fake::start(|_| Ok(()), vec![ga::created()], answers);
    let ended = run(&mut probe(&bench, &server.url(), BRISK)).with_code(0);
    let report = report(&ended);
    let (verdict, _) = finding(&report, "session.update", "instructions: no answer");
    assert_eq!(verdict, "missing");
    let (verdict, message) = finding(&report, "session.update", "function tools");
    assert_eq!(verdict, "ok", "{message}");
}

#[test]
fn a_server_gets_only_a_key_that_is_meant_for_it() {
    let bench = Bench::new();
    for (options, named_by_environment, is_sent) in [
        (&[][..], false, false),
        (&["--key-env", "OPENAI_API_KEY"][..], false, true),
        (&[][..], true, true),
    ] {
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heads);
        let refuse = move |head: &str| {
            kept.lock().unwrap().push(head.to_owned());
            Err("404 Nothing here".to_owned())
        };
        let server = Fake::start(refuse, Vec::new(), ga::sloppy);
        let mut command = probe(&bench, &server.url(), PATIENT);
        command.args(options).env("OPENAI_API_KEY", KEY);
        if named_by_environment {
            command.env("KAIWA_KEY_ENV", "OPENAI_API_KEY");
        }
        let ended = run(&mut command).with_code(3);
        let heads = heads.lock().unwrap();
        assert!(!heads.is_empty());
        for head in heads.iter() {
            assert_eq!(head.contains("authorization:"), is_sent, "{head}");
            assert_eq!(head.contains(KEY), is_sent, "{head}");
        }
        if !is_sent {
            finding(&report(&ended), "key", "OPENAI_API_KEY is not sent");
        }
    }
}

#[test]
fn a_key_crosses_no_open_network_as_it_is() {
    let bench = Bench::new();
    let mut command = probe(&bench, "ws://example.com/v1", PATIENT);
    command.env("MY_KEY", KEY).args(["--key-env", "MY_KEY"]);
    let ended = run(&mut command).with_code(2);
    assert!(
        ended.stderr.contains("without encryption"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains(KEY));
}

#[test]
fn a_key_in_names_of_events_and_fields_is_not_shown() {
    let bench = Bench::new();
    let named = |name: String| json!({"type": name, "event_id": "e"}).to_string();
    let opening = vec![
        named(KEY.to_owned()),
        // Where names are clipped, a half of it would be left.
        named(format!("{}{KEY}", "x".repeat(70))),
        ga::created(),
    ];
    let answers = |request: &Value| match request["type"].as_str() {
        Some("conversation.item.create") => vec!["close".to_owned()],
        _ => {
            let events = ga::sloppy(request).into_iter();
            events
                .map(|event| event.replace("\"mood\"", &format!("\"{KEY}\"")))
                .collect()
        }
    };
    let server = Fake::start(|_| Ok(()), opening, answers);
    let url = format!("{}?api-key=another-secret", server.url());
    for json in [true, false] {
        let mut command = bench.kaiwa();
        command.args(["probe", PATIENT, &url, "--key-env", "MY_KEY"]);
        command.args(json.then_some("--json")).env("MY_KEY", KEY);
        let ended = run(&mut command).with_code(0);
        for shown in [&ended.stdout, &ended.stderr] {
            assert!(!shown.contains("sk-very"), "{shown}");
            assert!(!shown.contains("another-secret"), "{shown}");
        }
        if json {
            let report = report(&ended);
            assert_eq!(report["events"]["(the key)"], 1, "{report}");
            let fields = report["unknown_fields"].as_array().unwrap();
            assert!(fields.contains(&json!("session.(the key)")), "{report}");
        }
    }
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
    assert_eq!(faults(&report), Vec::<[&str; 3]>::new());
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
    let ended = run(&mut probe(&bench, &server.url(), BRISK)).with_code(0);
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
    let lines = run(bench.kaiwa().args(["probe", BRISK, &server.url()])).with_code(0);
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
        let ended = run(&mut probe(&bench, &server.url(), BRISK)).with_code(0);
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
    let answers = |request: &Value| match request["type"].as_str() {
        Some("conversation.item.create") => vec!["close".to_owned()],
        _ => ga::sloppy(request),
    };
    let server = Fake::start(|_| Ok(()), Vec::new(), answers);
    let ended = run(&mut probe(&bench, &server.url(), BRISK)).with_code(0);
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
