//! What can go wrong with bytes, as distinct kinds: callers give each its own exit code and never look at
//! message text.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::codec::{DecodeError, EncodeError};

/// Result of everything in this layer.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a data directory cannot be opened, or a log or snapshot not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process (or another `DataDir` of this one) has the directory open.
    #[error("{} is in use by another process", path.display())]
    Locked { path: PathBuf },
    /// The path is no data directory: missing, no directory, or something else's.
    #[error("{} is not an upline data directory: {reason}", path.display())]
    NotADataDirectory { path: PathBuf, reason: String },
    /// A creation stopped half-way; nothing was ever served from here, and `create` starts afresh.
    #[error("{} holds a creation that was never finished; create it again", path.display())]
    Unfinished { path: PathBuf },
    /// A directory with a log or snapshots that has no file `instance`. Nothing was changed.
    #[error("{} has no file `instance`, and holds {holds}. Nothing was changed: {advice}", path.display())]
    InstanceLost { path: PathBuf, holds: String, advice: String },
    /// `create` was asked for a directory that holds something already.
    #[error("{} cannot be created: {reason}", path.display())]
    NotEmpty { path: PathBuf, reason: String },
    /// Written by a newer release.
    #[error("{} has format version {found}; this release reads up to {supported}", path.display())]
    NewerFormat { path: PathBuf, found: u32, supported: u32 },
    /// Bytes that were written are not what is there. Nothing was changed.
    #[error("{0}")]
    Damaged(Box<Damage>),
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io { path: PathBuf, action: &'static str, source: io::Error },
    /// An earlier write or sync of this log failed, and nobody knows what is on disk. Only a restart, which
    /// looks, helps.
    #[error("the log is closed for writing since an earlier failure: {first}")]
    PreviousIo { first: Arc<str> },
    /// The active segment is full, and the next one cannot be made at present. Nothing was written; it is
    /// being tried again.
    #[error("the log is full until segment {number} can be made: {why}")]
    NoNextSegment { number: u64, why: Arc<str> },
    /// The opened log takes no writes.
    #[error("the data directory was opened for reading only")]
    ReadOnly,
    /// A group whose frame would not fit. Nothing was written.
    #[error("a group of {bytes} bytes is over the limit of {limit}")]
    GroupTooLarge { bytes: usize, limit: usize },
    /// A command that has no form on disk. Nothing was written.
    #[error("a command cannot be stored: {0}")]
    Unstorable(#[from] EncodeError),
    /// The LSN asked for or given is not where the log stands. Nothing was written.
    #[error("LSN {found} where the log stands at {expected}")]
    OutOfOrder { expected: u64, found: u64 },
    /// The log does not reach back that far.
    #[error("the log is kept from LSN {oldest} on")]
    BelowRetained { oldest: u64 },
    /// As many read the log already as may.
    #[error("{most} readers of the log are busy, and there may be no more")]
    TooManyReaders { most: usize },
    /// The log must not be cut below what a snapshot holds.
    #[error("the log cannot be cut after LSN {after}: a snapshot holds commands up to {floor}")]
    BelowSnapshot { after: u64, floor: u64 },
    /// What was pushed to a snapshot is not what its header announced.
    #[error("a snapshot cannot be written: {0}")]
    BadImage(String),
}

/// Where damage was found, and what it would cost to go on without the bytes from there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    pub file: PathBuf,
    /// Byte offset in the file.
    pub offset: u64,
    /// First LSN that is not readable any more, where that is known.
    pub lsn: Option<u64>,
    pub reason: String,
    /// What would be lost.
    pub lost: String,
}

impl Damage {
    /// The data directory that the file belongs to, by the places that files have.
    pub fn data_dir(&self) -> Option<&Path> {
        let (name, parent) = (self.file.file_name()?, self.file.parent()?);
        let is_part = |path: &Path| {
            path.file_name()
                .is_some_and(|name| ["log", "archive", "snapshots"].iter().any(|part| name == *part))
        };
        match (is_part(parent), name == "instance" || is_part(&self.file)) {
            (true, _) => parent.parent(),
            (false, true) => Some(parent),
            (false, false) => None,
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} is damaged at byte {}", self.file.display(), self.offset)?;
        if let Some(lsn) = self.lsn {
            write!(out, " (LSN {lsn})")?;
        }
        write!(out, ": {}. Would be lost: {}", self.reason, self.lost)
    }
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { path: path.to_path_buf(), action, source }
    }

    pub(crate) fn damaged(
        file: &Path,
        offset: u64,
        lsn: Option<u64>,
        reason: impl Into<String>,
        lost: impl Into<String>,
    ) -> Error {
        Error::Damaged(Box::new(Damage {
            file: file.to_path_buf(),
            offset,
            lsn,
            reason: reason.into(),
            lost: lost.into(),
        }))
    }

    /// A record that does not decode although its checksum is right.
    pub(crate) fn record(file: &Path, offset: u64, lsn: u64, error: DecodeError) -> Error {
        Error::damaged(
            file,
            offset,
            Some(lsn),
            format!("a record does not decode: {error}"),
            format!("commands from LSN {lsn} on"),
        )
    }
}
