//! The bound of placement: the minimum that any exact engine of this design must do for a signup, and nothing
//! else.
//!
//! A plain array of members in join order, each with the chain of its nearest ancestors and a counter per
//! level, single-threaded. The parent is given, not searched; there is one tree, no ids, no ranks, no
//! downlines beyond the counted levels, no undo, and no snapshots during changes.

use crate::core::types::{LEVELS_MAX, NONE};

/// Ancestors whose counts a signup updates.
const NEAR: usize = LEVELS_MAX;

#[derive(Clone, Copy)]
struct Node {
    chain: [u32; NEAR],
    counts: [u32; NEAR],
}

/// Places members below the given parents, in join order; returns the sum of all counts, so that the work is
/// not optimized away.
pub(super) fn place(parents: &[u32]) -> u64 {
    let mut nodes: Vec<Node> = Vec::with_capacity(parents.len());
    for parent in parents {
        let mut chain = [NONE; NEAR];
        if let Some(above) = nodes.get(*parent as usize) {
            chain[0] = *parent;
            chain[1..].copy_from_slice(&above.chain[..NEAR - 1]);
        }
        for (level, ancestor) in chain.iter().enumerate() {
            let Some(node) = nodes.get_mut(*ancestor as usize) else { break };
            node.counts[level] += 1;
        }
        nodes.push(Node { chain, counts: [0; NEAR] });
    }
    nodes.iter().flat_map(|node| node.counts).map(u64::from).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_levels() {
        // A chain of twenty: the later members count for fifteen ancestors each, the first for fewer.
        let parents: Vec<u32> = (0..20).map(|member: u32| member.checked_sub(1).unwrap_or(NONE)).collect();
        let counted: u64 = (0..20_u64).map(|depth| depth.min(15)).sum();
        assert_eq!(place(&parents), counted);
    }
}
