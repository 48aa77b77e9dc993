//! The snapshots of one data directory: begin, publish, list, find the newest that verifies. `archive.rs`
//! handles older ones.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{container::Manifest, read::SnapshotReader};
use crate::durability::{
    error::{Damage, Error, Result},
    journal::{ChainAt, LogReader},
    leftovers, names,
    paths::{Paths, names_in, rename_to_free},
    storage::{Access, Storage},
};

/// Snapshots kept in use: the newest, and one to fall back to.
pub const SNAPSHOTS_KEPT: usize = 2;

/// Cheap to clone, usable from any thread. The caller ensures that only one snapshot is written at a time.
#[derive(Clone, Debug)]
pub struct SnapshotStore {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) paths: Paths,
    pub(crate) network: u32,
    pub(crate) instance: [u8; 16],
    /// The log, from which a snapshot's manifest gets its chain; `None` for the first snapshot of a
    /// directory, whose log begins after it, and where no snapshot is written.
    pub(crate) log: Option<Arc<dyn LogReader>>,
    /// The log, to know from which archived snapshots it continues; `None` if that is unknown: then none
    /// counts as useless.
    pub(crate) retained: Option<Arc<dyn LogReader>>,
}

/// A snapshot that was just published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Published {
    pub lsn: u64,
    pub bytes: u64,
    /// LSN of the oldest snapshot kept: the log up to it may be retired (`Journal::purge_prefix`).
    pub oldest_kept_lsn: u64,
}

/// The newest snapshot that verifies.
#[derive(Debug)]
pub(crate) struct Newest {
    pub reader: SnapshotReader,
    /// Newer ones that do not, newest first.
    pub damaged: Vec<Damage>,
}

impl SnapshotStore {
    /// Returns the LSNs of the snapshots, ascending.
    ///
    /// # Errors
    /// `Damaged` if their folder is missing; `Io`.
    pub fn list(&self) -> Result<Vec<u64>> {
        let directory = self.paths.snapshots();
        let names = names_in(&*self.storage, &directory, "everything before the log")?;
        let mut lsns: Vec<u64> = names.iter().filter_map(|name| names::snapshot_lsn(name)).collect();
        lsns.sort_unstable();
        Ok(lsns)
    }

    /// Returns LSN and size in bytes of the snapshots, ascending. Reads no content.
    ///
    /// # Errors
    /// `Io`.
    pub fn sizes(&self) -> Result<Vec<(u64, u64)>> {
        let mut sizes = Vec::new();
        for lsn in self.list()? {
            let path = self.paths.snapshot(lsn);
            match self.storage.open(&path, Access::Read).and_then(|file| file.len()) {
                Ok(bytes) => sizes.push((lsn, bytes)),
                // A newer one was published meanwhile, and this one was retired.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("open", &path)(error)),
            }
        }
        Ok(sizes)
    }

    /// Opens the snapshot at this LSN and verifies it completely.
    ///
    /// # Errors
    /// `Damaged`, `NewerFormat`, `Io`.
    pub fn open(&self, lsn: u64) -> Result<SnapshotReader> {
        SnapshotReader::open(self, lsn, self.paths.snapshot(lsn))
    }

