//! What is there of sealed files, whatever state they are in. Nothing is changed and nothing locked.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::{
    file::{LOST, hash_of, open_whole},
    ids::IdFile,
    manifest::Manifest,
    network::{self, BoundaryManifest, KnownBoundary},
    place::{Paths, parse_id_file},
    store::covering,
    sweep::{leftovers_but, names_in},
};
use crate::durability::{
    error::{Damage, Error, Result},
    storage::Storage,
};

/// The seals and boundaries that commands name, as far as snapshots and log tell.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Named {
    /// By number: the LSN of the command, and the hash of the manifest that it named.
    pub seals: BTreeMap<u32, (u64, [u8; 32])>,
    pub boundaries: BTreeMap<u64, [u8; 32]>,
    /// Whether these are all: else a seal that is not among them may have been named, too.
    pub is_complete: bool,
}

/// A seal, of which something is there or should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealSeen {
    pub number: u32,
    /// The LSN of the command that named it; `None` if none is known.
    pub named_by: Option<u64>,
    /// The manifest as it is, and its hash; `None` if it cannot be read.
    pub manifest: Option<(Manifest, [u8; 32])>,
    /// The files that the manifest names, those of checksums last.
    pub files: Vec<FileSeen>,
    pub damage: Vec<Damage>,
}

/// A file that a manifest names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileSeen {
    pub path: PathBuf,
    /// As the manifest says.
    pub bytes: u64,
    pub hash: [u8; 32],
    /// Whether it is there, and what the manifest says.
    pub verifies: bool,
}

/// The network at a boundary.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BoundarySeen {
    pub lsn: u64,
    pub manifest: Option<BoundaryManifest>,
    /// The hash that the command names.
    pub hash: [u8; 32],
    pub files: Vec<FileSeen>,
    pub damage: Vec<Damage>,
}

/// A file of ids.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdsSeen {
    pub path: PathBuf,
    pub first: u32,
    pub last: u32,
    /// `None` if it cannot be told.
    pub entries: Option<u64>,
    pub damage: Option<Damage>,
}

/// The items found, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SealedItem {
    Seal(SealSeen),
    Boundary(BoundarySeen),
    Ids(IdsSeen),
    /// A file that no command names: the next start removes it.
    Leftover(PathBuf),
    /// What no single file shows.
    Damage(Damage),
}

/// Shows everything about the sealed files of a directory to `see`, which returns whether to continue. Reads
/// all of them.
///
/// # Errors
/// `Io`. Damage is in what it shows.
pub fn inspect(
    storage: &dyn Storage,
    root: &Path,
    named: &Named,
    see: &mut dyn FnMut(SealedItem) -> bool,
) -> Result<()> {
    let paths = Paths::new(root);
    let mut numbers: BTreeSet<u32> = named.seals.keys().copied().collect();
    if !named.is_complete {
        numbers.extend(manifests_there(storage, &paths)?);
    }
    let mut kept = BTreeSet::new();
    let mut unread = BTreeSet::new();
    for number in &numbers {
        let seen = seal(storage, &paths, *number, named.seals.get(number).copied())?;
        match &seen.manifest {
            Some((manifest, _)) => kept.extend(manifest.files.iter().map(|file| file.path.clone())),
            None => _ = unread.insert(*number),
        }
        if !see(SealedItem::Seal(seen)) {
            return Ok(());
        }
    }
    for (lsn, hash) in &named.boundaries {
        if !see(SealedItem::Boundary(boundary(storage, root, KnownBoundary { lsn: *lsn, hash: *hash })?)) {
            return Ok(());
        }
    }
    let is_known = |number| numbers.contains(&number);
    for item in ids(storage, &paths, &numbers)? {
        if !see(item) {
            return Ok(());
        }
    }
    // What a manifest named that cannot be read is not known.
    let has = |seal: u32, path: &str| unread.contains(&seal) || kept.contains(path);
    let mut leftovers = leftovers_but(storage, &paths, &is_known, &has)?;
    if named.is_complete {
        let boundaries = named.boundaries.iter().map(|(lsn, hash)| KnownBoundary { lsn: *lsn, hash: *hash });
        leftovers.extend(network::leftovers(storage, root, &boundaries.collect::<Vec<_>>())?);
    }
    for leftover in leftovers {
        if !see(SealedItem::Leftover(leftover)) {
            return Ok(());
        }
    }
    Ok(())
}

