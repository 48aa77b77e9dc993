//! The children of one parent by slot, for families of any size.

use crate::core::{
    tree::{
        families::{Family, WIDE, next_of},
        genealogy::Genealogy,
    },
    words::types::{MemberIx, NONE},
};

impl Genealogy {
    /// Children in slot order.
    pub fn children(&self, member: MemberIx) -> impl Iterator<Item = MemberIx> + '_ {
        let first = MemberIx::from_column(self.link(member).first_child);
        first.into_iter().flat_map(|first| self.siblings_from(first))
    }

    /// A child and its later siblings.
    pub fn siblings_from(&self, child: MemberIx) -> impl Iterator<Item = MemberIx> + '_ {
        std::iter::successors(Some(child), |child| {
            next_of(&self.links, child.0).map(|(next, _)| MemberIx(next))
        })
    }

    /// The child in a slot. O(log children); O(children) in a copy before the first attach.
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

    /// Whether a slot has a child. As [`Genealogy::child_in`], and O(1) in a family without gaps.
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
    /// [`RUN_CHILDREN_MAX`](super::families)).
    pub fn free_slots(&self, parent: MemberIx, width: u32, most: usize) -> Vec<u32> {
        let mut free = Vec::new();
        let (mut expected, mut next) = (0, self.link(parent).first_child);
        let runs = self.siblings.families.get(&parent.0).map(|family| &family.runs);
        while free.len() < most && next != NONE {
            let slot = self.links.get(next as usize).slot;
            free.extend((expected..slot).take(most - free.len()));
            // A run that starts here and has no gap, neither in it nor after it, is skipped as a whole.
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

    /// Whether the children occupy the lowest slots without gaps.
    pub(super) fn has_no_gap(&self, parent: MemberIx) -> bool {
        let link = self.link(parent);
        link.last_child == NONE || self.links.get(link.last_child as usize).slot + 1 == link.children
    }

    /// A child from which to search for `slot` or the last taken slot before it (which is after the first
    /// child), and that child's own slot.
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

    /// Links `member` among the children of `parent`. The slot must be free. O(log children).
    pub(in crate::core) fn link_child(&mut self, parent: MemberIx, member: MemberIx, slot: u32) {
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

#[cfg(test)]
#[path = "children_test.rs"]
mod tests;
