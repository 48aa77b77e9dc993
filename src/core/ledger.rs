//! The bonus ledger: entries are appended and never change, but for pending becoming paid.
//!
//! Entries of one trigger (or signup) stand together, level ascending, and share what is the same for all of them. Entries of one receiver
//! are linked newest first, the order in which they are asked for. One bit per entry says pending, so that paying all is
//! a sweep over words and finding pending ones is no scan over entries.

use super::{
    column::{Column, Scalar, freeze_fields},
    image::{EntryRow, TriggerRow},
    types::{EntryStatus, MemberIx, Money, NONE, Timestamp},
};

/// The most entries and triggers a ledger holds: indexes are 32 bits in memory, with `NONE` kept apart.
pub(crate) const ENTRIES_MAX: u64 = u32::MAX as u64 - 1;

#[derive(Clone, Copy)]
struct Line {
    amount: Money,
    receiver: u32,
    /// The receiver's entry before this one.
    older: u32,
    trigger: u32,
    level: u32,
}

const _: () = assert!(size_of::<Line>() == 24);
const _: () = assert!(size_of::<TriggerRow>() == 40);

const NO_TRIGGER: TriggerRow = TriggerRow { lsn: 0, time: Timestamp(0), amount: 0, source: NONE, first_entry: 0, plan_version: 0, kind: 0 };

/// One ledger entry with what its trigger says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Ledger index.
    pub index: u64,
    /// Command that made it.
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
    lines: Column<Line>,
    triggers: Column<TriggerRow>,
    /// Bit `i % 64` of word `i / 64`: entry `i` is pending.
    pending: Column<u64>,
    totals: Scalar<Totals>,
}

#[derive(Clone, Copy)]
struct Totals {
    pending: u64,
    /// Entry times never went backwards (imported ones may).
    times_ascend: bool,
}

freeze_fields!(Ledger { lines, triggers, pending, totals });

