//! Subtrees cut out and spliced in at random, compared with plain lists of children.

use rand_pcg::{Pcg64, rand_core::RngCore};

use super::*;
use crate::core::{store::steps::steps_of, words::types::index};

/// A forest as lists of children, siblings in the order in which they were attached.
#[derive(Default)]
struct Naive {
    parents: Vec<Option<MemberIx>>,
    children: Vec<Vec<MemberIx>>,
    roots: Vec<MemberIx>,
}

impl Naive {
    fn push(&mut self, parent: Option<MemberIx>) {
        let member = index(self.parents.len());
        self.parents.push(parent);
        self.children.push(Vec::new());
        self.siblings(parent).push(member);
    }

    fn siblings(&mut self, parent: Option<MemberIx>) -> &mut Vec<MemberIx> {
        match parent {
            Some(parent) => &mut self.children[parent.at()],
            None => &mut self.roots,
        }
    }

    fn cut(&mut self, top: MemberIx) {
        let parent = self.parents[top.at()].take();
        self.siblings(parent).retain(|member| *member != top);
    }

    fn splice(&mut self, top: MemberIx, parent: Option<MemberIx>) {
        self.parents[top.at()] = parent;
        self.siblings(parent).push(top);
    }

    /// The top of the tree that a member is in.
    fn top_of(&self, member: MemberIx) -> MemberIx {
        std::iter::successors(Some(member), |at| self.parents[at.at()]).last().unwrap()
    }

    /// The tokens of the trees with these roots, in order.
    fn tokens(&self, roots: &[MemberIx]) -> Vec<Token> {
        let mut tokens = Vec::new();
        let mut stack: Vec<Token> = roots.iter().rev().map(|root| Token::Enter(*root)).collect();
        while let Some(token) = stack.pop() {
            tokens.push(token);
            if let Token::Enter(member) = token {
                stack.push(Token::Exit(member));
                stack.extend(self.children[member.at()].iter().rev().map(|child| Token::Enter(*child)));
            }
        }
        tokens
    }
}

/// The tokens in the tree of a root, and its nodes: leaves, then inner nodes. Checks every node.
fn tokens_below(tour: &Tour, root: u32) -> (Vec<u32>, [usize; 2]) {
    let (mut tokens, mut nodes) = (Vec::new(), [0, 0]);
    assert_eq!(tour.inners.get(root as usize).parent, NONE);
    let mut stack = vec![(root, tour.inners.get(root as usize).height)];
    while let Some((node, height)) = stack.pop() {
        if height == 0 {
            let leaf = tour.leaves.get(node as usize);
            nodes[0] += 1;
            tokens.extend(&leaf.tokens[..leaf.len as usize]);
            continue;
        }
        let inner = *tour.inners.get(node as usize);
        nodes[1] += 1;
        assert_eq!(inner.height, height, "all leaves are equally deep");
        assert!(inner.len != 0 && (node != root || height == 1 || inner.len != 1));
        for (child, count) in entries(&inner) {
            assert_eq!(tour.tokens_in(height, child), count);
            let parent = if height == 1 {
                tour.leaves.get(child as usize).parent
            } else {
                tour.inners.get(child as usize).parent
            };
            assert_eq!(parent, node);
        }
        stack.extend(entries(&inner).map(|(child, _)| (child, height - 1)).collect::<Vec<_>>().iter().rev());
    }
    (tokens, nodes)
}

/// Compares all tokens of the tour and of the pieces, and what queries make of them.
fn check(tour: &Tour, naive: &Naive, pieces: &[(MemberIx, Piece)], what: &str) {
    let main = tour.root_above(*tour.last_leaf);
    let trees = pieces.iter().map(|(top, piece)| (piece.root, vec![*top]));
    let mut used = [0, 0];
    for (root, tops) in trees.chain([(main, naive.roots.clone())]) {
        let expected = naive.tokens(&tops);
        let (found, nodes) = tokens_below(tour, root);
        assert!(found.iter().copied().eq(expected.iter().map(|token| token.to_word())), "{what}");
        used = [used[0] + nodes[0], used[1] + nodes[1]];
        let mut entered = vec![0_u32; naive.parents.len()];
        for (position, token) in (0..).zip(&expected) {
            assert_eq!(tour.position(*token), position, "{what}: {token:?}");
            match token {
                Token::Enter(member) => entered[member.at()] = position,
                Token::Exit(member) => {
                    let downline = (position - entered[member.at()] - 1) / 2;
                    assert_eq!(tour.downline(*member), downline, "{what}: {member:?}");
                }
            }
        }
    }
    let unused = |first: u32, next: &dyn Fn(u32) -> u32| {
        let next = |at: u32| Some(next(at)).filter(|next| *next != NONE);
        std::iter::successors(Some(first).filter(|first| *first != NONE), |at| next(*at)).count()
    };
    used[0] += unused(tour.unused.leaf, &|leaf| tour.leaves.get(leaf as usize).parent);
    used[1] += unused(tour.unused.inner, &|inner| tour.inners.get(inner as usize).parent);
    assert_eq!(used, [tour.leaves.len(), tour.inners.len()], "{what}: no node is lost");
}

