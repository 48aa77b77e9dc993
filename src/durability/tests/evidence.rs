//! A log whose end is gone or of another history: the evidence file makes opening refuse it, and never one
//! whose end was not acknowledged.

use super::*;
use crate::durability::{
    log::{evidence, frame, segment::HEADER_BYTES},
    memory::{Fault, Survival},
    repair::{Repair, Verdict},
};

fn recorded(memory: &Memory) -> evidence::Durable {
    evidence::recorded(memory, &paths(), &[5; 16]).unwrap().unwrap()
}

fn newest_segment(memory: &Memory) -> PathBuf {
    let of_log = |path: &&PathBuf| path.starts_with(paths().log());
    let is_used = |path: &&PathBuf| !frame::is_zero(&memory.content(path).unwrap());
    memory.all().keys().filter(of_log).filter(is_used).max().unwrap().clone()
}

/// Asserts that opening is refused and changes nothing; returns what it says.
fn refusal(memory: &Memory, what: &str) -> crate::durability::error::Damage {
    assert_refused(memory, what);
    match DataDir::open_read_only(&memory.shared(), root()) {
        Err(Error::Damaged(damage)) => *damage,
        result => panic!("{what}: {:?}", result.map(|opened| opened.report)),
    }
}

/// Goes on with other commands than `append` gives, in groups of this many.
fn go_another_way(memory: &Memory, mut first: u64, last: u64, count: u64) {
    let mut opened = open(&memory.shared(), root()).unwrap();
    while first <= last {
        let commands = other_group(first, count.min(last + 1 - first));
        first += commands.len() as u64;
        opened.journal.append(&commands, outcome_hash(first)).unwrap();
        opened.journal.sync().unwrap();
    }
}

/// Goes on with the commands of `append`, in groups of three.
fn go_on(memory: &Memory, first: u64, last: u64) {
    let mut opened = open(&memory.shared(), root()).unwrap();
    for lsn in (first..last).step_by(3) {
        append(&mut opened.journal, lsn, 3).unwrap();
    }
}

/// Returns offset and length of each frame of a segment.
fn frames(content: &[u8], number: u64) -> Vec<(usize, usize)> {
    let form = frame::Form::new(crate::durability::FORMAT_VERSION, &[5; 16], number);
    let (mut at, mut found) = (HEADER_BYTES, Vec::new());
    while let Some(header) = content.get(at..).and_then(|rest| frame::parse_header(rest, form)) {
        found.push((at, header.frame_bytes()));
        at += header.frame_bytes();
    }
    found
}

fn assert_refused(memory: &Memory, what: &str) {
    let before = memory.all();
    for result in [open(&memory.shared(), root()), DataDir::open_read_only(&memory.shared(), root())] {
        assert!(is_damaged(&result), "{what}: {:?}", result.map(|opened| opened.report.log_last_lsn));
    }
    assert!(memory.all() == before, "{what}: refused, and changed");
}

#[test]
fn every_frame_that_is_zeroed_is_missed_also_the_last_and_all_of_them() {
    let whole = with_groups(30);
    let path = paths().segment(1);
    let content = whole.content(&path).unwrap();
    let all = frames(&content, 1);
    assert_eq!(all.len(), 30);
    let zeroed = |range: std::ops::Range<usize>| {
        let memory = whole.copy();
        let mut changed = content.clone();
        changed[range].fill(0);
        memory.set_content(&path, &changed);
        memory
    };
    for (number, (at, length)) in all.iter().copied().enumerate() {
        assert_refused(&zeroed(at..at + length), &format!("frame {number}"));
        assert_refused(&zeroed(at..content.len()), &format!("frame {number} and all behind it"));
        // Each sector that the frame touches, one at a time.
        for sector in at / 512..(at + length).div_ceil(512) {
            let range = (sector * 512).max(HEADER_BYTES)..sector * 512 + 512;
            assert_refused(&zeroed(range), &format!("sector {sector} below frame {number}"));
        }
    }
    assert_refused(&zeroed(HEADER_BYTES..content.len()), "all frames");
    assert_refused(&zeroed(0..content.len()), "the whole segment");
}

#[test]
fn a_prepared_file_in_place_of_the_active_segment_is_missed() {
    let whole = with_groups(200);
    let newest = whole.all().keys().filter(|path| path.starts_with(paths().log())).max().unwrap().clone();
    let number =
        crate::durability::names::segment_number(newest.file_name().unwrap().to_str().unwrap()).unwrap();
    assert!(2 < number);
    for active in [newest.clone(), paths().segment(number)] {
        let memory = whole.copy();
        memory.set_content(&active, &vec![0; 16 * 1_024]);
        assert_refused(&memory, "a prepared file");
        // An older copy of it: with its header, but without the newest groups.
        let memory = whole.copy();
        let mut content = memory.content(&active).unwrap();
        let (last, _) = *frames(&content, number).last().unwrap();
        content[last..].fill(0);
        memory.set_content(&active, &content);
        assert_refused(&memory, "an older copy");
    }
}

