//! Idempotency keys and commands that changed nothing as plain rows.

use crate::core::{
    requests::command::{Applied, RequestKey},
    words::types::Timestamp,
};

/// A remembered idempotency key, oldest first. Its time is log time minus what had not counted by then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyRow {
    pub key: RequestKey,
    pub time: Timestamp,
    pub applied: Applied,
}

/// A logged command that changed nothing. Ascending by LSN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnchangedRow {
    pub lsn: u64,
    /// Number of the rejection; 0 for a repeat of an idempotency key, `u16::MAX` for a no-op.
    pub reason: u16,
}
