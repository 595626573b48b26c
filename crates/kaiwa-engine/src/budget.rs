use std::{
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use rten::ThreadPool;

/// The cores of this machine, shared by every engine in the process.
///
/// Heavy work (a decoder step, a clause of speech, an utterance's encoder) is done
/// inside a [`Slot`]: while one is held, no other engine computes, and the holder may
/// use [`threads`](Self::threads) threads. Two engines that each start as many threads
/// as there are cores make each other many times slower: llama.cpp's threads meet at a
/// spinning barrier some 500 times a token, and with another program on the cores two of
/// them read 6 tokens/s where one read 43. Taking turns in steps of 10-100 ms is faster
/// than running at once. Other programs take no slots, so that the language model also
/// watches its own pace.
///
/// Waiting slots are served urgent ones first, then in the order of their arrival.
/// Voice activity detection does not take slots: it runs on a pool of its own with one
/// thread (0.23 ms in every 32 ms were measured beside eight busy compilers on two
/// cores), so inference never starves it, and its thread needs no priority.
#[derive(Clone)]
pub struct ComputeBudget(Arc<Inner>);

struct Inner {
    threads: usize,
    pool: Arc<ThreadPool>,
    vad_pool: Arc<ThreadPool>,
    queue: Mutex<Queue>,
    freed: Condvar,
}

#[derive(Default)]
struct Queue {
    busy: bool,
    next_ticket: u64,
    /// Waiting tickets: urgent first, then by number.
    waiting: Vec<(bool, u64)>,
}

impl ComputeBudget {
    /// A budget of `threads` threads; `None` takes one per core.
    pub fn new(threads: Option<NonZeroUsize>) -> Self {
        let threads = threads
            .or_else(|| thread::available_parallelism().ok())
            .map_or(1, NonZeroUsize::get);
        Self(Arc::new(Inner {
            threads,
            pool: Arc::new(ThreadPool::with_num_threads(threads)),
            vad_pool: Arc::new(ThreadPool::with_num_threads(1)),
            queue: Mutex::default(),
            freed: Condvar::new(),
        }))
    }

    /// Threads the holder of a slot may use.
    pub fn threads(&self) -> usize {
        self.0.threads
    }

    /// The pool that runs ONNX networks and matrix products inside a slot.
    pub(crate) fn pool(&self) -> Arc<ThreadPool> {
        Arc::clone(&self.0.pool)
    }

    /// The pool of voice activity detection.
    pub(crate) fn vad_pool(&self) -> Arc<ThreadPool> {
        Arc::clone(&self.0.vad_pool)
    }

    /// Waits for the machine. Urgent work (the first clause somebody is waiting for) goes
    /// before work that is ahead of playback anyway.
    ///
    /// Hold the slot for one step (well under 100 ms where possible) and never across a
    /// call of a sink, which may block.
    pub fn slot(&self, urgent: bool) -> Slot<'_> {
        let mut queue = self.queue();
        let ticket = queue.next_ticket;
        queue.next_ticket += 1;
        // `false < true`: the key of an urgent ticket sorts first.
        let key = (!urgent, ticket);
        let at = queue.waiting.partition_point(|other| *other < key);
        queue.waiting.insert(at, key);
        while queue.busy || queue.waiting.first() != Some(&key) {
            queue = self
                .0
                .freed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        queue.waiting.remove(0);
        queue.busy = true;
        Slot { budget: self }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // The queue is valid at every step, also when a holder panicked.
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ComputeBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComputeBudget")
            .field("threads", &self.0.threads)
            .finish_non_exhaustive()
    }
}

/// The right to compute on all of the budget's threads, until dropped.
#[derive(Debug)]
#[must_use = "the slot is given back when it is dropped"]
pub struct Slot<'a> {
    budget: &'a ComputeBudget,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.budget.queue().busy = false;
        self.budget.0.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn urgent_work_goes_first() {
        let budget = ComputeBudget::new(NonZeroUsize::new(1));
        let held = budget.slot(false);
        let (done, order) = mpsc::channel();
        let wait_for_queue = |length| {
            while budget.queue().waiting.len() < length {
                thread::yield_now();
            }
        };
        thread::scope(|scope| {
            for (position, urgent) in [false, false, true].into_iter().enumerate() {
                let (done, budget) = (done.clone(), &budget);
                scope.spawn(move || {
                    let _slot = budget.slot(urgent);
                    done.send(position)
                        .expect("the receiver outlives the scope");
                });
                wait_for_queue(position + 1);
            }
            drop(held);
        });
        drop(done);
        assert_eq!(order.iter().collect::<Vec<_>>(), [2, 0, 1]);
    }

    #[test]
    fn a_panicking_holder_gives_its_slot_back() {
        let budget = ComputeBudget::new(NonZeroUsize::new(1));
        let other = budget.clone();
        let panicked = thread::spawn(move || {
            let _slot = other.slot(false);
            panic!("on purpose");
        })
        .join();
        assert!(panicked.is_err());
        drop(budget.slot(false));
    }
}
