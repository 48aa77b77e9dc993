//! Files that are hashed while they are written and checked wherever they are read.
//!
//! A file is read in places, and hashing all of it each time would defeat that. So each block of 16 KiB has a
//! checksum of its own, in a file of sums that the manifest vouches for. What decodes Parquet therefore never
//! sees a damaged byte.

use std::{
    fmt,
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use parquet::{
    errors::ParquetError,
    file::reader::{ChunkReader, Length},
};

use crate::durability::{
    error::{Error, Result},
    storage::{Access, Storage, StorageFile},
};

/// Bytes that one checksum covers.
pub(super) const BLOCK_BYTES: usize = 16 * 1_024;
/// Bytes that are written at a time.
const WRITTEN_BYTES: usize = 16 * BLOCK_BYTES;
/// Suffix of unfinished files.
pub(super) const TEMPORARY: &str = ".tmp";

/// The name under which a file is written before it gets its own.
pub(super) fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(TEMPORARY);
    name.into()
}

/// A file that is being written, under its temporary name.
pub(super) struct Unfinished {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    file: Box<dyn StorageFile>,
    buffer: Vec<u8>,
    written: u64,
    hasher: blake3::Hasher,
    sums: Vec<u32>,
}

/// A file that is written and durable, and lacks only its name.
pub(super) struct Finished {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    pub bytes: u64,
    pub hash: [u8; 32],
    /// The CRC-32C of each block.
    pub sums: Vec<u32>,
}

impl Unfinished {
    /// Begins a file, in place of one that was left unfinished.
    pub fn create(storage: &Arc<dyn Storage>, path: &Path) -> Result<Self> {
        let name = temporary(path);
        let file = match storage.create(&name) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                storage.remove(&name).map_err(Error::io("remove", &name))?;
                storage.create(&name)
            }
            result => result,
        };
        Ok(Self {
            storage: Arc::clone(storage),
            path: path.to_path_buf(),
            file: file.map_err(Error::io("create", &name))?,
            buffer: Vec::with_capacity(WRITTEN_BYTES),
            written: 0,
            hasher: blake3::Hasher::new(),
            sums: Vec::new(),
        })
    }

    /// The hash of what was written so far.
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = self.hasher.clone();
        hasher.update(&self.buffer);
        *hasher.finalize().as_bytes()
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.hasher.update(&self.buffer);
        self.sums.extend(self.buffer.chunks(BLOCK_BYTES).map(crc32c::crc32c));
        self.buffer.clear();
        Ok(())
    }

    /// Appends bytes.
    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let result = self.write_all(bytes);
        result.map_err(Error::io("write", &temporary(&self.path)))
    }

    /// Makes the content durable.
    pub fn finish(self) -> Result<Finished> {
        self.end(true)
    }

    /// Ends a file that never gets a name, and so need not be durable.
    pub fn finish_unsynced(self) -> Result<Finished> {
        self.end(false)
    }

    fn end(mut self, syncs: bool) -> Result<Finished> {
        let name = temporary(&self.path);
        self.write_out().map_err(Error::io("write", &name))?;
        if syncs {
            self.file.sync_all().map_err(Error::io("sync", &name))?;
        }
        let hash = *self.hasher.finalize().as_bytes();
        Ok(Finished { storage: self.storage, path: self.path, bytes: self.written, hash, sums: self.sums })
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(WRITTEN_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == WRITTEN_BYTES {
            self.write_out()?;
        }
        Ok(taken)
    }

    /// Blocks are written whole, so there is nothing to do before the end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Unfinished {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Unfinished").field(&self.path).finish()
    }
}

impl Finished {
    /// Gives the file its name, which is not durable before the directory is synced.
    pub fn publish(&self) -> Result<()> {
        let name = temporary(&self.path);
        self.storage.rename(&name, &self.path).map_err(Error::io("rename", &name))
    }

    /// The name that it gets.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens it under its temporary name.
    pub fn open_unnamed(&self) -> Result<Box<dyn StorageFile>> {
        let name = temporary(&self.path);
        self.storage.open(&name, Access::Read).map_err(Error::opening(&name))
    }

