//! The bonus ledger: entries are append-only and never change, except that pending ones become paid.
//!
//! Entries of one trigger (or signup) are contiguous, level ascending, and share their common fields. Entries
//! of one receiver are linked newest first, the order in which they are read, except late ones (`late.rs`),
//! which are in no such list. One pending bit per entry makes paying all a sweep over words, and finding
//! pending ones needs no scan over entries.

use std::ops::Range;

use crate::core::{
    ledger::{
        late::Late,
        rows::{EntryRow, TriggerRow},
    },
    store::{
        column::{Column, Scalar, freeze_fields},
        order::Sequence,
        parallel,
        settled::Settled,
    },
    words::types::{EntryStatus, MemberIx, Money, NONE, Timestamp},
};

/// The most entries and triggers a ledger holds: indexes are 32 bits in memory, with `NONE` kept apart.
pub(crate) const ENTRIES_MAX: u64 = u32::MAX as u64 - 1;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Line {
    amount: Money,
    receiver: u32,
    /// The receiver's previous entry, among those that are not late.
    older: u32,
    trigger: u32,
    level: u32,
}

const _: () = assert!(size_of::<Line>() == 24);
const _: () = assert!(size_of::<TriggerRow>() == 40);

/// One ledger entry with the fields of its trigger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Ledger index.
    pub index: u64,
    /// The command that made it.
    pub lsn: u64,
    pub time: Timestamp,
    pub receiver: MemberIx,
    pub source: MemberIx,
    /// Distance of source and receiver; 0 for a rank reward.
    pub level: u32,
    pub amount: Money,
    /// For `State::kind_name`.
    pub kind: u16,
    pub status: EntryStatus,
    /// The plan that was in force.
    pub plan_version: u32,
}

pub(crate) struct Ledger {
    lines: Settled<Line>,
    triggers: Settled<TriggerRow>,
    /// Bit `i % 64` of word `i / 64`: entry `i` is pending.
    pending: Column<u64>,
    totals: Scalar<Totals>,
    late: Late,
}

#[derive(Clone, Copy)]
struct Totals {
    pending: u64,
    /// Sum of the pending amounts.
    pending_amount: i128,
    /// Entry times never went backwards (imported ones may).
    times_ascend: bool,
}

freeze_fields!(Ledger { lines, triggers, pending, totals, late });

/// How many entries were marked, and their sum.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(in crate::core) struct Marked {
    pub entries: u32,
    pub amount: i128,
}

impl Marked {
    pub fn add(&mut self, entry: &Entry) {
        self.entries += 1;
        self.amount += i128::from(entry.amount.0);
    }
}

impl Ledger {
    pub fn new() -> Self {
        Self {
            lines: Settled::new(),
            triggers: Settled::new(),
            pending: Column::new(),
            totals: Scalar::new(Totals { pending: 0, pending_amount: 0, times_ascend: true }),
            late: Late::new(),
        }
    }

    pub fn len(&self) -> u64 {
        self.lines.len() as u64
    }

    pub fn triggers(&self) -> usize {
        self.triggers.len()
    }

    pub fn pending(&self) -> u64 {
        self.totals.pending
    }

    /// Corrupts the sum, for a test of the audit.
    #[cfg(test)]
    pub fn miscount_pending(&mut self) {
        self.totals.pending += 1;
    }

    /// Sum of the pending amounts.
    pub fn pending_amount(&self) -> i128 {
        self.totals.pending_amount
    }

    pub fn times_ascend(&self) -> bool {
        self.totals.times_ascend
    }

    /// Whether `entries` more fit.
    pub fn has_room(&self, entries: u64) -> bool {
        self.len() + entries <= ENTRIES_MAX
    }

    /// Starts a group of entries; `first_entry` is filled in. At least one `push` must follow.
    pub fn begin(&mut self, trigger: TriggerRow) {
        let index = self.triggers.len();
        let first_entry = u32::try_from(self.lines.len()).expect("room was checked");
        self.triggers.push(TriggerRow { first_entry, ..trigger });
        if !self.late.take(index, trigger.time) {
            return;
        }
        self.totals.times_ascend = false;
        if self.late.is_ordered {
            let (index, key) = (narrow(index), (trigger.time, narrow(index)));
            self.late.triggers.insert(index, |other| trigger_key(&self.triggers, other) < key);
        }
    }

