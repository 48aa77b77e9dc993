//! A downline in preorder.

use crate::core::{
    tree::{genealogy::Genealogy, link::Link},
    words::types::{MemberIx, NONE},
};

/// A preorder walk through a downline that can pause after any step, even while climbing out of a deep leg.
/// Members attached meanwhile do not disturb it.
#[derive(Clone, Copy, Debug)]
pub struct Preorder {
    top: MemberIx,
    /// Members from this index on are left out: with the length when the walk began, it sees the downline as
    /// it was then.
    before: u32,
    /// The member found or passed last, or one that the walk has climbed to from there.
    at: MemberIx,
    /// The next child of `at` to visit; `NONE` when `at` has no more.
    candidate: u32,
}

impl Preorder {
    /// Whether the walk is over.
    pub fn is_over(&self) -> bool {
        self.candidate == NONE && self.at == self.top
    }
}

impl Genealogy {
    /// A walk through the descendants of `top` with an index below `before`, starting after `after` (one of
    /// them, or `top` for all).
    pub fn preorder(&self, top: MemberIx, after: MemberIx, before: u32) -> Preorder {
        Preorder { top, before, at: after, candidate: self.link(after).first_child }
    }

    /// The next member of a walk, siblings in slot order. `None` when it is over, or when `steps`, which it
    /// decrements, are used up before one is found: then `Preorder::is_over` is false, and the walk can
    /// continue. A whole walk is linear.
    pub fn preorder_next(&self, walk: &mut Preorder, steps: &mut usize) -> Option<MemberIx> {
        while 0 < *steps && !walk.is_over() {
            *steps -= 1;
            match MemberIx::from_column(walk.candidate) {
                Some(member) if member.0 < walk.before => {
                    (walk.at, walk.candidate) = (member, self.link(member).first_child);
                    return Some(member);
                }
                // A member that joined after the walk began is left out, but in a tree that is not in join
                // order there may be older ones below it.
                Some(newer) if self.is_in_join_order() => walk.candidate = self.link(newer).next_sibling,
                Some(newer) => (walk.at, walk.candidate) = (newer, self.link(newer).first_child),
                None => {
                    let Link { parent, next_sibling, .. } = *self.link(walk.at);
                    (walk.at, walk.candidate) = (MemberIx(parent), next_sibling);
                }
            }
        }
        None
    }
}
