//! A member's place in one tree.

use bytemuck::{Pod, Zeroable};

use crate::core::words::types::NONE;

/// A member's place among its relatives.
#[derive(Clone, Copy, Pod, Zeroable, Debug)]
#[repr(C)]
pub(crate) struct Link {
    pub parent: u32,
    /// Slot under the parent; recruit number in the sponsor tree.
    pub slot: u32,
    /// 1 for a root.
    pub level: u32,
    pub first_child: u32,
    pub last_child: u32,
    /// The sibling in the next taken slot.
    pub next_sibling: u32,
    pub children: u32,
    /// In a counted tree, the family of this member's children. In an uncounted one, which has no families,
    /// an ancestor some way up: see [`Genealogy::jump_below`].
    pub(in crate::core) family: u32,
}

const _: () = assert!(size_of::<Link>() == 32);
/// The link of a root without children.
pub(in crate::core) const NO_LINK: Link = Link {
    parent: NONE,
    slot: 0,
    level: 1,
    first_child: NONE,
    last_child: NONE,
    next_sibling: NONE,
    children: 0,
    family: NONE,
};
