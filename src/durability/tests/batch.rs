//! Atomic batches: whichever call they fail at, all of them is there or nothing.

use super::*;
use crate::durability::{
    memory::{Fault, Survival},
    repair::{Repair, Verdict},
};

const BEFORE: u64 = 30;
const GROUPS: u64 = 120;

/// Leaves what was there before, or the whole batch.
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
    assert!(
        2 < open(&whole.shared(), Path::new(ROOT)).unwrap().journal.figures().live_segments,
        "it goes over several segments"
    );
    let (mut none, mut everything) = (0, 0);
    for at in 1..=calls + 1 {
        let survivals = [
            None,
            Some(Survival::Synced),
            Some(Survival::Everything),
            Some(Survival::Chance(at)),
            Some(Survival::Chance(at + 999)),
        ];
        for survival in survivals {
            let memory = original.copy();
            memory.set_fault(Some(Fault::PowerLoss { at }));
            let done = write_batch(&memory);
            assert_eq!(done.is_ok(), calls < at);
            memory.set_fault(None);
            let memory = survival.map_or_else(|| memory.copy(), |survival| memory.crash(survival));
            let place = format!("call {at} of {calls}, {survival:?}");
            // A read-only opening sees what a writing one will make permanent.
            let mut reading = DataDir::open_read_only(&memory.shared(), Path::new(ROOT))
                .unwrap_or_else(|error| panic!("{place}: {error}"));
            let last = reading.report.log_last_lsn;
            assert!(last == BEFORE || last == all, "{place}: {last}");
            assert!(done.is_err() || last == all, "{place}: it was done");
            assert_tail(&mut reading, 1, last);
            drop(reading);
            let mut opened =
                open(&memory.shared(), Path::new(ROOT)).unwrap_or_else(|error| panic!("{place}: {error}"));
            assert_eq!(opened.report.log_last_lsn, last, "{place}");
            assert_tail(&mut opened, 1, last);
            append(&mut opened.journal, last + 1, 2).unwrap();
            drop(opened);
            assert_tail(&mut open(&memory.shared(), Path::new(ROOT)).unwrap(), 1, last + 2);
            assert_eq!(
                Repair::look(&memory.shared(), Path::new(ROOT)).unwrap().found().verdict,
                Verdict::Healthy,
                "{place}"
            );
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
        for survival in
            [None, Some(Survival::Synced), Some(Survival::Chance(at)), Some(Survival::Chance(at + 5))]
        {
            let memory = survival.map_or_else(|| memory.copy(), |survival| memory.crash(survival));
            let mut opened = open(&memory.shared(), Path::new(ROOT))
                .unwrap_or_else(|error| panic!("call {at}, {survival:?}: {error}"));
            assert_eq!(opened.report.log_last_lsn, BEFORE);
            assert_tail(&mut opened, 1, BEFORE);
            append(&mut opened.journal, BEFORE + 1, 2).unwrap();
        }
        if is_done {
            break;
        }
    }
}

/// Returns a directory whose batch was not committed, and whose log holds some of it.
fn interrupted(original: &Memory) -> Memory {
    original.set_fault(Some(Fault::PowerLoss { at: 150 }));
    write_batch(original).unwrap_err();
    let memory = original.copy();
    assert!(memory.content(&cut()).is_some());
    memory
}

fn cut() -> std::path::PathBuf {
    Path::new(ROOT).join("log/cut")
}

/// Every way to open it is refused with the name of the cut, and changes nothing.
fn assert_stale(memory: &Memory, what: &str) {
    let before = memory.all();
    let storage = memory.shared();
    let results = [
        open(&storage, Path::new(ROOT)).map(|opened| opened.report.log_last_lsn),
        DataDir::open_read_only(&storage, Path::new(ROOT)).map(|opened| opened.report.log_last_lsn),
        Repair::look(&storage, Path::new(ROOT)).map(|repair| repair.found().last_good_lsn),
    ];
    for result in results {
        let Err(error @ Error::Damaged(_)) = result else { panic!("{what}: {result:?}") };
        let told = error.to_string();
        assert!(told.contains("log/cut") && told.contains("Move it away"), "{what}: {told}");
    }
    assert!(memory.all() == before, "{what}: refused, and changed");
    // The remedy that it names.
    let memory = memory.copy();
    memory.forget(&cut());
    drop(open(&memory.shared(), Path::new(ROOT)));
}

