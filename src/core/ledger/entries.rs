//! The entries of the bonus ledger: append-only, they never change, except for their state.
//!
//! Entries of one trigger (or signup) are contiguous, level ascending, and share their common fields. Entries
//! of one receiver are linked newest first, the order in which they are read, except late ones (`late.rs`),
//! which are in no such list. What few have stands elsewhere: references, reversals, row ids; the actor of
//! each is in the log.
//!
//! The state of an entry is two bits, in two columns of bits: paying all is a sweep over words, and finding
//! pending ones needs no scan over entries. The second column tells held and void entries from the others; it
//! is as long as the last of these needs.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use crate::core::{
    ledger::{
        late::Late,
        rows::{EntryRow, KeptTrigger, TriggerRow},
        statuses::Statuses,
        sum::Sum,
    },
    store::{
        column::{Column, Scalar, freeze_fields},
        held::holds_nothing,
        order::Sequence,
        parallel,
        search::partition_point,
        settled::Settled,
        sums::{FreshSum, Sums},
    },
    words::types::{EntryStatus, MemberIx, Money, NONE, Timestamp},
};

/// The most entries and triggers a ledger holds: indexes are 32 bits in memory, with `NONE` kept apart.
pub(crate) const ENTRIES_MAX: u64 = u32::MAX as u64 - 1;

/// Entries of a chunk whose hashes are summed together, as a power of two. Most of the stale ones are the
/// newest, which follow each other.
const CHUNK_SHIFT: u32 = if cfg!(test) { 6 } else { 10 };

pub(crate) type EntrySums = Sums<CHUNK_SHIFT>;

#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq)]
#[repr(C)]
struct Line {
    amount: Money,
    receiver: u32,
    /// The receiver's previous entry, among those that are not late.
    older: u32,
    trigger: u32,
    level: u32,
}

const _: () = assert!(64 <= EntrySums::CHUNK_ROWS, "a word of states is of one chunk");
const _: () = assert!(size_of::<Line>() == 24);
const _: () = assert!(size_of::<KeptTrigger>() == 40);

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

pub(crate) struct Entries {
    lines: Settled<Line>,
    triggers: Settled<KeptTrigger>,
    /// Bit `i % 64` of word `i / 64`: entry `i` is pending or held.
    open: Column<u64>,
    /// Likewise: it is held or void. Words beyond the end are 0.
    aside: Column<u64>,
    totals: Scalar<Totals>,
    late: Late,
    /// Of the hashes in the network digest. Its state is what may change in an entry's hash, and in that of
    /// its reversal.
    sums: EntrySums,
}

#[derive(Clone, Copy)]
struct Totals {
    /// By state.
    sums: [Sum; EntryStatus::ALL.len()],
    /// Entry times never went backwards (imported ones may).
    times_ascend: bool,
}

holds_nothing!(Totals);

freeze_fields!(Entries { lines, triggers, open, aside, totals, late, sums });

impl Entries {
    pub fn new() -> Self {
        Self {
            lines: Settled::new(),
            triggers: Settled::new(),
            open: Column::new(),
            aside: Column::new(),
            totals: Scalar::new(Totals {
                sums: [Sum::default(); EntryStatus::ALL.len()],
                times_ascend: true,
            }),
            late: Late::new(),
            sums: Sums::new(),
        }
    }

    pub fn len(&self) -> u64 {
        self.lines.len() as u64
    }

    pub fn count(&self) -> usize {
        self.lines.len()
    }

    pub fn triggers(&self) -> usize {
        self.triggers.len()
    }

    /// The entries in a state.
    pub fn sum(&self, status: EntryStatus) -> Sum {
        self.totals.sums[status as usize]
    }

