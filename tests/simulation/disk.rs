//! The simulated disk, optionally with a trace of every call.

use std::{
    fmt::Debug,
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use upline::durability::storage::{Access, Storage, StorageFile, StorageLock};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A hash over all events so far, in order.
#[derive(Clone, Default, Debug)]
pub struct Trace(Arc<Mutex<u64>>);

impl Trace {
    pub fn note(&self, what: &str, bytes: &[u8]) {
        let mut hash = self.0.lock().expect("nobody panics with it");
        *hash = xxh3_64_with_seed(bytes, xxh3_64_with_seed(what.as_bytes(), *hash));
    }

    pub fn value(&self) -> u64 {
        *self.0.lock().expect("nobody panics with it")
    }

    fn result<T>(&self, what: &str, result: io::Result<T>) -> io::Result<T> {
        match &result {
            Ok(_) => self.note(what, b"ok"),
            Err(error) => self.note(what, format!("{:?}", error.kind()).as_bytes()),
        }
        result
    }
}

/// A storage that records its calls and their results.
#[derive(Debug)]
pub struct Traced {
    pub storage: Arc<dyn Storage>,
    pub trace: Trace,
}

impl Traced {
    fn note(&self, call: &str, path: &Path) {
        self.trace.note(call, path.as_os_str().as_encoded_bytes());
    }

    fn file(&self, file: io::Result<Box<dyn StorageFile>>) -> io::Result<Box<dyn StorageFile>> {
        let file = self.trace.result("file", file)?;
        Ok(Box::new(TracedFile { file, trace: self.trace.clone() }))
    }
}

impl Storage for Traced {
    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        self.note("create", path);
        self.file(self.storage.create(path))
    }
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        self.note(if access == Access::Read { "open" } else { "open for writing" }, path);
        self.file(self.storage.open(path, access))
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.note("create_dir", path);
        self.trace.result("create_dir", self.storage.create_dir(path))
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.note("sync_dir", path);
        self.trace.result("sync_dir", self.storage.sync_dir(path))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note("rename from", from);
        self.note("rename to", to);
        self.trace.result("rename", self.storage.rename(from, to))
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.note("remove", path);
        self.trace.result("remove", self.storage.remove(path))
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.note("list", path);
        let names = self.trace.result("list", self.storage.list(path))?;
        names.iter().for_each(|name| self.trace.note("name", name.as_bytes()));
        Ok(names)
    }
    fn is_file(&self, path: &Path) -> io::Result<bool> {
        self.note("is_file", path);
        let found = self.trace.result("is_file", self.storage.is_file(path))?;
        self.trace.note("is_file", &[u8::from(found)]);
        Ok(found)
    }
    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        self.note("is_dir", path);
        let found = self.trace.result("is_dir", self.storage.is_dir(path))?;
        self.trace.note("is_dir", &[u8::from(found)]);
        Ok(found)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn StorageLock>> {
        self.note("lock", path);
        self.trace.result("lock", self.storage.lock(path))
    }
}

#[derive(Debug)]
struct TracedFile {
    file: Box<dyn StorageFile>,
    trace: Trace,
}

impl StorageFile for TracedFile {
    fn len(&self) -> io::Result<u64> {
        let length = self.trace.result("len", self.file.len())?;
        self.trace.note("len", &length.to_le_bytes());
        Ok(length)
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.trace.note("read", &offset.to_le_bytes());
        let read = self.trace.result("read", self.file.read_at(buffer, offset))?;
        self.trace.note("read", &buffer[..read]);
        Ok(read)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.trace.note("write", &offset.to_le_bytes());
        self.trace.note("write", bytes);
        let written = self.trace.result("write", self.file.write_at(bytes, offset))?;
        self.trace.note("write", &written.to_le_bytes());
        Ok(written)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.trace.result("sync", self.file.sync_data())
    }
    fn sync_all(&self) -> io::Result<()> {
        self.trace.result("sync all", self.file.sync_all())
    }
}
