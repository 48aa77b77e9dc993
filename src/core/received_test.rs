use rand_pcg::{
    Pcg64Mcg,
    rand_core::{RngCore, SeedableRng},
};

use super::*;
use crate::{
    core::{
        Entry,
        command::{Command, ImportEntry, Origin, PlacementRequest, Register, SponsorRef, Stamped, TriggerBonus},
        plan::{BonusRule, LevelPay, Plan, RankBasis, RankRule, RankStep},
        types::{MemberId, Role, Tree},
    },
    engine::MemberDirectory,
};

fn id_of(number: u32) -> MemberId {
    MemberId(u128::from(number).to_be_bytes())
}

/// Signups that pay along both trees, rewards, triggers, and entries from elsewhere with any level and time.
fn plan() -> Plan {
    let rule = |trigger: &str, tree| BonusRule {
        trigger: trigger.into(),
        tree,
        pay: LevelPay::Fixed([500, 300, 200].map(Money).to_vec()),
        on_registration: true,
        admins_beyond: false,
    };
    let mut plan = crate::plan_file::default_plan();
    plan.placement.width = Some(2);
    plan.count_sponsor_tree = true;
    plan.bonuses = vec![rule("sponsored", Tree::Sponsor), rule("placed", Tree::Placement)];
    let steps = [("Bronze", 2), ("Silver", 5)];
    let steps = steps.map(|(name, minimum)| RankStep { name: name.into(), minimum, reward: Some(Money(7_000)) }).to_vec();
    plan.ranks = RankRule::Thresholds { tree: Tree::Sponsor, basis: RankBasis::Downline, steps };
    plan
}

fn network(random: &mut Pcg64Mcg, commands: u32) -> (State, MemberDirectory) {
    let (mut state, directory) = (State::new(plan(), 1), MemberDirectory::with_capacity(0, 0));
    grow(random, &mut state, &directory, commands);
    (state, directory)
}

fn grow(random: &mut Pcg64Mcg, state: &mut State, directory: &MemberDirectory, commands: u32) {
    for _ in 0..commands {
        let pick = |random: &mut Pcg64Mcg| id_of(random.next_u32() % state.len().max(1));
        let command = match random.next_u32() % 8 {
            0 if !state.is_empty() => {
                Command::TriggerBonus(TriggerBonus { source: pick(random), trigger: "placed".into(), amount: None, once: false })
            }
            1 if !state.is_empty() => Command::ImportEntry(ImportEntry {
                receiver: pick(random),
                source: pick(random),
                level: random.next_u32() % 5_000,
                amount: Money(i64::from(random.next_u32())),
                kind: "old".into(),
                status: if random.next_u32().is_multiple_of(2) { EntryStatus::Paid } else { EntryStatus::Pending },
                time: Timestamp(i64::from(random.next_u32() % 2_000)),
                row_id: None,
            }),
            _ => Command::Register(Register {
                member: id_of(state.len()),
                sponsor: if state.is_empty() { SponsorRef::None } else { SponsorRef::Member(pick(random)) },
                placement: PlacementRequest::PlanDefault,
                code: None,
                role: Role::Member,
                joined_at: None,
                origin: Origin::Signup,
            }),
        };
        let lsn = state.lsn() + 1;
        let time = Timestamp(i64::try_from(lsn - 1).unwrap() * 3);
        state.apply(&mut directory.write(), &Stamped { lsn, time, key: None, actor: None, command });
    }
}

/// All entries of a receiver as they are to be shown.
fn naive(state: &State, receiver: MemberIx) -> Vec<Entry> {
    let mut entries: Vec<Entry> = (0..state.entries()).map(|index| state.entry(index)).filter(|entry| entry.receiver == receiver).collect();
    entries.sort_by_key(|entry| (std::cmp::Reverse(entry.lsn), entry.level, entry.index));
    entries
}

#[test]
fn what_is_received_comes_in_order_and_goes_on_from_anywhere() {
    let mut longest_run = 0;
    for seed in 0..60 {
        println!("seed {seed}");
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let commands = 1 + random.next_u32() % 200;
        let (state, _) = network(&mut random, commands);
        for receiver in (0..state.len()).map(MemberIx) {
            let expected: Vec<u64> = naive(&state, receiver).iter().map(|entry| entry.index).collect();
            let (mut walk, mut found) = (state.received(receiver), Vec::new());
            while let Some(entry) = state.received_step(&mut walk) {
                found.push(entry);
                longest_run = longest_run.max(walk.shown);
                if random.next_u32().is_multiple_of(3) {
                    match walk.position() {
                        Some(position) => walk = state.received_from(receiver, position).expect("a position of this walk"),
                        None => assert!(walk.is_over()),
                    }
                }
            }
            assert_eq!(found, expected, "seed {seed}, {receiver:?}");
            assert!(walk.is_over());
            // Positions of others, or of nobody.
            for _ in 0..20 {
                let position = (u64::from(random.next_u32()) % (state.entries() + 2), random.next_u32() % 6);
                if let Some(mut walk) = state.received_from(receiver, position) {
                    let entry = state.received_step(&mut walk);
                    assert!(entry.is_none_or(|entry| state.entry(entry).receiver == receiver), "seed {seed}: {position:?}");
                }
            }
        }
    }
    assert!(2 < longest_run, "several entries of one command for one receiver are among what is tested");
}