#[test]
fn the_file_itself_is_missed_and_one_of_its_slots_is_not() {
    let whole = with_groups(30);
    let content = whole.content(&paths().durable()).unwrap();
    let with = |content: &[u8]| {
        let memory = whole.copy();
        memory.set_content(&paths().durable(), content);
        memory
    };
    assert_refused(&with(&[]), "an empty file");
    assert_refused(&with(&vec![0; content.len()]), "zeros");
    assert_refused(&with(&content[..content.len() - 1]), "a byte less");
    let mut foreign = content.clone();
    for slot in [0, 4_096] {
        foreign[slot + 16..slot + 32].fill(9);
        let crc = crc32c::crc32c(&foreign[slot..slot + 48]);
        foreign[slot + 48..slot + 52].copy_from_slice(&crc.to_le_bytes());
    }
    assert_refused(&with(&foreign), "another directory's");
    // After a mark both slots are in use: either alone is enough to open.
    let mut opened = open(&whole.shared(), root()).unwrap();
    append(&mut opened.journal, 91, 1).unwrap();
    opened.journal.mark(0).unwrap();
    opened.journal.sync().unwrap();
    append(&mut opened.journal, 92, 1).unwrap();
    drop(opened);
    let content = whole.content(&paths().durable()).unwrap();
    for slot in [0, 4_096] {
        let mut spoilt = content.clone();
        spoilt[slot + 33] ^= 1;
        assert_eq!(open(&with(&spoilt).shared(), root()).unwrap().report.log_last_lsn, 92);
    }
    // Missing from a directory whose log says that there was one.
    whole.forget(&paths().durable());
    assert_refused(&whole, "no file");
}

/// Whatever survives a power loss at any call, the evidence is true: the directory opens (`crash.rs` asserts
/// its content), and the evidence records no more than its log holds.
#[test]
fn it_never_says_more_than_was_synced() {
    let original = with_groups(2);
    let script = |memory: &Memory| -> Result<u64> {
        let mut opened = open(&memory.shared(), root())?;
        for number in 2..40 {
            append(&mut opened.journal, number * 3 + 1, 3)?;
            if number % 7 == 0 {
                opened.journal.mark(0)?;
                opened.journal.sync()?;
            }
        }
        Ok(120)
    };
    let whole = original.copy();
    whole.set_fault(None);
    script(&whole).unwrap();
    for at in 1..=whole.calls() {
        for fault in [Fault::PowerLoss { at }, Fault::LostSync { at, seed: at }] {
            let memory = original.copy();
            memory.set_fault(Some(fault));
            script(&memory).unwrap_err();
            memory.set_fault(None);
            for survival in [
                Survival::Synced,
                Survival::Everything,
                Survival::Chance(at),
                Survival::Chance(at + 7),
                Survival::Chance(at + 13),
            ] {
                let after = memory.crash(survival);
                let said = evidence::recorded(&after, &paths(), &[5; 16]).unwrap().unwrap().lsn;
                let opened = open(&after.shared(), root())
                    .unwrap_or_else(|error| panic!("{fault:?} {survival:?}: {error}"));
                assert!(said <= opened.report.log_last_lsn, "{fault:?} {survival:?}");
            }
        }
    }
}

/// After a kill the evidence is always complete; after a power loss at most this many groups are unrecorded.
#[test]
fn what_a_power_loss_leaves_unsaid_is_bounded() {
    let memory = with_groups(0);
    let mut opened = open(&memory.shared(), root()).unwrap();
    for number in 0..u64::from(evidence::SYNC_EVERY) * 2 + 40 {
        let durable = append(&mut opened.journal, number + 1, 1).unwrap();
        let said = |memory: &Memory| recorded(memory).lsn;
        assert_eq!(said(&memory), durable, "after a kill");
        assert!(
            durable - said(&memory.crash(Survival::Synced)) < u64::from(evidence::SYNC_EVERY),
            "after a power loss"
        );
        if number % 100 == 99 {
            opened.journal.mark(0).unwrap();
            assert_eq!(said(&memory.crash(Survival::Synced)), durable, "after an idle moment");
        }
    }
}

