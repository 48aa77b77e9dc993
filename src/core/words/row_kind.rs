//! Kinds of rows that have their own id.

/// What a row id names. The numbers are on disk and inside ids that clients store: never renumbered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum RowKind {
    /// A member's row; the index is the member's.
    Member = 1,
    /// A ledger entry; the index is the entry's.
    Entry = 2,
}

impl RowKind {
    pub const ALL: [RowKind; 2] = [RowKind::Member, RowKind::Entry];

    /// The kind with this number on disk.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == code)
    }
}
