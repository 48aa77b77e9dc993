//! Lost and damaged files of seals, made again from the log.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    seals::{FIRST, SECOND, Shop, refund},
    *,
};
use crate::{
    durability::{
        memory::{Fault, Memory, Survival},
        sealed::{Layout, SealedPart},
    },
    engine::{sealed::complete_seal, verify_sealed},
};

const ROOT: &str = "/d";

/// A directory with three seals. The second has an order that was refunded since the first, and the third has
/// none, and a network that is a difference.
fn sealed_thrice() -> Memory {
    let memory = Memory::new();
    let shop = Shop::posted_on(memory.shared());
    let third = PeriodRef { period: 2, ..FIRST };
    for number in 3..40 {
        shop.does(signup(number, Some(1)));
    }
    shop.opens(third, (3_000, 9_000));
    assert_eq!(shop.seals(FIRST), Outcome::PeriodSealed { seal: 0, orders: 2, changed: true });
    shop.does(refund("r2", "B", RefundScope::Rest));
    shop.posts(SECOND, 3_001);
    assert_eq!(shop.seals(SECOND), Outcome::PeriodSealed { seal: 1, orders: 1, changed: true });
    shop.does(signup(40, Some(2)));
    shop.opens(PeriodRef { period: 3, ..FIRST }, (9_000, 12_000));
    shop.posts(third, 9_001);
    assert_eq!(shop.seals(third), Outcome::PeriodSealed { seal: 2, orders: 0, changed: true });
    drop(shop);
    memory.copy()
}

fn part(path: &Path) -> Option<SealedPart> {
    SealedPart::of(ROOT.as_ref(), path)
}

/// The files of seals and boundaries. Those of ids may be merged when they are made again.
fn files(memory: &Memory) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = memory.all();
    files.retain(|path, _| part(path).is_some_and(|part| part != SealedPart::Ids));
    files
}

fn opened(storage: &Arc<dyn Storage>) -> (Loaded, Vec<crate::durability::Damage>) {
    let loaded = crate::engine::load(storage, ROOT.as_ref(), &mut |_| {}).unwrap();
    let found = verify_sealed(storage, ROOT.as_ref(), &loaded.state).unwrap();
    (loaded, found)
}

/// Looks, and repairs. `None` if the disk fails.
fn repair(memory: &Memory, name: &str) -> Option<SealedLook> {
    let storage = memory.shared();
    let (loaded, found) = opened(&storage);
    let repair = SealedRepair::new(&storage, ROOT.as_ref(), loaded);
    let look = repair.look(found).unwrap();
    repair.carry_out(&look, name, &mut |_, _| "{}".into()).ok().map(|_| look)
}

#[test]
fn each_file_is_made_again_as_it_was() {
    let memory = sealed_thrice();
    let whole = files(&memory);
    let count = |end: &str| whole.keys().filter(|path| path.to_string_lossy().ends_with(end)).count();
    assert_eq!((count(".parquet"), count(".toml"), count(".sums")), (7, 6, 6));
    let difference = |text: &[u8]| String::from_utf8_lossy(text).contains("base_lsn = ");
    assert_eq!(whole.values().filter(|text| difference(text)).count(), 1, "one network is a difference");
    let supersedes = &whole[Path::new("/d/orders/seals/00000001.toml")];
    assert!(String::from_utf8_lossy(supersedes).contains("supersedes = [0]"));
    let paths: Vec<&PathBuf> = whole.keys().collect();
    let all: Vec<Vec<&PathBuf>> = paths.iter().map(|path| vec![*path]).chain([paths.clone()]).collect();
    for lost in all {
        for flipped in [false, true] {
            // The checksums of a seal without orders have no bits.
            let has_bits = |path: &&PathBuf| !whole[*path].is_empty();
            if flipped && !lost.iter().any(has_bits) {
                continue;
            }
            let memory = memory.copy();
            for path in &lost {
                if flipped {
                    memory.rot(path, whole[*path].len() / 2, 2);
                } else {
                    memory.forget(path);
                }
            }
            let damaged = memory.all();
            let storage = memory.shared();
            let (loaded, found) = opened(&storage);
            assert!(!found.is_empty(), "{lost:?}");
            let repair = SealedRepair::new(&storage, ROOT.as_ref(), loaded);
            let look = repair.look(found).unwrap();
            assert_eq!((look.left.len(), memory.all() == damaged), (0, true), "{lost:?} {look:?}");
            repair.carry_out(&look, "damaged-1", &mut |_, _| "{}".into()).unwrap();
            drop(repair);
            assert_eq!(files(&memory), whole, "{lost:?}");
            assert_eq!(opened(&storage).1, [], "{lost:?}");
            let kept = |path: &PathBuf| {
                memory.content(&Path::new("/d/damaged-1").join(path.strip_prefix(ROOT).unwrap()))
            };
            for path in lost.iter().filter(|path| flipped && has_bits(path)) {
                assert_eq!(kept(path).as_ref(), damaged.get(*path), "{path:?}");
            }
        }
    }
}

