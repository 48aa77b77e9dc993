//! A file system in memory that fails and crashes on demand: for tests of this layer and above.
//!
//! It keeps two images. The live one is what calls see; the durable one is what syncs made survive: content of files by `sync_data`, names by
//! `sync_dir`. `crash` gives the file system after a power loss, with a choice of what else happened to reach the disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::storage::{Access, Storage, StorageFile, StorageLock};

const SECTOR_BYTES: usize = 512;

/// What goes wrong, and at which of the calls that change something (counted from 1, reads not counted).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Call `at` fails with this error and does nothing; later ones work.
    Fail { at: u64, kind: ErrorKind },
    /// Call `at`, if it is a write, writes half and the next write fails.
    Short { at: u64, kind: ErrorKind },
    /// From call `at` on nothing works any more, as if the power were gone.
    PowerLoss { at: u64 },
    /// Every write is short, and every second one is interrupted first. Nothing is wrong with that.
    Stutter,
}

/// What of the unsynced survives a power loss.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Survival {
    /// Only what was synced.
    Synced,
    /// Everything that was written.
    Everything,
    /// Each unsynced sector and name by chance, from this seed.
    Chance(u64),
}

/// A file system in memory. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Image>>);

#[derive(Debug, Default)]
struct Image {
    files: Vec<FileImage>,
    live: Names,
    durable: Names,
    locked: BTreeSet<usize>,
    calls: u64,
    fault: Option<Fault>,
    fail_next_write: Option<ErrorKind>,
    interrupted: bool,
}

#[derive(Clone, Debug, Default)]
struct Names {
    directories: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, usize>,
}

#[derive(Clone, Debug, Default)]
struct FileImage {
    live: Vec<u8>,
    durable: Vec<u8>,
}

impl Memory {
    /// An empty one; the root directory exists.
    pub fn new() -> Self {
        let memory = Self::default();
        let mut image = memory.lock_image();
        image.live.directories.insert(PathBuf::from("/"));
        image.durable.directories.insert(PathBuf::from("/"));
        drop(image);
        memory
    }

    /// As what everything takes.
    pub fn shared(&self) -> Arc<dyn Storage> {
        Arc::new(self.clone())
    }

    /// Starts counting calls anew, with this fault.
    pub fn set_fault(&self, fault: Option<Fault>) {
        let mut image = self.lock_image();
        image.calls = 0;
        image.fault = fault;
        image.fail_next_write = None;
    }

    /// Calls that changed something since `set_fault`.
    pub fn calls(&self) -> u64 {
        self.lock_image().calls
    }

    /// The content of a file.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let image = self.lock_image();
        image.live.files.get(path).map(|file| image.files[*file].live.clone())
    }

    /// Sets the content of a file, durably, whatever it was.
    pub fn set_content(&self, path: &Path, content: &[u8]) {
        let mut image = self.lock_image();
        let file = FileImage { live: content.to_vec(), durable: content.to_vec() };
        let number = image.files.len();
        image.files.push(file);
        image.live.files.insert(path.to_path_buf(), number);
        image.durable.files.insert(path.to_path_buf(), number);
    }

    /// Takes a file away, durably.
    pub fn forget(&self, path: &Path) {
        let mut image = self.lock_image();
        image.live.files.remove(path);
        image.durable.files.remove(path);
    }

    /// Paths of all files, and their content.
    pub fn all(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let image = self.lock_image();
        image.live.files.iter().map(|(path, file)| (path.clone(), image.files[*file].live.clone())).collect()
    }

    /// An independent copy of what is there now, all of it durable and nothing locked.
    #[must_use]
    pub fn copy(&self) -> Self {
        self.crash(Survival::Everything)
    }

    /// The file system after the power was lost now.
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
        // A rename is atomic on every file system that we run on: the file has the old name or the new one.
        for (path, file) in &image.live.files {
            let was_named = image.durable.files.values().any(|durable| durable == file);
            if was_named && !names.files.values().any(|kept| kept == file) {
                names.files.insert(path.clone(), *file);
            }
        }
        let files = image.files.iter().map(|file| file.after_crash(&mut chance)).collect();
        let after = Image { files, live: names.clone(), durable: names, ..Image::default() };
        Self(Arc::new(Mutex::new(after)))
    }

    fn lock_image(&self) -> MutexGuard<'_, Image> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FileImage {
    fn after_crash(&self, chance: &mut Chance) -> Self {
        let length = if self.live.len() == self.durable.len() || chance.keeps() { self.live.len() } else { self.durable.len() };
        let mut content = self.durable.clone();
        content.resize(length, 0);
        for (sector, live) in content.chunks_mut(SECTOR_BYTES).zip(self.live.chunks(SECTOR_BYTES)) {
            let common = sector.len().min(live.len());
            if sector[..common] != live[..common] && chance.keeps() {
                sector[..common].copy_from_slice(&live[..common]);
            }
        }
        Self { live: content.clone(), durable: content }
    }
}

