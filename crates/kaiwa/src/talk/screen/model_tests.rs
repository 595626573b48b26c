use kaiwa_client::{Bill, DeviceChange, EndReason, TurnLatency, Usage};

use super::*;

fn spoken() -> Model {
    Model::new(Facts {
        microphone: Some("Headset".to_owned()),
        speaker: Some("Speakers".to_owned()),
        speaks: true,
        talk: Talk::Freely,
    })
}

fn tell(model: &mut Model, event: Event) -> Phase {
    model.moment(&Moment { at_ms: 0, event });
    model.phase()
}

fn connected() -> Event {
    Event::Connected {
        session: "sess".to_owned(),
        model: Some("gpt-realtime".to_owned()),
    }
}

fn delta(item: &str, text: &str) -> Event {
    Event::AssistantDelta {
        item: item.to_owned(),
        text: text.to_owned(),
    }
}

fn audible() -> Event {
    Event::AssistantSpeechStarted {
        response: "r".to_owned(),
        ms: 0,
    }
}

fn played(item: &str) -> Event {
    Event::AssistantSpeechStopped {
        item: item.to_owned(),
        played_ms: 100,
    }
}

fn done(status: &str) -> Event {
    Event::ResponseDone {
        response: "r".to_owned(),
        status: status.to_owned(),
        reason: None,
        usage: Some(Usage {
            input_tokens: 100,
            cached_tokens: 0,
            output_tokens: 20,
            total_tokens: 120,
        }),
    }
}

fn transcribed(text: &str, typed: bool) -> Event {
    Event::UserTranscriptDone {
        item: "u".to_owned(),
        text: text.to_owned(),
        typed,
    }
}

fn type_in(model: &mut Model, text: &str) {
    for character in text.chars() {
        assert!(model.key(Key::Char(character)).is_empty());
    }
}

#[test]
fn the_phases_of_a_spoken_turn() {
    let mut model = spoken();
    assert_eq!(model.phase(), Phase::Connecting);
    let item = || "u".to_owned();
    let name = || "look".to_owned();
    for (event, phase) in [
        (connected(), Phase::Listening),
        (
            Event::UserSpeechStarted {
                item: item(),
                ms: 0,
            },
            Phase::Hearing,
        ),
        (
            Event::UserSpeechStopped {
                item: item(),
                ms: 9,
            },
            Phase::Thinking,
        ),
        (transcribed("And in Kyoto?", false), Phase::Thinking),
        (
            Event::ToolCallStarted {
                item: item(),
                name: name(),
            },
            Phase::Tool(name()),
        ),
        (
            Event::ToolCallDone {
                item: item(),
                name: name(),
                failed: false,
            },
            Phase::Thinking,
        ),
        // Its words come before its voice.
        (delta("a", "Warm."), Phase::Thinking),
        (audible(), Phase::Speaking),
        (delta("b", "And wet."), Phase::Speaking),
        (played("a"), Phase::Speaking),
        (done("completed"), Phase::Speaking),
        (played("b"), Phase::Listening),
        (
            Event::Ended {
                reason: EndReason::Stopped,
            },
            Phase::Ending,
        ),
    ] {
        let told = format!("{event:?}");
        assert_eq!(tell(&mut model, event), phase, "{told}");
    }
}

#[test]
fn an_interruption_ends_the_speaking_and_marks_what_was_not_heard() {
    let mut model = spoken();
    tell(&mut model, connected());
    tell(&mut model, delta("a", "It is warm"));
    tell(&mut model, audible());
    tell(&mut model, delta("b", "And wet."));
    let cut = Event::Heard {
        item: "a".to_owned(),
        ms: 300,
        received_ms: 900,
        text: "It is".to_owned(),
    };
    assert_eq!(tell(&mut model, cut), Phase::Listening);
    assert_eq!(tell(&mut model, done("cancelled")), Phase::Listening);
    let plain = model.transcript.plain();
    assert_eq!(
        plain,
        "assistant: It is warm\n  [you cut in after 0.3 s; heard: \"It is\"]\n\
         assistant: And wet.\n  [you cut in after 0.0 s]\n"
    );
}

#[test]
fn what_is_written_is_read_although_nothing_is_heard() {
    let mut model = Model::new(Facts::default());
    assert_eq!(tell(&mut model, connected()), Phase::Ready);
    assert_eq!(
        tell(&mut model, transcribed("Hello", true)),
        Phase::Thinking
    );
    assert_eq!(tell(&mut model, delta("a", "Hi.")), Phase::Writing);
    assert_eq!(tell(&mut model, done("cancelled")), Phase::Ready);
    assert_eq!(model.transcript.plain(), "you: Hello\nassistant: Hi.\n");
}

