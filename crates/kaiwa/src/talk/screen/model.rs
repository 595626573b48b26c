//! What the screen knows: made of the conversation's events, the keys and the time that is
//! passed in, and of nothing else.

use kaiwa_client::{Event, Moment, Side, costs::Spent};

use crate::talk::render::connected_again;

use super::{
    keys::Key, layout::Regions, line::Line, preparing::Preparing, transcript::Transcript, wrap::Row,
};

/// The softest sound that a meter shows, in dBFS.
const SOFTEST_DBFS: f32 = -60.0;
/// How much of its whole range a meter falls in a millisecond.
const FALL: f32 = 1.0 / 600.0;

/// What is known before the conversation.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Where the user is heard; `None` for nowhere, or nowhere now.
    pub(super) microphone: Option<String>,
    /// Where the assistant is heard: a device, or a file.
    pub(super) speaker: Option<String>,
    /// Whether the assistant speaks; else it writes.
    pub(super) speaks: bool,
    pub(super) talk: Talk,
}

/// When the user is listened to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Talk {
    /// All the time.
    #[default]
    Freely,
    /// While a key is held down.
    Holding,
    /// From one push of a key to the next.
    Pushing,
}

/// What a key asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Let models be fetched, or not.
    Answer(bool),
    /// End the spoken turn.
    Commit,
    /// End the program now.
    Exit,
    /// Silence the assistant.
    Interrupt,
    /// Open or close the microphone.
    Microphone(bool),
    /// Draw everything anew.
    Redraw,
    /// Send a typed turn.
    Say(String),
    /// End the conversation; by Ctrl-C or not.
    Stop { interrupted: bool },
}

/// What the conversation is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Connecting,
    Ending,
    Hearing,
    Listening,
    /// There is no conversation yet.
    Preparing(Preparing),
    /// Nobody is listened to: there is no open microphone.
    Ready,
    /// The connection is lost, and another one being made; what is said meanwhile is kept.
    Reconnecting,
    Speaking,
    Thinking,
    /// The server calls this tool.
    Tool(String),
    Writing,
}

/// The level of one side, 0 to 1 of what a meter shows.
#[derive(Debug, Default)]
pub(super) struct Meter(f32);

/// The screen's state.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) facts: Facts,
    /// Of the language model, as the server calls it.
    pub(super) name: Option<String>,
    pub(super) transcript: Transcript,
    pub(super) line: Line,
    pub(super) heard: Meter,
    pub(super) played: Meter,
    /// How long the last answer took.
    pub(super) latency_ms: Option<u64>,
    /// Tokens that the model saw and made, so far.
    pub(super) tokens: Option<(u64, u64)>,
    pub(super) spent: Option<Spent>,
    /// What a key could not do, until the next one.
    pub(super) hint: Option<String>,
    /// What is done before there is a conversation; `None` from then on.
    preparing: Option<Preparing>,
    /// Whether there is a microphone, plugged in or not.
    has_microphone: bool,
    /// Whether the microphone is open, as far as there is one.
    pub(super) open: bool,
    /// Columns and rows.
    size: (u16, u16),
    /// The first row of the transcript in sight; `None` to follow its end.
    top: Option<usize>,
    connected: bool,
    /// The connection is lost, and not back.
    away: bool,
    hearing: bool,
    thinking: bool,
    /// Some of an answer has come, and not its end.
    answering: bool,
    speaking: bool,
    tool: Option<String>,
    ending: bool,
    /// Items of the running response.
    items: Vec<String>,
    now_ms: u64,
}

impl Model {
    pub(super) fn new(facts: Facts) -> Self {
        Self {
            has_microphone: facts.microphone.is_some(),
            open: facts.talk == Talk::Freely,
            facts,
            name: None,
            transcript: Transcript::default(),
            line: Line::default(),
            heard: Meter::default(),
            played: Meter::default(),
            latency_ms: None,
            tokens: None,
            spent: None,
            hint: None,
            preparing: None,
            size: (80, 24),
            top: None,
            connected: false,
            away: false,
            hearing: false,
            thinking: false,
            answering: false,
            speaking: false,
            tool: None,
            ending: false,
            items: Vec::new(),
            now_ms: 0,
        }
    }