/// A small generator: good enough to choose sectors, and the same everywhere.
struct Chance {
    survival: Survival,
    state: u64,
}

impl Chance {
    fn new(survival: Survival) -> Self {
        let state = if let Survival::Chance(seed) = survival { seed } else { 0 };
        Self { survival, state }
    }

    fn keeps(&mut self) -> bool {
        match self.survival {
            Survival::Synced => false,
            Survival::Everything => true,
            Survival::Chance(_) => {
                self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                (mixed ^ (mixed >> 31)) & 1 == 1
            }
        }
    }
}

impl Image {
    /// Counts a call that changes something, and fails it if it is its turn.
    fn change(&mut self) -> io::Result<()> {
        self.calls += 1;
        match self.fault {
            Some(Fault::Fail { at, kind }) if at == self.calls => Err(kind.into()),
            Some(Fault::PowerLoss { at }) if at <= self.calls => Err(io::Error::other("the power is gone")),
            _ => Ok(()),
        }
    }

    /// How many of these bytes a write may write.
    fn write_length(&mut self, length: usize) -> io::Result<usize> {
        if let Some(kind) = self.fail_next_write.take() {
            return Err(kind.into());
        }
        match self.fault {
            Some(Fault::Short { at, kind }) if at == self.calls => {
                self.fail_next_write = Some(kind);
                Ok(length.div_ceil(2))
            }
            Some(Fault::Stutter) => {
                self.interrupted = !self.interrupted;
                if self.interrupted { Err(ErrorKind::Interrupted.into()) } else { Ok(length.div_ceil(2)) }
            }
            _ => Ok(length),
        }
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
        let number = *self.lock_image().live.files.get(path).ok_or(ErrorKind::NotFound)?;
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
        image.durable.files.extend(image.live.files.iter().filter(|(name, _)| inside(name)).map(|(name, file)| (name.clone(), *file)));
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
        let image = self.lock_image();
        if !image.live.directories.contains(path) {
            return Err(ErrorKind::NotFound.into());
        }
        let inside = image.live.files.keys().chain(&image.live.directories).filter(|name| name.parent() == Some(path));
        Ok(inside.filter_map(|name| name.file_name().and_then(OsStr::to_str)).map(str::to_owned).collect())
    }

    fn is_file(&self, path: &Path) -> io::Result<bool> {
        Ok(self.lock_image().live.files.contains_key(path))
    }

    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        Ok(self.lock_image().live.directories.contains(path))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn StorageLock>> {
        let mut image = self.lock_image();
        let number = *image.live.files.get(path).ok_or(ErrorKind::NotFound)?;
        if !image.locked.insert(number) {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(MemoryLock { memory: self.clone(), number }))
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
        Ok(self.memory.lock_image().files[self.number].live.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let image = self.memory.lock_image();
        let content = &image.files[self.number].live;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let length = buffer.len().min(content.len() - start);
        buffer[..length].copy_from_slice(&content[start..start + length]);
        Ok(length)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if self.access == Access::Read {
            return Err(ErrorKind::PermissionDenied.into());
        }
        let mut image = self.memory.lock_image();
        image.change()?;
        let length = image.write_length(bytes.len())?;
        let start = usize::try_from(offset).map_err(|_| ErrorKind::FileTooLarge)?;
        let content = &mut image.files[self.number].live;
        if content.len() < start + length {
            content.resize(start + length, 0);
        }
        content[start..start + length].copy_from_slice(&bytes[..length]);
        Ok(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut image = self.memory.lock_image();
        image.change()?;
        let file = &mut image.files[self.number];
        file.durable.clone_from(&file.live);
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }
}

#[derive(Debug)]
struct MemoryLock {
    memory: Memory,
    number: usize,
}

impl StorageLock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.memory.lock_image().locked.remove(&self.number);
    }
}
