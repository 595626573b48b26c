//! Conversations through the air, in virtual time: what the speaker plays comes back into the
//! microphone by the way of a room, and neither interrupts the assistant nor is answered; people
//! who speak over it are heard.
//!
//! The client, its echo canceller and its card are the real ones, the server's session and its ear
//! for speech, too. The answers are recordings, and what is said is made up.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "helpers of tests fail and speak like tests"
)]

mod host;
mod room;

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use kaiwa_audio::{Clip, WIRE_RATE_HZ, echo::VoiceOptions, rms_dbfs};
use kaiwa_client::{
    Conversation, ConversationConfig, Endpoint, Event, Link, Moment, Turn, card::CleanCard,
};
use kaiwa_engine::{ComputeBudget, silero::SileroModel};

use host::{Host, WORDS};
use room::{Person, Place, RoomCard};

/// How loud everybody speaks, in dBFS; the assistant's echo is as much softer as the room makes it.
const VOICE_DBFS: f32 = -24.0;

/// News of what was said in the last moment comes so much later, in ms.
const LATE_MS: u64 = 300;

/// What the tests need and not everybody has.
struct Material {
    ears: SileroModel,
    speech: PathBuf,
}

impl Material {
    fn find() -> Option<Self> {
        let folder = |name| env::var_os(name).map(PathBuf::from);
        let speech = folder("KAIWA_SPEECH_DIR").unwrap_or_else(|| {
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/speech")
        });
        let models = folder("KAIWA_MODELS_DIR").map(|models| models.join("silero-vad"));
        let (Some(models), true) = (models, speech.is_dir()) else {
            println!("skipped: no models, or no speech data");
            return None;
        };
        let budget = ComputeBudget::new(None);
        let ears = SileroModel::load(models, &budget).unwrap();
        Some(Self { ears, speech })
    }

    /// A recording at the level of everybody's voice.
    fn voice(&self, name: &str) -> Vec<f32> {
        let samples = self.recording(name);
        let gain = 10f32.powf((VOICE_DBFS - rms_dbfs(&samples)) / 20.0);
        samples.iter().map(|sample| sample * gain).collect()
    }

    fn recording(&self, name: &str) -> Vec<f32> {
        let clip = Clip::open(self.speech.join(name)).unwrap();
        clip.resampled(WIRE_RATE_HZ).samples
    }

    fn place(&self, room: &str, delay_ms: usize, gain_db: f32) -> Place {
        Place {
            response: self.recording(&format!("noise_rir/{room}.wav")),
            delay_ms,
            gain_db,
            drift_ppm: 0.0,
            cancels: true,
        }
    }
}

/// What came of a conversation.
#[derive(Debug, Default)]
struct Outcome {
    seconds: u64,
    questions: usize,
    answered: usize,
    interruptions: usize,
    /// Of these, those that stopped the assistant while they went on.
    recognised: usize,
    /// Turns that began while nobody spoke, in ms of the card's clock.
    from_nothing: Vec<u64>,
    /// What the user was heard to say.
    turns: usize,
}

impl Outcome {
    /// Nothing that nobody said is a turn, and everything that was said is answered.
    fn check(&self, name: &str) {
        println!("{name}: {self:?}");
        assert!(self.from_nothing.is_empty(), "{name}: {self:?}");
        assert_eq!(self.answered, self.questions, "{name}: {self:?}");
        assert_eq!(self.turns, self.questions, "{name}: {self:?}");
    }
}

/// A conversation and what was told of it so far.
struct Talk {
    conversation: Conversation,
    person: Person,
    moments: Vec<Moment>,
}

impl Talk {
    /// Lets time pass up to here on the card's clock, or up to an event; says whether it came.
    async fn until(&mut self, ms: u64, mut wanted: impl FnMut(&Event) -> bool) -> bool {
        while self.person.now() < ms {
            let left = Duration::from_millis(20);
            let Ok(moment) = tokio::time::timeout(left, self.conversation.next()).await else {
                continue;
            };
            let moment = moment.expect("it goes on");
            let found = wanted(&moment.event);
            self.moments.push(moment);
            if found {
                return true;
            }
        }
        false
    }

    async fn pass(&mut self, ms: u64) {
        let end = self.person.now() + ms;
        self.until(end, |_| false).await;
    }
}

/// Somebody asks so often, and speaks over every other answer if this `interrupts`. Four questions
/// take 75 s of virtual time; `KAIWA_LOOP_QUESTIONS` makes it less or more.
async fn converse(
    material: &Material,
    place: &Place,
    answer: &[f32],
    voices: &[Vec<f32>],
    questions: usize,
    interrupts: bool,
) -> Outcome {
    let (near, far) = tokio::io::duplex(1 << 16);
    let endpoint = Endpoint::new("ws://kaiwa.test/v1");
    let (link, host) = tokio::join!(
        Link::over(near, &endpoint),
        Host::accept(far, &material.ears, answer.to_vec())
    );
    let host = tokio::spawn(host.run());
    let person = Person::default();
    let room = RoomCard::new(place, person.clone());
    let options = VoiceOptions {
        echo_cancellation: place.cancels,
        ..VoiceOptions::default()
    };
    let card = CleanCard::new(room, options);
    let mut config = ConversationConfig::default();
    // Pauses inside of what is said are no ends of turns.
    config.turn = Turn::Server {
        threshold: None,
        prefix_padding_ms: None,
        silence_duration_ms: Some(900),
    };
    let (conversation, handle) = Conversation::start(link.unwrap(), card, config);
    let mut talk = Talk {
        conversation,
        person: person.clone(),
        moments: Vec::new(),
    };
    let mut outcome = Outcome::default();
    let mut voices = voices.iter().cycle();
    talk.pass(1_000).await;

    for question in 0..questions_or(questions) {
        talk.ask(voices.next().unwrap(), &mut outcome).await;
        if interrupts && question % 2 == 1 {
            talk.pass(2_500 + 300 * question as u64).await;
            talk.interrupt(voices.next().unwrap(), &mut outcome).await;
        }
        talk.pass(answer.len() as u64 / 24 + 1_500).await;
    }

    outcome.seconds = person.now() / 1_000;
    let spoken = person.spoken();
    for moment in &talk.moments {
        match &moment.event {
            // A turn begins with its prefix of 300 ms, and a pause in what is said may be
            // followed by another.
            Event::UserSpeechStarted { ms, .. } => {
                let is_said = |[start, end]: &[u64; 2]| ms + 700 >= *start && ms <= end;
                if !spoken.iter().any(is_said) {
                    outcome.from_nothing.push(*ms);
                }
            }
            Event::UserTranscriptDone { text, .. } => {
                assert_eq!(text, WORDS);
                outcome.turns += 1;
            }
            _ => {}
        }
    }
    drop((talk, handle));
    host.await.unwrap();
    outcome
}

