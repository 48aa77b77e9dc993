//! Sums of weights while trees grow, compared with sums along the parents.

use rand_pcg::{Pcg64, rand_core::RngCore};

use super::*;
use crate::core::words::types::index;

/// The weights have two fields: the weight itself and its double.
const FIELDS: usize = 2;

fn both(weight: i64) -> Fields {
    let mut fields = [0; FIELDS_MAX];
    fields[..FIELDS].copy_from_slice(&[weight, 2 * weight]);
    fields
}

/// A forest with a weight for each member.
struct Model {
    parents: Vec<Option<MemberIx>>,
    own: Vec<i64>,
    tour: Tour,
    weights: Weights,
    /// Others of the same weights, made from scratch at some time.
    late: Weights,
    inner_splits: usize,
    root_splits: usize,
    random: Pcg64,
}

impl Model {
    fn new(seed: u64) -> Self {
        Self {
            parents: Vec::new(),
            own: Vec::new(),
            tour: Tour::new(),
            weights: Weights::new(FIELDS),
            late: Weights::new(FIELDS),
            inner_splits: 0,
            root_splits: 0,
            random: Pcg64::new(seed.into(), 1),
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.next_u64() % bound as u64).unwrap()
    }

    fn member(&mut self) -> MemberIx {
        index(self.below(self.parents.len()))
    }

    fn push(&mut self, parent: Option<MemberIx>) {
        self.tour.push(index(self.parents.len()), parent);
        self.parents.push(parent);
        self.own.push(0);
        if let Some(split) = self.tour.take_split() {
            self.inner_splits += split.inners.len();
            self.root_splits += usize::from(split.root.is_some());
            for weights in [&mut self.weights, &mut self.late] {
                weights.follow(&self.tour, &split, |member| both(self.own[member.at()]));
                // Once more changes nothing.
                weights.follow(&self.tour, &split, |member| both(self.own[member.at()]));
            }
        }
        assert_eq!(self.tour.take_split(), None);
    }

    /// Gives the newest member a weight as often as not, and another one.
    fn add(&mut self) {
        let newest = index(self.parents.len() - 1);
        let members = [self.member(), newest];
        for member in &members[self.below(2)..] {
            let delta = i64::from(self.random.next_u32() % 2_001) - 1_000;
            self.own[member.at()] += delta;
            self.weights.add(&self.tour, *member, &both(delta));
        }
    }

    /// The sum of each member and its downline.
    fn sums(&self) -> Vec<i64> {
        let mut sums = self.own.clone();
        for member in (0..sums.len()).rev() {
            if let Some(parent) = self.parents[member] {
                sums[parent.at()] += sums[member];
            }
        }
        sums
    }

    fn found(&self, weights: &Weights) -> Vec<i64> {
        let members = (0..self.parents.len()).map(index);
        let of = |member: MemberIx| {
            let sums = [0, 1].map(|field| {
                let own = |member: MemberIx| both(self.own[member.at()])[field];
                weights.subtree(&self.tour, member, field, own)
            });
            assert_eq!(sums[1], 2 * sums[0], "{member:?}");
            sums[0]
        };
        members.map(of).collect()
    }

    fn rebuilt(&self) -> Weights {
        let mut weights = Weights::new(FIELDS);
        let own = (0..).map(index).zip(self.own.iter().copied()).filter(|(_, own)| *own != 0);
        let own = own.map(|(member, own)| (member, both(own)));
        weights.rebuild(&self.tour, own);
        weights
    }

    /// Compares every sum and the total of every node.
    fn check(&self, seen: &str) {
        let (sums, rebuilt) = (self.sums(), self.rebuilt());
        assert!(self.found(&self.weights) == sums, "{seen}, {} members", sums.len());
        assert!(self.found(&rebuilt) == sums, "{seen}, {} members, rebuilt", sums.len());
        for (totals, expected, nodes) in [
            (&self.weights.leaves, &rebuilt.leaves, self.tour.leaves.len()),
            (&self.weights.inners, &rebuilt.inners, self.tour.inners.len()),
        ] {
            let other = (0..nodes).find(|node| totals.row(*node) != expected.row(*node));
            assert_eq!(other, None, "{seen}, a node of {nodes} has another total");
        }
    }
}

/// The parent of the next member.
fn parent(model: &mut Model, shape: &str) -> Option<MemberIx> {
    let members = model.parents.len();
    if members == 0 {
        return None;
    }
    let newest = index(members - 1);
    Some(match shape {
        "chain" => newest,
        "star" => MemberIx(0),
        "ternary" => index((members - 1) / 3),
        // Some chains, deep in the middle of others.
        "deep" if model.below(20) != 0 => newest,
        "forest" if members % 50 == 7 => return None,
        // A hot spot moves slowly through the first members, so nodes are divided at every place.
        "front" => index((members / 40).min(model.below(members))),
        _ => model.member(),
    })
}

#[test]
fn sums_are_those_along_the_parents_for_every_shape() {
    const MEMBERS: usize = 12_000;
    for shape in ["chain", "star", "ternary", "deep", "forest", "front", "uniform"] {
        let mut model = Model::new(7);
        for members in 1..=MEMBERS {
            let parent = parent(&mut model, shape);
            model.push(parent);
            model.add();
            if members < 300 || members % 1_499 == 0 || members == MEMBERS {
                model.check(shape);
            }
        }
        assert!(2 <= model.inner_splits && 1 <= model.root_splits, "{shape} divides inner nodes");
    }
}

#[test]
fn nodes_are_divided_at_every_height() {
    // Over 62 * 62 leaves: the root is divided twice, and nodes below it all over.
    const MEMBERS: usize = 400_000;
    for shape in ["star", "uniform"] {
        let mut model = Model::new(3);
        for members in 1..=MEMBERS {
            let parent = parent(&mut model, shape);
            model.push(parent);
            if members % 8 == 0 {
                model.add();
            }
        }
        assert_eq!(model.root_splits, 2, "{shape}");
        model.check(shape);
    }
}

#[test]
fn weights_made_from_scratch_go_on() {
    let mut model = Model::new(11);
    for _ in 0..5_000 {
        let parent = parent(&mut model, "uniform");
        model.push(parent);
    }
    assert_eq!(model.weights.bytes() + model.late.bytes(), 0, "nothing was added");
    for _ in 0..3_000 {
        model.add();
    }
    model.late = model.rebuilt();
    for _ in 0..5_000 {
        let parent = parent(&mut model, "uniform");
        model.push(parent);
    }
    assert!(model.found(&model.late) == model.sums());
    model.check("late");
}

#[test]
fn a_rebuild_is_right_after_a_subtree_moved() {
    let mut model = Model::new(5);
    for _ in 0..3_000 {
        let parent = parent(&mut model, "uniform");
        model.push(parent);
        model.add();
    }
    for round in 0..12 {
        let (top, to) = (model.member(), model.member());
        if model.tour.contains(top, to) {
            continue;
        }
        let piece = model.tour.cut(top);
        model.tour.splice(piece, Some(to));
        model.weights = model.rebuilt();
        for _ in 0..50 {
            let parent = model.member();
            model.push(Some(parent));
            model.add();
        }
        // The tree is no longer in join order: what is below a member, its tour tells.
        for _ in 0..8 {
            let top = model.member();
            let below =
                (0..model.parents.len()).map(index).filter(|member| model.tour.contains(top, *member));
            let expected: i64 = below.map(|member| model.own[member.at()]).sum();
            let found = model.weights.subtree(&model.tour, top, 0, |member| model.own[member.at()]);
            assert_eq!(found, expected, "round {round}, {top:?}");
        }
    }
}
