//! A second record of how far the log is durable, and of which history: the file `durable` of the data
//! directory.
//!
//! A log whose end is gone looks like a shorter log: the frames that record how far it was durable are lost
//! with it. So each sync of the log is followed by a write here, before anything is acknowledged. A log that
//! ends before what this file records has lost commands that may have been acknowledged, and is refused. So
//! is a log that has another chain at that LSN: its newest segment is from a copy of the directory that
//! diverged.
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
    log::{position::Position, segment::create_fresh},
    paths::Paths,
    storage::{Access, Storage, StorageFile},
};

/// What losing the file loses, as errors say it.
const LOST: &str = "the proof that the log's end is all there";
const MAGIC: [u8; 8] = *b"uplinDUR";
/// What a disk writes atomically.
const SLOT_BYTES: usize = 512;
/// Offset of a slot's CRC, which covers what is before it. It keeps its place in later versions.
const CRC_AT: usize = 48;
/// Offset of the chain. Slots of older releases have zeros from here on.
const CHAIN_AT: usize = 56;
/// Offset of the CRC of everything up to the chain's end.
const CHAIN_CRC_AT: usize = 64;
/// Bytes of a slot in use.
const USED_BYTES: usize = 68;
/// Offsets of the slots: no memory page and no disk block holds both.
const SLOTS: [u64; 2] = [0, 4_096];
/// Bytes of the file.
pub(crate) const FILE_BYTES: u64 = 4_096 + SLOT_BYTES as u64;
/// Syncs of the log after which this file is synced as well: rare enough to cost nothing noticeable, frequent
/// enough that a power loss leaves little unrecorded.
pub(crate) const SYNC_EVERY: u32 = 256;

/// How far a log is durable, and of which history it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Durable {
    pub lsn: u64,
    /// The chain after that LSN; none in a segment before version 3, or where an older release recorded it.
    pub chain: Option<u64>,
}

impl Durable {
    /// A log of which everything before this position is durable.
    pub(crate) fn before(at: &Position) -> Self {
        Self { lsn: at.next_lsn - 1, chain: at.chain }
    }

    /// Returns why a log with this chain after the LSN is of another history than the one recorded; `None`
    /// if it is not, or if no chain was recorded.
    pub(crate) fn of_another_history(&self, found: Option<u64>) -> Option<String> {
        let recorded = self.chain.filter(|recorded| found != Some(*recorded))?;
        let found = found.map_or_else(|| "none".into(), |chain| format!("{chain:016x}"));
        Some(format!(
            "it is of another history of this directory, such as a copy has that went another way: \
             after LSN {} the log has the chain {found}, the file `durable` {recorded:016x}. \
             Put back the files of this directory, or a backup of all of it",
            self.lsn
        ))
    }
}

/// One slot, as read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Slot {
    durable: Durable,
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
    /// Durably records that the log ends there, and continues from there. Creates the file if there is none.
    ///
    /// # Errors
    /// `Damaged`, `Io`.
    pub(crate) fn open(
        storage: &dyn Storage,
        paths: &Paths,
        instance: [u8; 16],
        end: Durable,
    ) -> Result<Self> {
        if !storage.is_file(&paths.durable()).map_err(Error::io("look at", &paths.durable()))? {
            reset(storage, paths, &instance, end)?;
        }
        let path = paths.durable();
        let file = storage.open(&path, Access::ReadWrite).map_err(Error::io("open", &path))?;
        let slots = read_slots(&*file, &path, &instance)?;
        let newest = usize::from(slots[0].map(|slot| slot.generation) < slots[1].map(|slot| slot.generation));
        let none = Slot { durable: Durable { lsn: 0, chain: None }, generation: 0 };
        let last = slots[newest].unwrap_or(none);
        let mut evidence = Self { file, path, instance, last, slot: 1 - newest, unsynced: 0 };
        if end.lsn == last.durable.lsn {
            // What a killed process wrote may not be on disk yet, so sync it. Then the other slot may be
            // written: this one says the same as the log.
            (evidence.slot, evidence.unsynced) = (newest, 1);
        } else {
            evidence.write(end)?;
        }
        evidence.sync()?;
        Ok(evidence)
    }

    /// Records how far the log is durable, which the caller guarantees.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn advance(&mut self, end: Durable) -> Result<()> {
        if end.lsn == self.last.durable.lsn {
            return Ok(());
        }
        self.write(end)?;
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

    fn write(&mut self, durable: Durable) -> Result<()> {
        let next = Slot { durable, generation: self.last.generation + 1 };
        self.file
            .write_all_at(&encode(next, &self.instance), SLOTS[self.slot])
            .map_err(Error::io("write", &self.path))?;
        self.last = next;
        self.unsynced += 1;
        Ok(())
    }
}

