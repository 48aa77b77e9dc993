//! The version of what is on disk.

/// Version of everything on disk that this release writes, and the newest that it reads. 2: commands that
/// changed nothing, and what imports carry over. 3: who sent a command, the chain over all records, and
/// idempotency keys that no clock jump expires. 4: held and void bonuses, breakage by reason, more than 16
/// names of triggers, and plan versions in snapshots. 5: halves of a reversal that change together, the last
/// release of each bonus, and triggers that an import marks as paid once. 6: what plans say about orders. 7:
/// the opening state, and sealed periods.
pub const FORMAT_VERSION: u32 = 7;

const _: () = assert!(FORMAT_VERSION == crate::core::command::Stamped::FORMAT);
