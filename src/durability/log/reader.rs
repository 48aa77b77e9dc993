//! Reads groups of commands sequentially, across segments.

use std::{io::ErrorKind, path::PathBuf};

use super::{
    chain,
    frame::{self, End, Form, Kind},
    index::{FileLog, ReaderPermit},
    position::Position,
    scan::check_chain,
    segment::{HEADER_BYTES, Parsed, SegmentHeader},
};
use crate::{
    core::types::Timestamp,
    durability::{
        codec,
        error::{Error, Result},
        journal::{ChainAt, Group, GroupReader, LogReader},
        storage::{Access, StorageFile},
    },
};

/// Bytes per read: large enough that system calls do not matter, small enough that reading one page of the
/// log is cheap.
const READ_BYTES: usize = 256 * 1_024;

/// Reads groups from the segments of a log.
#[derive(Debug)]
pub(crate) struct FileGroups {
    log: FileLog,
    /// Next segment to open.
    segment: u64,
    /// First LSN requested.
    from: u64,
    /// Last LSN requested.
    until: u64,
    open: Option<OpenSegment>,
    /// Where the previous segment ended.
    end: Option<Position>,
    body: Vec<u8>,
    failed: bool,
    _permit: ReaderPermit,
}

#[derive(Debug)]
struct OpenSegment {
    path: PathBuf,
    file: Box<dyn StorageFile>,
    bytes: u64,
    form: Form,
    at: Position,
    /// A part of the file, and its offset.
    window: Vec<u8>,
    window_offset: u64,
}

impl FileGroups {
    pub(crate) fn new(log: FileLog, permit: ReaderPermit, segment: u64, (from, until): (u64, u64)) -> Self {
        Self {
            log,
            segment,
            from,
            until,
            open: None,
            end: None,
            body: Vec::new(),
            failed: false,
            _permit: permit,
        }
    }

    fn advance(&mut self, group: &mut Group) -> Result<bool> {
        if self.until < self.from {
            return Ok(false);
        }
        loop {
            let mut segment = match self.open.take() {
                Some(segment) => segment,
                None => self.open_segment()?,
            };
            if self.until < segment.at.next_lsn {
                // Keep it for `extend`.
                self.open = Some(segment);
                return Ok(false);
            }
            let before = segment.at;
            let (header, frame_at) = segment.read_frame()?;
            match header.kind {
                Kind::Seal => {
                    self.segment += 1;
                    self.end = Some(segment.at);
                }
                Kind::Group if self.from < header.next_lsn() => {
                    segment.take_body(&header, frame_at, &before, &mut self.body)?;
                    codec::decode_group(&self.body, header.first_lsn, header.count, &mut group.commands)
                        .map_err(|error| {
                            Error::record(&segment.path, before.offset, header.first_lsn, error)
                        })?;
                    self.open = Some(segment);
                    // Drop what was not requested.
                    group.commands.retain(|stamped| self.from <= stamped.lsn && stamped.lsn <= self.until);
                    group.outcome_hash_before =
                        (self.from <= header.first_lsn).then_some(header.outcome_hash);
                    return Ok(true);
                }
                Kind::Group | Kind::Mark => self.open = Some(segment),
            }
        }
    }

    fn open_segment(&self) -> Result<OpenSegment> {
        OpenSegment::open(&self.log, self.segment, self.end.as_ref()).map(|(segment, _)| segment)
    }
}

impl GroupReader for FileGroups {
    fn next_into(&mut self, group: &mut Group) -> Result<bool> {
        group.commands.clear();
        if self.failed {
            return Ok(false);
        }
        let result = self.advance(group);
        self.failed = result.is_err();
        result
    }

    fn extend(&mut self) {
        self.until = self.log.durable_lsn();
        if let Some(segment) = &mut self.open {
            // What lay past the durable end when the window was filled may be stale.
            segment.window.clear();
            segment.window_offset = segment.at.offset;
        }
    }
}

impl LogReader for FileLog {
    fn oldest_lsn(&self) -> u64 {
        self.index.lock().oldest_lsn()
    }

    fn durable_lsn(&self) -> u64 {
        self.index.lock().durable_lsn
    }

    fn is_whole(&self) -> bool {
        self.index.lock().segments.first().is_some_and(|segment| segment.number == 1)
    }

