//! Which entries of the ledger are meant.

use crate::core::{
    ledger::entries::Entry,
    words::types::{EntryStatus, MemberIx, Reference, Timestamp},
};

/// Which entries a list shows: those to which all of it applies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryFilter {
    /// Entries of one reference are found by it, else those of one receiver along its list, all others among
    /// all entries.
    pub reference: Option<Reference>,
    pub receiver: Option<MemberIx>,
    pub source: Option<MemberIx>,
    /// As of when it is looked at.
    pub status: Option<EntryStatus>,
    /// As in `Entry::kind`.
    pub kind: Option<u16>,
    /// Included.
    pub from: Timestamp,
    /// Not included.
    pub until: Timestamp,
}

impl Default for EntryFilter {
    /// Everything.
    fn default() -> Self {
        let (from, until) = (Timestamp(i64::MIN), Timestamp(i64::MAX));
        Self { reference: None, receiver: None, source: None, status: None, kind: None, from, until }
    }
}

impl EntryFilter {
    /// Whether all of it but the reference, which an entry does not say, applies to it.
    pub fn takes(&self, entry: &Entry) -> bool {
        let Self { reference: _, receiver, source, status, kind, from, until } = self;
        receiver.is_none_or(|receiver| receiver == entry.receiver)
            && source.is_none_or(|source| source == entry.source)
            && status.is_none_or(|status| status == entry.status)
            && kind.is_none_or(|kind| kind == entry.kind)
            && *from <= entry.time
            && entry.time < *until
    }
}
