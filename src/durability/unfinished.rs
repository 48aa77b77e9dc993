//! Directories without an `instance` file: a creation that never finished, which lost nothing, or a directory
//! that lost its identity.
//!
//! The file `creating` tells them apart. It is made durable before a creation writes anything else and
//! removed after `instance` has its name, before any command can be logged. What it names was never served,
//! so it may be removed and recreated. Without it, nothing that holds a frame or a snapshot ever counts as a
//! leftover: such a directory is refused and left unchanged.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{
    FORMAT_VERSION,
    error::{Error, Result},
    instance::Instance,
    log::{frame, whole::read_whole},
    names,
    paths::{Paths, TEMPORARY},
    snapshot::inspect_snapshot,
    storage::{Access, Storage},
};

/// The mark: `{magic 8, format version u32, instance id 16, CRC-32C u32}`.
const MARK_BYTES: usize = 32;
const MARK_MAGIC: [u8; 8] = *b"uplinNEW";

/// Durably records that the directory with this identity is being created. Nothing of an earlier creation may
/// remain.
pub(super) fn begin(storage: &dyn Storage, paths: &Paths, instance: &[u8; 16]) -> Result<()> {
    let path = paths.creating();
    if storage.is_file(&path).map_err(Error::io("look at", &path))? {
        storage.remove(&path).map_err(Error::io("remove", &path))?;
        // What an old mark named is gone by now; two successive marks must never be confused.
        storage.sync_dir(paths.root()).map_err(Error::io("sync", paths.root()))?;
    }
    let mut mark = Vec::with_capacity(MARK_BYTES);
    mark.extend_from_slice(&MARK_MAGIC);
    mark.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    mark.extend_from_slice(instance);
    mark.extend_from_slice(&crc32c::crc32c(&mark).to_le_bytes());
    let file = storage.create(&path).map_err(Error::io("create", &path))?;
    file.write_all_at(&mark, 0).map_err(Error::io("write", &path))?;
    file.sync_all().map_err(Error::io("sync", &path))?;
    storage.sync_dir(paths.root()).map_err(Error::io("sync", paths.root()))
}

/// Removes the mark: creation is complete. The name of `instance` must be durable already. A mark of
/// something else is left alone.
pub(super) fn end(storage: &dyn Storage, paths: &Paths, instance: &[u8; 16]) -> Result<()> {
    if mark(storage, paths)? != Some(*instance) {
        return Ok(());
    }
    let path = paths.creating();
    storage.remove(&path).map_err(Error::io("remove", &path))?;
    storage.sync_dir(paths.root()).map_err(Error::io("sync", paths.root()))
}

/// Returns the identity in the mark; `None` if there is none, or if writing it, which precedes everything
/// else, was never completed.
fn mark(storage: &dyn Storage, paths: &Paths) -> Result<Option<[u8; 16]>> {
    let path = paths.creating();
    if !storage.is_file(&path).map_err(Error::io("look at", &path))? {
        return Ok(None);
    }
    let file = storage.open(&path, Access::Read).map_err(Error::opening(&path))?;
    let mut bytes = [0; MARK_BYTES];
    if file.len().map_err(Error::io("look at", &path))? != MARK_BYTES as u64 {
        return Ok(None);
    }
    file.read_exact_at(&mut bytes, 0).map_err(Error::io("read", &path))?;
    let crc = crc32c::crc32c(&bytes[..MARK_BYTES - 4]).to_le_bytes();
    let is_whole = bytes[..8] == MARK_MAGIC && bytes[MARK_BYTES - 4..] == crc;
    Ok(is_whole.then(|| bytes[12..28].try_into().expect("sixteen bytes")))
}

