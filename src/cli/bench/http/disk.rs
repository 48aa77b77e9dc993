//! The bare disk: one thread that only writes and syncs, as the log does.

use std::{io, path::Path, time::Instant};

use crate::{
    cli::bench::timing::nanos,
    durability::{
        fill_with_zeros,
        storage::{Disk, Storage, StorageFile},
    },
};

/// Bytes overwritten cyclically: the size of a log segment, so that the blocks are as far apart.
pub(super) const FILE_BYTES: u64 = crate::durability::SEGMENT_BYTES;
/// Maximum syncs per measurement.
const SYNCS_MAX: usize = 100_000;

/// A file prefilled with zeros, like segments: the first write to a block that was only allocated changes
/// metadata too, and its sync takes longer.
#[derive(Debug)]
pub(super) struct Prepared {
    file: Box<dyn StorageFile>,
    offset: u64,
}

impl Prepared {
    /// # Errors
    /// When the disk is full, or fails.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = Disk.create(path)?;
        fill_with_zeros(&*file, 0, FILE_BYTES)?;
        file.sync_all()?;
        Ok(Self { file, offset: 0 })
    }

    /// Appends to the last write, wrapping to the beginning when the file is full, and syncs.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if FILE_BYTES < self.offset + bytes.len() as u64 {
            self.offset = 0;
        }
        self.file.write_all_at(bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        self.file.sync_data()
    }
}

/// Measures consecutive syncs of `bytes` bytes each until the time is over.
///
/// # Errors
/// When the disk fails.
pub(super) fn syncs(file: &mut Prepared, bytes: usize, until: Instant) -> io::Result<Vec<u32>> {
    let content = vec![0x5a; bytes.max(1)];
    let mut times = Vec::new();
    while times.len() < SYNCS_MAX && (times.is_empty() || Instant::now() < until) {
        let begin = Instant::now();
        file.append(&content)?;
        times.push(nanos(begin.elapsed()));
    }
    Ok(times)
}