#[test]
fn sums_are_what_adding_up_gives() {
    for seed in 0..60 {
        println!("seed {seed}");
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let commands = 1 + random.next_u32() % 200;
        let (state, _) = network(&mut random, commands);
        for receiver in (0..state.len()).map(MemberIx) {
            let from = i64::from(random.next_u32() % 700);
            let until = if random.next_u32().is_multiple_of(2) { i64::MAX } else { from + i64::from(random.next_u32() % 300) };
            let mut sums = state.received_sums(receiver, Timestamp(from), Timestamp(until));
            while !sums.is_over() {
                state.received_sums_step(&mut sums, 1 + random.next_u32() as usize % 5);
            }
            let entries: Vec<Entry> = naive(&state, receiver).into_iter().filter(|entry| (from..until).contains(&entry.time.0)).collect();
            let sum = |keep: &dyn Fn(&&Entry) -> bool| {
                let kept = entries.iter().filter(keep);
                kept.fold(Sum::default(), |sum, entry| Sum { entries: sum.entries + 1, amount: sum.amount + i128::from(entry.amount.0) })
            };
            assert_eq!(sums.total, sum(&|_| true), "seed {seed}");
            assert_eq!(sums.pending, sum(&|entry| entry.status == EntryStatus::Pending), "seed {seed}");
            for (level, of_level) in &sums.by_level {
                assert_eq!(*of_level, sum(&|entry| entry.level.min(SUM_LEVELS_MAX) == *level), "seed {seed}, level {level}");
            }
            for (kind, of_kind) in &sums.by_kind {
                assert_eq!(*of_kind, sum(&|entry| entry.kind == *kind), "seed {seed}, kind {kind}");
            }
            let counted: u64 = sums.by_level.values().map(|of_level| of_level.entries).sum();
            assert_eq!((counted, sums.by_kind.values().map(|of_kind| of_kind.entries).sum()), (sums.total.entries, sums.total.entries));
        }
    }
}

/// Where times ascend, nobody pays for entries from before the window: a report on a week looks at that week.
#[test]
fn sums_end_with_the_first_entry_from_before_the_window() {
    let (mut state, directory) = (State::new(plan(), 1), MemberDirectory::with_capacity(0, 0));
    let signup = |number: u32| {
        let sponsor = if number == 0 { SponsorRef::None } else { SponsorRef::Member(id_of(0)) };
        let (member, placement) = (id_of(number), PlacementRequest::PlanDefault);
        let (code, role, joined_at, origin) = (None, Role::Member, None, Origin::Signup);
        Command::Register(Register { member, sponsor, placement, code, role, joined_at, origin })
    };
    for number in 0..100 {
        let stamped =
            Stamped { lsn: u64::from(number) + 1, time: Timestamp(number.into()), key: None, actor: None, command: signup(number) };
        state.apply(&mut directory.write(), &stamped);
    }
    let in_window = naive(&state, MemberIx(0)).iter().filter(|entry| 90 <= entry.time.0).count();
    assert!(10 <= in_window);
    let mut sums = state.received_sums(MemberIx(0), Timestamp(90), Timestamp(i64::MAX));
    state.received_sums_step(&mut sums, in_window + 1);
    assert_eq!((sums.is_over(), sums.total.entries), (true, in_window as u64));
}

#[test]
fn what_each_member_brought_is_what_adding_up_gives() {
    for seed in 0..60 {
        println!("seed {seed}");
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let (mut state, directory) = network(&mut random, 150);
        for receiver in (0..state.len()).map(MemberIx) {
            let level = random.next_u32() % 4;
            let asked: Vec<MemberIx> = (0..state.len()).map(MemberIx).filter(|_| random.next_u32().is_multiple_of(3)).collect();
            let mut brought = state.brought(receiver, level);
            asked.iter().for_each(|source| brought.ask(*source));
            // What comes in while it is looked through belongs to the answer.
            while !state.brought_step(&mut brought, 1 + random.next_u32() as usize % 5) {
                let commands = random.next_u32() % 2;
                grow(&mut random, &mut state, &directory, commands);
            }
            for source in (0..state.len()).map(MemberIx) {
                let entries = naive(&state, receiver).into_iter().filter(|entry| entry.source == source && entry.level == level);
                let amount: i128 = entries.map(|entry| i128::from(entry.amount.0)).sum();
                let expected = if asked.contains(&source) { amount } else { 0 };
                assert_eq!(brought.of(source).amount, expected, "seed {seed}");
            }
        }
    }
}
