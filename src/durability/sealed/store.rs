//! Sealed orders, as they are read: of the seals that the state knows.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    cursor::{Numbers, wrong},
    file::{BLOCK_BYTES, Checked, LOST, open_whole, read_small, reading},
    ids::{IdFile, merge},
    manifest::{Manifest, ManifestFile},
    order::SealedOrder,
    place::{FileKind, Found, Month, Paths, Place, What, hash_of_id, parse_id_file, parse_relative},
    read::{AllRefunds, OrderRows, Rows},
    rows::{ALL, ONE},
    schema::refund_column,
};
use crate::durability::{
    error::{Damage, Error, Result},
    storage::Storage,
};

/// Files that stay open: their descriptions, of about a megabyte each, stay decoded.
const OPEN_FILES_MAX: usize = 8;
/// Files of ids after a merge, at most: a lookup may read a block of each.
pub const ID_FILES_MAX: usize = 16;
/// A file of ids is merged with the newer ones when it is at most this many times as large as they are.
const MERGE_RATIO: u64 = 2;

/// A seal that a command named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    pub number: u32,
    /// The hash of its manifest.
    pub hash: [u8; 32],
}

/// The sealed orders of a data directory.
pub struct Store {
    storage: Arc<dyn Storage>,
    paths: Paths,
    seals: Arc<BTreeMap<u32, Seal>>,
    /// Oldest first; together they have each seal once.
    ids: Vec<Arc<IdFile>>,
    open: Mutex<Vec<(Key, Arc<Rows>)>>,
}

type Key = (u32, Month, FileKind);

/// A seal and its files.
pub(super) struct Seal {
    pub manifest: Manifest,
    /// By month and kind, in the order of the manifest: the position there.
    files: BTreeMap<(Month, FileKind), usize>,
}

impl Store {
    /// Opens the seals that the state knows; they are consecutive. It reads manifests and the fences of ids.
    ///
    /// # Errors
    /// `Damaged` for a manifest that is missing, or another than the state knows; likewise for files of ids,
    /// which [`super::rebuild_ids`] makes again. `Io`.
    pub fn open(storage: &Arc<dyn Storage>, root: &Path, known: &[Known]) -> Result<Self> {
        let mut store = Self::without_ids(storage, &Paths::new(root), known)?;
        if let (Some(first), Some(last)) = (known.first(), known.last()) {
            for (first, last) in covering(&**storage, &store.paths, first.number, last.number)? {
                let path = store.paths.id_file(first, last);
                store.ids.push(Arc::new(IdFile::open(&**storage, &path, first, last)?));
            }
        }
        Ok(store)
    }

    /// Opens the seals alone: nothing is found by its id.
    pub(super) fn without_ids(storage: &Arc<dyn Storage>, paths: &Paths, known: &[Known]) -> Result<Self> {
        Ok(Self {
            storage: Arc::clone(storage),
            paths: paths.clone(),
            seals: Arc::new(read_seals(&**storage, paths, known)?),
            ids: Vec::new(),
            open: Mutex::new(Vec::new()),
        })
    }

    /// Where a file of a seal is.
    pub(super) fn path_of(&self, file: &ManifestFile) -> PathBuf {
        self.paths.root().join(&file.path)
    }

    /// The manifests of the seals, oldest first.
    pub fn manifests(&self) -> impl DoubleEndedIterator<Item = &Manifest> {
        self.seals.values().map(|seal| &seal.manifest)
    }

    pub(super) fn seals(&self) -> &BTreeMap<u32, Seal> {
        &self.seals
    }

    pub(super) fn id_files(&self) -> &[Arc<IdFile>] {
        &self.ids
    }

    /// Files of the seals that are missing, or have another length than their manifests say. O(files).
    ///
    /// # Errors
    /// `Io`.
    pub fn missing(&self) -> Result<Vec<Damage>> {
        let mut missing = Vec::new();
        for (number, seal) in &*self.seals {
            let files = seal.manifest.files.iter().map(|file| (self.path_of(file), file.bytes));
            let sums = (self.paths.sums(*number), seal.manifest.sums.bytes);
            for (path, bytes) in files.chain([sums]) {
                match open_whole(&*self.storage, &path, bytes) {
                    Err(Error::Damaged(damage)) => missing.push(*damage),
                    opened => drop(opened?),
                }
            }
        }
        Ok(missing)
    }

    /// The number of files of ids.
    pub fn id_files_count(&self) -> usize {
        self.ids.len()
    }

    /// The ids in these files: of orders and refunds, those that were sealed twice counted twice until their
    /// files are merged.
    pub fn ids_count(&self) -> u64 {
        self.ids.iter().map(|file| file.entries).sum()
    }

