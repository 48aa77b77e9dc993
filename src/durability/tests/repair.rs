//! Repairs: damage at each kind of place, what is found, what is left, and what a crash in the middle leaves.

use super::*;
use crate::durability::{
    Damage,
    memory::{Fault, Survival},
    repair::{Repair, Verdict},
};

fn archived(number: u64) -> PathBuf {
    root().join(format!("archive/{number:020}.log"))
}

fn look(memory: &Memory) -> Repair {
    Repair::look(&memory.shared(), root()).unwrap()
}

fn verdict(memory: &Memory) -> (Verdict, u64) {
    let before = memory.all();
    let repair = look(memory);
    assert_eq!(memory.all(), before, "looking changed something");
    (repair.found().verdict, repair.found().last_good_lsn)
}

#[derive(Default)]
struct Noted {
    dropped: Vec<u64>,
    reports: Vec<(Vec<Moved>, bool)>,
}

impl Papers for Noted {
    fn command(&mut self, stamped: &Stamped) -> String {
        self.dropped.push(stamped.lsn);
        format!("{}\n", stamped.lsn)
    }

    fn report(&mut self, moved: &[Moved], is_finished: bool) -> String {
        self.reports.push((moved.to_vec(), is_finished));
        format!("{is_finished}")
    }
}

/// Carries a repair out; everything that was there before must be kept, and the directory must open with
/// exactly what the look promised.
fn repaired(memory: &Memory, from: u64) -> Noted {
    let before = memory.all();
    let repair = look(memory);
    let last = repair.found().last_good_lsn;
    let mut noted = Noted::default();
    let kept_in = repair.carry_out("damaged-1", &mut noted).unwrap();
    let (dropped, found) = (repair.found().dropped, repair.found().clone());
    drop(repair);
    assert_eq!(dropped.commands, noted.dropped.len() as u64);
    assert_eq!(noted.reports.iter().map(|(_, finished)| *finished).collect::<Vec<_>>(), [false, true]);
    for moved in &noted.reports[1].0 {
        let whole = &before[&moved.file];
        assert_eq!(memory.content(&moved.kept_as).as_ref(), Some(whole), "{moved:?}");
        let read = moved.content.unwrap_or_else(|| panic!("{moved:?}"));
        assert_eq!((read.bytes, read.crc32c), (whole.len() as u64, crc32c::crc32c(whole)));
        assert_eq!(read.blake3, *blake3::hash(whole).as_bytes());
    }
    let lines = String::from_utf8(memory.content(&kept_in.join("dropped.ndjson")).unwrap()).unwrap();
    assert_eq!(lines.lines().map(|line| line.parse().unwrap()).collect::<Vec<u64>>(), noted.dropped);
    assert_eq!(memory.content(&kept_in.join("report.json")).unwrap(), b"true");
    assert_eq!(verdict(memory), (Verdict::Healthy, last), "after {found:?}");
    let mut opened = open(&memory.shared(), root()).unwrap_or_else(|error| panic!("{error} after {found:?}"));
    // An older snapshot that needs segments which were set aside went with them.
    assert_eq!((opened.report.history_damage.as_ref(), opened.report.damaged_snapshots.len()), (None, 0));
    assert_eq!(opened.report.log_last_lsn, last);
    assert_tail(&mut opened, from, last);
    // The log continues after it.
    append(&mut opened.journal, last + 1, 3).unwrap();
    drop(opened);
    assert_tail(&mut open(&memory.shared(), root()).unwrap(), from, last + 3);
    noted
}

fn open_read_only_history(memory: &Memory) -> Option<Damage> {
    DataDir::open_read_only(&memory.shared(), root()).unwrap().report.history_damage
}

fn segments(memory: &Memory) -> u64 {
    (1..100).take_while(|number| memory.content(&segment(*number)).is_some()).last().unwrap()
}

fn first_lsn(memory: &Memory, number: u64) -> u64 {
    u64::from_le_bytes(memory.content(&segment(number)).unwrap()[40..48].try_into().unwrap())
}

