//! The engine joins rules and bytes: one writer, many readers.
//!
//! # What this layer does
//!
//! It owns the [`State`] behind a lock, the directory from outside ids to indexes, the log and the snapshots,
//! and holds them in one order. It decides, once, what is not determined: the time of a command, the keys of
//! a new instance.
//!
//! # What it does not know
//!
//! No rule of the network (that is `core`), no byte on disk (that is `durability`), no wire format, status
//! code or route (that is `http`), no configuration file. It does not use serde or axum.
//!
//! # The write path
//!
//! ```text
//! submit: check under the read lock -> bounded queue
//! writer: take all that waits -> stamp -> append -> sync -> apply in slices -> publish -> answer
//! ```
//!
//! `writer.rs` holds the order in one function. There is no timer: a group is what piled up during the last
//! sync. What breaks a rule against the present state is refused before the log, and its answer names the LSN
//! it was judged at; only races reach the log, and `State::apply` judges them. Nothing that is not durable is
//! ever applied, so whatever a reader can see has survived a sync.
//!
//! The first failed append or sync poisons the writer for good: writes that wait for it answer
//! [`SubmitError::OutcomeUnknown`], later ones [`SubmitError::ReadOnly`], reads go on. A panic in the writer
//! thread aborts the process: it could only be our bug, in the one place where going on could show or lose
//! something wrongly.
//!
//! Syncing one group while the one before is applied is not done: applying takes a fifth of the time of a
//! sync, and in sequence the outcome hash that goes with a group is that of everything before it.
//!
//! # Threads
//!
//! The writer; the snapshotter (`snapshotter.rs`), which works on frozen views beside it; the ticker
//! (`ticker.rs`), which does what must happen when nothing happens. `lifecycle.rs` starts and ends them. Each
//! of them is a loop around steps; `stepped.rs` gives the steps without the loops, so that one thread can
//! take them in an order of its own.
//!
//! # Lock rules
//!
//! 1. The state's lock is taken for writing by the writer thread for at most `APPLY_SLICE_MAX` commands, and
//!    for O(1) to begin and end a frozen view, and now and then between its steps to take out what was kept
//!    for it. Between slices it is handed over fairly, so readers wait for one slice, not for a group; and a
//!    waiting writer holds new readers back, so readers cannot starve it. A plan change or a new admin is
//!    applied by itself and exchanges what was prepared (`prepare.rs`).
//! 2. It is taken for reading for short, bounded work: [`Engine::read`]. No `read` inside a `read` (a writer
//!    that waits between the two would stop both; it panics instead), no blocking and no await in it.
//! 3. Work that grows with the network uses [`Engine::frozen_view`].
//! 4. The directory's maps lock their shards inside one call each; no guard leaves `directory.rs`.
//! 5. The clock guard's mutex (`clock.rs`) is held for comparisons alone, and nothing is asked or locked
//!    meanwhile.
//! 6. Order, where two are held: the mutex of preparations, then view mutex, then state lock, then a
//!    directory shard. Never the other way.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};

mod clock;
pub mod limits;
mod options;

mod open;
mod writer;

mod directory;
mod history;
mod in_order;
mod lifecycle;
mod offline;
mod prepare;
mod row_id;
mod search;
mod shared;
mod snapshotter;
mod stepped;
mod sync;
mod ticker;

mod error;
mod status;

