use std::time::Instant;

use rand_pcg::{
    Pcg64Mcg,
    rand_core::{RngCore, SeedableRng},
};

use super::*;
use crate::core::tree::counting::Watch;

/// A number below `bound`.
fn below(random: &mut Pcg64Mcg, bound: u32) -> u32 {
    random.next_u32() % bound
}

/// A tree whose slots are taken in any order.
struct Grown {
    tree: Genealogy,
    random: Pcg64Mcg,
    width: u32,
    /// How far back a parent is chosen: small numbers make deep trees.
    reach: u32,
}

impl Grown {
    fn new(seed: u64, counted: bool) -> Self {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let width = 1 + below(&mut random, 5);
        let reach = 1 + below(&mut random, 40);
        Self { tree: Genealogy::new(counted), random, width, reach }
    }

    fn len(&self) -> u32 {
        u32::try_from(self.tree.len()).unwrap()
    }

    fn join(&mut self) {
        let place = (0..20).find_map(|_| {
            let members = self.len();
            let from = members.saturating_sub(self.reach);
            let parent = MemberIx(from + below(&mut self.random, (members - from).max(1)));
            let slot = below(&mut self.random, self.width);
            let is_free =
                0 < members && self.tree.children(parent).all(|child| self.tree.link(child).slot != slot);
            is_free.then_some((parent, slot))
        });
        self.tree.attach(place, &Watch::default(), &mut Vec::new());
    }

    fn grow(&mut self, members: u32) {
        (0..members).for_each(|_| self.join());
    }

    /// Numbers the members in another order, so that parents may have larger indexes than children.
    fn renumber(&mut self) {
        let mut numbers: Vec<u32> = (0..self.len()).collect();
        for at in (1..numbers.len()).rev() {
            numbers.swap(at, below(&mut self.random, u32::try_from(at + 1).unwrap()) as usize);
        }
        let mut places = vec![None; numbers.len()];
        for (member, number) in (0..).map(MemberIx).zip(&numbers) {
            let link = self.tree.link(member);
            let parent = MemberIx::from_column(link.parent);
            places[*number as usize] = parent.map(|parent| (MemberIx(numbers[parent.at()]), link.slot));
        }
        let mut tree = Genealogy::new(self.tree.is_counted());
        places.into_iter().for_each(|place| tree.attach_unlinked(place));
        tree.link_rest(MemberIx(0), |_, _, slot| Some(slot)).unwrap();
        tree.settle().unwrap();
        if tree.is_counted() {
            tree.count_anew(&Watch::default());
        }
        self.tree = tree;
    }

    /// The plainest way: one level after the other, each in memory.
    fn naive(&self, top: MemberIx, first: u32, deepest: u32, before: u32) -> Vec<(MemberIx, u32)> {
        let (mut level, mut found) = (vec![top], Vec::new());
        for depth in 1..=deepest {
            level = level.iter().flat_map(|parent| self.tree.children(*parent)).collect();
            if level.is_empty() {
                break;
            }
            let shown = level.iter().filter(|member| first <= depth && member.0 < before);
            found.extend(shown.map(|member| (*member, depth)));
        }
        found
    }
}

/// A whole streaming walk, in pieces of so many steps, with changes to the tree in between.
fn streamed(
    grown: &mut Grown,
    walk: &mut BreadthFirst,
    steps_each: usize,
    mut between: impl FnMut(&mut Grown),
) -> Vec<(MemberIx, u32)> {
    let mut found = Vec::new();
    while !walk.is_over() {
        let mut steps = steps_each;
        found.extend(std::iter::from_fn(|| grown.tree.breadth_first_next(walk, &mut steps)));
        between(grown);
    }
    found
}

/// A whole paged walk, resumed from its words between pages.
fn paged(
    grown: &mut Grown,
    top: MemberIx,
    walk: LevelOrder,
    steps_each: usize,
    mut between: impl FnMut(&mut Grown),
) -> Vec<MemberIx> {
    let (mut found, mut walk) = (Vec::new(), walk);
    while !walk.is_over() {
        let mut steps = steps_each;
        found.extend(std::iter::from_fn(|| grown.tree.level_order_next(&mut walk, &mut steps)));
        between(grown);
        let again = grown.tree.level_order_from(top, walk.to_words());
        assert_eq!(again, Some(walk), "the words of a walk are accepted");
    }
    found
}

#[test]
fn both_walks_show_what_the_plainest_way_shows() {
    for seed in 0..300 {
        println!("seed {seed}");
        let mut grown = Grown::new(seed, seed % 2 == 0);
        let members = 1 + below(&mut grown.random, 300);
        grown.grow(members);
        for round in 0..4 {
            if round == 2 {
                grown.renumber();
            }
            let oldest = if grown.tree.is_in_join_order() { grown.len() } else { grown.len() / 2 };
            let newer = grown.len() - oldest + 1;
            let before = oldest + below(&mut grown.random, newer);
            let top = MemberIx(below(&mut grown.random, before.max(1)));
            let deepest =
                if below(&mut grown.random, 2) == 0 { u32::MAX } else { below(&mut grown.random, 8) };
            let first = 1 + below(&mut grown.random, 4);
            let steps = 1 + below(&mut grown.random, 30) as usize;
            let expected = grown.naive(top, 1, deepest, before);
            let mut left = 40;
            let join = |grown: &mut Grown| {
                left -= i32::from(0 < left);
                if 0 < left {
                    grown.join();
                }
            };
            let mut walk = grown.tree.breadth_first(top, deepest, before);
            assert_eq!(streamed(&mut grown, &mut walk, steps, join), expected, "seed {seed}");
            let mut left = 40;
            let join = |grown: &mut Grown| {
                left -= i32::from(0 < left);
                if 0 < left {
                    grown.join();
                }
            };
            let walk = grown.tree.level_order(top, first, deepest, before);
            let expected: Vec<MemberIx> =
                grown.naive(top, first, deepest, before).into_iter().map(|(member, _)| member).collect();
            assert_eq!(
                paged(&mut grown, top, walk, steps, join),
                expected,
                "seed {seed}, levels {first} to {deepest}"
            );
        }
    }
}

