//! The order of a tree's members: parents first, or children first.
//!
//! Counts are carried from children to parents, and levels from parents to children, so work on a whole tree
//! needs its members in such an order. The tree is asked for it; it is never derived from indexes: an index
//! says when a member joined, not where it is.

use crate::core::{
    store::{column::Column, region::Region},
    tree::link::Link,
    words::types::{MemberIx, NONE, index},
};

/// All members of a tree, each after its parent.
///
/// In a tree in join order (each parent joined before its children), positions are indexes: such an order
/// costs nothing. Any other tree gets a list, 4 bytes a member.
pub(in crate::core) struct Order {
    members: usize,
    /// The members by position; `None` where positions are indexes.
    listed: Option<Region<u32>>,
}

impl Order {
    /// Returns the order of a tree in join order. O(1).
    pub fn joined(members: usize) -> Self {
        Self { members, listed: None }
    }

    /// Lists the members level by level, starting at the roots and following the lists of children.
    /// O(members).
    ///
    /// # Errors
    /// The first member that is not reached, or one that is listed under a member that is not its parent.
    /// Links may be corrupt in any way, as long as they name members that exist.
    pub fn walked(links: &Column<Link>) -> Result<Self, MemberIx> {
        let members = links.len();
        let mut listed: Region<u32> = Region::with_room(members);
        let is_root = |member: &usize| links.get(*member).parent == NONE;
        listed.extend((0..members).filter(is_root).map(|member| index(member).0));
        let mut position = 0;
        while let Some(member) = listed.get(position).copied() {
            position += 1;
            let mut child = links.get(member as usize).first_child;
            while child != NONE {
                // A list that leads in a circle would go on without end.
                if links.get(child as usize).parent != member || listed.len() == members {
                    return Err(MemberIx(child));
                }
                listed.push(child);
                child = links.get(child as usize).next_sibling;
            }
        }
        if listed.len() == members {
            return Ok(Self { members, listed: Some(listed) });
        }
        let mut reached = vec![false; members];
        listed.iter().for_each(|member| reached[*member as usize] = true);
        Err(index(reached.iter().position(|reached| !reached).expect("fewer were reached than there are")))
    }

    /// The member at a position, which must be below the number of members. Its parent is at a lower
    /// position. O(1).
    #[inline]
    pub fn member_at(&self, position: usize) -> MemberIx {
        match &self.listed {
            None => index(position),
            Some(listed) => MemberIx(listed[position]),
        }
    }

    /// Each member after its parent.
    #[inline]
    pub fn parents_first(&self) -> impl DoubleEndedIterator<Item = MemberIx> + '_ {
        (0..self.members).map(|position| self.member_at(position))
    }

    /// Each member after all of its children.
    #[inline]
    pub fn children_first(&self) -> impl Iterator<Item = MemberIx> + '_ {
        self.parents_first().rev()
    }
}

/// Members that are below themselves, judging by parents alone: removing members that are no parent until
/// none is left leaves exactly these. Parents that do not exist count as none. O(members).
pub(in crate::core) fn below_themselves(links: &Column<Link>) -> Vec<MemberIx> {
    let members = links.len();
    let parent_of = |member: usize| {
        let parent = links.get(member).parent as usize;
        (parent < members).then_some(parent)
    };
    let mut children: Region<u32> = Region::zeroed(members);
    (0..members).filter_map(parent_of).for_each(|parent| children[parent] += 1);
    let mut childless: Vec<usize> = (0..members).filter(|member| children[*member] == 0).collect();
    while let Some(member) = childless.pop() {
        if let Some(parent) = parent_of(member) {
            children[parent] -= 1;
            if children[parent] == 0 {
                childless.push(parent);
            }
        }
    }
    (0..members).filter(|member| children[*member] != 0).map(index).collect()
}

#[cfg(test)]
#[path = "order_test.rs"]
mod tests;