    /// Adds an entry to the group begun last. `newest` is the receiver's newest entry so far, replaced by the
    /// new one unless that is late. Returns the new entry's index.
    pub fn push(&mut self, row: EntryRow, newest: &mut Option<u32>) -> u32 {
        let index = narrow(self.lines.len());
        let trigger = narrow(self.triggers.len() - 1);
        let older = if self.late.newest_is_behind() { None } else { newest.replace(index) };
        let older = older.unwrap_or(NONE);
        self.lines.push(Line {
            amount: Money(row.amount),
            receiver: row.receiver,
            older,
            trigger,
            level: row.level,
        });
        if self.late.newest_is_behind() && self.late.is_ordered {
            let key = self.received_key(index);
            let (lines, triggers) = (&self.lines, &self.triggers);
            self.late.entries.insert(index, |other| received_key(lines, triggers, other) < key);
        }
        if index.is_multiple_of(64) {
            self.pending.push(0);
        }
        if row.status == EntryStatus::Pending {
            *self.pending.get_mut(index as usize / 64) |= 1 << (index % 64);
            self.totals.pending += 1;
            self.totals.pending_amount += i128::from(row.amount);
        }
        index
    }

    /// From here on late entries are ordered only by [`Ledger::order_late`]: for bulk loading.
    pub fn defer_order(&mut self) {
        self.late.is_ordered = false;
    }

    /// Orders the late entries. O(n log n) for n of them, in parallel.
    pub fn order_late(&mut self) {
        let late = || (0..narrow(self.triggers.len())).filter(|trigger| self.late.is_late(*trigger));
        let mut triggers: Vec<(Timestamp, u32)> =
            late().map(|trigger| trigger_key(&self.triggers, trigger)).collect();
        parallel::sort(&mut triggers);
        let sorted = Sequence::of_sorted(triggers.iter().map(|(_, trigger)| *trigger));
        drop(triggers);
        let entries = late().flat_map(|trigger| self.entries_of_trigger(trigger));
        let mut entries: Vec<(u32, Timestamp, u32)> =
            entries.map(|entry| self.received_key(narrow_entry(entry))).collect();
        parallel::sort(&mut entries);
        self.late.entries = Sequence::of_sorted(entries.into_iter().map(|(_, _, entry)| entry));
        self.late.triggers = sorted;
        self.late.is_ordered = true;
    }

    pub fn entry(&self, index: u64) -> Entry {
        let at = usize::try_from(index).expect("an entry's index");
        let line = self.lines.get(at);
        let trigger = self.triggers.get(line.trigger as usize);
        Entry {
            index,
            lsn: trigger.lsn,
            time: trigger.time,
            receiver: MemberIx(line.receiver),
            source: MemberIx(trigger.source),
            level: line.level,
            amount: line.amount,
            kind: trigger.kind,
            status: if self.is_pending(at) { EntryStatus::Pending } else { EntryStatus::Paid },
            plan_version: trigger.plan_version,
        }
    }

    pub fn trigger(&self, index: usize) -> TriggerRow {
        *self.triggers.get(index)
    }

    /// The receiver's previous entry, among those that are not late.
    pub fn older(&self, index: u64) -> Option<u64> {
        let older = self.lines.get(usize::try_from(index).expect("an entry's index")).older;
        (older != NONE).then_some(u64::from(older))
    }

    /// Marks one paid. Returns false if it already was.
    pub fn pay(&mut self, index: u64) -> bool {
        let at = usize::try_from(index).expect("an entry's index");
        if !self.is_pending(at) {
            return false;
        }
        *self.pending.get_mut(at / 64) &= !(1 << (at % 64));
        self.totals.pending -= 1;
        self.totals.pending_amount -= i128::from(self.lines.get(at).amount.0);
        true
    }

    /// Marks all paid; returns how many were pending. O(entries / 64).
    pub fn pay_all(&mut self) -> u64 {
        for word in 0..self.pending.len() {
            if *self.pending.get(word) != 0 {
                *self.pending.get_mut(word) = 0;
            }
        }
        self.totals.pending_amount = 0;
        std::mem::take(&mut self.totals.pending)
    }

