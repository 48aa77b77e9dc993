//! What all threads of an engine share: the state under its lock, the directory, the watermarks, and whether
//! the log failed.

use std::{cell::Cell, sync::Arc};

use super::{
    MemberDirectory,
    clock::ClockGuard,
    history::{Effort, History, HistoryError, Present},
    limits,
    marks::Marks,
    period_figures::PeriodFigures,
    sealed::files::SealedFiles,
    status::LogFigures,
    sync::{AtomicBool, Mutex, OnceLock, Ordering, RwLock, RwLockReadGuard, thread_local},
    view_desk::ViewDesk,
};
use crate::{
    core::{
        RowIds, RowKind,
        state::State,
        types::{EntryStatus, Timestamp},
    },
    durability::LogHealth,
    metrics::Metrics,
};

pub(super) struct Shared {
    pub state: RwLock<State>,
    pub directory: MemberDirectory,
    pub marks: Marks,
    /// Why the log failed, once it has.
    pub poison: OnceLock<String>,
    /// Set first when stopping: from then on no write is accepted.
    pub stopping: AtomicBool,
    pub metrics: Arc<Metrics>,
    pub clock: ClockGuard,
    pub row_ids: RowIds,
    /// Whether the state has imported row ids; until then, lookups skip the lock. Set under the write lock.
    pub has_carried_row_ids: AtomicBool,
    pub instance_id: [u8; 16],
    pub network_id: u32,
    /// Written by the writer after each group, read by `status`.
    pub log: Mutex<LogFigures>,
    /// Health of creating the next log segment.
    pub log_health: LogHealth,
    pub views: ViewDesk,
    /// Past states.
    pub history: History,
    pub sealed: SealedFiles,
}

thread_local! {
    /// Which engine's state this thread is reading, by address; 0 for none.
    static READING: Cell<usize> = const { Cell::new(0) };
}

/// Marks this thread as reading until dropped.
struct Reading {
    before: usize,
}

impl Drop for Reading {
    fn drop(&mut self) {
        READING.with(|reading| reading.set(self.before));
    }
}

impl Shared {
    /// See `Engine::read`.
    ///
    /// # Panics
    /// Inside a read of the same engine: with a writer waiting between the two, both would deadlock.
    pub fn read<R>(&self, read: impl FnOnce(&State, &MemberDirectory) -> R) -> R {
        self.assert_not_reading();
        let _reading = Reading { before: READING.with(|reading| reading.replace(self.address())) };
        let state = self.state.read();
        read(&state, &self.directory)
    }

    /// See `Engine::row_id`.
    pub fn row_id(&self, kind: RowKind, index: u64) -> [u8; 16] {
        match self.carried() {
            Some(state) => state.row_id(self.row_ids, kind, index),
            None => self.row_ids.encode(kind, index),
        }
    }

    /// See `Engine::row_of`.
    pub fn row_of(&self, uuid: [u8; 16]) -> Option<(RowKind, u64)> {
        match self.carried() {
            Some(state) => state.row_of(self.row_ids, &uuid),
            None => self.row_ids.decode(uuid),
        }
    }

