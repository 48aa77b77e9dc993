//! The version of what is on disk.

/// Version of everything on disk that this release writes, and the newest that it reads. 2: commands that
/// changed nothing, and what imports carry along. 3: who sent a command, the chain over all records, and
/// idempotency keys that no jump of the clock expires.
pub const FORMAT_VERSION: u32 = 3;
