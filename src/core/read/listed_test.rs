use rand_pcg::{
    Pcg64Mcg,
    rand_core::{RngCore, SeedableRng},
};

use super::*;
use crate::core::{
    ledger::{entries::Entry, statuses::Statuses},
    read::received::network::{grow, network, reopened},
    words::types::EntryStatus,
};

/// All entries in list order.
fn naive(state: &State, filter: &EntryFilter) -> Vec<u64> {
    let mut entries: Vec<Entry> = (0..state.entries())
        .map(|index| state.entry(index))
        .filter(|entry| is_shown(state, filter, entry))
        .collect();
    entries.sort_by_key(|entry| (Reverse(entry.time), Reverse(entry.lsn), entry.level, entry.index));
    entries.iter().map(|entry| entry.index).collect()
}

fn is_shown(state: &State, filter: &EntryFilter, entry: &Entry) -> bool {
    filter.takes(entry) && (filter.reference.is_none() || filter.reference == state.reference_of(entry.index))
}

fn some<T>(random: &mut Pcg64Mcg, value: impl FnOnce(&mut Pcg64Mcg) -> T) -> Option<T> {
    random.next_u32().is_multiple_of(3).then(|| value(random))
}

fn filter(random: &mut Pcg64Mcg, state: &State) -> EntryFilter {
    let member = |random: &mut Pcg64Mcg| MemberIx(random.next_u32() % state.len());
    let time = |random: &mut Pcg64Mcg| Timestamp(i64::from(random.next_u32() % 700));
    let reference =
        |random: &mut Pcg64Mcg| Reference::parse(&format!("order {}", random.next_u32() % 5)).expect("short");
    EntryFilter {
        reference: some(random, reference),
        receiver: some(random, member),
        source: some(random, member),
        statuses: some(random, |random| EntryStatus::ALL[random.next_u32() as usize % 4]).into(),
        kind: some(random, |random| state.entry(u64::from(random.next_u32()) % state.entries().max(1)).kind)
            .filter(|_| state.entries() != 0),
        from: some(random, time).unwrap_or(Timestamp(i64::MIN)),
        until: some(random, time).unwrap_or(Timestamp(i64::MAX)),
    }
}

/// The rest of a walk, with pauses, sometimes resuming from its position instead.
fn walked(random: &mut Pcg64Mcg, state: &State, mut walk: Listed) -> Vec<u64> {
    let mut found = Vec::new();
    while !walk.is_over() {
        let mut steps = random.next_u32() as usize % 4;
        found.extend(state.listed_step(&mut walk, &mut steps));
        if random.next_u32().is_multiple_of(3) {
            walk = state.listed_from(walk.filter.clone(), walk.position()).expect("a position of this walk");
        }
    }
    found
}

/// Imported entries have any time, past or future, and come before and after others; in networks as they
/// grew, and restored from images.
#[test]
fn every_list_is_the_naive_one_sorted_and_filtered() {
    let mut late = 0;
    for seed in 0..120 {
        println!("seed {seed}");
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let commands = 1 + random.next_u32() % 200;
        let (grown, directory) = network(&mut random, commands);
        let restored = reopened(&grown);
        late += grown.ledger.entries().late_entries();
        for state in [&grown, &restored] {
            assert_eq!(state.ledger.entries().late_entries(), grown.ledger.entries().late_entries());
            for round in 0..20 {
                let filter = if round == 0 { EntryFilter::default() } else { filter(&mut random, state) };
                assert_eq!(
                    walked(&mut random, state, state.listed(filter.clone())),
                    naive(state, &filter),
                    "seed {seed}, {filter:?}"
                );
            }
            for receiver in (0..state.len()).map(MemberIx) {
                let filter = EntryFilter { receiver: Some(receiver), ..EntryFilter::default() };
                assert_eq!(
                    walked(&mut random, state, state.listed(filter.clone())),
                    naive(state, &filter),
                    "seed {seed}, {receiver:?}"
                );
                let entries: Vec<u64> = state.received_entries(receiver).collect();
                assert!(
                    entries.is_sorted_by_key(|index| Reverse((state.entry(*index).time, *index))),
                    "seed {seed}, {receiver:?}"
                );
            }
        }
        drop(directory);
    }
    assert!(2_000 < late, "{late} entries came late");
}

/// A page, then entries of any time, then the next page: nothing is repeated, nothing missed, and nothing new
/// shows.
#[test]
fn what_is_made_while_a_list_is_read_does_not_show() {
    for seed in 0..60 {
        println!("seed {seed}");
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let (mut state, directory) = network(&mut random, 100);
        let filter = EntryFilter { statuses: Statuses::ALL, ..filter(&mut random, &state) };
        let expected = naive(&state, &filter);
        let (mut walk, mut found) = (state.listed(filter.clone()), Vec::new());
        while !walk.is_over() {
            let mut steps = 1 + random.next_u32() as usize % 10;
            while let Some(index) = state.listed_step(&mut walk, &mut steps) {
                found.push(index);
            }
            grow(&mut random, &mut state, &directory, 1);
            let is_restarted = random.next_u32().is_multiple_of(10);
            if is_restarted {
                state = reopened(&state);
            }
            if is_restarted || random.next_u32().is_multiple_of(2) {
                walk = state.listed_from(filter.clone(), walk.position()).expect("a position of this walk");
            }
        }
        assert_eq!(found, expected, "seed {seed}, {filter:?}");
    }
}

/// Foreign or invalid positions: refused, or a list within the filter.
#[test]
fn a_forged_position_shows_nothing_else() {
    for seed in 0..60 {
        println!("seed {seed}");
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let (state, _directory) = network(&mut random, 60);
        for _ in 0..200 {
            let filter = filter(&mut random, &state);
            let word = |random: &mut Pcg64Mcg| match random.next_u32() % 8 {
                0 => random.next_u64(),
                1 => u64::from(u32::MAX) + u64::from(random.next_u32() % 3),
                _ => u64::from(random.next_u32()) % (state.entries() + 3),
            };
            let position = std::array::from_fn(|_| word(&mut random));
            let Some(mut walk) = state.listed_from(filter.clone(), position) else { continue };
            let mut steps = 10_000;
            while let Some(index) = state.listed_step(&mut walk, &mut steps) {
                assert!(is_shown(&state, &filter, &state.entry(index)), "seed {seed}: {position:?}");
            }
            assert!(walk.is_over(), "seed {seed}: {position:?}");
        }
    }
}

/// Without late entries, a list of pending ones skips paid ones without examining them.
#[test]
fn paid_entries_cost_no_steps_of_a_list_of_pending_ones() {
    let mut random = Pcg64Mcg::seed_from_u64(1);
    let mut state = network(&mut random, 400).0;
    while state.ledger.entries().late_entries() != 0 || state.entries() < 3 {
        state = network(&mut random, 6).0;
    }
    for index in (0..state.entries()).filter(|index| *index != 1) {
        state.ledger.entries_mut().set_status(index, EntryStatus::Paid);
    }
    let statuses = EntryStatus::Pending.into();
    let mut walk = state.listed(EntryFilter { statuses, ..EntryFilter::default() });
    let mut steps = 1_000;
    assert_eq!(state.listed_step(&mut walk, &mut steps), Some(1));
    assert!(900 < steps, "{steps}");
}
