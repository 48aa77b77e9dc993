//! Links members whose parents may come later, as in the image of a network in which members were moved.
//!
//! A restore attaches members one by one, each below a parent that is there. Where it meets one that cannot
//! be attached so, it adds this one and all that follow without links ([`Genealogy::attach_unlinked`]), and
//! once all are there links them ([`Genealogy::link_rest`]) and settles what follows from the links: the
//! order of the tree, levels and jumps ([`Genealogy::settle`]).

use crate::core::{
    tree::{
        genealogy::Genealogy,
        link::{Link, NO_LINK},
        order::Order,
    },
    words::types::{MemberIx, NONE, index},
};

impl Genealogy {
    /// Adds the next member without linking it to its parent, which may come later.
    pub fn attach_unlinked(&mut self, place: Option<(MemberIx, u32)>) {
        let (parent, slot) = place.map_or((NONE, 0), |(parent, slot)| (parent.0, slot));
        self.links.push(Link { parent, slot, ..NO_LINK });
    }

    /// Links the members from `first` on, none of which is linked, to their parents, which must all be there.
    /// `slot_of` returns the slot that a member takes under its parent, from the one it was added with;
    /// `None` if it must not take that one. O(members * log children). [`Genealogy::settle`] must follow.
    ///
    /// # Errors
    /// The first member that has no slot.
    pub fn link_rest(
        &mut self,
        first: MemberIx,
        slot_of: impl Fn(&Self, MemberIx, u32) -> Option<u32>,
    ) -> Result<(), MemberIx> {
        for member in (first.at()..self.links.len()).map(index) {
            let Link { parent, slot, .. } = *self.link(member);
            let Some(parent) = MemberIx::from_column(parent) else { continue };
            let slot = slot_of(self, parent, slot).ok_or(member)?;
            self.links.get_mut(member.at()).slot = slot;
            self.link_child(parent, member, slot);
        }
        Ok(())
    }

    /// Finds the order of the tree by its links, then sets what follows from parents to children: levels, and
    /// the jumps of an uncounted tree. O(members).
    ///
    /// # Errors
    /// A member that is not below any root.
    pub fn settle(&mut self) -> Result<(), MemberIx> {
        let order = Order::walked(&self.links)?;
        for member in order.parents_first() {
            let parent = MemberIx::from_column(self.link(member).parent);
            let level = parent.map_or(1, |parent| self.link(parent).level + 1);
            let family = if self.is_counted() { NONE } else { self.jump_below(parent, member) };
            let link = self.links.get_mut(member.at());
            (link.level, link.family) = (level, family);
        }
        let is_below_older = |(member, link): (u32, &Link)| link.parent == NONE || link.parent < member;
        *self.in_join_order = (0..).zip(self.links.iter()).all(is_below_older);
        Ok(())
    }

    /// A member whose children leave a slot free below their last one.
    pub fn with_gap(&self) -> Option<MemberIx> {
        (0..self.links.len()).map(index).find(|member| !self.has_no_gap(*member))
    }
}

#[cfg(test)]
#[path = "settle_test.rs"]
mod tests;
