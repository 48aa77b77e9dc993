//! Cutting a subtree out of a counted tour, and splicing it in below another member: what moving it needs.
//!
//! A subtree is a range of tokens. The B+-tree is split in front of it and behind it, which leaves three, and
//! the outer two are joined again; splicing splits at the new place and joins three to one. A split walks
//! from a leaf to the root and divides each node on the way. A join makes both trees equally high, then goes
//! up along the seam between them: two neighbors become one node if they fit in one, and share evenly if one
//! of them is less than half full. So nodes at a seam are at least half full, all leaves stay equally deep,
//! and memory stays proportional to the members however often they move.
#![cfg_attr(not(test), expect(dead_code, reason = "a command that moves members will call it"))]

use crate::core::{
    tree::tour::{EMPTY_INNER, EMPTY_LEAF, FAN_OUT, Inner, LEAF_TOKENS, Leaf, Token, Tour, narrow, place_in},
    words::types::{MemberIx, NONE},
};

/// A subtree that was cut out of its tour. Until it is spliced in again, the tour answers for the members in
/// it as for a forest of its own, and for the others as if it did not exist; no member may be pushed below
/// it.
#[must_use = "its members are in no tour until it is spliced in"]
#[derive(Debug)]
pub(crate) struct Piece {
    root: u32,
}

/// The roots of what is before and what is from a position on.
type Halves = [Option<u32>; 2];

impl Tour {
    /// Takes out `top` and its downline. O(log n), whatever the downline: up to six nodes of each level are
    /// rewritten, and their tokens told where they are. Weights of the tour no longer hold, see
    /// `Weights::rebuild`.
    pub fn cut(&mut self, top: MemberIx) -> Piece {
        self.split = None;
        let [before, _] = self.split(Token::Enter(top), 0);
        let [piece, after] = self.split(Token::Exit(top), 1);
        let rest = self.join(before, after);
        self.settle(rest);
        let root = self.trimmed(piece.expect("it has the tokens of its top"));
        Piece { root }
    }

    /// Puts a piece below `parent`, after its other children, or after the last root. The parent must not be
    /// in the piece. O(log n).
    pub fn splice(&mut self, Piece { root }: Piece, parent: Option<MemberIx>) {
        let [before, after] = match parent {
            Some(parent) => {
                debug_assert!(
                    self.root_above(self.leaf_with(Token::Exit(parent))) != root,
                    "a member cannot move below itself"
                );
                self.split(Token::Exit(parent), 0)
            }
            None => [Some(self.root_above(*self.last_leaf)), None],
        };
        let upper = self.join(before, Some(root));
        let whole = self.join(upper, after);
        self.settle(whole);
    }

    /// The root of the tree that a leaf is in.
    fn root_above(&self, leaf: u32) -> u32 {
        let mut root = self.leaves.get(leaf as usize).parent;
        while self.inners.get(root as usize).parent != NONE {
            root = self.inners.get(root as usize).parent;
        }
        root
    }

    /// Makes `root` the tour, a new empty one if there is none.
    fn settle(&mut self, root: Option<u32>) {
        let root = root.unwrap_or_else(|| {
            let leaf = self.add_leaf(&EMPTY_LEAF);
            self.put_inner(None, 1, &[(leaf, 0)])
        });
        *self.last_leaf = self.edge_leaf(root, |inner| inner.len as usize - 1);
    }

    /// Divides the tree that `token` is in: `skipped` tokens after it start the second half.
    fn split(&mut self, token: Token, skipped: usize) -> Halves {
        let leaf = self.leaf_with(token);
        let cut = self.position_in_leaf(leaf, token.to_word()) + skipped;
        let row = *self.leaves.get(leaf as usize);
        let mut halves = if cut == 0 {
            [None, Some(leaf)]
        } else if cut == row.len as usize {
            [Some(leaf), None]
        } else {
            let right = self.put_leaf(None, &row.tokens[cut..row.len as usize]);
            self.put_leaf(Some(leaf), &row.tokens[..cut]);
            [Some(leaf), Some(right)]
        };
        let (mut child, mut parent) = (leaf, row.parent);
        while parent != NONE {
            let inner = *self.inners.get(parent as usize);
            let place = place_in(&inner, child);
            let [left, right] =
                halves.map(|half| half.map(|half| (half, self.tokens_in(inner.height, half))));
            let left: Vec<(u32, u32)> = entries(&inner).take(place).chain(left).collect();
            let right: Vec<(u32, u32)> = right.into_iter().chain(entries(&inner).skip(place + 1)).collect();
            // One of them keeps the number.
            halves = if left.is_empty() {
                [None, Some(self.put_inner(Some(parent), inner.height, &right))]
            } else {
                let right = (!right.is_empty()).then(|| self.put_inner(None, inner.height, &right));
                [Some(self.put_inner(Some(parent), inner.height, &left)), right]
            };
            (child, parent) = (parent, inner.parent);
        }
        halves.into_iter().flatten().for_each(|root| self.inners.get_mut(root as usize).parent = NONE);
        halves
    }

