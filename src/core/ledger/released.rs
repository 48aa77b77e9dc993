//! When entries that were held were released.
//!
//! A payout up to an LSN takes what was pending then: not an entry that was released later. So the last
//! release of each entry is kept: one row for each that was ever released, in order of the first release, and
//! an index by entry. Some 25 bytes each; nothing where nothing was released.

use std::collections::HashMap;

use bytemuck::{Pod, Zeroable};

use crate::core::store::{
    column::{Column, freeze_fields},
    rows::{Rows, SoFar, require},
};

/// The last release of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReleasedRow {
    pub entry: u32,
    /// The command that released it.
    pub lsn: u64,
}

/// A row without gaps.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Kept {
    entry: u32,
    /// The lower half of the LSN, and the upper.
    lsn: [u32; 2],
}

impl Kept {
    fn new(entry: u32, lsn: u64) -> Self {
        let [low, high] = [lsn, lsn >> 32].map(|half| u32::try_from(half & 0xffff_ffff).expect("masked"));
        Self { entry, lsn: [low, high] }
    }

    fn lsn(&self) -> u64 {
        let [low, high] = self.lsn.map(u64::from);
        high << 32 | low
    }
}

pub(crate) struct Released {
    rows: Column<Kept>,
    /// Position in `rows` by entry. Not in copies: rebuilt from the rows.
    place_of: HashMap<u32, u32>,
}

freeze_fields!(Released { rows } derived { place_of });

impl Rows for Released {
    type Row = ReleasedRow;

    fn count(&self) -> usize {
        self.rows.len()
    }

    fn row_at(&self, at: usize) -> ReleasedRow {
        let kept = self.rows.get(at);
        ReleasedRow { entry: kept.entry, lsn: kept.lsn() }
    }

    fn restore(&mut self, row: ReleasedRow, so_far: &SoFar) -> Result<(), String> {
        let wrong = |what: &str| format!("release of entry {}: {what}", row.entry);
        require(u64::from(row.entry) < so_far.entries, || wrong("no such entry"))?;
        require((1..=so_far.lsn).contains(&row.lsn), || wrong("by no command so far"))?;
        require(!self.place_of.contains_key(&row.entry), || wrong("there twice"))?;
        self.note(row.entry.into(), row.lsn);
        Ok(())
    }
}

impl Released {
    pub fn new() -> Self {
        Self { rows: Column::new(), place_of: HashMap::new() }
    }

    /// Notes that the command `lsn` released an entry. O(1).
    pub fn note(&mut self, entry: u64, lsn: u64) {
        let entry = u32::try_from(entry).expect("limited by ENTRIES_MAX");
        if let Some(place) = self.place_of.get(&entry) {
            *self.rows.get_mut(*place as usize) = Kept::new(entry, lsn);
            return;
        }
        let place = u32::try_from(self.rows.len()).expect("at most one for each entry");
        self.rows.push(Kept::new(entry, lsn));
        self.place_of.insert(entry, place);
    }

    fn index_derived(&mut self) {
        let place = |at: usize| u32::try_from(at).expect("at most one for each entry");
        self.place_of = (0..self.rows.len()).map(|at| (self.rows.get(at).entry, place(at))).collect();
    }

    /// The command that released an entry last. O(1).
    pub fn of(&self, entry: u64) -> Option<u64> {
        let place = self.place_of.get(&u32::try_from(entry).ok()?)?;
        Some(self.rows.get(*place as usize).lsn())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::store::column::{Freeze, ViewId};

    #[test]
    fn the_last_release_counts_in_copies_too() {
        let mut released = Released::new();
        assert_eq!(released.of(0), None);
        (0..100).for_each(|entry| released.note(entry * 3, 1_000 + entry));
        (0..100).step_by(7).for_each(|entry| released.note(entry * 3, 2_000 + entry));
        released.freeze(ViewId::FIRST);
        released.note(0, 3_000);
        released.note(1, (7 << 40) + 3_001);
        let mut copy = Released::new();
        while !released.copy_step(ViewId::FIRST, &mut copy) {}
        copy.index_copy();
        assert_eq!((copy.count(), copy.of(0), copy.of(1)), (100, Some(2_000), None));
        assert_eq!(
            (released.count(), released.of(0), released.of(1)),
            (101, Some(3_000), Some((7 << 40) + 3_001))
        );
        for entry in 1..100 {
            let lsn = if entry % 7 == 0 { 2_000 } else { 1_000 } + entry;
            assert_eq!((copy.of(entry * 3), released.of(entry * 3)), (Some(lsn), Some(lsn)));
        }
        assert_eq!(copy.of(1 << 32), None, "beyond what entries there can be");
    }

    #[test]
    fn rows_of_an_image_are_checked() {
        let so_far = SoFar { lsn: 9, members: 1, triggers: 1, entries: 2, kinds: 1, ..SoFar::default() };
        let mut released = Released::new();
        for (entry, lsn, is_good) in
            [(0, 9, true), (0, 3, false), (2, 3, false), (1, 0, false), (1, 10, false), (1, 1, true)]
        {
            assert_eq!(
                released.restore(ReleasedRow { entry, lsn }, &so_far).is_ok(),
                is_good,
                "{entry} {lsn}"
            );
        }
    }
}
