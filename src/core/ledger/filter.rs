//! Filters of ledger entries.

use crate::core::{
    ledger::{entries::Entry, statuses::Statuses},
    words::types::{MemberIx, Reference, Timestamp},
};

/// Which entries a list shows: those that match all fields.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryFilter {
    /// Entries of one reference are found by index, else those of one receiver along its list, all others by
    /// a walk over all entries.
    pub reference: Option<Reference>,
    pub receiver: Option<MemberIx>,
    pub source: Option<MemberIx>,
    /// By the state at the time the entry is examined.
    pub statuses: Statuses,
    /// As in `Entry::kind`.
    pub kind: Option<u16>,
    /// Included.
    pub from: Timestamp,
    /// Not included.
    pub until: Timestamp,
}

impl Default for EntryFilter {
    /// Matches everything.
    fn default() -> Self {
        let (from, until) = (Timestamp(i64::MIN), Timestamp(i64::MAX));
        let statuses = Statuses::ALL;
        Self { reference: None, receiver: None, source: None, statuses, kind: None, from, until }
    }
}

impl EntryFilter {
    /// Whether an entry matches everything but the reference, which it does not hold.
    pub fn takes(&self, entry: &Entry) -> bool {
        let Self { reference: _, receiver, source, statuses, kind, from, until } = self;
        receiver.is_none_or(|receiver| receiver == entry.receiver)
            && source.is_none_or(|source| source == entry.source)
            && statuses.contains(entry.status)
            && kind.is_none_or(|kind| kind == entry.kind)
            && *from <= entry.time
            && entry.time < *until
    }
}
