//! Retained history: archived snapshots, and the log by LSN and by time.

use super::*;
use crate::durability::{ARCHIVED_SNAPSHOTS_MAX, Group, GroupReader};

fn commands(reader: Box<dyn GroupReader>) -> Vec<Stamped> {
    reader.flat_map(|group| group.unwrap().commands).collect()
}

/// Writes groups of three, a snapshot after every `every` of them, and retires what it can.
fn fill(opened: &mut Opened, groups: u64, every: u64) {
    for number in 0..groups {
        let last = append(&mut opened.journal, number * 3 + 1, 3).unwrap();
        if number % every == every - 1 {
            let until = snapshot(opened, last, last).unwrap();
            opened.journal.purge_prefix(until, None).unwrap();
        }
    }
}

#[test]
fn the_first_snapshot_stays_as_the_base_of_the_whole_log() {
    let memory = with_groups(0);
    let mut opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    fill(&mut opened, 400, 10);
    let archived = opened.snapshots.list_archived().unwrap();
    assert_eq!((archived[0], archived.len()), (0, ARCHIVED_SNAPSHOTS_MAX));
    assert_eq!(opened.snapshots.list().unwrap(), [1_170, 1_200]);
    let bytes_of = |lsn: u64| {
        memory.content(&Path::new(ROOT).join(format!("snapshots/{lsn:020}.snap"))).unwrap().len() as u64
    };
    assert_eq!(opened.snapshots.sizes().unwrap(), [1_170, 1_200].map(|lsn| (lsn, bytes_of(lsn))));
    let bases = opened.snapshots.bases().unwrap();
    assert_eq!(bases.len(), ARCHIVED_SNAPSHOTS_MAX + 2);
    assert!(bases.windows(2).all(|pair| pair[1] - pair[0] <= 360), "{bases:?}");
    drop(opened);
    let opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    assert_eq!(opened.snapshots.bases().unwrap(), bases);
    assert!(opened.journal.reader().is_whole());
    for lsn in [0, 1, 29, 30, 31, 500, 1_169, 1_170, 1_200] {
        let base = opened.snapshots.base_of(lsn).unwrap().manifest().lsn;
        assert_eq!(Some(&base), bases.iter().rfind(|base| **base <= lsn), "{lsn}");
        let replayed = commands(opened.journal.reader().read_range(base + 1, lsn).unwrap());
        assert_eq!(replayed, group(base + 1, lsn - base), "{lsn}");
    }
}

#[test]
fn what_the_log_does_not_reach_any_more_goes_and_the_error_names_the_oldest() {
    let memory = with_groups(0);
    let keep_little = LogOptions { retention: Retention::Bytes(64_000), ..options() };
    let mut opened = DataDir::open(&memory.shared(), Path::new(ROOT), keep_little).unwrap();
    fill(&mut opened, 600, 10);
    // Useless ones are deleted with the next snapshot after the log was.
    let oldest = opened.journal.reader().oldest_lsn();
    assert!(1 < oldest && !opened.journal.reader().is_whole());
    let bases = opened.snapshots.bases().unwrap();
    assert!(oldest <= bases[0] + 1 && 3 < bases.len(), "{oldest} {bases:?}");
    let archived = opened.snapshots.list_archived().unwrap();
    assert!(archived.iter().filter(|lsn| **lsn + 1 < oldest).count() <= 2, "{oldest} {archived:?}");
    for lsn in [0, 1, bases[0] - 1] {
        let result = opened.snapshots.base_of(lsn);
        assert!(
            matches!(result, Err(Error::BelowRetained { oldest }) if oldest == bases[0]),
            "{lsn} {result:?}"
        );
    }
    assert_eq!(opened.snapshots.base_of(bases[0]).unwrap().manifest().lsn, bases[0]);
}

#[test]
fn a_damaged_base_is_passed_over_reported_and_no_reason_to_refuse() {
    let memory = with_groups(0);
    let mut opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    fill(&mut opened, 40, 10);
    drop(opened);
    let first = Path::new(ROOT).join("archive/00000000000000000000.snap");
    let second = Path::new(ROOT).join("archive/00000000000000000030.snap");
    // In a chunk: only a full read finds it.
    let mut content = memory.content(&second).unwrap();
    content[700] ^= 1;
    memory.set_content(&second, &content);
    let opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    assert_eq!(opened.report.archived_snapshot_damage, []);
    let found: Vec<_> =
        opened.snapshots.verify_archived().unwrap().into_iter().map(|damage| damage.file).collect();
    assert_eq!(found, std::slice::from_ref(&second));
    assert_eq!(opened.snapshots.base_of(45).unwrap().manifest().lsn, 0, "an older one and a longer replay");
    drop(opened);
    // In the manifest: every opening finds it.
    memory.set_content(&first, b"short");
    let opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    let found: Vec<_> = opened.report.archived_snapshot_damage.iter().map(|damage| &damage.file).collect();
    assert_eq!(found, [&first]);
    assert!(matches!(opened.snapshots.base_of(45), Err(Error::Damaged(_))));
    assert_eq!(opened.snapshots.base_of(100).unwrap().manifest().lsn, 90);
}

