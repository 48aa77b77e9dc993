//! Which segment holds which LSN, shared by the writer and all readers of the log.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use super::reader::{self, ChainAt, Group, GroupReader};
use crate::{
    core::types::Timestamp,
    durability::{
        error::{Error, Result},
        paths::Paths,
        storage::Storage,
    },
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

/// Readers of the log at once, each with a file open: all change feeds, and some for questions about the
/// past. A further one is refused.
pub const LOG_READERS_MAX: usize = 72;

/// How many readers there are. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readers(Arc<AtomicUsize>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct ReaderPermit(Readers);

impl Readers {
    fn permit(&self) -> Result<ReaderPermit> {
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

/// Reads the log beside the writer: cheap to clone, for any thread.
#[derive(Clone, Debug)]
pub struct LogView {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) paths: Paths,
    pub(crate) instance: [u8; 16],
    pub(crate) index: SharedIndex,
    pub(crate) readers: Readers,
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

    /// The groups from the one that holds `lsn` on, up to what is durable now, through archived and live
    /// segments. A first group that begins before `lsn` comes without its beginning.
    ///
    /// # Errors
    /// `BelowRetained` when the log does not reach back to `lsn`.
    pub fn read_from(&self, lsn: u64) -> Result<GroupReader> {
        self.read_range(lsn, u64::MAX)
    }

    /// As [`LogView::read_from`], but only up to `last`, if that is durable now. A last group that ends
    /// behind `last` comes without its end.
    ///
    /// # Errors
    /// `BelowRetained` when the log does not reach back to `first`; `TooManyReaders`.
    pub fn read_range(&self, first: u64, last: u64) -> Result<GroupReader> {
        let (segment, until) = {
            let index = self.index.lock();
            let segment = index.holding(first).ok_or(Error::BelowRetained { oldest: index.oldest_lsn() })?;
            (segment.number, index.durable_lsn.min(last))
        };
        Ok(GroupReader::new(self.clone(), self.readers.permit()?, segment, (first, until)))
    }

    /// The chain after the command `lsn`, which is durable: what tells two histories of one directory apart.
    /// Reads a part of one segment.
    ///
    /// # Errors
    /// `BelowRetained` when the log does not go on from `lsn`; `Damaged`, `Io`.
    pub(crate) fn chain_at(&self, lsn: u64) -> Result<ChainAt> {
        let segment = {
            let index = self.index.lock();
            index.holding(lsn + 1).ok_or(Error::BelowRetained { oldest: index.oldest_lsn() })?.number
        };
        reader::chain_at(self, segment, lsn)
    }

    /// Whether the log is retained from the first command ever logged in this directory on.
    pub fn is_whole(&self) -> bool {
        self.index.lock().segments.first().is_some_and(|segment| segment.number == 1)
    }

    /// First LSN of the segment in which log time passes `time`; `None` when that is before the retained log.
    fn segment_at(&self, time: Timestamp) -> Option<u64> {
        let index = self.index.lock();
        let after = index.segments.partition_point(|segment| segment.time <= time.0);
        after.checked_sub(1).map(|at| index.segments[at].first_lsn)
    }

    /// The last durable LSN whose log time is `time` or earlier. O(log segments), and reads a part of one
    /// segment.
    ///
    /// # Errors
    /// `BelowRetained` when that is before the retained log; `Damaged`, `Io`.
    pub fn lsn_at(&self, time: Timestamp) -> Result<u64> {
        let first =
            self.segment_at(time).ok_or_else(|| Error::BelowRetained { oldest: self.oldest_lsn() })?;
        let mut lsn = first - 1;
        let mut reader = self.read_from(first)?;
        let mut group = Group::default();
        while reader.next_into(&mut group)? {
            let earlier = group.commands.iter().take_while(|stamped| stamped.time <= time).count();
            if let Some(last) = group.commands[..earlier].last() {
                lsn = last.lsn;
            }
            if earlier < group.commands.len() {
                break;
            }
        }
        Ok(lsn)
    }
}
