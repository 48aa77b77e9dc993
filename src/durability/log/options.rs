//! Sizes of a log, and retention of old segments.

/// What happens to segments that no kept snapshot needs. They always go to `archive/` first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retention {
    /// Keep them there.
    Keep,
    /// Delete the oldest while the archive holds more bytes than this.
    Bytes(u64),
    /// Delete those whose newest command is older than this many days of log time.
    Days(u32),
}

/// Options of a log. They may differ between the processes that open a directory over time: a segment records
/// its own size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogOptions {
    /// Bytes of a new segment, a multiple of 4 KiB within `SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX`. Larger
    /// ones rotate less often, smaller ones archive at finer granularity.
    pub segment_bytes: u64,
    /// Prepare the next segment in a separate thread, so that rotation need not wait for 64 MiB of zeros. Off
    /// for deterministic simulation.
    pub prepare_in_background: bool,
    /// What happens to segments that no kept snapshot needs.
    pub retention: Retention,
}

/// Smallest segment: for tests and the golden directories.
pub const SEGMENT_BYTES_MIN: u64 = 16 * 1_024;
/// Largest segment: recovery reads one segment at a time into memory.
pub const SEGMENT_BYTES_MAX: u64 = 256 * 1_024 * 1_024;
/// The default size: some 300,000 signups.
pub const SEGMENT_BYTES: u64 = 64 * 1_024 * 1_024;

impl Default for LogOptions {
    fn default() -> Self {
        Self { segment_bytes: SEGMENT_BYTES, prepare_in_background: true, retention: Retention::Keep }
    }
}

impl LogOptions {
    /// Returns `segment_bytes` adjusted to a valid segment size.
    pub(crate) fn segment_bytes_checked(&self) -> u64 {
        self.segment_bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX).next_multiple_of(4_096)
    }
}
