//! Names of files that contain a number: log segments and snapshots.

use std::path::PathBuf;

/// Digits of the number, so that names sort numerically.
const DIGITS: usize = 20;

/// Returns a segment's file name.
pub(crate) fn segment(number: u64) -> PathBuf {
    format!("{number:0DIGITS$}.log").into()
}

/// Returns the number in a segment's file name.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    number(name.strip_suffix(".log")?)
}

/// Returns a snapshot's file name.
pub(crate) fn snapshot(lsn: u64) -> PathBuf {
    format!("{lsn:0DIGITS$}.snap").into()
}

/// Returns the LSN in a snapshot's file name.
pub(crate) fn snapshot_lsn(name: &str) -> Option<u64> {
    number(name.strip_suffix(".snap")?)
}

fn number(digits: &str) -> Option<u64> {
    (digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())?
}
