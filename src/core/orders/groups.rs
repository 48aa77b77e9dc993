//! Groups of orders: parties, shopping events.

use crate::core::{
    orders::{customers::set_newest, placed::NO_ORDER},
    requests::command::OrderId,
    store::{
        column::freeze_fields,
        rows::{Rows, SoFar, require},
        texts::Texts,
    },
};

/// A group, in the order of their first orders.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupRow {
    pub id: Box<str>,
}

pub(crate) struct Groups {
    ids: Texts,
    /// The newest order of each. Not in copies: rebuilt from the orders.
    newest: Vec<u32>,
}

freeze_fields!(Groups { ids } cached { newest });

impl Rows for Groups {
    type Row = GroupRow;

    fn count(&self) -> usize {
        self.ids.len()
    }

    fn row_at(&self, at: usize) -> GroupRow {
        GroupRow { id: self.ids.text(at) }
    }

    fn restore(&mut self, row: GroupRow, _so_far: &SoFar) -> Result<(), String> {
        let wrong = |what: &str| format!("group `{}`: {what}", row.id);
        let id = OrderId::parse(&row.id).ok_or_else(|| wrong("not an id"))?;
        require(self.find(&id).is_none(), || wrong("there twice"))?;
        self.push(&id);
        Ok(())
    }
}

impl Groups {
    pub fn new() -> Self {
        Self { ids: Texts::new(), newest: Vec::new() }
    }

    /// The number of a group. O(1).
    pub fn find(&self, id: &OrderId) -> Option<u32> {
        self.ids.find(id.as_str())
    }

    /// The id of a group.
    pub fn id(&self, group: u32) -> Box<str> {
        self.ids.text(group as usize)
    }

    pub fn has_room(&self) -> bool {
        self.ids.has_room()
    }

    /// Adds a group that is not there.
    pub fn push(&mut self, id: &OrderId) -> u32 {
        self.ids.push(id.as_str())
    }

    /// The newest order of a group.
    pub fn newest(&self, group: u32) -> u32 {
        self.newest.get(group as usize).copied().unwrap_or(NO_ORDER)
    }

    /// Exchanges the newest orders with other lists.
    pub fn swap_newest(&mut self, other: &mut Self) {
        std::mem::swap(&mut self.newest, &mut other.newest);
    }

    /// Sets the newest order of a group; returns the one before.
    pub fn set_newest(&mut self, group: u32, order: u32) -> u32 {
        set_newest(&mut self.newest, group, order)
    }
}
