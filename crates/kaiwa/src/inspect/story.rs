//! What happened in a conversation, put together from everything that was recorded of it.

use std::collections::BTreeMap;

use kaiwa_server::journal::Line;
use serde::Serialize;
use serde_json::Value;

use super::{
    clock::Clock,
    jobs::{FRAME_MS, Job, Worked},
    read::{Recorded, Traced},
    sound::{PEAK_MS, Stereo},
};
use crate::record::About;

/// Probability from which a frame counts as speech here: the protocol's default threshold.
const SPEECH: f32 = 0.5;

/// Everything that the page shows. Times are milliseconds of the sound.
#[derive(Debug, Serialize)]
pub(super) struct Story {
    kaiwa: String,
    real_time: bool,
    /// Whether the server's side is known.
    has_journal: bool,
    length_ms: f64,
    peak_ms: u64,
    user: Vec<i8>,
    assistant: Vec<i8>,
    /// Where a frame of 32 ms begins, and the probability of speech in percent.
    voice: Vec<(i64, u8)>,
    turns: Vec<Turn>,
    answers: Vec<Answer>,
    jobs: Vec<Job>,
    events: Vec<Shown>,
    notices: Vec<Notice>,
}

/// A turn of the user.
#[derive(Clone, Debug, Default, Serialize)]
struct Turn {
    item: String,
    typed: bool,
    text: String,
    from: f64,
    /// Where the speech ends.
    to: f64,
    /// When the client learned that the turn is over.
    decided: Option<f64>,
    /// When each step of the answer was reached.
    steps: Option<Steps>,
}

/// When each step was reached, as the client saw it.
#[derive(Clone, Debug, Serialize)]
struct Steps {
    decided: f64,
    transcript: Option<f64>,
    first_text: Option<f64>,
    first_audio: Option<f64>,
    audible: f64,
}

/// An item of the assistant.
#[derive(Clone, Debug, Default, Serialize)]
struct Answer {
    item: String,
    response: String,
    /// Index of the turn it answers.
    turn: Option<usize>,
    text: String,
    /// Where it is audible.
    from: Option<f64>,
    to: Option<f64>,
    heard: Option<Heard>,
    /// `completed`, `cancelled`, `incomplete` or `failed`.
    status: String,
    reason: String,
}

/// How much was heard of an answer that was cut short.
#[derive(Clone, Debug, Default, Serialize)]
struct Heard {
    ms: f64,
    received_ms: f64,
    /// About what was heard, in words.
    text: String,
}

/// An event of the protocol.
#[derive(Clone, Debug, Serialize)]
struct Shown {
    at: f64,
    sent: bool,
    kind: String,
    /// What is in it, cut where it is long.
    what: String,
}

/// Something a person should know.
#[derive(Clone, Debug, Serialize)]
struct Notice {
    at: f64,
    text: String,
}

impl Story {
    pub(super) fn of(about: &About, sound: &Stereo, recorded: &Recorded) -> Self {
        let Recorded {
            moments,
            events,
            journal,
        } = recorded;
        let to_card = Clock::new(moment_ties(events, moments), about.real_time);
        let mut worked = Worked::default();
        if let Some(journal) = journal {
            worked = Worked::of(journal);
            let to_client = Clock::new(journal_ties(journal, events), true);
            let to_card = |at: f64| to_card.there(to_client.there(at));
            for job in &mut worked.jobs {
                job.from = to_card(job.from);
                job.first = job.first.map(to_card);
                job.to = job.to.map(to_card);
            }
        }
        let shift = sound_shift(events, moments);
        let mut told = Told::of(events, moments, &to_card);
        told.end_speech(&worked.voice, shift);
        let shown: Vec<_> = events
            .iter()
            .filter(|event| kind(&event.json) != "input_audio_buffer.append")
            .map(|event| Shown {
                at: to_card.there(event.at_ms),
                sent: event.direction == "sent",
                kind: kind(&event.json).to_owned(),
                what: shortened(&event.json),
            })
            .collect();
        let ends = shown.iter().map(|event| event.at);
        Self {
            kaiwa: about.kaiwa.clone(),
            real_time: about.real_time,
            has_journal: journal.is_some(),
            length_ms: ends.fold(sound.ms() as f64, f64::max),
            peak_ms: PEAK_MS,
            user: sound.peaks(0),
            assistant: sound.peaks(1),
            voice: worked
                .voice
                .iter()
                .map(|(at, p)| ((at + shift) as i64, (p * 100.0).round() as u8))
                .collect(),
            turns: told.turns,
            answers: told.answers,
            jobs: worked.jobs,
            events: shown,
            notices: told.notices,
        }
    }
}

