//! Noise is taken out of what is appended where the session says so, and nothing moves by it.

use std::{env, path::Path};

use kaiwa_audio::{Clip, WIRE_RATE_HZ, pcm, rms_dbfs};
use kaiwa_protocol::{ClientEvent, ServerEvent};
use kaiwa_session::{EngineCommand, EngineEvent, Input, Output, Session, SessionOptions};
use serde_json::{Value, json};

/// White noise at 24 kHz, about -45 dBFS.
fn hiss(samples: usize) -> Vec<f32> {
    let mut state = 1u32;
    (0..samples)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / 8_388_608.0 - 1.0) * 0.01
        })
        .collect()
}

/// A session with an ear that takes for speech what is loud.
struct Listener {
    session: Session,
    now: u64,
    /// Where turns begin and end, in ms.
    turns: Vec<(&'static str, u64)>,
    /// What was to be transcribed.
    heard: Vec<Vec<f32>>,
    errors: usize,
}

impl Listener {
    fn new(input: &Value) -> Self {
        let mut listener = Self {
            session: Session::new(SessionOptions {
                ahead_ms: None,
                ..SessionOptions::default()
            }),
            now: 0,
            turns: Vec::new(),
            heard: Vec::new(),
            errors: 0,
        };
        listener.update(input);
        listener
    }

    fn update(&mut self, input: &Value) {
        let session = json!({"type": "realtime", "audio": {"input": input}});
        self.client(&json!({"type": "session.update", "session": session}));
    }

    fn client(&mut self, event: &Value) {
        let event = ClientEvent::parse(&event.to_string()).expect("an event");
        self.tell(Input::Client(event));
    }

    fn hear(&mut self, samples: &[f32]) {
        let mut bytes = Vec::new();
        pcm::encode(samples, &mut bytes);
        for bytes in bytes.chunks(1_001) {
            let event_id = None;
            self.tell(Input::Audio { event_id, bytes });
        }
    }

    fn commit(&mut self) -> Vec<f32> {
        self.client(&json!({"type": "input_audio_buffer.commit"}));
        assert_eq!(self.errors, 0);
        self.heard.pop().expect("a turn that is transcribed")
    }

    fn tell(&mut self, input: Input<'_>) {
        self.now += 1;
        let outputs: Vec<_> = self.session.handle(input, self.now).collect();
        for output in outputs {
            match output {
                Output::Run(job, EngineCommand::Detect { frame }) => {
                    let probability = if rms_dbfs(&frame) > -38.0 { 1.0 } else { 0.0 };
                    self.tell(Input::Engine(job, EngineEvent::Voice { probability }));
                }
                Output::Run(_, EngineCommand::Transcribe { audio, .. }) => {
                    self.heard.push(audio.to_vec());
                }
                Output::Send(ServerEvent::InputAudioBufferSpeechStarted(event)) => {
                    self.turns.push(("start", event.audio_start_ms));
                }
                Output::Send(ServerEvent::InputAudioBufferSpeechStopped(event)) => {
                    self.turns.push(("end", event.audio_end_ms));
                }
                Output::Send(ServerEvent::Error(_)) => self.errors += 1,
                _ => {}
            }
        }
    }
}

#[test]
fn noise_goes_down_where_it_is_wanted_and_nothing_is_lost() {
    let noise = hiss(3 * 24_000);
    let level = |reduction: Value| {
        let input = json!({"turn_detection": null, "noise_reduction": reduction});
        let mut listener = Listener::new(&input);
        listener.hear(&noise);
        let heard = listener.commit();
        assert_eq!(heard.len(), 3 * 16_000);
        rms_dbfs(&heard[2 * 16_000..])
    };
    let null = level(Value::Null);
    let near = level(json!({"type": "near_field"}));
    let far = level(json!({"type": "far_field"}));
    assert!(near < null - 8.0, "{null:.1} {near:.1} dBFS");
    assert!(far < near - 3.0, "{near:.1} {far:.1} dBFS");
}

#[test]
fn null_changes_no_sample() {
    let noise = hiss(24_000);
    let heard = |change: bool| {
        let mut listener = Listener::new(&json!({"turn_detection": null}));
        if change {
            listener.update(&json!({"noise_reduction": {"type": "near_field"}}));
            listener.update(&json!({"noise_reduction": null}));
        }
        listener.hear(&noise);
        listener.commit()
    };
    assert_eq!(heard(false), heard(true));
}

#[test]
fn it_may_change_while_audio_waits() {
    let noise = hiss(4 * 24_000);
    let mut listener = Listener::new(&json!({"turn_detection": null}));
    for (second, reduction) in [
        Value::Null,
        json!({"type": "far_field"}),
        json!({"type": "near_field"}),
        Value::Null,
    ]
    .into_iter()
    .enumerate()
    {
        listener.update(&json!({"noise_reduction": reduction}));
        listener.hear(&noise[second * 24_000..][..24_000]);
    }
    let heard = listener.commit();
    assert_eq!(heard.len(), 4 * 16_000);
    let level = |from: usize| rms_dbfs(&heard[from..][..8_000]);
    assert!(level(24_000) < level(0) - 8.0);
    assert!((level(56_000) - level(0)).abs() < 0.5);
    // What is cleared is gone, and the next turn is whole.
    listener.hear(&noise[..10_000]);
    listener.client(&json!({"type": "input_audio_buffer.clear"}));
    listener.hear(&noise[..24_000]);
    assert_eq!(listener.commit().len(), 16_000);
}

#[test]
fn turns_stay_where_they_are() {
    let folder = env::var_os("KAIWA_SPEECH_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/speech"),
        Into::into,
    );
    if !folder.is_dir() {
        println!("skipped: no speech data");
        return;
    }
    let mut sound = hiss(12 * 24_000);
    for (name, at) in [("half_an_hour", 2), ("book_a_room", 6)] {
        let path = folder.join(format!("en_dialog_turns/{name}.wav"));
        let clip = Clip::open(path).unwrap().resampled(WIRE_RATE_HZ).samples;
        let gain = 10f32.powf((-22.0 - rms_dbfs(&clip)) / 20.0);
        for (sum, sample) in sound[at * 24_000..].iter_mut().zip(clip) {
            *sum += gain * sample;
        }
    }
    let turns = |reduction: Value| {
        let input = json!({"noise_reduction": reduction,
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 800}});
        let mut listener = Listener::new(&input);
        listener.hear(&sound);
        listener.turns
    };
    let (plain, near) = (turns(Value::Null), turns(json!({"type": "near_field"})));
    assert_eq!(plain.len(), 4, "{plain:?}");
    assert_eq!(near.len(), 4, "{near:?}");
    for ((what, plain), (other, near)) in plain.into_iter().zip(near) {
        assert_eq!(what, other);
        assert!(plain.abs_diff(near) <= 96, "{what}: {plain} ms, {near} ms");
    }
}
