//! Inspection of one snapshot file, part by part, whatever state it is in.

use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::container::{
    CHUNK_HEADER_BYTES, ChunkHeader, FILE_HEADER_BYTES, FileHeader, MANIFEST_BYTES, Manifest, Parsed, chain,
};
use crate::{
    core::sections::RowCounts,
    durability::{
        error::{Error, Result},
        paths::open_listed,
        storage::{Access, Storage, StorageFile},
    },
};

/// The findings about a snapshot file.
#[derive(Clone, PartialEq, Debug)]
pub struct SnapshotSeen {
    pub bytes: u64,
    /// Network, instance and LSN of the file header, if it verifies.
    pub header: Option<(u32, [u8; 16], u64)>,
    /// `None` if it does not verify: the file is incomplete or was altered.
    pub manifest: Option<Manifest>,
    pub chunks: Vec<ChunkSeen>,
    /// All damage, in file order: offset and reason.
    pub damage: Vec<(u64, String)>,
}

/// A chunk whose header verifies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChunkSeen {
    pub offset: u64,
    /// Of the archive, without header and padding.
    pub bytes: u32,
    pub section: &'static str,
    pub rows: u32,
    /// As the chunk's header has it.
    pub checksum: u64,
    /// Whether the archive matches it.
    pub verifies: bool,
}

/// Reads a snapshot file part by part, without interpreting its rows.
///
/// # Errors
/// `Damaged` if it is no file or the disk cannot read it; `Io`.
pub fn inspect_snapshot(storage: &dyn Storage, path: &Path) -> Result<SnapshotSeen> {
    let file = open_listed(storage, path, Access::Read)?;
    let bytes = file.len().map_err(Error::io("look at", path))?;
    let mut seen =
        SnapshotSeen { bytes, header: None, manifest: None, chunks: Vec::new(), damage: Vec::new() };
    if bytes < (FILE_HEADER_BYTES + MANIFEST_BYTES) as u64 {
        seen.damage.push((0, format!("it is only {bytes} bytes long")));
        return Ok(seen);
    }
    let mut header = [0; FILE_HEADER_BYTES];
    file.read_exact_at(&mut header, 0).map_err(Error::reading(path))?;
    let mut rows = RowCounts::default();
    let file_crc = match FileHeader::parse(&header) {
        Parsed::Good((header, crc)) => {
            rows = header.rows;
            seen.header = Some((header.network, header.instance, header.lsn));
            Some(crc)
        }
        Parsed::Newer(version) => {
            seen.damage
                .push((0, format!("it has format version {version}, which this release does not read")));
            return Ok(seen);
        }
        Parsed::Bad => {
            seen.damage.push((0, "its header does not verify, so no chunk can".into()));
            None
        }
    };
    let end = bytes - MANIFEST_BYTES as u64;
    if let Some(crc) = file_crc {
        look_at_chunks(&*file, path, crc, end, &mut seen)?;
    }
    let mut manifest = [0; MANIFEST_BYTES];
    file.read_exact_at(&mut manifest, end).map_err(Error::reading(path))?;
    match Manifest::parse(&manifest, &rows) {
        Parsed::Good(manifest) => {
            compare(&manifest, end, &mut seen);
            seen.manifest = Some(manifest);
        }
        Parsed::Newer(version) => {
            seen.damage.push((end, format!("its manifest has format version {version}")));
        }
        Parsed::Bad => {
            seen.damage.push((end, "its manifest does not verify: it is incomplete or was altered".into()));
        }
    }
    Ok(seen)
}

fn look_at_chunks(
    file: &dyn StorageFile,
    path: &Path,
    file_crc: u32,
    end: u64,
    seen: &mut SnapshotSeen,
) -> Result<()> {
    let mut offset = FILE_HEADER_BYTES as u64;
    let mut archive = Vec::new();
    while offset < end {
        let mut header = [0; CHUNK_HEADER_BYTES];
        if end - offset < CHUNK_HEADER_BYTES as u64 {
            seen.damage.push((offset, "a chunk reaches into the manifest".into()));
            return Ok(());
        }
        file.read_exact_at(&mut header, offset).map_err(Error::reading(path))?;
        let Some(header) = ChunkHeader::parse(&header, file_crc) else {
            seen.damage
                .push((offset, "a chunk's header does not verify; what follows it cannot be found".into()));
            return Ok(());
        };
        if !header.is_possible(end - offset) {
            seen.damage.push((offset, "a chunk has an impossible size".into()));
            return Ok(());
        }
        if header.number as usize != seen.chunks.len() {
            seen.damage.push((
                offset,
                format!("chunk {} stands where chunk {} belongs", header.number, seen.chunks.len()),
            ));
        }
        archive.resize(header.bytes as usize, 0);
        file.read_exact_at(&mut archive, offset + CHUNK_HEADER_BYTES as u64).map_err(Error::reading(path))?;
        let verifies = xxh3_64(&archive) == header.checksum;
        if !verifies {
            seen.damage.push((offset, format!("chunk {} does not verify", header.number)));
        }
        seen.chunks.push(ChunkSeen {
            offset,
            bytes: header.bytes,
            section: header.content.name(),
            rows: header.rows,
            checksum: header.checksum,
            verifies,
        });
        offset += header.whole_bytes();
    }
    Ok(())
}

/// Compares manifest and chunks.
fn compare(manifest: &Manifest, end: u64, seen: &mut SnapshotSeen) {
    if manifest.offset != end {
        seen.damage.push((end, format!("its manifest says that it begins at {}", manifest.offset)));
    }
    if seen.header.is_some_and(|header| header != (manifest.network, manifest.instance, manifest.lsn)) {
        seen.damage.push((end, "header and manifest are of different snapshots".into()));
    }
    let checksums = seen.chunks.iter().fold(0, |so_far, chunk| chain(so_far, chunk.checksum));
    if manifest.chunks as usize != seen.chunks.len() || manifest.checksums != checksums {
        seen.damage.push((end, format!("its chunks are not the {} of its manifest", manifest.chunks)));
    }
}
