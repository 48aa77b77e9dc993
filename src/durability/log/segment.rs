//! A segment file: its name, its header, and how an empty one is created.

use std::path::Path;

use super::{
    chain,
    frame::{self, Form, SECTOR_BYTES},
    position::Position,
    whole::read_whole,
};
use crate::{
    core::types::Timestamp,
    durability::{
        FORMAT_VERSION,
        error::{Error, Result},
        instance::Instance,
        paths::Paths,
        storage::{Storage, StorageFile},
    },
};

/// One segment with a valid header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SegmentEntry {
    pub number: u64,
    pub first_lsn: u64,
    pub bytes: u64,
    /// Log time of the newest command before the segment, in microseconds.
    pub time: i64,
    pub archived: bool,
}

/// The header has one sector to itself and frames follow it, so no append ever rewrites it.
pub(crate) const HEADER_BYTES: usize = SECTOR_BYTES;
const MAGIC: [u8; 8] = *b"uplinLOG";
/// Zeros are written in pieces of this size.
const FILL_BYTES: usize = 1_024 * 1_024;
/// ... and synced after this many, so that filling a segment never leaves a mountain of dirty pages that
/// delays the log's own syncs.
const FILL_SYNC_EVERY: u64 = 4;

/// The first sector of a segment.
///
/// | at | size | what |
/// | --- | --- | --- |
/// | 0 | 8 | magic `uplinLOG` |
/// | 8 | 4 | format version |
/// | 12 | 4 | network id |
/// | 16 | 16 | instance id |
/// | 32 | 8 | segment number, from 1 |
/// | 40 | 8 | LSN of the first command |
/// | 48 | 8 | bytes of the file |
/// | 56 | 8 | term, 0 until there is replication |
/// | 64 | 8 | log time of the newest command before the segment |
/// | 72 | 8 | offset at which the previous segment ends (after its seal), 0 for the first of a directory |
/// | 80 | 4 | CRC of the last frame there, 0 for the first of a directory |
/// | 84 | 4 | 0 |
/// | 88 | 8 | since version 3: the chain before the first command (`chain.rs`); 0 before |
/// | 96 | 412 | 0 |
/// | 508 | 4 | CRC-32C of bytes 0..508 |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SegmentHeader {
    /// Format version of the segment: determines the form of its frames.
    pub version: u32,
    pub instance: [u8; 16],
    pub network: u32,
    pub number: u64,
    pub first_lsn: u64,
    pub bytes: u64,
    pub term: u64,
    pub time: Timestamp,
    pub previous_end: u64,
    pub previous_crc: u32,
    /// The chain before its first command; none before version 3.
    pub chain: Option<u64>,
}

/// Header bytes that older versions have too.
const FIELDS_BEFORE_3: usize = 84;

/// A segment without a header may be one that was prepared and never used: the last one, whose header is
/// synced before anything else is written to it. Returns why it was used after all, or is something else;
/// `is_due` if the segment before it is sealed.
pub(crate) fn why_used(content: &[u8], is_due: bool) -> Option<String> {
    let Some((_, rest)) = content.split_at_checked(HEADER_BYTES) else {
        return Some(format!("it is only {} bytes long", content.len()));
    };
    if is_due && !frame::is_zero(rest) {
        return Some("its header does not verify, and there is something behind it".into());
    }
    frame::holds_frame(rest).then(|| "its header does not verify, and there are frames behind it".into())
}

/// The result of parsing a first sector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Parsed {
    /// The header, and its CRC, which the first frame names.
    Header(SegmentHeader, u32),
    Newer(u32),
    Bad,
}

impl SegmentHeader {
    /// Returns the position of the segment's first frame. The previous segment was synced to its end before
    /// this header was written.
    pub(crate) fn start(&self, crc: u32) -> Position {
        Position {
            offset: HEADER_BYTES as u64,
            next_lsn: self.first_lsn,
            previous_crc: crc,
            durable_lsn: self.first_lsn.saturating_sub(1),
            time: self.time,
            sealed: false,
            chain: self.chain,
        }
    }

