//! Making and opening data directories.

use std::{io::ErrorKind, path::Path, sync::Arc};

use super::{
    FORMAT_VERSION,
    error::{Error, Result},
    instance::{Instance, InstanceId},
    log::{
        LogOptions, chain,
        segment::{self, SegmentHeader},
    },
    paths::{Paths, TEMPORARY},
    recovery::{self, Opened},
    snapshot::{self, SnapshotStore, SnapshotWriter},
    storage::{Access, Storage, StorageFile, StorageLock},
};
use crate::core::{image::ImageHeader, types::Timestamp};

/// A data directory that this process holds, until this is dropped.
#[derive(Debug)]
pub struct DataDir {
    #[allow(dead_code, reason = "held for its drop")]
    lock: Box<dyn StorageLock>,
}

/// What is decided when a directory is made. [`Genesis::random`], but for tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Genesis {
    pub id: InstanceId,
    pub network_id: u32,
    /// Key from which row ids are made; random.
    pub row_key: u64,
    /// Key from which generated referral codes are made; random, and the same as in the image.
    pub code_key: u64,
    pub created: Timestamp,
}

impl Genesis {
    /// A new identity and new keys.
    pub fn random(network_id: u32, created: Timestamp) -> Self {
        Self { id: InstanceId::random(), network_id, row_key: random_key(), code_key: random_key(), created }
    }
}

/// 64 random bits: of the 122 of a version-4 UUID the first 48 and the last 16.
fn random_key() -> u64 {
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    (high & !0xffff) | (low & 0xffff)
}

/// A directory being made. It becomes one with [`Creation::finish`]; dropped before, it is no data directory, and `create` starts anew.
#[derive(Debug)]
pub struct Creation {
    lock: Box<dyn StorageLock>,
    file: Box<dyn StorageFile>,
    instance: Instance,
    options: LogOptions,
    store: SnapshotStore,
}

