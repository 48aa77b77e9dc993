//! The engine joins rules and bytes: one writer, many readers.
//!
//! # What this layer does
//!
//! It owns the [`State`] behind a lock, the directory from outside ids to indexes, the log and the snapshots, and holds them in one order. It
//! decides, once, what is not determined: the time of a command, the keys of a new instance.
//!
//! # What it does not know
//!
//! No rule of the network (that is `core`), no byte on disk (that is `durability`), no wire format, status code or route (that is `http`), no
//! configuration file. It does not use serde or axum.
//!
//! # The write path
//!
//! ```text
//! submit: check under the read lock -> bounded queue
//! writer: take all that waits -> stamp -> append -> sync -> apply in slices -> publish -> answer
//! ```
//!
//! `writer.rs` holds the order in one function. There is no timer: a group is what piled up during the last sync. What breaks a rule
//! against the present state is refused before the log, and its answer names the LSN it was judged at; only races reach the
//! log, and `State::apply` judges them. Nothing that is not durable is ever applied, so whatever a reader can see has survived a sync.
//!
//! The first failed append or sync poisons the writer for good: writes that wait for it answer [`SubmitError::OutcomeUnknown`], later ones
//! [`SubmitError::ReadOnly`], reads go on. A panic in the writer thread aborts the process: it could only be our bug, in the one
//! place where going on could show or lose something wrongly.
//!
//! # Lock rules
//!
//! 1. The state's lock is taken for writing by the writer thread for at most `APPLY_SLICE_MAX` commands, and for O(1) to begin and end a frozen
//!    view. Between slices it is handed over fairly, so readers wait for one slice, not for a group; and a waiting writer holds new readers
//!    back, so readers cannot starve it.
//! 2. It is taken for reading for short, bounded work: [`Engine::read`]. No `read` inside a `read` (a writer that waits between the two would
//!    stop both), no blocking and no await in it.
//! 3. Work that grows with the network uses [`Engine::frozen_view`].
//! 4. The directory's maps lock their shards inside one call each; no guard leaves `directory.rs`.
//! 5. Order, where two are held: view mutex, then state lock, then a directory shard. Never the other way.

use std::{
    any::Any,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};
use tokio::sync::{mpsc, oneshot};

mod open;
mod writer;

mod directory;
mod row_id;
mod shared;
mod snapshotter;
mod ticker;

mod error;
pub mod limits;
mod status;

pub use self::{
    directory::MemberDirectory,
    error::{OpenError, SnapshotError, SubmitError},
    open::{Loaded, load},
    row_id::{RowIds, RowKind},
    status::{EngineStatus, LogFigures, OpenProgress, OpenReport, ShutdownReport, SnapshotInfo, Watermarks},
};
use self::{
    shared::{Marks, Shared},
    snapshotter::{SnapshotDesk, SnapshotSink, Snapshotter},
    ticker::TickerStop,
    writer::{Job, Write, Writer},
};
pub use crate::core::{
    Digest, Entry, Member, NextRank, RankView,
    command::{
        Applied, Command, ImportEntry, Origin, Outcome, PlacementRequest, Register, Rejection, RequestKey, SponsorRef, Stamped,
        TriggerBonus,
    },
    network_digest,
    plan::{BonusRule, Currency, KIND_REGISTRATION, LevelPay, Placement, PlacementRule, Plan, PlanError, RankBasis, RankRule, RankStep},
    state::{Directory, State, Verdict},
    state_digest,
    types::{BasisPoints, CODE_BYTES_MAX, Code, EntryStatus, LEVELS_MAX, MemberId, MemberIx, Money, Role, Status, Timestamp, Tree},
};
pub use crate::durability::{
    Error as DurabilityError, LogOptions, Retention,
    storage::{Disk, Storage},
};
use crate::{
    durability::Journal,
    metrics::{Metrics, RejectionStage},
};

/// The clock that commands are stamped with. Only the writer asks it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What opening needs to know.
pub struct EngineOptions {
    pub data_dir: PathBuf,
    pub plan: PlanChoice,
    /// Written into a new directory; an existing one keeps its own.
    pub network_id: u32,
    pub snapshots: SnapshotPolicy,
    /// Segment size and retention of the log.
    pub log: LogOptions,
    /// The disk, or what a test puts in its place.
    pub storage: Arc<dyn Storage>,
    /// Writes that may wait; beyond that `submit` answers `Overloaded`.
    pub queue_max: usize,
    pub metrics: Arc<Metrics>,
    pub clock: Clock,
    /// Called now and then while opening, from the opening thread.
    pub progress: Option<Box<dyn FnMut(OpenProgress) + Send>>,
}

