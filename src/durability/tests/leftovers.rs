//! Names that opening and creating remove, rename or carry out: a file with such a name must be what it
//! claims, else nothing is changed.

use super::*;
use crate::durability::{
    log::rewrite::{self, Intent, Purpose},
    memory::Survival,
    names,
};

/// Returns a directory with several segments, two snapshots and an archive.
fn whole() -> Memory {
    let memory = with_groups(0);
    let mut opened = open(&memory.shared(), root()).unwrap();
    for number in 0..300 {
        append(&mut opened.journal, number * 3 + 1, 3).unwrap();
        if [99, 199].contains(&number) {
            snapshot(&opened, number * 3 + 3, number * 3 + 3).unwrap();
        }
    }
    opened.journal.purge_prefix(300, None).unwrap();
    drop(opened);
    memory
}

fn move_to(memory: &Memory, from: &Path, to: &Path) {
    let content = memory.content(from).unwrap();
    memory.forget(from);
    memory.set_content(to, &content);
}

/// A power failure may take the mark after the last group, but not that of a copy: the copy goes, whatever
/// stands where its mark is.
fn assert_a_mark_is_nothing(further: &Memory, last: u64) {
    let marked = further.copy();
    let mut opened = open(&marked.shared(), root()).unwrap();
    assert!(opened.journal.mark(outcome_hash(909)).unwrap());
    opened.journal.sync().unwrap();
    drop(opened);
    let mut opened = open(&further.shared(), root()).unwrap();
    append(&mut opened.journal, 909, 4).unwrap();
    drop(opened);
    let with_mark = marked.content(&paths().segment(last)).unwrap();
    let frames = with_mark.iter().rposition(|byte| *byte != 0).unwrap();
    assert!(!further.content(&paths().segment(last)).unwrap().starts_with(&with_mark[..=frames]));
    further.set_content(&Paths::temporary(&paths().segment(last)), &with_mark);
    assert_eq!(open(&further.shared(), root()).unwrap().report.unfinished_files, 1);
    assert!(further.content(&Paths::temporary(&paths().segment(last))).is_none());
}

fn cut_file(after: u64, instance: [u8; 16]) -> Vec<u8> {
    let mut cut = b"uplinCUT".to_vec();
    cut.extend_from_slice(&after.to_le_bytes());
    cut.extend_from_slice(&instance);
    cut.extend_from_slice(&crc32c::crc32c(&cut).to_le_bytes());
    cut
}

/// Opening, for reading and for writing, and creating must refuse it with an error that names the file, and
/// change nothing.
fn assert_refused(memory: &Memory, names: &str, what: &str) {
    let before = memory.all();
    let storage = memory.shared();
    let results = [
        open(&storage, root()).map(drop),
        DataDir::open_read_only(&storage, root()).map(drop),
        create(&storage, root(), 0, 1),
        crate::durability::repair::Repair::look(&storage, root()).map(drop).or_else(|error| match error {
            Error::InstanceLost { .. } | Error::Damaged(_) => Ok(()),
            error => Err(error),
        }),
    ];
    let [writing, reading, creating, looking] = results;
    for (result, by) in [(writing, "opening"), (reading, "reading")] {
        match result {
            Err(error @ (Error::Damaged(_) | Error::InstanceLost { .. })) => {
                assert!(error.to_string().contains(names), "{what}, {by}: {names} is not named: {error}");
            }
            other => panic!("{what}, {by}: {other:?}"),
        }
    }
    assert!(
        matches!(creating, Err(Error::NotEmpty { .. } | Error::InstanceLost { .. })),
        "{what}: {creating:?}"
    );
    looking.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(!DataDir::is_free(&storage, root()).unwrap(), "{what}: taken for a free place");
    let mut after = memory.all();
    // Lock files hold nothing.
    after.retain(|path, content| before.contains_key(path) || !content.is_empty());
    assert_eq!(
        after.keys().collect::<Vec<_>>(),
        before.keys().collect::<Vec<_>>(),
        "{what}: names were changed"
    );
    assert!(after == before, "{what}: contents were changed");
}

