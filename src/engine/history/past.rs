//! Past states, rebuilt one at a time.

use std::{sync::Arc, time::Instant};

use super::{directory::PastDirectory, effort::Effort, error::HistoryError};
use crate::{
    core::{
        Pace, Restore, give_way,
        state::{KeptPages, State},
    },
    durability::{Error as DurabilityError, Group, LogReader, SnapshotStore},
    engine::{
        MemberDirectory, OpenError,
        limits::{self, HISTORY_THREADS},
        marks::Marks,
        replay::{apply, check_outcomes, restore_into},
        sync::{AtomicBool, AtomicUsize, Mutex, MutexGuard, Ordering, RwLock, in_background, sleep},
    },
};

/// Commands applied between two offers of the core to other threads.
const COMMANDS_A_STRIDE: u32 = 16;

/// The part of the present that a rebuild uses.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Present<'a> {
    pub state: &'a RwLock<State>,
    pub directory: &'a MemberDirectory,
    pub marks: &'a Marks,
    pub stopping: &'a AtomicBool,
}

impl Present<'_> {
    /// Lets a past state share the immutable rows that the present has too, so that only what can change
    /// takes memory twice. `share` is called with the present until nothing remains to be compared.
    fn share(self, mut share: impl FnMut(&State) -> KeptPages) {
        loop {
            let kept = share(&self.state.read());
            let is_all = kept.is_all();
            drop(kept);
            if is_all {
                return;
            }
            give_way();
        }
    }
}

/// What past states are rebuilt from, and the last one rebuilt.
pub(in crate::engine) struct History {
    pub log: Arc<dyn LogReader>,
    snapshots: SnapshotStore,
    /// Held while a state is rebuilt: one at a time, so that memory holds what can change of one past network
    /// in addition to the present one.
    last: Mutex<Option<Past>>,
    waiting: AtomicUsize,
}

struct Past {
    state: Arc<State>,
    used: Instant,
}

impl History {
    pub fn new(log: Arc<dyn LogReader>, snapshots: SnapshotStore) -> Self {
        Self { log, snapshots, last: Mutex::default(), waiting: AtomicUsize::new(0) }
    }

    /// Releases a state that was not used in a while. Never waits.
    pub fn release_idle(&self) {
        let Some(mut last) = self.last.try_lock() else { return };
        if last.as_ref().is_some_and(|past| limits::HISTORY_IDLE <= past.used.elapsed()) {
            let released = last.take();
            // Freeing a network takes a while; neither the next caller nor a signup need wait for it.
            drop(last);
            in_background(HISTORY_THREADS, || drop(released));
        }
    }

    /// The oldest LSN whose state can be rebuilt.
    pub fn oldest(&self) -> Result<u64, HistoryError> {
        let bases = self.snapshots.bases().map_err(|error| HistoryError::Unreadable(error.to_string()))?;
        // The newest snapshot always exists.
        bases.first().copied().ok_or_else(|| HistoryError::Unreadable("there is no snapshot".into()))
    }

    /// The state at `lsn`, which must have been applied.
    pub(in crate::engine) fn state_at(
        &self,
        present: Present<'_>,
        lsn: u64,
        effort: &mut Effort,
    ) -> Result<Arc<State>, HistoryError> {
        let mut last = self.wait_for_turn(lsn)?;
        if let Some(past) = &mut *last
            && past.state.lsn() == lsn
        {
            past.used = Instant::now();
            return Ok(Arc::clone(&past.state));
        }
        // From here on this is the only reference.
        let earlier = last.take().and_then(|past| Arc::try_unwrap(past.state).ok());
        let rebuilt = in_background(HISTORY_THREADS, || self.rebuild(present, earlier, lsn, effort));
        let state = Arc::new(rebuilt?);
        *last = Some(Past { state: Arc::clone(&state), used: Instant::now() });
        Ok(state)
    }

