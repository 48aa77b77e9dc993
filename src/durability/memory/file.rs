//! One file of the in-memory file system: what calls see of it, what the disk holds, and which sectors are
//! still in flight.

use std::{io, ops::Range};

use super::{chance::Chance, fault::Survival};

/// What a disk writes atomically.
pub(super) const SECTOR_BYTES: usize = 512;

#[derive(Clone, Debug, Default)]
pub(super) struct FileImage {
    /// The page cache: what reads see.
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors written since the last sync, as ranges in write order. A sector that differs but is not listed
    /// here was given up by a failed sync: no later sync writes it.
    dirty: Vec<Range<usize>>,
}

impl FileImage {
    /// Returns a file that is on disk completely.
    pub fn durable(content: Vec<u8>) -> Self {
        Self { live: content.clone(), durable: content, dirty: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.live.len()
    }

    pub fn content(&self) -> &[u8] {
        &self.live
    }

    pub fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.live.len());
        let length = buffer.len().min(self.live.len() - start);
        buffer[..length].copy_from_slice(&self.live[start..start + length]);
        length
    }

    /// Returns where a write of this many bytes at `offset` would end.
    pub fn end_of_write(offset: u64, length: usize) -> io::Result<usize> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        start.checked_add(length).ok_or_else(|| io::ErrorKind::FileTooLarge.into())
    }

    pub fn write(&mut self, bytes: &[u8], end: usize) {
        let start = end - bytes.len();
        if self.live.len() < end {
            self.live.resize(end, 0);
        }
        self.live[start..end].copy_from_slice(bytes);
        let sectors = start / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES);
        match self.dirty.last_mut() {
            Some(last) if last.start <= sectors.start && sectors.start <= last.end => {
                last.end = last.end.max(sectors.end);
            }
            _ => self.dirty.push(sectors),
        }
    }

    pub fn sync(&mut self) {
        self.durable.resize(self.live.len(), 0);
        for sectors in std::mem::take(&mut self.dirty) {
            for sector in sectors {
                self.write_back(sector);
            }
        }
    }

    /// Fails a sync as Linux does: some of the data in flight is on disk, the rest is dropped. Both count as
    /// clean from now on.
    pub fn lose(&mut self, chance: &mut Chance) {
        if chance.keeps() {
            self.durable.resize(self.live.len(), 0);
        }
        for sectors in std::mem::take(&mut self.dirty) {
            for sector in sectors {
                if chance.keeps() {
                    self.write_back(sector);
                }
            }
        }
    }

    /// Flips bits of one byte, in the cache and on disk.
    pub fn rot(&mut self, offset: usize, bits: u8) {
        for image in [&mut self.live, &mut self.durable] {
            if let Some(byte) = image.get_mut(offset) {
                *byte ^= bits;
            }
        }
    }

    pub fn after_crash(&self, survival: Survival, chance: &mut Chance) -> Self {
        let grown = self.live.len().saturating_sub(self.durable.len());
        let length = match survival {
            _ if grown == 0 => self.durable.len(),
            // Growth may be cut anywhere: a file grows extent by extent.
            Survival::Chance(_) if !chance.keeps() => self.durable.len() + chance.below(grown),
            _ if chance.keeps() => self.live.len(),
            _ => self.durable.len(),
        };
        let mut after = Self { live: self.live.clone(), durable: self.durable.clone(), dirty: Vec::new() };
        after.durable.resize(length, 0);
        for sectors in &self.dirty {
            for sector in sectors.clone() {
                if chance.keeps() {
                    after.write_back(sector);
                }
            }
        }
        Self::durable(after.durable)
    }

    /// Limited to the file's length on disk.
    fn write_back(&mut self, sector: usize) {
        let start = sector * SECTOR_BYTES;
        let end = (start + SECTOR_BYTES).min(self.live.len()).min(self.durable.len());
        if start < end {
            self.durable[start..end].copy_from_slice(&self.live[start..end]);
        }
    }
}
