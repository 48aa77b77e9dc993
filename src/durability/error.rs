//! Errors of this layer, as distinct kinds: callers give each its own exit code and never look at message
//! text.

use std::{
    fmt,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::io::Errno;

use super::codec::{DecodeError, EncodeError};

/// The result type of this layer.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a data directory cannot be opened, or a log or snapshot cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process (or another `DataDir` of this one) has the directory open.
    #[error("{} is in use by another process", path.display())]
    Locked { path: PathBuf },
    /// The path is no data directory: missing, not a directory, or something else's.
    #[error("{} is not an upline data directory: {reason}", path.display())]
    NotADataDirectory { path: PathBuf, reason: String },
    /// A creation stopped halfway; nothing was ever served from here, and `create` starts over.
    #[error("{} holds a creation that was never finished; create it again", path.display())]
    Unfinished { path: PathBuf },
    /// A directory with a log or snapshots but no `instance` file. Nothing was changed.
    #[error("{} has no file `instance`, and holds {holds}. Nothing was changed: {advice}", path.display())]
    InstanceLost { path: PathBuf, holds: String, advice: String },
    /// `create` was called on a directory that is not empty.
    #[error("{} cannot be created: {reason}", path.display())]
    NotEmpty { path: PathBuf, reason: String },
    /// Written by a newer release.
    #[error("{} has format version {found}; this release reads up to {supported}", path.display())]
    NewerFormat { path: PathBuf, found: u32, supported: u32 },
    /// Bytes differ from what was written. Nothing was changed.
    #[error("{0}")]
    Damaged(Box<Damage>),
    /// The operating system reported an error.
    #[error("cannot {action} {}: {source}", path.display())]
    Io { path: PathBuf, action: &'static str, source: io::Error },
    /// An earlier write or sync of this log failed, and it is unknown what is on disk. Only a restart, which
    /// checks, helps.
    #[error("the log is closed for writing since an earlier failure: {first}")]
    PreviousIo { first: Arc<str> },
    /// The log is full, and cannot make what it needs to go on at present. Nothing was written; making it is
    /// being retried.
    #[error("the log is full until {needs} can be made: {why}")]
    NoRoom { needs: Arc<str>, why: Arc<str> },
    /// The log was opened read-only.
    #[error("the data directory was opened for reading only")]
    ReadOnly,
    /// A group too large for a frame. Nothing was written.
    #[error("a group of {bytes} bytes is over the limit of {limit}")]
    GroupTooLarge { bytes: usize, limit: usize },
    /// A command that has no form on disk. Nothing was written.
    #[error("a command cannot be stored: {0}")]
    Unstorable(#[from] EncodeError),
    /// The LSN asked for or given does not continue the log. Nothing was written.
    #[error("LSN {found} where the log stands at {expected}")]
    OutOfOrder { expected: u64, found: u64 },
    /// The log does not reach back that far.
    #[error("the log is kept from LSN {oldest} on")]
    BelowRetained { oldest: u64 },
    /// The limit on concurrent log readers is reached.
    #[error("{most} readers of the log are busy, and there may be no more")]
    TooManyReaders { most: usize },
    /// What was pushed to a snapshot differs from what its header announced.
    #[error("a snapshot cannot be written: {0}")]
    BadImage(String),
    /// What was given to a seal has no form in its files.
    #[error("orders cannot be sealed: {0}")]
    BadSeal(String),
}

/// Folders of a data directory that have files in them.
const FOLDERS: [&str; 4] = ["log", "archive", "snapshots", "order-ids"];
/// Those that have folders of files in them.
const DEEP_FOLDERS: [&str; 2] = ["orders", "network"];

/// Where damage was found, and what dropping everything from there would cost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    pub file: PathBuf,
    /// Byte offset in the file.
    pub offset: u64,
    /// First LSN that is no longer readable, where known.
    pub lsn: Option<u64>,
    pub reason: String,
    /// What would be lost.
    pub lost: String,
}

impl Damage {
    /// Returns the data directory that the file belongs to, judged by its path.
    pub fn data_dir(&self) -> Option<&Path> {
        let (file, parent) = (&*self.file, self.file.parent()?);
        let has_name = |path: &Path, names: &[&str]| {
            path.file_name().is_some_and(|name| names.iter().any(|part| name == *part))
        };
        if has_name(parent, &FOLDERS) {
            return parent.parent();
        }
        if parent.parent().is_some_and(|above| has_name(above, &DEEP_FOLDERS)) {
            return parent.parent()?.parent();
        }
        let is_part =
            has_name(file, &["instance"]) || has_name(file, &FOLDERS) || has_name(file, &DEEP_FOLDERS);
        is_part.then_some(parent)
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

/// What is lost with a file of which nothing else is known.
pub(crate) const CONTENT: &str = "what this file holds";

fn is_no_file(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::IsADirectory | ErrorKind::Unsupported)
        || error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

/// Returns whether an error of a read says that the bytes on the disk are lost or altered: a bad sector
/// (`EIO`), or a checksum of the file system or the device (`EUCLEAN`, `EBADMSG`, `ENODATA`, `EILSEQ`).
fn is_lost(error: &io::Error) -> bool {
    const LOST: &[Errno] = &[
        Errno::IO,
        Errno::BADMSG,
        Errno::ILSEQ,
        #[cfg(target_os = "linux")]
        Errno::UCLEAN,
        #[cfg(target_os = "linux")]
        Errno::NODATA,
    ];
    error.raw_os_error().is_some_and(|found| LOST.iter().any(|errno| errno.raw_os_error() == found))
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { path: path.to_path_buf(), action, source }
    }

    /// For opening a file: anything but a regular file is damage.
    pub(crate) fn opening(path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| {
            if is_no_file(&source) { Error::unusable(path, &source) } else { Error::io("open", path)(source) }
        }
    }

    /// For reading a file that something else makes up for: bytes that the disk cannot read are damage. Any
    /// other error may pass, such as too few descriptors or too little memory.
    pub(crate) fn reading(path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| {
            if is_lost(&source) { Error::unusable(path, &source) } else { Error::io("read", path)(source) }
        }
    }

    fn unusable(path: &Path, source: &io::Error) -> Error {
        Error::damaged(path, 0, None, format!("it cannot be read: {source}"), CONTENT)
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
