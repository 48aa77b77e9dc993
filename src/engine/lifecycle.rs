//! The threads of an engine: startup and shutdown.

use std::{
    any::Any,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{
    EngineOptions, MemberDirectory, OpenError, OpenReport, RowIds, ShutdownReport, SnapshotError,
    SnapshotInfo,
    clock::ClockGuard,
    history::History,
    limits,
    marks::Marks,
    periods::PeriodKeeper,
    sealed::files::SealedFiles,
    search::SearchIndex,
    shared::Shared,
    snapshotter::{SnapshotDesk, SnapshotSink, Snapshotter},
    sync::{self, AtomicBool, JoinHandle, Mutex, OnceLock, RwLock},
    ticker::{Ticker, TickerDesk},
    view_desk::ViewDesk,
    writer::{Job, Writer},
};
use crate::{
    core::state::State,
    durability::{Journal, SnapshotStore},
};

/// The part shared by all clones of an engine.
pub(super) struct Inner {
    pub shared: Arc<Shared>,
    /// The only strong sender; taken on shutdown, so that the writer ends.
    pub queue: RwLock<Option<mpsc::Sender<Job>>>,
    pub queue_max: usize,
    /// The largest command that the log takes.
    pub command_bytes_max: usize,
    pub desk: Arc<SnapshotDesk>,
    pub search: SearchIndex,
    /// Held while a command with a preparation is in flight.
    pub preparing: tokio::sync::Mutex<()>,
    /// The snapshots on disk; `None` only in tests.
    pub store: Option<SnapshotStore>,
    pub ticker: Arc<TickerDesk>,
    /// Whether this engine opens and closes periods.
    pub keeps_periods: bool,
    threads: Mutex<Threads>,
    final_snapshot: bool,
    pub opened: OpenReport,
}

#[derive(Default)]
struct Threads {
    writer: Option<JoinHandle<()>>,
    snapshotter: Option<JoinHandle<()>>,
    ticker: Option<JoinHandle<()>>,
    /// The report of `shutdown`.
    report: Option<ShutdownReport>,
    /// Locks the directory until the threads have ended.
    lock: Option<Box<dyn Any + Send>>,
}

/// What opening hands to the threads.
pub(super) struct Parts {
    pub history: History,
    pub sealed: SealedFiles,
    pub state: State,
    pub directory: MemberDirectory,
    pub journal: Box<dyn Journal>,
    pub sink: Box<dyn SnapshotSink>,
    pub store: Option<SnapshotStore>,
    pub newest_snapshot: SnapshotInfo,
    pub instance_id: [u8; 16],
    pub network_id: u32,
    pub row_key: u64,
    /// Locks the directory; dropped last.
    pub lock: Box<dyn Any + Send>,
    pub report: OpenReport,
}

impl Inner {
    /// Starts the threads, and opens and closes the periods that are due.
    ///
    /// # Errors
    /// `Thread` when one cannot be started; those that were are ended.
    pub fn start(parts: Parts, options: EngineOptions) -> Result<Arc<Self>, OpenError> {
        let Assembled { inner, writer, snapshotter, keeper, ticker_queue } = assemble(parts, options);
        let (shared, desk) = (Arc::clone(&inner.shared), Arc::clone(&inner.ticker));
        let mut ticker = Ticker { shared, queue: ticker_queue, keeper };
        {
            // If one cannot be started, dropping `inner` ends the others.
            let mut threads = inner.threads.lock();
            threads.writer = Some(spawn("upline-writer", move || writer.run())?);
            threads.snapshotter = Some(spawn("upline-snapshot", move || snapshotter.run())?);
            // Before anything is served, so that the first order finds its period.
            ticker.keep_periods();
            threads.ticker = Some(spawn("upline-ticker", move || ticker.run(&desk))?);
        }
        Ok(inner)
    }

    /// See `Engine::shutdown_within`; `None`: no time limit.
    pub fn shutdown(&self, within: Option<Duration>) -> ShutdownReport {
        let deadline = within.and_then(|within| Instant::now().checked_add(within));
        let mut threads = self.threads.lock();
        if let Some(report) = &threads.report {
            return report.clone();
        }
        self.shared.stop();
        let sender = self.queue.read().clone();
        if let Some(queue) = &sender {
            drain(queue, deadline);
        }
        let mut answer = self.final_snapshot.then(|| self.desk.stop_after_final());
        if answer.is_none() {
            self.desk.stop();
        }
        let mut left = Vec::new();
        if let Some(snapshotter) = join_until(threads.snapshotter.take(), deadline) {
            // Out of time: the snapshot is abandoned between two chunks.
            self.desk.stop();
            left.extend(join_until(Some(snapshotter), Some(Instant::now() + limits::GIVE_UP_AFTER)));
        }
        let snapshot =
            answer.as_mut().map(|answer| answer.try_recv().unwrap_or(Err(SnapshotError::Stopping)));
        self.ticker.stop();
        join(threads.ticker.take());
        // The writer ends when no sender is left; jobs queued meanwhile are done first.
        drop(sender);
        self.queue.write().take();
        let writer_deadline = deadline.map(|deadline| deadline.max(Instant::now() + limits::GIVE_UP_AFTER));
        left.extend(join_until(threads.writer.take(), writer_deadline));
        release(threads.lock.take(), left);
        let report = ShutdownReport { lsn: self.shared.marks.applied(), snapshot };
        tracing::info!(lsn = report.lsn, snapshot = matches!(report.snapshot, Some(Ok(_))), "stopped");
        threads.report = Some(report.clone());
        report
    }
}

/// An assembled engine and its workers, not yet started.
pub(super) struct Assembled {
    pub inner: Arc<Inner>,
    pub writer: Writer,
    pub snapshotter: Snapshotter,
    pub keeper: Option<PeriodKeeper>,
    pub ticker_queue: mpsc::WeakSender<Job>,
}

/// Assembles an engine. It does nothing until threads, or the owner of a `SteppedEngine`, take the steps of
/// its writer and its snapshotter.
pub(super) fn assemble(parts: Parts, options: EngineOptions) -> Assembled {
    let metrics = options.metrics;
    let queue_max = options.queue_max.clamp(1, limits::QUEUE_LIMIT);
    let report = parts.report;
    metrics.recovery.cuts.absolute(report.cuts.len() as u64);
    metrics.recovery.fallbacks.absolute(report.fallbacks.len() as u64);
    metrics.recovery.replayed_commands.set(report.replayed as f64);
    metrics.recovery.seconds.set(report.duration.as_secs_f64());
    metrics.recovery.clock_ahead_seconds.set(report.clock_ahead.as_secs_f64());
    metrics.snapshots.bytes.set(parts.newest_snapshot.bytes as f64);
    metrics.writes.queue_capacity.set(queue_max as f64);

    let last = (parts.state.lsn() != 0).then(|| parts.state.time());
    let marks = Marks::opened(parts.newest_snapshot.lsn, parts.state.lsn());
    let has_carried_row_ids = parts.state.carried_row_ids() != 0;
    let shared = Arc::new(Shared {
        state: RwLock::new(parts.state),
        directory: parts.directory,
        marks,
        poison: OnceLock::new(),
        stopping: AtomicBool::new(false),
        metrics,
        clock: ClockGuard::opened(options.clock, options.boot_clock, options.clock_jump_max, last),
        row_ids: RowIds::new(parts.row_key),
        has_carried_row_ids: AtomicBool::new(has_carried_row_ids),
        instance_id: parts.instance_id,
        network_id: parts.network_id,
        log: Mutex::default(),
        log_health: parts.journal.health(),
        views: ViewDesk::new(),
        history: parts.history,
        sealed: parts.sealed,
    });
    let (sender, receiver) = mpsc::channel(queue_max);
    let desk = Arc::new(SnapshotDesk::new(parts.newest_snapshot));
    let command_bytes_max = parts.journal.group_bytes_max();
    let writer = Writer::new(Arc::clone(&shared), parts.journal, receiver);
    let snapshotter = Snapshotter {
        refreshed_at: None,
        shared: Arc::clone(&shared),
        desk: Arc::clone(&desk),
        policy: options.snapshots,
        sink: parts.sink,
        queue: sender.downgrade(),
    };
    let keeper = options.missing_periods.map(|missing| PeriodKeeper::new(Arc::clone(&shared), missing));
    let ticker_queue = sender.downgrade();
    let inner = Arc::new(Inner {
        search: SearchIndex::new(),
        preparing: tokio::sync::Mutex::default(),
        queue_max,
        command_bytes_max,
        ticker: Arc::new(TickerDesk::default()),
        keeps_periods: keeper.is_some(),
        desk,
        store: parts.store,
        threads: Mutex::new(Threads { lock: Some(parts.lock), ..Threads::default() }),
        final_snapshot: options.snapshots.on_shutdown,
        opened: report,
        // The only strong sender: when it is dropped, the writer ends.
        queue: RwLock::new(Some(sender)),
        shared,
    });
    Assembled { inner, writer, snapshotter, keeper, ticker_queue }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.stop();
        self.desk.stop();
        self.ticker.stop();
        self.queue.get_mut().take();
        let threads = self.threads.get_mut();
        join(threads.snapshotter.take());
        join(threads.ticker.take());
        join(threads.writer.take());
    }
}

