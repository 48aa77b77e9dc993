//! Creating, opening, locking; snapshots, archive and cut in normal use.

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;
use crate::durability::{
    FORMAT_VERSION, GroupReader, HardState, PendingCut, Report,
    log::{
        evidence,
        rewrite::{self, Intent, Purpose},
    },
    paths::Paths,
    snapshot::CHUNK_ROWS_MAX,
    storage::Disk,
    test_data::{image, joined},
};

fn commands(reader: Box<dyn GroupReader>) -> Vec<Stamped> {
    reader.flat_map(|group| group.unwrap().commands).collect()
}

#[test]
fn a_directory_on_the_real_disk_keeps_what_was_synced() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a/b");
    let storage = Disk::shared();
    assert!(DataDir::is_free(&storage, &path).unwrap());
    create(&storage, &path, 0, 10).unwrap();
    assert!(!DataDir::is_free(&storage, &path).unwrap());
    let background = LogOptions { prepare_in_background: true, ..options() };
    let mut opened = DataDir::open(&storage, &path, background).unwrap();
    assert_eq!(opened.instance.network_id, 1);
    assert_eq!((opened.instance.row_key, opened.instance.code_key), (66, 77.into()));
    for number in 0..400 {
        assert_eq!(append(&mut opened.journal, number * 3 + 1, 3).unwrap(), number * 3 + 3);
    }
    let figures = opened.journal.figures();
    assert!(4 < figures.live_segments, "{figures:?}");
    drop(opened);
    let mut opened = open(&storage, &path).unwrap();
    assert_eq!(opened.report.log_last_lsn, 1_200);
    assert_eq!(opened.report.torn, None);
    assert_tail(&mut opened, 1, 1_200);
    let rows: Vec<_> = opened.snapshot.by_ref().map(|rows| rows.unwrap()).collect();
    assert_eq!((opened.snapshot.header().clone(), rows), image(0, 10));
    for name in ["", "log", "archive", "snapshots"] {
        assert_eq!(fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777, 0o700, "{name}");
    }
    for name in ["instance", "log/00000000000000000001.log", "snapshots/00000000000000000000.snap"] {
        assert_eq!(fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn an_archive_lost_in_copying_is_made_again() {
    let place = tempfile::tempdir().unwrap();
    let (storage, path) = (Disk::shared(), place.path().join("d"));
    create(&storage, &path, 0, 1).unwrap();
    fs::remove_dir(path.join("archive")).unwrap();
    let mut opened = open(&storage, &path).unwrap();
    for number in 0..150 {
        append(&mut opened.journal, number * 3 + 1, 3).unwrap();
    }
    snapshot(&opened, 400, 450).unwrap();
    let until = snapshot(&opened, 410, 450).unwrap();
    assert!(0 < opened.journal.purge_prefix(until, None).unwrap().archived);
    assert_eq!(commands(opened.journal.reader().read_from(1).unwrap()), group(1, 450));
}

#[test]
fn a_second_opening_is_refused_and_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    for storage in [Disk::shared(), Memory::new().shared()] {
        let path = if storage.is_dir(place.path()).unwrap() { place.path().join("d") } else { ROOT.into() };
        create(&storage, &path, 0, 1).unwrap();
        let opened = open(&storage, &path).unwrap();
        assert!(matches!(open(&storage, &path), Err(Error::Locked { .. })));
        assert!(matches!(DataDir::open_read_only(&storage, &path), Err(Error::Locked { .. })));
        drop(opened);
        open(&storage, &path).unwrap();
    }
}

#[test]
fn what_is_no_data_directory_is_told_apart() {
    let memory = Memory::new();
    let storage = memory.shared();
    let path = Path::new("/d");
    assert!(matches!(open(&storage, path), Err(Error::NotADataDirectory { .. })));
    storage.create_dir(path).unwrap();
    assert!(matches!(open(&storage, path), Err(Error::NotADataDirectory { .. })));
    memory.set_content(&path.join("instance"), b"my instance of something else");
    assert!(matches!(open(&storage, path), Err(Error::NotADataDirectory { .. })));
    assert!(matches!(create(&storage, path, 0, 1), Err(Error::NotEmpty { .. })));
    memory.forget(&path.join("instance"));
    memory.set_content(&path.join("letter.txt"), b"dear");
    assert!(matches!(create(&storage, path, 0, 1), Err(Error::NotEmpty { .. })));
    memory.forget(&path.join("letter.txt"));
    memory.set_content(&path.join(".keep"), b"");
    create(&storage, path, 0, 1).unwrap();
    assert!(matches!(create(&storage, path, 0, 1), Err(Error::NotEmpty { .. })));
    open(&storage, path).unwrap();
}

#[test]
fn an_unfinished_creation_is_recognised_and_made_anew() {
    let memory = Memory::new();
    let (storage, path) = (memory.shared(), Path::new(ROOT));
    let creation = DataDir::create(&storage, path, &genesis(), options()).unwrap();
    assert!(matches!(DataDir::create(&storage, path, &genesis(), options()), Err(Error::Locked { .. })));
    let snapshot = creation.begin_snapshot(&image(0, 0).0).unwrap();
    drop((creation, snapshot));
    assert!(matches!(open(&storage, path), Err(Error::Unfinished { .. })));
    assert!(DataDir::is_free(&storage, path).unwrap());
    create(&storage, path, 0, 1).unwrap();
    open(&storage, path).unwrap();
}

/// An operator, or a killed attempt, may have created the directory before us without syncing its name.
#[test]
fn the_name_of_a_directory_that_was_there_is_made_durable_too() {
    let memory = Memory::new();
    for directory in ["/data", ROOT] {
        memory.create_dir(Path::new(directory)).unwrap();
    }
    create(&memory.shared(), Path::new(ROOT), 0, 5).unwrap();
    let after = memory.crash(crate::durability::memory::Survival::Synced);
    assert_tail(&mut open(&after.shared(), Path::new(ROOT)).unwrap(), 1, 0);
}

#[test]
fn a_newer_format_is_refused_in_every_file() {
    let memory = with_groups(3);
    for (path, mut content) in memory.all().into_iter().filter(|(_, content)| !content.is_empty()) {
        let crc_at = if path.ends_with("instance") {
            124
        } else if path.ends_with("durable") {
            48
        } else if path.extension().is_some_and(|extension| extension == "log") {
            508
        } else {
            60
        };
        content[8..12].copy_from_slice(&9_u32.to_le_bytes());
        let crc = crc32c::crc32c(&content[..crc_at]);
        content[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
        let newer = memory.copy();
        newer.set_content(&path, &content);
        let before = newer.all();
        let result = open(&newer.shared(), Path::new(ROOT));
        assert!(
            matches!(result, Err(Error::NewerFormat { found: 9, supported: FORMAT_VERSION, .. })),
            "{path:?} {result:?}"
        );
        assert_eq!(newer.all(), before);
    }
}

#[test]
fn reading_only_changes_nothing() {
    let memory = with_groups(10);
    let path = Path::new(ROOT).join("log/00000000000000000001.log");
    let mut content = memory.content(&path).unwrap();
    let end = content.iter().rposition(|byte| *byte != 0).unwrap();
    content[end - 30..=end].fill(0);
    memory.set_content(&path, &content);
    unsay(&memory);
    memory.set_content(&Path::new(ROOT).join("log/00000000000000000009.log.tmp"), b"x");
    let before = memory.all();
    let mut opened = DataDir::open_read_only(&memory.shared(), Path::new(ROOT)).unwrap();
    assert!(opened.report.torn.is_some());
    assert_eq!(opened.report.unfinished_files, 1);
    assert_tail(&mut opened, 1, 27);
    assert!(matches!(append(&mut opened.journal, 28, 1), Err(Error::ReadOnly)));
    drop(opened);
    assert_eq!(memory.all(), before);
}

#[test]
fn groups_that_cannot_be_written_are_refused_and_nothing_happens() {
    let memory = with_groups(2);
    let mut opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    let journal = &mut opened.journal;
    assert!(matches!(journal.append(&group(8, 1), 0), Err(Error::OutOfOrder { expected: 7, found: 8 })));
    let mut gap = group(7, 2);
    gap.extend(group(10, 1));
    assert!(matches!(journal.append(&gap, 0), Err(Error::OutOfOrder { expected: 9, found: 10 })));
    assert!(matches!(journal.append(&group(7, 1_000), 0), Err(Error::GroupTooLarge { .. })));
    assert_eq!(append(journal, 7, 1).unwrap(), 7);
}

#[test]
fn the_largest_group_fits_and_one_more_byte_does_not() {
    let memory = with_groups(1);
    let mut opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    let most = opened.journal.group_bytes_max();
    let one = crate::durability::record_bytes(&group(4, 1)[0]).unwrap();
    let mut count = 1;
    let bytes = |count| {
        group(4, count).iter().map(|stamped| crate::durability::record_bytes(stamped).unwrap()).sum::<usize>()
    };
    while bytes(count + 1) <= most {
        count += 1;
    }
    assert!(10 < count && one < most);
    assert!(matches!(opened.journal.append(&group(4, count + 1), 0), Err(Error::GroupTooLarge { .. })));
    let before = opened.journal.figures().live_segments;
    opened.journal.append(&group(4, count), outcome_hash(4)).unwrap();
    assert_eq!(opened.journal.figures().live_segments, before + 1);
    opened.journal.sync().unwrap();
    drop(opened);
    assert_tail(&mut open(&memory.shared(), Path::new(ROOT)).unwrap(), 1, 3 + count);
}

#[test]
fn snapshots_retire_segments_and_the_log_reads_through_the_archive() {
    let memory = with_groups(0);
    let mut opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    for number in 0..300 {
        append(&mut opened.journal, number * 3 + 1, 3).unwrap();
    }
    assert_eq!(snapshot(&opened, 500, 900).unwrap(), 0);
    assert_eq!(opened.journal.purge_prefix(0, None).unwrap().archived, 0);
    assert_eq!(snapshot(&opened, 800, 900).unwrap(), 500);
    assert_eq!(opened.snapshots.list().unwrap(), [500, 800]);
    let early = opened.journal.reader();
    let mut reader = early.read_from(1).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().commands, group(1, 3));
    let purged = opened.journal.purge_prefix(500, None).unwrap();
    assert!(1 < purged.archived, "{purged:?}");
    assert_eq!(purged.deleted, 0);
    // A reader from before the move continues.
    assert_eq!(commands(reader), group(4, 897));
    assert_eq!(commands(opened.journal.reader().read_from(1).unwrap()), group(1, 900));
    assert_eq!(commands(opened.journal.reader().read_from(899).unwrap()), group(899, 2));
    let reader = opened.journal.reader();
    assert_eq!(
        (reader.oldest_lsn(), reader.durable_lsn(), opened.journal.figures().archived_segments),
        (1, 900, purged.archived)
    );
    assert_eq!(opened.journal.hard_state(), HardState { term: 0, durable_lsn: 900 });
    drop(opened);
    let mut opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    assert_eq!(opened.report.snapshot_lsn, 800);
    assert!(1 < opened.report.log_first_lsn && opened.report.log_first_lsn <= 501);
    // LSN 801 is inside a group: that group lacks its beginning and the hash.
    assert_eq!(
        opened.tail.next().unwrap().unwrap(),
        crate::durability::Group { outcome_hash_before: None, commands: group(801, 1) }
    );
    assert_tail(&mut opened, 802, 900);
    assert_eq!(commands(opened.journal.reader().read_from(1).unwrap()), group(1, 900));
}

#[test]
fn retention_deletes_by_bytes_and_by_days() {
    let table = [
        (Retention::Bytes(40_000), 2),
        (Retention::Days(0), 0),
        (Retention::Days(1), 3),
        (Retention::Days(u32::MAX), 3),
        (Retention::Keep, 3),
    ];
    for (retention, left) in table {
        let memory = with_groups(300);
        let mut opened =
            DataDir::open(&memory.shared(), Path::new(ROOT), LogOptions { retention, ..options() }).unwrap();
        snapshot(&opened, 700, 900).unwrap();
        let until = snapshot(&opened, 800, 900).unwrap();
        let purged = opened.journal.purge_prefix(until, None).unwrap();
        let figures = opened.journal.figures();
        assert_eq!(figures.archived_segments, left, "{retention:?} {purged:?} {figures:?}");
        assert_eq!(purged.archived - purged.deleted, left);
        if left < purged.archived {
            let oldest = opened.journal.reader().oldest_lsn();
            assert!(matches!(
                opened.journal.reader().read_from(1),
                Err(Error::BelowRetained { oldest: from }) if from == oldest
            ));
            assert_eq!(
                commands(opened.journal.reader().read_from(oldest).unwrap()).len() as u64,
                901 - oldest
            );
        }
    }
}

#[test]
fn a_damaged_snapshot_is_set_aside_loudly_and_the_older_one_used() {
    let memory = with_groups(100);
    let opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    snapshot(&opened, 100, 300).unwrap();
    snapshot(&opened, 200, 300).unwrap();
    drop(opened);
    let newer = Path::new(ROOT).join("snapshots/00000000000000000200.snap");
    let mut content = memory.content(&newer).unwrap();
    content[700] ^= 1;
    memory.set_content(&newer, &content);
    let mut opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    let Report { snapshot_lsn, damaged_snapshots, .. } = &opened.report;
    assert_eq!((*snapshot_lsn, damaged_snapshots.len()), (100, 1));
    assert_eq!(damaged_snapshots[0].file, newer);
    assert_tail(&mut opened, 101, 300);
    // It no longer counts as one of the two kept.
    assert_eq!(snapshot(&opened, 300, 300).unwrap(), 100);
    drop(opened);
    let older = Path::new(ROOT).join("snapshots/00000000000000000100.snap");
    for path in [&older, &Path::new(ROOT).join("snapshots/00000000000000000300.snap")] {
        memory.set_content(path, b"");
    }
    let before = memory.all();
    assert!(is_damaged(&open(&memory.shared(), Path::new(ROOT))));
    assert_eq!(memory.all(), before);
}

#[test]
fn marks_say_what_is_durable_once() {
    let memory = with_groups(2);
    let mut opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    assert!(opened.journal.mark(1).unwrap());
    opened.journal.sync().unwrap();
    assert!(!opened.journal.mark(1).unwrap());
    append(&mut opened.journal, 7, 3).unwrap();
    drop(opened);
    assert_tail(&mut open(&memory.shared(), Path::new(ROOT)).unwrap(), 1, 9);
}

/// Orders a cut of durable commands, as the format allows, for the next opening to carry out.
fn order_cut(memory: &Memory, after: u64) {
    let opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    let chain = opened.journal.reader().chain_at(after).unwrap().chain.unwrap();
    drop(opened);
    let paths = Paths::new(Path::new(ROOT));
    let (instance, purpose) = (&genesis().id.0, Purpose::Suffix);
    evidence::reset(memory, &paths, instance, unchained(after)).unwrap();
    rewrite::intend_cut(memory, &paths, instance, Intent { after, chain, purpose }).unwrap();
}

#[test]
fn a_suffix_is_cut_also_inside_a_group_and_across_segments() {
    for after in [299, 290, 289, 140, 4, 3, 0] {
        let memory = with_groups(100);
        order_cut(&memory, after);
        let mut opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
        assert_eq!(opened.report.finished_cut, Some(PendingCut { after, last_lsn: 300 }));
        assert_eq!(opened.journal.hard_state().durable_lsn, after);
        assert_eq!(commands(opened.journal.reader().read_from(1).unwrap()), group(1, after));
        append(&mut opened.journal, after + 1, 3).unwrap();
        drop(opened);
        let mut opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
        assert_eq!(opened.report.finished_cut, None);
        assert_eq!(tail(&mut opened).unwrap(), group(1, after + 3));
    }
    let memory = with_groups(100);
    let opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    snapshot(&opened, 250, 300).unwrap();
    drop(opened);
    order_cut(&memory, 249);
    assert!(is_damaged(&open(&memory.shared(), Path::new(ROOT))), "no cut goes below a snapshot");
}

#[test]
fn rows_come_back_from_many_chunks() {
    let memory = Memory::new();
    let members = u32::try_from(CHUNK_ROWS_MAX).unwrap() * 2 + 5;
    create(&memory.shared(), Path::new(ROOT), 9, members).unwrap();
    let opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    let expected = image(9, members).1;
    assert_eq!(joined(opened.snapshot.map(|rows| rows.unwrap())), expected);
}

#[test]
fn images_that_are_not_what_they_announce_are_refused() {
    let memory = with_groups(4);
    let opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    let (header, rows) = image(12, 5);
    let mut missing = opened.snapshots.begin(&header).unwrap();
    missing.push(&rows[0]).unwrap();
    assert!(matches!(missing.publish(12, [0; 32], [0; 32]), Err(Error::BadImage(_))));
    let mut disordered = opened.snapshots.begin(&header).unwrap();
    disordered.push(&rows[1]).unwrap();
    assert!(matches!(disordered.push(&rows[0]), Err(Error::BadImage(_))));
    let mut early = opened.snapshots.begin(&header).unwrap();
    for part in &rows {
        early.push(part).unwrap();
    }
    assert!(matches!(early.publish(11, [0; 32], [0; 32]), Err(Error::BadImage(_))));
    assert_eq!(opened.snapshots.list().unwrap(), [0]);
}
