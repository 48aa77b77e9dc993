//! Imported row ids.
//!
//! A row of this network has an id that is computed from its kind and index (by the engine, with a key of the
//! instance). A company that comes from another service has ids that its other systems know: those are stored
//! here, in both directions. Memory is proportional to them alone, some 90 bytes each; a network that was not
//! imported has none.

use std::collections::HashMap;

use bytemuck::{Pod, Zeroable};

use crate::core::{
    store::{
        column::freeze_fields,
        rows::{Rows, SoFar, require},
        settled::Settled,
    },
    words::row_kind::RowKind,
};

/// An imported row id, in order of import.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RowIdRow {
    pub id: [u8; 16],
    pub kind: RowKind,
    pub index: u32,
}

/// A row as numbers.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq)]
#[repr(C)]
struct Kept {
    id: [u8; 16],
    kind: u32,
    index: u32,
}

/// The rows, in order of import, with two indexes that frozen copies omit and rebuild from the rows.
pub(crate) struct CarriedIds {
    rows: Settled<Kept>,
    place_of_id: HashMap<[u8; 16], u32>,
    place_of_row: HashMap<(RowKind, u32), u32>,
}

freeze_fields!(CarriedIds { rows } derived { place_of_id, place_of_row });

impl Rows for CarriedIds {
    type Row = RowIdRow;

    fn count(&self) -> usize {
        self.len()
    }

    fn row_at(&self, at: usize) -> RowIdRow {
        self.row(at)
    }

    fn restore(&mut self, row: RowIdRow, so_far: &SoFar) -> Result<(), String> {
        let wrong = |what: &str| format!("row id of {:?} {}: {what}", row.kind, row.index);
        let rows = match row.kind {
            RowKind::Member => u64::from(so_far.members),
            RowKind::Entry => so_far.entries,
        };
        require(u64::from(row.index) < rows, || wrong("no such row"))?;
        require(self.row_of(&row.id).is_none(), || wrong("another row has it"))?;
        require(self.id_of(row.kind, row.index.into()).is_none(), || wrong("it has one already"))?;
        self.push(row);
        Ok(())
    }
}

impl CarriedIds {
    pub fn new() -> Self {
        Self { rows: Settled::new(), place_of_id: HashMap::new(), place_of_row: HashMap::new() }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn row(&self, at: usize) -> RowIdRow {
        let Kept { id, kind, index } = *self.rows.get(at);
        let kind = u8::try_from(kind).ok().and_then(RowKind::from_repr).expect("it was one");
        RowIdRow { id, kind, index }
    }

    /// The imported id of a row. O(1).
    pub fn id_of(&self, kind: RowKind, index: u64) -> Option<[u8; 16]> {
        let index = u32::try_from(index).ok()?;
        self.place_of_row.get(&(kind, index)).map(|place| self.row(*place as usize).id)
    }

    /// The row with an imported id. O(1).
    pub fn row_of(&self, id: &[u8; 16]) -> Option<(RowKind, u64)> {
        let row = self.row(*self.place_of_id.get(id)? as usize);
        Some((row.kind, row.index.into()))
    }

    /// Adds an unused id to a row without one.
    pub fn push(&mut self, row: RowIdRow) {
        let RowIdRow { id, kind, index } = row;
        self.rows.push(Kept { id, kind: kind as u32, index });
        self.index(self.rows.len() - 1);
    }

    fn index_derived(&mut self) {
        (0..self.rows.len()).for_each(|place| self.index(place));
    }

    fn index(&mut self, place: usize) {
        let row = self.row(place);
        let place = u32::try_from(place).expect("fewer than members and entries");
        self.place_of_id.insert(row.id, place);
        self.place_of_row.insert((row.kind, row.index), place);
    }

    /// Bytes held, the indexes estimated by their capacity.
    pub fn size_bytes(&self) -> usize {
        let indexes = self.place_of_id.capacity() * (16 + 4 + 1) + self.place_of_row.capacity() * (8 + 4 + 1);
        self.rows.bytes() + indexes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::store::column::{Freeze, ViewId};

    #[test]
    fn ids_lead_both_ways_in_copies_too() {
        let mut ids = CarriedIds::new();
        assert_eq!((ids.id_of(RowKind::Member, 0), ids.row_of(&[0; 16]), ids.size_bytes()), (None, None, 0));
        for index in 0..100 {
            let kind = if index % 3 == 0 { RowKind::Member } else { RowKind::Entry };
            ids.push(RowIdRow { id: u128::from(index).to_le_bytes(), kind, index: index * 7 });
        }
        ids.freeze(ViewId::FIRST);
        ids.push(RowIdRow { id: [255; 16], kind: RowKind::Member, index: 5 });
        let mut copy = CarriedIds::new();
        while !ids.copy_step(ViewId::FIRST, &mut copy) {}
        copy.index_copy();
        assert_eq!((copy.len(), copy.row_of(&[255; 16])), (100, None));
        assert_eq!(ids.row_of(&[255; 16]), Some((RowKind::Member, 5)));
        for index in 0..100_u32 {
            let kind = if index % 3 == 0 { RowKind::Member } else { RowKind::Entry };
            let (id, row) = (u128::from(index).to_le_bytes(), u64::from(index * 7));
            assert_eq!((copy.id_of(kind, row), copy.row_of(&id)), (Some(id), Some((kind, row))));
        }
        assert_eq!(copy.id_of(RowKind::Entry, 0), None, "another kind");
        assert_eq!(copy.id_of(RowKind::Entry, 7 + (1 << 32)), None, "beyond what rows there can be");
    }
}
