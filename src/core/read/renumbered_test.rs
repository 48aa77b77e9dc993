//! The same network with its members numbered in another order, as it may be once members can move: restored
//! from renumbered rows, it must be the same network, and stay the same.

use rand_pcg::{Pcg64, rand_core::RngCore};

use super::*;
use crate::{
    core::{
        network::rows::CodeRow,
        plan::{PlacementRule, Plan},
        read::{digest::state_digest, network_digest::network_digest},
        requests::command::{Command, PlacementRequest, Register, Stamped},
        state::sections::{ImageHeader, ImageRows, Section},
        words::types::Timestamp,
    },
    plan_file,
    shapes::{Shape, member_id},
    workload::{self, Apply, Network},
};

const MEMBERS: u32 = 300;

/// Ternary and breadth first; binary with every rule; unlimited, with both trees counted, only one, or one
/// that is both.
fn plans() -> [Plan; 5] {
    let [mut ternary, mut binary, mut counted, mut uncounted, mut unilevel] =
        [(); 5].map(|()| plan_file::default_plan());
    ternary.count_sponsor_tree = true;
    binary.placement.width = Some(2);
    binary.placement.other_rules = PlacementRule::ALL
        .into_iter()
        .filter(|rule| *rule != PlacementRule::Unilevel && *rule != binary.placement.default_rule)
        .collect();
    for plan in [&mut counted, &mut uncounted, &mut unilevel] {
        plan.placement.width = None;
        plan.placement.default_rule = PlacementRule::Unilevel;
        plan.placement.other_rules.clear();
        plan.placement.strategic = true;
    }
    counted.count_sponsor_tree = true;
    uncounted.count_sponsor_tree = false;
    unilevel.placement.strategic = false;
    [ternary, binary, counted, uncounted, unilevel]
}

fn stamped(state: &State, command: Command) -> Stamped {
    let lsn = state.lsn() + 1;
    Stamped { lsn, time: Timestamp(i64::try_from(lsn).unwrap()), key: None, actor: None, format: 1, command }
}

/// A network with payments, an admin, and signups by all rules.
fn network(plan: Plan, seed: u64) -> Network {
    let mut network = Network::grown(plan, Shape::Uniform, MEMBERS, 1);
    let admin = Command::SetRole { member: member_id(1, 0), role: Role::Admin };
    network.apply(&[stamped(&network.state, admin)]);
    signups(&mut network, seed);
    network
}

/// Signs members up below any others, by all allowed rules; each brings its sponsor's upline a bonus.
fn signups(network: &mut Network, seed: u64) {
    let mut random = Pcg64::new(seed.into(), 9);
    let placement = network.state.plan().placement.clone();
    let rules: Vec<PlacementRule> =
        PlacementRule::ALL.into_iter().filter(|rule| placement.allows(*rule)).collect();
    for _ in 0..100 {
        let members = network.state.len();
        let rule = rules[random.next_u32() as usize % rules.len()];
        let sponsor = member_id(1, random.next_u32() % MEMBERS);
        let Command::Register(register) = workload::register(member_id(1, members), Some(sponsor)) else {
            unreachable!("it is a registration")
        };
        let register = Register { placement: PlacementRequest::Rule(rule), ..register };
        network.apply(&[stamped(&network.state, Command::Register(register))]);
    }
}

