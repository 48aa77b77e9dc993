//! Changes of entries: payouts, holds and releases, voids, and what may be reversed. The judge of each
//! returns the entry that it found, and the function that acts takes it.

use crate::core::{
    ledger::{
        entries::Entry,
        part::Ledger,
        sum::Sum,
        transitions::{Transition, transition},
    },
    requests::command::{ChangeEntry, Rejection},
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
}

impl Ledger {
    /// An entry that a command names.
    fn judge_entry(&self, entry: u64) -> Result<Entry, Rejection> {
        if entry < self.entries.len() { Ok(self.entries.entry(entry)) } else { Err(Rejection::EntryUnknown) }
    }

    /// The entry to reverse. It can be reversed once, a reversal and a void entry never.
    pub fn judge_reverse(&self, entry: u64) -> Result<Entry, Rejection> {
        let reversed = self.judge_entry(entry)?;
        if reversed.status == EntryStatus::Void {
            return Err(Rejection::EntryChangeNotAllowed);
        }
        self.judge_pair(entry)?;
        if self.entries.has_room(1) { Ok(reversed) } else { Err(Rejection::LedgerFull) }
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
            Transition::Change => Ok(StatusChange { entry, to, changed: true }),
            Transition::Unchanged => Ok(StatusChange { entry, to, changed: false }),
            Transition::Refused => Err(Rejection::EntryChangeNotAllowed),
        }
    }

    pub fn judge_pay(&self, entry: u64) -> Result<StatusChange, Rejection> {
        self.judge_transition(entry, EntryStatus::Paid)
    }

    /// A reversal and what it takes back cancel out, so neither can be void without the other.
    pub fn judge_change(&self, command: &ChangeEntry) -> Result<StatusChange, Rejection> {
        let change = self.judge_transition(command.entry, command.change.status())?;
        if change.changed && change.to == EntryStatus::Void {
            self.judge_pair(command.entry)?;
        }
        Ok(change)
    }

    /// Changes the state of an entry, and the balance of its receiver, whose account this is.
    pub fn set_status(&mut self, change: &StatusChange, account: u32) {
        let StatusChange { entry, to, changed } = change;
        if *changed {
            self.entries.set_status(entry.index, *to);
            self.accounts.shift(account, entry.status, *to, entry.amount);
        }
    }

    /// Marks all pending entries paid. O(entries / 64).
    pub fn pay_pending(&mut self) -> Sum {
        let paid = self.entries.pay_all();
        if paid.entries != 0 {
            self.accounts.pay_all();
        }
        paid
    }
}