#[test]
fn a_repair_that_drops_commands_says_so_there() {
    let memory = with_groups(30);
    let mut content = memory.content(&paths().segment(1)).unwrap();
    let (last, _) = *frames(&content, 1).last().unwrap();
    content[last..].fill(0);
    memory.set_content(&paths().segment(1), &content);
    assert_refused(&memory, "the last frame is gone");
    let repair = Repair::look(&memory.shared(), root()).unwrap();
    assert_eq!(
        (repair.found().verdict, repair.found().last_good_lsn, repair.found().known_lsn),
        (Verdict::WouldLose, 87, 90)
    );
    repair.carry_out("damaged-1", &mut NoPapers).unwrap();
    drop(repair);
    assert!(memory.content(&root().join("damaged-1/durable")).is_some(), "the old one is kept");
    let mut opened = open(&memory.shared(), root()).unwrap();
    assert_tail(&mut opened, 1, 87);
    append(&mut opened.journal, 88, 2).unwrap();
    drop(opened);
    assert_eq!(Repair::look(&memory.shared(), root()).unwrap().found().verdict, Verdict::Healthy);
}

/// A repair keeps the files that opening refused to remove.
#[test]
fn a_repair_keeps_unfinished_files_that_hold_more() {
    let memory = with_groups(30);
    let path = paths().segment(1);
    let content = memory.content(&path).unwrap();
    let mut shorter = content.clone();
    let (last, _) = *frames(&content, 1).last().unwrap();
    shorter[last..].fill(0);
    memory.set_content(&path, &shorter);
    memory.set_content(&Paths::temporary(&path), &content);
    unsay(&memory);
    assert_refused(&memory, "the copy with another name holds more");
    let repair = Repair::look(&memory.shared(), root()).unwrap();
    assert_eq!(
        (repair.found().verdict, repair.found().last_good_lsn, repair.found().known_lsn),
        (Verdict::WouldLose, 87, 90)
    );
    repair.carry_out("damaged-1", &mut NoPapers).unwrap();
    drop(repair);
    let kept = root().join("damaged-1/log/00000000000000000001.log.tmp");
    assert_eq!(memory.content(&kept).unwrap(), content);
    assert_tail(&mut open(&memory.shared(), root()).unwrap(), 1, 87);
}

/// A copy of the directory went on by itself. Its newest segment, laid over the one here, holds none of what
/// was acknowledged here, wherever it ends.
#[test]
fn the_newest_segment_of_a_copy_that_diverged_is_refused() {
    let origin = with_groups(30);
    for with_snapshot in [false, true] {
        let ours = origin.copy();
        if with_snapshot {
            // Common to both: it does not tell them apart.
            let opened = open(&ours.shared(), root()).unwrap();
            snapshot(&opened, 90, 90).unwrap();
        }
        let theirs = ours.copy();
        go_on(&ours, 91, 120);
        // last LSN there, commands in a group; in the third case 120 is inside a group
        for (last, count) in [(105, 3), (120, 3), (150, 50), (119, 1), (120, 30), (121, 1), (150, 3)] {
            let what = format!("up to {last} in groups of {count}, snapshot {with_snapshot}");
            let (theirs, mixed) = (theirs.copy(), ours.copy());
            go_another_way(&theirs, 91, last, count);
            let segment = newest_segment(&theirs);
            assert_eq!(segment, newest_segment(&ours), "{what}");
            mixed.set_content(&segment, &theirs.content(&segment).unwrap());
            let damage = refusal(&mixed, &what);
            assert_eq!(damage.file, segment, "{what}: {damage}");
            if 120 <= last {
                assert_eq!(damage.lsn, Some(120), "{what}: {damage}");
                assert!(damage.reason.contains("another history"), "{what}: {damage}");
                let seen = crate::durability::inspect::log_of_another_history(&mixed.shared(), root());
                assert_eq!(seen.unwrap().as_ref(), Some(&damage.reason), "{what}");
                // The copy's own record fits.
                let whole = theirs.copy();
                assert_eq!(open(&whole.shared(), root()).unwrap().report.log_last_lsn, last, "{what}");
            }
        }
        let seen = crate::durability::inspect::log_of_another_history(&ours.shared(), root());
        assert_eq!(seen.unwrap(), None);
    }
}

