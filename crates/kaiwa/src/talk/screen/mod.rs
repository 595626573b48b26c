//! The screen of `kaiwa talk` at a terminal. The model ([`model`]) is made of events, keys and
//! time, the view ([`view`]) is a picture of it; here they meet a terminal and a clock.

mod keys;
mod layout;
mod line;
mod model;
mod terminal;
mod transcript;
mod view;
mod wrap;

use std::{process, time::Duration};

use crossterm::event::{Event as Input, EventStream};
use futures_util::StreamExt;
use kaiwa_client::{Conversation, Handle, Moment};
use tokio::time::{Instant, MissedTickBehavior};

use self::{
    keys::Key,
    model::{Action, Facts, Model, Talk},
    terminal::Taken,
};
use super::{Outcome, desk::Desk};
use crate::{
    exit::{Code, Exit},
    output, stop,
};

/// How often meters move and what happened is shown.
const TICK: Duration = Duration::from_millis(50);

/// What the screen is for.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// Description of the microphone, if there is one.
    pub(super) microphone: Option<String>,
    /// Of the speaker, or the file in its place.
    pub(super) speaker: Option<String>,
    /// Whether the assistant speaks; else it writes.
    pub(super) speaks: bool,
    /// What is not as the user may expect.
    pub(super) note: Option<String>,
    /// Whether the user is heard only when they ask for it.
    pub(super) push_to_talk: bool,
}

/// Shows a conversation until its end, and prints the transcript then. `see` sees every moment,
/// too.
pub(super) async fn run(
    conversation: Conversation,
    handle: &Handle,
    desk: &Desk,
    setting: Setting,
    see: impl FnMut(&Moment),
) -> Result<Outcome, Exit> {
    let releases = setting.push_to_talk && terminal::tells_releases();
    let mut model = Model::new(Facts {
        microphone: setting.microphone,
        speaker: setting.speaker,
        speaks: setting.speaks,
        talk: match (setting.push_to_talk, releases) {
            (false, _) => Talk::Freely,
            (true, true) => Talk::Holding,
            (true, false) => Talk::Pushing,
        },
    });
    if let Some(note) = &setting.note {
        model.transcript.note(note);
    }
    let mut screen = Screen {
        taken: Taken::new(releases)?,
        handle,
        desk,
        model: &mut model,
        outcome: Outcome::default(),
    };
    let followed = screen.follow(conversation, see).await;
    let outcome = std::mem::take(&mut screen.outcome);
    // The terminal is given back before anything else is said on it.
    drop(screen);
    print(&model)?;
    followed.map(|()| outcome)
}

/// Prints what was said, and what it cost.
fn print(model: &Model) -> Result<(), Exit> {
    let lines = model.transcript.plain();
    if !lines.is_empty() {
        output::line(lines.trim_end_matches('\n'))?;
    }
    match &model.spent {
        Some(spent) => output::line(spent),
        None => Ok(()),
    }
}

struct Screen<'a> {
    taken: Taken,
    handle: &'a Handle,
    desk: &'a Desk,
    model: &'a mut Model,
    outcome: Outcome,
}

impl Screen<'_> {
    async fn follow(
        &mut self,
        mut conversation: Conversation,
        mut see: impl FnMut(&Moment),
    ) -> Result<(), Exit> {
        let mut inputs = EventStream::new();
        let begun = Instant::now();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut signal = std::pin::pin!(stop::requested());
        let (columns, rows) = self.taken.size()?;
        self.model.resize(columns, rows);
        let mut there = true;
        // Whether the screen shows less than the model knows.
        let mut stale = true;
        loop {
            tokio::select! {
                moment = conversation.next() => {
                    let Some(moment) = moment else {
                        return Ok(());
                    };
                    self.outcome.note(&moment.event);
                    self.model.moment(&moment);
                    see(&moment);
                    stale = true;
                }
                input = inputs.next(), if there => {
                    match input {
                        Some(Ok(input)) => {
                            self.input(input)?;
                            self.taken.draw(self.model)?;
                            stale = false;
                        }
                        // The terminal has gone, and with it whoever sat there.
                        Some(Err(_)) | None => {
                            there = false;
                            self.stop(true);
                        }
                    }
                }
                _ = tick.tick() => {
                    for line in output::held() {
                        self.model.transcript.note(&line);
                        stale = true;
                    }
                    let now_ms = begun.elapsed().as_millis() as u64;
                    if self.model.tick(now_ms, self.desk.loudest()) || stale {
                        self.taken.draw(self.model)?;
                        stale = false;
                    }
                }
                () = &mut signal => {
                    signal.set(stop::requested());
                    self.key(Key::Stop)?;
                    stale = true;
                }
            }
        }
    }

    fn input(&mut self, input: Input) -> Result<(), Exit> {
        match input {
            Input::Key(event) => match Key::of(&event) {
                Some(key) => self.key(key),
                None => Ok(()),
            },
            Input::Paste(text) => self.key(Key::Paste(text)),
            Input::Resize(columns, rows) => {
                self.model.resize(columns, rows);
                Ok(())
            }
            Input::FocusGained | Input::FocusLost | Input::Mouse(_) => Ok(()),
        }
    }

    fn key(&mut self, key: Key) -> Result<(), Exit> {
        for action in self.model.key(key) {
            // That the conversation has ended, it says itself.
            let refused = match action {
                Action::Commit => self.handle.commit().err(),
                Action::Exit => {
                    terminal::give_back();
                    print(self.model)?;
                    process::exit(i32::from(Code::Interrupted as u8));
                }
                Action::Interrupt => self.handle.interrupt().err(),
                Action::Microphone(open) => {
                    self.desk.open_microphone(open);
                    None
                }
                Action::Redraw => {
                    self.taken.clear()?;
                    None
                }
                Action::Say(text) => {
                    if let Err(error) = self.handle.say(text.as_str()) {
                        self.model.refused(&text, &error.to_string());
                    }
                    None
                }
                Action::Stop { interrupted } => {
                    self.stop(interrupted);
                    None
                }
            };
            if let Some(error) = refused {
                self.model.hint(&error.to_string());
            }
        }
        Ok(())
    }

    fn stop(&mut self, interrupted: bool) {
        self.outcome.interrupted = interrupted;
        self.handle.stop();
    }
}
