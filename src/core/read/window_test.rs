use std::collections::HashMap;

use rand_pcg::{
    Pcg64Mcg,
    rand_core::{RngCore, SeedableRng},
};

use super::*;
use crate::{
    core::{
        requests::command::{Command, Origin, PlacementRequest, Register, SponsorRef, Stamped},
        words::types::{MemberId, Role, Timestamp},
    },
    engine::MemberDirectory,
};

fn id_of(number: u32) -> MemberId {
    MemberId(u128::from(number).to_be_bytes())
}

/// A network whose slots are taken in any order.
fn network(random: &mut Pcg64Mcg, members: u32, width: u16) -> State {
    let mut plan = crate::plan_file::default_plan();
    plan.placement.width = Some(width);
    plan.placement.strategic = true;
    plan.count_sponsor_tree = random.next_u32().is_multiple_of(2);
    let directory = MemberDirectory::with_capacity(0, 0);
    let mut state = State::new(plan, 1);
    for number in 0..members {
        let sponsor = MemberIx(random.next_u32() % state.len().max(1));
        let slot =
            PlacementRequest::Slot { parent: id_of(sponsor.0), slot: random.next_u32() % u32::from(width) };
        let register = |placement| {
            Command::Register(Register {
                member: id_of(number),
                sponsor: if number == 0 { SponsorRef::None } else { SponsorRef::Member(id_of(sponsor.0)) },
                placement,
                code: None,
                role: Role::Member,
                joined_at: None,
                origin: Origin::Signup,
            })
        };
        for placement in [slot, PlacementRequest::PlanDefault] {
            if state.len() == number && !(number == 0 && placement == slot) {
                let lsn = state.lsn() + 1;
                state.apply(
                    &mut directory.write(),
                    &Stamped {
                        lsn,
                        time: Timestamp(1),
                        key: None,
                        actor: None,
                        format: 1,
                        command: register(placement),
                    },
                );
            }
        }
    }
    assert_eq!(state.len(), members);
    state
}

#[test]
fn a_window_is_the_nearest_members_and_tells_what_it_hides() {
    for seed in 0..200 {
        println!("seed {seed}");
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let (members, width) =
            (1 + random.next_u32() % 120, 1 + u16::try_from(random.next_u32() % 30).unwrap());
        let state = network(&mut random, members, width);
        for _ in 0..20 {
            let tree = if random.next_u32().is_multiple_of(2) { Tree::Sponsor } else { Tree::Placement };
            let top = MemberIx(random.next_u32() % members);
            let (depth, most) = (random.next_u32() % 6, 1 + random.next_u32() as usize % 40);
            let size = WindowSize { depth, members: most, siblings: 1 + random.next_u32() as usize % 6 };
            let window = state.window(tree, top, None, size);
            assert!(window.len() <= most, "seed {seed}");
            assert!(window.is_sorted_by_key(|member| member.depth), "seed {seed}: level by level");
            let shown: HashMap<MemberIx, u32> =
                window.iter().map(|member| (member.member, member.depth)).collect();
            assert_eq!(shown.len(), window.len(), "seed {seed}: each once");
            for (place, found) in window.iter().enumerate() {
                assert_eq!(
                    (found.direct, found.downline),
                    (state.direct(tree, found.member), state.downline(tree, found.member))
                );
                assert_eq!(found.above.is_some(), 0 < place, "seed {seed}: only the top has none");
                if let Some(at) = found.above {
                    let above = state.above(tree, found.member).unwrap();
                    assert_eq!(
                        shown.get(&above),
                        Some(&(found.depth - 1)),
                        "seed {seed}: parents come first"
                    );
                    assert_eq!(window[at].member, above, "seed {seed}");
                }
                let children: Vec<MemberIx> = state.children(tree, found.member).collect();
                let of_window: Vec<MemberIx> =
                    children.iter().copied().filter(|child| shown.contains_key(child)).collect();
                assert_eq!(
                    of_window,
                    children[..found.shown as usize],
                    "seed {seed}: the first children are shown"
                );
                assert_eq!(of_window.last().copied(), found.last_shown, "seed {seed}");
                assert!(found.shown as usize <= size.siblings && found.depth <= depth);
                let full = window.len() == most;
                let may_show = if found.depth == depth { 0 } else { children.len().min(size.siblings) };
                assert!(
                    full || found.shown as usize == may_show,
                    "seed {seed}: nobody is hidden while there is room"
                );
                let slots: Vec<u32> = children.iter().map(|child| state.slot_in(tree, *child)).collect();
                let free: Vec<u32> = (0..u32::from(width))
                    .filter(|slot| tree == Tree::Placement && !slots.contains(slot))
                    .collect();
                assert_eq!(found.empty, free[..free.len().min(EMPTY_SLOTS_NAMED_MAX)], "seed {seed}");
                assert_eq!(found.empty_count as usize, free.len(), "seed {seed}");
            }
        }
    }
}

#[test]
fn going_on_shows_every_child_once() {
    for seed in 0..60 {
        println!("seed {seed}");
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let state = network(&mut random, 80, 25);
        for top in (0..80).map(MemberIx) {
            for tree in [Tree::Sponsor, Tree::Placement] {
                let (mut after, mut seen) = (None, Vec::new());
                loop {
                    let size = WindowSize {
                        depth: 1,
                        members: 2 + random.next_u32() as usize % 4,
                        siblings: 1 + random.next_u32() as usize % 4,
                    };
                    let window = state.window(tree, top, after, size);
                    seen.extend(window[1..].iter().map(|child| child.member));
                    after = window[0].last_shown.map(|last| (last, window[0].shown));
                    if window[0].shown == window[0].direct {
                        break;
                    }
                }
                assert_eq!(
                    seen,
                    state.children(tree, top).collect::<Vec<_>>(),
                    "seed {seed}, {top:?}, {tree:?}"
                );
            }
        }
    }
}
