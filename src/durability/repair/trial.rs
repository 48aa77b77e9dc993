//! A file system on top of another, in which a repair is tried before it is carried out: what it changes
//! stays in memory, and what is below is only read.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::durability::storage::{Access, Storage, StorageFile, StorageLock};

/// The changed view of a file system.
#[derive(Debug)]
pub(super) struct Trial {
    below: Arc<dyn Storage>,
    changed: Mutex<BTreeMap<PathBuf, Entry>>,
}

/// A file system whose changes stay in memory, above another one that is only read.
pub fn in_memory_above(below: &Arc<dyn Storage>) -> Arc<dyn Storage> {
    Arc::new(Trial::new(below))
}

/// What a name stands for where it differs from below.
#[derive(Clone, Debug)]
enum Entry {
    Gone,
    /// A directory that was made here: nothing below counts as its content.
    Directory,
    File(Arc<Content>),
}

/// A file: bytes of one below, and what was written over them.
#[derive(Debug)]
struct Content {
    below: Option<Box<dyn StorageFile>>,
    /// Bytes of the file below that count.
    below_bytes: u64,
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    bytes: u64,
    /// Offset and bytes, oldest first. Between them are zeros.
    pieces: Vec<(u64, Vec<u8>)>,
}

#[derive(Debug)]
struct Handle(Arc<Content>);

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Trial {
    pub(super) fn new(below: &Arc<dyn Storage>) -> Self {
        Self { below: Arc::clone(below), changed: Mutex::default() }
    }

    /// Takes a name away, whatever it stands for.
    pub(super) fn hide(&self, path: &Path) {
        let mut changed = held(&self.changed);
        changed.retain(|name, _| !name.starts_with(path));
        changed.insert(path.to_path_buf(), Entry::Gone);
    }

    /// Returns what is changed about a name; `None` if it is as below.
    fn entry(&self, path: &Path) -> Option<Entry> {
        let changed = held(&self.changed);
        if let Some(entry) = changed.get(path) {
            return Some(entry.clone());
        }
        // Nothing below a name that is gone, or that became another directory, is there.
        let is_replaced = |parent: &Path| matches!(changed.get(parent), Some(Entry::Gone | Entry::Directory));
        path.ancestors().skip(1).any(is_replaced).then_some(Entry::Gone)
    }

    /// Returns the content of a file, which may be written.
    fn content(&self, path: &Path) -> io::Result<Arc<Content>> {
        match self.entry(path) {
            Some(Entry::File(content)) => Ok(content),
            Some(Entry::Directory) => Err(ErrorKind::IsADirectory.into()),
            Some(Entry::Gone) => Err(ErrorKind::NotFound.into()),
            None => {
                let below = self.below.open(path, Access::Read)?;
                let bytes = below.len()?;
                let written = Mutex::new(Written { bytes, pieces: Vec::new() });
                Ok(Arc::new(Content { below: Some(below), below_bytes: bytes, written }))
            }
        }
    }

    fn put(&self, path: &Path, content: &Arc<Content>) {
        held(&self.changed).insert(path.to_path_buf(), Entry::File(Arc::clone(content)));
    }
}

impl Storage for Trial {
    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        let written = Mutex::new(Written { bytes: 0, pieces: Vec::new() });
        let content = Arc::new(Content { below: None, below_bytes: 0, written });
        self.put(path, &content);
        Ok(Box::new(Handle(content)))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        if access == Access::Read && self.entry(path).is_none() {
            return self.below.open(path, Access::Read);
        }
        let content = self.content(path)?;
        self.put(path, &content);
        Ok(Box::new(Handle(content)))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        if !self.is_dir(path)? {
            held(&self.changed).insert(path.to_path_buf(), Entry::Directory);
        }
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let content = self.content(from)?;
        self.put(to, &content);
        self.hide(from);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.hide(path);
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = match self.entry(path) {
            Some(Entry::Gone) => return Err(ErrorKind::NotFound.into()),
            Some(Entry::File(_)) => return Err(ErrorKind::NotADirectory.into()),
            Some(Entry::Directory) => Vec::new(),
            None => self.below.list(path)?,
        };
        let changed = held(&self.changed);
        names.retain(|name| !changed.contains_key(&path.join(name)));
        let added = changed.iter().filter(|(name, entry)| {
            name.parent() == Some(path) && matches!(entry, Entry::File(_) | Entry::Directory)
        });
        names.extend(added.filter_map(|(name, _)| Some(name.file_name()?.to_string_lossy().into_owned())));
        Ok(names)
    }

    fn is_file(&self, path: &Path) -> io::Result<bool> {
        self.entry(path).map_or_else(|| self.below.is_file(path), |entry| Ok(matches!(entry, Entry::File(_))))
    }

    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        let is_made = |entry| Ok(matches!(entry, Entry::Directory));
        self.entry(path).map_or_else(|| self.below.is_dir(path), is_made)
    }

    fn lock(&self, _: &Path) -> io::Result<Box<dyn StorageLock>> {
        // The one that tries a repair holds the locks below.
        Ok(Box::new(Held))
    }
}

