//! Outputs that wait to be taken, and the jobs whose results are wanted.

use std::collections::{BTreeMap, VecDeque};

use kaiwa_protocol::{Error, ErrorDetail, ServerEvent};

use crate::{
    engine::{EngineCommand, JobId},
    ids::IdSource,
    io::{CloseReason, Output},
};

/// Whose job it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JobOwner {
    /// The turn detector's stream.
    Detection,
    /// The transcription of a user's audio.
    Hearing,
    /// The response with this id: its text or a clause of its speech.
    Response(String),
}

/// Where every part of the session puts what it wants done.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) ids: IdSource,
    pub(crate) outputs: VecDeque<Output>,
    jobs: BTreeMap<JobId, JobOwner>,
    last_job: u64,
}

impl Outbox {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            ids: IdSource::new(seed),
            outputs: VecDeque::new(),
            jobs: BTreeMap::new(),
            last_job: 0,
        }
    }

    /// Sends an event, giving it its id.
    pub(crate) fn send(&mut self, event: impl Into<ServerEvent>) {
        let mut event = event.into();
        event.set_event_id(self.ids.event());
        self.outputs.push_back(Output::Send(event));
    }

    /// Answers the client's event `event_id` with an error.
    pub(crate) fn refuse(&mut self, detail: ErrorDetail, event_id: Option<&str>) {
        self.send(Error {
            error: detail.with_event_id(event_id.map(str::to_owned)),
            ..Error::default()
        });
    }

    /// Names a job without giving it to an engine yet.
    pub(crate) fn open(&mut self, owner: JobOwner) -> JobId {
        self.last_job += 1;
        let job = JobId(self.last_job);
        self.jobs.insert(job, owner);
        job
    }

    /// Gives work to an engine under a new job.
    pub(crate) fn run(&mut self, owner: JobOwner, command: EngineCommand) -> JobId {
        let job = self.open(owner);
        self.run_in(job, command);
        job
    }

    /// Gives more work to an engine under an open job.
    pub(crate) fn run_in(&mut self, job: JobId, command: EngineCommand) {
        self.outputs.push_back(Output::Run(job, command));
    }

    /// Nothing more is wanted from a job, and it may stop.
    pub(crate) fn cancel(&mut self, job: JobId) {
        if self.jobs.remove(&job).is_some() {
            self.outputs.push_back(Output::Cancel(job));
        }
    }

    /// The job has ended by itself.
    pub(crate) fn retire(&mut self, job: JobId) {
        self.jobs.remove(&job);
    }

    /// Cancels all jobs and ends the session.
    pub(crate) fn close(&mut self, code: u16, reason: &str) {
        for job in std::mem::take(&mut self.jobs).into_keys() {
            self.outputs.push_back(Output::Cancel(job));
        }
        self.outputs.push_back(Output::Close(CloseReason {
            code,
            reason: reason.to_owned(),
        }));
    }

    /// Whose job it is; `None` when its result is not wanted any more.
    pub(crate) fn owner(&self, job: JobId) -> Option<&JobOwner> {
        self.jobs.get(&job)
    }
}
