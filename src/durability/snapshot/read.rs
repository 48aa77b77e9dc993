//! Reads a snapshot: all of it is verified before any row is returned, and each chunk once more when it is
//! read.

use std::{collections::VecDeque, path::PathBuf};

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use xxhash_rust::xxh3::xxh3_64;

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
        give_way,
        sections::{ImageHeader, ImageRows, RowCounts},
    },
    durability::{
        FORMAT_VERSION,
        error::{Error, Result},
        paths::open_listed,
        storage::{Access, StorageFile},
    },
};

/// Chunks read and decoded in parallel: some 25 MiB.
const CHUNKS_AHEAD: usize = 8;

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
        store.check_history(&manifest, &chunks.path)?;
        let (first, archive) = chunks.next()?.ok_or_else(|| chunks.damaged("it holds nothing"))?;
        if first.content != Content::Header {
            return Err(chunks.damaged("it does not begin with a header"));
        }
        let header = header::header_of(first.version, &archive, &manifest.rows)
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
        if self.ready.is_empty() {
            let mut batch = Vec::with_capacity(CHUNKS_AHEAD);
            while batch.len() < CHUNKS_AHEAD
                && let Some(chunk) = self.chunks.next()?
            {
                batch.push(chunk);
            }
            let chunks = &self.chunks;
            let decode = |(header, archive): (ChunkHeader, Bytes)| {
                rows::rows_of(&header, &archive).map_err(|reason| chunks.damaged(&reason))
            };
            let decoded: Vec<_> = batch.into_par_iter().map(decode).collect();
            self.ready.extend(decoded);
        }
        self.ready.pop_front().transpose()
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

/// The chunks of a file, read sequentially.
#[derive(Debug)]
struct Chunks {
    path: PathBuf,
    file: Box<dyn StorageFile>,
    lsn: u64,
    file_crc: u32,
    /// Where the manifest begins.
    end: u64,
    offset: u64,
    number: u32,
}

impl Chunks {
    fn open(store: &SnapshotStore, lsn: u64, path: PathBuf) -> Result<(Self, Manifest)> {
        let file = open_listed(&*store.storage, &path, Access::Read)?;
        let mut chunks =
            Self { path, file, lsn, file_crc: 0, end: 0, offset: FILE_HEADER_BYTES as u64, number: 0 };
        let manifest = chunks.read_fixed_parts(store)?;
        Ok((chunks, manifest))
    }

    /// Reads header and manifest, and checks that they agree with each other and with the directory.
    fn read_fixed_parts(&mut self, store: &SnapshotStore) -> Result<Manifest> {
        let length = self.file.len().map_err(Error::io("look at", &self.path))?;
        let fixed = (FILE_HEADER_BYTES + MANIFEST_BYTES) as u64;
        if length < fixed {
            return Err(self.damaged(&format!("it is only {length} bytes long")));
        }
        let mut bytes = [0; FILE_HEADER_BYTES];
        self.file.read_exact_at(&mut bytes, 0).map_err(Error::reading(&self.path))?;
        let (header, crc) = match FileHeader::parse(&bytes) {
            Parsed::Good(good) => good,
            Parsed::Newer(found) => return Err(self.newer(found)),
            Parsed::Bad => return Err(self.damaged("its header does not verify")),
        };
        let mut bytes = [0; MANIFEST_BYTES];
        self.offset = length - MANIFEST_BYTES as u64;
        self.file.read_exact_at(&mut bytes, self.offset).map_err(Error::reading(&self.path))?;
        let manifest = match Manifest::parse(&bytes) {
            Parsed::Good(manifest) => manifest,
            Parsed::Newer(found) => return Err(self.newer(found)),
            Parsed::Bad => {
                return Err(self.damaged("its manifest does not verify: it is incomplete or was altered"));
            }
        };
        let own = [header.lsn, manifest.lsn].iter().all(|lsn| *lsn == self.lsn)
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
        let mut checksums = 0;
        let (mut headers, mut rows) = (0_u64, RowCounts::default());
        let mut content = Content::Header;
        let differs = "its chunks are not those of its manifest";
        while let Some((header, _)) = self.next()? {
            if header.content < content {
                return Err(self.damaged("its sections are out of order"));
            }
            content = header.content;
            match content {
                Content::Header => headers += u64::from(header.rows),
                Content::Rows(section) => {
                    let so_far = rows[section].checked_add(header.rows);
                    rows[section] = so_far.ok_or_else(|| self.damaged(differs))?;
                }
            }
            checksums = chain(checksums, header.checksum);
        }
        let is_same = (headers, rows, self.number, checksums)
            == (1, manifest.rows, manifest.chunks, manifest.checksums);
        if !is_same {
            return Err(self.damaged(differs));
        }
        self.offset = FILE_HEADER_BYTES as u64;
        self.number = 0;
        Ok(())
    }

    /// Returns the next chunk, after verifying its checksum.
    fn next(&mut self) -> Result<Option<(ChunkHeader, Bytes)>> {
        if self.offset == self.end {
            return Ok(None);
        }
        let left = self.end - self.offset;
        let mut bytes = [0; CHUNK_HEADER_BYTES];
        if left < CHUNK_HEADER_BYTES as u64 {
            return Err(self.damaged("a chunk reaches into the manifest"));
        }
        self.file.read_exact_at(&mut bytes, self.offset).map_err(Error::reading(&self.path))?;
        let header = ChunkHeader::parse(&bytes, self.file_crc)
            .ok_or_else(|| self.damaged("a chunk's header does not verify"))?;
        if header.number != self.number {
            return Err(self.damaged("a chunk is not in its place"));
        }
        if !header.is_possible(left) {
            return Err(self.damaged("a chunk has an impossible size"));
        }
        let mut archive = Bytes::with_capacity(header.padded_bytes());
        archive.resize(header.padded_bytes(), 0);
        self.file
            .read_exact_at(&mut archive, self.offset + CHUNK_HEADER_BYTES as u64)
            .map_err(Error::reading(&self.path))?;
        if archive[header.bytes as usize..].iter().any(|byte| *byte != 0) {
            return Err(self.damaged("the padding of a chunk was altered"));
        }
        archive.resize(header.bytes as usize, 0);
        if xxh3_64(&archive) != header.checksum {
            return Err(self.damaged("a chunk does not verify"));
        }
        debug_assert!(archive.as_ptr().addr().is_multiple_of(ARCHIVE_ALIGNMENT));
        self.offset += header.whole_bytes();
        self.number += 1;
        give_way();
        Ok(Some((header, archive)))
    }

    fn damaged(&self, reason: &str) -> Error {
        Error::damaged(
            &self.path,
            self.offset,
            Some(self.lsn),
            reason,
            format!("this snapshot of LSN {}", self.lsn),
        )
    }

    fn newer(&self, found: u32) -> Error {
        Error::NewerFormat { path: self.path.clone(), found, supported: FORMAT_VERSION }
    }
}