/// The rows of a network with its members numbered in any order, in chunks of `chunk`; each keeps its code.
fn renumbered(network: &Network, numbers: &[u32], chunk: usize) -> (ImageHeader, Vec<ImageRows>) {
    let number = |member: u32| if member == NONE { NONE } else { numbers[member as usize] };
    let (mut header, rows) = workload::image(network);
    let members = header.rows[Section::Members];
    header.rows[Section::Codes] = members;
    let mut codes: Vec<CodeRow> = (0..members)
        .map(|member| CodeRow {
            member: number(member),
            code: network.state.code(MemberIx(member)).as_str().into(),
        })
        .collect();
    codes.sort_by_key(|row| row.member);
    let mut result = Vec::new();
    for rows in rows {
        let rows = match rows {
            ImageRows::Members(rows) => {
                let mut places: Vec<usize> = (0..rows.len()).collect();
                places.sort_by_key(|place| numbers[*place]);
                let renumbered = places.into_iter().map(|place| {
                    let mut row = rows[place];
                    (row.sponsor, row.parent) = (number(row.sponsor), number(row.parent));
                    row
                });
                let renumbered: Vec<_> = renumbered.collect();
                result.extend(renumbered.chunks(chunk).map(|rows| ImageRows::Members(rows.to_vec())));
                // A chunk without rows adds nothing.
                result.push(ImageRows::Members(Vec::new()));
                ImageRows::Codes(std::mem::take(&mut codes))
            }
            ImageRows::Codes(rows) => {
                assert!(rows.is_empty(), "no code was given");
                continue;
            }
            ImageRows::Triggers(mut rows) => {
                rows.iter_mut().for_each(|row| row.source = number(row.source));
                ImageRows::Triggers(rows)
            }
            ImageRows::Entries(mut rows) => {
                rows.iter_mut().for_each(|row| row.receiver = number(row.receiver));
                ImageRows::Entries(rows)
            }
            other => other,
        };
        result.push(rows);
    }
    (header, result)
}

fn shuffled(members: u32, seed: u64) -> Vec<u32> {
    let mut random = Pcg64::new(seed.into(), 2);
    let mut numbers: Vec<u32> = (0..members).collect();
    for at in (1..numbers.len()).rev() {
        numbers.swap(at, random.next_u32() as usize % (at + 1));
    }
    numbers
}

/// Every member's numbers in both networks.
fn compare(one: &State, other: &State, numbers: &[u32], what: &str) {
    assert_eq!(network_digest(one), network_digest(other), "{what}");
    assert_eq!(audit(other, 3), Vec::<String>::new(), "{what}");
    assert_eq!((one.depth(), one.rank_distribution()), (other.depth(), other.rank_distribution()), "{what}");
    for (member, number) in members(one).zip(numbers) {
        let number = MemberIx(*number);
        assert_eq!(one.rank(member), other.rank(number), "{what}: {member:?}");
        for tree in [Tree::Sponsor, Tree::Placement] {
            assert_eq!(one.downline(tree, member), other.downline(tree, number), "{what}: {member:?}");
            assert_eq!(one.levels(tree, member), other.levels(tree, number), "{what}: {member:?}");
            assert_eq!(one.deep_levels_of(tree, member), other.deep_levels_of(tree, number), "{what}");
        }
    }
}

#[test]
fn a_renumbered_network_is_the_same_network_and_stays_it() {
    for (at, plan) in plans().into_iter().enumerate() {
        for seed in 0..3 {
            let what = format!("plan {at}, seed {seed}");
            let mut grown = network(plan.clone(), seed);
            let mut numbers = match seed {
                0 => (0..grown.state.len()).rev().collect(),
                _ => shuffled(grown.state.len(), seed),
            };
            // Mostly many chunks, so that most parents come in a later one.
            let chunk = match seed {
                0 => 7,
                1 => 150,
                _ => 1_000,
            };
            let mut other = workload::restored(renumbered(&grown, &numbers, chunk));
            assert!(!other.state.network.placement().is_in_join_order(), "{what}");
            compare(&grown.state, &other.state, &numbers, &what);
            signups(&mut grown, seed + 10);
            signups(&mut other, seed + 10);
            numbers.extend(other.state.len() - 100..other.state.len());
            compare(&grown.state, &other.state, &numbers, &format!("{what}, grown on"));
            let again = workload::restored(workload::image(&other));
            assert_eq!(again.digest(), state_digest(&other.state), "{what}: restored once more");
        }
    }
}
