//! What the screen knows: made of the conversation's events, the keys and the time that is
//! passed in, and of nothing else.

use std::collections::VecDeque;

use kaiwa_client::{Event, Moment, Side, costs::Spent};

use crate::{
    output::clean,
    talk::render::{connected_again, wants, went_wrong},
};

use super::{
    keys::Key,
    layout::Regions,
    line::Line,
    preparing::Preparing,
    switch::{Known, Switch},
    transcript::{Place, Transcript},
    wrap::Row,
};

/// The softest sound that a meter shows, in dBFS.
const SOFTEST_DBFS: f32 = -60.0;
/// How long a question has to be seen before a key answers it, in ms: what is being typed when it
/// comes is no answer.
const LEAST_SEEN_MS: u64 = 700;
/// How much of its whole range a meter falls in a millisecond.
const FALL: f32 = 1.0 / 600.0;
/// How many cells a meter has, where there is room and where there is little.
pub(super) const CELLS: [usize; 2] = [16, 8];
/// How long the microphone stays open after a turn with push-to-talk, in ms: what was said at its
/// end is on its way that long, through the sound system's buffers and the echo canceller.
const TAIL_MS: u64 = 60;

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
    /// Let the call of this item run, or not.
    Confirm { item: String, agreed: bool },
    /// End the program now.
    Exit,
    /// Silence the assistant.
    Interrupt,
    /// Open or close the microphone.
    Microphone(bool),
    /// Give the terminal back to the shell for a while.
    Pause,
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
    /// The user is asked whether this tool may be used.
    Asking(String),
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
    /// This tool is at work.
    Tool(String),
    Writing,
}

/// A call of a tool.
#[derive(Debug)]
struct AtWork {
    item: String,
    name: String,
    /// It is the server's, and ends with the response at the latest.
    servers: bool,
}

/// Whether a tool may be used.
#[derive(Debug)]
struct Question {
    item: String,
    name: String,
    /// The question as it stands in the transcript.
    text: String,
    /// Since when it is asked; `None` while another one is.
    since_ms: Option<u64>,
    /// It was answered, and is not settled yet.
    answered: bool,
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
    /// When the microphone closes behind the turn that has just ended.
    closing: Option<u64>,
    mute_key: Switch,
    stop_key: Switch,
    talk_key: Switch,
    /// Columns and rows.
    size: (u16, u16),
    /// What stands in the first row of the transcript in sight; `None` to follow its end.
    top: Option<Place>,
    connected: bool,
    /// The connection is lost, and not back.
    away: bool,
    hearing: bool,
    thinking: bool,
    /// Some of an answer has come, and not its end.
    answering: bool,
    speaking: bool,
    /// Tools at work, the latest last.
    tools: Vec<AtWork>,
    questions: VecDeque<Question>,
    ending: bool,
    /// Items of the running response.
    items: Vec<String>,
    now_ms: u64,
}

