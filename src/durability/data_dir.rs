//! Creating and opening data directories.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    FORMAT_VERSION,
    error::{Error, Result},
    instance::{Instance, InstanceId},
    lock::Locks,
    log::{
        LogOptions, chain,
        evidence::{self, Durable},
        segment::{self, SegmentHeader},
    },
    paths::Paths,
    snapshot::{SnapshotStore, SnapshotWriter},
    storage::{Access, Storage, StorageLock},
    unfinished,
};
use crate::core::{CodeForm, CodeKey, sections::ImageHeader, types::Timestamp};

/// A data directory locked by this process until this is dropped.
#[derive(Debug)]
pub struct DataDir {
    locks: Locks,
}

/// What is fixed when a directory is created. Use [`Genesis::random`], except in tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Genesis {
    pub id: InstanceId,
    pub network_id: u32,
    /// Random key from which row ids are derived.
    pub row_key: u64,
    /// How generated referral codes are made: with a random key, the same as in the image.
    pub code_key: CodeKey,
    pub created: Timestamp,
}

impl Genesis {
    /// Returns a new identity and new keys.
    pub fn random(network_id: u32, created: Timestamp) -> Self {
        let code_key = CodeKey { key: random_key(), form: CodeForm::LetterFirst };
        Self { id: InstanceId::random(), network_id, row_key: random_key(), code_key, created }
    }
}

/// Returns 64 random bits: the first 48 and the last 16 of the 122 of a version-4 UUID.
fn random_key() -> u64 {
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    (high & !0xffff) | (low & 0xffff)
}

/// A directory being created. [`Creation::finish`] completes it; if dropped before that, it is not a data
/// directory, and `create` starts over.
#[derive(Debug)]
pub struct Creation {
    locks: Locks,
    instance: Instance,
    options: LogOptions,
    store: SnapshotStore,
}

impl DataDir {
    /// The lock of the active segment, for the writer of the log.
    pub(super) fn segment_lock(
        &mut self,
        storage: &dyn Storage,
        paths: &Paths,
        segment: &Path,
    ) -> Result<Option<Box<dyn StorageLock>>> {
        self.locks.segment_lock(storage, segment, paths.root())
    }

    /// Begins to create a data directory at a path that does not exist, is empty, or holds a creation that
    /// never finished.
    ///
    /// # Errors
    /// `NotEmpty`, also for a path that already is a data directory; `InstanceLost` for one that was;
    /// `Locked` if another process is creating it; `Io`.
    pub fn create(
        storage: &Arc<dyn Storage>,
        path: &Path,
        genesis: &Genesis,
        options: LogOptions,
    ) -> Result<Creation> {
        let paths = Paths::new(path);
        make_root(&**storage, path)?;
        leftovers_if_free(&**storage, &paths)?;
        let locks = Locks::take(&**storage, &paths, Access::ReadWrite)?;
        // The previous lock holder may just have finished.
        let leftovers = leftovers_if_free(&**storage, &paths)?;
        unfinished::remove(&**storage, &paths, &leftovers)?;
        // The mark of an unfinished creation must exist before anything that only such a mark explains.
        unfinished::begin(&**storage, &paths, &genesis.id.0)?;
        for directory in [paths.log(), paths.archive(), paths.snapshots()] {
            storage.create_dir(&directory).map_err(Error::io("create", &directory))?;
        }
        storage.sync_dir(path).map_err(Error::io("sync", path))?;
        let Genesis { id, network_id, row_key, code_key, created } = *genesis;
        let instance = Instance { id, network_id, row_key, code_key, created };
        let store = SnapshotStore {
            storage: Arc::clone(storage),
            paths,
            network: network_id,
            instance: id.0,
            log: None,
            retained: None,
        };
        Ok(Creation { locks, instance, options, store })
    }

