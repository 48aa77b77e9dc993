//! The same forest twice, in join order and with its members renumbered: every number of a member must be the
//! same in both.

use rand_pcg::{Pcg64, rand_core::RngCore};

use super::*;
use crate::core::{
    plan::{Placement, PlacementRule},
    store::parallel::on_threads,
    tree::{
        counting::{CHAIN, Watch},
        passes::recount,
        placement::SlotFinder,
    },
    words::types::LEVELS_MAX,
};

const WIDTH: u16 = 2;
const SHAPES: [&str; 4] = ["chain", "ternary", "uniform", "forest"];

/// A forest in join order, and the new number of each member.
struct Twins {
    grown: Genealogy,
    renumbered: Genealogy,
    numbers: Vec<u32>,
}

impl Twins {
    /// `turned`: newest first, else any order.
    fn new(shape: &str, members: u32, counted: bool, turned: bool) -> Self {
        let mut random = Pcg64::new(members.into(), 7);
        let mut grown = Genealogy::new(counted);
        for member in 0..members {
            let parent = match shape {
                "chain" => member.saturating_sub(1),
                "ternary" => member.saturating_sub(1) / 3,
                _ => random.next_u32() % member.max(1),
            };
            let is_root = member == 0 || shape == "forest" && member % 50 == 7;
            let place = (!is_root).then(|| (MemberIx(parent), grown.link(MemberIx(parent)).children));
            grown.attach(place, &Watch::default(), &mut Vec::new());
        }
        let mut numbers: Vec<u32> = (0..members).rev().collect();
        if !turned {
            for at in (1..numbers.len()).rev() {
                numbers.swap(at, random.next_u32() as usize % (at + 1));
            }
        }
        let mut rows = vec![None; members as usize];
        for (member, number) in (0..).map(MemberIx).zip(&numbers) {
            let Link { parent, slot, .. } = *grown.link(member);
            rows[*number as usize] =
                MemberIx::from_column(parent).map(|parent| (MemberIx(numbers[parent.at()]), slot));
        }
        let mut renumbered = Genealogy::new(counted);
        rows.into_iter().for_each(|place| renumbered.attach_unlinked(place));
        let free = |tree: &Genealogy, parent, slot| (!tree.is_taken(parent, slot)).then_some(slot);
        renumbered.link_rest(MemberIx(0), free).expect("slots are free");
        renumbered.settle().expect("it is a forest");
        Self { grown, renumbered, numbers }
    }

    fn number(&self, member: MemberIx) -> MemberIx {
        MemberIx(self.numbers[member.at()])
    }

    fn members(&self) -> impl Iterator<Item = MemberIx> + use<> {
        (0..self.grown.len()).map(index)
    }
}

#[test]
fn links_levels_and_the_way_up_are_the_same() {
    for (shape, turned) in SHAPES.into_iter().flat_map(|shape| [(shape, false), (shape, true)]) {
        let mut twins = Twins::new(shape, 2_000, false, turned);
        assert!(twins.grown.is_in_join_order() && !twins.renumbered.is_in_join_order());
        for stage in ["settled", "stopped"] {
            let Twins { grown, renumbered, .. } = &twins;
            let wrong = (0..renumbered.len()).map(index).find(|member| !renumbered.jump_follows(*member));
            assert_eq!(wrong, None, "{shape}, {stage}");
            for member in twins.members() {
                let (one, other) = (grown.link(member), renumbered.link(twins.number(member)));
                assert_eq!((one.slot, one.level, one.children), (other.slot, other.level, other.children));
                let children = grown.children(member).map(|child| twins.number(child));
                assert!(renumbered.children(twins.number(member)).eq(children), "{shape}: {member:?}");
                let above = MemberIx(member.0 / 2);
                assert_eq!(
                    renumbered.is_ancestor(twins.number(above), twins.number(member)),
                    grown.is_ancestor(above, member),
                    "{shape}, {stage}: {above:?} above {member:?}"
                );
            }
            twins.renumbered.count_anew(&Watch::default());
            twins.renumbered.stop_counting();
        }
    }
}

#[test]
fn counts_are_the_same_for_every_number_of_threads() {
    // Several blocks of a recount in test builds.
    for shape in SHAPES {
        let twins = Twins::new(shape, 10_000, false, false);
        let expected = recount::count(&twins.grown);
        let sizes = recount::downlines(&twins.renumbered);
        for threads in [1, 2, 5] {
            let counts = on_threads(threads, || recount::count(&twins.renumbered));
            for member in twins.members() {
                let number = twins.number(member);
                assert_eq!(counts.downline(number), expected.downline(member), "{shape}: {member:?}");
                assert_eq!(counts.levels(number), expected.levels(member), "{shape}: {member:?}");
                assert_eq!(sizes[number.at()], expected.downline(member), "{shape}: {member:?}");
            }
        }
    }
}

