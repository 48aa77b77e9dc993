//! Checks all sealed files, and makes the ids again.

use std::{collections::BTreeSet, ops::ControlFlow, path::Path, sync::Arc};

use super::{
    file::{LOST, hash_of, open_whole},
    ids::{Entry, IdSorter, each_newest},
    manifest::Manifest,
    order::SealedOrder,
    place::{Found, Month, Paths, Place, What, hash_of_id, parse_id_file},
    store::{Known, Store},
};
use crate::durability::{
    error::{Damage, Error, Result},
    storage::Storage,
};

/// What was checked, and what was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verified {
    pub seals: usize,
    pub files: usize,
    /// Orders and refunds as the seals have them; some were sealed twice.
    pub orders: u64,
    pub refunds: u64,
    pub damage: Vec<Damage>,
}

/// Checks the files of these seals: the chain of the manifests, length and hash of each file, that each
/// decodes to what its manifest says, and that the ids are those of the orders and refunds. Memory grows with
/// the orders that were sealed twice alone. Files with damaged bytes are not decoded.
///
/// # Errors
/// `Io`. Damage is in what it returns.
pub fn verify(storage: &Arc<dyn Storage>, root: &Path, known: &[Known]) -> Result<Verified> {
    let paths = Paths::new(root);
    let mut verified = Verified { seals: known.len(), ..Verified::default() };
    for seal in known {
        verified.check_bytes(&**storage, &paths, *seal)?;
    }
    if !verified.damage.is_empty() {
        return Ok(verified);
    }
    let store = Store::without_ids(storage, &paths, known);
    let Some(store) = verified.note(store)? else { return Ok(verified) };
    let of_orders = verified.check_content(&store)?;
    let store = Store::open(storage, root, known);
    let Some(store) = verified.note(store)? else { return Ok(verified) };
    for file in store.id_files() {
        verified.files += 1;
        verified.note(file.verify())?;
    }
    if verified.damage.is_empty() {
        let mut of_ids = IdSum::default();
        verified.note(each_newest(store.id_files(), &mut |entry| of_ids.add(entry)))?;
        if verified.damage.is_empty() && of_ids != of_orders {
            let reason = "the ids are not those of the orders and refunds";
            let lost = "nothing: they are built again from the files of orders";
            verified.note::<()>(Err(Error::damaged(&paths.ids(), 0, None, reason, lost)))?;
        }
    }
    Ok(verified)
}

/// Makes the ids of these seals again, from their orders and refunds, in place of all files of ids.
///
/// # Errors
/// `Damaged` for a file of orders or refunds, `Io`.
pub fn rebuild_ids(storage: &Arc<dyn Storage>, root: &Path, known: &[Known]) -> Result<()> {
    let paths = Paths::new(root);
    let folder = paths.ids();
    let (Some(first), Some(last)) = (known.first(), known.last()) else { return Ok(()) };
    let store = Store::without_ids(storage, &paths, known)?;
    storage.create_dir(&folder).map_err(Error::io("create", &folder))?;
    let mut sorter = IdSorter::new(storage, &paths, last.number);
    for (seal, month) in months(&store) {
        let mut result = Ok(());
        let mut entries = Entries::default();
        let mut each = |place, order: SealedOrder<'static>| {
            result = entries.of(place, &order, &mut |entry| sorter.push(entry));
            if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        _ = store.for_each_of(seal, month, &mut each)?;
        result?;
    }
    sorter.finish(first.number, last.number)?.publish()?;
    storage.sync_dir(&folder).map_err(Error::io("sync", &folder))?;
    for name in storage.list(&folder).map_err(Error::io("list", &folder))? {
        if parse_id_file(&name).is_some_and(|file| file != (first.number, last.number)) {
            let path = folder.join(&name);
            storage.remove(&path).map_err(Error::io("remove", &path))?;
        }
    }
    storage.sync_dir(&folder).map_err(Error::io("sync", &folder))
}

/// Each seal and month that has orders, the newest seal first.
pub(super) fn months(store: &Store) -> Vec<(u32, Month)> {
    let seals = store.seals().iter().rev();
    seals.flat_map(|(number, seal)| seal.order_files().map(|(month, _)| (*number, month))).collect()
}

/// Makes the ids of a file's orders and refunds, in the order of their rows.
#[derive(Default)]
struct Entries {
    /// Rows of refunds so far.
    refund_rows: u32,
}

