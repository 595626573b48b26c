//! The calls of tools that are not done with, and the answers owed for their results.
//!
//! The calls of a response are a group: their results are told in their order, and when all are
//! told and the response has ended, one answer is owed. It is given by a response that is begun
//! after the server has the results, whoever asked for that response.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use serde_json::Value;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::Instant;

use crate::tools::{Confirm, Tool};

/// Calls that may be under way at once; one more fails.
pub(super) const MOST_CALLS: usize = 32;
/// How long somebody may take to agree to a call.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Groups in a row after which the assistant has to answer without tools: a model that calls
/// again and again would never come to an end.
const MOST_ROUNDS: u32 = 10;
/// Ids of calls that are remembered, lest a server that repeats itself has one run twice; as many
/// are taken of one response.
const MOST_SEEN: usize = 256;

/// The calls of a conversation.
#[derive(Debug, Default)]
pub(super) struct Calls {
    groups: Vec<Group>,
    debts: Vec<Debt>,
    running: JoinSet<Result<String, String>>,
    /// Which call a task runs, by its number.
    tasks: HashMap<Id, u64>,
    /// Tools that somebody has agreed to for good.
    agreed: HashSet<String>,
    /// The servers' ids of responses and calls in this session, the latest last: some servers
    /// count the calls of each response anew.
    seen: VecDeque<(String, String)>,
    /// Calls so far.
    count: u64,
    /// Groups since the user's latest turn.
    rounds: u32,
    /// Somebody has silenced the assistant: what is owed waits for the user's next turn.
    hushed: bool,
    /// The id of the latest `response.create` that asked for a few words over a slow call.
    pub(super) filler: Option<String>,
}

/// The calls of one response.
#[derive(Debug)]
struct Group {
    response: String,
    calls: Vec<Call>,
    /// The response has ended: there will be no more of them.
    ended: bool,
    /// It was cancelled.
    cut: bool,
    /// Another response has begun since then.
    superseded: bool,
    /// The assistant has said something with the calls, or since.
    spoke: bool,
    /// When the first of them was started.
    since: Option<Instant>,
    told: Vec<Told>,
    /// Whether any result was told at all.
    known: bool,
}

#[derive(Debug)]
pub(super) struct Call {
    /// Its number in the conversation, counted from 1.
    pub(super) number: u64,
    /// The server's id in this session; `None` where the session has forgotten it.
    pub(super) id: Option<String>,
    /// Its item, or what stands for it.
    pub(super) item: String,
    pub(super) name: String,
    pub(super) state: State,
}

#[derive(Debug)]
pub(super) enum State {
    /// Somebody is asked whether it may run.
    Asking {
        tool: Tool,
        arguments: Value,
        until: Instant,
    },
    Running {
        task: AbortHandle,
        until: Instant,
        limit: Duration,
    },
    /// What is to be told.
    Done(String),
    Told,
}

/// A result that was sent.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) item: String,
    pub(super) event: String,
}

/// An answer that is owed for the results of a group.
#[derive(Debug)]
struct Debt {
    /// Results that the server has not confirmed.
    unconfirmed: Vec<Told>,
    /// A response was asked for since they were sent.
    asked: bool,
    /// Any response is an answer: the user has gone on since the calls.
    cut: bool,
}

/// A call whose time is over.
#[derive(Debug)]
pub(super) enum Late {
    /// Nobody has said whether it may run.
    Unanswered,
    /// It did not return within this time.
    Unreturned(Duration),
}

impl Calls {
    /// The number of a call that the server has not told of before; `None`, too, for one of too
    /// many in a response.
    pub(super) fn note(&mut self, response: &str, id: &str) -> Option<u64> {
        let key = (response.to_owned(), id.to_owned());
        if self.seen.contains(&key) {
            return None;
        }
        if self.seen.len() == MOST_SEEN {
            // What is forgotten is not to be told of again.
            if self.seen.front().is_some_and(|(of, _)| of == response) {
                return None;
            }
            self.seen.pop_front();
        }
        self.seen.push_back(key);
        self.count += 1;
        Some(self.count)
    }

    /// Adds a call of a response.
    pub(super) fn push(&mut self, response: &str, call: Call) {
        let known = self
            .groups
            .iter_mut()
            .find(|group| group.response == response);
        match known {
            Some(group) => group.calls.push(call),
            None => self.groups.push(Group {
                response: response.to_owned(),
                calls: vec![call],
                ended: false,
                cut: false,
                superseded: false,
                spoke: false,
                since: None,
                told: Vec::new(),
                known: false,
            }),
        }
    }

    /// Whether another call may be begun.
    pub(super) fn has_room(&self) -> bool {
        let open =
            |call: &&Call| matches!(call.state, State::Asking { .. } | State::Running { .. });
        self.all().filter(open).count() < MOST_CALLS
    }

    /// Whether the tool may run without asking.
    pub(super) fn may_run(&self, tool: &Tool) -> bool {
        match tool.confirm() {
            Confirm::Always => false,
            Confirm::First => self.agreed.contains(tool.name()),
            Confirm::Never => true,
        }
    }

