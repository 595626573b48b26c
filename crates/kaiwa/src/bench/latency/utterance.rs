//! One utterance, one session, one answer.

use std::time::Duration;

use kaiwa_audio::Clip as Recording;
use kaiwa_client::{
    Conversation, ConversationConfig, Event, FileCard, Mic, Pace, SpeechEnd, Turn as TurnTaking,
    TurnLatency,
};
use kaiwa_server::{AheadCounts, Server};
use serde::Serialize;

use crate::{
    bench::speech::{CUT_OFF_MS, Clip, Speech},
    breakdown::{Breakdown, TurnLog},
    exit::{Code, Exit},
    talk,
};

/// Sound after the end of the recording in which an answer has to begin.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long an answer may go on that is listened to.
const LONGEST_ANSWER: Duration = Duration::from_secs(180);

/// Something to say, and where in it speech begins and ends.
#[derive(Clone, Debug)]
pub(super) struct Utterance {
    pub(super) clip: Clip,
    pub(super) speech: Speech,
}

impl Utterance {
    pub(super) fn file(&self) -> String {
        self.clip.file()
    }
}

/// An utterance that was not answered.
#[derive(Debug, Serialize)]
pub(super) struct Unanswered {
    pub(super) file: String,
    pub(super) cut_off: bool,
    /// What the server or the client said about it, if anything.
    pub(super) why: Option<String>,
}

/// An utterance that was answered.
#[derive(Debug, Serialize)]
pub(super) struct Turn {
    pub(super) file: String,
    /// The turn was taken to be over before its speech was, at least once.
    pub(super) cut_off: bool,
    #[serde(flatten)]
    pub(super) steps: Breakdown,
    /// From the decision that the turn is over, as the client sees it, to the first sound of
    /// the answer there, silence or not.
    pub(super) decided_to_audio_ms: u64,
    /// After the end of speech: the judgement by its sound, the transcript, the first clause
    /// and the first speech, ahead of the decision or after it.
    pub(super) steps_ms: [Option<i64>; 4],
    /// How often the answer ran dry before its end, and how long it was; known where it was
    /// listened to.
    pub(super) underruns: u32,
    pub(super) played_ms: u64,
    #[serde(skip)]
    pub(super) ahead: AheadCounts,
}

/// Who plays utterances to a server.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) server: Server,
    pub(super) log: TurnLog,
    pub(super) taken: TurnTaking,
    /// Whether answers are listened to, instead of left at their first sound.
    pub(super) to_the_end: bool,
}

/// What the client saw of one conversation.
#[derive(Default)]
struct Seen {
    /// When turns were taken to be over.
    stopped_ms: Vec<u64>,
    /// The first thing that went wrong.
    fault: Option<String>,
    latency: Option<TurnLatency>,
    underruns: u32,
    played_ms: u64,
}

impl Asker {
    /// Plays an utterance to a session of its own.
    pub(super) async fn ask(
        &self,
        utterance: &Utterance,
    ) -> Result<Result<Turn, Unanswered>, Exit> {
        let Utterance { clip, speech } = utterance;
        let recording = Recording::open(&clip.path)
            .map_err(|error| Exit::new(Code::Input, format!("{}: {error}", clip.path.display())))?;
        let end_ms = (speech.end_s * 1000.0).round() as u64;
        let card = FileCard::builder()
            .mic(Mic::clip(recording))
            .pace(Pace::RealTime)
            .build()?;
        let mut config = ConversationConfig::default();
        config.turn = self.taken.clone();
        config.speech_end = SpeechEnd::Known(vec![end_ms]);
        let link = talk::link(&self.server).await?;
        let (conversation, handle) = Conversation::start(link, card, config);
        handle
            .finish()
            .map_err(|error| Exit::new(Code::Failure, error))?;
        let to_the_end = self.to_the_end;
        let stopping = handle.clone();
        let mut seen = Seen::default();
        let listening = seen.listen(conversation, || {
            if !to_the_end {
                stopping.stop();
            }
        });
        let mut wait = Duration::from_secs_f64(clip.seconds) + LONGEST_WAIT;
        if to_the_end {
            wait += LONGEST_ANSWER;
        }
        if tokio::time::timeout(wait, listening).await.is_err() {
            handle.stop();
            seen.latency = None;
            seen.fault
                .get_or_insert_with(|| format!("no answer in {} s", wait.as_secs()));
        }
        let is_early = |ms: &u64| ms + CUT_OFF_MS < end_ms;
        let cut_off = seen.stopped_ms.iter().any(is_early);
        let unanswered = |why| Unanswered {
            file: utterance.file(),
            cut_off,
            why,
        };
        let Some(latency) = seen.latency else {
            return Ok(Err(unanswered(seen.fault)));
        };
        // The server reports a turn when its response has ended, which stopping brings about.
        let timings = self.log.turn(&latency.response).await;
        let decided = i64::try_from(latency.decided_ms.saturating_sub(end_ms)).unwrap_or_default();
        let steps_ms = timings.as_ref().map_or([None; 4], |timings| {
            let steps = [
                timings.judged,
                timings.transcribed,
                timings.first_clause,
                timings.first_speech,
            ];
            steps.map(|at| at.map(|at| at + decided))
        });
        let audio_ms = latency.first_audio_ms.unwrap_or(latency.audible_ms);
        let Some(steps) = Breakdown::new(&latency, timings.as_ref()) else {
            return Ok(Err(unanswered(seen.fault)));
        };
        Ok(Ok(Turn {
            file: utterance.file(),
            cut_off,
            steps,
            decided_to_audio_ms: audio_ms.saturating_sub(latency.decided_ms),
            steps_ms,
            underruns: seen.underruns,
            played_ms: seen.played_ms,
            ahead: timings
                .as_ref()
                .map_or_else(AheadCounts::default, |timings| timings.ahead),
        }))
    }
}

impl Seen {
    /// Follows a conversation to its end; `answered` is called when the answer is audible.
    async fn listen(&mut self, mut conversation: Conversation, answered: impl Fn()) {
        while let Some(moment) = conversation.next().await {
            match moment.event {
                Event::UserSpeechStopped { .. } => self.stopped_ms.push(moment.at_ms),
                Event::TurnLatency(latency) => {
                    self.latency.get_or_insert(latency);
                    answered();
                }
                Event::PlaybackUnderrun { .. } => self.underruns += 1,
                Event::AssistantSpeechStopped { played_ms, .. } => self.played_ms += played_ms,
                Event::Heard { ms, .. } => self.played_ms += ms,
                Event::Error { message, .. } => self.blame(message),
                Event::ResponseDone { status, reason, .. } if status == "failed" => {
                    self.blame(reason.unwrap_or(status));
                }
                Event::Ended { reason } => {
                    if reason.is_error() {
                        self.blame(reason.to_string());
                    }
                    break;
                }
                _ => {}
            }
        }
    }

    fn blame(&mut self, what: String) {
        self.fault.get_or_insert(what);
    }
}
