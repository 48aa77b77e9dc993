//! Blocks of files of ids, and their checksums.

use super::entry;

/// Bytes of a block.
pub(super) const BLOCK: usize = 4_096;
/// Entries of a block.
pub(super) const BLOCK_ENTRIES: usize = 113;
/// Where a block has the number of its entries, and its checksum.
pub(super) const COUNT_AT: usize = BLOCK_ENTRIES * entry::BYTES;
const SUM_AT: usize = BLOCK - 4;
pub(super) const MAGIC: [u8; 8] = *b"uplinIDS";
pub(super) const FORMAT: u32 = 1;

const _: () = assert!(COUNT_AT + 2 <= SUM_AT);

/// Puts the checksum of a block into it.
pub(super) fn seal_block(block: &mut [u8; BLOCK]) {
    let sum = crc32c::crc32c(&block[..SUM_AT]);
    block[SUM_AT..].copy_from_slice(&sum.to_le_bytes());
}

/// Whether a block is what was written.
pub(super) fn verifies(block: &[u8]) -> bool {
    block.len() == BLOCK && crc32c::crc32c(&block[..SUM_AT]).to_le_bytes() == block[SUM_AT..]
}
