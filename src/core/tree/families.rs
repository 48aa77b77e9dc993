//! Wide families with gaps: runs of neighbors, found by slot.
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

use crate::core::{
    store::column::{Column, Freeze, Kept},
    tree::link::Link,
    words::types::NONE,
};

/// Children from which on a family is wide: fewer are gone through one by one.
pub(in crate::core) const WIDE: u32 = 64;
/// A run of more children is divided in two.
pub(in crate::core) const RUN_CHILDREN_MAX: u32 = 128;

/// The runs of wide families with gaps, by parent.
#[derive(Default)]
pub(in crate::core) struct Siblings {
    pub families: BTreeMap<u32, Family>,
}

pub(in crate::core) struct Family {
    /// By the slot of the first child of each.
    pub runs: BTreeMap<u32, Run>,
    /// The lowest slot without a child. It only rises, since members never leave.
    pub free: u32,
}

/// Children that follow each other.
#[derive(Clone, Copy)]
pub(in crate::core) struct Run {
    pub first: u32,
    pub children: u32,
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
pub(in crate::core) fn next_of(links: &Column<Link>, child: u32) -> Option<(u32, u32)> {
    #[cfg(test)]
    work::step();
    let next = links.get(child as usize).next_sibling;
    (next != NONE).then(|| (next, links.get(next as usize).slot))
}

impl Family {
    /// Of a family as it is.
    pub fn of(links: &Column<Link>, first: u32) -> Self {
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
    pub fn add(&mut self, links: &Column<Link>, member: u32, slot: u32) {
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

    pub(in crate::core) fn step() {
        STEPS.set(STEPS.get() + 1);
    }

    /// Steps from child to child that this thread made during `act`.
    pub(crate) fn of(act: impl FnOnce()) -> u64 {
        let before = STEPS.get();
        act();
        STEPS.get() - before
    }
}
