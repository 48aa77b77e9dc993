//! The files of all seals, as admission sees them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    named::{boundary_of, known_of},
    orders::SealedOrders,
};
use crate::{
    core::state::State,
    durability::{
        Error as DurabilityError,
        sealed::{
            self, Known, Store,
            network::{self, KnownBoundary},
        },
        storage::Storage,
    },
    engine::sync::{Mutex, RwLock, RwLockReadGuard},
};

/// The files of all seals of a data directory.
pub(in crate::engine) struct SealedFiles {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) root: PathBuf,
    /// Exchanged under the write lock: who holds the read lock queues a command that was checked against the
    /// present files before the next seal is submitted.
    orders: RwLock<SealedOrders>,
    /// Held while a seal is made.
    pub(super) sealing: Mutex<()>,
}

impl SealedFiles {
    /// Opens the files that the state knows, and removes what a seal left that did not come to its command.
    /// O(seals).
    ///
    /// # Errors
    /// Files that the state knows are missing or damaged, or the disk fails.
    pub fn open(storage: &Arc<dyn Storage>, root: PathBuf, state: &State) -> Result<Self, DurabilityError> {
        let orders = SealedOrders::open_or_mend(storage, &root, &known_of(state))?;
        for damage in orders.store().map_or(Ok(Vec::new()), Store::missing)? {
            // Everything else can be served.
            tracing::error!(%damage, "a file of sealed orders is lost: `upline repair`");
        }
        // Afterwards: an opening that is refused changes nothing.
        for path in Leftovers::of(state).remove(storage, &root)? {
            tracing::warn!(path = %path.display(), "removed a file of a seal that was not completed");
        }
        Ok(Self { storage: Arc::clone(storage), root, orders: RwLock::new(orders), sealing: Mutex::new(()) })
    }

    /// No files, for engines without a directory.
    #[cfg(test)]
    pub fn none() -> Self {
        let storage = crate::durability::memory::Memory::new().shared();
        let (orders, sealing) = (RwLock::new(SealedOrders::default()), Mutex::new(()));
        Self { storage, root: PathBuf::from("unused"), orders, sealing }
    }

    /// The orders, which stay what they are while the guard lives.
    pub fn hold(&self) -> RwLockReadGuard<'_, SealedOrders> {
        self.orders.read()
    }

    /// The orders as they are now.
    pub fn orders(&self) -> SealedOrders {
        self.orders.read().clone()
    }

    /// Shows other files to admission. Returns when all commands that were checked against the old ones are
    /// queued.
    pub(super) fn exchange(&self, orders: SealedOrders) {
        *self.orders.write() = orders;
    }
}

/// All files of seals but those that a state knows.
pub(super) struct Leftovers {
    seals: Vec<Known>,
    boundaries: Vec<KnownBoundary>,
}

impl Leftovers {
    pub fn of(state: &State) -> Self {
        Self { seals: known_of(state), boundaries: state.seals().iter().map(boundary_of).collect() }
    }

    /// Removes them; returns their paths.
    pub fn remove(self, storage: &Arc<dyn Storage>, root: &Path) -> Result<Vec<PathBuf>, DurabilityError> {
        let mut removed = sealed::sweep(storage, root, &self.seals)?;
        removed.extend(network::sweep(storage, root, &self.boundaries)?);
        Ok(removed)
    }
}
