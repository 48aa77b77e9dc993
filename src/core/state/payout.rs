//! Changes of the state of entries: payouts, of one or of many, holds and releases, and voids.

use crate::core::{
    ledger::{changes::StatusChange, entries::Entry, filter::EntryFilter, statuses::Statuses, sum::Sum},
    requests::command::{ChangeEntry, EntryRules, Outcome, PayFilter, Rejection, WideMoney},
    state::{
        parts::State,
        prepare::Aside,
        rules::{FormatRules, Rules, kinds},
    },
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
    /// Entries released by later commands do not match.
    released_until: u64,
    filter: EntryFilter,
}

impl Payout {
    /// Whether an entry matches, whatever its state. `released` is the command that released it last, if one
    /// did so before the payout.
    pub fn takes(&self, entry: &Entry, released: Option<u64>) -> bool {
        entry.index < self.end
            && released.is_none_or(|lsn| lsn <= self.released_until)
            && self.filter.takes(entry)
    }
}

impl Rules for kinds::PayEntry {
    type Content<'a> = &'a u64;
    type Found = StatusChange;

    fn judge<D: Directory>(
        state: &State,
        _directory: &D,
        entry: Self::Content<'_>,
        _format: &FormatRules,
    ) -> Result<Self::Found, Rejection> {
        state.ledger.judge_pay(*entry)
    }

    fn act<D: Directory>(
        state: &mut State,
        _directory: &mut D,
        _entry: Self::Content<'_>,
        found: Self::Found,
        _aside: &mut Aside,
    ) -> Outcome {
        state.pay_entry(&found)
    }
}

impl Rules for kinds::PayAll {
    type Content<'a> = ();
    type Found = ();

    fn judge<D: Directory>(
        _state: &State,
        _directory: &D,
        _none: Self::Content<'_>,
        _format: &FormatRules,
    ) -> Result<Self::Found, Rejection> {
        Ok(())
    }

    fn act<D: Directory>(
        state: &mut State,
        _directory: &mut D,
        _none: Self::Content<'_>,
        _found: Self::Found,
        _aside: &mut Aside,
    ) -> Outcome {
        Outcome::AllPaid { entries: state.ledger.pay_pending().entries }
    }
}

impl Rules for kinds::PayMatching {
    type Content<'a> = &'a PayFilter;
    type Found = Payout;

    fn judge<D: Directory>(
        state: &State,
        directory: &D,
        filter: Self::Content<'_>,
        format: &FormatRules,
    ) -> Result<Self::Found, Rejection> {
        state.payout(directory, filter, format.entries)
    }

    fn act<D: Directory>(
        state: &mut State,
        _directory: &mut D,
        filter: Self::Content<'_>,
        found: Self::Found,
        _aside: &mut Aside,
    ) -> Outcome {
        state.pay_matching(filter, &found)
    }
}

impl Rules for kinds::ChangeEntry {
    type Content<'a> = &'a ChangeEntry;
    type Found = (StatusChange, EntryRules);

    fn judge<D: Directory>(
        state: &State,
        _directory: &D,
        change: Self::Content<'_>,
        format: &FormatRules,
    ) -> Result<Self::Found, Rejection> {
        Ok((state.ledger.judge_change(change, format.entries)?, format.entries))
    }

    fn act<D: Directory>(
        state: &mut State,
        _directory: &mut D,
        _change: Self::Content<'_>,
        (change, rules): Self::Found,
        _aside: &mut Aside,
    ) -> Outcome {
        state.change_entry(&change, rules)
    }
}

impl State {
    /// Resolves a filter against the present entries.
    ///
    /// # Errors
    /// `MemberUnknown` for a receiver, `TriggerUnknown` for a kind that no entry and no plan ever had.
    pub fn payout<D: Directory>(
        &self,
        directory: &D,
        filter: &PayFilter,
        rules: EntryRules,
    ) -> Result<Payout, Rejection> {
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
        let released_until = up_to_lsn.filter(|_| rules == EntryRules::InPairs).unwrap_or(u64::MAX);
        let filter = EntryFilter { receiver, kind, from, until, ..EntryFilter::default() };
        Ok(Payout { end, released_until, filter })
    }

    /// O(entries / 64) for all; O(entries of the receiver that are newer than `from`) for one receiver;
    /// O(pending entries), some ten million a second, for the rest.
    pub(in crate::core) fn pay_matching(&mut self, filter: &PayFilter, payout: &Payout) -> Outcome {
        let paid = match payout.filter.receiver {
            _ if *filter == PayFilter::default() => self.ledger.pay_pending(),
            Some(receiver) => self.pay_received(receiver, payout),
            None => self.pay_below(payout),
        };
        let entries = u32::try_from(paid.entries).expect("limited by ENTRIES_MAX");
        Outcome::MatchingPaid { entries, amount: WideMoney::new(paid.amount) }
    }

    fn pay_below(&mut self, payout: &Payout) -> Sum {
        let (pending, mut paid, mut from) = (Statuses::from(EntryStatus::Pending), Sum::default(), 0);
        while let Some(index) = self.ledger.entries().first_with(pending, from, payout.end) {
            let entry = self.entry(index);
            if payout.takes(&entry, self.released(index)) {
                self.pay_found(entry);
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
            if entry.status == EntryStatus::Pending && payout.takes(&entry, self.released(index)) {
                self.pay_found(entry);
                paid.add(entry.amount);
            }
        }
        paid
    }

    pub(in crate::core) fn pay_entry(&mut self, change: &StatusChange) -> Outcome {
        self.set_entry_status(change);
        Outcome::EntryPaid { entry: change.entry.index, changed: change.changed }
    }

    pub(in crate::core) fn change_entry(&mut self, change: &StatusChange, rules: EntryRules) -> Outcome {
        self.set_entry_status(change);
        if rules == EntryRules::InPairs {
            self.ledger.keep_released(change, self.scalars.lsn);
        }
        let changed = change.changed || change.other.is_some();
        Outcome::EntryChanged { entry: change.entry.index, changed }
    }

    fn pay_found(&mut self, entry: Entry) {
        self.set_entry_status(&StatusChange { entry, to: EntryStatus::Paid, changed: true, other: None });
    }

    fn set_entry_status(&mut self, change: &StatusChange) {
        let account = self.network.members().account(change.entry.receiver);
        self.ledger.set_status(change, account.expect("who received an entry has an account"));
    }
}
