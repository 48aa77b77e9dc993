//! Heavy work: reads that would keep the processor from signups.
//!
//! Lanes, all bounded. Work on the present runs in short pieces, each of which waits for a turn; there are
//! half as many turns as cores, at least one, granted in FIFO order. Work that cannot be cut into pieces, on
//! the past and on the search index, has a lane for each of the two, with one request at a time. A request
//! that arrives when too many wait is refused (503) before anything is done.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, available_parallelism},
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::Semaphore,
    task::JoinError,
};

use super::limits::{BREATH, HEAVY_WAITING_MAX, REST_MIN, SINGLE_WAIT, SINGLE_WAITING_MAX};
use crate::metrics::{Lane, Metrics};

/// Too many requests are waiting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// A lane that works on one request at a time.
struct Single {
    lane: Lane,
    turn: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Single {
    fn new(lane: Lane) -> Self {
        Self { lane, turn: Arc::new(Semaphore::new(1)), waiting: AtomicUsize::new(0) }
    }
}

/// Turns for heavy work.
pub struct Heavy {
    turns: Semaphore,
    /// Pieces that wait for a turn.
    waiting: AtomicUsize,
    past: Single,
    search: Single,
    /// There is only one core: others get it after each piece, and as much time as pieces took.
    rests: bool,
    /// Microseconds that pieces took since the last rest.
    owed: AtomicU64,
    metrics: Arc<Metrics>,
}

impl Heavy {
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        let cores = available_parallelism().map_or(1, std::num::NonZero::get);
        Arc::new(Self {
            turns: Semaphore::new((cores / 2).max(1)),
            waiting: AtomicUsize::new(0),
            past: Single::new(Lane::Past),
            search: Single::new(Lane::Search),
            rests: cores == 1,
            owed: AtomicU64::new(0),
            metrics,
        })
    }

    /// Checks whether another request may begin heavy work. Asked once per request; its further pieces only
    /// wait.
    ///
    /// # Errors
    /// [`Full`].
    pub fn enter(&self) -> Result<(), Full> {
        if self.waiting.load(Ordering::Relaxed) < HEAVY_WAITING_MAX {
            return Ok(());
        }
        self.metrics.http.heavy_refused(Lane::Present);
        Err(Full)
    }

    /// Runs a piece of work when its turn comes, off the threads that serve requests. A piece takes about a
    /// millisecond at most.
    pub async fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        let waiting = Waiting::begin(&self.waiting, &self.metrics);
        let _turn = self.turns.acquire().await.expect("it is never closed");
        drop(waiting);
        let (done, took) = off_the_workers(|| {
            let begin = Instant::now();
            let done = work();
            let took = begin.elapsed();
            if self.rests {
                thread::sleep(BREATH);
            }
            (done, took)
        });
        if self.rests
            && let Some(rest) = self.rest_after(took)
        {
            tokio::time::sleep(rest).await;
        }
        done
    }

    /// The rest that is due after a piece. Short pieces share one: the runtime sleeps a millisecond at least,
    /// which is fifty times as long as a short page takes.
    fn rest_after(&self, took: Duration) -> Option<Duration> {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let owed = self.owed.fetch_add(took, Ordering::Relaxed).saturating_add(took);
        let is_due = u128::from(owed) >= REST_MIN.as_micros();
        is_due.then(|| {
            self.owed.store(0, Ordering::Relaxed);
            Duration::from_micros(owed)
        })
    }

    /// Runs work on the past, alone. It runs to its end even if its caller is gone, and keeps its turn until
    /// then.
    ///
    /// # Errors
    /// [`Full`] when too many wait, or the previous work took too long. The thread's error when the work
    /// panicked.
    pub async fn run_on_past<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<Result<R, JoinError>, Full> {
        self.run_alone(&self.past, work).await
    }

    /// The same for searches, the first of which builds an index of all members.
    ///
    /// # Errors
    /// As [`Heavy::run_on_past`].
    pub async fn run_search<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<Result<R, JoinError>, Full> {
        self.run_alone(&self.search, work).await
    }

    async fn run_alone<R: Send + 'static>(
        &self,
        single: &Single,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<Result<R, JoinError>, Full> {
        let refused = || {
            self.metrics.http.heavy_refused(single.lane);
            Full
        };
        let waiting = Waiting::begin(&single.waiting, &self.metrics);
        if SINGLE_WAITING_MAX < single.waiting.load(Ordering::Relaxed) {
            return Err(refused());
        }
        let turn = tokio::time::timeout(SINGLE_WAIT, Arc::clone(&single.turn).acquire_owned())
            .await
            .map_err(|_| refused())?;
        drop(waiting);
        let turn = turn.expect("it is never closed");
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        Ok(done.await)
    }
}

