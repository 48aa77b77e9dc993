//! Power loss, and failing calls, at every modifying call.

use std::io::ErrorKind;

use super::*;
use crate::durability::memory::{Fault, Survival};

/// How far a script got.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Progress {
    acknowledged: u64,
    attempted: u64,
}

const SURVIVALS: [Survival; 6] = [
    Survival::Synced,
    Survival::Everything,
    Survival::Chance(1),
    Survival::Chance(2),
    Survival::Chance(3),
    Survival::Chance(4),
];

/// Groups of several sizes over several segments, now and then two in flight, marks, snapshots, purges.
fn script(memory: &Memory, progress: &mut Progress) -> Result<()> {
    let mut opened = open(&memory.shared(), Path::new(ROOT))?;
    for step in 0..60_u64 {
        for _ in 0..=step % 2 {
            let count = 1 + step * step % 23;
            let first = progress.attempted + 1;
            progress.attempted += count;
            opened.journal.append(&group(first, count), outcome_hash(first))?;
        }
        progress.acknowledged = opened.journal.sync()?;
        assert_eq!(progress.acknowledged, progress.attempted);
        if step % 11 == 10 {
            opened.journal.mark(0)?;
            opened.journal.sync()?;
        }
        if step % 17 == 16 {
            let until = snapshot(&opened, progress.acknowledged - 2, progress.acknowledged)?;
            opened.journal.purge_prefix(until, None)?;
        }
    }
    Ok(())
}

/// Opens what a crash left. Everything acknowledged must be there, nothing that was never sent, and no gap.
fn check(memory: &Memory, progress: Progress, place: &str) {
    let mut opened =
        open(&memory.shared(), Path::new(ROOT)).unwrap_or_else(|error| panic!("{place}: {error}"));
    let last = opened.report.log_last_lsn;
    assert!(
        progress.acknowledged <= last && last <= progress.attempted,
        "{place}: {progress:?}, found {last}"
    );
    // Whatever was moved to the archive or should have been: every state since the beginning can be rebuilt.
    assert_eq!(opened.snapshots.bases().unwrap()[0], 0, "{place}");
    assert_eq!(opened.snapshots.base_of(0).unwrap().manifest().lsn, 0, "{place}");
    assert_eq!(opened.report.archived_snapshot_damage, [], "{place}");
    let first = opened.report.snapshot_lsn + 1;
    assert_tail(&mut opened, first, last);
    append(&mut opened.journal, last + 1, 2).unwrap();
    drop(opened);
    let mut opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    assert_eq!((opened.report.torn.clone(), opened.report.history_damage.clone()), (None, None), "{place}");
    // A snapshot that lacked only its name has it now.
    assert!(first <= opened.report.snapshot_lsn + 1, "{place}");
    let first = opened.report.snapshot_lsn + 1;
    assert_tail(&mut opened, first, last + 2);
}

#[test]
fn the_power_may_go_at_any_call() {
    let original = with_groups(0);
    let whole = original.copy();
    whole.set_fault(None);
    script(&whole, &mut Progress::default()).unwrap();
    let calls = whole.calls();
    assert!(200 < calls, "{calls}");
    for at in 1..=calls {
        let memory = original.copy();
        memory.set_fault(Some(Fault::PowerLoss { at }));
        let mut progress = Progress::default();
        script(&memory, &mut progress).unwrap_err();
        for survival in SURVIVALS {
            check(&memory.crash(survival), progress, &format!("call {at} of {calls}, {survival:?}"));
        }
    }
}

#[test]
fn the_power_may_go_again_while_recovering() {
    let original = with_groups(0);
    let whole = original.copy();
    whole.set_fault(None);
    script(&whole, &mut Progress::default()).unwrap();
    for at in (1..=whole.calls()).step_by(7) {
        let memory = original.copy();
        memory.set_fault(Some(Fault::PowerLoss { at }));
        let mut progress = Progress::default();
        script(&memory, &mut progress).unwrap_err();
        for first in [Survival::Synced, Survival::Chance(at)] {
            for again in 1.. {
                let recovering = memory.crash(first);
                recovering.set_fault(Some(Fault::PowerLoss { at: again }));
                let survived = open(&recovering.shared(), Path::new(ROOT)).is_ok();
                check(
                    &recovering.crash(Survival::Chance(again)),
                    progress,
                    &format!("call {at}, then {again}"),
                );
                if survived {
                    break;
                }
            }
        }
    }
}

#[test]
fn a_creation_may_end_at_any_call() {
    let path = Path::new(ROOT);
    let whole = Memory::new();
    create(&whole.shared(), path, 0, 5).unwrap();
    let calls = whole.calls();
    for at in 1..=calls {
        for survival in SURVIVALS {
            let memory = Memory::new();
            memory.set_fault(Some(Fault::PowerLoss { at }));
            create(&memory.shared(), path, 0, 5).unwrap_err();
            let after = memory.crash(survival);
            match open(&after.shared(), path) {
                Ok(_) => {
                    assert!(calls <= at + 3, "call {at} of {calls}, {survival:?}: not before its last step");
                }
                Err(Error::NotADataDirectory { .. } | Error::Unfinished { .. }) => {
                    create(&after.shared(), path, 0, 5)
                        .unwrap_or_else(|error| panic!("call {at}, {survival:?}: {error}"));
                    open(&after.shared(), path).unwrap();
                }
                Err(error) => panic!("call {at}, {survival:?}: {error}"),
            }
        }
    }
}