/// When events came from the server, and when the conversation told of them.
fn moment_ties(events: &[Traced], moments: &[Value]) -> Vec<(f64, f64)> {
    let name = |kind: &str, id: &Value| format!("{kind} {}", id.as_str().unwrap_or_default());
    let told = moments.iter().filter_map(|moment| {
        let at = moment["at_ms"].as_f64()?;
        let id = match kind(moment) {
            "response_done" => &moment["response"],
            "user_speech_started" | "user_speech_stopped" | "user_transcript_done" => {
                &moment["item"]
            }
            _ => return None,
        };
        Some((name(kind(moment), id), at))
    });
    let told: BTreeMap<_, _> = told.collect();
    let came = events.iter().filter_map(|event| {
        let json = &event.json;
        let name = match kind(json) {
            "response.done" => name("response_done", &json["response"]["id"]),
            "input_audio_buffer.speech_started" => name("user_speech_started", &json["item_id"]),
            "input_audio_buffer.speech_stopped" => name("user_speech_stopped", &json["item_id"]),
            "conversation.item.input_audio_transcription.completed" => {
                name("user_transcript_done", &json["item_id"])
            }
            _ => return None,
        };
        Some((event.at_ms, *told.get(&name)?))
    });
    came.collect()
}

/// When the session sent events, and when they came to the client.
fn journal_ties(journal: &[Line], events: &[Traced]) -> Vec<(f64, f64)> {
    let received = events.iter().filter(|event| event.direction == "received");
    let came: BTreeMap<_, _> = received
        .filter_map(|event| Some((event.json["event_id"].as_str()?, event.at_ms)))
        .collect();
    let sent = journal.iter().filter_map(|line| {
        let Line::Send { at, event } = line else {
            return None;
        };
        let event: Value = event.parse().ok()?;
        Some((*at as f64, *came.get(event["event_id"].as_str()?)?))
    });
    sent.collect()
}

/// Where the session's audio begins in the sound.
fn sound_shift(events: &[Traced], moments: &[Value]) -> f64 {
    let started = events
        .iter()
        .find_map(|event| event.json["audio_start_ms"].as_f64());
    let moment = moments
        .iter()
        .find(|moment| kind(moment) == "user_speech_started");
    match (started, moment.and_then(|moment| moment["ms"].as_f64())) {
        (Some(session), Some(card)) => card - session,
        _ => 0.0,
    }
}

/// What the two said to each other.
#[derive(Default)]
struct Told {
    turns: Vec<Turn>,
    answers: Vec<Answer>,
    notices: Vec<Notice>,
    /// Responses by the items that they made.
    made_by: BTreeMap<String, String>,
}

impl Told {
    fn of(events: &[Traced], moments: &[Value], to_card: &Clock) -> Self {
        let mut told = Self::default();
        let mut created = BTreeMap::new();
        for event in events {
            let json = &event.json;
            match kind(json) {
                "response.created" => {
                    created.insert(text(&json["response"]["id"]), to_card.there(event.at_ms));
                }
                "response.output_item.added" => {
                    let (item, response) = (text(&json["item"]["id"]), text(&json["response_id"]));
                    told.made_by.insert(item, response);
                }
                _ => {}
            }
        }
        for moment in moments {
            told.read(moment);
        }
        for answer in &mut told.answers {
            if answer.turn.is_none()
                && let Some(at) = created.get(&answer.response)
            {
                // Half a second too much does no harm: the next turn takes longer than that.
                let before = |turn: &Turn| turn.decided.unwrap_or(turn.from) <= at + 500.0;
                answer.turn = told.turns.iter().rposition(before);
            }
        }
        told
    }

    /// Ends each spoken turn with its last frame of speech, where that is known. The client
    /// knows only its last audible sample, and what was audible need not be speech.
    fn end_speech(&mut self, voice: &[(f64, f32)], shift: f64) {
        let frames = voice.iter().filter(|(_, p)| *p >= SPEECH);
        let ends: Vec<_> = frames.map(|(at, _)| at + shift + FRAME_MS).collect();
        for turn in self.turns.iter_mut().filter(|turn| !turn.typed) {
            let within =
                |end: &&f64| **end > turn.from && turn.decided.is_some_and(|at| **end <= at);
            if let Some(end) = ends.iter().rfind(within) {
                turn.to = *end;
            }
        }
    }

