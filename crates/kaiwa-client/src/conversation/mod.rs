//! A conversation: a link, a sound card, and the rules between them.

mod budget;
mod calls;
mod care;
mod config;
mod driver;
mod duck;
mod end;
mod event;
mod history;
mod latency;
mod reconnect;
mod recovery;
mod server;
mod session;
mod tape;
mod ticks;
mod tools;
mod turns;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

pub use self::config::{
    ConversationConfig, CostConfig, OutputMode, SpeechEnd, Trace, TraceEntry, Transcription, Turn,
};
use self::driver::{Command, Driver};
pub use self::event::{Bill, EndReason, Event, Moment, TurnLatency, Usage};
pub use self::reconnect::{Dialing, Reconnect};
use crate::card::SoundCard;
use crate::link::Link;

/// Events that may wait to be read.
const EVENTS: usize = 1024;
/// Commands that may wait to be carried out.
const COMMANDS: usize = 256;

/// A running conversation.
///
/// It runs in a task of its own and tells what happens through [`next`](Self::next),
/// whose last event is [`Event::Ended`]. Events must be read: a reader that falls a
/// thousand events behind stops the conversation's clock until it goes on. Dropping the
/// conversation stops it.
///
/// With [`ConversationConfig::reconnect`] it outlives its connection: it makes another one, and
/// tells the new session what was said and heard. Without, it ends with the connection.
///
/// It ends by itself when the microphone's input has ended (or there is none), no typed
/// turn can come any more ([`Handle::finish`], or every handle is dropped), and all that
/// was asked is answered and played.
#[derive(Debug)]
pub struct Conversation {
    events: mpsc::Receiver<Moment>,
    stop: Arc<watch::Sender<bool>>,
    task: JoinHandle<()>,
}

impl Conversation {
    /// Starts a conversation over `link` with `card`. Must be called within a tokio
    /// runtime.
    pub fn start<C: SoundCard>(link: Link, card: C, config: ConversationConfig) -> (Self, Handle) {
        let (events, receiver) = mpsc::channel(EVENTS);
        let (commands, orders) = mpsc::channel(COMMANDS);
        let (stop, stopped) = watch::channel(false);
        let stop = Arc::new(stop);
        let driver = Driver::new(link, card, config, events, orders, stopped);
        let task = tokio::spawn(driver.run());
        let handle = Handle {
            commands,
            stop: Arc::clone(&stop),
        };
        let conversation = Self {
            events: receiver,
            stop,
            task,
        };
        (conversation, handle)
    }

    /// The next event; `None` after [`Event::Ended`].
    pub async fn next(&mut self) -> Option<Moment> {
        self.events.recv().await
    }

    /// Reads to the end and says why it ended.
    pub async fn finished(mut self) -> EndReason {
        let mut reason = None;
        while let Some(moment) = self.next().await {
            if let Event::Ended { reason: why } = moment.event {
                reason = Some(why);
            }
        }
        // The task always ends with an event, unless it panicked.
        reason.unwrap_or_else(|| EndReason::CardFailed {
            message: "the conversation broke down".to_owned(),
        })
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        // The task completes the recording and ends by itself.
        self.stop.send_replace(true);
        tracing::trace!(finished = self.task.is_finished(), "conversation dropped");
    }
}

/// What a program may do in a conversation. Clones do the same.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    stop: Arc<watch::Sender<bool>>,
}

impl Handle {
    /// Types a turn at once: what the assistant is saying is interrupted.
    ///
    /// # Errors
    ///
    /// When the text is empty, too many commands wait, or the conversation has ended.
    pub fn say(&self, text: impl Into<String>) -> Result<(), HandleError> {
        let text = checked(text.into())?;
        self.order(Command::Say {
            text,
            interrupt: true,
        })
    }

    /// Types a turn for when all before it, spoken or typed, has been answered and played.
    ///
    /// # Errors
    ///
    /// When the text is empty, too many commands wait, or the conversation has ended.
    pub fn say_next(&self, text: impl Into<String>) -> Result<(), HandleError> {
        let text = checked(text.into())?;
        self.order(Command::Say {
            text,
            interrupt: false,
        })
    }

    /// Ends the user's spoken turn and asks for an answer, under [`Turn::None`].
    ///
    /// # Errors
    ///
    /// When too many commands wait or the conversation has ended.
    pub fn commit(&self) -> Result<(), HandleError> {
        self.order(Command::Commit)
    }

    /// Answers [`Event::ToolConfirmation`]: the call of this item may run, or not. An answer that
    /// comes too late changes nothing.
    ///
    /// # Errors
    ///
    /// When too many commands wait or the conversation has ended.
    pub fn confirm(&self, item: impl Into<String>, agreed: bool) -> Result<(), HandleError> {
        let item = item.into();
        self.order(Command::Confirm { item, agreed })
    }

    /// Stops the assistant. The results of tools that are at work are told to it, but it says
    /// nothing about them before the user's next turn.
    ///
    /// # Errors
    ///
    /// When too many commands wait or the conversation has ended.
    pub fn interrupt(&self) -> Result<(), HandleError> {
        self.order(Command::Interrupt)
    }

    /// Says that no more typed turns will come.
    ///
    /// # Errors
    ///
    /// When too many commands wait or the conversation has ended.
    pub fn finish(&self) -> Result<(), HandleError> {
        self.order(Command::Finish)
    }

    /// Ends the conversation now, as Ctrl-C does: the recording is completed, and
    /// [`Event::Ended`] follows.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    fn order(&self, command: Command) -> Result<(), HandleError> {
        self.commands
            .try_send(command)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => HandleError::Busy,
                mpsc::error::TrySendError::Closed(_) => HandleError::Ended,
            })
    }
}

/// Why a [`Handle`] could do nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HandleError {
    /// Hundreds of commands wait already.
    #[error("the conversation is busy with {COMMANDS} earlier commands")]
    Busy,
    /// There is nothing to say.
    #[error("the text is empty")]
    EmptyText,
    /// The conversation has ended.
    #[error("the conversation has ended")]
    Ended,
}

fn checked(text: String) -> Result<String, HandleError> {
    if text.trim().is_empty() {
        Err(HandleError::EmptyText)
    } else {
        Ok(text)
    }
}