pub use self::{
    clock::{BootClock, Clock, ClockJump, ClockStanding, system_boot_clock, system_clock},
    directory::MemberDirectory,
    error::{OpenError, SnapshotError, SubmitError},
    history::{
        AuditFilter, AuditPage, COMMAND_KINDS, Cause, Effort, Event, Explanation, Fate, Feed, HistoryError,
        PaidBy,
    },
    in_order::PendingWrite,
    offline::{DIFFERENCES_NAMED_MAX, Digests, KeptSnapshot, PlanTrial, RankComparison},
    open::{Loaded, create, load},
    options::{EngineOptions, NETWORK_ID, PlanChoice, SnapshotPolicy},
    row_id::{RowIds, RowKind},
    search::{Prefix, SearchBusy},
    snapshotter::SnapshotStep,
    status::{EngineStatus, LogFigures, OpenProgress, OpenReport, ShutdownReport, SnapshotInfo, Watermarks},
    stepped::{SteppedEngine, SteppedWriter, Submitted},
};
use self::{
    lifecycle::Inner,
    prepare::Ready,
    writer::{Job, Write},
};
pub use crate::core::{
    ACTOR_ID_BYTES_MAX, ADMIN_LEVELS_MAX, Actor, ActorKind, BreadthFirst, Brought, Digest,
    EMPTY_SLOTS_NAMED_MAX, Entry, EntryFilter, ExplainedShare, LEVEL_ORDER_WORDS, LevelOrder, Listed, Member,
    MemberFilter, NextRank, Payout, Preorder, RankNeed, RankReached, RankView, ReceivedSums, ReceivedWalk,
    Roster, RosterOrder, SUM_LEVELS_MAX, ShareFate, Sum, Unchanged, Walk, WindowMember, WindowSize,
    command::{
        Applied, Carried, Command, ImportEntry, Origin, Outcome, PayFilter, PlacementRequest, Register,
        Rejection, RequestKey, SponsorRef, Stamped, TriggerBonus, WideMoney,
    },
    network_digest,
    plan::{
        BonusRule, Currency, KIND_REGISTRATION, LevelPay, Placement, PlacementRule, Plan, PlanError,
        RankBasis, RankRule, RankStep,
    },
    state::{Directory, State, Verdict},
    state_digest,
    types::{
        BasisPoints, CODE_BYTES_MAX, Code, EntryStatus, LEVELS_MAX, MemberId, MemberIx, Money,
        REFERENCE_CHARS_MAX, Reference, Role, Status, Timestamp, Tree,
    },
};
pub use crate::durability::{
    Error as DurabilityError, LOG_READERS_MAX, LogOptions, LogTrouble, Retention,
    storage::{Disk, Storage},
};
use crate::{core::Preparation, metrics::Metrics};

/// Who sends a command, and under which key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    pub actor: Actor,
    /// The client's idempotency key, if it sent one.
    pub key: Option<RequestKey>,
}

impl From<(Actor, Option<RequestKey>)> for Sent {
    fn from((actor, key): (Actor, Option<RequestKey>)) -> Self {
        Self { actor, key }
    }
}

/// For tests, benches and simulations: the log then says that nobody said who it was. What serves others
/// names them; `tests/http/audit.rs` sends a write to every route and looks.
impl From<Option<RequestKey>> for Sent {
    fn from(key: Option<RequestKey>) -> Self {
        Self { actor: Actor::unknown(), key }
    }
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
    /// The command was logged and applied. (If an earlier one of the same key was faster, the outcome and LSN
    /// are its.)
    Log,
    /// It broke a rule before the log.
    Admission,
    /// An earlier command with the same key had done it.
    Repeat,
}

/// The engine. Cheap to clone; all clones are one engine. When the last clone is dropped, what is queued is
/// still written, and the threads are joined, without a final snapshot: prefer [`Engine::shutdown`].
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

impl Engine {
    /// Opens the data directory, or makes it, and starts the threads. Nothing is served before this returns.
    /// Blocks for as long as loading and replay take.
    ///
    /// # Errors
    /// Damage, a foreign or locked directory, a plan that differs, a replay that differs: see [`OpenError`].
    pub fn open(mut options: EngineOptions) -> Result<(Self, OpenReport), OpenError> {
        let parts = open::open(&mut options)?;
        let report = parts.report.clone();
        let engine = Self { inner: Inner::start(parts, options)? };
        engine.refresh_metrics();
        Ok((engine, report))
    }