    /// Reads through archived and live segments.
    fn read_range(&self, first: u64, last: u64) -> Result<Box<dyn GroupReader>> {
        let (segment, until) = {
            let index = self.index.lock();
            let segment = index.holding(first).ok_or(Error::BelowRetained { oldest: index.oldest_lsn() })?;
            (segment.number, index.durable_lsn.min(last))
        };
        Ok(Box::new(FileGroups::new(self.clone(), self.readers.permit()?, segment, (first, until))))
    }

    /// O(log segments), and reads a part of one segment.
    fn lsn_at(&self, time: Timestamp) -> Result<u64> {
        let first =
            self.segment_at(time).ok_or_else(|| Error::BelowRetained { oldest: self.oldest_lsn() })?;
        let mut lsn = first - 1;
        let mut reader = self.read_from(first)?;
        let mut group = Group::default();
        while reader.next_into(&mut group)? {
            let earlier = group.commands.iter().take_while(|stamped| stamped.time <= time).count();
            if let Some(last) = group.commands[..earlier].last() {
                lsn = last.lsn;
            }
            if earlier < group.commands.len() {
                break;
            }
        }
        Ok(lsn)
    }

    /// Reads a part of one segment.
    fn chain_at(&self, lsn: u64) -> Result<ChainAt> {
        let segment = {
            let index = self.index.lock();
            index.holding(lsn + 1).ok_or(Error::BelowRetained { oldest: index.oldest_lsn() })?.number
        };
        chain_at(self, segment, lsn)
    }
}

/// Returns the chain after the command `lsn` in an in-memory segment whose frames begin at `start` and verify
/// up to there. `None` if the segment neither holds that command nor begins right after it.
pub(crate) fn chain_in(content: &[u8], header: &SegmentHeader, lsn: u64) -> Option<ChainAt> {
    let form = header.form();
    let (mut next_lsn, mut chain, mut offset) = (header.first_lsn, header.chain, HEADER_BYTES);
    if next_lsn == lsn + 1 {
        return Some(ChainAt { chain, begins: header.begins_chain() });
    }
    while next_lsn <= lsn {
        let frame = frame::parse_header(content.get(offset..)?, form)?;
        let whole = content.get(offset..offset + frame.frame_bytes())?;
        if lsn + 1 < frame.next_lsn()
            && let Some(before) = chain
        {
            let mut body = Vec::new();
            frame::plain_body(&frame, whole, &mut body);
            let chain = chain::after(before, &body, lsn + 1 - frame.first_lsn).ok()?;
            return Some(ChainAt { chain: Some(chain), begins: false });
        }
        (next_lsn, chain, offset) = (frame.next_lsn(), frame.chain(), offset + whole.len());
    }
    Some(ChainAt { chain, begins: false })
}

/// See `LogReader::chain_at`. `segment` is the number of the one that holds the command after `lsn`, or would
/// hold it.
pub(super) fn chain_at(log: &FileLog, segment: u64, lsn: u64) -> Result<ChainAt> {
    let (mut segment, header) = OpenSegment::open(log, segment, None)?;
    if segment.at.next_lsn == lsn + 1 {
        return Ok(ChainAt { chain: segment.at.chain, begins: header.begins_chain() });
    }
    while segment.at.next_lsn <= lsn {
        let before = segment.at;
        let (header, frame_at) = segment.read_frame()?;
        if lsn + 1 < header.next_lsn()
            && let Some(chain) = before.chain
        {
            let mut body = Vec::new();
            segment.take_body(&header, frame_at, &before, &mut body)?;
            let count = lsn + 1 - header.first_lsn;
            let chain = chain::after(chain, &body, count);
            let chain = chain
                .map_err(|error| Error::record(&segment.path, before.offset, header.first_lsn, error))?;
            return Ok(ChainAt { chain: Some(chain), begins: false });
        }
    }
    Ok(ChainAt { chain: segment.at.chain, begins: false })
}

