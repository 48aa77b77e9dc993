//! A file of ids, and looking one up in it.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{
    super::{file::hash_of, place::Found},
    block::{BLOCK, BLOCK_ENTRIES, COUNT_AT, FORMAT, MAGIC, verifies},
    entry::{BYTES, Entry},
};
use crate::durability::{
    error::{Error, Result},
    storage::{Access, Storage, StorageFile},
};

/// Blocks that are read at a time when all are.
const READ_BLOCKS: usize = 16;
/// What goes with a damaged file of ids.
const LOST: &str = "nothing: it is built again from the files of orders";

/// An open file of ids. A lookup reads one block; which one, the fences in memory say.
pub(in super::super) struct IdFile {
    file: Box<dyn StorageFile>,
    path: PathBuf,
    pub first: u32,
    pub last: u32,
    pub entries: u64,
    /// The first 8 bytes of the first hash of each block.
    fences: Vec<u64>,
    /// Of all before the last block.
    hash: [u8; 32],
}

impl fmt::Debug for IdFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("IdFile").field(&self.path).finish()
    }
}

impl IdFile {
    /// Opens a file of the ids of these seals.
    ///
    /// # Errors
    /// `Damaged`, `NewerFormat`, `Io`.
    pub fn open(storage: &dyn Storage, path: &Path, first: u32, last: u32) -> Result<Self> {
        let damaged = |offset: usize, reason: &str| Error::damaged(path, offset as u64, None, reason, LOST);
        let file = storage.open(path, Access::Read).map_err(Error::opening(path))?;
        let length = file.len().map_err(Error::io("look at", path))?;
        let length = usize::try_from(length).map_err(|_| damaged(0, "it is too long"))?;
        if length < 2 * BLOCK || !length.is_multiple_of(BLOCK) {
            return Err(damaged(length, "its length is impossible"));
        }
        let read =
            |block: &mut [u8], at: usize| file.read_exact_at(block, at as u64).map_err(Error::reading(path));
        let mut block = [0; BLOCK];
        read(&mut block, 0)?;
        if !verifies(&block) || block[..8] != MAGIC {
            return Err(damaged(0, "its first block does not verify"));
        }
        let four =
            |block: &[u8], at: usize| u32::from_le_bytes(block[at..at + 4].try_into().expect("four bytes"));
        let format = four(&block, 8);
        if format != FORMAT {
            return Err(Error::NewerFormat { path: path.to_path_buf(), found: format, supported: FORMAT });
        }
        if [four(&block, 12), four(&block, 16)] != [first, last] {
            return Err(damaged(12, "it holds the ids of other seals than its name says"));
        }
        read(&mut block, length - BLOCK)?;
        if !verifies(&block) || block[..8] != MAGIC {
            return Err(damaged(length - BLOCK, "its last block does not verify"));
        }
        let eight = |at: usize| u64::from_le_bytes(block[at..at + 8].try_into().expect("eight bytes"));
        let (entries, blocks) = (eight(8), eight(16));
        let fences_at =
            usize::try_from(blocks).ok().and_then(|blocks| blocks.checked_add(1)?.checked_mul(BLOCK));
        let fence_bytes =
            usize::try_from(blocks).ok().and_then(|blocks| blocks.div_ceil(BLOCK / 8).checked_mul(BLOCK));
        let (Some(fences_at), Some(fence_bytes)) = (fences_at, fence_bytes) else {
            return Err(damaged(length - BLOCK, "an impossible number of blocks"));
        };
        if fences_at.checked_add(fence_bytes + BLOCK) != Some(length) {
            return Err(damaged(length, "its length is not that of its blocks"));
        }
        let hash: [u8; 32] = block[56..88].try_into().expect("thirty-two bytes");
        let expected: [u8; 32] = block[24..56].try_into().expect("thirty-two bytes");
        let mut hasher = blake3::Hasher::new();
        let mut fences = Vec::with_capacity(fence_bytes / 8);
        for at in (fences_at..fences_at + fence_bytes).step_by(BLOCK) {
            read(&mut block, at)?;
            hasher.update(&block);
            let eights = block.as_chunks::<8>().0;
            fences.extend(eights.iter().map(|bytes| u64::from_be_bytes(*bytes)));
        }
        if *hasher.finalize().as_bytes() != expected {
            return Err(damaged(fences_at, "its fences do not verify"));
        }
        fences.truncate(usize::try_from(blocks).expect("it was converted"));
        fences.shrink_to_fit();
        Ok(Self { file, path: path.to_path_buf(), first, last, entries, fences, hash })
    }

