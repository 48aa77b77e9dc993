//! A counted Euler tour: the exact downline of any member in O(log n), whatever the depth.
//!
//! Every member has two tokens, *enter* and *exit*; its downline is between them. A new member's pair goes
//! right before its parent's exit token, so siblings are in the order in which they were attached. The
//! sequence is the leaves of a B+-tree whose inner nodes count tokens, and each token knows its leaf, so a
//! token's position is found bottom-up. Then `downline(v) = (position(exit v) - position(enter v) - 1) / 2`.
//! A subtree is a range of the sequence, so it can be cut out and put elsewhere (`splice.rs`).
//!
//! Incrementing every ancestor's count instead would cost O(depth) per signup, and binary plans with an
//! outside leg are 10^5 deep.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use crate::core::{
    store::{
        column::{Column, Scalar, freeze_fields},
        held::{Held, holds_nothing},
        pace::Pace,
        region::Region,
        steps,
    },
    words::types::{MemberIx, NONE},
};

/// Tokens per leaf. With its two other words a leaf is 512 bytes.
pub(super) const LEAF_TOKENS: usize = 126;
/// Children per inner node. With its other words an inner node is 512 bytes.
pub(super) const FAN_OUT: usize = 62;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Leaf {
    pub tokens: [u32; LEAF_TOKENS],
    pub len: u32,
    pub parent: u32,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Inner {
    pub children: [u32; FAN_OUT],
    /// Tokens below each child.
    pub counts: [u32; FAN_OUT],
    pub len: u32,
    pub parent: u32,
    /// 1: children are leaves; above: inner nodes.
    pub height: u32,
    pub _unused: u32,
}

const _: () = assert!(size_of::<Leaf>() == 512);
const _: () = assert!(size_of::<Inner>() == 512);

/// Initial fill of leaves and inner nodes in a tour built at once: four fifths, to leave room for signups.
const LEAF_TOKENS_FIRST: usize = 100;
const FAN_OUT_FIRST: usize = 50;

pub(super) const EMPTY_LEAF: Leaf = Leaf { tokens: [NONE; LEAF_TOKENS], len: 0, parent: NONE };
pub(super) const EMPTY_INNER: Inner =
    Inner { children: [NONE; FAN_OUT], counts: [0; FAN_OUT], len: 0, parent: NONE, height: 0, _unused: 0 };

/// One of a member's two tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Token {
    Enter(MemberIx),
    Exit(MemberIx),
}

impl Token {
    pub(super) fn to_word(self) -> u32 {
        match self {
            Token::Enter(member) => member.0 << 1,
            Token::Exit(member) => member.0 << 1 | 1,
        }
    }

    /// The member whose enter token this word is.
    pub(super) fn entered(word: u32) -> Option<MemberIx> {
        (word & 1 == 0).then_some(MemberIx(word >> 1))
    }
}

/// The tour of a forest.
pub(crate) struct Tour {
    pub(super) leaves: Column<Leaf>,
    pub(super) inners: Column<Inner>,
    /// Leaf of each token, by its word.
    pub(super) leaf_of: Column<u32>,
    /// Where new roots go.
    pub(super) last_leaf: Scalar<u32>,
    /// Nodes that a cut or a splice emptied, for reuse.
    pub(super) unused: Scalar<Unused>,
    /// The newest split, until it is taken: see [`Tour::take_split`].
    pub(super) split: Option<Split>,
}

holds_nothing!(Unused);

freeze_fields!(Tour { leaves, inners, leaf_of, last_leaf, unused } cached { split });

/// The nodes that one push divided. Nodes are named left first; the right one is new.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Split {
    pub(super) leaves: [u32; 2],
    /// The lowest first.
    pub(super) inners: Vec<[u32; 2]>,
    /// The new root, if the old one was divided.
    pub(super) root: Option<u32>,
}

impl Held for Split {
    fn bytes(&self) -> usize {
        self.inners.capacity() * size_of::<[u32; 2]>()
    }
}

/// The first unused leaf and inner node; each names the next one as its parent.
#[derive(Clone, Copy)]
pub(super) struct Unused {
    pub leaf: u32,
    pub inner: u32,
}

const NOTHING_UNUSED: Unused = Unused { leaf: NONE, inner: NONE };

/// The token positions of each member of a forest in its tour.
pub(crate) struct Spans {
    exits: Region<u32>,
    /// The downline of each member.
    sizes: Region<u32>,
}

