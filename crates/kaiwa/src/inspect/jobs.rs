//! What the engines were asked to do, when, and what became of it.

use std::collections::BTreeMap;

use kaiwa_server::{
    EngineEvent, JobId, Said,
    journal::{Line, Work},
};
use serde::{Deserialize, Serialize};

/// Audio of the input format that `talk` asks for: 16 bits at 24 kHz.
const BYTES_PER_MS: f64 = 48.0;

/// The length of a frame that the detector judges.
pub(super) const FRAME_MS: f64 = 32.0;

/// Most characters of a result that are shown.
const SHOWN: usize = 400;

/// What a journal tells of engines. Times are the server's, in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Worked {
    pub(super) jobs: Vec<Job>,
    /// Where a judged frame begins in the session's audio, and the probability of speech.
    pub(super) voice: Vec<(f64, f32)>,
}

/// One job.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Job {
    pub(super) id: u64,
    pub(super) kind: &'static str,
    /// When the engine was asked.
    pub(super) from: f64,
    /// When it said something first, for those that say more than one thing.
    pub(super) first: Option<f64>,
    /// When it was done or told to stop; `None` if the recording ends before.
    pub(super) to: Option<f64>,
    pub(super) outcome: Outcome,
    /// What it was to do.
    pub(super) asked: String,
    /// What it said.
    pub(super) said: String,
    #[serde(skip)]
    sound_ms: u64,
}

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// Made ahead of the end of a turn that went on: nobody heard of it.
    Discarded,
    Failed,
    Kept,
    /// It was not done when the recording ended.
    Open,
    /// Its answer was being given when it was cut short.
    Stopped,
}

impl Worked {
    pub(super) fn of(journal: &[Line]) -> Self {
        let mut reader = Reader::default();
        for line in journal {
            reader.read(line);
        }
        reader.finish()
    }
}

/// Goes through a journal.
#[derive(Default)]
struct Reader {
    jobs: BTreeMap<JobId, Job>,
    voice: Vec<(f64, f32)>,
    /// Length of the audio that was appended, and of it without what came last.
    heard_ms: f64,
    heard_before_ms: f64,
    /// The detector's stream, and where its next answer belongs.
    stream: Option<(JobId, f64)>,
    /// The answer in the making: the job that writes it and those that speak it.
    making: Vec<JobId>,
    /// Whether that answer belongs to a response the client knows. One made ahead of the end
    /// of its turn does not yet.
    is_told: bool,
    /// Whether a response that the client knows is not done.
    is_answering: bool,
}

impl Reader {
    fn read(&mut self, line: &Line) {
        match line {
            Line::Audio { bytes, .. } => {
                self.heard_before_ms = self.heard_ms;
                self.heard_ms += bytes.len() as f64 / BYTES_PER_MS;
            }
            Line::Voice { p, .. } => {
                if let Some((_, next)) = &mut self.stream {
                    self.voice.push((*next, *p));
                    *next += FRAME_MS;
                }
            }
            Line::Run { job, work, at } => self.begin(*job, work, *at as f64),
            Line::Engine { job, event, at } => self.hear(*job, event, *at as f64),
            Line::Cancel { job, at } => self.cancel(*job, *at as f64),
            Line::Send { event, .. } => self.told(event.get()),
            _ => {}
        }
    }

    fn begin(&mut self, id: JobId, work: &Work, from: f64) {
        let (kind, asked) = match work {
            Work::Detect => {
                if self.stream.is_none_or(|(stream, _)| stream != id) {
                    // What was appended last completes the frame.
                    let begins = (self.heard_before_ms / FRAME_MS).floor() * FRAME_MS;
                    self.stream = Some((id, begins));
                }
                return;
            }
            Work::Transcribe { what, audio_ms } => {
                let what = match what {
                    Said::Turn => "speech",
                    Said::Part => "a turn that goes on",
                    Said::Sound => "a sound that may be nothing",
                };
                ("transcribe", format!("{audio_ms} ms of {what}"))
            }
            Work::Judge { audio_ms } => ("judge", format!("is the turn over? {audio_ms} ms")),
            Work::Prime { messages, chars } => ("prime", prompt(*messages, *chars)),
            Work::Generate {
                messages, chars, ..
            } => {
                self.begin_answer();
                ("generate", prompt(*messages, *chars))
            }
            Work::Speak { text, voice } => ("speak", format!("\u{201c}{text}\u{201d} as {voice}")),
            Work::ListTools { url } => ("tools", format!("list the tools of {url}")),
            Work::CallTool {
                name, arguments, ..
            } => ("tools", format!("{name} {arguments}")),
            _ => ("other", String::new()),
        };
        if matches!(kind, "generate" | "speak") {
            self.making.push(id);
        }
        let job = Job {
            id: id.0,
            kind,
            from,
            first: None,
            to: None,
            outcome: Outcome::Open,
            asked,
            said: String::new(),
            sound_ms: 0,
        };
        self.jobs.insert(id, job);
    }

