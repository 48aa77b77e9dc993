//! The chain: a rolling hash over every record written, which tells apart two histories of one directory.
//!
//! Copies of a directory share one identity, and what each of them writes has the same LSNs. Checksums prove
//! that bytes are what was written, but not by which copy. The chain does: after command `n` it is XXH3-64 of
//! the bytes of the record of `n`, seeded with the chain before it. Each frame holds the chain after its
//! commands, each segment's header the one before its first, each snapshot's manifest the one at its LSN. So
//! two files belong to one history up to an LSN if and only if they have the same chain there.
//!
//! It exists since format 3. In a directory created by an older release it begins with the first segment of
//! format 3, seeded from the header of that segment, which names the checksum of everything before it.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::durability::codec::{self, DecodeError};

/// Returns the chain before the first command ever logged in a directory.
pub(crate) fn first(instance: &[u8; 16]) -> u64 {
    xxh3_64_with_seed(instance, 0)
}

/// Returns the chain before the first command of the first segment of format 3 in a directory of an older
/// one. `fields` are those of the segment's header that older formats have too.
pub(crate) fn begun_with(fields: &[u8]) -> u64 {
    xxh3_64_with_seed(fields, 0)
}

/// Returns the chain after the first `count` records in the plain body of a group; `before` is the chain
/// before them.
///
/// # Errors
/// If there are fewer records.
pub(crate) fn after(before: u64, body: &[u8], count: u64) -> Result<u64, DecodeError> {
    let mut chain = before;
    let mut records = codec::records(body);
    for _ in 0..count {
        chain = xxh3_64_with_seed(records.next_record()?, chain);
    }
    Ok(chain)
}