    /// Corrupts the sum of a state, for a test of the audit.
    #[cfg(test)]
    pub fn sum_mut(&mut self, status: EntryStatus) -> &mut Sum {
        &mut self.totals.sums[status as usize]
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
        self.triggers.push(TriggerRow { first_entry, ..trigger }.into());
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
        self.sums.mark(index as usize);
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
            self.open.push(0);
        }
        self.set_bits(index as usize, row.status);
        self.totals.sums[row.status as usize].add(Money(row.amount));
        index
    }

    /// From here on late entries are ordered only by [`Entries::order_late`]: for bulk loading.
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
        let trigger = self.trigger(line.trigger as usize);
        Entry {
            index,
            lsn: trigger.lsn,
            time: trigger.time,
            receiver: MemberIx(line.receiver),
            source: MemberIx(trigger.source),
            level: line.level,
            amount: line.amount,
            kind: trigger.kind,
            status: self.status(at),
            plan_version: trigger.plan_version,
        }
    }

    pub fn is_pending(&self, index: u64) -> bool {
        self.status_of(index) == EntryStatus::Pending
    }

    pub fn status_of(&self, index: u64) -> EntryStatus {
        self.status(usize::try_from(index).expect("an entry's index"))
    }

    pub fn trigger(&self, index: usize) -> TriggerRow {
        (*self.triggers.get(index)).into()
    }

    /// The receiver's previous entry, among those that are not late.
    pub fn older(&self, index: u64) -> Option<u64> {
        let older = self.lines.get(usize::try_from(index).expect("an entry's index")).older;
        (older != NONE).then_some(u64::from(older))
    }

    /// Changes the state of an entry.
    pub fn set_status(&mut self, index: u64, status: EntryStatus) {
        let at = usize::try_from(index).expect("an entry's index");
        let (before, amount) = (self.status(at), self.lines.get(at).amount);
        self.sums.mark(at);
        self.set_bits(at, status);
        self.totals.sums[before as usize].take(amount);
        self.totals.sums[status as usize].add(amount);
    }

    /// Marks the sum with an entry stale: something changed, elsewhere, that is in its hash.
    pub fn touch(&mut self, index: u64) {
        self.sums.mark(usize::try_from(index).expect("an entry's index"));
    }

    pub fn sums(&self) -> &EntrySums {
        &self.sums
    }

    /// Keeps a sum of hashes.
    pub fn keep_sum(&mut self, fresh: &FreshSum) {
        self.sums.keep(fresh);
    }

    /// Marks all pending ones paid; returns how many there were, and their sum. O(entries / 64).
    pub fn pay_all(&mut self) -> Sum {
        for word in 0..self.open.len() {
            let held = *self.open.get(word) & self.aside_word(word);
            if *self.open.get(word) != held {
                self.sums.mark(word * 64);
                *self.open.get_mut(word) = held;
            }
        }
        let paid = std::mem::take(&mut self.totals.sums[EntryStatus::Pending as usize]);
        self.totals.sums[EntryStatus::Paid as usize].add_all(paid);
        paid
    }

    /// The first entry in `from..end` with one of the states, 64 at a time.
    pub fn first_with(&self, statuses: Statuses, from: u64, end: u64) -> Option<u64> {
        let end = end.min(self.len());
        let mut from = from;
        while from < end {
            let word = from / 64;
            let matching = self.word(word, statuses) & (u64::MAX << (from % 64));
            if matching != 0 {
                let found = word * 64 + u64::from(matching.trailing_zeros());
                return (found < end).then_some(found);
            }
            from = (word + 1) * 64;
        }
        None
    }

    /// All held entries. O(entries / 64).
    pub fn held(&self) -> impl Iterator<Item = u64> + '_ {
        let held = Statuses::from(EntryStatus::Held);
        // Beyond the column there is none.
        let end = self.aside.len() as u64 * 64;
        let next = move |from: u64| self.first_with(held, from, end);
        std::iter::successors(next(0), move |entry| next(entry + 1))
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

    /// The last trigger below `bound` that is not late and has an entry below `before` with one of the
    /// states. O(entries / 64) at worst.
    pub fn in_time_below(&self, bound: u32, before: u64, statuses: Statuses) -> Option<u32> {
        let mut bound = bound;
        loop {
            let trigger = self.late.in_time_below(bound)?;
            let entries = self.entries_of_trigger(trigger);
            let found = self.last_with(statuses, 0, entries.end.min(before))?;
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
        let is_before = |at: usize| {
            let in_time = self.late.in_time_below(narrow(at) + 1);
            in_time.is_none_or(|trigger| self.triggers.get(trigger as usize).time < time)
        };
        narrow(partition_point(0..self.triggers.len(), is_before))
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

    /// The last entry in `from..end` with one of the states, 64 at a time.
    fn last_with(&self, statuses: Statuses, from: u64, end: u64) -> Option<u64> {
        let mut end = end;
        while from < end {
            let last = end - 1;
            if statuses == Statuses::ALL {
                return Some(last);
            }
            let word = last / 64;
            let below = self.word(word, statuses) << (63 - last % 64);
            if below != 0 {
                let found = last - u64::from(below.leading_zeros());
                return (from <= found).then_some(found);
            }
            end = word * 64;
        }
        None
    }

    /// The entries of a word that have one of the states. In the last word, bits beyond the entries are
    /// meaningless.
    fn word(&self, word: u64, statuses: Statuses) -> u64 {
        let at = usize::try_from(word).expect("an entry's index over 64");
        let (open, aside) = (*self.open.get(at), self.aside_word(at));
        let with = |status: EntryStatus, matching: u64| if statuses.contains(status) { matching } else { 0 };
        with(EntryStatus::Pending, open & !aside)
            | with(EntryStatus::Paid, !open & !aside)
            | with(EntryStatus::Held, open & aside)
            | with(EntryStatus::Void, !open & aside)
    }

    fn aside_word(&self, word: usize) -> u64 {
        if word < self.aside.len() { *self.aside.get(word) } else { 0 }
    }

    fn status(&self, at: usize) -> EntryStatus {
        let bit = |word: u64| word >> (at % 64) & 1 != 0;
        match (bit(*self.open.get(at / 64)), bit(self.aside_word(at / 64))) {
            (true, false) => EntryStatus::Pending,
            (false, false) => EntryStatus::Paid,
            (true, true) => EntryStatus::Held,
            (false, true) => EntryStatus::Void,
        }
    }

    fn set_bits(&mut self, at: usize, status: EntryStatus) {
        let (word, bit) = (at / 64, 1 << (at % 64));
        let (is_open, is_aside) = match status {
            EntryStatus::Pending => (true, false),
            EntryStatus::Paid => (false, false),
            EntryStatus::Held => (true, true),
            EntryStatus::Void => (false, true),
        };
        set_bit(&mut self.open, word, bit, is_open);
        if is_aside {
            (self.aside.len()..=word).for_each(|_| self.aside.push(0));
        }
        if word < self.aside.len() {
            set_bit(&mut self.aside, word, bit, is_aside);
        }
    }
}

/// Sets or clears a bit; a word that stays the same is not written.
fn set_bit(words: &mut Column<u64>, word: usize, bit: u64, value: bool) {
    if (*words.get(word) & bit != 0) != value {
        *words.get_mut(word) ^= bit;
    }
}

fn narrow(index: usize) -> u32 {
    u32::try_from(index).expect("at most as many triggers as entries, and room was checked")
}

fn narrow_entry(entry: u64) -> u32 {
    u32::try_from(entry).expect("limited by ENTRIES_MAX")
}

fn trigger_key(triggers: &Settled<KeptTrigger>, trigger: u32) -> (Timestamp, u32) {
    (triggers.get(trigger as usize).time, trigger)
}

fn received_key(lines: &Settled<Line>, triggers: &Settled<KeptTrigger>, entry: u32) -> (u32, Timestamp, u32) {
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

    fn amount_of(index: u64) -> i64 {
        i64::try_from(index).unwrap() % 7 - 3
    }

    /// Compares counts, sums and searches with the states as listed.
    fn check(ledger: &Entries, states: &[EntryStatus]) {
        let len = states.len() as u64;
        for statuses in (0_u8..16).map(|set| {
            let chosen = EntryStatus::ALL.into_iter().filter(|status| set >> (*status as u8) & 1 != 0);
            Statuses::of(&chosen.collect::<Vec<_>>())
        }) {
            let having = |index: &u64| statuses.contains(states[usize::try_from(*index).unwrap()]);
            for from in [0, 1, 63, 64, 200, len - 1] {
                let first = (from..len).find(having);
                assert_eq!(ledger.first_with(statuses, from, u64::MAX), first);
                assert_eq!(ledger.last_with(statuses, 0, from), (0..from).rev().find(having));
            }
        }
        for status in EntryStatus::ALL {
            let mut sum = Sum::default();
            let having = |index: &u64| states[usize::try_from(*index).unwrap()] == status;
            (0..len).filter(having).for_each(|index| sum.add(Money(amount_of(index))));
            assert_eq!(ledger.sum(status), sum, "{status:?}");
        }
        let held = (0..len).filter(|index| states[usize::try_from(*index).unwrap()] == EntryStatus::Held);
        assert!(ledger.held().eq(held));
    }

    #[test]
    fn states_are_counted_summed_and_found() {
        let mut ledger = Entries::new();
        let mut newest = None;
        for lsn in 1..=200 {
            ledger.begin(TriggerRow { lsn, ..NO_TRIGGER });
            for level in 1..=3 {
                let amount = amount_of(ledger.len());
                ledger
                    .push(EntryRow { amount, receiver: 0, level, status: EntryStatus::Pending }, &mut newest);
            }
        }
        let mut states = vec![EntryStatus::Pending; 600];
        assert_eq!(ledger.aside.len(), 0, "nothing is kept of what nobody holds");
        check(&ledger, &states);
        for step in 0..2_000_u64 {
            let index = step * 7_919 % 500;
            let next = EntryStatus::ALL[usize::try_from(step / 3 % 4).unwrap()];
            ledger.set_status(index, next);
            states[usize::try_from(index).unwrap()] = next;
            assert_eq!(ledger.entry(index).status, next);
        }
        check(&ledger, &states);
        let pending = ledger.sum(EntryStatus::Pending);
        assert_eq!((ledger.pay_all(), ledger.pay_all()), (pending, Sum::default()));
        states.iter_mut().filter(|status| **status == EntryStatus::Pending).for_each(|status| {
            *status = EntryStatus::Paid;
        });
        check(&ledger, &states);
    }
}
