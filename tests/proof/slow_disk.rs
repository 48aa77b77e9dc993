//! A disk on which a moment between a write and its sync can be seen.

use std::{io, path::Path, time::Duration};

use upline::durability::{
    memory::Memory,
    storage::{Access, Storage, StorageFile, StorageLock},
};

/// A disk in memory whose syncs take their time.
#[derive(Clone, Debug)]
pub struct SlowDisk {
    pub disk: Memory,
    /// How long the sync of a file's content takes.
    pub sync: Duration,
}

#[derive(Debug)]
struct SlowFile {
    file: Box<dyn StorageFile>,
    sync: Duration,
}

impl Storage for SlowDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        Ok(Box::new(SlowFile { file: self.disk.create(path)?, sync: self.sync }))
    }
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        Ok(Box::new(SlowFile { file: self.disk.open(path, access)?, sync: self.sync }))
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.disk.list(path)
    }
    fn is_file(&self, path: &Path) -> io::Result<bool> {
        self.disk.is_file(path)
    }
    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        self.disk.is_dir(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn StorageLock>> {
        self.disk.lock(path)
    }
}

impl StorageFile for SlowFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        std::thread::sleep(self.sync);
        self.file.sync_data()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}