#[test]
fn a_directory_that_lost_its_instance_is_no_unfinished_creation() {
    type Change<'a> = &'a dyn Fn(&Memory);
    let table: [(&str, &str, Change<'_>); 8] = [
        ("renamed to instance.tmp", "instance.tmp", &|memory| {
            move_to(memory, &paths().instance(), &root().join("instance.tmp"));
        }),
        ("removed", "log/", &|memory| memory.forget(&paths().instance())),
        ("renamed, and empty", "log/", &|memory| {
            memory.forget(&paths().instance());
            memory.set_content(&root().join("instance.tmp"), b"");
        }),
        ("removed, with a mark of something else", "log/", &|memory| {
            memory.forget(&paths().instance());
            memory.set_content(&paths().creating(), &[b"uplinNEW".as_slice(), &[7; 24]].concat());
        }),
        ("removed, and the log with it", "snapshots/", &|memory| {
            memory
                .all()
                .keys()
                .filter(|path| path.starts_with(paths().log()))
                .for_each(|path| memory.forget(path));
            memory.forget(&paths().instance());
        }),
        ("removed, and all but the archive", "archive/", &|memory| {
            let gone = |path: &&PathBuf| !path.starts_with(paths().archive());
            memory.all().keys().filter(gone).for_each(|path| memory.forget(path));
        }),
        ("removed, and every other file renamed", "log/", &|memory| {
            memory.forget(&paths().instance());
            for path in memory
                .all()
                .keys()
                .filter(|path| path.extension().is_some_and(|end| end == "log" || end == "snap"))
            {
                move_to(memory, path, &Paths::temporary(path));
            }
        }),
        ("removed, and all but what says how far the log was durable", "durable", &|memory| {
            memory
                .all()
                .keys()
                .filter(|path| **path != paths().durable())
                .for_each(|path| memory.forget(path));
        }),
    ];
    for (what, names, change) in table {
        let memory = whole();
        change(&memory);
        assert_refused(&memory, names, what);
    }
}

#[test]
fn a_renamed_instance_is_renamed_back() {
    let memory = whole();
    move_to(&memory, &paths().instance(), &root().join("instance.tmp"));
    let error = open(&memory.shared(), root()).unwrap_err().to_string();
    assert!(error.contains("rename it back"), "{error}");
    move_to(&memory, &root().join("instance.tmp"), &paths().instance());
    assert_eq!(open(&memory.shared(), root()).unwrap().report.log_last_lsn, 900);
}

#[test]
fn unfinished_files_go_when_they_hold_nothing_and_stay_when_they_do() {
    let whole = whole();
    let live: Vec<u64> = whole
        .all()
        .keys()
        .filter(|path| path.starts_with(paths().log()))
        .filter_map(|path| names::segment_number(path.file_name()?.to_str()?))
        .collect();
    let last = *live
        .iter()
        .filter(|number| whole.content(&paths().segment(**number)).unwrap().iter().any(|byte| *byte != 0))
        .max()
        .unwrap();
    let content = whole.content(&paths().segment(last)).unwrap();
    let newest = whole.content(&paths().snapshot(600)).unwrap();
    let temporary = |path: PathBuf| Paths::temporary(&path);
    let foreign = |lsn| {
        let memory = Memory::new();
        let genesis = Genesis { id: InstanceId([9; 16]), ..genesis() };
        let creation = DataDir::create(&memory.shared(), root(), &genesis, options()).unwrap();
        let (header, rows) = image(lsn, 5);
        let mut snapshot = creation.begin_snapshot(&header).unwrap();
        rows.iter().for_each(|part| snapshot.push(part).unwrap());
        creation.finish(snapshot, [1; 32], [2; 32]).unwrap();
        memory.content(&paths().snapshot(lsn)).unwrap()
    };
    // What a process leaves.
    let goes: [(PathBuf, Vec<u8>); 8] = [
        (temporary(paths().segment(last + 1)), vec![0; 9_000]),
        (temporary(paths().segment(last)), content.clone()),
        (temporary(paths().segment(last)), [vec![0; 512], content[512..].to_vec()].concat()),
        (temporary(paths().segment(99)), b"half".to_vec()),
        (temporary(paths().cut()), b"uplin".to_vec()),
        (temporary(paths().snapshot(700)), newest[..newest.len() - 100].to_vec()),
        (temporary(paths().snapshot(600)), newest.clone()),
        (temporary(paths().snapshot(999)), Vec::new()),
    ];
    for (path, content) in goes {
        let memory = whole.copy();
        memory.set_content(&path, &content);
        let opened =
            open(&memory.shared(), root()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(
            (opened.report.unfinished_files, opened.report.log_last_lsn),
            (1, 900),
            "{}",
            path.display()
        );
        assert!(memory.content(&path).is_none(), "{} is still there", path.display());
    }
    // What got its name some other way.
    let longer = {
        let memory = whole.copy();
        let mut opened = open(&memory.shared(), root()).unwrap();
        append(&mut opened.journal, 901, 3).unwrap();
        drop(opened);
        memory.content(&paths().segment(last)).unwrap()
    };
    let beyond = {
        let memory = whole.copy();
        let mut opened = open(&memory.shared(), root()).unwrap();
        append(&mut opened.journal, 901, 3).unwrap();
        snapshot(&opened, 903, 903).unwrap();
        memory.content(&paths().snapshot(903)).unwrap()
    };
    let stays: [(PathBuf, Vec<u8>); 5] = [
        (temporary(paths().segment(last)), longer.clone()),
        (temporary(paths().segment(last + 7)), whole.content(&paths().segment(live[0])).unwrap()),
        (temporary(paths().segment(last)), [vec![0; 512], longer[512..].to_vec()].concat()),
        (temporary(paths().snapshot(903)), beyond),
        (temporary(paths().snapshot(50)), foreign(50)),
    ];
    for (path, content) in stays {
        let memory = whole.copy();
        memory.set_content(&path, &content);
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_refused(&memory, name, name);
    }
    // No longer than the log, but of another history: from a copy of the directory that diverged.
    let diverged = {
        let memory = whole.copy();
        let mut opened = open(&memory.shared(), root()).unwrap();
        opened.journal.append(&other_group(901, 2), outcome_hash(901)).unwrap();
        opened.journal.append(&other_group(903, 2), outcome_hash(903)).unwrap();
        opened.journal.sync().unwrap();
        drop(opened);
        memory.content(&paths().segment(last)).unwrap()
    };
    let further = whole.copy();
    let mut opened = open(&further.shared(), root()).unwrap();
    append(&mut opened.journal, 901, 4).unwrap();
    append(&mut opened.journal, 905, 4).unwrap();
    drop(opened);
    let spoilt_body = {
        let mut content = diverged.clone();
        let end = content.iter().rposition(|byte| *byte != 0).unwrap();
        content[end - 40] ^= 1;
        content
    };
    for content in [&diverged, &[vec![0; 512], diverged[512..].to_vec()].concat(), &spoilt_body] {
        let memory = further.copy();
        memory.set_content(&temporary(paths().segment(last)), content);
        assert_refused(&memory, "holds other commands from LSN 901 on", "another history");
    }
    // A cut through a group leaves the same group without its end.
    let before = further.content(&paths().segment(last)).unwrap();
    let cut = further.copy();
    let intent = Intent { after: 906, chain: 0, purpose: Purpose::Suffix };
    rewrite::intend_cut(&cut, &paths(), &[5; 16], intent).unwrap();
    rewrite::carry_out_cut(&cut, &paths(), &[5; 16], 906).unwrap();
    let shorter = cut.content(&paths().segment(last)).unwrap();
    assert_ne!(shorter, before);
    further.set_content(&temporary(paths().segment(last)), &shorter);
    assert_eq!(open(&further.shared(), root()).unwrap().report.unfinished_files, 1);
    assert!(further.content(&temporary(paths().segment(last))).is_none());
    assert_a_mark_is_nothing(&further, last);
    // Files that are not ours.
    for path in
        [paths().log().join("notes.tmp"), paths().snapshots().join("mine.snap.tmp"), root().join("x.tmp")]
    {
        let memory = whole.copy();
        memory.set_content(&path, b"mine");
        assert_eq!(open(&memory.shared(), root()).unwrap().report.unfinished_files, 0);
        assert_eq!(memory.content(&path).as_deref(), Some(&b"mine"[..]), "{}", path.display());
    }
}

/// A process may end between the last sync of a snapshot and its rename, and anybody may rename one: none of
/// it is lost.
#[test]
fn a_whole_snapshot_without_its_name_gets_it() {
    for lsn in [300, 600] {
        let memory = whole();
        let (named, unnamed) = (paths().snapshot(lsn), Paths::temporary(&paths().snapshot(lsn)));
        let content = memory.content(&named).unwrap();
        move_to(&memory, &named, &unnamed);
        let before = memory.all();
        drop(DataDir::open_read_only(&memory.shared(), root()).unwrap());
        assert!(memory.all() == before, "reading changes nothing");
        let opened = open(&memory.shared(), root()).unwrap();
        assert_eq!((opened.report.unfinished_files, opened.report.log_last_lsn), (1, 900));
        assert_eq!(opened.snapshots.list().unwrap(), [300, 600]);
        assert_eq!((memory.content(&named), memory.content(&unnamed)), (Some(content), None), "{lsn}");
        drop(opened);
        let opened = open(&memory.shared(), root()).unwrap();
        assert_eq!((opened.report.snapshot_lsn, opened.report.history_damage.clone()), (600, None));
    }
}

#[test]
fn files_that_were_renamed_are_missed_and_named() {
    for folder in ["log", "snapshots"] {
        let memory = whole();
        for path in memory.all().keys().filter(|path| path.starts_with(root().join(folder))) {
            move_to(&memory, path, &Paths::temporary(path));
        }
        assert_refused(&memory, ".tmp", folder);
    }
}

#[test]
fn a_cut_is_one_of_this_log_above_its_snapshots() {
    let table = [
        ("below the newest snapshot", cut_file(599, [5; 16])),
        ("below everything", cut_file(0, [5; 16])),
        ("of another directory", cut_file(700, [6; 16])),
        ("beyond the end", cut_file(901, [5; 16])),
        ("cut short", cut_file(700, [5; 16])[..30].to_vec()),
    ];
    for (what, content) in table {
        let memory = whole();
        memory.set_content(&paths().cut(), &content);
        assert_refused(&memory, if what == "beyond the end" { "log" } else { "cut" }, what);
    }
    let memory = whole();
    memory.set_content(&paths().cut(), &cut_file(700, [5; 16]));
    // Another place records that the log was acknowledged beyond that.
    assert_refused(&memory, "cut", "of commands that were acknowledged");
    crate::durability::log::evidence::reset(&memory, &paths(), &[5; 16], unchained(700)).unwrap();
    let cut = Some(crate::durability::PendingCut { after: 700, last_lsn: 900 });
    let before = memory.all();
    let mut reading = DataDir::open_read_only(&memory.shared(), root()).unwrap();
    assert_eq!((reading.report.finished_cut, reading.report.log_last_lsn), (cut, 700));
    assert_tail(&mut reading, 601, 700);
    drop(reading);
    assert!(memory.all() == before, "reading changes nothing");
    let mut opened = open(&memory.shared(), root()).unwrap();
    assert_eq!((opened.report.finished_cut, opened.report.log_last_lsn), (cut, 700));
    assert_tail(&mut opened, 601, 700);
}

#[test]
fn nothing_is_renamed_over_something_else() {
    let memory = whole();
    let mut opened = open(&memory.shared(), root()).unwrap();
    let first = opened.report.log_first_lsn;
    let number = memory
        .all()
        .keys()
        .filter(|path| path.starts_with(paths().log()))
        .filter_map(|path| names::segment_number(path.file_name()?.to_str()?))
        .min()
        .unwrap();
    memory.set_content(&paths().archived(number), b"an operator's");
    assert!(opened.journal.purge_prefix(900, None).is_err());
    assert_eq!(memory.content(&paths().archived(number)).as_deref(), Some(&b"an operator's"[..]));
    assert_eq!(
        opened.journal.reader().read_from(first).unwrap().next().unwrap().unwrap().commands[0].lsn,
        first
    );
    memory.set_content(&paths().snapshot(700), b"an operator's");
    assert!(snapshot(&opened, 700, 900).is_err());
    assert_eq!(memory.content(&paths().snapshot(700)).as_deref(), Some(&b"an operator's"[..]));
    drop(opened);
    // A snapshot that is set aside twice.
    let spoil = |memory: &Memory| {
        let mut content = memory.content(&paths().snapshot(600)).unwrap();
        content[700] ^= 1;
        memory.set_content(&paths().snapshot(600), &content);
    };
    let memory = whole();
    memory.set_content(&paths().snapshots().join("00000000000000000600.snap.damaged"), b"first");
    spoil(&memory);
    open(&memory.shared(), root()).unwrap();
    let all = memory.all();
    assert_eq!(all[&paths().snapshots().join("00000000000000000600.snap.damaged")], b"first");
    assert!(all.contains_key(&paths().snapshots().join("00000000000000000600.snap.damaged-2")));
}

/// An attempt that failed after it had published its snapshot is repeated at the same LSN, and one that a
/// kill left without its name gets it later, when the other one is in the archive.
#[test]
fn a_snapshot_may_be_made_again() {
    let memory = whole();
    let opened = open(&memory.shared(), root()).unwrap();
    snapshot(&opened, 699, 800).unwrap();
    let first = memory.content(&paths().snapshot(699)).unwrap();
    snapshot(&opened, 699, 900).unwrap();
    assert_eq!(memory.content(&paths().snapshot(699)).as_ref(), Some(&first), "the first one stays");
    assert_eq!(memory.content(&Paths::temporary(&paths().snapshot(699))), None);
    // Another one of this LSN in its place, and the first in the archive.
    memory.shared().remove(&paths().snapshot(699)).unwrap();
    snapshot(&opened, 699, 900).unwrap();
    assert_ne!(memory.content(&paths().snapshot(699)).as_ref(), Some(&first));
    memory.set_content(&paths().archived_snapshot(699), &first);
    // What is no snapshot is set aside there.
    memory.set_content(&paths().archived_snapshot(750), b"an operator's");
    for lsn in [750, 801, 852, 900] {
        snapshot(&opened, lsn, 900).unwrap();
    }
    assert_eq!(opened.snapshots.list().unwrap(), [852, 900]);
    assert_eq!(memory.content(&paths().archived_snapshot(699)).as_ref(), Some(&first));
    let aside = paths().archive().join("00000000000000000750.snap.damaged");
    assert_eq!(memory.content(&aside).as_deref(), Some(&b"an operator's"[..]));
    assert!(opened.snapshots.base_of(750).is_ok_and(|base| base.manifest().lsn == 750));
    drop(opened);
    let opened = open(&memory.shared(), root()).unwrap();
    assert_eq!((opened.report.snapshot_lsn, opened.report.archived_snapshot_damage.len()), (900, 0));
}

#[test]
fn frames_under_the_name_of_a_prepared_segment_are_never_swept_away() {
    let memory = with_groups(3);
    let mut content = memory.content(&paths().segment(1)).unwrap();
    content[..512].fill(0);
    for header in [0, 7] {
        content[100] = header;
        let memory = memory.copy();
        memory.set_content(&paths().segment(2), &content);
        let before = memory.all();
        assert!(is_damaged(&open(&memory.shared(), root())));
        assert!(memory.all() == before);
    }
}

/// Wherever a creation ends, it leaves what the next one may remove, and nothing that the next one takes for
/// existing data.
#[test]
fn a_creation_begins_anew_whatever_ended_the_last_one() {
    let (first, second) = (genesis(), Genesis { id: InstanceId([8; 16]), ..genesis() });
    let make = |memory: &Memory, genesis: &Genesis| -> Result<()> {
        let creation = DataDir::create(&memory.shared(), root(), genesis, options())?;
        let (header, rows) = image(40, 5);
        let mut snapshot = creation.begin_snapshot(&header)?;
        rows.iter().try_for_each(|part| snapshot.push(part))?;
        creation.finish(snapshot, [1; 32], [2; 32])
    };
    let whole = Memory::new();
    make(&whole, &first).unwrap();
    let calls = whole.calls();
    for at in 1..=calls {
        for survival in [
            None,
            Some(Survival::Synced),
            Some(Survival::Everything),
            Some(Survival::Chance(at)),
            Some(Survival::Chance(at + 99)),
        ] {
            let memory = Memory::new();
            memory.set_fault(Some(crate::durability::memory::Fault::PowerLoss { at }));
            make(&memory, &first).unwrap_err();
            memory.set_fault(None);
            let mut memory = survival.map_or(memory.clone(), |survival| memory.crash(survival));
            if !DataDir::is_free(&memory.shared(), root()).unwrap() {
                open(&memory.shared(), root())
                    .unwrap_or_else(|error| panic!("call {at}, {survival:?}: {error}"));
                continue;
            }
            // The next one ends early, too, in each of its first calls.
            for again in 1..=14 {
                memory.set_fault(Some(crate::durability::memory::Fault::PowerLoss { at: again }));
                make(&memory, &second).unwrap_err();
                memory.set_fault(None);
                memory = memory.crash(Survival::Chance(again * 31 + at));
                assert!(
                    DataDir::is_free(&memory.shared(), root()).unwrap(),
                    "call {at}, {survival:?}, then {again}"
                );
            }
            make(&memory, &second).unwrap_or_else(|error| panic!("call {at}, {survival:?}: {error}"));
            assert_eq!(open(&memory.shared(), root()).unwrap().instance.id, second.id);
        }
    }
}

/// Creates a directory with this identity.
fn make(memory: &Memory, id: u8) -> Result<()> {
    let genesis = Genesis { id: InstanceId([id; 16]), ..genesis() };
    let creation = DataDir::create(&memory.shared(), root(), &genesis, options())?;
    let (header, rows) = image(0, 2);
    let mut snapshot = creation.begin_snapshot(&header)?;
    rows.iter().try_for_each(|part| snapshot.push(part))?;
    creation.finish(snapshot, [1; 32], [2; 32])
}

/// What the second attempt removes of the first may reach the disk in any order, and so may its own mark.
#[test]
fn a_second_creation_may_lose_power_whatever_it_removed() {
    let power_loss = |at| Some(crate::durability::memory::Fault::PowerLoss { at });
    let whole = Memory::new();
    make(&whole, 5).unwrap();
    for at in (1..=whole.calls()).rev().take(16) {
        let first = Memory::new();
        first.set_fault(power_loss(at));
        make(&first, 5).unwrap_err();
        let first = first.copy();
        if !DataDir::is_free(&first.shared(), root()).unwrap() {
            continue;
        }
        for (again, seed) in (1..=16).flat_map(|again| (0..24).map(move |seed| (again, seed))) {
            let memory = first.copy();
            memory.set_fault(power_loss(again));
            make(&memory, 8).unwrap_err();
            let memory = memory.crash(Survival::Chance(seed * 1_000 + again));
            let place = format!("call {at}, then {again}, seed {seed}");
            let error = open(&memory.shared(), root()).map(|opened| opened.report.log_last_lsn).unwrap_err();
            assert!(
                matches!(error, Error::Unfinished { .. } | Error::NotADataDirectory { .. }),
                "{place}: {error}"
            );
            make(&memory, 9).unwrap_or_else(|error| panic!("{place}: {error}"));
        }
    }
}

/// Each subset of the files that a creation ever has: with its mark it is restarted; without it, the path is
/// free only if there is nothing that a mark explains.
#[test]
fn every_subset_of_what_a_creation_leaves_is_begun_again_or_refused() {
    let whole = Memory::new();
    make(&whole, 5).unwrap();
    let content = |path: PathBuf| whole.content(&path).unwrap();
    let mark = [b"uplinNEW".as_slice(), &crate::durability::FORMAT_VERSION.to_le_bytes(), &[5; 16]].concat();
    let mark = [&mark[..], &crc32c::crc32c(&mark).to_le_bytes()].concat();
    // Name, content, and whether only a mark explains the file.
    let files: [(PathBuf, Vec<u8>, bool); 10] = [
        (paths().creating(), mark, false),
        (paths().lock(), Vec::new(), false),
        (Paths::temporary(&paths().instance()), content(paths().instance()), true),
        (paths().durable(), content(paths().durable()), true),
        (Paths::temporary(&paths().durable()), content(paths().durable()), false),
        (paths().segment(1), content(paths().segment(1)), false),
        (Paths::temporary(&paths().segment(1)), vec![0; 9_000], false),
        (paths().snapshot(0), content(paths().snapshot(0)), true),
        (Paths::temporary(&paths().snapshot(0)), content(paths().snapshot(0))[..700].to_vec(), false),
        (paths().segment(2), vec![0; 16_384], false),
    ];
    let empty = whole.copy();
    whole.all().keys().for_each(|path| empty.forget(path));
    for subset in 0_u32..1 << files.len() {
        let memory = empty.copy();
        let chosen = files.iter().enumerate().filter(|(at, _)| subset & 1 << at != 0).map(|(_, file)| file);
        chosen.clone().for_each(|(path, content, _)| memory.set_content(path, content));
        let names: Vec<_> = chosen.clone().map(|(path, ..)| path).collect();
        let is_marked = subset & 1 != 0;
        let before = memory.all();
        if is_marked || !chosen.clone().any(|(.., is_explained)| *is_explained) {
            // A segment without a mark is in a folder that is not empty.
            let made = make(&memory, 8);
            assert!(
                made.is_ok() || !is_marked && matches!(made, Err(Error::NotEmpty { .. })),
                "{names:?}: {made:?}"
            );
        } else {
            let refused = make(&memory, 8);
            assert!(matches!(refused, Err(Error::InstanceLost { .. })), "{names:?}: {refused:?}");
            assert!(memory.all() == before, "{names:?}: refused, and changed");
        }
    }
}