/// The numbers of the manifests that are there.
fn manifests_there(storage: &dyn Storage, paths: &Paths) -> Result<Vec<u32>> {
    let names = names_in(storage, &paths.seals())?;
    let number = |name: &String| {
        let number: u32 = name.strip_suffix(".toml")?.parse().ok()?;
        paths.manifest(number).ends_with(name).then_some(number)
    };
    Ok(names.iter().filter_map(number).collect())
}

/// Keeps damage, and passes other errors on.
fn note<T>(result: Result<T>, damage: &mut Vec<Damage>) -> Result<Option<T>> {
    match result {
        Err(Error::Damaged(found)) => {
            damage.push(*found);
            Ok(None)
        }
        result => result.map(Some),
    }
}

fn seal(
    storage: &dyn Storage,
    paths: &Paths,
    number: u32,
    named: Option<(u64, [u8; 32])>,
) -> Result<SealSeen> {
    let mut damage = Vec::new();
    let manifest = note(Manifest::read(storage, paths, number), &mut damage)?;
    let mut files = Vec::new();
    if let Some((manifest, hash)) = &manifest {
        if named.is_some_and(|(_, named)| named != *hash) {
            let reason = "it is not the one that a command named";
            note::<()>(Err(Error::damaged(&paths.manifest(number), 0, None, reason, LOST)), &mut damage)?;
        }
        let listed = manifest.files.iter().map(|file| (paths.root().join(&file.path), file.bytes, file.hash));
        let sums = (paths.sums(number), manifest.sums.bytes, manifest.sums.hash);
        for (path, bytes, hash) in listed.chain([sums]) {
            files.push(file(storage, path, bytes, hash, &mut damage)?);
        }
    }
    Ok(SealSeen { number, named_by: named.map(|(lsn, _)| lsn), manifest, files, damage })
}

fn file(
    storage: &dyn Storage,
    path: PathBuf,
    bytes: u64,
    hash: [u8; 32],
    damage: &mut Vec<Damage>,
) -> Result<FileSeen> {
    let found = open_whole(storage, &path, bytes).and_then(|file| hash_of(&*file, &path, bytes));
    let found = note(found, damage)?;
    if found.is_some_and(|found| found != hash) {
        let reason = "it has another hash than its manifest says";
        note::<()>(Err(Error::damaged(&path, 0, None, reason, LOST)), damage)?;
    }
    Ok(FileSeen { path, bytes, hash, verifies: found == Some(hash) })
}

fn boundary(storage: &dyn Storage, root: &Path, known: KnownBoundary) -> Result<BoundarySeen> {
    let mut damage = Vec::new();
    let manifest = note(network::manifest_of(storage, root, known), &mut damage)?;
    let (_, listed) = network::listed(root, known.lsn, manifest.as_ref());
    let mut files = Vec::new();
    for (path, bytes, hash) in listed {
        files.push(file(storage, path, bytes, hash, &mut damage)?);
    }
    Ok(BoundarySeen { lsn: known.lsn, manifest, hash: known.hash, files, damage })
}

/// The files of ids of these seals; and what is missing of them.
fn ids(storage: &dyn Storage, paths: &Paths, numbers: &BTreeSet<u32>) -> Result<Vec<SealedItem>> {
    let mut found = Vec::new();
    for name in names_in(storage, &paths.ids())? {
        let Some((first, last)) = parse_id_file(&name) else { continue };
        if !numbers.contains(&first) || !numbers.contains(&last) {
            continue;
        }
        let (path, mut damage) = (paths.id_file(first, last), Vec::new());
        let file = note(IdFile::open(storage, &path, first, last), &mut damage)?;
        if let Some(file) = &file {
            note(file.verify(), &mut damage)?;
        }
        let (entries, damage) = (file.map(|file| file.entries), damage.pop());
        found.push(SealedItem::Ids(IdsSeen { path, first, last, entries, damage }));
    }
    if let (Some(first), Some(last)) = (numbers.first(), numbers.last()) {
        let mut damage = Vec::new();
        note(covering(storage, paths, *first, *last), &mut damage)?;
        found.extend(damage.into_iter().map(SealedItem::Damage));
    }
    Ok(found)
}
