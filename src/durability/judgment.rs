//! The judgment of a directory: what opening it finds, and what is wrong with its past.

use std::sync::Arc;

use super::{
    error::{Damage, Error, Result},
    instance::Instance,
    journal::{Group, LogReader},
    log::LogOptions,
    paths::Paths,
    recovery::{Report, Verified, verify},
    snapshot::SnapshotStore,
    storage::Storage,
};

/// A directory that opens, as it is found.
#[derive(Debug)]
pub(super) struct Judgment {
    pub report: Report,
    /// What is wrong nevertheless: a snapshot that is not usable, and what [`past`] finds.
    pub findings: Vec<Damage>,
}

/// Judges a directory whose locks are held: returns what opening finds, or why it refuses. Opening, `verify`
/// and `repair` say the same of a directory since all of them ask here or, to go on with it, `open`.
///
/// # Errors
/// All others of an opening.
pub(super) fn judge(
    storage: &Arc<dyn Storage>,
    paths: &Paths,
    instance: &Instance,
) -> Result<std::result::Result<Judgment, Damage>> {
    match verify(storage, paths, instance, LogOptions::default()) {
        Ok(Verified { report, snapshots, view, .. }) => {
            let mut findings = report.damaged_snapshots.clone();
            findings.extend(past(&report, &snapshots, &view)?.into_iter().map(|(_, damage)| damage));
            Ok(Ok(Judgment { report, findings }))
        }
        Err(Error::Damaged(damage)) => Ok(Err(*damage)),
        Err(error) => Err(error),
    }
}

/// Reads everything that an opened directory holds of the past: the older snapshot, archived snapshots and
/// the archived log. Returns what is wrong, with a few words that say where. None of it is needed to serve.
///
/// # Errors
/// `Io` if a folder cannot be listed.
pub fn past(
    report: &Report,
    snapshots: &SnapshotStore,
    log: &dyn LogReader,
) -> Result<Vec<(&'static str, Damage)>> {
    let history = report.history_damage.iter().cloned();
    let mut found: Vec<_> =
        history.map(|damage| ("the log does not go back as far as it should", damage)).collect();
    let older = snapshots.verify_older(report.snapshot_lsn)?;
    found.extend(older.into_iter().map(|damage| ("the older snapshot", damage)));
    let archived = snapshots.verify_archived()?;
    found.extend(archived.into_iter().map(|damage| ("the archive", damage)));
    found.extend(archived_log(report, snapshots, log).map(|damage| ("the archive", damage)));
    Ok(found)
}

/// Reads the archived log, and returns what is wrong with it.
fn archived_log(report: &Report, snapshots: &SnapshotStore, log: &dyn LogReader) -> Option<Damage> {
    let (oldest, live_from) = (log.oldest_lsn(), report.log_first_lsn);
    if live_from <= oldest {
        return None;
    }
    let read = || {
        let (mut reader, mut group) = (log.read_range(oldest, live_from - 1)?, Group::default());
        while reader.next_into(&mut group)? {}
        Ok(())
    };
    match read() {
        Ok(()) => None,
        Err(Error::Damaged(damage)) => Some(*damage),
        Err(error) => Some(Damage {
            file: snapshots.paths.archive(),
            offset: 0,
            lsn: Some(oldest),
            reason: error.to_string(),
            lost: "commands of the past".into(),
        }),
    }
}