    /// Runs a call that was added.
    pub(super) fn start(&mut self, number: u64, tool: &Tool, arguments: Value, now: Instant) {
        let called = tool.clone();
        // Whatever breaks down in it does so in a task of its own.
        let task = self
            .running
            .spawn(async move { called.run(arguments).await });
        self.tasks.insert(task.id(), number);
        let limit = tool.limit();
        for group in &mut self.groups {
            if let Some(call) = group.calls.iter_mut().find(|call| call.number == number) {
                let until = now + limit;
                call.state = State::Running { task, until, limit };
                group.since.get_or_insert(now);
                return;
            }
        }
    }

    /// The numbers of the calls that this answer settles, the one asked about first: with one
    /// call of a tool that needs it but once, all of them are agreed to.
    pub(super) fn answered(&mut self, item: &str, agreed: bool) -> Vec<u64> {
        let asking = |call: &&Call| matches!(call.state, State::Asking { .. });
        let asked = self.all().filter(asking).find(|call| call.item == item);
        let Some(Call {
            number,
            name,
            state: State::Asking { tool, .. },
            ..
        }) = asked
        else {
            return Vec::new();
        };
        let (number, name) = (*number, name.clone());
        if !agreed || tool.confirm() != Confirm::First {
            return vec![number];
        }
        let same = |call: &&Call| asking(call) && call.name == name;
        let numbers = self.all().filter(same).map(|call| call.number).collect();
        self.agreed.insert(name);
        numbers
    }

    /// The next call that returns, by its number.
    pub(super) async fn returned(&mut self) -> (u64, Result<String, String>) {
        while let Some(outcome) = self.running.join_next_with_id().await {
            let (id, outcome) = match outcome {
                Ok((id, outcome)) => (id, outcome),
                Err(error) => (error.id(), Err("the tool broke down".to_owned())),
            };
            // One that was given up has no number.
            if let Some(number) = self.tasks.remove(&id) {
                return (number, outcome);
            }
        }
        std::future::pending().await
    }

    /// Whether something may return.
    pub(super) fn is_running(&self) -> bool {
        !self.running.is_empty()
    }

    /// Gives up what is late, and says what it is.
    pub(super) fn take_late(&mut self, now: Instant) -> Vec<(u64, Late)> {
        let mut late = Vec::new();
        for call in self.groups.iter().flat_map(|group| &group.calls) {
            match &call.state {
                State::Asking { until, .. } if *until <= now => {
                    late.push((call.number, Late::Unanswered));
                }
                State::Running { task, until, limit } if *until <= now => {
                    task.abort();
                    self.tasks.remove(&task.id());
                    late.push((call.number, Late::Unreturned(*limit)));
                }
                _ => {}
            }
        }
        late
    }

