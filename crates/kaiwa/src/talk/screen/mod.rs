//! The screen of `kaiwa talk` at a terminal. The model ([`model`]) is made of events, keys and
//! time, the view ([`view`]) is a picture of it; here they meet a terminal and a clock.

mod keys;
mod layout;
mod line;
mod model;
mod preparing;
mod terminal;
mod transcript;
mod view;
mod wrap;

use std::{future::Future, pin::Pin, process, sync::Arc, time::Duration};

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
    signal: Pin<Box<dyn Future<Output = ()> + Send>>,
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
            signal: Box::pin(stop::requested()),
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

    /// Shows a conversation until its end. `see` sees every moment, too.
    pub(super) async fn follow(
        &mut self,
        mut conversation: Conversation,
        handle: &Handle,
        mut see: impl FnMut(&Moment),
    ) -> Result<Outcome, Exit> {
        let mut outcome = Outcome::default();
        loop {
            tokio::select! {
                moment = conversation.next() => {
                    let Some(moment) = moment else {
                        return Ok(outcome);
                    };
                    outcome.note(&moment.event);
                    self.model.moment(&moment);
                    see(&moment);
                    self.stale = true;
                }
                actions = self.next() => for action in actions? {
                    if let Action::Stop { interrupted } = action {
                        outcome.interrupted = interrupted;
                        handle.stop();
                    } else {
                        self.tell(&action, handle)?;
                    }
                },
            }
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
                let now_ms = self.begun.elapsed().as_millis() as u64;
                if self.model.tick(now_ms, self.desk.loudest()) || self.stale {
                    self.taken.draw(&self.model)?;
                    self.stale = false;
                }
                Ok(Vec::new())
            }
            () = &mut self.signal => {
                self.signal = Box::pin(stop::requested());
                self.stale = true;
                Ok(self.model.key(Key::Stop))
            }
        }
    }

    fn input(&mut self, input: Input) -> Vec<Action> {
        match input {
            Input::Key(event) => match Key::of(&event) {
                Some(key) => self.model.key(key),
                None => Vec::new(),
            },
            Input::Paste(text) => self.model.key(Key::Paste(text)),
            Input::Resize(columns, rows) => {
                self.model.resize(columns, rows);
                Vec::new()
            }
            Input::FocusGained | Input::FocusLost | Input::Mouse(_) => Vec::new(),
        }
    }

    /// Does what concerns the conversation; that it has ended, it says itself.
    fn tell(&mut self, action: &Action, handle: &Handle) -> Result<(), Exit> {
        let told = match action {
            Action::Commit => handle.commit(),
            Action::Interrupt => handle.interrupt(),
            Action::Say(text) => {
                if let Err(error) = handle.say(text.as_str()) {
                    self.model.refused(text, &error.to_string());
                    self.stale = true;
                }
                Ok(())
            }
            other => return self.act(other),
        };
        if let Err(error) = told {
            self.model.hint(&error.to_string());
            self.stale = true;
        }
        Ok(())
    }

    /// Does what concerns the screen and the desk alone.
    fn act(&mut self, action: &Action) -> Result<(), Exit> {
        match action {
            Action::Exit => {
                terminal::give_back();
                print(&self.model)?;
                process::exit(i32::from(Code::Interrupted as u8));
            }
            Action::Microphone(open) => self.desk.open_microphone(*open),
            Action::Redraw => {
                self.taken.clear()?;
                self.taken.draw(&self.model)?;
            }
            _ => {}
        }
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
