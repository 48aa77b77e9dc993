//! A table of member indexes, found by a hash, that grows a little with each addition.
//!
//! A lookup reads one line of memory: eight members with the hashes that they were added with. Lines are
//! filled in order and nothing is ever taken out, so a search goes on to the next line only where one is
//! full, and ends at the first that is not. The lines are in regions, and with many members in huge pages.
//!
//! A table that is four fifths full is followed by a larger one: fuller, a search for an id that is not
//! there, as each signup begins with, would read several lines. Hashes are kept, so moving a member reads
//! nothing but the table; and the place of a hash is its share of the table, so the entries move from front
//! to back in both. Each addition moves a few lines, and what was moved goes back to the system.

use bytemuck::{Pod, Zeroable};

use crate::core::{
    store::{held::Held, region::Region},
    words::types::MemberIx,
};

/// Members of a line.
const SLOTS: usize = 8;
/// Lines of a region: 2 MiB.
const REGION_SHIFT: u32 = 15;
/// Lines that an addition moves while the table grows, at least.
const MOVED: usize = 4;
/// Tables up to this many lines double; larger ones grow by an eighth.
const DOUBLING_LINES: usize = 1 << 12;
const LINES_FIRST: usize = 8;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Line {
    hashes: [u32; SLOTS],
    /// Indexes plus one; 0 where nothing is. Those that are taken come first.
    members: [u32; SLOTS],
}

const _: () = assert!(size_of::<Line>() == 64);

impl Line {
    fn is_full(&self) -> bool {
        self.members[SLOTS - 1] != 0
    }

    /// The member with this hash for which `is` holds.
    #[inline]
    fn find(&self, hash: u32, is: &mut impl FnMut(MemberIx) -> bool) -> Option<MemberIx> {
        let mut same = 0_u32;
        for (slot, known) in self.hashes.iter().enumerate() {
            same |= u32::from(*known == hash) << slot;
        }
        while same != 0 {
            let found = self.members[same.trailing_zeros() as usize].checked_sub(1).map(MemberIx);
            if let Some(member) = found.filter(|member| is(*member)) {
                return Some(member);
            }
            same &= same - 1;
        }
        None
    }
}

/// Lines of a fixed number.
struct Lines {
    regions: Vec<Region<Line>>,
    number: usize,
    /// Entries that found no room up to the last line: a few.
    beyond: Vec<(u32, u32)>,
}

impl Lines {
    fn new(lines: usize) -> Self {
        let most = 1 << REGION_SHIFT;
        let regions = (0..lines).step_by(most).map(|first| Region::zeroed(most.min(lines - first))).collect();
        Self { regions, number: lines, beyond: Vec::new() }
    }

    fn line(&self, at: usize) -> &Line {
        self.regions[at >> REGION_SHIFT].row(at & ((1 << REGION_SHIFT) - 1))
    }

    fn line_mut(&mut self, at: usize) -> &mut Line {
        self.regions[at >> REGION_SHIFT].row_mut(at & ((1 << REGION_SHIFT) - 1))
    }

    /// Where the search for a hash begins: greater hashes begin no earlier.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        usize::try_from((u64::from(hash) * self.number as u64) >> 32).expect("a line")
    }

    #[inline]
    fn find(&self, hash: u32, is: &mut impl FnMut(MemberIx) -> bool) -> Option<MemberIx> {
        for at in self.home(hash)..self.number {
            let line = self.line(at);
            let found = line.find(hash, is);
            if found.is_some() || !line.is_full() {
                return found;
            }
        }
        let beyond = self.beyond.iter().filter(|(known, _)| *known == hash);
        beyond.map(|(_, member)| MemberIx(*member)).find(|member| is(*member))
    }

    fn add(&mut self, hash: u32, member: u32) {
        for at in self.home(hash)..self.number {
            let line = self.line_mut(at);
            if let Some(slot) = line.members.iter().position(|taken| *taken == 0) {
                line.hashes[slot] = hash;
                line.members[slot] = member + 1;
                return;
            }
        }
        self.beyond.push((hash, member));
    }

    fn bytes(&self) -> usize {
        self.number * size_of::<Line>()
    }
}

/// The table.
pub struct IdTable {
    lines: Lines,
    len: usize,
    /// What is not moved into `lines` yet.
    before: Option<Before>,
}

/// The table before the present one.
struct Before {
    lines: Lines,
    /// Hashes whose home is a line before this one are in the present table.
    moved: usize,
}

