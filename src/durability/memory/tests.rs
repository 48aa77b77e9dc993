//! What the in-memory file system does to callers that trust it too much.

use super::*;

const FILE: &str = "/data/file";

/// Returns a file of two durable sectors of ones, and its directory.
fn with_file() -> (Memory, Box<dyn StorageFile>) {
    let memory = Memory::new();
    memory.create_dir(Path::new("/data")).unwrap();
    memory.sync_dir(Path::new("/")).unwrap();
    let file = memory.create(Path::new(FILE)).unwrap();
    file.write_all_at(&[1; 1_024], 0).unwrap();
    file.sync_data().unwrap();
    memory.sync_dir(Path::new("/data")).unwrap();
    (memory, file)
}

fn after(memory: &Memory, survival: Survival) -> Option<Vec<u8>> {
    memory.crash(survival).content(Path::new(FILE))
}

/// Returns many of the possible outcomes of a crash.
fn outcomes(memory: &Memory) -> BTreeSet<Option<Vec<u8>>> {
    (0..400).map(|seed| after(memory, Survival::Chance(seed))).collect()
}

#[test]
fn sectors_survive_each_by_itself() {
    let (memory, file) = with_file();
    file.write_all_at(&[2; 1_024], 0).unwrap();
    assert_eq!(memory.content(Path::new(FILE)), Some(vec![2; 1_024]));
    let expected = [[1, 1], [1, 2], [2, 1], [2, 2]].map(|[one, two]| Some([[one; 512], [two; 512]].concat()));
    assert_eq!(outcomes(&memory), BTreeSet::from(expected));
    assert_eq!(after(&memory, Survival::Synced), Some(vec![1; 1_024]));
    file.sync_data().unwrap();
    assert_eq!(outcomes(&memory), BTreeSet::from([Some(vec![2; 1_024])]));
}

#[test]
fn growth_may_be_lost_where_the_bytes_survive_and_the_other_way_round() {
    let (memory, file) = with_file();
    file.write_all_at(&[2; 1_024], 1_024).unwrap();
    let lengths: BTreeSet<usize> =
        outcomes(&memory).into_iter().flatten().map(|content| content.len()).collect();
    assert!([1_024, 2_048].iter().all(|length| lengths.contains(length)), "{lengths:?}");
    assert!(lengths.iter().any(|length| (1_025..2_048).contains(length)), "cut anywhere: {lengths:?}");
    let grown = [[1; 1_024], [0; 1_024]].concat();
    assert!(outcomes(&memory).contains(&Some(grown)), "grown, and nothing written there");
    assert_eq!(after(&memory, Survival::Synced).unwrap().len(), 1_024);
}

#[test]
fn names_need_a_sync_of_their_directory() {
    let memory = Memory::new();
    memory.create_dir(Path::new("/data")).unwrap();
    let file = memory.create(Path::new(FILE)).unwrap();
    file.write_all_at(b"content", 0).unwrap();
    file.sync_all().unwrap();
    memory.sync_dir(Path::new("/data")).unwrap();
    assert_eq!(after(&memory, Survival::Synced), None, "the directory's own name was never synced");
    assert!(!memory.crash(Survival::Synced).is_dir(Path::new("/data")).unwrap());
    memory.sync_dir(Path::new("/")).unwrap();
    assert_eq!(after(&memory, Survival::Synced), Some(b"content".to_vec()));
    memory.remove(Path::new(FILE)).unwrap();
    assert_eq!(
        outcomes(&memory),
        BTreeSet::from([None, Some(b"content".to_vec())]),
        "what was removed may come back"
    );
}

#[test]
fn a_rename_happens_or_does_not() {
    let (memory, _) = with_file();
    let new = Path::new("/data/new");
    memory.rename(Path::new(FILE), new).unwrap();
    for seed in 0..100 {
        let after = memory.crash(Survival::Chance(seed));
        assert!(
            after.content(Path::new(FILE)).is_some() || after.content(new).is_some(),
            "one name or the other"
        );
    }
    assert_eq!(memory.crash(Survival::Synced).content(new), None);
    memory.sync_dir(Path::new("/data")).unwrap();
    let after = memory.crash(Survival::Synced);
    assert_eq!((after.content(Path::new(FILE)), after.content(new)), (None, Some(vec![1; 1_024])));
}

