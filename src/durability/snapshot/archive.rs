//! Snapshots no longer needed for serving, but for reading past states: these are rebuilt from a snapshot and
//! the log after it.
//!
//! A retired snapshot moves to `archive/`. There the oldest one from which the retained log continues stays
//! as the *base* of everything that can be rebuilt, along with a bounded number of others, spread over the
//! retained log, so that replay to any LSN stays short. Those below the retained log are useless and deleted.
//! Serving needs none of this: damage here is reported and refuses nothing.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{SnapshotReader, SnapshotStore};
use crate::durability::{
    error::{Damage, Error, Result},
    names,
    paths::{Paths, names_in_archive},
    storage::Storage,
};

/// Limit on archived snapshots, the base included. Each is as large as a snapshot in use, so this bounds the
/// space for history; eight of them, spread evenly, leave at most some quarter of the retained log between
/// two.
pub const ARCHIVED_SNAPSHOTS_MAX: usize = 8;

/// Attempts to find a snapshot that moved to the archive, or was thinned out, between listing and opening.
/// Two such moves in a row need two whole snapshots to be written meanwhile.
const TRIES_MAX: usize = 3;

impl SnapshotStore {
    /// Returns the LSNs of the archived snapshots, ascending.
    ///
    /// # Errors
    /// `Io`.
    pub fn list_archived(&self) -> Result<Vec<u64>> {
        let names = names_in_archive(&*self.storage, &self.paths)?;
        let mut lsns: Vec<u64> = names.iter().filter_map(|name| names::snapshot_lsn(name)).collect();
        lsns.sort_unstable();
        Ok(lsns)
    }

    /// Returns the LSNs of all snapshots from which the readable log continues, ascending: states from the
    /// first of them on can be rebuilt. Others are left out, since nothing can prove that they belong to the
    /// log's history.
    ///
    /// # Errors
    /// `Io`.
    pub fn bases(&self) -> Result<Vec<u64>> {
        let oldest = self.log.as_ref().map_or_else(|| self.oldest_log_lsn(), |log| log.oldest_lsn());
        let mut lsns = self.list_archived()?;
        lsns.extend(self.list()?);
        lsns.sort_unstable();
        lsns.dedup();
        lsns.retain(|lsn| is_useful(*lsn, oldest));
        Ok(lsns)
    }

    /// Returns the newest snapshot at or below `lsn` that verifies and from which the retained log continues.
    /// A damaged one is skipped in favor of an older one: replay takes longer, and yields the same state.
    ///
    /// # Errors
    /// `BelowRetained` naming the oldest LSN whose state can be rebuilt; the first damage if all bases are
    /// damaged; `NewerFormat`, `Io`.
    pub fn base_of(&self, lsn: u64) -> Result<SnapshotReader> {
        let mut last = None;
        for _ in 0..TRIES_MAX {
            match self.newest_base(lsn) {
                Err(Error::Io { source, path, action }) if source.kind() == ErrorKind::NotFound => {
                    last = Some(Error::Io { path, action, source });
                }
                decided => return decided,
            }
        }
        Err(last.expect("it was tried"))
    }

    /// Opens the snapshot in this file and verifies all of it.
    pub(crate) fn open_at(&self, lsn: u64, path: PathBuf) -> Result<SnapshotReader> {
        SnapshotReader::open(self, lsn, path)
    }

    fn newest_base(&self, lsn: u64) -> Result<SnapshotReader> {
        let bases = self.bases()?;
        let mut damaged = None;
        for base in bases.iter().copied().filter(|base| *base <= lsn).rev() {
            match self.open_anywhere(base) {
                Err(error @ Error::Damaged(_)) => damaged = damaged.or(Some(error)),
                decided => return decided,
            }
        }
        let oldest = bases.into_iter().find(|base| lsn < *base).unwrap_or(lsn.saturating_add(1));
        Err(damaged.unwrap_or(Error::BelowRetained { oldest }))
    }

