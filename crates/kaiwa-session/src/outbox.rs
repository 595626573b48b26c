//! Outputs that wait to be taken, and the jobs whose results are wanted.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kaiwa_protocol::{Error, ErrorDetail, ServerEvent};

use crate::{
    engine::{EngineCommand, JobId},
    event_size,
    ids::IdSource,
    io::{CloseReason, Output},
    refusal::MAX_ID_CHARS,
};

/// Whose job it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JobOwner {
    /// The turn detector's stream.
    Detection,
    /// The transcription of a user's audio.
    Hearing,
    /// The transcription of a turn that is going on.
    Partial,
    /// The transcription of a sound that may be nothing.
    Doubt,
    /// The judgement whether the turn going on is over.
    Verdict,
    /// The reading of a prompt ahead.
    Priming,
    /// The response with this id: its text, a clause of its speech, or a tool it calls.
    Response(String),
    /// The tools of an MCP server.
    Listing {
        /// The server's label.
        label: String,
        /// The item that will show them.
        item_id: String,
        /// The client's event that declared the server.
        event_id: Option<String>,
    },
}

/// Where every part of the session puts what it wants done.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) ids: IdSource,
    pub(crate) outputs: VecDeque<Output>,
    jobs: BTreeMap<JobId, JobOwner>,
    last_job: u64,
    /// Ids of all calls that were ever told to the client.
    calls: BTreeSet<String>,
}

impl Outbox {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            ids: IdSource::new(seed),
            outputs: VecDeque::new(),
            jobs: BTreeMap::new(),
            last_job: 0,
            calls: BTreeSet::new(),
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
        self.send_error(detail.with_event_id(event_id.map(str::to_owned)));
    }

    /// Sends an error.
    pub(crate) fn send_error(&mut self, detail: ErrorDetail) {
        self.send(Error {
            error: event_size::clipped(detail),
            ..Error::default()
        });
    }

    /// Gives a call the id its engine or client chose, or a new one where that cannot be:
    /// clients tell calls apart by their ids, also those of responses out of band.
    pub(crate) fn call_id(&mut self, chosen: &str) -> String {
        let id = match is_plain_id(chosen) && !self.calls.contains(chosen) {
            true => chosen.to_owned(),
            false => self.ids.call(),
        };
        self.calls.insert(id.clone());
        id
    }

    /// A client made a call with this id.
    pub(crate) fn know_call(&mut self, id: &str) {
        self.calls.insert(id.to_owned());
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

/// Whether clients can use an id: short and plain.
fn is_plain_id(id: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    (1..=MAX_ID_CHARS).contains(&id.len()) && id.bytes().all(is_plain)
}