    /// An answer begins: for the response that the client knows, or ahead of one. What was
    /// made before for the same, or ahead of a turn that went on, is not what is told.
    fn begin_answer(&mut self) {
        if self.is_answering || !self.is_told {
            self.discard();
        }
        self.making.clear();
        self.is_told = self.is_answering;
    }

    /// What is being made will not be told.
    fn discard(&mut self) {
        for id in &self.making {
            if let Some(job) = self.jobs.get_mut(id)
                && job.outcome == Outcome::Kept
            {
                job.outcome = Outcome::Discarded;
            }
        }
    }

    fn hear(&mut self, id: JobId, event: &EngineEvent, at: f64) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let mut ends = |outcome| {
            job.to.get_or_insert(at);
            if job.outcome == Outcome::Open {
                job.outcome = outcome;
            }
        };
        match event {
            EngineEvent::Transcript { text, .. } => {
                ends(Outcome::Kept);
                job.said.clone_from(text);
            }
            EngineEvent::TurnJudged { probability } => {
                ends(Outcome::Kept);
                job.said = format!("over with a probability of {probability:.2}");
            }
            EngineEvent::Text { text } => {
                job.first.get_or_insert(at);
                job.said.push_str(text);
            }
            EngineEvent::CallStart { name, .. } => {
                job.first.get_or_insert(at);
                job.said.push_str(&format!("[calls {name}] "));
            }
            EngineEvent::CallArguments { text } => job.said.push_str(text),
            EngineEvent::Generated {
                input_tokens,
                cached_tokens,
                output_tokens,
                ..
            } => {
                ends(Outcome::Kept);
                job.asked.push_str(&format!(
                    ": {input_tokens} tokens, {cached_tokens} of them known, {output_tokens} written"
                ));
            }
            EngineEvent::Speech { pcm, rate, .. } => {
                job.first.get_or_insert(at);
                job.sound_ms += pcm.len() as u64 * 1000 / u64::from((*rate).max(1));
                job.said = format!("{} ms of sound", job.sound_ms);
            }
            EngineEvent::Spoken => ends(Outcome::Kept),
            EngineEvent::ToolsListed { tools } => {
                ends(Outcome::Kept);
                job.said = format!("{} tools", tools.len());
            }
            EngineEvent::ToolReturned { output } => {
                ends(Outcome::Kept);
                job.said.clone_from(output);
            }
            EngineEvent::ToolFailed { error } => {
                ends(Outcome::Failed);
                job.said = serde_json::to_string(error).unwrap_or_default();
            }
            EngineEvent::PromptTooLong { tokens, limit } => {
                ends(Outcome::Failed);
                job.said = format!("{tokens} tokens are more than {limit}");
            }
            EngineEvent::Failed { code, message } => {
                ends(Outcome::Failed);
                job.said = format!("{code}: {message}");
            }
            EngineEvent::Voice { .. } | EngineEvent::TranscriptDelta { .. } => {}
        }
    }

    fn cancel(&mut self, id: JobId, at: f64) {
        let is_told = self.is_told && self.making.contains(&id);
        if let Some(job) = self.jobs.get_mut(&id) {
            job.to.get_or_insert(at);
            job.outcome = match is_told {
                true => Outcome::Stopped,
                false => Outcome::Discarded,
            };
            // What is thrown away is thrown away whole.
            if !is_told && self.making.contains(&id) {
                self.discard();
            }
        }
    }

    fn told(&mut self, event: &str) {
        #[derive(Deserialize)]
        struct Kind {
            r#type: String,
        }
        match serde_json::from_str(event) {
            Ok(Kind { r#type }) if r#type == "response.created" => {
                if self.is_told {
                    self.making.clear();
                }
                self.is_answering = true;
                self.is_told = true;
            }
            Ok(Kind { r#type }) if r#type == "response.done" => self.is_answering = false,
            _ => {}
        }
    }

    fn finish(mut self) -> Worked {
        if !self.is_told {
            self.discard();
        }
        let mut jobs: Vec<_> = self.jobs.into_values().collect();
        for job in &mut jobs {
            if let Some((end, _)) = job.said.char_indices().nth(SHOWN) {
                job.said.truncate(end);
                job.said.push('…');
            }
        }
        Worked {
            jobs,
            voice: self.voice,
        }
    }
}

fn prompt(messages: usize, chars: usize) -> String {
    let plural = if messages == 1 { "" } else { "s" };
    format!("a prompt of {messages} message{plural}, {chars} characters")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worked(lines: &[&str]) -> Vec<(&'static str, Outcome, Option<f64>)> {
        let lines: Vec<_> = lines
            .iter()
            .map(|line| serde_json::from_str(line).expect(line))
            .collect();
        let worked = Worked::of(&lines);
        let job = |job: Job| (job.kind, job.outcome, job.to);
        worked.jobs.into_iter().map(job).collect()
    }

    const GENERATE: &str =
        r#"{"run":{"at":10,"job":1,"work":{"generate":{"messages":1,"chars":5,"tools":0}}}}"#;
    const SPEAK: &str =
        r#"{"run":{"at":20,"job":2,"work":{"speak":{"text":"Hi.","voice":"alloy"}}}}"#;
    const SPOKEN: &str = r#"{"engine":{"at":30,"job":2,"event":"spoken"}}"#;
    const CREATED: &str = r#"{"send":{"at":40,"event":{"type":"response.created"}}}"#;
    const CANCEL: &str = r#"{"cancel":{"at":50,"job":1}}"#;

    #[test]
    fn an_answer_made_ahead_is_discarded_whole_when_the_turn_goes_on() {
        assert_eq!(
            worked(&[GENERATE, SPEAK, SPOKEN, CANCEL]),
            [
                ("generate", Outcome::Discarded, Some(50.0)),
                ("speak", Outcome::Discarded, Some(30.0))
            ]
        );
    }

    #[test]
    fn an_answer_that_is_told_is_stopped_where_it_is() {
        assert_eq!(
            worked(&[GENERATE, SPEAK, SPOKEN, CREATED, CANCEL]),
            [
                ("generate", Outcome::Stopped, Some(50.0)),
                ("speak", Outcome::Kept, Some(30.0))
            ]
        );
    }

    #[test]
    fn an_answer_that_was_finished_ahead_and_never_told_is_discarded() {
        let again =
            r#"{"run":{"at":60,"job":3,"work":{"generate":{"messages":1,"chars":5,"tools":0}}}}"#;
        let generated = r#"{"engine":{"at":30,"job":1,"event":{"generated":{"input_tokens":1,"cached_tokens":0,"output_tokens":1,"truncated":false}}}}"#;
        assert_eq!(
            worked(&[GENERATE, generated, CREATED, again]),
            [
                ("generate", Outcome::Discarded, Some(30.0)),
                ("generate", Outcome::Open, None)
            ]
        );
    }

    #[test]
    fn frames_are_placed_by_the_audio_they_belong_to() {
        let audio = format!(
            r#"{{"audio":{{"at":5,"bytes":"{}"}}}}"#,
            "AAAA".repeat(48 * 40 / 3)
        );
        let lines = [
            audio.as_str(),
            r#"{"run":{"at":5,"job":1,"work":"detect"}}"#,
            r#"{"voice":{"at":6,"job":1,"p":0.5}}"#,
            audio.as_str(),
            r#"{"run":{"at":45,"job":1,"work":"detect"}}"#,
            r#"{"voice":{"at":46,"job":1,"p":0.9}}"#,
        ];
        let lines: Vec<_> = lines
            .iter()
            .map(|line| serde_json::from_str(line).expect(line))
            .collect();
        assert_eq!(Worked::of(&lines).voice, [(0.0, 0.5), (32.0, 0.9)]);
    }
}
