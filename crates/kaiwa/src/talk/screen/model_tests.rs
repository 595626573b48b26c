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

/// Presses a key a while after the one before, and waits for what comes of it.
fn press(model: &mut Model, key: Key) -> Vec<Action> {
    model.now_ms += 1000;
    let mut actions = model.key(key, model.now_ms);
    model.now_ms += 500;
    actions.extend(model.due(model.now_ms));
    actions
}

/// What is done while a key is held down in a terminal that tells of presses alone, and when.
fn hold(model: &mut Model, key: &Key, from_ms: u64, until_ms: u64) -> Vec<(u64, Action)> {
    let mut done = Vec::new();
    for now_ms in (from_ms..until_ms + 2000).step_by(10) {
        let since = now_ms - from_ms;
        let repeats = since >= 500 && since.is_multiple_of(30);
        let actions = match now_ms < until_ms && (since == 0 || repeats) {
            true => model.key(key.clone(), now_ms),
            false => model.due(now_ms),
        };
        done.extend(actions.into_iter().map(|action| (since, action)));
    }
    done
}

fn type_in(model: &mut Model, text: &str) {
    for character in text.chars() {
        assert!(press(model, Key::Char(character)).is_empty());
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
                arguments: None,
            },
            Phase::Tool(name()),
        ),
        (
            Event::ToolCallDone {
                item: item(),
                name: name(),
                failed: false,
                why: None,
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
        assert_eq!(press(&mut model, Key::Mute).len(), 1);
    }
    assert_eq!(
        model.transcript.plain(),
        "  [The microphone has changed.]\n"
    );
}

#[test]
fn a_line_is_typed_and_sent_at_any_time() {
    let mut model = spoken();
    assert!(press(&mut model, Key::Enter).is_empty());
    type_in(&mut model, "Hi");
    press(&mut model, Key::Paste(" there\n".to_owned()));
    press(&mut model, Key::Backspace);
    assert_eq!(
        press(&mut model, Key::Enter),
        [Action::Say("Hi there".to_owned())]
    );
    assert_eq!(model.line.text(), "");
    // What was not taken is not lost.
    model.refused("Hi there", "the conversation is busy");
    assert_eq!(model.line.text(), "Hi there");
    press(&mut model, Key::Clear);
    type_in(&mut model, "  ");
    assert!(press(&mut model, Key::Enter).is_empty());
}

