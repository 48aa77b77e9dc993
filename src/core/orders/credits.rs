//! The members that orders are credited to.

use bytemuck::{Pod, Zeroable};

use crate::core::{
    orders::placed::NO_ORDER,
    requests::command::WHOLE,
    store::{
        column::freeze_fields,
        pace::Pace,
        rows::{Rows, SoFar, require},
        settled::Settled,
        sparse::Sparse,
    },
    words::types::MemberIx,
};

/// A member that an order is credited to. Ascending by order; those of an order as they were named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CreditRow {
    pub order: u32,
    pub member: u32,
    /// Of the whole, in parts of 10^-9.
    pub part: u32,
}

/// A credit with the one of the same member before it.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq, Debug)]
#[repr(C)]
pub(crate) struct Credited {
    pub order: u32,
    pub member: u32,
    pub part: u32,
    pub before: u32,
}

pub(crate) struct Credits {
    rows: Settled<Credited>,
    /// The newest credit of each member, plus one. Not in copies, until [`Credits::index`].
    newest: Sparse<u32>,
}

freeze_fields!(Credits { rows } cached { newest });

impl Rows for Credits {
    type Row = CreditRow;

    fn count(&self) -> usize {
        self.rows.len()
    }

    fn row_at(&self, at: usize) -> CreditRow {
        let Credited { order, member, part, before: _ } = *self.rows.get(at);
        CreditRow { order, member, part }
    }

    fn restore(&mut self, row: CreditRow, so_far: &SoFar) -> Result<(), String> {
        let wrong = |what: &str| format!("credit of order {}: {what}", row.order);
        require(row.order < so_far.orders, || wrong("no such order"))?;
        require(row.member < so_far.members, || wrong("no such member"))?;
        require((1..=WHOLE).contains(&row.part), || wrong("an impossible part"))?;
        self.push(row);
        Ok(())
    }
}

impl Credits {
    pub fn new() -> Self {
        Self { rows: Settled::new(), newest: Sparse::new() }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn get(&self, credit: u32) -> &Credited {
        self.rows.get(credit as usize)
    }

    /// Adds the next credit of the newest order.
    pub fn push(&mut self, row: CreditRow) {
        let CreditRow { order, member, part } = row;
        let place = u32::try_from(self.rows.len()).expect("limited by ORDERS_MAX");
        let newest = self.newest.get_mut(member as usize);
        let before = newest.checked_sub(1).unwrap_or(NO_ORDER);
        *newest = place + 1;
        self.rows.push(Credited { order, member, part, before });
    }

    /// Finds the newest credit of each member, in a copy. O(credits).
    pub fn index(&mut self) {
        self.newest = Sparse::new();
        for place in (0..self.rows.len()).paced() {
            let member = self.rows.get(place).member as usize;
            *self.newest.get_mut(member) = u32::try_from(place).expect("limited by ORDERS_MAX") + 1;
        }
    }

    /// The newest credit of a member.
    pub fn newest(&self, member: MemberIx) -> Option<u32> {
        self.newest.get(member.at()).checked_sub(1)
    }
}
