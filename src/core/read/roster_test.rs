//! A list of members equals a check of each of them, in pieces of any size, while others join.

use rand_pcg::{
    Pcg64Mcg,
    rand_core::{RngCore, SeedableRng},
};

use super::*;
use crate::core::{
    read::received::network as network_test,
    requests::command::{Command, Stamped},
};

/// The expected list, from the members' public fields.
fn naive(state: &State, filter: &MemberFilter, order: RosterOrder, before: u32) -> Vec<MemberIx> {
    let is_listed = |member: &MemberIx| {
        let (facts, rank) = (state.member(*member), state.rank(*member).paid_as);
        (!filter.roots || facts.sponsor.is_none())
            && filter.status.is_none_or(|status| facts.status == status)
            && filter.role.is_none_or(|role| facts.role == role)
            && filter.rank.is_none_or(|wanted| wanted == rank)
            && filter.from <= facts.joined_at
            && facts.joined_at < filter.until
    };
    let mut all: Vec<MemberIx> = (0..before).map(MemberIx).filter(is_listed).collect();
    if order == RosterOrder::NewestFirst {
        all.reverse();
    }
    all
}

fn some<T: Copy>(random: &mut Pcg64Mcg, values: &[T]) -> Option<T> {
    let place = random.next_u32() as usize % (values.len() + 2);
    values.get(place).copied()
}

fn filter(random: &mut Pcg64Mcg) -> MemberFilter {
    let mut time = |otherwise: i64| match random.next_u32() % 3 {
        0 => Timestamp(i64::from(random.next_u32() % 900)),
        _ => Timestamp(otherwise),
    };
    let (from, until) = (time(i64::MIN), time(i64::MAX));
    MemberFilter {
        roots: random.next_u32().is_multiple_of(4),
        status: some(random, &[Status::Active, Status::Inactive, Status::Terminated]),
        role: some(random, &Role::ALL),
        rank: some(random, &[0, 1, 2, 7]),
        from,
        until,
    }
}

#[test]
fn a_list_is_what_a_look_at_each_member_finds() {
    let (mut found, mut nothing) = (0, 0);
    for seed in 0..40 {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let (mut state, directory) = network_test::network(&mut random, 200);
        for _ in 0..40 {
            let member = network_test::id_of(random.next_u32() % state.len());
            let command = match random.next_u32() % 3 {
                0 => Command::SetRole { member, role: Role::Admin },
                1 => Command::SetStatus { member, status: Status::Inactive },
                _ => Command::SetStatus { member, status: Status::Terminated },
            };
            let lsn = state.lsn() + 1;
            let time = Timestamp(i64::try_from(lsn).unwrap() * 3);
            state.apply(
                &mut directory.write(),
                &Stamped { lsn, time, key: None, actor: None, format: 1, command },
            );
        }
        for round in 0..30 {
            let (filter, order) =
                (filter(&mut random), [RosterOrder::OldestFirst, RosterOrder::NewestFirst][round % 2]);
            let mut roster = state.roster(filter, order);
            let before = state.len();
            let (mut listed, mut calls) = (Vec::new(), 0);
            while !roster.is_over() {
                let mut steps = 1 + random.next_u32() as usize % 9;
                let asked = steps;
                match state.roster_step(&mut roster, &mut steps) {
                    Some(member) => listed.push(member),
                    None => assert!(
                        steps == 0 || roster.is_over(),
                        "seed {seed}: it stops before its steps are used up"
                    ),
                }
                assert!(steps < asked, "seed {seed}: it always does something");
                // A member joins, and the list continues from its position. This would change ranks.
                if filter.rank.is_none() && random.next_u32().is_multiple_of(16) {
                    network_test::grow(&mut random, &mut state, &directory, 1);
                }
                roster = state.roster_from(filter, order, roster.position()).expect("its own position");
                let mut ahead = roster;
                let goes_on = state.roster_goes_on(&mut ahead, &mut 3);
                assert!(goes_on || ahead.is_over(), "seed {seed}");
                calls += 1;
                assert!(calls <= before, "seed {seed}: it ends");
            }
            assert_eq!(listed, naive(&state, &filter, order, before), "seed {seed}: {filter:?} {order:?}");
            (found, nothing) = if listed.is_empty() { (found, nothing + 1) } else { (found + 1, nothing) };
        }
    }
    assert!(100 < found && 100 < nothing, "{found} lists with members, {nothing} without");
}

#[test]
fn only_positions_of_this_network_are_taken() {
    let (state, _) = network_test::network(&mut Pcg64Mcg::seed_from_u64(1), 20);
    let members = u64::from(state.len());
    let taken =
        |position| state.roster_from(MemberFilter::default(), RosterOrder::NewestFirst, position).is_some();
    // looked, before, whether that is possible
    let table = [
        (0, 0, true),
        (0, members, true),
        (members, members, true),
        (members + 1, members, false),
        (0, members + 1, false),
        (1, 0, false),
        (u64::MAX, members, false),
        (1 << 32, members, false),
        (0, 1 << 32, false),
    ];
    for (looked, before, expected) in table {
        assert_eq!(taken([looked, before]), expected, "{looked} of {before}");
    }
}