impl Model {
    pub(super) fn new(mut facts: Facts) -> Self {
        for device in [&mut facts.microphone, &mut facts.speaker] {
            *device = device.as_deref().map(clean);
        }
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
            closing: None,
            mute_key: Switch::default(),
            stop_key: Switch::default(),
            talk_key: Switch::default(),
            size: (80, 24),
            top: None,
            connected: false,
            away: false,
            hearing: false,
            thinking: false,
            answering: false,
            speaking: false,
            tools: Vec::new(),
            questions: VecDeque::new(),
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
                self.name = model.as_deref().map(clean);
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
            Event::ToolConfirmation {
                item,
                name,
                arguments,
            } => {
                self.questions.push_back(Question {
                    item: item.clone(),
                    name: clean(name),
                    text: clean(&wants(name, arguments)),
                    since_ms: None,
                    answered: false,
                });
                self.ask();
            }
            Event::ToolCallStarted {
                item,
                name,
                arguments,
            } => {
                self.settle(item);
                self.tools.push(AtWork {
                    item: item.clone(),
                    name: clean(name),
                    servers: arguments.is_none(),
                });
                self.transcript.note(&format!("the assistant uses {name}"));
            }
            Event::ToolCallDone {
                item,
                name,
                failed,
                why,
            } => {
                self.settle(item);
                self.tools.retain(|tool| tool.item != *item);
                if *failed {
                    self.transcript.note(&went_wrong(name, why.as_deref()));
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
                let device = device.as_deref().map(clean);
                match side {
                    Side::Microphone => self.facts.microphone = device,
                    Side::Speaker => self.facts.speaker = device,
                }
                self.transcript.note(message);
            }
            // Later attempts change nothing.
            Event::Reconnecting {
                attempt: 1,
                message,
            } => {
                self.away = true;
                let listens = self.facts.talk == Talk::Freely;
                self.transcript.abandon(self.hearing && listens);
                self.hearing &= !listens;
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
        // Of what was lost before any of it had come, the answer is asked for again.
        self.thinking &= self.away && status == "incomplete" && !self.answering;
        self.answering = false;
        self.tools.retain(|tool| !tool.servers);
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
    pub(super) fn key(&mut self, key: Key, now_ms: u64) -> Vec<Action> {
        let mut actions = self.due(now_ms);
        let switch = self.switch(&key);
        if switch.is_none_or(|switch| switch.press(now_ms)) {
            self.hint = None;
            actions.extend(self.push(key, now_ms));
        }
        actions
    }

    /// What is to be done because time has passed.
    pub(super) fn due(&mut self, now_ms: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.closing.is_some_and(|at| now_ms >= at) {
            actions.extend(self.close());
        }
        for key in [Key::Mute, Key::Stop, Key::Talk] {
            match self.switch(&key).and_then(|switch| switch.known(now_ms)) {
                Some(Known::Pushed) => actions.extend(self.push(key, now_ms)),
                // What opened the microphone was not a push, but a key that was held.
                Some(Known::LetGo) if key == Key::Talk && self.open => {
                    actions.extend(self.talk(now_ms));
                }
                Some(Known::LetGo) | None => {}
            }
        }
        actions
    }

    /// The system asks for the end.
    pub(super) fn stop(&mut self) -> Vec<Action> {
        if self.ending {
            return vec![Action::Exit];
        }
        self.ending = true;
        self.hint("Ctrl-C once more ends at once");
        vec![Action::Stop { interrupted: true }]
    }

    /// The switch that a key is, where its repeats are not told from its pushes.
    fn switch(&mut self, key: &Key) -> Option<&mut Switch> {
        match key {
            Key::Mute => Some(&mut self.mute_key),
            Key::Stop => Some(&mut self.stop_key),
            Key::Talk if self.facts.talk == Talk::Pushing => Some(&mut self.talk_key),
            _ => None,
        }
    }

    fn push(&mut self, key: Key, now_ms: u64) -> Vec<Action> {
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
                if let Some(answer) = self.answer(character) {
                    return vec![answer];
                }
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
            Key::Pause => {
                // Where it is let go of, nobody will tell.
                let mut actions = match self.facts.talk {
                    Talk::Holding | Talk::Pushing if self.open => self.talk(now_ms),
                    _ => Vec::new(),
                };
                actions.extend(self.close());
                actions.push(Action::Pause);
                return actions;
            }
            Key::Redraw => return vec![Action::Redraw],
            Key::Right => self.line.right(),
            Key::Stop => return self.stop(),
            Key::Talk => return self.talk(now_ms),
            Key::TalkReleased if self.facts.talk == Talk::Holding && self.open => {
                return self.talk(now_ms);
            }
            Key::Up => self.scroll(-1),
            Key::Enter | Key::TalkReleased => {}
        }
        Vec::new()
    }

    /// The tool that the user is asked about.
    pub(super) fn question(&self) -> Option<&str> {
        self.questions
            .front()
            .map(|question| question.name.as_str())
    }

    /// What a character answers, where it answers a question.
    fn answer(&mut self, character: char) -> Option<Action> {
        let agreed = match character.to_ascii_lowercase() {
            'y' => true,
            'n' => false,
            _ => return None,
        };
        let area = Regions::of(self.size.0, self.size.1).transcript;
        let question = self
            .questions
            .front_mut()
            .filter(|question| !question.answered)?;
        let is_seen = self.now_ms >= question.since_ms? + LEAST_SEEN_MS;
        if !self.line.text().is_empty() || !is_seen {
            return None;
        }
        let rows = self
            .transcript
            .rows_since(&question.text, usize::from(area.width));
        let in_sight = self.top.is_none() && rows.is_some_and(|rows| rows <= area.height.into());
        if agreed && !in_sight {
            self.hint("the question is not all in sight: End shows it, n refuses");
            return Some(Action::Redraw);
        }
        question.answered = true;
        let item = question.item.clone();
        Some(Action::Confirm { item, agreed })
    }

    /// The answer to a question was not taken.
    pub(super) fn unanswered(&mut self, item: &str) {
        let question = self
            .questions
            .iter_mut()
            .find(|question| question.item == item);
        if let Some(question) = question {
            question.answered = false;
        }
    }

    /// Asks the first question, where it is not asked yet: all of it comes in sight.
    fn ask(&mut self) {
        if let Some(question) = self.questions.front_mut()
            && question.since_ms.is_none()
        {
            question.since_ms = Some(self.now_ms);
            self.top = None;
            self.transcript.ask(&question.text);
        }
    }

    /// Nobody is asked about this call any more.
    fn settle(&mut self, item: &str) {
        self.questions.retain(|question| question.item != item);
        self.ask();
    }

    /// A typed turn was not taken: it stands in the line again.
    pub(super) fn refused(&mut self, text: &str, why: &str) {
        self.line.clear();
        self.write(text);
        self.hint(why);
    }

    /// What a key asked for was not done.
    pub(super) fn hint(&mut self, why: &str) {
        self.hint = Some(clean(why));
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
        } else if let Some(name) = self.question() {
            Phase::Asking(name.to_owned())
        } else if let Some(tool) = self.tools.last() {
            Phase::Tool(tool.name.clone())
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
        let count = self.transcript.height(columns);
        let top = self.first_row(columns, height);
        let below = count.saturating_sub(top + height);
        (self.transcript.rows(columns, top, height), below)
    }

    /// The first row in sight.
    fn first_row(&self, columns: usize, height: usize) -> usize {
        let last = self.transcript.height(columns).saturating_sub(height);
        let top = self.top.map(|top| self.transcript.row_of(top, columns));
        top.map_or(last, |top| top.min(last))
    }

    fn write(&mut self, text: &str) {
        if !self.line.insert(text) {
            self.hint("the line is full: Enter sends it, Ctrl-U empties it");
        }
    }

    fn mute(&mut self) -> Vec<Action> {
        if self.facts.talk != Talk::Freely {
            self.hint("the microphone is open only while you talk: Ctrl-Space/F4");
        } else if !self.has_microphone {
            self.hint("there is no microphone to mute");
        } else {
            self.open = !self.open;
            return vec![Action::Microphone(self.open)];
        }
        Vec::new()
    }

    /// Begins or ends a turn with push-to-talk.
    fn talk(&mut self, now_ms: u64) -> Vec<Action> {
        if self.facts.talk == Talk::Freely || self.ending {
            return Vec::new();
        }
        self.open = !self.open;
        self.hearing = self.open;
        if self.open {
            let mut actions = self.close();
            actions.extend([Action::Interrupt, Action::Microphone(true)]);
            return actions;
        }
        self.thinking = true;
        self.transcript.user_begins(None);
        self.closing = Some(now_ms + TAIL_MS);
        Vec::new()
    }

    /// Closes the microphone behind a turn that has ended, if one has, and sends the turn.
    fn close(&mut self) -> Vec<Action> {
        match self.closing.take() {
            Some(_) => vec![Action::Microphone(false), Action::Commit],
            None => Vec::new(),
        }
    }

    /// Moves what is in sight by so many rows, down if they are positive.
    fn scroll(&mut self, rows: isize) {
        let area = Regions::of(self.size.0, self.size.1).transcript;
        let (columns, height) = (usize::from(area.width), usize::from(area.height));
        let last = self.transcript.height(columns).saturating_sub(height);
        let top = self.first_row(columns, height).saturating_add_signed(rows);
        self.top = match top < last {
            true => self.transcript.place_of(top, columns),
            false => None,
        };
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
        let before = CELLS.map(|cells| self.filled(cells));
        self.0 = loud.max(self.0 - passed_ms * FALL);
        before != CELLS.map(|cells| self.filled(cells))
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
