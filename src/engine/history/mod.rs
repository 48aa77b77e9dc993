//! The past: the state at an earlier LSN, the commands since then, and why somebody was paid.
//!
//! Nothing here is kept in memory beside one state of the past. It is rebuilt as opening does it, from the
//! newest snapshot at or below the LSN and the log behind it, with the same checks: the digest of the
//! snapshot, and the outcome hash before each group. Members are never removed and never change their index,
//! so the directory of the present serves the past too: what is not below its length is unknown to it.

use std::{sync::Arc, time::Instant};

mod audit;
mod directory;
mod effort;
mod explain;
mod feed;

use self::directory::PastDirectory;
pub(super) use self::{audit::audit, explain::explain};
pub use self::{
    audit::{AuditFilter, AuditPage, COMMAND_KINDS},
    effort::Effort,
    explain::{Cause, Explanation, PaidBy},
    feed::{Event, Fate, Feed},
};
use super::{
    OpenError, limits,
    open::{apply, check_outcomes, restore_into},
    shared::Shared,
    sync::{AtomicUsize, Mutex, MutexGuard, Ordering, sleep},
};
use crate::{
    core::{state::State, types::Timestamp},
    durability::{Error as DurabilityError, Group, LogView, SnapshotStore},
};

/// Why a question about the past has no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HistoryError {
    /// The log, or the snapshot it goes on from, does not reach back that far.
    #[error("not retained: the oldest that can be asked for is LSN {oldest}")]
    BelowRetained { oldest: u64 },
    /// That is yet to come.
    #[error("not there yet: the newest is LSN {applied}")]
    Ahead { applied: u64 },
    /// That moment is not over.
    #[error("not over yet: now is {} microseconds UTC", now.0)]
    InFuture { now: Timestamp },
    /// Another question about the past is being answered. Ask again in a while.
    #[error("another question about the past is being answered")]
    Busy,
    #[error("the engine is stopping")]
    Stopping,
    /// What is kept of the past is damaged or cannot be read; serving the present is not affected.
    #[error("the past cannot be read: {0}")]
    Unreadable(String),
}

/// What the past is rebuilt from, and the last state that was.
pub(super) struct History {
    pub log: LogView,
    snapshots: SnapshotStore,
    /// Held while a state is rebuilt: one at a time, so that memory holds one network of the past beside the
    /// present one.
    last: Mutex<Option<Past>>,
    waiting: AtomicUsize,
}

struct Past {
    state: Arc<State>,
    used: Instant,
}

impl History {
    pub fn new(log: LogView, snapshots: SnapshotStore) -> Self {
        Self { log, snapshots, last: Mutex::default(), waiting: AtomicUsize::new(0) }
    }

    /// Lets go of a state that was not asked for in a while. Never waits.
    pub fn release_idle(&self) {
        let Some(mut last) = self.last.try_lock() else { return };
        if last.as_ref().is_some_and(|past| limits::HISTORY_IDLE <= past.used.elapsed()) {
            let released = last.take();
            // Freeing a network takes a while; whoever comes now need not wait for it.
            drop(last);
            drop(released);
        }
    }

    /// The oldest LSN whose state can be rebuilt.
    pub fn oldest(&self) -> Result<u64, HistoryError> {
        let bases = self.snapshots.bases().map_err(|error| HistoryError::Unreadable(error.to_string()))?;
        // The newest snapshot is always there.
        bases.first().copied().ok_or_else(|| HistoryError::Unreadable("there is no snapshot".into()))
    }

    /// The state at `lsn`, which is applied.
    fn state_at(&self, shared: &Shared, lsn: u64, effort: &mut Effort) -> Result<Arc<State>, HistoryError> {
        let mut last = self.wait_for_turn(lsn)?;
        if let Some(past) = &mut *last
            && past.state.lsn() == lsn
        {
            past.used = Instant::now();
            return Ok(Arc::clone(&past.state));
        }
        // From here on nobody else holds it.
        let earlier = last.take().and_then(|past| Arc::try_unwrap(past.state).ok());
        let state = Arc::new(self.rebuild(shared, earlier, lsn, effort)?);
        *last = Some(Past { state: Arc::clone(&state), used: Instant::now() });
        Ok(state)
    }