impl Entries {
    /// Tells `each` the entry of an order, and those of its refunds.
    fn of(
        &mut self,
        place: Place,
        order: &SealedOrder<'_>,
        each: &mut dyn FnMut(Entry) -> Result<()>,
    ) -> Result<()> {
        let entry = |what, id: &str, fingerprint, place| Entry {
            hash: hash_of_id(id.as_bytes()),
            found: Found { what, fingerprint, place },
        };
        each(entry(What::Order, &order.id, order.fingerprint, place))?;
        for refund in &order.refunds {
            let place = Place { row: self.refund_rows, ..place };
            each(entry(What::Refund, &refund.id, refund.fingerprint, place))?;
            let rows = u32::try_from(refund.lines.len().max(1)).expect("it has few lines");
            self.refund_rows = self.refund_rows.saturating_add(rows);
        }
        Ok(())
    }
}

/// What two sets of ids have in common only if they are equal: their number and the sum of their hashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct IdSum {
    count: u64,
    sum: u128,
}

impl IdSum {
    fn add(&mut self, entry: &Entry) {
        let hash = blake3::hash(&entry.bytes());
        let half: [u8; 16] = hash.as_bytes()[..16].try_into().expect("sixteen of thirty-two");
        self.count += 1;
        self.sum = self.sum.wrapping_add(u128::from_le_bytes(half));
    }
}

impl Verified {
    /// Keeps damage, and passes other errors on.
    fn note<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Err(Error::Damaged(damage)) => {
                self.damage.push(*damage);
                Ok(None)
            }
            result => result.map(Some),
        }
    }

    /// Checks the manifest of a seal, and lengths and hashes of its files.
    fn check_bytes(&mut self, storage: &dyn Storage, paths: &Paths, seal: Known) -> Result<()> {
        self.files += 1;
        let read = Manifest::read(storage, paths, seal.number);
        let Some((manifest, hash)) = self.note(read)? else { return Ok(()) };
        if hash != seal.hash {
            let path = paths.manifest(seal.number);
            let error = Error::damaged(&path, 0, None, "it is not the one that the state knows", LOST);
            return self.note::<()>(Err(error)).map(drop);
        }
        let sums = (paths.sums(seal.number), manifest.sums.bytes, manifest.sums.hash);
        let files = manifest.files.iter().map(|file| (paths.root().join(&file.path), file.bytes, file.hash));
        for (path, bytes, hash) in files.chain([sums]) {
            self.files += 1;
            let found = open_whole(storage, &path, bytes).and_then(|file| hash_of(&*file, &path, bytes));
            if self.note(found)?.is_some_and(|found| found != hash) {
                let reason = "it has another hash than its manifest says";
                self.note::<()>(Err(Error::damaged(&path, 0, None, reason, LOST)))?;
            }
        }
        Ok(())
    }

    /// Checks that files decode to what their manifests say, and returns what their ids come to.
    fn check_content(&mut self, store: &Store) -> Result<IdSum> {
        let mut sum = IdSum::default();
        // Hashes of ids that a newer seal has too.
        let mut newer = BTreeSet::new();
        for (seal, month) in months(store) {
            let file = store.seals()[&seal].order_files().find(|(other, _)| *other == month);
            let (_, file) = file.expect("it was listed");
            let (mut count, mut bytes) = (0, Vec::new());
            let (mut hasher, mut entries) = (blake3::Hasher::new(), Entries::default());
            let mut ill_formed = None;
            let mut each = |place: Place, order: SealedOrder<'static>| {
                bytes.clear();
                let result = order.encode(&mut bytes).map(drop).and_then(|()| {
                    entries.of(place, &order, &mut |entry| {
                        if !newer.remove(&entry.hash) {
                            sum.add(&entry);
                        }
                        if order.supersedes.is_some() {
                            newer.insert(entry.hash);
                        }
                        Ok(())
                    })
                });
                hasher.update(&bytes);
                count += 1;
                self.refunds += order.refunds.len() as u64;
                ill_formed = result.err();
                if ill_formed.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            let read = store.for_each_of(seal, month, &mut each);
            self.orders += count;
            let is_whole = ill_formed.is_none()
                && count == file.count
                && Some(*hasher.finalize().as_bytes()) == file.digest;
            if self.note(read)?.is_some() && !is_whole {
                let path = store.path_of(file);
                let reason = "its orders are not those that its manifest says";
                self.note::<()>(Err(Error::damaged(&path, 0, None, reason, LOST)))?;
            }
        }
        Ok(sum)
    }
}
