//! Writes a snapshot in the background, chunk by chunk, and publishes it atomically.

use std::path::PathBuf;

use xxhash_rust::xxh3::xxh3_64;

use super::{
    container::{
        ARCHIVE_ALIGNMENT, ARCHIVE_BYTES_MAX, CHUNK_HEADER_BYTES, CHUNK_ROWS_MAX, ChunkHeader, Content,
        FILE_HEADER_BYTES, FileHeader, Manifest, chain,
    },
    header,
    rows::{self, Bytes},
    store::{Published, SnapshotStore},
};
use crate::{
    core::{
        sections::{ImageHeader, ImageRows, RowCounts},
        types::Timestamp,
    },
    durability::{
        FORMAT_VERSION,
        error::{Error, Result},
        log::{chain, segment::create_fresh},
        paths::Paths,
        storage::StorageFile,
    },
};

/// Bytes after which a snapshot is synced, so that the log's own sync never waits for a mountain of dirty
/// pages.
const SYNC_EVERY_BYTES: u64 = 32 * 1_024 * 1_024;

/// A snapshot being written. If dropped before `publish`, it leaves a temporary file that the next opening
/// removes.
#[derive(Debug)]
pub struct SnapshotWriter {
    store: SnapshotStore,
    header: ImageHeader,
    path: PathBuf,
    file: Box<dyn StorageFile>,
    file_crc: u32,
    offset: u64,
    synced: u64,
    chunks: u32,
    /// Of the last chunk.
    content: Content,
    /// Rows of each section so far.
    rows: RowCounts,
    checksums: u64,
    /// Reused for each chunk.
    buffer: Bytes,
}

impl SnapshotStore {
    /// Begins a snapshot of an image; its rows follow.
    ///
    /// # Errors
    /// `Io`; `BadImage` for a plan without an on-disk form.
    pub fn begin(&self, header: &ImageHeader) -> Result<SnapshotWriter> {
        SnapshotWriter::begin(self.clone(), header)
    }
}

impl SnapshotWriter {
    pub(super) fn begin(store: SnapshotStore, header: &ImageHeader) -> Result<Self> {
        let path = Paths::temporary(&store.paths.snapshot(header.lsn));
        let file = create_fresh(&*store.storage, &path)?;
        let SnapshotStore { network, instance, .. } = store;
        let (bytes, file_crc) = FileHeader { network, instance, lsn: header.lsn, rows: header.rows }.encode();
        file.write_all_at(&bytes, 0).map_err(Error::io("write", &path))?;
        let mut writer = Self {
            store,
            header: header.clone(),
            path,
            file,
            file_crc,
            offset: FILE_HEADER_BYTES as u64,
            synced: 0,
            chunks: 0,
            content: Content::Header,
            rows: RowCounts::default(),
            checksums: 0,
            buffer: Bytes::new(),
        };
        writer.buffer =
            header::archive_header(header, std::mem::take(&mut writer.buffer)).map_err(Error::BadImage)?;
        writer.write_chunk(Content::Header, 1)?;
        Ok(writer)
    }

    /// Adds any number of rows. Sections come in the order of `ImageRows`.
    ///
    /// # Errors
    /// `BadImage` for a section out of order or more rows than announced, `Io`. After an error, drop the
    /// snapshot.
    pub fn push(&mut self, rows: &ImageRows) -> Result<()> {
        let (section, len) = (rows.section(), rows.len());
        if Content::Rows(section) < self.content {
            return Err(Error::BadImage("its sections are out of order".into()));
        }
        for start in (0..len).step_by(CHUNK_ROWS_MAX) {
            let part = start..len.min(start + CHUNK_ROWS_MAX);
            let count = u32::try_from(part.len()).expect("at most `CHUNK_ROWS_MAX`");
            let archived = rows::archive(rows, part, std::mem::take(&mut self.buffer));
            self.buffer = archived.map_err(Error::BadImage)?;
            self.write_chunk(Content::Rows(section), count)?;
            let so_far = self.rows[section].checked_add(count);
            self.rows[section] = so_far.ok_or_else(|| Error::BadImage("too many rows".into()))?;
        }
        Ok(())
    }

    /// Returns LSN and log time of the image.
    pub(crate) fn position(&self) -> (u64, Timestamp) {
        (self.header.lsn, self.header.time)
    }

    /// Returns the bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.offset
    }

    fn write_chunk(&mut self, content: Content, rows: u32) -> Result<()> {
        if ARCHIVE_BYTES_MAX < self.buffer.len() {
            return Err(Error::BadImage(format!("a chunk of {} bytes", self.buffer.len())));
        }
        let bytes = u32::try_from(self.buffer.len()).expect("just compared");
        let header = ChunkHeader::new(content, bytes, rows, xxh3_64(&self.buffer), self.chunks);
        self.checksums = chain(self.checksums, header.checksum);
        self.buffer.resize(self.buffer.len().next_multiple_of(ARCHIVE_ALIGNMENT), 0);
        let written = self.file.write_all_at(&header.encode(self.file_crc), self.offset);
        let written = written
            .and_then(|()| self.file.write_all_at(&self.buffer, self.offset + CHUNK_HEADER_BYTES as u64));
        written.map_err(Error::io("write", &self.path))?;
        self.offset += (CHUNK_HEADER_BYTES + self.buffer.len()) as u64;
        if self.synced + SYNC_EVERY_BYTES <= self.offset {
            self.file.sync_data().map_err(Error::io("sync", &self.path))?;
            self.synced = self.offset;
        }
        self.chunks = self.chunks.checked_add(1).ok_or_else(|| Error::BadImage("too many chunks".into()))?;
        self.content = content;
        Ok(())
    }

    /// Completes the snapshot, makes it durable, gives it its name and moves all but the two newest to the
    /// archive. `durable_lsn` is how far the log is durable now; at least the snapshot's own LSN.
    ///
    /// # Errors
    /// `BadImage` if rows are missing, `Io`. The older snapshots are unchanged; the new one does not exist,
    /// unless only making it durable or archiving the oldest failed.
    pub fn publish(
        self,
        durable_lsn: u64,
        state_digest: [u8; 32],
        network_digest: [u8; 32],
    ) -> Result<Published> {
        let header = &self.header;
        if header.rows != self.rows {
            return Err(Error::BadImage(format!(
                "its header announces {:?} rows, it got {:?}",
                header.rows, self.rows
            )));
        }
        if durable_lsn < header.lsn {
            return Err(Error::BadImage(format!(
                "it is at LSN {}, the log is durable up to {durable_lsn}",
                header.lsn
            )));
        }
        let chain = match &self.store.log {
            Some(log) => log.chain_at(header.lsn)?.chain,
            None => Some(chain::first(&self.store.instance)),
        };
        let manifest = Manifest {
            version: FORMAT_VERSION,
            network: self.store.network,
            instance: self.store.instance,
            lsn: header.lsn,
            durable_lsn,
            offset: self.offset,
            chunks: self.chunks,
            rows: header.rows,
            state_digest,
            network_digest,
            checksums: self.checksums,
            time: header.time,
            outcome_hash: header.outcome_hash,
            chain,
        };
        let bytes = manifest.encode();
        self.file.write_all_at(&bytes, self.offset).map_err(Error::io("write", &self.path))?;
        self.file.sync_all().map_err(Error::io("sync", &self.path))?;
        self.store.publish(&self.path, header.lsn, self.offset + bytes.len() as u64)
    }
}