/// Only a fallback and `verify` read the older snapshot: `verify` finds all damage in it, and in each
/// archived one.
#[test]
fn every_byte_of_every_kept_snapshot_is_verified() {
    let memory = with_groups(0);
    let mut opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    fill(&mut opened, 40, 10);
    drop(opened);
    let names = [
        "snapshots/00000000000000000090.snap",
        "archive/00000000000000000000.snap",
        "archive/00000000000000000060.snap",
    ];
    for path in names.map(|name| Path::new(ROOT).join(name)) {
        let content = memory.content(&path).unwrap();
        let mut spoilt = vec![
            Vec::new(),
            vec![0; content.len()],
            content[..content.len() - 1].to_vec(),
            content[..content.len() / 2].to_vec(),
        ];
        for at in 0..content.len() {
            let mut flipped = content.clone();
            flipped[at] ^= 1 << (at % 8);
            spoilt.push(flipped);
        }
        let memory = memory.copy();
        let opened = DataDir::open_read_only(&memory.shared(), Path::new(ROOT)).unwrap();
        let verify = || {
            let mut found = opened.snapshots.verify_older(120).unwrap();
            found.extend(opened.snapshots.verify_archived().unwrap());
            found.into_iter().map(|damage| damage.file).collect::<Vec<_>>()
        };
        assert!(verify().is_empty());
        for (number, content) in spoilt.into_iter().enumerate() {
            memory.set_content(&path, &content);
            assert_eq!(verify(), std::slice::from_ref(&path), "{} in way {number}", path.display());
        }
        drop(opened);
        drop(DataDir::open_read_only(&memory.shared(), Path::new(ROOT)).unwrap());
    }
}

/// If archived segments cannot be read, an operator may restore them: snapshots before them are kept.
#[test]
fn beside_a_damaged_archive_no_base_is_thrown_away() {
    let memory = with_groups(0);
    let mut opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    fill(&mut opened, 300, 75);
    assert!(2 < opened.journal.figures().archived_segments);
    drop(opened);
    memory.forget(&Path::new(ROOT).join("archive/00000000000000000002.log"));
    let mut opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    assert!(opened.report.history_damage.is_some());
    let last = append(&mut opened.journal, 901, 3).unwrap();
    snapshot(&opened, last, last).unwrap();
    assert_eq!(opened.snapshots.list_archived().unwrap(), [0, 225, 450, 675]);
}

