//! The log: segments of frames, one frame per group of commands.
//!
//! What each rule is for stands in the module that keeps it; the bytes are in `snapshots/README.md`. In
//! short: a segment is filled with zeros, synced and its name made durable before its first frame, so that an
//! append changes no metadata and "zero" means "never written". Every frame says how far the log was durable
//! when it was written. That tells a torn tail (never acknowledged: cut) from damage (possibly acknowledged:
//! refused).

pub(crate) mod chain;
pub(crate) mod evidence;
pub(crate) mod frame;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod index;
mod journal;
mod next;
pub(crate) mod reader;
pub(crate) mod rewrite;
pub(crate) mod scan;
pub(crate) mod segment;

#[cfg(test)]
mod tests;

pub(crate) use self::{
    frame::frame_bytes,
    index::{LogIndex, Readers, SegmentEntry, SharedIndex},
    journal::{FileJournal, JournalStart},
    next::Next,
    reader::ChainAt,
    segment::fill_with_zeros,
};
pub use self::{
    index::{LOG_READERS_MAX, LogView, Retention},
    journal::{Appended, Figures, Journal, Purged},
    next::{LogHealth, LogTrouble},
    reader::{Group, GroupReader},
};

/// Sizes of a log. Equal for all processes that ever open one directory only as far as each likes: a segment
/// says its own size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogOptions {
    /// Bytes of a new segment, a multiple of 4 KiB within `SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX`. Larger
    /// ones rotate less often, smaller ones archive finer.
    pub segment_bytes: u64,
    /// Prepare the next segment in a thread of its own, so that rotation need not wait for 64 MiB of zeros.
    /// Off for deterministic simulation.
    pub prepare_in_background: bool,
    /// What becomes of segments that no kept snapshot needs.
    pub retention: Retention,
}

/// Smallest segment: tests and the golden directories.
pub const SEGMENT_BYTES_MIN: u64 = 16 * 1_024;
/// Largest segment: recovery reads one segment at a time into memory.
pub const SEGMENT_BYTES_MAX: u64 = 256 * 1_024 * 1_024;
/// The usual size: some 300,000 signups.
pub const SEGMENT_BYTES: u64 = 64 * 1_024 * 1_024;

impl Default for LogOptions {
    fn default() -> Self {
        Self { segment_bytes: SEGMENT_BYTES, prepare_in_background: true, retention: Retention::Keep }
    }
}

impl LogOptions {
    /// Brings `segment_bytes` to what a segment can be.
    pub(crate) fn segment_bytes_checked(&self) -> u64 {
        self.segment_bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX).next_multiple_of(4_096)
    }
}
