//! Snapshots of a log that was cut: the same rows, with a manifest that no longer requires the dropped
//! commands.

use std::path::Path;

use super::container::{MANIFEST_BYTES, Manifest, Parsed};
use crate::{
    core::sections::RowCounts,
    durability::{
        error::{Error, Result},
        storage::StorageFile,
    },
};

/// Rewrites the manifest of a copy of a snapshot, not yet in use, to say that the log was durable up to this
/// LSN when it was published.
///
/// # Errors
/// `Damaged` if the manifest does not verify, `Io`.
pub(crate) fn relabel(file: &dyn StorageFile, path: &Path, durable_lsn: u64) -> Result<()> {
    let length = file.len().map_err(Error::io("look at", path))?;
    let damaged = || Error::damaged(path, 0, None, "its manifest does not verify", "the snapshot");
    let at = length.checked_sub(MANIFEST_BYTES as u64).ok_or_else(damaged)?;
    let mut bytes = [0; MANIFEST_BYTES];
    file.read_exact_at(&mut bytes, at).map_err(Error::io("read", path))?;
    // The file's header keeps the counts that it has.
    let Parsed::Good(manifest) = Manifest::parse(&bytes, &RowCounts::default()) else {
        return Err(damaged());
    };
    let manifest = Manifest { durable_lsn, ..manifest };
    file.write_all_at(&manifest.encode(), at).map_err(Error::io("write", path))?;
    file.sync_all().map_err(Error::io("sync", path))
}