    /// Removes it without ever naming it.
    pub fn discard(&self) -> Result<()> {
        let name = temporary(&self.path);
        self.storage.remove(&name).map_err(Error::io("remove", &name))
    }
}

/// A block that differs from its checksum.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the block at byte {offset} does not verify")]
struct Mismatch {
    offset: u64,
}

/// A file of which every block is checked when it is read. Clones share it.
#[derive(Clone)]
pub(super) struct Checked(Arc<Content>);

struct Content {
    path: PathBuf,
    file: Box<dyn StorageFile>,
    bytes: u64,
    sums: Vec<u32>,
}

impl Checked {
    /// Opens a file of which length and checksums are known.
    pub fn open(storage: &dyn Storage, path: &Path, bytes: u64, sums: Vec<u32>) -> Result<Self> {
        let file = open_whole(storage, path, bytes)?;
        Ok(Self(Arc::new(Content { path: path.to_path_buf(), file, bytes, sums })))
    }

    /// Reads whole blocks from `first` on, up to the block that holds the byte before `end`.
    fn read_blocks(&self, first: usize, end: u64) -> io::Result<Vec<u8>> {
        let content = &*self.0;
        let start = first as u64 * BLOCK_BYTES as u64;
        let end = end.next_multiple_of(BLOCK_BYTES as u64).min(content.bytes);
        let length = end.checked_sub(start).and_then(|length| usize::try_from(length).ok());
        let mut buffer = vec![0; length.ok_or(ErrorKind::UnexpectedEof)?];
        content.file.read_exact_at(&mut buffer, start)?;
        for (block, bytes) in (first..).zip(buffer.chunks(BLOCK_BYTES)) {
            if content.sums.get(block) != Some(&crc32c::crc32c(bytes)) {
                let offset = block as u64 * BLOCK_BYTES as u64;
                return Err(io::Error::new(ErrorKind::InvalidData, Mismatch { offset }));
            }
        }
        Ok(buffer)
    }

    fn read(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let end = start.saturating_add(length as u64);
        if self.0.bytes < end {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if length == 0 {
            return Ok(Bytes::new());
        }
        let first = usize::try_from(start / BLOCK_BYTES as u64).map_err(|_| ErrorKind::UnexpectedEof)?;
        let from = usize::try_from(start % BLOCK_BYTES as u64).expect("it is less than a block");
        Ok(Bytes::from(self.read_blocks(first, end)?).slice(from..from + length))
    }

    pub fn path(&self) -> &Path {
        &self.0.path
    }
}

/// Opens a file that must have this length.
pub(super) fn open_whole(storage: &dyn Storage, path: &Path, bytes: u64) -> Result<Box<dyn StorageFile>> {
    let file = open_present(storage, path)?;
    let found = file.len().map_err(Error::io("look at", path))?;
    if found != bytes {
        let reason = format!("it is {found} bytes long, not {bytes}");
        return Err(Error::damaged(path, bytes.min(found), None, reason, LOST));
    }
    Ok(file)
}

/// What goes with a file that a manifest names.
pub(super) const LOST: &str = "what it has, unless the log and snapshots from before it are still there";

/// Reads a whole file of at most so many bytes.
pub(super) fn read_small(storage: &dyn Storage, path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let file = open_present(storage, path)?;
    let bytes = file.len().map_err(Error::io("look at", path))?;
    let length = usize::try_from(bytes).ok().filter(|_| bytes <= bytes_max);
    let length = length.ok_or_else(|| Error::damaged(path, bytes_max, None, "it is too long", LOST))?;
    let mut content = vec![0; length];
    file.read_exact_at(&mut content, 0).map_err(Error::reading(path))?;
    Ok(content)
}

/// Opens a file that must be there.
fn open_present(storage: &dyn Storage, path: &Path) -> Result<Box<dyn StorageFile>> {
    storage.open(path, Access::Read).map_err(|error| {
        if error.kind() == ErrorKind::NotFound {
            return Error::damaged(path, 0, None, "it is missing", LOST);
        }
        Error::opening(path)(error)
    })
}

/// The hash of a file up to some byte, read in pieces.
pub(super) fn hash_of(file: &dyn StorageFile, path: &Path, bytes: u64) -> Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    each_piece(file, path, bytes, &mut |piece| _ = hasher.update(piece))?;
    Ok(*hasher.finalize().as_bytes())
}

