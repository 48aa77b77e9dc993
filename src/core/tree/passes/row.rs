//! The counts of a member that has children.

use crate::core::words::types::LEVELS_MAX;

/// The downline, then levels 1 to 15: one line of memory.
pub(in crate::core::tree) type Row = [u32; LEVELS_MAX + 1];

/// Adds a child's counts to those of its parent, which counts the child itself already. No sum exceeds the
/// number of members, so none is checked: that would be most of the work.
#[inline]
pub(in crate::core::tree) fn add(parent: &mut Row, child: &Row) {
    parent[0] = parent[0].wrapping_add(child[0]);
    for level in 2..=LEVELS_MAX {
        parent[level] = parent[level].wrapping_add(child[level - 1]);
    }
}
