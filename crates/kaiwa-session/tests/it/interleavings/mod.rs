//! Whatever happens in whatever order, the session keeps its promises.
//!
//! Client events (all that there are, right and wrong), frames that are no events, audio,
//! results of engines (timely, late, senseless) and time interleave at random; after each
//! step the session's events have to be consistent with all it said before. What is checked
//! is in [`world`]; a failing interleaving is shrunk and shown.
//!
//! `KAIWA_INTERLEAVINGS` sets how many there are, `KAIWA_INTERLEAVINGS_SEED` which.

mod happenings;
mod schema;
mod world;

use std::{cell::Cell, time::Instant};

use kaiwa_protocol::{ClientEvent, ParseError};
use kaiwa_session::{
    EngineEvent, Input, Output, RateLimitConfig, RateLimitName, Session, SessionOptions,
    journal::{Line, Writer},
};
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use serde_json::{Value, json};

use self::{
    happenings::{Happening, engine_event, happenings, malformed},
    schema::Schemas,
    world::World,
};
use crate::journal;

/// Interleavings of each type of session, unless told otherwise: half a minute in a build
/// that is not optimised, a second in one that is. CI asks for millions of steps.
const INTERLEAVINGS: u32 = 300;

/// Most steps of one; half as many on average.
const STEPS: usize = 200;

/// Success of each client event, by its type.
const ANSWERS: &[(&str, &str)] = &[
    ("session.update", "session.updated"),
    ("input_audio_buffer.commit", "input_audio_buffer.committed"),
    ("input_audio_buffer.clear", "input_audio_buffer.cleared"),
    ("conversation.item.create", "conversation.item.added"),
    ("conversation.item.retrieve", "conversation.item.retrieved"),
    ("conversation.item.truncate", "conversation.item.truncated"),
    ("conversation.item.delete", "conversation.item.deleted"),
    ("response.create", "response.created"),
    ("response.cancel", "response.done"),
];

#[test]
fn a_conversation_keeps_its_promises_whatever_happens() {
    run(false);
}

#[test]
fn a_transcription_keeps_its_promises_whatever_happens() {
    run(true);
}

#[expect(clippy::print_stdout, reason = "the figures of the run are for people")]
fn run(transcribes: bool) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let cases = number("KAIWA_INTERLEAVINGS").map_or(INTERLEAVINGS, |n: u64| n as u32);
    let seed: u64 = number("KAIWA_INTERLEAVINGS_SEED").unwrap_or(1);
    let config = Config {
        cases,
        // Shrinking is worth a minute, not an hour.
        max_shrink_time: 60_000,
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [u8::from(transcribes); 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);

    let steps = Cell::new(0);
    let doubts = Cell::new(0);
    let schemas = Cell::new(Schemas::default());
    let begun = Instant::now();
    let result = TestRunner::new_with_rng(config, rng).run(&happenings(STEPS), |happenings| {
        let mut driver = Driver::new(transcribes, seed.wrapping_add(steps.get()));
        driver.world.schemas = schemas.take();
        driver.run(&happenings);
        steps.set(steps.get() + happenings.len() as u64);
        doubts.set(doubts.get() + driver.world.doubts);
        schemas.set(driver.world.schemas);
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, happenings)) => {
            panic!("seed {seed}: {reason}\nafter {happenings:#?}")
        }
        Err(TestError::Abort(reason)) => panic!("seed {seed}: {reason}"),
    }
    // What never happens is not tested; it is rare.
    assert!(transcribes || cases < 5_000 || doubts.get() > 0);
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{} interleavings, {} steps, seed {seed}, {} doubts, {} kinds of events validated, \
         {seconds:.1} s, {:.0} steps/s",
        cases,
        steps.get(),
        doubts.get(),
        schemas.take().validated(),
        steps.get() as f64 / seconds
    );
}

/// A session and what is known of it.
struct Driver {
    session: Session,
    world: World,
    asked: usize,
    writer: Writer,
    journal: Vec<Line>,
}

impl Driver {
    fn new(transcribes: bool, seed: u64) -> Self {
        // Some sessions may use little.
        let limited = seed.is_multiple_of(4);
        let limits = [RateLimitName::Requests, RateLimitName::Tokens].map(|name| RateLimitConfig {
            name,
            limit: 60,
            window_ms: 10_000,
        });
        let options = SessionOptions {
            seed,
            max_session_ms: 200_000,
            max_buffer_ms: 2_000,
            max_kept_audio_bytes: 10_000,
            silence_duration_ms: 200,
            // Half of the sessions work ahead, and the silence is long enough for some of it.
            ahead_ms: seed.is_multiple_of(2).then_some(96),
            rate_limits: if limited { limits.to_vec() } else { Vec::new() },
            ..SessionOptions::default()
        };
        // G.711 has few samples to carry.
        let kind = if transcribes {
            "transcription"
        } else {
            "realtime"
        };
        let mut requested = json!({"type": kind, "audio": {"input": {
            "format": {"type": "audio/pcmu"}, "transcription": {"model": "whisper-1"}}}});
        if !transcribes && seed % 4 == 2 {
            // Half of those that work ahead, where sounds over the assistant's voice are weighed.
            let audio = &mut requested["audio"];
            audio["input"]["turn_detection"] = json!({"type": "semantic_vad"});
            audio["output"] = json!({"format": {"type": "audio/pcmu"}});
        }
        let requested = serde_json::from_value(requested).expect("a session");
        let (writer, head) = Writer::new(&options, Some(&requested));
        let session = Session::configured(options, requested).expect("accepted");
        let world = World::new(transcribes, limited);
        Self {
            session,
            world,
            asked: 0,
            writer,
            journal: vec![head],
        }
    }

