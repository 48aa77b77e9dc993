//! Where the files of boundaries are.

use std::path::{Path, PathBuf};

pub(super) const FOLDER: &str = "network";
pub(super) const MEMBERS: &str = "members.parquet";
pub(super) const SUMS: &str = "members.sums";
pub(super) const MANIFEST: &str = "manifest.toml";

/// A boundary that a command named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KnownBoundary {
    pub lsn: u64,
    /// The hash of its manifest.
    pub hash: [u8; 32],
}

/// Paths of a boundary.
pub(super) struct Place {
    pub folder: PathBuf,
}

/// The LSN that a folder of a boundary is named after.
pub(super) fn parse_folder(name: &str) -> Option<u64> {
    name.parse().ok().filter(|lsn: &u64| format!("{lsn:020}") == name)
}

impl Place {
    pub fn new(root: &Path, lsn: u64) -> Self {
        Self { folder: root.join(FOLDER).join(format!("{lsn:020}")) }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}
