//! Which segment holds which LSN, shared by the writer and all readers of the log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::reader::GroupReader;
use crate::durability::{
    error::{Error, Result},
    paths::Paths,
    storage::Storage,
};

/// What becomes of segments that no kept snapshot needs. Whatever is chosen, they go to `archive/` first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retention {
    /// They stay there.
    Keep,
    /// The oldest are deleted as long as the archive holds more bytes than this.
    Bytes(u64),
    /// Those whose newest command is older than this many days of log time are deleted.
    Days(u32),
}

/// One segment with a valid header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SegmentEntry {
    pub number: u64,
    pub first_lsn: u64,
    pub bytes: u64,
    /// Log time of the newest command before the segment, in microseconds.
    pub time: i64,
    pub archived: bool,
}

/// All segments, oldest first, without a gap.
#[derive(Debug)]
pub(crate) struct LogIndex {
    pub segments: Vec<SegmentEntry>,
    /// Everything up to here is durable, and readable.
    pub durable_lsn: u64,
}

impl LogIndex {
    /// The first LSN that can be read.
    pub(crate) fn oldest_lsn(&self) -> u64 {
        self.segments.first().map_or(u64::MAX, |segment| segment.first_lsn)
    }

    /// The segment that holds `lsn`, or would.
    pub(crate) fn holding(&self, lsn: u64) -> Option<SegmentEntry> {
        let after = self.segments.partition_point(|segment| segment.first_lsn <= lsn);
        after.checked_sub(1).map(|at| self.segments[at])
    }

    pub(crate) fn numbered(&self, number: u64) -> Option<SegmentEntry> {
        self.segments.binary_search_by_key(&number, |segment| segment.number).ok().map(|at| self.segments[at])
    }
}

#[derive(Clone, Debug)]
pub(crate) struct SharedIndex(Arc<Mutex<LogIndex>>);

impl SharedIndex {
    pub(crate) fn new(index: LogIndex) -> Self {
        Self(Arc::new(Mutex::new(index)))
    }

    /// Nothing is ever left half-changed under this lock, so a panic elsewhere is no reason not to go on.
    pub(crate) fn lock(&self) -> MutexGuard<'_, LogIndex> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the log beside the writer: cheap to clone, for any thread.
#[derive(Clone, Debug)]
pub struct LogView {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) paths: Paths,
    pub(crate) instance: [u8; 16],
    pub(crate) index: SharedIndex,
}

impl LogView {
    /// The first LSN that can be read: what came before is not retained.
    pub fn oldest_lsn(&self) -> u64 {
        self.index.lock().oldest_lsn()
    }

    /// The last LSN that can be read.
    pub fn durable_lsn(&self) -> u64 {
        self.index.lock().durable_lsn
    }

    /// The groups from the one that holds `lsn` on, up to what is durable now, through archived and live segments. A first group
    /// that begins before `lsn` comes without its beginning.
    ///
    /// # Errors
    /// `BelowRetained` when the log does not reach back to `lsn`.
    pub fn read_from(&self, lsn: u64) -> Result<GroupReader> {
        let (segment, until) = {
            let index = self.index.lock();
            let segment = index.holding(lsn).ok_or(Error::BelowRetained { oldest: index.oldest_lsn() })?;
            (segment.number, index.durable_lsn)
        };
        Ok(GroupReader::new(self.clone(), segment, lsn, until))
    }
}
