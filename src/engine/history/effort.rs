//! The cost of an answer about the past, counted as it accrues, and how that work yields to writes.

use std::time::Instant;

use super::super::{
    limits::{HISTORY_REST_MAX, HISTORY_STRETCH},
    marks::Marks,
    sync::sleep,
};

/// The work spent on one answer.
#[derive(Clone, Debug)]
pub struct Effort {
    /// Commands read from the log.
    pub read: u64,
    /// Commands applied, and rows of snapshots restored.
    pub rebuilt: u64,
    /// When the work last yielded, and what was applied then.
    stretch: Instant,
    applied: u64,
}

impl Default for Effort {
    fn default() -> Self {
        Self { read: 0, rebuilt: 0, stretch: Instant::now(), applied: 0 }
    }
}

impl Effort {
    /// Rests for as long as it has worked since the last rest, if that was a while and writes came in. Call
    /// without holding a lock.
    pub(in crate::engine) fn give_way(&mut self, marks: &Marks) {
        // Under a scheduler the clock must not decide which step comes next.
        if cfg!(all(test, feature = "shuttle")) {
            return;
        }
        let worked = self.stretch.elapsed();
        if worked < HISTORY_STRETCH {
            return;
        }
        let applied = marks.applied();
        if applied != self.applied {
            self.applied = applied;
            sleep(worked.min(HISTORY_REST_MAX));
        }
        self.stretch = Instant::now();
    }
}
