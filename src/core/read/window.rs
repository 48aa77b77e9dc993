//! A window of a tree for a viewer: the members nearest to one, each with what is below it and what is not
//! shown.

use crate::core::{
    state::parts::State,
    words::types::{MemberIx, Tree},
};

/// Empty slots named per member; beyond that they are only counted. Binary and ternary plans stay far below
/// it.
pub const EMPTY_SLOTS_NAMED_MAX: usize = 16;

/// The size limits of a window. The caller's limits bound the time of [`State::window`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WindowSize {
    /// Levels below the top.
    pub depth: u32,
    /// Members, the top included.
    pub members: usize,
    /// Children of one member.
    pub siblings: usize,
}

/// One member of a window.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WindowMember {
    pub member: MemberIx,
    /// Where the member above it is in the window; `None` for the top.
    pub above: Option<usize>,
    /// Levels below the top; 0 for the top itself.
    pub depth: u32,
    /// Children in the tree.
    pub direct: u32,
    /// Its downline; `None` where the plan does not count the tree.
    pub downline: Option<u32>,
    /// Children in the window; for a top that continues with later ones, also those shown before.
    pub shown: u32,
    /// The last child shown: where to continue when fewer than `direct` are.
    pub last_shown: Option<MemberIx>,
    /// The lowest empty slots; none in the sponsor tree and where the width is unlimited.
    pub empty: Vec<u32>,
    /// Number of empty slots.
    pub empty_count: u32,
}

impl State {
    /// The members nearest to `top` in level order, parents before children, siblings in tree order. With
    /// `after`, a child of `top`, it contains only later children of the top (and their downlines).
    ///
    /// O(members of the window * (log n + the plan's width / 64)), plus the children of the top up to
    /// `after`, of which there are `skipped`.
    pub fn window(
        &self,
        tree: Tree,
        top: MemberIx,
        after: Option<(MemberIx, u32)>,
        size: WindowSize,
    ) -> Vec<WindowMember> {
        let mut found = vec![self.window_member(tree, top, None, 0)];
        if let Some((after, skipped)) = after {
            (found[0].last_shown, found[0].shown) = (Some(after), skipped);
        }
        let mut at = 0;
        while at < found.len() && found.len() < size.members {
            let WindowMember { member, depth, last_shown, .. } = found[at];
            if depth == size.depth {
                break;
            }
            let links = self.tree(tree);
            let first =
                last_shown.map_or(links.link(member).first_child, |last| links.link(last).next_sibling);
            let children = std::iter::successors(MemberIx::from_column(first), |child| {
                MemberIx::from_column(links.link(*child).next_sibling)
            });
            for child in children.take(size.siblings.min(size.members - found.len())) {
                // `skipped` comes from the caller, unchecked.
                found[at].shown = found[at].shown.saturating_add(1);
                found[at].last_shown = Some(child);
                found.push(self.window_member(tree, child, Some(at), depth + 1));
            }
            at += 1;
        }
        found
    }

    fn window_member(&self, tree: Tree, member: MemberIx, above: Option<usize>, depth: u32) -> WindowMember {
        let direct = self.direct(tree, member);
        let width = self.plan().placement.width.map(u32::from).filter(|_| tree == Tree::Placement);
        let empty_count = width.map_or(0, |width| width - direct);
        WindowMember {
            member,
            above,
            depth,
            direct,
            downline: self.downline(tree, member),
            shown: 0,
            last_shown: None,
            empty: if empty_count == 0 {
                Vec::new()
            } else {
                self.network.placement().free_slots(member, width.unwrap_or(0), EMPTY_SLOTS_NAMED_MAX)
            },
            empty_count,
        }
    }

    /// Children of `parent` after `after`, which must be one of them.
    pub fn later_children(&self, tree: Tree, after: MemberIx) -> impl Iterator<Item = MemberIx> + '_ {
        let links = self.tree(tree);
        let next = move |child: &MemberIx| MemberIx::from_column(links.link(*child).next_sibling);
        std::iter::successors(next(&after), next)
    }

    /// Parent or sponsor, depending on the tree.
    pub fn above(&self, tree: Tree, member: MemberIx) -> Option<MemberIx> {
        MemberIx::from_column(self.tree(tree).link(member).parent)
    }

    /// A member's level in a tree; 1 for a root. With [`State::above`] and [`State::slot_in`], this is what a
    /// list row needs.
    pub fn level_in(&self, tree: Tree, member: MemberIx) -> u32 {
        self.tree(tree).link(member).level
    }

    /// Position under the parent: the slot, or the recruit number in the sponsor tree.
    pub fn slot_in(&self, tree: Tree, member: MemberIx) -> u32 {
        self.tree(tree).link(member).slot
    }
}

#[cfg(test)]
#[path = "window_test.rs"]
mod tests;
