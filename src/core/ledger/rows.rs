//! The ledger as plain rows.

use crate::core::words::types::{EntryStatus, Timestamp};

/// The cause of ledger entries: they run from `first_entry` to the next trigger's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TriggerRow {
    pub lsn: u64,
    pub time: Timestamp,
    /// The trigger's amount, 0 without one.
    pub amount: i64,
    pub source: u32,
    pub first_entry: u32,
    pub plan_version: u32,
    /// Position in `ImageHeader::kinds`.
    pub kind: u16,
}

/// One ledger entry; its index is its position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntryRow {
    pub amount: i64,
    pub receiver: u32,
    pub level: u32,
    pub status: EntryStatus,
}
