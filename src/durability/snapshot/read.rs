//! Reads a snapshot: all of it is verified before any row is returned, and each chunk once more when it is
//! read.
//!
//! Chunks are read one after the other, a few at a time; hashing and decoding them is parallel work. Whatever
//! is wrong, the first damage in the file is reported.

use std::{collections::VecDeque, path::PathBuf};

use rayon::iter::{IntoParallelRefMutIterator, ParallelIterator};
use xxhash_rust::xxh3::Xxh3;

use super::{
    SnapshotStore,
    container::{
        ARCHIVE_ALIGNMENT, CHUNK_HEADER_BYTES, ChunkHeader, Content, FILE_HEADER_BYTES, FileHeader,
        MANIFEST_BYTES, Manifest, Parsed, chain,
    },
    header,
    rows::{self, Bytes},
};
use crate::{
    core::{
        Pace, give_way,
        sections::{ImageHeader, ImageRows, RowCounts},
    },
    durability::{
        FORMAT_VERSION,
        error::{Error, Result},
        paths::open_listed,
        storage::{Access, StorageFile},
    },
};

/// Chunks read at a time: some 12 MiB, and as much for their rows. A caller that enters one batch while the
/// next one is read holds the rows of both.
const CHUNKS_TOGETHER: usize = 4;
/// Bytes of a chunk that are read or hashed at a time, in some 30 us.
const PIECE_BYTES: usize = 128 * 1_024;

/// A verified snapshot. Yields its rows in chunks, in the order of the sections.
#[derive(Debug)]
pub struct SnapshotReader {
    manifest: Manifest,
    header: ImageHeader,
    chunks: Chunks,
    ready: VecDeque<Result<ImageRows>>,
    failed: bool,
}

impl SnapshotReader {
    /// Opens the file of the snapshot at `lsn` and verifies all of it.
    pub(super) fn open(store: &SnapshotStore, lsn: u64, path: PathBuf) -> Result<Self> {
        let (mut chunks, manifest) = Chunks::open(store, lsn, path)?;
        chunks.verify(&manifest)?;
        store.check_history(&manifest, &chunks.source.path)?;
        let mut first = chunks.next()?.ok_or_else(|| chunks.damaged("it holds nothing"))?;
        first.verify(&chunks.source)?;
        if first.header.content != Content::Header {
            return Err(chunks.damaged("it does not begin with a header"));
        }
        let header = header::header_of(first.header.version, &first.archive, &manifest.rows)
            .map_err(|reason| chunks.damaged(&reason))?;
        let same = header.lsn == manifest.lsn
            && header.outcome_hash == manifest.outcome_hash
            && header.time == manifest.time
            && header.rows == manifest.rows;
        if !same {
            return Err(chunks.damaged("header and manifest differ"));
        }
        Ok(Self { manifest, header, chunks, ready: VecDeque::new(), failed: false })
    }

    /// Verifies only header and manifest, and that the file has the length they imply. Returns the manifest.
    pub(crate) fn fixed_parts(store: &SnapshotStore, lsn: u64, path: PathBuf) -> Result<Manifest> {
        Chunks::open(store, lsn, path).map(|(_, manifest)| manifest)
    }

    /// Returns the snapshot's manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the image's scalars.
    pub fn header(&self) -> &ImageHeader {
        &self.header
    }

    /// Returns the bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.manifest.offset + MANIFEST_BYTES as u64
    }

    /// Returns the next rows; `None` at the end.
    ///
    /// # Errors
    /// `Damaged`, `Io`.
    pub fn next_rows(&mut self) -> Result<Option<ImageRows>> {
        self.decode_ahead();
        self.ready.pop_front().transpose()
    }

    /// Returns the rows of the next chunks, in order; none at the end.
    ///
    /// # Errors
    /// As [`SnapshotReader::next_rows`], once all rows before the damage were returned.
    pub fn next_batch(&mut self) -> Result<Vec<ImageRows>> {
        self.decode_ahead();
        let good = self.ready.iter().take_while(|rows| rows.is_ok()).count();
        let taken = good.max(1).min(self.ready.len());
        self.ready.drain(..taken).collect()
    }

    /// Reads and decodes the next chunks if no rows are ready.
    fn decode_ahead(&mut self) {
        if !self.ready.is_empty() {
            return;
        }
        let (mut batch, failed) = self.chunks.next_batch();
        let source = &self.chunks.source;
        let decode = |chunk: &mut Chunk| {
            chunk.verify(source)?;
            let decoded = rows::rows_of(&chunk.header, &chunk.archive);
            give_way();
            decoded.map_err(|reason| source.damaged(chunk.offset, &reason))
        };
        self.ready.extend(batch.par_iter_mut().map(decode).collect::<Vec<_>>());
        self.ready.extend(failed.map(Err));
        self.chunks.recycle(batch);
    }
}

