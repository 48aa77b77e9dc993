//! Shared by opening and history: builds a state from a snapshot and applies logged commands to it.

use super::{OpenError, OpenProgress};
use crate::{
    core::{
        Digest, Restore, both,
        command::{Command, Stamped},
        state::{Directory, State},
        state_digest, state_digest_of_format_1,
    },
    durability::{Group, SnapshotReader},
};

/// Called with the progress of opening.
pub(super) type Progress<'a> = &'a mut dyn FnMut(OpenProgress);

/// Builds the state of a snapshot with any directory, and verifies its digest. `share` is called after each
/// chunk: a past state shares memory with the present one.
pub(super) fn restore_into<D: Directory + Send>(
    mut snapshot: SnapshotReader,
    directory: &mut D,
    progress: Progress<'_>,
    share: &mut dyn FnMut(&mut Restore),
) -> Result<State, OpenError> {
    let header = snapshot.header().clone();
    let lsn = header.lsn;
    let broken = |reason| OpenError::Image { lsn, reason };
    let rows_total = header.rows.total();
    let mut rows_read = 0;
    let mut restore = Restore::new(header).map_err(broken)?;
    let mut batch = snapshot.next_batch()?;
    while !batch.is_empty() {
        rows_read += batch.iter().map(|rows| rows.len() as u64).sum::<u64>();
        let mut enter = || batch.drain(..).try_for_each(|rows| restore.push(directory, rows));
        // The next rows are read and decoded while these are entered.
        let (entered, next) = both(&mut enter, || snapshot.next_batch());
        entered.map_err(broken)?;
        batch = next?;
        share(&mut restore);
        progress(OpenProgress::Loading { rows: rows_read, rows_total });
    }
    progress(OpenProgress::Checking);
    let state = restore.finish().map_err(broken)?;
    let digest = if snapshot.manifest().version == 1 { state_digest_of_format_1 } else { state_digest };
    let (rebuilt, stored) = (digest(&state), Digest(snapshot.manifest().state_digest));
    if rebuilt != stored {
        return Err(OpenError::Digest { lsn, stored, rebuilt });
    }
    Ok(state)
}

/// Compares the outcome hash before a group with the recorded one, if any.
pub(super) fn check_outcomes(state: &State, group: &Group) -> Result<(), OpenError> {
    let computed = state.outcome_hash();
    match group.outcome_hash_before {
        Some(recorded) if recorded != computed => {
            Err(OpenError::OutcomeDiffers { lsn: state.lsn(), recorded, computed })
        }
        _ => Ok(()),
    }
}

/// Applies a command of the log.
pub(super) fn apply<D: Directory>(
    state: &mut State,
    directory: &mut D,
    stamped: &Stamped,
) -> Result<(), OpenError> {
    check_replayable(state, stamped)?;
    state.apply(directory, stamped);
    Ok(())
}

/// Checks the preconditions of `apply`, with an error instead of a panic: the log is input here.
fn check_replayable(state: &State, stamped: &Stamped) -> Result<(), OpenError> {
    if stamped.lsn != state.lsn() + 1 {
        return Err(OpenError::Gap { expected: state.lsn() + 1, found: stamped.lsn });
    }
    let refuse = |reason: String| Err(OpenError::Replay { lsn: stamped.lsn, reason });
    if stamped.time < state.time() {
        return refuse("its time lies before that of the command before".into());
    }
    if let Command::PutPlan(plan) = &stamped.command
        && let Err(errors) = plan.validate()
    {
        return refuse(format!("its plan is not valid: {}: {}", errors[0].field, errors[0].reason));
    }
    Ok(())
}