    /// The preparations go on, or have come to their end.
    pub(super) fn prepare(&mut self, preparing: Option<Preparing>) {
        self.preparing = preparing;
    }

    /// How far the preparations are.
    pub(super) fn preparing(&self) -> Option<&Preparing> {
        self.preparing.as_ref()
    }

    /// Something happened in the conversation.
    pub(super) fn moment(&mut self, moment: &Moment) {
        match &moment.event {
            Event::Connected { model, .. } => {
                self.connected = true;
                self.name.clone_from(model);
            }
            Event::UserSpeechStarted { item, .. } => {
                self.hearing = true;
                self.transcript.user_begins(Some(item));
            }
            Event::UserSpeechStopped { .. } => {
                self.hearing = false;
                self.thinking = true;
            }
            Event::UserTranscriptDelta { item, text } => self.transcript.user_delta(item, text),
            Event::UserTranscriptDone { item, text, typed } => {
                if *typed {
                    self.transcript.user_typed(item, text);
                    self.thinking = true;
                } else {
                    self.transcript.user_done(item, text);
                    // To nothing there is no answer.
                    self.thinking &= self.answering || !text.trim().is_empty();
                }
            }
            Event::AssistantDelta { item, text } => {
                self.answering = true;
                if !self.items.contains(item) {
                    self.items.push(item.clone());
                }
                self.transcript.assistant_delta(item, text);
            }
            Event::AssistantDone { item, text } => self.transcript.assistant_done(item, text),
            Event::AssistantSpeechStarted { .. } => {
                self.speaking = true;
                self.thinking = false;
            }
            Event::AssistantSpeechStopped { item, .. } => {
                self.transcript.played(item);
                self.speaking = self.speaking && self.transcript.is_unplayed_after(item);
                self.thinking = !self.speaking && self.answering;
            }
            Event::Heard { item, ms, text, .. } => {
                self.transcript.cut(item, *ms, text);
                self.speaking = false;
            }
            Event::ToolCallStarted { name, .. } => {
                self.tool = Some(name.clone());
                self.transcript.note(&format!("the assistant uses {name}"));
            }
            Event::ToolCallDone { name, failed, .. } => {
                self.tool = None;
                if *failed {
                    self.transcript.note(&format!("{name} has failed"));
                }
            }
            Event::ResponseDone { .. } => self.response_done(&moment.event),
            Event::TurnLatency(latency) => self.latency_ms = Some(latency.total_ms),
            Event::Billed(bill) => self.spent = Some(bill.total.clone()),
            Event::Device {
                side,
                device,
                message,
                ..
            } => {
                match side {
                    Side::Microphone => self.facts.microphone.clone_from(device),
                    Side::Speaker => self.facts.speaker.clone_from(device),
                }
                self.transcript.note(message);
            }
            // Later attempts change nothing.
            Event::Reconnecting { attempt, message } if *attempt == 1 => {
                self.away = true;
                self.hearing &= self.facts.talk != Talk::Freely;
                self.transcript.note(message);
            }
            Event::Reconnected { away_ms, lost_ms } => {
                self.away = false;
                self.transcript.note(&connected_again(*away_ms, *lost_ms));
            }
            Event::Error { message, .. } => self.complaint(&format!("error: {message}")),
            Event::Warning { message } => self.complaint(message),
            Event::Ended { .. } => self.ending = true,
            _ => {}
        }
    }

    /// Something went wrong. It may be what was waited for.
    fn complaint(&mut self, text: &str) {
        self.thinking = self.answering;
        self.transcript.forget_unnamed();
        self.transcript.note(text);
    }