    /// Bytes that the fences of ids take.
    pub fn fence_bytes(&self) -> usize {
        self.ids.iter().map(|file| file.memory()).sum()
    }

    /// Looks up the id of an order or a refund: a read of 4 KiB in each file of ids, the newest first.
    ///
    /// # Errors
    /// `Damaged`, `Io`.
    pub fn find(&self, id: &str) -> Result<Option<Found>> {
        let hash = hash_of_id(id.as_bytes());
        for file in self.ids.iter().rev() {
            if let Some(found) = file.find(&hash)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Reads an order with its refunds.
    ///
    /// # Errors
    /// `Damaged`, also for a place where no order begins; `Io`.
    pub fn order(&self, place: Place) -> Result<SealedOrder<'static>> {
        let rows = self.rows(place.seal, place.month, FileKind::Orders)?;
        let result = (|| {
            let (group, at) = rows.locate(place.row.into()).ok_or_else(|| wrong("there is no such row"))?;
            let mut orders = OrderRows::open(&rows, group, ONE)?;
            orders.skip(at)?;
            orders.next()?.ok_or_else(|| wrong("there is no such row"))
        })();
        let bare = result.map_err(reading(rows.path()))?;
        let mut order = bare.order;
        if bare.refunds != 0 {
            order.refunds = self.refunds(place, bare.refunds)?;
        }
        Ok(order)
    }

    /// The place of the order that a refund is of.
    ///
    /// # Errors
    /// `Damaged`, `Io`.
    pub fn order_of_refund(&self, refund: Place) -> Result<Place> {
        let rows = self.rows(refund.seal, refund.month, FileKind::Refunds)?;
        let result = (|| {
            let (group, at) = rows.locate(refund.row.into()).ok_or_else(|| wrong("there is no such row"))?;
            let mut order_rows = Numbers::open(&rows.group(group)?, refund_column::ORDER_ROW, ONE)?;
            order_rows.skip(at)?;
            let row = order_rows.require()?;
            u32::try_from(row).map_err(|_| wrong("an impossible row of an order"))
        })();
        let row = result.map_err(reading(rows.path()))?;
        Ok(Place { row, ..refund })
    }

    /// Reads all orders of a seal in the order of its files, with their places, whether or not a later seal
    /// has them too. `each` may end it.
    ///
    /// # Errors
    /// `Damaged`, `Io`.
    pub fn for_each(
        &self,
        seal: u32,
        each: &mut dyn FnMut(Place, SealedOrder<'static>) -> ControlFlow<()>,
    ) -> Result<()> {
        let months = self.seal(seal)?.files.keys().filter(|(_, kind)| *kind == FileKind::Orders);
        for (month, _) in months {
            if self.for_each_of(seal, *month, each)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Reads the orders of a seal that are of one month.
    pub(super) fn for_each_of(
        &self,
        seal: u32,
        month: Month,
        each: &mut dyn FnMut(Place, SealedOrder<'static>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let rows = self.rows(seal, month, FileKind::Orders)?;
        let has_refunds = self.seal(seal)?.files.contains_key(&(month, FileKind::Refunds));
        let refunds = has_refunds.then(|| self.rows(seal, month, FileKind::Refunds)).transpose()?;
        let refund_path = refunds.as_ref().map_or(rows.path(), |rows| rows.path()).to_path_buf();
        let mut refunds = refunds.map(AllRefunds::new);
        for group in 0..rows.groups() {
            let mut orders = OrderRows::open(&rows, group, ALL).map_err(reading(rows.path()))?;
            let mut at = 0;
            while let Some(bare) = orders.next().map_err(reading(rows.path()))? {
                let (mut order, row) = (bare.order, rows.start(group) + at as u64);
                at += usize::from(order.lines);
                if bare.refunds != 0 {
                    let all = refunds.as_mut().ok_or_else(|| {
                        Error::damaged(
                            rows.path(),
                            0,
                            None,
                            "an order has refunds, and there is no file of them",
                            LOST,
                        )
                    })?;
                    order.refunds = all.take(bare.refunds, row).map_err(reading(&refund_path))?;
                }
                let row = u32::try_from(row)
                    .map_err(|_| Error::damaged(rows.path(), 0, None, "it has too many rows", LOST))?;
                if each(Place { seal, month, row }, order).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        if let Some(mut refunds) = refunds
            && !refunds.is_over().map_err(reading(&refund_path))?
        {
            return Err(Error::damaged(&refund_path, 0, None, "it has refunds of no order", LOST));
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Merges files of ids if that is due, and returns a store that uses the new one. Reads and writes up to
    /// all ids; everything else goes on meanwhile. Afterwards the old files can be removed
    /// ([`Store::remove_merged`]).
    ///
    /// # Errors
    /// `Damaged`, `Io`.
    pub fn merged(&self) -> Result<Option<Self>> {
        let sizes: Vec<u64> = self.ids.iter().map(|file| file.entries).collect();
        merge_from(&sizes).map(|from| self.merged_from(from)).transpose()
    }

    /// Merges all files of ids, if there are several.
    ///
    /// # Errors
    /// As [`Store::merged`].
    pub fn merged_all(&self) -> Result<Option<Self>> {
        (1 < self.ids.len()).then(|| self.merged_from(0)).transpose()
    }

    fn merged_from(&self, from: usize) -> Result<Self> {
        let files: Vec<&IdFile> = self.ids[from..].iter().map(|file| &**file).collect();
        let merged = merge(&self.storage, &self.paths, &files)?;
        merged.publish()?;
        let folder = self.paths.ids();
        self.storage.sync_dir(&folder).map_err(Error::io("sync", &folder))?;
        let [first, last] = [files[0].first, files[files.len() - 1].last];
        let file = IdFile::open(&*self.storage, &self.paths.id_file(first, last), first, last)?;
        let mut ids = self.ids[..from].to_vec();
        ids.push(Arc::new(file));
        Ok(Self {
            storage: Arc::clone(&self.storage),
            paths: self.paths.clone(),
            seals: Arc::clone(&self.seals),
            ids,
            open: Mutex::new(Vec::new()),
        })
    }

    /// Removes files of ids that others of this store replace. Stores that have them open go on with them.
    ///
    /// # Errors
    /// `Io`.
    pub fn remove_merged(&self) -> Result<()> {
        let folder = self.paths.ids();
        if self.ids.is_empty() {
            return Ok(());
        }
        for name in self.storage.list(&folder).map_err(Error::io("list", &folder))? {
            let Some((first, last)) = parse_id_file(&name) else { continue };
            let is_replaced = |file: &Arc<IdFile>| {
                file.first <= first && last <= file.last && (file.first, file.last) != (first, last)
            };
            if self.ids.iter().any(is_replaced) {
                let path = folder.join(&name);
                self.storage.remove(&path).map_err(Error::io("remove", &path))?;
            }
        }
        Ok(())
    }

    fn seal(&self, number: u32) -> Result<&Seal> {
        self.seals.get(&number).ok_or_else(|| unknown(&self.paths, number))
    }

    /// Opens a file, or returns it if it is open.
    pub(super) fn rows(&self, seal: u32, month: Month, kind: FileKind) -> Result<Arc<Rows>> {
        let key = (seal, month, kind);
        if let Some(rows) = self.already_open(key) {
            return Ok(rows);
        }
        let rows = Arc::new(self.seal(seal)?.open(&*self.storage, &self.paths, month, kind)?);
        let mut open = self.lock_open();
        open.retain(|(other, _)| *other != key);
        if open.len() == OPEN_FILES_MAX {
            open.remove(0);
        }
        open.push((key, Arc::clone(&rows)));
        Ok(rows)
    }

    fn already_open(&self, key: Key) -> Option<Arc<Rows>> {
        let mut open = self.lock_open();
        let at = open.iter().position(|(other, _)| *other == key)?;
        // The last one was used last.
        open[at..].rotate_left(1);
        open.last().map(|(_, rows)| Arc::clone(rows))
    }

    fn lock_open(&self) -> MutexGuard<'_, Vec<(Key, Arc<Rows>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seal {
    /// The files of orders: month, and what the manifest says.
    pub fn order_files(&self) -> impl Iterator<Item = (Month, &ManifestFile)> {
        let orders = self.files.iter().filter(|((_, kind), _)| *kind == FileKind::Orders);
        orders.map(|((month, _), at)| (*month, &self.manifest.files[*at]))
    }

    fn open(&self, storage: &dyn Storage, paths: &Paths, month: Month, kind: FileKind) -> Result<Rows> {
        let number = self.manifest.number;
        let at = *self.files.get(&(month, kind)).ok_or_else(|| {
            let path = paths.file(number, month, kind);
            Error::damaged(&path, 0, None, "its seal has no such file", LOST)
        })?;
        let file = &self.manifest.files[at];
        let sums = read_sums(storage, paths, &self.manifest, at)?;
        let checked = Checked::open(storage, &paths.root().join(&file.path), file.bytes, sums)?;
        Rows::open(checked, file.rows)
    }
}

fn unknown(paths: &Paths, seal: u32) -> Error {
    Error::damaged(&paths.manifest(seal), 0, None, "the state knows no such seal", LOST)
}

/// Reads the manifests of these seals.
fn read_seals(storage: &dyn Storage, paths: &Paths, known: &[Known]) -> Result<BTreeMap<u32, Seal>> {
    let mut seals = BTreeMap::new();
    let mut before: Option<Known> = None;
    for seal in known {
        let path = paths.manifest(seal.number);
        let damaged = |reason: &str| Error::damaged(&path, 0, None, reason, LOST);
        let (manifest, hash) = Manifest::read(storage, paths, seal.number)?;
        if hash != seal.hash {
            return Err(damaged("it is not the one that the state knows"));
        }
        if before.is_some_and(|before| before.number.checked_add(1) != Some(seal.number)) {
            return Err(damaged("seals before it are unknown"));
        }
        if before.is_some_and(|before| manifest.previous != Some(before.hash)) {
            return Err(damaged("it does not follow the one before"));
        }
        let file = |(at, file): (usize, &ManifestFile)| {
            let (_, month, kind) = parse_relative(&file.path)?;
            Some(((month, kind), at))
        };
        let files = manifest.files.iter().enumerate().filter_map(file).collect();
        seals.insert(seal.number, Seal { manifest, files });
        before = Some(*seal);
    }
    Ok(seals)
}

/// Reads the checksums of the blocks of a file of a seal.
fn read_sums(storage: &dyn Storage, paths: &Paths, manifest: &Manifest, file: usize) -> Result<Vec<u32>> {
    let path = paths.sums(manifest.number);
    let blocks =
        |file: &ManifestFile| usize::try_from(file.bytes.div_ceil(BLOCK_BYTES as u64)).unwrap_or(usize::MAX);
    let bytes = read_small(storage, &path, manifest.sums.bytes)?;
    if *blake3::hash(&bytes).as_bytes() != manifest.sums.hash {
        return Err(Error::damaged(&path, 0, None, "it has another hash than its manifest says", LOST));
    }
    let before: usize = manifest.files[..file].iter().map(blocks).fold(0, usize::saturating_add);
    let sums = bytes.as_chunks::<4>().0;
    let end = before.saturating_add(blocks(&manifest.files[file]));
    let own = sums
        .get(before..end)
        .ok_or_else(|| Error::damaged(&path, 0, None, "it has too few checksums", LOST))?;
    Ok(own.iter().map(|sum| u32::from_le_bytes(*sum)).collect())
}

/// The files of ids that together have the ids of these seals, oldest first: as few as there are.
pub(super) fn covering(
    storage: &dyn Storage,
    paths: &Paths,
    first: u32,
    last: u32,
) -> Result<Vec<(u32, u32)>> {
    let folder = paths.ids();
    let missing = |seal: u32| {
        let reason = format!("the file with the ids of seal {seal} is missing");
        Error::damaged(&folder, 0, None, reason, "nothing: it is built again from the files of orders")
    };
    if !storage.is_dir(&folder).map_err(Error::io("look at", &folder))? {
        return Err(missing(first));
    }
    let names = storage.list(&folder).map_err(Error::io("list", &folder))?;
    let mut files: Vec<(u32, u32)> = names.iter().filter_map(|name| parse_id_file(name)).collect();
    files.retain(|file| first <= file.0 && file.1 <= last);
    // From the last seal back: the best way on from each.
    files.sort_unstable_by(|one, other| other.cmp(one));
    let mut ways: BTreeMap<u32, Vec<(u32, u32)>> = BTreeMap::new();
    for file in files {
        let mut way = if file.1 == last {
            Vec::new()
        } else {
            let Some(way) = ways.get(&(file.1 + 1)) else { continue };
            way.clone()
        };
        way.push(file);
        let best = ways.entry(file.0).or_insert_with(|| way.clone());
        if way.len() < best.len() {
            *best = way;
        }
    }
    let mut way = ways.remove(&first).ok_or_else(|| missing(first))?;
    way.reverse();
    Ok(way)
}

/// From which file on those of ids are to be merged, by their sizes, oldest first. Each stays more than twice
/// as large as all newer ones together, so that an id is written a number of times that grows only with the
/// logarithm of their number.
fn merge_from(sizes: &[u64]) -> Option<usize> {
    let mut newer = 0;
    let mut from = sizes.len();
    for (at, size) in sizes.iter().enumerate().rev() {
        // The last file that may stay is the one that the rest is merged into.
        let is_due = *size <= newer * MERGE_RATIO || (ID_FILES_MAX < sizes.len() && ID_FILES_MAX <= at + 1);
        if at + 1 < sizes.len() && is_due {
            from = at;
        }
        newer += size;
    }
    (from < sizes.len()).then_some(from)
}

/// What has an id, for callers that only ask for orders.
impl Found {
    /// Whether it is an order.
    pub fn is_order(&self) -> bool {
        self.what == What::Order
    }
}
