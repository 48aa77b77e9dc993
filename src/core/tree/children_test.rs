use std::collections::BTreeMap;

use rand_pcg::{Pcg64, rand_core::RngCore};

use super::*;
use crate::core::tree::{
    counting::Watch,
    families::{RUN_CHILDREN_MAX, work},
};

const TOP: MemberIx = MemberIx(0);

/// A parent alone.
fn parent() -> Genealogy {
    let mut tree = Genealogy::new(false);
    tree.attach(None, &Watch::default(), &mut Vec::new());
    tree
}

fn attach(tree: &mut Genealogy, slot: u32) -> MemberIx {
    tree.attach_uncounted(Some((TOP, slot)))
}

/// Numbers below `count`, shuffled.
fn shuffled(count: u32, seed: u64) -> Vec<u32> {
    let mut random = Pcg64::new(seed.into(), 0);
    let mut slots: Vec<u32> = (0..count).collect();
    for at in (1..slots.len()).rev() {
        slots.swap(at, random.next_u32() as usize % (at + 1));
    }
    slots
}

/// Every query, compared with a map.
fn check(tree: &Genealogy, naive: &BTreeMap<u32, MemberIx>, slots: impl Iterator<Item = u32>, width: u32) {
    assert!(tree.children(TOP).eq(naive.values().copied()));
    let free = || (0..).filter(|slot| !naive.contains_key(slot));
    assert_eq!(tree.lowest_free(TOP), free().next().unwrap());
    assert_eq!(
        tree.free_slots(TOP, width, 16),
        free().take(16).take_while(|slot| *slot < width).collect::<Vec<_>>()
    );
    for slot in slots {
        assert_eq!(tree.child_in(TOP, slot), naive.get(&slot).copied(), "slot {slot}");
        assert_eq!(tree.is_taken(TOP, slot), naive.contains_key(&slot), "slot {slot}");
    }
}

#[test]
fn children_are_found_whatever_the_order_of_their_slots() {
    for seed in 0..40_u64 {
        let mut random = Pcg64::new(seed.into(), 1);
        let (mut tree, mut naive) = (parent(), BTreeMap::new());
        let width = [70, 200, 1_000, 3_000][usize::try_from(seed % 4).unwrap()];
        let order: Vec<u32> = match seed % 3 {
            0 => shuffled(width, seed),
            1 => (0..width).rev().collect(),
            // Without gaps at first, then with many.
            _ => (0..width / 3)
                .chain(shuffled(width, seed).into_iter().filter(|slot| width / 3 <= *slot))
                .collect(),
        };
        for (number, slot) in order.into_iter().enumerate() {
            naive.insert(slot, attach(&mut tree, slot));
            if number % 97 == 0 || u32::try_from(number).unwrap() + 3 > width {
                check(&tree, &naive, (0..20).map(|_| random.next_u32() % (width + 1)), width);
                // A copy has no runs, and builds its own on the first attach.
                let mut copy = Genealogy::empty_copy();
                tree.links.iter().for_each(|link| copy.links.push(*link));
                check(&copy, &naive, (0..20).map(|_| random.next_u32() % (width + 1)), width);
                if let Some(free) = (0..width).find(|slot| !naive.contains_key(slot)) {
                    let mut naive = naive.clone();
                    naive.insert(free, attach(&mut copy, free));
                    check(&copy, &naive, (0..width).step_by(7), width);
                }
            }
        }
    }
}

/// Steps for `count` children in an order, each looked up before and after.
fn steps(slots: &[u32]) -> u64 {
    let mut tree = parent();
    work::of(|| {
        for slot in slots {
            assert!(!tree.is_taken(TOP, *slot));
            attach(&mut tree, *slot);
            assert!(tree.is_taken(TOP, *slot));
            assert!(tree.lowest_free(TOP) <= u32::try_from(slots.len()).unwrap());
        }
    })
}

#[test]
fn twice_the_children_are_twice_the_work() {
    type Order = fn(u32) -> Vec<u32>;
    let orders: [(&str, Order); 4] = [
        ("ascending", |count| (0..count).collect()),
        ("descending", |count| (0..count).rev().collect()),
        ("shuffled", |count| shuffled(count, 1)),
        // All but the first in front of one far behind: into the same run again and again.
        ("backwards behind the first", |count| std::iter::once(0).chain((1..count).rev()).collect()),
    ];
    for (name, order) in orders {
        let (half, whole) = (steps(&order(30_000)), steps(&order(60_000)));
        assert!(
            2 * whole <= 5 * half.max(30_000),
            "{name}: {half} steps for 30,000 children, {whole} for 60,000"
        );
        assert!(whole <= 60_000 * 3 * u64::from(RUN_CHILDREN_MAX), "{name}: {whole}");
    }
}