impl Iterator for SnapshotReader {
    type Item = Result<ImageRows>;

    /// Ends after an error.
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_rows().transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

/// A file of a snapshot, as errors name it.
#[derive(Clone, Debug)]
struct Source {
    path: PathBuf,
    lsn: u64,
}

impl Source {
    fn damaged(&self, offset: u64, reason: &str) -> Error {
        let lost = format!("this snapshot of LSN {}", self.lsn);
        Error::damaged(&self.path, offset, Some(self.lsn), reason, lost)
    }

    fn newer(&self, found: u32) -> Error {
        Error::NewerFormat { path: self.path.clone(), found, supported: FORMAT_VERSION }
    }
}

/// A chunk as it was read.
#[derive(Debug)]
struct Chunk {
    header: ChunkHeader,
    /// Where it begins.
    offset: u64,
    /// With its padding, until it is verified.
    archive: Bytes,
}

impl Chunk {
    /// Verifies padding and checksum.
    fn verify(&mut self, source: &Source) -> Result<()> {
        let bytes = self.header.bytes as usize;
        if self.archive[bytes..].iter().any(|byte| *byte != 0) {
            return Err(source.damaged(self.offset, "the padding of a chunk was altered"));
        }
        self.archive.resize(bytes, 0);
        let mut hash = Xxh3::new();
        self.archive.chunks(PIECE_BYTES).paced_by(1).for_each(|piece| hash.update(piece));
        if hash.digest() != self.header.checksum {
            return Err(source.damaged(self.offset, "a chunk does not verify"));
        }
        debug_assert!(self.archive.as_ptr().addr().is_multiple_of(ARCHIVE_ALIGNMENT));
        give_way();
        Ok(())
    }
}

/// What the chunks of a file add up to, for the comparison with its manifest.
#[derive(Debug)]
struct Sums {
    headers: u64,
    rows: RowCounts,
    chunks: u32,
    checksums: u64,
    /// Of the last chunk.
    content: Content,
}

impl Sums {
    const DIFFERS: &str = "its chunks are not those of its manifest";

    fn new() -> Self {
        Self { headers: 0, rows: RowCounts::default(), chunks: 0, checksums: 0, content: Content::Header }
    }

    /// Adds the next chunk. Returns why it cannot follow those before.
    fn add(&mut self, header: &ChunkHeader) -> std::result::Result<(), &'static str> {
        if header.content < self.content {
            return Err("its sections are out of order");
        }
        self.content = header.content;
        match header.content {
            Content::Header => self.headers += u64::from(header.rows),
            Content::Rows(section) => {
                self.rows[section] = self.rows[section].checked_add(header.rows).ok_or(Self::DIFFERS)?;
            }
        }
        self.checksums = chain(self.checksums, header.checksum);
        self.chunks += 1;
        Ok(())
    }

    fn are_those_of(&self, manifest: &Manifest) -> bool {
        (self.headers, self.rows, self.chunks, self.checksums)
            == (1, manifest.rows, manifest.chunks, manifest.checksums)
    }
}

/// The chunks of a file, read sequentially.
#[derive(Debug)]
struct Chunks {
    source: Source,
    file: Box<dyn StorageFile>,
    file_crc: u32,
    /// Where the manifest begins.
    end: u64,
    offset: u64,
    number: u32,
    /// Memory of earlier archives, for the next ones.
    spare: Vec<Bytes>,
}

impl Chunks {
    fn open(store: &SnapshotStore, lsn: u64, path: PathBuf) -> Result<(Self, Manifest)> {
        let file = open_listed(&*store.storage, &path, Access::Read)?;
        let source = Source { path, lsn };
        let offset = FILE_HEADER_BYTES as u64;
        let mut chunks = Self { source, file, file_crc: 0, end: 0, offset, number: 0, spare: Vec::new() };
        let manifest = chunks.read_fixed_parts(store)?;
        Ok((chunks, manifest))
    }

