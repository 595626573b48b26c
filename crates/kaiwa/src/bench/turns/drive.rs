//! A session on a virtual clock.

use std::sync::Arc;

use kaiwa_audio::{WIRE_RATE_HZ, pcm};
use kaiwa_protocol::{
    AudioInput, ClientEvent, Eagerness, Maybe, RealtimeSession, SemanticVad, ServerEvent,
    ServerVad, Session as WireSession, SessionAudio, SessionUpdate, TurnDetection,
};
use kaiwa_session::{
    EngineCommand, EngineEvent, Input, JobId, Millis, Output, Session, SessionOptions,
};

use super::items::Item;
use crate::exit::{Code, Exit};

/// What a client sends at once.
const CHUNK_MS: usize = 20;
const CHUNK: usize = WIRE_RATE_HZ as usize / 1000 * CHUNK_MS;

/// Who takes turns.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Taking {
    /// `semantic_vad`.
    Semantic(Eagerness),
    /// `server_vad` with this silence in ms.
    Server(Millis),
}

/// A turn that the session took to be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stop {
    /// When it said so, in ms of the audio.
    pub(super) decided_ms: Millis,
}

/// The engines that listen.
pub(super) trait Ears {
    /// The audio begins anew.
    fn rewind(&mut self);

    /// The probability that the next frame is speech; takes no time.
    fn voice(&mut self, frame: &[f32]) -> Result<f32, Exit>;

    /// The probability that the turn is over, and how long that took in ms.
    fn judge(&mut self, turn: &[f32]) -> Result<(f32, Millis), Exit>;

    /// What was said, in which language, and how long that took in ms.
    fn transcribe(&mut self, turn: &[f32]) -> Result<(String, Option<String>, Millis), Exit>;
}

impl Taking {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Semantic(eagerness) => format!("semantic {}", eagerness.as_str()),
            Self::Server(silence_ms) => format!("server_vad {silence_ms}"),
        }
    }

    /// What the client asks for. Nothing is to be answered here.
    fn update(&self) -> ClientEvent {
        let create_response = Maybe::Value(false);
        let turn_detection = match self {
            Self::Semantic(eagerness) => TurnDetection::SemanticVad(SemanticVad {
                eagerness: Maybe::Value(eagerness.clone()),
                create_response,
                ..SemanticVad::default()
            }),
            Self::Server(silence_ms) => TurnDetection::ServerVad(ServerVad {
                silence_duration_ms: Maybe::Value(*silence_ms),
                create_response,
                ..ServerVad::default()
            }),
        };
        let audio = SessionAudio {
            input: Maybe::Value(AudioInput {
                turn_detection: Maybe::Value(turn_detection),
                ..AudioInput::default()
            }),
            ..SessionAudio::default()
        };
        let session = RealtimeSession {
            audio: Maybe::Value(audio),
            ..RealtimeSession::default()
        };
        SessionUpdate {
            session: WireSession::Realtime(Box::new(session)),
            ..SessionUpdate::default()
        }
        .into()
    }

    fn options(&self) -> SessionOptions {
        let mut options = SessionOptions::default();
        if matches!(self, Self::Server(_)) {
            // The words decide nothing, so that nobody need listen to them.
            options.ahead_ms = None;
        }
        options
    }
}

/// Lets a session listen to an item, and to silence after it until the item's end is
/// recognised. Gives every end of a turn.
pub(super) fn drive(item: &Item, taking: &Taking, ears: &mut dyn Ears) -> Result<Vec<Stop>, Exit> {
    ears.rewind();
    let mut driver = Driver {
        session: Session::new(taking.options()),
        ears,
        hears_words: matches!(taking, Taking::Semantic(_)),
        busy_until: 0,
        waiting: Vec::new(),
        stops: Vec::new(),
    };
    driver.take_in(Input::Client(taking.update()), 0)?;
    let mut now = 0;
    let mut bytes = Vec::new();
    for chunk in item.chunks(CHUNK) {
        now += CHUNK_MS as Millis;
        driver.report(now)?;
        bytes.clear();
        pcm::encode(&chunk, &mut bytes);
        let audio = Input::Audio {
            event_id: None,
            bytes: &bytes,
        };
        driver.take_in(audio, now)?;
        if driver
            .stops
            .last()
            .is_some_and(|stop| item.is_over_at(stop.decided_ms))
        {
            break;
        }
    }
    Ok(driver.stops)
}

struct Driver<'a> {
    session: Session,
    ears: &'a mut dyn Ears,
    /// Whether what is said matters.
    hears_words: bool,
    /// One engine computes at a time.
    busy_until: Millis,
    /// Results and when they come, in that order.
    waiting: Vec<(Millis, JobId, EngineEvent)>,
    stops: Vec<Stop>,
}