    fn run(&mut self, happenings: &[Happening]) {
        self.journal.push(Line::Start { at: 0 });
        let outputs: Vec<_> = self.session.start(0).collect();
        self.see(outputs);
        for happening in happenings {
            self.happen(happening);
            self.judge();
        }
        // Whoever cancels all that is active has everything done.
        for id in self.world.active() {
            self.ask(json!({"type": "response.cancel", "response_id": id}));
        }
        self.world.assert_settled();
        self.replay();
    }

    /// What was written down gives the same again.
    fn replay(&mut self) {
        self.journal.push(Line::End { at: self.world.now });
        let line = |line: &Line| serde_json::to_string(line).expect("a line is JSON");
        let lines: Vec<_> = self.journal.iter().map(line).collect();
        let replayed = journal::replay(&lines).unwrap_or_else(|difference| panic!("{difference}"));
        assert!(replayed.complete);
    }

    fn happen(&mut self, happening: &Happening) {
        match happening {
            Happening::Client(act) => {
                let event = act.json(&self.world);
                self.ask(event);
            }
            Happening::Malformed(number) => {
                let error = match ClientEvent::parse(malformed(*number)) {
                    Err(error) => error,
                    Ok(event) => panic!("{event:?} is well formed"),
                };
                self.refuse(error);
            }
            Happening::Audio { ms, loud } => {
                self.world.now += u64::from(*ms);
                self.world.loud = *loud;
                let bytes = vec![0x80; usize::from(*ms) * 8 + 1];
                self.handle(Input::Audio {
                    event_id: None,
                    bytes: &bytes,
                });
            }
            Happening::Engine { job, act } => {
                let count = self.world.jobs.len();
                // Mostly one of the last: the others are over.
                let back = match job % 4 {
                    0 => job / 4,
                    _ => job / 4 % 4,
                };
                if let Some(back) = back.checked_rem(count) {
                    let job = &self.world.jobs[count - 1 - back];
                    let (id, event) = (job.id, engine_event(job, *act));
                    self.handle(Input::Engine(id, event));
                }
            }
            Happening::Time(ms) => {
                self.world.now += u64::from(*ms);
                self.handle(Input::Timeout);
            }
        }
    }

    /// The client sends an event, which is applied or answered with one error.
    fn ask(&mut self, mut event: Value) {
        self.asked += 1;
        let id = format!("mine_{}", self.asked);
        event["event_id"] = json!(id);
        let kind = event["type"].as_str().expect("a type").to_owned();
        let parsed = match ClientEvent::parse(&event.to_string()) {
            Ok(event) => event,
            Err(error) => panic!("{error}: {event}"),
        };
        // What is due comes first and answers nothing.
        self.handle(Input::Timeout);
        self.world.asked = Some(id);
        self.world.answers.clear();
        self.world.refusals = 0;
        let was_closed = self.world.closed;
        self.handle(Input::Client(parsed));
        self.world.asked = None;
        if was_closed || self.world.closed {
            return;
        }
        let expected = ANSWERS.iter().find(|(asked, _)| *asked == kind);
        let applied = match expected {
            Some((_, answer)) => self.world.answers.iter().any(|kind| kind == answer),
            // Appends are not acknowledged, all else is refused.
            None => kind == "input_audio_buffer.append" && self.world.refusals == 0,
        };
        assert_eq!(
            usize::from(applied) + self.world.refusals,
            1,
            "{event} is applied or refused: {:?}",
            self.world.answers
        );
    }

    /// The client sends what is no event.
    fn refuse(&mut self, error: ParseError) {
        self.world.asked = Some("x".to_owned());
        self.handle(Input::Malformed(error));
        self.world.asked = None;
    }

    /// The detector keeps up, and may answer a moment too late.
    fn judge(&mut self) {
        while !self.world.frames.is_empty() {
            let job = self.world.frames.remove(0);
            let probability = if self.world.loud { 0.9 } else { 0.1 };
            self.handle(Input::Engine(job, EngineEvent::Voice { probability }));
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        let line = self.writer.input(&input, self.world.now);
        self.journal.push(line);
        let outputs: Vec<_> = self.session.handle(input, self.world.now).collect();
        self.see(outputs);
    }

    fn see(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            let line = self.writer.output(&output, self.world.now);
            self.journal.push(line);
            self.world.see(output);
        }
    }
}