    /// Reads header and manifest, and checks that they agree with each other and with the directory.
    fn read_fixed_parts(&mut self, store: &SnapshotStore) -> Result<Manifest> {
        let path = &self.source.path;
        let length = self.file.len().map_err(Error::io("look at", path))?;
        let fixed = (FILE_HEADER_BYTES + MANIFEST_BYTES) as u64;
        if length < fixed {
            return Err(self.damaged(&format!("it is only {length} bytes long")));
        }
        let mut bytes = [0; FILE_HEADER_BYTES];
        self.file.read_exact_at(&mut bytes, 0).map_err(Error::reading(path))?;
        let (header, crc) = match FileHeader::parse(&bytes) {
            Parsed::Good(good) => good,
            Parsed::Newer(found) => return Err(self.source.newer(found)),
            Parsed::Bad => return Err(self.damaged("its header does not verify")),
        };
        let mut bytes = [0; MANIFEST_BYTES];
        self.offset = length - MANIFEST_BYTES as u64;
        self.file.read_exact_at(&mut bytes, self.offset).map_err(Error::reading(path))?;
        let manifest = match Manifest::parse(&bytes, &header.rows) {
            Parsed::Good(manifest) => manifest,
            Parsed::Newer(found) => return Err(self.source.newer(found)),
            Parsed::Bad => {
                return Err(self.damaged("its manifest does not verify: it is incomplete or was altered"));
            }
        };
        let own = [header.lsn, manifest.lsn].iter().all(|lsn| *lsn == self.source.lsn)
            && header.instance == store.instance
            && manifest.instance == store.instance
            && header.network == store.network
            && manifest.network == store.network;
        if !own {
            return Err(self.damaged("it belongs to another directory or LSN"));
        }
        if manifest.offset != self.offset || manifest.durable_lsn < manifest.lsn {
            return Err(self.damaged("its manifest does not fit the file"));
        }
        self.file_crc = crc;
        self.end = manifest.offset;
        self.offset = FILE_HEADER_BYTES as u64;
        Ok(manifest)
    }

    /// Reads everything once, compares it with the manifest, and rewinds.
    fn verify(&mut self, manifest: &Manifest) -> Result<()> {
        let mut sums = Sums::new();
        let source = self.source.clone();
        let (mut batch, mut failed) = self.next_batch();
        while !batch.is_empty() {
            let hash =
                || -> Vec<Result<()>> { batch.par_iter_mut().map(|chunk| chunk.verify(&source)).collect() };
            // While these are hashed, the next ones are read.
            let read = || if failed.is_none() { self.next_batch() } else { (Vec::new(), failed.take()) };
            let (verified, (next, next_failed)) = rayon::join(hash, read);
            for (chunk, verified) in batch.iter().zip(verified) {
                verified?;
                let end = chunk.offset + chunk.header.whole_bytes();
                sums.add(&chunk.header).map_err(|reason| source.damaged(end, reason))?;
            }
            self.recycle(std::mem::replace(&mut batch, next));
            failed = next_failed;
        }
        failed.map_or(Ok(()), Err)?;
        if !sums.are_those_of(manifest) {
            return Err(self.damaged(Sums::DIFFERS));
        }
        self.offset = FILE_HEADER_BYTES as u64;
        self.number = 0;
        Ok(())
    }

    /// Reads the next chunks, and what prevented reading more of them, if anything did.
    fn next_batch(&mut self) -> (Vec<Chunk>, Option<Error>) {
        let mut batch = Vec::with_capacity(CHUNKS_TOGETHER);
        while batch.len() < CHUNKS_TOGETHER {
            match self.next() {
                Ok(Some(chunk)) => batch.push(chunk),
                Ok(None) => break,
                Err(error) => return (batch, Some(error)),
            }
        }
        (batch, None)
    }

    /// Reads the next chunk, which is still to be verified.
    fn next(&mut self) -> Result<Option<Chunk>> {
        if self.offset == self.end {
            return Ok(None);
        }
        let left = self.end - self.offset;
        let mut bytes = [0; CHUNK_HEADER_BYTES];
        if left < CHUNK_HEADER_BYTES as u64 {
            return Err(self.damaged("a chunk reaches into the manifest"));
        }
        let path = &self.source.path;
        self.file.read_exact_at(&mut bytes, self.offset).map_err(Error::reading(path))?;
        let header = ChunkHeader::parse(&bytes, self.file_crc)
            .ok_or_else(|| self.damaged("a chunk's header does not verify"))?;
        if header.number != self.number {
            return Err(self.damaged("a chunk is not in its place"));
        }
        if !header.is_possible(left) {
            return Err(self.damaged("a chunk has an impossible size"));
        }
        let mut archive = self.spare.pop().unwrap_or_default();
        archive.clear();
        archive.reserve(header.padded_bytes());
        while archive.len() < header.padded_bytes() {
            let piece = archive.len()..header.padded_bytes().min(archive.len() + PIECE_BYTES);
            archive.resize(piece.end, 0);
            let offset = self.offset + (CHUNK_HEADER_BYTES + piece.start) as u64;
            self.file.read_exact_at(&mut archive[piece], offset).map_err(Error::reading(path))?;
            give_way();
        }
        let chunk = Chunk { header, offset: self.offset, archive };
        self.offset += header.whole_bytes();
        self.number += 1;
        Ok(Some(chunk))
    }

    /// Keeps the memory of archives that are no longer needed.
    fn recycle(&mut self, batch: Vec<Chunk>) {
        self.spare.extend(batch.into_iter().map(|chunk| chunk.archive));
    }

    fn damaged(&self, reason: &str) -> Error {
        self.source.damaged(self.offset, reason)
    }
}
