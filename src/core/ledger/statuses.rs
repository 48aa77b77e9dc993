//! Sets of states of entries.

use crate::core::words::types::EntryStatus;

/// A set of states of entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Statuses(u8);

impl Statuses {
    pub const ALL: Statuses = Statuses(0b1111);

    /// The states given.
    pub const fn of(statuses: &[EntryStatus]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < statuses.len() {
            bits |= 1 << statuses[at] as u8;
            at += 1;
        }
        Self(bits)
    }

    pub fn contains(self, status: EntryStatus) -> bool {
        self.0 >> (status as u8) & 1 != 0
    }
}

impl From<EntryStatus> for Statuses {
    fn from(status: EntryStatus) -> Self {
        Self::of(&[status])
    }
}

impl From<Option<EntryStatus>> for Statuses {
    /// All of them for `None`.
    fn from(status: Option<EntryStatus>) -> Self {
        status.map_or(Self::ALL, Self::from)
    }
}
