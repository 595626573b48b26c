//! What is done before there is a conversation, as the screen is told of it.

use std::{
    collections::BTreeMap,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use kaiwa_engine::models::{Plan, Planned, Progress};
use tokio::sync::watch;

use crate::{exit::Exit, fetch, fetch::Attendant};

/// How far the preparations are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum Preparing {
    /// Whether models may be fetched is asked; what, stands in the transcript.
    Asking,
    /// Files that are here are compared with their hashes.
    Checking(String),
    /// The server is called.
    #[default]
    Connecting,
    Fetching {
        model: String,
        /// Bytes that are here, and bytes to fetch.
        done: u64,
        total: u64,
    },
    Loading,
    /// Another kaiwa fetches the same.
    Waiting(String),
}

/// Tells a screen how models are made ready.
#[derive(Debug)]
pub(crate) struct Prompter {
    state: watch::Sender<Preparing>,
    answers: Receiver<bool>,
    /// Bytes of the model's files.
    files: BTreeMap<String, u64>,
}

/// The screen's end of a [`Prompter`].
#[derive(Debug)]
pub(super) struct Prompted {
    pub(super) state: watch::Receiver<Preparing>,
    answers: SyncSender<bool>,
}

/// A pair of both. A question has one answer, so there is never more than one.
pub(super) fn pair() -> (Prompter, Prompted) {
    let (state, watched) = watch::channel(Preparing::default());
    let (answers, answered) = sync_channel(1);
    let prompter = Prompter {
        state,
        answers: answered,
        files: BTreeMap::new(),
    };
    let prompted = Prompted {
        state: watched,
        answers,
    };
    (prompter, prompted)
}

impl Prompted {
    /// Answers the question.
    pub(super) fn answer(&self, yes: bool) {
        if self.answers.try_send(yes).is_err() {
            tracing::debug!("nobody waits for an answer");
        }
    }
}

impl Prompter {
    fn tell(&self, state: Preparing) {
        self.state.send_replace(state);
    }
}

impl Attendant for Prompter {
    fn allow(&mut self, _plan: &Plan) -> Result<bool, Exit> {
        self.tell(Preparing::Asking);
        // A screen that has gone allows nothing.
        Ok(self.answers.recv().unwrap_or(false))
    }

    fn fetching(&mut self, planned: &Planned, progress: &Progress<'_>) {
        let model = || planned.name.clone();
        let (file, done) = match progress {
            Progress::Start { file, .. } => (*file, 0),
            Progress::Bytes { file, done, .. } => (*file, *done),
            Progress::Check { .. } => return self.tell(Preparing::Checking(model())),
            Progress::Wait => return self.tell(Preparing::Waiting(model())),
            Progress::Refused { file, error } => {
                return fetch::tell_of_refusal(&planned.name, file, error);
            }
            _ => return,
        };
        self.files.insert(file.to_owned(), done);
        self.tell(Preparing::Fetching {
            model: model(),
            done: self.files.values().sum(),
            total: planned.bytes,
        });
    }

    fn fetched(&mut self) {
        self.files.clear();
    }

    fn loading(&mut self) {
        self.tell(Preparing::Loading);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn planned() -> Planned {
        Planned {
            name: "letters".to_owned(),
            bytes: 300,
        }
    }

    #[test]
    fn a_models_files_are_counted_together() {
        let (mut prompter, prompted) = pair();
        let mut told = |progress: Progress<'_>| {
            prompter.fetching(&planned(), &progress);
            prompted.state.borrow().clone()
        };
        let fetching = |done| Preparing::Fetching {
            model: "letters".to_owned(),
            done,
            total: 300,
        };
        let start = |file| Progress::Start {
            file,
            origin: "somewhere",
            total: 100,
        };
        let bytes = |file, done| Progress::Bytes {
            file,
            done,
            total: 100,
        };
        assert_eq!(told(start("a")), fetching(0));
        assert_eq!(told(bytes("a", 100)), fetching(100));
        assert_eq!(told(start("b")), fetching(100));
        assert_eq!(told(bytes("b", 50)), fetching(150));
        // Another source begins anew.
        assert_eq!(told(start("b")), fetching(100));
        assert_eq!(
            told(Progress::Wait),
            Preparing::Waiting("letters".to_owned())
        );
    }

    #[test]
    fn a_question_waits_for_its_answer() {
        let plan = Plan {
            models: vec![planned()],
        };
        for answer in [true, false] {
            let (mut prompter, mut prompted) = pair();
            let asked = plan.clone();
            let asking = thread::spawn(move || prompter.allow(&asked).expect("an answer"));
            while *prompted.state.borrow_and_update() != Preparing::Asking {
                thread::yield_now();
            }
            prompted.answer(answer);
            assert_eq!(asking.join().expect("it ends"), answer);
        }
        let (mut prompter, prompted) = pair();
        drop(prompted);
        assert!(!prompter.allow(&plan).expect("an answer"));
    }
}