    /// As [`Ledger::pay_all`]; also returns their sum.
    pub fn pay_all_summed(&mut self) -> Marked {
        let amount = self.totals.pending_amount;
        Marked { entries: u32::try_from(self.pay_all()).expect("limited by ENTRIES_MAX"), amount }
    }

    /// Marks paid the matching pending entries below `end`. O(entries / 64 + pending entries).
    pub fn pay_below(&mut self, end: u64, is_meant: impl Fn(&Entry) -> bool) -> Marked {
        let mut marked = Marked::default();
        for word in 0..end.div_ceil(64) {
            let mut rest = self.word(word);
            while rest != 0 {
                let index = word * 64 + u64::from(rest.trailing_zeros());
                rest &= rest - 1;
                let entry = self.entry(index);
                if index < end && is_meant(&entry) {
                    self.pay(index);
                    marked.add(&entry);
                }
            }
        }
        marked
    }

    /// The trigger that an entry belongs to.
    pub fn trigger_of(&self, entry: u64) -> u32 {
        self.lines.get(usize::try_from(entry).expect("an entry's index")).trigger
    }

    /// The entries of a trigger.
    pub fn entries_of_trigger(&self, trigger: u32) -> Range<u64> {
        let next = trigger as usize + 1;
        let end = if next < self.triggers.len() {
            u64::from(self.triggers.get(next).first_entry)
        } else {
            self.len()
        };
        u64::from(self.triggers.get(trigger as usize).first_entry)..end
    }

    /// The triggers of this one's command, at most `most` on either side of it.
    pub fn triggers_beside(&self, trigger: u32, most: u32) -> Range<u32> {
        let lsn = self.triggers.get(trigger as usize).lsn;
        let is_of = |other: &u32| self.triggers.get(*other as usize).lsn == lsn;
        let first = (trigger.saturating_sub(most)..trigger).rev().take_while(is_of).last().unwrap_or(trigger);
        let end = narrow(self.triggers.len()).min(trigger.saturating_add(most));
        first..(trigger + 1..end).take_while(is_of).last().unwrap_or(trigger) + 1
    }

    /// The number of triggers: the exclusive end of their indexes.
    pub fn triggers_end(&self) -> u32 {
        narrow(self.triggers.len())
    }

    /// The first late trigger from this one on. O(triggers / 64) at worst.
    pub fn late_from(&self, trigger: u32) -> Option<u32> {
        self.late.late_from(trigger)
    }

    /// Sort key of a trigger in lists: by time, then by index, which is LSN order.
    pub fn trigger_key(&self, trigger: u32) -> (Timestamp, u32) {
        trigger_key(&self.triggers, trigger)
    }

    /// Sort key of an entry among those of its receiver.
    fn received_key(&self, entry: u32) -> (u32, Timestamp, u32) {
        received_key(&self.lines, &self.triggers, entry)
    }

    /// The last trigger below `bound` that is not late and, if a status is given, has an entry below `before`
    /// with that status. O(entries / 64) at worst.
    pub fn in_time_below(&self, bound: u32, before: u64, status: Option<EntryStatus>) -> Option<u32> {
        let mut bound = bound;
        loop {
            let trigger = self.late.in_time_below(bound)?;
            let entries = self.entries_of_trigger(trigger);
            let found = self.last_with(status, 0, entries.end.min(before))?;
            let found = self.trigger_of(found);
            if !self.late.is_late(found) {
                return Some(found);
            }
            bound = found;
        }
    }

    /// The exclusive end of the in-time triggers before `time`. O(log triggers), plus the cost of
    /// [`Late::in_time_below`].
    pub fn in_time_until(&self, time: Timestamp) -> u32 {
        let (mut low, mut high) = (0, narrow(self.triggers.len()));
        while low < high {
            let middle = u32::midpoint(low, high);
            match self.late.in_time_below(middle + 1).filter(|trigger| low <= *trigger) {
                Some(trigger) if time <= self.triggers.get(trigger as usize).time => high = trigger,
                _ => low = middle + 1,
            }
        }
        low
    }