    fn read(&mut self, moment: &Value) {
        let at = moment["at_ms"].as_f64().unwrap_or_default();
        let ms = moment["ms"].as_f64().unwrap_or(at);
        let item = text(&moment["item"]);
        let response = text(&moment["response"]);
        let said = text(&moment["text"]);
        match kind(moment) {
            "user_speech_started" => self.turns.push(Turn {
                item,
                from: ms,
                to: ms,
                ..Turn::default()
            }),
            "user_speech_stopped" => {
                if let Some(turn) = self.turn(&item) {
                    turn.to = ms;
                    turn.decided = Some(at);
                }
            }
            "user_transcript_done" => match self.turn(&item) {
                Some(turn) => turn.text = said,
                None => self.turns.push(Turn {
                    item,
                    typed: moment["typed"] == true,
                    text: said,
                    from: at,
                    to: at,
                    ..Turn::default()
                }),
            },
            "assistant_delta" => self.answer(&item).text.push_str(&said),
            "assistant_done" => self.answer(&item).text = said,
            "assistant_speech_started" => {
                let mut answers = self.answers.iter_mut();
                match answers.rfind(|answer| answer.response == response) {
                    Some(answer) => answer.from = Some(ms),
                    // Its words come after its sound.
                    None => self.answers.push(Answer {
                        response,
                        from: Some(ms),
                        ..Answer::default()
                    }),
                }
            }
            "assistant_speech_stopped" => self.answer(&item).to = Some(at),
            "heard" => {
                let received_ms = moment["received_ms"].as_f64().unwrap_or(ms);
                let answer = self.answer(&item);
                answer.to = Some(at);
                answer.heard = Some(Heard {
                    ms,
                    received_ms,
                    text: said,
                });
            }
            "response_done" => {
                let answers = self.answers.iter_mut();
                for answer in answers.filter(|answer| answer.response == response) {
                    answer.status = text(&moment["status"]);
                    answer.reason = text(&moment["reason"]);
                }
            }
            "turn_latency" => self.measured(moment),
            "error" | "warning" => self.notices.push(Notice {
                at,
                text: text(&moment["message"]),
            }),
            "playback_underrun" => self.notices.push(Notice {
                at,
                text: "the assistant's sound ran out before its end".to_owned(),
            }),
            "ended" if moment.get("message").is_some() => self.notices.push(Notice {
                at,
                text: text(&moment["message"]),
            }),
            _ => {}
        }
    }

    fn measured(&mut self, latency: &Value) {
        let step = |name: &str| latency[name].as_f64();
        let (Some(end), Some(decided), Some(audible)) =
            (step("turn_end_ms"), step("decided_ms"), step("audible_ms"))
        else {
            return;
        };
        let item = text(&latency["item"]);
        let index = match self.turns.iter().rposition(|turn| turn.item == item) {
            Some(index) => index,
            // The server has not named it.
            None if !self.turns.is_empty() => self.turns.len() - 1,
            None => return,
        };
        let turn = &mut self.turns[index];
        turn.to = end;
        turn.decided.get_or_insert(decided);
        turn.steps = Some(Steps {
            decided,
            transcript: step("transcript_ms"),
            first_text: step("first_text_ms"),
            first_audio: step("first_audio_ms"),
            audible,
        });
        let response = latency["response"].as_str().unwrap_or_default();
        let answers = self.answers.iter_mut();
        for answer in answers.filter(|answer| answer.response == response) {
            answer.turn = Some(index);
        }
    }

    fn turn(&mut self, item: &str) -> Option<&mut Turn> {
        self.turns.iter_mut().rfind(|turn| turn.item == item)
    }

    /// The answer in an item.
    fn answer(&mut self, item: &str) -> &mut Answer {
        let response = self.made_by.get(item).cloned().unwrap_or_default();
        let is_it = |answer: &Answer| {
            answer.item == item || (answer.item.is_empty() && answer.response == response)
        };
        let index = match self.answers.iter().rposition(is_it) {
            Some(index) => index,
            None => {
                self.answers.push(Answer {
                    response,
                    ..Answer::default()
                });
                self.answers.len() - 1
            }
        };
        let answer = &mut self.answers[index];
        if answer.item.is_empty() {
            item.clone_into(&mut answer.item);
        }
        answer
    }
}

fn kind(event: &Value) -> &str {
    event["type"].as_str().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Longest text within an event that is shown whole, and of all of the event, in characters.
const LONGEST_TEXT: usize = 160;
const LONGEST_EVENT: usize = 2000;

/// An event without its sound and its type.
fn shortened(event: &Value) -> String {
    let mut event = event.clone();
    if let Some(members) = event.as_object_mut() {
        members.remove("type");
        members.remove("event_id");
    }
    cut_texts(&mut event);
    let mut text = event.to_string();
    if let Some((end, _)) = text.char_indices().nth(LONGEST_EVENT) {
        text.truncate(end);
        text.push('…');
    }
    text
}

fn cut_texts(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some((end, _)) = text.char_indices().nth(LONGEST_TEXT) {
                let length = text.len();
                text.truncate(end);
                text.push_str(&format!("… ({length} bytes)"));
            }
        }
        Value::Array(values) => values.iter_mut().for_each(cut_texts),
        Value::Object(members) => members.values_mut().for_each(cut_texts),
        _ => {}
    }
}