/// Runs work that blocks its thread: meanwhile the runtime serves others on another thread.
fn off_the_workers<R>(work: impl FnOnce() -> R) -> R {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        // A runtime of one thread, as tests have, has no other.
        _ => work(),
    }
}

/// Counts as waiting until dropped.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    metrics: &'a Metrics,
}

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize, metrics: &'a Metrics) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        metrics.http.heavy_waiting.increment(1.0);
        Self { count, metrics }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.metrics.http.heavy_waiting.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    fn heavy(turns: usize) -> Arc<Heavy> {
        let heavy = Heavy::new(Metrics::new(&[]));
        Arc::new(Heavy {
            turns: Semaphore::new(turns),
            rests: false,
            ..Arc::into_inner(heavy).expect("nobody else has it")
        })
    }

    /// However many ask, concurrent work never exceeds the number of turns, and everybody gets one.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_more_work_at_once_than_there_are_turns() {
        let heavy = heavy(2);
        let (at_work, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let pieces: Vec<_> = (0..64)
            .map(|_| {
                let (heavy, at_work, most) = (Arc::clone(&heavy), Arc::clone(&at_work), Arc::clone(&most));
                let work = move || {
                    most.fetch_max(at_work.fetch_add(1, Ordering::AcqRel) + 1, Ordering::AcqRel);
                    std::thread::yield_now();
                    at_work.fetch_sub(1, Ordering::AcqRel);
                };
                tokio::spawn(async move { heavy.run(work).await })
            })
            .collect();
        for piece in pieces {
            piece.await.unwrap();
        }
        assert!((1..=2).contains(&most.load(Ordering::Acquire)));
        assert_eq!(heavy.waiting.load(Ordering::Acquire), 0);
    }

    #[test]
    fn rests_add_up_to_what_pieces_took() {
        let heavy = heavy(1);
        let rests = |micros: u64, pieces: u32| -> (u32, Duration) {
            let rests = (0..pieces).filter_map(|_| heavy.rest_after(Duration::from_micros(micros)));
            rests.fold((0, Duration::ZERO), |(count, sum), rest| (count + 1, sum + rest))
        };
        assert_eq!(rests(20, 500), (10, Duration::from_millis(10)), "short ones share a rest");
        assert_eq!(rests(2_500, 4), (4, Duration::from_millis(10)), "each long one has its own");
        assert_eq!(rests(0, 1_000), (0, Duration::ZERO));
    }

    #[tokio::test]
    async fn a_request_is_refused_when_too_many_wait() {
        let heavy = heavy(1);
        let turn = heavy.turns.acquire().await.unwrap();
        let mut waiting: Vec<_> = (0..HEAVY_WAITING_MAX).map(|_| Box::pin(heavy.run(|| ()))).collect();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        for piece in &mut waiting {
            assert!(piece.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(heavy.enter(), Err(Full));
        waiting.pop();
        assert_eq!(heavy.enter(), Ok(()), "one that left makes room");
        drop(turn);
        for piece in waiting {
            piece.await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_past_is_worked_on_by_one_and_work_that_nobody_waits_for_keeps_its_turn() {
        let heavy = heavy(1);
        let go = Arc::new(AtomicBool::new(false));
        let begun = Arc::new(AtomicBool::new(false));
        let work = {
            let (go, begun) = (Arc::clone(&go), Arc::clone(&begun));
            move || {
                begun.store(true, Ordering::Release);
                while !go.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
            }
        };
        let lane = Arc::clone(&heavy);
        let client = tokio::spawn(async move { lane.run_on_past(work).await.is_ok() });
        while !begun.load(Ordering::Acquire) {
            tokio::task::yield_now().await;
        }
        client.abort();
        assert!(client.await.is_err());
        assert_eq!(heavy.past.turn.available_permits(), 0, "it is still at work");
        go.store(true, Ordering::Release);
        assert_eq!(heavy.run_on_past(|| 7).await.unwrap().unwrap(), 7);
    }
}