/// If the oldest archived segment is gone or renamed, there is no gap: the snapshot from which it continued
/// reveals the loss.
#[test]
fn archived_files_that_are_gone_or_renamed_are_missed_and_no_base_is_thrown_away() {
    type Change<'a> = &'a dyn Fn(&Memory);
    let archived = |name: &str| Path::new(ROOT).join("archive").join(name);
    let rename = |memory: &Memory, name: &str| {
        memory.set_content(&archived(&format!("{name}.tmp")), &memory.content(&archived(name)).unwrap());
        memory.forget(&archived(name));
    };
    let table: [(&str, Change<'_>, &str); 5] = [
        (
            "the first segment is gone",
            &|memory| memory.forget(&archived("00000000000000000001.log")),
            "00000000000000000000.snap",
        ),
        (
            "the first segment is renamed",
            &|memory| rename(memory, "00000000000000000001.log"),
            "00000000000000000001.log.tmp",
        ),
        (
            "a later segment is renamed",
            &|memory| rename(memory, "00000000000000000002.log"),
            "00000000000000000001.log",
        ),
        (
            "a snapshot is renamed",
            &|memory| rename(memory, "00000000000000000225.snap"),
            "00000000000000000225.snap.tmp",
        ),
        (
            "all segments are gone",
            &|memory| {
                let gone = |path: &&std::path::PathBuf| {
                    path.starts_with(archived("")) && path.extension().is_some_and(|end| end == "log")
                };
                memory.all().keys().filter(gone).for_each(|path| memory.forget(path));
            },
            "00000000000000000000.snap",
        ),
    ];
    let whole = with_groups(0);
    let mut opened = open(&whole.shared(), Path::new(ROOT)).unwrap();
    fill(&mut opened, 300, 75);
    assert!(2 < opened.journal.figures().archived_segments);
    drop(opened);
    assert_eq!(open(&whole.shared(), Path::new(ROOT)).unwrap().report.history_damage, None);
    for (what, change, names) in table {
        let memory = whole.copy();
        change(&memory);
        let before = memory.all();
        let reading = DataDir::open_read_only(&memory.shared(), Path::new(ROOT)).unwrap();
        let damage = reading.report.history_damage.clone().unwrap_or_else(|| panic!("{what}: not missed"));
        assert!(damage.file.ends_with(names), "{what}: {damage}");
        drop(reading);
        let mut opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
        assert_eq!(opened.report.history_damage, Some(damage), "{what}");
        let last = append(&mut opened.journal, 901, 3).unwrap();
        let until = snapshot(&opened, last, last).unwrap();
        opened.journal.purge_prefix(until, None).unwrap();
        let after = memory.all();
        for path in before.keys().filter(|path| path.starts_with(archived(""))) {
            assert!(after.contains_key(path), "{what}: {} was thrown away", path.display());
        }
    }
}

/// What retention deletes leaves no sign of a loss, at whatever call the power fails.
#[test]
fn what_a_retention_takes_is_not_missed() {
    use crate::durability::memory::{Fault, Survival};
    let original = with_groups(0);
    let mut opened = open(&original.shared(), Path::new(ROOT)).unwrap();
    fill(&mut opened, 400, 40);
    drop(opened);
    let keep_little = LogOptions { retention: Retention::Bytes(20_000), ..options() };
    for at in 1.. {
        let memory = original.copy();
        let mut opened = DataDir::open(&memory.shared(), Path::new(ROOT), keep_little).unwrap();
        memory.set_fault(Some(Fault::PowerLoss { at }));
        let purged = opened.journal.purge_prefix(0, None);
        memory.set_fault(None);
        drop(opened);
        for survival in [
            Survival::Synced,
            Survival::Everything,
            Survival::Chance(at),
            Survival::Chance(at + 77),
            Survival::Chance(at + 154),
        ] {
            let reading = DataDir::open_read_only(&memory.crash(survival).shared(), Path::new(ROOT)).unwrap();
            let damage = reading.report.history_damage.clone();
            // Segments whose removal was not synced may partly reappear, with a gap.
            assert!(
                damage.is_none()
                    || damage.as_ref().is_some_and(|damage| damage.reason.contains("the segment after it")),
                "{at}: {damage:?}"
            );
        }
        if let Ok(purged) = purged {
            assert!(2 < purged.deleted);
            break;
        }
    }
}

#[test]
fn an_lsn_is_found_by_its_time() {
    let memory = with_groups(0);
    let mut opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    fill(&mut opened, 300, 100);
    let view = opened.journal.reader();
    assert!(4 < opened.journal.figures().live_segments + opened.journal.figures().archived_segments);
    let all = group(1, 900);
    for stamped in &all {
        assert_eq!(view.lsn_at(stamped.time).unwrap(), stamped.lsn);
        assert_eq!(view.lsn_at(Timestamp(stamped.time.0 - 1)).unwrap(), stamped.lsn - 1);
        assert_eq!(view.lsn_at(Timestamp(stamped.time.0 + 1)).unwrap(), stamped.lsn);
    }
    assert_eq!(view.lsn_at(Timestamp(i64::MAX)).unwrap(), 900);
    assert!(matches!(view.lsn_at(Timestamp(i64::MIN)), Err(Error::BelowRetained { oldest: 1 })));
}

#[test]
fn many_commands_of_one_moment_are_found_by_the_last() {
    let memory = with_groups(0);
    let mut opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    let moment = Timestamp(1_800_000_000_000_000);
    for number in 0..300 {
        let commands: Vec<Stamped> =
            group(number * 3 + 1, 3).into_iter().map(|stamped| Stamped { time: moment, ..stamped }).collect();
        opened.journal.append(&commands, 0).unwrap();
        opened.journal.sync().unwrap();
    }
    assert!(2 < opened.journal.figures().live_segments);
    assert_eq!(opened.journal.reader().lsn_at(moment).unwrap(), 900);
    assert_eq!(opened.journal.reader().lsn_at(Timestamp(moment.0 - 1)).unwrap(), 0);
}

#[test]
fn a_reader_goes_on_when_more_is_durable() {
    let memory = with_groups(2);
    let mut opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    let mut reader = opened.journal.reader().read_from(1).unwrap();
    let mut found = Vec::new();
    let mut next = Group::default();
    for number in 2..250 {
        while reader.next_into(&mut next).unwrap() {
            found.extend(next.commands.clone());
        }
        assert_eq!(found.len() as u64, number * 3);
        append(&mut opened.journal, number * 3 + 1, 3).unwrap();
        assert!(!reader.next_into(&mut next).unwrap(), "only after it was told to look");
        reader.extend();
    }
    assert!(2 < opened.journal.figures().live_segments);
    assert_eq!(found, group(1, 747));
}
