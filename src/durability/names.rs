//! Names of files that hold a number: segments of the log, and snapshots.

use std::path::PathBuf;

/// Digits of the number, so that names sort as numbers do.
const DIGITS: usize = 20;

/// A segment's file name.
pub(crate) fn segment(number: u64) -> PathBuf {
    format!("{number:0DIGITS$}.log").into()
}

/// The number in a segment's file name.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    number(name.strip_suffix(".log")?)
}

/// A snapshot's file name.
pub(crate) fn snapshot(lsn: u64) -> PathBuf {
    format!("{lsn:0DIGITS$}.snap").into()
}

/// The LSN in a snapshot's file name.
pub(crate) fn snapshot_lsn(name: &str) -> Option<u64> {
    number(name.strip_suffix(".snap")?)
}

fn number(digits: &str) -> Option<u64> {
    (digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())?
}
