//! What an answer about the past costs, counted while it is worked out, and how that work gives way to
//! writes.

use std::time::Instant;

use super::super::{
    limits::{HISTORY_REST_MAX, HISTORY_STRETCH},
    marks::Marks,
    sync::sleep,
};

/// The work that one answer takes.
#[derive(Clone, Debug)]
pub struct Effort {
    /// Commands read from the log.
    pub read: u64,
    /// Commands applied, and rows of snapshots restored.
    pub rebuilt: u64,
    /// When the work last gave way, and what was applied then.
    stretch: Instant,
    applied: u64,
}

impl Default for Effort {
    fn default() -> Self {
        Self { read: 0, rebuilt: 0, stretch: Instant::now(), applied: 0 }
    }
}

impl Effort {
    /// Rests as long as was worked since the last time, if that was a while and writes came in meanwhile. Not
    /// to be called with a lock in hand.
    pub(in crate::engine) fn give_way(&mut self, marks: &Marks) {
        // On a scheduler in place of threads the clock must not decide which step comes next.
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