impl EngineOptions {
    /// What must be chosen; the rest is as most want it.
    pub fn new(data_dir: PathBuf, plan: PlanChoice, metrics: Arc<Metrics>) -> Self {
        Self {
            data_dir,
            plan,
            network_id: 1,
            snapshots: SnapshotPolicy::default(),
            log: LogOptions::default(),
            storage: Disk::shared(),
            queue_max: limits::QUEUE_MAX,
            metrics,
            clock: system_clock(),
            progress: None,
        }
    }
}

/// The plan for a new directory, and what of it an existing directory must agree with.
#[derive(Clone, PartialEq, Debug)]
pub struct PlanChoice {
    pub plan: Plan,
    /// Somebody asked for this plan: a directory with another one is refused.
    pub plan_is_explicit: bool,
    /// Somebody asked for this width: a directory with another one is refused.
    pub width_is_explicit: bool,
}

/// When snapshots are made beside those on demand. Nothing is written when nothing changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotPolicy {
    /// After so many commands; `None`: not by count.
    pub every_commands: Option<u64>,
    /// After so much time; `None`: not by time.
    pub every: Option<Duration>,
    /// When the engine is shut down.
    pub on_shutdown: bool,
}

impl Default for SnapshotPolicy {
    fn default() -> Self {
        Self { every_commands: Some(limits::SNAPSHOT_EVERY_COMMANDS), every: Some(limits::SNAPSHOT_EVERY), on_shutdown: true }
    }
}

/// The system's clock, in microseconds UTC.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    })
}

/// What a write came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The outcome and its LSN. For a refusal before the log: the LSN of the state it was judged against.
    pub applied: Applied,
    pub by: AnsweredBy,
}

/// How an answer was found. All three are final and durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnsweredBy {
    /// The command was logged and applied. (If an earlier one of the same key was faster, the outcome and LSN are its.)
    Log,
    /// It broke a rule before the log.
    Admission,
    /// An earlier command with the same key had done it.
    Repeat,
}

/// The engine. Cheap to clone; all clones are one engine. When the last clone is dropped, what is queued is still
/// written, and the threads are joined, without a final snapshot: prefer [`Engine::shutdown`].
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    /// The only strong sender; gone once stopped, so that the writer ends.
    queue: RwLock<Option<mpsc::Sender<Job>>>,
    queue_max: usize,
    /// The largest command that the log takes.
    command_bytes_max: usize,
    desk: Arc<SnapshotDesk>,
    ticker: Arc<TickerStop>,
    threads: Mutex<Threads>,
    final_snapshot: bool,
    opened: OpenReport,
}

#[derive(Default)]
struct Threads {
    writer: Option<JoinHandle<()>>,
    snapshotter: Option<JoinHandle<()>>,
    ticker: Option<JoinHandle<()>>,
    /// What `shutdown` answered.
    report: Option<ShutdownReport>,
    /// Keeps others out of the directory until the threads have ended.
    lock: Option<Box<dyn Any + Send>>,
}

/// What opening hands to the threads.
struct Parts {
    state: State,
    directory: MemberDirectory,
    journal: Box<dyn Journal>,
    sink: Box<dyn SnapshotSink>,
    newest_snapshot: SnapshotInfo,
    instance_id: [u8; 16],
    network_id: u32,
    row_key: u64,
    /// Keeps others out of the directory; dropped last.
    lock: Box<dyn Any + Send>,
    report: OpenReport,
}

impl Engine {
    /// Opens the data directory, or makes it, and starts the threads. Nothing is served before this returns. Blocks for as long as
    /// loading and replay take.
    ///
    /// # Errors
    /// Damage, a foreign or locked directory, a plan that differs, a replay that differs: see [`OpenError`].
    pub fn open(mut options: EngineOptions) -> Result<(Self, OpenReport), OpenError> {
        let parts = open::open(&mut options)?;
        let report = parts.report.clone();
        let engine = Self::start(parts, options)?;
        Ok((engine, report))
    }

