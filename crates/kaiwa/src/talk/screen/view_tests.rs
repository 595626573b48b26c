use kaiwa_client::{Bill, Event, Moment, TurnLatency, Usage, costs::Spent};
use ratatui::{Terminal, backend::TestBackend};

use super::*;
use crate::talk::screen::{keys::Key, model::Facts};

/// The sizes in `docs/screen.md`.
const SIZES: [(u16, u16); 3] = [(80, 24), (40, 15), (200, 50)];

fn facts() -> Facts {
    Facts {
        microphone: Some("Jabra Evolve2 65 Mono".to_owned()),
        speaker: Some("Built-in Audio Analog Stereo".to_owned()),
        speaks: true,
        talk: Talk::Freely,
    }
}

fn drawn(
    model: &mut Model,
    (columns, rows): (u16, u16),
    palette: Palette,
) -> Terminal<TestBackend> {
    model.resize(columns, rows);
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).expect("a terminal");
    terminal
        .draw(|frame| {
            let area = frame.area();
            if let Some(cursor) = draw(model, palette, area, frame.buffer_mut()) {
                frame.set_cursor_position(cursor);
            }
        })
        .expect("it is drawn");
    terminal
}

/// The screen as text, without the space at the ends of its rows.
fn text(model: &mut Model, size: (u16, u16)) -> String {
    let terminal = drawn(model, size, Palette::Plain);
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..size.1 {
        let mut row = String::new();
        let mut x = 0;
        while x < size.0 {
            let symbol = buffer[(x, y)].symbol();
            row.push_str(symbol);
            // Of a wide character the second cell is empty.
            x += (width(symbol) as u16).max(1);
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

/// Somebody asks, a tool is used, somebody cuts in and types.
fn conversation() -> Vec<Event> {
    let item = |name: &str| name.to_owned();
    let delta = |name: &str, text: &str| Event::AssistantDelta {
        item: item(name),
        text: text.to_owned(),
    };
    let asked = |name: &str, text: &str, typed| Event::UserTranscriptDone {
        item: item(name),
        text: text.to_owned(),
        typed,
    };
    let done = |status: &str, input_tokens, output_tokens| Event::ResponseDone {
        response: "r".to_owned(),
        status: status.to_owned(),
        reason: None,
        usage: Some(Usage {
            input_tokens,
            cached_tokens: 0,
            output_tokens,
            total_tokens: input_tokens + output_tokens,
        }),
    };
    let billed = |usd: &str| {
        let mut total = Spent::default();
        total.usd = usd.parse().expect("an amount");
        Event::Billed(Bill {
            response: Some("r".to_owned()),
            item: None,
            cost: None,
            total,
        })
    };
    let latency = |total_ms| {
        Event::TurnLatency(TurnLatency {
            total_ms,
            ..TurnLatency::default()
        })
    };
    let audible = || Event::AssistantSpeechStarted {
        response: "r".to_owned(),
        ms: 0,
    };
    vec![
        Event::Connected {
            session: "sess".to_owned(),
            model: Some("gpt-realtime".to_owned()),
        },
        Event::UserSpeechStarted {
            item: item("u1"),
            ms: 400,
        },
        Event::UserSpeechStopped {
            item: item("u1"),
            ms: 2900,
        },
        asked(
            "u1",
            "What will the weather be like in 京都 tomorrow?",
            false,
        ),
        Event::ToolCallStarted {
            item: item("t1"),
            name: "forecast".to_owned(),
            arguments: None,
        },
        Event::ToolCallDone {
            item: item("t1"),
            name: "forecast".to_owned(),
            failed: false,
            why: None,
        },
        delta(
            "a1",
            "Tomorrow Kyoto will be mostly sunny, with a high of twenty-three",
        ),
        audible(),
        latency(1240),
        delta(
            "a1",
            " degrees, a light breeze from the north, and no rain before the evening.",
        ),
        done("completed", 812, 96),
        billed("0.0093"),
        Event::UserSpeechStarted {
            item: item("u2"),
            ms: 9100,
        },
        Event::Heard {
            item: item("a1"),
            ms: 3400,
            received_ms: 8200,
            text: "Tomorrow Kyoto will be mostly sunny, with a high".to_owned(),
        },
        Event::UserSpeechStopped {
            item: item("u2"),
            ms: 10_300,
        },
        asked("u2", "In Fahrenheit, please.", false),
        delta("a2", "Sure: about seventy-three"),
        audible(),
        latency(780),
        delta("a2", " degrees Fahrenheit."),
    ]
}

/// In the middle of it, with sound on both sides and half a line typed.
fn lively() -> Model {
    let mut model = Model::new(facts());
    for event in conversation() {
        model.moment(&Moment { at_ms: 0, event });
    }
    model.tick(50, (0.02, 0.3));
    for character in "and on Friday".chars() {
        model.key(Key::Char(character), 100);
    }
    model
}

#[test]
fn the_screen_in_three_sizes() {
    for size in SIZES {
        let name = format!("lively-{}x{}", size.0, size.1);
        insta::assert_snapshot!(name, text(&mut lively(), size));
    }
}

#[test]
fn the_documentation_shows_the_screen_as_it_is() {
    let documentation = include_str!("../../../../../docs/screen.md");
    for size in SIZES {
        let shown = text(&mut lively(), size);
        assert!(documentation.contains(&shown), "{size:?} is not\n{shown}");
    }
}

fn fetching(done: u64) -> Preparing {
    Preparing::Fetching {
        model: "whisper-tiny.en".to_owned(),
        done,
        total: 75_000_000,
    }
}

#[test]
fn a_download_is_shown_in_every_size() {
    let mut model = Model::new(facts());
    model.prepare(Some(fetching(41_000_000)));
    for (size, title) in [
        ((80, 24), "kaiwa: fetching whisper-tiny.en 41 of 75 MB\n"),
        ((40, 15), "kaiwa: fetching whisper-tiny.en\n"),
        ((200, 50), "kaiwa: fetching whisper-tiny.en 41 of 75 MB\n"),
        ((80, 10), "kaiwa: fetching whisper-tiny.en 41 of 75 MB\n"),
    ] {
        let shown = text(&mut model, size);
        assert!(shown.starts_with(title), "{shown}");
        if size.1 > 10 {
            let bar = "\n[|||||||||||||           ] 41 of 75 MB\n";
            assert!(shown.contains(bar), "{shown}");
        }
    }
    for done in [0, 75_000_000, 80_000_000] {
        model.prepare(Some(fetching(done)));
        text(&mut model, (80, 24));
    }
    let nothing = Preparing::Fetching {
        model: "empty".to_owned(),
        done: 0,
        total: 0,
    };
    model.prepare(Some(nothing));
    assert!(text(&mut model, (80, 24)).contains("0 of 0 MB"));
}

#[test]
fn a_question_shows_the_keys_that_answer_it() {
    let mut model = Model::new(facts());
    model.prepare(Some(Preparing::Asking));
    for size in SIZES {
        let shown = text(&mut model, size);
        assert!(
            shown.starts_with("kaiwa: may it fetch models? y/n\n"),
            "{shown}"
        );
        assert!(shown.contains("\ny fetch   n end"), "{shown}");
    }
}

#[test]
fn every_state_differs_in_words() {
    let mut seen = std::collections::BTreeSet::new();
    let phases = [
        Phase::Connecting,
        Phase::Ending,
        Phase::Hearing,
        Phase::Asking("look".to_owned()),
        Phase::Listening,
        Phase::Preparing(Preparing::Asking),
        Phase::Preparing(Preparing::Checking("model".to_owned())),
        Phase::Preparing(Preparing::Loading),
        Phase::Preparing(Preparing::Waiting("model".to_owned())),
        Phase::Preparing(fetching(0)),
        Phase::Ready,
        Phase::Reconnecting,
        Phase::Speaking,
        Phase::Thinking,
        Phase::Tool("look".to_owned()),
        Phase::Writing,
    ];
    for phase in &phases {
        seen.insert(words(phase, Talk::Freely));
    }
    assert_eq!(seen.len(), phases.len());
    let mut model = lively();
    let open = text(&mut model, (80, 24));
    model.key(Key::Mute, 100);
    let muted = text(&mut model, (80, 24));
    assert!(
        open.contains("F2 mute") && !open.contains("MUTED"),
        "{open}"
    );
    assert!(
        muted.contains("F2 unmute") && muted.contains("MUTED"),
        "{muted}"
    );
}

#[test]
fn without_colours_there_are_none_and_nothing_else_is_missing() {
    let size = (80, 24);
    let coloured = drawn(&mut lively(), size, Palette::Coloured);
    let plain = drawn(&mut lively(), size, Palette::Plain);
    let (coloured, plain) = (coloured.backend().buffer(), plain.backend().buffer());
    let has_colour = |buffer: &Buffer| {
        buffer
            .content()
            .iter()
            .any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
    };
    assert!(has_colour(coloured) && !has_colour(plain));
    for (coloured, plain) in coloured.content().iter().zip(plain.content()) {
        assert_eq!(coloured.symbol(), plain.symbol());
        assert_eq!(coloured.modifier, plain.modifier);
    }
}

#[test]
fn push_to_talk_says_which_key_sends() {
    let mut model = Model::new(Facts {
        talk: Talk::Pushing,
        ..facts()
    });
    let connected = conversation().swap_remove(0);
    model.moment(&Moment {
        at_ms: 0,
        event: connected,
    });
    let closed = text(&mut model, (80, 24));
    assert!(
        closed.contains("Ctrl-Space/F4 talk") && closed.contains("closed"),
        "{closed}"
    );
    model.key(Key::Talk, 100);
    let open = text(&mut model, (80, 24));
    assert!(
        open.contains("Ctrl-Space/F4 send") && open.contains("> you"),
        "{open}"
    );
}

#[test]
fn a_reader_of_what_was_before_is_told_of_what_there_is_below() {
    let mut model = lively();
    for number in 0..30 {
        model.transcript.note(&format!("note {number}"));
    }
    text(&mut model, (80, 24));
    model.key(Key::Up, 100);
    assert!(text(&mut model, (80, 24)).contains("── one more row: PgDn ──"));
    model.key(Key::PageUp, 100);
    assert!(text(&mut model, (80, 24)).contains("more rows: PgDn"));
}

#[test]
fn a_question_about_a_tool_stands_with_its_keys() {
    let mut model = lively();
    model.moment(&Moment {
        at_ms: 0,
        event: Event::ToolConfirmation {
            item: "i".to_owned(),
            name: "shell".to_owned(),
            arguments: r#"{"command":"rm -r /tmp/x"}"#.to_owned(),
        },
    });
    let screen = text(&mut model, (80, 24));
    let question = r#"* the assistant wants to use shell with {"command":"rm -r /tmp/x"}"#;
    assert!(screen.contains(question), "{screen}");
    assert!(screen.starts_with("kaiwa: may shell be used?"), "{screen}");
    assert!(screen.contains("y use shell   n refuse"), "{screen}");
}

#[test]
fn the_cursor_stands_where_one_types() {
    let mut model = lively();
    let cursor = |model: &mut Model, size: (u16, u16)| {
        let area = Rect::new(0, 0, size.0, size.1);
        draw(model, Palette::Plain, area, &mut Buffer::empty(area))
    };
    assert_eq!(cursor(&mut model, (80, 24)), Some(Position::new(15, 21)));
    model.key(Key::Home, 100);
    assert_eq!(cursor(&mut model, (80, 24)), Some(Position::new(2, 21)));
    assert_eq!(cursor(&mut model, (2, 24)), None);
}

#[test]
fn a_screen_of_any_size_is_drawn() {
    let mut model = lively();
    model.key(Key::Paste("長い".repeat(200)), 100);
    for columns in 0..60 {
        for rows in [0, 1, 2, 3, 4, 10, 11, 12, 30] {
            let drawn = text(&mut model, (columns, rows));
            assert_eq!(drawn.lines().count(), usize::from(rows));
        }
    }
}