#[test]
fn a_repair_that_ends_at_any_call_can_be_repeated() {
    let memory = sealed_thrice();
    let whole = files(&memory);
    for (path, bytes) in whole.iter().filter(|(path, _)| !path.to_string_lossy().contains("refunds")) {
        if path.to_string_lossy().contains("000.") {
            memory.rot(path, bytes.len() / 2, 1);
        } else {
            memory.forget(path);
        }
    }
    let mut ended = 0;
    for at in (1..).step_by(4) {
        let survival = match at % 3 {
            0 => Survival::Synced,
            1 => Survival::Everything,
            _ => Survival::Chance(at),
        };
        let memory = memory.copy();
        memory.set_fault(Some(Fault::PowerLoss { at }));
        let is_over = repair(&memory, "damaged-1").is_some();
        let memory = memory.crash(survival);
        repair(&memory, "damaged-2").expect("the disk works");
        assert_eq!(files(&memory), whole, "{at} {survival:?}");
        assert_eq!(opened(&memory.shared()).1, [], "{at} {survival:?}");
        if is_over {
            break;
        }
        ended += 1;
    }
    assert!(20 < ended, "{ended}");
}

#[test]
fn what_has_another_hash_than_the_command_named_is_refused() {
    let memory = Memory::new();
    let shop = Shop::posted_on(memory.shared());
    let seal = shop.engine.read(|state, _| state.seal_to_come(FIRST, Actor::unknown(), None));
    let (mut seal, _) = seal.unwrap();
    (seal.orders, seal.refunds, seal.boundary) = (2, 1, seal.as_of);
    (seal.manifest, seal.network) = ([7; 32], [9; 32]);
    shop.does(Command::SealPeriod(Box::new(seal)));
    drop(shop);
    let memory = memory.copy();
    let before = files(&memory);
    let look = repair(&memory, "damaged-1").unwrap();
    assert_eq!((&look.steps, look.problems.len()), (&Vec::new(), 2));
    let left: Vec<Option<[u8; 32]>> = look.left.iter().map(|left| left.blake3).collect();
    assert_eq!(left, [Some([7; 32]), Some([9; 32])]);
    assert!(look.left.iter().all(|left| left.reason.contains("has another hash")), "{look:?}");
    assert_eq!(files(&memory), before);
}

#[test]
fn a_seal_of_each_layout_is_made_again_as_it_was() {
    for layout in Layout::ALL {
        let memory = Memory::new();
        let shop = Shop::posted_on(memory.shared());
        let seal = shop.engine.read(|state, _| {
            let (mut seal, _) = state.seal_to_come(FIRST, Actor::unknown(), None).unwrap();
            let storage = memory.shared();
            let complete = complete_seal(&storage, ROOT.as_ref(), state, layout, &mut |_| Ok(None)).unwrap();
            complete.publish().unwrap();
            (seal.orders, seal.refunds, seal.boundary) = (2, 1, seal.as_of);
            // Only the orders are looked at here: their network is lost for good.
            (seal.manifest, seal.network) = (complete.manifest().hash(), [9; 32]);
            seal
        });
        shop.does(Command::SealPeriod(Box::new(seal)));
        drop(shop);
        let memory = memory.copy();
        let of_seal = |memory: &Memory| {
            let mut files = files(memory);
            files.retain(|path, _| part(path) == Some(SealedPart::Seal(0)));
            files
        };
        let whole = of_seal(&memory);
        assert_eq!(whole.len(), 4, "orders, refunds, manifest and checksums");
        // One by one, the manifest among them, and all together.
        let paths: Vec<&PathBuf> = whole.keys().collect();
        for lost in paths.iter().map(std::slice::from_ref).chain([&paths[..]]) {
            let memory = memory.copy();
            lost.iter().for_each(|path| memory.forget(path));
            let look = repair(&memory, "damaged-1").unwrap();
            let of_seal_is_left = |left: &LeftDamaged| part(&left.damage.file) == Some(SealedPart::Seal(0));
            assert!(!look.left.iter().any(of_seal_is_left), "{layout:?} {lost:?} {look:?}");
            assert_eq!(of_seal(&memory), whole, "{layout:?} {lost:?}");
        }
    }
}