#[test]
fn to_nothing_and_to_what_goes_wrong_no_answer_is_waited_for() {
    let mut model = spoken();
    tell(&mut model, connected());
    for (event, phase) in [
        (transcribed("Hello", true), Phase::Thinking),
        (transcribed(" ", false), Phase::Listening),
        (transcribed("Hello", true), Phase::Thinking),
        (
            Event::Warning {
                message: "The server owes an answer.".to_owned(),
            },
            Phase::Listening,
        ),
        (transcribed("Hello", true), Phase::Thinking),
        (done("failed"), Phase::Listening),
    ] {
        let told = format!("{event:?}");
        assert_eq!(tell(&mut model, event), phase, "{told}");
    }
    let plain = model.transcript.plain();
    assert!(
        plain.contains("[the answer failed: no reason was given]"),
        "{plain}"
    );
}

#[test]
fn numbers_are_summed_and_devices_renamed() {
    let mut model = spoken();
    tell(&mut model, done("completed"));
    tell(&mut model, done("completed"));
    assert_eq!(model.tokens, Some((200, 40)));
    tell(
        &mut model,
        Event::TurnLatency(TurnLatency {
            total_ms: 820,
            ..TurnLatency::default()
        }),
    );
    assert_eq!(model.latency_ms, Some(820));
    tell(
        &mut model,
        Event::Billed(Bill {
            response: None,
            item: None,
            cost: None,
            total: Spent::default(),
        }),
    );
    assert_eq!(model.spent, Some(Spent::default()));
    for device in [None, Some("Webcam")] {
        tell(
            &mut model,
            Event::Device {
                side: Side::Microphone,
                change: DeviceChange::Gone,
                device: device.map(str::to_owned),
                message: "The microphone has changed.".to_owned(),
            },
        );
        assert_eq!(model.facts.microphone.as_deref(), device);
        // One that is gone can be muted for when it is back.
        assert_eq!(model.key(Key::Mute).len(), 1);
    }
    assert_eq!(
        model.transcript.plain(),
        "  [The microphone has changed.]\n"
    );
}

#[test]
fn a_line_is_typed_and_sent_at_any_time() {
    let mut model = spoken();
    assert!(model.key(Key::Enter).is_empty());
    type_in(&mut model, "Hi");
    model.key(Key::Paste(" there\n".to_owned()));
    model.key(Key::Backspace);
    assert_eq!(model.key(Key::Enter), [Action::Say("Hi there".to_owned())]);
    assert_eq!(model.line.text(), "");
    // What was not taken is not lost.
    model.refused("Hi there", "the conversation is busy");
    assert_eq!(model.line.text(), "Hi there");
    model.key(Key::Clear);
    type_in(&mut model, "  ");
    assert!(model.key(Key::Enter).is_empty());
}

#[test]
fn the_conversation_is_ended_by_one_key_and_the_program_by_two() {
    let mut model = spoken();
    type_in(&mut model, "x");
    // There is a line to delete in.
    model.key(Key::Home);
    assert!(model.key(Key::Finish).is_empty());
    assert_eq!(
        model.key(Key::Finish),
        [Action::Stop { interrupted: false }]
    );
    assert_eq!(model.key(Key::Stop), [Action::Exit]);
    let mut model = spoken();
    assert_eq!(model.key(Key::Stop), [Action::Stop { interrupted: true }]);
    assert_eq!(model.phase(), Phase::Ending);
    assert_eq!(model.key(Key::Stop), [Action::Exit]);
}

#[test]
fn a_lost_connection_stands_in_the_transcript_until_it_is_back() {
    let mut model = spoken();
    tell(&mut model, connected());
    let lost = |attempt| Event::Reconnecting {
        attempt,
        message: "the connection was lost; connecting again".to_owned(),
    };
    assert_eq!(tell(&mut model, lost(1)), Phase::Reconnecting);
    assert_eq!(tell(&mut model, lost(2)), Phase::Reconnecting);
    let back = Event::Reconnected {
        away_ms: 1240,
        lost_ms: 0,
    };
    assert_eq!(tell(&mut model, back), Phase::Listening);
    assert_eq!(
        model.transcript.plain(),
        "  [the connection was lost; connecting again]\n  [connected again after 1.2 s]\n"
    );
}

#[test]
fn the_microphone_is_muted_where_there_is_one() {
    let mut model = spoken();
    tell(&mut model, connected());
    assert_eq!(model.key(Key::Mute), [Action::Microphone(false)]);
    assert_eq!(model.phase(), Phase::Ready);
    assert_eq!(model.key(Key::Mute), [Action::Microphone(true)]);
    assert!(model.key(Key::Talk).is_empty(), "it is open anyway");
    let mut model = Model::new(Facts::default());
    assert!(model.key(Key::Mute).is_empty());
    assert!(model.open);
    assert_eq!(
        model.hint.as_deref(),
        Some("there is no microphone to mute")
    );
    model.key(Key::Left);
    assert_eq!(model.hint, None);
}

