//! An in-memory file system that fails and crashes on demand: for tests of this layer and above.
//!
//! It keeps two images. Calls see the live one; the durable one is what syncs made permanent: content of
//! files by `sync_data`, names by `sync_dir`. `crash` returns the file system after a power loss, with a
//! choice of what else happened to reach the disk: each sector, each name, and any part of a file's growth
//! independently. A process that is merely killed leaves the live image: remove the fault and continue with
//! the same one.
//!
//! Other faults: calls that fail, short writes, syncs that fail and lose what they were to write
//! ([`Fault::LostSync`]), reads that fail, a disk that is full until something is removed
//! ([`Memory::set_capacity`]), bit rot ([`Memory::rot`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::io::Errno;

mod chance;
mod fault;
mod file;

#[cfg(test)]
mod tests;

pub use self::fault::{Fault, Survival};
use self::{chance::Chance, file::FileImage};
use super::storage::{Access, Storage, StorageFile, StorageLock};

/// An in-memory file system. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Image>>);

#[derive(Debug, Default)]
struct Image {
    files: Vec<FileImage>,
    live: Names,
    durable: Names,
    locked: BTreeSet<Lockable>,
    calls: u64,
    looks: u64,
    fault: Option<Fault>,
    /// Limit on the bytes of all files together.
    capacity: Option<u64>,
    fail_next_write: Option<ErrorKind>,
    /// Files on bad sectors: reading them fails with `EIO`.
    unreadable: BTreeSet<usize>,
    interrupted: bool,
}

/// What can be locked: a file, whatever its name, or a directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Lockable {
    File(usize),
    Directory(PathBuf),
}

#[derive(Clone, Debug, Default)]
struct Names {
    directories: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, usize>,
}

impl Memory {
    /// Returns an empty one; the root directory exists.
    pub fn new() -> Self {
        let memory = Self::default();
        let mut image = memory.lock_image();
        image.live.directories.insert(PathBuf::from("/"));
        image.durable.directories.insert(PathBuf::from("/"));
        drop(image);
        memory
    }

    /// Returns it as a trait object.
    pub fn shared(&self) -> Arc<dyn Storage> {
        Arc::new(self.clone())
    }

    /// Sets this fault and restarts the call counts.
    pub fn set_fault(&self, fault: Option<Fault>) {
        let mut image = self.lock_image();
        (image.calls, image.looks) = (0, 0);
        image.fault = fault;
        image.fail_next_write = None;
    }

    /// Returns the number of modifying calls since `set_fault`.
    pub fn calls(&self) -> u64 {
        self.lock_image().calls
    }

    /// Returns the number of read-only calls since `set_fault`.
    pub fn looks(&self) -> u64 {
        self.lock_image().looks
    }