#[test]
fn the_conversation_is_ended_by_one_key_and_the_program_by_two() {
    let mut model = spoken();
    type_in(&mut model, "x");
    // There is a line to delete in.
    press(&mut model, Key::Home);
    assert!(press(&mut model, Key::Finish).is_empty());
    assert_eq!(
        press(&mut model, Key::Finish),
        [Action::Stop { interrupted: false }]
    );
    assert_eq!(press(&mut model, Key::Stop), [Action::Exit]);
    let mut model = spoken();
    assert_eq!(
        press(&mut model, Key::Stop),
        [Action::Stop { interrupted: true }]
    );
    assert_eq!(model.phase(), Phase::Ending);
    assert_eq!(press(&mut model, Key::Stop), [Action::Exit]);
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
    assert_eq!(press(&mut model, Key::Mute), [Action::Microphone(false)]);
    assert_eq!(model.phase(), Phase::Ready);
    assert_eq!(press(&mut model, Key::Mute), [Action::Microphone(true)]);
    assert!(press(&mut model, Key::Talk).is_empty(), "it is open anyway");
    let mut model = Model::new(Facts::default());
    assert!(press(&mut model, Key::Mute).is_empty());
    assert!(model.open);
    assert_eq!(
        model.hint.as_deref(),
        Some("there is no microphone to mute")
    );
    press(&mut model, Key::Left);
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
    assert_eq!(press(&mut model, Key::Talk), opened);
    assert_eq!(model.phase(), Phase::Hearing);
    // A terminal that tells of releases would have said so beforehand.
    assert!(press(&mut model, Key::TalkReleased).is_empty());
    assert_eq!(press(&mut model, Key::Talk), sent);
    assert_eq!(model.phase(), Phase::Thinking);
    // The words come after the answer, and stand before it.
    tell(&mut model, delta("a", "Hi."));
    tell(&mut model, transcribed("Hello.", false));
    assert_eq!(model.transcript.plain(), "you: Hello.\nassistant: Hi.\n");

    tell(&mut model, done("completed"));
    // Of a turn too short to be one, nothing stays.
    press(&mut model, Key::Talk);
    press(&mut model, Key::Talk);
    let warning = Event::Warning {
        message: "less than 100 ms were heard".to_owned(),
    };
    assert_eq!(tell(&mut model, warning), Phase::Ready);
    let (rows, _) = model.seen(80, 24);
    assert_eq!(rows.len(), 3, "{rows:?}");
    // It is closed: there is nothing to mute.
    assert!(press(&mut model, Key::Mute).is_empty());

    model.facts.talk = Talk::Holding;
    assert!(
        press(&mut model, Key::TalkReleased).is_empty(),
        "as after Ctrl-Space elsewhere"
    );
    assert_eq!(press(&mut model, Key::Talk), opened);
    assert_eq!(press(&mut model, Key::TalkReleased), sent);
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
    press(&mut model, Key::PageUp);
    press(&mut model, Key::Up);
    let (seen, below) = first(&model);
    assert_eq!(below, height);
    model.transcript.note("more");
    assert_eq!(first(&model), (seen, height + 1), "it stays");
    for _ in 0..20 {
        press(&mut model, Key::PageUp);
    }
    assert_eq!(first(&model).0, "* 0");
    for _ in 0..20 {
        press(&mut model, Key::PageDown);
    }
    model.transcript.note("last");
    assert_eq!(first(&model).1, 0, "it follows again");
    // On a screen without rows there is nothing to see, and nothing breaks.
    model.resize(0, 0);
    press(&mut model, Key::PageUp);
    press(&mut model, Key::Down);
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
    assert!(press(&mut model, Key::Enter).is_empty());
    assert_eq!(model.line.text(), "Good morning");
    assert!(model.hint.is_some());
    assert!(press(&mut model, Key::Interrupt).is_empty());
    assert_eq!(press(&mut model, Key::Mute), [Action::Microphone(false)]);
    model.prepare(None);
    assert_eq!(model.phase(), Phase::Connecting);
    assert_eq!(
        press(&mut model, Key::Enter),
        [Action::Say("Good morning".to_owned())]
    );
}

#[test]
fn a_held_key_talks_until_it_is_let_go_of_and_mutes_once() {
    let mut model = Model::new(Facts {
        talk: Talk::Pushing,
        ..spoken().facts
    });
    tell(&mut model, connected());
    let done = hold(&mut model, &Key::Talk, 0, 2000);
    // The last repeat comes after 1980 ms.
    assert_eq!(
        done,
        [
            (0, Action::Interrupt),
            (0, Action::Microphone(true)),
            (2350, Action::Microphone(false)),
            (2350, Action::Commit),
        ]
    );
    // What a tap has opened, a key held down closes, and nothing opens again.
    press(&mut model, Key::Talk);
    let done = hold(&mut model, &Key::Talk, 9000, 11_000);
    let close = [Action::Microphone(false), Action::Commit].map(|action| (60, action));
    assert_eq!(done, close);

    let mut model = spoken();
    let muted = [(0, Action::Microphone(false))];
    assert_eq!(hold(&mut model, &Key::Mute, 0, 2000), muted);
    let stop = [(0, Action::Stop { interrupted: true })];
    assert_eq!(hold(&mut model, &Key::Stop, 5000, 8000), stop);
}

#[test]
fn the_end_of_what_was_said_is_waited_for() {
    let mut model = Model::new(Facts {
        talk: Talk::Holding,
        ..spoken().facts
    });
    let opened = [Action::Interrupt, Action::Microphone(true)];
    let sent = [Action::Microphone(false), Action::Commit];
    assert_eq!(model.key(Key::Talk, 0), opened);
    assert!(model.key(Key::TalkReleased, 1000).is_empty());
    assert!(model.due(1000 + TAIL_MS - 1).is_empty());
    assert_eq!(model.due(1000 + TAIL_MS), sent);
    assert!(model.due(2000).is_empty());
    // Who goes on at once does so in another turn.
    model.key(Key::Talk, 3000);
    model.key(Key::TalkReleased, 4000);
    let both = [sent.as_slice(), opened.as_slice()].concat();
    assert_eq!(model.key(Key::Talk, 4010), both);
    // In a pause nobody tells when the key is let go of.
    let paused = [sent.as_slice(), &[Action::Pause]].concat();
    assert_eq!(model.key(Key::Pause, 5000), paused);
    assert_eq!(model.key(Key::Pause, 9000), [Action::Pause]);
    assert!(model.key(Key::TalkReleased, 9500).is_empty());
}