impl OpenSegment {
    /// Opens a segment of the index, and returns its header too. `end` is where the previous segment ended,
    /// if that was read.
    fn open(log: &FileLog, number: u64, end: Option<&Position>) -> Result<(Self, SegmentHeader)> {
        let (entry, oldest) = {
            let index = log.index.lock();
            (index.numbered(number), index.oldest_lsn())
        };
        let entry = entry.ok_or(Error::BelowRetained { oldest })?;
        // A segment may move to the archive between the index lookup and this.
        let (mut path, archived) = (log.paths.segment(entry.number), log.paths.archived(entry.number));
        let file = match log.storage.open(&path, Access::Read) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                path = archived;
                log.storage.open(&path, Access::Read)
            }
            result => result,
        };
        let file = file.map_err(Error::opening(&path))?;
        let mut sector = [0; HEADER_BYTES];
        file.read_exact_at(&mut sector, 0).map_err(Error::io("read", &path))?;
        match SegmentHeader::parse(&sector) {
            Parsed::Header(header, crc)
                if header.entry(entry.archived) == entry && end.is_none_or(|end| header.follows(end)) =>
            {
                let (at, form) = (header.start(crc), header.form());
                Ok((
                    Self { path, file, bytes: header.bytes, form, at, window: Vec::new(), window_offset: 0 },
                    header,
                ))
            }
            _ => {
                let lost = format!("commands from LSN {} on", entry.first_lsn);
                Err(Error::damaged(
                    &path,
                    0,
                    Some(entry.first_lsn),
                    "the segment's header is not the one that belongs here",
                    lost,
                ))
            }
        }
    }

    /// Puts the plain body of the frame just read into `body`, that is, the records that the chain covers.
    /// `before` is where the frame began.
    fn take_body(
        &self,
        header: &frame::Header,
        frame_at: usize,
        before: &Position,
        body: &mut Vec<u8>,
    ) -> Result<()> {
        frame::plain_body(header, &self.window[frame_at..frame_at + header.frame_bytes()], body);
        let Some(chain) = before.chain else { return Ok(()) };
        if chain::after(chain, body, header.count.into()) == Ok(header.chain) {
            return Ok(());
        }
        let lost = format!("commands from LSN {} on", header.first_lsn);
        let reason = "the commands of a frame are not those that its chain names";
        Err(Error::damaged(&self.path, before.offset, Some(header.first_lsn), reason, lost))
    }

    /// Returns the next frame's header and its place in the window. It has verified, and follows the previous
    /// one.
    fn read_frame(&mut self) -> Result<(frame::Header, usize)> {
        let start = self.load(self.form.header_bytes())?;
        let header = frame::parse_header(&self.window[start..], self.form);
        let header = header.ok_or_else(|| self.damaged("a frame's header does not verify"))?;
        let start = self.load(header.frame_bytes())?;
        let frame = &self.window[start..start + header.frame_bytes()];
        let (End::Whole(crc) | End::ShortTrailer(crc)) = frame::check_end(self.form, frame) else {
            return Err(self.damaged("a frame does not verify"));
        };
        check_chain(&header, &self.at).map_err(|reason| self.damaged(&reason))?;
        self.at.offset += header.frame_bytes() as u64;
        self.at.next_lsn = header.next_lsn();
        self.at.previous_crc = crc;
        self.at.durable_lsn = header.durable_lsn;
        self.at.chain = header.chain();
        Ok((header, start))
    }

    /// Loads at least `wanted` bytes from the present offset into the window and returns where in it they
    /// begin.
    fn load(&mut self, wanted: usize) -> Result<usize> {
        let start = usize::try_from(self.at.offset - self.window_offset).unwrap_or(usize::MAX);
        if start <= self.window.len() && wanted <= self.window.len() - start {
            return Ok(start);
        }
        let left = usize::try_from(self.bytes.saturating_sub(self.at.offset)).unwrap_or(usize::MAX);
        if left < wanted {
            return Err(self.damaged("the segment ends where a frame should be"));
        }
        self.window.resize(wanted.max(READ_BYTES).min(left), 0);
        self.window_offset = self.at.offset;
        self.file.read_exact_at(&mut self.window, self.at.offset).map_err(Error::io("read", &self.path))?;
        Ok(0)
    }

    fn damaged(&self, reason: &str) -> Error {
        let lsn = self.at.next_lsn;
        Error::damaged(&self.path, self.at.offset, Some(lsn), reason, format!("commands from LSN {lsn} on"))
    }
}

impl Iterator for FileGroups {
    type Item = Result<Group>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut group = Group::default();
        self.next_into(&mut group).map(|found| found.then_some(group)).transpose()
    }
}
