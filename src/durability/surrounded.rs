//! A storage with a hook around the writes and syncs of its files: to time them, delay them, or make them
//! fail.

use std::{
    fmt::Debug,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::storage::{Access, Storage, StorageFile, StorageLock};

/// A call that changes a file's content, or makes it durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileCall {
    Write,
    SyncData,
    SyncAll,
}

/// The hook around such a call.
pub trait Around: Send + Sync + Debug {
    /// Makes the call on the file at this path, or does not, and returns its result.
    ///
    /// # Errors
    /// The call's own, and any that the hook makes up.
    fn around<R>(&self, call: FileCall, path: &Path, run: impl FnOnce() -> io::Result<R>) -> io::Result<R>;
}

/// The storage. Directory calls are passed through.
#[derive(Debug)]
pub struct Surrounded<A> {
    storage: Arc<dyn Storage>,
    around: Arc<A>,
}

impl<A: Around + 'static> Surrounded<A> {
    pub fn new(storage: Arc<dyn Storage>, around: Arc<A>) -> Self {
        Self { storage, around }
    }

    fn file(&self, path: &Path, file: Box<dyn StorageFile>) -> Box<dyn StorageFile> {
        Box::new(SurroundedFile { file, path: path.to_path_buf(), around: Arc::clone(&self.around) })
    }
}

impl<A: Around + 'static> Storage for Surrounded<A> {
    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        Ok(self.file(path, self.storage.create(path)?))
    }
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        Ok(self.file(path, self.storage.open(path, access)?))
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.storage.create_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.storage.sync_dir(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.storage.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.storage.remove(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.storage.list(path)
    }
    fn is_file(&self, path: &Path) -> io::Result<bool> {
        self.storage.is_file(path)
    }
    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        self.storage.is_dir(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn StorageLock>> {
        self.storage.lock(path)
    }
}

#[derive(Debug)]
struct SurroundedFile<A> {
    file: Box<dyn StorageFile>,
    /// The path it was opened by; the file may have been renamed since.
    path: PathBuf,
    around: Arc<A>,
}

impl<A: Around> StorageFile for SurroundedFile<A> {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.around.around(FileCall::Write, &self.path, || self.file.write_at(bytes, offset))
    }
    fn sync_data(&self) -> io::Result<()> {
        self.around.around(FileCall::SyncData, &self.path, || self.file.sync_data())
    }
    fn sync_all(&self) -> io::Result<()> {
        self.around.around(FileCall::SyncAll, &self.path, || self.file.sync_all())
    }
}