    fn read_block(&self, block: usize, buffer: &mut [u8]) -> Result<()> {
        let offset = (block as u64 + 1) * BLOCK as u64;
        self.file.read_exact_at(buffer, offset).map_err(Error::reading(&self.path))?;
        for (at, bytes) in buffer.chunks(BLOCK).enumerate() {
            let count = u16::from_le_bytes([bytes[COUNT_AT], bytes[COUNT_AT + 1]]);
            if !verifies(bytes) || !(1..=BLOCK_ENTRIES).contains(&usize::from(count)) {
                let offset = offset + (at * BLOCK) as u64;
                return Err(Error::damaged(&self.path, offset, None, "a block does not verify", LOST));
            }
        }
        Ok(())
    }

    /// Looks up a hash.
    ///
    /// # Errors
    /// `Damaged`, `Io`.
    pub fn find(&self, hash: &[u8; 16]) -> Result<Option<Found>> {
        let prefix = u64::from_be_bytes(hash[..8].try_into().expect("eight of sixteen"));
        // Hashes with this prefix begin in the last block whose fence is below it, and go on in those whose
        // fence is it: nearly always none.
        let below = self.fences.partition_point(|fence| *fence < prefix);
        let after = below + self.fences[below..].iter().take_while(|fence| **fence == prefix).count();
        let mut buffer = [0; BLOCK];
        for block in below.saturating_sub(1)..after {
            self.read_block(block, &mut buffer)?;
            let count = u16::from_le_bytes([buffer[COUNT_AT], buffer[COUNT_AT + 1]]);
            let entries = buffer[..usize::from(count) * BYTES].as_chunks::<BYTES>().0;
            let at = entries.partition_point(|entry| entry[..16] < hash[..]);
            if let Some(entry) = entries.get(at).filter(|entry| entry[..16] == hash[..]) {
                let entry = Entry::take(entry).ok_or_else(|| {
                    Error::damaged(
                        &self.path,
                        (block as u64 + 1) * BLOCK as u64,
                        None,
                        "an impossible entry",
                        LOST,
                    )
                })?;
                return Ok(Some(entry.found));
            }
        }
        Ok(None)
    }

    /// All entries, in order.
    pub fn blocks(&self) -> Blocks<'_> {
        Blocks { file: self, next: 0, buffer: Vec::new(), block: 0, entry: 0 }
    }

    /// Checks all bytes.
    ///
    /// # Errors
    /// `Damaged`, `Io`.
    pub fn verify(&self) -> Result<()> {
        let length = self.file.len().map_err(Error::io("look at", &self.path))?;
        let end = length.saturating_sub(BLOCK as u64);
        if hash_of(&*self.file, &self.path, end)? != self.hash {
            return Err(Error::damaged(&self.path, 0, None, "its content has another hash", LOST));
        }
        let mut blocks = self.blocks();
        let (mut count, mut before) = (0, None);
        while let Some(entry) = blocks.next()? {
            if before.is_some_and(|before| entry.hash <= before) {
                return Err(Error::damaged(&self.path, 0, None, "its entries are not sorted", LOST));
            }
            (count, before) = (count + 1, Some(entry.hash));
        }
        if count != self.entries {
            return Err(Error::damaged(&self.path, 0, None, "it has another number of entries", LOST));
        }
        Ok(())
    }

    /// Memory that it takes.
    pub fn memory(&self) -> usize {
        self.fences.len() * 8
    }
}

/// Entries in the order of their hashes.
pub(super) trait Source {
    fn next(&mut self) -> Result<Option<Entry>>;
}

/// Reads all entries of a file.
pub(in super::super) struct Blocks<'f> {
    file: &'f IdFile,
    /// The block after those in the buffer.
    next: usize,
    buffer: Vec<u8>,
    block: usize,
    entry: usize,
}

impl Source for Blocks<'_> {
    fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            let start = self.block * BLOCK;
            if self.buffer.len() <= start {
                let count = READ_BLOCKS.min(self.file.fences.len() - self.next);
                if count == 0 {
                    return Ok(None);
                }
                self.buffer.resize(count * BLOCK, 0);
                self.file.read_block(self.next, &mut self.buffer)?;
                (self.next, self.block, self.entry) = (self.next + count, 0, 0);
                continue;
            }
            let block = &self.buffer[start..start + BLOCK];
            let count = u16::from_le_bytes([block[COUNT_AT], block[COUNT_AT + 1]]);
            if self.entry < usize::from(count) {
                let at = self.entry * BYTES;
                self.entry += 1;
                let entry = Entry::take(&block[at..at + BYTES]);
                let wrong = || Error::damaged(&self.file.path, 0, None, "an impossible entry", LOST);
                return entry.map(Some).ok_or_else(wrong);
            }
            (self.block, self.entry) = (self.block + 1, 0);
        }
    }
}