    /// Limits the bytes of all files together; a write that would exceed it is cut short there, and the next
    /// one fails. `None`: no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock_image().capacity = bytes;
    }

    /// Returns the bytes of all files.
    pub fn used(&self) -> u64 {
        self.lock_image().used()
    }

    /// Flips bits of one byte of a file, on disk and for all open handles.
    pub fn rot(&self, path: &Path, offset: usize, bits: u8) {
        let mut image = self.lock_image();
        if let Some(file) = image.live.files.get(path).copied() {
            image.files[file].rot(offset, bits);
        }
    }

    /// Returns the content of a file.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let image = self.lock_image();
        image.live.files.get(path).map(|file| image.files[*file].content().to_vec())
    }

    /// Durably sets the content of a file, whether or not it exists.
    pub fn set_content(&self, path: &Path, content: &[u8]) {
        let mut image = self.lock_image();
        let number = image.files.len();
        image.files.push(FileImage::durable(content.to_vec()));
        image.live.files.insert(path.to_path_buf(), number);
        image.durable.files.insert(path.to_path_buf(), number);
    }

    /// Lets all reads of a file fail with `EIO`.
    pub fn make_unreadable(&self, path: &Path) {
        let mut image = self.lock_image();
        if let Some(file) = image.live.files.get(path).copied() {
            image.unreadable.insert(file);
        }
    }

    /// Durably removes a file or an empty directory.
    pub fn forget(&self, path: &Path) {
        let mut image = self.lock_image();
        image.live.directories.remove(path);
        image.durable.directories.remove(path);
        image.live.files.remove(path);
        image.durable.files.remove(path);
    }

    /// Returns path and content of all files.
    pub fn all(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let image = self.lock_image();
        image
            .live
            .files
            .iter()
            .map(|(path, file)| (path.clone(), image.files[*file].content().to_vec()))
            .collect()
    }

    /// Returns an independent copy of the present state, all durable and unlocked.
    #[must_use]
    pub fn copy(&self) -> Self {
        let image = self.lock_image();
        let files = image.files.iter().map(|file| FileImage::durable(file.content().to_vec())).collect();
        Self::after(files, image.live.clone())
    }

    /// Returns the file system after a power loss at this moment.
    #[must_use]
    pub fn crash(&self, survival: Survival) -> Self {
        let image = self.lock_image();
        let mut chance = Chance::new(survival);
        let mut names = Names { directories: image.durable.directories.clone(), files: BTreeMap::new() };
        names.directories.extend(image.live.directories.iter().filter(|_| chance.keeps()).cloned());
        let paths: BTreeSet<&PathBuf> = image.live.files.keys().chain(image.durable.files.keys()).collect();
        for path in paths {
            let (live, durable) = (image.live.files.get(path), image.durable.files.get(path));
            let kept = if live == durable || chance.keeps() { live } else { durable };
            if let Some(file) = kept {
                names.files.insert(path.clone(), *file);
            }
        }
        // A rename is atomic on every file system that we support: the file has the old name or the new one.
        for (path, file) in &image.live.files {
            let was_named = image.durable.files.values().any(|durable| durable == file);
            if was_named && !names.files.values().any(|kept| kept == file) {
                names.files.insert(path.clone(), *file);
            }
        }
        // Losing a directory's name loses its contents. Parents come before children.
        let directories = std::mem::take(&mut names.directories);
        for directory in directories {
            if directory.parent().is_none_or(|parent| names.directories.contains(parent)) {
                names.directories.insert(directory);
            }
        }
        let Names { directories, files } = &mut names;
        files.retain(|path, _| path.parent().is_none_or(|parent| directories.contains(parent)));
        // Files without a name are gone: nobody could open them any more.
        let reachable: BTreeSet<usize> = files.values().copied().collect();
        let after = |(number, file): (usize, &FileImage)| {
            if reachable.contains(&number) {
                file.after_crash(survival, &mut chance)
            } else {
                FileImage::default()
            }
        };
        let files = image.files.iter().enumerate().map(after).collect();
        Self::after(files, names)
    }

    /// Returns a file system on which everything is durable.
    fn after(files: Vec<FileImage>, names: Names) -> Self {
        let image = Image { files, live: names.clone(), durable: names, ..Image::default() };
        Self(Arc::new(Mutex::new(image)))
    }

    fn lock_image(&self) -> MutexGuard<'_, Image> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Image {
    /// Counts a modifying call, and fails it if it is its turn.
    fn change(&mut self) -> io::Result<()> {
        self.calls += 1;
        match self.fault {
            Some(Fault::Fail { at, kind }) if at == self.calls => Err(kind.into()),
            Some(Fault::LostSync { at, .. }) if at == self.calls => {
                Err(io::Error::other("input/output error"))
            }
            Some(Fault::PowerLoss { at }) if at <= self.calls => Err(io::Error::other("the power is gone")),
            _ => Ok(()),
        }
    }

    /// Counts a read-only call, and fails it if it is its turn.
    fn look(&mut self) -> io::Result<()> {
        self.looks += 1;
        match self.fault {
            Some(Fault::FailLook { at, kind }) if at == self.looks => Err(kind.into()),
            _ => Ok(()),
        }
    }

    fn used(&self) -> u64 {
        self.live.files.values().map(|file| self.files[*file].len() as u64).sum()
    }

    /// Returns how many of these bytes a stuttering disk transfers at once.
    fn stuttered(&mut self, length: usize) -> io::Result<usize> {
        if self.fault != Some(Fault::Stutter) {
            return Ok(length);
        }
        self.interrupted = !self.interrupted;
        if self.interrupted { Err(ErrorKind::Interrupted.into()) } else { Ok(length.div_ceil(2)) }
    }

    /// Returns how many of these bytes a write may write.
    fn write_length(&mut self, length: usize) -> io::Result<usize> {
        if let Some(kind) = self.fail_next_write.take() {
            return Err(kind.into());
        }
        match self.fault {
            Some(Fault::Short { at, kind }) if at == self.calls => {
                self.fail_next_write = Some(kind);
                Ok(length.div_ceil(2))
            }
            _ => self.stuttered(length),
        }
    }

    /// Returns how many bytes of a write to a file fit on the disk.
    fn room(&self, file: usize, start: usize, length: usize) -> io::Result<usize> {
        let Some(capacity) = self.capacity else { return Ok(length) };
        let present = self.files[file].len();
        let free = usize::try_from(capacity.saturating_sub(self.used())).unwrap_or(usize::MAX);
        let fits = length.min(present.saturating_add(free).saturating_sub(start));
        if fits == 0 && length != 0 { Err(ErrorKind::StorageFull.into()) } else { Ok(fits) }
    }

    fn lockable(&self, path: &Path) -> Option<Lockable> {
        let file = self.live.files.get(path).map(|number| Lockable::File(*number));
        file.or_else(|| self.live.directories.contains(path).then(|| Lockable::Directory(path.to_path_buf())))
    }

    fn parent_exists(&self, path: &Path) -> io::Result<()> {
        let parent = path.parent().unwrap_or(Path::new("/"));
        if self.live.directories.contains(parent) { Ok(()) } else { Err(ErrorKind::NotFound.into()) }
    }
}

