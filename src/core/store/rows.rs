//! Parts of a state that are lists of rows.

use crate::core::{plan::commerce::CALENDARS_MAX, store::column::Freeze};

/// A part of a state that an image holds, row by row, as one section of its own.
///
/// The table in `sections.rs` names it; snapshots, restores, and digests follow from this trait.
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

/// A larger part that has the list of these rows among its lists. Snapshots and restores reach it so.
pub(in crate::core) trait Keeps<Row> {
    type List: Rows<Row = Row>;

    fn list(&self) -> &Self::List;

    /// For a restore alone.
    fn list_mut(&mut self) -> &mut Self::List;
}

/// Declares `Lists`, the lists of a part, which has them in a field `lists`: its folder, its type, and the
/// file and type of each list.
macro_rules! lists {
    ($folder:ident::$Part:ident { $($list:ident: $List:ident),+ $(,)? }) => {
        /// The lists of the part that are sections of an image each.
        pub(in crate::core) struct Lists {
            $(pub $list: $crate::core::$folder::$list::$List,)+
        }

        $crate::core::store::column::freeze_fields!(Lists { $($list),+ });

        impl Lists {
            pub fn new() -> Self {
                Self { $($list: $crate::core::$folder::$list::$List::new()),+ }
            }
        }

        $(
            impl
                $crate::core::store::rows::Keeps<
                    <$crate::core::$folder::$list::$List as $crate::core::store::rows::Rows>::Row,
                > for $crate::core::$folder::part::$Part
            {
                type List = $crate::core::$folder::$list::$List;

                fn list(&self) -> &Self::List {
                    &self.lists.$list
                }

                fn list_mut(&mut self) -> &mut Self::List {
                    &mut self.lists.$list
                }
            }
        )+
    };
}
pub(crate) use lists;

/// What is known of an image while a section is read: its header, and the sections before.
#[derive(Default)]
pub(in crate::core) struct SoFar {
    pub lsn: u64,
    pub members: u32,
    pub triggers: u32,
    pub entries: u64,
    /// Trigger names.
    pub kinds: usize,
    pub orders: u32,
    /// Periods of each calendar.
    pub periods: [u32; CALENDARS_MAX],
}

/// Checks something about a row of an image.
///
/// # Errors
/// `what`, unless the condition holds.
pub(in crate::core) fn require(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}
