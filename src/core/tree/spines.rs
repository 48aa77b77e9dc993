//! Runs of members that pass a newcomer on, with the end known from anywhere.

use crate::core::{
    store::column::{Column, Freeze, Kept, freeze_fields},
    words::types::MemberIx,
};

/// Spines: runs of members each of which passes a newcomer on to the next, with the end known from anywhere
/// in O(log n).
///
/// Union-find by size without path compression, so that looking changes nothing. Members never leave, so runs
/// only grow together.
pub(in crate::core) struct Spines {
    sets: Column<SpineSet>,
}

freeze_fields!(Spines { sets });

#[derive(Clone, Copy)]
struct SpineSet {
    /// Towards the set's representative; itself there.
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

    /// From now on `member`, the end of its run, passes newcomers on to `next`.
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

impl Freeze for Option<Spines> {
    fn freeze(&mut self) {
        self.iter_mut().for_each(Freeze::freeze);
    }
    fn thaw(&mut self, kept: &mut Kept) {
        self.iter_mut().for_each(|spines| spines.thaw(kept));
    }
    fn release(&mut self, kept: &mut Kept) {
        self.iter_mut().for_each(|spines| spines.release(kept));
    }
    fn copy_step(&self, copy: &mut Self) -> bool {
        self.as_ref().is_none_or(|spines| spines.copy_step(copy.get_or_insert_with(Spines::new)))
    }
}