    /// The state, if it has imported row ids. Recursive: a caller that prints rows already holds the lock,
    /// and a writer waiting between the two must not block the second.
    fn carried(&self) -> Option<RwLockReadGuard<'_, State>> {
        self.has_carried_row_ids.load(Ordering::Acquire).then(|| self.state.read_recursive())
    }

    /// Call with the write lock held, after commands were applied.
    pub fn note_carried_row_ids(&self, state: &State) {
        if state.carried_row_ids() != 0 {
            self.has_carried_row_ids.store(true, Ordering::Release);
        }
    }

    /// # Panics
    /// Inside a read of the same engine.
    pub fn assert_not_reading(&self) {
        assert_ne!(
            READING.with(Cell::get),
            self.address(),
            "no read, submit, view or past state inside a read (lock rule 2)"
        );
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Not stopping, not poisoned, room in the log, and the clock did not jump.
    pub fn takes_writes(&self) -> bool {
        let is_full = self.log_health.trouble().is_some_and(|trouble| trouble.refuses_writes);
        !self.is_poisoned() && !self.is_stopping() && !is_full && self.clock.jump().is_none()
    }

    pub fn is_poisoned(&self) -> bool {
        self.poison.get().is_some()
    }

    /// From now on no write is accepted, and nobody waits for one.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.marks.wake();
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Sets the gauges that are not maintained elsewhere.
    pub fn refresh_metrics(&self) {
        let network = &self.metrics.network;
        let ranks: Vec<u64> = {
            let state = self.state.read();
            network.members.set(f64::from(state.len()));
            network.depth.set(f64::from(state.depth()));
            network.ledger_entries.set(state.entries() as f64);
            network.ledger_pending.set(state.pending() as f64);
            network.ledger_held.set(state.entries_in(EntryStatus::Held).entries as f64);
            network.ledger_void.set(state.entries_in(EntryStatus::Void).entries as f64);
            network.set_breakage(state.breakage_by_reason());
            network.plan_version.set(f64::from(state.plan_version()));
            let orders = &self.metrics.orders;
            orders.orders.set(f64::from(state.orders_len()));
            orders.refunds.set(f64::from(state.refunds_len()));
            orders.set_booked(state.order_sums());
            let periods = PeriodFigures::of(&state);
            orders.set_periods(&periods.by_state);
            let unlocked = periods.unlocked_since.map_or(0, |end| self.clock.wall().0.saturating_sub(end.0));
            orders.period_unlocked_age_seconds.set(unlocked.max(0) as f64 / 1e6);
            let age = self.clock.wall().0.saturating_sub(state.time().0).max(0);
            self.metrics.log.age_seconds.set(if state.lsn() == 0 { 0.0 } else { age as f64 / 1e6 });
            state.rank_distribution().to_vec()
        };
        network.set_ranks(&ranks);
        let marks = self.marks.get();
        let log = &self.metrics.log;
        for (gauge, lsn) in [
            (&log.admitted_lsn, marks.admitted),
            (&log.durable_lsn, marks.durable),
            (&log.applied_lsn, marks.applied),
            (&log.snapshot_lsn, marks.snapshot),
        ] {
            gauge.set(lsn as f64);
        }
        let figures = *self.log.lock();
        log.bytes.set(figures.bytes as f64);
        log.segments.set(figures.segments as f64);
        log.segment_failures.absolute(self.log_health.failures());
        let clock = self.clock.standing();
        log.clock_jumped.set(f64::from(u8::from(clock.jump.is_some())));
        log.clock_ahead_seconds.set(clock.gained.unwrap_or(0).max(0) as f64 / 1e6);
        log.clock_behind_seconds.set(clock.behind_log().as_secs_f64());
        let blocked =
            self.log_health.trouble().map_or(0.0, |trouble| if trouble.refuses_writes { 2.0 } else { 1.0 });
        log.next_segment_missing.set(blocked);
        let writes = &self.metrics.writes;
        writes.poisoned.set(f64::from(u8::from(self.is_poisoned())));
        writes.ready.set(f64::from(u8::from(self.takes_writes())));
    }
}

/// Aborts the process when the thread that holds it panics: for the writer, where only our own bug can panic,
/// and where continuing could serve wrong data or lose data. The panic itself was printed before.
pub(super) struct AbortOnPanic(pub &'static str);

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                thread = self.0,
                "panic in a thread that must not panic: the process ends, the log is the truth"
            );
            std::process::abort();
        }
    }
}

const _: () = assert!(
    limits::APPLY_SLICE_MAX <= 256,
    "the longest hold of the write lock is promised in the layer's documentation"
);

impl Shared {
    /// See `Engine::state_at`.
    ///
    /// # Panics
    /// Inside a read of the same engine.
    pub fn state_at(&self, lsn: u64, effort: &mut Effort) -> Result<Arc<State>, HistoryError> {
        self.assert_not_reading();
        let applied = self.marks.applied();
        if applied < lsn {
            return Err(HistoryError::Ahead { applied });
        }
        self.history.state_at(self.present(), lsn, effort)
    }

    fn present(&self) -> Present<'_> {
        Present {
            state: &self.state,
            directory: &self.directory,
            marks: &self.marks,
            stopping: &self.stopping,
        }
    }

    /// See `Engine::lsn_at`.
    pub fn lsn_at(&self, time: Timestamp) -> Result<u64, HistoryError> {
        // The next command is stamped with this or later, so nothing more is added up to here. A clock that
        // jumped is never used for stamping.
        let wall = if self.clock.jump().is_none() { self.clock.wall() } else { Timestamp(i64::MIN) };
        let now = wall.max(self.read(|state, _| state.time()));
        if now <= time {
            return Err(HistoryError::InFuture { now });
        }
        let applied = self.marks.applied();
        let lsn = self.history.log.lsn_at(time).map_err(|error| self.history.unreadable(error.into()))?;
        Ok(lsn.min(applied))
    }
}