impl Storage for Memory {
    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        let mut image = self.lock_image();
        image.parent_exists(path)?;
        if image.live.files.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        image.change()?;
        let number = image.files.len();
        image.files.push(FileImage::default());
        image.live.files.insert(path.to_path_buf(), number);
        Ok(Box::new(MemoryFile { memory: self.clone(), number, access: Access::ReadWrite }))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        let mut image = self.lock_image();
        image.look()?;
        let number = *image.live.files.get(path).ok_or(ErrorKind::NotFound)?;
        Ok(Box::new(MemoryFile { memory: self.clone(), number, access }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut image = self.lock_image();
        image.parent_exists(path)?;
        if !image.live.directories.contains(path) {
            image.change()?;
            image.live.directories.insert(path.to_path_buf());
        }
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut image = self.lock_image();
        if !image.live.directories.contains(path) {
            return Err(ErrorKind::NotFound.into());
        }
        image.change()?;
        let image = &mut *image;
        let inside = |name: &PathBuf| name.parent() == Some(path);
        image.durable.files.retain(|name, _| !inside(name));
        image.durable.files.extend(
            image
                .live
                .files
                .iter()
                .filter(|(name, _)| inside(name))
                .map(|(name, file)| (name.clone(), *file)),
        );
        image.durable.directories.extend(image.live.directories.iter().filter(|name| inside(name)).cloned());
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut image = self.lock_image();
        image.parent_exists(to)?;
        if !image.live.files.contains_key(from) {
            return Err(ErrorKind::NotFound.into());
        }
        image.change()?;
        if let Some(file) = image.live.files.remove(from) {
            image.live.files.insert(to.to_path_buf(), file);
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut image = self.lock_image();
        if !image.live.files.contains_key(path) {
            return Err(ErrorKind::NotFound.into());
        }
        image.change()?;
        image.live.files.remove(path);
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut image = self.lock_image();
        image.look()?;
        if !image.live.directories.contains(path) {
            return Err(ErrorKind::NotFound.into());
        }
        let inside =
            image.live.files.keys().chain(&image.live.directories).filter(|name| name.parent() == Some(path));
        Ok(inside.filter_map(|name| name.file_name().and_then(OsStr::to_str)).map(str::to_owned).collect())
    }

    fn is_file(&self, path: &Path) -> io::Result<bool> {
        let mut image = self.lock_image();
        image.look()?;
        Ok(image.live.files.contains_key(path))
    }

    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        let mut image = self.lock_image();
        image.look()?;
        Ok(image.live.directories.contains(path))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn StorageLock>> {
        let mut image = self.lock_image();
        let locked = image.lockable(path).ok_or(ErrorKind::NotFound)?;
        if !image.locked.insert(locked.clone()) {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(MemoryLock { memory: self.clone(), locked }))
    }
}

#[derive(Debug)]
struct MemoryFile {
    memory: Memory,
    number: usize,
    access: Access,
}

impl StorageFile for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        let mut image = self.memory.lock_image();
        image.look()?;
        Ok(image.files[self.number].len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut image = self.memory.lock_image();
        image.look()?;
        if image.unreadable.contains(&self.number) {
            return Err(io::Error::from_raw_os_error(Errno::IO.raw_os_error()));
        }
        let length = image.stuttered(buffer.len())?;
        Ok(image.files[self.number].read(&mut buffer[..length], offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if self.access == Access::Read {
            return Err(ErrorKind::PermissionDenied.into());
        }
        let mut image = self.memory.lock_image();
        let allowed = image.change();
        let length = match &allowed {
            Ok(()) => image.write_length(bytes.len())?,
            Err(_) if image.fault == Some(Fault::PowerLoss { at: image.calls }) => bytes.len() / 2,
            Err(_) => 0,
        };
        let start = FileImage::end_of_write(offset, 0)?;
        let length = image.room(self.number, start, length)?;
        let end = FileImage::end_of_write(offset, length)?;
        if 0 < length {
            image.files[self.number].write(&bytes[..length], end);
        }
        allowed.map(|()| length)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut image = self.memory.lock_image();
        let allowed = image.change();
        match (&allowed, image.fault) {
            (Ok(()), _) => image.files[self.number].sync(),
            (Err(_), Some(Fault::LostSync { seed, .. })) => {
                image.files[self.number].lose(&mut Chance::new(Survival::Chance(seed)));
            }
            (Err(_), _) => {}
        }
        allowed
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }
}

#[derive(Debug)]
struct MemoryLock {
    memory: Memory,
    locked: Lockable,
}

impl StorageLock for MemoryLock {
    fn is_at(&self, path: &Path) -> io::Result<bool> {
        Ok(self.memory.lock_image().lockable(path).as_ref() == Some(&self.locked))
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.memory.lock_image().locked.remove(&self.locked);
    }
}
