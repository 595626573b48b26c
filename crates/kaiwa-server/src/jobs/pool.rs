//! The worker threads of a process.

use std::{
    collections::VecDeque,
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Blocking work.
pub(crate) type Task = Box<dyn FnOnce() + Send>;

/// A bounded pool of threads that work through [`Lane`]s.
///
/// Threads start when there is work for them and none is idle, up to the bound, and
/// end when the pool is dropped and its work is done.
///
/// A lane's tasks run one at a time in their order. Lanes that have work are served in
/// turn, one task each, so a session with many tasks does not keep another waiting for
/// more than one task.
pub(crate) struct Pool(Arc<Shared>, JobCount);

/// How many jobs all sessions of a pool have under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobCount(Arc<AtomicUsize>);

impl JobCount {
    /// A job begins.
    pub(crate) fn begin(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// So many jobs are over.
    pub(crate) fn end(&self, jobs: usize) {
        self.0.fetch_sub(jobs, Ordering::Relaxed);
    }

    /// The jobs that are under way.
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

struct Shared {
    limit: usize,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    /// Lanes with work, none of which a thread works on.
    ready: VecDeque<Arc<LaneInner>>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Pool {
    /// A pool of at most `limit` threads (at least one).
    pub(crate) fn new(limit: usize) -> Self {
        let shared = Shared {
            limit: limit.max(1),
            state: Mutex::default(),
            work: Condvar::new(),
        };
        Self(Arc::new(shared), JobCount::default())
    }

    /// The count of its sessions' jobs, which they keep.
    pub(crate) fn jobs(&self) -> JobCount {
        self.1.clone()
    }

    /// A new lane without work.
    pub(crate) fn lane(&self) -> Lane {
        Lane {
            inner: Arc::default(),
            pool: Arc::clone(&self.0),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.work.notify_all();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("limit", &self.0.limit)
            .field("threads", &self.0.state().threads)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn make_ready(self: &Arc<Self>, lane: Arc<LaneInner>) {
        let mut state = self.state();
        state.ready.push_back(lane);
        if state.ready.len() > state.idle && state.threads < self.limit {
            let shared = Arc::clone(self);
            match thread::Builder::new()
                .name("kaiwa-worker".into())
                .spawn(move || shared.work())
            {
                Ok(_) => state.threads += 1,
                // The lane stays ready: a running thread takes it, or the next attempt
                // to start one succeeds.
                Err(error) => tracing::error!(%error, "cannot start a worker thread"),
            }
        }
        self.work.notify_one();
    }

    /// A worker's life.
    fn work(self: &Arc<Self>) {
        let mut state = self.state();
        loop {
            if let Some(lane) = state.ready.pop_front() {
                drop(state);
                self.run_one(lane);
                state = self.state();
            } else if state.closed {
                state.threads -= 1;
                return;
            } else {
                state.idle += 1;
                state = self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }

    fn run_one(self: &Arc<Self>, lane: Arc<LaneInner>) {
        let task = lane.state().tasks.pop_front();
        if let Some(task) = task {
            // Tasks report their own panics; this only keeps the thread alive.
            if panic::catch_unwind(AssertUnwindSafe(task)).is_err() {
                tracing::error!("a task panicked");
            }
        }
        let mut state = lane.state();
        if state.tasks.is_empty() {
            state.scheduled = false;
            return;
        }
        drop(state);
        // This thread is free now, so no other has to be started.
        self.state().ready.push_back(lane);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A queue of tasks that run one after the other on a [`Pool`].
///
/// Dropping a lane lets the tasks given to it finish.
pub(crate) struct Lane {
    inner: Arc<LaneInner>,
    pool: Arc<Shared>,
}

#[derive(Default)]
struct LaneInner(Mutex<LaneState>);

#[derive(Default)]
struct LaneState {
    tasks: VecDeque<Task>,
    /// Whether the lane is among the ready ones or a thread works on it.
    scheduled: bool,
}

impl Lane {
    /// Appends a task.
    pub(crate) fn push(&self, task: Task) {
        let mut state = self.inner.state();
        state.tasks.push_back(task);
        if state.scheduled {
            return;
        }
        state.scheduled = true;
        drop(state);
        self.pool.make_ready(Arc::clone(&self.inner));
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane")
            .field("waiting", &self.inner.state().tasks.len())
            .finish_non_exhaustive()
    }
}

impl LaneInner {
    fn state(&self) -> MutexGuard<'_, LaneState> {
        // No code that can panic runs while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, mpsc};

    use super::*;

    #[test]
    fn a_lane_keeps_its_order() {
        let pool = Pool::new(4);
        let lane = pool.lane();
        let (done, order) = mpsc::channel();
        for number in 0..100 {
            let done = done.clone();
            lane.push(Box::new(move || done.send(number).unwrap()));
        }
        drop(done);
        assert_eq!(
            order.iter().collect::<Vec<_>>(),
            (0..100).collect::<Vec<_>>()
        );
    }

    #[test]
    fn lanes_take_turns() {
        let pool = Pool::new(1);
        let (first, second) = (pool.lane(), pool.lane());
        let (done, order) = mpsc::channel();
        let (go, gate) = mpsc::channel::<()>();
        first.push(Box::new(move || gate.recv().unwrap()));
        for (lane, name) in [(&first, 'a'), (&first, 'a'), (&first, 'a'), (&second, 'b')] {
            let done = done.clone();
            lane.push(Box::new(move || done.send(name).unwrap()));
        }
        drop(done);
        go.send(()).unwrap();
        let order: String = order.iter().collect();
        // `first` went to the back of the queue after its opening task.
        assert_eq!(order, "baaa");
    }

    #[test]
    fn lanes_run_side_by_side_up_to_the_limit() {
        let pool = Pool::new(3);
        let together = Arc::new(Barrier::new(3));
        let (done, finished) = mpsc::channel();
        let lanes: Vec<_> = (0..3).map(|_| pool.lane()).collect();
        for lane in &lanes {
            let (together, done) = (Arc::clone(&together), done.clone());
            lane.push(Box::new(move || {
                together.wait();
                done.send(()).unwrap();
            }));
        }
        drop(done);
        assert_eq!(finished.iter().count(), 3);
        assert_eq!(pool.0.state().threads, 3);
    }

    #[test]
    fn a_panic_neither_kills_the_thread_nor_the_lane() {
        let pool = Pool::new(1);
        let lane = pool.lane();
        let (done, finished) = mpsc::channel();
        lane.push(Box::new(|| panic!("on purpose")));
        lane.push(Box::new(move || done.send(()).unwrap()));
        finished.recv().expect("the second task runs");
    }

    #[test]
    fn work_given_before_the_pool_is_dropped_is_done() {
        let pool = Pool::new(2);
        let lane = pool.lane();
        let (done, finished) = mpsc::channel();
        for _ in 0..10 {
            let done = done.clone();
            lane.push(Box::new(move || done.send(()).unwrap()));
        }
        drop((pool, lane, done));
        assert_eq!(finished.iter().count(), 10);
    }
}
