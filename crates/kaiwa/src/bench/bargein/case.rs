//! One conversation in which somebody makes a sound while the assistant speaks.

use std::time::Duration;

use kaiwa_audio::{Resampler, WIRE_RATE_HZ};
use kaiwa_client::{
    Conversation, ConversationConfig, Event, FileCard, Handle, HandleError, Mic, MicQueue, Moment,
    Pace, Turn as TurnTaking,
};
use kaiwa_engine::Transcriber;
use kaiwa_server::Server;
use serde::Serialize;
use tokio::time::Instant;

use super::{
    listener::Prompts,
    sounds::{Meaning, Sound},
    tape::Tape,
};
use crate::{
    bench::{normalize, recognition::transcribe, wer::heard_words},
    exit::{Code, Exit},
    talk,
};

/// Makes answers long enough to be interrupted.
const INSTRUCTIONS: &str = "You are a storyteller. Answer with at least ten long sentences.";

/// Makes the server tell its language model all that was said. Nobody says it but us.
const LAST_WORD: &str = "Thank you, that will be all.";

/// In which the assistant has to become audible, and the model to be told.
const LONGEST_WAIT: Duration = Duration::from_secs(40);

/// How long after a sound the assistant may still be stopped by it.
const AFTERMATH: Duration = Duration::from_millis(1500);

/// Sound that whoever yields has heard: an answer that ends later by itself did not yield. All
/// who yield here do in half of it.
const REACTION_MS: usize = 1_000;

const ENGINE_RATE_HZ: u32 = 16_000;

/// The end of what was heard in which a word may be cut: 150 ms.
const AT_THE_CUT: usize = 150 * 16;

/// Where cases are played.
pub(super) struct Stage {
    pub(super) server: Server,
    pub(super) prompts: Prompts,
    pub(super) taken: TurnTaking,
}

/// What happened.
#[derive(Debug, Serialize)]
pub(super) struct Case {
    pub(super) sound: String,
    pub(super) meaning: Meaning,
    /// The answer was never heard, or over before the sound could have stopped it
    /// ([`REACTION_MS`]): says nothing.
    pub(super) void: bool,
    /// The assistant was stopped.
    pub(super) stopped: bool,
    /// From the sound's onset until the client knew that the server hears speech, or that it
    /// cancelled its response.
    pub(super) server_ms: Option<f64>,
    /// From the sound's onset until the last sample of the assistant.
    pub(super) silent_ms: Option<f64>,
    /// What the client says was heard of the answer, less what the sound card played of it.
    pub(super) truncation_error_ms: Option<f64>,
    pub(super) words: Option<Words>,
    /// What the server or the client said went wrong, if anything.
    pub(super) fault: Option<String>,
    #[serde(skip)]
    heard: Option<Vec<f32>>,
}

/// What the language model is told it said, and what could be heard.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Words {
    /// What the server keeps.
    pub(super) kept: String,
    /// What another speech to text makes of the sound up to the cut.
    pub(super) transcript: String,
    /// All that had been written by then.
    pub(super) written: String,
    /// Words of `kept`.
    pub(super) kept_words: usize,
    /// Words of `written` that the transcript ends after: fewest and most, which differ where
    /// the last word was cut.
    pub(super) heard_words: [usize; 2],
    /// Words kept and not heard, or heard and not kept.
    pub(super) wrong: usize,
    /// Of these, words at the cut: another speech to text completes a word whose end is missing.
    pub(super) wrong_at_the_cut: usize,
    /// Errors of the transcript in the words that were heard.
    pub(super) misheard: usize,
}

/// What the client tells until the sound and its aftermath are over.
#[derive(Default)]
struct Seen {
    /// The answer's item.
    item: Option<String>,
    written: String,
    server_at_ms: Option<u64>,
    /// When the answer was stopped, and what was heard of it in ms.
    heard: Option<(u64, u64)>,
    /// When it ended by itself.
    finished_at_ms: Option<u64>,
    /// The first thing that went wrong.
    fault: Option<String>,
}