/// Ancestors and visibility of some pairs, and that visibility takes the same steps for all that are in the
/// tour.
fn check_pairs(tour: &Tour, naive: &Naive, random: &mut Pcg64, what: &str) {
    let mut steps_expected = None;
    for _ in 0..200 {
        let [one, other] = [(); 2].map(|()| any(random, naive));
        let top = naive.top_of(one);
        if top != naive.top_of(other) {
            continue;
        }
        let is_above = std::iter::successors(naive.parents[other.at()], |at| naive.parents[at.at()])
            .any(|above| above == one);
        assert_eq!(tour.is_ancestor(one, other), is_above, "{what}: {one:?} above {other:?}");
        let (contains, steps) = steps_of(|| tour.contains(one, other));
        assert_eq!(contains, is_above || one == other, "{what}: {one:?} above {other:?}");
        if naive.roots.contains(&top) {
            assert_eq!(*steps_expected.get_or_insert(steps), steps, "{what}: {one:?} and {other:?}");
        }
    }
}

fn any(random: &mut Pcg64, naive: &Naive) -> MemberIx {
    index(random.next_u32() as usize % naive.parents.len())
}

fn grown(shape: &str, members: u32, random: &mut Pcg64) -> (Tour, Naive) {
    let (mut tour, mut naive) = (Tour::new(), Naive::default());
    for member in 0..members {
        let parent = match shape {
            "chain" => member.saturating_sub(1),
            "star" => 0,
            "ternary" => member.saturating_sub(1) / 3,
            _ => random.next_u32() % member.max(1),
        };
        let parent = (member != 0 && (shape != "forest" || member % 50 != 7)).then_some(MemberIx(parent));
        tour.push(MemberIx(member), parent);
        naive.push(parent);
    }
    (tour, naive)
}

/// Moves at random, with up to three pieces out at a time, and signups between them.
fn moves(shape: &str, members: u32, steps: usize, checked_each: usize) {
    let mut random = Pcg64::new(members.into(), 11);
    let (mut tour, mut naive) = grown(shape, members, &mut random);
    let mut pieces: Vec<(MemberIx, Piece)> = Vec::new();
    for step in 0..steps {
        let what = format!("{shape} of {members}, step {step}");
        let member = any(&mut random, &naive);
        let is_out = |member, pieces: &[(MemberIx, Piece)]| {
            let top = naive.top_of(member);
            pieces.iter().any(|(cut, _)| *cut == top)
        };
        match random.next_u32() % 4 {
            0 | 1 if pieces.len() < 3 && !is_out(member, &pieces) => {
                // The whole tour too, sometimes.
                let top = if step % 40 == 3 { naive.top_of(member) } else { member };
                naive.cut(top);
                pieces.push((top, tour.cut(top)));
            }
            3 if !is_out(member, &pieces) => {
                let parent = Some(member).filter(|_| step % 30 != 4);
                let newest = index(naive.parents.len());
                tour.push(newest, parent);
                naive.push(parent);
            }
            _ if !pieces.is_empty() => {
                let parent = Some(member).filter(|_| step % 10 != 4);
                if parent.is_some_and(|parent| is_out(parent, &pieces)) {
                    continue;
                }
                let (top, piece) = pieces.swap_remove(random.next_u32() as usize % pieces.len());
                naive.splice(top, parent);
                tour.splice(piece, parent);
            }
            _ => {}
        }
        if step % checked_each == 0 {
            check(&tour, &naive, &pieces, &what);
            check_pairs(&tour, &naive, &mut random, &what);
        }
    }
    for (top, piece) in pieces {
        naive.splice(top, None);
        tour.splice(piece, None);
    }
    check(&tour, &naive, &[], shape);
    // Nodes are reused, and about as full as in a tour that only grew.
    let tokens = naive.parents.len() * 2;
    assert!(tour.leaves.len() * LEAF_TOKENS <= 4 * tokens + 8 * LEAF_TOKENS, "{shape} of {members}");
}

#[test]
fn a_small_forest_is_the_same_after_any_moves() {
    for shape in ["chain", "star", "ternary", "uniform", "forest"] {
        for members in [1, 2, 3, 40, 300] {
            moves(shape, members, 400, 1);
        }
    }
}

#[test]
fn a_large_forest_is_the_same_after_any_moves() {
    for shape in ["chain", "star", "ternary", "uniform", "forest"] {
        moves(shape, 20_000, 1_000, 100);
    }
}

#[test]
fn a_move_costs_the_same_whatever_moves() {
    let mut random = Pcg64::new(1, 1);
    let (mut tour, _) = grown("chain", 100_000, &mut random);
    let nodes = [tour.leaves.len(), tour.inners.len()];
    // The lower half of a chain, to the top and back, again and again.
    for _ in 0..1_000 {
        let piece = tour.cut(MemberIx(50_000));
        assert_eq!(tour.downline(MemberIx(0)), 49_999);
        assert_eq!(tour.downline(MemberIx(50_000)), 49_999);
        tour.splice(piece, Some(MemberIx(0)));
        let piece = tour.cut(MemberIx(50_000));
        tour.splice(piece, Some(MemberIx(49_999)));
    }
    assert_eq!(tour.downline(MemberIx(0)), 99_999);
    let after = [tour.leaves.len(), tour.inners.len()];
    assert!(after[0] <= nodes[0] + 8 && after[1] <= nodes[1] + 8, "{nodes:?}, then {after:?}");
}

#[test]
fn a_frozen_view_keeps_the_tour_that_it_was_made_of() {
    use crate::core::store::column::{Freeze, ViewId};
    let mut random = Pcg64::new(2, 1);
    let (mut tour, naive) = grown("uniform", 3_000, &mut random);
    tour.freeze(ViewId::FIRST);
    for member in (1..3_000).step_by(100).map(MemberIx) {
        let piece = tour.cut(member);
        tour.splice(piece, None);
    }
    let mut copy = Tour::empty_copy();
    while !tour.copy_step(ViewId::FIRST, &mut copy) {}
    check(&copy, &naive, &[], "the copy");
}
