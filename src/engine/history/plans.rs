//! The plan that was in force at an LSN.

use super::error::HistoryError;
use crate::core::{PlanVersion, state::State};

/// Returns the plan that was in force right after the command with this LSN, or is in force now. The state
/// knows it without the log.
///
/// # Errors
/// The LSN is yet to come, or the state knows only later plans.
pub fn plan_at(state: &State, at: Option<u64>) -> Result<&PlanVersion, HistoryError> {
    let (applied, versions) = (state.lsn(), state.plan_versions());
    let at = at.unwrap_or(applied);
    if applied < at {
        return Err(HistoryError::Ahead { applied });
    }
    versions.at(at).ok_or_else(|| HistoryError::BelowRetained { oldest: versions.list()[0].lsn })
}
