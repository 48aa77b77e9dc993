//! Sizes of a log, and what becomes of old segments.

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
