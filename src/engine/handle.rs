//! The engine's public handle.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{
    clock::ClockStanding,
    directory::MemberDirectory,
    error::{OpenError, SnapshotError},
    history::{self, AuditFilter, AuditPage, Effort, Explanation, Feed, HistoryError},
    lifecycle::Inner,
    open,
    options::EngineOptions,
    period_figures::{self, PeriodToLock},
    search::{Prefix, SearchBusy},
    status::{EngineStatus, OpenReport, ShutdownReport, SnapshotInfo},
    sync,
};
use crate::{
    core::{
        RowKind,
        state::{Parts, State},
        types::{MemberIx, Timestamp},
    },
    durability::LogTrouble,
    metrics::Metrics,
};

/// The engine. Cheap to clone; all clones are one engine. When the last clone is dropped, queued writes are
/// still written, and the threads are joined, without a final snapshot: prefer [`Engine::shutdown`].
#[derive(Clone)]
pub struct Engine {
    pub(super) inner: Arc<Inner>,
}

impl Engine {
    /// Opens or creates the data directory and starts the threads. Nothing is served before this returns.
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

    /// Runs a short, bounded read: everything `read` sees is of one LSN and durable. Lock rules 1 and 2
    /// above.
    ///
    /// # Panics
    /// Inside a `read` of the same engine, as do `submit` and `frozen_view` there: our bug, and better than a
    /// deadlock.
    pub fn read<R>(&self, read: impl FnOnce(&State, &MemberDirectory) -> R) -> R {
        self.inner.shared.read(read)
    }

    /// Returns an owned view of everything at one LSN, for work that grows with the network. Blocks while the
    /// view is copied (seconds, for ten million members) without blocking others: call it from a thread that
    /// may block. Up to [`limits::FROZEN_VIEWS_MAX`] are made at once, the next one waits; a view is shared
    /// if nothing changed since the last one still held.
    pub fn frozen_view(&self) -> Arc<State> {
        self.frozen_view_of(Parts::ALL)
    }

    /// As [`Engine::frozen_view`], of these parts only; the others are empty. For work that needs few of
    /// them: only these take memory, and cost the writer anything.
    pub fn frozen_view_of(&self, parts: Parts) -> Arc<State> {
        self.inner.shared.frozen_view(parts)
    }

    /// Makes a snapshot, or shares the next one if one is running. If nothing changed since the last one,
    /// returns that one.
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

    /// What prevents the creation of the next log segment, if anything. Writes continue until the active one
    /// is full. O(1), takes no lock of the state.
    pub fn log_trouble(&self) -> Option<LogTrouble> {
        self.inner.shared.log_health.trouble()
    }

    /// The standing of the wall clock that stamps commands. O(1), takes no lock of the state.
    pub fn clock(&self) -> ClockStanding {
        self.inner.shared.clock.standing()
    }

    /// Accepts the wall clock as it is now, if writes are refused because it jumped; a later jump is refused
    /// again. Otherwise a no-op, hence idempotent. For operators only: commands are then stamped by that
    /// clock, and log time never goes back. Returns the standing before. O(1).
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

    /// Periods whose grace has passed and that are not locked, by calendar, oldest first; at most `most` of
    /// each. O(periods that are not posted).
    pub fn periods_to_lock(&self, most: usize) -> Vec<PeriodToLock> {
        let wall = self.inner.shared.clock.wall();
        self.read(|state, _| period_figures::to_lock(state, wall.max(state.time()), most))
    }

