//! Inspection of the files of a data directory one by one, whatever state they are in: for people who want to
//! see what is there.
//!
//! It locks and writes nothing, so it also works next to a running server; what the server is writing at that
//! moment looks like an incomplete write. Nothing here decides what may be served: `recovery.rs` does, by the
//! same rules.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    codec,
    error::{Error, Result},
    instance::Instance,
    journal::ChainAt,
    log::{
        chain, evidence,
        frame::{self, Kind},
        position::Position,
        reader::chain_in,
        scan::{self, Tail},
        segment::{HEADER_BYTES, Parsed, SegmentHeader, why_used},
        whole::read_whole,
    },
    names,
    paths::{Paths, open_listed},
    sealed::Named,
    snapshot,
    storage::{Access, Storage},
};
use crate::core::{
    command::{Command, Stamped},
    types::Timestamp,
};

pub use super::log::scan::DamageRule;

/// A segment file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentSeen {
    pub file: PathBuf,
    /// From its name.
    pub number: u64,
    pub is_archived: bool,
    /// Length of the file.
    pub bytes: u64,
    pub header: SegmentHeaderSeen,
    /// What is wrong with the file as a whole: it is foreign, has another file's name, or does not continue
    /// the segment before.
    pub damage: Option<String>,
}

/// The first sector of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentHeaderSeen {
    Good {
        first_lsn: u64,
        /// Log time of the newest command before the segment.
        time: Timestamp,
        crc: u32,
        /// Format version.
        version: u32,
        /// The chain before its first command; none before format 3.
        chain: Option<u64>,
    },
    /// Prepared but never used: all zeros, or at least nothing that was ever synced.
    NeverUsed,
    /// Written by a newer release.
    Newer(u32),
    Bad,
}

/// A frame that verified.
#[derive(Clone, PartialEq, Debug)]
pub struct FrameSeen {
    pub offset: u64,
    /// Of the whole frame.
    pub bytes: u64,
    pub kind: FrameKind,
    /// LSN of its first command, or of the next one if it has none.
    pub first_lsn: u64,
    /// How far the log was durable when the frame was written.
    pub durable_lsn: u64,
    /// Log time of the newest command, including this frame's.
    pub time: Timestamp,
    /// Rolling hash over the outcomes of all commands before the frame.
    pub outcome_hash: u64,
    /// The chain after its commands; none before format 3.
    pub chain: Option<u64>,
    pub header_crc: u32,
    pub body_crc: u32,
    /// Its commands; or why they do not decode, or do not match the chain, although the checksum is right.
    pub commands: std::result::Result<Vec<Stamped>, String>,
}

/// The purpose of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameKind {
    Group,
    Mark,
    Seal,
}

/// What follows the last verified frame of a segment, by the rules of `log/scan.rs`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndSeen {
    pub offset: u64,
    pub next_lsn: u64,
    pub frames: u64,
    pub is_sealed: bool,
    pub verdict: EndVerdict,
}

/// Why reading a segment ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EndVerdict {
    /// Only zeros follow (rule a).
    Clean,
    /// An incomplete write of this many bytes, and so never acknowledged (rule d). Also what a running server
    /// is just writing.
    Torn { bytes: u64 },
    /// The last frame is complete except for the end of its trailer: it counts.
    ShortTrailer,
    /// Bytes that may have been acknowledged differ from what was written (rules b and c, or a frame out of
    /// place).
    Damaged { rule: DamageRule, reason: String },
}

/// The items found, in order.
#[derive(Clone, PartialEq, Debug)]
pub enum LogItem {
    Segment(SegmentSeen),
    Frame(FrameSeen),
    End(EndSeen),
    /// Segments are missing between two existing ones.
    Missing {
        from: u64,
        to: u64,
    },
}

/// Reads the instance file, without locking it.
///
/// # Errors
/// `NotADataDirectory`, `Damaged`, `NewerFormat`, `Io`.
pub fn instance(storage: &Arc<dyn Storage>, path: &Path) -> Result<Instance> {
    Instance::read(&**storage, &Paths::new(path).instance(), path)
}

