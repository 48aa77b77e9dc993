//! A second record of how far the log is durable: the file `durable` of the data directory.
//!
//! A log whose end is gone looks like a shorter log: the frames that record how far it was durable are lost
//! with it. So each sync of the log is followed by a write here, before anything is acknowledged. A log that
//! ends before what this file records has lost commands that may have been acknowledged, and is refused.
//!
//! - It never runs ahead: what is written here was synced before. Whatever part of it a crash leaves is true.
//! - The writes are not synced one by one. After a process is killed they are in the page cache, so no loss
//!   of acknowledged commands goes unnoticed, whatever happens to the files afterwards. A power loss takes
//!   the writes since the last sync of this file, which happens every [`SYNC_EVERY`] syncs of the log and
//!   after each idle moment. An honest disk keeps the log without them; if a disk loses what it reported as
//!   written, the loss of the very last groups can go unnoticed.
//! - There are two slots, 4 KiB apart. One of them is durable and stays untouched until the other one is
//!   durable, too.

use std::path::PathBuf;

use crate::durability::{
    FORMAT_VERSION,
    error::{Error, Result},
    log::segment::create_fresh,
    paths::Paths,
    storage::{Access, Storage, StorageFile},
};

/// What losing the file loses, as errors say it.
const LOST: &str = "the proof that the log's end is all there";
const MAGIC: [u8; 8] = *b"uplinDUR";
/// What a disk writes atomically.
const SLOT_BYTES: usize = 512;
/// Bytes of a slot in use.
const USED_BYTES: usize = 52;
/// Offsets of the slots: no memory page and no disk block holds both.
const SLOTS: [u64; 2] = [0, 4_096];
/// Bytes of the file.
pub(crate) const FILE_BYTES: u64 = 4_096 + SLOT_BYTES as u64;
/// Syncs of the log after which this file is synced as well: rare enough to cost nothing noticeable, frequent
/// enough that a power loss leaves little unrecorded.
pub(crate) const SYNC_EVERY: u32 = 256;

/// One slot, as read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Slot {
    lsn: u64,
    /// Increases with each write, to tell the newer slot.
    generation: u64,
}

/// The file, for the writer of the log.
#[derive(Debug)]
pub(crate) struct Evidence {
    file: Box<dyn StorageFile>,
    path: PathBuf,
    instance: [u8; 16],
    last: Slot,
    /// The slot that is written until the next sync.
    slot: usize,
    unsynced: u32,
}

impl Evidence {
    /// Durably records that the log ends with `lsn`, and continues from there. Creates the file if there is
    /// none.
    ///
    /// # Errors
    /// `Damaged`, `Io`.
    pub(crate) fn open(storage: &dyn Storage, paths: &Paths, instance: [u8; 16], lsn: u64) -> Result<Self> {
        if !storage.is_file(&paths.durable()).map_err(Error::io("look at", &paths.durable()))? {
            reset(storage, paths, &instance, lsn)?;
        }
        let path = paths.durable();
        let file = storage.open(&path, Access::ReadWrite).map_err(Error::io("open", &path))?;
        let slots = read_slots(&*file, &path, &instance)?;
        let newest = usize::from(slots[0].map(|slot| slot.generation) < slots[1].map(|slot| slot.generation));
        let last = slots[newest].unwrap_or(Slot { lsn: 0, generation: 0 });
        let mut evidence = Self { file, path, instance, last, slot: 1 - newest, unsynced: 0 };
        if lsn == last.lsn {
            // What a killed process wrote may not be on disk yet, so sync it. Then the other slot may be
            // written: this one says the same as the log.
            (evidence.slot, evidence.unsynced) = (newest, 1);
        } else {
            evidence.write(lsn)?;
        }
        evidence.sync()?;
        Ok(evidence)
    }

    /// Records that everything up to `lsn` is durable, which the caller guarantees.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn advance(&mut self, lsn: u64) -> Result<()> {
        if lsn == self.last.lsn {
            return Ok(());
        }
        self.write(lsn)?;
        if SYNC_EVERY <= self.unsynced { self.sync() } else { Ok(()) }
    }

    /// Makes the records so far durable.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn sync(&mut self) -> Result<()> {
        if self.unsynced == 0 {
            return Ok(());
        }
        self.file.sync_data().map_err(Error::io("sync", &self.path))?;
        self.unsynced = 0;
        self.slot = 1 - self.slot;
        Ok(())
    }

    fn write(&mut self, lsn: u64) -> Result<()> {
        let next = Slot { lsn, generation: self.last.generation + 1 };
        self.file
            .write_all_at(&encode(next, &self.instance), SLOTS[self.slot])
            .map_err(Error::io("write", &self.path))?;
        self.last = next;
        self.unsynced += 1;
        Ok(())
    }
}