impl DataDir {
    /// Begins to make a data directory in a path that does not exist, is empty, or holds a creation that never finished.
    ///
    /// # Errors
    /// `NotEmpty`, also for a path that is a data directory already; `Locked` when another process is making it; `Io`.
    pub fn create(storage: &Arc<dyn Storage>, path: &Path, genesis: &Genesis, options: LogOptions) -> Result<Creation> {
        let paths = Paths::new(path);
        make_root(&**storage, path)?;
        let pending = Paths::temporary(&paths.instance());
        check_is_free(&**storage, &paths, &pending)?;
        let file = match storage.create(&pending) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => storage.open(&pending, Access::ReadWrite),
            result => result,
        };
        let file = file.map_err(Error::io("create", &pending))?;
        let lock = take_lock(&**storage, &pending, path)?;
        // Whoever had the lock until now may just have finished: what was locked is then the instance file of a directory in use.
        check_is_free(&**storage, &paths, &pending)?;
        // The mark of an unfinished creation is there before anything that only such a mark explains.
        storage.sync_dir(path).map_err(Error::io("sync", path))?;
        remove_leftovers(&**storage, &paths)?;
        for directory in [paths.log(), paths.archive(), paths.snapshots()] {
            storage.create_dir(&directory).map_err(Error::io("create", &directory))?;
        }
        storage.sync_dir(path).map_err(Error::io("sync", path))?;
        let Genesis { id, network_id, row_key, code_key, created } = *genesis;
        let instance = Instance { id, network_id, row_key, code_key, created };
        let store = SnapshotStore { storage: Arc::clone(storage), paths, network: network_id, instance: id.0, log: None, retained: None };
        Ok(Creation { lock, file, instance, options, store })
    }

    /// Opens a directory for reading and writing: locks it, finds the newest snapshot that verifies, scans the live log, and mends what
    /// a crash may have left. It can crash at any point and be repeated. Nothing is changed before everything was found to be good.
    ///
    /// # Errors
    /// `Locked`, `NotADataDirectory`, `Unfinished`, `NewerFormat`, `Damaged`, `Io`.
    pub fn open(storage: &Arc<dyn Storage>, path: &Path, options: LogOptions) -> Result<Opened> {
        Self::open_with(storage, path, options, Access::ReadWrite)
    }

    /// Opens a directory without changing anything in it: for tools. Locks it all the same. A torn tail is left out and reported; the journal takes no writes.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_read_only(storage: &Arc<dyn Storage>, path: &Path) -> Result<Opened> {
        Self::open_with(storage, path, LogOptions::default(), Access::Read)
    }

    /// Whether there is nothing at the path that `create` would refuse: no directory, an empty one, or a creation that never finished.
    ///
    /// # Errors
    /// `Io`.
    pub fn is_free(storage: &Arc<dyn Storage>, path: &Path) -> Result<bool> {
        let paths = Paths::new(path);
        if !storage.is_dir(path).map_err(Error::io("look at", path))? {
            return Ok(!storage.is_file(path).map_err(Error::io("look at", path))?);
        }
        match check_is_free(&**storage, &paths, &Paths::temporary(&paths.instance())) {
            Ok(()) => Ok(true),
            Err(Error::NotEmpty { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn open_with(storage: &Arc<dyn Storage>, path: &Path, options: LogOptions, access: Access) -> Result<Opened> {
        let (directory, instance) = Self::lock(storage, path)?;
        recovery::open(storage, &Paths::new(path), instance, options, access, directory)
    }

    /// Makes sure that it is a data directory, and takes its lock. Looks at nothing else.
    ///
    /// # Errors
    /// `Locked`, `NotADataDirectory`, `Unfinished`, `NewerFormat`, `Damaged` (of the file `instance`), `Io`.
    pub(super) fn lock(storage: &Arc<dyn Storage>, path: &Path) -> Result<(Self, Instance)> {
        let paths = Paths::new(path);
        let not_one = |reason: &str| Error::NotADataDirectory { path: path.to_path_buf(), reason: reason.into() };
        if !storage.is_dir(path).map_err(Error::io("look at", path))? {
            let is_file = storage.is_file(path).map_err(Error::io("look at", path))?;
            // A device or a socket, for one, is there and neither.
            let is_missing = || storage.list(path).is_err_and(|error| error.kind() == ErrorKind::NotFound);
            return Err(not_one(match is_file {
                true => "it is a file",
                false if is_missing() => "it does not exist",
                false => "it is no directory",
            }));
        }
        let file = paths.instance();
        if !storage.is_file(&file).map_err(Error::io("look at", &file))? {
            let pending = storage.is_file(&Paths::temporary(&file)).map_err(Error::io("look at", &file))?;
            return Err(if pending { Error::Unfinished { path: path.to_path_buf() } } else { not_one("it has no file `instance`") });
        }
        // Who it is comes before the lock: a stranger's file is not ours to lock.
        Instance::read(&**storage, &file, path)?;
        let lock = take_lock(&**storage, &file, path)?;
        let instance = Instance::read(&**storage, &file, path)?;
        Ok((Self { lock }, instance))
    }
}

impl Creation {
    /// Begins the first snapshot: an empty network at LSN 0, or an imported one.
    ///
    /// # Errors
    /// `BadImage` if its code key is not the one of the directory; `Io`.
    pub fn begin_snapshot(&self, header: &ImageHeader) -> Result<SnapshotWriter> {
        if header.code_key != self.instance.code_key {
            return Err(Error::BadImage("its code key is not that of the directory".into()));
        }
        self.store.begin(header)
    }

    /// Publishes the snapshot, makes the log that goes on from it, and then the directory a data directory, which
    /// [`DataDir::open`] opens.
    ///
    /// # Errors
    /// `BadImage`, `Io`.
    pub fn finish(self, snapshot: SnapshotWriter, state_digest: [u8; 32], network_digest: [u8; 32]) -> Result<()> {
        let (storage, paths) = (&*self.store.storage, &self.store.paths);
        let (lsn, time) = snapshot.position();
        snapshot.publish(lsn, state_digest, network_digest)?;
        let bytes = self.options.segment_bytes_checked();
        let file = segment::create_empty(storage, paths, 1, bytes)?;
        let header = SegmentHeader {
            version: FORMAT_VERSION,
            instance: self.instance.id.0,
            network: self.instance.network_id,
            number: 1,
            first_lsn: lsn + 1,
            bytes,
            term: 0,
            time,
            previous_end: 0,
            previous_crc: 0,
            chain: Some(chain::first(&self.instance.id.0)),
        };
        let path = paths.segment(1);
        file.write_all_at(&header.encode().0, 0).map_err(Error::io("write", &path))?;
        file.sync_all().map_err(Error::io("sync", &path))?;
        let (pending, path) = (Paths::temporary(&paths.instance()), paths.instance());
        self.file.write_all_at(&self.instance.encode(), 0).map_err(Error::io("write", &pending))?;
        self.file.sync_all().map_err(Error::io("sync", &pending))?;
        // Only this makes it one.
        storage.rename(&pending, &path).map_err(Error::io("rename", &pending))?;
        storage.sync_dir(paths.root()).map_err(Error::io("sync", paths.root()))?;
        drop(self.lock);
        Ok(())
    }
}

/// The directory itself, and those above that are missing. The names of all of them are made durable, also of those that are there: whoever
/// made them, an attempt that was killed for one, need not have synced them.
fn make_root(storage: &dyn Storage, path: &Path) -> Result<()> {
    let directories: Vec<&Path> = path.ancestors().filter(|directory| !directory.as_os_str().is_empty()).collect();
    for directory in directories.into_iter().rev() {
        let Some(parent) = directory.parent() else { continue };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let is_there = storage.is_dir(directory).map_err(Error::io("look at", directory))?;
        if !is_there {
            storage.create_dir(directory).map_err(|error| match error.kind() {
                // A device, for one, or something below a file.
                ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
                    Error::NotEmpty { path: path.to_path_buf(), reason: format!("{} is no directory", directory.display()) }
                }
                _ => Error::io("create", directory)(error),
            })?;
        }
        match storage.sync_dir(parent) {
            // Some directories far above are not ours to look into, or are on a medium that nobody changes.
            Err(error) if is_there && matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {}
            synced => synced.map_err(Error::io("sync", parent))?,
        }
    }
    Ok(())
}

/// Files of service keys (`crate::access`), which may be made before the directory is: nobody has to open the door to make its key.
const KEY_FILES: [&str; 3] = ["keys", "keys.lock", "keys.new"];

/// Nothing there but what an unfinished creation leaves, service keys, hidden files and a file system's own `lost+found`.
fn check_is_free(storage: &dyn Storage, paths: &Paths, pending: &Path) -> Result<()> {
    let root = paths.root();
    let refuse = |reason: String| Err(Error::NotEmpty { path: root.to_path_buf(), reason });
    let is_pending = storage.is_file(pending).map_err(Error::io("look at", pending))?;
    let own = |name: &str| is_pending && ["instance.tmp", "log", "archive", "snapshots"].contains(&name);
    for name in storage.list(root).map_err(Error::io("list", root))? {
        if name == "instance" {
            return refuse("it is a data directory already".into());
        }
        if !own(&name) && !KEY_FILES.contains(&name.as_str()) && !name.starts_with('.') && name != "lost+found" {
            return refuse(format!("it is not empty: it holds `{name}`"));
        }
    }
    Ok(())
}

/// Files of an unfinished creation: those of our names only, so that nothing of anybody else's is ever removed.
fn remove_leftovers(storage: &dyn Storage, paths: &Paths) -> Result<()> {
    for directory in [paths.log(), paths.archive(), paths.snapshots()] {
        if !storage.is_dir(&directory).map_err(Error::io("look at", &directory))? {
            continue;
        }
        for name in storage.list(&directory).map_err(Error::io("list", &directory))? {
            let plain = name.strip_suffix(TEMPORARY).unwrap_or(&name);
            if segment::number_of(plain).is_some() || snapshot::lsn_of(plain).is_some() {
                let path = directory.join(&name);
                storage.remove(&path).map_err(Error::io("remove", &path))?;
            }
        }
    }
    Ok(())
}

fn take_lock(storage: &dyn Storage, file: &Path, directory: &Path) -> Result<Box<dyn StorageLock>> {
    storage.lock(file).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => Error::Locked { path: directory.to_path_buf() },
        _ => Error::io("lock", file)(error),
    })
}
