//! Reversals: a reversal is an entry of the negative amount, and each entry has at most one.
//!
//! They are rare, so they are stored separately: one row for each, ascending by reversal, and an index by the
//! reversed entry. Some 25 bytes each.

use std::collections::HashMap;

use bytemuck::{Pod, Zeroable};

use crate::core::store::{
    column::freeze_fields,
    rows::{Rows, SoFar, require},
    search::partition_point,
    settled::Settled,
};

/// An entry that reverses another. Ascending by entry.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct ReversalRow {
    pub entry: u32,
    pub reverses: u32,
}

pub(crate) struct Reversals {
    rows: Settled<ReversalRow>,
    /// By reversed entry. Not in copies: rebuilt from the rows.
    reversal_of: HashMap<u32, u32>,
}

freeze_fields!(Reversals { rows } derived { reversal_of });

impl Rows for Reversals {
    type Row = ReversalRow;

    fn count(&self) -> usize {
        self.len()
    }

    fn row_at(&self, at: usize) -> ReversalRow {
        self.row(at)
    }

    /// Whether a reversal fits the entry that it reverses is checked when all rows are there.
    fn restore(&mut self, row: ReversalRow, so_far: &SoFar) -> Result<(), String> {
        let wrong = |what: &str| format!("reversal {}: {what}", row.entry);
        require(row.reverses < row.entry && u64::from(row.entry) < so_far.entries, || {
            wrong("no such entries")
        })?;
        let newest = self.len().checked_sub(1).map(|newest| self.row(newest).entry);
        require(newest.is_none_or(|newest| newest < row.entry), || wrong("out of order"))?;
        require(self.reversal_of(row.reverses.into()).is_none(), || {
            wrong("of one that is reversed already")
        })?;
        require(self.reverses(row.reverses.into()).is_none(), || wrong("of a reversal"))?;
        self.push(row);
        Ok(())
    }
}

impl Reversals {
    pub fn new() -> Self {
        Self { rows: Settled::new(), reversal_of: HashMap::new() }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn row(&self, at: usize) -> ReversalRow {
        *self.rows.get(at)
    }

    /// Adds a reversal: the newest entry, of an entry that has none.
    pub fn push(&mut self, row: ReversalRow) {
        debug_assert!(self.len() == 0 || self.row(self.len() - 1).entry < row.entry);
        self.rows.push(row);
        self.reversal_of.insert(row.reverses, row.entry);
    }

    fn index_derived(&mut self) {
        self.reversal_of = self.rows.iter().map(|row| (row.reverses, row.entry)).collect();
    }

    /// The reversals among some entries, ascending. O(log n) and as many as there are.
    pub fn among(&self, entries: std::ops::Range<u64>) -> impl Iterator<Item = ReversalRow> + '_ {
        let from = partition_point(0..self.len(), |at| u64::from(self.row(at).entry) < entries.start);
        let rows = (from..self.len()).map(|at| self.row(at));
        rows.take_while(move |row| u64::from(row.entry) < entries.end)
    }

    /// The entry that reverses this one. O(1).
    pub fn reversal_of(&self, entry: u64) -> Option<u64> {
        self.reversal_of.get(&u32::try_from(entry).ok()?).map(|reversal| u64::from(*reversal))
    }

    /// The entry that this one reverses. O(log n).
    pub fn reverses(&self, entry: u64) -> Option<u64> {
        let at = partition_point(0..self.len(), |at| u64::from(self.row(at).entry) < entry);
        let row = (at < self.len()).then(|| self.row(at)).filter(|row| u64::from(row.entry) == entry)?;
        Some(u64::from(row.reverses))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::store::{
        column::{Freeze, ViewId},
        held::Held,
    };

    #[test]
    fn they_lead_both_ways_in_copies_too() {
        let mut reversals = Reversals::new();
        assert_eq!((reversals.reversal_of(0), reversals.reverses(0), reversals.bytes()), (None, None, 0));
        (0..100).for_each(|number| reversals.push(ReversalRow { entry: 200 + number * 3, reverses: number }));
        reversals.freeze(ViewId::FIRST);
        reversals.push(ReversalRow { entry: 900, reverses: 150 });
        let mut copy = Reversals::new();
        while !reversals.copy_step(ViewId::FIRST, &mut copy) {}
        copy.index_copy();
        assert_eq!((copy.len(), copy.reversal_of(150), reversals.reversal_of(150)), (100, None, Some(900)));
        for number in 0..100 {
            assert_eq!(
                (copy.reversal_of(number), copy.reverses(200 + number * 3)),
                (Some(200 + number * 3), Some(number))
            );
            assert_eq!((copy.reverses(201 + number * 3), copy.reverses(number)), (None, None));
        }
        assert_eq!(copy.reversal_of(1 << 32), None, "beyond what entries there can be");
    }
}
