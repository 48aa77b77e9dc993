//! Bulk payouts: which entries to mark paid, and their sum.

use crate::core::{
    ledger::{
        entries::{Entry, Marked},
        filter::EntryFilter,
    },
    requests::command::{Outcome, PayFilter, Rejection, WideMoney},
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
    /// Whether an entry matches, pending or paid.
    pub fn takes(&self, entry: &Entry) -> bool {
        entry.index < self.end && self.filter.takes(entry)
    }
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
    /// O(pending entries), some hundred million a second, for the rest.
    pub(in crate::core) fn pay_matching<D: Directory>(
        &mut self,
        directory: &D,
        filter: &PayFilter,
    ) -> Result<Outcome, Rejection> {
        let payout = self.payout(directory, filter)?;
        let marked = match payout.filter.receiver {
            _ if *filter == PayFilter::default() => self.ledger.pay_all_summed(),
            Some(receiver) => self.pay_received(receiver, &payout),
            None => self.ledger.pay_below(payout.end, |entry| payout.takes(entry)),
        };
        Ok(Outcome::MatchingPaid { entries: marked.entries, amount: WideMoney::new(marked.amount) })
    }

    fn pay_received(&mut self, receiver: MemberIx, payout: &Payout) -> Marked {
        let mut marked = Marked::default();
        let mut walk = self.received_until(receiver, payout.filter.until);
        while let Some(index) = self.received_step(&mut walk) {
            let entry = self.entry(index);
            if entry.time < payout.filter.from {
                break;
            }
            if entry.status == EntryStatus::Pending && payout.takes(&entry) {
                self.ledger.pay(index);
                marked.add(&entry);
            }
        }
        marked
    }
}
