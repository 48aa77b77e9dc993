//! The recount from scratch matches the incremental result, for any number of threads, also on a frozen view
//! during signups.

use upline::{
    core::{
        audit,
        command::{Command, Origin, Outcome, PlacementRequest, Register, SponsorRef, Stamped},
        network_digest,
        plan::{Currency, Placement, PlacementRule, Plan, RankBasis, RankRule, RankStep, commerce::Commerce},
        recomputed_ranks,
        state::{CopyProgress, FrozenCopy, Parts, State},
        state_digest,
        types::{MemberId, MemberIx, Role, Timestamp, Tree},
    },
    engine::MemberDirectory,
};

fn plan(ranks: RankRule) -> Plan {
    Plan {
        name: "recompute".into(),
        currency: Currency { code: *b"USD", exponent: 2 },
        placement: Placement {
            width: Some(3),
            default_rule: PlacementRule::BreadthFirst,
            other_rules: Vec::new(),
            strategic: false,
        },
        count_sponsor_tree: true,
        level_cap: 15,
        bonuses: Vec::new(),
        commerce: Commerce::default(),
        ranks,
    }
}

fn steps(minima: &[u32]) -> Vec<RankStep> {
    minima
        .iter()
        .map(|minimum| RankStep { name: format!("from {minimum}").into(), minimum: *minimum, reward: None })
        .collect()
}

/// Grows a network with uniform sponsors, some of them admins, from `from` to `to` members.
fn grow(state: &mut State, maps: &mut MemberDirectory, from: u32, to: u32) {
    for member in from..to {
        let scrambled = u64::from(member).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        let sponsor = u32::try_from(scrambled % u64::from(member.max(1))).unwrap();
        let id = |number: u32| MemberId(u128::from(number).to_be_bytes());
        let register = Register {
            member: id(member),
            sponsor: if member == 0 { SponsorRef::None } else { SponsorRef::Member(id(sponsor)) },
            placement: PlacementRequest::PlanDefault,
            code: None,
            role: if member % 5_000 == 0 { Role::Admin } else { Role::Member },
            joined_at: None,
            origin: Origin::Signup,
        };
        let stamped = Stamped {
            lsn: state.lsn() + 1,
            time: Timestamp(i64::from(member)),
            key: None,
            actor: None,
            format: 1,
            command: Command::Register(register),
        };
        assert_eq!(state.apply(maps, &stamped).outcome, Outcome::Registered { member: MemberIx(member) });
    }
}

#[test]
fn any_number_of_threads_gives_the_incremental_result() {
    let rules = [
        RankRule::Thresholds {
            tree: Tree::Placement,
            basis: RankBasis::Downline,
            steps: steps(&[3, 10, 25, 50, 700]),
        },
        RankRule::Thresholds { tree: Tree::Sponsor, basis: RankBasis::Direct, steps: steps(&[1, 2, 5]) },
        RankRule::LevelFill { tree: Tree::Sponsor, steps: steps(&[2, 3, 4, 5, 6]) },
    ];
    for rule in rules {
        let mut state = State::new(plan(rule), 1);
        grow(&mut state, &mut MemberDirectory::with_capacity(0, 0), 0, 40_000);
        let held: Vec<u16> = (0..state.len()).map(|member| state.rank(MemberIx(member)).paid_as).collect();
        assert!(held.iter().any(|rank| 1 < *rank), "somebody rose, else this shows nothing");
        let digests: Vec<_> = [1, 2, 3, 8]
            .into_iter()
            .map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    assert_eq!(recomputed_ranks(&state), held, "{threads} threads");
                    (state_digest(&state), network_digest(&state))
                })
            })
            .collect();
        assert!(
            digests.windows(2).all(|pair| pair[0] == pair[1]),
            "digests do not depend on the number of threads"
        );
        assert_eq!(audit(&state, 3), Vec::<String>::new());
    }
}

#[test]
fn a_frozen_view_stands_still_while_the_network_grows() {
    let rule = RankRule::Thresholds {
        tree: Tree::Placement,
        basis: RankBasis::Downline,
        steps: steps(&[3, 10, 25, 50]),
    };
    let mut state = State::new(plan(rule), 1);
    let mut maps = MemberDirectory::with_capacity(0, 0);
    grow(&mut state, &mut maps, 0, 30_000);
    let before = state_digest(&state);
    let frozen = state.freeze(Parts::ALL).expect("the only view");
    let mut copy = FrozenCopy::default();
    let mut grown = 30_000;
    while state.copy_frozen(frozen, &mut copy) == CopyProgress::More {
        grow(&mut state, &mut maps, grown, grown + 500);
        grown += 500;
    }
    drop(state.thaw(frozen));
    let view = copy.into_state();
    assert!(50_000 < state.len(), "the network grew under the view");
    assert_eq!(view.len(), 30_000);
    assert_eq!(state_digest(&view), before);
    assert_eq!(audit(&view, 3), Vec::<String>::new());
    assert_eq!(audit(&state, 3), Vec::<String>::new());
}