fn rot(memory: &Memory, path: &Path, offset: usize) {
    memory.rot(path, offset, 0x10);
}

/// Returns 300 groups, with a snapshot at this LSN in addition to the initial one; nothing is retired.
fn with_snapshot(lsn: u64) -> Memory {
    let memory = with_groups(300);
    let opened = open(&memory.shared(), root()).unwrap();
    snapshot(&opened, lsn, lsn).unwrap();
    drop(opened);
    memory
}

#[test]
fn a_healthy_directory_is_healthy() {
    for groups in [0, 1, 24, 300] {
        assert_eq!(verdict(&with_groups(groups)), (Verdict::Healthy, groups * 3));
    }
    assert_eq!(verdict(&with_snapshot(450)), (Verdict::Healthy, 900));
    // Opening mends a torn tail, which is not damage.
    let memory = with_groups(24);
    let mut content = memory.content(&segment(1)).unwrap();
    let end = content.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    content[end - 100..].fill(0);
    memory.set_content(&segment(1), &content);
    assert_eq!(verdict(&memory), (Verdict::WouldLose, 69), "it was acknowledged");
    unsay(&memory);
    assert_eq!(verdict(&memory), (Verdict::Healthy, 69));
}

#[test]
fn damage_in_the_middle_of_the_log_drops_what_comes_after_and_says_what() {
    let original = with_groups(300);
    for number in 1..segments(&original) {
        let memory = original.copy();
        rot(&memory, &segment(number), 4_000);
        assert!(is_damaged(&open(&memory.shared(), root())));
        let (found, last) = verdict(&memory);
        assert_eq!(found, Verdict::WouldLose);
        assert!(first_lsn(&original, number) <= last && last < first_lsn(&original, number) + 100, "{last}");
        let repair = look(&memory);
        let problem = repair.found().problems[0].clone();
        assert_eq!((problem.file, problem.lsn), (segment(number), Some(last + 1)));
        assert!((512..4_000).contains(&problem.offset));
        assert_eq!(repair.found().known_lsn, 900);
        drop(repair);
        // All but the damaged group are readable.
        assert_eq!(repaired(&memory, 1).dropped, (last + 4..=900).collect::<Vec<u64>>());
    }
}

#[test]
fn damage_that_a_later_snapshot_makes_up_for_loses_nothing() {
    let memory = with_snapshot(700);
    rot(&memory, &segment(2), 4_000);
    assert!(is_damaged(&open(&memory.shared(), root())));
    assert_eq!(verdict(&memory), (Verdict::WithoutLoss, 900));
    assert!(repaired(&memory, 701).dropped.is_empty());
    assert_eq!(open(&memory.shared(), root()).unwrap().report.history_damage, None);
    // Releases before left the older snapshot in place, which each opening then found without its log.
    let memory = with_snapshot(700);
    (1..=2).for_each(|number| memory.forget(&segment(number)));
    let found = open_read_only_history(&memory);
    assert!(found.is_some_and(|damage| damage.reason.contains("older snapshot")));
    assert_eq!(verdict(&memory), (Verdict::WithoutLoss, 900));
    repaired(&memory, 701);
    // Beyond the snapshot nothing makes up for it, and the commands before it stay.
    let memory = with_snapshot(700);
    let last = segments(&memory);
    assert!(700 < first_lsn(&memory, last));
    rot(&memory, &segment(last), 600);
    assert_eq!(verdict(&memory).0, Verdict::WouldLose);
    repaired(&memory, 701);
}

#[test]
fn damaged_headers_are_computed_anew() {
    let original = with_groups(300);
    for number in 1..segments(&original) {
        let memory = original.copy();
        rot(&memory, &segment(number), 45);
        assert!(is_damaged(&open(&memory.shared(), root())));
        assert_eq!(verdict(&memory), (Verdict::WithoutLoss, 900), "{number}");
        repaired(&memory, 1);
        assert_eq!(memory.content(&segment(number)), original.content(&segment(number)));
    }
}

