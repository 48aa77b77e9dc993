//! The three ways to change a log's end other than by appending. None of them overwrites a byte in place with
//! another value.

use std::path::Path;

use super::{
    chain,
    evidence::{self, Durable},
    frame::{self, End, Header, Kind},
    position::Position,
    segment::{self, HEADER_BYTES, Parsed, SegmentHeader},
    whole::read_whole,
};
use crate::durability::{
    codec,
    error::{Error, Result},
    names,
    paths::Paths,
    storage::{Access, Storage, StorageFile},
};

/// The cut file: `{magic 8, LSN after which to cut u64, instance id 16, chain after that LSN u64, what for
/// u32, CRC-32C u32}`.
const CUT_BYTES: usize = 48;
/// In older releases: without the chain and the purpose.
const CUT_BYTES_BEFORE: usize = 36;
const CUT_MAGIC: [u8; 8] = *b"uplinCUT";

/// The content of the cut file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Intent {
    /// LSN of the last command to keep.
    pub after: u64,
    /// The chain after it, which the log must have there; 0 if unknown.
    pub chain: u64,
    pub purpose: Purpose,
}

/// Why the end of the log is to be dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Purpose {
    /// A file of an older release, which does not say.
    Unknown = 0,
    /// An atomic batch that was not committed: none of it was ever acknowledged.
    Batch = 1,
    /// Durable commands are dropped on purpose. Openings obey it; nothing writes it today.
    Suffix = 2,
}

/// Replaces whatever has this name with a fresh segment of `bytes` bytes: `content` followed by zeros. At
/// every moment the name refers to the old or the new one; on return the new one is durable.
pub(crate) fn replace_segment(
    storage: &dyn Storage,
    path: &Path,
    content: &[u8],
    bytes: u64,
) -> Result<Box<dyn StorageFile>> {
    let temporary = Paths::temporary(path);
    let file = segment::create_fresh(storage, &temporary)?;
    file.write_all_at(content, 0).map_err(Error::io("write", &temporary))?;
    segment::fill_with_zeros(&*file, content.len() as u64, bytes).map_err(Error::io("fill", &temporary))?;
    file.sync_all().map_err(Error::io("sync", &temporary))?;
    storage.rename(&temporary, path).map_err(Error::io("rename", &temporary))?;
    let directory = path.parent().unwrap_or(path);
    storage.sync_dir(directory).map_err(Error::io("sync", directory))?;
    Ok(file)
}

/// Rewrites the existing bytes from `from` on, and syncs. After a failed sync the page cache shows bytes that
/// are not on disk, and another sync succeeds without writing them; rewriting marks them dirty again.
pub(crate) fn write_again(file: &dyn StorageFile, path: &Path, bytes: &[u8], from: usize) -> Result<()> {
    file.write_all_at(&bytes[from..], from as u64).map_err(Error::io("write", path))?;
    file.sync_data().map_err(Error::io("sync", path))
}

/// Durably records that all commands after those to keep are to be dropped by the next opening, unless
/// withdrawn.
pub(crate) fn intend_cut(
    storage: &dyn Storage,
    paths: &Paths,
    instance: &[u8; 16],
    cut: Intent,
) -> Result<()> {
    let path = paths.cut();
    let temporary = Paths::temporary(&path);
    let mut intent = Vec::with_capacity(CUT_BYTES);
    intent.extend_from_slice(&CUT_MAGIC);
    intent.extend_from_slice(&cut.after.to_le_bytes());
    intent.extend_from_slice(instance);
    intent.extend_from_slice(&cut.chain.to_le_bytes());
    intent.extend_from_slice(&(cut.purpose as u32).to_le_bytes());
    intent.extend_from_slice(&crc32c::crc32c(&intent).to_le_bytes());
    let file = segment::create_fresh(storage, &temporary)?;
    file.write_all_at(&intent, 0).map_err(Error::io("write", &temporary))?;
    file.sync_all().map_err(Error::io("sync", &temporary))?;
    storage.rename(&temporary, &path).map_err(Error::io("rename", &temporary))?;
    storage.sync_dir(&paths.log()).map_err(Error::io("sync", &paths.log()))
}

/// Withdraws an intended cut, or records that it is done.
pub(crate) fn withdraw_cut(storage: &dyn Storage, paths: &Paths) -> Result<()> {
    storage.remove(&paths.cut()).map_err(Error::io("remove", &paths.cut()))?;
    storage.sync_dir(&paths.log()).map_err(Error::io("sync", &paths.log()))
}

/// Returns what an interrupted cut was to do.
pub(crate) fn interrupted_cut(
    storage: &dyn Storage,
    paths: &Paths,
    instance: &[u8; 16],
) -> Result<Option<Intent>> {
    let path = paths.cut();
    if !storage.is_file(&path).map_err(Error::io("look at", &path))? {
        return Ok(None);
    }
    let file = storage.open(&path, Access::Read).map_err(Error::opening(&path))?;
    let length = file.len().map_err(Error::io("look at", &path))?;
    let damaged = || {
        Error::damaged(
            &path,
            0,
            None,
            "it does not say where to cut the log",
            "what an interrupted cut of the log was to keep",
        )
    };
    let length = usize::try_from(length)
        .ok()
        .filter(|length| [CUT_BYTES, CUT_BYTES_BEFORE].contains(length))
        .ok_or_else(damaged)?;
    let mut bytes = [0; CUT_BYTES];
    let bytes = &mut bytes[..length];
    file.read_exact_at(bytes, 0).map_err(Error::io("read", &path))?;
    let (said, crc) = bytes.split_at(length - 4);
    if said[..8] != CUT_MAGIC || said[16..32] != *instance || crc != crc32c::crc32c(said).to_le_bytes() {
        return Err(damaged());
    }
    let u64_at = |at: usize| u64::from_le_bytes(said[at..at + 8].try_into().expect("eight bytes"));
    if length == CUT_BYTES_BEFORE {
        return Ok(Some(Intent { after: u64_at(8), chain: 0, purpose: Purpose::Unknown }));
    }
    let purpose = match said[40] {
        1 => Purpose::Batch,
        2 => Purpose::Suffix,
        _ => return Err(damaged()),
    };
    Ok(Some(Intent { after: u64_at(8), chain: u64_at(32), purpose }))
}

