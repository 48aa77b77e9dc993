//! The children of one parent by slot, however many there are.
//!
//! Children are linked in slot order. A small family is gone through child by child, and in a family without
//! a gap the number of children says which slots are taken. What is left is a wide family with gaps: it is
//! divided into runs of neighbors, found by the slot of their first child, so that a search goes through one
//! run alone.
//!
//! The runs follow from the links. They are no part of the state: neither digests nor images nor frozen
//! copies know of them. Attaching a child to a wide family with gaps makes its runs if they are not
//! there, in O(children) once, and keeps them up to date from then on. Memory: some 40 bytes for 64 children
//! of such families.

use std::collections::BTreeMap;

use super::{
    column::{Column, Freeze, Kept},
    genealogy::{Genealogy, Link},
    types::{MemberIx, NONE},
};

/// Children from which on a family is wide: fewer are gone through one by one.
pub(super) const WIDE: u32 = 64;
/// A run of more children is divided in two.
const RUN_CHILDREN_MAX: u32 = 128;

/// The runs of wide families with gaps, by parent.
#[derive(Default)]
pub(super) struct Siblings {
    families: BTreeMap<u32, Family>,
}

struct Family {
    /// By the slot of the first child of each.
    runs: BTreeMap<u32, Run>,
    /// The lowest slot without a child. It only rises, since members never leave.
    free: u32,
}

/// Children that follow each other.
#[derive(Clone, Copy)]
struct Run {
    first: u32,
    children: u32,
}

impl Freeze for Siblings {
    fn freeze(&mut self) {}
    fn thaw(&mut self, _kept: &mut Kept) {}
    fn release(&mut self, _kept: &mut Kept) {}
    fn copy_step(&self, _copy: &mut Self) -> bool {
        true
    }
}

/// The sibling in the next taken slot.
fn next_of(links: &Column<Link>, child: u32) -> Option<(u32, u32)> {
    #[cfg(test)]
    work::step();
    let next = links.get(child as usize).next_sibling;
    (next != NONE).then(|| (next, links.get(next as usize).slot))
}

impl Genealogy {
    /// Children in slot order.
    pub fn children(&self, member: MemberIx) -> impl Iterator<Item = MemberIx> + '_ {
        let first = MemberIx::from_column(self.link(member).first_child);
        first.into_iter().flat_map(|first| self.siblings_from(first))
    }

    /// A child, and those in later slots.
    pub fn siblings_from(&self, child: MemberIx) -> impl Iterator<Item = MemberIx> + '_ {
        std::iter::successors(Some(child), |child| {
            next_of(&self.links, child.0).map(|(next, _)| MemberIx(next))
        })
    }

    /// The child in a slot. O(log children); O(children) in a copy to which nobody was attached yet.
    pub fn child_in(&self, parent: MemberIx, slot: u32) -> Option<MemberIx> {
        let last = MemberIx::from_column(self.link(parent).last_child)?;
        if self.link(last).slot <= slot {
            return (self.link(last).slot == slot).then_some(last);
        }
        let (mut at, mut found) = self.start(parent, slot);
        while found < slot {
            (at, found) = next_of(&self.links, at)?;
        }
        (found == slot).then_some(MemberIx(at))
    }

    /// Whether a slot has a child. As [`Genealogy::child_in`], and O(1) in a family without a gap.
    pub fn is_taken(&self, parent: MemberIx, slot: u32) -> bool {
        if self.has_no_gap(parent) {
            slot < self.link(parent).children
        } else {
            self.child_in(parent, slot).is_some()
        }
    }

    /// The lowest slot without a child. O(1) in a family that is wide or has no gap, else O(children).
    pub fn lowest_free(&self, parent: MemberIx) -> u32 {
        if self.has_no_gap(parent) {
            return self.link(parent).children;
        }
        if let Some(family) = self.siblings.families.get(&parent.0) {
            return family.free;
        }
        let taken_in_order =
            self.children(parent).zip(0..).take_while(|(child, slot)| self.link(*child).slot == *slot);
        u32::try_from(taken_in_order.count()).expect("no more than there are slots")
    }

    /// The lowest slots below `width` without a child, at most `most`. O(children / [`WIDE`] + most *
    /// [`RUN_CHILDREN_MAX`]).
    pub fn free_slots(&self, parent: MemberIx, width: u32, most: usize) -> Vec<u32> {
        let mut free = Vec::new();
        let (mut expected, mut next) = (0, self.link(parent).first_child);
        let runs = self.siblings.families.get(&parent.0).map(|family| &family.runs);
        while free.len() < most && next != NONE {
            let slot = self.links.get(next as usize).slot;
            free.extend((expected..slot).take(most - free.len()));
            // A run that begins here and has no gap, neither in it nor behind it, is passed over as a whole.
            let whole = runs.and_then(|runs| {
                let run = runs.get(&slot)?;
                let (behind, after) = runs.range(slot + 1..).next()?;
                (*behind == slot + run.children).then_some((*behind, after.first))
            });
            (expected, next) = match whole {
                Some((behind, first)) => (behind, first),
                None => (slot + 1, next_of(&self.links, next).map_or(NONE, |(next, _)| next)),
            };
        }
        free.extend((expected..width).take(most - free.len()));
        free
    }

    /// Whether the children stand in the lowest slots, one after the other.
    fn has_no_gap(&self, parent: MemberIx) -> bool {
        let link = self.link(parent);
        link.last_child == NONE || self.links.get(link.last_child as usize).slot + 1 == link.children
    }

    /// A child to begin with when looking for what stands in `slot` or before it, which is behind the first
    /// child; and its own slot.
    fn start(&self, parent: MemberIx, slot: u32) -> (u32, u32) {
        let family = self.siblings.families.get(&parent.0);
        let run = family.and_then(|family| family.runs.range(..=slot).next_back());
        run.map_or_else(
            || {
                let first = self.link(parent).first_child;
                (first, self.links.get(first as usize).slot)
            },
            |(slot, run)| (run.first, *slot),
        )
    }

    /// Enters `member` among the children of `parent`. The slot must be free. O(log children).
    pub(super) fn link_child(&mut self, parent: MemberIx, member: MemberIx, slot: u32) {
        let above = self.links.get_mut(parent.at());
        above.children += 1;
        if above.first_child == NONE {
            above.first_child = member.0;
            above.last_child = member.0;
            return;
        }
        let (first, last) = (above.first_child, above.last_child);
        if self.links.get(last as usize).slot < slot {
            self.links.get_mut(last as usize).next_sibling = member.0;
            self.links.get_mut(parent.at()).last_child = member.0;
        } else if slot < self.links.get(first as usize).slot {
            self.links.get_mut(member.at()).next_sibling = first;
            self.links.get_mut(parent.at()).first_child = member.0;
        } else {
            let (mut before, _) = self.start(parent, slot);
            let mut after = NONE;
            while let Some((next, taken)) = next_of(&self.links, before) {
                if slot <= taken {
                    debug_assert!(slot != taken, "the slot was free");
                    after = next;
                    break;
                }
                before = next;
            }
            self.links.get_mut(member.at()).next_sibling = after;
            self.links.get_mut(before as usize).next_sibling = member.0;
        }
        self.note_child(parent, member, slot);
    }

    fn note_child(&mut self, parent: MemberIx, member: MemberIx, slot: u32) {
        if self.link(parent).children < WIDE {
            return;
        }
        if let Some(family) = self.siblings.families.get_mut(&parent.0) {
            family.add(&self.links, member.0, slot);
        } else if !self.has_no_gap(parent) {
            let family = Family::of(&self.links, self.link(parent).first_child);
            self.siblings.families.insert(parent.0, family);
        }
    }
}

