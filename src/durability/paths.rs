//! The names of the files in a data directory.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{
    error::{CONTENT, Error, Result},
    names,
    storage::{Access, Storage, StorageFile},
};

/// Paths of everything in one data directory.
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

    /// Locked while the directory is open.
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Records how far the log is durable.
    pub(crate) fn durable(&self) -> PathBuf {
        self.root.join("durable")
    }

    /// Records that the directory is being created; exists only until it is complete.
    pub(crate) fn creating(&self) -> PathBuf {
        self.root.join("creating")
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

    /// Records that the log is being cut; exists only meanwhile.
    pub(crate) fn cut(&self) -> PathBuf {
        self.log().join("cut")
    }

    pub(crate) fn segment(&self, number: u64) -> PathBuf {
        self.log().join(names::segment(number))
    }

    pub(crate) fn archived(&self, number: u64) -> PathBuf {
        self.archive().join(names::segment(number))
    }

    pub(crate) fn archived_snapshot(&self, lsn: u64) -> PathBuf {
        self.archive().join(names::snapshot(lsn))
    }

    pub(crate) fn snapshot(&self, lsn: u64) -> PathBuf {
        self.snapshots().join(names::snapshot(lsn))
    }

    /// The name under which a file is written before it gets its own.
    pub(crate) fn temporary(path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_os_string();
        name.push(TEMPORARY);
        name.into()
    }
}

/// Suffix of unfinished files. They are removed when the directory is opened, after checking that they are
/// what they claim.
pub(crate) const TEMPORARY: &str = ".tmp";

/// Opens a file whose name a listing has. Whatever is no regular file, such as a directory, a pipe or a link
/// to nothing, is damage.
///
/// # Errors
/// `Damaged`, `Io`.
pub(crate) fn open_listed(
    storage: &dyn Storage,
    path: &Path,
    access: Access,
) -> Result<Box<dyn StorageFile>> {
    storage.open(path, access).map_err(|error| {
        // A name that is gone was renamed meanwhile.
        if error.kind() == ErrorKind::NotFound && is_listed(storage, path) {
            return Error::damaged(path, 0, None, "it is a link to nothing", CONTENT);
        }
        Error::opening(path)(error)
    })
}

/// Returns whether a directory has this name, even if it is a link to nothing.
pub(crate) fn is_listed(storage: &dyn Storage, path: &Path) -> bool {
    let names = path.parent().and_then(|parent| storage.list(parent).ok()).unwrap_or_default();
    names.iter().any(|name| path.file_name().is_some_and(|own| own == name.as_str()))
}

/// Returns the names in a folder that every data directory has.
///
/// # Errors
/// `Damaged` if it is missing or no directory; `Io`.
pub(crate) fn names_in(storage: &dyn Storage, folder: &Path, lost: &str) -> Result<Vec<String>> {
    if !storage.is_dir(folder).map_err(Error::io("look at", folder))? {
        let reason = if is_listed(storage, folder) { "it is no directory" } else { "it is missing" };
        return Err(Error::damaged(folder, 0, None, reason, lost));
    }
    storage.list(folder).map_err(Error::io("list", folder))
}

/// Returns the names in the archive; none if it is missing, since tools that copy directories may omit empty
/// ones.
///
/// # Errors
/// `Damaged` if it is no directory; `Io`.
pub(crate) fn names_in_archive(storage: &dyn Storage, paths: &Paths) -> Result<Vec<String>> {
    match names_in(storage, &paths.archive(), "states of the past") {
        Err(Error::Damaged(_)) if !is_listed(storage, &paths.archive()) => Ok(Vec::new()),
        names => names,
    }
}

/// Renames a file to an unused name. An existing file with the same content, as a crash between two renames
/// may leave it, is replaced.
///
/// # Errors
/// `Io`, with `AlreadyExists` if the name belongs to a file with other content: nothing was changed then.
pub(crate) fn rename_to_free(storage: &dyn Storage, from: &Path, to: &Path) -> Result<()> {
    if storage.is_file(to).map_err(Error::io("look at", to))? && !are_equal(storage, from, to)? {
        return Err(Error::io("rename another file to", to)(ErrorKind::AlreadyExists.into()));
    }
    storage.rename(from, to).map_err(Error::io("rename", from))
}

/// Returns whether two files hold the same bytes. Reads them in pieces.
fn are_equal(storage: &dyn Storage, left: &Path, right: &Path) -> Result<bool> {
    /// Of each file at a time.
    const PIECE_BYTES: usize = 256 * 1_024;
    let open = |path: &Path| open_listed(storage, path, Access::Read);
    let (one, other) = (open(left)?, open(right)?);
    let bytes = one.len().map_err(Error::io("look at", left))?;
    if bytes != other.len().map_err(Error::io("look at", right))? {
        return Ok(false);
    }
    let (mut offset, mut first, mut second) = (0, vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    while offset < bytes {
        let length = usize::try_from(bytes - offset).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        one.read_exact_at(&mut first[..length], offset).map_err(Error::io("read", left))?;
        other.read_exact_at(&mut second[..length], offset).map_err(Error::io("read", right))?;
        if first[..length] != second[..length] {
            return Ok(false);
        }
        offset += length as u64;
    }
    Ok(true)
}