#[test]
fn push_to_talk_interrupts_listens_and_sends() {
    let mut model = spoken();
    model.facts.talk = Talk::Pushing;
    model = Model::new(model.facts);
    assert_eq!(tell(&mut model, connected()), Phase::Ready);
    let opened = [Action::Interrupt, Action::Microphone(true)];
    let sent = [Action::Microphone(false), Action::Commit];
    assert_eq!(model.key(Key::Talk), opened);
    assert_eq!(model.phase(), Phase::Hearing);
    // A terminal that tells of releases would have said so beforehand.
    assert!(model.key(Key::TalkReleased).is_empty());
    assert_eq!(model.key(Key::Talk), sent);
    assert_eq!(model.phase(), Phase::Thinking);
    // The words come after the answer, and stand before it.
    tell(&mut model, delta("a", "Hi."));
    tell(&mut model, transcribed("Hello.", false));
    assert_eq!(model.transcript.plain(), "you: Hello.\nassistant: Hi.\n");

    tell(&mut model, done("completed"));
    // Of a turn too short to be one, nothing stays.
    model.key(Key::Talk);
    model.key(Key::Talk);
    let warning = Event::Warning {
        message: "less than 100 ms were heard".to_owned(),
    };
    assert_eq!(tell(&mut model, warning), Phase::Ready);
    let (rows, _) = model.seen(80, 24);
    assert_eq!(rows.len(), 3, "{rows:?}");
    // It is closed: there is nothing to mute.
    assert!(model.key(Key::Mute).is_empty());

    model.facts.talk = Talk::Holding;
    assert!(
        model.key(Key::TalkReleased).is_empty(),
        "as after Ctrl-Space elsewhere"
    );
    assert_eq!(model.key(Key::Talk), opened);
    assert_eq!(model.key(Key::TalkReleased), sent);
}

#[test]
fn what_is_read_stays_in_sight_until_the_reader_is_back_at_the_end() {
    let mut model = spoken();
    model.resize(80, 24);
    let height = usize::from(Regions::of(80, 24).transcript.height);
    let first = |model: &Model| {
        let (rows, below) = model.seen(80, height);
        (rows[0].0[0].1.clone(), below)
    };
    for number in 0..100 {
        model.transcript.note(&format!("{number}"));
    }
    assert_eq!(first(&model), (format!("* {}", 100 - height), 0));
    model.key(Key::PageUp);
    model.key(Key::Up);
    let (seen, below) = first(&model);
    assert_eq!(below, height);
    model.transcript.note("more");
    assert_eq!(first(&model), (seen, height + 1), "it stays");
    for _ in 0..20 {
        model.key(Key::PageUp);
    }
    assert_eq!(first(&model).0, "* 0");
    for _ in 0..20 {
        model.key(Key::PageDown);
    }
    model.transcript.note("last");
    assert_eq!(first(&model).1, 0, "it follows again");
    // On a screen without rows there is nothing to see, and nothing breaks.
    model.resize(0, 0);
    model.key(Key::PageUp);
    model.key(Key::Down);
    assert!(model.seen(0, 0).0.is_empty());
}

#[test]
fn meters_rise_at_once_and_fall_slowly() {
    let mut model = spoken();
    assert!(!model.tick(0, (0.0, 0.0)), "nothing moves");
    assert!(model.tick(50, (1.0, f32::NAN)));
    assert_eq!((model.heard.filled(16), model.played.filled(16)), (16, 0));
    assert!(model.tick(350, (0.0, 0.0)));
    assert_eq!(model.heard.filled(16), 8);
    assert!(model.tick(400, (0.5, 0.001)));
    assert_eq!((model.heard.filled(16), model.played.filled(16)), (14, 0));
    model.tick(9000, (0.0, 0.0));
    assert!(!model.tick(9050, (0.0, 0.0)));
}

#[test]
fn before_there_is_a_conversation_keys_do_what_they_can() {
    let mut model = spoken();
    model.prepare(Some(Preparing::Loading));
    assert_eq!(model.phase(), Phase::Preparing(Preparing::Loading));
    type_in(&mut model, "Good morning");
    // It is kept until there is somebody to say it to.
    assert!(model.key(Key::Enter).is_empty());
    assert_eq!(model.line.text(), "Good morning");
    assert!(model.hint.is_some());
    assert!(model.key(Key::Interrupt).is_empty());
    assert_eq!(model.key(Key::Mute), [Action::Microphone(false)]);
    model.prepare(None);
    assert_eq!(model.phase(), Phase::Connecting);
    assert_eq!(
        model.key(Key::Enter),
        [Action::Say("Good morning".to_owned())]
    );
}

#[test]
fn a_question_is_answered_once() {
    for (key, answer) in [
        (Key::Char('y'), true),
        (Key::Enter, true),
        (Key::Char('N'), false),
        (Key::Interrupt, false),
    ] {
        let mut model = spoken();
        model.prepare(Some(Preparing::Asking));
        assert!(model.key(Key::PageUp).is_empty());
        assert_eq!(model.key(key.clone()), [Action::Answer(answer)]);
        assert!(!model.key(key).contains(&Action::Answer(answer)));
    }
    let mut model = spoken();
    model.prepare(Some(Preparing::Asking));
    assert_eq!(model.key(Key::Stop), [Action::Stop { interrupted: true }]);
    assert_eq!(model.key(Key::Stop), [Action::Exit]);
}
