//! Files of ids against a map.

use super::*;
use crate::durability::sealed::{
    ids::{Entry, IdFile, IdSorter, merge},
    place::{Paths, hash_of_id},
};

fn entry(id: u32, seal: u32) -> Entry {
    let what = if id.is_multiple_of(3) { What::Refund } else { What::Order };
    let place = Place { seal, month: Month(24_318), row: id * 2 };
    Entry {
        hash: hash_of_id(&id.to_le_bytes()),
        found: Found { what, fingerprint: u64::from(id) << 7, place },
    }
}

fn write(storage: &Arc<dyn Storage>, seal: u32, ids: &[u32], run: usize) -> IdFile {
    let paths = Paths::new(&root());
    let mut sorter = IdSorter::new(storage, &paths, seal).with_runs_of(run, 4);
    for id in ids {
        sorter.push(entry(*id, seal)).expect("the disk works");
    }
    sorter.finish(seal, seal).expect("the disk works").publish().expect("the disk works");
    IdFile::open(&**storage, &paths.id_file(seal, seal), seal, seal).expect("it is whole")
}

fn with_folder() -> Memory {
    let memory = directory();
    memory.shared().create_dir(&Paths::new(&root()).ids()).expect("the disk works");
    memory
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn merged_files_are_what_a_map_is(
        seals in proptest::collection::vec(proptest::collection::btree_set(0..900_u32, 0..500), 1..6),
        run in 1..400_usize,
    ) {
        let memory = with_folder();
        let storage = memory.shared();
        let paths = Paths::new(&root());
        let mut model = BTreeMap::new();
        let mut files = Vec::new();
        for (seal, ids) in (1..).zip(&seals) {
            let ids: Vec<u32> = ids.iter().copied().collect();
            model.extend(ids.iter().map(|id| (*id, entry(*id, seal).found)));
            files.push(write(&storage, seal, &ids, run));
        }
        let last = u32::try_from(files.len()).expect("there are few");
        let find = |files: &[&IdFile], id: u32| {
            let hash = hash_of_id(&id.to_le_bytes());
            files.iter().rev().find_map(|file| file.find(&hash).expect("it is whole"))
        };
        let files: Vec<&IdFile> = files.iter().collect();
        let before = memory.all().len();
        merge(&storage, &paths, &files).expect("the disk works").publish().expect("the disk works");
        let more = usize::from(last != 1);
        prop_assert_eq!(memory.all().len(), before + more, "no other file is left");
        let merged = IdFile::open(&*storage, &paths.id_file(1, last), 1, last).expect("it is whole");
        merged.verify().expect("it is whole");
        prop_assert_eq!(merged.entries, model.len() as u64);
        for id in 0..900 {
            prop_assert_eq!(find(&files, id), model.get(&id).copied());
            prop_assert_eq!(find(&[&merged], id), model.get(&id).copied());
        }
    }
}

#[test]
fn blocks_of_equal_beginnings_are_all_searched() {
    let memory = with_folder();
    let storage = memory.shared();
    let paths = Paths::new(&root());
    let entries: Vec<Entry> = (0..1_000_u32)
        .map(|number| {
            let mut entry = entry(number, 1);
            // Five beginnings, each in several blocks.
            entry.hash = [0; 16];
            entry.hash[7] = u8::try_from(number / 200).expect("it is small");
            entry.hash[12..].copy_from_slice(&number.to_be_bytes());
            entry
        })
        .collect();
    let mut sorter = IdSorter::new(&storage, &paths, 1);
    for entry in entries.iter().rev() {
        sorter.push(*entry).expect("the disk works");
    }
    sorter.finish(1, 1).expect("the disk works").publish().expect("the disk works");
    let file = IdFile::open(&*storage, &paths.id_file(1, 1), 1, 1).expect("it is whole");
    for entry in &entries {
        assert_eq!(file.find(&entry.hash).expect("it is whole"), Some(entry.found));
        let mut other = entry.hash;
        other[11] = 1;
        assert_eq!(file.find(&other).expect("it is whole"), None);
    }
}

#[test]
fn one_seal_has_an_id_once() {
    let memory = with_folder();
    let storage = memory.shared();
    for run in [1, 2, 100] {
        let mut sorter = IdSorter::new(&storage, &Paths::new(&root()), 1).with_runs_of(run, 4);
        for id in [1, 2, 3, 2] {
            sorter.push(entry(id, 1)).expect("the disk works");
        }
        assert!(sorter.finish(1, 1).is_err(), "runs of {run}");
    }
}

#[test]
fn files_stay_few_and_each_id_is_found() {
    let memory = directory();
    let storage = memory.shared();
    let mut known = Vec::new();
    let mut count = 0;
    for number in 1..40_u64 {
        let orders: Vec<SealedOrder<'static>> =
            (0..=number % 4).map(|of_seal| order(&format!("A-{number}-{of_seal}"), number)).collect();
        count += orders.len() as u64;
        seal(&storage, &mut known, &orders);
        let mut store = open(&storage, &known);
        if let Some(merged) = store.merged().expect("the disk works") {
            merged.remove_merged().expect("the disk works");
            store = merged;
        }
        assert!(store.id_files_count() <= 6, "{} files of {count} ids", store.id_files_count());
        assert_eq!(store.ids_count(), count);
    }
    let store = open(&storage, &known);
    for number in 1..40_u64 {
        let found = store.find(&format!("A-{number}-0")).expect("it is whole").expect("it was sealed");
        assert_eq!(u64::from(found.place.seal), number);
    }
    assert!(store.merged().expect("the disk works").is_none(), "nothing more is due");
}