/// Every step is idempotent: the segment to keep remains the last one that begins at or before the cut.
pub(crate) fn carry_out_cut(
    storage: &dyn Storage,
    paths: &Paths,
    instance: &[u8; 16],
    after: u64,
) -> Result<()> {
    let mut numbers: Vec<u64> = storage
        .list(&paths.log())
        .map_err(Error::io("list", &paths.log()))?
        .iter()
        .filter_map(|name| names::segment_number(name))
        .collect();
    numbers.sort_unstable();
    let mut kept = None;
    for number in &numbers {
        let bytes = read_whole(storage, &paths.segment(*number))?;
        match bytes.first_chunk().map(SegmentHeader::parse) {
            Some(Parsed::Header(header, crc))
                if header.first_lsn <= after + 1 && header.instance == *instance =>
            {
                kept = Some((header, crc, bytes));
            }
            _ => break,
        }
    }
    let Some((header, crc, bytes)) = kept else {
        return Err(Error::damaged(
            &paths.log(),
            0,
            Some(after),
            "no segment begins before the cut",
            "the log",
        ));
    };
    // Verify what is to be kept before anything is removed.
    let (content, end) =
        content_until(&paths.segment(header.number), &header, header.start(crc), &bytes, after)?;
    // Newest first, so that what is left never has a gap.
    for number in numbers.iter().rev().filter(|number| header.number < **number) {
        let path = paths.segment(*number);
        storage.remove(&path).map_err(Error::io("remove", &path))?;
    }
    storage.sync_dir(&paths.log()).map_err(Error::io("sync", &paths.log()))?;
    replace_segment(storage, &paths.segment(header.number), &content, header.bytes)?;
    // The log ends earlier now, which is not a loss.
    evidence::reset(storage, paths, instance, Durable::before(&end))?;
    withdraw_cut(storage, paths)
}

/// Returns the segment's bytes up to the cut. A group that the cut goes through is rewritten without its end.
pub(crate) fn content_until(
    path: &Path,
    header: &SegmentHeader,
    mut at: Position,
    bytes: &[u8],
    after: u64,
) -> Result<(Vec<u8>, Position)> {
    let form = header.form();
    let mut content = bytes[..HEADER_BYTES].to_vec();
    loop {
        let rest = &bytes[content.len()..];
        let Some(frame_header) = frame::parse_header(rest, form) else { break };
        let Some(whole) = rest.get(..frame_header.frame_bytes()) else { break };
        let End::Whole(crc) = frame::check_end(form, whole) else { break };
        if frame_header.kind == Kind::Seal || after < frame_header.first_lsn {
            break;
        }
        if after + 1 < frame_header.next_lsn() {
            at = append_beginning(path, &frame_header, whole, at.chain, after, &mut content)?;
            break;
        }
        content.extend_from_slice(whole);
        at = Position {
            offset: content.len() as u64,
            next_lsn: frame_header.next_lsn(),
            previous_crc: crc,
            durable_lsn: frame_header.durable_lsn,
            time: frame_header.time,
            sealed: false,
            chain: frame_header.chain(),
        };
    }
    if at.next_lsn != after + 1 {
        let reason = format!("it ends before LSN {after}, where the log is to be cut");
        return Err(Error::damaged(path, at.offset, Some(at.next_lsn), reason, "commands up to the cut"));
    }
    Ok((content, at))
}

/// Appends the frame's commands up to `after` as a frame of their own; returns the position after it.
/// `before` is the chain before the frame.
fn append_beginning(
    path: &Path,
    header: &Header,
    whole: &[u8],
    before: Option<u64>,
    after: u64,
    content: &mut Vec<u8>,
) -> Result<Position> {
    let offset = content.len() as u64;
    let record_error = |error| Error::record(path, offset, header.first_lsn, error);
    let mut body = Vec::new();
    frame::plain_body(header, whole, &mut body);
    let mut commands = Vec::new();
    codec::decode_group(&body, header.first_lsn, header.count, &mut commands).map_err(record_error)?;
    commands.retain(|stamped| stamped.lsn <= after);
    let count = u32::try_from(commands.len()).expect("less than the count of the whole group");
    let chain =
        before.map_or(Ok(0), |before| chain::after(before, &body, count.into())).map_err(record_error)?;
    let time = commands.last().map_or(header.time, |stamped| stamped.time);
    let mut out = vec![0; header.form.header_bytes()];
    codec::encode_group(&commands, &mut out)?;
    let shorter = Header { count, time, chain, ..*header };
    let previous_crc = frame::finish(shorter, offset, &mut out);
    content.extend_from_slice(&out);
    let durable_lsn = header.durable_lsn;
    Ok(Position {
        offset: content.len() as u64,
        next_lsn: after + 1,
        previous_crc,
        durable_lsn,
        time,
        sealed: false,
        chain: shorter.chain(),
    })
}
