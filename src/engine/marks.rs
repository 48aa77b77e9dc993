//! The engine's watermarks.

use tokio::sync::watch;

use super::{
    status::Watermarks,
    sync::{AtomicU64, Ordering},
};

/// [`Watermarks`] as the threads advance them. Each only rises.
pub(super) struct Marks {
    snapshot: AtomicU64,
    applied: AtomicU64,
    durable: AtomicU64,
    admitted: AtomicU64,
    /// `applied` again, for tasks that wait for it.
    followed: watch::Sender<u64>,
}

impl Marks {
    /// Right after opening: everything found is durable and applied.
    pub fn opened(snapshot: u64, applied: u64) -> Self {
        let marks = Self {
            snapshot: AtomicU64::new(snapshot),
            applied: AtomicU64::new(applied),
            durable: AtomicU64::new(applied),
            admitted: AtomicU64::new(applied),
            followed: watch::Sender::new(applied),
        };
        marks.get().validate();
        marks
    }

    /// All four. They are read from the lowest up, so that the chain holds in what is returned even while
    /// they move.
    pub fn get(&self) -> Watermarks {
        let snapshot = self.snapshot.load(Ordering::Acquire);
        let applied = self.applied.load(Ordering::Acquire);
        let durable = self.durable.load(Ordering::Acquire);
        let admitted = self.admitted.load(Ordering::Acquire);
        Watermarks { snapshot, applied, durable, admitted }
    }

    pub fn admit(&self, lsn: u64) {
        self.admitted.store(lsn, Ordering::Release);
    }

    pub fn make_durable(&self, lsn: u64) {
        self.durable.store(lsn, Ordering::Release);
    }

    pub fn apply(&self, lsn: u64) {
        self.applied.store(lsn, Ordering::Release);
        self.followed.send_replace(lsn);
    }

    /// Notifies when something is applied, and when the engine stops.
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.followed.subscribe()
    }

    pub fn snapshot(&self, lsn: u64) {
        self.snapshot.store(lsn, Ordering::Release);
    }

    pub fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    /// Wakes the followers, so that they see that the engine stops.
    pub fn wake(&self) {
        self.followed.send_modify(|_| {});
    }
}