/// A snapshot after the divergence tells the histories apart as well; and an older segment does not go on in
/// the next one.
#[test]
fn other_segments_of_a_copy_that_diverged_are_refused_too() {
    let origin = with_groups(30);
    let (ours, theirs) = (origin.copy(), origin.copy());
    go_on(&ours, 91, 120);
    let opened = open(&ours.shared(), root()).unwrap();
    snapshot(&opened, 120, 120).unwrap();
    drop(opened);
    go_on(&ours, 121, 900);
    go_another_way(&theirs, 91, 900, 3);
    let last = newest_segment(&ours);
    assert_eq!(last, newest_segment(&theirs));
    assert_ne!(last, paths().segment(1));
    for path in theirs.all().keys().filter(|path| path.starts_with(paths().log()) && **path <= last) {
        let mixed = ours.copy();
        mixed.set_content(path, &theirs.content(path).unwrap());
        refusal(&mixed, &path.display().to_string());
    }
    // All of them fit each other, and not the snapshot.
    let mixed = ours.copy();
    for path in theirs.all().keys().filter(|path| path.starts_with(paths().log())) {
        mixed.set_content(path, &theirs.content(path).unwrap());
    }
    let damage = refusal(&mixed, "the whole log");
    assert!(damage.file.starts_with(paths().snapshots()), "{damage}");
    // Without that snapshot only the evidence tells.
    mixed.forget(&paths().snapshot(120));
    let damage = refusal(&mixed, "the whole log, without a snapshot of what it lacks");
    assert_eq!((damage.file, damage.lsn), (last, Some(900)));
}

/// A power loss may leave an older record: it is compared with the log at its own LSN.
#[test]
fn an_older_record_is_compared_at_its_lsn() {
    let memory = with_groups(30);
    let older = memory.content(&paths().durable()).unwrap();
    let theirs = memory.copy();
    let before = with_groups(29);
    go_on(&memory, 91, 900);
    go_another_way(&theirs, 91, 900, 7);
    for whole in [&memory, &theirs] {
        let copy = whole.copy();
        copy.set_content(&paths().durable(), &older);
        assert_eq!(open(&copy.shared(), root()).unwrap().report.log_last_lsn, 900);
    }
    go_another_way(&before, 88, 900, 9);
    before.set_content(&paths().durable(), &older);
    let damage = refusal(&before, "another way before the record, which is inside a group there");
    assert_eq!((damage.file, damage.lsn), (paths().segment(1), Some(90)));
}

/// Older releases recorded no chain: the log is read as before, and the next write records it.
#[test]
fn a_record_without_a_chain_is_taken_and_the_next_one_has_it() {
    let memory = with_groups(30);
    let content = memory.content(&paths().durable()).unwrap();
    assert!(recorded(&memory).chain.is_some());
    let mut plain = content.clone();
    for slot in [0, 4_096] {
        plain[slot + 52..slot + 512].fill(0);
    }
    memory.set_content(&paths().durable(), &plain);
    assert_eq!(recorded(&memory), unchained(90));
    let mut opened = open(&memory.shared(), root()).unwrap();
    assert_eq!(memory.content(&paths().durable()).unwrap(), plain, "opening alone writes nothing");
    append(&mut opened.journal, 91, 3).unwrap();
    let chain = opened.journal.reader().chain_at(93).unwrap().chain;
    assert_eq!(recorded(&memory), evidence::Durable { lsn: 93, chain });
    drop(opened);
    // A changed byte of the chain or of its checksum spoils the slot.
    let memory = with_groups(30);
    for at in 52..68 {
        let mut spoilt = content.clone();
        for slot in [0, 4_096] {
            spoilt[slot + at] ^= 1;
        }
        memory.set_content(&paths().durable(), &spoilt);
        assert_refused(&memory, &format!("byte {at}"));
    }
}

/// What was acknowledged here is not in the log of the copy: a repair takes that log only by order.
#[test]
fn a_repair_takes_a_log_of_another_history_only_by_order() {
    let ours = with_groups(30);
    let theirs = ours.copy();
    go_on(&ours, 91, 120);
    go_another_way(&theirs, 91, 120, 3);
    let segment = newest_segment(&ours);
    ours.set_content(&segment, &theirs.content(&segment).unwrap());
    let repair = Repair::look(&ours.shared(), root()).unwrap();
    let look = repair.found();
    assert_eq!((look.verdict, look.last_good_lsn, look.problems.len()), (Verdict::WouldLose, 120, 1));
    assert_eq!(look.problems[0].file, segment);
    repair.carry_out("damaged-1", &mut NoPapers).unwrap();
    drop(repair);
    assert!(ours.content(&root().join("damaged-1/durable")).is_some(), "the old record is kept");
    assert_eq!(open(&ours.shared(), root()).unwrap().report.log_last_lsn, 120);
    assert_eq!(Repair::look(&ours.shared(), root()).unwrap().found().verdict, Verdict::Healthy);
}
