//! Runs of members that pass newcomers on; the end is found from any of them.

use crate::core::{
    store::column::{Column, freeze_fields, freeze_optional},
    words::types::MemberIx,
};

/// Spines: runs of members each of which passes a newcomer on to the next. The end is found from any member
/// in O(log n).
///
/// Union-find by size without path compression, so that lookups change nothing. Members never leave, so runs
/// only merge.
pub(in crate::core) struct Spines {
    sets: Column<SpineSet>,
}

freeze_fields!(Spines { sets });

#[derive(Clone, Copy)]
struct SpineSet {
    /// Toward the set's representative; the representative points to itself.
    up: u32,
    /// At the representative: members in the set.
    size: u32,
    /// At the representative: the last member of the run.
    end: u32,
}

impl Spines {
    pub fn new() -> Self {
        Self { sets: Column::new() }
    }

    pub fn push(&mut self, member: MemberIx) {
        self.sets.push(SpineSet { up: member.0, size: 1, end: member.0 });
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.sets.bytes()
    }

    fn representative(&self, member: MemberIx) -> usize {
        let mut at = member.at();
        while self.sets.get(at).up as usize != at {
            at = self.sets.get(at).up as usize;
        }
        at
    }

    pub fn end(&self, member: MemberIx) -> MemberIx {
        MemberIx(self.sets.get(self.representative(member)).end)
    }

    /// Makes `member`, the end of its run, pass newcomers on to `next` from now on.
    pub fn join(&mut self, member: MemberIx, next: MemberIx) {
        let (upper, lower) = (self.representative(member), self.representative(next));
        debug_assert_eq!(self.sets.get(upper).end, member.0);
        let end = self.sets.get(lower).end;
        let size = self.sets.get(upper).size + self.sets.get(lower).size;
        let (top, below) = if self.sets.get(upper).size < self.sets.get(lower).size {
            (lower, upper)
        } else {
            (upper, lower)
        };
        self.sets.get_mut(below).up = u32::try_from(top).expect("a member index");
        let representative = self.sets.get_mut(top);
        representative.size = size;
        representative.end = end;
    }
}

freeze_optional!([] Spines, Spines::new());
