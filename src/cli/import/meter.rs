//! Observes a file while it is read.

use std::{
    io::{self, Read},
    path::Path,
    sync::{Arc, Mutex},
};

use indicatif::ProgressBar;

use super::{
    super::screen,
    layout::Layout,
    lines::{FileFault, Lines, opened},
};

/// Observes a file being read: a progress bar over its bytes, and their hash for the report.
pub(super) struct Meter<'a> {
    path: &'a Path,
    bar: ProgressBar,
    hash: Arc<Mutex<blake3::Hasher>>,
}

impl<'a> Meter<'a> {
    pub fn new(path: &'a Path, what: &'static str) -> Self {
        let bytes =
            std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
        Self { path, bar: screen::progress(what, bytes, true), hash: Arc::default() }
    }

    pub fn open(&self, layout: &Layout) -> Result<Lines, FileFault> {
        let (bar, hash) = (self.bar.clone(), Arc::clone(&self.hash));
        Lines::open(self.path, layout, |source| Box::new(Metered { source, bar, hash }))
    }

    /// Opens a file whose rows are not those of a table.
    pub fn open_bytes(&self) -> Result<Box<dyn Read + Send>, FileFault> {
        let (bar, hash) = (self.bar.clone(), Arc::clone(&self.hash));
        Ok(Box::new(Metered { source: opened(self.path)?, bar, hash }))
    }

    /// The name of the file, for messages.
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Returns the hash of the bytes read.
    pub fn finish(self) -> String {
        self.bar.finish_and_clear();
        self.hash.lock().map(|hash| hash.finalize().to_hex().to_string()).unwrap_or_default()
    }
}

struct Metered {
    source: Box<dyn Read + Send>,
    bar: ProgressBar,
    hash: Arc<Mutex<blake3::Hasher>>,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.bar.inc(count as u64);
        if let Ok(mut hash) = self.hash.lock() {
            hash.update(&buffer[..count]);
        }
        Ok(count)
    }
}
