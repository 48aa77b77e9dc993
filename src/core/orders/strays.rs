//! Orders that are not where the command that placed them puts them: they came back into the state behind
//! newer ones, because they were refunded after they were sealed.
//!
//! Every list of orders is read newest first, by the commands that placed them. Orders are numbered as they
//! came into the state, which is the same order but for these few, so they are found here instead.

use std::collections::BTreeMap;

use crate::core::{requests::command::PeriodRef, store::held::Held, words::types::MemberIx};

/// A list of orders, newest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum OrderList {
    All,
    /// Those that a member is credited for.
    OfMember(MemberIx),
    /// Those of a customer, by number.
    OfCustomer(u32),
    /// Those of a group, by number.
    OfGroup(u32),
    /// Those booked in a period.
    InPeriod(PeriodRef),
}

/// The orders that were placed before one of a lower number, by list and by command.
#[derive(Default)]
pub(crate) struct Strays {
    by_list: BTreeMap<(OrderList, u64), u32>,
    /// The newest command that placed any of the orders so far.
    newest: u64,
}

impl Strays {
    /// Notes the next order by number. Returns whether it is a stray, to be put into its lists.
    pub fn note(&mut self, lsn: u64) -> bool {
        let is_stray = lsn < self.newest;
        self.newest = self.newest.max(lsn);
        is_stray
    }

    /// Puts a stray into a list.
    pub fn add(&mut self, list: OrderList, lsn: u64, order: u32) {
        self.by_list.insert((list, lsn), order);
    }

    /// Whether an order that this command placed is a stray. O(log strays).
    pub fn has(&self, lsn: u64) -> bool {
        self.by_list.contains_key(&(OrderList::All, lsn))
    }

    /// The newest stray of a list that was placed before a command, and the command that placed it.
    /// O(log strays).
    pub fn before(&self, list: OrderList, lsn: u64) -> Option<(u64, u32)> {
        let (&(_, lsn), &order) = self.by_list.range((list, 0)..(list, lsn)).next_back()?;
        Some((lsn, order))
    }
}

impl Held for Strays {
    fn bytes(&self) -> usize {
        self.by_list.bytes()
    }
}