    /// Starts the threads.
    fn start(parts: Parts, options: EngineOptions) -> Result<Self, OpenError> {
        let metrics = options.metrics;
        let report = parts.report;
        metrics.recovery.cuts.absolute(report.cuts.len() as u64);
        metrics.recovery.fallbacks.absolute(report.fallbacks.len() as u64);
        metrics.recovery.replayed_commands.set(report.replayed as f64);
        metrics.recovery.seconds.set(report.duration.as_secs_f64());
        metrics.snapshots.bytes.set(parts.newest_snapshot.bytes as f64);
        metrics.writes.queue_capacity.set(options.queue_max as f64);

        let marks = Marks::opened(parts.newest_snapshot.lsn, parts.state.lsn());
        let shared = Arc::new(Shared {
            state: RwLock::new(parts.state),
            directory: parts.directory,
            marks,
            poison: OnceLock::new(),
            stopping: AtomicBool::new(false),
            metrics,
            clock: options.clock,
            row_ids: RowIds::new(parts.row_key),
            instance_id: parts.instance_id,
            network_id: parts.network_id,
            log: Mutex::default(),
            view: Mutex::default(),
        });
        let (sender, receiver) = mpsc::channel(options.queue_max);
        let desk = Arc::new(SnapshotDesk::new(parts.newest_snapshot));
        let ticker = Arc::new(TickerStop::default());
        let command_bytes_max = parts.journal.group_bytes_max();
        let writer = Writer::new(Arc::clone(&shared), parts.journal, receiver);
        let snapshotter = Snapshotter {
            shared: Arc::clone(&shared),
            desk: Arc::clone(&desk),
            policy: options.snapshots,
            sink: parts.sink,
            queue: sender.downgrade(),
        };
        let queue = sender.downgrade();
        let inner = Arc::new(Inner {
            queue_max: options.queue_max,
            command_bytes_max,
            ticker: Arc::clone(&ticker),
            desk,
            threads: Mutex::default(),
            final_snapshot: options.snapshots.on_shutdown,
            opened: report,
            // The only strong one: when it goes, the writer ends.
            queue: RwLock::new(Some(sender)),
            shared: Arc::clone(&shared),
        });
        {
            // If one cannot be started, dropping `inner` ends the others.
            let mut threads = inner.threads.lock();
            threads.lock = Some(parts.lock);
            threads.writer = Some(spawn("upline-writer", move || writer.run())?);
            threads.snapshotter = Some(spawn("upline-snapshot", move || snapshotter.run())?);
            threads.ticker = Some(spawn("upline-ticker", move || ticker::run(&shared, &queue, &ticker))?);
        }
        let engine = Self { inner };
        engine.refresh_metrics();
        Ok(engine)
    }

    /// Writes: returns when the command is durable and applied, or was refused by a rule.
    ///
    /// Dropping the future does not take the command back.
    ///
    /// # Errors
    /// Only when there is no outcome: see [`SubmitError`].
    ///
    /// # Panics
    /// When a plan in the command was not validated: our bug.
    pub async fn submit(&self, command: Command, key: Option<RequestKey>) -> Result<Answer, SubmitError> {
        let result = match self.admit(command, key) {
            Ok(Admitted::Answered(answer)) => return Ok(answer),
            // A writer that is gone without an answer took the write with it.
            Ok(Admitted::Queued(reply)) => reply.await.unwrap_or(Err(SubmitError::OutcomeUnknown)),
            Err(error) => Err(error),
        };
        self.conclude(result)
    }

    /// As [`Engine::submit`], for threads that may block. Panics inside an async runtime.
    ///
    /// # Errors
    /// As [`Engine::submit`].
    pub fn submit_blocking(&self, command: Command, key: Option<RequestKey>) -> Result<Answer, SubmitError> {
        let result = match self.admit(command, key) {
            Ok(Admitted::Answered(answer)) => return Ok(answer),
            Ok(Admitted::Queued(reply)) => reply.blocking_recv().unwrap_or(Err(SubmitError::OutcomeUnknown)),
            Err(error) => Err(error),
        };
        self.conclude(result)
    }