impl Stage {
    pub(super) async fn play(
        &self,
        sound: Sound,
        question: &str,
        patience_s: f64,
    ) -> Result<Case, Exit> {
        self.prompts.clear();
        let (mic, heard) = Mic::queue();
        let tape = Tape::default();
        let card = FileCard::builder()
            .mic(heard)
            .pace(Pace::RealTime)
            .build()?;
        let mut config = ConversationConfig::default();
        config.turn = self.taken.clone();
        config.instructions = Some(INSTRUCTIONS.to_owned());
        let link = talk::link(&self.server).await?;
        let (mut conversation, handle) = Conversation::start(link, tape.card(card), config);
        handle.say(question)?;

        let mut seen = Seen::default();
        let mut kept = None;
        if seen.is_audible(&mut conversation).await {
            make(&mic, &sound, patience_s);
            let length = sound.samples.len() as f64 / f64::from(WIRE_RATE_HZ);
            let over = Duration::from_secs_f64(patience_s + length) + AFTERMATH;
            seen.follow(&mut conversation, over).await;
            if seen.heard.is_some() {
                kept = self.kept(&mut conversation, &handle).await?;
            }
        }
        handle.stop();
        conversation.finished().await;
        Ok(Case::new(&sound, seen, &tape, kept))
    }

    /// What the language model is told that it said, once it is asked again.
    async fn kept(
        &self,
        conversation: &mut Conversation,
        handle: &Handle,
    ) -> Result<Option<String>, Exit> {
        handle.say(LAST_WORD)?;
        let mut said = std::pin::pin!(self.prompts.said_before(LAST_WORD));
        let deadline = Instant::now() + LONGEST_WAIT;
        loop {
            tokio::select! {
                kept = &mut said => return Ok(Some(kept)),
                () = tokio::time::sleep_until(deadline) => return Ok(None),
                // Events that nobody reads would stop the conversation's clock.
                moment = conversation.next() => if moment.is_none() {
                    return Ok(None);
                },
            }
        }
    }
}

/// Lets the microphone hear silence, which is time to listen, and then the sound.
fn make(mic: &MicQueue, sound: &Sound, patience_s: f64) {
    let silence = (patience_s * f64::from(WIRE_RATE_HZ)) as usize;
    mic.push(&[vec![0.0; silence], sound.samples.clone()].concat());
}

impl Seen {
    /// Waits for the assistant's voice.
    async fn is_audible(&mut self, conversation: &mut Conversation) -> bool {
        let deadline = Instant::now() + LONGEST_WAIT;
        while let Ok(Some(moment)) = tokio::time::timeout_at(deadline, conversation.next()).await {
            if matches!(moment.event, Event::AssistantSpeechStarted { .. }) {
                return true;
            }
            self.note(moment);
        }
        false
    }

    async fn follow(&mut self, conversation: &mut Conversation, time: Duration) {
        let deadline = Instant::now() + time;
        while let Ok(Some(moment)) = tokio::time::timeout_at(deadline, conversation.next()).await {
            self.note(moment);
        }
    }

    fn note(&mut self, moment: Moment) {
        let is_it = |item: &String, first: &Option<String>| first.as_ref() == Some(item);
        match moment.event {
            Event::AssistantDelta { item, text } => {
                let first = self.item.get_or_insert_with(|| item.clone());
                if *first == item {
                    self.written += &text;
                }
            }
            Event::UserSpeechStarted { .. } => {
                self.server_at_ms.get_or_insert(moment.at_ms);
            }
            Event::ResponseDone { status, .. } if status == "cancelled" => {
                self.server_at_ms.get_or_insert(moment.at_ms);
            }
            Event::Heard { item, ms, .. } if is_it(&item, &self.item) => {
                self.heard.get_or_insert((moment.at_ms, ms));
            }
            Event::AssistantSpeechStopped { item, .. } if is_it(&item, &self.item) => {
                self.finished_at_ms.get_or_insert(moment.at_ms);
            }
            Event::Error { message, .. } => {
                self.fault.get_or_insert(message);
            }
            Event::ResponseDone { status, reason, .. } if status == "failed" => {
                self.fault.get_or_insert_with(|| reason.unwrap_or(status));
            }
            Event::Ended { reason } if reason.is_error() => {
                self.fault.get_or_insert_with(|| reason.to_string());
            }
            _ => {}
        }
    }
}

