//! Which frozen views are being made, and which are held.

use std::sync::{Arc, Weak};

use super::sync::{Condvar, Mutex};
use crate::core::state::{Parts, State, ViewId};

/// The views being made, and the last ones made.
pub(super) struct ViewDesk {
    pub desk: Mutex<Desk>,
    /// A view was made or given up.
    pub changed: Condvar,
}

pub(super) struct Desk {
    pub making: Vec<Making>,
    /// The last view of each set of parts, as long as a caller holds it.
    pub made: Vec<(Parts, Weak<State>)>,
}

/// A view being made.
pub(super) struct Making {
    pub view: ViewId,
    pub lsn: u64,
    pub parts: Parts,
    /// Whether others may share it.
    pub is_shared: bool,
}

impl Desk {
    /// A view of this moment that is still held and has these parts.
    pub fn made_at(&self, lsn: u64, parts: Parts) -> Option<Arc<State>> {
        let fitting = self.made.iter().filter(|(made, _)| made.contains(parts));
        fitting.filter_map(|(_, view)| view.upgrade()).find(|view| view.lsn() == lsn)
    }

    /// Whether such a view is being made.
    pub fn is_making(&self, lsn: u64, parts: Parts) -> bool {
        self.making.iter().any(|one| one.is_shared && one.lsn == lsn && one.parts.contains(parts))
    }
}

impl ViewDesk {
    pub fn new() -> Self {
        Self { desk: Mutex::new(Desk { making: Vec::new(), made: Vec::new() }), changed: Condvar::new() }
    }

    /// Views being made.
    #[cfg(test)]
    pub fn making(&self) -> usize {
        self.desk.lock().making.len()
    }
}
