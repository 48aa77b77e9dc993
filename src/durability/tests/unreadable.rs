//! Files that the disk cannot read, folders that are gone, and what opening refuses: a repair must know it,
//! too.

use super::*;
use crate::durability::{
    inspect::{self, LogItem, SegmentHeaderSeen},
    memory::Fault,
    repair::{Content, Repair, Verdict},
};

fn unfinished(number: u64) -> PathBuf {
    root().join(format!("log/{number:020}.log.tmp"))
}

/// Returns a directory with 60 commands in its first segment, snapshots at 15 and 30, and an archived one
/// at 0.
fn with_snapshots() -> Memory {
    let memory = with_groups(20);
    let opened = open(&memory.shared(), root()).unwrap();
    snapshot(&opened, 15, 60).unwrap();
    snapshot(&opened, 30, 60).unwrap();
    memory.copy()
}

#[derive(Default)]
struct Noted(Vec<Moved>);

impl Papers for Noted {
    fn command(&mut self, _: &Stamped) -> String {
        String::new()
    }

    fn report(&mut self, moved: &[Moved], _: bool) -> String {
        self.0 = moved.to_vec();
        String::new()
    }
}

/// Carries out a repair without loss, after which the directory opens with everything.
fn repaired(memory: &Memory) -> Vec<Moved> {
    let repair = Repair::look(&memory.shared(), root()).unwrap();
    assert_eq!(repair.found().verdict, Verdict::WithoutLoss, "{:?}", repair.found());
    let mut noted = Noted::default();
    repair.carry_out("damaged-1", &mut noted).unwrap();
    drop(repair);
    let verdict = Repair::look(&memory.shared(), root()).unwrap().found().verdict;
    assert_eq!(verdict, Verdict::Healthy);
    let mut opened = open(&memory.shared(), root()).unwrap();
    let from = opened.report.snapshot_lsn + 1;
    assert_tail(&mut opened, from, 60);
    noted.0
}

fn refused_at(memory: &Memory, file: &Path) {
    let before = memory.all();
    match open(&memory.shared(), root()) {
        Err(Error::Damaged(damage)) => assert_eq!(damage.file, file, "{damage}"),
        other => panic!("{}: {other:?}", file.display()),
    }
    assert_eq!(memory.all(), before, "a refusal changes nothing");
}

#[test]
fn a_newest_snapshot_on_a_bad_sector_gives_way_to_the_older_one() {
    let memory = with_snapshots();
    memory.make_unreadable(&snapshot_file(30));
    for _ in 0..2 {
        let opened = DataDir::open_read_only(&memory.shared(), root()).unwrap();
        assert_eq!(opened.report.snapshot_lsn, 15);
        let damage = &opened.report.damaged_snapshots[0];
        assert!(damage.file == snapshot_file(30) && damage.reason.contains("os error 5"), "{damage}");
    }
    let aside = Memory::clone(&memory);
    let mut opened = open(&aside.shared(), root()).unwrap();
    assert_eq!((opened.report.snapshot_lsn, opened.report.damaged_snapshots.len()), (15, 1));
    assert_tail(&mut opened, 16, 60);
    drop(opened);
    assert!(open(&aside.shared(), root()).unwrap().report.damaged_snapshots.is_empty(), "it was set aside");
}

#[test]
fn a_repair_sets_aside_a_snapshot_that_it_cannot_read() {
    let memory = with_snapshots();
    memory.make_unreadable(&snapshot_file(30));
    let moved = repaired(&memory);
    assert_eq!(moved.iter().map(|moved| moved.content).collect::<Vec<Option<Content>>>(), [None]);
}

#[test]
fn an_older_snapshot_on_a_bad_sector_stops_nothing() {
    let memory = with_snapshots();
    memory.make_unreadable(&snapshot_file(15));
    memory.make_unreadable(&root().join("archive/00000000000000000000.snap"));
    let mut opened = open(&memory.shared(), root()).unwrap();
    assert_eq!((opened.report.snapshot_lsn, opened.report.damaged_snapshots.len()), (30, 0));
    assert_tail(&mut opened, 31, 60);
    assert_eq!(opened.snapshots.verify_older(30).unwrap().len(), 1);
    drop(opened);
    repaired(&memory);
}

