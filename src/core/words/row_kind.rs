//! Kinds of rows that have their own id.

use strum::{FromRepr, VariantArray};

use crate::core::words::all::all;

/// What a row id names. The numbers are on disk and inside ids that clients store: never renumbered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, FromRepr, VariantArray)]
#[repr(u8)]
pub enum RowKind {
    /// A member's row; the index is the member's.
    Member = 1,
    /// A ledger entry; the index is the entry's.
    Entry = 2,
}

impl RowKind {
    /// All of them, by number.
    pub const ALL: [Self; Self::VARIANTS.len()] = all();
}
