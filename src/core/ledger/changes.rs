//! Changes of entries: payouts, holds and releases, voids, and what may be reversed. The judge of each
//! returns the entry that it found, and the function that acts takes it.

use crate::core::{
    ledger::{
        entries::Entry,
        part::Ledger,
        reversals::ReversalRow,
        sum::Sum,
        transitions::{Transition, transition},
    },
    requests::command::{ChangeEntry, EntryRules, Rejection},
    words::types::EntryStatus,
};

/// What judging a change of the state of one entry found.
#[derive(Clone, Copy)]
pub(crate) struct StatusChange {
    /// As it was.
    pub entry: Entry,
    pub to: EntryStatus,
    /// False if it has that state already.
    pub changed: bool,
    /// The other half of its reversal, as it was, if that changes too. Both halves have one receiver.
    pub other: Option<Entry>,
}

impl Ledger {
    /// An entry that a command names.
    fn judge_entry(&self, entry: u64) -> Result<Entry, Rejection> {
        if entry < self.entries.len() { Ok(self.entries.entry(entry)) } else { Err(Rejection::EntryUnknown) }
    }

    /// The entry to reverse. It can be reversed once, a reversal and a void entry never.
    pub fn judge_reverse(&self, entry: u64) -> Result<Entry, Rejection> {
        if self.judge_entry(entry)?.status == EntryStatus::Void {
            return Err(Rejection::EntryChangeNotAllowed);
        }
        let reversed = self.judge_unreversed(entry)?;
        if self.entries.has_room(1) { Ok(reversed) } else { Err(Rejection::LedgerFull) }
    }

    /// An entry that neither is a reversal nor has one, in whatever state.
    pub fn judge_unreversed(&self, entry: u64) -> Result<Entry, Rejection> {
        let found = self.judge_entry(entry)?;
        self.judge_pair(entry)?;
        Ok(found)
    }

    /// Neither is it a reversal nor has it one.
    fn judge_pair(&self, entry: u64) -> Result<(), Rejection> {
        if self.lists.reversals.reverses(entry).is_some() {
            return Err(Rejection::EntryIsReversal);
        }
        if self.lists.reversals.reversal_of(entry).is_some() {
            return Err(Rejection::ReversedBefore);
        }
        Ok(())
    }

    /// Judges a change of the state of an entry.
    ///
    /// # Errors
    /// When it is unknown, or may not get this state.
    fn judge_transition(&self, entry: u64, to: EntryStatus) -> Result<StatusChange, Rejection> {
        let entry = self.judge_entry(entry)?;
        match transition(entry.status, to) {
            Transition::Change => Ok(StatusChange { entry, to, changed: true, other: None }),
            Transition::Unchanged => Ok(StatusChange { entry, to, changed: false, other: None }),
            Transition::Refused => Err(Rejection::EntryChangeNotAllowed),
        }
    }

    pub fn judge_pay(&self, entry: u64) -> Result<StatusChange, Rejection> {
        self.judge_transition(entry, EntryStatus::Paid)
    }

    /// A reversal and what it takes back cancel out. So where both are unpaid they change together, and where
    /// one is paid the other cannot be void.
    pub fn judge_change(&self, command: &ChangeEntry, rules: EntryRules) -> Result<StatusChange, Rejection> {
        let change = self.judge_transition(command.entry, command.change.status())?;
        let other = self.other_half(command.entry).filter(|other| is_unpaid(other.status));
        if change.to == EntryStatus::Void
            && change.changed
            && (rules == EntryRules::OneByOne || other.is_none())
        {
            self.judge_pair(command.entry)?;
        }
        let moves = |other: &Entry| rules == EntryRules::InPairs && other.status != change.to;
        Ok(StatusChange { other: other.filter(moves), ..change })
    }

    /// The entry that reverses this one, or that this one reverses.
    pub fn other_half(&self, entry: u64) -> Option<Entry> {
        let other =
            self.lists.reversals.reversal_of(entry).or_else(|| self.lists.reversals.reverses(entry))?;
        Some(self.entries.entry(other))
    }

    /// Changes the state of an entry, and of the other half if that changes too, and the balance of their
    /// receiver, whose account this is.
    pub fn set_status(&mut self, change: &StatusChange, account: u32) {
        let StatusChange { entry, to, changed, other } = change;
        for moved in changed.then_some(entry).into_iter().chain(other) {
            self.entries.set_status(moved.index, *to);
            self.touch_reversal_of(moved.index);
            self.accounts.shift(account, moved.status, *to, moved.amount);
        }
    }

    /// Records what a change released, by the command `lsn`.
    pub fn keep_released(&mut self, change: &StatusChange, lsn: u64) {
        if change.to == EntryStatus::Pending {
            for released in change.changed.then_some(&change.entry).into_iter().chain(&change.other) {
                self.lists.released.note(released.index, lsn);
            }
        }
    }

    /// The hash of a reversal covers the state of what it reverses.
    fn touch_reversal_of(&mut self, entry: u64) {
        if let Some(reversal) = self.lists.reversals.reversal_of(entry) {
            self.entries.touch(reversal);
        }
    }

    /// Marks all pending entries paid. O(entries / 64 + reversals).
    pub fn pay_pending(&mut self) -> Sum {
        for at in 0..self.lists.reversals.len() {
            let ReversalRow { entry, reverses } = self.lists.reversals.row(at);
            if self.entries.is_pending(reverses.into()) {
                self.entries.touch(entry.into());
            }
        }
        let paid = self.entries.pay_all();
        if paid.entries != 0 {
            self.accounts.pay_all();
        }
        paid
    }
}

/// Whether an entry may still be paid.
fn is_unpaid(status: EntryStatus) -> bool {
    matches!(status, EntryStatus::Pending | EntryStatus::Held)
}
