//! Sums over one member's received ledger entries.
//!
//! They are walks along the receiver's entries, counted in steps like those of `walk`. Late entries
//! (`late.rs`) are visited after the others: sums need no order. The list itself is in `listed.rs`.

use std::collections::{BTreeMap, HashMap};

use crate::core::{
    ledger::{entries::Entry, sum::Sum},
    read::listed::ReceivedWalk,
    state::parts::State,
    words::types::{EntryStatus, MemberIx, Timestamp},
};

/// Sums over the entries of one receiver in a window of time. Void entries, which are never paid, are in
/// `by_status` alone. Memory: a few words for each level and kind
/// that occurs; plans limit the levels, but for imported entries only [`SUM_LEVELS_MAX`] does.
#[derive(Clone, Debug)]
pub struct ReceivedSums {
    walk: ReceivedWalk,
    is_over: bool,
    /// Entries with an index below this existed when the walk began.
    before: u64,
    from: Timestamp,
    until: Timestamp,
    /// Entries examined.
    pub looked: u64,
    /// All but void ones.
    pub total: Sum,
    /// By state, in the order of [`EntryStatus::ALL`].
    pub by_status: [Sum; EntryStatus::ALL.len()],
    /// The reversals among the total.
    pub reversed: Sum,
    /// By paid level, along the tree of the bonus; 0 for rank rewards.
    pub by_level: BTreeMap<u32, Sum>,
    /// For [`State::kind_name`].
    pub by_kind: BTreeMap<u16, Sum>,
}

/// Levels that are summed separately; deeper entries, which only an import makes, count as of this one. The
/// description of the API says so. Admins are paid down to `ADMIN_LEVELS_MAX`, which is less.
pub const SUM_LEVELS_MAX: u32 = 2_048;

impl ReceivedSums {
    /// Whether all entries were added.
    pub fn is_over(&self) -> bool {
        self.is_over
    }
}

/// What each of several sources brought to one receiver: the sums of its entries by source, without those
/// that were void when they were visited. Memory: some 100 bytes for each source, at worst.
///
/// The receiver's entries are visited newest first, and those added meanwhile are visited afterwards, so that
/// in the end the sums are those of one state.
#[derive(Clone, Debug)]
pub struct Brought {
    receiver: MemberIx,
    level: u32,
    sums: HashMap<u32, Sum>,
    /// Entries examined.
    pub looked: u64,
    /// The rest of the initial entries, whose indexes are less than `before`.
    walk: ReceivedWalk,
    before: u64,
    /// The newest in-time entry that is or will be covered.
    newest: Option<u64>,
    /// Among entries added since: the next to visit, and the end, which was visited earlier.
    at: Option<u64>,
    end: Option<u64>,
    /// Late triggers from this one on are still to be visited.
    late_from: u32,
}

impl Brought {
    /// Adds a source. Only entries visited afterwards count for it.
    pub fn ask(&mut self, source: MemberIx) {
        self.sums.entry(source.0).or_default();
    }

    /// Adds an entry, if its source was asked for.
    fn add(&mut self, entry: &Entry) {
        if entry.receiver == self.receiver
            && entry.level == self.level
            && entry.status != EntryStatus::Void
            && let Some(sum) = self.sums.get_mut(&entry.source.0)
        {
            sum.add(entry.amount);
        }
    }

    /// The sum of one source.
    pub fn of(&self, source: MemberIx) -> Sum {
        self.sums.get(&source.0).copied().unwrap_or_default()
    }
}

impl State {
    /// Sums over the entries of `receiver` with a time in `from..until`, for [`State::received_sums_step`].
    pub fn received_sums(&self, receiver: MemberIx, from: Timestamp, until: Timestamp) -> ReceivedSums {
        let nothing = Sum::default();
        let (walk, before) = (self.received_until(receiver, until), self.entries());
        let (by_level, by_kind) = (BTreeMap::new(), BTreeMap::new());
        let (is_over, looked) = (false, 0);
        ReceivedSums {
            walk,
            is_over,
            before,
            from,
            until,
            looked,
            total: nothing,
            by_status: [nothing; EntryStatus::ALL.len()],
            reversed: nothing,
            by_level,
            by_kind,
        }
    }

    /// Adds up to `steps` entries. O(steps), O(steps * log late entries) among late ones; the total is
    /// O(entries of the receiver that are newer than the window's start).
    pub fn received_sums_step(&self, sums: &mut ReceivedSums, steps: usize) {
        for _ in 0..steps {
            let next = self.received_step(&mut sums.walk).map(|index| self.entry(index));
            sums.looked += u64::from(next.is_some());
            let Some(entry) = next.filter(|entry| sums.from <= entry.time) else {
                sums.is_over = true;
                return;
            };
            if sums.until <= entry.time || sums.before <= entry.index {
                continue;
            }
            sums.by_status[entry.status as usize].add(entry.amount);
            if entry.status == EntryStatus::Void {
                continue;
            }
            sums.total.add(entry.amount);
            if self.reversal_count() != 0 && self.reverses(entry.index).is_some() {
                sums.reversed.add(entry.amount);
            }
            sums.by_level.entry(entry.level.min(SUM_LEVELS_MAX)).or_default().add(entry.amount);
            sums.by_kind.entry(entry.kind).or_default().add(entry.amount);
        }
        sums.is_over = sums.walk.is_over();
    }

    /// The sums by source for `receiver` in entries paid at `level`; sources are added later, for
    /// [`State::brought_step`].
    pub fn brought(&self, receiver: MemberIx, level: u32) -> Brought {
        let (walk, newest) = (self.received(receiver), self.newest_received(receiver));
        let (before, late_from) = (self.entries(), self.ledger.entries().triggers_end());
        Brought {
            receiver,
            level,
            sums: HashMap::new(),
            looked: 0,
            walk,
            before,
            newest,
            at: newest,
            end: newest,
            late_from,
        }
    }

    /// Visits up to `steps` entries. True when the sums are those of this state. O(steps); the total is
    /// O(entries of the receiver), as there is no index by source, plus late ones added meanwhile.
    pub fn brought_step(&self, brought: &mut Brought, steps: usize) -> bool {
        if brought.sums.is_empty() {
            return true;
        }
        for _ in 0..steps {
            brought.looked += 1;
            if let Some(index) = self.received_step(&mut brought.walk) {
                if index < brought.before {
                    brought.add(&self.entry(index));
                }
            } else if brought.at != brought.end {
                let index = brought.at.expect("entries are linked down to the first");
                brought.at = self.ledger.entries().older(index);
                brought.add(&self.entry(index));
            } else if let Some(trigger) = self.ledger.entries().late_from(brought.late_from) {
                brought.late_from = trigger + 1;
                for index in self.ledger.entries().entries_of_trigger(trigger) {
                    brought.looked += 1;
                    brought.add(&self.entry(index));
                }
            } else {
                brought.late_from = self.ledger.entries().triggers_end();
                let newest = self.newest_received(brought.receiver);
                if newest == brought.newest {
                    return true;
                }
                (brought.end, brought.at, brought.newest) = (brought.newest, newest, newest);
            }
        }
        false
    }
}

#[cfg(test)]
#[path = "network_test.rs"]
pub(in crate::core) mod network;
#[cfg(test)]
#[path = "received_test.rs"]
mod tests;