/// Returns whether a creation was begun here and not finished.
pub(super) fn is_begun(storage: &dyn Storage, paths: &Paths) -> Result<bool> {
    for path in [paths.creating(), Paths::temporary(&paths.instance())] {
        if storage.is_file(&path).map_err(Error::io("look at", &path))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns the files that an unfinished creation left, to be removed before the next one. The directory has
/// no `instance` file.
///
/// # Errors
/// `InstanceLost` if there is anything that such a creation does not leave: then nothing may be changed.
/// `Io`.
pub(super) fn leftovers(storage: &dyn Storage, paths: &Paths) -> Result<Vec<PathBuf>> {
    let mark = mark(storage, paths)?;
    let (mut leftovers, mut holds) = (Vec::new(), Vec::new());
    for path in numbered_files(storage, paths)? {
        if is_left_by(storage, &path, mark)? { leftovers.push(path) } else { holds.push(path) }
    }
    for path in [paths.cut(), Paths::temporary(&paths.cut())] {
        if storage.is_file(&path).map_err(Error::io("look at", &path))? {
            holds.push(path);
        }
    }
    // A creation writes its mark first.
    let durable = paths.durable();
    if mark.is_none() && storage.is_file(&durable).map_err(Error::io("look at", &durable))? {
        holds.push(durable);
    }
    let pending = Paths::temporary(&paths.instance());
    let identity = identity_of(storage, &pending, paths.root())?;
    if identity.is_some_and(|instance| Some(instance) != mark) {
        let advice = format!(
            "{} is a whole file `instance`: if it was renamed, rename it back to `instance` and start again; \
             if this directory is of no use, move it away",
            pending.display()
        );
        return Err(Error::InstanceLost { path: paths.root().to_path_buf(), holds: named(&holds), advice });
    }
    if !holds.is_empty() {
        let advice = "put the file `instance` back, from a backup or another copy of the same directory \
                      (the snapshots there have the same instance id); if this directory is of no use, \
                      move it away"
            .to_owned();
        return Err(Error::InstanceLost { path: paths.root().to_path_buf(), holds: named(&holds), advice });
    }
    for path in [pending, paths.durable(), Paths::temporary(&paths.durable())] {
        if storage.is_file(&path).map_err(Error::io("look at", &path))? {
            leftovers.push(path);
        }
    }
    Ok(leftovers)
}

/// Durably removes these files: the next mark must not find them again.
pub(super) fn remove(storage: &dyn Storage, paths: &Paths, leftovers: &[PathBuf]) -> Result<()> {
    for path in leftovers {
        storage.remove(path).map_err(Error::io("remove", path))?;
    }
    // Sync the directory itself, too: its mark is removed next, and what only the mark explains must not
    // outlast it.
    for directory in [paths.log(), paths.archive(), paths.snapshots(), paths.root().to_path_buf()] {
        if storage.is_dir(&directory).map_err(Error::io("look at", &directory))? {
            storage.sync_dir(&directory).map_err(Error::io("sync", &directory))?;
        }
    }
    Ok(())
}

/// Returns the files in the three folders whose names are ours, finished or not. Others are not leftovers.
fn numbered_files(storage: &dyn Storage, paths: &Paths) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for directory in [paths.log(), paths.archive(), paths.snapshots()] {
        if !storage.is_dir(&directory).map_err(Error::io("look at", &directory))? {
            continue;
        }
        let mut names = storage.list(&directory).map_err(Error::io("list", &directory))?;
        names.sort_unstable();
        let is_ours = |name: &&String| {
            let plain = name.strip_suffix(TEMPORARY).unwrap_or(name);
            names::segment_number(plain).is_some()
                || names::snapshot_lsn(plain).is_some()
                || plain.ends_with(".snap.damaged")
        };
        found.extend(names.iter().filter(is_ours).map(|name| directory.join(name)));
    }
    Ok(found)
}

/// Returns whether a creation leaves such a file: a segment without a frame, an unfinished snapshot, a
/// finished one that the mark names.
fn is_left_by(storage: &dyn Storage, path: &Path, mark: Option<[u8; 16]>) -> Result<bool> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let plain = name.strip_suffix(TEMPORARY).unwrap_or(name);
    if names::segment_number(plain).is_some() {
        return match read_whole(storage, path) {
            Ok(content) => Ok(!frame::holds_frame(&content)),
            Err(Error::Damaged(_)) => Ok(false),
            Err(error) => Err(error),
        };
    }
    let seen = match inspect_snapshot(storage, path) {
        Err(Error::Damaged(_)) => return Ok(false),
        seen => seen?,
    };
    let is_begun_only = plain != name && seen.manifest.is_none();
    // A power failure may take the sector of the header and leave that of the manifest.
    let of_manifest = seen.manifest.map(|manifest| manifest.instance);
    let instance = seen.header.map(|(_, instance, _)| instance).or(of_manifest);
    let is_named = instance.is_some() && instance == mark;
    Ok(is_begun_only || is_named)
}

/// Returns the identity in a file, if it is a complete one of ours.
fn identity_of(storage: &dyn Storage, path: &Path, directory: &Path) -> Result<Option<[u8; 16]>> {
    if !storage.is_file(path).map_err(Error::io("look at", path))? {
        return Ok(None);
    }
    match Instance::read(storage, path, directory) {
        Ok(instance) => Ok(Some(instance.id.0)),
        Err(Error::Io { source, .. }) if source.kind() != ErrorKind::UnexpectedEof => {
            Err(Error::io("read", path)(source))
        }
        Err(error @ Error::NewerFormat { .. }) => Err(error),
        Err(_) => Ok(None),
    }
}

fn named(paths: &[PathBuf]) -> String {
    /// A longer list would bury the advice.
    const NAMED_MAX: usize = 8;
    let names: Vec<String> = paths.iter().take(NAMED_MAX).map(|path| path.display().to_string()).collect();
    let more = paths.len().saturating_sub(NAMED_MAX);
    match (names.is_empty(), more) {
        (true, _) => "no log or snapshot".into(),
        (false, 0) => names.join(", "),
        (false, more) => format!("{} and {more} more", names.join(", ")),
    }
}
