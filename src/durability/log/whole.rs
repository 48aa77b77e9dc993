//! Files read as a whole: no longer than a segment.

use std::path::Path;

use super::options::SEGMENT_BYTES_MAX;
use crate::durability::{
    error::{Error, Result},
    paths::open_listed,
    storage::{Access, Storage},
};

/// Reads a whole file into memory.
pub(crate) fn read_whole(storage: &dyn Storage, path: &Path) -> Result<Vec<u8>> {
    let file = open_listed(storage, path, Access::Read)?;
    let length = file.len().map_err(Error::io("look at", path))?;
    let length = usize::try_from(length).ok().filter(|length| *length as u64 <= SEGMENT_BYTES_MAX);
    let length = length.ok_or_else(|| {
        Error::damaged(path, 0, None, "it is longer than any segment", "nothing that could be read")
    })?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0).map_err(Error::io("read", path))?;
    Ok(bytes)
}
