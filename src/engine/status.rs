//! The engine's status as plain data.

use std::time::Duration;

use crate::{
    core::{Digest, types::Timestamp},
    durability::LogTrouble,
};

/// The state of the engine at one moment. Figures of the network are of one LSN; the others may lag or lead
/// by a group.
#[derive(Clone, PartialEq, Debug)]
pub struct EngineStatus {
    /// Writes are accepted: not stopping, not poisoned, room in the log, and the clock did not jump.
    pub ready: bool,
    pub stopping: bool,
    /// Why the writer is poisoned, if it is: reads continue, writes need a restart.
    pub poisoned: Option<String>,
    /// What prevents the creation of the next log segment, if anything.
    pub log_trouble: Option<LogTrouble>,
    pub instance_id: [u8; 16],
    pub network_id: u32,
    pub lsn: Watermarks,
    /// Log time of the newest applied command.
    pub time: Timestamp,
    pub members: u32,
    pub depth: u32,
    pub entries: u64,
    pub pending_entries: u64,
    pub plan_version: u32,
    pub queue_depth: usize,
    pub queue_capacity: usize,
    pub log: LogFigures,
    /// The newest valid snapshot.
    pub snapshot: SnapshotInfo,
    pub snapshot_running: bool,
    pub snapshot_failures: u64,
    /// Why the newest attempt failed, if it did.
    pub snapshot_error: Option<String>,
    pub opened: OpenReport,
}

/// The watermarks as one chain: `snapshot <= applied <= durable <= admitted`, always.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Watermarks {
    /// The newest published snapshot holds everything up to here.
    pub snapshot: u64,
    /// Readers see everything up to here.
    pub applied: u64,
    /// Everything up to here survived a sync.
    pub durable: u64,
    /// Everything up to here was given to the log.
    pub admitted: u64,
}

impl Watermarks {
    /// Checks the chain. O(1).
    ///
    /// # Panics
    /// When a link is broken: readers saw something that is not durable, or worse.
    pub fn validate(&self) {
        assert!(self.snapshot <= self.applied, "a snapshot never runs ahead of what is applied: {self:?}");
        assert!(self.applied <= self.durable, "nothing is applied that is not durable: {self:?}");
        assert!(self.durable <= self.admitted, "nothing is durable that was not admitted: {self:?}");
    }
}

/// Size of the live log.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LogFigures {
    /// Bytes of all live segments, pre-zeroed space included.
    pub bytes: u64,
    pub segments: u64,
}

/// A published snapshot.
#[derive(Clone, PartialEq, Debug)]
pub struct SnapshotInfo {
    pub lsn: u64,
    pub members: u32,
    pub bytes: u64,
    /// How long it took; zero for the one found when opening.
    pub duration: Duration,
    /// Wall-clock time of its publication; for the one found when opening, the log time of its LSN.
    pub made_at: Timestamp,
    pub state_digest: Digest,
    pub network_digest: Digest,
}

/// How opening went.
#[derive(Clone, PartialEq, Debug)]
pub struct OpenReport {
    /// The directory did not exist and was created.
    pub created: bool,
    pub members: u32,
    /// The newest LSN, of the snapshot and the tail together.
    pub lsn: u64,
    /// LSN of the snapshot that was loaded.
    pub snapshot_lsn: u64,
    /// Commands applied from the log.
    pub replayed: u64,
    pub duration: Duration,
    /// Torn tails that were cut, each with position and size. Nothing in them was ever acknowledged.
    pub cuts: Vec<String>,
    /// Snapshots that failed their checks, and why.
    pub fallbacks: Vec<String>,
    /// Other findings and repairs that an operator may want to know but need not act on at once: a damaged
    /// archive, an interrupted cut that was finished, unfinished files.
    pub notes: Vec<String>,
    /// Log time of the newest command; `None` before the first.
    pub time: Option<Timestamp>,
    /// How far the clock is ahead of log time: normally the idle time. Zero before the first command.
    pub clock_ahead: Duration,
    /// How far log time is ahead of the clock; normally zero. Log time stands still until the clock has
    /// caught up.
    pub clock_behind: Duration,
    /// The clock is behind by more than its bound: writes are refused until it has caught up, or an operator
    /// accepts it.
    pub clock_jumped: bool,
}

/// The progress of opening.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenProgress {
    /// Rows of the snapshot were read.
    Loading { rows: u64, rows_total: u64 },
    /// The derived data is being computed and compared with the digest.
    Checking,
    /// Commands of the log were applied.
    Replaying { commands: u64 },
}

/// How the engine stopped.
#[derive(Clone, PartialEq, Debug)]
pub struct ShutdownReport {
    /// The newest applied LSN.
    pub lsn: u64,
    /// The final snapshot, or why there is none; `None` if the policy calls for none. Without one the next
    /// start replays the log.
    pub snapshot: Option<Result<SnapshotInfo, super::SnapshotError>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_is_checked_link_by_link() {
        let good = Watermarks { snapshot: 1, applied: 2, durable: 2, admitted: 3 };
        good.validate();
        // what is wrong, the chain
        let table = [
            ("snapshot", Watermarks { snapshot: 3, ..good }),
            ("applied", Watermarks { applied: 3, ..good }),
            ("durable", Watermarks { durable: 4, ..good }),
        ];
        for (link, broken) in table {
            assert!(std::panic::catch_unwind(|| broken.validate()).is_err(), "{link}");
        }
    }
}