/// Waits until everything that is queued now is answered, or the deadline has passed: a hung disk never
/// answers. No blocking tokio call: those panic inside a runtime, and shutdown must not.
fn drain(queue: &mpsc::Sender<Job>, deadline: Option<Instant>) {
    let (done, drained) = sync::sync_channel(1);
    let mut fence = Job::Fence(done);
    loop {
        match queue.try_send(fence) {
            Ok(()) => break,
            Err(mpsc::error::TrySendError::Full(job)) => fence = job,
            Err(mpsc::error::TrySendError::Closed(_)) => return,
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return;
        }
        sync::sleep(limits::DRAIN_RETRY);
    }
    // An error means that the writer has ended, so there is nothing to wait for, or that time is up.
    match deadline {
        None => _ = drained.recv(),
        Some(deadline) => _ = drained.recv_timeout(deadline.saturating_duration_since(Instant::now())),
    }
}

/// Joins a thread; returns it if it still runs at the deadline.
fn join_until(thread: Option<JoinHandle<()>>, deadline: Option<Instant>) -> Option<JoinHandle<()>> {
    let thread = thread?;
    while let Some(deadline) = deadline
        && !thread.is_finished()
    {
        if deadline <= Instant::now() {
            return Some(thread);
        }
        sync::sleep(limits::DRAIN_RETRY);
    }
    join(Some(thread));
    None
}

/// Frees the directory, at once or when the remaining threads have ended. If the process exits before, it
/// cuts them off like any crash: nothing acknowledged depends on them.
fn release(lock: Option<Box<dyn Any + Send>>, left: Vec<JoinHandle<()>>) {
    if left.is_empty() {
        return drop(lock);
    }
    tracing::warn!(threads = left.len(), "stopped before all threads had ended: the time limit was reached");
    let ended = sync::spawn("upline-ending", move || {
        for thread in left {
            join(Some(thread));
        }
        drop(lock);
    });
    if let Err(error) = ended {
        tracing::error!(%error, "no thread to wait for the others");
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    sync::spawn(name, run).map_err(OpenError::Thread)
}

fn join(thread: Option<JoinHandle<()>>) {
    // The writer aborts on a panic; for the other threads the panic itself is the report.
    if let Some(thread) = thread
        && thread.join().is_err()
    {
        tracing::error!("a thread of the engine had panicked");
    }
}
