//! Exclusive locking of a directory.
//!
//! Locked are: the directory itself, the file `lock`, the file `instance`, the folders `log`, `archive` and
//! `snapshots`, and the segment being written. The directory, because its files may be replaced by others of
//! the same names while a server has them open. The file `lock`, because some file systems cannot lock
//! directories. The file `instance`, because releases before format 3 lock nothing else. The folders and the
//! segment, because a copy of the directory may share them through a symbolic link to a folder elsewhere, or
//! through hard links to the files in it. The log writer takes the lock of each segment that it moves to.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{
    error::{Error, Result},
    log::segment::{HEADER_BYTES, Parsed, SegmentHeader},
    names,
    paths::{Paths, open_listed},
    storage::{Access, Storage, StorageLock},
};

/// The locks of one directory; dropping this unlocks.
#[derive(Debug)]
pub(super) struct Locks {
    _held: Vec<Box<dyn StorageLock>>,
    /// Of the segment being written, until the log writer takes it.
    segment: Option<Box<dyn StorageLock>>,
}

impl Locks {
    /// Takes the locks of all that exist. For writing, the file `lock` is created if missing: in a new
    /// directory, or in one of an older release.
    ///
    /// # Errors
    /// `Locked` if one of them is held elsewhere, or if a file was replaced while it was being locked; `Io`.
    pub(super) fn take(storage: &dyn Storage, paths: &Paths, access: Access) -> Result<Self> {
        let root = paths.root();
        let locked = || Error::Locked { path: root.to_path_buf() };
        let mut held = Vec::new();
        match storage.lock(root) {
            Ok(lock) => held.push(lock),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(locked()),
            // The two files still protect it.
            Err(_) => {}
        }
        let own = paths.lock();
        if access == Access::ReadWrite {
            match storage.create(&own) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(Error::io("create", &own)(error));
                }
                _ => {}
            }
        }
        for path in [own, Paths::temporary(&paths.instance()), paths.instance()] {
            if !storage.is_file(&path).map_err(Error::io("look at", &path))? {
                continue;
            }
            let lock = lock_file(storage, &path)?.ok_or_else(locked)?;
            if !lock.is_at(&path).map_err(Error::io("look at", &path))? {
                return Err(locked());
            }
            held.push(lock);
        }
        for folder in [paths.log(), paths.archive(), paths.snapshots()] {
            if storage.is_dir(&folder).map_err(Error::io("look at", &folder))? {
                held.extend(lock_if_possible(storage, &folder, root)?);
            }
        }
        let segment = match active_segment(storage, paths)? {
            Some(path) => lock_if_possible(storage, &path, root)?,
            None => None,
        };
        Ok(Self { _held: held, segment })
    }

    /// Hands the lock of the active segment to the log writer. If another file has replaced the segment
    /// since, that file is locked.
    ///
    /// # Errors
    /// `Locked`, `Io`.
    pub(super) fn segment_lock(
        &mut self,
        storage: &dyn Storage,
        path: &Path,
        root: &Path,
    ) -> Result<Option<Box<dyn StorageLock>>> {
        match self.segment.take() {
            Some(lock) if lock.is_at(path).map_err(Error::io("look at", path))? => Ok(Some(lock)),
            _ => lock_if_possible(storage, path, root),
        }
    }
}

/// `None` if it is locked elsewhere.
fn lock_file(storage: &dyn Storage, path: &Path) -> Result<Option<Box<dyn StorageLock>>> {
    match storage.lock(path) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(Error::io("lock", path)(error)),
    }
}

/// Locks a file or folder; `None` if the file system cannot lock such.
///
/// # Errors
/// `Locked` if it is locked elsewhere.
pub(super) fn lock_if_possible(
    storage: &dyn Storage,
    path: &Path,
    root: &Path,
) -> Result<Option<Box<dyn StorageLock>>> {
    match storage.lock(path) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            Err(Error::Locked { path: root.to_path_buf() })
        }
        Err(_) => Ok(None),
    }
}

/// Returns the newest segment that has a header: later ones are prepared in advance, by each server for
/// itself.
fn active_segment(storage: &dyn Storage, paths: &Paths) -> Result<Option<PathBuf>> {
    let directory = paths.log();
    if !storage.is_dir(&directory).map_err(Error::io("look at", &directory))? {
        return Ok(None);
    }
    let names = storage.list(&directory).map_err(Error::io("list", &directory))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| names::segment_number(name)).collect();
    numbers.sort_unstable();
    for number in numbers.into_iter().rev() {
        let path = paths.segment(number);
        let mut sector = [0; HEADER_BYTES];
        // Recovery reports what cannot be read.
        let file = match open_listed(storage, &path, Access::Read) {
            Err(Error::Damaged(_)) => continue,
            file => file?,
        };
        if file.read_exact_at(&mut sector, 0).is_ok() && !matches!(SegmentHeader::parse(&sector), Parsed::Bad)
        {
            return Ok(Some(path));
        }
    }
    Ok(None)
}