    /// Answers at once what needs no log, queues the rest.
    fn admit(&self, command: Command, key: Option<RequestKey>) -> Result<Admitted, SubmitError> {
        let shared = &self.inner.shared;
        if let Command::PutPlan(plan) = &command {
            // Logged, an invalid plan would make the log unreadable.
            assert_eq!(plan.validate(), Ok(()), "plans are validated where they come from");
        }
        if shared.is_stopping() {
            return Err(SubmitError::Stopping);
        }
        if shared.is_poisoned() {
            return Err(SubmitError::ReadOnly);
        }
        let (verdict, lsn) = self.read(|state, directory| (state.check(directory, key, &command), state.lsn()));
        match verdict {
            Verdict::Admit => {}
            Verdict::Reject(reason) => {
                shared.metrics.writes.rejection(reason, RejectionStage::Admission);
                let applied = Applied { outcome: Outcome::Rejected(reason), lsn };
                return Ok(Admitted::Answered(Answer { applied, by: AnsweredBy::Admission }));
            }
            Verdict::Repeat(applied) => {
                // Applied means durable: the sync comes before.
                shared.metrics.writes.repeats.increment(1);
                return Ok(Admitted::Answered(Answer { applied, by: AnsweredBy::Repeat }));
            }
        }
        if !writer::fits_the_log(&command, self.inner.command_bytes_max) {
            return Err(SubmitError::TooLarge);
        }
        let (reply, answer) = oneshot::channel();
        let write = Write { command, key, queued_at: Instant::now(), reply };
        let queue = self.inner.queue.read();
        let queue = queue.as_ref().ok_or(SubmitError::Stopping)?;
        queue.try_send(Job::Write(write)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SubmitError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => SubmitError::Stopping,
        })?;
        Ok(Admitted::Queued(answer))
    }

    fn conclude(&self, result: Result<Applied, SubmitError>) -> Result<Answer, SubmitError> {
        match result {
            Ok(applied) => Ok(Answer { applied, by: AnsweredBy::Log }),
            Err(error) => {
                self.inner.shared.metrics.writes.refusal(writer::refusal(error));
                Err(error)
            }
        }
    }

    /// Reads, short and bounded: everything `read` sees is of one LSN and durable. Lock rules 1 and 2 above.
    pub fn read<R>(&self, read: impl FnOnce(&State, &MemberDirectory) -> R) -> R {
        let state = self.inner.shared.state.read();
        read(&state, &self.inner.shared.directory)
    }

    /// An owned view of everything at one LSN, for work that grows with the network. Blocks while the view is copied (seconds, for ten
    /// million members), not holding anybody else up: call it from a thread that may block. One view is made at a time; it is shared if
    /// nothing changed since the last one that is still held.
    pub fn frozen_view(&self) -> Arc<State> {
        self.inner.shared.frozen_view()
    }

    /// Makes a snapshot, or shares the next one if one is running. If nothing changed since the last one, that one is the answer.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub async fn snapshot_now(&self) -> Result<SnapshotInfo, SnapshotError> {
        let answer = self.inner.desk.request()?;
        answer.await.unwrap_or(Err(SnapshotError::Stopping))
    }

    /// As [`Engine::snapshot_now`], for threads that may block. Panics inside an async runtime.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn snapshot_now_blocking(&self) -> Result<SnapshotInfo, SnapshotError> {
        let answer = self.inner.desk.request()?;
        answer.blocking_recv().unwrap_or(Err(SnapshotError::Stopping))
    }

    /// Whether writes are accepted: not stopping, not poisoned. O(1), takes no lock.
    pub fn ready(&self) -> bool {
        !self.inner.shared.is_stopping() && !self.inner.shared.is_poisoned()
    }

    /// Figures of the network, the log, the snapshots. O(1).
    pub fn status(&self) -> EngineStatus {
        let shared = &self.inner.shared;
        let snapshots = self.inner.desk.status();
        let log = *shared.log.lock();
        let free = self.inner.queue.read().as_ref().map_or(self.inner.queue_max, mpsc::Sender::capacity);
        let state = shared.state.read();
        EngineStatus {
            ready: self.ready(),
            stopping: shared.is_stopping(),
            poisoned: shared.poison.get().cloned(),
            instance_id: shared.instance_id,
            network_id: shared.network_id,
            lsn: shared.marks.get(),
            time: state.time(),
            members: state.len(),
            depth: state.depth(),
            entries: state.entries(),
            pending_entries: state.pending(),
            plan_version: state.plan_version(),
            queue_depth: self.inner.queue_max - free,
            queue_capacity: self.inner.queue_max,
            log,
            snapshot: snapshots.newest,
            snapshot_running: snapshots.running,
            snapshot_failures: snapshots.failures,
            snapshot_error: snapshots.error,
            opened: self.inner.opened.clone(),
        }
    }

    /// The metrics this engine was opened with.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.inner.shared.metrics
    }

    /// Sets the gauges that are not kept up to date by the writer (members, ranks, ledger, ages, sizes). Call it before rendering. O(ranks).
    pub fn refresh_metrics(&self) {
        let shared = &self.inner.shared;
        shared.refresh_metrics();
        let newest = self.inner.desk.status().newest;
        let age = (shared.clock)().0.saturating_sub(newest.made_at.0).max(0);
        shared.metrics.snapshots.age_seconds.set(age as f64 / 1e6);
    }

    /// The UUID of a member's row or a ledger entry. O(1), no lookup.
    pub fn row_id(&self, kind: RowKind, index: u64) -> [u8; 16] {
        self.inner.shared.row_ids.encode(kind, index)
    }

    /// What a row's UUID names, or `None` if this instance did not make it. The index may be beyond the rows that exist. O(1).
    pub fn row_of(&self, uuid: [u8; 16]) -> Option<(RowKind, u64)> {
        self.inner.shared.row_ids.decode(uuid)
    }

    /// The random number that names this data directory.
    pub fn instance_id(&self) -> [u8; 16] {
        self.inner.shared.instance_id
    }

    /// The network's number, as the directory was made with.
    pub fn network_id(&self) -> u32 {
        self.inner.shared.network_id
    }

    /// How opening went.
    pub fn open_report(&self) -> &OpenReport {
        &self.inner.opened
    }

    /// Stops: no more writes are accepted, what is queued is written and answered, a final snapshot is made (if the policy says so), the threads end
    /// and the directory is free. Reads go on. Blocks: call it from a thread that may. A second call waits for the first and gives the
    /// same report.
    pub fn shutdown(&self) -> ShutdownReport {
        self.inner.shutdown()
    }
}