    /// The last late trigger before a list position. O(log n).
    pub fn late_before(&self, key: (Timestamp, u32)) -> Option<u32> {
        debug_assert!(self.late.is_ordered);
        self.late.triggers.last(|other| self.trigger_key(other) < key)
    }

    /// The last late entry of a receiver before a position in its list. O(log n).
    pub fn late_received_before(&self, receiver: MemberIx, key: (Timestamp, u32)) -> Option<u32> {
        debug_assert!(self.late.is_ordered);
        let key = (receiver.0, key.0, key.1);
        let found = self.late.entries.last(|other| self.received_key(other) < key)?;
        (self.lines.get(found as usize).receiver == receiver.0).then_some(found)
    }

    /// Whether an entry is late.
    pub fn is_late(&self, entry: u64) -> bool {
        !self.totals.times_ascend && self.late.is_late(self.trigger_of(entry))
    }

    /// Whether late entries can be queried: not in a copy.
    pub fn is_ordered(&self) -> bool {
        self.late.is_ordered
    }

    /// Number of late entries.
    #[cfg(test)]
    pub fn late_entries(&self) -> usize {
        self.late.entries.len()
    }

    /// The last entry in `from..end` with a status, 64 at a time.
    fn last_with(&self, status: Option<EntryStatus>, from: u64, end: u64) -> Option<u64> {
        let mut end = end;
        while from < end {
            let last = end - 1;
            let word = last / 64;
            let matching = match status {
                None => return Some(last),
                Some(EntryStatus::Pending) => self.word(word),
                Some(EntryStatus::Paid) => !self.word(word),
            };
            let below = matching << (63 - last % 64);
            if below != 0 {
                let found = last - u64::from(below.leading_zeros());
                return (from <= found).then_some(found);
            }
            end = word * 64;
        }
        None
    }

    fn word(&self, word: u64) -> u64 {
        *self.pending.get(usize::try_from(word).expect("an entry's index over 64"))
    }

    fn is_pending(&self, at: usize) -> bool {
        *self.pending.get(at / 64) >> (at % 64) & 1 != 0
    }

    pub fn bytes(&self) -> usize {
        self.lines.bytes() + self.triggers.bytes() + self.pending.bytes() + self.late.bytes()
    }
}

fn narrow(index: usize) -> u32 {
    u32::try_from(index).expect("at most as many triggers as entries, and room was checked")
}

fn narrow_entry(entry: u64) -> u32 {
    u32::try_from(entry).expect("limited by ENTRIES_MAX")
}

fn trigger_key(triggers: &Settled<TriggerRow>, trigger: u32) -> (Timestamp, u32) {
    (triggers.get(trigger as usize).time, trigger)
}

fn received_key(lines: &Settled<Line>, triggers: &Settled<TriggerRow>, entry: u32) -> (u32, Timestamp, u32) {
    let line = lines.get(entry as usize);
    (line.receiver, triggers.get(line.trigger as usize).time, entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_TRIGGER: TriggerRow = TriggerRow {
        lsn: 0,
        time: Timestamp(0),
        amount: 0,
        source: NONE,
        first_entry: 0,
        plan_version: 0,
        kind: 0,
    };

    #[test]
    fn pending_ones_are_counted_and_paid() {
        let mut ledger = Ledger::new();
        let mut newest = None;
        for lsn in 1..=200 {
            ledger.begin(TriggerRow { lsn, ..NO_TRIGGER });
            for level in 1..=3 {
                ledger.push(
                    EntryRow { amount: 100, receiver: 0, level, status: EntryStatus::Pending },
                    &mut newest,
                );
            }
        }
        let mut pending = 600;
        for index in (0..600).filter(|index| index % 7 != 0 && (index / 100) % 2 == 0) {
            assert!(ledger.pay(index));
            assert!(!ledger.pay(index));
            pending -= 1;
        }
        let is_pending = |index: &u64| ledger.entry(*index).status == EntryStatus::Pending;
        assert_eq!((ledger.pending(), (0..600).filter(is_pending).count() as u64), (pending, pending));
        assert_eq!(ledger.pay_all(), pending);
        assert_eq!((ledger.pending(), ledger.last_with(Some(EntryStatus::Pending), 0, 600)), (0, None));
    }
}
