//! Sums of weights over downlines: a few numbers for each member, and the sums of a member's downline in
//! O(log n).
//!
//! A weight is that of a member's *enter* token in a counted tour (`tour.rs`), so a downline's sum is that of
//! a range of tokens. Each node of the tour has totals here: a change of weights is added to the totals of
//! the leaf and of the few nodes above it, whatever the depth of the tree, and a range is the sum of totals
//! between its ends, and of single weights in the two leaves at its ends. All weights of a member change in
//! one climb. The weights themselves are their owner's.

use crate::core::{
    store::{
        held::Held,
        sum_rows::{FIELDS_MAX, Fields, SumRows},
    },
    tree::tour::{Inner, Split, Token, Tour, narrow, place_in},
    words::types::{MemberIx, NONE},
};

/// The totals of a few numbers of each member in one tour.
pub(in crate::core) struct Weights {
    /// By leaf of the tour.
    leaves: SumRows,
    /// By inner node.
    inners: SumRows,
}

impl Held for Weights {
    fn bytes(&self) -> usize {
        self.leaves.bytes() + self.inners.bytes()
    }
}

impl Weights {
    /// All weights are 0. Each member has `fields` of them, a power of two.
    pub fn new(fields: usize) -> Self {
        Self { leaves: SumRows::new(fields), inners: SumRows::new(fields) }
    }

