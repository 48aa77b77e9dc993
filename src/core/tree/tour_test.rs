//! The counted tour, grown member by member and made whole, compared with counts from scratch.

use super::*;
use crate::core::store::steps::steps_of;

/// Parents of a forest by shape; `parents[i] < i`.
fn forest(shape: &str, members: u32) -> Vec<Option<MemberIx>> {
    let mut random = 42_u64;
    (0..members)
        .map(|member| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let any = MemberIx(u32::try_from((random >> 33) % u64::from(member.max(1))).unwrap());
            let parent = match shape {
                "chain" => MemberIx(member.saturating_sub(1)),
                "star" => MemberIx(0),
                "ternary" => MemberIx(member.saturating_sub(1) / 3),
                _ => any,
            };
            (member != 0 && (shape != "forest" || member % 50 != 7)).then_some(parent)
        })
        .collect()
}

#[test]
fn counts_are_those_of_a_recount_for_every_shape() {
    for shape in ["chain", "star", "ternary", "uniform", "forest"] {
        let parents = forest(shape, 40_000);
        let mut tour = Tour::new();
        for (member, parent) in parents.iter().enumerate() {
            tour.push(MemberIx(narrow(member)), *parent);
        }
        let mut sizes = vec![0_u32; parents.len()];
        for member in (0..parents.len()).rev() {
            if let Some(parent) = parents[member] {
                sizes[parent.at()] += sizes[member] + 1;
            }
        }
        for (member, size) in sizes.iter().enumerate() {
            assert_eq!(tour.downline(MemberIx(narrow(member))), *size, "{shape} {member}");
        }
        // Memory and depth. In a chain, which grows in the middle, leaves are little more than a quarter
        // full.
        let (leaves, inners) = (tour.leaves.len(), tour.inners.len());
        assert!(leaves * LEAF_TOKENS <= 4 * 2 * parents.len(), "{shape}: {leaves} leaves");
        assert!(
            inners * FAN_OUT <= 4 * (leaves + inners),
            "{shape}: {inners} inner nodes over {leaves} leaves"
        );
    }
}

#[test]
fn a_tour_made_whole_is_the_one_made_step_by_step_and_goes_on_as_that() {
    for (shape, members) in ["chain", "star", "ternary", "uniform", "forest"]
        .into_iter()
        .flat_map(|shape| [0, 1, 51, 20_000].map(|n| (shape, n)))
    {
        let parents = forest(shape, members + 3_000);
        let mut steps = Tour::new();
        let push = |tour: &mut Tour, range: std::ops::Range<u32>| {
            range.for_each(|member| tour.push(MemberIx(member), parents[member as usize]));
        };
        push(&mut steps, 0..members);
        let mut sizes = Region::with_room(members as usize);
        sizes.extend((0..members).map(|member| steps.downline(MemberIx(member))));
        let columns = parents[..members as usize].iter().map(|parent| MemberIx::to_column(*parent));
        let spans = Spans::new((0..).map(MemberIx).zip(columns), sizes);
        let mut whole = Tour::whole(&spans);
        let positions = |tour: &Tour, member| {
            [Token::Enter(MemberIx(member)), Token::Exit(MemberIx(member))].map(|token| tour.position(token))
        };
        for member in 0..members {
            assert_eq!(positions(&whole, member), positions(&steps, member), "{shape} {member}");
            assert_eq!(
                positions(&whole, member),
                [spans.of(MemberIx(member)).start, spans.of(MemberIx(member)).end]
            );
            let other = MemberIx(member / 3);
            assert_eq!(
                spans.is_ancestor(other, MemberIx(member)),
                steps.is_ancestor(other, MemberIx(member)),
                "{shape} {member}"
            );
        }
        push(&mut whole, members..members + 3_000);
        push(&mut steps, members..members + 3_000);
        for member in 0..members + 3_000 {
            assert_eq!(positions(&whole, member), positions(&steps, member), "{shape} {member} of {members}");
        }
    }
}

#[test]
fn ancestors_are_those_on_the_path() {
    let parents = forest("forest", 3_000);
    let mut tour = Tour::new();
    for (member, parent) in parents.iter().enumerate() {
        tour.push(MemberIx(narrow(member)), *parent);
    }
    for member in (0..3_000).step_by(13) {
        let path: Vec<MemberIx> =
            std::iter::successors(parents[member], |above| parents[above.at()]).collect();
        for other in (0..3_000).step_by(7) {
            let expected = path.contains(&MemberIx(other));
            assert_eq!(
                tour.is_ancestor(MemberIx(other), MemberIx(narrow(member))),
                expected,
                "{other} above {member}"
            );
        }
    }
}

#[test]
fn who_contains_whom_takes_the_same_steps_for_every_pair() {
    for shape in ["chain", "star", "ternary", "uniform", "forest"] {
        let parents = forest(shape, 20_000);
        let mut tour = Tour::new();
        for (member, parent) in parents.iter().enumerate() {
            tour.push(MemberIx(narrow(member)), *parent);
        }
        let (_, expected) = steps_of(|| tour.contains(MemberIx(0), MemberIx(0)));
        // Three tokens, each with a leaf and at most `height` nodes above it.
        assert!((375..3 * 1_000).contains(&expected), "{shape}: {expected}");
        for (top, member) in (0..20_000)
            .step_by(37)
            .flat_map(|member| [(member / 2, member), (member, member), (19_999 - member, member)])
        {
            let (contains, steps) = steps_of(|| tour.contains(MemberIx(top), MemberIx(member)));
            assert_eq!(steps, expected, "{shape}: {top} and {member}");
            assert_eq!(
                contains,
                top == member || tour.is_ancestor(MemberIx(top), MemberIx(member)),
                "{shape}: {top} and {member}"
            );
        }
    }
}

#[test]
fn the_tour_is_preorder_with_siblings_in_join_order() {
    let mut tour = Tour::new();
    for (member, parent) in [(0, None), (1, Some(0)), (2, Some(0)), (3, Some(1)), (4, None), (5, Some(1))] {
        tour.push(MemberIx(member), parent.map(MemberIx));
    }
    let mut seen: Vec<u32> = (0..6).collect();
    seen.sort_by_key(|member| tour.position(Token::Enter(MemberIx(*member))));
    assert_eq!(seen, [0, 1, 3, 5, 2, 4]);
}
