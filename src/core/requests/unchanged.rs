//! Logged commands that changed nothing: those that a rule rejected when they were applied, repeats of an
//! idempotency key, and no-ops.
//!
//! Admission refuses the first two before they are logged, so those lost a race between admission and
//! application. The list is small but bounded all the same: a ring of the newest [`UNCHANGED_MAX`], which
//! records the LSN from which on it is complete.

use crate::core::{
    requests::{
        command::{Applied, Outcome, Rejection},
        rows::UnchangedRow,
    },
    store::{
        column::{Scalar, freeze_fields},
        ring::Ring,
        rows::{Rows, SoFar, require},
        search::partition_point,
    },
};

/// The most commands remembered, 16 MiB of them; the oldest goes first. A client that deliberately races
/// against itself costs no more memory than this.
pub const UNCHANGED_MAX: usize = 1 << 20;

/// Why a logged command changed nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unchanged {
    /// A rule refused it when it was applied.
    Rejected(Rejection),
    /// An earlier command with the same idempotency key had done it.
    Repeat,
    /// A no-op: a status or role that the member already had, a bonus already paid, all pending ones where
    /// there were none.
    Already,
}

/// On disk, alongside the numbers of rejections.
const REPEAT: u16 = 0;
const ALREADY: u16 = u16::MAX;

impl Unchanged {
    /// Why the command at an LSN changed nothing, derived from its outcome; `None` if it changed something.
    pub(in crate::core) fn of(lsn: u64, applied: &Applied) -> Option<Self> {
        match applied.outcome {
            _ if applied.lsn != lsn => Some(Unchanged::Repeat),
            Outcome::Rejected(rejection) => Some(Unchanged::Rejected(rejection)),
            Outcome::EntryPaid { changed: false, .. }
            | Outcome::EntryChanged { changed: false, .. }
            | Outcome::AllPaid { entries: 0 }
            | Outcome::MatchingPaid { entries: 0, .. }
            | Outcome::StatusSet { changed: false, .. }
            | Outcome::RoleSet { changed: false, .. } => Some(Unchanged::Already),
            _ => None,
        }
    }

    /// The number on disk.
    pub(in crate::core) fn code(self) -> u16 {
        match self {
            Unchanged::Rejected(rejection) => rejection as u16,
            Unchanged::Repeat => REPEAT,
            Unchanged::Already => ALREADY,
        }
    }

    /// `None` for an unknown number.
    pub(in crate::core) fn from_code(code: u16) -> Option<Self> {
        match code {
            REPEAT => Some(Unchanged::Repeat),
            ALREADY => Some(Unchanged::Already),
            code => Rejection::from_repr(code).map(Unchanged::Rejected),
        }
    }

    /// The name for programs: a rejection's name, `repeat` or `already`.
    pub fn name(self) -> &'static str {
        match self {
            Unchanged::Rejected(rejection) => rejection.name(),
            Unchanged::Repeat => "repeat",
            Unchanged::Already => "already",
        }
    }
}

/// Rows, ascending by LSN.
pub(crate) struct UnchangedList {
    /// The LSN and the number of the reason.
    ring: Ring<[u64; 2], UNCHANGED_MAX>,
    /// All commands after this LSN that changed nothing are in the list.
    complete_after: Scalar<u64>,
}

freeze_fields!(UnchangedList { complete_after, ring });

impl Rows for UnchangedList {
    type Row = UnchangedRow;

    fn count(&self) -> usize {
        self.len()
    }

    fn row_at(&self, at: usize) -> UnchangedRow {
        self.row(at)
    }

    fn restore(&mut self, row: UnchangedRow, so_far: &SoFar) -> Result<(), String> {
        let wrong = |what: &str| format!("command {} that changed nothing: {what}", row.lsn);
        let before = self.ring.newest().map_or(self.complete_after(), |[newest, _]| *newest);
        require(before < row.lsn && row.lsn <= so_far.lsn, || wrong("out of order"))?;
        require(Unchanged::from_code(row.reason).is_some(), || wrong("no such reason"))?;
        self.push(row);
        Ok(())
    }
}

