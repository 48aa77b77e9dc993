//! A seal that is interrupted anywhere leaves the seals before it whole.

use super::*;
use crate::durability::memory::{Fault, Survival};

fn first() -> Vec<SealedOrder<'static>> {
    (1..30).map(|lsn| order(&format!("A-{lsn}"), lsn)).collect()
}

/// Of two months, with a refund, and one order of the first seal again.
fn second() -> Vec<SealedOrder<'static>> {
    let mut orders: Vec<SealedOrder<'static>> = (30..40).map(|lsn| order(&format!("A-{lsn}"), lsn)).collect();
    orders[0].time = Timestamp(1_770_000_000_000_000);
    orders[1].refunds = vec![refund("R-1", 50, [0, 5])];
    let mut again = order("A-3", 3);
    again.supersedes = Some(1);
    orders.push(again);
    orders
}

fn try_seal(storage: &Arc<dyn Storage>, known: &[Known]) -> crate::durability::Result<Known> {
    let mut writer = Writer::begin(storage, &root(), 2, schema(), Layout::NEWEST)?;
    for order in &second() {
        writer.add(order)?;
    }
    let previous = known.last().map(|known| known.hash);
    let manifest = writer.finish(Basis { lsn: 60, periods: Vec::new(), previous })?;
    Ok(Known { number: 2, hash: manifest.hash() })
}

/// Seals, merges the ids and removes what was merged.
fn try_all(storage: &Arc<dyn Storage>, known: &[Known]) -> crate::durability::Result<Known> {
    let sealed = try_seal(storage, known)?;
    let store = Store::open(storage, &root(), &[known, &[sealed]].concat())?;
    if let Some(merged) = store.merged()? {
        merged.remove_merged()?;
    }
    Ok(sealed)
}

/// Checks that these seals are whole, and that nothing else is left.
fn check(memory: &Memory, known: &[Known], orders: usize) {
    let storage = memory.shared();
    sweep(&storage, &root(), known).expect("the disk works");
    let verified = verify(&storage, &root(), known).expect("the disk works");
    assert_eq!(verified.damage, []);
    assert_eq!(verified.orders, orders as u64);
    assert_eq!(leftovers(&*storage, &root(), known).expect("the disk works"), [] as [PathBuf; 0]);
    let store = open(&storage, known);
    let seal = if known.len() == 1 { 1 } else { 2 };
    assert_eq!(store.find("A-3").expect("it is whole").expect("it was sealed").place.seal, seal);
    assert_eq!(store.find("A-30").expect("it is whole").is_some(), known.len() == 2);
}

#[test]
fn power_lost_at_any_call_loses_no_seal() {
    let memory = directory();
    let mut known = Vec::new();
    seal(&memory.shared(), &mut known, &first());
    let dry = memory.copy();
    dry.set_fault(None);
    let sealed = try_all(&dry.shared(), &known).expect("the disk works");
    let calls = dry.calls();
    assert!(20 < calls, "{calls} calls");
    let both = [&known[..], &[sealed]].concat();
    for at in 1..=calls + 1 {
        for survival in
            [Survival::Synced, Survival::Everything, Survival::Chance(at), Survival::Chance(at + 999)]
        {
            let memory = memory.copy();
            memory.set_fault(Some(Fault::PowerLoss { at }));
            // The manifest may be durable, or the merge, when the call that says so is not made any more.
            let result = try_seal(&memory.shared(), &known);
            let after = memory.crash(survival);
            match result {
                Ok(sealed) => {
                    assert_eq!(sealed, both[1]);
                    check(&after, &both, 29 + 11);
                }
                Err(_) => check(&after, &known, 29),
            }
            // It can be done again, and gives the same.
            if at % 7 == 0 && result_is_free(&after, &known) {
                let again = try_all(&after.shared(), &known).expect("the disk works");
                assert_eq!(again, both[1]);
                check(&after, &both, 29 + 11);
            }
        }
    }
}

/// Whether the second seal is not there.
fn result_is_free(memory: &Memory, known: &[Known]) -> bool {
    let storage = memory.shared();
    leftovers(&*storage, &root(), known).is_ok_and(|left| left.is_empty())
        && memory.content(&root().join("orders/seals/00000002.toml")).is_none()
}

#[test]
fn power_lost_while_ids_are_merged_loses_none() {
    let memory = directory();
    let mut known = Vec::new();
    seal(&memory.shared(), &mut known, &first());
    known.push(try_seal(&memory.shared(), &known).expect("the disk works"));
    let merge = |memory: &Memory| -> crate::durability::Result<()> {
        let store = Store::open(&memory.shared(), &root(), &known)?;
        let merged = store.merged_all()?.expect("there are two files");
        merged.remove_merged()
    };
    let dry = memory.copy();
    dry.set_fault(None);
    merge(&dry).expect("the disk works");
    for at in 1..=dry.calls() + 1 {
        for survival in [Survival::Synced, Survival::Everything, Survival::Chance(at)] {
            let memory = memory.copy();
            memory.set_fault(Some(Fault::PowerLoss { at }));
            let _ = merge(&memory);
            check(&memory.crash(survival), &known, 29 + 11);
        }
    }
}

#[test]
fn a_call_that_fails_fails_the_seal_and_nothing_else() {
    let memory = directory();
    let mut known = Vec::new();
    seal(&memory.shared(), &mut known, &first());
    let dry = memory.copy();
    dry.set_fault(None);
    let sealed = try_seal(&dry.shared(), &known).expect("the disk works");
    for at in 1..=dry.calls() {
        for fault in [
            Fault::Fail { at, kind: std::io::ErrorKind::Other },
            Fault::Short { at, kind: std::io::ErrorKind::StorageFull },
            Fault::LostSync { at, seed: at },
        ] {
            let memory = memory.copy();
            memory.set_fault(Some(fault));
            let result = try_seal(&memory.shared(), &known);
            memory.set_fault(None);
            match result {
                // A short write was followed by no other, or the call only looked.
                Ok(found) => assert_eq!(found, sealed),
                Err(error) => {
                    assert!(matches!(error, crate::durability::Error::Io { .. }), "{error}");
                    check(&memory, &known, 29);
                }
            }
        }
    }
}
