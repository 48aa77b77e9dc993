//! The log: segments of frames, one frame per group of commands.
//!
//! Each rule is explained in the module that enforces it; the bytes are in `snapshots/README.md`. In short: a
//! segment is filled with zeros, synced and its name made durable before its first frame, so that an append
//! changes no metadata and "zero" means "never written". Every frame records how far the log was durable when
//! it was written. That tells a torn tail (never acknowledged: cut) from damage (possibly acknowledged:
//! refused).

pub(crate) mod chain;
pub(crate) mod evidence;
pub(crate) mod frame;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod index;
mod journal;
mod next;
mod options;
pub(crate) mod position;
pub(crate) mod reader;
pub(crate) mod rewrite;
pub(crate) mod scan;
pub(crate) mod segment;
pub(crate) mod whole;

#[cfg(test)]
mod tests;

pub(crate) use self::{
    frame::frame_bytes,
    index::{FileLog, LogIndex, Readers, SharedIndex},
    journal::JournalStart,
    next::Next,
    segment::{SegmentEntry, fill_with_zeros},
};
pub use self::{
    index::LOG_READERS_MAX,
    journal::FileJournal,
    options::{LogOptions, Retention, SEGMENT_BYTES, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN},
};
