//! What a repair asks about the files of boundaries, and how it makes the checksums again.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    super::mend::{Keep, is_whole, write_sums},
    manifest::BoundaryManifest,
    place::{FOLDER, KnownBoundary, MANIFEST, MEMBERS, Place, SUMS, parse_folder},
};
use crate::durability::{
    error::{Error, Result},
    storage::Storage,
};

/// The LSN of the boundary that a file belongs to, by its path in a data directory.
pub(in super::super) fn lsn_of(relative: &str) -> Option<u64> {
    parse_folder(relative.strip_prefix(FOLDER)?.strip_prefix('/')?.split('/').next()?)
}

/// The path of the manifest of a boundary, and the files that it lists, with their lengths and hashes.
pub(in super::super) fn listed(
    root: &Path,
    lsn: u64,
    manifest: Option<&BoundaryManifest>,
) -> (PathBuf, Vec<(PathBuf, u64, [u8; 32])>) {
    let place = Place::new(root, lsn);
    let files = manifest.map_or_else(Vec::new, |manifest| {
        vec![
            (place.path(MEMBERS), manifest.bytes, manifest.hash),
            (place.path(SUMS), manifest.sums_bytes, manifest.sums_hash),
        ]
    });
    (place.path(MANIFEST), files)
}

/// The manifest of a boundary.
///
/// # Errors
/// `Damaged` if it is missing, or another one; `Io`.
pub fn manifest_of(storage: &dyn Storage, root: &Path, known: KnownBoundary) -> Result<BoundaryManifest> {
    BoundaryManifest::read(storage, &Place::new(root, known.lsn).path(MANIFEST), known.lsn, &known.hash)
}

/// The BLAKE3 that a file of a boundary must have: a backup of the directory may have that file.
pub fn hash_of_file(
    storage: &dyn Storage,
    root: &Path,
    known: KnownBoundary,
    file: &Path,
) -> Option<[u8; 32]> {
    let place = Place::new(root, known.lsn);
    if file == place.path(MANIFEST) {
        return Some(known.hash);
    }
    let manifest = manifest_of(storage, root, known).ok()?;
    let files = [(MEMBERS, manifest.hash), (SUMS, manifest.sums_hash)];
    files.into_iter().find(|(name, _)| file == place.path(name)).map(|(_, hash)| hash)
}

/// The files of a boundary that are missing, or not what its manifest says; the manifest comes last.
pub(super) fn lost_files(
    storage: &dyn Storage,
    root: &Path,
    manifest: &BoundaryManifest,
) -> Result<Vec<PathBuf>> {
    let (own, files) = listed(root, manifest.lsn, Some(manifest));
    let own = (own, manifest.encode().len() as u64, manifest.own_hash());
    let mut lost = Vec::new();
    for (path, bytes, hash) in files.into_iter().chain([own]) {
        if !is_whole(storage, &path, bytes, &hash)? {
            lost.push(path);
        }
    }
    Ok(lost)
}

/// Writes the file of checksums again, from the members. False if these are not whole, too.
///
/// # Errors
/// `Io`, and those of `keep`.
pub fn remake_sums(
    storage: &Arc<dyn Storage>,
    root: &Path,
    known: KnownBoundary,
    keep: Keep<'_>,
) -> Result<bool> {
    let place = Place::new(root, known.lsn);
    let manifest = match manifest_of(&**storage, root, known) {
        Err(Error::Damaged(_)) => return Ok(false),
        manifest => manifest?,
    };
    let files = [(place.path(MEMBERS), manifest.bytes, manifest.hash)];
    write_sums(storage, &place.path(SUMS), &files, &manifest.sums_hash, keep)
}