impl Spans {
    /// Computes the spans from each member with its parent, in an order in which parents come first, and from
    /// the downline of each member. O(n): the pair of a member comes after the downlines of its siblings that
    /// come earlier in that order.
    pub fn new(parents_first: impl Iterator<Item = (MemberIx, u32)>, sizes: Region<u32>) -> Self {
        let mut last_root = 0;
        // Until its last child is entered, this is where the next child's pair begins.
        let mut exits: Region<u32> = Region::zeroed(sizes.len());
        for (member, parent) in parents_first {
            let next = if parent == NONE { &mut last_root } else { &mut exits[parent as usize] };
            let enter = *next;
            *next += sizes[member.at()] * 2 + 2;
            exits[member.at()] = enter + 1;
        }
        Self { exits, sizes }
    }

    /// The downline of each member.
    pub fn sizes(&self) -> &[u32] {
        &self.sizes
    }

    /// Positions of a member's two tokens.
    pub fn of(&self, member: MemberIx) -> Range<u32> {
        let (exit, size) = (self.exits[member.at()], self.sizes[member.at()]);
        exit - size * 2 - 1..exit
    }

    /// Whether `ancestor` is above `member`.
    pub fn is_ancestor(&self, ancestor: MemberIx, member: MemberIx) -> bool {
        let (above, below) = (self.of(ancestor), self.of(member));
        above.start < below.start && below.end < above.end
    }

    fn iter(&self) -> impl Iterator<Item = Range<u32>> + '_ {
        (0..self.exits.len()).map(|member| self.of(MemberIx(narrow(member)))).paced()
    }
}

impl Tour {
    pub fn new() -> Self {
        let mut tour = Self::empty_copy();
        let leaf = tour.add_leaf(&EMPTY_LEAF);
        let mut root = Inner { len: 1, height: 1, ..EMPTY_INNER };
        root.children[0] = leaf;
        let root = tour.add_inner(&root);
        tour.set_parent(1, leaf, root);
        tour
    }

    /// Stores a leaf; returns its number.
    pub(super) fn add_leaf(&mut self, leaf: &Leaf) -> u32 {
        let number = self.unused.leaf;
        if number == NONE {
            self.leaves.push(*leaf);
            return narrow(self.leaves.len() - 1);
        }
        self.unused.leaf = self.leaves.get(number as usize).parent;
        *self.leaves.get_mut(number as usize) = *leaf;
        number
    }

    /// Stores an inner node; returns its number.
    pub(super) fn add_inner(&mut self, inner: &Inner) -> u32 {
        let number = self.unused.inner;
        if number == NONE {
            self.inners.push(*inner);
            return narrow(self.inners.len() - 1);
        }
        self.unused.inner = self.inners.get(number as usize).parent;
        *self.inners.get_mut(number as usize) = *inner;
        number
    }

    /// The tour of a whole forest, where each member's exit token is at its position in `exits`, and its
    /// enter token twice its downline plus one before that: the same as pushing the members one by one in the
    /// order of the spans, in O(n).
    pub fn whole(spans: &Spans) -> Self {
        let members = spans.exits.len();
        if members == 0 {
            return Self::new();
        }
        let leaves = (members * 2).div_ceil(LEAF_TOKENS_FIRST);
        let mut tour = Self {
            leaves: Column::filled(EMPTY_LEAF, leaves),
            leaf_of: Column::filled(NONE, members * 2),
            ..Self::empty_copy()
        };
        for (member, span) in spans.iter().enumerate() {
            let member = MemberIx(narrow(member));
            for (token, position) in [(Token::Enter(member), span.start), (Token::Exit(member), span.end)] {
                let (leaf, place) =
                    (position as usize / LEAF_TOKENS_FIRST, position as usize % LEAF_TOKENS_FIRST);
                tour.leaves.get_mut(leaf).tokens[place] = token.to_word();
                *tour.leaf_of.get_mut(token.to_word() as usize) = narrow(leaf);
            }
        }
        for leaf in (0..leaves).paced() {
            let row = tour.leaves.get_mut(leaf);
            row.len = narrow((members * 2 - leaf * LEAF_TOKENS_FIRST).min(LEAF_TOKENS_FIRST));
        }
        tour.last_leaf = Scalar::new(narrow(leaves - 1));
        tour.build_inners();
        tour
    }

    /// Builds the inner nodes over leaves that are in order.
    fn build_inners(&mut self) {
        let mut below: Vec<(u32, u32)> =
            (0..self.leaves.len()).map(|leaf| (narrow(leaf), self.leaves.get(leaf).len)).collect();
        for height in 1.. {
            let first = self.inners.len();
            for part in below.chunks(FAN_OUT_FIRST).paced() {
                let number = narrow(self.inners.len());
                let mut inner = Inner { len: narrow(part.len()), height, ..EMPTY_INNER };
                for (place, (child, tokens)) in part.iter().enumerate() {
                    (inner.children[place], inner.counts[place]) = (*child, *tokens);
                    self.set_parent(height, *child, number);
                }
                self.inners.push(inner);
            }
            below = (first..self.inners.len())
                .map(|inner| (narrow(inner), self.inners.get(inner).tokens()))
                .collect();
            if below.len() == 1 {
                return;
            }
        }
    }

