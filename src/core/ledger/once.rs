//! Triggers that were paid once per member, of names beyond the first sixteen.
//!
//! The first sixteen names of a network have a bit each in the member's flags. Later ones are here: one row
//! for each member and name that was paid with `once`, in order, and an index. Some 22 bytes each; nothing
//! where there are none.

use std::collections::HashSet;

use crate::core::{
    store::{
        column::freeze_fields,
        rows::{Rows, SoFar, require},
        settled::Settled,
    },
    words::types::MemberIx,
};

/// A member whose trigger of this name was paid with `once`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OnceRow {
    pub member: u32,
    /// Number of the name, at least `ONCE_BITS`.
    pub kind: u16,
}

/// Trigger names that have a flag of the member each; later ones are here.
pub(crate) const ONCE_BITS: u16 = 16;

/// Rows that there may be.
pub(crate) const ONCE_ROWS_MAX: usize = u32::MAX as usize - 1;

pub(crate) struct Once {
    /// The member and the number of the name.
    rows: Settled<[u32; 2]>,
    /// Not in copies: rebuilt from the rows.
    paid: HashSet<OnceRow>,
}

freeze_fields!(Once { rows } derived { paid });

impl Rows for Once {
    type Row = OnceRow;

    fn count(&self) -> usize {
        self.len()
    }

    fn row_at(&self, at: usize) -> OnceRow {
        row(*self.rows.get(at))
    }

    fn restore(&mut self, row: OnceRow, so_far: &SoFar) -> Result<(), String> {
        let wrong = |what: &str| format!("a trigger that member {} had once: {what}", row.member);
        require(row.member < so_far.members, || wrong("no such member"))?;
        let is_known = ONCE_BITS <= row.kind && usize::from(row.kind) < so_far.kinds;
        require(is_known, || wrong("no such name"))?;
        require(!self.paid.contains(&row), || wrong("there twice"))?;
        self.push(row);
        Ok(())
    }
}

fn row([member, kind]: [u32; 2]) -> OnceRow {
    OnceRow { member, kind: u16::try_from(kind).expect("it was one") }
}

impl Once {
    pub fn new() -> Self {
        Self { rows: Settled::new(), paid: HashSet::new() }
    }

    fn index_derived(&mut self) {
        self.paid = self.rows.iter().copied().map(row).collect();
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// O(1).
    pub fn contains(&self, member: MemberIx, kind: u16) -> bool {
        self.paid.contains(&OnceRow { member: member.0, kind })
    }

    /// Adds a row that is not there.
    pub fn push(&mut self, row: OnceRow) {
        self.rows.push([row.member, row.kind.into()]);
        let new = self.paid.insert(row);
        debug_assert!(new);
    }

    /// Bytes held, the index estimated by its capacity.
    pub fn size_bytes(&self) -> usize {
        self.rows.bytes() + self.paid.capacity() * (size_of::<OnceRow>() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::store::column::{Freeze, ViewId};

    #[test]
    fn they_are_found_in_copies_too() {
        let mut once = Once::new();
        assert_eq!(once.size_bytes(), 0);
        (0..100).for_each(|member| once.push(OnceRow { member, kind: 16 + u16::from(member % 2 == 0) }));
        once.freeze(ViewId::FIRST);
        once.push(OnceRow { member: 100, kind: 16 });
        let mut copy = Once::new();
        while !once.copy_step(ViewId::FIRST, &mut copy) {}
        copy.index_copy();
        let paid = |once: &Once, member: u32| [16, 17].map(|kind| once.contains(MemberIx(member), kind));
        assert_eq!((copy.len(), paid(&copy, 100), paid(&once, 100)), (100, [false; 2], [true, false]));
        for member in 0..100 {
            assert_eq!(paid(&copy, member), [member % 2 != 0, member % 2 == 0], "{member}");
        }
    }
}