impl Family {
    /// Of a family as it is.
    fn of(links: &Column<Link>, first: u32) -> Self {
        let mut family = Self { runs: BTreeMap::new(), free: 0 };
        let mut run = Run { first, children: 0 };
        let mut at = Some((first, links.get(first as usize).slot));
        while let Some((child, slot)) = at {
            if run.children == RUN_CHILDREN_MAX / 2 {
                run = Run { first: child, children: 0 };
            }
            run.children += 1;
            family.runs.insert(links.get(run.first as usize).slot, run);
            family.free += u32::from(family.free == slot);
            at = next_of(links, child);
        }
        family
    }

    /// Takes note of a child that was just linked.
    fn add(&mut self, links: &Column<Link>, member: u32, slot: u32) {
        let (begin, run) = match self.runs.range(..=slot).next_back() {
            Some((begin, run)) => (*begin, Run { children: run.children + 1, ..*run }),
            None => {
                let (_, first) = self.runs.pop_first().expect("a wide family has children");
                (slot, Run { first: member, children: first.children + 1 })
            }
        };
        self.runs.insert(begin, run);
        if RUN_CHILDREN_MAX < run.children {
            self.divide(links, begin, run);
        }
        if slot == self.free {
            self.free += 1;
            let mut at = member;
            while let Some((next, taken)) = next_of(links, at).filter(|(_, taken)| *taken == self.free) {
                (at, self.free) = (next, taken + 1);
            }
        }
    }

    fn divide(&mut self, links: &Column<Link>, begin: u32, run: Run) {
        let half = run.children / 2;
        let (mut middle, mut slot) = (run.first, begin);
        for _ in 0..half {
            (middle, slot) = next_of(links, middle).expect("a run has as many children as it says");
        }
        self.runs.insert(begin, Run { children: half, ..run });
        self.runs.insert(slot, Run { first: middle, children: run.children - half });
    }
}

/// Work counted in steps from child to child, so that tests need no clock.
#[cfg(test)]
pub(crate) mod work {
    use std::cell::Cell;

    thread_local! {
        static STEPS: Cell<u64> = const { Cell::new(0) };
    }

    pub(super) fn step() {
        STEPS.set(STEPS.get() + 1);
    }

    /// Steps from child to child that this thread made during `act`.
    pub(crate) fn of(act: impl FnOnce()) -> u64 {
        let before = STEPS.get();
        act();
        STEPS.get() - before
    }
}

#[cfg(test)]
#[path = "siblings_test.rs"]
mod tests;
