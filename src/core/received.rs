//! What one member received: its ledger entries in order, and sums over them.
//!
//! Entries of one receiver are linked newest first, so both are walks along that list, counted in steps like those of `walk`. What is received
//! after a walk began stands before its beginning and is not seen.

use std::collections::{BTreeMap, HashMap};

use super::{
    state::State,
    types::{EntryStatus, MemberIx, Money, Timestamp},
};

/// The most entries one command makes for one receiver and the walk puts in order: each rule and each rank pays a member once for one command, so
/// real runs are a handful. A longer one (only a hand-made log has it) is put in order piece by piece.
const RUN_MAX: usize = 4_096;

/// A walk through all entries of one receiver: newest command first, then level ascending.
#[derive(Clone, Debug)]
pub struct Received {
    /// The newest entry of the command in hand; where to begin, before the first.
    head: Option<u64>,
    /// The entry after those of the command in hand.
    next: Option<u64>,
    /// Entries of the command in hand, the first to show last.
    run: Vec<u64>,
    /// How many of them were shown.
    shown: u32,
}

impl Received {
    /// For a cursor: the newest entry of the command in hand, and how many of its entries were shown. `None` when nothing is left.
    pub fn position(&self) -> Option<(u64, u32)> {
        if self.run.is_empty() { self.next.map(|next| (next, 0)) } else { self.head.map(|head| (head, self.shown)) }
    }

    /// Whether nothing is left.
    pub fn is_over(&self) -> bool {
        self.run.is_empty() && self.next.is_none()
    }
}

/// Count and amount of some entries. The amount is wider than one entry's: four thousand million of the largest do not fit 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Sum {
    pub entries: u64,
    pub amount: i128,
}

impl Sum {
    fn add(&mut self, amount: Money) {
        self.entries += 1;
        self.amount += i128::from(amount.0);
    }
}

/// Sums over the entries of one receiver in a window of time. Memory: a few words for each level and kind that occurs; levels are limited by
/// what plans pay, but those of imported entries only by [`SUM_LEVELS_MAX`].
#[derive(Clone, Debug)]
pub struct ReceivedSums {
    at: Option<u64>,
    from: Timestamp,
    until: Timestamp,
    /// Entries that were looked at.
    pub looked: u64,
    pub total: Sum,
    pub pending: Sum,
    /// By level at which it was paid, along the tree of the bonus; 0 for rank rewards.
    pub by_level: BTreeMap<u32, Sum>,
    /// For [`State::kind_name`].
    pub by_kind: BTreeMap<u16, Sum>,
}

/// Levels that are summed apart; entries beyond count as of this one. Admins are paid to `ADMIN_LEVELS_MAX`, which is less.
pub const SUM_LEVELS_MAX: u32 = 2_048;

impl ReceivedSums {
    /// Whether all entries were added.
    pub fn is_over(&self) -> bool {
        self.at.is_none()
    }
}

/// What each of some members brought to one receiver: the sums of its entries by source. Memory: some 100 bytes for each source asked for, at worst.
///
/// The receiver's entries are looked through newest first, and what came in meanwhile is looked through afterwards, so that in the end the sums
/// are those of one state.
#[derive(Clone, Debug)]
pub struct Brought {
    receiver: MemberIx,
    level: u32,
    sums: HashMap<u32, Sum>,
    /// Entries that were looked at.
    pub looked: u64,
    /// The newest entry that is or will have been looked at.
    newest: Option<u64>,
    /// The next to look at, and the one before which it ends, which was looked at earlier.
    at: Option<u64>,
    end: Option<u64>,
}

impl Brought {
    /// Asks about a source. Only what is looked at afterwards is added to it.
    pub fn ask(&mut self, source: MemberIx) {
        self.sums.entry(source.0).or_default();
    }

    /// What one of the sources brought.
    pub fn of(&self, source: MemberIx) -> Sum {
        self.sums.get(&source.0).copied().unwrap_or_default()
    }
}

impl State {
    /// A walk through all entries of `receiver`, for [`State::received_step`].
    pub fn received(&self, receiver: MemberIx) -> Received {
        Received { head: None, next: self.newest_entry_of(receiver), run: Vec::new(), shown: 0 }
    }

