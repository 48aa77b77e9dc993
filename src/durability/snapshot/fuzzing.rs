//! Resealing of a snapshot's checksums, so that a fuzzer gets past them.

use xxhash_rust::xxh3::xxh3_64;

use super::container::{
    ARCHIVE_ALIGNMENT, CHUNK_HEADER_BYTES, CHUNK_MAGIC, FILE_HEADER_BYTES, MANIFEST_BYTES, chain, seal,
};

/// Recomputes the checksums of a snapshot file: of the header, of each chunk that is reached by the lengths
/// of those before it, and of the manifest, assumed to be the last 256 bytes. Digests stay unchanged.
pub(crate) fn reseal_snapshot(content: &mut [u8]) {
    if content.len() < FILE_HEADER_BYTES + MANIFEST_BYTES {
        return;
    }
    let end = content.len() - MANIFEST_BYTES;
    let (chunks, manifest) = content.split_at_mut(end);
    let file_crc = seal(&mut chunks[..FILE_HEADER_BYTES]);
    let (mut at, mut number, mut checksums) = (FILE_HEADER_BYTES, 0_u32, 0);
    while let Some(header) =
        chunks.get(at..at + CHUNK_HEADER_BYTES).filter(|header| header.starts_with(&CHUNK_MAGIC))
    {
        let bytes = u32::from_le_bytes(header[8..12].try_into().expect("four bytes")) as usize;
        let begin = at + CHUNK_HEADER_BYTES;
        let checksum = chunks.get(begin..begin.saturating_add(bytes)).map(xxh3_64);
        let header = &mut chunks[at..begin];
        header[16..24].copy_from_slice(&checksum.unwrap_or(0).to_le_bytes());
        header[24..28].copy_from_slice(&number.to_le_bytes());
        let crc = crc32c::crc32c_append(file_crc, &header[..CHUNK_HEADER_BYTES - 4]);
        header[CHUNK_HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        // A chunk that is longer than the file is the last.
        let Some(checksum) = checksum else { break };
        checksums = chain(checksums, checksum);
        at = begin + bytes.next_multiple_of(ARCHIVE_ALIGNMENT);
        number += 1;
    }
    manifest[48..56].copy_from_slice(&(end as u64).to_le_bytes());
    manifest[56..60].copy_from_slice(&number.to_le_bytes());
    manifest[144..152].copy_from_slice(&checksums.to_le_bytes());
    seal(manifest);
}
