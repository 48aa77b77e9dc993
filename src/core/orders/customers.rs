//! Customers: ids of buyers that are not members. Each belongs to the first credited member of its first
//! order.

use bytemuck::{Pod, Zeroable};

use crate::core::{
    orders::placed::NO_ORDER,
    requests::command::OrderId,
    store::{
        column::freeze_fields,
        rows::{Rows, SoFar, require},
        settled::Settled,
        texts::Texts,
    },
    words::types::MemberIx,
};

/// A customer, in the order of their first orders.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CustomerRow {
    pub member: u32,
    pub id: Box<str>,
}

#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq)]
#[repr(transparent)]
struct Owner(u32);

pub(crate) struct Customers {
    ids: Texts,
    owners: Settled<Owner>,
    /// The newest order of each. Not in copies: rebuilt from the orders.
    newest: Vec<u32>,
}

freeze_fields!(Customers { ids, owners } cached { newest });

impl Rows for Customers {
    type Row = CustomerRow;

    fn count(&self) -> usize {
        self.owners.len()
    }

    fn row_at(&self, at: usize) -> CustomerRow {
        CustomerRow { member: self.owners.get(at).0, id: self.ids.text(at) }
    }

    fn restore(&mut self, row: CustomerRow, so_far: &SoFar) -> Result<(), String> {
        let wrong = |what: &str| format!("customer `{}`: {what}", row.id);
        let id = OrderId::parse(&row.id).ok_or_else(|| wrong("not an id"))?;
        require(row.member < so_far.members, || wrong("no such member"))?;
        require(self.find(&id).is_none(), || wrong("there twice"))?;
        self.push(&id, MemberIx(row.member));
        Ok(())
    }
}

impl Customers {
    pub fn new() -> Self {
        Self { ids: Texts::new(), owners: Settled::new(), newest: Vec::new() }
    }

    /// The number of a customer. O(1).
    pub fn find(&self, id: &OrderId) -> Option<u32> {
        self.ids.find(id.as_str())
    }

    /// Prefetches what orders of these customers read. The result is meaningless.
    pub fn prefetch<'i>(&self, ids: impl Iterator<Item = &'i OrderId>) -> u32 {
        let row = |at: usize| self.owners.get(at).0 ^ self.newest.get(at).copied().unwrap_or_default();
        self.ids.prefetch(ids.map(OrderId::as_str), row)
    }

    /// The id of a customer.
    pub fn id(&self, customer: u32) -> Box<str> {
        self.ids.text(customer as usize)
    }

    /// The member to whom a customer belongs.
    pub fn owner(&self, customer: u32) -> MemberIx {
        MemberIx(self.owners.get(customer as usize).0)
    }

    pub fn has_room(&self) -> bool {
        self.ids.has_room()
    }

    /// Adds a customer that is not there.
    pub fn push(&mut self, id: &OrderId, owner: MemberIx) -> u32 {
        self.owners.push(Owner(owner.0));
        self.ids.push(id.as_str())
    }

    /// The newest order of a customer.
    pub fn newest(&self, customer: u32) -> u32 {
        self.newest.get(customer as usize).copied().unwrap_or(NO_ORDER)
    }

    /// Exchanges the newest orders with other lists.
    pub fn swap_newest(&mut self, other: &mut Self) {
        std::mem::swap(&mut self.newest, &mut other.newest);
    }

    /// Sets the newest order of a customer; returns the one before.
    pub fn set_newest(&mut self, customer: u32, order: u32) -> u32 {
        set_newest(&mut self.newest, customer, order)
    }
}

/// Sets the newest order in a list by number; returns the one before.
pub(super) fn set_newest(newest: &mut Vec<u32>, number: u32, order: u32) -> u32 {
    let at = number as usize;
    if newest.len() <= at {
        newest.resize(at + 1, NO_ORDER);
    }
    std::mem::replace(&mut newest[at], order)
}