/// Copies files of a directory that moved on over an older copy of it, which has a cut: all of them, or only
/// the log.
#[test]
fn a_cut_of_an_older_copy_takes_nothing_away() {
    let older = interrupted(&with_groups(BEFORE / 3));
    for signups in [1, 2, 3, 40, 300] {
        let newer = older.copy();
        let mut opened = open(&newer.shared(), Path::new(ROOT)).unwrap();
        for lsn in BEFORE + 1..=BEFORE + signups {
            append(&mut opened.journal, lsn, 1).unwrap();
        }
        drop(opened);
        assert!(newer.content(&cut()).is_none());
        let everything = older.copy();
        newer.all().iter().for_each(|(path, content)| everything.set_content(path, content));
        assert_stale(&everything, &format!("{signups} signups"));
        everything.forget(&cut());
        // Segments that the newer one lacks are still there; without them it is the newer one.
        older
            .all()
            .keys()
            .filter(|path| newer.content(path).is_none())
            .for_each(|path| everything.forget(path));
        assert_tail(&mut open(&everything.shared(), Path::new(ROOT)).unwrap(), 1, BEFORE + signups);
        // Without the record of how far the log was acknowledged, the frames tell: each of the later ones,
        // and each mark.
        let mut opened = open(&newer.shared(), Path::new(ROOT)).unwrap();
        opened.journal.mark(outcome_hash(BEFORE + signups + 1)).unwrap();
        drop(opened);
        let log = older.copy();
        let of_log =
            newer.all().into_iter().filter(|(path, _)| path.starts_with(Path::new(ROOT).join("log")));
        of_log.for_each(|(path, content)| log.set_content(&path, &content));
        assert_stale(&log, &format!("{signups} signups, the log alone"));
    }
}

#[test]
fn a_cut_of_another_history_takes_nothing_away() {
    let base = with_groups(BEFORE / 3 - 1);
    let (here, there) = (base.copy(), base.copy());
    append(&mut open(&here.shared(), Path::new(ROOT)).unwrap().journal, BEFORE - 2, 3).unwrap();
    let mut other = group(BEFORE - 2, 3);
    other[0].time = Timestamp(other[0].time.0 - 1);
    let mut opened = open(&there.shared(), Path::new(ROOT)).unwrap();
    opened.journal.append(&other, outcome_hash(BEFORE - 2)).unwrap();
    opened.journal.sync().unwrap();
    drop(opened);
    let (here, there) = (interrupted(&here), interrupted(&there));
    here.set_content(&cut(), &there.content(&cut()).unwrap());
    assert_stale(&here, "a cut of another history");
}

#[test]
fn a_pending_cut_is_named_with_what_it_takes_away() {
    let memory = interrupted(&with_groups(BEFORE / 3));
    let reading = DataDir::open_read_only(&memory.shared(), Path::new(ROOT)).unwrap();
    let found = reading.report.finished_cut.unwrap();
    assert!(found.after == BEFORE && BEFORE + 100 < found.last_lsn, "{found:?}");
    assert!(found.to_string().contains(&format!("LSN 31 to {}", found.last_lsn)), "{found}");
    drop(reading);
    // Whatever opens is healthy: nothing that was acknowledged is in the way, and opening finishes the cut.
    let repair = Repair::look(&memory.shared(), Path::new(ROOT)).unwrap();
    let look = repair.found();
    assert_eq!((look.verdict, look.last_good_lsn, look.known_lsn), (Verdict::Healthy, BEFORE, BEFORE));
    assert_eq!((look.pending_cut, look.problems.len(), look.steps.len()), (Some(found), 0, 0));
    drop(repair);
    // Damage before the cut is refused by all three.
    let damaged = memory.copy();
    damaged.rot(&Path::new(ROOT).join(format!("log/{:020}.log", 1)), 600, 1);
    assert!(is_damaged(&open(&damaged.shared(), Path::new(ROOT))));
    let told = Repair::look(&damaged.shared(), Path::new(ROOT)).unwrap_err().to_string();
    assert!(told.contains("log/cut") && told.contains(&found.to_string()), "{told}");
    drop(open(&memory.shared(), Path::new(ROOT)).unwrap());
    assert_eq!(DataDir::open_read_only(&memory.shared(), Path::new(ROOT)).unwrap().report.finished_cut, None);
}