    /// Waits until the last state is the one asked for, or nobody's any more.
    fn wait_for_turn(&self, lsn: u64) -> Result<MutexGuard<'_, Option<Past>>, HistoryError> {
        let _waiting = Waiting::begin(&self.waiting).ok_or(HistoryError::Busy)?;
        let until = Instant::now() + limits::HISTORY_WAIT;
        loop {
            let last = self.last.try_lock_until(until).ok_or(HistoryError::Busy)?;
            match &*last {
                // The lock is held, and only under it is it handed out: whoever holds it now can only let go.
                Some(past) if past.state.lsn() != lsn && 1 < Arc::strong_count(&past.state) => {}
                _ => return Ok(last),
            }
            drop(last);
            if until <= Instant::now() {
                return Err(HistoryError::Busy);
            }
            sleep(limits::HISTORY_RETRY);
        }
    }

    /// From an earlier state, if no snapshot is nearer, or else from a snapshot.
    fn rebuild(
        &self,
        shared: &Shared,
        earlier: Option<State>,
        lsn: u64,
        effort: &mut Effort,
    ) -> Result<State, HistoryError> {
        let directory = &shared.directory;
        let bases = self.snapshots.bases().map_err(|error| self.unreadable(error.into()))?;
        let nearest = bases.into_iter().rfind(|base| *base <= lsn);
        let (mut state, mut past) = match earlier {
            Some(state) if state.lsn() <= lsn && nearest <= Some(state.lsn()) => {
                let past = PastDirectory::of(directory, state.len());
                (state, past)
            }
            earlier => {
                drop(earlier);
                let snapshot = self.snapshots.base_of(lsn).map_err(|error| self.unreadable(error.into()))?;
                let mut past = PastDirectory::of(directory, 0);
                let mut rest = |_| effort.give_way(shared);
                let state =
                    restore_into(snapshot, &mut past, &mut rest).map_err(|error| self.unreadable(error))?;
                effort.rebuilt += u64::from(state.len()) + state.entries();
                (state, past)
            }
        };
        self.replay(shared, &mut state, &mut past, lsn, effort)?;
        Ok(state)
    }

    fn replay(
        &self,
        shared: &Shared,
        state: &mut State,
        past: &mut PastDirectory<'_>,
        lsn: u64,
        effort: &mut Effort,
    ) -> Result<(), HistoryError> {
        if state.lsn() == lsn {
            return Ok(());
        }
        let mut reader =
            self.log.read_range(state.lsn() + 1, lsn).map_err(|error| self.unreadable(error.into()))?;
        let mut group = Group::default();
        while reader.next_into(&mut group).map_err(|error| self.unreadable(error.into()))? {
            if shared.is_stopping() {
                return Err(HistoryError::Stopping);
            }
            effort.give_way(shared);
            effort.rebuilt += group.commands.len() as u64;
            check_outcomes(state, &group).map_err(|error| self.unreadable(error))?;
            for stamped in &group.commands {
                apply(state, past, stamped).map_err(|error| self.unreadable(error))?;
            }
        }
        if state.lsn() != lsn {
            return Err(HistoryError::Unreadable(format!(
                "the log ends with LSN {} where {lsn} was applied",
                state.lsn()
            )));
        }
        Ok(())
    }

    /// As an error of ours. What is not retained any more is told with the oldest LSN that is.
    fn unreadable(&self, error: OpenError) -> HistoryError {
        match error {
            OpenError::Data(DurabilityError::BelowRetained { oldest }) => {
                HistoryError::BelowRetained { oldest: self.oldest().unwrap_or(oldest) }
            }
            // They come to an end; ask again.
            OpenError::Data(DurabilityError::TooManyReaders { .. }) => HistoryError::Busy,
            error => {
                tracing::error!(%error, "a state of the past cannot be rebuilt; serving goes on");
                HistoryError::Unreadable(error.to_string())
            }
        }
    }
}

/// One of those who wait, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Option<Self> {
        let this = Self(waiting);
        (waiting.fetch_add(1, Ordering::AcqRel) < limits::HISTORY_WAITERS_MAX).then_some(this)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Shared {
    /// See `Engine::state_at`.
    pub fn state_at(&self, lsn: u64, effort: &mut Effort) -> Result<Arc<State>, HistoryError> {
        let applied = self.marks.applied();
        if applied < lsn {
            return Err(HistoryError::Ahead { applied });
        }
        self.history.state_at(self, lsn, effort)
    }

    /// See `Engine::lsn_at`.
    pub fn lsn_at(&self, time: Timestamp) -> Result<u64, HistoryError> {
        // What comes next is stamped with this or later, so up to here nothing is added any more.
        // A clock that jumped is not what comes next is stamped with.
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
