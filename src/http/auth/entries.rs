//! Decides, in one place, which parts of a ledger entry a principal sees.
//!
//! Every reader of an entry sees its receiver, amount, kind, level, status and time: those belong to the
//! receiver, who is visible. Its source is another member, and its reference (an order, say) belongs to the
//! source. In entries computed here, the source is below the receiver and therefore visible too; an imported
//! entry may name anybody. So all code that prints an entry takes a [`SeenEntry`], which reaches the source
//! and its reference only through a [`Sight`].

use super::policy::Sight;
use crate::engine::{Entry, EntryStatus, MemberId, MemberIx, Money, Reference, State, Timestamp};

/// What the routes of the original print instead of a hidden source: their clients expect the text of a UUID.
/// `/v1` says null.
pub const HIDDEN_SOURCE: MemberId = MemberId([0; 16]);

/// An entry as one principal sees it. Its fields are those of [`Entry`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeenEntry {
    pub index: u64,
    pub lsn: u64,
    pub time: Timestamp,
    pub receiver: MemberIx,
    /// `None` where it is hidden.
    pub source: Option<MemberIx>,
    pub level: u32,
    pub amount: Money,
    pub kind: u16,
    pub status: EntryStatus,
    pub plan_version: u32,
}

impl SeenEntry {
    /// The external reference of the source event; `None` where there was none, and where the source is
    /// hidden. O(1).
    pub fn reference(&self, state: &State) -> Option<Reference> {
        self.source.and_then(|_| state.reference_of(self.index))
    }
}

impl Sight {
    /// The visible part of an entry that may be read. O(1), or O(log n) for a member.
    pub fn of_entry(self, state: &State, entry: &Entry) -> SeenEntry {
        let Entry { index, lsn, time, receiver, source, level, amount, kind, status, plan_version } = *entry;
        let source = Some(source).filter(|source| self.sees(state, *source));
        SeenEntry { index, lsn, time, receiver, source, level, amount, kind, status, plan_version }
    }
}
