use rand_pcg::{
    Pcg64Mcg,
    rand_core::{RngCore, SeedableRng},
};

use super::{
    network::{grow, id_of, network, plan},
    *,
};
use crate::{
    core::{
        ledger::entries::Entry,
        requests::command::{Command, Origin, PlacementRequest, Register, SponsorRef, Stamped},
        words::types::{EntryStatus, Role},
    },
    engine::MemberDirectory,
};

/// All entries of a receiver in list order.
fn naive(state: &State, receiver: MemberIx) -> Vec<Entry> {
    let mut entries: Vec<Entry> = (0..state.entries())
        .map(|index| state.entry(index))
        .filter(|entry| entry.receiver == receiver)
        .collect();
    entries.sort_by_key(|entry| (std::cmp::Reverse(entry.lsn), entry.level, entry.index));
    entries
}

#[test]
fn sums_are_what_adding_up_gives() {
    let mut voids = 0;
    for seed in 0..60 {
        println!("seed {seed}");
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let commands = 1 + random.next_u32() % 200;
        let (state, _) = network(&mut random, commands);
        for receiver in (0..state.len()).map(MemberIx) {
            let from = i64::from(random.next_u32() % 700);
            let until = if random.next_u32().is_multiple_of(2) {
                i64::MAX
            } else {
                from + i64::from(random.next_u32() % 300)
            };
            let mut sums = state.received_sums(receiver, Timestamp(from), Timestamp(until));
            while !sums.is_over() {
                state.received_sums_step(&mut sums, 1 + random.next_u32() as usize % 5);
            }
            let entries: Vec<Entry> = naive(&state, receiver)
                .into_iter()
                .filter(|entry| (from..until).contains(&entry.time.0))
                .collect();
            let sum = |keep: &dyn Fn(&&Entry) -> bool| {
                let kept = entries.iter().filter(keep);
                kept.fold(Sum::default(), |sum, entry| Sum {
                    entries: sum.entries + 1,
                    amount: sum.amount + i128::from(entry.amount.0),
                })
            };
            let is_void = |entry: &&Entry| entry.status == EntryStatus::Void;
            voids += entries.iter().filter(is_void).count();
            assert_eq!(sums.total, sum(&|entry| !is_void(entry)), "seed {seed}");
            for status in EntryStatus::ALL {
                let expected = sum(&|entry| entry.status == status);
                assert_eq!(sums.by_status[status as usize], expected, "seed {seed}, {status:?}");
            }
            for (level, of_level) in &sums.by_level {
                assert_eq!(
                    *of_level,
                    sum(&|entry| !is_void(entry) && entry.level.min(SUM_LEVELS_MAX) == *level),
                    "seed {seed}, level {level}"
                );
            }
            for (kind, of_kind) in &sums.by_kind {
                let of_this = sum(&|entry| !is_void(entry) && entry.kind == *kind);
                assert_eq!(*of_kind, of_this, "seed {seed}, kind {kind}");
            }
            let counted: u64 = sums.by_level.values().map(|of_level| of_level.entries).sum();
            assert_eq!(
                (counted, sums.by_kind.values().map(|of_kind| of_kind.entries).sum()),
                (sums.total.entries, sums.total.entries)
            );
        }
    }
    assert!(20 <= voids, "{voids} void entries");
}

/// Where times ascend, entries from before the window cost nothing: a report on a week reads that week.
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
        let stamped = Stamped {
            lsn: u64::from(number) + 1,
            time: Timestamp(number.into()),
            key: None,
            actor: None,
            format: 1,
            command: signup(number),
        };
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
            let asked: Vec<MemberIx> =
                (0..state.len()).map(MemberIx).filter(|_| random.next_u32().is_multiple_of(3)).collect();
            let mut brought = state.brought(receiver, level);
            asked.iter().for_each(|source| brought.ask(*source));
            // Entries added during the walk belong to the answer.
            while !state.brought_step(&mut brought, 1 + random.next_u32() as usize % 5) {
                let commands = random.next_u32() % 2;
                grow(&mut random, &mut state, &directory, commands);
            }
            for source in (0..state.len()).map(MemberIx) {
                let entries = naive(&state, receiver)
                    .into_iter()
                    .filter(|entry| entry.source == source && entry.level == level)
                    .filter(|entry| entry.status != EntryStatus::Void);
                let amount: i128 = entries.map(|entry| i128::from(entry.amount.0)).sum();
                let expected = if asked.contains(&source) { amount } else { 0 };
                assert_eq!(brought.of(source).amount, expected, "seed {seed}");
            }
        }
    }
}