/// Shows all segments of a directory, archived ones first, to `see`, which returns whether to continue. Holds
/// one segment in memory.
///
/// # Errors
/// `NotADataDirectory` if there is no log, `Io`.
pub fn log(storage: &Arc<dyn Storage>, path: &Path, see: &mut dyn FnMut(LogItem) -> bool) -> Result<()> {
    let paths = Paths::new(path);
    let mut segments = segments_in(&**storage, &paths.archive(), true)?;
    segments.extend(segments_in(&**storage, &paths.log(), false)?);
    if segments.is_empty() {
        return Err(Error::NotADataDirectory { path: path.to_path_buf(), reason: "it has no log".into() });
    }
    // A segment in both places was being archived: the live one counts.
    segments.sort_by_key(|(number, is_archived, _)| (*number, *is_archived));
    segments.dedup_by_key(|(number, _, _)| *number);
    let instance = instance(storage, path).ok();
    let mut before: Option<(u64, Position)> = None;
    let mut last = None;
    let newest = segments.last().map(|(number, _, _)| *number);
    for (number, is_archived, file) in segments {
        if let Some(missing) = last.map(|last| last + 1).filter(|next| *next < number)
            && !see(LogItem::Missing { from: missing, to: number - 1 })
        {
            return Ok(());
        }
        last = Some(number);
        let follows = before.filter(|(of, _)| *of + 1 == number).map(|(_, at)| at);
        let (at, go_on) =
            one_segment(&**storage, instance.as_ref(), (number, is_archived, file), follows, newest, see)?;
        before = at.map(|at| (number, at));
        if !go_on {
            return Ok(());
        }
    }
    Ok(())
}

fn segments_in(
    storage: &dyn Storage,
    directory: &Path,
    is_archived: bool,
) -> Result<Vec<(u64, bool, PathBuf)>> {
    if !storage.is_dir(directory).map_err(Error::io("look at", directory))? {
        return Ok(Vec::new());
    }
    let names = storage.list(directory).map_err(Error::io("list", directory))?;
    let numbered = names
        .iter()
        .filter_map(|name| Some((names::segment_number(name)?, is_archived, directory.join(name))));
    Ok(numbered.collect())
}

/// Shows one segment; returns where it ends, if it has a header, and whether to continue.
fn one_segment(
    storage: &dyn Storage,
    instance: Option<&Instance>,
    (number, is_archived, file): (u64, bool, PathBuf),
    before: Option<Position>,
    newest: Option<u64>,
    see: &mut dyn FnMut(LogItem) -> bool,
) -> Result<(Option<Position>, bool)> {
    let content = read_whole(storage, &file)?;
    let parsed = content.first_chunk::<HEADER_BYTES>().map_or(Parsed::Bad, SegmentHeader::parse);
    let bytes = content.len() as u64;
    let mut segment =
        SegmentSeen { file, number, is_archived, bytes, header: SegmentHeaderSeen::Bad, damage: None };
    let (header, crc) = match parsed {
        Parsed::Header(header, crc) => (header, crc),
        Parsed::Newer(version) => {
            segment.header = SegmentHeaderSeen::Newer(version);
            segment.damage =
                Some(format!("it has format version {version}, which this release does not read"));
            return Ok((None, see(LogItem::Segment(segment))));
        }
        Parsed::Bad if is_unused(&content, before.filter(|_| newest == Some(number))) => {
            segment.header = SegmentHeaderSeen::NeverUsed;
            return Ok((None, see(LogItem::Segment(segment))));
        }
        Parsed::Bad => {
            segment.damage = Some("its header does not verify".into());
            return Ok((None, see(LogItem::Segment(segment))));
        }
    };
    segment.header = SegmentHeaderSeen::Good {
        first_lsn: header.first_lsn,
        time: header.time,
        crc,
        version: header.version,
        chain: header.chain,
    };
    segment.damage = damage_of(&header, instance, number, bytes, before);
    if !see(LogItem::Segment(segment)) {
        return Ok((None, false));
    }
    let form = header.form();
    let scan = scan::scan(&content, form, header.start(crc));
    let end = usize::try_from(scan.at.offset).expect("a segment is in memory");
    let (mut offset, mut frames, mut chain) = (HEADER_BYTES, 0, header.chain);
    while offset < end {
        let Some(frame) = frame_at(&content[offset..end], offset as u64, form, chain) else { break };
        chain = frame.chain;
        offset += usize::try_from(frame.bytes).expect("a frame is in memory");
        frames += 1;
        if !see(LogItem::Frame(frame)) {
            return Ok((None, false));
        }
    }
    let (offset, verdict) = match scan.tail {
        Tail::Clean => (scan.at.offset, EndVerdict::Clean),
        Tail::Torn { bytes } => (scan.at.offset, EndVerdict::Torn { bytes }),
        Tail::ShortTrailer => (scan.at.offset, EndVerdict::ShortTrailer),
        Tail::Damaged { rule, offset, reason } => (offset, EndVerdict::Damaged { rule, reason }),
    };
    let shown = EndSeen { offset, next_lsn: scan.at.next_lsn, frames, is_sealed: scan.at.sealed, verdict };
    Ok((Some(scan.at), see(LogItem::End(shown))))
}

