//! Keeping others out of a directory.
//!
//! Three things are locked: the directory itself, the file `lock`, and the file `instance`. The directory, because its files may be replaced
//! by others of the same names while a server has them open. The file `lock`, because some file systems lock no directories. The file
//! `instance`, because that is all that releases before format 3 lock.

use std::{io::ErrorKind, path::Path};

use super::{
    error::{Error, Result},
    paths::Paths,
    storage::{Access, Storage, StorageLock},
};

/// The locks of one directory, until this is dropped.
#[derive(Debug)]
pub(super) struct Locks {
    _held: Vec<Box<dyn StorageLock>>,
}

impl Locks {
    /// Takes all that are there. For writing, the file `lock` is made where it is missing: in a new directory, or in one of an older release.
    ///
    /// # Errors
    /// `Locked` when somebody has one of them, or when a file was replaced while it was being locked; `Io`.
    pub(super) fn take(storage: &dyn Storage, paths: &Paths, access: Access) -> Result<Self> {
        let root = paths.root();
        let locked = || Error::Locked { path: root.to_path_buf() };
        let mut held = Vec::new();
        match storage.lock(root) {
            Ok(lock) => held.push(lock),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(locked()),
            // The two files are left.
            Err(_) => {}
        }
        let own = paths.lock();
        if access == Access::ReadWrite {
            match storage.create(&own) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(Error::io("create", &own)(error)),
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
        Ok(Self { _held: held })
    }
}

/// `None` when somebody has it.
fn lock_file(storage: &dyn Storage, path: &Path) -> Result<Option<Box<dyn StorageLock>>> {
    match storage.lock(path) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(Error::io("lock", path)(error)),
    }
}