    /// Puts two trees together, one after the other. Returns the root.
    fn join(&mut self, left: Option<u32>, right: Option<u32>) -> Option<u32> {
        let (Some(mut left), Some(mut right)) = (left, right) else {
            return left.or(right).map(|root| self.trimmed(root));
        };
        let height = |tour: &Self, root: u32| tour.inners.get(root as usize).height;
        while height(self, left) < height(self, right) {
            left = self.raised(left);
        }
        while height(self, right) < height(self, left) {
            right = self.raised(right);
        }
        let top = height(self, left);
        let (mut before, mut after) =
            (self.edge_leaf(left, |inner| inner.len as usize - 1), self.edge_leaf(right, |_| 0));
        let (mut above_before, mut above_after) =
            (self.leaves.get(before as usize).parent, self.leaves.get(after as usize).parent);
        let mut is_one = self.mend_leaves(before, after);
        for height in 1..=top {
            self.count_seam(height, [before, above_before], [after, above_after], is_one);
            (before, after) = (above_before, above_after);
            (above_before, above_after) =
                (self.inners.get(before as usize).parent, self.inners.get(after as usize).parent);
            is_one = self.mend_inners(before, after);
        }
        let root = if is_one {
            before
        } else {
            let tokens = self.tokens_in(top + 1, after);
            self.push_root(before, after, tokens)
        };
        Some(self.trimmed(root))
    }

    /// Enters the tokens of two mended neighbors at a height into the nodes above them. If they are one, the
    /// second is removed from the node above it.
    fn count_seam(&mut self, height: u32, left: [u32; 2], right: [u32; 2], is_one: bool) {
        let [[before, above_before], [after, above_after]] = [left, right];
        let tokens = self.tokens_in(height, before);
        let above = self.inners.get_mut(above_before as usize);
        above.counts[above.len as usize - 1] = tokens;
        if is_one {
            let rest = *self.inners.get(above_after as usize);
            let rest: Vec<(u32, u32)> = entries(&rest).skip(1).collect();
            self.rewrite(above_after, height, &rest);
        } else {
            let tokens = self.tokens_in(height, after);
            self.inners.get_mut(above_after as usize).counts[0] = tokens;
        }
    }

    /// Merges two neighboring leaves if they fit in one; otherwise divides evenly if one is less than half
    /// full. Returns whether they are one now; the second is then unused.
    fn mend_leaves(&mut self, before: u32, after: u32) -> bool {
        let [left, right] = [before, after].map(|leaf| *self.leaves.get(leaf as usize));
        let [left, right] = [&left, &right].map(|leaf| &leaf.tokens[..leaf.len as usize]);
        match mended(left, right, LEAF_TOKENS) {
            Mended::Fine => false,
            Mended::Into(all, None) => {
                self.put_leaf(Some(before), &all);
                self.leaves.get_mut(after as usize).parent = self.unused.leaf;
                self.unused.leaf = after;
                true
            }
            Mended::Into(all, Some(half)) => {
                self.put_leaf(Some(before), &all[..half]);
                self.put_leaf(Some(after), &all[half..]);
                false
            }
        }
    }

    /// As [`Tour::mend_leaves`]. The second may be empty: then it is merged.
    fn mend_inners(&mut self, before: u32, after: u32) -> bool {
        let [left, right] = [before, after].map(|inner| *self.inners.get(inner as usize));
        let height = left.height;
        let [left, right] = [left, right].map(|inner| entries(&inner).collect::<Vec<_>>());
        match mended(&left, &right, FAN_OUT) {
            Mended::Fine => false,
            Mended::Into(all, None) => {
                self.rewrite(before, height, &all);
                self.drop_inner(after);
                true
            }
            Mended::Into(all, Some(half)) => {
                self.rewrite(before, height, &all[..half]);
                self.rewrite(after, height, &all[half..]);
                false
            }
        }
    }