/// Returns whether a segment without a header is only prepared. `before` is where the segment before it ends,
/// if it is the last one.
fn is_unused(content: &[u8], before: Option<Position>) -> bool {
    let is_zero = !content.is_empty() && frame::is_zero(content);
    is_zero || before.is_some_and(|before| why_used(content, before.sealed).is_none())
}

fn damage_of(
    header: &SegmentHeader,
    instance: Option<&Instance>,
    number: u64,
    bytes: u64,
    before: Option<Position>,
) -> Option<String> {
    if instance
        .is_some_and(|instance| header.instance != instance.id.0 || header.network != instance.network_id)
    {
        return Some("it belongs to another data directory".into());
    }
    if header.number != number {
        return Some(format!("it is segment {} under another's name", header.number));
    }
    if header.bytes != bytes {
        return Some(format!("it is {bytes} bytes long, and was made with {}", header.bytes));
    }
    let before = before?;
    if !before.sealed {
        return Some("the segment before it does not verify to its end".into());
    }
    (!header.follows(&before)).then(|| "it does not go on where the one before it ends".into())
}

/// Returns a frame that the scan verified.
fn frame_at(rest: &[u8], offset: u64, form: frame::Form, before: Option<u64>) -> Option<FrameSeen> {
    let header = frame::parse_header(rest, form)?;
    let whole = rest.get(..header.frame_bytes())?;
    let body_crc = match frame::check_end(form, whole) {
        frame::End::Whole(crc) | frame::End::ShortTrailer(crc) => crc,
        frame::End::BadTrailer | frame::End::BadBody => return None,
    };
    let mut commands = Vec::new();
    let decoded = if header.kind == Kind::Group {
        let mut body = Vec::new();
        frame::plain_body(&header, whole, &mut body);
        let is_named =
            before.is_none_or(|before| chain::after(before, &body, header.count.into()) == Ok(header.chain));
        let decoded = codec::decode_group(&body, header.first_lsn, header.count, &mut commands)
            .map_err(|error| error.to_string());
        decoded.and_then(|()| {
            if is_named { Ok(()) } else { Err("they are not the commands that the chain names".into()) }
        })
    } else {
        Ok(())
    };
    let header_crc = whole[form.header_bytes() - 4..form.header_bytes()].try_into().expect("four bytes");
    Some(FrameSeen {
        offset,
        bytes: whole.len() as u64,
        kind: match header.kind {
            Kind::Group => FrameKind::Group,
            Kind::Mark => FrameKind::Mark,
            Kind::Seal => FrameKind::Seal,
        },
        first_lsn: header.first_lsn,
        durable_lsn: header.durable_lsn,
        time: header.time,
        outcome_hash: header.outcome_hash,
        chain: header.chain(),
        header_crc: u32::from_le_bytes(header_crc),
        body_crc,
        commands: decoded.map(|()| commands),
    })
}

/// Returns why a snapshot of a directory belongs to another history than its log; `None` if it does not, or
/// if no readable segment can tell. Reads one segment.
///
/// # Errors
/// `Io`.
pub fn of_another_history(
    storage: &Arc<dyn Storage>,
    path: &Path,
    manifest: &snapshot::Manifest,
) -> Result<Option<String>> {
    let found = chain_at(&**storage, path, manifest.lsn)?;
    Ok(found.and_then(|found| snapshot::of_another_history(manifest, Ok(found))))
}

