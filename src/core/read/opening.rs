//! Queries about the opening state.

use crate::core::{
    orders::{
        opening::{OpeningRow, OpeningTotal},
        opening_close::OpeningCloseRow,
    },
    state::parts::State,
    store::rows::Rows,
    words::types::MemberIx,
};

impl State {
    /// The number of its rows.
    pub fn opening_len(&self) -> u32 {
        u32::try_from(self.orders.opening().count()).expect("limited by OPENING_ROWS_MAX")
    }

    /// A row, by its position below [`State::opening_len`].
    pub fn opening_row(&self, at: u32) -> OpeningRow {
        self.orders.opening().row_at(at as usize)
    }

    /// The rows of a member, at most [`OPENING_MEMBER_ROWS_MAX`](crate::core::OPENING_MEMBER_ROWS_MAX).
    /// O(log rows + rows of the member).
    pub fn opening_of(&self, member: MemberIx) -> Vec<OpeningRow> {
        let opening = self.orders.opening();
        opening.of(member).map(|at| opening.row_at(at)).collect()
    }

    /// The position of a row that is told apart by the same as another. O(log rows).
    pub fn opening_position(&self, row: &OpeningRow) -> Option<u32> {
        let opening = self.orders.opening();
        let mut of_member = opening.of(MemberIx(row.member));
        let found = of_member.find(|at| opening.row_at(*at).key() == row.key())?;
        u32::try_from(found).ok()
    }

    /// Counts and sums by kind, name and more, sorted. O(1), limited by
    /// [`OPENING_TOTALS_MAX`](crate::core::OPENING_TOTALS_MAX).
    pub fn opening_totals(&self) -> Vec<OpeningTotal> {
        self.orders.opening().totals()
    }

    /// The end of the opening state, if it is closed.
    pub fn opening_close(&self) -> Option<&OpeningCloseRow> {
        self.orders.opening_close().get()
    }
}