#[test]
fn if_no_snapshot_can_be_read_the_directory_is_refused() {
    let memory = with_snapshots();
    memory.make_unreadable(&snapshot_file(15));
    memory.make_unreadable(&snapshot_file(30));
    refused_at(&memory, &snapshot_file(30));
}

/// Errors that may pass are no damage: nothing is set aside for them.
#[test]
fn too_few_descriptors_or_too_little_memory_are_no_damage() {
    let memory = with_snapshots();
    let mut failed = 0;
    for kind in [std::io::ErrorKind::OutOfMemory, std::io::ErrorKind::PermissionDenied] {
        for at in 1.. {
            memory.set_fault(Some(Fault::FailLook { at, kind }));
            let before = memory.all();
            match DataDir::open_read_only(&memory.shared(), root()) {
                Err(Error::Io { .. }) => failed += 1,
                Ok(opened) => {
                    assert_eq!((opened.report.snapshot_lsn, opened.report.damaged_snapshots), (30, vec![]));
                }
                Err(error) => panic!("look {at}: {error:?}"),
            }
            let is_over = memory.looks() < at;
            memory.set_fault(None);
            assert_eq!(memory.all(), before);
            if is_over {
                break;
            }
        }
    }
    assert!(20 < failed, "{failed}");
}

#[test]
fn folders_that_are_gone_are_refused_and_come_back_from_the_archive() {
    for folder in ["log", "snapshots"] {
        for is_file in [false, true] {
            let memory = with_snapshots();
            let path = root().join(folder);
            for file in memory.all().into_keys().filter(|file| file.starts_with(&path)) {
                memory.forget(&file);
            }
            memory.forget(&path);
            if is_file {
                memory.set_content(&path, b"a file");
            }
            refused_at(&memory, &path);
            if folder == "snapshots" {
                let moved = repaired(&memory);
                assert_eq!(moved.len(), usize::from(is_file));
            } else {
                let repair = Repair::look(&memory.shared(), root()).unwrap();
                assert_eq!((repair.found().verdict, repair.found().last_good_lsn), (Verdict::WouldLose, 30));
                repair.carry_out("damaged-1", &mut Noted::default()).unwrap();
                drop(repair);
                assert_eq!(open(&memory.shared(), root()).unwrap().report.log_last_lsn, 30);
            }
        }
    }
}

#[test]
fn a_repair_knows_a_prepared_segment_that_was_cut() {
    for length in [0, 1, 256, 511] {
        let memory = with_groups(20);
        memory.set_content(&segment(2), &vec![0; length]);
        refused_at(&memory, &segment(2));
        repaired(&memory);
    }
}

#[test]
fn a_repair_knows_an_unfinished_segment_that_is_another_one() {
    let memory = with_groups(20);
    let first = memory.content(&segment(1)).unwrap();
    memory.set_content(&unfinished(2), &first);
    refused_at(&memory, &unfinished(2));
    repaired(&memory);
}

/// Whatever is in the file that comes next, opening, repair and inspection agree about it.
#[test]
fn opening_repair_and_inspection_agree_about_a_prepared_segment() {
    let first = with_groups(20).content(&segment(1)).unwrap();
    let with_byte = |at: usize| {
        let mut content = vec![0; first.len()];
        content[at] = 1;
        content
    };
    let mut headless = first.clone();
    headless[..512].fill(0);
    let contents =
        [vec![0; first.len()], with_byte(0), with_byte(600), vec![0; 512], vec![], vec![1; 300], headless];
    let mut opens = Vec::new();
    for content in contents {
        let memory = with_groups(20);
        memory.set_content(&segment(2), &content);
        let is_opened = DataDir::open_read_only(&memory.shared(), root()).is_ok();
        let verdict = Repair::look(&memory.shared(), root()).unwrap().found().verdict;
        assert_eq!(verdict == Verdict::Healthy, is_opened);
        let mut seen = None;
        inspect::log(&memory.shared(), root(), &mut |item| {
            if let LogItem::Segment(segment) = item {
                seen = Some(segment.header == SegmentHeaderSeen::NeverUsed && segment.damage.is_none());
            }
            true
        })
        .unwrap();
        assert_eq!(seen, Some(is_opened));
        opens.push(is_opened);
    }
    assert_eq!(opens, [true, true, true, true, false, false, false]);
}
