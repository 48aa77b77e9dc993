//! What a repair asks about the files of seals, and how it makes some of them again from the others.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    file::{Unfinished, hash_of, open_whole, sums_of},
    manifest::Manifest,
    network,
    place::{Paths, parse_id_file, parse_relative},
    store::{Known, Store},
    verify::months,
};
use crate::durability::{
    error::{Error, Result},
    paths::is_listed,
    storage::Storage,
};

/// Is told the name of a file before another one takes it.
pub type Keep<'k> = &'k mut dyn FnMut(&Path) -> Result<()>;

/// What a file of a data directory belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SealedPart {
    /// The files of a seal.
    Seal(u32),
    /// Those of the network at the boundary of this LSN.
    Boundary(u64),
    Ids,
}

impl SealedPart {
    /// The part that a file of a data directory belongs to, by its name.
    pub fn of(root: &Path, file: &Path) -> Option<Self> {
        let relative = file.strip_prefix(root).ok()?.to_str()?;
        if let Some((seal, _, _)) = parse_relative(relative) {
            return Some(Self::Seal(seal));
        }
        if let Some(name) = relative.strip_prefix("orders/seals/") {
            let digits = name.strip_suffix(".toml").or_else(|| name.strip_suffix(".sums"))?;
            return digits.parse().ok().map(Self::Seal);
        }
        if relative.starts_with("order-ids") {
            return Some(Self::Ids);
        }
        network::lsn_of(relative).map(Self::Boundary)
    }
}

/// The manifest of a seal that a command named.
///
/// # Errors
/// `Damaged` if it is missing, or another one; `Io`.
pub fn manifest_of(storage: &dyn Storage, root: &Path, known: Known) -> Result<Manifest> {
    let paths = Paths::new(root);
    let (manifest, hash) = Manifest::read(storage, &paths, known.number)?;
    if hash == known.hash {
        return Ok(manifest);
    }
    let reason = "it is not the one that the state knows";
    Err(Error::damaged(&paths.manifest(known.number), 0, None, reason, super::file::LOST))
}

/// The BLAKE3 that a file of a seal must have: a backup of the directory may have that file.
pub fn hash_of_file(storage: &dyn Storage, root: &Path, known: Known, file: &Path) -> Option<[u8; 32]> {
    let paths = Paths::new(root);
    if file == paths.manifest(known.number) {
        return Some(known.hash);
    }
    let manifest = manifest_of(storage, root, known).ok()?;
    if file == paths.sums(known.number) {
        return Some(manifest.sums.hash);
    }
    manifest.files.iter().find(|listed| root.join(&listed.path) == file).map(|listed| listed.hash)
}

/// The files of a seal that are missing, or not what its manifest says; the manifest comes last.
pub(super) fn lost_files(storage: &dyn Storage, root: &Path, manifest: &Manifest) -> Result<Vec<PathBuf>> {
    let paths = Paths::new(root);
    let text = manifest.encode();
    let own = (paths.manifest(manifest.number), text.len() as u64, manifest.hash());
    let sums = (paths.sums(manifest.number), manifest.sums.bytes, manifest.sums.hash);
    let files = manifest.files.iter().map(|file| (root.join(&file.path), file.bytes, file.hash));
    let mut lost = Vec::new();
    for (path, bytes, hash) in files.chain([sums, own]) {
        if !is_whole(storage, &path, bytes, &hash)? {
            lost.push(path);
        }
    }
    Ok(lost)
}

/// Whether a file is there, with this length and hash.
pub(super) fn is_whole(storage: &dyn Storage, path: &Path, bytes: u64, hash: &[u8; 32]) -> Result<bool> {
    match open_whole(storage, path, bytes).and_then(|file| hash_of(&*file, path, bytes)) {
        Err(Error::Damaged(_)) => Ok(false),
        found => found.map(|found| found == *hash),
    }
}

/// Writes the file of checksums again, from the other files of the seal. False if they are not whole, too.
///
/// # Errors
/// `Io`, and those of `keep`.
pub fn remake_sums(storage: &Arc<dyn Storage>, root: &Path, known: Known, keep: Keep<'_>) -> Result<bool> {
    let paths = Paths::new(root);
    let manifest = match manifest_of(&**storage, root, known) {
        Err(Error::Damaged(_)) => return Ok(false),
        manifest => manifest?,
    };
    let files = manifest.files.iter().map(|file| (root.join(&file.path), file.bytes, file.hash));
    let files: Vec<_> = files.collect();
    write_sums(storage, &paths.sums(manifest.number), &files, &manifest.sums.hash, keep)
}

/// Writes the checksums of these files, if both they and the result have the hashes that are known.
pub(super) fn write_sums(
    storage: &Arc<dyn Storage>,
    path: &Path,
    files: &[(PathBuf, u64, [u8; 32])],
    hash: &[u8; 32],
    keep: Keep<'_>,
) -> Result<bool> {
    let mut all = Vec::new();
    for (path, bytes, hash) in files {
        let read = open_whole(&**storage, path, *bytes).and_then(|file| sums_of(&*file, path, *bytes));
        match read {
            Err(Error::Damaged(_)) => return Ok(false),
            read => {
                let (found, sums) = read?;
                if found != *hash {
                    return Ok(false);
                }
                all.extend(sums);
            }
        }
    }
    let mut out = Unfinished::create(storage, path)?;
    for sum in all {
        out.put(&sum.to_le_bytes())?;
    }
    let finished = out.finish()?;
    if finished.hash != *hash {
        finished.discard()?;
        return Ok(false);
    }
    keep(path)?;
    finished.publish()?;
    let folder = path.parent().unwrap_or(path);
    storage.sync_dir(folder).map_err(Error::io("sync", folder))?;
    Ok(true)
}

/// Of some orders, the newest of these seals that has each: `wanted` has their ids and LSNs. Reads the files
/// whose LSNs may be among these, and no ids, which may be lost.
///
/// # Errors
/// `Damaged`, `Io`.
pub fn newest_seals_of(
    storage: &Arc<dyn Storage>,
    root: &Path,
    known: &[Known],
    mut wanted: BTreeMap<String, u64>,
) -> Result<BTreeMap<String, u32>> {
    let mut found = BTreeMap::new();
    if wanted.is_empty() {
        return Ok(found);
    }
    let store = Store::without_ids(storage, &Paths::new(root), known)?;
    for (seal, month) in months(&store) {
        let of_month = store.seals()[&seal].order_files().find(|(other, _)| *other == month);
        let may_have = of_month
            .is_some_and(|(_, file)| wanted.values().any(|lsn| (file.lsns[0]..=file.lsns[1]).contains(lsn)));
        if may_have {
            _ = store.for_each_of(seal, month, &mut |_, order| {
                if wanted.remove(&*order.id).is_some() {
                    found.insert(order.id.into_owned(), seal);
                }
                ControlFlow::Continue(())
            })?;
        }
    }
    Ok(found)
}

/// The files of ids that are there, whatever is in them.
///
/// # Errors
/// `Io`.
pub fn id_files(storage: &dyn Storage, root: &Path) -> Result<Vec<PathBuf>> {
    let folder = Paths::new(root).ids();
    if !storage.is_dir(&folder).map_err(Error::io("look at", &folder))? {
        return Ok(Vec::new());
    }
    let mut names = storage.list(&folder).map_err(Error::io("list", &folder))?;
    names.retain(|name| parse_id_file(name).is_some());
    names.sort_unstable();
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// Whether something has this name.
pub fn is_there(storage: &dyn Storage, path: &Path) -> bool {
    is_listed(storage, path)
}