    /// The initial value of a frozen copy.
    pub fn empty_copy() -> Self {
        Self {
            leaves: Column::new(),
            inners: Column::new(),
            leaf_of: Column::new(),
            last_leaf: Scalar::new(0),
            unused: Scalar::new(NOTHING_UNUSED),
            split: None,
        }
    }

    /// Adds the next member (members come in index order) as the last child of `parent`, or as the last root.
    /// O(log n).
    pub fn push(&mut self, member: MemberIx, parent: Option<MemberIx>) {
        debug_assert_eq!(self.leaf_of.len(), member.at() * 2);
        let (leaf, position) = match parent {
            Some(parent) => {
                let exit = Token::Exit(parent).to_word();
                let leaf = *self.leaf_of.get(exit as usize);
                (leaf, self.position_in_leaf(leaf, exit))
            }
            None => (*self.last_leaf, self.leaves.get(*self.last_leaf as usize).len as usize),
        };
        let (leaf, position) = self.make_room(leaf, position);
        let row = self.leaves.get_mut(leaf as usize);
        let len = row.len as usize;
        row.tokens.copy_within(position..len, position + 2);
        row.tokens[position] = Token::Enter(member).to_word();
        row.tokens[position + 1] = Token::Exit(member).to_word();
        row.len += 2;
        self.leaf_of.push(leaf);
        self.leaf_of.push(leaf);
        self.add_to_counts(leaf, 2);
    }

    /// What the newest push divided, once. Who keeps weights of this tour takes it after each push.
    pub fn take_split(&mut self) -> Option<Split> {
        self.split.take()
    }

    /// Prefetches the location of a member's exit token. The result is meaningless, see `network::prefetch`.
    pub fn prefetch_leaf(&self, member: MemberIx) -> u32 {
        *self.leaf_of.get(Token::Exit(member).to_word() as usize)
    }

    /// Prefetches the leaf of a member's exit token, a word of each line. The result is meaningless.
    pub fn prefetch_tokens(&self, member: MemberIx) -> u32 {
        let leaf = self.leaves.get(self.prefetch_leaf(member) as usize);
        leaf.tokens.iter().step_by(16).fold(leaf.parent, |seen, token| seen ^ token)
    }

    /// Descendants of a member. O(log n).
    pub fn downline(&self, member: MemberIx) -> u32 {
        (self.position(Token::Exit(member)) - self.position(Token::Enter(member)) - 1) / 2
    }

    /// Whether `ancestor` is above `member`. A member is not its own ancestor. O(log n).
    pub fn is_ancestor(&self, ancestor: MemberIx, member: MemberIx) -> bool {
        let enter = self.position(Token::Enter(member));
        self.position(Token::Enter(ancestor)) < enter && enter < self.position(Token::Exit(ancestor))
    }

    /// Whether `member` is `top` or below it. O(log n), in the same number of steps for every pair: it
    /// decides visibility, and timing must not reveal the position of a hidden member. Other queries stop as
    /// soon as they know.
    pub fn contains(&self, top: MemberIx, member: MemberIx) -> bool {
        let enter = self.position_evenly(Token::Enter(member));
        let (begin, end) = (self.position_evenly(Token::Enter(top)), self.position_evenly(Token::Exit(top)));
        (begin..end).contains(&enter)
    }

    /// Tokens before `token` in the tour.
    pub(super) fn position(&self, token: Token) -> u32 {
        let word = token.to_word();
        let leaf = *self.leaf_of.get(word as usize);
        let mut position = narrow(self.position_in_leaf(leaf, word));
        let mut child = leaf;
        let mut parent = self.leaves.get(leaf as usize).parent;
        while parent != NONE {
            let inner = self.inners.get(parent as usize);
            let place = place_in(inner, child);
            position += inner.counts[..place].iter().sum::<u32>();
            child = parent;
            parent = inner.parent;
        }
        position
    }

    /// As `position`. All leaves are equally deep, and every word of a node is read, so all tokens take the
    /// same steps.
    fn position_evenly(&self, token: Token) -> u32 {
        let word = token.to_word();
        let leaf = *self.leaf_of.get(word as usize);
        let row = self.leaves.get(leaf as usize);
        let mut position = place_among(&row.tokens, row.len, word);
        let mut child = leaf;
        let mut parent = row.parent;
        while parent != NONE {
            let inner = self.inners.get(parent as usize);
            position += sum_before(&inner.counts, place_among(&inner.children, inner.len, child));
            child = parent;
            parent = inner.parent;
        }
        position
    }