#[test]
fn what_a_failed_sync_lost_is_not_written_by_the_next_one() {
    let mut lost = 0;
    for seed in 0..20 {
        let (memory, file) = with_file();
        file.write_all_at(&[2; 1_024], 0).unwrap();
        memory.set_fault(Some(Fault::LostSync { at: 1, seed }));
        file.sync_data().unwrap_err();
        file.sync_data().unwrap();
        assert_eq!(memory.content(Path::new(FILE)), Some(vec![2; 1_024]), "the cache shows what was written");
        lost += u64::from(after(&memory, Survival::Everything) != Some(vec![2; 1_024]));
        file.write_all_at(&[2; 1_024], 0).unwrap();
        file.sync_data().unwrap();
        assert_eq!(after(&memory, Survival::Synced), Some(vec![2; 1_024]), "written again, it is written");
    }
    assert!((5..20).contains(&lost), "{lost} of 20 lost something");
}

#[test]
fn a_full_disk_takes_what_fits_and_recovers() {
    let (memory, file) = with_file();
    memory.set_capacity(Some(memory.used() + 100));
    assert_eq!(file.write_at(&[2; 1_024], 512).unwrap(), 612, "what is there already, and what fits");
    assert_eq!(file.write_at(&[2; 412], 1_124).unwrap_err().kind(), ErrorKind::StorageFull);
    file.write_all_at(&[3; 1_024], 0).unwrap();
    let other = memory.create(Path::new("/data/other")).unwrap();
    assert_eq!(other.write_all_at(b"more", 0).unwrap_err().kind(), ErrorKind::StorageFull);
    memory.remove(Path::new(FILE)).unwrap();
    other.write_all_at(b"more", 0).unwrap();
    assert_eq!(memory.used(), 4);
}

#[test]
fn looking_fails_when_it_is_its_turn() {
    let (memory, file) = with_file();
    memory.set_fault(Some(Fault::FailLook { at: 2, kind: ErrorKind::Other }));
    let mut buffer = [0; 4];
    assert_eq!(file.len().unwrap(), 1_024);
    file.read_exact_at(&mut buffer, 0).unwrap_err();
    file.read_exact_at(&mut buffer, 0).unwrap();
    assert_eq!((buffer, memory.looks(), memory.calls()), ([1; 4], 3, 0));
}

#[test]
fn a_stutter_is_carried_through_by_reads_too() {
    let (memory, file) = with_file();
    memory.set_fault(Some(Fault::Stutter));
    let mut buffer = [0; 1_000];
    assert_eq!(file.read_at(&mut buffer, 0).unwrap_err().kind(), ErrorKind::Interrupted);
    assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 500);
    file.read_exact_at(&mut buffer, 24).unwrap();
    assert_eq!(buffer, [1; 1_000]);
}

#[test]
fn bits_flip_for_everybody_and_for_good() {
    let (memory, file) = with_file();
    memory.rot(Path::new(FILE), 7, 0b100);
    let mut byte = [0];
    file.read_exact_at(&mut byte, 7).unwrap();
    assert_eq!(byte, [0b101]);
    assert_eq!(after(&memory, Survival::Synced).unwrap()[6..9], [1, 0b101, 1]);
}

#[test]
fn power_that_goes_in_a_write_leaves_some_of_it() {
    let (memory, file) = with_file();
    memory.set_fault(Some(Fault::PowerLoss { at: 1 }));
    file.write_at(&[2; 1_024], 0).unwrap_err();
    file.write_at(&[3; 1_024], 0).unwrap_err();
    file.sync_data().unwrap_err();
    assert_eq!(memory.content(Path::new(FILE)), Some([[2; 512], [1; 512]].concat()));
    assert_eq!(after(&memory, Survival::Synced), Some(vec![1; 1_024]));
    // A kill without a power loss: what was written is still in the cache, and a later sync writes it.
    memory.set_fault(None);
    file.sync_data().unwrap();
    assert_eq!(after(&memory, Survival::Synced), Some([[2; 512], [1; 512]].concat()));
}