    /// Checks that a snapshot belongs to the log's history: both must agree about the snapshot's LSN.
    /// Succeeds if the log is not known, or does not reach back so far. Reads a part of one segment.
    ///
    /// # Errors
    /// `Damaged` for a snapshot of another history of the same directory, such as that of a copy that
    /// diverged; as [`LogReader::chain_at`].
    pub(crate) fn check_history(&self, manifest: &Manifest, path: &Path) -> Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        let lsn = manifest.lsn;
        let found = match log.durable_lsn() {
            last if last < lsn => Err(last),
            _ => match log.chain_at(lsn) {
                Err(Error::BelowRetained { .. }) => return Ok(()),
                found => Ok(found?),
            },
        };
        of_another_history(manifest, found).map_or(Ok(()), |reason| {
            let lost = format!("this snapshot of LSN {lsn}, or the log that it is not of");
            Err(Error::damaged(path, 0, Some(lsn), reason, lost))
        })
    }

    /// Returns the newest snapshot that verifies.
    ///
    /// # Errors
    /// The first damage found if none does; `NewerFormat` and `Io` immediately.
    pub(crate) fn newest(&self) -> Result<Newest> {
        let mut damaged = Vec::new();
        for lsn in self.list()?.into_iter().rev() {
            match self.open(lsn) {
                Ok(reader) => return Ok(Newest { reader, damaged }),
                Err(Error::Damaged(damage)) => damaged.push(*damage),
                Err(error) => return Err(error),
            }
        }
        let directory = self.paths.snapshots();
        let first = damaged.into_iter().next();
        Err(first.map_or_else(
            || {
                let renamed = leftovers::renamed(&*self.storage, &directory);
                Error::damaged(&directory, 0, None, format!("there is no snapshot{renamed}"), "everything")
            },
            |mut damage| {
                damage.reason += ", and no older snapshot verifies";
                Error::Damaged(Box::new(damage))
            },
        ))
    }

    pub(super) fn publish(&self, temporary: &Path, lsn: u64, bytes: u64) -> Result<Published> {
        let directory = self.paths.snapshots();
        let path = self.paths.snapshot(lsn);
        self.rename_unless_there(lsn, temporary, &path)?;
        self.storage.sync_dir(&directory).map_err(Error::io("sync", &directory))?;
        // Only now may older ones be moved.
        let lsns = self.list()?;
        let kept = lsns.len().saturating_sub(SNAPSHOTS_KEPT);
        let oldest_kept_lsn = lsns.get(kept).copied().unwrap_or(lsn);
        self.retire(&lsns[..kept], oldest_kept_lsn)?;
        Ok(Published { lsn, bytes, oldest_kept_lsn })
    }

    /// Gives a snapshot its name, unless another one of its LSN and history has it: then this one is removed.
    /// Two such snapshots hold the same state, and may differ in how far the log was durable: an attempt that
    /// fails after publishing is repeated, at the same LSN if nothing was written meanwhile.
    ///
    /// # Errors
    /// `Io`, of kind `AlreadyExists` if anything else has the name.
    pub(super) fn rename_unless_there(&self, lsn: u64, from: &Path, to: &Path) -> Result<()> {
        match rename_to_free(&*self.storage, from, to) {
            Err(Error::Io { source, .. })
                if source.kind() == ErrorKind::AlreadyExists
                    && SnapshotReader::open(self, lsn, to.to_path_buf()).is_ok() =>
            {
                // The name may not be durable yet, and this file must not go before it is.
                let directory = to.parent().unwrap_or(to);
                self.storage.sync_dir(directory).map_err(Error::io("sync", directory))?;
                self.storage.remove(from).map_err(Error::io("remove", from))
            }
            renamed => renamed,
        }
    }

    /// Moves a damaged snapshot aside, so that it does not count as one of those kept. One that was set aside
    /// before stays.
    ///
    /// # Errors
    /// `Io`.
    pub fn set_aside(&self, lsn: u64) -> Result<()> {
        self.set_aside_file(&self.paths.snapshot(lsn))
    }

    pub(crate) fn set_aside_file(&self, damaged: &Path) -> Result<()> {
        let named = |number: u32| {
            let mut name = damaged.as_os_str().to_os_string();
            name.push(if number == 1 { ".damaged".to_owned() } else { format!(".damaged-{number}") });
            PathBuf::from(name)
        };
        let mut number = 1;
        while self.storage.is_file(&named(number)).map_err(Error::io("look at", &named(number)))? {
            number += 1;
        }
        self.storage.rename(damaged, &named(number)).map_err(Error::io("rename", damaged))?;
        let directory = damaged.parent().unwrap_or(damaged);
        self.storage.sync_dir(directory).map_err(Error::io("sync", directory))
    }
}

/// Returns why a snapshot does not belong to the history of a log that has this chain at its LSN, or ends
/// before it with the LSN given.
pub(crate) fn of_another_history(
    manifest: &Manifest,
    log: std::result::Result<ChainAt, u64>,
) -> Option<String> {
    let said = |chain: Option<u64>| chain.map_or_else(|| "none".into(), |chain| format!("{chain:016x}"));
    let differs = match log {
        Err(last) => format!("the log ends with LSN {last}"),
        Ok(ChainAt { chain, begins }) => {
            if chain == manifest.chain || begins && manifest.chain.is_none() {
                return None;
            }
            format!(
                "after LSN {} the log has the chain {}, the snapshot {}",
                manifest.lsn,
                said(chain),
                said(manifest.chain)
            )
        }
    };
    Some(format!(
        "it is a snapshot of another history of this directory, such as a copy has that went another way: \
         {differs}"
    ))
}
