//! The bare disk: one thread that writes and syncs, as the log does, and does nothing else.

use std::{io, path::Path, time::Instant};

use crate::{
    cli::bench::timing::nanos,
    durability::{
        fill_with_zeros,
        storage::{Disk, Storage, StorageFile},
    },
};

/// Bytes that are written over and over: as much as a segment of the log has, so that the blocks are as far
/// apart.
pub(super) const FILE_BYTES: u64 = crate::durability::SEGMENT_BYTES;
/// Syncs of one measurement at most.
const SYNCS_MAX: usize = 100_000;

/// A file of written zeros, as segments are: the first write to a block that was merely allocated changes
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

    /// Writes behind what was written last, from the beginning where the file is full, and syncs.
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

/// How long syncs of so many bytes take, one after the other, until the time is over.
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