    /// Returns whether this segment continues where another ended.
    pub(crate) fn follows(&self, end: &Position) -> bool {
        let is_next = self.first_lsn == end.next_lsn
            && self.previous_end == end.offset
            && self.previous_crc == end.previous_crc;
        is_next && (self.chain == end.chain || end.chain.is_none() && self.begins_chain())
    }

    /// Returns this header in the newest version, with the known chain before its first command; if there is
    /// none, the chain begins here.
    pub(crate) fn chained(self, chain: Option<u64>) -> Self {
        let header = Self { version: FORMAT_VERSION, chain: None, ..self };
        Self { chain: Some(chain.unwrap_or_else(|| header.own_chain())), ..header }
    }

    /// Returns whether the chain begins with this segment, which is then the first of version 3 in a
    /// directory of an older one.
    pub(crate) fn begins_chain(&self) -> bool {
        self.chain.is_some_and(|chain| chain == self.own_chain())
    }

    fn own_chain(&self) -> u64 {
        chain::begun_with(&self.fields()[..FIELDS_BEFORE_3])
    }

    /// Returns the form of its frames.
    pub(crate) fn form(&self) -> Form {
        Form::new(self.version, &self.instance, self.number)
    }

    /// Returns its index entry.
    pub(crate) fn entry(&self, archived: bool) -> SegmentEntry {
        SegmentEntry {
            number: self.number,
            first_lsn: self.first_lsn,
            bytes: self.bytes,
            time: self.time.0,
            archived,
        }
    }