/// Returns how far the log was at least durable; `None` if there is no file.
///
/// # Errors
/// `Damaged` if no slot verifies; `Io`.
pub(crate) fn recorded(storage: &dyn Storage, paths: &Paths, instance: &[u8; 16]) -> Result<Option<Durable>> {
    let path = paths.durable();
    if !storage.is_file(&path).map_err(Error::io("look at", &path))? {
        return Ok(None);
    }
    let file = storage.open(&path, Access::Read).map_err(Error::io("open", &path))?;
    let slots = read_slots(&*file, &path, instance)?;
    let furthest = slots.into_iter().flatten().max_by_key(|slot| (slot.durable.lsn, slot.generation));
    Ok(furthest.map(|slot| slot.durable))
}

/// As [`recorded`], for a log that must have the file if `is_chained`: one of format 3. Older ones get it
/// when they are opened for writing.
///
/// # Errors
/// `Damaged` if no slot verifies or the file is missing; `Io`.
pub(crate) fn needed(
    storage: &dyn Storage,
    paths: &Paths,
    instance: &[u8; 16],
    is_chained: bool,
) -> Result<Durable> {
    match recorded(storage, paths, instance)? {
        None if is_chained => Err(Error::damaged(
            &paths.durable(),
            0,
            None,
            "it is missing, and every log of this format has it",
            LOST,
        )),
        found => Ok(found.unwrap_or(Durable { lsn: 0, chain: None })),
    }
}

/// Replaces the file with a fresh one: for a log that was cut, or a directory that has none.
///
/// # Errors
/// `Io`.
pub(crate) fn reset(
    storage: &dyn Storage,
    paths: &Paths,
    instance: &[u8; 16],
    durable: Durable,
) -> Result<()> {
    let path = paths.durable();
    let temporary = Paths::temporary(&path);
    let file = create_fresh(storage, &temporary)?;
    let mut content = vec![0; usize::try_from(FILE_BYTES).expect("a few KiB")];
    content[..SLOT_BYTES].copy_from_slice(&encode(Slot { durable, generation: 1 }, instance));
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
    out[32..40].copy_from_slice(&slot.durable.lsn.to_le_bytes());
    out[40..48].copy_from_slice(&slot.generation.to_le_bytes());
    let crc = crc32c::crc32c(&out[..CRC_AT]);
    out[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
    if let Some(chain) = slot.durable.chain {
        out[CHAIN_AT..CHAIN_CRC_AT].copy_from_slice(&chain.to_le_bytes());
        let crc = crc32c::crc32c(&out[..CHAIN_CRC_AT]);
        out[CHAIN_CRC_AT..USED_BYTES].copy_from_slice(&crc.to_le_bytes());
    }
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
        let verifies = |at: usize| crc32c::crc32c(&bytes[..at]).to_le_bytes() == bytes[at..at + 4];
        if bytes[..8] != MAGIC || !verifies(CRC_AT) {
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
        let is_chained = bytes[CRC_AT + 4..USED_BYTES].iter().any(|byte| *byte != 0);
        if is_chained && !verifies(CHAIN_CRC_AT) {
            continue;
        }
        let chain = is_chained.then(|| u64_at(CHAIN_AT));
        *slot = Some(Slot { durable: Durable { lsn: u64_at(32), chain }, generation: u64_at(40) });
    }
    if slots == [None; 2] {
        return damaged("neither of its two slots verifies, and one of them always does".into());
    }
    Ok(slots)
}
