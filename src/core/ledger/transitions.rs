//! The states that an entry may go through: the one table that every command is judged by.
//!
//! Paid and void are final. What was paid by mistake is reversed, by another entry.

use crate::core::words::types::EntryStatus;

/// What setting an entry's state comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::core) enum Transition {
    Change,
    /// It has this state already.
    Unchanged,
    Refused,
}

/// The changes that are allowed.
const ALLOWED: [(EntryStatus, EntryStatus); 5] = [
    (EntryStatus::Pending, EntryStatus::Paid),
    (EntryStatus::Pending, EntryStatus::Held),
    (EntryStatus::Pending, EntryStatus::Void),
    (EntryStatus::Held, EntryStatus::Pending),
    (EntryStatus::Held, EntryStatus::Void),
];

/// Judges a change of state.
pub(in crate::core) fn transition(from: EntryStatus, to: EntryStatus) -> Transition {
    if from == to {
        Transition::Unchanged
    } else if ALLOWED.contains(&(from, to)) {
        Transition::Change
    } else {
        Transition::Refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pending_and_held_entries_change() {
        // By present state: the result of each wanted state, in the order of `EntryStatus::ALL`.
        let table = [
            (EntryStatus::Pending, "=ccc"),
            (EntryStatus::Paid, "-=--"),
            (EntryStatus::Held, "c-=c"),
            (EntryStatus::Void, "---="),
        ];
        for (from, expected) in table {
            let found: String = EntryStatus::ALL
                .into_iter()
                .map(|to| match transition(from, to) {
                    Transition::Change => 'c',
                    Transition::Unchanged => '=',
                    Transition::Refused => '-',
                })
                .collect();
            assert_eq!(found, expected, "{from:?}");
        }
    }
}