    /// When the next call is late.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let until = |call: &Call| match call.state {
            State::Asking { until, .. } | State::Running { until, .. } => Some(until),
            State::Done(_) | State::Told => None,
        };
        self.all().filter_map(until).min()
    }

    /// Nobody looked for so long: what returned meanwhile is not late.
    pub(super) fn forgive(&mut self, passed: Duration) {
        for call in self.groups.iter_mut().flat_map(|group| &mut group.calls) {
            if let State::Asking { until, .. } | State::Running { until, .. } = &mut call.state {
                *until += passed;
            }
        }
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Call> {
        let mut calls = self.groups.iter_mut().flat_map(|group| &mut group.calls);
        calls.find(|call| call.number == number)
    }

    /// The next result that is to be told, with the id of its call; the results of a response
    /// are told in the order of its calls. It counts as told.
    pub(super) fn next_result(&mut self) -> Option<(u64, Option<String>, String)> {
        for group in &mut self.groups {
            let next = group
                .calls
                .iter_mut()
                .find(|call| !matches!(call.state, State::Told));
            if let Some(call) = next
                && let State::Done(output) = &mut call.state
            {
                let output = std::mem::take(output);
                call.state = State::Told;
                return Some((call.number, call.id.clone(), output));
            }
        }
        None
    }

    /// A result was sent like this.
    pub(super) fn sent(&mut self, number: u64, told: Told) {
        let has = |group: &&mut Group| group.calls.iter().any(|call| call.number == number);
        if let Some(group) = self.groups.iter_mut().find(has) {
            group.told.push(told);
            group.known = true;
        }
    }

    /// The server has an item of ours, or has refused it.
    pub(super) fn confirmed(&mut self, is_it: impl Fn(&Told) -> bool) {
        for group in &mut self.groups {
            group.told.retain(|told| !is_it(told));
        }
        for debt in &mut self.debts {
            debt.unconfirmed.retain(|told| !is_it(told));
        }
    }

    /// Turns groups of which everything is told into debts.
    pub(super) fn retire(&mut self) {
        let is_told = |call: &Call| matches!(call.state, State::Told);
        let done = |group: &mut Group| group.ended && group.calls.iter().all(is_told);
        for group in self.groups.extract_if(.., done) {
            if (group.cut && group.superseded) || !group.known {
                continue;
            }
            self.rounds += 1;
            self.debts.push(Debt {
                unconfirmed: group.told,
                asked: false,
                cut: group.cut,
            });
        }
    }

    /// Whether an answer is owed that nobody has asked to be silent.
    pub(super) fn owes(&self) -> bool {
        !self.debts.is_empty() && !self.hushed
    }

    /// Whether all is returned, told and answered, as far as it is to be.
    pub(super) fn is_idle(&self) -> bool {
        self.groups.is_empty() && !self.owes()
    }

    /// A response is asked for: results that were sent are known to it.
    pub(super) fn ask(&mut self) {
        for debt in &mut self.debts {
            debt.asked = true;
        }
    }

    /// A response has begun: the one that was asked for, or the server's own.
    pub(super) fn begin_response(&mut self, asked: bool) {
        self.debts.retain(|debt| {
            let knows = debt.unconfirmed.is_empty() || (asked && debt.asked);
            !(knows || debt.cut)
        });
        for group in &mut self.groups {
            group.superseded |= group.cut;
            group.spoke = true;
        }
    }

    /// The request for a response was refused.
    pub(super) fn ask_again(&mut self) {
        for debt in &mut self.debts {
            debt.asked = false;
        }
    }

    /// The request was refused for good: whoever goes on gets the answer with the next turn.
    pub(super) fn forgo(&mut self) {
        self.debts.retain(|debt| !debt.asked);
    }

    /// No answer comes, and none is asked for any more.
    pub(super) fn forgo_all(&mut self) {
        self.debts.clear();
    }

    /// A response has ended, cancelled or not; `spoke` if anything was said in it.
    pub(super) fn end_response(&mut self, response: &str, cut: bool, spoke: bool) {
        let mut groups = self.groups.iter_mut();
        if let Some(group) = groups.find(|group| group.response == response) {
            group.ended = true;
            group.cut |= cut;
            group.spoke |= spoke;
        }
    }

    /// Nothing more is heard of any response.
    pub(super) fn end_responses(&mut self) {
        for group in &mut self.groups {
            group.ended = true;
        }
    }

    /// Whether a response has called something.
    pub(super) fn are_of(&self, response: &str) -> bool {
        self.groups.iter().any(|group| group.response == response)
    }

    /// The session is lost: the next one is told everything before it is asked for anything.
    pub(super) fn leave_session(&mut self) {
        self.end_responses();
        self.seen.clear();
        self.filler = None;
        for group in &mut self.groups {
            group.told.clear();
        }
        for debt in &mut self.debts {
            debt.unconfirmed.clear();
            debt.asked = false;
        }
    }

    /// Another session was told of the calls under these ids, with the results there were.
    pub(super) fn retold(&mut self, id_of: impl Fn(u64) -> Option<String>) {
        for group in &mut self.groups {
            for call in &mut group.calls {
                call.id = id_of(call.number);
                if matches!(call.state, State::Done(_)) {
                    call.state = State::Told;
                    group.known |= call.id.is_some();
                }
            }
        }
    }

    /// The assistant is to be silent until the user's next turn.
    pub(super) fn hush(&mut self) {
        self.hushed = true;
    }

    /// The user takes a turn.
    pub(super) fn begin_turn(&mut self) {
        self.hushed = false;
        self.rounds = 0;
    }

    /// Whether the assistant has called often enough for one turn.
    pub(super) fn is_exhausted(&self) -> bool {
        self.rounds >= MOST_ROUNDS
    }

    /// From when on something may be said over calls that run for longer than `patience`; `None`
    /// where nothing is to be said.
    pub(super) fn filler_due(&self, patience: Duration) -> Option<Instant> {
        if self.hushed || self.owes() {
            return None;
        }
        let runs = |call: &Call| matches!(call.state, State::Running { .. });
        let silent = |group: &&Group| {
            group.ended && !group.cut && !group.spoke && group.calls.iter().any(runs)
        };
        let since = self
            .groups
            .iter()
            .filter(silent)
            .filter_map(|group| group.since);
        since.min().map(|since| since + patience)
    }

    /// Something is said over the calls, with this request.
    pub(super) fn fill(&mut self, request: String) {
        self.filler = Some(request);
        for group in &mut self.groups {
            group.spoke = true;
        }
    }

    /// Whether the event with this id asked for a few words over a slow call.
    pub(super) fn is_filler(&self, event: Option<&str>) -> bool {
        event.is_some() && event == self.filler.as_deref()
    }

    /// Ends everything that runs, and waits for it.
    pub(super) async fn stop(&mut self) {
        self.tasks.clear();
        self.running.shutdown().await;
    }

    fn all(&self) -> impl Iterator<Item = &Call> {
        self.groups.iter().flat_map(|group| &group.calls)
    }
}
