//! Batches of all or nothing: at whatever call they end, all of them is there or nothing.

use super::*;
use crate::durability::{
    memory::{Fault, Survival},
    repair::{Repair, Verdict},
};

const BEFORE: u64 = 30;
const GROUPS: u64 = 120;

/// Ends with what was there before, or with all.
fn write_batch(memory: &Memory) -> Result<()> {
    let mut opened = open(&memory.shared(), Path::new(ROOT))?;
    opened.journal.begin_batch()?;
    for number in 0..GROUPS {
        opened.journal.append(&group(BEFORE + number * 4 + 1, 4), outcome_hash(BEFORE + number * 4 + 1))?;
    }
    opened.journal.commit_batch()
}

#[test]
fn a_batch_is_there_as_a_whole_or_not_at_all() {
    let original = with_groups(BEFORE / 3);
    let all = BEFORE + GROUPS * 4;
    let whole = original.copy();
    whole.set_fault(None);
    write_batch(&whole).unwrap();
    let calls = whole.calls();
    assert!(2 < open(&whole.shared(), Path::new(ROOT)).unwrap().journal.figures().live_segments, "it goes over several segments");
    let (mut none, mut everything) = (0, 0);
    for at in 1..=calls + 1 {
        let survivals =
            [None, Some(Survival::Synced), Some(Survival::Everything), Some(Survival::Chance(at)), Some(Survival::Chance(at + 999))];
        for survival in survivals {
            let memory = original.copy();
            memory.set_fault(Some(Fault::PowerLoss { at }));
            let done = write_batch(&memory);
            assert_eq!(done.is_ok(), calls < at);
            memory.set_fault(None);
            let memory = survival.map_or_else(|| memory.copy(), |survival| memory.crash(survival));
            let place = format!("call {at} of {calls}, {survival:?}");
            // Reading alone sees what writing will make true.
            let mut reading = DataDir::open_read_only(&memory.shared(), Path::new(ROOT)).unwrap_or_else(|error| panic!("{place}: {error}"));
            let last = reading.report.log_last_lsn;
            assert!(last == BEFORE || last == all, "{place}: {last}");
            assert!(done.is_err() || last == all, "{place}: it was done");
            assert_tail(&mut reading, 1, last);
            drop(reading);
            let mut opened = open(&memory.shared(), Path::new(ROOT)).unwrap_or_else(|error| panic!("{place}: {error}"));
            assert_eq!(opened.report.log_last_lsn, last, "{place}");
            assert_tail(&mut opened, 1, last);
            append(&mut *opened.journal, last + 1, 2).unwrap();
            drop(opened);
            assert_tail(&mut open(&memory.shared(), Path::new(ROOT)).unwrap(), 1, last + 2);
            assert_eq!(Repair::look(&memory.shared(), Path::new(ROOT)).unwrap().found().verdict, Verdict::Healthy, "{place}");
            *if last == all { &mut everything } else { &mut none } += 1;
        }
    }
    assert!(5 < everything && 100 < none, "{none} {everything}");
}

#[test]
fn dropping_a_batch_may_be_cut_short_as_well() {
    let original = with_groups(BEFORE / 3);
    original.set_fault(Some(Fault::PowerLoss { at: 150 }));
    write_batch(&original).unwrap_err();
    let original = original.copy();
    for at in 1.. {
        let memory = original.copy();
        memory.set_fault(Some(Fault::PowerLoss { at }));
        let is_done = open(&memory.shared(), Path::new(ROOT)).is_ok();
        memory.set_fault(None);
        for survival in [None, Some(Survival::Synced), Some(Survival::Chance(at)), Some(Survival::Chance(at + 5))] {
            let memory = survival.map_or_else(|| memory.copy(), |survival| memory.crash(survival));
            let mut opened = open(&memory.shared(), Path::new(ROOT)).unwrap_or_else(|error| panic!("call {at}, {survival:?}: {error}"));
            assert_eq!(opened.report.log_last_lsn, BEFORE);
            assert_tail(&mut opened, 1, BEFORE);
            append(&mut *opened.journal, BEFORE + 1, 2).unwrap();
        }
        if is_done {
            break;
        }
    }
}
