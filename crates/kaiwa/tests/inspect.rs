//! `kaiwa talk --record` and what `kaiwa inspect` makes of it, on scripted engines.

mod common;

use std::{fs, process::Command};

use common::{Bench, run};
use kaiwa_audio::WavWriter;
use serde_json::Value;

/// Two stretches of tone with a pause in between that may be the end of the turn.
fn hesitation(bench: &Bench) {
    let mut writer = WavWriter::create(bench.path("question.wav"), 24_000, 1).expect("a file");
    for (ms, level) in [(500, 0.0), (800, 0.3), (320, 0.0), (800, 0.3), (900, 0.0)] {
        let tone = (0..ms * 24).map(|n: u16| {
            let angle = f32::from(n) * 440.0 * std::f32::consts::TAU / 24_000.0;
            level * angle.sin()
        });
        writer.write(&tone.collect::<Vec<_>>()).expect("a tone");
    }
    writer.finalize().expect("a file");
}

fn inspect(bench: &Bench, arguments: &[&str]) -> Command {
    let mut command = bench.kaiwa();
    command.arg("inspect").args(arguments);
    command
}

/// The data of a page.
fn story(page: &str) -> Value {
    let (_, rest) = page
        .split_once("<script type=\"application/json\" id=\"story\">")
        .expect("there is a story");
    let (story, _) = rest.split_once("</script>").expect("it ends");
    serde_json::from_str(story).expect("it is JSON")
}