    /// Returns whether `create` would accept the path: no directory, an empty one, or a creation that never
    /// finished.
    ///
    /// # Errors
    /// `Io`.
    pub fn is_free(storage: &Arc<dyn Storage>, path: &Path) -> Result<bool> {
        let paths = Paths::new(path);
        if !storage.is_dir(path).map_err(Error::io("look at", path))? {
            return Ok(!storage.is_file(path).map_err(Error::io("look at", path))?);
        }
        match leftovers_if_free(&**storage, &paths) {
            Ok(_) => Ok(true),
            Err(Error::NotEmpty { .. } | Error::InstanceLost { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Refuses a path that is neither a data directory, whole or damaged, nor one that `create` would accept.
    ///
    /// # Errors
    /// `NotEmpty`, `Io`.
    pub fn refuse_foreign(storage: &Arc<dyn Storage>, path: &Path) -> Result<()> {
        let paths = Paths::new(path);
        let is_there = |file: &Path| storage.is_file(file).map_err(Error::io("look at", file));
        if is_there(&paths.instance())? {
            return Ok(());
        }
        if !storage.is_dir(path).map_err(Error::io("look at", path))? {
            let reason = "it is a file".into();
            return if is_there(path)? { Err(Error::NotEmpty { path: path.into(), reason }) } else { Ok(()) };
        }
        match leftovers_if_free(&**storage, &paths) {
            Ok(_) | Err(Error::InstanceLost { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Checks that it is a data directory, and takes its locks. Looks at nothing else.
    ///
    /// # Errors
    /// `Locked`, `NotADataDirectory`, `Unfinished`, `InstanceLost`, `NewerFormat`, `Damaged` (of the file
    /// `instance`), `Io`.
    pub(super) fn lock(storage: &Arc<dyn Storage>, path: &Path, access: Access) -> Result<(Self, Instance)> {
        let paths = Paths::new(path);
        let not_one =
            |reason: &str| Error::NotADataDirectory { path: path.to_path_buf(), reason: reason.into() };
        if !storage.is_dir(path).map_err(Error::io("look at", path))? {
            let is_file = storage.is_file(path).map_err(Error::io("look at", path))?;
            // A device or a socket, for example, exists and is neither.
            let is_missing = || storage.list(path).is_err_and(|error| error.kind() == ErrorKind::NotFound);
            return Err(not_one(match is_file {
                true => "it is a file",
                false if is_missing() => "it does not exist",
                false => "it is no directory",
            }));
        }
        let file = paths.instance();
        if !storage.is_file(&file).map_err(Error::io("look at", &file))? {
            unfinished::leftovers(&**storage, &paths)?;
            let is_begun = unfinished::is_begun(&**storage, &paths)?;
            return Err(if is_begun {
                Error::Unfinished { path: path.to_path_buf() }
            } else {
                not_one("it has no file `instance`")
            });
        }
        // Check the identity before locking: we must not lock somebody else's file.
        Instance::read(&**storage, &file, path)?;
        let locks = Locks::take(&**storage, &paths, access)?;
        let instance = Instance::read(&**storage, &file, path)?;
        Ok((Self { locks }, instance))
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

    /// Publishes the snapshot, creates the log that continues from it, and then completes the data directory,
    /// which [`DataDir::open`] opens.
    ///
    /// # Errors
    /// `BadImage`, `Io`.
    pub fn finish(
        self,
        snapshot: SnapshotWriter,
        state_digest: [u8; 32],
        network_digest: [u8; 32],
    ) -> Result<()> {
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
        evidence::reset(storage, paths, &self.instance.id.0, Durable { lsn, chain: header.chain })?;
        let path = paths.segment(1);
        file.write_all_at(&header.encode().0, 0).map_err(Error::io("write", &path))?;
        file.sync_all().map_err(Error::io("sync", &path))?;
        let (pending, path) = (Paths::temporary(&paths.instance()), paths.instance());
        let file = segment::create_fresh(storage, &pending)?;
        file.write_all_at(&self.instance.encode(), 0).map_err(Error::io("write", &pending))?;
        file.sync_all().map_err(Error::io("sync", &pending))?;
        // This rename is what makes it a data directory.
        storage.rename(&pending, &path).map_err(Error::io("rename", &pending))?;
        storage.sync_dir(paths.root()).map_err(Error::io("sync", paths.root()))?;
        unfinished::end(storage, paths, &self.instance.id.0)?;
        drop(self.locks);
        Ok(())
    }
}

/// Creates the directory and its missing parents. The names of all of them are made durable, including
/// existing ones: their creator, such as a killed attempt, need not have synced them.
fn make_root(storage: &dyn Storage, path: &Path) -> Result<()> {
    let directories: Vec<&Path> =
        path.ancestors().filter(|directory| !directory.as_os_str().is_empty()).collect();
    for directory in directories.into_iter().rev() {
        let Some(parent) = directory.parent() else { continue };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let is_there = storage.is_dir(directory).map_err(Error::io("look at", directory))?;
        if !is_there {
            storage.create_dir(directory).map_err(|error| match error.kind() {
                // A device, for example, or a path below a file.
                ErrorKind::AlreadyExists | ErrorKind::NotADirectory => Error::NotEmpty {
                    path: path.to_path_buf(),
                    reason: format!("{} is no directory", directory.display()),
                },
                _ => Error::io("create", directory)(error),
            })?;
        }
        match storage.sync_dir(parent) {
            // Some ancestors are not readable for us, or are on a read-only medium.
            Err(error)
                if is_there
                    && matches!(
                        error.kind(),
                        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
                    ) => {}
            synced => synced.map_err(Error::io("sync", parent))?,
        }
    }
    Ok(())
}

/// Files of service keys (`crate::access`), which may be created before the directory: a server need not run
/// without keys first.
const KEY_FILES: [&str; 4] = ["keys", "keys.lock", "keys.new", "keys.writing"];
/// Our own files that exist while a directory is being created.
const OWN_FILES: [&str; 5] = ["lock", "creating", "instance.tmp", "durable", "durable.tmp"];
const OWN_FOLDERS: [&str; 3] = ["log", "archive", "snapshots"];

/// Succeeds if there is nothing but what an unfinished creation leaves (returned), service keys, hidden files
/// and a file system's own `lost+found`.
fn leftovers_if_free(storage: &dyn Storage, paths: &Paths) -> Result<Vec<PathBuf>> {
    let root = paths.root();
    let refuse = |reason: String| Err(Error::NotEmpty { path: root.to_path_buf(), reason });
    let names = storage.list(root).map_err(Error::io("list", root))?;
    if names.iter().any(|name| name == "instance") {
        return refuse("it is a data directory already".into());
    }
    let leftovers = unfinished::leftovers(storage, paths)?;
    let is_begun = unfinished::is_begun(storage, paths)?;
    for name in names {
        let is_own_folder =
            OWN_FOLDERS.contains(&name.as_str()) && (is_begun || is_empty(storage, &root.join(&name))?);
        let is_known =
            is_own_folder || OWN_FILES.contains(&name.as_str()) || KEY_FILES.contains(&name.as_str());
        if !is_known && !name.starts_with('.') && name != "lost+found" {
            return refuse(format!("it is not empty: it holds `{name}`"));
        }
    }
    Ok(leftovers)
}

fn is_empty(storage: &dyn Storage, directory: &Path) -> Result<bool> {
    let is_directory = storage.is_dir(directory).map_err(Error::io("look at", directory))?;
    Ok(is_directory && storage.list(directory).map_err(Error::io("list", directory))?.is_empty())
}