#[test]
fn of_a_lost_session_no_words_are_waited_for() {
    let began = |item: &str| Event::UserSpeechStarted {
        item: item.to_owned(),
        ms: 0,
    };
    let lost = Event::Reconnecting {
        attempt: 1,
        message: "lost".to_owned(),
    };
    let mut model = spoken();
    tell(&mut model, connected());
    tell(&mut model, began("u1"));
    tell(&mut model, lost.clone());
    // It is told anew.
    tell(&mut model, began("u2"));
    tell(
        &mut model,
        Event::UserTranscriptDone {
            item: "u2".to_owned(),
            text: "Hello.".to_owned(),
            typed: false,
        },
    );
    assert_eq!(model.transcript.plain(), "  [lost]\nyou: Hello.\n");

    let mut model = Model::new(Facts {
        talk: Talk::Pushing,
        ..spoken().facts
    });
    tell(&mut model, connected());
    press(&mut model, Key::Talk);
    press(&mut model, Key::Talk);
    tell(&mut model, lost);
    press(&mut model, Key::Talk);
    press(&mut model, Key::Talk);
    tell(&mut model, transcribed("Are you there?", false));
    assert_eq!(
        model.transcript.plain(),
        "you: [not transcribed]\n  [lost]\nyou: Are you there?\n"
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
        assert!(press(&mut model, Key::PageUp).is_empty());
        assert_eq!(press(&mut model, key.clone()), [Action::Answer(answer)]);
        assert!(!press(&mut model, key).contains(&Action::Answer(answer)));
    }
    let mut model = spoken();
    model.prepare(Some(Preparing::Asking));
    assert_eq!(
        press(&mut model, Key::Stop),
        [Action::Stop { interrupted: true }]
    );
    assert_eq!(press(&mut model, Key::Stop), [Action::Exit]);
}

#[test]
fn an_answer_that_is_asked_for_again_is_waited_for() {
    let lost = || Event::Reconnecting {
        attempt: 1,
        message: "lost".to_owned(),
    };
    let back = || Event::Reconnected {
        away_ms: 100,
        lost_ms: 0,
    };
    let asked = || {
        let mut model = spoken();
        tell(&mut model, connected());
        tell(&mut model, transcribed("Hello", true));
        model
    };
    let mut model = asked();
    tell(&mut model, lost());
    tell(&mut model, done("incomplete"));
    assert_eq!(tell(&mut model, back()), Phase::Thinking);
    // Twice is often enough.
    tell(&mut model, lost());
    tell(&mut model, done("incomplete"));
    let warning = Event::Warning {
        message: "the answer was lost twice".to_owned(),
    };
    tell(&mut model, warning);
    assert_eq!(tell(&mut model, back()), Phase::Listening);
    // Of one that had begun, what came is all there will be.
    let mut model = asked();
    tell(&mut model, delta("a", "Well"));
    tell(&mut model, lost());
    tell(&mut model, done("incomplete"));
    assert_eq!(tell(&mut model, back()), Phase::Listening);
    // Without a loss an incomplete answer is an answer.
    let mut model = asked();
    assert_eq!(tell(&mut model, done("incomplete")), Phase::Listening);
}

#[test]
fn what_is_read_stays_whatever_happens_above_it() {
    let mut model = spoken();
    model.resize(40, 24);
    let height = usize::from(Regions::of(40, 24).transcript.height);
    let first = |model: &Model, columns| {
        let (rows, _) = model.seen(columns, height);
        let row = rows[0].0.iter().map(|(_, text)| text.as_str());
        row.collect::<String>()
    };
    tell(&mut model, delta("above", "Short."));
    for number in 0..50 {
        let long = format!("{number} with words enough for a second row");
        model.transcript.note(&long);
    }
    press(&mut model, Key::PageUp);
    press(&mut model, Key::PageUp);
    let seen = first(&model, 40);
    tell(
        &mut model,
        delta("above", " And now very much longer than it was before."),
    );
    assert_eq!(first(&model, 40), seen);
    // In another width its words are cut elsewhere, but they are the same ones.
    let number = |row: &str| row.split(' ').nth(1).map(str::to_owned);
    model.resize(200, 24);
    assert_eq!(number(&first(&model, 200)), number(&seen));
    // What goes takes its place along.
    let next = model.transcript.rows(40, 0, 1);
    model.top = model.transcript.place_of(0, 40);
    assert_eq!(model.seen(40, 1).0, next);
    tell(
        &mut model,
        Event::Warning {
            message: "a note more".to_owned(),
        },
    );
    assert_eq!(model.seen(40, 1).0, next);
}