    fn open_anywhere(&self, lsn: u64) -> Result<SnapshotReader> {
        match self.open(lsn) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                SnapshotReader::open(self, lsn, self.paths.archived_snapshot(lsn))
            }
            result => result,
        }
    }

    /// Reads and verifies the snapshots in use that are older than `newest`, one at a time and a chunk at a
    /// time. O(their bytes).
    ///
    /// # Errors
    /// `Io` if they cannot be listed.
    pub fn verify_older(&self, newest: u64) -> Result<Vec<Damage>> {
        let lsns =
            self.list()?.into_iter().filter(|lsn| *lsn < newest).map(|lsn| (lsn, self.paths.snapshot(lsn)));
        let lost = "a snapshot to fall back to";
        Ok(lsns
            .filter_map(|(lsn, file)| {
                damage_in(lsn, &file, lost, SnapshotReader::open(self, lsn, file.clone()).map(drop))
            })
            .collect())
    }

    /// Reads and verifies all archived snapshots, one at a time and a chunk at a time. O(their bytes).
    ///
    /// # Errors
    /// `Io` if the archive cannot be listed.
    pub fn verify_archived(&self) -> Result<Vec<Damage>> {
        self.each_archived(|lsn, path| SnapshotReader::open(self, lsn, path).map(|_| ()))
    }

    /// Checks the first and last bytes of all archived snapshots: cheap enough for every opening.
    pub(crate) fn survey_archived(&self) -> Result<Vec<Damage>> {
        self.each_archived(|lsn, path| SnapshotReader::fixed_parts(self, lsn, path).map(|_| ()))
    }

    fn each_archived(&self, check: impl Fn(u64, PathBuf) -> Result<()>) -> Result<Vec<Damage>> {
        let files = self.list_archived()?.into_iter().map(|lsn| (lsn, self.paths.archived_snapshot(lsn)));
        let lost = "a base from which states of the past are rebuilt";
        Ok(files.filter_map(|(lsn, file)| damage_in(lsn, &file, lost, check(lsn, file.clone()))).collect())
    }

    /// Moves retired snapshots to the archive, and thins it out. It may crash at any point and be repeated:
    /// what was not moved is moved after the next snapshot.
    pub(super) fn retire(&self, retired: &[u64], oldest_kept: u64) -> Result<()> {
        let archive = self.paths.archive();
        if !retired.is_empty() {
            self.storage.create_dir(&archive).map_err(Error::io("create", &archive))?;
            for lsn in retired {
                self.move_to_archive(*lsn)?;
            }
            // Sync the new names first: a snapshot in both places is harmless, one in neither is lost.
            for directory in [self.paths.root().to_path_buf(), archive.clone(), self.paths.snapshots()] {
                self.storage.sync_dir(&directory).map_err(Error::io("sync", &directory))?;
            }
        }
        let superfluous = superfluous(&self.list_archived()?, self.oldest_log_lsn(), oldest_kept);
        for lsn in &superfluous {
            let path = self.paths.archived_snapshot(*lsn);
            self.storage.remove(&path).map_err(Error::io("remove", &path))?;
        }
        if !superfluous.is_empty() {
            self.storage.sync_dir(&archive).map_err(Error::io("sync", &archive))?;
        }
        Ok(())
    }

    /// Moves a snapshot to the archive. A file there that has its name and is no such snapshot is set aside:
    /// nothing in the archive may keep snapshots from being made.
    fn move_to_archive(&self, lsn: u64) -> Result<()> {
        let (from, to) = (self.paths.snapshot(lsn), self.paths.archived_snapshot(lsn));
        match self.rename_unless_there(lsn, &from, &to) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::AlreadyExists => {
                self.set_aside_file(&to)?;
                self.rename_unless_there(lsn, &from, &to)
            }
            moved => moved,
        }
    }

    /// Returns the first LSN of the retained log; 0 if unknown, so that nothing counts as useless.
    fn oldest_log_lsn(&self) -> u64 {
        self.retained.as_ref().map_or(0, |log| log.oldest_lsn())
    }
}

/// Returns whether the log continues from a snapshot at `lsn`.
fn is_useful(lsn: u64, oldest_log_lsn: u64) -> bool {
    oldest_log_lsn <= lsn.saturating_add(1)
}

/// Returns which of the archived snapshots (ascending) to delete: those below the retained log, and, while
/// there are too many, the one whose removal leaves the smallest gap, but never the base.
fn superfluous(archived: &[u64], oldest_log_lsn: u64, oldest_kept: u64) -> Vec<u64> {
    let (mut kept, mut going): (Vec<u64>, Vec<u64>) =
        archived.iter().partition(|lsn| is_useful(**lsn, oldest_log_lsn));
    while ARCHIVED_SNAPSHOTS_MAX < kept.len() {
        let gap = |at: &usize| kept.get(at + 1).copied().unwrap_or(oldest_kept).saturating_sub(kept[at - 1]);
        let Some(at) = (1..kept.len()).min_by_key(gap) else { break };
        going.push(kept.remove(at));
    }
    going
}

