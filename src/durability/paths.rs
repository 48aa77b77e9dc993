//! The names of the files in a data directory.

use std::path::{Path, PathBuf};

use super::{log, snapshot};

/// Where everything in one data directory is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Paths {
    root: PathBuf,
}

impl Paths {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn instance(&self) -> PathBuf {
        self.root.join("instance")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.root.join("archive")
    }

    pub(crate) fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    /// Says that the log is being cut; there only while it is.
    pub(crate) fn cut(&self) -> PathBuf {
        self.log().join("cut")
    }

    pub(crate) fn segment(&self, number: u64) -> PathBuf {
        self.log().join(log::segment::name_of(number))
    }

    pub(crate) fn archived(&self, number: u64) -> PathBuf {
        self.archive().join(log::segment::name_of(number))
    }

    pub(crate) fn archived_snapshot(&self, lsn: u64) -> PathBuf {
        self.archive().join(snapshot::name_of(lsn))
    }

    pub(crate) fn snapshot(&self, lsn: u64) -> PathBuf {
        self.snapshots().join(snapshot::name_of(lsn))
    }

    /// The name under which a file is written before it gets its own.
    pub(crate) fn temporary(path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_os_string();
        name.push(TEMPORARY);
        name.into()
    }
}

/// Suffix of files that are not finished. They are removed when the directory is opened.
pub(crate) const TEMPORARY: &str = ".tmp";