    /// The metrics this engine was opened with.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.inner.shared.metrics
    }

    /// Sets the gauges that the writer does not maintain (members, ranks, ledger, ages, sizes). Call it
    /// before rendering. O(ranks).
    pub fn refresh_metrics(&self) {
        let shared = &self.inner.shared;
        shared.refresh_metrics();
        let newest = self.inner.desk.status().newest;
        let age = shared.clock.wall().0.saturating_sub(newest.made_at.0).max(0);
        shared.metrics.snapshots.age_seconds.set(age as f64 / 1e6);
    }

    /// The UUID of a member's row or a ledger entry: imported with the row, or else computed. O(1), and
    /// without a lookup in a network without imported row ids. May be called inside a read.
    pub fn row_id(&self, kind: RowKind, index: u64) -> [u8; 16] {
        self.inner.shared.row_id(kind, index)
    }

    /// What a row's UUID names, or `None` if this instance neither made nor imported it. The index may be
    /// beyond the rows that exist. O(1). May be called inside a read.
    pub(super) fn row_of(&self, uuid: [u8; 16]) -> Option<(RowKind, u64)> {
        self.inner.shared.row_of(uuid)
    }

    /// The ledger entry that a row's UUID names. As [`Engine::row_of`].
    pub fn entry_of(&self, uuid: [u8; 16]) -> Option<u64> {
        self.row_of(uuid).and_then(|(kind, index)| (kind == RowKind::Entry).then_some(index))
    }

    /// Up to `most` members whose id or code begins with `prefix`, in the order of that text. Blocks: the
    /// first search builds the index (about a second for a million members, 8 bytes each from then on), later
    /// ones update it. O(log n + most) after that. Results do not change, but members that join during the
    /// search may be missing.
    /// # Errors
    /// While another search is building the index and takes longer than a second.
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

    /// The network number that the directory was created with.
    pub fn network_id(&self) -> u32 {
        self.inner.shared.network_id
    }

    /// How opening went.
    pub fn open_report(&self) -> &OpenReport {
        &self.inner.opened
    }

    /// The network as it was right after the command `lsn`: rebuilt from the newest snapshot at or before it
    /// and the log. Look up its members in the directory from [`Engine::read`], or by index: members are
    /// never removed and never change theirs.
    ///
    /// Blocks, for seconds to a minute on large networks: call it from a thread that may block. One past
    /// state exists at a time; it is cached for a while, and a later LSN continues from it. Do not hold it
    /// longer than needed: others wait for it.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub fn state_at(&self, lsn: u64) -> Result<Arc<State>, HistoryError> {
        self.state_at_counting(lsn, &mut Effort::default())
    }

    /// As [`Engine::state_at`]; adds its cost to `effort`.
    ///
    /// # Errors
    /// As [`Engine::state_at`].
    pub fn state_at_counting(&self, lsn: u64, effort: &mut Effort) -> Result<Arc<State>, HistoryError> {
        self.inner.shared.state_at(lsn, effort)
    }

    /// The last LSN that had been applied at `time`, in log time. Blocks while it reads part of the log.
    ///
    /// # Errors
    /// `InFuture` when `time` has not passed, so that the answer could still change; `BelowRetained`,
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

    /// All commands from `lsn` on, in order, then each new one: see [`Feed`].
    ///
    /// # Errors
    /// `BelowRetained` naming the oldest LSN; `Ahead` when `lsn` is beyond the next command.
    pub fn feed(&self, lsn: u64) -> Result<Feed, HistoryError> {
        Feed::new(Arc::clone(&self.inner.shared), lsn)
    }

    /// Commands filtered by actor, newest first, at most `most` of them, below the LSN `below` or else from
    /// the newest on. Reads a bounded part of the log: a short page does not mean the end. Blocks: call it
    /// from a thread that may block.
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

    /// As [`Engine::audit`]; adds its cost to `effort`.
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

    /// As [`Engine::explain`]; adds its cost to `effort`.
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

    /// Shuts down: refuses new writes, writes and answers those queued, makes a final snapshot (if the policy
    /// says so), ends the threads and frees the directory. Reads continue. Blocks: call it from a thread that
    /// may block. A second call waits for the first and returns the same report.
    pub fn shutdown(&self) -> ShutdownReport {
        self.inner.shutdown(None)
    }

    /// As [`Engine::shutdown`], but returns after `within` and twice [`limits::GIVE_UP_AFTER`] at the latest.
    /// A snapshot not ready by then is abandoned and reported as `Stopping`: the log has everything, the next
    /// start replays it. Threads stuck on a hung disk are detached; the directory is freed when they or the
    /// process end.
    pub fn shutdown_within(&self, within: Duration) -> ShutdownReport {
        self.inner.shutdown(Some(within))
    }
}
