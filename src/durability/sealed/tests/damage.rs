//! Damaged files are refused by name, and those that can be are made again.

use super::*;
use crate::durability::Error;

/// Two seals with refunds, of which the second has an order of the first again.
fn sealed() -> (Memory, Vec<Known>) {
    let memory = directory();
    let storage = memory.shared();
    let mut known = Vec::new();
    let mut orders: Vec<SealedOrder<'static>> = (1..400).map(|lsn| order(&format!("A-{lsn}"), lsn)).collect();
    orders[3].refunds = vec![refund("R-1", 1_000, [0, 5])];
    seal(&storage, &mut known, &orders);
    let mut again = orders[3].clone();
    again.supersedes = Some(1);
    again.refunds.push(refund("R-2", 1_001, [5, 9]));
    seal(&storage, &mut known, &[again, order("B-1", 2_000)]);
    (memory, known)
}

/// Reads everything in every way; the names of damaged files.
fn read_all(storage: &Arc<dyn Storage>, known: &[Known]) -> Vec<PathBuf> {
    let mut damaged = Vec::new();
    let mut note = |error: Error| match error {
        Error::Damaged(damage) => damaged.push(damage.file),
        Error::NewerFormat { path, .. } => damaged.push(path),
        error => panic!("{error}"),
    };
    let store = match Store::open(storage, &root(), known) {
        Err(error) => {
            note(error);
            return damaged;
        }
        Ok(store) => store,
    };
    for seal in known {
        if let Err(error) = store.for_each(seal.number, &mut |_, _| ControlFlow::Continue(())) {
            note(error);
        }
    }
    for id in ["A-1", "A-4", "A-200", "A-399", "B-1", "R-1", "R-2", "none"] {
        match store.find(id) {
            Ok(Some(found)) if found.is_order() => match store.order(found.place) {
                Ok(order) => assert_eq!(order.id, id),
                Err(error) => note(error),
            },
            Ok(Some(found)) => match store.order_of_refund(found.place) {
                Ok(place) => assert_eq!(place.seal, 2),
                Err(error) => note(error),
            },
            Ok(None) => assert_eq!(id, "none"),
            Err(error) => note(error),
        }
    }
    if let Err(error) =
        store.list(&Filter { member: Some(uuid(3)), ..Filter::default() }, u32::MAX, None, 100)
    {
        note(error);
    }
    damaged
}

#[test]
fn whole_files_verify() {
    let (memory, known) = sealed();
    let storage = memory.shared();
    let verified = verify(&storage, &root(), &known).expect("the disk works");
    assert_eq!(verified.damage, []);
    assert_eq!([verified.orders, verified.refunds], [401, 3]);
    assert_eq!(read_all(&storage, &known), [] as [PathBuf; 0]);
    let merged = open(&storage, &known).merged().expect("the disk works");
    assert!(merged.is_none(), "the second is far smaller");
}

#[test]
fn a_flipped_byte_is_found_and_named() {
    let (memory, known) = sealed();
    for (path, content) in memory.all() {
        let step = content.len().div_ceil(24).max(1);
        for at in (0..content.len()).step_by(step).chain([content.len() - 1]) {
            let memory = memory.copy();
            memory.rot(&path, at, 0x41);
            let storage = memory.shared();
            let verified = verify(&storage, &root(), &known).expect("the disk works");
            let files: Vec<&PathBuf> = verified.damage.iter().map(|damage| &damage.file).collect();
            assert_eq!(files, [&path], "byte {at} of {}", path.display());
            // What reading meets of it is damage of that file, too.
            let read = read_all(&storage, &known);
            assert!(read.iter().all(|file| *file == path), "byte {at} of {}: {read:?}", path.display());
        }
    }
}

#[test]
fn a_file_that_is_cut_missing_or_unreadable_is_named() {
    let (memory, known) = sealed();
    for (path, content) in memory.all() {
        for cut in [0, 1, content.len() / 2, content.len() - 1] {
            let memory = memory.copy();
            memory.set_content(&path, &content[..cut]);
            let verified = verify(&memory.shared(), &root(), &known).expect("the disk works");
            assert_eq!(verified.damage[0].file, path, "cut to {cut}");
            let read = read_all(&memory.shared(), &known);
            assert!(read.iter().all(|file| *file == path), "cut to {cut}: {read:?}");
        }
        let missing = memory.copy();
        missing.forget(&path);
        let damage = verify(&missing.shared(), &root(), &known).expect("the disk works").damage;
        // Of missing ids the folder is named: others could have had them.
        let is_ids = path.extension().is_some_and(|extension| extension == "ids");
        let named = if is_ids { path.parent().expect("it has one").to_path_buf() } else { path.clone() };
        assert_eq!(damage[0].file, named);
        let unreadable = memory.copy();
        unreadable.make_unreadable(&path);
        match verify(&unreadable.shared(), &root(), &known) {
            Ok(verified) => assert!(verified.damage.iter().any(|damage| damage.file == path)),
            Err(error) => assert!(error.to_string().contains(&path.display().to_string()), "{error}"),
        }
    }
}

#[test]
fn ids_are_made_again_from_the_orders() {
    let (memory, known) = sealed();
    let ids: Vec<PathBuf> =
        memory.all().into_keys().filter(|path| path.starts_with("/data/order-ids")).collect();
    assert_eq!(ids.len(), 2);
    for lost in [&ids[..1], &ids[1..], &ids[..]] {
        let memory = memory.copy();
        lost.iter().for_each(|path| memory.forget(path));
        let storage = memory.shared();
        assert!(Store::open(&storage, &root(), &known).is_err(), "no id may seem free");
        rebuild_ids(&storage, &root(), &known).expect("the orders are there");
        assert_eq!(verify(&storage, &root(), &known).expect("the disk works").damage, []);
        assert_eq!(read_all(&storage, &known), [] as [PathBuf; 0]);
    }
}

#[test]
fn files_of_ids_that_miss_or_invent_one_are_found() {
    let (memory, known) = sealed();
    let (other, other_known) = {
        let memory = directory();
        let mut known = Vec::new();
        seal(&memory.shared(), &mut known, &[order("A-1", 1)]);
        (memory, known)
    };
    let path = root().join("order-ids/00000001-00000001.ids");
    memory.set_content(&path, &other.content(&path).expect("it is there"));
    let damage = verify(&memory.shared(), &root(), &known).expect("the disk works").damage;
    assert_eq!(damage.len(), 1);
    assert_eq!(damage[0].file, root().join("order-ids"));
    assert_eq!(verify(&other.shared(), &root(), &other_known).expect("the disk works").damage, []);
}

#[test]
fn another_manifest_than_the_state_knows_is_refused() {
    let (memory, known) = sealed();
    let storage = memory.shared();
    let mut other = known.clone();
    other[1].hash[5] ^= 1;
    assert!(Store::open(&storage, &root(), &other).is_err());
    assert_eq!(verify(&storage, &root(), &other).expect("the disk works").damage.len(), 1);
    assert!(sweep(&storage, &root(), &other).is_err(), "nothing is removed");
    let mut gap = known.clone();
    gap.remove(0);
    gap.insert(0, Known { number: 0, hash: [0; 32] });
    assert!(Store::open(&storage, &root(), &gap).is_err());
}