    pub(super) fn leaf_with(&self, token: Token) -> u32 {
        *self.leaf_of.get(token.to_word() as usize)
    }

    /// The tokens in a leaf.
    pub(super) fn tokens(&self, leaf: u32) -> &[u32] {
        let row = self.leaves.get(leaf as usize);
        &row.tokens[..row.len as usize]
    }

    /// The tokens of a member's downline, if all of them are in one leaf with its own two.
    pub(super) fn between_in_leaf(&self, member: MemberIx) -> &[u32] {
        let [enter, exit] = [Token::Enter(member), Token::Exit(member)];
        let leaf = self.leaf_with(enter);
        let [begin, end] = [enter, exit].map(|token| self.position_in_leaf(leaf, token.to_word()));
        &self.tokens(leaf)[begin + 1..end]
    }

    /// All leaves, in the order of their tokens.
    pub(super) fn leaves_in_order(&self) -> impl Iterator<Item = u32> + '_ {
        let mut root = self.leaves.get(*self.last_leaf as usize).parent;
        while self.inners.get(root as usize).parent != NONE {
            root = self.inners.get(root as usize).parent;
        }
        // The way down: each node with the place of its next child. As long as the tour is high.
        let mut way = vec![(root, 0)];
        std::iter::from_fn(move || {
            loop {
                let (node, place) = way.last_mut()?;
                let inner = self.inners.get(*node as usize);
                let child = inner.children[..inner.len as usize].get(*place).copied();
                *place += 1;
                match child {
                    None => _ = way.pop(),
                    Some(leaf) if inner.height == 1 => return Some(leaf),
                    Some(node) => way.push((node, 0)),
                }
            }
        })
    }

    pub(super) fn position_in_leaf(&self, leaf: u32, word: u32) -> usize {
        self.tokens(leaf)
            .iter()
            .position(|token| *token == word)
            .expect("a token is in the leaf that leaf_of names")
    }

    fn add_to_counts(&mut self, leaf: u32, tokens: u32) {
        let mut child = leaf;
        let mut parent = self.leaves.get(leaf as usize).parent;
        while parent != NONE {
            let inner = self.inners.get_mut(parent as usize);
            let place = place_in(inner, child);
            inner.counts[place] += tokens;
            child = parent;
            parent = inner.parent;
        }
    }

    /// Makes room for two tokens at `position` of `leaf`; splits the leaf when it is full. Returns where that
    /// position is now.
    fn make_room(&mut self, leaf: u32, position: usize) -> (u32, usize) {
        let len = self.leaves.get(leaf as usize).len as usize;
        if len + 2 <= LEAF_TOKENS {
            return (leaf, position);
        }
        let mut left = *self.leaves.get(leaf as usize);
        // Growth at the end (a star, a chain, new roots) would leave every leaf half empty if leaves were
        // split in the middle.
        let cut = if len * 3 / 4 <= position { position.min(len - 1) } else { len / 2 };
        let mut right = Leaf { len: narrow(len - cut), parent: left.parent, ..EMPTY_LEAF };
        right.tokens[..len - cut].copy_from_slice(&left.tokens[cut..len]);
        left.len = narrow(cut);
        *self.leaves.get_mut(leaf as usize) = left;
        let new_leaf = self.add_leaf(&right);
        for word in &right.tokens[..len - cut] {
            *self.leaf_of.get_mut(*word as usize) = new_leaf;
        }
        if *self.last_leaf == leaf {
            *self.last_leaf = new_leaf;
        }
        self.add_sibling(leaf, left.parent, new_leaf, right.len);
        if position < cut || (position == cut && cut + 2 <= LEAF_TOKENS) {
            (leaf, position)
        } else {
            (new_leaf, position - cut)
        }
    }

    /// Inserts `new_child`, which took `tokens` tokens from `child` in a split, after it in `parent`; splits
    /// upward as far as needed.
    fn add_sibling(&mut self, child: u32, parent: u32, new_child: u32, tokens: u32) {
        let (mut child, mut parent, mut new_child, mut tokens) = (child, parent, new_child, tokens);
        let mut split = Split { leaves: [child, new_child], inners: Vec::new(), root: None };
        while parent != NONE {
            let mut left = *self.inners.get(parent as usize);
            let place = place_in(&left, child);
            left.counts[place] -= tokens;
            if (left.len as usize) < FAN_OUT {
                insert_at(&mut left, place + 1, new_child, tokens);
                *self.inners.get_mut(parent as usize) = left;
                self.set_parent(left.height, new_child, parent);
                self.split = Some(split);
                return;
            }
            let right = self.split_inner(&mut left, parent, place, new_child, tokens);
            *self.inners.get_mut(parent as usize) = left;
            tokens = self.inners.get(right as usize).tokens();
            split.inners.push([parent, right]);
            (child, parent, new_child) = (parent, left.parent, right);
        }
        split.root = Some(self.push_root(child, new_child, tokens));
        self.split = Some(split);
    }

    /// Moves the end of the full node `left` (number `node`) to a new node, and inserts `new_child` after
    /// `place`. Returns the new node's number.
    fn split_inner(&mut self, left: &mut Inner, node: u32, place: usize, new_child: u32, tokens: u32) -> u32 {
        let cut = if FAN_OUT * 3 / 4 <= place { (place + 1).min(FAN_OUT - 1) } else { FAN_OUT / 2 };
        let mut right =
            Inner { len: narrow(FAN_OUT - cut), parent: left.parent, height: left.height, ..EMPTY_INNER };
        right.children[..FAN_OUT - cut].copy_from_slice(&left.children[cut..]);
        right.counts[..FAN_OUT - cut].copy_from_slice(&left.counts[cut..]);
        left.len = narrow(cut);
        if place < cut {
            insert_at(left, place + 1, new_child, tokens);
            self.set_parent(left.height, new_child, node);
        } else {
            insert_at(&mut right, place + 1 - cut, new_child, tokens);
        }
        let number = self.add_inner(&right);
        for child in &right.children[..right.len as usize] {
            self.set_parent(right.height, *child, number);
        }
        number
    }

    /// Adds a new root over the old one and a sibling that follows it. Returns its number.
    pub(super) fn push_root(&mut self, old: u32, sibling: u32, tokens: u32) -> u32 {
        let below = self.inners.get(old as usize);
        let mut root = Inner { len: 2, height: below.height + 1, ..EMPTY_INNER };
        root.children[..2].copy_from_slice(&[old, sibling]);
        root.counts[..2].copy_from_slice(&[below.tokens(), tokens]);
        let number = self.add_inner(&root);
        self.inners.get_mut(old as usize).parent = number;
        self.inners.get_mut(sibling as usize).parent = number;
        number
    }

    pub(super) fn set_parent(&mut self, height: u32, child: u32, parent: u32) {
        if height == 1 {
            self.leaves.get_mut(child as usize).parent = parent;
        } else {
            self.inners.get_mut(child as usize).parent = parent;
        }
    }
}