    /// Writes: returns when the command is durable and applied, or was refused by a rule.
    ///
    /// A plan change or a new admin in a large network is prepared first, for seconds, in a thread beside the
    /// network (`prepare.rs`).
    ///
    /// Dropping the future does not take the command back, once it is queued.
    ///
    /// # Errors
    /// Only when there is no outcome: see [`SubmitError`].
    ///
    /// # Panics
    /// When a plan in the command was not validated: our bug.
    pub async fn submit(&self, command: Command, sent: impl Into<Sent>) -> Result<Answer, SubmitError> {
        let sent = sent.into();
        let (preparation, _alone) = match self.prepared(&command, sent.key).await {
            Ok(Ready::Answered(answer)) => return Ok(answer),
            Ok(Ready::Queue { preparation, alone }) => (preparation, alone),
            Err(error) => return self.conclude(Err(error)),
        };
        let result = match self.admit(command, sent, preparation, |_| false) {
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
    pub fn submit_blocking(&self, command: Command, sent: impl Into<Sent>) -> Result<Answer, SubmitError> {
        let sent = sent.into();
        let (preparation, _alone) = match self.prepared_blocking(&command, sent.key) {
            Ok(Ready::Answered(answer)) => return Ok(answer),
            Ok(Ready::Queue { preparation, alone }) => (preparation, alone),
            Err(error) => return self.conclude(Err(error)),
        };
        let result = match self.admit(command, sent, preparation, |_| false) {
            Ok(Admitted::Answered(answer)) => return Ok(answer),
            Ok(Admitted::Queued(reply)) => {
                sync::wait_for_answer(reply).unwrap_or(Err(SubmitError::OutcomeUnknown))
            }
            Err(error) => Err(error),
        };
        self.conclude(result)
    }

    /// Answers at once what needs no log, queues the rest. `may_pass` as for [`Engine::judge`].
    fn admit(
        &self,
        command: Command,
        sent: Sent,
        preparation: Option<Preparation>,
        may_pass: impl FnOnce(Rejection) -> bool,
    ) -> Result<Admitted, SubmitError> {
        if let Some(answer) = self.judge(&command, sent.key, may_pass)? {
            return Ok(Admitted::Answered(answer));
        }
        let (reply, answer) = oneshot::channel();
        let write = Write { command, sent, preparation, queued_at: Instant::now(), reply };
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
    ///
    /// # Panics
    /// Inside a `read` of the same engine, as do `submit` and `frozen_view` there: our bug, and better than a
    /// deadlock.
    pub fn read<R>(&self, read: impl FnOnce(&State, &MemberDirectory) -> R) -> R {
        self.inner.shared.read(read)
    }

    /// An owned view of everything at one LSN, for work that grows with the network. Blocks while the view is
    /// copied (seconds, for ten million members), not holding anybody else up: call it from a thread that may
    /// block. One view is made at a time; it is shared if nothing changed since the last one that is still
    /// held.
    pub fn frozen_view(&self) -> Arc<State> {
        self.inner.shared.frozen_view()
    }

    /// Makes a snapshot, or shares the next one if one is running. If nothing changed since the last one,
    /// that one is the answer.
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
        sync::wait_for_answer(answer).unwrap_or(Err(SnapshotError::Stopping))
    }

    /// Whether writes are accepted: not stopping, not poisoned, room in the log, a clock that did not jump.
    /// O(1), takes no lock of the state.
    pub fn ready(&self) -> bool {
        self.inner.shared.takes_writes()
    }

    /// Whether the log failed, so that writes need a restart. O(1), takes no lock.
    pub fn is_read_only(&self) -> bool {
        self.inner.shared.is_poisoned()
    }

    /// What keeps the next segment of the log from being made, if anything does. Writes go on until the
    /// active one is full. O(1), takes no lock of the state.
    pub fn log_trouble(&self) -> Option<LogTrouble> {
        self.inner.shared.log_health.trouble()
    }

    /// How the wall clock stands, by which commands are stamped. O(1), takes no lock of the state.
    pub fn clock(&self) -> ClockStanding {
        self.inner.shared.clock.standing()
    }

    /// Accepts the wall clock as it is now, if writes are refused because it jumped; a later jump is refused
    /// again. Otherwise nothing happens, so it may be repeated. It is for operators: commands are then
    /// stamped by that clock, and log time never goes back. How the clock stood before. O(1).
    pub fn accept_clock(&self) -> ClockStanding {
        self.inner.shared.clock.accept()
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
            log_trouble: self.log_trouble(),
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

    /// Sets the gauges that are not kept up to date by the writer (members, ranks, ledger, ages, sizes). Call
    /// it before rendering. O(ranks).
    pub fn refresh_metrics(&self) {
        let shared = &self.inner.shared;
        shared.refresh_metrics();
        let newest = self.inner.desk.status().newest;
        let age = shared.clock.wall().0.saturating_sub(newest.made_at.0).max(0);
        shared.metrics.snapshots.age_seconds.set(age as f64 / 1e6);
    }

    /// The UUID of a member's row or a ledger entry: the one it brought along from elsewhere, or else one
    /// that is computed. O(1), and without a lookup in a network that no row brought an id into. May be
    /// called inside a read.
    pub fn row_id(&self, kind: RowKind, index: u64) -> [u8; 16] {
        self.inner.shared.row_id(kind, index)
    }

    /// What a row's UUID names, or `None` if this instance neither made nor was brought it. The index may be
    /// beyond the rows that exist. O(1). May be called inside a read.
    fn row_of(&self, uuid: [u8; 16]) -> Option<(RowKind, u64)> {
        self.inner.shared.row_of(uuid)
    }

    /// The ledger entry that a row's UUID names. As [`Engine::row_of`].
    pub fn entry_of(&self, uuid: [u8; 16]) -> Option<u64> {
        self.row_of(uuid).and_then(|(kind, index)| (kind == RowKind::Entry).then_some(index))
    }

    /// Up to `most` members whose id or code begins with `prefix`, in the order of that text. Blocks: the
    /// first search makes the index (about a second for a million members, 8 bytes each from then on), later
    /// ones bring it up to date. O(log n + most) after that. What it finds does not change, but members that
    /// join while it looks may be missing.
    /// # Errors
    /// While another search makes the index and that takes longer than a second.
    pub fn search(&self, prefix: &Prefix, most: usize) -> Result<Vec<MemberIx>, SearchBusy> {
        self.inner.search.find(&self.inner.shared, prefix, most)
    }

    /// Bytes held by the index of [`Engine::search`].
    pub fn search_bytes(&self) -> usize {
        self.inner.search.bytes()
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

    /// The network as it was right after the command `lsn`: rebuilt from the newest snapshot at or before it
    /// and the log. Look members up in it with the directory that [`Engine::read`] gives, or by index:
    /// members are never removed and never change theirs.
    ///
    /// Blocks, for large networks for seconds to a minute: call it from a thread that may. One state of the
    /// past is held at a time; it is kept for a while, and a later LSN goes on from it. Do not hold it longer
    /// than needed: others wait for it.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub fn state_at(&self, lsn: u64) -> Result<Arc<State>, HistoryError> {
        self.state_at_counting(lsn, &mut Effort::default())
    }

    /// As [`Engine::state_at`]; adds what it took to `effort`.
    ///
    /// # Errors
    /// As [`Engine::state_at`].
    pub fn state_at_counting(&self, lsn: u64, effort: &mut Effort) -> Result<Arc<State>, HistoryError> {
        self.inner.shared.state_at(lsn, effort)
    }

    /// The last LSN that had been applied at `time`, in log time. Blocks for a read of a part of the log.
    ///
    /// # Errors
    /// `InFuture` when `time` is not over yet, so that the answer could still change; `BelowRetained`,
    /// `Unreadable`.
    pub fn lsn_at(&self, time: Timestamp) -> Result<u64, HistoryError> {
        self.inner.shared.lsn_at(time)
    }

    /// The oldest LSN that [`Engine::state_at`] can answer. Lists directories: call it from a thread that may
    /// block.
    ///
    /// # Errors
    /// `Unreadable`.
    pub fn oldest_state_lsn(&self) -> Result<u64, HistoryError> {
        self.inner.shared.history.oldest()
    }

    /// The oldest LSN whose command is retained, for [`Engine::feed`].
    pub fn oldest_log_lsn(&self) -> u64 {
        self.inner.shared.history.log.oldest_lsn()
    }

    /// All commands from `lsn` on, in order, and then each new one: see [`Feed`].
    ///
    /// # Errors
    /// `BelowRetained` naming the oldest LSN; `Ahead` when `lsn` is beyond the next command.
    pub fn feed(&self, lsn: u64) -> Result<Feed, HistoryError> {
        Feed::new(Arc::clone(&self.inner.shared), lsn)
    }

    /// Commands by who sent them, newest first, at most `most` of them below the LSN `below`, or from the
    /// newest on. Reads a bounded part of the log: there may be fewer, and others further back. Blocks for
    /// that: call it from a thread that may.
    ///
    /// # Errors
    /// `BelowRetained` where the log does not reach back so far; `Unreadable`.
    pub fn audit(
        &self,
        filter: &AuditFilter,
        below: Option<u64>,
        most: usize,
    ) -> Result<AuditPage, HistoryError> {
        self.audit_counting(filter, below, most, &mut Effort::default())
    }

    /// As [`Engine::audit`]; adds what it took to `effort`.
    ///
    /// # Errors
    /// As [`Engine::audit`].
    pub fn audit_counting(
        &self,
        filter: &AuditFilter,
        below: Option<u64>,
        most: usize,
        effort: &mut Effort,
    ) -> Result<AuditPage, HistoryError> {
        history::audit(&self.inner.shared, filter, below, most, effort)
    }

    /// Why a ledger entry is what it is. `None` when there is no such entry. Blocks as [`Engine::state_at`].
    ///
    /// # Errors
    /// As [`Engine::state_at`].
    pub fn explain(&self, entry: u64) -> Result<Option<Explanation>, HistoryError> {
        self.explain_counting(entry, &mut Effort::default())
    }

    /// As [`Engine::explain`]; adds what it took to `effort`.
    ///
    /// # Errors
    /// As [`Engine::state_at`].
    pub fn explain_counting(
        &self,
        entry: u64,
        effort: &mut Effort,
    ) -> Result<Option<Explanation>, HistoryError> {
        history::explain(&self.inner.shared, entry, effort)
    }

    /// Stops: no more writes are accepted, what is queued is written and answered, a final snapshot is made
    /// (if the policy says so), the threads end and the directory is free. Reads go on. Blocks: call it from
    /// a thread that may. A second call waits for the first and gives the same report.
    pub fn shutdown(&self) -> ShutdownReport {
        self.inner.shutdown(None)
    }

    /// As [`Engine::shutdown`], but returns after `within` and twice [`limits::GIVE_UP_AFTER`] at the latest.
    /// A snapshot that is not ready then is given up and reported as `Stopping`: the log has everything, the
    /// next start replays it. Threads that cannot end, since the disk hangs, are left to themselves; the
    /// directory is free when they have ended or the process has.
    pub fn shutdown_within(&self, within: Duration) -> ShutdownReport {
        self.inner.shutdown(Some(within))
    }
}

enum Admitted {
    Answered(Answer),
    Queued(oneshot::Receiver<Result<Applied, SubmitError>>),
}

#[cfg(test)]
mod tests;
