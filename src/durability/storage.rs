//! The file-system operations this layer needs, as a trait: the real one here, an in-memory one with fault
//! injection in `memory`.
//!
//! Writes and reads may be short or interrupted, like the real ones; `write_all_at` and `read_exact_at`
//! handle that in one place. Nothing is durable until `sync_data` or `sync_all` of the file and, for names,
//! `sync_dir` of the directory has succeeded.

use std::{
    fmt::Debug,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind},
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
    sync::Arc,
};

use crate::{owner, private_file};

/// A file system, as far as this layer needs one.
#[allow(clippy::missing_errors_doc, reason = "each call fails as the operating system's does")]
pub trait Storage: Send + Sync + Debug {
    /// Creates a file (0600) for reading and writing; it must not exist. On the real disk files and
    /// directories get the owner of the directory they are in (`crate::owner`).
    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>>;
    /// Opens an existing file and never waits. `IsADirectory` for a directory, `Unsupported` for a pipe, a
    /// socket or a device.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>>;
    /// Creates a directory (0700) in an existing one; succeeds if it exists.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Renames a file, replacing one that has the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Returns the names in a directory, in no particular order. Names that are not UTF-8 are not ours and
    /// come back altered.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Returns whether the path names a file.
    fn is_file(&self, path: &Path) -> io::Result<bool>;
    /// Returns whether the path names a directory.
    fn is_dir(&self, path: &Path) -> io::Result<bool>;
    /// Locks an existing file or directory exclusively until the lock is dropped. `WouldBlock` if it is
    /// locked already.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn StorageLock>>;
}

/// What a file is opened for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    Read,
    ReadWrite,
}

/// An open file.
#[allow(clippy::missing_errors_doc, reason = "each call fails as the operating system's does")]
pub trait StorageFile: Send + Sync + Debug {
    /// Returns the length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Returns whether the length is 0.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Reads some bytes; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes some of the bytes.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Makes content durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Makes content and length durable.
    fn sync_all(&self) -> io::Result<()>;

    /// Reads until the buffer is full.
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, offset) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    buffer = &mut buffer[read..];
                    offset += read as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes everything. After an error it is unknown how much was written.
    fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, offset) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = &bytes[written..];
                    offset += written as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A held lock; dropping it unlocks.
#[allow(clippy::missing_errors_doc, reason = "it fails as the operating system's call does")]
pub trait StorageLock: Send + Sync + Debug {
    /// Returns whether what is locked still has this name: another file may have replaced it.
    fn is_at(&self, path: &Path) -> io::Result<bool>;
}

/// The real file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Disk;

impl Disk {
    /// Returns it as a trait object.
    pub fn shared() -> Arc<dyn Storage> {
        Arc::new(Disk)
    }
}

impl Storage for Disk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        let file = private_file::create_new(path)?;
        // Without an owner that can read it, it must not exist.
        owner::hand_over(&file, directory_of(path)).inspect_err(|_| _ = fs::remove_file(path))?;
        Ok(Box::new(DiskFile(file)))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        Ok(Box::new(DiskFile(private_file::open_regular(path, access == Access::ReadWrite)?)))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        owner::make_directory(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let entries = loop {
            match fs::read_dir(path) {
                // Unlike opening a file, the standard library does not retry this.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                entries => break entries?,
            }
        };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn is_file(&self, path: &Path) -> io::Result<bool> {
        kind_of(path, fs::Metadata::is_file)
    }

    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        kind_of(path, fs::Metadata::is_dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn StorageLock>> {
        // Some network file systems lock only files open for writing; a read-only medium cannot be opened for
        // writing and needs no more.
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied | ErrorKind::IsADirectory
                ) =>
            {
                File::open(path)?
            }
            result => result?,
        };
        match file.try_lock() {
            Ok(()) => Ok(Box::new(DiskLock(file))),
            Err(TryLockError::WouldBlock) => Err(ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn kind_of(path: &Path, holds: impl Fn(&fs::Metadata) -> bool) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(holds(&metadata)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

#[derive(Debug)]
struct DiskFile(File);

impl StorageFile for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

/// Unlocked explicitly: closing the file unlocks only once a child process being spawned elsewhere in this
/// one has closed its copy.
#[derive(Debug)]
struct DiskLock(File);

impl StorageLock for DiskLock {
    fn is_at(&self, path: &Path) -> io::Result<bool> {
        let locked = self.0.metadata()?;
        match fs::metadata(path) {
            Ok(named) => Ok((named.dev(), named.ino()) == (locked.dev(), locked.ino())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Drop for DiskLock {
    fn drop(&mut self) {
        // If it fails, closing the file remains.
        let _ = self.0.unlock();
    }
}