/// A killed process leaves names that nobody synced. The next process serves from them: they must survive a
/// power loss after that.
#[test]
fn a_name_that_a_killed_process_left_is_durable_before_anything_is_served() {
    let acknowledge = |memory: &Memory, place: &str| {
        memory.set_fault(None);
        let mut opened =
            open(&memory.shared(), Path::new(ROOT)).unwrap_or_else(|error| panic!("{place}: {error}"));
        let last = opened.report.log_last_lsn;
        append(&mut opened.journal, last + 1, 2).unwrap();
        Progress { acknowledged: last + 2, attempted: last + 2 }
    };
    let path = Path::new(ROOT);
    let whole = Memory::new();
    create(&whole.shared(), path, 0, 5).unwrap();
    for at in 1..=whole.calls() {
        let memory = Memory::new();
        memory.set_fault(Some(Fault::PowerLoss { at }));
        create(&memory.shared(), path, 0, 5).unwrap_err();
        memory.set_fault(None);
        if DataDir::is_free(&memory.shared(), path).unwrap() {
            create(&memory.shared(), path, 0, 5).unwrap();
        }
        let place = format!("killed at call {at} of a creation");
        let progress = acknowledge(&memory, &place);
        SURVIVALS.iter().for_each(|survival| check(&memory.crash(*survival), progress, &place));
    }
    let original = with_groups(0);
    let whole = original.copy();
    whole.set_fault(None);
    script(&whole, &mut Progress::default()).unwrap();
    for at in 1..=whole.calls() {
        let memory = original.copy();
        memory.set_fault(Some(Fault::PowerLoss { at }));
        script(&memory, &mut Progress::default()).unwrap_err();
        // Once without, and once with a torn end that the next process was mending when it was killed as
        // well.
        for again in [None, Some(7), Some(8)] {
            let memory = if again.is_some() { memory.crash(Survival::Chance(at)) } else { memory.clone() };
            if let Some(again) = again {
                memory.set_fault(Some(Fault::PowerLoss { at: again }));
                // It may finish before that.
                drop(open(&memory.shared(), path));
            }
            let place = format!("killed at call {at}, and {again:?} of the next opening");
            let progress = acknowledge(&memory, &place);
            SURVIVALS.iter().for_each(|survival| check(&memory.crash(*survival), progress, &place));
        }
    }
}

#[test]
fn the_first_failure_closes_the_log_for_writing() {
    for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
        let original = with_groups(0);
        let whole = original.copy();
        whole.set_fault(None);
        script(&whole, &mut Progress::default()).unwrap();
        for at in 1..=whole.calls() {
            for fault in [Fault::Fail { at, kind }, Fault::Short { at, kind }] {
                let memory = original.copy();
                memory.set_fault(Some(fault));
                let mut progress = Progress::default();
                // A short write alone is no failure, and a short call that is no write is no fault at all.
                let result = script(&memory, &mut progress);
                assert!(result.is_err() || matches!(fault, Fault::Short { .. }), "{fault:?}");
                memory.set_fault(None);
                check(&memory.copy(), progress, &format!("{fault:?}, no crash"));
                check(&memory.crash(Survival::Synced), progress, &format!("{fault:?}, then a crash"));
            }
        }
    }
}

#[test]
fn a_failed_sync_or_write_is_never_tried_again() {
    for failing in 1..=2 {
        let memory = with_groups(1);
        let mut opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
        memory.set_fault(Some(Fault::Fail { at: failing, kind: ErrorKind::StorageFull }));
        let result = append(&mut opened.journal, 4, 3);
        assert!(
            matches!(result, Err(Error::Io { ref source, .. }) if source.kind() == ErrorKind::StorageFull),
            "{result:?}"
        );
        let calls = memory.calls();
        assert!(matches!(opened.journal.sync(), Err(Error::PreviousIo { .. })));
        assert!(matches!(append(&mut opened.journal, 4, 3), Err(Error::PreviousIo { .. })));
        assert!(matches!(opened.journal.mark(0), Err(Error::PreviousIo { .. })));
        assert!(matches!(opened.journal.begin_batch(), Err(Error::PreviousIo { .. })));
        assert_eq!(memory.calls(), calls, "nothing was even tried");
        // Reading still works, up to what is durable.
        let read: Vec<_> =
            opened.journal.reader().read_from(1).unwrap().flat_map(|group| group.unwrap().commands).collect();
        assert_eq!(read, group(1, 3));
        assert_eq!(opened.journal.hard_state().durable_lsn, 3);
    }
}

#[test]
fn what_a_failed_sync_left_in_memory_is_written_again_on_opening() {
    let memory = with_groups(1);
    let mut opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    memory.set_fault(Some(Fault::Fail { at: 2, kind: ErrorKind::Other }));
    append(&mut opened.journal, 4, 3).unwrap_err();
    drop(opened);
    memory.set_fault(None);
    let opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    assert_eq!(opened.report.log_last_lsn, 6);
    // After the syncs of the four directories a write and a sync, not a sync alone. Then the same for the
    // file `durable`.
    assert_eq!(memory.calls(), 4 + 2 + 2);
    drop(opened);
    let mut opened = open(&memory.crash(Survival::Synced).shared(), Path::new(ROOT)).unwrap();
    assert_tail(&mut opened, 1, 6);
}

#[test]
fn short_and_interrupted_writes_are_carried_through() {
    let memory = Memory::new();
    memory.set_fault(Some(Fault::Stutter));
    create(&memory.shared(), Path::new(ROOT), 0, 5).unwrap();
    let mut progress = Progress::default();
    script(&memory, &mut progress).unwrap();
    check(&memory.crash(Survival::Synced), progress, "stutter");
}