    /// The sector, and its CRC.
    pub(crate) fn encode(&self) -> ([u8; HEADER_BYTES], u32) {
        let mut out = self.fields();
        let crc = crc32c::crc32c(&out[..HEADER_BYTES - 4]);
        out[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        (out, crc)
    }

    /// The sector without its CRC.
    fn fields(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[0..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&self.version.to_le_bytes());
        out[12..16].copy_from_slice(&self.network.to_le_bytes());
        out[16..32].copy_from_slice(&self.instance);
        out[32..40].copy_from_slice(&self.number.to_le_bytes());
        out[40..48].copy_from_slice(&self.first_lsn.to_le_bytes());
        out[48..56].copy_from_slice(&self.bytes.to_le_bytes());
        out[56..64].copy_from_slice(&self.term.to_le_bytes());
        out[64..72].copy_from_slice(&self.time.0.to_le_bytes());
        out[72..80].copy_from_slice(&self.previous_end.to_le_bytes());
        out[80..84].copy_from_slice(&self.previous_crc.to_le_bytes());
        out[88..96].copy_from_slice(&self.chain.unwrap_or(0).to_le_bytes());
        out
    }

    /// Parses a first sector.
    pub(crate) fn parse(sector: &[u8; HEADER_BYTES]) -> Parsed {
        let u32_at = |at: usize| u32::from_le_bytes(sector[at..at + 4].try_into().expect("four bytes"));
        let u64_at = |at: usize| u64::from_le_bytes(sector[at..at + 8].try_into().expect("eight bytes"));
        let crc = crc32c::crc32c(&sector[..HEADER_BYTES - 4]);
        if sector[0..8] != MAGIC || crc != u32_at(HEADER_BYTES - 4) {
            return Parsed::Bad;
        }
        // Magic and CRC keep their places in later versions, so that a newer file can be told from a damaged
        // one.
        if FORMAT_VERSION < u32_at(8) {
            return Parsed::Newer(u32_at(8));
        }
        let header = Self {
            version: u32_at(8),
            instance: sector[16..32].try_into().expect("sixteen bytes"),
            network: u32_at(12),
            number: u64_at(32),
            first_lsn: u64_at(40),
            bytes: u64_at(48),
            term: u64_at(56),
            time: Timestamp(u64_at(64).cast_signed()),
            previous_end: u64_at(72),
            previous_crc: u32_at(80),
            chain: (3 <= u32_at(8)).then(|| u64_at(88)),
        };
        Parsed::Header(header, crc)
    }
}

/// Creates an empty segment: writes zeros to the full size, syncs, renames, and syncs the name. It gets its
/// name last, so that a file of that name is always complete.
pub(crate) fn create_empty(
    storage: &dyn Storage,
    paths: &Paths,
    number: u64,
    bytes: u64,
) -> Result<Box<dyn StorageFile>> {
    let path = paths.segment(number);
    check_holds_no_frame(storage, &path)?;
    let temporary = Paths::temporary(&path);
    let made = fill_fresh(storage, &temporary, bytes);
    let file = made.inspect_err(|_| {
        // On a full disk, free what was written: others need the space. If this fails too, the next opening
        // removes it.
        let _ = storage.remove(&temporary);
    })?;
    storage.rename(&temporary, &path).map_err(Error::io("rename", &temporary))?;
    storage.sync_dir(&paths.log()).map_err(Error::io("sync", &paths.log()))?;
    Ok(file)
}

fn fill_fresh(storage: &dyn Storage, path: &Path, bytes: u64) -> Result<Box<dyn StorageFile>> {
    let file = create_fresh(storage, path)?;
    fill_with_zeros(&*file, 0, bytes).map_err(Error::io("fill", path))?;
    file.sync_all().map_err(Error::io("sync", path))?;
    Ok(file)
}

/// Checks that an existing file with the name of a segment to be created holds nothing: it is replaced.
fn check_holds_no_frame(storage: &dyn Storage, path: &Path) -> Result<()> {
    if storage.is_file(path).map_err(Error::io("look at", path))?
        && frame::holds_frame(&read_whole(storage, path)?)
    {
        let reason = "it holds frames where an empty segment is to be made";
        return Err(Error::damaged(path, 0, None, reason, "the commands in it"));
    }
    Ok(())
}

/// Creates a file, replacing a leftover of the same name.
pub(crate) fn create_fresh(storage: &dyn Storage, path: &Path) -> Result<Box<dyn StorageFile>> {
    if storage.is_file(path).map_err(Error::io("look at", path))? {
        storage.remove(path).map_err(Error::io("remove", path))?;
    }
    storage.create(path).map_err(Error::io("create", path))
}

/// Writes zeros from `offset` to `end` instead of merely allocating: the first write to an allocated block
/// changes metadata.
pub(crate) fn fill_with_zeros(file: &dyn StorageFile, mut offset: u64, end: u64) -> std::io::Result<()> {
    let zeros = vec![0; usize::try_from(end.saturating_sub(offset)).unwrap_or(FILL_BYTES).min(FILL_BYTES)];
    let mut pieces = 0;
    while offset < end {
        let length = usize::try_from(end - offset).unwrap_or(FILL_BYTES).min(FILL_BYTES);
        file.write_all_at(&zeros[..length], offset)?;
        offset += length as u64;
        pieces += 1;
        if pieces % FILL_SYNC_EVERY == 0 {
            file.sync_data()?;
        }
    }
    Ok(())
}

/// Checks that a segment matches its name and this directory, and has its original length.
///
/// # Errors
/// `Damaged`.
pub(crate) fn check_identity(
    path: &Path,
    header: &SegmentHeader,
    instance: &Instance,
    number: u64,
    length: u64,
) -> Result<()> {
    let reason = if header.instance != instance.id.0 || header.network != instance.network_id {
        "it belongs to another data directory".to_owned()
    } else if header.number != number {
        format!("it is segment {} under another's name", header.number)
    } else if header.bytes != length {
        format!("it is {length} bytes long, and was made with {}", header.bytes)
    } else if header.first_lsn == 0 {
        "it begins with LSN 0".to_owned()
    } else {
        return Ok(());
    };
    let lost = format!("commands from LSN {} on", header.first_lsn);
    Err(Error::damaged(path, 0, Some(header.first_lsn), reason, lost))
}