    /// Waits until the last state is the one asked for, or is no longer in use.
    fn wait_for_turn(&self, lsn: u64) -> Result<MutexGuard<'_, Option<Past>>, HistoryError> {
        let _waiting = Waiting::begin(&self.waiting).ok_or(HistoryError::Busy)?;
        let until = Instant::now() + limits::HISTORY_WAIT;
        loop {
            let last = self.last.try_lock_until(until).ok_or(HistoryError::Busy)?;
            match &*last {
                // States are handed out only under this lock, which we hold: the reference count can only
                // fall.
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

    /// From an earlier state, unless a snapshot is nearer.
    fn rebuild(
        &self,
        present: Present<'_>,
        earlier: Option<State>,
        lsn: u64,
        effort: &mut Effort,
    ) -> Result<State, HistoryError> {
        let directory = present.directory;
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
                let mut rest = |_| effort.give_way(present.marks);
                let mut share = |restore: &mut Restore| present.share(|other| restore.share(other));
                let mut state = restore_into(snapshot, &mut past, &mut rest, &mut share)
                    .map_err(|error| self.unreadable(error))?;
                present.share(|other| state.share(other));
                effort.rebuilt += u64::from(state.len()) + state.entries();
                (state, past)
            }
        };
        self.replay(present, &mut state, &mut past, lsn, effort)?;
        Ok(state)
    }

    fn replay(
        &self,
        present: Present<'_>,
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
            if present.stopping.load(Ordering::Acquire) {
                return Err(HistoryError::Stopping);
            }
            effort.give_way(present.marks);
            effort.rebuilt += group.commands.len() as u64;
            check_outcomes(state, &group).map_err(|error| self.unreadable(error))?;
            for stamped in group.commands.iter().paced_by(COMMANDS_A_STRIDE) {
                apply(state, past, stamped).map_err(|error| self.unreadable(error))?;
            }
            present.share(|other| state.share(other));
        }
        if state.lsn() != lsn {
            return Err(HistoryError::Unreadable(format!(
                "the log ends with LSN {} where {lsn} was applied",
                state.lsn()
            )));
        }
        Ok(())
    }

    /// Converts to this layer's error. If it is no longer retained, names the oldest LSN that is.
    pub(in crate::engine) fn unreadable(&self, error: OpenError) -> HistoryError {
        match error {
            OpenError::Data(DurabilityError::BelowRetained { oldest }) => {
                HistoryError::BelowRetained { oldest: self.oldest().unwrap_or(oldest) }
            }
            // The readers will finish; retry later.
            OpenError::Data(DurabilityError::TooManyReaders { .. }) => HistoryError::Busy,
            error => {
                tracing::error!(%error, "cannot rebuild a past state; the server continues");
                HistoryError::Unreadable(error.to_string())
            }
        }
    }
}

/// One waiting caller, counted until dropped.
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

#[cfg(test)]
mod tests {
    use std::{
        path::Path,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use super::*;
    use crate::{
        core::{in_background, state_digest},
        durability::{DataDir, Genesis, memory::Memory},
        engine::{open, tests::rig},
        plan_file::default_plan,
        shapes::Shape,
        workload::{Apply, Network, referrals},
    };

    /// Every pass counts: one that runs on without an offer is missing in the sum.
    #[test]
    fn a_restore_in_the_background_offers_its_core_after_every_few_rows() {
        static OFFERS: AtomicUsize = AtomicUsize::new(0);
        const MEMBERS: u32 = 20_000;
        /// There were 7,519 when this was written.
        const OFFERS_MIN: usize = 7_300;
        let mut network = Network::grown(default_plan(), Shape::Real, MEMBERS, 1);
        network.apply(&referrals(network.state.lsn(), MEMBERS, 1, 0..10_000));
        let (storage, path) = (Memory::new().shared(), Path::new("/d"));
        let (genesis, state) = (Genesis { code_key: 1.into(), ..rig::genesis() }, &network.state);
        open::create(&storage, path, &genesis, rig::log_options(), state, &mut |_| {}).unwrap();
        let opened = DataDir::open(&storage, path, rig::log_options()).unwrap();
        let mut past = PastDirectory::of(&network.directory, 0);
        let offer = || _ = OFFERS.fetch_add(1, Ordering::Relaxed);
        let restore = || restore_into(opened.snapshot, &mut past, &mut |_| {}, &mut |_| {}).unwrap();
        let restored = in_background(HISTORY_THREADS, offer, restore);
        assert_eq!(state_digest(&restored), state_digest(state));
        // A pass over the members is 312 of them.
        let offers = OFFERS.load(Ordering::Relaxed);
        assert!(OFFERS_MIN <= offers, "{offers}");
    }
}