    /// Whether nothing was ever added.
    pub fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }

    /// Adds to the weights of a member. O(log n).
    pub fn add(&mut self, tour: &Tour, member: MemberIx, more: &Fields) {
        let leaf = tour.leaf_with(Token::Enter(member));
        self.leaves.add(leaf as usize, more);
        self.add_above(tour, leaf, more);
    }

    /// Adds to the totals of all nodes above a leaf.
    fn add_above(&mut self, tour: &Tour, leaf: u32, more: &Fields) {
        let mut above = tour.leaves.get(leaf as usize).parent;
        while above != NONE {
            self.inners.add(above as usize, more);
            above = tour.inners.get(above as usize).parent;
        }
    }

    /// Sets one of the weights of all members to 0. O(1).
    pub fn empty(&mut self, field: usize) {
        self.leaves.empty(field);
        self.inners.empty(field);
    }

    /// The sum of one of the weights of a member and its downline. `own` tells the weight of a member.
    /// O(log n): up to 126 weights and 61 totals for each level of the tour.
    pub fn subtree(&self, tour: &Tour, member: MemberIx, field: usize, own: impl Fn(MemberIx) -> i64) -> i64 {
        let [enter, exit] = [Token::Enter(member), Token::Exit(member)];
        let [mut left, mut right] = [enter, exit].map(|token| tour.leaf_with(token));
        let [begin, end] =
            [(left, enter), (right, exit)].map(|(leaf, token)| tour.position_in_leaf(leaf, token.to_word()));
        let of_tokens =
            |words: &[u32]| -> i64 { words.iter().filter_map(|word| Token::entered(*word)).map(&own).sum() };
        if left == right {
            return of_tokens(&tour.tokens(left)[begin..end]);
        }
        let mut sum = of_tokens(&tour.tokens(left)[begin..]) + of_tokens(&tour.tokens(right)[..end]);
        // All leaves are equally deep, so both ends arrive at their common node together.
        let mut above = [left, right].map(|leaf| tour.leaves.get(leaf as usize).parent);
        loop {
            let [of_left, of_right] = above.map(|inner| tour.inners.get(inner as usize));
            let (after_left, right_place) = (place_in(of_left, left) + 1, place_in(of_right, right));
            let totals = if of_left.height == 1 { &self.leaves } else { &self.inners };
            let of_nodes =
                |nodes: &[u32]| -> i64 { nodes.iter().map(|node| totals.get(*node as usize, field)).sum() };
            if above[0] == above[1] {
                return sum + of_nodes(&of_left.children[after_left..right_place]);
            }
            sum += of_nodes(&children(of_left)[after_left..]);
            sum += of_nodes(&of_right.children[..right_place]);
            [left, right] = above;
            above = [of_left.parent, of_right.parent];
        }
    }

    /// Follows a split of the tour, which must be called for each one before the next push. `own` tells the
    /// weights of a member. O(log n), and a push in thirty or more splits anything.
    pub fn follow(&mut self, tour: &Tour, split: &Split, own: impl Fn(MemberIx) -> Fields) {
        if self.is_empty() {
            return;
        }
        let members = tour.tokens(split.leaves[1]).iter().filter_map(|word| Token::entered(*word));
        move_totals(&mut self.leaves, split.leaves, &sum_of(members.map(own)));
        for pair in &split.inners {
            let totals = self.totals_below(tour.inners.get(pair[1] as usize));
            move_totals(&mut self.inners, *pair, &totals);
        }
        if let Some(root) = split.root {
            // It may be a node that was used before.
            let (totals, before) =
                (self.totals_below(tour.inners.get(root as usize)), self.inners.row(root as usize));
            self.inners.add(root as usize, &less(&totals, &before));
        }
    }

    fn totals_below(&self, inner: &Inner) -> Fields {
        let totals = if inner.height == 1 { &self.leaves } else { &self.inners };
        sum_of(children(inner).iter().map(|node| totals.row(*node as usize)))
    }

    /// All totals from scratch: `own` are the members that have a weight other than 0, with their weights.
    /// Needed after the tour was built again, or a piece of it cut out or spliced in. O(n).
    pub fn rebuild(&mut self, tour: &Tour, own: impl Iterator<Item = (MemberIx, Fields)>) {
        *self = Self::new(self.leaves.fields());
        for (member, weights) in own {
            self.leaves.add(tour.leaf_with(Token::Enter(member)) as usize, &weights);
        }
        for leaf in 0..self.leaves.end() {
            let totals = self.leaves.row(leaf);
            if totals != [0; FIELDS_MAX] {
                self.add_above(tour, narrow(leaf), &totals);
            }
        }
    }

    /// Prefetches the totals of a member's leaf, which a change of its weights changes. The result is
    /// meaningless, see `network::prefetch`.
    pub fn prefetch_leaf(&self, tour: &Tour, member: MemberIx) -> i64 {
        let leaf = tour.leaf_with(Token::Enter(member)) as usize;
        self.leaves.prefetch(leaf) ^ i64::from(tour.leaves.get(leaf).parent)
    }

    /// Prefetches the totals of the node above a member's leaf. The nodes above that are few.
    pub fn prefetch_above(&self, tour: &Tour, member: MemberIx) -> i64 {
        let above = tour.leaves.get(tour.leaf_with(Token::Enter(member)) as usize).parent as usize;
        self.inners.prefetch(above) ^ i64::from(tour.inners.get(above).parent)
    }
}

/// Moves what the right one of two nodes should have from the left one. Whether the right one has it already
/// does not matter.
fn move_totals(totals: &mut SumRows, [left, right]: [u32; 2], wanted: &Fields) {
    let moved = less(wanted, &totals.row(right as usize));
    if moved != [0; FIELDS_MAX] {
        totals.add(right as usize, &moved);
        totals.add(left as usize, &moved.map(|moved| -moved));
    }
}

fn sum_of(rows: impl Iterator<Item = Fields>) -> Fields {
    rows.fold([0; FIELDS_MAX], |sums, row| std::array::from_fn(|field| sums[field] + row[field]))
}

fn less(one: &Fields, other: &Fields) -> Fields {
    std::array::from_fn(|field| one[field] - other[field])
}

fn children(inner: &Inner) -> &[u32] {
    &inner.children[..inner.len as usize]
}

#[cfg(test)]
#[path = "weights_test.rs"]
mod tests;