    fn response_done(&mut self, event: &Event) {
        let Event::ResponseDone {
            status,
            reason,
            usage,
            ..
        } = event
        else {
            return;
        };
        self.answering = false;
        self.thinking = false;
        self.tool = None;
        let items = std::mem::take(&mut self.items);
        if status == "cancelled" && self.facts.speaks {
            // What was heard of it is known already; of the rest nothing will be.
            for item in &items {
                self.transcript.never_heard(item);
            }
        }
        if let Some(usage) = usage {
            let (seen, made) = self.tokens.unwrap_or_default();
            self.tokens = Some((
                seen.saturating_add(usage.input_tokens),
                made.saturating_add(usage.output_tokens),
            ));
        }
        let why = reason.as_deref().unwrap_or("no reason was given");
        match status.as_str() {
            "failed" => self.transcript.note(&format!("the answer failed: {why}")),
            "incomplete" => {
                self.transcript
                    .note(&format!("the answer is incomplete: {why}"));
            }
            _ => {}
        }
    }

    /// A key was pressed: what is to be done outside of the screen.
    pub(super) fn key(&mut self, key: Key) -> Vec<Action> {
        self.hint = None;
        if self.preparing == Some(Preparing::Asking)
            && let Some(yes) = answer(&key)
        {
            self.preparing = Some(Preparing::default());
            return vec![Action::Answer(yes)];
        }
        match key {
            Key::Enter | Key::Talk if self.preparing.is_some() && !self.ending => {
                self.hint("not connected yet: what you type stays in the line");
            }
            Key::Interrupt if self.preparing.is_some() => {}
            Key::Backspace => self.line.backspace(),
            Key::Char(character) => {
                self.write(character.encode_utf8(&mut [0; 4]));
            }
            Key::Clear => self.line.clear(),
            Key::Delete => self.line.delete(),
            Key::DeleteWord => self.line.delete_word(),
            Key::Down => self.scroll(1),
            Key::End => self.line.end(),
            Key::Enter if !self.line.text().trim().is_empty() => {
                self.top = None;
                return vec![Action::Say(self.line.take())];
            }
            Key::Finish if !self.line.text().is_empty() => self.line.delete(),
            Key::Finish => {
                self.ending = true;
                return vec![Action::Stop { interrupted: false }];
            }
            Key::Home => self.line.home(),
            Key::Interrupt => return vec![Action::Interrupt],
            Key::Left => self.line.left(),
            Key::Mute => return self.mute(),
            Key::PageDown => self.scroll(self.page()),
            Key::PageUp => self.scroll(-self.page()),
            Key::Paste(text) => self.write(&text),
            Key::Redraw => return vec![Action::Redraw],
            Key::Right => self.line.right(),
            Key::Stop if self.ending => return vec![Action::Exit],
            Key::Stop => {
                self.ending = true;
                self.hint("Ctrl-C once more ends at once");
                return vec![Action::Stop { interrupted: true }];
            }
            Key::Talk => return self.talk(),
            Key::TalkReleased if self.facts.talk == Talk::Holding && self.open => {
                return self.talk();
            }
            Key::Up => self.scroll(-1),
            Key::Enter | Key::TalkReleased => {}
        }
        Vec::new()
    }

    /// A typed turn was not taken: it stands in the line again.
    pub(super) fn refused(&mut self, text: &str, why: &str) {
        self.line.clear();
        self.write(text);
        self.hint(why);
    }

    /// What a key asked for was not done.
    pub(super) fn hint(&mut self, why: &str) {
        self.hint = Some(why.to_owned());
    }

    /// Time has passed, and both sides were so loud in it: magnitudes, full scale at 1.0.
    /// Whether that changes the screen.
    pub(super) fn tick(&mut self, now_ms: u64, (heard, played): (f32, f32)) -> bool {
        let passed = now_ms.saturating_sub(self.now_ms) as f32;
        self.now_ms = now_ms;
        let heard = self.heard.note(heard, passed);
        self.played.note(played, passed) || heard
    }

    /// The terminal has so many columns and rows.
    pub(super) fn resize(&mut self, columns: u16, rows: u16) {
        self.size = (columns, rows);
    }

