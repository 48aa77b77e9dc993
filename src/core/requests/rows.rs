//! Idempotency keys and commands that changed nothing as plain rows.

use crate::core::{
    requests::command::{Applied, RequestKey},
    words::types::Timestamp,
};

/// A remembered idempotency key, oldest first. Its time is log time less what of it did not count by then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyRow {
    pub key: RequestKey,
    pub time: Timestamp,
    pub applied: Applied,
}

/// A command of the log that changed nothing. Ascending by LSN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnchangedRow {
    pub lsn: u64,
    /// Number of the rejection; 0 for a repeat of an idempotency key, `u16::MAX` where it was so already.
    pub reason: u16,
}