impl IdTable {
    /// An empty table with room for `members`.
    pub fn with_capacity(members: usize) -> Self {
        let lines = (members.saturating_mul(5) / 4).div_ceil(SLOTS).max(LINES_FIRST);
        Self { lines: Lines::new(lines), len: 0, before: None }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes held, those that are being moved counted once.
    pub fn bytes(&self) -> usize {
        self.lines.bytes()
    }

    /// Reads the line where the search for a hash begins. The result is meaningless.
    #[inline]
    pub fn prefetch(&self, hash: u32) -> u32 {
        let lines = match &self.before {
            Some(before) if before.moved <= before.lines.home(hash) => &before.lines,
            _ => &self.lines,
        };
        lines.line(lines.home(hash)).members[SLOTS - 1]
    }

    /// The member that was added with this hash for which `is` holds. It is called for members with the same
    /// hash alone.
    #[inline]
    pub fn find(&self, hash: u32, mut is: impl FnMut(MemberIx) -> bool) -> Option<MemberIx> {
        match &self.before {
            Some(before) if before.moved <= before.lines.home(hash) => before.lines.find(hash, &mut is),
            _ => self.lines.find(hash, &mut is),
        }
    }

    /// Adds a member. O(1).
    pub fn add(&mut self, hash: u32, member: MemberIx) {
        self.grow();
        match &mut self.before {
            Some(before) if before.moved <= before.lines.home(hash) => before.lines.add(hash, member.0),
            _ => self.lines.add(hash, member.0),
        }
        self.len += 1;
    }

    /// Moves some lines of the table before; begins a larger one when this one is four fifths full.
    fn grow(&mut self) {
        let Some(before) = &mut self.before else {
            if self.lines.number * SLOTS * 4 <= self.len * 5 {
                let lines = self.lines.number;
                let larger = if lines <= DOUBLING_LINES { lines * 2 } else { lines / 8 * 9 };
                let lines = std::mem::replace(&mut self.lines, Lines::new(larger));
                self.before = Some(Before { lines, moved: 0 });
            }
            return;
        };
        let least = before.moved + MOVED;
        while before.moved < before.lines.number {
            let line = *before.lines.line(before.moved);
            for (hash, member) in line.hashes.into_iter().zip(line.members).filter(|(_, member)| *member != 0)
            {
                self.lines.add(hash, member - 1);
            }
            before.moved += 1;
            if before.moved & ((1 << REGION_SHIFT) - 1) == 0 {
                before.lines.regions[(before.moved >> REGION_SHIFT) - 1] = Region::empty();
            }
            // Behind a full line there may be entries whose home is before it.
            if least <= before.moved && !line.is_full() {
                return;
            }
        }
        for (hash, member) in std::mem::take(&mut before.lines.beyond) {
            self.lines.add(hash, member);
        }
        self.before = None;
    }
}

impl Held for IdTable {
    fn bytes(&self) -> usize {
        self.bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// A hash that spreads numbers.
    fn spread(number: u32) -> u32 {
        number.wrapping_mul(2_654_435_761).rotate_left(7).wrapping_mul(2_246_822_519)
    }

    #[test]
    fn what_was_added_is_found_at_every_size() {
        let mut table = IdTable::with_capacity(0);
        for number in 0..400_000 {
            assert_eq!(table.find(spread(number), |_| true).filter(|found| found.0 == number), None);
            table.add(spread(number), MemberIx(number));
            // One from each part of what is there.
            for other in (0..=number).step_by(number as usize / 5 + 1) {
                let found = table.find(spread(other), |member| member.0 == other);
                assert_eq!(found, Some(MemberIx(other)), "{other} of {number}");
            }
        }
        for number in 0..400_000 {
            assert!(table.find(spread(number), |member| member.0 == number).is_some(), "{number}");
        }
        assert_eq!(table.len(), 400_000);
        // Between 71% and 80% full.
        assert!((400_000 * 10..=400_000 * 23 / 2).contains(&table.bytes()), "{}", table.bytes());
    }

    #[test]
    fn room_that_was_asked_for_is_enough() {
        let mut table = IdTable::with_capacity(100_000);
        let bytes = table.bytes();
        (0..100_000).for_each(|number| table.add(spread(number), MemberIx(number)));
        assert!(table.bytes() == bytes && table.before.is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Hashes that repeat, and crowds at both ends of the table.
        #[test]
        fn a_table_finds_what_a_map_does(
            hashes in proptest::collection::vec(
                prop_oneof![any::<u32>(), 0..50_u32, u32::MAX - 50..=u32::MAX],
                0..3_000,
            ),
        ) {
            let mut table = IdTable::with_capacity(0);
            let mut map: HashMap<u32, Vec<u32>> = HashMap::new();
            for (member, hash) in (0..).zip(&hashes) {
                table.add(*hash, MemberIx(member));
                map.entry(*hash).or_default().push(member);
            }
            for (hash, members) in &map {
                let mut seen = Vec::new();
                table.find(*hash, |member| {
                    seen.push(member.0);
                    false
                });
                seen.sort_unstable();
                prop_assert_eq!(&seen, members);
            }
        }
    }
}