/// The hash of a file up to some byte, and the CRC-32C of each block.
pub(super) fn sums_of(file: &dyn StorageFile, path: &Path, bytes: u64) -> Result<([u8; 32], Vec<u32>)> {
    let (mut hasher, mut sums) = (blake3::Hasher::new(), Vec::new());
    each_piece(file, path, bytes, &mut |piece| {
        hasher.update(piece);
        sums.extend(piece.chunks(BLOCK_BYTES).map(crc32c::crc32c));
    })?;
    Ok((*hasher.finalize().as_bytes(), sums))
}

/// Reads a file up to some byte, in pieces of whole blocks.
fn each_piece(file: &dyn StorageFile, path: &Path, bytes: u64, see: &mut dyn FnMut(&[u8])) -> Result<()> {
    let mut buffer = vec![0; WRITTEN_BYTES];
    let mut offset = 0;
    while offset < bytes {
        let length = usize::try_from(bytes - offset).map_or(WRITTEN_BYTES, |rest| rest.min(WRITTEN_BYTES));
        file.read_exact_at(&mut buffer[..length], offset).map_err(Error::reading(path))?;
        see(&buffer[..length]);
        offset += length as u64;
    }
    Ok(())
}

impl fmt::Debug for Checked {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Checked").field(&self.0.path).finish()
    }
}

impl Length for Checked {
    fn len(&self) -> u64 {
        self.0.bytes
    }
}

impl ChunkReader for Checked {
    type T = Pieces;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Pieces> {
        Ok(Pieces { file: self.clone(), next: start, block: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        Ok(self.read(start, length)?)
    }
}

/// Reads a file on from some byte.
pub(super) struct Pieces {
    file: Checked,
    next: u64,
    block: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.block.is_empty() {
            let rest = BLOCK_BYTES as u64 - self.next % BLOCK_BYTES as u64;
            let left = self.file.0.bytes.saturating_sub(self.next).min(rest);
            self.block = self.file.read(self.next, usize::try_from(left).expect("it is at most a block"))?;
        }
        let length = buffer.len().min(self.block.len());
        buffer[..length].copy_from_slice(&self.block.split_to(length));
        self.next += length as u64;
        Ok(length)
    }
}

/// What an error of the Parquet library says about a file that is read.
pub(super) fn reading(path: &Path) -> impl FnOnce(ParquetError) -> Error {
    move |error| match into_io(error) {
        Ok(error) => {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Mismatch>());
            match (inner, error.kind()) {
                (Some(mismatch), _) => {
                    Error::damaged(path, mismatch.offset, None, "a block does not verify", LOST)
                }
                (None, ErrorKind::UnexpectedEof) => {
                    Error::damaged(path, 0, None, "it refers to bytes after its end", LOST)
                }
                (None, _) => Error::reading(path)(error),
            }
        }
        Err(error) => Error::damaged(path, 0, None, format!("it does not decode: {error}"), LOST),
    }
}

/// What an error of the Parquet library says about a file that is written.
pub(super) fn writing(path: &Path) -> impl FnOnce(ParquetError) -> Error {
    move |error| match into_io(error) {
        Ok(error) => Error::io("write", &temporary(path))(error),
        Err(error) => Error::BadSeal(error.to_string()),
    }
}

fn into_io(error: ParquetError) -> std::result::Result<io::Error, ParquetError> {
    match error {
        ParquetError::External(error) => {
            error.downcast::<io::Error>().map(|error| *error).map_err(ParquetError::External)
        }
        error => Err(error),
    }
}
