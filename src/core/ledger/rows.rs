//! The ledger as plain rows.

use bytemuck::{Pod, Zeroable};

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

/// A trigger's row as numbers.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq)]
#[repr(C)]
pub(in crate::core) struct KeptTrigger {
    pub lsn: u64,
    pub time: Timestamp,
    pub amount: i64,
    pub source: u32,
    pub first_entry: u32,
    pub plan_version: u32,
    pub kind: u32,
}

impl From<TriggerRow> for KeptTrigger {
    fn from(row: TriggerRow) -> Self {
        let TriggerRow { lsn, time, amount, source, first_entry, plan_version, kind } = row;
        Self { lsn, time, amount, source, first_entry, plan_version, kind: kind.into() }
    }
}

impl From<KeptTrigger> for TriggerRow {
    fn from(kept: KeptTrigger) -> Self {
        let KeptTrigger { lsn, time, amount, source, first_entry, plan_version, kind } = kept;
        let kind = u16::try_from(kind).expect("it was one");
        Self { lsn, time, amount, source, first_entry, plan_version, kind }
    }
}

/// One ledger entry; its index is its position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntryRow {
    pub amount: i64,
    pub receiver: u32,
    pub level: u32,
    pub status: EntryStatus,
}

/// The reference of a trigger that has one. Ascending by trigger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReferenceRow {
    pub trigger: u32,
    pub text: Box<str>,
}

/// An entry that reverses another. Ascending by entry.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct ReversalRow {
    pub entry: u32,
    pub reverses: u32,
}
