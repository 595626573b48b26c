//! Beginning, configuration, end.

use kaiwa_session::{EngineCommand, Input, Output, Session, SessionOptions, Timer};
use serde_json::{Value, json};

use crate::harness::{Harness, answer};

#[test]
fn the_first_event_shows_the_whole_configuration() {
    let harness = Harness::new();
    let created = harness.last("session.created");
    insta::with_settings!({sort_maps => true}, {
        insta::assert_json_snapshot!(created);
    });
}

#[test]
fn an_update_is_answered_with_the_whole_configuration() {
    let mut harness = Harness::new();
    harness.client(
        json!({"type": "session.update", "session": {"type": "realtime",
        "instructions": "Sing.", "audio": {"output": {"speed": 1.25, "voice": "marin"}}}}),
    );
    let before = &harness.last("session.created")["session"];
    let mut expected = before.clone();
    expected["instructions"] = json!("Sing.");
    expected["audio"]["output"]["speed"] = json!(1.25);
    expected["audio"]["output"]["voice"] = json!("marin");
    assert_eq!(harness.last("session.updated")["session"], expected);
}

#[test]
fn a_refused_update_changes_nothing() {
    let mut harness = Harness::new();
    harness.client(
        json!({"type": "session.update", "event_id": "u", "session": {
        "type": "realtime", "instructions": "Sing.", "nonsense": 1}}),
    );
    let error = &harness.last("error")["error"];
    assert_eq!(error["code"], "unknown_parameter");
    assert_eq!(error["param"], "session.nonsense");
    assert_eq!(error["event_id"], "u");
    assert!(harness.sent("session.updated").is_empty());
    harness.client(json!({"type": "session.update", "session": {"type": "realtime"}}));
    assert_eq!(
        harness.last("session.updated")["session"],
        harness.last("session.created")["session"]
    );
}

#[test]
fn the_voice_is_locked_after_the_first_audio() {
    let mut harness = Harness::new();
    let update = json!({"type": "session.update", "event_id": "v", "session": {
        "type": "realtime", "audio": {"output": {"voice": "echo"}}}});
    harness.client(update.clone());
    assert!(harness.sent("error").is_empty());
    harness.say("hi");
    harness.client(update);
    assert!(harness.sent("error").is_empty());
    harness.client(
        json!({"type": "session.update", "event_id": "w", "session": {
        "type": "realtime", "audio": {"output": {"voice": "ash"}}}}),
    );
    let error = &harness.last("error")["error"];
    assert_eq!(error["code"], "cannot_update_voice");
    assert_eq!(error["event_id"], "w");
}

#[test]
fn the_voice_that_was_heard_first_is_the_one_that_is_locked() {
    let mut harness = Harness::new();
    let respond = |voice: &str| {
        json!({"type": "response.create", "response": {
            "audio": {"output": {"voice": voice}}}})
    };
    let update = |voice: &str| {
        json!({"type": "session.update", "session": {
            "type": "realtime", "audio": {"output": {"voice": voice}}}})
    };
    harness.client(respond("echo"));
    harness.client(respond("echo"));
    harness.client(update("echo"));
    assert!(harness.sent("error").is_empty());
    assert_eq!(harness.sent("response.done").len(), 2);
    for refused in [respond("ash"), update("ash")] {
        let from = harness.events.len();
        harness.client(refused);
        assert_eq!(harness.kinds(from), ["error"]);
        assert_eq!(
            harness.last("error")["error"]["code"],
            "cannot_update_voice"
        );
    }
}

#[test]
fn another_speed_counts_from_the_next_answer() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.say("hi");
    harness.client(
        json!({"type": "session.update", "session": {"type": "realtime",
        "audio": {"output": {"speed": 1.5}}}}),
    );
    let speed = |harness: &Harness| match &harness.jobs.back().expect("a job").1 {
        EngineCommand::Speak { speed, .. } => *speed,
        other => panic!("{other:?}"),
    };
    harness.work("generate");
    assert_eq!(speed(&harness), 1.0);
    harness.work("speak");
    harness.say("again");
    harness.work("generate");
    assert_eq!(speed(&harness), 1.5);
}

#[test]
fn output_goes_out_in_the_format_asked_for() {
    let mut harness = Harness::updated(json!({"type": "realtime", "audio": {"output": {
        "format": {"type": "audio/pcma"}}}}));
    harness.answers.push_back(answer(&["One two three."]));
    harness.say("hi");
    let bytes: usize = harness
        .sent("response.output_audio.delta")
        .iter()
        .filter_map(|event| event["delta"].as_str())
        .map(|base64| base64.len() / 4 * 3 - base64.matches('=').count())
        .sum();
    assert_eq!(bytes, 900 * 8);
    assert_eq!(
        harness.last("response.done")["response"]["audio"]["output"]["format"],
        json!({"type": "audio/pcma"})
    );
}

#[test]
fn an_expired_session_says_so_and_closes() {
    let mut harness = Harness::new();
    assert_eq!(
        harness.session.next_timeout(),
        Some((3_600_000, Timer::Expiry))
    );
    harness.wait(3_600_000);
    let error = &harness.last("error")["error"];
    assert_eq!(error["code"], "session_expired");
    let message = "Your session hit the maximum duration of 60 minutes.";
    assert_eq!(error["message"], message);
    assert_eq!(harness.closed, Some((1001, message.to_owned())));
    assert_eq!(harness.session.next_timeout(), None);
    let sent = harness.events.len();
    harness.client(json!({"type": "response.create"}));
    assert_eq!(harness.events.len(), sent);
}

#[test]
fn expiry_stops_the_jobs() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    harness.say("hi");
    let writing = harness.job("generate");
    harness.wait(3_600_000);
    assert_eq!(harness.cancelled, [writing]);
}

#[test]
fn outputs_left_in_a_drain_come_first_in_the_next() {
    let mut session = Session::new(SessionOptions::default());
    assert_eq!(session.next_timeout(), Some((0, Timer::Outputs)));
    drop(session.start(0));
    let kinds: Vec<_> = session
        .handle(Input::Timeout, 0)
        .map(|output| match output {
            Output::Send(event) => event.kind().to_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, ["session.created"]);
    assert_eq!(session.next_timeout(), Some((3_600_000, Timer::Expiry)));
}

#[test]
fn the_same_seed_inputs_and_times_give_the_same_bytes() {
    let run = |seed| {
        let mut harness = Harness::with(SessionOptions {
            seed,
            ..SessionOptions::default()
        });
        harness.transcripts.push_back(Ok("hello"));
        harness
            .answers
            .push_back(answer(&["Hello there, how", " are you?"]));
        harness.audio(640, true);
        harness.audio(640, false);
        harness.say("again");
        harness
            .events
            .iter()
            .map(Value::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
