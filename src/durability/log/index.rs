//! Maps LSNs to segments; shared by the writer and all readers of the log.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use super::segment::SegmentEntry;
use crate::{
    core::types::Timestamp,
    durability::{
        error::{Error, Result},
        paths::Paths,
        storage::Storage,
    },
};

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

    /// Returns the segment that holds `lsn`, or would.
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

    /// No invariant is ever broken under this lock, so a panic elsewhere does not matter.
    pub(crate) fn lock(&self) -> MutexGuard<'_, LogIndex> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Limit on concurrent log readers, each with a file open: all change feeds, and some for queries of the
/// past. Further ones are refused.
pub const LOG_READERS_MAX: usize = 72;

/// Counts readers. Clones share the count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readers(Arc<AtomicUsize>);

/// Counts as one reader until dropped.
#[derive(Debug)]
pub(crate) struct ReaderPermit(Readers);

impl Readers {
    /// Returns a permit to read.
    ///
    /// # Errors
    /// `TooManyReaders`.
    pub(crate) fn permit(&self) -> Result<ReaderPermit> {
        let permit = ReaderPermit(self.clone());
        if self.0.fetch_add(1, Ordering::AcqRel) < LOG_READERS_MAX {
            Ok(permit)
        } else {
            Err(Error::TooManyReaders { most: LOG_READERS_MAX })
        }
    }
}

impl Drop for ReaderPermit {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The reader's end of the log in a local directory. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct FileLog {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) paths: Paths,
    pub(crate) instance: [u8; 16],
    pub(crate) index: SharedIndex,
    pub(crate) readers: Readers,
}

impl FileLog {
    /// Returns the first LSN of the segment in which log time passes `time`; `None` when that is before the
    /// retained log.
    pub(super) fn segment_at(&self, time: Timestamp) -> Option<u64> {
        let index = self.index.lock();
        let after = index.segments.partition_point(|segment| segment.time <= time.0);
        after.checked_sub(1).map(|at| index.segments[at].first_lsn)
    }
}
