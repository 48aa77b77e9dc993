//! Parts of a state that are lists of rows.

use crate::core::store::column::Freeze;

/// A part of a state that an image holds, row by row, as one section of its own.
///
/// The table in `state/sections.rs` names it; snapshots, restores, and digests follow from this trait.
pub(in crate::core) trait Rows: Freeze {
    type Row;

    /// The number of rows. O(1).
    fn count(&self) -> usize;

    /// The `at`-th row, in the order in which [`Rows::restore`] takes them.
    fn row_at(&self, at: usize) -> Self::Row;

    /// Adds the next row of an image to this part, which holds the rows before it.
    ///
    /// # Errors
    /// What is wrong with the row: out of order, an index out of range, an unknown number.
    fn restore(&mut self, row: Self::Row, so_far: &SoFar) -> Result<(), String>;
}

/// A larger part that has the list of these rows among its private fields. Snapshots and restores reach it
/// so.
pub(in crate::core) trait Keeps<Row> {
    type List: Rows<Row = Row>;

    fn list(&self) -> &Self::List;

    /// For a restore alone.
    fn list_mut(&mut self) -> &mut Self::List;
}

/// Implements [`Keeps`] for some fields.
macro_rules! keeps {
    ($type:ty { $($field:ident: $List:ty),+ $(,)? }) => {
        $(
            impl $crate::core::store::rows::Keeps<<$List as $crate::core::store::rows::Rows>::Row>
                for $type
            {
                type List = $List;

                fn list(&self) -> &$List {
                    &self.$field
                }

                fn list_mut(&mut self) -> &mut $List {
                    &mut self.$field
                }
            }
        )+
    };
}
pub(crate) use keeps;

/// What is known of an image while a section is read: its header, and the sections before.
pub(in crate::core) struct SoFar {
    pub lsn: u64,
    pub members: u32,
    pub triggers: u32,
    pub entries: u64,
    /// Trigger names.
    pub kinds: usize,
}

/// Checks something about a row of an image.
///
/// # Errors
/// `what`, unless the condition holds.
pub(in crate::core) fn require(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}