#[test]
fn missing_foreign_and_doubled_segments_are_named_and_the_rest_is_kept() {
    let original = with_groups(300);
    let last = segments(&original);
    for number in 2..last {
        let memory = original.copy();
        memory.forget(&segment(number));
        assert_eq!(verdict(&memory), (Verdict::WouldLose, first_lsn(&original, number) - 1), "{number}");
        assert_eq!(look(&memory).found().problems[0].file, segment(number));
        repaired(&memory, 1);
        let memory = original.copy();
        memory.set_content(&segment(number), &original.content(&segment(number - 1)).unwrap());
        assert_eq!(verdict(&memory), (Verdict::WouldLose, first_lsn(&original, number) - 1), "{number}");
        repaired(&memory, 1);
    }
    // What was never part of the log is dropped without a loss.
    for from in [1, last] {
        let memory = original.copy();
        memory.set_content(&segment(last + 1), &original.content(&segment(from)).unwrap());
        assert!(is_damaged(&open(&memory.shared(), root())));
        assert_eq!(verdict(&memory), (Verdict::WithoutLoss, 900));
        repaired(&memory, 1);
    }
    // The whole log gone.
    let memory = original.copy();
    (1..=last).for_each(|number| memory.forget(&segment(number)));
    assert_eq!(verdict(&memory), (Verdict::WouldLose, 0));
    repaired(&memory, 1);
}

#[test]
fn files_of_another_length_are_made_whole_where_nothing_was_cut_off() {
    let original = with_groups(300);
    for (number, length, expected) in
        [(2, 16_383, Verdict::WithoutLoss), (2, 16_400, Verdict::WithoutLoss), (2, 5_000, Verdict::WouldLose)]
    {
        let memory = original.copy();
        let mut content = original.content(&segment(number)).unwrap();
        content.resize(length, 0);
        memory.set_content(&segment(number), &content);
        assert_eq!(verdict(&memory).0, expected, "{length}");
        repaired(&memory, 1);
    }
}

#[test]
fn damaged_snapshots_go_and_an_archived_one_comes_back_with_its_log() {
    let memory = with_snapshot(450);
    rot(&memory, &snapshot_file(450), 300);
    assert_eq!(verdict(&memory), (Verdict::WithoutLoss, 900));
    repaired(&memory, 1);
    // Snapshots at 450 and 700 that do not verify, in a directory whose first one was archived with the log
    // after it.
    let archive = with_snapshot(450);
    let mut opened = open(&archive.shared(), root()).unwrap();
    let kept = snapshot(&opened, 700, 700).unwrap();
    assert!(0 < opened.journal.purge_prefix(kept, None).unwrap().archived);
    drop(opened);
    assert_eq!(verdict(&archive), (Verdict::Healthy, 900));
    let memory = archive.copy();
    rot(&memory, &snapshot_file(450), 300);
    rot(&memory, &snapshot_file(700), 300);
    assert!(is_damaged(&open(&memory.shared(), root())));
    assert_eq!(verdict(&memory), (Verdict::WithoutLoss, 900));
    repaired(&memory, 1);
    // Damage in the archive loses history, but no state.
    let memory = archive.copy();
    rot(&memory, &archived(2), 4_000);
    assert_eq!(verdict(&memory), (Verdict::WithoutLoss, 900));
    repaired(&memory, 701);
    // No snapshot at all: nothing to start from.
    let memory = with_groups(3);
    rot(&memory, &snapshot_file(0), 300);
    let refused = Repair::look(&memory.shared(), root()).unwrap_err();
    assert!(matches!(&refused, Error::Damaged(damage) if damage.file == snapshot_file(0)), "{refused}");
    let memory = with_groups(3);
    rot(&memory, &root().join("instance"), 40);
    let refused = Repair::look(&memory.shared(), root()).unwrap_err();
    assert!(
        matches!(&refused, Error::Damaged(damage) if damage.file == root().join("instance")),
        "{refused}"
    );
}