/// The position of `word` among the first `len`, where it occurs once. Reads all words wherever it is found;
/// branch-free, so it vectorizes.
fn place_among<const N: usize>(words: &[u32; N], len: u32, word: u32) -> u32 {
    let (mut nth, mut looked) = (0, 0);
    for (at, known) in (1..).zip(words) {
        nth |= if at <= len && *known == word { at } else { 0 };
        looked += 1;
    }
    steps::add(looked);
    assert!(nth != 0, "a token is in the leaf, and a node below the parent, that it names");
    nth - 1
}

/// The sum of the first `place` counts, which fits. Reads all of them.
fn sum_before(counts: &[u32; FAN_OUT], place: u32) -> u32 {
    let (mut sum, mut looked) = (0_u32, 0);
    for (at, count) in (0..).zip(counts) {
        sum = sum.wrapping_add(if at < place { *count } else { 0 });
        looked += 1;
    }
    steps::add(looked);
    sum
}

pub(super) fn place_in(inner: &Inner, child: u32) -> usize {
    inner.children[..inner.len as usize]
        .iter()
        .position(|entry| *entry == child)
        .expect("a node is among its parent's children")
}

fn insert_at(inner: &mut Inner, place: usize, child: u32, tokens: u32) {
    let len = inner.len as usize;
    inner.children.copy_within(place..len, place + 1);
    inner.counts.copy_within(place..len, place + 1);
    inner.children[place] = child;
    inner.counts[place] = tokens;
    inner.len += 1;
}

impl Inner {
    /// Tokens below.
    pub(super) fn tokens(&self) -> u32 {
        self.counts[..self.len as usize].iter().sum()
    }
}

/// Nodes and places are bounded by tokens, which fit 32 bits (`MEMBERS_MAX`).
pub(super) fn narrow(number: usize) -> u32 {
    u32::try_from(number).expect("at most as many as tokens")
}

#[cfg(test)]
#[path = "tour_test.rs"]
mod tests;