/// Returns why the log of a directory belongs to another history than the one that the file `durable`
/// recorded; `None` if it does not, or if that file or the log cannot tell. Reads one segment.
///
/// # Errors
/// `NewerFormat`, `Io`.
pub fn log_of_another_history(storage: &Arc<dyn Storage>, path: &Path) -> Result<Option<String>> {
    let Ok(instance) = instance(storage, path) else { return Ok(None) };
    let recorded = match evidence::recorded(&**storage, &Paths::new(path), &instance.id.0) {
        Err(Error::Damaged(_)) | Ok(None) => return Ok(None),
        Err(error) => return Err(error),
        Ok(Some(recorded)) => recorded,
    };
    let found = chain_at(&**storage, path, recorded.lsn)?;
    Ok(found.and_then(|found| recorded.of_another_history(found.chain)))
}

/// Returns the chain after an LSN, if a readable segment tells it.
fn chain_at(storage: &dyn Storage, path: &Path, lsn: u64) -> Result<Option<ChainAt>> {
    let paths = Paths::new(path);
    let mut segments = segments_in(storage, &paths.archive(), true)?;
    segments.extend(segments_in(storage, &paths.log(), false)?);
    segments.sort_by_key(|(number, is_archived, _)| (*number, *is_archived));
    segments.dedup_by_key(|(number, _, _)| *number);
    for (_, _, file) in segments.into_iter().rev() {
        let mut sector = [0; HEADER_BYTES];
        let opened = open_listed(storage, &file, Access::Read)?;
        if opened.len().map_err(Error::io("look at", &file))? < HEADER_BYTES as u64 {
            continue;
        }
        opened.read_exact_at(&mut sector, 0).map_err(Error::io("read", &file))?;
        let Parsed::Header(header, _) = SegmentHeader::parse(&sector) else { continue };
        if header.first_lsn <= lsn.saturating_add(1) {
            return Ok(chain_in(&read_whole(storage, &file)?, &header, lsn));
        }
    }
    Ok(None)
}

/// Returns the snapshot files of a directory, archived ones first.
///
/// # Errors
/// `Io`.
pub fn snapshot_files(storage: &Arc<dyn Storage>, path: &Path) -> Result<Vec<PathBuf>> {
    let paths = Paths::new(path);
    let mut files = Vec::new();
    for directory in [paths.archive(), paths.snapshots()] {
        if !storage.is_dir(&directory).map_err(Error::io("look at", &directory))? {
            continue;
        }
        let mut names = storage.list(&directory).map_err(Error::io("list", &directory))?;
        names.retain(|name| names::snapshot_lsn(name).is_some());
        names.sort_unstable();
        files.extend(names.into_iter().map(|name| directory.join(name)));
    }
    Ok(files)
}

/// Returns the seals and boundaries that commands name: those that the newest snapshot knows whose seals
/// verify, and those of the log after it. Reads the log.
///
/// Whether a command of the log was carried out shows only in a state: one that was refused, since a period
/// was posted meanwhile, names files that were removed. The next one has the same number, and counts.
///
/// # Errors
/// `Io`, `NotADataDirectory` if there is no log.
pub fn named_seals(storage: &Arc<dyn Storage>, path: &Path) -> Result<Named> {
    let mut named = Named::default();
    let mut known_up_to = None;
    for file in snapshot_files(storage, path)?.iter().rev() {
        let (lsn, seals) = match snapshot::seals_in(&**storage, file) {
            Err(Error::Damaged(_)) => continue,
            found => found?,
        };
        for (number, seal) in (0..).zip(seals) {
            named.seals.insert(number, (seal.lsn, seal.manifest));
            named.boundaries.insert(seal.boundary, seal.network);
        }
        known_up_to = Some(lsn);
        break;
    }
    let mut next = None;
    let mut boundaries = BTreeMap::new();
    log(storage, path, &mut |item| {
        let LogItem::Frame(frame) = item else { return true };
        next = next.or(Some(frame.first_lsn));
        for stamped in frame.commands.iter().flatten().filter(|stamped| known_up_to < Some(stamped.lsn)) {
            // One that found its period sealed already names nothing.
            if let Command::SealPeriod(seal) = &stamped.command
                && seal.manifest != [0; 32]
            {
                named.seals.insert(seal.seal, (stamped.lsn, seal.manifest));
                boundaries.insert(seal.seal, (seal.boundary, seal.network));
            }
        }
        true
    })?;
    named.boundaries.extend(boundaries.into_values());
    named.is_complete = known_up_to.is_some() || next == Some(1);
    Ok(named)
}