#[test]
fn a_meter_moves_where_a_cell_does() {
    let mut model = spoken();
    assert!(model.tick(0, (0.5, 0.0)));
    for peak in [0.499, 0.501, 0.5] {
        assert!(!model.tick(0, (peak, 0.0)), "{peak}");
    }
    assert!(model.tick(0, (0.9, 0.0)));
}

fn asked_about(item: &str) -> Event {
    Event::ToolConfirmation {
        item: item.to_owned(),
        name: "shell".to_owned(),
        arguments: r#"{"command":"ls"}"#.to_owned(),
    }
}

#[test]
fn a_question_is_answered_by_a_key_once_it_was_seen() {
    let mut model = spoken();
    tell(&mut model, connected());
    let asking = Phase::Asking("shell".to_owned());
    assert_eq!(tell(&mut model, asked_about("a")), asking);
    assert_eq!(tell(&mut model, asked_about("b")), asking);
    // What was being typed is no answer.
    assert!(model.key(Key::Char('y'), model.now_ms).is_empty());
    assert_eq!(model.line.take(), "y");
    model.tick(LEAST_SEEN_MS, (0.0, 0.0));
    let answer = |item: &str, agreed| {
        let item = item.to_owned();
        vec![Action::Confirm { item, agreed }]
    };
    assert!(model.key(Key::Char('x'), model.now_ms).is_empty());
    assert!(
        model.key(Key::Char('y'), model.now_ms).is_empty(),
        "it stands in the line"
    );
    model.key(Key::Clear, model.now_ms);
    assert_eq!(model.key(Key::Char('y'), model.now_ms), answer("a", true));
    // A key that is held down answers nothing more.
    assert!(model.key(Key::Char('y'), model.now_ms).is_empty());
    model.key(Key::Clear, model.now_ms);
    let settled = Event::ToolCallDone {
        item: "a".to_owned(),
        name: "shell".to_owned(),
        failed: false,
        why: None,
    };
    // The next one is asked when the first is settled.
    assert_eq!(tell(&mut model, settled), asking);
    assert!(model.key(Key::Char('n'), model.now_ms).is_empty());
    model.key(Key::Clear, model.now_ms);
    model.tick(2 * LEAST_SEEN_MS, (0.0, 0.0));
    // What is not in sight is not agreed to.
    model.resize(20, 4);
    let refused = model.key(Key::Char('y'), model.now_ms);
    assert_eq!(refused, [Action::Redraw]);
    assert!(model.hint.is_some());
    model.resize(80, 24);
    // An answer that was not taken is asked for again.
    assert_eq!(model.key(Key::Char('N'), model.now_ms), answer("b", false));
    model.unanswered("b");
    assert_eq!(model.key(Key::Char('N'), model.now_ms), answer("b", false));
    assert_eq!(model.phase(), asking);
}

#[test]
fn a_tool_of_ours_is_at_work_after_the_response_and_a_question_may_be_over() {
    let mut model = spoken();
    tell(&mut model, connected());
    tell(&mut model, asked_about("a"));
    let started = |item: &str, arguments: Option<&str>| Event::ToolCallStarted {
        item: item.to_owned(),
        name: item.to_owned(),
        arguments: arguments.map(str::to_owned),
    };
    let ended = |item: &str| Event::ToolCallDone {
        item: item.to_owned(),
        name: item.to_owned(),
        failed: true,
        why: Some("out of paper".to_owned()),
    };
    let work = |item: &str| Phase::Tool(item.to_owned());
    assert_eq!(tell(&mut model, started("a", Some("{}"))), work("a"));
    assert_eq!(tell(&mut model, started("theirs", None)), work("theirs"));
    assert_eq!(tell(&mut model, done("completed")), work("a"));
    assert_eq!(tell(&mut model, started("b", Some("{}"))), work("b"));
    assert_eq!(tell(&mut model, ended("b")), work("a"));
    assert_eq!(tell(&mut model, ended("a")), Phase::Listening);
    assert!(
        model
            .transcript
            .plain()
            .contains("[a has failed: out of paper]")
    );
}