#[test]
fn a_tree_counted_whole_counts_on_as_the_one_that_grew() {
    let watch = Watch { downline: vec![5, 40], levels: [0; LEVELS_MAX + 1] };
    for (shape, turned) in SHAPES.into_iter().flat_map(|shape| [(shape, false), (shape, true)]) {
        let mut twins = Twins::new(shape, 3_000, true, turned);
        twins.grown.count_anew(&watch);
        let spans = twins.renumbered.count_anew(&watch);
        for joined in [0, 300] {
            for number in 0..joined {
                let parent = MemberIx(number * 7);
                let slot = twins.grown.link(parent).children;
                let mut reached = [Vec::new(), Vec::new()];
                twins.grown.attach(Some((parent, slot)), &watch, &mut reached[0]);
                let (parent, joins) = (twins.number(parent), index(twins.renumbered.len()));
                twins.renumbered.attach(Some((parent, slot)), &watch, &mut reached[1]);
                twins.numbers.push(joins.0);
                let expected: Vec<MemberIx> = reached[0].iter().map(|member| twins.number(*member)).collect();
                assert_eq!(reached[1], expected, "{shape}");
            }
            let Twins { grown, renumbered, .. } = &twins;
            for member in twins.members() {
                let number = twins.number(member);
                assert_eq!(renumbered.downline(number), grown.downline(member), "{shape}: {member:?}");
                assert_eq!(renumbered.near_downline(number), grown.near_downline(member));
                assert_eq!(renumbered.levels(number), grown.levels(member), "{shape}: {member:?}");
                let above = MemberIx(member.0 / 2);
                let expected = grown.is_ancestor(above, member);
                let (above, is_old) = (twins.number(above), member.0 < 3_000);
                assert_eq!(renumbered.is_ancestor(above, number), expected, "{shape}: {member:?}");
                assert!(!is_old || spans.is_ancestor(above, number) == expected, "{shape}: {member:?}");
                let near = grown.near_upline(member, CHAIN);
                let near: Vec<MemberIx> = near.as_slice().iter().map(|above| twins.number(*above)).collect();
                assert_eq!(renumbered.near_upline(number, CHAIN).as_slice(), near, "{shape}: {member:?}");
            }
        }
    }
}

#[test]
fn every_rule_finds_the_same_slot() {
    let all = PlacementRule::ALL.into_iter().filter(|rule| *rule != PlacementRule::Unilevel);
    let other_rules = all.clone().filter(|rule| *rule != PlacementRule::BreadthFirst).collect();
    let placement = Placement {
        width: Some(WIDTH),
        default_rule: PlacementRule::BreadthFirst,
        other_rules,
        strategic: true,
    };
    for seed in 0..8_u64 {
        let mut random = Pcg64::new(seed.into(), 3);
        let (mut grown, mut slots) = (Genealogy::new(true), SlotFinder::new(&placement));
        for member in 0..400 {
            let sponsor = MemberIx(random.next_u32() % (member / 4).max(1));
            let rule = all.clone().nth(random.next_u32() as usize % 14).unwrap();
            let place = (member != 0).then(|| slots.find(&grown, &placement, sponsor, rule));
            grown.attach(place, &Watch::default(), &mut Vec::new());
            slots.attached(&grown, &placement, MemberIx(member));
        }
        let numbers: Vec<u32> = (0..400).rev().collect();
        let number = |member: MemberIx| MemberIx(numbers[member.at()]);
        let mut renumbered = Genealogy::new(true);
        for member in (0..400).rev().map(MemberIx) {
            let link = grown.link(member);
            let parent = MemberIx::from_column(link.parent);
            renumbered.attach_unlinked(parent.map(|parent| (number(parent), link.slot)));
        }
        renumbered.link_rest(MemberIx(0), |_, _, slot| Some(slot)).unwrap();
        renumbered.settle().unwrap();
        renumbered.count_anew(&Watch::default());
        let mut found = SlotFinder::new(&placement);
        found.attached_all(&renumbered, &placement);
        for (member, rule) in
            (0..400).map(MemberIx).flat_map(|member| all.clone().map(move |rule| (member, rule)))
        {
            let (parent, slot) = slots.find(&grown, &placement, member, rule);
            let expected = (number(parent), slot);
            assert_eq!(
                found.find(&renumbered, &placement, number(member), rule),
                expected,
                "seed {seed}: {rule:?} from {member:?}"
            );
        }
    }
}

#[test]
fn walks_find_those_that_were_there_below_newer_ones_too() {
    for (shape, turned) in SHAPES.into_iter().flat_map(|shape| [(shape, false), (shape, true)]) {
        let twins = Twins::new(shape, 300, false, turned);
        for (top, before) in (0..300).step_by(11).map(MemberIx).zip((0..=300).step_by(10)) {
            let (mut walk, mut steps) =
                (twins.renumbered.preorder(twins.number(top), twins.number(top), before), usize::MAX);
            let found: Vec<MemberIx> =
                std::iter::from_fn(|| twins.renumbered.preorder_next(&mut walk, &mut steps)).collect();
            let (mut walk, mut steps) = (twins.grown.preorder(top, top, NONE), usize::MAX);
            let all = std::iter::from_fn(|| twins.grown.preorder_next(&mut walk, &mut steps));
            let expected: Vec<MemberIx> =
                all.map(|member| twins.number(member)).filter(|member| member.0 < before).collect();
            assert_eq!(found, expected, "{shape}: below {top:?}, before {before}");
        }
    }
}
