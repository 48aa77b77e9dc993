//! Sums of weights over downlines: a number for each member, and the sum of a member's downline in O(log n).
//!
//! A weight is that of a member's *enter* token in a counted tour (`tour.rs`), so a downline's sum is that of
//! a range of tokens. Each node of the tour has a total here: a change of a weight is added to the totals of
//! the leaf and of the few nodes above it, whatever the depth of the tree, and a range is the sum of totals
//! between its ends, and of single weights in the two leaves at its ends. The weights themselves are their
//! owner's.

use crate::core::{
    store::{held::Held, sparse::Sparse},
    tree::tour::{Inner, Split, Token, Tour, narrow, place_in},
    words::types::{MemberIx, NONE},
};

/// The totals of one number of each member in one tour.
pub(in crate::core) struct Weights {
    /// By leaf of the tour.
    leaves: Sparse<i64>,
    /// By inner node.
    inners: Sparse<i64>,
}

impl Held for Weights {
    fn bytes(&self) -> usize {
        self.leaves.bytes() + self.inners.bytes()
    }
}

impl Weights {
    /// All weights are 0.
    pub fn new() -> Self {
        Self { leaves: Sparse::new(), inners: Sparse::new() }
    }

    /// Adds to the weight of a member. O(log n).
    pub fn add(&mut self, tour: &Tour, member: MemberIx, delta: i64) {
        let leaf = tour.leaf_with(Token::Enter(member));
        *self.leaves.get_mut(leaf as usize) += delta;
        self.add_above(tour, leaf, delta);
    }

    /// Adds to the totals of all nodes above a leaf.
    fn add_above(&mut self, tour: &Tour, leaf: u32, delta: i64) {
        let mut above = tour.leaves.get(leaf as usize).parent;
        while above != NONE {
            *self.inners.get_mut(above as usize) += delta;
            above = tour.inners.get(above as usize).parent;
        }
    }

    /// The sum of the weights of a member and its downline. `own` tells the weight of a member. O(log n): up
    /// to 126 weights and 61 totals for each level of the tour.
    pub fn subtree(&self, tour: &Tour, member: MemberIx, own: impl Fn(MemberIx) -> i64) -> i64 {
        let [enter, exit] = [Token::Enter(member), Token::Exit(member)];
        let [mut left, mut right] = [enter, exit].map(|token| tour.leaf_with(token));
        let [begin, end] =
            [(left, enter), (right, exit)].map(|(leaf, token)| tour.position_in_leaf(leaf, token.to_word()));
        let tokens = |leaf: u32| {
            let row = tour.leaves.get(leaf as usize);
            &row.tokens[..row.len as usize]
        };
        if left == right {
            return sum_of(&tokens(left)[begin..end], own);
        }
        let mut sum = sum_of(&tokens(left)[begin..], &own) + sum_of(&tokens(right)[..end], &own);
        // All leaves are equally deep, so both ends arrive at their common node together.
        let mut above = [left, right].map(|leaf| tour.leaves.get(leaf as usize).parent);
        loop {
            let [of_left, of_right] = above.map(|inner| tour.inners.get(inner as usize));
            let (after_left, right_place) = (place_in(of_left, left) + 1, place_in(of_right, right));
            let totals = if of_left.height == 1 { &self.leaves } else { &self.inners };
            if above[0] == above[1] {
                return sum + sum_in(totals, &of_left.children[after_left..right_place]);
            }
            sum += sum_in(totals, &children(of_left)[after_left..]);
            sum += sum_in(totals, &of_right.children[..right_place]);
            [left, right] = above;
            above = [of_left.parent, of_right.parent];
        }
    }

    /// Follows a split of the tour, which must be called for each one before the next push. `own` tells the
    /// weight of a member. O(log n), and a push in thirty or more splits anything.
    pub fn follow(&mut self, tour: &Tour, split: &Split, own: impl Fn(MemberIx) -> i64) {
        if self.leaves.is_empty() {
            return;
        }
        let row = tour.leaves.get(split.leaves[1] as usize);
        move_total(&mut self.leaves, split.leaves, sum_of(&row.tokens[..row.len as usize], own));
        for pair in &split.inners {
            let total = self.total_below(tour.inners.get(pair[1] as usize));
            move_total(&mut self.inners, *pair, total);
        }
        if let Some(root) = split.root {
            *self.inners.get_mut(root as usize) = self.total_below(tour.inners.get(root as usize));
        }
    }

    fn total_below(&self, inner: &Inner) -> i64 {
        sum_in(if inner.height == 1 { &self.leaves } else { &self.inners }, children(inner))
    }

    /// All totals from scratch: `own` are the members whose weight is not 0, with it. Needed after the tour
    /// was built again, or a piece of it cut out or spliced in. O(n).
    pub fn rebuild(&mut self, tour: &Tour, own: impl Iterator<Item = (MemberIx, i64)>) {
        *self = Self::new();
        for (member, weight) in own {
            *self.leaves.get_mut(tour.leaf_with(Token::Enter(member)) as usize) += weight;
        }
        for leaf in 0..self.leaves.end() {
            let total = self.leaves.get(leaf);
            if total != 0 {
                self.add_above(tour, narrow(leaf), total);
            }
        }
    }

    /// Prefetches the total that a change of a member's weight changes first. The result is meaningless, see
    /// `network::prefetch`.
    pub fn prefetch(&self, tour: &Tour, member: MemberIx) -> i64 {
        self.leaves.get(tour.leaf_with(Token::Enter(member)) as usize)
    }
}

/// Moves what the right one of two nodes should have from the left one. Whether the right one has it already
/// does not matter.
fn move_total(totals: &mut Sparse<i64>, [left, right]: [u32; 2], total: i64) {
    let moved = total - totals.get(right as usize);
    if moved != 0 {
        *totals.get_mut(right as usize) += moved;
        *totals.get_mut(left as usize) -= moved;
    }
}

fn sum_of(words: &[u32], own: impl Fn(MemberIx) -> i64) -> i64 {
    words.iter().filter_map(|word| Token::entered(*word)).map(own).sum()
}

fn sum_in(totals: &Sparse<i64>, nodes: &[u32]) -> i64 {
    nodes.iter().map(|node| totals.get(*node as usize)).sum()
}

fn children(inner: &Inner) -> &[u32] {
    &inner.children[..inner.len as usize]
}

#[cfg(test)]
#[path = "weights_test.rs"]
mod tests;