#[test]
fn a_chain_of_a_million_costs_a_few_steps_each_in_both_walks() {
    const DEPTH: u32 = 1_000_000;
    let mut tree = Genealogy::new(false);
    let places = std::iter::once(None).chain((0..DEPTH).map(|above| Some((MemberIx(above), 0))));
    places.for_each(|place| tree.attach(place, &Watch::default(), &mut Vec::new()));
    let begin = Instant::now();
    let (mut walk, mut steps) = (tree.breadth_first(MemberIx(0), u32::MAX, DEPTH + 1), usize::MAX);
    let (mut bytes, mut found) = (0, 0);
    while let Some((member, depth)) = tree.breadth_first_next(&mut walk, &mut steps) {
        found += 1;
        assert_eq!((member.0, depth), (found, found));
        bytes = walk.bytes().max(bytes);
    }
    assert_eq!((found, walk.is_over()), (DEPTH, true));
    let (linear, used) = (3 * DEPTH as usize, usize::MAX - steps);
    assert!(used <= linear, "{used} steps for {DEPTH} members");
    assert!(bytes <= 64 << 10, "{bytes} bytes");
    println!("streaming: {used} steps, {:?}", begin.elapsed());
    let begin = Instant::now();
    let (mut walk, mut steps) = (tree.level_order(MemberIx(0), 1, u32::MAX, DEPTH + 1), usize::MAX);
    let found = std::iter::from_fn(|| tree.level_order_next(&mut walk, &mut steps)).count();
    assert_eq!((found, walk.is_over()), (DEPTH as usize, true));
    let used = usize::MAX - steps;
    assert!(used <= linear, "{used} steps for {DEPTH} members");
    println!("paged: {used} steps, {:?}", begin.elapsed());
}

/// The most members of one level with children: each of half of the network has one.
#[test]
fn the_queue_holds_at_most_half_of_the_members() {
    const WIDE: u32 = 500_000;
    let mut tree = Genealogy::new(false);
    tree.attach(None, &Watch::default(), &mut Vec::new());
    (0..WIDE).for_each(|slot| tree.attach(Some((MemberIx(0), slot)), &Watch::default(), &mut Vec::new()));
    (1..=WIDE)
        .for_each(|parent| tree.attach(Some((MemberIx(parent), 0)), &Watch::default(), &mut Vec::new()));
    let (mut walk, mut steps) = (tree.breadth_first(MemberIx(0), u32::MAX, 2 * WIDE + 1), usize::MAX);
    let (mut bytes, mut found) = (0, 0);
    while tree.breadth_first_next(&mut walk, &mut steps).is_some() {
        found += 1;
        bytes = walk.bytes().max(bytes);
    }
    assert_eq!(found, 2 * WIDE);
    let promised = WIDE as usize * size_of::<u32>() + 2 * BLOCK * size_of::<u32>();
    assert!(bytes <= promised, "{bytes} bytes for {found} members");
    println!("{bytes} bytes at most for {found} members");
}

/// A walk without an inner member cannot have a place to continue from, nor a crossing.
#[test]
fn words_that_contradict_each_other_are_refused() {
    let mut grown = Grown::new(1, true);
    grown.grow(100);
    let top = MemberIx(0);
    let words = grown.tree.level_order(top, 1, 3, grown.len()).to_words();
    let [.., first_inner, next_base, crossing] = words;
    assert_eq!([first_inner, next_base, crossing], [NONE; 3], "so a walk begins");
    assert!(grown.tree.level_order_from(top, words).is_some());
    for place in [7, 8] {
        let mut wrong = words;
        wrong[place] = 0;
        assert!(grown.tree.level_order_from(top, wrong).is_none(), "word {place}");
    }
}

#[test]
fn words_that_no_walk_has_are_refused_or_stay_below_the_top() {
    let (mut refused, mut accepted) = (0, 0);
    for seed in 0..200 {
        println!("seed {seed}");
        let mut grown = Grown::new(seed, seed % 2 == 0);
        let members = 2 + below(&mut grown.random, 60);
        grown.grow(members);
        let top = MemberIx(below(&mut grown.random, members));
        for _ in 0..500 {
            let mut words = grown.tree.level_order(top, 1, u32::MAX, members).to_words();
            for _ in 0..=below(&mut grown.random, 4) {
                let place = below(&mut grown.random, u32::try_from(LEVEL_ORDER_WORDS).unwrap()) as usize;
                words[place] = if below(&mut grown.random, 8) == 0 {
                    NONE
                } else {
                    below(&mut grown.random, members + 3)
                };
            }
            let Some(mut walk) = grown.tree.level_order_from(top, words) else {
                refused += 1;
                continue;
            };
            accepted += 1;
            let mut steps = 10_000;
            while let Some(member) = grown.tree.level_order_next(&mut walk, &mut steps) {
                assert!(
                    grown.tree.is_ancestor(top, member),
                    "seed {seed}: {member:?} is not below {top:?}: {words:?}"
                );
            }
        }
    }
    assert!(1_000 < refused && 1_000 < accepted, "{refused} refused, {accepted} accepted");
}
