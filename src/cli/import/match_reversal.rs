//! Which bonus a negative row takes back, if the row does not say so: an index of what can be taken back.
//!
//! A receiver enters the index with its first such row, with one walk through its entries; after that each
//! entry and each question is O(1). So a file is matched in time linear in its rows, however many a receiver
//! has, and a file whose reversals are all named costs nothing.
//!
//! Memory: 40 to 80 bytes for each bonus of an indexed receiver that is not taken back. Bonuses that are
//! alike share one row, which keeps their number and the XOR of their indexes: where the number is one, that
//! is the index.

use std::collections::{HashMap, HashSet};

use crate::core::{
    Entry,
    state::State,
    types::{EntryStatus, MemberIx, Money},
};

/// What a negative row takes back.
pub(super) struct Wanted {
    pub receiver: MemberIx,
    pub source: MemberIx,
    pub level: u32,
    /// `None` for a kind that no entry has.
    pub kind: Option<u16>,
    /// The opposite of the row's.
    pub amount: Money,
    pub is_void: bool,
}

/// The entries that a row could take back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Match {
    One(u64),
    /// None at all.
    None,
    /// The row is not void, and all that would fit are.
    OnlyVoid,
    /// The row is void, and none that would fit is.
    NoneVoid,
    Several,
}

/// What entries must share to be taken for each other.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    amount: i64,
    receiver: u32,
    source: u32,
    level: u32,
    kind: u16,
    is_void: bool,
}

/// The entries of a key.
#[derive(Clone, Copy, Default)]
struct Alike {
    count: u32,
    /// XOR of their indexes: entries have indexes of 32 bits.
    indexes: u32,
}

const _: () = assert!(size_of::<(Key, Alike)>() == 32);

/// The positive entries of some receivers that are not taken back. Entries keep their state during an import.
#[derive(Default)]
pub(super) struct Unreversed {
    receivers: HashSet<MemberIx>,
    entries: HashMap<Key, Alike>,
}

impl Unreversed {
    /// Takes the next entry of the ledger, whose reversal comes later if at all.
    pub fn pass(&mut self, state: &State, index: u64) {
        // Most imports ask nothing.
        if self.receivers.is_empty() {
            return;
        }
        let entry = state.entry(index);
        if self.receivers.contains(&entry.receiver) {
            self.add(&entry);
            if let Some(reversed) = state.reverses(index) {
                self.take(&state.entry(reversed));
            }
        }
    }

    /// Returns the match among the entries before `end`, all of which were passed.
    pub fn find(&mut self, state: &State, end: u64, wanted: &Wanted) -> Match {
        if self.receivers.insert(wanted.receiver) {
            // When an import is repeated, the ledger has more entries than were passed.
            let is_open = |index: &u64| {
                *index < end && state.reversal_of(*index).is_none_or(|reversal| end <= reversal)
            };
            for index in state.received_entries(wanted.receiver).filter(is_open) {
                self.add(&state.entry(index));
            }
        }
        let Some(kind) = wanted.kind else { return Match::None };
        let alike = |is_void: bool| {
            let Wanted { receiver, source, level, amount, .. } = *wanted;
            let key = Key { amount: amount.0, receiver: receiver.0, source: source.0, level, kind, is_void };
            self.entries.get(&key).copied().unwrap_or_default()
        };
        match (alike(wanted.is_void), alike(!wanted.is_void).count) {
            (Alike { count: 1, indexes }, _) => Match::One(indexes.into()),
            (Alike { count: 0, .. }, 0) => Match::None,
            (Alike { count: 0, .. }, _) if wanted.is_void => Match::NoneVoid,
            (Alike { count: 0, .. }, _) => Match::OnlyVoid,
            _ => Match::Several,
        }
    }

    fn add(&mut self, entry: &Entry) {
        if 0 < entry.amount.0 {
            let alike = self.entries.entry(Key::of(entry)).or_default();
            alike.count += 1;
            alike.indexes ^= narrow(entry.index);
        }
    }

    fn take(&mut self, entry: &Entry) {
        let key = Key::of(entry);
        if let Some(alike) = self.entries.get_mut(&key) {
            alike.count -= 1;
            alike.indexes ^= narrow(entry.index);
            if alike.count == 0 {
                self.entries.remove(&key);
            }
        }
    }
}

impl Key {
    fn of(entry: &Entry) -> Self {
        Self {
            amount: entry.amount.0,
            receiver: entry.receiver.0,
            source: entry.source.0,
            level: entry.level,
            kind: entry.kind,
            is_void: entry.status == EntryStatus::Void,
        }
    }
}

fn narrow(index: u64) -> u32 {
    u32::try_from(index).expect("a ledger has fewer entries")
}
