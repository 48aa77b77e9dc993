//! Distance from a member down to the nearest free slot.

use bytemuck::{Pod, Zeroable};

/// Per member: levels down to the nearest member with a free slot, then (for breadth first by slot) the
/// smallest number of a free slot there. Ordered as one number. A member's own free slot counts as level 0.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(transparent)]
pub(in crate::core) struct OpenKey(pub u32);

impl OpenKey {
    pub fn here(slot: u32) -> Self {
        Self(slot)
    }

    pub fn one_level_down(self) -> Self {
        Self(self.0 + (1 << 16))
    }

    pub fn distance(self) -> u32 {
        self.0 >> 16
    }
}
