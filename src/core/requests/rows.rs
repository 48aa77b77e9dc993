//! Idempotency keys and commands that changed nothing as plain rows.

use crate::core::{
    requests::command::{Applied, Outcome, RequestKey},
    words::types::Timestamp,
};

/// A remembered idempotency key, oldest first. Its time is log time minus what had not counted by then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyRow {
    pub key: [u8; 16],
    /// Hash of the request that came with the key.
    pub fingerprint: u64,
    pub time: Timestamp,
    /// The command that the key stands for, and its outcome.
    pub lsn: u64,
    pub outcome: Outcome,
}

impl KeyRow {
    pub(in crate::core) fn new(key: RequestKey, time: Timestamp, applied: Applied) -> Self {
        let (RequestKey { key, fingerprint }, Applied { outcome, lsn }) = (key, applied);
        Self { key, fingerprint, time, lsn, outcome }
    }

    /// The outcome of the first command with the key.
    pub fn applied(&self) -> Applied {
        Applied { outcome: self.outcome, lsn: self.lsn }
    }
}

/// A logged command that changed nothing. Ascending by LSN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnchangedRow {
    pub lsn: u64,
    /// Number of the rejection; 0 for a repeat of an idempotency key, `u16::MAX` for a no-op.
    pub reason: u16,
}
