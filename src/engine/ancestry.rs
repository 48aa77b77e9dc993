//! Whether a snapshot can be a later state of a network whose log does not reach to it.

use super::limits::SNAPSHOT_ROWS_MAX;
use crate::{
    core::{
        sections::{ImageRows, MemberRow},
        state::State,
    },
    durability::{Error, SnapshotReader},
};

/// Returns whether a snapshot holds all members of a state at their indexes: members are never removed and
/// never move. If it does not, it is of another history.
///
/// # Errors
/// `Damaged`, `Io`.
pub fn may_continue(state: &State, snapshot: &mut SnapshotReader) -> Result<bool, Error> {
    let mut own = state.image_rows(SNAPSHOT_ROWS_MAX).filter_map(members).flatten();
    while let Some(rows) = snapshot.next_rows()? {
        for row in members(rows).into_iter().flatten() {
            let Some(own) = own.next() else { return Ok(true) };
            if (own.id, own.joined_at) != (row.id, row.joined_at) {
                return Ok(false);
            }
        }
    }
    Ok(own.next().is_none())
}

fn members(rows: ImageRows) -> Option<Vec<MemberRow>> {
    match rows {
        ImageRows::Members(rows) => Some(rows),
        _ => None,
    }
}