    /// Removes roots that have one child, as long as that is an inner node. Returns the root that is left.
    fn trimmed(&mut self, root: u32) -> u32 {
        let mut root = root;
        loop {
            let inner = self.inners.get(root as usize);
            if inner.height == 1 || inner.len != 1 {
                return root;
            }
            let child = inner.children[0];
            self.drop_inner(root);
            self.inners.get_mut(child as usize).parent = NONE;
            root = child;
        }
    }

    /// A new root over one.
    fn raised(&mut self, root: u32) -> u32 {
        let inner = self.inners.get(root as usize);
        let (height, tokens) = (inner.height + 1, inner.tokens());
        self.put_inner(None, height, &[(root, tokens)])
    }

    /// The leaf at an edge of a tree; `which` selects a child of each node.
    fn edge_leaf(&self, root: u32, which: impl Fn(&Inner) -> usize) -> u32 {
        let mut at = root;
        loop {
            let inner = self.inners.get(at as usize);
            at = inner.children[which(inner)];
            if inner.height == 1 {
                return at;
            }
        }
    }

    /// Tokens below a child of a node of this height.
    fn tokens_in(&self, height: u32, child: u32) -> u32 {
        if height == 1 {
            self.leaves.get(child as usize).len
        } else {
            self.inners.get(child as usize).tokens()
        }
    }

    /// Fills a leaf, the one with this number or a new one, and tells the tokens. An old one keeps its
    /// parent.
    fn put_leaf(&mut self, number: Option<u32>, tokens: &[u32]) -> u32 {
        let parent = number.map_or(NONE, |number| self.leaves.get(number as usize).parent);
        let mut leaf = Leaf { len: narrow(tokens.len()), parent, ..EMPTY_LEAF };
        leaf.tokens[..tokens.len()].copy_from_slice(tokens);
        let number = match number {
            Some(number) => {
                *self.leaves.get_mut(number as usize) = leaf;
                number
            }
            None => self.add_leaf(&leaf),
        };
        tokens.iter().for_each(|word| *self.leaf_of.get_mut(*word as usize) = number);
        number
    }

    /// Fills an inner node, the one with this number or a new one, and tells the children. Returns its
    /// number.
    fn put_inner(&mut self, number: Option<u32>, height: u32, children: &[(u32, u32)]) -> u32 {
        let number = number.unwrap_or_else(|| self.add_inner(&Inner { height, ..EMPTY_INNER }));
        self.rewrite(number, height, children);
        number
    }

    /// Replaces the children of an inner node, and tells them.
    fn rewrite(&mut self, number: u32, height: u32, children: &[(u32, u32)]) {
        let parent = self.inners.get(number as usize).parent;
        let mut inner = Inner { len: narrow(children.len()), parent, height, ..EMPTY_INNER };
        for (place, (child, tokens)) in children.iter().enumerate() {
            (inner.children[place], inner.counts[place]) = (*child, *tokens);
            self.set_parent(height, *child, number);
        }
        *self.inners.get_mut(number as usize) = inner;
    }

    /// Makes an inner node unused.
    fn drop_inner(&mut self, number: u32) {
        *self.inners.get_mut(number as usize) = Inner { parent: self.unused.inner, ..EMPTY_INNER };
        self.unused.inner = number;
    }
}

/// The children of a node with their tokens.
fn entries(inner: &Inner) -> impl Iterator<Item = (u32, u32)> + '_ {
    inner.children.iter().copied().zip(inner.counts).take(inner.len as usize)
}

enum Mended<T> {
    /// They stay as they are.
    Fine,
    /// All of both, and how many of them belong in the first; `None` when they fit in one.
    Into(Vec<T>, Option<usize>),
}

/// What two neighbors should hold.
fn mended<T: Copy>(left: &[T], right: &[T], most: usize) -> Mended<T> {
    let all = left.len() + right.len();
    if all <= most {
        return Mended::Into([left, right].concat(), None);
    }
    if left.len().min(right.len()) < most / 2 {
        return Mended::Into([left, right].concat(), Some(all / 2));
    }
    Mended::Fine
}

#[cfg(test)]
#[path = "splice_test.rs"]
mod tests;
