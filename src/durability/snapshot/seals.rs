//! The seals that a snapshot knows, read without the rest of it.

use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::{
    container::{
        CHUNK_HEADER_BYTES, ChunkHeader, Content, FILE_HEADER_BYTES, FileHeader, MANIFEST_BYTES, Parsed,
    },
    rows::{self, Bytes},
};
use crate::{
    core::sections::{ImageRows, SealRow, Section},
    durability::{
        error::{Error, Result},
        paths::open_listed,
        storage::{Access, Storage},
    },
};

/// Reads the seals of a snapshot, and its LSN. Its other chunks are passed over.
///
/// # Errors
/// `Damaged` for a snapshot whose chunks cannot be found, or whose seals do not verify; `Io`.
pub fn seals_in(storage: &dyn Storage, path: &Path) -> Result<(u64, Vec<SealRow>)> {
    let damaged = |offset: u64, reason: &str| Error::damaged(path, offset, None, reason, "this snapshot");
    let file = open_listed(storage, path, Access::Read)?;
    let bytes = file.len().map_err(Error::io("look at", path))?;
    let end = bytes.checked_sub((FILE_HEADER_BYTES + MANIFEST_BYTES) as u64);
    let end = end.ok_or_else(|| damaged(0, "it is too short"))? + FILE_HEADER_BYTES as u64;
    let read = |buffer: &mut [u8], at: u64| file.read_exact_at(buffer, at).map_err(Error::reading(path));
    let mut header = [0; FILE_HEADER_BYTES];
    read(&mut header, 0)?;
    let (header, crc) = match FileHeader::parse(&header) {
        Parsed::Good(good) => good,
        Parsed::Newer(found) => {
            let supported = crate::durability::FORMAT_VERSION;
            return Err(Error::NewerFormat { path: path.to_path_buf(), found, supported });
        }
        Parsed::Bad => return Err(damaged(0, "its header does not verify")),
    };
    let (mut offset, mut seals) = (FILE_HEADER_BYTES as u64, Vec::new());
    while offset < end {
        let mut chunk = [0; CHUNK_HEADER_BYTES];
        read(&mut chunk, offset)?;
        let chunk = ChunkHeader::parse(&chunk, crc).filter(|chunk| chunk.is_possible(end - offset));
        let chunk = chunk.ok_or_else(|| damaged(offset, "a chunk's header does not verify"))?;
        if chunk.content == Content::Rows(Section::Seals) {
            let mut archive = Bytes::new();
            archive.resize(chunk.bytes as usize, 0);
            read(&mut archive, offset + CHUNK_HEADER_BYTES as u64)?;
            if xxh3_64(&archive) != chunk.checksum {
                return Err(damaged(offset, "a chunk does not verify"));
            }
            match rows::rows_of(&chunk, &archive).map_err(|reason| damaged(offset, &reason))? {
                ImageRows::Seals(rows) => seals.extend(rows),
                _ => return Err(damaged(offset, "its seals are something else")),
            }
        }
        offset += chunk.whole_bytes();
    }
    Ok((header.lsn, seals))
}