#[test]
fn a_snapshot_that_asks_for_what_is_dropped_stops_asking() {
    let memory = with_groups(300);
    let opened = open(&memory.shared(), root()).unwrap();
    snapshot(&opened, 700, 900).unwrap();
    drop(opened);
    let last = segments(&memory);
    rot(&memory, &segment(last), 600);
    let (found, good) = verdict(&memory);
    assert_eq!((found, 700 <= good, good < 900), (Verdict::WouldLose, true, true));
    repaired(&memory, 701);
}

/// Returns every directory that the tests above repair, abridged.
fn damaged() -> Vec<(&'static str, Memory, u64)> {
    let original = with_groups(150);
    let last = segments(&original);
    let mut cases = Vec::new();
    let mut add = |name, base: &Memory, from, change: &dyn Fn(&Memory)| {
        let memory = base.copy();
        change(&memory);
        cases.push((name, memory, from));
    };
    add("a damaged frame", &original, 1, &|memory| rot(memory, &segment(2), 4_000));
    add("a damaged header", &original, 1, &|memory| rot(memory, &segment(2), 45));
    add("a missing segment", &original, 1, &|memory| memory.forget(&segment(2)));
    add("the last one missing", &original, 1, &|memory| memory.forget(&segment(last)));
    let later = original.copy();
    let opened = open(&later.shared(), root()).unwrap();
    snapshot(&opened, 400, 450).unwrap();
    drop(opened);
    add("made up for by a snapshot", &later, 401, &|memory| rot(memory, &segment(1), 4_000));
    add("a snapshot that asks for more", &later, 401, &|memory| memory.forget(&segment(last)));
    let mut opened = open(&later.shared(), root()).unwrap();
    let kept = snapshot(&opened, 440, 450).unwrap();
    opened.journal.purge_prefix(kept, None).unwrap();
    drop(opened);
    add("back from the archive", &later, 1, &|memory| {
        rot(memory, &snapshot_file(400), 300);
        rot(memory, &snapshot_file(440), 300);
    });
    cases
}

#[test]
fn a_repair_may_end_at_any_call() {
    for (name, original, from) in damaged() {
        let whole = original.copy();
        let repair = look(&whole);
        let good = repair.found().last_good_lsn;
        whole.set_fault(None);
        repair.carry_out("damaged-1", &mut Noted::default()).unwrap();
        let calls = whole.calls();
        drop(repair);
        let mut refused = 0;
        for at in 1..=calls {
            for survival in [Survival::Synced, Survival::Everything, Survival::Chance(at)] {
                let place = format!("{name}: call {at} of {calls}, {survival:?}");
                let memory = original.copy();
                let repair = look(&memory);
                memory.set_fault(Some(Fault::PowerLoss { at }));
                repair.carry_out("damaged-1", &mut Noted::default()).unwrap_err();
                drop(repair);
                let after = memory.crash(survival);
                match open(&after.copy().shared(), root()) {
                    Ok(mut opened) => {
                        assert_eq!(opened.report.log_last_lsn, good, "{place}");
                        assert_tail(&mut opened, from, good);
                    }
                    Err(Error::Damaged(_)) => refused += 1,
                    Err(error) => panic!("{place}: {error}"),
                }
                // Whatever it left, the next look finds the same last good LSN, and a repair reaches it.
                let repair = look(&after);
                assert_eq!(repair.found().last_good_lsn, good, "{place}");
                repair
                    .carry_out("damaged-2", &mut Noted::default())
                    .unwrap_or_else(|error| panic!("{place}: {error}"));
                drop(repair);
                let mut opened =
                    open(&after.shared(), root()).unwrap_or_else(|error| panic!("{place}: {error}"));
                assert_tail(&mut opened, from, good);
            }
        }
        assert!(0 < refused, "{name}");
    }
}
