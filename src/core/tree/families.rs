//! Wide families with gaps: runs of neighbors, found by slot.
//!
//! Children are linked in slot order. A small family is scanned child by child, and in a family without gaps
//! the number of children tells which slots are taken. A wide family with gaps is divided into runs of
//! neighbors, found by the slot of their first child, so that a search scans one run only.
//!
//! The runs are derived from the links, and not part of the state: digests, images and frozen copies omit
//! them. Attaching a child to a wide family with gaps builds its runs if missing, in O(children) once, and
//! maintains them from then on. Memory: some 40 bytes for 64 children of such families.

use std::collections::BTreeMap;

use crate::core::{
    store::{
        column::{Column, freeze_fields},
        held::{Held, holds_nothing},
    },
    tree::link::Link,
    words::types::NONE,
};

/// Families of at least this many children are wide: smaller ones are scanned.
pub(in crate::core) const WIDE: u32 = 64;
/// Larger runs are split in two.
pub(in crate::core) const RUN_CHILDREN_MAX: u32 = 128;

/// The runs of wide families with gaps, by parent.
#[derive(Default)]
pub(in crate::core) struct Siblings {
    pub families: BTreeMap<u32, Family>,
}

pub(in crate::core) struct Family {
    /// By the slot of each run's first child.
    pub runs: BTreeMap<u32, Run>,
    /// The lowest slot without a child. It only rises, since members never leave.
    pub free: u32,
}

/// A run of adjacent children.
#[derive(Clone, Copy)]
pub(in crate::core) struct Run {
    pub first: u32,
    pub children: u32,
}

holds_nothing!(Run);

impl Held for Family {
    fn bytes(&self) -> usize {
        self.runs.bytes()
    }
}

freeze_fields!(Siblings {} cached { families });

/// The sibling in the next taken slot.
pub(in crate::core) fn next_of(links: &Column<Link>, child: u32) -> Option<(u32, u32)> {
    #[cfg(test)]
    work::step();
    let next = links.get(child as usize).next_sibling;
    (next != NONE).then(|| (next, links.get(next as usize).slot))
}

impl Family {
    /// Builds the runs of a family.
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

    /// Records a child that was just linked.
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

/// Counts the work in steps from child to child, so that tests need no clock.
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
