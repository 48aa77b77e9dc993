//! The opening state: rows are added in order, then it is closed. Both are possible until a period of any
//! calendar is locked for the first time: from then on something may have been computed from it.

use crate::core::{
    orders::{opening::OpeningRow, opening_close::OpeningCloseRow},
    requests::{
        command::{AddOpening, CloseOpening, Outcome, Rejection},
        opening::OPENING_BATCH_MAX,
    },
    state::{
        parts::State,
        prepare::Aside,
        rules::{FormatRules, Rules, kinds},
    },
    store::rows::Rows,
    words::{directory::Directory, types::MemberIx},
};

/// Bytes of rows that are hashed at once.
const HASHED_BYTES: usize = 1 << 16;

impl Rules for kinds::AddOpening {
    type Content<'a> = &'a AddOpening;
    type Found = Vec<OpeningRow>;

    fn judge<D: Directory>(
        state: &State,
        directory: &D,
        add: Self::Content<'_>,
        _format: &FormatRules,
    ) -> Result<Self::Found, Rejection> {
        state.judge_opening_rows(directory, add)
    }

    fn act<D: Directory>(
        state: &mut State,
        _directory: &mut D,
        _add: Self::Content<'_>,
        found: Self::Found,
        _aside: &mut Aside,
    ) -> Outcome {
        let opening = state.orders.opening_mut();
        let narrow = |count: usize| u32::try_from(count).expect("limited by OPENING_ROWS_MAX");
        let first = narrow(opening.count());
        found.iter().for_each(|row| opening.push(row));
        Outcome::OpeningAdded { first, rows: narrow(found.len()) }
    }
}

impl Rules for kinds::CloseOpening {
    type Content<'a> = &'a CloseOpening;
    type Found = bool;

    fn judge<D: Directory>(
        state: &State,
        _directory: &D,
        close: Self::Content<'_>,
        _format: &FormatRules,
    ) -> Result<bool, Rejection> {
        state.judge_opening_close(close)
    }

    fn act<D: Directory>(
        state: &mut State,
        _directory: &mut D,
        close: Self::Content<'_>,
        changed: bool,
        _aside: &mut Aside,
    ) -> Outcome {
        if changed {
            let CloseOpening { rows, digest, by } = close;
            let (lsn, time) = (state.scalars.lsn, state.scalars.time);
            let (by_kind, by) = (by.kind() as u8, by.id().into());
            let row = OpeningCloseRow { lsn, time, rows: *rows, digest: *digest, by_kind, by };
            state.orders.opening_close_mut().set(row);
        }
        Outcome::OpeningClosed { rows: state.opening_len(), changed }
    }
}

impl State {
    /// Whether the opening state may still change.
    ///
    /// # Errors
    /// It is closed, or a period was locked.
    pub fn judge_opening(&self) -> Result<(), Rejection> {
        if self.opening_close().is_some() {
            return Err(Rejection::OpeningClosed);
        }
        if self.orders.periods().any_was_locked() { Err(Rejection::OpeningTooLate) } else { Ok(()) }
    }

    /// Whether rows of the opening state are there, and its end is not.
    pub(in crate::core) fn is_opening_unfinished(&self) -> bool {
        self.opening_len() != 0 && self.opening_close().is_none()
    }

    fn judge_opening_rows<D: Directory>(
        &self,
        directory: &D,
        add: &AddOpening,
    ) -> Result<Vec<OpeningRow>, Rejection> {
        self.judge_opening()?;
        if !(1..=OPENING_BATCH_MAX).contains(&add.rows.len()) {
            return Err(Rejection::OpeningMalformed);
        }
        let plan = self.plan();
        let calendars = plan.commerce.calendars.len();
        let mut rows = Vec::with_capacity(add.rows.len());
        for entry in &add.rows {
            let member = self.find(directory, &entry.member).ok_or(Rejection::MemberUnknown)?;
            if entry.fault(plan.currency.exponent).is_some() {
                return Err(Rejection::OpeningMalformed);
            }
            if entry.calendar.is_some_and(|calendar| calendars <= usize::from(calendar)) {
                return Err(Rejection::CalendarUnknown);
            }
            rows.push(OpeningRow::new(member, entry));
        }
        self.orders.opening().judge(&rows)?;
        Ok(rows)
    }

    /// Whether closing changes anything. O(rows), once in the life of a network.
    fn judge_opening_close(&self, close: &CloseOpening) -> Result<bool, Rejection> {
        let CloseOpening { rows, digest, by: _ } = close;
        if self.opening_close().is_some_and(|closed| closed.rows == *rows && closed.digest == *digest) {
            return Ok(false);
        }
        self.judge_opening()?;
        if u64::from(self.opening_len()) != *rows || self.opening_digest() != *digest {
            return Err(Rejection::OpeningMismatched);
        }
        Ok(true)
    }

    /// BLAKE3 of all rows of the opening state, in their order. O(rows).
    pub fn opening_digest(&self) -> [u8; 32] {
        let (opening, members) = (self.orders.opening(), self.network.members());
        let (mut hasher, mut bytes) = (blake3::Hasher::new(), Vec::with_capacity(2 * HASHED_BYTES));
        for row in (0..opening.count()).map(|at| opening.row_at(at)) {
            row.put_bytes(*members.id(MemberIx(row.member)), &mut bytes);
            if HASHED_BYTES <= bytes.len() {
                hasher.update(&bytes);
                bytes.clear();
            }
        }
        *hasher.update(&bytes).finalize().as_bytes()
    }
}
