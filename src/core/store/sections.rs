//! The table of sections: which lists of rows an image of a network has.

/// The sections of an image, one entry each; everything else about sections follows from it. Calls the macro
/// that it is given with this table:
///
/// - the number on disk, ascending by one, and the name, which `inspect` and the specification use
/// - the first format version that has the section
/// - the type of its rows
/// - `in`: the part of the state that keeps exactly these rows in a list of its own, the file of the list in
///   the folder of the part, and its type. The other sections are taken out of several parts and put back
///   into them by `state/restore.rs`.
/// - the columns of the rows on disk, named as the fields; `Text` is followed by the type of the lengths
/// - `before`: an earlier version of the section, with rows that convert into those of today (`From`)
///
/// An entry that was released never changes. When a row changes, its former fields move to a type of their
/// own, named after `before`. `snapshots/README.md` repeats the table, which a test compares.
///
/// # Adding a section
///
/// 1. Its entry here, as the last.
/// 2. Its list: a file that is named as the entry says, with the type of the rows, that of the list, and
///    [`Rows`](crate::core::store::rows::Rows) for it. Its folder's `mod.rs` has the line that Rust needs.
///
/// The part then has the list (`lists` in its fields), and views, snapshots, restores, digests and the
/// figures of memory include it. `UPLINE_REGENERATE_SPEC=1 cargo test --test tidy wiring::` writes the
/// specification.
#[doc(hidden)]
#[macro_export]
macro_rules! __sections {
    ($with:ident) => {
        $with! {
            2 Members "members" since 1: MemberRow {
                id: [u8; 16],
                joined_at: i64,
                sponsor: u32,
                parent: u32,
                slot: u32,
                flags: u32,
                paid_as: u16,
                lifetime: u16,
                turn: u16,
            }
            3 Codes "codes" since 1: CodeRow { member: u32, code: Text<u8> }
            4 Triggers "triggers" since 1: TriggerRow {
                lsn: u64,
                time: i64,
                amount: i64,
                source: u32,
                first_entry: u32,
                plan_version: u32,
                kind: u16,
            }
            5 Entries "entries" since 1: EntryRow { amount: i64, receiver: u32, level: u32, status: u8 }
            6 Keys "keys" since 1: KeyRow in requests.keys: Keys {
                key: [u8; 16],
                fingerprint: u64,
                time: i64,
                lsn: u64,
                outcome: [u8; 24],
            }
            7 Unchanged "unchanged" since 2: UnchangedRow in requests.unchanged: UnchangedList {
                lsn: u64,
                reason: u16,
            }
            8 RowIds "row_ids" since 2: RowIdRow in ledger.row_ids: CarriedIds {
                id: [u8; 16],
                index: u32,
                kind: u8,
            }
            9 References "references" since 3: ReferenceRow in ledger.references: References {
                trigger: u32,
                text: Text<u16>,
            }
            10 Reversals "reversals" since 3: ReversalRow in ledger.reversals: Reversals {
                entry: u32,
                reverses: u32,
            }
            11 Once "once" since 4: OnceRow in ledger.once: Once { member: u32, kind: u16 }
            12 Released "released" since 5: ReleasedRow in ledger.released: Released { entry: u32, lsn: u64 }
        }
    };
}
pub use __sections as sections;