enum Admitted {
    Answered(Answer),
    Queued(oneshot::Receiver<Result<Applied, SubmitError>>),
}

impl Inner {
    fn shutdown(&self) -> ShutdownReport {
        let mut threads = self.threads.lock();
        if let Some(report) = &threads.report {
            return report.clone();
        }
        self.shared.stopping.store(true, Ordering::Release);
        let sender = self.queue.read().clone();
        if let Some(queue) = &sender {
            drain(queue);
        }
        let mut answer = self.final_snapshot.then(|| self.desk.stop_after_final());
        if answer.is_none() {
            self.desk.stop();
        }
        join(threads.snapshotter.take());
        let snapshot = answer.as_mut().map(|answer| answer.try_recv().unwrap_or(Err(SnapshotError::Stopping)));
        self.ticker.stop();
        join(threads.ticker.take());
        // The writer ends when nobody is left who could ask for anything; what came in meanwhile is written first.
        drop(sender);
        self.queue.write().take();
        join(threads.writer.take());
        threads.lock = None;
        let report = ShutdownReport { lsn: self.shared.marks.applied(), snapshot };
        tracing::info!(lsn = report.lsn, snapshot = matches!(report.snapshot, Some(Ok(_))), "stopped");
        threads.report = Some(report.clone());
        report
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.desk.stop();
        self.ticker.stop();
        self.queue.get_mut().take();
        let threads = self.threads.get_mut();
        join(threads.snapshotter.take());
        join(threads.ticker.take());
        join(threads.writer.take());
    }
}

/// Waits until everything that is queued now is answered. No tokio call that blocks: those panic inside a runtime, and stopping must not.
fn drain(queue: &mpsc::Sender<Job>) {
    let (done, drained) = std::sync::mpsc::sync_channel(1);
    let mut fence = Job::Fence(done);
    loop {
        match queue.try_send(fence) {
            Ok(()) => break,
            Err(mpsc::error::TrySendError::Full(job)) => fence = job,
            Err(mpsc::error::TrySendError::Closed(_)) => return,
        }
        std::thread::sleep(limits::DRAIN_RETRY);
    }
    // An error means that the writer is gone: nothing is left to wait for.
    let _ = drained.recv();
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(OpenError::Thread)
}

fn join(thread: Option<JoinHandle<()>>) {
    // The writer aborts on a panic; one of the others is reported by the panic itself.
    if let Some(thread) = thread
        && thread.join().is_err()
    {
        tracing::error!("a thread of the engine had panicked");
    }
}

#[cfg(test)]
mod tests;