impl Driver<'_> {
    /// Hands over what the engines have said by `now`.
    fn report(&mut self, now: Millis) -> Result<(), Exit> {
        while self.waiting.first().is_some_and(|(due, ..)| *due <= now) {
            let (due, job, event) = self.waiting.remove(0);
            self.take_in(Input::Engine(job, event), due)?;
        }
        Ok(())
    }

    fn take_in(&mut self, input: Input<'_>, now: Millis) -> Result<(), Exit> {
        let mut outputs: Vec<Output> = self.session.handle(input, now).collect();
        // Frames are judged at once, and may each end the turn.
        while !outputs.is_empty() {
            for output in std::mem::take(&mut outputs) {
                match output {
                    Output::Send(ServerEvent::InputAudioBufferSpeechStopped(_)) => {
                        self.stops.push(Stop { decided_ms: now });
                    }
                    Output::Send(ServerEvent::Error(refused)) => {
                        return Err(Exit::new(Code::Failure, &refused.error.message));
                    }
                    Output::Run(job, EngineCommand::Detect { frame }) => {
                        let probability = self.ears.voice(&frame)?;
                        let voice = Input::Engine(job, EngineEvent::Voice { probability });
                        outputs.extend(self.session.handle(voice, now));
                    }
                    Output::Run(job, command) => self.work(job, command, now)?,
                    Output::Cancel(job) => self.waiting.retain(|(_, id, _)| *id != job),
                    Output::Send(_) | Output::Close(_) => {}
                }
            }
        }
        Ok(())
    }

    fn work(&mut self, job: JobId, command: EngineCommand, now: Millis) -> Result<(), Exit> {
        let (event, took) = match command {
            EngineCommand::JudgeTurn { audio } => {
                let (probability, took) = self.ears.judge(&audio)?;
                (EngineEvent::TurnJudged { probability }, took)
            }
            EngineCommand::Transcribe { audio, .. } => self.transcribe(&audio)?,
            // Nothing is answered.
            _ => return Ok(()),
        };
        self.busy_until = self.busy_until.max(now) + took;
        self.waiting.push((self.busy_until, job, event));
        Ok(())
    }

    fn transcribe(&mut self, audio: &Arc<[f32]>) -> Result<(EngineEvent, Millis), Exit> {
        let (text, language, took) = if self.hears_words {
            self.ears.transcribe(audio)?
        } else {
            (String::new(), None, 0)
        };
        let event = EngineEvent::Transcript {
            text,
            language,
            logprobs: Vec::new(),
        };
        Ok((event, took))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::items::Kind, *};

    /// Loud is speech; says what it is told to, and takes its time.
    struct Scripted {
        complete: f32,
        words: &'static str,
        takes_ms: Millis,
    }

    impl Ears for Scripted {
        fn rewind(&mut self) {}

        fn voice(&mut self, frame: &[f32]) -> Result<f32, Exit> {
            Ok(if kaiwa_audio::rms_dbfs(frame) > -40.0 {
                0.9
            } else {
                0.05
            })
        }

        fn judge(&mut self, _: &[f32]) -> Result<(f32, Millis), Exit> {
            Ok((self.complete, self.takes_ms))
        }

        fn transcribe(&mut self, _: &[f32]) -> Result<(String, Option<String>, Millis), Exit> {
            Ok((self.words.to_owned(), Some("en".to_owned()), self.takes_ms))
        }
    }

    /// A second of speech, a pause, another second.
    fn two_parts(pause_ms: usize) -> Item {
        let loud = |ms: usize| (0..ms * 24).map(|at| 0.2 * (at as f32 * 0.3).sin());
        let silent = |ms: usize| std::iter::repeat_n(0.0, ms * 24);
        let audio: Vec<f32> = loud(1000)
            .chain(silent(pause_ms))
            .chain(loud(1000))
            .collect();
        Item::new(
            Kind::Recorded,
            "two parts",
            audio,
            2000 + pause_ms as u64,
            1,
        )
    }

    fn decided(item: &Item, taking: &Taking, mut ears: Scripted) -> Vec<Millis> {
        let stops = drive(item, taking, &mut ears).unwrap();
        stops.iter().map(|stop| stop.decided_ms).collect()
    }

    fn ears(complete: f32, words: &'static str, takes_ms: Millis) -> Scripted {
        Scripted {
            complete,
            words,
            takes_ms,
        }
    }

    /// Frames of 32 ms and the resampler's delay.
    fn about(decided: Millis, expected: Millis) -> bool {
        (expected..=expected + 80).contains(&decided)
    }

    #[test]
    fn a_fixed_silence_cuts_the_pause_that_is_longer() {
        let item = two_parts(700);
        let short = decided(&item, &Taking::Server(500), ears(0.0, "", 0));
        assert!(
            short.len() == 2 && about(short[0], 1500) && about(short[1], 3200),
            "{short:?}"
        );
        let long = decided(&item, &Taking::Server(900), ears(0.0, "", 0));
        assert!(long.len() == 1 && about(long[0], 3600), "{long:?}");
    }

    #[test]
    fn the_policy_of_the_session_decides_and_waits_for_the_engines() {
        let item = two_parts(700);
        let auto = Taking::Semantic(Eagerness::Auto);
        // Finished by both: the end after 480 ms of silence.
        let finished = decided(&item, &auto, ears(0.9, "It is done.", 50));
        assert!(
            finished.len() == 2 && about(finished[0], 1480),
            "{finished:?}"
        );
        // Open: the pause is waited out.
        let open = decided(&item, &auto, ears(0.1, "I would like to", 50));
        assert!(open.len() == 1 && about(open[0], 2700 + 1600), "{open:?}");
        // The words are known 700 ms into the silence and the judgement 600 ms later: the pause is
        // over by then. At the end the silence is long enough as soon as both are known.
        let late = decided(&item, &auto, ears(0.9, "It is done.", 600));
        assert!(late.len() == 1 && about(late[0], 2700 + 1300), "{late:?}");
    }
}