    pub(super) fn phase(&self) -> Phase {
        if self.ending {
            Phase::Ending
        } else if let Some(preparing) = &self.preparing {
            Phase::Preparing(preparing.clone())
        } else if !self.connected {
            Phase::Connecting
        } else if self.away {
            Phase::Reconnecting
        } else if self.hearing {
            Phase::Hearing
        } else if let Some(name) = &self.tool {
            Phase::Tool(name.clone())
        } else if self.speaking {
            Phase::Speaking
        } else if self.answering && !self.facts.speaks {
            Phase::Writing
        } else if self.thinking {
            Phase::Thinking
        } else if self.open && self.facts.microphone.is_some() {
            Phase::Listening
        } else {
            Phase::Ready
        }
    }

    /// The rows of the transcript in sight, and how many there are below them.
    pub(super) fn seen(&self, columns: usize, height: usize) -> (Vec<Row>, usize) {
        let mut rows = self.transcript.rows(columns);
        let last = rows.len().saturating_sub(height);
        let top = self.top.map_or(last, |top| top.min(last));
        let below = rows.len().saturating_sub(top + height);
        rows.truncate(top + height);
        (rows.split_off(top.min(rows.len())), below)
    }

    fn write(&mut self, text: &str) {
        if !self.line.insert(text) {
            self.hint("the line is full: Enter sends it, Ctrl-U empties it");
        }
    }

    fn mute(&mut self) -> Vec<Action> {
        if self.facts.talk != Talk::Freely {
            self.hint("the microphone is open only while you talk: Ctrl-Space, F4");
        } else if !self.has_microphone {
            self.hint("there is no microphone to mute");
        } else {
            self.open = !self.open;
            return vec![Action::Microphone(self.open)];
        }
        Vec::new()
    }

    /// Begins or ends a turn with push-to-talk.
    fn talk(&mut self) -> Vec<Action> {
        if self.facts.talk == Talk::Freely || self.ending {
            return Vec::new();
        }
        self.open = !self.open;
        self.hearing = self.open;
        if self.open {
            vec![Action::Interrupt, Action::Microphone(true)]
        } else {
            self.thinking = true;
            self.transcript.user_begins(None);
            vec![Action::Microphone(false), Action::Commit]
        }
    }

    /// Moves what is in sight by so many rows, down if they are positive.
    fn scroll(&mut self, rows: isize) {
        let area = Regions::of(self.size.0, self.size.1).transcript;
        let last = self.transcript.rows(usize::from(area.width)).len();
        let last = last.saturating_sub(usize::from(area.height));
        let top = self.top.map_or(last, |top| top.min(last));
        let top = top.saturating_add_signed(rows);
        self.top = (top < last).then_some(top);
    }

    /// Rows of a page, less one that stays in sight.
    fn page(&self) -> isize {
        let area = Regions::of(self.size.0, self.size.1).transcript;
        isize::from(i16::try_from(area.height).unwrap_or(i16::MAX) - 1).max(1)
    }
}

/// What a key says to the question whether models may be fetched.
fn answer(key: &Key) -> Option<bool> {
    match key {
        Key::Char('y' | 'Y') | Key::Enter => Some(true),
        Key::Char('n' | 'N') | Key::Interrupt => Some(false),
        _ => None,
    }
}

impl Meter {
    /// How many of `cells` are filled.
    pub(super) fn filled(&self, cells: usize) -> usize {
        (self.0 * cells as f32).round() as usize
    }

    /// So loud it was; softer, it falls. Whether it shows something else now.
    fn note(&mut self, peak: f32, passed_ms: f32) -> bool {
        let loud = 1.0 - 20.0 * peak.log10() / SOFTEST_DBFS;
        // What is not a number is no sound.
        let loud = if loud > 0.0 { loud.min(1.0) } else { 0.0 };
        let level = loud.max(self.0 - passed_ms * FALL);
        let changed = level != self.0;
        self.0 = level;
        changed
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
