//! The network at the end of a period, as files: a sealed period can be explained when the log before it is
//! gone.

use super::{named::boundary_of, seal::SealError, write::complete_boundary};
use crate::{
    core::{command::PeriodRef, state::State, types::Timestamp},
    durability::sealed::network::{self, Boundary, KnownBoundary},
    engine::{HistoryError, handle::Engine},
};

impl Engine {
    /// Writes the network at the end of a period, or finds it where another period ended at that moment.
    /// `view` knows the attributes of members as they were corrected. O(members), and a past state.
    ///
    /// Where the log does not reach back to the end of the period, as after an import, it is the oldest
    /// network that is known, with all its members: else such a period, and all later ones, could never be
    /// sealed.
    ///
    /// # Errors
    /// The past cannot be read, or the disk fails.
    pub(super) fn write_boundary(&self, view: &State, period: PeriodRef) -> Result<KnownBoundary, SealError> {
        let end = view.period(period).map_or(Timestamp(0), |row| row.end);
        // Statuses and attributes of that instant hold at it; who joined at it belongs to the next period.
        let oldest = self.oldest_state_lsn()?;
        let lsn = self.lsn_from(end, oldest)?;
        let before = self.lsn_from(Timestamp(end.0.saturating_sub(1)), oldest)?;
        if let Some(seal) = view.seals().iter().find(|seal| seal.boundary == lsn) {
            return Ok(boundary_of(seal));
        }
        let members = if before == lsn { None } else { Some(self.state_at(before)?.len()) };
        let past = self.state_at(lsn)?;
        let members = members.unwrap_or_else(|| past.len());
        let files = &self.inner.shared.sealed;
        let base = view.seals().last().map(boundary_of);
        let base = base.map(|last| network::full(&files.storage, &files.root, last)).transpose()?;
        let boundary = Boundary { lsn, members, base };
        let complete = complete_boundary(&files.storage, &files.root, boundary, [&past, view], end)?;
        Ok(KnownBoundary { lsn, hash: complete.publish()?.own_hash() })
    }

    /// The newest LSN at a moment, and no earlier one than `oldest`.
    fn lsn_from(&self, time: Timestamp, oldest: u64) -> Result<u64, HistoryError> {
        match self.lsn_at(time) {
            Ok(lsn) => Ok(lsn.max(oldest)),
            Err(HistoryError::BelowRetained { .. }) => Ok(oldest),
            Err(error) => Err(error),
        }
    }
}