/// Durably removes the archived snapshots from which a log that begins with `first_lsn` does not continue.
/// This precedes the removal of the segments that they need, so that a snapshot without its segments proves
/// that segments were lost.
///
/// # Errors
/// `Io`.
pub(crate) fn drop_bases_below(storage: &dyn Storage, paths: &Paths, first_lsn: u64) -> Result<()> {
    let archive = paths.archive();
    let names = storage.list(&archive).map_err(Error::io("list", &archive))?;
    let mut removed = false;
    for lsn in
        names.iter().filter_map(|name| names::snapshot_lsn(name)).filter(|lsn| !is_useful(*lsn, first_lsn))
    {
        let path = paths.archived_snapshot(lsn);
        storage.remove(&path).map_err(Error::io("remove", &path))?;
        removed = true;
    }
    if removed {
        storage.sync_dir(&archive).map_err(Error::io("sync", &archive))?;
    }
    Ok(())
}

/// Returns whether a snapshot has an LSN in this range, in the archive or among those kept.
///
/// # Errors
/// `Io`.
pub(crate) fn has_base(storage: &dyn Storage, paths: &Paths, [from, to]: [u64; 2]) -> Result<bool> {
    for folder in [paths.archive(), paths.snapshots()] {
        let names = storage.list(&folder).map_err(Error::io("list", &folder))?;
        if names.iter().filter_map(|name| names::snapshot_lsn(name)).any(|lsn| (from..=to).contains(&lsn)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns what is wrong with a snapshot. A snapshot that serving does not need never prevents serving,
/// whatever makes it unreadable.
fn damage_in(lsn: u64, file: &Path, lost: &str, checked: Result<()>) -> Option<Damage> {
    match checked {
        Ok(()) => None,
        Err(Error::Damaged(damage)) => Some(*damage),
        Err(error) => Some(Damage {
            file: file.to_path_buf(),
            offset: 0,
            lsn: Some(lsn),
            reason: error.to_string(),
            lost: lost.into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_stays_and_what_the_log_does_not_reach_goes() {
        // archived, first LSN of the log, oldest kept in use, what is deleted
        let table: [(&[u64], u64, u64, &[u64]); 7] = [
            (&[], 1, 0, &[]),
            (&[0], 1, 100, &[]),
            // LSN 1 is gone, so nothing continues from LSN 0.
            (&[0, 50], 2, 100, &[0]),
            (&[0, 50], 51, 100, &[0]),
            (&[0, 50], 52, 100, &[0, 50]),
            (&[0, 10, 20, 30, 40, 50, 60, 61, 70], 1, 80, &[61]),
            (&[0, 1, 20, 30, 40, 50, 60, 70, 80], 1, 90, &[1]),
        ];
        for (archived, oldest, kept, expected) in table {
            assert_eq!(superfluous(archived, oldest, kept), expected, "{archived:?} {oldest} {kept}");
        }
    }

    /// However many snapshots are taken, at whatever distance, those kept leave no gap of more than 2.5 times
    /// an even share.
    #[test]
    fn the_gaps_stay_bounded() {
        for pattern in [[1_000, 1_000, 1_000], [1_000, 10, 3_000], [1, 2_000, 2_000]] {
            let (mut kept, mut newest) = (vec![0], 0);
            for step in pattern.iter().cycle().take(2_000) {
                newest += step;
                let going = superfluous(&kept, 1, newest);
                kept.retain(|lsn| !going.contains(lsn));
                let gaps =
                    kept.iter().zip(kept.iter().skip(1).chain([&newest])).map(|(low, high)| high - low);
                let largest = gaps.max().unwrap();
                let even = newest / kept.len() as u64;
                assert!(kept[0] == 0 && kept.len() <= ARCHIVED_SNAPSHOTS_MAX);
                assert!(largest <= (even * 5 / 2).max(3_000), "{largest} of {newest}: {kept:?}");
                kept.push(newest);
            }
        }
    }
}