/// Stands for a lock that is held below.
#[derive(Debug)]
struct Held;

impl StorageLock for Held {
    fn is_at(&self, _: &Path) -> io::Result<bool> {
        Ok(true)
    }
}

impl StorageFile for Handle {
    fn len(&self) -> io::Result<u64> {
        Ok(held(&self.0.written).bytes)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let written = held(&self.0.written);
        let rest = written.bytes.saturating_sub(offset);
        let count = usize::try_from(rest).map_or(buffer.len(), |rest| rest.min(buffer.len()));
        let buffer = &mut buffer[..count];
        buffer.fill(0);
        if let Some(below) = &self.0.below {
            let rest = self.0.below_bytes.saturating_sub(offset);
            let count = usize::try_from(rest).map_or(buffer.len(), |rest| rest.min(buffer.len()));
            below.read_exact_at(&mut buffer[..count], offset)?;
        }
        let end = offset + count as u64;
        for (at, piece) in &written.pieces {
            let (from, until) = (offset.max(*at), end.min(at + piece.len() as u64));
            if from < until {
                let part = |start: u64| usize::try_from(from - start).unwrap_or(usize::MAX);
                let bytes = usize::try_from(until - from).unwrap_or(0);
                buffer[part(offset)..][..bytes].copy_from_slice(&piece[part(*at)..][..bytes]);
            }
        }
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut written = held(&self.0.written);
        // Beyond the end there are zeros already: a segment is mostly that.
        let is_more_zeros = written.bytes <= offset && bytes.iter().all(|byte| *byte == 0);
        if !is_more_zeros {
            written.pieces.push((offset, bytes.to_vec()));
        }
        written.bytes = written.bytes.max(offset + bytes.len() as u64);
        Ok(bytes.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durability::memory::Memory;

    /// What is below stays as it is, and every call sees what the calls before it changed.
    #[test]
    fn changes_are_seen_above_and_not_below() {
        let memory = Memory::new();
        let [folder, kept, other] = ["/d", "/d/kept", "/d/other"].map(Path::new);
        memory.shared().create_dir(folder).unwrap();
        for path in [kept, other] {
            memory.shared().create(path).unwrap().write_all_at(b"0123456789", 0).unwrap();
        }
        let before = memory.all();
        let trial = Trial::new(&memory.shared());
        let read = |path: &Path| {
            let file = trial.open(path, Access::Read)?;
            let mut bytes = vec![1; usize::try_from(file.len()?).unwrap()];
            file.read_exact_at(&mut bytes, 0)?;
            io::Result::Ok(String::from_utf8(bytes).unwrap())
        };
        let file = trial.open(kept, Access::ReadWrite).unwrap();
        file.write_all_at(b"ab", 4).unwrap();
        file.write_all_at(b"c", 5).unwrap();
        file.write_all_at(b"zz", 11).unwrap();
        assert_eq!(read(kept).unwrap(), "0123ac6789\0zz");
        trial.rename(kept, Path::new("/d/new")).unwrap();
        assert_eq!(read(Path::new("/d/new")).unwrap(), "0123ac6789\0zz");
        trial.hide(other);
        assert_eq!(trial.list(folder).unwrap(), ["new"]);
        assert!(read(kept).is_err() && !trial.is_file(other).unwrap());
        trial.hide(folder);
        assert!(!trial.is_dir(folder).unwrap() && !trial.is_file(Path::new("/d/x")).unwrap());
        trial.create_dir(folder).unwrap();
        assert_eq!((trial.list(folder).unwrap(), read(other).is_err()), (Vec::new(), true));
        assert_eq!(memory.all(), before);
    }
}