impl UnchangedList {
    pub fn new() -> Self {
        Self { ring: Ring::new(), complete_after: Scalar::new(0) }
    }

    pub fn len(&self) -> usize {
        self.ring.len()
    }

    pub fn complete_after(&self) -> u64 {
        *self.complete_after
    }

    pub fn set_complete_after(&mut self, lsn: u64) {
        *self.complete_after = lsn;
    }

    /// The `at`-th row, oldest first.
    pub fn row(&self, at: usize) -> UnchangedRow {
        let [lsn, reason] = *self.ring.get(at);
        UnchangedRow { lsn, reason: u16::try_from(reason).expect("it was one") }
    }

    /// Adds a row; LSNs ascend.
    pub fn push(&mut self, row: UnchangedRow) {
        debug_assert!(self.ring.newest().is_none_or(|[newest, _]| *newest < row.lsn));
        if let Some((_, [gone, _])) = self.ring.make_room() {
            *self.complete_after = gone;
        }
        self.ring.push([row.lsn, row.reason.into()]);
    }

    /// O(log rows).
    pub fn find(&self, lsn: u64) -> Option<Unchanged> {
        let at = partition_point(0..self.len(), |at| self.ring.get(at)[0] < lsn);
        let row = (at < self.len()).then(|| self.row(at)).filter(|row| row.lsn == lsn)?;
        Some(Unchanged::from_code(row.reason).expect("codes are checked where they enter"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::store::{
        column::{Freeze, ViewId},
        freeing::Freeing,
    };

    fn row(lsn: u64) -> UnchangedRow {
        UnchangedRow { lsn, reason: u16::from(lsn.is_multiple_of(2)) }
    }

    #[test]
    fn each_reason_has_a_number_and_a_name() {
        for (reason, name) in [
            (Unchanged::Rejected(Rejection::MemberExists), "member_exists"),
            (Unchanged::Repeat, "repeat"),
            (Unchanged::Already, "already"),
        ] {
            assert_eq!((Unchanged::from_code(reason.code()), reason.name()), (Some(reason), name));
        }
    }

    #[test]
    fn rows_are_found_by_lsn() {
        let mut list = UnchangedList::new();
        assert_eq!(list.find(1), None);
        (1..1_000).map(|number| row(number * 3)).for_each(|row| list.push(row));
        for lsn in 0..3_010 {
            let listed = lsn != 0 && lsn % 3 == 0 && lsn < 3_000;
            let kind =
                if lsn % 2 == 0 { Unchanged::Rejected(Rejection::MemberExists) } else { Unchanged::Repeat };
            assert_eq!(list.find(lsn), listed.then_some(kind), "{lsn}");
        }
    }

    #[test]
    fn the_list_is_bounded_and_says_where_it_is_complete() {
        let mut list = UnchangedList::new();
        (1..=UNCHANGED_MAX as u64 + 3).for_each(|lsn| list.push(row(lsn)));
        assert_eq!((list.len(), list.complete_after()), (UNCHANGED_MAX, 3));
        assert_eq!(list.find(3), None);
        assert!(list.find(4).is_some() && list.find(UNCHANGED_MAX as u64 + 3).is_some());
        assert!(list.row(0).lsn == 4 && list.row(UNCHANGED_MAX - 1).lsn == UNCHANGED_MAX as u64 + 3);
    }

    #[test]
    fn a_frozen_copy_is_the_list_as_it_was() {
        let mut list = UnchangedList::new();
        (1..=10).for_each(|lsn| list.push(row(lsn)));
        list.freeze(ViewId::FIRST);
        (11..=20).for_each(|lsn| list.push(row(lsn)));
        let mut copy = UnchangedList::new();
        while !list.copy_step(ViewId::FIRST, &mut copy) {}
        list.thaw(ViewId::FIRST, &mut Freeing::new());
        assert_eq!((copy.len(), copy.find(10).is_some(), copy.find(11)), (10, true, None));
        assert_eq!(list.len(), 20);
    }
}