fn outcomes(story: &Value, kind: &str) -> Vec<String> {
    let jobs = story["jobs"].as_array().expect("jobs").iter();
    jobs.filter(|job| job["kind"] == kind)
        .map(|job| job["outcome"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn a_recorded_conversation_is_shown_and_goes_the_same_way_again() {
    let bench = Bench::new();
    hesitation(&bench);
    let mut talk = bench.talk();
    talk.args(["--input", "question.wav", "--output", "none", "--fast"])
        .args([
            "--speculate",
            "160",
            "--record",
            "talk",
            "--trace",
            "trace.jsonl",
        ]);
    let ended = run(&mut talk).with_code(0);

    let page = run(&mut inspect(&bench, &["talk"])).with_code(0);
    let path = bench.path("talk").join("index.html");
    assert_eq!(page.stdout.trim(), "talk/index.html");
    let story = story(&fs::read_to_string(path).unwrap());
    let turns = story["turns"].as_array().unwrap();
    let said = |text: &Value| text.as_str().unwrap_or_default().trim().to_owned();
    let texts: Vec<_> = turns.iter().map(|turn| said(&turn["text"])).collect();
    assert_eq!(texts, ended.texts("user_transcript_done"));
    let answers = story["answers"].as_array().unwrap();
    let texts: Vec<_> = answers.iter().map(|answer| said(&answer["text"])).collect();
    assert_eq!(texts, ended.texts("assistant_done"));
    assert_eq!(answers[0]["turn"], 0);
    // The pause was taken for the end once, and it was not. How often the turn was listened to
    // while it went on depends on the machine.
    let mut whole = story.clone();
    let jobs = whole["jobs"].as_array_mut().expect("jobs");
    jobs.retain(|job| {
        job["asked"]
            .as_str()
            .is_some_and(|a| a.ends_with("of speech"))
    });
    assert_eq!(outcomes(&whole, "transcribe"), ["discarded", "kept"]);
    assert_eq!(
        outcomes(&story, "generate").last().map(String::as_str),
        Some("kept")
    );
    let loud = |peaks: &Value| {
        let peaks = peaks.as_array().unwrap().iter();
        peaks.filter(|peak| peak.as_i64() > Some(20)).count()
    };
    // 1.6 s of tone are 320 peaks.
    assert_eq!(loud(&story["user"]) / 10, 32);
    assert!(loud(&story["assistant"]) > 50);
    let voiced = story["voice"].as_array().unwrap();
    assert!(voiced.iter().any(|frame| frame[1].as_u64() > Some(50)));

    // What the trace has, the recording has.
    let read = |name: &str| fs::read_to_string(bench.path(name)).unwrap();
    assert_eq!(read("trace.jsonl"), read("talk/events.jsonl"));
    assert_eq!(read("talk/moments.jsonl"), ended.stdout);

    let replayed = run(&mut inspect(&bench, &["talk", "--replay"])).with_code(0);
    assert!(
        replayed.stdout.starts_with("replayed "),
        "{}",
        replayed.stdout
    );
    assert!(!replayed.stdout.contains("stops"), "{}", replayed.stdout);
}

#[test]
fn a_replay_that_differs_fails_and_says_where() {
    let bench = Bench::new();
    let talk = ["--text", "Good morning", "--record", "talk"];
    run(bench.talk().args(talk)).with_code(0);
    let path = bench.path("talk/session.jsonl");
    let journal = fs::read_to_string(&path).unwrap();
    let changed = journal.replacen("\"delta\":\"You", "\"delta\":\"I", 1);
    assert_ne!(journal, changed);
    fs::write(&path, changed).unwrap();
    let ended = run(&mut inspect(&bench, &["talk", "--replay"])).with_code(1);
    assert!(ended.stderr.contains("differs at line"), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
}

#[test]
fn what_is_said_cannot_become_part_of_the_page() {
    let bench = Bench::new();
    let said = "</script><script>alert(1)</script><!-- /*sound*/";
    let talk = ["--text", said, "--record", "talk"];
    run(bench.talk().args(talk)).with_code(0);
    run(&mut inspect(&bench, &["talk", "--output", "page.html"])).with_code(0);
    let page = fs::read_to_string(bench.path("page.html")).unwrap();
    assert!(!page.contains("alert(1)</script>"), "it is in the page");
    assert_eq!(story(&page)["turns"][0]["text"], said);
}

#[test]
fn a_recording_is_private_and_never_written_over() {
    let bench = Bench::new();
    let talk = ["--text", "hi", "--record", "talk"];
    run(bench.talk().args(talk)).with_code(0);
    let again = run(bench.talk().args(talk)).with_code(7);
    assert!(
        again.stderr.contains("talk holds a recording already"),
        "{}",
        again.stderr
    );
    run(&mut inspect(&bench, &["talk"])).with_code(0);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(bench.path("talk")), 0o700);
        for file in fs::read_dir(bench.path("talk")).unwrap() {
            assert_eq!(mode(file.unwrap().path()), 0o600);
        }
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let bench = Bench::new();
    let fails = |arguments: &[&str], part: &str| {
        let ended = run(&mut inspect(&bench, arguments)).with_code(6);
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    };
    fails(&["nothing"], "nothing holds no recording");
    run(bench.talk().args(["--text", "hi", "--record", "talk"])).with_code(0);
    let path = |name: &str| bench.path("talk").join(name);
    let events = fs::read_to_string(path("events.jsonl")).unwrap();
    fs::write(path("events.jsonl"), format!("{events}no JSON\n")).unwrap();
    let line = format!("events.jsonl: line {}", events.lines().count() + 1);
    fails(&["talk"], &line);
    // A line that was being written when the program was stopped is none.
    fs::write(path("events.jsonl"), format!("{events}{{\"at")).unwrap();
    run(&mut inspect(&bench, &["talk"])).with_code(0);
    // Another machine's session has no journal.
    fs::remove_file(path("session.jsonl")).unwrap();
    run(&mut inspect(&bench, &["talk"])).with_code(0);
    fails(&["talk", "--replay"], "has no journal");
    fs::write(path("audio.wav"), "RIFF").unwrap();
    fails(&["talk"], "audio.wav");
    fs::write(
        path("recording.json"),
        r#"{"format":9,"kaiwa":"7.0","real_time":true}"#,
    )
    .unwrap();
    fails(&["talk"], "format 9");
}
