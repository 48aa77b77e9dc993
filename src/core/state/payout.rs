//! Changes of the state of entries: payouts, of one or of many, holds and releases, and voids.

use crate::core::{
    ledger::{
        entries::Entry,
        filter::EntryFilter,
        statuses::Statuses,
        sum::Sum,
        transitions::{Transition, transition},
    },
    requests::command::{ChangeEntry, Outcome, PayFilter, Rejection, WideMoney},
    state::parts::State,
    words::{
        directory::Directory,
        types::{EntryStatus, MemberIx, Timestamp},
    },
};

/// The entries of one network that match a [`PayFilter`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payout {
    /// Only entries with an index below this match.
    end: u64,
    filter: EntryFilter,
}

impl Payout {
    /// Whether an entry matches, whatever its state.
    pub fn takes(&self, entry: &Entry) -> bool {
        entry.index < self.end && self.filter.takes(entry)
    }
}

/// What judging a change of the state of one entry found.
pub(in crate::core) struct StatusChange {
    /// As it was.
    entry: Entry,
    /// False if it has the state already.
    changed: bool,
}

impl State {
    /// Resolves a filter against the present entries.
    ///
    /// # Errors
    /// `MemberUnknown` for a receiver, `TriggerUnknown` for a kind that no entry and no plan ever had.
    pub fn payout<D: Directory>(&self, directory: &D, filter: &PayFilter) -> Result<Payout, Rejection> {
        let PayFilter { up_to_lsn, kind, receiver, from, until } = filter;
        let receiver = match receiver {
            None => None,
            Some(id) => Some(self.find(directory, id).ok_or(Rejection::MemberUnknown)?),
        };
        let kind = match kind {
            None => None,
            Some(name) => Some(self.kind_named(name).ok_or(Rejection::TriggerUnknown)?),
        };
        let (from, until) = (from.unwrap_or(Timestamp(i64::MIN)), until.unwrap_or(Timestamp(i64::MAX)));
        let end = up_to_lsn.map_or(self.entries(), |lsn| self.entries_of(lsn).end);
        Ok(Payout { end, filter: EntryFilter { receiver, kind, from, until, ..EntryFilter::default() } })
    }

    /// O(entries / 64) for all; O(entries of the receiver that are newer than `from`) for one receiver;
    /// O(pending entries), some ten million a second, for the rest.
    pub(in crate::core) fn pay_matching(&mut self, filter: &PayFilter, payout: &Payout) -> Outcome {
        let paid = match payout.filter.receiver {
            _ if *filter == PayFilter::default() => self.pay_pending(),
            Some(receiver) => self.pay_received(receiver, payout),
            None => self.pay_below(payout),
        };
        let entries = u32::try_from(paid.entries).expect("limited by ENTRIES_MAX");
        Outcome::MatchingPaid { entries, amount: WideMoney::new(paid.amount) }
    }

    /// Marks all pending entries paid. O(entries / 64).
    pub(in crate::core) fn pay_pending(&mut self) -> Sum {
        let paid = self.ledger.pay_all();
        if paid.entries != 0 {
            self.accounts.pay_all();
        }
        paid
    }

    fn pay_below(&mut self, payout: &Payout) -> Sum {
        let (pending, mut paid, mut from) = (Statuses::from(EntryStatus::Pending), Sum::default(), 0);
        while let Some(index) = self.ledger.first_with(pending, from, payout.end) {
            let entry = self.entry(index);
            if payout.takes(&entry) {
                self.set_entry_status(&StatusChange { entry, changed: true }, EntryStatus::Paid);
                paid.add(entry.amount);
            }
            from = index + 1;
        }
        paid
    }

    fn pay_received(&mut self, receiver: MemberIx, payout: &Payout) -> Sum {
        let mut paid = Sum::default();
        let mut walk = self.received_until(receiver, payout.filter.until);
        while let Some(index) = self.received_step(&mut walk) {
            let entry = self.entry(index);
            if entry.time < payout.filter.from {
                break;
            }
            if entry.status == EntryStatus::Pending && payout.takes(&entry) {
                self.set_entry_status(&StatusChange { entry, changed: true }, EntryStatus::Paid);
                paid.add(entry.amount);
            }
        }
        paid
    }

    /// Judges a change of the state of an entry.
    ///
    /// # Errors
    /// When it is unknown, or may not get this state.
    fn judge_transition(&self, entry: u64, to: EntryStatus) -> Result<StatusChange, Rejection> {
        let entry = self.judge_entry(entry)?;
        match transition(entry.status, to) {
            Transition::Change => Ok(StatusChange { entry, changed: true }),
            Transition::Unchanged => Ok(StatusChange { entry, changed: false }),
            Transition::Refused => Err(Rejection::EntryChangeNotAllowed),
        }
    }

    pub(in crate::core) fn judge_pay(&self, entry: u64) -> Result<StatusChange, Rejection> {
        self.judge_transition(entry, EntryStatus::Paid)
    }

    pub(in crate::core) fn pay_entry(&mut self, change: &StatusChange) -> Outcome {
        self.set_entry_status(change, EntryStatus::Paid);
        Outcome::EntryPaid { entry: change.entry.index, changed: change.changed }
    }

    /// A reversal and what it takes back cancel out, so neither can be void without the other.
    pub(in crate::core) fn judge_change(&self, command: &ChangeEntry) -> Result<StatusChange, Rejection> {
        let change = self.judge_transition(command.entry, command.change.status())?;
        if change.changed && command.change.status() == EntryStatus::Void {
            if self.reverses(command.entry).is_some() {
                return Err(Rejection::EntryIsReversal);
            }
            if self.reversal_of(command.entry).is_some() {
                return Err(Rejection::ReversedBefore);
            }
        }
        Ok(change)
    }

    pub(in crate::core) fn change_entry(&mut self, command: &ChangeEntry, change: &StatusChange) -> Outcome {
        self.set_entry_status(change, command.change.status());
        Outcome::EntryChanged { entry: change.entry.index, changed: change.changed }
    }

    /// Changes the state of an entry, and the balance of its receiver, unless it has that state.
    fn set_entry_status(&mut self, StatusChange { entry, changed }: &StatusChange, to: EntryStatus) {
        if !changed {
            return;
        }
        self.ledger.set_status(entry.index, to);
        let account = self.members.account(entry.receiver).expect("who received an entry has an account");
        self.accounts.shift(account, entry.status, to, entry.amount);
    }
}