    /// A walk that rested earlier, from [`Received::position`]; `None` for a position that no walk of this receiver can have.
    pub fn received_from(&self, receiver: MemberIx, position: (u64, u32)) -> Option<Received> {
        let (head, shown) = position;
        if self.entries() <= head || self.entry(head).receiver != receiver {
            return None;
        }
        let mut walk = Received { head: None, next: Some(head), run: Vec::new(), shown: 0 };
        if 0 < shown {
            self.begin_run(&mut walk);
            walk.run.truncate(walk.run.len().checked_sub(shown as usize)?);
            walk.shown = shown;
        }
        Some(walk)
    }

    /// The next entry of a walk. O(1) but for the first of a command, which puts that command's entries in order.
    pub fn received_step(&self, walk: &mut Received) -> Option<u64> {
        if walk.run.is_empty() {
            self.begin_run(walk);
        }
        walk.shown += 1;
        walk.run.pop()
    }

    /// Collects the entries of the next command.
    fn begin_run(&self, walk: &mut Received) {
        (walk.head, walk.shown) = (walk.next, 0);
        let Some(head) = walk.next else { return };
        let lsn = self.entry(head).lsn;
        while let Some(index) = walk.next.filter(|index| self.entry(*index).lsn == lsn && walk.run.len() < RUN_MAX) {
            walk.run.push(index);
            walk.next = self.older_entry(index);
        }
        walk.run.sort_by_key(|index| std::cmp::Reverse((self.entry(*index).level, *index)));
    }

    /// Sums over the entries of `receiver` with a time in `from..until`, for [`State::received_sums_step`].
    pub fn received_sums(&self, receiver: MemberIx, from: Timestamp, until: Timestamp) -> ReceivedSums {
        let nothing = Sum::default();
        let at = self.newest_entry_of(receiver);
        let (by_level, by_kind) = (BTreeMap::new(), BTreeMap::new());
        ReceivedSums { at, from, until, looked: 0, total: nothing, pending: nothing, by_level, by_kind }
    }

    /// Adds up to `steps` entries. O(steps); the whole is O(entries of the receiver that are newer than the window's begin), or all of them where
    /// imported entries stand out of order.
    pub fn received_sums_step(&self, sums: &mut ReceivedSums, steps: usize) {
        for _ in 0..steps {
            let Some(index) = sums.at else { return };
            let entry = self.entry(index);
            sums.looked += 1;
            if entry.time < sums.from && self.entry_times_ascend() {
                sums.at = None;
                return;
            }
            sums.at = self.older_entry(index);
            if entry.time < sums.from || sums.until <= entry.time {
                continue;
            }
            sums.total.add(entry.amount);
            if entry.status == EntryStatus::Pending {
                sums.pending.add(entry.amount);
            }
            sums.by_level.entry(entry.level.min(SUM_LEVELS_MAX)).or_default().add(entry.amount);
            sums.by_kind.entry(entry.kind).or_default().add(entry.amount);
        }
    }

    /// What sources that are yet to be asked about brought to `receiver` in entries paid at `level`, for [`State::brought_step`].
    pub fn brought(&self, receiver: MemberIx, level: u32) -> Brought {
        Brought { receiver, level, sums: HashMap::new(), looked: 0, newest: None, at: None, end: None }
    }

    /// Looks at up to `steps` entries. True when the sums are those of this state. O(steps); the whole is O(entries of the receiver), for there is no
    /// index by source.
    pub fn brought_step(&self, brought: &mut Brought, steps: usize) -> bool {
        if brought.sums.is_empty() {
            return true;
        }
        for _ in 0..steps {
            if brought.at == brought.end {
                let newest = self.newest_entry_of(brought.receiver);
                if newest == brought.newest {
                    return true;
                }
                (brought.end, brought.at, brought.newest) = (brought.newest, newest, newest);
            }
            let index = brought.at.expect("entries are linked down to the first");
            brought.looked += 1;
            brought.at = self.older_entry(index);
            let entry = self.entry(index);
            if entry.level == brought.level
                && let Some(sum) = brought.sums.get_mut(&entry.source.0)
            {
                sum.add(entry.amount);
            }
        }
        false
    }
}

#[cfg(test)]
#[path = "received_test.rs"]
mod tests;
