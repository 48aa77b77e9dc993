//! The manifest of a boundary, in the form of that of a seal.

use std::{fmt::Write, path::Path, sync::Arc};

use super::super::{
    file::{LOST, Unfinished, read_small},
    manifest::{Lines, hex},
};
use crate::durability::{
    error::{Error, Result},
    storage::Storage,
};

const FORMAT: u32 = 1;
const TITLE: &str = "# upline: the network at a boundary";
const BYTES_MAX: u64 = 1 << 16;
/// The manifest of a boundary.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BoundaryManifest {
    /// The LSN of the state.
    pub lsn: u64,
    pub members: u32,
    /// The rows of its file.
    pub rows: u64,
    /// The full boundary that it is a difference against, and the hash of its manifest; `None` if it is full.
    pub base: Option<(u64, [u8; 32])>,
    /// Length and hash of `members.parquet`.
    pub bytes: u64,
    pub hash: [u8; 32],
    /// Length and hash of `members.sums`.
    pub sums_bytes: u64,
    pub sums_hash: [u8; 32],
    /// The BLAKE3 of the canonical bytes of all members, in the order of their numbers.
    pub digest: [u8; 32],
}

impl BoundaryManifest {
    /// The hash that names it.
    pub fn own_hash(&self) -> [u8; 32] {
        *blake3::hash(self.encode().as_bytes()).as_bytes()
    }

    /// Its text.
    pub fn encode(&self) -> String {
        let mut out = format!("{TITLE}\nformat = {FORMAT}\nlsn = {}\n", self.lsn);
        let mut put = |text: std::fmt::Arguments<'_>| out.write_fmt(text).expect("a string takes it");
        put(format_args!("members = {}\nrows = {}\n", self.members, self.rows));
        if let Some((lsn, hash)) = &self.base {
            put(format_args!("base_lsn = {lsn}\nbase_manifest = \"{}\"\n", hex(hash)));
        }
        put(format_args!("bytes = {}\nblake3 = \"{}\"\n", self.bytes, hex(&self.hash)));
        put(format_args!("sums_bytes = {}\nsums_blake3 = \"{}\"\n", self.sums_bytes, hex(&self.sums_hash)));
        put(format_args!("digest = \"{}\"\n", hex(&self.digest)));
        out
    }

    /// Reads its text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let mut lines = Lines::after(text, TITLE)?;
        let format: u32 = lines.number("format")?;
        if format != FORMAT {
            return Err(format!("it has format {format}; this release reads {FORMAT}"));
        }
        let (lsn, members, rows) = (lines.number("lsn")?, lines.number("members")?, lines.number("rows")?);
        let base = match lines.optional_number("base_lsn")? {
            Some(lsn) => Some((lsn, lines.hash("base_manifest")?)),
            None => None,
        };
        let manifest = Self {
            lsn,
            members,
            rows,
            base,
            bytes: lines.number("bytes")?,
            hash: lines.hash("blake3")?,
            sums_bytes: lines.number("sums_bytes")?,
            sums_hash: lines.hash("sums_blake3")?,
            digest: lines.hash("digest")?,
        };
        if manifest.encode() == text {
            Ok(manifest)
        } else {
            Err("it is not in the one form that manifests have".into())
        }
    }

    /// Writes it, and makes it durable.
    pub(super) fn publish(&self, storage: &Arc<dyn Storage>, path: &Path, folder: &Path) -> Result<()> {
        let mut file = Unfinished::create(storage, path)?;
        file.put(self.encode().as_bytes())?;
        file.finish()?.publish()?;
        storage.sync_dir(folder).map_err(Error::io("sync", folder))
    }

    /// Reads it, and checks that it is the one of this hash.
    ///
    /// # Errors
    /// `Damaged`, `Io`.
    pub(super) fn read(storage: &dyn Storage, path: &Path, lsn: u64, hash: &[u8; 32]) -> Result<Self> {
        let damaged = |reason: String| Error::damaged(path, 0, None, reason, LOST);
        let bytes = read_small(storage, path, BYTES_MAX)?;
        let text = String::from_utf8(bytes).map_err(|_| damaged("it is no text".into()))?;
        let manifest =
            Self::parse(&text).map_err(|reason| damaged(format!("it is no manifest: {reason}")))?;
        if manifest.lsn != lsn || manifest.own_hash() != *hash {
            return Err(damaged("it is not the one that the state knows".into()));
        }
        Ok(manifest)
    }
}
