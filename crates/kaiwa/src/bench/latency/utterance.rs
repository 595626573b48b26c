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

/// An utterance that was answered.
#[derive(Debug, Serialize)]
pub(super) struct Turn {
    pub(super) file: String,
    /// The turn was taken to be over before its speech was.
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
    latency: Option<TurnLatency>,
    underruns: u32,
    played_ms: u64,
}

impl Asker {
    /// Plays an utterance to a session of its own; `None` if nobody answers.
    pub(super) async fn ask(&self, utterance: &Utterance) -> Result<Option<Turn>, Exit> {
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
        let seen = listen(conversation, || {
            if !to_the_end {
                stopping.stop();
            }
        });
        let mut wait = Duration::from_secs_f64(clip.seconds) + LONGEST_WAIT;
        if to_the_end {
            wait += LONGEST_ANSWER;
        }
        let Ok(Seen {
            latency: Some(latency),
            underruns,
            played_ms,
        }) = tokio::time::timeout(wait, seen).await
        else {
            handle.stop();
            return Ok(None);
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
        Ok(
            Breakdown::new(&latency, timings.as_ref()).map(|steps| Turn {
                file: utterance.file(),
                cut_off: latency.decided_ms + CUT_OFF_MS < end_ms,
                steps,
                decided_to_audio_ms: audio_ms.saturating_sub(latency.decided_ms),
                steps_ms,
                underruns,
                played_ms,
                ahead: timings
                    .as_ref()
                    .map_or_else(AheadCounts::default, |timings| timings.ahead),
            }),
        )
    }
}

/// Follows a conversation to its end; `answered` is called when the answer is audible.
async fn listen(mut conversation: Conversation, answered: impl Fn()) -> Seen {
    let mut seen = Seen::default();
    while let Some(moment) = conversation.next().await {
        match moment.event {
            Event::TurnLatency(latency) => {
                seen.latency.get_or_insert(latency);
                answered();
            }
            Event::PlaybackUnderrun { .. } => seen.underruns += 1,
            Event::AssistantSpeechStopped { played_ms, .. } => seen.played_ms += played_ms,
            Event::Heard { ms, .. } => seen.played_ms += ms,
            Event::Ended { .. } => break,
            _ => {}
        }
    }
    seen
}