/// Returns the LSN up to which the log was at least durable; `None` if there is no file.
///
/// # Errors
/// `Damaged` if no slot verifies; `Io`.
pub(crate) fn durable_lsn(storage: &dyn Storage, paths: &Paths, instance: &[u8; 16]) -> Result<Option<u64>> {
    let path = paths.durable();
    if !storage.is_file(&path).map_err(Error::io("look at", &path))? {
        return Ok(None);
    }
    let file = storage.open(&path, Access::Read).map_err(Error::io("open", &path))?;
    let slots = read_slots(&*file, &path, instance)?;
    Ok(slots.into_iter().flatten().map(|slot| slot.lsn).max())
}

/// As [`durable_lsn`], for a log that must have the file if `is_chained`: one of format 3. Older ones get it
/// when they are opened for writing.
///
/// # Errors
/// `Damaged` if no slot verifies or the file is missing; `Io`.
pub(crate) fn needed_lsn(
    storage: &dyn Storage,
    paths: &Paths,
    instance: &[u8; 16],
    is_chained: bool,
) -> Result<u64> {
    match durable_lsn(storage, paths, instance)? {
        None if is_chained => Err(Error::damaged(
            &paths.durable(),
            0,
            None,
            "it is missing, and every log of this format has it",
            LOST,
        )),
        found => Ok(found.unwrap_or(0)),
    }
}

/// Replaces the file with a fresh one: for a log that was cut, or a directory that has none.
///
/// # Errors
/// `Io`.
pub(crate) fn reset(storage: &dyn Storage, paths: &Paths, instance: &[u8; 16], lsn: u64) -> Result<()> {
    let path = paths.durable();
    let temporary = Paths::temporary(&path);
    let file = create_fresh(storage, &temporary)?;
    let mut content = vec![0; usize::try_from(FILE_BYTES).expect("a few KiB")];
    content[..SLOT_BYTES].copy_from_slice(&encode(Slot { lsn, generation: 1 }, instance));
    file.write_all_at(&content, 0).map_err(Error::io("write", &temporary))?;
    file.sync_all().map_err(Error::io("sync", &temporary))?;
    storage.rename(&temporary, &path).map_err(Error::io("rename", &temporary))?;
    storage.sync_dir(paths.root()).map_err(Error::io("sync", paths.root()))
}

fn encode(slot: Slot, instance: &[u8; 16]) -> [u8; SLOT_BYTES] {
    let mut out = [0; SLOT_BYTES];
    out[0..8].copy_from_slice(&MAGIC);
    out[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    out[16..32].copy_from_slice(instance);
    out[32..40].copy_from_slice(&slot.lsn.to_le_bytes());
    out[40..48].copy_from_slice(&slot.generation.to_le_bytes());
    let crc = crc32c::crc32c(&out[..USED_BYTES - 4]);
    out[USED_BYTES - 4..USED_BYTES].copy_from_slice(&crc.to_le_bytes());
    out
}

fn read_slots(
    file: &dyn StorageFile,
    path: &std::path::Path,
    instance: &[u8; 16],
) -> Result<[Option<Slot>; 2]> {
    let damaged = |reason: String| Err(Error::damaged(path, 0, None, reason, LOST));
    let length = file.len().map_err(Error::io("look at", path))?;
    if length != FILE_BYTES {
        return damaged(format!("it is {length} bytes long, not {FILE_BYTES}"));
    }
    let mut slots = [None; 2];
    for (slot, offset) in slots.iter_mut().zip(SLOTS) {
        let mut bytes = [0; SLOT_BYTES];
        file.read_exact_at(&mut bytes, offset).map_err(Error::io("read", path))?;
        if bytes[..8] != MAGIC
            || crc32c::crc32c(&bytes[..USED_BYTES - 4]).to_le_bytes() != bytes[USED_BYTES - 4..USED_BYTES]
        {
            continue;
        }
        let version = u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes"));
        if FORMAT_VERSION < version {
            return Err(Error::NewerFormat {
                path: path.to_path_buf(),
                found: version,
                supported: FORMAT_VERSION,
            });
        }
        if bytes[16..32] != *instance {
            return damaged("it belongs to another data directory".into());
        }
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        *slot = Some(Slot { lsn: u64_at(32), generation: u64_at(40) });
    }
    if slots == [None; 2] {
        return damaged("neither of its two slots verifies, and one of them always does".into());
    }
    Ok(slots)
}
