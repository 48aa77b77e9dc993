//! What of a ledger entry a principal sees: the one place that decides it.
//!
//! Everybody who may read an entry sees its receiver, amount, kind, level, status and time: those are the
//! receiver's, who is seen. Its source is somebody else, and its reference (an order, say) is the source's.
//! For what this network computed the source stands below the receiver and is seen with it; an entry that was
//! imported may name anybody. So everything that prints an entry takes a [`SeenEntry`], which has no other
//! way to the source and its reference than through a [`Sight`].

use super::policy::Sight;
use crate::engine::{Entry, EntryStatus, MemberId, MemberIx, Money, Reference, State, Timestamp};

/// What the routes of the original print in the place of a source that is not shown: their clients expect the
/// text of a UUID. `/v1` says null.
pub const HIDDEN_SOURCE: MemberId = MemberId([0; 16]);

/// An entry as somebody sees it. Its fields are those of [`Entry`].
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
    /// What that which it came from is called outside; `None` where that was not said, and where the source
    /// is hidden. O(1).
    pub fn reference(&self, state: &State) -> Option<Reference> {
        self.source.and_then(|_| state.reference_of(self.index))
    }
}

impl Sight {
    /// What is seen of an entry that may be read. O(1), or O(log n) for a member.
    pub fn of_entry(self, state: &State, entry: &Entry) -> SeenEntry {
        let Entry { index, lsn, time, receiver, source, level, amount, kind, status, plan_version } = *entry;
        let source = Some(source).filter(|source| self.sees(state, *source));
        SeenEntry { index, lsn, time, receiver, source, level, amount, kind, status, plan_version }
    }
}