impl Ledger {
    pub fn new() -> Self {
        Self {
            lines: Column::new(Line { amount: Money(0), receiver: NONE, older: NONE, trigger: NONE, level: 0 }),
            triggers: Column::new(NO_TRIGGER),
            pending: Column::new(0),
            totals: Scalar::new(Totals { pending: 0, times_ascend: true }),
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

    /// To break it: what an audit should find.
    #[cfg(test)]
    pub fn miscount_pending(&mut self) {
        self.totals.pending += 1;
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
        let newest = self.triggers.len().checked_sub(1).map(|last| self.triggers.get(last).time);
        self.totals.times_ascend &= newest.is_none_or(|newest| newest <= trigger.time);
        let first_entry = u32::try_from(self.lines.len()).expect("room was checked");
        self.triggers.push(TriggerRow { first_entry, ..trigger });
    }

    /// Adds an entry to the group begun last. `older` is the receiver's newest entry until now. The new entry's index.
    pub fn push(&mut self, row: EntryRow, older: Option<u32>) -> u32 {
        let index = self.lines.len();
        let trigger = u32::try_from(self.triggers.len() - 1).expect("at most as many triggers as entries");
        let older = older.unwrap_or(NONE);
        self.lines.push(Line { amount: Money(row.amount), receiver: row.receiver, older, trigger, level: row.level });
        if index.is_multiple_of(64) {
            self.pending.push(0);
        }
        if row.status == EntryStatus::Pending {
            *self.pending.get_mut(index / 64) |= 1 << (index % 64);
            self.totals.pending += 1;
        }
        u32::try_from(index).expect("room was checked")
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

    /// The same receiver's entry before this one.
    pub fn older(&self, index: u64) -> Option<u64> {
        let older = self.lines.get(usize::try_from(index).expect("an entry's index")).older;
        (older != NONE).then_some(u64::from(older))
    }

    /// Marks one paid. False when it was.
    pub fn pay(&mut self, index: u64) -> bool {
        let at = usize::try_from(index).expect("an entry's index");
        if !self.is_pending(at) {
            return false;
        }
        *self.pending.get_mut(at / 64) &= !(1 << (at % 64));
        self.totals.pending -= 1;
        true
    }

    /// Marks all paid; how many were pending. O(entries / 64).
    pub fn pay_all(&mut self) -> u64 {
        for word in 0..self.pending.len() {
            if *self.pending.get(word) != 0 {
                *self.pending.get_mut(word) = 0;
            }
        }
        std::mem::take(&mut self.totals.pending)
    }

    /// Entries below `before` in the order newest trigger first, then level ascending: the one after `after`, or the first. With a
    /// status, only entries that have it now. `before` must be a length seen between commands. O(entries / 64) at worst.
    pub fn next(&self, after: Option<u64>, before: u64, status: Option<EntryStatus>) -> Option<u64> {
        let (mut low, mut high) = match after {
            // The rest of the same group, then what came before the group.
            Some(after) => {
                let (first, end) = self.group(after, before);
                if let Some(found) = self.first_with(status, after + 1, end) {
                    return Some(found);
                }
                (0, first)
            }
            None => (0, before),
        };
        let newest = self.last_with(status, low, high)?;
        (low, high) = self.group(newest, before);
        self.first_with(status, low, high)
    }

    /// First entry and end of the group that entry `index` belongs to.
    fn group(&self, index: u64, before: u64) -> (u64, u64) {
        let trigger = self.lines.get(usize::try_from(index).expect("an entry's index")).trigger as usize;
        let end = if trigger + 1 < self.triggers.len() { u64::from(self.triggers.get(trigger + 1).first_entry) } else { self.len() };
        (u64::from(self.triggers.get(trigger).first_entry), end.min(before))
    }

    fn first_with(&self, status: Option<EntryStatus>, from: u64, end: u64) -> Option<u64> {
        (from..end).find(|index| self.has_status(*index, status))
    }

    /// The last entry in `from..end` of a status, 64 at a time.
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

    fn has_status(&self, index: u64, status: Option<EntryStatus>) -> bool {
        let at = usize::try_from(index).expect("an entry's index");
        status.is_none_or(|status| self.is_pending(at) == (status == EntryStatus::Pending))
    }

    fn is_pending(&self, at: usize) -> bool {
        *self.pending.get(at / 64) >> (at % 64) & 1 != 0
    }

    pub fn bytes(&self) -> usize {
        self.lines.bytes() + self.triggers.bytes() + self.pending.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(groups: &[u32]) -> Ledger {
        let mut ledger = Ledger::new();
        let mut newest = None;
        for (lsn, entries) in groups.iter().enumerate() {
            ledger.begin(TriggerRow { lsn: lsn as u64 + 1, ..NO_TRIGGER });
            for level in 1..=*entries {
                newest = Some(ledger.push(EntryRow { amount: 100, receiver: 0, level, status: EntryStatus::Pending }, newest));
            }
        }
        ledger
    }

    fn listed(ledger: &Ledger, before: u64, status: Option<EntryStatus>) -> Vec<u64> {
        std::iter::successors(ledger.next(None, before, status), |after| ledger.next(Some(*after), before, status)).collect()
    }

    #[test]
    fn newest_group_first_then_level() {
        let ledger = ledger(&[2, 1, 3]);
        assert_eq!(listed(&ledger, 6, None), [3, 4, 5, 2, 0, 1]);
        assert_eq!(listed(&ledger, 3, None), [2, 0, 1]);
        assert_eq!(listed(&ledger, 0, None), Vec::<u64>::new());
    }

    #[test]
    fn lists_by_status_are_the_whole_list_filtered() {
        let mut ledger = ledger(&[3; 200]);
        for index in (0..600).filter(|index| index % 7 != 0 && (index / 100) % 2 == 0) {
            assert!(ledger.pay(index));
            assert!(!ledger.pay(index));
        }
        let all = listed(&ledger, 600, None);
        for status in [EntryStatus::Pending, EntryStatus::Paid] {
            let expected: Vec<u64> = all.iter().copied().filter(|index| ledger.entry(*index).status == status).collect();
            assert_eq!(listed(&ledger, 600, Some(status)), expected, "{status:?}");
        }
        assert_eq!(ledger.pending(), listed(&ledger, 600, Some(EntryStatus::Pending)).len() as u64);
        let pending = ledger.pending();
        assert_eq!(ledger.pay_all(), pending);
        assert_eq!(listed(&ledger, 600, Some(EntryStatus::Pending)), Vec::<u64>::new());
        assert_eq!(ledger.pending(), 0);
    }
}