impl Case {
    fn new(sound: &Sound, seen: Seen, tape: &Tape, kept: Option<String>) -> Self {
        let channels = tape.channels();
        let loud = |samples: &[f32]| samples.iter().position(|sample| *sample != 0.0);
        // The microphone heard exact silence before the sound.
        let began = loud(&channels.user).zip(loud(&sound.samples));
        let onset = began.map(|(heard, made)| heard - made.min(heard) + sound.onset);
        let after = |position: f64| Some((position - onset? as f64) / 24.0);
        let stop = seen
            .heard
            .and_then(|(at_ms, ms)| Some((channels.heard(at_ms as usize * 24)?, ms)));
        let too_early = |onset: usize| (onset + REACTION_MS * 24) as u64 / 24;
        let finished = seen.finished_at_ms.filter(|_| seen.heard.is_none());
        let void = onset.is_none_or(|onset| finished.is_some_and(|ms| ms < too_early(onset)));
        Self {
            sound: sound.name.clone(),
            meaning: sound.meaning,
            void,
            fault: seen.fault,
            stopped: stop.is_some(),
            server_ms: seen.server_at_ms.and_then(|ms| after(ms as f64 * 24.0)),
            silent_ms: stop.as_ref().and_then(|(heard, _)| after(heard.end as f64)),
            truncation_error_ms: stop
                .as_ref()
                .map(|(heard, ms)| *ms as f64 - heard.played as f64 / 24.0),
            words: stop.as_ref().and(kept).map(|kept| Words {
                kept,
                written: seen.written,
                ..Words::default()
            }),
            heard: stop.map(|(heard, _)| heard.samples),
        }
    }

    /// Compares what was kept with what another speech to text hears.
    pub(super) fn judge(&mut self, judge: &dyn Transcriber) -> Result<(), Exit> {
        if let (Some(words), Some(heard)) = (&mut self.words, &self.heard) {
            let mut samples = Vec::new();
            let mut resampler = Resampler::new(WIRE_RATE_HZ, ENGINE_RATE_HZ);
            resampler.process(heard, &mut samples);
            resampler.flush(&mut samples);
            words.transcript = transcribe(judge, &samples)?;
            samples.truncate(samples.len().saturating_sub(AT_THE_CUT));
            words.count(&transcribe(judge, &samples)?);
        }
        Ok(())
    }

    pub(super) fn line(&self) -> String {
        let what = match (self.void, self.stopped) {
            (true, _) => "says nothing: the answer was over",
            (_, true) => "stopped",
            (_, false) => "went on",
        };
        let silent = self
            .silent_ms
            .map_or_else(String::new, |ms| format!(", silent after {ms:.0} ms"));
        let fault = self
            .fault
            .as_ref()
            .map_or_else(String::new, |fault| format!(" ({fault})"));
        format!("{}: {what}{silent}{fault}", self.sound)
    }
}

impl Words {
    /// Counts, given the transcript of all but the words at the cut.
    fn count(&mut self, before_cut: &str) {
        let written = normalize::english(&self.written);
        let heard = |transcript: &str| heard_words(&written, &normalize::english(transcript));
        let (range, misheard) = heard(&self.transcript);
        let kept = normalize::english(&self.kept).split_whitespace().count();
        let off =
            |[fewest, most]: [usize; 2]| fewest.saturating_sub(kept).max(kept.saturating_sub(most));
        let ([before, _], _) = heard(before_cut);
        self.kept_words = kept;
        self.heard_words = range;
        self.misheard = misheard;
        self.wrong = off(range);
        self.wrong_at_the_cut = self.wrong - off([before.min(range[0]), range[1]]);
    }
}

impl From<HandleError> for Exit {
    fn from(error: HandleError) -> Self {
        Self::new(Code::Failure, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(kept: &str, transcript: &str) -> Words {
        let mut words = Words {
            kept: kept.to_owned(),
            transcript: transcript.to_owned(),
            written: "Once upon a time, there was a lighthouse.".to_owned(),
            ..Words::default()
        };
        words.count("once upon a time");
        words
    }

    #[test]
    fn words_are_wrong_beyond_the_one_that_was_cut() {
        for (kept, transcript, heard, wrong, misheard) in [
            ("Once upon a time,", "once upon a time", [4, 4], 0, 0),
            ("Once upon a time, there", "once upon a time", [4, 4], 1, 0),
            ("Once upon", "Once upon a time.", [4, 4], 2, 0),
            // "there" was cut: it may count as heard or not.
            ("Once upon a time,", "Once upon a time the", [4, 5], 0, 1),
            (
                "Once upon a time, there",
                "Once upon a time the",
                [4, 5],
                0,
                1,
            ),
            // A word that is heard wrong in the middle moves nothing.
            ("Once upon a time,", "Once a pan a time", [4, 4], 0, 2),
        ] {
            let words = words(kept, transcript);
            assert_eq!(words.heard_words, heard, "{kept} / {transcript}");
            assert_eq!(
                (words.wrong, words.misheard),
                (wrong, misheard),
                "{kept} / {transcript}"
            );
        }
    }
}
