//! The screen of `kaiwa talk` at a terminal. The model ([`model`]) is made of events, keys and
//! time, the view ([`view`]) is a picture of it; here they meet a terminal and a clock.

mod keys;
mod layout;
mod line;
mod model;
mod preparing;
mod signals;
mod switch;
mod terminal;
mod transcript;
mod view;
mod wrap;

use std::{future::Future, sync::Arc, time::Duration};

use crossterm::event::{Event as Input, EventStream};
use futures_util::StreamExt;
use kaiwa_client::{Conversation, Handle, Moment};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use self::preparing::Prompted;
pub(super) use self::preparing::Prompter;
pub(crate) use self::terminal::tells_releases;
use self::{
    keys::Key,
    model::{Action, Facts, Model, Talk},
    signals::{Signals, Told},
    terminal::Taken,
};
use super::{Outcome, desk::Desk};
use crate::{
    exit::{Code, Exit, leave},
    output,
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

/// How the time before a conversation ends.
pub(super) enum Prepared<T> {
    /// There is what was prepared.
    Done(T),
    /// The user has ended it; by Ctrl-C or not.
    Stopped { interrupted: bool },
}

/// The screen, from the first preparation to the end of the conversation.
pub(super) struct Screen {
    taken: Taken,
    desk: Arc<Desk>,
    model: Model,
    prompted: Prompted,
    inputs: EventStream,
    begun: Instant,
    tick: Interval,
    signals: Signals,
    /// Whether somebody sits at the terminal.
    there: bool,
    /// Whether the screen shows less than the model knows.
    stale: bool,
}

impl Screen {
    /// Takes the terminal over. With the screen comes what tells it of the preparations.
    pub(super) fn open(setting: Setting, desk: &Arc<Desk>) -> Result<(Self, Prompter), Exit> {
        let releases = setting.push_to_talk && tells_releases();
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
        let (prompter, prompted) = preparing::pair();
        let taken = Taken::new(releases)?;
        let (columns, rows) = taken.size()?;
        model.resize(columns, rows);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let screen = Self {
            taken,
            desk: Arc::clone(desk),
            model,
            prompted,
            inputs: EventStream::new(),
            begun: Instant::now(),
            tick,
            signals: Signals::new(),
            there: true,
            stale: true,
        };
        Ok((screen, prompter))
    }

    /// Shows how far `work` is, which prepares a conversation, until it is done or the user ends
    /// it. What is fetched then is fetched on by whoever comes next.
    pub(super) async fn prepare<T>(
        &mut self,
        work: impl Future<Output = Result<T, Exit>>,
    ) -> Result<Prepared<T>, Exit> {
        let mut work = std::pin::pin!(work);
        let mut news = self.prompted.state.clone();
        self.model.prepare(Some(news.borrow_and_update().clone()));
        loop {
            tokio::select! {
                done = &mut work => {
                    self.model.prepare(None);
                    self.stale = true;
                    return done.map(Prepared::Done);
                }
                Ok(()) = news.changed() => {
                    self.model.prepare(Some(news.borrow_and_update().clone()));
                    self.stale = true;
                }
                actions = self.next() => for action in actions? {
                    match action {
                        Action::Answer(yes) => self.prompted.answer(yes),
                        Action::Stop { interrupted } => {
                            return Ok(Prepared::Stopped { interrupted });
                        }
                        // Nobody is there to be told of the others.
                        action => self.act(&action)?,
                    }
                },
            }
        }
    }

    /// Shows a conversation until its end, which what fails here hastens. `see` sees every moment,
    /// too.
    pub(super) async fn follow(
        &mut self,
        mut conversation: Conversation,
        handle: &Handle,
        mut see: impl FnMut(&Moment),
    ) -> Result<Outcome, Exit> {
        let mut outcome = Outcome::default();
        // Why it cannot be shown any more.
        let mut failure = None;
        loop {
            tokio::select! {
                moment = conversation.next() => {
                    let Some(moment) = moment else {
                        break;
                    };
                    outcome.note(&moment.event);
                    self.model.moment(&moment);
                    see(&moment);
                    self.stale = true;
                }
                actions = self.next(), if failure.is_none() => {
                    let done = actions.and_then(|actions| self.tell(actions, handle, &mut outcome));
                    if let Err(error) = done {
                        failure = Some(error);
                        handle.stop();
                    }
                }
            }
        }
        match failure {
            // Whose terminal went away ended the conversation thereby.
            Some(failure) if !outcome.interrupted => Err(failure),
            _ => Ok(outcome),
        }
    }

    /// What the screen and the sound card know of each other.
    pub(super) fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// Gives the terminal back and prints the transcript on it.
    pub(super) fn close(self) -> Result<(), Exit> {
        let Self { taken, model, .. } = self;
        drop(taken);
        print(&model)
    }

    /// Waits for a key, a signal or the next tick, draws, and gives what is asked for. Dropping
    /// the future loses nothing.
    async fn next(&mut self) -> Result<Vec<Action>, Exit> {
        tokio::select! {
            input = self.inputs.next(), if self.there => match input {
                Some(Ok(input)) => {
                    let actions = self.input(input);
                    self.taken.draw(&self.model)?;
                    self.stale = false;
                    Ok(actions)
                }
                // The terminal has gone, and with it whoever sat there.
                Some(Err(_)) | None => {
                    self.there = false;
                    Ok(vec![Action::Stop { interrupted: true }])
                }
            },
            _ = self.tick.tick() => {
                for line in output::held() {
                    self.model.transcript.note(&line);
                    self.stale = true;
                }
                if terminal::is_lost() {
                    return Err(broken_down());
                }
                let now_ms = self.now_ms();
                let due = self.model.due(now_ms);
                self.stale |= !due.is_empty();
                if self.model.tick(now_ms, self.desk.loudest()) || self.stale {
                    self.taken.draw(&self.model)?;
                    self.stale = false;
                }
                Ok(due)
            }
            told = self.signals.next() => {
                self.stale = true;
                Ok(match told {
                    Told::Continued => {
                        self.renew()?;
                        Vec::new()
                    }
                    Told::Pause => self.model.key(Key::Pause, self.now_ms()),
                    Told::Stop => self.model.stop(),
                })
            }
        }
    }

    fn now_ms(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }

    fn input(&mut self, input: Input) -> Vec<Action> {
        if let Input::Resize(columns, rows) = input {
            self.model.resize(columns, rows);
            return Vec::new();
        }
        match Key::told(input) {
            Some(key) => self.model.key(key, self.now_ms()),
            None => Vec::new(),
        }
    }

    /// Does what was asked for; that the conversation has ended, it says itself.
    fn tell(
        &mut self,
        actions: Vec<Action>,
        handle: &Handle,
        outcome: &mut Outcome,
    ) -> Result<(), Exit> {
        for action in actions {
            let told = match action {
                Action::Commit => handle.commit(),
                Action::Confirm { item, agreed } => {
                    let told = handle.confirm(item.as_str(), agreed);
                    if told.is_err() {
                        self.model.unanswered(&item);
                    }
                    told
                }
                Action::Interrupt => handle.interrupt(),
                Action::Say(text) => {
                    if let Err(error) = handle.say(text.as_str()) {
                        self.model.refused(&text, &error.to_string());
                        self.stale = true;
                    }
                    Ok(())
                }
                Action::Stop { interrupted } => {
                    outcome.interrupted = interrupted;
                    handle.stop();
                    Ok(())
                }
                other => {
                    self.act(&other)?;
                    Ok(())
                }
            };
            if let Err(error) = told {
                self.model.hint(&error.to_string());
                self.stale = true;
            }
        }
        Ok(())
    }

    /// Does what concerns the screen and the desk alone.
    fn act(&mut self, action: &Action) -> Result<(), Exit> {
        match action {
            Action::Exit => {
                terminal::give_back();
                print(&self.model).ok();
                leave(Code::Interrupted as u8);
            }
            Action::Microphone(open) => self.desk.open_microphone(*open),
            Action::Pause => {
                terminal::give_back();
                if let Err(refused) = signals::pause() {
                    self.renew()?;
                    self.model.hint(&refused.to_string());
                }
                self.stale = true;
            }
            Action::Redraw => {
                self.taken.clear()?;
                self.taken.draw(&self.model)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// The terminal is ours again after a pause, and may have another size.
    fn renew(&mut self) -> Result<(), Exit> {
        self.taken.renew()?;
        let (columns, rows) = self.taken.size()?;
        self.model.resize(columns, rows);
        Ok(())
    }
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

/// What is said where a part of the program panicked, whose own words stand above.
fn broken_down() -> Exit {
    Exit::new(
        Code::Failure,
        "a part of kaiwa broke down, and the conversation was ended",
    )
    .with_hint("report the lines above; talk --plain may go on where the screen cannot")
}

#[cfg(all(test, unix))]
#[path = "../../../tests/common/pty.rs"]
mod pty;

#[cfg(all(test, unix))]
mod panic_tests;