impl Talk {
    async fn ask(&mut self, voice: &[f32], outcome: &mut Outcome) {
        outcome.questions += 1;
        let end = self.person.say(voice);
        outcome.answered += usize::from(self.until(end + 4_000, is_answer).await);
    }

    /// Asks over the assistant's voice, which is answered if it was recognised before it was over.
    async fn interrupt(&mut self, voice: &[f32], outcome: &mut Outcome) {
        outcome.interruptions += 1;
        let end = self.person.say(voice);
        let is_turn = |event: &Event| matches!(event, Event::UserSpeechStarted { .. });
        if self.until(end + LATE_MS, is_turn).await {
            outcome.recognised += 1;
            outcome.questions += 1;
            outcome.answered += usize::from(self.until(end + 4_000, is_answer).await);
        }
    }
}

fn questions_or(questions: usize) -> usize {
    let wanted = env::var("KAIWA_LOOP_QUESTIONS").ok();
    wanted.map_or(questions, |number| number.parse().unwrap())
}

fn is_answer(event: &Event) -> bool {
    matches!(event, Event::AssistantSpeechStarted { .. })
}

/// What is said: whole sentences without long pauses, of several people.
const SAID: [&str; 6] = [
    "en_librispeech/testing_routine.wav",
    "en_harvard_speechbrain/spk1_snt1.wav",
    "en_harvard_speechbrain/spk1_snt2.wav",
    "en_harvard_speechbrain/spk1_snt3.wav",
    "en_harvard_speechbrain/spk1_snt4.wav",
    "en_harvard_speechbrain/spk1_snt5.wav",
];

/// What is answered.
const ANSWER: &str = "en_ljspeech/LJ001-0001.flac";

/// Talk in three places of a room; with the clocks below it is eight and a half minutes in all.
async fn talk_in(room: &str, questions: usize) {
    let Some(material) = Material::find() else {
        return;
    };
    let voices: Vec<_> = SAID.map(|name| material.voice(name)).into();
    let answer = material.voice(ANSWER);
    let (mut interruptions, mut recognised) = (0, 0);
    for (delay_ms, gain_db) in [(20, 0.0), (60, -5.0), (120, -10.0)] {
        let place = material.place(room, delay_ms, gain_db);
        let outcome = converse(&material, &place, &answer, &voices, questions, true).await;
        outcome.check(&format!("{room}, {delay_ms} ms, {gain_db} dB"));
        interruptions += outcome.interruptions;
        recognised += outcome.recognised;
    }
    assert!(
        recognised * 20 >= interruptions * 19,
        "{recognised} of {interruptions} interruptions recognised"
    );
}

/// Two rooms so reverberant that an echo as loud as its source passes now and then once somebody has
/// spoken over it (`docs/roadmap.md`): here nobody does.
#[tokio::test(start_paused = true)]
async fn in_two_rooms_that_sound() {
    for room in ["rir1", "rir3"] {
        talk_in(room, 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_room_where_people_interrupt() {
    talk_in("rir4", 4).await;
}

/// The clocks are apart by what cheap devices are at the most, and answers are long.
async fn talk_over_drift(drift_ppm: f64) {
    let Some(material) = Material::find() else {
        return;
    };
    let voices: Vec<_> = SAID.map(|name| material.voice(name)).into();
    let answer = [material.voice(ANSWER), material.voice(ANSWER)].concat();
    let place = Place {
        drift_ppm,
        ..material.place("rir4", 60, -5.0)
    };
    let outcome = converse(&material, &place, &answer, &voices, 4, false).await;
    outcome.check(&format!("{drift_ppm} ppm"));
}

#[tokio::test(start_paused = true)]
async fn a_faster_microphone_interrupts_nobody() {
    talk_over_drift(100.0).await;
}

#[tokio::test(start_paused = true)]
async fn a_slower_microphone_interrupts_nobody() {
    talk_over_drift(-50.0).await;
}

/// Without the canceller every room fails the tests above, so that they can fail.
#[tokio::test(start_paused = true)]
async fn without_a_canceller_the_assistant_interrupts_itself() {
    let Some(material) = Material::find() else {
        return;
    };
    let voices: Vec<_> = SAID.map(|name| material.voice(name)).into();
    let answer = material.voice(ANSWER);
    let place = Place {
        cancels: false,
        ..material.place("rir1", 60, -5.0)
    };
    let outcome = converse(&material, &place, &answer, &voices, 4, false).await;
    println!("{outcome:?}");
    assert!(!outcome.from_nothing.is_empty(), "{outcome:?}");
}
